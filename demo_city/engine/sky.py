"""The sky of a day or night, as a map of the upper half of all directions."""

from functools import cache

import numpy as np

from demo_city.seeds import random_for
from demo_city.weather import Capture

SIZE = 384  # texels a side
NOISE = 256


@cache
def noise() -> np.ndarray:
    """Smooth noise that repeats: float32 (NOISE + 1, NOISE + 1, 1), 0 to 1, its last row and column as the first."""
    spectrum = np.fft.fft2(random_for("clouds").standard_normal((NOISE, NOISE)))
    frequency = np.hypot(np.fft.fftfreq(NOISE)[:, None], np.fft.fftfreq(NOISE)[None]) * NOISE
    values = np.fft.ifft2(spectrum * np.exp(-np.square(frequency / 40)) / (1 + (frequency / 5) ** 1.6)).real
    ranks = np.argsort(np.argsort(values.ravel())).reshape(values.shape)
    return np.pad((ranks / ranks.max()).astype(np.float32), (0, 1), "wrap")[..., None]


@cache
def directions() -> np.ndarray:
    """The unit vectors (SIZE, SIZE, 3) of the map's texels: an octahedron's upper half, seen from above."""
    middle = (np.arange(SIZE) + 0.5) / SIZE * 2 - 1
    # the map's diagonals are north and east: a = x + y and b = x - y of the octahedron
    a, b = np.meshgrid(middle, middle)
    x, y = (a + b) / 2, (a - b) / 2
    vectors = np.stack([x, y, 1 - np.abs(x) - np.abs(y)], 2)
    return (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)


def sky_map(capture: Capture, sun_colour: np.ndarray, key: int) -> np.ndarray:
    """The light of the sky, float32 (SIZE, SIZE, 3); sun_colour: (3,); key: decides the clouds, as the day does."""
    rng = random_for(key, "sky", *capture.key)
    vectors = directions()
    up = vectors[..., 2]
    if capture.night:
        glow = np.array([0.055, 0.038, 0.026]) * rng.uniform(0.4, 1.6) * (0.4 + capture.cloud)
        colours = np.array([0.004, 0.006, 0.013]) + glow * np.exp(-up[..., None] * rng.uniform(2, 4))
        light, dark = glow * 0.9, glow * 0.4
    else:
        blue = np.array([0.13, 0.27, 0.58]) * rng.uniform(0.85, 1.15)
        pale = np.array([0.62, 0.76, 0.92]) * rng.uniform(0.9, 1.1)
        low = max(0.0, 1 - capture.sun_height / 25)  # at a low sun the horizon is warm
        pale = pale * (1 - low * np.array([-0.12, 0.08, 0.35]))
        share = np.exp(-up[..., None] * rng.uniform(3.5, 6))
        colours = blue * (1 - share) + pale * share
        beside = vectors @ capture.sun_direction.astype(np.float32)
        glow = 0.9 * np.exp((beside - 1) * 9) + 6 * np.exp((beside - 1) * 150) + 60 * (beside > 0.9997)
        colours = colours + glow[..., None] * sun_colour * (0.12 if capture.cloud > 0.85 else 0.3)
        grey = 1 - 0.35 * capture.cloud
        light, dark = np.array([1.0, 0.99, 0.97]) * grey * 1.05, np.array([0.52, 0.56, 0.62]) * grey
    density, shade = _clouds(vectors, capture, rng)
    clouds = dark + (light - dark) * shade[..., None]
    colours = colours + (clouds - colours) * density[..., None]
    return np.ascontiguousarray(colours, np.float32)


def _clouds(vectors: np.ndarray, capture: Capture, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How dense the clouds are, and how bright: 0 to 1, (SIZE, SIZE) each. They lie in a plane overhead."""
    distance = 1 / (vectors[..., 2] + 0.09)
    x, y = vectors[..., 0] * distance, vectors[..., 1] * distance
    turn, stretch, scale = rng.uniform(0, np.pi), rng.choice([1.0, 1.4, 3.0]), rng.uniform(6, 26)
    x, y = (x * np.cos(turn) + y * np.sin(turn)) * scale / stretch, (y * np.cos(turn) - x * np.sin(turn)) * scale
    shift = rng.uniform(0, NOISE, 2)
    value = _fractal(x + shift[0], y + shift[1])
    toward = capture.sun_direction[:2] * scale * 0.12
    lit = _fractal(x + shift[0] + toward[0], y + shift[1] + toward[1])
    soft = rng.uniform(0.08, 0.3) + 0.5 * max(capture.cloud - 0.8, 0)
    limit = 0.86 - 0.95 * capture.cloud
    density = np.clip((value - limit) / soft + capture.cloud * 0.4, 0, 1)
    if capture.cloud > 0.9:
        density = np.maximum(density, 0.9)
    relief = 1.0 if capture.cloud < 0.9 else rng.uniform(0.1, 0.7)  # some overcast skies have no drawing at all
    shade = np.clip(0.62 + relief * ((value - lit) * 2.2 + (0.5 - value) * rng.uniform(0.4, 1.1)), 0, 1)
    return density.astype(np.float32), shade.astype(np.float32)


def _fractal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Noise with finer and finer parts, 0 to 1."""
    table, total = noise()[..., 0], 0.0
    for octave, weight in ((1.0, 0.6), (2.7, 0.25), (7.3, 0.15)):
        i, j = x * octave, y * octave
        a, b = np.floor(i).astype(np.int64), np.floor(j).astype(np.int64)
        u, v = (i - a).astype(np.float32), (j - b).astype(np.float32)
        a, b = a % NOISE, b % NOISE
        above = table[b, a] * (1 - u) + table[b, a + 1] * u
        total = total + weight * (above * (1 - v) + (table[b + 1, a] * (1 - u) + table[b + 1, a + 1] * u) * v)
    return total

"""The camera's faults: what lies between the light and the file."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from demo_city.seeds import random_for
from demo_city.weather import Capture

_GRAIN = 512  # pixels a side of the table of noise


@dataclass(frozen=True)
class Optics:
    """One camera and its settings. Lengths are in pixels of a photograph of 128 a side."""

    exposure: float = 0.0  # stops
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors of red, green and blue
    contrast: float = 1.0  # 1 leaves it
    saturation: float = 1.0  # 1 leaves it
    blur: float = 0.0  # radius of what is out of focus
    motion: float = 0.0  # length of the way during the exposure
    direction: float = 0.0  # of that way, degrees from the right downwards
    noise: float = 0.0  # standard deviation of a grey of 128, of 255
    vignette: float = 0.0  # share of the light that the corners lack
    bloom: float = 0.0  # share of the light that bright places scatter
    jpeg: int = 90  # quality at which the photograph is to be saved

    @classmethod
    def drawn(cls, rng: np.random.Generator, capture: Capture) -> "Optics":
        """Draws a camera and its settings."""
        night = bool(capture.night)
        warm, green = rng.normal(0, 0.05 if night else 0.035), rng.normal(0, 0.015)
        sharp = rng.random() < (0.5 if night else 0.7)
        still = rng.random() < (0.6 if night else 0.85)
        return cls(
            exposure=float(rng.normal(0.0, 0.3)),
            balance=(float(1 + warm), float(1 + green), float(1 - warm)),
            contrast=float(rng.uniform(0.88, 1.18)),
            saturation=float(rng.uniform(0.7, 1.25)),
            blur=0.0 if sharp else float(rng.uniform(0.25, 0.8)),
            motion=0.0 if still else float(rng.uniform(1.0, 3.0 if night else 1.8)),
            direction=float(rng.normal(0, 25)),
            noise=float(rng.uniform(2, 8) if night else rng.gamma(1.6, 1.2)),
            vignette=float(rng.uniform(0, 0.3)),
            bloom=float(rng.uniform(0.25, 0.7) if night else rng.uniform(0, 0.2)),
            jpeg=int(rng.integers(72, 96)),
        )


def expose(light: np.ndarray, night: bool) -> np.ndarray:
    """Turns light, float32 (rows, columns, 3), into a picture, uint8, as a camera that sets its exposure by itself."""
    adapts, wanted = (0.5, 0.39) if night else (0.6, 0.52)
    mean = np.sqrt(np.minimum(light[::2, ::2] @ np.array([0.3, 0.6, 0.1], np.float32), 1.2)).mean()
    gain = min(max((wanted / (mean + 1e-4)) ** (2 * adapts), 0.45), 5.0)
    roots = np.sqrt(light * np.float32(gain * 1024**2))
    return _tones()[np.minimum(roots, 4095, out=roots).astype(np.int16)]


@cache
def _tones() -> np.ndarray:
    """What comes out, uint8 (4096,), of square roots of light from 0 to 4."""
    value = np.arange(4096) / 1024
    over = np.maximum(value - 0.75, 0)  # bright places keep some drawing
    value = np.minimum(np.minimum(value, 0.75) + over / (1 + over * 2.2), 1)
    steep = value * value * (3 - 2 * value)  # dark places get darker, as in any photograph
    return ((value + 0.4 * (steep - value)) * 255).astype(np.uint8)


def develop(
    image: Image.Image, size: tuple[int, int], capture: Capture, optics: Optics, rng: np.random.Generator
) -> Image.Image:
    """Makes a photograph of what the engine rendered.

    image: as exposed
    size: width and height of the result
    capture: the day or night: rain falls through the picture
    optics: the camera and its settings
    rng: decides noise and drops
    """
    width, height = size
    scale = height / 128
    if image.size != size:
        image = image.resize(size, Image.BOX if image.width % width == 0 else Image.HAMMING)
    if capture.wet > 0.5:
        image = _rain(image, capture.wet, rng)
    if optics.bloom > 0.02:
        bright = image.reduce(2).point([max(0, int((v - 170) * 3 * optics.bloom)) for v in range(256)] * 3)
        halo = ImageChops.add(*(bright.filter(ImageFilter.BoxBlur(radius * scale)) for radius in (1.0, 3.5)))
        image = ImageChops.add(image, halo.resize(image.size, Image.BILINEAR))
    if optics.blur * scale > 0.2:
        image = image.filter(ImageFilter.BoxBlur(optics.blur * scale))
    picture = np.asarray(image).astype(np.float32)
    if optics.motion * scale > 0.7:
        picture = _moved(picture, optics.motion * scale, optics.direction)
    mixing = optics.saturation * np.eye(3) + (1 - optics.saturation) / 3
    mixing = optics.contrast * 2 ** (optics.exposure / 2) * mixing * np.array(optics.balance)
    picture = picture @ mixing.T.astype(np.float32) + np.float32(118 * (1 - optics.contrast))
    if optics.vignette > 0.02:
        down, across = (np.square(np.linspace(-1, 1, count, dtype=np.float32)) for count in (height, width))
        picture *= 1 - np.float32(optics.vignette / 2) * (down[:, None] + across)[..., None]
    if optics.noise > 0.3:
        rows, columns = ((rng.integers(_GRAIN) + np.arange(count)) % _GRAIN for count in (height, width))
        picture += _grain()[rows[:, None], columns] * (
            np.float32(optics.noise) * (np.float32(1.3) - picture * np.float32(0.0025))
        )
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def _moved(picture: np.ndarray, length: float, direction: float) -> np.ndarray:
    """Averages copies along a way; the edges are repeated."""
    angle, reach = np.radians(direction), int(np.ceil(length))
    wide, total = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), "edge"), np.zeros_like(picture)
    for share in np.linspace(-0.5, 0.5, reach + 1):
        x, y = round(share * length * np.cos(angle)) + reach, round(share * length * np.sin(angle)) + reach
        total += wide[y : y + len(picture), x : x + picture.shape[1]]
    return total / (reach + 1)


@cache
def _grain() -> np.ndarray:
    """Noise of a sensor (_GRAIN, _GRAIN, 3); most of it is the same in all colours."""
    values = random_for("sensor").normal(0, 1, (_GRAIN, _GRAIN, 4)).astype(np.float32)
    return values[..., :3] * np.float32(0.6) + values[..., 3:] * np.float32(0.8)


def _rain(image: Image.Image, wet: float, rng: np.random.Generator) -> Image.Image:
    """Adds streaks of falling drops: a blurred picture of thin lines that shows where they are."""
    drops = (rng.random(image.size[::-1]) < rng.uniform(0.002, 0.010) * wet).astype(np.float32)
    length, lean = max(round(image.height * rng.uniform(0.03, 0.09)), 2), rng.normal(0, 0.25)
    streaks = np.zeros_like(drops)
    for step in range(length):
        streaks += np.roll(drops, (step, round(step * lean)), (0, 1))
    mask = Image.fromarray((np.minimum(streaks, 1.5) * (26 * wet)).astype(np.uint8))
    return Image.composite(Image.new("RGB", image.size, (205, 210, 216)), image, mask)

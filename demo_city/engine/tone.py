"""From light to a picture: a kernel."""

import numpy as np

from demo_city.engine.jit import kernel


@kernel
def tone(light: np.ndarray, adapts: float, target: float, out: np.ndarray) -> None:
    """Turns light into a picture, as a camera that sets its exposure by itself.

    light: float32 (size, size, 3)
    adapts: 0 to 1, how much of the difference from the wanted brightness is made up for
    target: the wanted mean brightness, 0 to 1
    out: uint8 (size, size, 3), filled
    """
    size = light.shape[0]
    total = 0.0
    for y in range(0, size, 2):
        for x in range(0, size, 2):
            total += np.sqrt(min(0.3 * light[y, x, 0] + 0.6 * light[y, x, 1] + 0.1 * light[y, x, 2], 1.2))
    mean = total / (((size + 1) // 2) ** 2)
    gain = np.float32(min(max((target / (mean + 1e-4)) ** (2 * adapts), 0.45), 5.0))
    for y in range(size):
        for x in range(size):
            for c in range(3):
                value = np.sqrt(max(light[y, x, c] * gain, np.float32(0)))
                if value > 0.75:  # bright places keep some drawing
                    over = value - np.float32(0.75)
                    value = np.float32(0.75) + over / (1 + over * np.float32(2.2))
                value = min(value, np.float32(1))
                steep = value * value * (np.float32(3) - 2 * value)  # dark places get darker, as in any photograph
                out[y, x, c] = np.uint8((value + np.float32(0.4) * (steep - value)) * 255)

"""A view on which things are drawn, from far to near, behind what is nearer."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from demo_city.camera import Camera
from demo_city.paint import Colour


class Stage:
    """One view on which things are drawn; they stay behind what is nearer.

    image: RGB, drawn on
    depth: (rows, columns), metres, of walls and ground
    column_depth: (columns,), metres, of the nearest wall
    camera: of the view
    scale: focal length, pixels
    horizon: row of the horizon
    haze: colour (3,)
    clear: share of a colour that is left at 100 m
    night: whether lamps shine
    """

    def __init__(
        self,
        image: Image.Image,
        depth: np.ndarray,
        column_depth: np.ndarray,
        camera: "Camera",
        scale: float,
        horizon: float,
        haze: np.ndarray,
        clear: float,
        night: bool,
    ):
        self.image, self.draw = image, ImageDraw.Draw(image, "RGBA")
        self.depth, self.column_depth = depth, column_depth
        self.camera, self.scale, self.horizon = camera, scale, horizon
        self.haze, self.clear, self.night = haze.tolist(), clear, night

    def to_view(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Projects points (n, 3): x and y in pixels, and the depth in metres, each (n,)."""
        offset = points[:, :2] - self.camera.position
        depth = offset @ self.camera.forward
        near = np.maximum(depth, 0.05)
        x = self.image.width / 2 + self.scale * (offset @ self.camera.right) / near
        y = self.horizon + self.scale * (self.camera.height - points[:, 2]) / near
        return x, y, depth

    def tone(self, colour: Colour, depth: float, light: Sequence[float], factor: float = 1.0) -> Colour:
        """Lights a colour, and pales it by the haze.

        colour: of the thing
        depth: metres
        light: factors (3,)
        factor: a further factor on the light
        """
        clear = self.clear ** (depth / 100)
        lit, pale = factor * clear, 1 - clear
        return (
            min(int(colour[0] * light[0] * lit + self.haze[0] * pale), 255),
            min(int(colour[1] * light[1] * lit + self.haze[1] * pale), 255),
            min(int(colour[2] * light[2] * lit + self.haze[2] * pale), 255),
        )

    def behind(self, box: Sequence[float], depth: float, drawing: Callable[[], None]) -> None:
        """Calls drawing(), then restores what is nearer than `depth` metres inside box (left, top, right, bottom)."""
        left, top = max(int(box[0]) - 1, 0), max(int(box[1]) - 1, 0)
        right, bottom = min(int(box[2]) + 2, self.image.width), min(int(box[3]) + 2, self.image.height)
        if right <= left or bottom <= top:
            return
        nearest = self.column_depth[left:right]
        if nearest.min() > depth:
            drawing()
            return
        nearer = self.depth[top:bottom, left:right] < depth
        if nearer.all():
            return
        before = self.image.crop((left, top, right, bottom))
        drawing()
        self.image.paste(before, (left, top), Image.fromarray(nearer.astype(np.uint8) * 255))

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: int = 200) -> None:
        """Adds the halo of a light at night.

        x, y: pixels
        radius: pixels
        colour: of the light
        strength: 0 to 255
        """
        radius = int(min(max(radius, 2), 90))
        halo = _halo(radius, strength)
        self.image.paste(Image.new("RGB", halo.size, colour), (int(x) - radius, int(y) - radius), halo)


_halos = {}


def _halo(radius: int, strength: int) -> Image.Image:
    if (radius, strength) not in _halos:
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
        _halos[radius, strength] = Image.fromarray(
            (np.clip(1 - np.hypot(x, y), 0, 1) ** 2.4 * strength).astype(np.uint8)
        )
    return _halos[radius, strength]

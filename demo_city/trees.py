"""Trees: their pictures, drawn once a process, and how one stands on a view."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from demo_city.paint import Colour
from demo_city.plan import Thing
from demo_city.seeds import random_for
from demo_city.stage import Stage

_LEAVES = {
    "spring": [(124, 150, 76), (136, 160, 88), (142, 156, 92)],
    "summer": [(74, 98, 54), (84, 108, 60), (70, 92, 56)],
    "autumn": [(188, 142, 62), (172, 104, 56), (158, 136, 66)],
    "winter": None,
}
TREE_SIZE = (96, 128)  # pixels of a tree's picture; its height in metres is the tree's size
_trees = {}


def tree_picture(variant: int, season: str) -> tuple[Image.Image, Image.Image]:
    """Draws a tree, once per process: an RGB image and its outline (L), of TREE_SIZE.

    variant: 0 to 17, six of each of three forms; season: of _LEAVES.
    """
    if (variant, season) not in _trees:
        rng = random_for("tree", variant)
        width, height = TREE_SIZE
        image = Image.new("RGBA", (width * 2, height * 2), (70, 80, 50, 0))
        draw = ImageDraw.Draw(image)
        form = variant // 6
        evergreen = form == 1 and variant % 3 == 0
        bark = [(74, 60, 48), (96, 88, 80), (60, 50, 44)][variant % 3]
        middle, bottom = width, height * 2
        _branch(
            draw,
            rng,
            middle,
            bottom,
            -np.pi / 2,
            height * (0.62 if form != 2 else 0.5),
            7 if form != 2 else 10,
            bark,
            5,
            0.35 if form == 1 else 0.6,
        )
        leaves = _LEAVES["summer" if evergreen else season]
        if leaves:
            tone = leaves[variant % 3] if not evergreen else (52, 76, 58)
            blobs, tufts = [], rng.uniform(-1, 1, (9, 2)) * 0.75  # the crown is made of tufts, with gaps between them
            for n in range(260):
                offset = tufts[n % 9] + rng.normal(0, 0.22, 2)
                angle, r = np.arctan2(offset[1], offset[0]), min(np.hypot(*offset), 1.05)
                right, up = r * np.cos(angle) * width, r * np.sin(angle) * height
                if form == 1:
                    y = rng.random()
                    blobs.append((middle + right * 0.36 * (0.25 + y), height * 0.1 + y * height * 1.35))
                elif form == 0:
                    blobs.append((middle + right * 0.66, height * 0.78 + up * 0.62))
                else:
                    blobs.append((middle + right * 0.86, height * 0.72 + up * 0.45))
            for x, y in sorted(blobs, key=lambda b: -b[1]):
                size = rng.uniform(5, 12)
                light = (
                    (1.22 - 0.45 * y / (height * 1.5)) * rng.uniform(0.75, 1.2) * (0.9 + 0.25 * (middle - x) / width)
                )
                draw.ellipse(
                    (x - size, y - size * 0.8, x + size, y + size * 0.8),
                    fill=(*(int(min(c * light, 255)) for c in tone), 255),
                )
                for _ in range(5):
                    a, c = rng.normal(x, size * 0.7), rng.normal(y, size * 0.6)
                    draw.ellipse(
                        (a - 3, c - 2, a + 3, c + 2), fill=(*(int(min(v * light * 1.25, 255)) for v in tone), 255)
                    )
        image = image.resize(TREE_SIZE, Image.BOX)
        _trees[variant, season] = image.convert("RGB"), image.getchannel("A")
    return _trees[variant, season]


def _branch(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    x: float,
    y: float,
    angle: float,
    length: float,
    width: float,
    colour: Colour,
    depth: int,
    spread: float,
) -> None:
    x1, y1 = x + np.cos(angle) * length, y + np.sin(angle) * length
    draw.line((x, y, x1, y1), fill=(*colour, 255), width=max(int(width), 1))
    if depth:
        for _ in range(3 if depth > 2 else 2):
            start = rng.uniform(0.55, 1.0)
            turn, shorter = rng.uniform(-spread, spread) * 1.3, rng.uniform(0.45, 0.7)
            at = x + (x1 - x) * start, y + (y1 - y) * start
            _branch(draw, rng, *at, angle + turn, length * shorter, width * 0.6, colour, depth - 1, spread)


def draw_tree(stage: Stage, thing: Thing, season: str, light: Sequence[float]) -> None:
    """Draws a tree on a view.

    stage: the view
    thing: the tree
    season: of _LEAVES
    light: factors (3,) of the light at its place
    """
    x, y, depth = stage.to_view(np.array([[*thing.position, 0.0]]))
    x, y, depth = float(x[0]), float(y[0]), float(depth[0])
    height = stage.scale * thing.size / depth
    width = height * TREE_SIZE[0] / TREE_SIZE[1]
    left, top = x - width / 2, y - height
    box = [max(left, 0), max(top, 0), min(left + width, stage.image.width), min(y, stage.image.height)]
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        return
    pixels = [int(np.floor(box[0])), int(np.floor(box[1])), int(np.ceil(box[2])), int(np.ceil(box[3]))]
    source = [
        (pixels[0] - left) / width,
        (pixels[1] - top) / height,
        (pixels[2] - left) / width,
        (pixels[3] - top) / height,
    ]
    source = [min(max(s, 0), 1) * TREE_SIZE[k % 2] for k, s in enumerate(source)]

    def drawing():
        size = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        leaves, outline = tree_picture(thing.variant, season)
        shade = Image.new("RGB", size, tuple(min(int(v * 255), 255) for v in light))
        patch = ImageChops.multiply(leaves.resize(size, Image.BILINEAR, source), shade)
        patch = Image.blend(
            patch, Image.new("RGB", size, tuple(int(v) for v in stage.haze)), 1 - stage.clear ** (depth / 100)
        )
        stage.image.paste(patch, (pixels[0], pixels[1]), outline.resize(size, Image.BILINEAR, source))

    stage.behind(pixels, depth, drawing)

"""The pictures of what sticks out of walls: awnings, signs, railings, bay windows and dormers."""

from collections.abc import Callable, Hashable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from demo_city.engine.textures import Texture
from demo_city.looks.canvas import Canvas
from demo_city.looks.colours import choose, colours, jitter, mixed, pick, shade
from demo_city.looks.dress import Dress, House, dress
from demo_city.looks.letters import writing
from demo_city.looks.materials import covered
from demo_city.looks.palettes import COLOURS, LOOKS
from demo_city.looks.shops import Tenant, tenant, tenants
from demo_city.looks.surfaces import material_texture
from demo_city.looks.windows import Windows
from demo_city.seeds import random_for
from demo_city.years import REPAINT, generation

# what a picture is declared by, what makes it, and whether it is a cutout
Picture = tuple[Hashable, Callable[[], Texture], bool]
PLASTER: Picture = (("material", "plaster", 1), partial(material_texture, "plaster", 1), False)
SIGNS = {"board": (128, 32), "blade": (48, 40), "vertical": (32, 160)}  # width and height, texels
_PPM = 16


def _of_tenant(
    house: House, look: Dress, unit: int, size: tuple[int, int], paint: Callable[[Tenant], Image.Image]
) -> Callable:
    """Makes a texture that changes with the tenant of a unit."""
    return partial(
        Texture,
        *size,
        lambda number: np.asarray(paint(tenant(house, look, unit, number))),
        lambda year, season: tenants(house, unit + 1, year)[unit],
    )


def _of_paint(house: House, size: tuple[int, int], paint: Callable[[Dress], np.ndarray]) -> Callable:
    """Makes a texture that changes when the house is painted."""
    version = partial(_painted, house)
    return partial(Texture, *size, lambda painted: paint(dress(house, painted)), version)


def _painted(house: House, year: int, season: str) -> int:
    return generation(house.key, "paint", year, REPAINT)


def sign(house: House, look: Dress, unit: int, kind: str) -> Picture:
    """A sign of the tenant of a unit; kind: of SIGNS."""
    size = SIGNS[kind]

    def paint(who: Tenant) -> Image.Image:
        upright, rng = kind == "vertical", random_for("name", who.seed)
        script = who.script
        if upright and script in ("hung", "cursive"):  # they are not written downwards
            script = choose(rng, LOOKS["high_street"].scripts)
        area = int(size[0] * 0.84), int(size[1] * (0.9 if upright else 0.6))
        image, index = Image.new("RGB", size, who.sign), Image.new("L", size)
        ImageDraw.Draw(image).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=shade(who.sign, 0.7))
        letters, at = writing(rng, script, area, upright), ((size[0] - area[0]) // 2, (size[1] - area[1]) // 2)
        image.paste(who.letters, at, letters)
        glow = 230 + who.seed % 26
        if glow % 2:
            index.paste(glow, (0, 0, *size))
        index.paste(glow, at, letters.convert("1", dither=Image.Dither.NONE))
        image.putalpha(index)
        return image

    return ("sign", house.key, unit, kind), _of_tenant(house, look, unit, size, paint), False


def awning(house: House, look: Dress, unit: int) -> Picture:
    """Cloth in stripes or of one colour; the lower fifth hangs down, with letters."""

    def paint(who: Tenant) -> Image.Image:
        rng = random_for("awning", who.seed)
        cloth = mixed(who.sign, (150, 146, 140), rng.uniform(0.0, 0.35))
        image = Image.new("RGB", (64, 32), cloth)
        draw = ImageDraw.Draw(image)
        for x in range(0, 64 if rng.random() < 0.4 else 0, 8):
            draw.rectangle((x, 0, x + 3, 31), fill=who.stripes)
        draw.line((0, 25, 63, 25), fill=shade(cloth, 0.7))
        if rng.random() < 0.5:
            image.paste(who.letters, (8, 26), writing(random_for("name", who.seed), who.script, (48, 5)))
        image.putalpha(0)
        return image

    return ("awning", house.key, unit), _of_tenant(house, look, unit, (64, 32), paint), False


def railing(kind: str, variant: int, length: float) -> Picture:
    """Railings of "iron", a "caged" balcony's bars, or "glass"; variant: 0 to 3; length: metres."""
    wide = min(max(round(length * _PPM / 32), 1) * 32, 512)
    return ("railing", kind, variant, wide), partial(Texture, wide, 32, partial(_railing, kind, variant, wide)), True


def _railing(kind: str, variant: int, wide: int, version: Hashable) -> np.ndarray:
    rng = random_for("railing", kind, variant)
    colour = pick(rng, colours("2c2c30 3c4a44 d8d6ce 5a5c60")) if kind != "glass" else (150, 154, 156)
    image = Image.new("RGBA", (wide, 32), (*colour, 0))
    draw = ImageDraw.Draw(image)
    if kind == "glass":
        draw.rectangle((0, 6, wide, 27), fill=(118, 132, 136, 255))
        for x in range(0, wide, 21):
            draw.line((x, 0, x, 31), fill=(*colour, 255))
        draw.line((0, 8, wide, 18), fill=(150, 164, 168, 255))
    else:
        for x in range(0, wide, 4 if variant % 2 else 5):
            draw.line((x, 0, x, 31), fill=(*colour, 255), width=1 + (kind == "caged" and variant == 3))
        if kind == "caged":
            for y in range(0, 32, 8):
                draw.line((0, y, wide, y), fill=(*colour, 255))
        elif variant > 1:
            for x in range(4, wide, 16):
                draw.ellipse((x, 10, x + 8, 20), outline=(*colour, 255))
    draw.rectangle((0, 0, wide, 2), fill=(*colour, 255))
    draw.rectangle((0, 29, wide, 31), fill=(*colour, 255))
    return np.asarray(image)


def _air_conditioner(version: Hashable) -> np.ndarray:
    image = Image.new("RGBA", (32, 24), (228, 226, 218, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((2, 2, 21, 21), fill=(84, 86, 88, 0), outline=(150, 150, 148, 0))
    for r in (3, 6):
        draw.ellipse((12 - r, 12 - r, 12 + r, 12 + r), outline=(150, 150, 148, 0))
    for y in range(4, 22, 3):
        draw.line((24, y, 29, y), fill=(160, 160, 156, 0))
    draw.line((0, 23, 31, 23), fill=(120, 100, 84, 0))
    return np.asarray(image)


AIR_CONDITIONER: Picture = ("air_conditioner", partial(Texture, 32, 24, _air_conditioner), False)


def bay(house: House, width: float, low: float, high: float) -> Picture:
    """The face of a bay window: large panes on each storey between low walls; width, low, high: metres."""
    size = max(round(width * _PPM), 8), min(max(round((high - low) * _PPM), 8), 512)

    def paint(look: Dress) -> np.ndarray:
        rng, canvas = random_for(house.key, "bay"), Canvas.blank(*size, _PPM)
        light = rng.random() < 0.5
        canvas.image.paste(covered(rng, "plaster" if light else look.material, look.trim if light else look.wall, size))
        windows, kind = Windows(canvas, look, rng), "sash" if width < 1.9 else "wide"
        for storey in range(house.storeys):
            z = house.floor(storey) - low
            if -0.2 <= z < high - low - 1.5:
                windows.place(0.18, z + 0.8, width - 0.18, min(z + house.storey_height * 0.82, high - low - 0.2), kind)
                canvas.box(0, z, width, z + 0.12, look.trim)
        canvas.box(0, high - low - 0.18, width, high - low, look.trim)
        return canvas.array()

    return ("bay", house.key, size), _of_paint(house, size, paint), False


def dormer(house: House) -> Picture:
    """The face of a dormer."""

    def paint(look: Dress) -> np.ndarray:
        rng = random_for(house.key, "dormer")
        metal = jitter(rng, pick(rng, COLOURS["seams"] + COLOURS["slates"]), 8)
        canvas = Canvas.blank(32, 32, 20, metal if rng.random() < 0.6 else mixed(look.roof_colour, look.trim, 0.4))
        Windows(canvas, look, rng).place(0.22, 0.15, 1.38, 1.36, "casement")
        canvas.box(0, 1.45, 1.6, 1.6, shade(look.trim, 0.95))
        return canvas.array()

    return ("dormer", house.key), _of_paint(house, (32, 32), paint), False

"""What all walls of one house share: its materials, colours, windows and ornaments."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from demo_city.looks.colours import Colour, choose, jitter, mixed, pick, shade, weights
from demo_city.looks.palettes import COLOURS, DOORS, FRAMES, LOOKS, TRIM, VIVID, WHITE, Look
from demo_city.seeds import random_for


@dataclass(frozen=True)
class House:
    """What painters know of a building.

    key: decides everything that is random
    style: one of palettes.STYLES
    use: "home", "flats", "shop", "office", "tower", "warehouse", "hall" or "church"
    ground_height: of the ground floor, m
    storey_height: of the others, m
    roof: "flat", "gable", "hip", "mansard", "shed", "sawtooth" or "barrel"
    """

    key: int
    style: str
    use: str
    storeys: int
    ground_height: float
    storey_height: float
    roof: str

    @property
    def height(self) -> float:
        """The eaves above its ground, m."""
        return self.ground_height + (self.storeys - 1) * self.storey_height + 0.4

    def floor(self, storey: int) -> float:
        """The floor of a storey above the ground, m."""
        return 0.0 if storey == 0 else self.ground_height + (storey - 1) * self.storey_height


@dataclass(frozen=True)
class Dress:
    """The lasting choices of a house, and its present paint.

    scheme: how its walls are composed, see facades.py
    material, wall: of the walls, and their colour
    base: colour of the ground floor where it differs, or None
    window: kind of the windows, see windows.py
    pitch: distance of the windows, m
    share: width of a window in its bay
    rise, tall: lower edge above the floor and height of a window, shares of the storey
    deep: whether windows lie back in the wall
    grime: 0 clean to 1
    script: of its signs
    extras: what else it has, see Look.extras
    """

    key: int
    scheme: str
    material: str
    wall: Colour
    base: Colour | None
    trim: Colour
    frame: Colour
    door: Colour
    roof: str
    roof_colour: Colour
    window: str
    pitch: float
    share: float
    rise: float
    tall: float
    surround: str
    sill: bool
    deep: bool
    shutters: Colour | None
    balcony: str
    sunshade: bool
    curtains: float
    flowers: float
    washing: float
    bricked_up: float
    grime: float
    script: str
    shop: bool
    extras: frozenset[str]


# lower edge, height, and width of windows, as shares
_SHAPES = {
    "casement": (0.3, 0.48, 0.42), "cross": (0.26, 0.55, 0.42), "sash": (0.26, 0.54, 0.4), "wide": (0.3, 0.48, 0.66),
    "georgian": (0.25, 0.56, 0.38), "single": (0.32, 0.44, 0.36), "french": (0.06, 0.74, 0.4),
    "arched": (0.28, 0.4, 0.42), "loft": (0.24, 0.62, 0.72), "slider": (0.32, 0.46, 0.6),
    "picture": (0.3, 0.48, 0.62), "barred": (0.32, 0.44, 0.44), "louvre": (0.34, 0.4, 0.42),
}  # fmt: skip
_BODIES = {"shed": "corrugated 4 panels 2 brick 1", "church": "ashlar 3 rubble 2 brick 3 plaster 2"}
_RURAL = ("rubble", "timber", "clapboard", "boards", "shingle")
_PAINTED = ("plaster", "whitewash", "roughcast", "clapboard", "boards", "concrete", "earth", "timber")


def _material(rng: np.random.Generator, look: Look, scheme: str) -> str:
    """A material that goes with a scheme."""
    material = choose(rng, _BODIES.get(scheme, look.materials))
    if scheme in ("curtain", "frame", "ribbon") and material in _RURAL:
        return "concrete"
    return "brick" if scheme == "loft" and material in (*_RURAL[1:], "panels") else material


def _trim(rng: np.random.Generator, wall: Colour, material: str) -> Colour:
    """Ornaments are light on brick and dark paint, and else a tone of the wall or of stone."""
    if material in ("brick", "stock", "clapboard", "earth", "shingle") or sum(wall) < 380:
        return pick(rng, TRIM)
    return mixed(pick(rng, TRIM), shade(wall, rng.choice([0.86, 1.08])), 0.6)


def _roof(rng: np.random.Generator, house: House, look: Look) -> str:
    """The material of the roof."""
    chosen = choose(rng, look.roofs)
    return {"flat": "felt", "barrel": "seams", "sawtooth": "seams", "shed": "seams"}.get(house.roof, chosen)


@lru_cache(4096)
def dress(house: House, painted: int) -> Dress:
    """What a house looks like after it was painted so many times."""
    look, style = LOOKS[house.style], house.style
    rng, paint = random_for(house.key, "dress"), random_for(house.key, "paint", painted)
    scheme = choose(rng, look.scheme(house.use))
    material = _material(rng, look, scheme)
    options = look.colours.get(material, COLOURS["whitewash" if material == "timber" else material])
    once = paint if material in _PAINTED else rng  # what is not painted keeps its colour
    wall = jitter(once, pick(once, options), 6)
    wall = mixed(wall, (sum(wall) // 3,) * 3, once.uniform(0.0, 0.35))  # faded
    window, roof = choose(rng, look.windows), _roof(rng, house, look)
    rise, tall, share = _SHAPES[window]
    extras = frozenset(name for name, chance in weights(look.extras).items() if rng.random() < chance)
    bases = {"two_tone": jitter(paint, pick(paint, options), 6), "white_ground": pick(paint, WHITE),
             "dark_ground": mixed(wall, (84, 80, 76), rng.uniform(0.4, 0.8))}  # fmt: skip
    lived_in = house.use in ("home", "flats", "shop")
    plain = ("none", "none", "frame", "lintel", "hood", "brick")
    return Dress(
        key=house.key,
        scheme=scheme,
        material=material,
        wall=wall,
        base=next((colour for name, colour in bases.items() if name in extras), None),
        trim=_trim(random_for(house.key, "trim"), wall, material),
        frame=pick(paint, FRAMES[-2:] if style == "high_street" else FRAMES if rng.random() < 0.6 else FRAMES[:4]),
        door=jitter(paint, pick(paint, VIVID if rng.random() < 0.2 else DOORS), 8),
        roof=roof,
        roof_colour=jitter(rng, pick(rng, COLOURS[roof]), 6),
        window=window,
        pitch=rng.uniform(1.9, 3.3) * (1.35 if window in ("wide", "slider", "picture", "loft") else 1.0),
        share=min(share * rng.uniform(0.85, 1.2), 0.8),
        rise=rise * rng.uniform(0.9, 1.1),
        tall=tall * rng.uniform(0.9, 1.12),
        surround="arch" if window == "arched" else plain[int(rng.integers(len(plain)))],
        sill=rng.random() < 0.8,
        deep=material not in ("clapboard", "panels", "corrugated") and rng.random() < 0.85,
        shutters=mixed(pick(paint, VIVID), (110, 110, 104), 0.35) if "shutters" in extras else None,
        balcony=choose(rng, look.balconies) if lived_in or house.use == "tower" else "none",
        sunshade="sunshades" in extras,
        curtains=rng.uniform(0.3, 1.0) if lived_in else rng.uniform(0.0, 0.5),
        flowers=rng.choice([0.0, 0.0, 0.05, 0.4]) if style in ("old_town", "perimeter", "suburb") else 0.0,
        washing=rng.choice([0.0, 0.25]) if style in ("market", "high_street") else 0.0,
        bricked_up=0.2 if "bricked_up" in extras else 0.0,
        grime=rng.uniform(*look.grime),
        script=choose(rng, look.scripts),
        shop=house.use == "shop" or house.use in ("flats", "office", "tower", "home") and rng.random() < look.shop,
        extras=extras,
    )

"""What all walls of one house share: its materials, colours, windows and ornaments."""

from dataclasses import dataclass
from functools import lru_cache

from demo_city.looks.colours import choose, colours, jitter, mixed, pick, shade, weights
from demo_city.seeds import random_for
from demo_city.styles import style

# Windows: lower edge above the floor and height as shares of the storey, width as a share of the bay,
# and their frame: columns and rows of panes (0: as many as fit), height of a bar across (0: none)
WINDOWS = {
    "casement": (0.3, 0.48, 0.42, 2, 1, 0),
    "cross": (0.26, 0.54, 0.44, 2, 1, 0.7),
    "sash": (0.27, 0.55, 0.38, 1, 2, 0),
    "georgian": (0.25, 0.56, 0.38, 3, 4, 0),
    "single": (0.32, 0.44, 0.36, 1, 1, 0.7),
    "french": (0.06, 0.74, 0.4, 2, 1, 0.8),
    "arched": (0.28, 0.4, 0.42, 2, 1, 0.7),
    "wide": (0.32, 0.46, 0.72, 3, 1, 0),
    "slider": (0.32, 0.46, 0.6, 2, 1, 0),
    "picture": (0.3, 0.48, 0.62, 4, 1, 0),
    "barred": (0.32, 0.44, 0.44, 2, 1, 0),
    "loft": (0.24, 0.62, 0.72, 0, 0, 0),
    "ribbon": (0.34, 0.48, 1.0, 0, 1, 0),
}
_LARGE = ("wide", "slider", "picture", "loft")
_BODIES = {"shed": "corrugated 4 panels 2 brick 1", "church": "ashlar 3 rubble 2 brick 3 plaster 2"}
_RURAL = ("rubble", "timber", "clapboard", "boards", "shingle")
_PAINTED = ("plaster", "whitewash", "roughcast", "clapboard", "boards", "concrete", "timber")
_ROOFS = {"flat": "felt", "barrel": "seams", "sawtooth": "seams", "shed": "seams"}
# how walls are composed, see houses.Facade, where the style does not say it
_SCHEMES = {
    "hall": "hall 2 loft 1",
    "church": "church 1",
    "warehouse": "shed 3 loft 2",
    "tower": "curtain 3 ribbon 2 frame 2",
}


@dataclass(frozen=True)
class House:
    """What painters know of a building.

    key: decides everything that is random
    style: of styles.STYLES
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


class Dress:
    """The lasting choices of a house, and its present paint.

    house: the building
    painted: how often it was painted
    """

    def __init__(self, house: House, painted: int):
        look, rng, paint = (
            style(house.style)["look"],
            random_for(house.key, "dress"),
            random_for(house.key, "paint", painted),
        )
        schemes = look.get("schemes", {})
        self.scheme = choose(rng, schemes.get(house.use) or _SCHEMES.get(house.use) or schemes.get("any", "punched 1"))
        self.material = choose(rng, _BODIES.get(self.scheme, look["materials"]))
        if self.scheme in ("curtain", "frame", "ribbon") and self.material in _RURAL:
            self.material = "concrete"
        elif self.scheme == "loft" and self.material in (*_RURAL[1:], "panels"):
            self.material = "brick"
        options = look.get("colours", {}).get(self.material, self.material)
        once = paint if self.material in _PAINTED else rng  # what is not painted keeps its colour
        wall = jitter(once, pick(once, options), 6)
        self.wall = mixed(wall, (sum(wall) // 3,) * 3, once.uniform(0.0, 0.35))  # faded
        trim = random_for(house.key, "trim")
        self.trim = pick(trim, "trim")  # light on brick and dark paint, else a tone of the wall
        if self.material not in ("brick", "stock", "clapboard", "shingle") and sum(self.wall) >= 380:
            self.trim = mixed(self.trim, shade(self.wall, trim.choice([0.86, 1.08])), 0.6)
        self.extras = {name for name, chance in weights(look["extras"]).items() if rng.random() < chance}
        self.base = None  # colour of the ground floor, where it differs
        if "two_tone" in self.extras:
            self.base = jitter(paint, pick(paint, options + " white"), 6)
        elif "dark_ground" in self.extras:
            self.base = mixed(self.wall, (84, 80, 76), rng.uniform(0.4, 0.8))
        self.frame = pick(paint, look.get("frames", "frames light_frames frames"))
        self.door = jitter(paint, pick(paint, "vivid" if rng.random() < 0.2 else "doors"), 8)
        self.shutters = mixed(pick(paint, "vivid"), (110, 110, 104), 0.35)
        self.roof = _ROOFS.get(house.roof) or choose(rng, look["roofs"])
        self.roof_colour = jitter(rng, pick(rng, self.roof), 6)
        self.window = choose(rng, look["windows"])
        rise, tall, share = WINDOWS[self.window][:3]
        self.pitch = rng.uniform(1.9, 3.3) * (1.35 if self.window in _LARGE else 1.0)  # distance of the windows, m
        self.share = min(share * rng.uniform(0.85, 1.2), 0.8)  # width of a window in its bay
        self.rise, self.tall = rise * rng.uniform(0.9, 1.1), tall * rng.uniform(0.9, 1.12)
        surround = str(rng.choice(["none", "none", "frame", "lintel", "hood", "brick"]))
        self.surround = "frame" if self.window == "arched" else surround
        self.sill = rng.random() < 0.8
        # whether windows lie back in the wall
        self.deep = self.material not in ("clapboard", "panels", "corrugated") and rng.random() < 0.85
        lived_in = house.use in ("home", "flats", "shop")
        self.balcony = choose(rng, look.get("balconies", "none 1")) if lived_in or house.use == "tower" else "none"
        self.curtains = rng.uniform(0.3, 1.0) if lived_in else rng.uniform(0.0, 0.5)  # share of the windows
        self.grime = rng.uniform(*look["grime"])  # 0 clean to 1
        self.script = choose(rng, look.get("scripts", "latin 1"))  # of its signs
        self.shop = (
            house.use == "shop" or house.use not in ("warehouse", "hall", "church") and rng.random() < look["shop"]
        )


@lru_cache(4096)
def dress(house: House, painted: int) -> Dress:
    """What a house looks like after it was painted so many times."""
    return Dress(house, painted)

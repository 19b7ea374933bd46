"""What all walls of one house share: its materials, colours, windows and ornaments."""

from dataclasses import dataclass
from functools import lru_cache

from demo_city.looks.colours import choose, jitter, mixed, pick, shade, table, weights
from demo_city.seeds import random_for
from demo_city.styles import style

_LARGE = ("wide", "slider", "picture", "loft")
_BODIES = {"shed": "corrugated 4 panels 2 brick 1", "church": "ashlar 3 rubble 2 brick 3 plaster 2"}
_RURAL = ("rubble", "timber", "clapboard", "boards", "shingle")
_PAINTED = ("plaster", "whitewash", "roughcast", "clapboard", "boards", "concrete", "timber")
_ROOFS = {"flat": "felt", "barrel": "seams", "sawtooth": "seams", "shed": "seams"}
_LARGE_USES = ("warehouse", "hall", "church")
# of the table [look] of a style
_DEFAULTS = {"schemes": {}, "colours": {}, "frames": "frames light_frames", "balconies": "none 1", "scripts": "latin 1"}
# how walls are composed, see facades.Facade, where the style does not say it
_SCHEMES = {"hall": "hall 2 loft 1", "church": "church 1", "warehouse": "shed 3 loft 2", "tower": "curtain 3 frame 2"}


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
        rng, paint = random_for(house.key, "dress"), random_for(house.key, "paint", painted)
        look = _DEFAULTS | style(house.style)["look"]
        schemes = look["schemes"]
        self.scheme = choose(rng, schemes.get(house.use) or _SCHEMES.get(house.use) or schemes.get("any", "punched 1"))
        self.material = choose(rng, _BODIES.get(self.scheme, look["materials"]))
        if self.scheme in ("curtain", "frame", "ribbon", "loft") and self.material in _RURAL:
            self.material = "brick" if self.scheme == "loft" else "concrete"
        options = look["colours"].get(self.material, self.material)
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
        self.frame = pick(paint, look["frames"])
        self.door = jitter(paint, pick(paint, "vivid" if rng.random() < 0.2 else "doors"), 8)
        self.shutters = mixed(pick(paint, "vivid"), (110, 110, 104), 0.35)
        self.roof = _ROOFS.get(house.roof) or choose(rng, look["roofs"])
        self.roof_colour = jitter(rng, pick(rng, self.roof), 6)
        self.window = choose(rng, look["windows"])
        rise, tall, share = table("windows")[self.window][:3]
        self.pitch = rng.uniform(1.9, 3.3) * (1.35 if self.window in _LARGE else 1.0)  # distance of the windows, m
        self.share = min(share * rng.uniform(0.85, 1.2), 0.8)  # width of a window in its bay
        self.rise, self.tall = rise * rng.uniform(0.9, 1.1), tall * rng.uniform(0.9, 1.12)
        surround = str(rng.choice(["none", "none", "frame", "lintel", "hood", "brick"]))
        self.surround = "frame" if self.window == "arched" else surround
        self.sill = rng.random() < 0.8
        # whether windows lie back in the wall
        self.deep = self.material not in ("clapboard", "panels", "corrugated") and rng.random() < 0.85
        lived_in = house.use in ("home", "flats", "shop")
        self.balcony = choose(rng, look["balconies"]) if lived_in or house.use == "tower" else "none"
        self.curtains = rng.uniform(0.3, 1.0) if lived_in else rng.uniform(0.0, 0.5)  # share of the windows
        self.grime = rng.uniform(*look["grime"])  # 0 clean to 1
        self.script = choose(rng, look["scripts"])  # of its signs
        self.shop = house.use == "shop" or house.use not in _LARGE_USES and rng.random() < look["shop"]


@lru_cache(4096)
def dress(house: House, painted: int) -> Dress:
    """What a house looks like after it was painted so many times."""
    return Dress(house, painted)

"""The appearance of a building: materials, colours and ornaments that all its walls share."""

import numpy as np

from demo_city.buildings import Building
from demo_city.paint import COLOURS, MATERIALS, ROOF_TILES, TRIM, VIVID, jitter, pick
from demo_city.seeds import random_for
from demo_city.years import REPAINT, generation


class Look:
    """The lasting choices of a building's appearance, the same for all its walls."""

    def __init__(self, building: Building, style_name: str, year: int):
        rng = random_for(building.key, "look")
        names, weights = zip(*MATERIALS[style_name], strict=True)
        self.material = str(rng.choice(names, p=np.array(weights) / sum(weights)))
        painted = generation(building.key, "paint", year, REPAINT)
        paint = random_for(
            building.key, "colour", painted if self.material in ("plaster", "clapboard", "boards") else 0
        )
        self.wall = jitter(paint, pick(paint, COLOURS[self.material]), 14)
        self.trim = pick(rng, TRIM)
        self.frame = pick(
            rng, [(244, 244, 240), (250, 248, 244), (60, 50, 46), (40, 60, 50), (110, 70, 46), (36, 40, 60)]
        )
        self.roof = jitter(rng, pick(rng, ROOF_TILES), 10)
        self.window = str(rng.choice(["single", "double", "arched", "sash", "wide", "french"]))
        self.bay = rng.uniform(1.9, 3.6)
        self.window_width = rng.uniform(0.42, 0.62)
        self.window_height = rng.uniform(0.5, 0.68)
        self.surround = str(
            rng.choice(["none", "frame", "lintel", "hood", "arch" if self.window == "arched" else "frame"])
        )
        self.shutters = (
            pick(rng, VIVID) if rng.random() < 0.25 and self.window in ("single", "double", "french") else None
        )
        self.bands = rng.random() < 0.45
        self.quoins = rng.random() < 0.22
        self.cornice = rng.uniform(0.25, 0.7)
        self.dentils = rng.random() < 0.4
        self.balcony = str(rng.choice(["none", "none", "iron", "solid", "long"])) if style_name == "city1" else "none"
        self.two_tone = pick(paint, COLOURS[self.material]) if rng.random() < 0.2 else None
        self.stairs = style_name == "city1" and rng.random() < 0.07
        self.ivy = rng.random() < 0.09
        self.door = pick(rng, VIVID)

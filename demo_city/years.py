"""What time changes: seasons, weather and light of the photographed years, and the tenants of the shops."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from demo_city.seeds import random_for

FIRST_YEAR = 2010
DATABASE_YEAR, QUERY_YEAR = 2019, 2022
MAX_TRAIN_YEARS = 4
NIGHTS = 6  # different nights: which windows are lit, and which cars are parked
# chances per year that a shop changes hands, a front is repainted, and a wall's graffiti change
SHOP_CHANGE, REPAINT, GRAFFITI_CHANGE = 0.13, 0.03, 0.2


@dataclass(frozen=True)
class Capture:
    """One day or night of photographs.

    season: spring, summer, autumn or winter
    sun_azimuth, sun_height: degrees, the azimuth clockwise from north
    cloud: 0 clear to 1 overcast
    haze: share of haze at 100 m
    warmth: colour of the light, -1 to 1
    night: 0 by day, else the number of the night
    """

    year: int
    month: int
    season: str
    sun_azimuth: float
    sun_height: float
    cloud: float
    haze: float
    warmth: float
    night: int = 0  # 0 by day, else the number of the night

    @property
    def key(self) -> tuple:
        """What tells this day or night from others."""
        return (self.year, self.month, self.sun_azimuth, self.night)

    @property
    def sun_direction(self) -> np.ndarray:
        """Unit vector (3,) towards the sun."""
        azimuth, height = np.radians(self.sun_azimuth), np.radians(self.sun_height)
        return np.array([np.sin(azimuth) * np.cos(height), np.cos(azimuth) * np.cos(height), np.sin(height)])


_TRAIN = (
    (Capture(2012, 6, "summer", 150, 52, 0.10, 0.06, 0.1), Capture(2012, 7, "summer", 255, 36, 0.25, 0.08, 0.5)),
    (Capture(2014, 10, "autumn", 190, 30, 0.95, 0.16, -0.2), Capture(2014, 11, "autumn", 215, 22, 0.30, 0.10, 0.6)),
    (Capture(2016, 4, "spring", 120, 36, 0.35, 0.07, 0.2), Capture(2016, 4, "spring", 200, 45, 0.90, 0.12, 0.0)),
    (Capture(2017, 2, "winter", 170, 24, 0.15, 0.09, 0.3), Capture(2017, 1, "winter", 200, 18, 1.00, 0.22, -0.4)),
)
_DATABASE = (
    Capture(DATABASE_YEAR, 9, "summer", 185, 44, 0.20, 0.08, 0.2),
    Capture(DATABASE_YEAR, 9, "summer", 135, 34, 0.40, 0.10, 0.3),
)
_QUERIES = (
    Capture(QUERY_YEAR, 2, "winter", 160, 26, 1.00, 0.18, -0.3),
    Capture(QUERY_YEAR, 5, "spring", 105, 33, 0.20, 0.06, 0.3),
    Capture(QUERY_YEAR, 11, "autumn", 225, 17, 0.25, 0.12, 0.7),
)


def captures(role: str, year_index: int = 0) -> tuple[Capture, ...]:
    """The days (or nights) of a role: "train" (with the index of the year), "database", "queries" or "night"."""
    if role == "train":
        return _TRAIN[year_index]
    if role == "night":
        return tuple(Capture(QUERY_YEAR, 11, "autumn", 200, 30, 0.5, 0.1, 0.0, night=1 + n) for n in range(NIGHTS))
    return {"database": _DATABASE, "queries": _QUERIES}[role]


@lru_cache(1 << 16)
def generation(key: int, what: str, year: int, chance: float) -> int:
    """Counts how often something of a building has changed from FIRST_YEAR to `year`.

    key: of the building
    what: what may change
    year: until when
    chance: of a change, per year
    """
    return int((random_for(key, what).random(60)[: max(year - FIRST_YEAR, 0)] < chance).sum())

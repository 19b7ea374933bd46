"""One day or night of photographs: its season, sun, clouds and weather."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Capture:
    """One day or night.

    season: spring, summer, autumn or winter
    sun_azimuth, sun_height: degrees, the azimuth clockwise from north
    cloud: 0 clear to 1 overcast, when there are no shadows
    haze: share of haze at 100 m
    warmth: colour of the light, -1 cold to 1 warm
    wet: 0 dry to 1 streaming: dark roads that mirror, and rain in the air above 0.5
    snow: 0 none to 1 everything that looks up is white
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
    wet: float = 0.0
    snow: float = 0.0
    night: int = 0

    @property
    def key(self) -> tuple:
        """What tells this day or night from others."""
        return (self.year, self.month, self.sun_azimuth, self.night)

    @property
    def sun_direction(self) -> np.ndarray:
        """Unit vector (3,) towards the sun."""
        azimuth, height = np.radians(self.sun_azimuth), np.radians(self.sun_height)
        return np.array([np.sin(azimuth) * np.cos(height), np.cos(azimuth) * np.cos(height), np.sin(height)])

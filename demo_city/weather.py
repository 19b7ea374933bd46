"""One day or night of photographs: its season, sun, clouds and weather, and how such days are drawn."""

from dataclasses import dataclass

import numpy as np

_SEASONS = ("winter", "spring", "summer", "autumn")
# kind: (how often, its cloud from, to)
_SKIES = {"clear": (4, 0.0, 0.2), "fair": (3, 0.2, 0.55), "clouded": (2, 0.55, 0.85), "overcast": (4, 0.9, 1.0)}
_FAIR = ("clear", "fair")
_RAIN, _SNOW = 0.12, 0.25  # chance of rain under a closed sky, and of snow on a winter's day


@dataclass(frozen=True)
class Capture:
    """One day or night."""

    year: int
    month: int
    season: str  # spring, summer, autumn or winter
    sun_azimuth: float  # degrees clockwise from north
    sun_height: float  # degrees
    cloud: float  # 0 clear to 1 overcast, when there are no shadows
    haze: float  # share of haze at 100 m
    warmth: float  # colour of the light, -1 cold to 1 warm
    wet: float = 0.0  # 0 dry to 1 streaming: dark roads that mirror, and rain in the air above 0.5
    snow: float = 0.0  # 0 none to 1 everything that looks up is white
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


def draw_day(rng: np.random.Generator, year: int, fair: bool = False) -> Capture:
    """Draws a day of a year; fair: one on which surveys are made, dry and without snow."""
    month = int(rng.integers(3, 11) if fair else rng.integers(1, 13))
    season = _SEASONS[month % 12 // 3]
    # the sun at an hour of the day, at a latitude of about 48 degrees
    hour = rng.uniform(9.5, 16.5) if fair else rng.uniform(7.5, 18.5)
    highest = 42 - 23 * np.cos(2 * np.pi * (month - 0.5) / 12)
    height = max(highest * np.cos((hour - 12.5) / 12 * np.pi), 5.0)
    kinds = [kind for kind in _SKIES if kind in _FAIR or not fair]
    weights = np.array([_SKIES[kind][0] for kind in kinds], float)
    _, low, high = _SKIES[str(rng.choice(kinds, p=weights / weights.sum()))]
    cloud = rng.uniform(low, high)
    snow = rng.uniform(0.3, 1.0) if not fair and season == "winter" and rng.random() < _SNOW else 0.0
    wet = rng.uniform(0.2, 1.0) if not fair and cloud > 0.55 and rng.random() < _RAIN * 2 else 0.0
    haze = rng.uniform(0.03, 0.12) + (0.12 * rng.random() ** 3 if not fair else 0.0)
    warmth = rng.normal(0.1 - 0.35 * cloud, 0.2) + 0.6 * np.exp(-height / 10)
    light = 180 + (hour - 12.5) * 15, height, cloud, haze, min(max(warmth, -1), 1), wet, snow
    return Capture(year, month, season, *_rounded(*light))


def draw_night(rng: np.random.Generator, year: int, number: int) -> Capture:
    """Draws a night of a year; number: its number, from 1 on. Windows and parked cars differ from night to night."""
    month = int(rng.integers(1, 13))
    season = _SEASONS[month % 12 // 3]
    cloud, wet = rng.random(), rng.uniform(0.2, 1.0) if rng.random() < 0.2 else 0.0
    snow = rng.uniform(0.3, 1.0) if season == "winter" and rng.random() < _SNOW else 0.0
    azimuth, haze, warmth = rng.uniform(0, 360), rng.uniform(0.03, 0.15), rng.uniform(-0.3, 0.6)
    return Capture(year, month, season, *_rounded(azimuth, -20, cloud, haze, warmth, wet, snow), number)


def _rounded(*light: float) -> list[float]:
    """The numbers of a Capture from sun_azimuth to snow; equal ones of other processors are then the same."""
    return [round(float(value), digits) for value, digits in zip(light, (2, 2, 3, 3, 3, 3, 3), strict=True)]

"""The plan of all photographs: areas, places, headings, days and file names, known before anything is rendered."""

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from datasets.names import FIELDS, format_name, utm_to_latlon
from demo_city.camera import CROP, Camera
from demo_city.seeds import random_for
from demo_city.styles import STYLES
from demo_city.weather import Capture, draw_day, draw_night
from demo_city.world.district import District

QUERY_RADIUS = 8.0  # metres between a query and a database image
UNSEEN = "waterfront"  # the style that no training city has
TRAINED_STYLES = tuple(style for style in STYLES if style != UNSEEN)
DEMO_STYLES = ("perimeter", "suburb")  # of city1 and city2
TRAIN_YEARS, DATABASE_YEAR, QUERY_YEAR = (2012, 2014, 2016, 2017), 2019, 2022
_SURVEY_DAYS = 2  # of a training year, and of the database's
_EYE = (1.45, 1.85)  # metres above the ground of a camera in the hand
_MAST = (1.9, 2.8)  # and of one on a car
_ON_FOOT = 0.4  # share of the training streets of a year that are photographed on foot
MOST_CITIES = 400
_APART = 20_000.0  # metres between two cities; areas of one city lie a quarter of it apart


@dataclass(frozen=True)
class Settings:
    """What the pictures depend on; lengths in metres."""

    seed: int = 0
    cities: int = 0
    city_metres: float = 1500.0
    train_metres: float = 1500.0
    val_metres: float = 400.0
    test_metres: float = 1000.0
    years: int = 3
    night_share: float = 0.25
    train_step: float = 10.0
    database_step: float = 10.0
    queries: int = 600
    query_days: int = 6
    target_night: int = 300
    headings: int = 12
    pixels: int = 128
    panoramas: bool = False  # whether the training panoramas are written whole too


_SHORT = {"train_metres": 30.0, "city_metres": 30.0, "val_metres": 20.0, "test_metres": 30.0}
TINY = Settings(**_SHORT, years=2, queries=6, query_days=1, target_night=4, headings=4, pixels=48)


@dataclass(frozen=True)
class Area:
    """Streets of a city that are photographed for one purpose, kilometres away from all others."""

    name: str
    style: str  # of styles.STYLES
    city: int  # its number; areas of one city have the same kinds of streets and houses
    metres: float  # of streets
    place: tuple[float, float]  # east and north in UTM, metres
    zone: tuple[int, str]  # UTM zone, number and letter
    role: str  # train, test (a database and queries by day and night), val (the same without nights) or target
    folder: str  # that its photographs go to
    queries: int  # photographs in each folder of queries


@dataclass
class Photo:
    """One photograph."""

    camera: Camera
    name: str  # of the file
    moment: tuple  # keys of what moves, which all crops of a panorama share
    place: tuple[int, float]  # index of the street, and metres along it
    whole: bool = False  # whether it is a strip of all directions, in whose middle the camera looks


@dataclass
class Task:
    """Photographs of one folder on one day along one street: what a process renders at a time."""

    folder: str
    capture: Capture
    photos: list[Photo]


def areas(settings: Settings) -> list[Area]:
    """All areas, in the order in which they are rendered."""
    return list((_world if settings.cities else _demo)(settings))


def _demo(settings: Settings) -> Iterator[Area]:
    first, second = DEMO_STYLES
    metres, queries = settings.test_metres, settings.queries
    yield _area(1, 0, first, "train", settings.train_metres, "city1/train")
    yield _area(1, 1, first, "val", settings.val_metres, "city1/val", (queries + 1) // 2)
    yield _area(1, 2, first, "test", metres, "city1/test", queries)
    night = settings.target_night
    yield _area(1, 3, first, "target", min(metres, night * 1.5), "target_night", night)
    yield _area(2, 0, second, "test", metres, "city2/test", queries)


def _world(settings: Settings) -> Iterator[Area]:
    """Training cities of all styles but one, a validation set that has a city of each, and a test of the unseen one."""
    for n in range(settings.cities):
        yield _area(10 + n, 0, TRAINED_STYLES[n % len(TRAINED_STYLES)], "train", settings.city_metres, "train")
    for n, style in enumerate(TRAINED_STYLES):
        queries = settings.queries // len(TRAINED_STYLES) + (n < settings.queries % len(TRAINED_STYLES))
        yield _area(500 + n, 0, style, "val", settings.val_metres / len(TRAINED_STYLES), "val", queries)
    yield _area(520, 0, UNSEEN, "test", settings.test_metres, "test", settings.queries)


def _area(city: int, part: int, style: str, role: str, metres: float, folder: str, queries: int = 0) -> Area:
    # rows of 20 cities in zone 32T; no two areas see each other
    east = 310_000 + _APART * (city % 20) + _APART / 4 * (part % 2)
    north = 4_500_000 + _APART * (city // 20) + _APART / 4 * (part // 2)
    return Area(f"{style}-{city}-{role}", style, city, metres, (east, north), (32, "T"), role, folder, queries)


def make_district(settings: Settings, area: Area) -> District:
    """Plans the streets of an area; what stands there is built when it is needed."""
    seed = int(random_for(settings.seed, "city", area.city).integers(1 << 31))
    return District(seed, area.style, area.role, area.metres)


def plan_tasks(settings: Settings, area: Area, district: District) -> list[Task]:
    """Plans the photographs of an area, street by street: a process then draws the walls of a street once."""
    plan = _Plan(settings, area, district)
    tasks = plan.training() if area.role == "train" else plan.testing()
    order = {piece[0]: n for n, piece in enumerate(district.walk(area.metres))}
    return sorted(tasks, key=lambda task: order[task.photos[0].place[0]])


class _Plan:
    """Plans the photographs of an area."""

    def __init__(self, settings: Settings, area: Area, district: District):
        self.settings, self.area, self.district = settings, area, district
        self.trained = area.role == "train"

    def random(self, *keys: int | str) -> np.random.Generator:
        return random_for(self.settings.seed, self.area.name, *keys)

    def days(self, year: int, count: int, fair: bool = False) -> list[Capture]:
        return [draw_day(self.random("day", year, n), year, fair) for n in range(count)]

    def nights(self, year: int, count: int) -> list[Capture]:
        return [draw_night(self.random("night", year, n), year, 1 + n) for n in range(count)]

    def training(self) -> list[Task]:
        """A survey of each year."""
        tasks = []
        for n, year in enumerate(TRAIN_YEARS[: self.settings.years]):
            nights = self.nights(year, _SURVEY_DAYS) if self.settings.night_share else []
            tasks += self.survey(self.area.folder, f"year {n}", self.days(year, _SURVEY_DAYS) + nights)
        folder, count = os.path.join(os.path.dirname(self.area.folder), "panoramas"), self.settings.headings
        for task in list(tasks) if self.settings.panoramas else ():
            tasks.append(replace(task, folder=folder, photos=[_whole(crop) for crop in task.photos[::count]]))
        return tasks

    def testing(self) -> list[Task]:
        """A survey, which is the database unless photographs of nights alone are wanted, and the queries."""
        folder, count = self.area.folder, self.settings.query_days
        days, nights = self.days(QUERY_YEAR, count), self.nights(QUERY_YEAR, count)
        fair = self.days(DATABASE_YEAR, _SURVEY_DAYS, fair=True)
        database = self.survey(f"{folder}/database", "database", fair)
        if self.area.role == "target":
            return self.queries(folder, nights, database)
        if self.area.role == "val":
            some = days + nights if self.settings.night_share else days
            return database + self.queries(f"{folder}/queries", some, database)
        by_day = self.queries(f"{folder}/queries_v1", days, database)
        return database + by_day + self.queries(f"{folder}/queries_night", nights, database)

    def survey(self, folder: str, key: str, days: list[Capture]) -> list[Task]:
        """Panoramas every few metres, cut into crops, taken from a car on the left or right of the street. Some of the
        training streets are photographed on foot, from where queries are taken. folder: that the photographs go to;
        key: tells this survey from others; days: of which each street has one.
        """
        settings, tasks = self.settings, []
        step = settings.train_step if self.trained else settings.database_step
        for index, begin, end in self.district.walk(self.area.metres):
            street, rng = self.district.streets[index], self.random(key, index)
            day, photos = self.one_of(rng, days), []
            on_foot = self.trained and rng.random() < _ON_FOOT
            count = max(round((end - begin) / step), 1)
            for k in range(count):
                s = begin + (k + rng.uniform(0.2, 0.8)) * (end - begin) / count
                across = street.along(s)[::-1] * (1, -1)
                driven = street.at(s) + across * rng.uniform(*street.driven())
                position = self.stand(rng, street.at(s)) if on_foot else driven
                height = rng.uniform(*(_EYE if on_foot else _MAST))
                moment = (settings.seed, self.area.name, folder, *day.key, index, k)
                turn = _floored(rng.uniform(0, 360 / settings.headings)) if self.trained else 0.0
                for n in range(settings.headings):
                    heading = (turn + n * 360.0 / settings.headings) % 360
                    lens = _lens(rng, self.trained)
                    photos.append(self.photo((index, s), day, position, height, heading, lens, moment))
            tasks.append(Task(folder, day, photos))
        return tasks

    def one_of(self, rng: np.random.Generator, days: list[Capture]) -> Capture:
        """A day of several, or a night with the chance night_share if there are nights."""
        nights, by_day = [day for day in days if day.night], [day for day in days if not day.night]
        chosen = nights if nights and rng.random() < self.settings.night_share else by_day or nights
        return chosen[int(rng.integers(len(chosen)))]

    def queries(self, folder: str, days: list[Capture], surveyed: list[Task]) -> list[Task]:
        """Single photographs, uniform in disks of QUERY_RADIUS around panoramas, where one can stand.

        folder: that they go to; days: of which each has one; surveyed: panoramas of the area
        """
        panoramas = [photo for task in surveyed for photo in task.photos[:: self.settings.headings]]
        groups = {}
        for n in range(self.area.queries):
            rng = self.random(folder, n)
            near = panoramas[int(rng.integers(len(panoramas)))]
            position = self.stand(rng, near.camera.position[:2])
            day, heading = self.one_of(rng, days), _floored(rng.uniform(0, 360))
            height, moment = rng.uniform(*_EYE), (self.settings.seed, self.area.name, folder, n)
            photo = self.photo(near.place, day, position, height, heading, _lens(rng, True), moment)
            groups.setdefault((days.index(day), near.place[0]), []).append(photo)
        return [Task(folder, days[which], photos) for (which, _), photos in sorted(groups.items())]

    def stand(self, rng: np.random.Generator, middle: np.ndarray) -> np.ndarray:
        """A point where one can stand, uniform in the disk of QUERY_RADIUS around the middle (2,)."""
        for _ in range(200):
            angle, radius = rng.uniform(0, 2 * np.pi), (QUERY_RADIUS - 0.02) * np.sqrt(rng.random())
            candidate = middle + radius * np.array([np.cos(angle), np.sin(angle)])
            if self.district.free(candidate):
                return candidate
        return middle

    def photo(
        self,
        place: tuple[int, float],
        day: Capture,
        position: np.ndarray,
        height: float,
        heading: float,
        lens: tuple[float, float, float],
        moment: tuple,
    ) -> Photo:
        """A photograph with its name, whose numbers are those of the camera.

        place: index of the street, and metres along it
        day: the day or night
        position: (2,), metres
        height: above the ground, metres
        heading: of a crop's left edge, degrees
        lens: pitch, roll and field of view, degrees
        moment: keys of what moves
        """
        area = self.area
        east, north = np.round(np.add(area.place, position), 2)
        identity = base64.urlsafe_b64encode(hashlib.sha256(repr(moment).encode()).digest())[:22].decode()
        pitch, roll, field_of_view = (round(value, 2) for value in lens)
        height, position = round(float(height), 2), np.array([east, north]) - area.place
        fields = {"pitch": f"{pitch:.2f}", "roll": f"{roll:.2f}", "height": f"{height:.2f}"}
        fields |= {"timestamp": f"{day.year}{day.month:02d}", "note": f"fov{field_of_view:.2f}"}
        degrees = utm_to_latlon(east, north, *area.zone)
        name = format_name(east, north, *area.zone, *degrees, identity, heading=heading, **fields)
        point = np.array([*position, float(self.district.ground(position)) + height])
        return Photo(Camera(point, (heading + CROP / 2) % 360, pitch, roll, field_of_view), name, moment, place)


def _whole(crop: Photo) -> Photo:
    """The whole panorama of a crop. Its heading, of the middle column, is a whole number, as SF-XL's are."""
    heading = float(random_for(*crop.moment, "middle").integers(360))
    known = dict(zip(FIELDS[:-1], crop.name.split("@"), strict=False))
    known |= {"heading": f"{heading:06.2f}", "pitch": "", "roll": "", "note": ""}
    name = "@".join([*known.values(), ".jpg"])
    return replace(crop, camera=Camera(crop.camera.position, heading), name=name, whole=True)


def _floored(degrees: float) -> float:
    """With the two decimals of a name."""
    return float(np.floor(degrees * 100) / 100)


def _lens(rng: np.random.Generator, wild: bool) -> tuple[float, float, float]:
    """Pitch, roll and field of view in degrees: of any camera, or of a survey's."""
    if wild:
        return float(rng.normal(5, 5)), float(rng.normal(0, 2.5)), float(np.clip(rng.normal(72, 12), 50, 110))
    return 6.0, float(rng.normal(0, 0.5)), 74.0

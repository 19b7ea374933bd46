"""The plan of all photographs: places, headings, days and file names of every folder, known before rendering."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.names import format_name, utm_to_latlon
from demo_city import cars, things, years
from demo_city.camera import Camera
from demo_city.plan import STYLES, District
from demo_city.seeds import random_for

QUERY_RADIUS = 8.0  # metres between a query and a database image
DISTRICTS = {  # name: city and offset in metres from the city's origin; kilometres lie between two districts
    "train": ("city1", (0, 0)),
    "val": ("city1", (0, 6000)),
    "test": ("city1", (6000, 0)),
    "target": ("city1", (6000, 6000)),
    "test2": ("city2", (0, 0)),
}


@dataclass(frozen=True)
class Settings:
    """What the pictures depend on; lengths in metres."""

    seed: int = 0
    train_metres: float = 4000.0
    val_metres: float = 400.0
    test_metres: float = 1000.0
    years: int = 3
    train_step: float = 10.0
    database_step: float = 10.0
    queries: int = 300
    target_night: int = 300
    headings: int = 12
    pixels: int = 128

    def district_metres(self, name: str) -> float:
        """Metres of streets in a district (a key of DISTRICTS)."""
        return {
            "train": self.train_metres,
            "val": self.val_metres,
            "target": min(self.test_metres, self.target_night * 1.5),
        }.get(name, self.test_metres)


TINY = Settings(
    train_metres=30.0,
    val_metres=20.0,
    test_metres=30.0,
    years=2,
    train_step=10.0,
    queries=6,
    target_night=4,
    headings=4,
    pixels=48,
)


@dataclass
class Photo:
    """One photograph.

    camera: in the district's metres
    street: index of the street
    name: of the file
    moment: keys of the random traffic, which all crops of a panorama share
    query: whether it is a query, not a crop of a panorama
    """

    camera: Camera
    street: int
    name: str
    moment: tuple  # keys of the random traffic
    query: bool


@dataclass
class Task:
    """Photographs of one folder on one day along one street: what a process renders at a time."""

    folder: str
    district: str
    capture: years.Capture
    photos: list


def make_district(settings: Settings, name: str) -> District:
    """Builds the district of that name (a key of DISTRICTS)."""
    city, offset = DISTRICTS[name]
    style = STYLES[city]
    return District(settings.seed, style, name, settings.district_metres(name), np.add(style.origin, offset))


def plan_tasks(settings: Settings, districts: dict[str, District]) -> list[Task]:
    """Plans all tasks, in the order in which they are rendered; districts: {name: District}, all of DISTRICTS."""
    tasks = []
    for year in range(settings.years):
        tasks += _survey(
            settings, districts["train"], "city1/train", years.captures("train", year), settings.train_step
        )
    for name, root in (("val", "city1/val"), ("test", "city1/test"), ("test2", "city2/test")):
        district = districts[name]
        database = _survey(settings, district, f"{root}/database", years.captures("database"), settings.database_step)
        tasks += database
        folders = {"queries": "queries"} if name == "val" else {"queries_v1": "queries", "queries_night": "night"}
        for folder, role in folders.items():
            tasks += _queries(settings, district, f"{root}/{folder}", years.captures(role), settings.queries, database)
    places = _survey(settings, districts["target"], "", years.captures("night"), settings.database_step)
    tasks += _queries(
        settings, districts["target"], "target_night", years.captures("night"), settings.target_night, places
    )
    # all that is photographed in one street together: a process then draws the fronts of its houses once
    order = {name: n for n, name in enumerate(DISTRICTS)}
    walks = {
        name: {piece[0]: n for n, piece in enumerate(d.walk(settings.district_metres(name)))}
        for name, d in districts.items()
    }
    return sorted(tasks, key=lambda task: (order[task.district], walks[task.district][task.photos[0].street]))


def _survey(
    settings: Settings, district: District, folder: str, days: Sequence[years.Capture], step: float
) -> list[Task]:
    """Panoramas every `step` metres, taken from a car on the left or right of the street, and cut into crops."""
    tasks = []
    for index, begin, end in district.walk(settings.district_metres(district.name)):
        street = district.streets[index]
        rng = random_for(district.key, "survey", folder, days[0].year, index)
        day = days[int(rng.integers(len(days)))]
        count = max(round((end - begin) / step), 1)
        photos = []
        for k in range(count):
            s = begin + (k + rng.uniform(0.2, 0.8)) * (end - begin) / count
            reach = street.roadway * 0.75
            position = street.a + street.along * s + street.across * rng.uniform(-reach, reach)
            height = rng.uniform(1.7, 2.7)
            for heading in range(settings.headings):
                photos.append(
                    _photo(
                        district, folder, day, index, k, position, height, heading * 360.0 / settings.headings, False
                    )
                )
        tasks.append(Task(folder, district.name, day, photos))
    return tasks


def _queries(
    settings: Settings, district: District, folder: str, days: Sequence[years.Capture], count: int, database: list[Task]
) -> list[Task]:
    """Single photographs, uniform in disks of QUERY_RADIUS around the database's places, where one can stand."""
    panoramas = [task.photos[k] for task in database for k in range(0, len(task.photos), settings.headings)]
    groups = {}
    for n in range(count):
        rng = random_for(district.key, "query", folder, n)
        near = panoramas[int(rng.integers(len(panoramas)))]
        street = district.streets[near.street]
        position = near.camera.position
        for _ in range(200):
            angle, radius = rng.uniform(0, 2 * np.pi), (QUERY_RADIUS - 0.02) * np.sqrt(rng.random())
            candidate = near.camera.position + radius * np.array([np.cos(angle), np.sin(angle)])
            offset = candidate - street.a
            if (
                0 <= offset @ street.along <= street.length
                and abs(offset @ street.across) < street.roadway + street.pavement - 0.7
            ):
                position = candidate
                break
        which = int(rng.integers(len(days)))
        heading = np.floor(rng.uniform(0, 360) * 100) / 100
        groups.setdefault((which, near.street), []).append(
            _photo(district, folder, days[which], near.street, n, position, rng.uniform(1.5, 1.9), heading, True)
        )
    return [Task(folder, district.name, days[which], photos) for (which, _), photos in sorted(groups.items())]


def _photo(
    district: District,
    folder: str,
    day: years.Capture,
    street: int,
    number: int,
    position: np.ndarray,
    height: float,
    heading: float,
    query: bool,
) -> Photo:
    east, north = np.round(district.origin + position, 2)
    style = district.style
    latitude, longitude = utm_to_latlon(east, north, style.zone_number, style.zone_letter)
    moment = (district.key, folder, *day.key, street, number)
    identity = base64.urlsafe_b64encode(hashlib.sha256(repr(moment).encode()).digest())[:22].decode()
    height = round(float(height), 2)
    name = format_name(
        east,
        north,
        style.zone_number,
        style.zone_letter,
        latitude,
        longitude,
        identity,
        heading=heading,
        height=f"{height:.2f}",
        timestamp=f"{day.year}{day.month:02d}",
    )
    return Photo(Camera(np.array([east, north]) - district.origin, height, float(heading)), street, name, moment, query)


def traffic(district: District, photo: Photo, capture: years.Capture) -> "list[cars.Car | things.Person]":
    """Places cars and people that are in the street when a panorama or a query is taken."""
    rng = random_for(*photo.moment, "traffic")
    street, camera = district.streets[photo.street], photo.camera
    moving = []
    for _ in range(int(rng.integers(0, 4))):
        side = rng.choice([-1.0, 1.0])
        ahead = rng.uniform(7, 60) * rng.choice([-1, 1])
        s = (camera.position - street.a) @ street.along + ahead
        position = street.a + street.along * s + street.across * side * min(street.roadway * 0.3, 1.2)
        moving.append(cars.Car(rng, position, street.along * side, lights=True))
    for _ in range(int(rng.integers(0, 7 if not capture.night else 4))):
        s = (camera.position - street.a) @ street.along + rng.normal(0, 18)
        side = rng.choice([-1, 1]) * (street.roadway + rng.uniform(0.8, max(street.pavement - 0.5, 0.9)))
        moving.append(things.Person(rng, street.a + street.along * s + street.across * side))
    if photo.query and rng.random() < 0.5:  # a car that hides a part of the view
        for _ in range(8):
            depth, across = rng.uniform(4, 9), rng.uniform(-0.5, 0.5)
            position = camera.position + depth * (camera.forward + across * camera.right)
            if abs((position - street.a) @ street.across) < street.roadway - 0.4:
                moving.append(
                    cars.Car(rng, position, street.along * rng.choice([-1, 1]), lights=bool(rng.random() < 0.5))
                )
                break
    return moving

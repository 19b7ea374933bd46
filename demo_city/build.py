"""Writes the folders of the demo cities. Processes share the work, and an interrupted run goes on where it stopped."""

import itertools
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.names import find_pack, images_list_path, list_images, write_images_list
from demo_city import photos
from demo_city.engine.develop import Optics, develop, expose
from demo_city.engine.scene import Scene, Surroundings
from demo_city.engine.strip import WIDE, strip_of
from demo_city.engine.textures import TextureMemory
from demo_city.seeds import random_for
from demo_city.weather import Capture
from support.errors import UserError
from support.files import replacing
from support.regular_files import open_regular
from support.workers import end_with_parent

SETTINGS_FILE = "demo_city.json"
MADE_BY = "python -m demo_city"
_FORMER = "python -m datasets.demo_city"  # the command's former name, which older folders of cities mention
FORMAT = 3  # raise it whenever the same settings give other pictures
_FINER = 1.5  # so many times as large as the photograph, along a side, is what is rendered
_SCENES = 4  # that a process keeps in memory
_JOB = 8  # tasks, of neighbouring streets, that a process takes at a time


class Renderer:
    """The streets and scenes of one process. A picture does not depend on what was rendered before it."""

    def __init__(self, settings: photos.Settings):
        self.settings, self.areas, self.memory = settings, photos.areas(settings), TextureMemory()
        self.number, self.district, self.tasks = None, None, []
        self.scenes: dict[tuple, Scene] = {}

    def enter(self, number: int) -> None:
        """Goes to an area: plans its streets and photographs, unless it is there."""
        if number != self.number:
            area = self.areas[number]
            self.scenes.clear()
            self.number, self.district = number, photos.make_district(self.settings, area)
            self.tasks = photos.plan_tasks(self.settings, area, self.district)

    def scene(self, capture: Capture) -> Scene:
        """The Scene of this area on one day or night; a few are kept."""
        district, site = self.district, self.district.site
        if capture.key not in self.scenes:
            while len(self.scenes) >= _SCENES:
                self.scenes.pop(next(iter(self.scenes)))
            meshes = [district.fixed, district.of_day(capture)]
            self.scenes[capture.key] = Scene(
                site.pictures.table, meshes, district.lamps, capture, district.key, len(site.buildings), self.memory
            )
        return self.scenes[capture.key]

    def surroundings(self, capture: Capture, photo: photos.Photo) -> Surroundings:
        """What is round the place of a photograph at its moment."""
        street, along = photo.place
        moving, lights = self.district.of_moment(random_for(*photo.moment, "moving"), street, along, capture)
        return self.scene(capture).around(photo.camera.position, moving, lights)

    def write(self, folder: str, first: int, last: int) -> int:
        """Renders the missing photographs of the tasks from first to before last; returns how many they were."""
        written = 0
        for task in self.tasks[first:last]:
            where = os.path.join(folder, task.folder)
            missing = [photo for photo in task.photos if not os.path.exists(os.path.join(where, photo.name))]
            for _, crops in itertools.groupby(missing, key=lambda photo: photo.moment):
                crops = list(crops)
                surroundings = self.surroundings(task.capture, crops[0])
                for photo in crops:
                    image, quality = photograph(surroundings, task.capture, photo, self.settings.pixels)
                    path = os.path.join(where, photo.name)
                    image.save(path + ".tmp", "JPEG", quality=quality)
                    os.replace(path + ".tmp", path)
            written += len(missing)
        return written


def photograph(
    surroundings: Surroundings, capture: Capture, photo: photos.Photo, pixels: int
) -> tuple[Image.Image, int]:
    """Takes a photograph: (RGB image, square or a whole strip, the JPEG quality of its camera).

    surroundings: of the photo's moment
    capture: the day or night
    photo: with its camera
    pixels: height of the picture
    """
    optics, rng = Optics.drawn(random_for("optics", photo.name), capture), random_for("develop", photo.name)
    finer = round(pixels * _FINER)
    if not photo.whole:
        return develop(surroundings.view(photo.camera, finer), (pixels, pixels), capture, optics, rng), optics.jpeg
    light, width, margin = strip_of(surroundings, photo.camera, finer), round(pixels * WIDE), pixels // 4
    # what blurs or glows at one end goes on at the other: the ends are repeated beyond each other, and cut off again
    more = round(margin * light.shape[1] / width)
    picture = np.pad(expose(light, bool(capture.night)), ((0, 0), (more, more), (0, 0)), "wrap")
    size, optics = (width + 2 * margin, pixels), replace(optics, vignette=0.0)
    image = develop(Image.fromarray(picture), size, capture, optics, rng)
    return image.crop((margin, 0, margin + width, pixels)), optics.jpeg


_worker = {}


def _start_worker(settings: photos.Settings, folder: str) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and ends its workers
    _worker["renderer"], _worker["folder"] = Renderer(settings), folder


def _work(job: tuple[int, int, int]) -> tuple[int, str | None]:
    renderer, folder = _worker["renderer"], _worker["folder"]
    try:
        renderer.enter(job[0])
        return renderer.write(folder, *job[1:]), None
    except OSError as error:
        return 0, f"{error.filename or folder} cannot be written: {error.strerror or error}"


def prepare_folder(folder: str, settings: photos.Settings) -> None:
    """Makes the folder and its settings file, or checks that what is there was begun with the same settings, but that
    panoramas may be added. Raises UserError if it was not, or if the folder cannot be used.
    """
    path = os.path.join(folder, SETTINGS_FILE)
    stored = {"made_by": MADE_BY, "format": FORMAT, **asdict(settings)}
    try:
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UserError(f"{folder} is a file; give --folder a new or empty folder")
        if not os.path.exists(path):
            if os.path.isdir(folder) and any(SETTINGS_FILE not in name for name in os.listdir(folder)):
                raise UserError(f"folder {folder} is not empty and not made by {MADE_BY}; give --folder a new one")
            os.makedirs(folder, exist_ok=True)
            return _save(path, stored)
        with open_regular(path, "r", encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise UserError(f"folder {folder} cannot be used: {error.strerror}; choose another with --folder") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged; delete the folder {folder} and start again") from error
    if not isinstance(found, dict) or found.get("made_by") not in (MADE_BY, _FORMER):
        raise UserError(f"{path} was not written by {MADE_BY}; give --folder a new or empty folder")
    found = {"panoramas": False, **found, "made_by": MADE_BY}  # older folders do not say that they have none
    adds = settings.panoramas and not found["panoramas"]
    found["panoramas"] = adds or found["panoramas"]
    differing = [f"{key} {found.get(key)} (now {value})" for key, value in stored.items() if found.get(key) != value]
    if differing:
        raise UserError(
            f"folder {folder} was begun with other settings: {', '.join(differing)}; "
            "run with those, or give --folder a new folder"
        )
    if adds:
        _save(path, stored)


def _save(path: str, stored: dict[str, str | int | float]) -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(stored, file, indent=2)


def build(folder: str, settings: photos.Settings, processes: int) -> tuple[int, int, dict[str, int]]:
    """Renders what is missing in `folder`: (images there before, images written, {folder: count}). Raises UserError if
    the folder has other settings or cannot be written.
    """
    prepare_folder(folder, settings)
    renderer, names, jobs, present = Renderer(settings), {}, [], {}
    for number in range(len(renderer.areas)):
        renderer.enter(number)
        for first in range(0, len(renderer.tasks), _JOB):
            tasks = renderer.tasks[first : first + _JOB]
            for task in tasks:
                names.setdefault(task.folder, []).extend(photo.name for photo in task.photos)
                if task.folder not in present:
                    present[task.folder] = _open_folder(os.path.join(folder, task.folder))
            if any(photo.name not in present[task.folder] for task in tasks for photo in task.photos):
                jobs.append((number, first, first + _JOB))
    packed = [sub for sub in names if find_pack(os.path.join(folder, sub))]
    if jobs and packed:
        raise UserError(
            f"images are missing, and {os.path.join(folder, packed[0])} is a pack, to which none are added: give "
            "--folder another one"
        )
    total = sum(len(n) for n in names.values())
    before = sum(len(present[sub].intersection(n)) for sub, n in names.items())
    written = 0
    with tqdm(total=total, initial=before, unit="images", ncols=100, desc="rendering", disable=not jobs) as bar:
        for count, problem in _results(settings, folder, jobs, min(processes, len(jobs))):
            if problem:
                raise UserError(problem + "; make room or rights, and run the same command again to go on")
            written += count
            bar.update(count)
    for sub, listed in names.items():
        if jobs or not (sub in packed or os.path.exists(images_list_path(os.path.join(folder, sub)))):
            write_images_list(os.path.join(folder, sub), sorted(listed))
    return before, written, {sub: len(n) for sub, n in names.items()}


def _open_folder(path: str) -> set[str]:
    """The names in a folder, which is made if it is missing. What an interrupted run left half-written is removed."""
    if find_pack(path):
        return set(list_images(path))
    try:
        os.makedirs(path, exist_ok=True)
        there = set(os.listdir(path))
        for name in there:
            if name.endswith(".tmp"):
                os.unlink(os.path.join(path, name))
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be written: {error.strerror}; change --folder") from error
    return there


def _results(
    settings: photos.Settings, folder: str, jobs: list[tuple[int, int, int]], processes: int
) -> Iterator[tuple[int, str | None]]:
    if processes <= 1:
        _worker["renderer"], _worker["folder"] = Renderer(settings), folder
        yield from map(_work, jobs)
        _worker.clear()
        return
    # spawn: the same on every platform, and no threads of the parent are copied
    with multiprocessing.get_context("spawn").Pool(processes, _start_worker, (settings, folder)) as pool:
        yield from pool.imap_unordered(_work, jobs)

"""Writes the folders of the demo cities. Processes share the work, and an interrupted run goes on where it stopped."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict

from PIL import Image
from tqdm import tqdm

from datasets.names import images_list_path, write_images_list
from demo_city import photos, render
from demo_city.scene import Pictures, Scene
from demo_city.seeds import random_for
from demo_city.years import Capture
from support.errors import UserError
from support.regular_files import open_regular
from support.workers import end_with_parent

SETTINGS_FILE = "demo_city.json"
MADE_BY = "python -m demo_city"
_FORMER = "python -m datasets.demo_city"  # the command's former name, which older folders of cities mention
FORMAT = 1  # raise it whenever the same settings give other pictures
JPEG_QUALITY = 90
_SCENES = 14  # scenes that a process keeps in memory
_CHUNK = 4  # tasks, mostly of one street, that a process takes at a time


class Renderer:
    """The cities, wall pictures and scenes of one process. A picture does not depend on what was rendered before it."""

    def __init__(self, settings: photos.Settings):
        self.settings = settings
        self.districts = {name: photos.make_district(settings, name) for name in photos.DISTRICTS}
        self.tasks = photos.plan_tasks(settings, self.districts)
        self.pictures, self.shared, self.scenes = Pictures(), {}, {}

    def scene(self, district_name: str, capture: Capture) -> Scene:
        """The Scene of a district on one day or night; a few are kept."""
        key = (district_name, capture.key)
        if key not in self.scenes:
            while len(self.scenes) >= _SCENES:
                self.scenes.pop(next(iter(self.scenes)))
            kept = {scene.district.key for scene in self.scenes.values()}
            for stale in [k for k in self.shared if k[0] not in kept]:
                del self.shared[stale]
            self.scenes[key] = Scene(self.districts[district_name], capture, self.pictures, self.shared)
        return self.scenes[key]

    def photograph(self, task: photos.Task, photo: photos.Photo) -> Image.Image:
        """Takes a photograph: an RGB image of settings.pixels a side."""
        scene = self.scene(task.district, task.capture)
        moving = photos.traffic(scene.district, photo, task.capture)
        image = render.render_view(scene, photo.camera, self.settings.pixels, moving)
        return render.develop(
            image, self.settings.pixels, task.capture, random_for(self.settings.seed, "camera", photo.name)
        )

    def write(self, folder: str, index: int, present: set[str]) -> int:
        """Renders the missing photographs of task `index`; returns how many.

        present: names of the images that are in the task's folder.
        """
        task = self.tasks[index]
        written = 0
        for photo in task.photos:
            if photo.name not in present:
                path = os.path.join(folder, task.folder, photo.name)
                self.photograph(task, photo).save(path + ".tmp", "JPEG", quality=JPEG_QUALITY)
                os.replace(path + ".tmp", path)
                written += 1
        return written


_worker = {}


def _start_worker(settings: photos.Settings, folder: str) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and ends its workers
    _worker["renderer"], _worker["folder"] = Renderer(settings), folder


def _work(job: tuple[int, set[str]]) -> tuple[int, str | None]:
    try:
        return _worker["renderer"].write(_worker["folder"], *job), None
    except OSError as error:
        return 0, f"{error.filename or _worker['folder']} cannot be written: {error.strerror or error}"


def prepare_folder(folder: str, settings: photos.Settings) -> None:
    """Makes the folder and its settings file, or checks that an existing folder was begun with the same settings.

    Raises UserError if it was not, or if the folder cannot be used.
    """
    path = os.path.join(folder, SETTINGS_FILE)
    stored = {"made_by": MADE_BY, "format": FORMAT, **asdict(settings)}
    try:
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UserError(f"{folder} is a file; give --folder a new or empty folder")
        if not os.path.exists(path):
            if os.path.isdir(folder) and set(os.listdir(folder)) - {SETTINGS_FILE + ".tmp"}:
                raise UserError(
                    f"folder {folder} is not empty and was not made by {MADE_BY}; give --folder a new or empty folder"
                )
            os.makedirs(folder, exist_ok=True)
            with open(path + ".tmp", "w", encoding="utf-8") as file:
                json.dump(stored, file, indent=2)
            os.replace(path + ".tmp", path)
            return
        with open_regular(path, "r", encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise UserError(f"folder {folder} cannot be used: {error.strerror}; choose another with --folder") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged; delete the folder {folder} and start again") from error
    if isinstance(found, dict) and found.get("made_by") == _FORMER:
        found["made_by"] = MADE_BY
    if not isinstance(found, dict) or found.get("made_by") != MADE_BY:
        raise UserError(f"{path} was not written by {MADE_BY}; give --folder a new or empty folder")
    differing = [f"{key} {found.get(key)} (now {value})" for key, value in stored.items() if found.get(key) != value]
    if differing:
        raise UserError(
            f"folder {folder} was begun with other settings: {', '.join(differing)}; "
            "run with those, or give --folder a new folder"
        )


def build(folder: str, settings: photos.Settings, processes: int) -> tuple[int, int, dict[str, int]]:
    """Renders everything that is missing in `folder`: (images there before, images written, {folder: count}).

    Raises UserError if the folder has other settings or cannot be written.
    """
    prepare_folder(folder, settings)
    renderer = Renderer(settings)
    names, present = {}, {}
    for task in renderer.tasks:
        names.setdefault(task.folder, []).extend(photo.name for photo in task.photos)
    try:
        for sub in names:
            path = os.path.join(folder, sub)
            os.makedirs(path, exist_ok=True)
            there = os.listdir(path)
            for name in there:
                if name.endswith(".tmp"):  # of an interrupted run
                    os.unlink(os.path.join(path, name))
            present[sub] = set(there)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be written: {error.strerror}; choose another folder with --folder"
        ) from error
    jobs = []
    for index, task in enumerate(renderer.tasks):
        there = {photo.name for photo in task.photos} & present[task.folder]
        if len(there) < len(task.photos):
            jobs.append((index, there))
    total = sum(len(n) for n in names.values())
    before = sum(len(set(n) & present[sub]) for sub, n in names.items())
    written = 0
    with tqdm(total=total, initial=before, unit="images", ncols=100, desc="rendering", disable=not jobs) as bar:
        for count, problem in _results(renderer, settings, folder, jobs, min(processes, len(jobs))):
            if problem:
                raise UserError(problem + "; make room or rights, and run the same command again to go on")
            written += count
            bar.update(count)
    for sub, listed in names.items():
        if jobs or not os.path.exists(images_list_path(os.path.join(folder, sub))):
            write_images_list(os.path.join(folder, sub), sorted(listed))
    return before, written, {sub: len(n) for sub, n in names.items()}


def _results(
    renderer: Renderer, settings: photos.Settings, folder: str, jobs: list[tuple[int, set[str]]], processes: int
) -> Iterator[tuple[int, str | None]]:
    if processes <= 1:
        _worker["renderer"], _worker["folder"] = renderer, folder
        yield from map(_work, jobs)
        _worker.clear()
        return
    # spawn: the same on every platform, and no threads of the parent are copied
    with multiprocessing.get_context("spawn").Pool(processes, _start_worker, (settings, folder)) as pool:
        yield from pool.imap_unordered(_work, jobs, _CHUNK)

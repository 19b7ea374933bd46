"""A copy of a folder of images by night: what is there already is kept, so that an interrupted run goes on; threads share the images.

Decoding, encoding and torch's kernels let other threads run. Every image is made on its own (on a CPU that is fastest too: its planes stay
in the cache), so that it depends neither on the threads nor on what goes before or beside it.
"""

import collections
import concurrent.futures
import json
import os
from dataclasses import dataclass

import torch
from PIL import Image
from tqdm import tqdm

from datasets.images import ImageError, open_rgb, to_array
from datasets.names import images_list_path, list_images, positions, write_images_list
from datasets.night.augmentation import needs_target
from datasets.night.maker import NightMaker
from datasets.night.target_images import TargetImages, names_digest
from model.errors import UserError
from model.files import replacing

MADE_BY = "python -m datasets.night"
FORMAT = 1  # to be raised whenever the same settings give other pictures


@dataclass
class Settings:
    source: str
    output: str
    method: str
    target: str | None = None
    fda_beta: float = 0.01
    seed: int = 0
    jpeg_quality: int = 95

    def targets(self):
        """The TargetImages, None for a method without. Raises UserError when there is no such folder or it is empty."""
        if not needs_target(self.method):
            return None
        if not self.target:
            raise UserError(f"--method {self.method} takes colours from images of the night: give their folder as --target")
        return TargetImages(self.target)

    def stored(self, targets):
        """What the output depends on."""
        values = {"made_by": MADE_BY, "format": FORMAT, "source": os.path.realpath(self.source), "method": self.method, "seed": self.seed,
                  "jpeg_quality": self.jpeg_quality}
        if targets:
            values |= {"target": os.path.realpath(self.target), "target_images": names_digest(targets.names), "fda_beta": self.fda_beta}
        return values


def settings_path(output):
    """The file beside an output folder that tells how it was made."""
    return images_list_path(output).removesuffix("_images_paths.txt") + "_night.json"


def night_name(name):
    """The relative path of an image by night: `night` before the first `@`, so that all fields, and the class, stay."""
    before, at, fields = name.partition("@")
    return f"{before}night{at}{fields}"


def build(settings, num_workers=1, batch_size=8):
    """Makes what is missing of settings.output, and at the end its list of images.

    num_workers: threads, 0 for none; batch_size: images that a thread takes at a time. Returns (images made, images there before,
    {name: why it could not be read}). Raises UserError on folders that are missing, empty, the same, or of other settings.
    """
    _refuse_nesting(settings.source, settings.output)
    names = list_images(settings.source)
    positions(names)  # refuses names that no training set may have
    targets = settings.targets()
    _prepare_folder(settings.output, settings.stored(targets))
    work = _Work(settings, NightMaker(settings.method, settings.fda_beta, targets, settings.seed))
    chunks = ([names[i] for i in range(begin, min(begin + batch_size, len(names)))] for begin in range(0, len(names), batch_size))
    made, there, unreadable = 0, 0, {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the images share the cores, not the parts of one
    try:
        with tqdm(total=len(names), desc="Night", unit="img", disable=None) as progress:
            for chunk_made, chunk_there, chunk_unreadable in _in_threads(work, chunks, num_workers):
                made, there = made + chunk_made, there + chunk_there
                unreadable |= chunk_unreadable
                progress.update(chunk_made + chunk_there + len(chunk_unreadable))
    finally:
        torch.set_num_threads(threads)
    if len(unreadable) == len(names):
        raise UserError(f"none of the {len(names)} images of {settings.source} can be read ({next(iter(unreadable.values()))})")
    write_images_list(settings.output, (night_name(name) for name in names if name not in unreadable))
    return made, there, unreadable


class _Work:
    def __init__(self, settings, maker):
        self.settings, self.maker = settings, maker

    def __call__(self, names):
        """Makes some images. Returns (made, there before, {name: why it could not be read})."""
        made, there, unreadable = 0, 0, {}
        for name in names:
            path = os.path.join(self.settings.output, night_name(name))
            if os.path.exists(path):
                there += 1
                continue
            try:
                image = to_array(open_rgb(os.path.join(self.settings.source, name)))
            except ImageError as error:
                unreadable[name] = str(error)
                continue
            self._save(self.maker(name, image), path)
            made += 1
        return made, there, unreadable

    def _save(self, image, path):
        folder, base = os.path.split(path)
        temporary = os.path.join(folder, f".{base}.tmp")  # hidden: no walk takes it for an image
        try:
            os.makedirs(folder, exist_ok=True)
            Image.fromarray(image).save(temporary, "PNG" if base.lower().endswith(".png") else "JPEG", quality=self.settings.jpeg_quality)
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror or error}; make room or rights, and run the same command again "
                            "to go on") from error


def _in_threads(function, jobs, num_threads):
    """Yields function(job) of all jobs in their order, a few of them ahead."""
    if num_threads == 0:
        yield from map(function, jobs)
        return
    executor = concurrent.futures.ThreadPoolExecutor(num_threads)
    try:
        waiting = collections.deque()
        for job in jobs:
            waiting.append(executor.submit(function, job))
            if len(waiting) > 2 * num_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def _refuse_nesting(source, output):
    inner, outer = os.path.realpath(output), os.path.realpath(source)
    if inner == outer:
        raise UserError(f"--source and --output are the same folder, {source}; give --output a new one")
    if os.path.commonpath([inner, outer]) in (inner, outer):
        raise UserError(f"one of --source {source} and --output {output} lies in the other; give --output a folder beside the source")


def _prepare_folder(output, stored):
    """Makes the folder, and the settings file beside it, or checks that it was begun with the same settings. Raises UserError."""
    path = settings_path(output)
    try:
        if os.path.exists(output) and not os.path.isdir(output):
            raise UserError(f"{output} is a file; give --output a new or empty folder")
        if os.path.isdir(output) and os.listdir(output):
            _check_settings(output, path, stored)
            return
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {output} cannot be used: {error.strerror}; choose another with --output") from error
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(stored, file, indent=2)


def _check_settings(output, path, stored):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise UserError(f"folder {output} is not empty and was not made by {MADE_BY} (there is no {path}); give --output a new or empty "
                        "folder") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged; delete it and the folder {output}, and start again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} was not written by {MADE_BY}; give --output a new or empty folder")
    differing = [f"{key} {found.get(key)!r} (now {stored.get(key)!r})" for key in dict.fromkeys([*stored, *found])
                 if found.get(key) != stored.get(key)]
    if differing:
        raise UserError(f"folder {output} was begun with other settings: {', '.join(differing)}; run with those, or give --output a new "
                        "folder")

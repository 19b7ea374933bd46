"""Makes a copy of a folder by night. Processes share the images, and an interrupted run goes on where it stopped.

Every image is made on its own, so it depends neither on the processes nor on other images. On a CPU that is also the
fastest: its planes stay in the cache.
"""

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from datasets.choices import default_strength, needs_strength, needs_target
from datasets.image_names import ImageNames
from datasets.images import ImageError, open_rgb, read_size, to_array, within_memory
from datasets.names import images_list_path, list_images, positions, write_images_list
from datasets.night.fourier import reach
from datasets.night.maker import NightMaker
from datasets.night.target_images import TargetImages, names_digest
from datasets.pack.reading import original_folder
from support.errors import UserError
from support.files import replacing
from support.regular_files import open_regular
from support.workers import Loader

MADE_BY = "python -m datasets.night"
FORMAT = 1  # raise it whenever the same settings give other pictures


@dataclass
class Settings:
    """What the copy depends on."""

    source: str
    output: str
    method: str
    target: str | None = None
    fda_beta: float = 0.01
    seed: int = 0
    jpeg_quality: int = 95
    fda_window: str = "paper"
    fda_size: tuple[int, int] | None = None
    pp_strength: str | None = None

    def maker(self, targets: TargetImages | None) -> NightMaker:
        """Builds the NightMaker of these settings; targets: the night images, if the method needs them."""
        return NightMaker(
            self.method, self.fda_beta, targets, self.seed, self.fda_window, self.fda_size, self.pp_strength
        )

    def targets(self) -> TargetImages | None:
        """Opens the night images; None for a method without. Raises UserError if their folder is missing or empty."""
        if not needs_target(self.method):
            return None
        if not self.target:
            raise UserError(
                f"--method {self.method} takes colours from images of the night: give their folder as --target"
            )
        return TargetImages(self.target)

    def stored(self, targets: TargetImages | None) -> dict[str, Any]:
        """What the output depends on, as plain values."""
        values = {
            "made_by": MADE_BY,
            "format": FORMAT,
            "source": original_folder(self.source),
            "method": self.method,
            "seed": self.seed,
            "jpeg_quality": self.jpeg_quality,
        }
        if targets:
            values |= {
                "target": original_folder(self.target),
                "target_images": names_digest(targets.names),
                "fda_beta": self.fda_beta,
            }
            if self.fda_window != "paper":  # as sets made before do not say
                values["fda_window"] = self.fda_window
            if self.fda_size:
                values["fda_size"] = list(self.fda_size)
        if needs_strength(self.method) and self.pp_strength:
            values["pp_strength"] = self.pp_strength
        return values


def settings_path(output: str) -> str:
    """The path of the file, beside an output folder, that says how it was made."""
    return images_list_path(output).removesuffix("_images_paths.txt") + "_night.json"


def night_name(name: str) -> str:
    """The relative path of an image by night: `night` before the first `@`, so all fields, and the class, stay."""
    before, at, fields = name.partition("@")
    return f"{before}night{at}{fields}"


def build(settings: Settings, num_workers: int = 0, batch_size: int = 8) -> tuple[int, int, dict[str, str]]:
    """Makes the missing images of settings.output, and at the end its list of images.

    num_workers: processes, 0 for this one alone; batch_size: images that a process takes at a time.

    Returns (images made, images there before, {name: why it could not be read}). Raises UserError if folders are
    missing, empty, the same, or of other settings.
    """
    _refuse_nesting(settings.source, settings.output)
    names = list_images(settings.source)
    positions(names)  # refuses names that no training set may have
    targets = settings.targets()
    _prepare_folder(settings.output, settings.stored(targets))
    if targets:
        _warn_of_small_window(settings, names[0])
    chunks = _Chunks(settings, names, settings.maker(targets), batch_size)
    made, there, unreadable = 0, 0, {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one core per image; the loader's workers have one thread anyway
    try:
        with (
            Loader(chunks, num_workers) as loader,
            tqdm(total=len(names), desc="Night", unit="img", disable=None) as progress,
        ):
            for done in loader:
                if done.error:
                    raise UserError(done.error)
                made, there = made + done.made, there + done.there
                unreadable |= done.unreadable
                progress.update(done.made + done.there + len(done.unreadable))
    finally:
        torch.set_num_threads(threads)
    if len(unreadable) == len(names):
        raise UserError(
            f"none of the {len(names)} images of {settings.source} can be read ({next(iter(unreadable.values()))})"
        )
    write_images_list(settings.output, (night_name(name) for name in names if name not in unreadable))
    return made, there, unreadable


@dataclass
class _Done:
    made: int = 0
    there: int = 0  # before
    unreadable: dict = field(default_factory=dict)  # name -> why
    error: str = ""  # why it cannot go on


class _Chunks(torch.utils.data.Dataset):
    """A dataset whose item i makes the images of chunk i, and says what was done."""

    def __init__(self, settings: Settings, names: ImageNames, maker: NightMaker, size: int):
        self.settings, self.names, self.maker, self.size = settings, names, maker, size

    def __len__(self):
        return -(-len(self.names) // self.size)

    def __getitem__(self, chunk: int) -> _Done:
        done = _Done()
        try:
            for index in range(chunk * self.size, min((chunk + 1) * self.size, len(self.names))):
                self._make(self.names[index], done)
        except UserError as error:  # a loader's worker would wrap it in a traceback
            done.error = str(error)
        return done

    def _make(self, name: str, done: _Done) -> None:
        path = os.path.join(self.settings.output, night_name(name))
        if os.path.exists(path):
            done.there += 1
            return
        try:
            with within_memory():
                image = self.maker(name, to_array(open_rgb(os.path.join(self.settings.source, name))))
        except ImageError as error:
            done.unreadable[name] = str(error)
            return
        self._save(image, path)
        done.made += 1

    def _save(self, image: np.ndarray, path: str) -> None:
        kind = "PNG" if path.lower().endswith(".png") else "JPEG"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with replacing(path, synced=False) as temporary:  # there are too many to sync each
                Image.fromarray(image).save(temporary, kind, quality=self.settings.jpeg_quality)
        except (OSError, UserError) as error:
            problem = error if isinstance(error, UserError) else f"{path} cannot be written: {error.strerror or error}"
            raise UserError(f"{problem}; make room or rights, and run the same command again to go on") from error


def _warn_of_small_window(settings: Settings, name: str) -> None:
    """Warns here once, and not in every worker."""
    with contextlib.suppress(ImageError):
        width, height = settings.fda_size or read_size(os.path.join(settings.source, name))
        reach(settings.fda_beta, height, width, settings.fda_window)


def _refuse_nesting(source: str, output: str) -> None:
    inner, outer = os.path.realpath(output), os.path.realpath(source)
    if inner == outer:
        raise UserError(f"--source and --output are the same folder, {source}; give --output a new one")
    if os.path.commonpath([inner, outer]) in (inner, outer):
        raise UserError(
            f"one of --source {source} and --output {output} lies in the other; "
            "give --output a folder beside the source"
        )


def _prepare_folder(output: str, stored: dict[str, Any]) -> None:
    """Makes the folder and the settings file beside it, or checks that it was begun with the same settings.

    Raises UserError if it was not, or if it cannot be used.
    """
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


def _check_settings(output: str, path: str, stored: dict[str, Any]) -> None:
    try:
        with open_regular(path, "r", encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise UserError(
            f"folder {output} is not empty and was not made by {MADE_BY} (there is no {path}); "
            "give --output a new or empty folder"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged; delete it and the folder {output}, and start again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} was not written by {MADE_BY}; give --output a new or empty folder")
    found, stored = _complete(found), _complete(stored)
    differing = [
        f"{key} {found.get(key)!r} (now {stored.get(key)!r})"
        for key in dict.fromkeys([*stored, *found])
        if found.get(key) != stored.get(key)
    ]
    if differing:
        raise UserError(
            f"folder {output} was begun with other settings: {', '.join(differing)}; run with those, "
            "or give --output a new folder"
        )


def _complete(stored: dict[str, Any]) -> dict[str, Any]:
    """Settings with the defaults of those that are not stored, which make the same images as if they were given."""
    method = stored.get("method")
    defaults = {"fda_window": "paper"} if needs_target(method) else {}
    if needs_strength(method):
        defaults["pp_strength"] = default_strength(method)
    return stored | defaults | stored

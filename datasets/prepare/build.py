"""Writes a data set: beside its place, and renamed when it is whole. An interrupted run goes on where it stopped."""

import collections
import contextlib
import csv
import dataclasses
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field

import torch
from PIL import ImageOps
from tqdm import tqdm

from datasets.images import ImageError, open_rgb, read_size, resize_shorter_side
from datasets.names import format_name, write_images_list
from datasets.prepare.exif import register_heif
from datasets.prepare.panoramas import Crops, looks_panoramic
from datasets.prepare.records import Rejected
from datasets.test_dataset import MIN_SIDE
from datasets.walk import IMAGE_EXTENSIONS
from model.errors import UserError
from model.files import replacing
from retrieval.locks import FileLock

MADE_BY = "python -m datasets.prepare"
SETTINGS_FILE, REJECTED_FILE, SOURCES_FILE = "prepare.json", "rejected.csv", "images.csv"
METHODS = ("copy", "link", "hardlink")
_FORMAT = 1  # to be raised whenever the same settings give other images or names
_QUALITY = 95  # of JPEGs that are written


@dataclass(frozen=True)
class Writing:
    """How photos become images. method: one of METHODS; resize: pixels of the shorter side that larger photos are brought to, None for
    none; square: whether they are first cut centrally to squares; crops: how panoramas are cut, None for not; heading_offset: degrees added
    to every photo's heading."""

    method: str = "copy"
    resize: int | None = None
    square: bool = False
    crops: Crops | None = None
    heading_offset: float = 0.0


@dataclass
class Built:
    """counts: {folder: number of images}; rejected: all that is left out; made: images written by this run; there: images that were there;
    panoramic: photos of 2:1 that were not cut."""

    counts: dict
    rejected: list
    made: int = 0
    there: int = 0
    panoramic: int = 0


def build(photos, points, zone, folders, rejected, output, writing, settings, num_workers=0):
    """Makes the data set; returns what was Built.

    photos: [Photo]; points: float64 (n, 2), metres of zone (number, letter); folders: of each photo, below output; rejected: [Rejected]
    before; settings: plain values that the choice of folders depends on, by which a further run knows that it is of the same data set.
    Raises UserError when output is something else, or the disk refuses.
    """
    output = os.path.abspath(output)
    stored = {"made_by": MADE_BY, "format": _FORMAT, **settings, **dataclasses.asdict(writing), "zone": "{}{}".format(*zone),
              "photos": _digest(photos)}
    stored = json.loads(json.dumps(stored))  # as it will be read
    if (done := _finished(output, stored)) is not None:
        return done
    building = os.path.join(os.path.dirname(output), f".{os.path.basename(output)}.unfinished")
    with _alone(building):
        _begin(building, stored)
        images, built = _write_images(_Images(photos, points, zone, folders, building, writing), num_workers)
        built.rejected[:0] = rejected
        _finish(building, output, images, built, stored)
    return built


def _write_images(dataset, num_workers):
    """({folder: {name: source}}, Built) of what lies below dataset.building then."""
    images, built = collections.defaultdict(dict), Built({}, [])
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=num_workers, collate_fn=_unchanged)
    for index, done in enumerate(tqdm(loader, desc="Photos", unit="img", disable=None)):
        if done.error:
            raise UserError(done.error)
        if done.rejected:
            built.rejected.append(done.rejected)
        for name in done.names:
            images[dataset.folders[index]][name] = dataset.photos[index].path
        built.made, built.there = built.made + done.made, built.there + len(done.names) - done.made
        built.panoramic += done.panoramic
    built.counts = {folder: len(images[folder]) for folder in dict.fromkeys(dataset.folders)}
    return images, built


@dataclass
class _Done:
    """What became of one photo."""

    names: list = field(default_factory=list)
    made: int = 0
    panoramic: bool = False
    rejected: Rejected | None = None
    error: str = ""  # why it cannot go on


class _Images(torch.utils.data.Dataset):
    """To read item i is to make what is missing of the images of photo i; the item is what was _Done."""

    def __init__(self, photos, points, zone, folders, building, writing):
        self.photos, self.points, self.zone, self.folders = photos, points, zone, folders
        self.building, self.writing = building, writing

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, index):
        register_heif()
        photo, done = self.photos[index], _Done()
        try:
            size = read_size(photo.path)
            if min(size) < MIN_SIDE:
                raise ImageError(f"it has {size[0]} x {size[1]} pixels, fewer than {MIN_SIDE} along a side")
            if self.writing.crops and self.writing.crops.is_panorama(size):
                self._cut(index, done)
            else:
                done.panoramic = not self.writing.crops and looks_panoramic(size)
                self._copy(index, done)
        except ImageError as error:
            done.rejected = Rejected(photo.source, photo.path, "an image that cannot be used", str(error))
        except OSError as error:  # a loader's worker would wrap it in a traceback
            done.error = (f"{error.filename2 or error.filename or self.building} cannot be written: {error.strerror or error}; make room "
                          "or rights, and run the same command again to go on")
        return done

    def _cut(self, index, done):
        photo, crops = self.photos[index], self.writing.crops
        heading = None if photo.heading is None else photo.heading + self.writing.heading_offset
        names = [self._name(index, None if heading is None else crop_heading, ".jpg", f"{number:02d}")
                 for number, crop_heading in enumerate(crops.headings)]
        if not all(map(os.path.exists, names)):
            for path, crop in zip(names, crops.cut(open_rgb(photo.path), heading), strict=True):
                if not os.path.exists(path):
                    _put(path, lambda temporary, crop=crop: crop.save(temporary, "JPEG", quality=_QUALITY))
                    done.made += 1
        done.names = [self._relative(index, path) for path in names]

    def _copy(self, index, done):
        photo, method, resize, square = self.photos[index], self.writing.method, self.writing.resize, self.writing.square
        extension = os.path.splitext(photo.path)[1].lower()
        encode = resize or square or extension not in IMAGE_EXTENSIONS
        if encode and method != "copy":
            raise ImageError(f"a {extension or 'file'} cannot be linked, since images are {', '.join(IMAGE_EXTENSIONS)}; --images copy "
                             "makes a JPEG of it")
        heading = None if photo.heading is None else photo.heading + self.writing.heading_offset
        path = self._name(index, heading, ".jpg" if encode else extension)
        if not os.path.lexists(path):
            image = open_rgb(photo.path)  # what is cut off does not come in
            if encode:
                if square:
                    image = ImageOps.fit(image, (min(image.size),) * 2)
                if resize and min(image.size) > resize:
                    image = resize_shorter_side(image, resize)
                _put(path, lambda temporary: image.save(temporary, "JPEG", quality=_QUALITY))
            elif method == "copy":
                _put(path, lambda temporary: shutil.copyfile(photo.path, temporary))
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                (os.symlink if method == "link" else os.link)(os.path.realpath(photo.path), path)
            done.made = 1
        done.names = [self._relative(index, path)]

    def _name(self, index, heading, extension, tile=""):
        """The path of an image. The key's digest makes photos of one place, time and file name differ; folders are a hundredth of a degree
        of latitude high, as SF-XL's."""
        photo, (east, north) = self.photos[index], self.points[index]
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", os.path.splitext(os.path.basename(photo.key))[0])[:40]
        pano_id = f"{stem}-{hashlib.sha256(photo.key.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"
        heading = None if heading is None else round(heading % 360, 2) % 360  # never 360.00, which would be a bin of its own
        name = format_name(east, north, *self.zone, photo.latitude, photo.longitude, pano_id, tile, heading, timestamp=photo.time,
                           extension=extension)
        return os.path.join(self.building, self.folders[index], f"{photo.latitude:.2f}", name)

    def _relative(self, index, path):
        return os.path.relpath(path, os.path.join(self.building, self.folders[index]))


def _put(path, write):
    """write(temporary), renamed to path."""
    folder, base = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{base[-200:]}.tmp")  # hidden: no walk takes it for an image
    write(temporary)
    os.replace(temporary, path)


def _finished(output, stored):
    """What was Built by an earlier run of the same settings, None if there is none. Raises UserError on anything else in its place."""
    if not os.path.exists(output) or os.path.isdir(output) and not os.listdir(output):
        return None
    found = _read_settings(output)
    if found is None:
        raise UserError(f"{output} is not empty and was not made by {MADE_BY}; give --output a new folder")
    counts = found.pop("counts", {})
    _compare(output, found, stored, "give --output a new folder")
    with open(os.path.join(output, REJECTED_FILE), encoding="utf-8", newline="") as file:
        rejected = [Rejected(*row) for row in csv.reader(file)][1:]
    return Built(counts, rejected, there=sum(counts.values()))


def _begin(building, stored):
    """Makes the unfinished folder, or checks that it was begun with the same settings."""
    found = _read_settings(building)
    if found is not None:
        _compare(f"the unfinished {building}", found, stored, "remove it")
        return
    os.makedirs(building, exist_ok=True)
    _write_settings(building, stored)


def _finish(building, output, images, built, stored):
    if not built.counts or not all(built.counts.values()):
        empty = [folder for folder, count in built.counts.items() if not count]
        shutil.rmtree(building)  # nothing to go on with
        raise UserError(f"no image is left for {' and '.join(empty) or 'the data set'}"
                        + (f"; {built.rejected[-1].path!r}: {built.rejected[-1].detail}" if built.rejected else ""))
    for folder, names in images.items():
        write_images_list(os.path.join(building, folder), sorted(names))
    write_csv(os.path.join(building, REJECTED_FILE), ("source", "path", "reason", "detail"), map(dataclasses.astuple, built.rejected))
    write_csv(os.path.join(building, SOURCES_FILE), ("image", "photo"),
              ((f"{folder}/{name}", source) for folder, names in images.items() for name, source in sorted(names.items())))
    _write_settings(building, stored | {"counts": built.counts})
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(output)
        os.rename(building, output)
    except OSError as error:
        raise UserError(f"{building} is complete and cannot be renamed to {output}: {error.strerror}") from error


def write_csv(path, header, rows):
    """A CSV file, beside and renamed."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _read_settings(folder):
    """The settings of a folder that was made here, None of any other."""
    try:
        with open(os.path.join(folder, SETTINGS_FILE), encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    return found if isinstance(found, dict) and found.get("made_by") == MADE_BY else None


def _write_settings(folder, stored):
    with replacing(os.path.join(folder, SETTINGS_FILE)) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(stored, file, indent=1)


def _compare(place, found, stored, remedy):
    differing = [key for key in dict.fromkeys([*stored, *found]) if found.get(key) != stored.get(key)]
    if differing == ["photos"]:
        raise UserError(f"{place} was made of other photos: some have been added, changed or removed since; {remedy}")
    if differing:
        raise UserError(f"{place} was made with other settings: "
                        + ", ".join(f"{key} {found.get(key)} (now {stored.get(key)})" for key in differing if key != "photos")
                        + f"; run with those, or {remedy}")


def _digest(photos):
    """Of all that is known of the photos, and of their files' sizes and times."""
    value = hashlib.sha256()
    for photo in photos:
        status = os.stat(photo.path)
        value.update(repr((dataclasses.astuple(photo), os.path.realpath(photo.path), status.st_size, status.st_mtime_ns)).encode(
            "utf-8", "surrogateescape"))
    return value.hexdigest()


@contextlib.contextmanager
def _alone(building):
    """One process at a time makes a data set."""
    lock = FileLock(building + ".lock")
    try:
        os.makedirs(os.path.dirname(building), exist_ok=True)
        if not lock.acquire(exclusive=True, wait=False):
            raise UserError(f"another process is making {building}; wait for it, or end it")
    except OSError as error:
        raise UserError(f"{building} cannot be made: {error.strerror}; choose another --output") from error
    try:
        yield
    finally:
        lock.release(remove=True)


def _unchanged(item):
    return item

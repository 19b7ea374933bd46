"""CosPlace classes and groups (Berton et al., CVPR 2022, section 3.1), from image names to arrays opened memory-mapped.

An image at (east, north, heading) has the class (east // M * M, north // M * M, heading // alpha * alpha); a group holds classes
that are N cells apart in both directions, or L heading bins apart, so that no two of its classes see the same place.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile

import numpy as np

from datasets.names import EAST, HEADING, NORTH, ImageNames, images_list_path, list_images, parse_fields
from model.errors import UserError
from model.files import current_umask

_VERSION = 1  # of the cache's layout: another one is built anew
_ARRAYS = ("class_ids", "group_offsets", "class_offsets", "image_index", "name_blob", "name_starts", "name_ends")


class Groups:
    """The classes of each group and the images of each class, over arrays that may be memory-mapped.

    num_images: images in the list, those of dropped classes included. Groups are numbered by first appearance in the image list;
    the classes of a group are sorted, and a class's images are in the order of the list.
    """

    def __init__(self, class_ids, group_offsets, class_offsets, image_index, name_blob, name_starts, name_ends):
        self._class_ids, self._group_offsets, self._class_offsets = class_ids, group_offsets, class_offsets
        self._image_index = image_index
        self.names = ImageNames(name_blob, name_starts, name_ends)
        self._origin = None  # (path, identity) of the cache that the arrays lie in

    def __reduce__(self):
        # a worker that is not forked opens the same cache, instead of receiving a copy of all names
        return (_load, self._origin) if self._origin else (Groups, tuple(self.arrays().values()))

    @property
    def num_groups(self):
        return len(self._group_offsets) - 1

    @property
    def num_images(self):
        return len(self.names)

    def num_classes(self, group):
        return int(self._group_offsets[group + 1] - self._group_offsets[group])

    def num_group_images(self, group):
        first, last = self._group_offsets[group], self._group_offsets[group + 1]
        return int(self._class_offsets[last] - self._class_offsets[first])

    def class_ids(self, group):
        """int64 (C, 3): each class's east and north (metres) and heading (degrees), sorted."""
        return self._class_ids[self._group_offsets[group]:self._group_offsets[group + 1]]

    def image_indices(self, group, class_row):
        """int64 (n,): the images of row `class_row` of class_ids(group), as indices into the image list, ascending."""
        if not 0 <= class_row < self.num_classes(group):
            raise IndexError(f"group {group} has no class {class_row}")
        row = self._group_offsets[group] + class_row
        return self._image_index[self._class_offsets[row]:self._class_offsets[row + 1]]

    def published_order(self, group):
        """int64 (C,): for row i of a published head, its row of class_ids(group).

        The published code collects a group's classes in a set, in the order of the image list, and numbers them as the set iterates.
        """
        first_images = [self.image_indices(group, row)[0] for row in range(self.num_classes(group))]
        class_ids = [tuple(class_id) for class_id in self.class_ids(group).tolist()]
        classes = set()
        for row in np.argsort(first_images):
            classes.add(class_ids[row])
        row_of = {class_id: row for row, class_id in enumerate(class_ids)}
        return np.array([row_of[class_id] for class_id in classes])

    def image_name(self, index):
        """The relative path of image `index` of the list."""
        return self.names[index]

    def arrays(self):
        values = (self._class_ids, self._group_offsets, self._class_offsets, self._image_index,
                  self.names.blob, self.names.starts, self.names.ends)
        return dict(zip(_ARRAYS, values, strict=True))


def build_groups(image_names, M, alpha, N, L, min_images_per_class):
    """Splits images into classes and groups, in memory.

    image_names: a list of str, or ImageNames; M: cell side in metres; alpha: heading bin in degrees; N, L: spacing of a group's
    classes, in cells and in bins; classes with fewer than min_images_per_class images are dropped. All are positive integers.
    A name's heading may be empty only if alpha >= 360 (training without headings). Raises UserError on a name that does not parse
    or when no class is left.
    """
    for name, value in {"M": M, "alpha": alpha, "N": N, "L": L, "min_images_per_class": min_images_per_class}.items():
        if value != int(value) or value < 1:
            raise UserError(f"--{name} is {value}, and must be a whole number of at least 1")
    names = image_names if isinstance(image_names, ImageNames) else ImageNames.from_strings(image_names)
    keys, decode = _class_keys(names, M, alpha)

    order = np.argsort(keys, kind="stable")  # images by class, in the order of the list within a class
    keys = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    counts = np.diff(np.append(begins, len(keys)))
    kept = counts >= min_images_per_class
    if not kept.any():
        raise UserError(f"no class of {names.source} has {min_images_per_class} images (the largest has {counts.max(initial=0)}): "
                        f"lower --min_images_per_class, or raise --M (now {M} m) or --alpha (now {alpha} degrees)")
    class_ids = decode(keys[begins])  # (K, 3), sorted
    group_keys = _group_keys(class_ids, M, alpha, N, L)

    # a group's number is the rank of the first image of any of its kept classes
    group_of_class = np.unique(group_keys[kept], return_inverse=True)[1].ravel()
    first_image = np.full(group_of_class.max() + 1, len(order))
    np.minimum.at(first_image, group_of_class, order[begins[kept]])
    number = np.empty_like(first_image)
    number[np.argsort(first_image)] = np.arange(len(first_image))
    group_of_class = number[group_of_class]

    rows = np.flatnonzero(kept)[np.argsort(group_of_class, kind="stable")]  # kept classes by group, sorted within it
    class_offsets = np.concatenate([[0], np.cumsum(counts[rows])])
    image_index = np.empty(class_offsets[-1], np.int64)
    # position within the output -> position within `order`, all classes at once
    shift = np.repeat(begins[rows] - class_offsets[:-1], counts[rows])
    np.take(order, np.arange(class_offsets[-1]) + shift, out=image_index)
    group_offsets = np.concatenate([[0], np.cumsum(np.bincount(group_of_class))])
    return Groups(class_ids[rows], group_offsets, class_offsets, image_index, names.blob, names.starts, names.ends)


def open_groups(train_set_folder, M, alpha, N, L, min_images_per_class, cache_folder="cache"):
    """The groups of a training folder: reopened memory-mapped from the cache, or built and cached.

    The cache is a folder of plain .npy arrays named after the training folder and a hash of its real path and the parameters; it
    records the digest of the image list, and is built anew when that changes. Raises UserError as build_groups and list_images do.
    """
    parameters = {"M": int(M), "alpha": int(alpha), "N": int(N), "L": int(L), "min_images_per_class": int(min_images_per_class)}
    names = list_images(train_set_folder)
    identity = {"version": _VERSION, "folder": os.path.realpath(train_set_folder), **parameters}
    base = os.path.basename(identity["folder"])
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    path = os.path.join(cache_folder, f"{base}_{key}")
    identity["list_digest"] = _digest(names)
    groups = _load(path, identity)
    if groups is None:
        logging.info(f"Splitting the {len(names)} images of {train_set_folder} into classes and groups (cached in {path})")
        _save(path, identity, build_groups(names, **parameters))
        groups = _load(path, identity)
        if groups is None:
            raise UserError(f"the cache {path} changed while it was written; is another run building it with another image list?")
    else:
        logging.debug(f"Opened the groups of {train_set_folder} from {path}")
    groups.names.source = images_list_path(train_set_folder) if os.path.exists(images_list_path(train_set_folder)) else train_set_folder
    return groups


def _class_keys(names, M, alpha):
    """One sortable int64 a name for its class, and the function from such keys to int64 (n, 3) class ids."""
    values = parse_fields(names, (EAST, NORTH, HEADING), empty_as_zero=(HEADING,) if alpha >= 360 else ())
    # the published arithmetic: int(value // side * side), which truncates only what is already whole
    cells = [(values[:, column] // side).astype(np.int64) for column, side in enumerate((M, M, alpha))]
    lows = [int(cell.min(initial=0)) for cell in cells]
    sizes = [int(cell.max(initial=0)) - low + 1 for cell, low in zip(cells, lows, strict=True)]
    if sizes[0] * sizes[1] * sizes[2] >= 2**62:
        raise UserError(f"the positions of {names.source} span {sizes[0] * M} m x {sizes[1] * M} m, too much for one split; "
                        "are they UTM metres of one zone?")
    keys = (cells[0] - lows[0]) * sizes[1]
    keys = (keys + cells[1] - lows[1]) * sizes[2] + cells[2] - lows[2]

    def decode(keys):
        rest, heading = np.divmod(keys, sizes[2])
        east, north = np.divmod(rest, sizes[1])
        return np.stack([(east + lows[0]) * M, (north + lows[1]) * M, (heading + lows[2]) * alpha], axis=1)

    return keys, decode


def _group_keys(class_ids, M, alpha, N, L):
    """One int64 a class for its group (paper, equation 2)."""
    east, north, heading = class_ids.T
    columns = (east % (M * N) // M, north % (M * N) // M, heading % (alpha * L) // alpha)
    return (columns[0] * N + columns[1]) * L + columns[2]


def _digest(names):
    """SHA-256 over names and their boundaries."""
    digest = hashlib.sha256(np.ascontiguousarray(names.ends - names.starts).tobytes())
    if len(names):
        digest.update(np.ascontiguousarray(names.blob[names.starts[0]:names.ends[-1]]))
    return digest.hexdigest()


def _save(path, identity, groups):
    """Writes a folder beside `path` and renames it there: readers find the old cache, none, or the new one, never a part."""
    parent = os.path.dirname(path) or "."
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".building_", dir=parent)
        for name, array in groups.arrays().items():
            np.save(os.path.join(temporary, name + ".npy"), array, allow_pickle=False)
        with open(os.path.join(temporary, "header.json"), "w") as file:
            json.dump(identity, file, indent=1)
        os.chmod(temporary, 0o777 & ~current_umask())  # mkdtemp's folders are for their owner alone
        if os.path.exists(path):
            os.rename(path, old := temporary + ".old")
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(FileExistsError):  # another run was faster; open_groups checks what it wrote
            _rename_folder(temporary, path)
    except OSError as error:
        raise UserError(f"the cache of groups cannot be written to {parent}: {error.strerror}") from error
    finally:
        if temporary and os.path.exists(temporary):
            shutil.rmtree(temporary, ignore_errors=True)


def _rename_folder(source, target):
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, error.strerror, target) from error
        raise


def _load(path, identity):
    """The cached groups, or None if there are none, they are of something else, or they are damaged."""
    try:
        with open(os.path.join(path, "header.json")) as file:
            header = json.load(file)
        if header != identity:
            logging.info(f"The cache {path} is of another image list; building it anew")
            return None
        arrays = {name: np.load(os.path.join(path, name + ".npy"), mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
        _check(arrays)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise UserError(f"the cache {path} cannot be read: {error.strerror}; mend its permissions or remove it") from error
    except (OSError, ValueError, EOFError) as error:
        logging.warning(f"The cache {path} is damaged ({error}); building it anew")
        return None
    groups = Groups(**arrays)
    groups._origin = path, identity
    return groups


def _check(arrays):
    """Raises ValueError unless the arrays fit together: a cut-off or mixed-up cache is never trained on."""
    group_offsets, class_offsets = arrays["group_offsets"], arrays["class_offsets"]
    if not (group_offsets[0] == 0 and group_offsets[-1] == len(arrays["class_ids"]) == len(class_offsets) - 1
            and class_offsets[-1] == len(arrays["image_index"]) and len(arrays["name_starts"]) == len(arrays["name_ends"])
            and len(arrays["name_ends"]) and arrays["name_ends"][-1] <= len(arrays["name_blob"])):
        raise ValueError("its arrays do not fit together")

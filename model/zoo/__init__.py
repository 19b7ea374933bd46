"""Models by name: the published ones, and those of a user's own zoo.

An own zoo is a folder, or a URL prefix, with files NAME.pth. `python -m model.zoo` lists and fetches models.
"""

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Callable

import torch

from model.choices import BACKBONES
from model.choices import ZOO_VARIABLE as VARIABLE
from model.details import beside, read_details
from model.network import GeoLocalizationNet
from model.zoo import published
from support import downloads
from support.errors import UserError

LIST = "models.txt"  # at a URL prefix: the names of its models, one a line
_OVERHEAD = 1 << 20  # bytes of a file beside its weights, at most
_NAME = re.compile(r"\w[\w.+-]*")  # what may follow a folder or a URL prefix


def find(name: str, check: Callable[[str], object], location: str | None = None) -> str:
    """Finds the file of a model, fetches it if it is not there yet, and returns its path.

    name: of a published model, in any case, or of a file NAME.pth in the user's own zoo, which comes first; check: as
    in downloads.fetch; location: the own zoo, a folder or a URL prefix (default: the environment variable
    COSPLACE_ZOO).

    Raises UserError if there is no such model, or if it cannot be fetched; then it says how to fetch it by hand. A
    wrong file is not kept.
    """
    location = own_location(location)
    known = published.published_name(name)
    path = _find_own(name, known, location, check) if location and _NAME.fullmatch(name) else None
    if path is None and known:
        path = local_path(known)
        largest = 5 * size_of(*published.architecture(known)) // 4 + _OVERHEAD
        downloads.fetch(published.addresses()[known], path, known, check, largest=largest)
    if path is None:
        raise UserError(_unknown(name, location))
    return path


def own_location(location: str | None = None) -> str | None:
    """The user's own zoo: `location`, else the environment variable's, else None. Raises UserError if there is none."""
    source = "--zoo" if location else VARIABLE
    location = location or os.environ.get(VARIABLE)
    if location and not downloads.is_address(location) and not os.path.isdir(location):
        raise UserError(f"there is no folder {location}: {source} takes a folder or a URL prefix (http:// or https://)")
    return location or None


def own_names(location: str) -> list[str] | None:
    """Lists the models of a zoo, sorted; None for a URL prefix without a models.txt."""
    if not downloads.is_address(location):
        return sorted(
            name.removesuffix(".pth")
            for name in os.listdir(location)
            if name.endswith(".pth") and _NAME.fullmatch(name)
        )
    try:
        lines = downloads.read_small(_join(location, LIST)).decode("utf-8", "replace").splitlines()
    except downloads.NotThereError:
        return None
    names = sorted({line.strip().removesuffix(".pth") for line in lines if line.strip()})
    wrong = next((name for name in names if not _NAME.fullmatch(name)), None)
    if wrong:
        raise UserError(
            f"{_join(location, LIST)} names {wrong!r}, which is no name of a model: "
            "one a line, of letters, digits and . _ + -"
        )
    return names


def local_path(name: str, location: str | None = None) -> str:
    """The path of a model once it is fetched: in the zoo's folder, or below TORCH_HOME as all of torch.hub's files.

    The models of a URL prefix have a folder of their own below TORCH_HOME.
    """
    if location is None:
        return os.path.join(_checkpoints_folder(), os.path.basename(published.addresses()[name]))
    if downloads.is_address(location):
        return os.path.join(
            _checkpoints_folder(),
            f"zoo_{hashlib.sha256(location.rstrip('/').encode()).hexdigest()[:12]}",
            f"{name}.pth",
        )
    return os.path.join(location, f"{name}.pth")


@functools.cache
def size_of(backbone: str, dim: int) -> int:
    """The size of a network's weights, in bytes."""
    if dim > 1:  # a network of every dimension would take seconds
        return size_of(backbone, 1) + 4 * (dim - 1) * (BACKBONES[backbone][0] + 1)
    with torch.device("meta"):
        state_dict = GeoLocalizationNet(backbone, 1).state_dict()
    return sum(value.numel() * value.element_size() for value in state_dict.values())


def _find_own(name: str, known: str | None, location: str, check: Callable[[str], object]) -> str | None:
    """The path of a model of the user's own zoo, fetched if necessary; None if it has no such model."""
    # a mirror may keep the published files' names
    stems = [
        name.removesuffix(".pth"),
        *([known, os.path.basename(published.addresses()[known]).removesuffix(".pth")] if known else []),
    ]
    for stem in dict.fromkeys(stems):
        path = local_path(stem, location)
        if not os.path.exists(path) and downloads.is_address(location):
            try:
                _fetch_details(_join(location, f"{stem}.json"), beside(path))
                downloads.fetch(_join(location, f"{stem}.pth"), path, stem, check)
            except downloads.NotThereError:
                continue
        if os.path.exists(path):
            return path
    return None


def _fetch_details(address: str, path: str) -> None:
    """Fetches what a model's entries do not tell, where its zoo has that."""
    with contextlib.suppress(downloads.NotThereError):
        downloads.fetch(address, path, os.path.basename(path), check=read_details, largest=_OVERHEAD)


def _unknown(name: str, location: str | None) -> str:
    if name.endswith((".pth", ".pt", ".tar")) or os.sep in name:
        return f"there is no file {name}; check the path"
    own = ""
    if location:
        names = ", ".join(own_names(location) or [])
        own = f", nor in the zoo {location}{names and f' (which has {names})'},"
    known = ", ".join(published.addresses())
    return f"{name!r} is neither a file{own} nor a published model; the published models are {known}"


def _join(location: str, name: str) -> str:
    return f"{location.rstrip('/')}/{name}"


def _checkpoints_folder():
    return os.path.join(torch.hub.get_dir(), "checkpoints")

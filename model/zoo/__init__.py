"""Models by name: the published ones, and those of a user's own zoo, a folder or a URL prefix with files NAME.pth.

`python -m model.zoo` lists and fetches them.
"""

import hashlib
import os
import re

import torch

from model.choices import ZOO_VARIABLE as VARIABLE
from model.zoo import published
from support import downloads
from support.errors import UserError

LIST = "models.txt"  # at a URL prefix: the names of its models, one a line
_NAME = re.compile(r"\w[\w.+-]*")  # what may follow a folder or a URL prefix


def find(name, check, location=None):
    """The path of a model's file, which is fetched if it is not there yet.

    name: of a published model, in any case, or of a file NAME.pth in the user's own zoo, which comes first; location:
    that zoo, a folder or a URL prefix (default: the environment variable COSPLACE_ZOO; else none); check: as in
    downloads.fetch. Raises UserError when there is no such model, or it cannot be fetched, which says how to do it by
    hand; a wrong file is not kept.
    """
    location = own_location(location)
    known = published.published_name(name)
    path = _find_own(name, known, location, check) if location and _NAME.fullmatch(name) else None
    if path is None and known:
        path = local_path(known)
        downloads.fetch(published.addresses()[known], path, known, check)
    if path is None:
        raise UserError(_unknown(name, location))
    return path


def own_location(location=None):
    """The user's own zoo: `location`, else the environment variable's, else None. Raises UserError if it is no folder."""
    source = "--zoo" if location else VARIABLE
    location = location or os.environ.get(VARIABLE)
    if location and not downloads.is_address(location) and not os.path.isdir(location):
        raise UserError(f"there is no folder {location}: {source} takes a folder or a URL prefix (http:// or https://)")
    return location or None


def own_names(location):
    """The names of the models of a zoo, sorted; None if a URL prefix does not tell, since it has no models.txt."""
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
            f"{_join(location, LIST)} names {wrong!r}, which is no name of a model: one a line, of letters, digits and . _ + -"
        )
    return names


def local_path(name, location=None):
    """Where a model lies once it is there: in the zoo's folder, or below TORCH_HOME, as all of torch.hub's files; those
    of a URL prefix have a folder of their own there.
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


def _find_own(name, known, location, check):
    """The path of a model of the user's own zoo, fetched if need be; None if it has none of that name."""
    # a mirror may keep the published files' names
    stems = [
        name.removesuffix(".pth"),
        *([known, os.path.basename(published.addresses()[known]).removesuffix(".pth")] if known else []),
    ]
    for stem in dict.fromkeys(stems):
        path = local_path(stem, location)
        if not os.path.exists(path) and downloads.is_address(location):
            try:
                downloads.fetch(_join(location, f"{stem}.pth"), path, stem, check)
            except downloads.NotThereError:
                continue
        if os.path.exists(path):
            return path
    return None


def _unknown(name, location):
    if name.endswith((".pth", ".pt", ".tar")) or os.sep in name:
        return f"there is no file {name}; check the path"
    own = ""
    if location:
        names = ", ".join(own_names(location) or [])
        own = f", nor in the zoo {location}{names and f' (which has {names})'},"
    return f"{name!r} is neither a file{own} nor a published model; the published models are {', '.join(published.addresses())}"


def _join(location, name):
    return f"{location.rstrip('/')}/{name}"


def _checkpoints_folder():
    return os.path.join(torch.hub.get_dir(), "checkpoints")

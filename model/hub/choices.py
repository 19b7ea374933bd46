"""Which method of torch.hub is meant, and the methods that are known by name. It imports no torch."""

import ast
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from support.errors import UserError

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WORDS = {"true": True, "false": False, "none": None}  # as shells and other languages write them


class KnownMethod(NamedTuple):
    """A published method and the settings of its authors. docs/methods.md says where they are from."""

    repository: str
    commit: str
    entry: str
    arguments: dict[str, Any]
    image_size: int | tuple[int, int] | None  # as of HubSpec


METHODS = {
    "megaloc": KnownMethod(
        "gmberton/MegaLoc", "1af071c68fc3ab6c6018c5c868391763516e50f7", "get_trained_model", {}, None
    ),
    "salad": KnownMethod("serizba/salad", "e5930053a63c734c2ccbe05aac0aa3ce913edf7f", "dinov2_salad", {}, (322, 322)),
    "boq": KnownMethod(
        "amaralibey/Bag-of-Queries",
        "1a4965ea7dfd9bd0dd846adf7a0e430f68101d12",
        "get_trained_boq",
        {"backbone_name": "dinov2", "output_dim": 12288},
        (322, 322),
    ),
    "boq_resnet50": KnownMethod(
        "amaralibey/Bag-of-Queries",
        "1a4965ea7dfd9bd0dd846adf7a0e430f68101d12",
        "get_trained_boq",
        {"backbone_name": "resnet50", "output_dim": 16384},
        (384, 384),
    ),
    "anyloc": KnownMethod(
        "AnyLoc/DINO",
        "eea7d4ca95c132c4ef5e84cd618679d484821945",
        "get_vlad_model",
        {"domain": "urban", "backbone": "DINOv2"},
        (224, 224),
    ),
    "cricavpr": KnownMethod(
        "Lu-Feng/CricaVPR", "f53e941d34a559ca8432960bc2c29ef22f940c97", "trained_model", {}, (224, 224)
    ),
    "edtformer": KnownMethod(
        "Tong-Jin01/EDTformer", "d0b85da3475e776b7baf87fbab5d5bfa6b50d723", "EDTformer", {}, (322, 322)
    ),
    "eigenplaces": KnownMethod(
        "gmberton/EigenPlaces",
        "a2969f71d5ea31017443af490b15273ca4c50af1",
        "get_trained_model",
        {"backbone": "ResNet50", "fc_output_dim": 2048},
        None,
    ),
    "cosplace": KnownMethod(
        "gmberton/CosPlace",
        "33ce8d0d2f35a875887b2ef7f00b2dde6cc38dd3",
        "get_trained_model",
        {"backbone": "ResNet50", "fc_output_dim": 2048},
        None,
    ),
}


@dataclass(frozen=True)
class HubSpec:
    """An entry point of torch.hub, its arguments, and the images that it gets."""

    name: str  # as it was given, for logs and pages
    source: str  # OWNER/REPO, or the path of a folder
    commit: str | None  # None: the source is a folder
    entry: str
    arguments: dict[str, Any]
    image_size: int | tuple[int, int] | None = None  # pixels of the shorter side, or height and width; None: as others
    mean: tuple[float, ...] | None = None  # of the channels, of images in [0, 1]; None: ImageNet's
    std: tuple[float, ...] | None = None

    @classmethod
    def parse(
        cls,
        flag: str,
        words: Sequence[str],
        image_size: Sequence[int] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Self:
        """The method that a flag names. Raises UserError if it names none.

        flag: for messages, as "--hub"
        words: its values: a name of METHODS, or a source and an entry; then arguments of the entry, as key=value
        image_size: one number, or two; None: the known method's own
        mean, std: as of HubSpec
        """
        known = METHODS.get(words[0].lower())
        settings = dict(known.arguments) if known else {}
        rest = words[1:] if known else words[2:]
        settings |= _parse_arguments(flag, rest)
        if known:
            source, commit, entry = known.repository, known.commit, known.entry
        else:
            source, commit = _parse_source(flag, words[0])
            if len(words) < 2 or "=" in words[1]:
                raise UserError(f"{flag} {words[0]} names no entry point: give it too, as {flag} {words[0]} ENTRY")
            entry = words[1]
        if image_size is not None and len(image_size) > 2:
            raise UserError(f"{flag}_image_size takes the shorter side alone, or height and width")
        size = image_size if image_size is None else image_size[0] if len(image_size) == 1 else tuple(image_size)
        name = " ".join([words[0] if known or commit is None else source, *words[1:]])
        return cls(
            name if size is None else f"{name} ({describe_size(size)})",
            source,
            commit,
            entry,
            settings,
            known.image_size if known and size is None else size,
            mean and tuple(mean),
            std and tuple(std),
        )

    @property
    def place(self) -> str:
        """Where its code can be read."""
        return f"https://github.com/{self.source}/tree/{self.commit}" if self.commit else self.source


def describe_size(size: int | tuple[int, int]) -> str:
    """What messages say of a size: "322 x 322 pixels" (width x height), or "shorter side 480 pixels"."""
    return f"shorter side {size} pixels" if isinstance(size, int) else f"{size[1]} x {size[0]} pixels"


def _parse_source(flag: str, word: str) -> tuple[str, str | None]:
    """(OWNER/REPO, its commit), or (the path of a folder, None)."""
    if os.path.isdir(word):
        return word, None
    repository, _, commit = word.partition(":")
    if word.startswith((".", "/", "~")) or not _REPOSITORY.fullmatch(repository):
        raise UserError(
            f"{flag} {word}: there is no such folder, and it is no OWNER/REPO:COMMIT of GitHub and none of the known "
            f"methods {', '.join(METHODS)}"
        )
    if not _COMMIT.fullmatch(commit):
        raise UserError(
            f"{flag} {word} may be another program tomorrow: pin it to a commit, as {repository}:COMMIT with all 40 "
            f"digits (git ls-remote https://github.com/{repository} HEAD prints the newest)"
        )
    return repository, commit


def _parse_arguments(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """{name: value} of words key=value: values as Python writes them, or else texts."""
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"{flag}: {word!r} is no argument of the entry point: write it as key=value")
        if key in settings:
            raise UserError(f"{flag} gives {key} twice: give it once")
        try:
            settings[key] = _WORDS[text.lower()] if text.lower() in _WORDS else ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            settings[key] = text
    return settings

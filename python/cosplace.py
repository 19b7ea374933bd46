"""This repository as one package: `cosplace.model`, `cosplace.datasets` and so on are its modules.

Put this folder on sys.path to use the repository in a program of your own. Nothing but `cosplace` becomes importable
by that. The repository's own names (`model`, `datasets`, `test`, ...) stay free for your packages.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL import Image

_NAME = "cosplace"
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

__path__ = [_ROOT]


def get_trained_model(
    backbone: str = "ResNet50",
    fc_output_dim: int = 2048,
    method: str = "CosPlace",
) -> torch.nn.Module:
    """A published network with its weights, in eval mode.

    It takes normalised images (B, 3, H, W) and returns unit descriptors (B, fc_output_dim). Prepare images with
    `preprocess`.

    backbone: VGG16, ResNet18, ResNet50, ResNet101 or ResNet152
    fc_output_dim: one that is published for this backbone
    method: "CosPlace" or "EigenPlaces"
    """
    from cosplace.model.checkpoints import load_network

    prefix = {"cosplace": "", "eigenplaces": "EigenPlaces_"}.get(method.lower())
    if prefix is None:
        raise ValueError(f'method is {method!r}, and must be "CosPlace" or "EigenPlaces"')
    return load_network(f"{prefix}{backbone}_{fc_output_dim}").eval()


def preprocess(image: str | os.PathLike[str] | IO[bytes] | Image.Image, resize: int | None = None) -> torch.Tensor:
    """A photo as the network expects it: float32 (3, H, W), upright, ImageNet-normalised.

    image: a path, a file object or a PIL image
    resize: pixels of the shorter side; None keeps the photo's own size, as in the published evaluation
    """
    from cosplace.datasets.images import open_rgb, resize_shorter_side, to_array
    from cosplace.model.normalization import normalize, to_tensor

    image = open_rgb(image)
    return normalize(to_tensor(to_array(resize_shorter_side(image, resize) if resize else image)))


def _own_names() -> frozenset[str]:
    """The names of the modules and packages at the repository's root."""
    with os.scandir(_ROOT) as entries:
        return frozenset(
            entry.name.removesuffix(".py")
            for entry in entries
            if entry.name.endswith(".py") or os.path.isfile(os.path.join(entry.path, "__init__.py"))
        )


_OWN_NAMES = _own_names()


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """As the builtin __import__, but this repository's own names are those below `cosplace`."""
    top = name.partition(".")[0]
    if level or top not in _OWN_NAMES:
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = builtins.__import__(f"{_NAME}.{name}", globals, locals, fromlist, 0)
    return module if fromlist else sys.modules[f"{_NAME}.{top}"]  # `import a.b` binds a, here cosplace.a


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module whose imports of this repository's own names lead below `cosplace`.

    Python looks __import__ up in the __builtins__ of the code that imports. So a dictionary of its own redirects these
    modules alone.
    """

    def exec_module(self, module: Any) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Finder:
    """Finds `cosplace.*` among the files of this repository."""

    root = _ROOT

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module with the loader above; None for modules that are not this repository's."""
        if not fullname.startswith(f"{_NAME}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader = spec.loader if spec else None
        if type(loader) is importlib.machinery.SourceFileLoader and loader.path.startswith(cls.root + os.sep):
            spec.loader = _Loader(loader.name, loader.path)
        return spec


# once, even if this module is loaded again
if not any(getattr(finder, "root", None) == _ROOT for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder)

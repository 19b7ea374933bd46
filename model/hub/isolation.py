"""Lets other people's modules be imported beside this project's, whose names (model, datasets, test) they share."""

import contextlib
import functools
import io
import logging
import os
import random
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import torch

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_OWN_NAMES = frozenset(name.removesuffix(".py") for name in os.listdir(_ROOT))


class TheirModules:
    """The Python modules of a method, which are found in its own contexts alone.

    folders: of the method's files, the one with its hubconf.py first; modules below any of them are its own
    """

    def __init__(self, *folders: str):
        self.folders = folders
        self.modules: dict[str, ModuleType] = {}
        self._dtype = torch.get_default_dtype()  # which its code may set

    @contextlib.contextmanager
    def found(self) -> Iterator[None]:
        """A context in which the method's modules can be imported, and this project's cannot.

        Two methods, or a method and this project, may have modules of one name. Nothing can be asked on the terminal.
        What their code changes in the process (default type and device, random numbers, working folder, logs) is
        as it was afterwards.
        """
        path, stdin = list(sys.path), sys.stdin
        ours = {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] in _OWN_NAMES and _lies_in(module, (_ROOT,))
        }
        for name in ours:
            del sys.modules[name]
        before = set(sys.modules)
        sys.modules.update(self.modules)
        sys.path[:] = [self.folders[0], *(entry for entry in path if _real(os.path.abspath(entry)) != _ROOT)]
        sys.stdin = io.StringIO()
        try:
            with _process_as_it_was():
                torch.set_default_dtype(self._dtype)
                yield
                self._dtype = torch.get_default_dtype()
        finally:
            sys.stdin, sys.path[:] = stdin, path
            for name in sys.modules.keys() - before:
                if _lies_in(sys.modules[name], self.folders):
                    self.modules[name] = sys.modules.pop(name)
            sys.modules.update(ours)


@contextlib.contextmanager
def _process_as_it_was() -> Iterator[None]:
    """A context after which the settings of the process are those before."""
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    folder, root = os.getcwd(), logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    drawn, errors = (torch.get_rng_state(), np.random.get_state(), random.getstate()), np.geterr()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        os.chdir(folder)
        root.handlers[:], root.level = handlers, level
        logging.disable(disabled)
        torch.set_rng_state(drawn[0])
        np.random.set_state(drawn[1])
        random.setstate(drawn[2])
        np.seterr(**errors)


_real = functools.cache(os.path.realpath)


def place_of(module: ModuleType) -> str | None:
    """The real path of a module's file, or of its folder; None if it has none."""
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return _real(path) if path else None


def _lies_in(module: ModuleType, folders: tuple[str, ...]) -> bool:
    """Whether a module lies below one of some folders, and is no installed package there."""
    place = place_of(module)
    return (
        place is not None
        and "site-packages" not in place
        and any(place.startswith(os.path.join(_real(folder), "")) for folder in folders)
    )

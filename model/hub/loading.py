"""Loads a method by torch.hub: code of other people runs here, and what goes wrong with it is said in one line."""

import ast
import hashlib
import logging
import os
import socket
import urllib.error
from typing import Any

import torch
from torch import nn

import distributed
from model.hub.choices import HubSpec
from model.hub.isolation import TheirModules, place_of
from support.errors import UserError
from support.git import commit_of
from support.memory import is_out_of_memory

logger = logging.getLogger(__name__)

_PATIENCE = 60  # seconds that a server may send nothing
_HUBCONF = "hubconf.py"
# of the files that say what a method does; its weights are compared themselves
_SOURCES = (".py", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".txt")


def load_module(spec: HubSpec) -> tuple[nn.Module, TheirModules, dict[str, Any]]:
    """Loads the module of an entry point, in evaluation mode, on the CPU.

    Rank 0 loads it first, so that one process downloads it.

    Returns the module, its Python modules, and what it was loaded from, plain: source, commit, entry, arguments and
    the digest of each folder of code. Raises UserError, which says why, if there is no module.
    """
    if not distributed.is_main():
        distributed.barrier()
    folder = _folder_of(spec)
    modules, patience = TheirModules(folder, torch.hub.get_dir()), socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        with modules.found():
            module = _load(spec)
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise UserError(f"there is not enough memory to load {spec.name}") from error
        raise _explained(spec, folder, error) from error
    finally:
        socket.setdefaulttimeout(patience)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{spec.name} gives {_kind(module)}, no torch.nn.Module: name an entry point that returns a network"
        )
    if distributed.is_main():
        distributed.barrier()
    return module.eval().requires_grad_(False), modules, _describe(spec, folder, modules)


def _load(spec: HubSpec) -> Any:
    if spec.commit is None:
        return torch.hub.load(os.path.abspath(spec.source), spec.entry, source="local", **spec.arguments)
    # a commit's digits tell its content, wherever it lies: no list of branches is asked for
    return torch.hub.load(
        f"{spec.source}:{spec.commit}",
        spec.entry,
        trust_repo=True,
        skip_validation=True,
        verbose=False,
        **spec.arguments,
    )


def _folder_of(spec: HubSpec) -> str:
    """Where the method's files lie, or will lie once torch.hub has fetched them."""
    if spec.commit is None:
        return os.path.abspath(spec.source)
    return os.path.join(torch.hub.get_dir(), f"{spec.source.replace('/', '_')}_{spec.commit}")


def _explained(spec: HubSpec, folder: str, error: BaseException) -> UserError:
    """What a user can do about an error of torch.hub or of the method's code."""
    if isinstance(error, urllib.error.HTTPError) and error.code in (404, 422):
        return UserError(f"{spec.name}: {error.url} is not there ({error}): check the name and the commit")
    if isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError):
        return UserError(
            f"{spec.name} cannot be fetched ({_short(error)}): check the network, or clone it and name its folder"
        )
    text = str(error)
    if isinstance(error, OSError) and os.path.basename(str(error.filename)) == _HUBCONF:
        advice = ": if its download was interrupted, remove that folder" if spec.commit else ""
        return UserError(f"{folder} has no {_HUBCONF}, in which torch.hub looks for {spec.entry}{advice}")
    if isinstance(error, EOFError):  # as torch.hub, before it loads a repository for the code of another one
        return UserError(f"{spec.name} asks a question, which nobody can answer here: load it once in Python by hand")
    if isinstance(error, ModuleNotFoundError) and error.name:
        return UserError(f"{spec.name} needs the package {error.name}, which is not installed: install it")
    if text.startswith("Missing dependencies: "):
        missing = text.removeprefix("Missing dependencies: ")
        return UserError(f"{spec.name} needs packages that are not installed: install {missing}")
    if text.startswith("Cannot find callable "):
        entries = _entries(os.path.join(folder, _HUBCONF))
        return UserError(f"{spec.source} has no entry point {spec.entry}; it has {', '.join(entries) or 'none'}")
    return UserError(f"{spec.name} cannot be loaded with these arguments ({_short(error)})")


def _entries(path: str) -> list[str]:
    """The entry points in a hubconf.py: its functions, and what it imports by name. Nothing in it is run."""
    try:
        with open(path, encoding="utf-8") as file:
            statements = ast.parse(file.read()).body
    except (OSError, ValueError, SyntaxError):
        return []
    names = [node.name for node in statements if isinstance(node, ast.FunctionDef)]
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    return sorted(name for name in names if not name.startswith("_") and name != "*")


def _describe(spec: HubSpec, folder: str, modules: TheirModules) -> dict[str, Any]:
    """What a method was loaded from, for environment.json."""
    hub = os.path.realpath(torch.hub.get_dir())
    folders = {os.path.realpath(folder)}
    for place in filter(None, map(place_of, modules.modules.values())):
        if place.startswith(os.path.join(hub, "")):  # what the method has loaded by torch.hub itself
            folders.add(os.path.join(hub, os.path.relpath(place, hub).split(os.sep)[0]))
    commit = spec.commit or commit_of(folder, _HUBCONF)
    if spec.commit is None:
        logger.info(f"{spec.source}: {f'commit {commit}' if commit else 'no commit of git'}")
    return {
        "source": spec.source,
        "commit": commit,
        "entry": spec.entry,
        "arguments": spec.arguments,
        "code": {os.path.basename(path): digest_code(path) for path in sorted(folders)},
    }


def digest_code(folder: str) -> str:
    """SHA-256 (hexadecimal) of the names and contents of a folder's source files. Hidden folders are left out."""
    digest = hashlib.sha256()
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            if name.endswith(_SOURCES):
                file = os.path.join(path, name)
                with open(file, "rb") as content:
                    digest.update(f"{os.path.relpath(file, folder)}\n".encode(errors="surrogateescape"))
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _short(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

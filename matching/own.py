"""A matcher of one's own: MODULE:FUNCTION, whose result has the methods features and matches."""

import hashlib
import importlib
import os
import sys

import numpy as np
import torch

from matching.matchers import Features
from support.errors import UserError


class OwnMatcher:
    """What a function of another module made, as a Matcher.

    place: "MODULE:FUNCTION". The module is looked for as Python does, and in the working folder.

    Running it runs other code: only where the user trusts it. Raises UserError if there is no such function, or if it
    gives something else.
    """

    def __init__(self, place: str):
        self.name = place
        module_name, _, function_name = place.partition(":")
        sys.path.append(os.getcwd())
        try:
            module = importlib.import_module(module_name)
            function = getattr(module, function_name, None)
            if not callable(function):
                raise UserError(f"--matcher {place}: {module_name} has no function {function_name!r}; check the name")
            self._matcher = function()
        except UserError:
            raise
        except (Exception, SystemExit) as error:  # other people's code raises anything
            raise _explained(place, module_name, error) from error
        finally:
            sys.path.pop()
        for method in ("features", "matches"):
            if not callable(getattr(self._matcher, method, None)):
                raise UserError(
                    f"--matcher {place} gave a value of type {type(self._matcher).__name__} without a method {method}: "
                    "it needs features(image) and matches(features, features)"
                )
        digest = ""
        if getattr(module, "__file__", None):
            with open(module.__file__, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.digest = digest
        self.identity = f"{place} {digest} {getattr(self._matcher, 'version', '')}"

    def features(self, image: torch.Tensor) -> Features:
        """As of Matcher."""
        return self._matcher.features(image)

    def matches(self, first: Features, second: Features) -> np.ndarray:
        """As of Matcher."""
        return self._matcher.matches(first, second)


def _explained(place: str, module_name: str, error: BaseException) -> UserError:
    """What a user can do about an error of the module."""
    if isinstance(error, ModuleNotFoundError):
        if error.name and module_name.split(".")[0] != error.name.split(".")[0]:
            return UserError(f"--matcher {place} needs {error.name}, which is not installed: install it")
        return UserError(
            f"--matcher {place}: there is no module {module_name} here or on Python's path; check the name"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"--matcher {place} cannot be made ({reason}): fix it, or check the name")

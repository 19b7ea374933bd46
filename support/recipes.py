"""Recipes: files of flags, which a command line names as @FILE."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterator, Sequence

from support.errors import UserError
from support.regular_files import NotRegularError, open_regular

_MAX_RECIPES, _MAX_RECIPE = 100, 1 << 16  # how many a command may lead to; characters of one


def expand_recipes(argv: Sequence[str] | None = None) -> list[str]:
    """Replaces every @FILE among arguments by the flags in that file; recipes may name recipes.

    argv: the arguments (default: the command line's). Raises UserError on a recipe that cannot be read or includes
    itself, and when there is no end to them.
    """
    return [word for word, _ in expand_with_origin(argv)]


def expand_with_origin(argv: Sequence[str] | None = None) -> list[tuple[str, str | None]]:
    """As expand_recipes, but pairs (argument, the recipe that it stands in, or None)."""
    arguments = sys.argv[1:] if argv is None else [str(argument) for argument in argv]
    return _expand(arguments, None, (), itertools.count(1))


def _expand(
    arguments: list[str], origin: str | None, including: tuple[str, ...], opened: Iterator[int]
) -> list[tuple[str, str | None]]:
    """expand_with_origin, of the words of one line.

    arguments: the words; origin: the recipe that they stand in; including: the real paths of the recipes around them,
    outermost first; opened: counts recipes.
    """
    expanded = []
    for argument in arguments:
        if not argument.startswith("@"):
            expanded.append((argument, origin))
            continue
        path = argument[1:]
        if next(opened) > _MAX_RECIPES:
            raise UserError(
                f"the recipe {including[0] if including else path} leads to more than {_MAX_RECIPES} recipes"
            )
        lines, real = _read_recipe(path)
        if real in including:
            raise UserError(f"the recipe {path} includes itself")
        for number, line in enumerate(lines, 1):
            try:
                words = shlex.split(_without_comment(line))
            except ValueError as error:
                raise UserError(f"line {number} of the recipe {path} cannot be split into flags: {error}") from error
            expanded += _expand(words, path, (*including, real), opened)
    return expanded


def _read_recipe(path: str) -> tuple[list[str], str]:
    """(the lines of a recipe, its real path)."""
    try:
        with open_regular(path, "r", encoding="utf-8") as file:
            text = file.read(_MAX_RECIPE + 1)
        if len(text) > _MAX_RECIPE or "\0" in text:
            raise ValueError
        return text.splitlines(), os.path.realpath(path)
    except (ValueError, NotRegularError) as error:
        raise UserError(f"the recipe {path} is not a text file of at most {_MAX_RECIPE} characters") from error
    except OSError as error:
        raise UserError(f"the recipe {path} cannot be read: {error.strerror}") from error


def _without_comment(line: str) -> str:
    """A line without its comment. As in a shell, and unlike shlex, # begins one only at the beginning of a word."""
    quote, previous, skip = None, " ", False
    for index, character in enumerate(line):
        if skip:
            skip = False
        elif character == "\\" and quote != "'":
            skip = True
        elif quote:
            quote = None if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and previous.isspace():
            return line[:index]
        previous = character
    return line


def path_in_command(path: str) -> str:
    """A path as a shell's command has it: quoted, and no recipe (@...) or option (-...) for the script."""
    return shlex.quote(os.path.join(os.curdir, path) if path.startswith(("@", "-")) else path)

"""Command-line options, each declared once: a group of options is a dataclass, and its fields are made by option()."""

import argparse
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from support.errors import UserError

Group = TypeVar("Group")
SWITCH = "switch"  # the kind of an option without a value: False, or True when it is given


@dataclasses.dataclass(frozen=True)
class Option:
    """What is declared of an option. See option() for the meaning of the fields."""

    default: Any
    kind: Any
    help: str
    scripts: tuple[str, ...]
    results: bool = False
    ranks: str = "same"
    published: bool = False
    unit: str = ""
    default_text: str = ""
    help_in: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nargs: str | int | None = None
    metavar: str | tuple[str, ...] | None = None
    constant: Any = None
    required: bool = False
    positional: bool = False
    name: str = ""

    @property
    def flag(self) -> str:
        """How the command line names it."""
        return self.name if self.positional else f"--{self.name}"

    def describe(self, script: str) -> str:
        """Its line in a script's --help: the meaning, the unit and the default."""
        text = self.help_in.get(script, self.help) + (f", {self.unit}" if self.unit else "")
        if not (self.kind == SWITCH or self.required or self.positional):
            default = "none" if self.default in (None, ()) else self.default
            text += f" (default: {self.default_text or default})"
        return text

    def shared(self, value: Any) -> Any:
        """What all ranks must have in common of its value, plain, for JSON and for messages."""
        if self.ranks == "own":
            return None
        if self.ranks == "same" or value == "auto":
            return value
        if isinstance(value, list | tuple):
            return f"with {len(value)} values"
        return "not given" if value is None else "given"

    def add_to(self, group: Any, script: str, hidden: bool) -> None:
        """Adds it to a group of an argparse parser.

        group: of the parser; script: whose parser it is; hidden: whether it is accepted only, not shown in --help. A
        hidden option that is not given is absent from the Namespace.
        """
        settings: dict[str, Any] = {
            "help": argparse.SUPPRESS if hidden else self.describe(script).replace("%", "%%"),
            "default": argparse.SUPPRESS if hidden else self.default,
        }
        if self.kind == SWITCH:
            settings["action"] = "store_true"
        else:
            settings |= {"choices": self.kind} if isinstance(self.kind, tuple) else {"type": self.kind}
            for name, value in (("nargs", self.nargs), ("metavar", self.metavar), ("const", self.constant)):
                settings |= {} if value is None else {name: value}
            settings |= {"required": True} if self.required and not hidden else {}
        group.add_argument(self.flag, **settings)

    def add_skipped(self, parser: argparse.ArgumentParser, flag: str) -> None:
        """Lets a parser skip it, and its values, where it is spelled as `flag`."""
        nargs = 0 if self.kind == SWITCH else self.nargs
        parser.add_argument(flag, nargs=nargs, action=_Skip, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


class _Skip(argparse.Action):
    def __call__(self, *_: Any) -> None:
        pass


def option(default: Any, kind: Any, help: str, scripts: str, **further: Any) -> Any:  # noqa: A002
    """Declares an option, as the value of a field of a dataclass; the field's name is the option's.

    default: its value when it is not given;
    kind: SWITCH, a tuple of choices, or a function from text to the value, as whole(1);
    help: what it means, without unit and default;
    scripts: the names of the scripts that use it, separated by spaces;
    results: whether the results of a training depend on it, so that a resumed run must have the same value;
    ranks: what the processes of torchrun must have in common: "same", its value; "given", whether it is given, as of a
    path, which machines may have each their own; "own", nothing;
    published: whether CosPlace's published train.py or eval.py has it: then every script accepts it;
    unit: the unit of its value; default_text: what --help says of a default that is computed, or needs words;
    help_in: {script: what it means there}, where that differs; nargs, metavar, constant: argparse's (const);
    required: whether it must be given; positional: whether it stands without a name.
    """
    declared = Option(default, kind, help, tuple(scripts.split()), **further)
    return dataclasses.field(default=default, metadata={"option": declared})


def options_of(group: type) -> list[Option]:
    """The options of a group, in the order of declaration."""
    return [dataclasses.replace(field.metadata["option"], name=field.name) for field in dataclasses.fields(group)]


def group_of(args: argparse.Namespace, group: type[Group]) -> Group:
    """The options of one group out of parsed arguments, as an object of the group's class."""
    return group(**{field.name: getattr(args, field.name) for field in dataclasses.fields(group)})


def refuse_unused(given: Collection[str], uses: dict[str, tuple[object, str]]) -> None:
    """Raises UserError on a flag that nothing uses.

    given: the names of the flags that were given; those of a recipe are not among them, as they serve several scripts
    uses: {name of an option: (whether something uses it, what would)}
    """
    for name, (is_used, needed) in uses.items():
        if name in given and not is_used:
            raise UserError(f"--{name} has no use without {needed}: give that too, or leave --{name} out")


def whole(low: int, high: int = 10**9) -> Callable[[str], int]:
    """The kind of an option that takes a whole number from low to high."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low} and at most {high}")
        return value

    return convert


def number(low: float = float("-inf"), high: float = float("inf")) -> Callable[[str], float]:
    """The kind of an option that takes a finite number from low to high."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or not math.isfinite(value):
            limits = (
                f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}" if math.isfinite(low) else ""
            )
            raise argparse.ArgumentTypeError(f"{text!r} is not a finite number {limits}".rstrip())
        return value

    return convert

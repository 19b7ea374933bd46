"""The command lines of train.py, eval.py, localize.py, soup.py, python -m datasets.check and python -m retrieval.

The options are declared in options/. A flag that a script has no use for is refused with the name of the script that
has it; in a recipe it is skipped, so that one recipe serves all scripts. Nothing here imports torch, so that --help
and usage errors are answered at once.
"""

import argparse
import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from model.choices import is_of_timm
from options import GROUPS, OPTIONS, RESULT_OPTIONS, taken_by
from options.checks import check
from options.domain import DomainOptions
from options.further import CheckOptions, LocalizationOptions, ReportOptions, SoupOptions
from options.losses import LossOptions
from options.method import MethodOptions, eigenplaces_defaults
from options.programs import PROGRAMS, title
from options.shared import DATASET_VARIABLE, EvaluationOptions, ModelOptions, PathsOptions, RunningOptions
from options.training import AugmentationOptions, GroupsOptions, NightOptions, TrainingOptions
from support.errors import UserError
from support.escaping import escape
from support.options import Option, group_of, options_of
from support.recipes import expand_with_origin

__all__ = [
    "DATASET_VARIABLE",
    "RESULT_OPTIONS",
    "Arguments",
    "AugmentationOptions",
    "CheckOptions",
    "DomainOptions",
    "EvaluationOptions",
    "GroupsOptions",
    "LocalizationOptions",
    "LossOptions",
    "MethodOptions",
    "ModelOptions",
    "NightOptions",
    "PathsOptions",
    "ReportOptions",
    "RunningOptions",
    "SoupOptions",
    "TrainingOptions",
    "answer_early",
    "group_of",
    "parse_arguments",
]
_DEFAULTS = {option.name: option.default for option in reversed(OPTIONS)}
_IN_A_RECIPE = " of a recipe"  # after the name of a flag that is to be skipped
_early: dict[str, "Arguments"] = {}  # script -> what answer_early has parsed


class Arguments(argparse.Namespace):
    """The arguments of a script. vars() lists its own and those given; all others read as their defaults.

    changed: {name: value} of its own flags that were given another value than the default, as given; not in vars()
    given: the names of the flags that were given, those of recipes aside; not in vars()
    """

    __slots__ = ("changed", "given")

    def __getattr__(self, name: str) -> Any:
        try:
            return _DEFAULTS[name]
        except KeyError:
            raise AttributeError(name) from None


def parse_arguments(script: str = "train", argv: Sequence[str] | None = None) -> Arguments:
    """The arguments of a script; on a usage error it prints one line and exits with code 2.

    script: a key of PROGRAMS; argv: the arguments (default: the command line's). Beyond the flags: train_set_folder,
    val_set_folder and test_set_folder are resolved; expected_architecture is (backbone, fc_output_dim), each None
    unless it was given; save_dir_given tells whether save_dir was.
    """
    if argv is None and script in _early:
        return _early.pop(script)
    parser = _make_parser(script)
    try:
        words = _words(script, argv)
        args = Arguments(**vars(parser.parse_args(words)))
        if args.method == "eigenplaces":
            defaults = eigenplaces_defaults(args.backbone).items()
            parser.set_defaults(**{name: value for name, value in defaults if name in taken_by(script)})
            args = Arguments(**vars(parser.parse_args(words)))
        args.changed, args.given = _changed(args, script), _given(argv)
        check(args, script)
    except UserError as error:
        parser.error(str(error))
    _complete(args, script)
    if _has_ranks():
        _check_ranks(args, script, parser)
    return args


def answer_early(script: str) -> None:
    """Answers --help and usage errors of the command line, for a script to call before it imports torch.

    The parsed arguments are kept for parse_arguments. A process of torchrun waits: there only one rank may print.
    From here to support.signals.Signals, which is while torch is imported, Ctrl-C ends the script with one line.
    """
    if not _has_ranks():
        signal.signal(signal.SIGINT, _interrupted)
        _early[script] = parse_arguments(script)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"\nerror: interrupted\n")
    os._exit(128 + number)  # an error could get lost in what is imported


def _check_ranks(args: Arguments, script: str, parser: "_Parser") -> None:
    """Ends the script if another rank has other arguments: ranks would wait for each other, or train two networks."""
    import distributed

    values = {name: option.shared(getattr(args, name)) for name, option in taken_by(script).items()}
    try:
        distributed.check_same(values, "arguments", "give all ranks the same", _differences)
    except UserError as error:
        parser.error(str(error))
    except RuntimeError as error:  # another rank has ended, as on a usage error
        parser.error(str(error), error)


def _differences(first: dict[str, Any], other: dict[str, Any]) -> str:
    """The flags in which two ranks differ, with both values."""
    return "; ".join(f"--{name}: {first[name]} and {other[name]}" for name in first if first[name] != other[name])


def _changed(args: Arguments, script: str) -> dict[str, Any]:
    """{name: value} of a script's own flags whose values are not the defaults."""
    flags = {name: option for name, option in taken_by(script).items() if not option.positional}
    values = ((name, getattr(args, name), option.default) for name, option in flags.items())
    return {name: value for name, value, default in values if value != default}


def _given(argv: Sequence[str] | None) -> set[str]:
    """The names of the flags that were given, those of recipes aside."""
    words = [word for word, recipe in expand_with_origin(argv) if recipe is None]
    return {word.partition("=")[0][2:] for word in words if word.startswith("--")}


def _complete(args: Arguments, script: str) -> None:
    """Fills in what --help says of defaults that are no plain values."""
    own = taken_by(script)
    if "backbone" in own:
        # what a checkpoint is expected to be: only what was asked for
        args.expected_architecture = args.backbone, args.fc_output_dim
        args.backbone, args.fc_output_dim = args.backbone or "ResNet18", args.fc_output_dim or 512
        if "backbone_weights" in own and is_of_timm(args.backbone) and args.backbone_weights == "IMAGENET1K_V1":
            args.backbone_weights = "timm"
    if "save_dir" in own:
        args.save_dir_given = args.save_dir is not None
        args.save_dir = args.save_dir or "default"
    if "recall_values" in own:
        # R@1 is what the best model is chosen by, and what a page begins with
        args.recall_values = tuple(sorted({1, *args.recall_values}))
    if "save_descriptors" in own:
        args.save_descriptors = tuple(args.save_descriptors) if args.save_descriptors != [] else ("npy",)


def _accepts(script: str, option: Option) -> bool:
    """Whether a script accepts an option, which it need not use.

    All accept the published ones. The check accepts those of the training whose data it looks over.
    """
    return script in option.scripts or option.published or (script == "check" and "train" in option.scripts)


def _foreign(script: str) -> dict[str, Option]:
    """{name: option} of the flags that a script does not accept."""
    accepted = {option.name for option in OPTIONS if _accepts(script, option)}
    flags = [option for option in reversed(OPTIONS) if not option.positional]
    return {option.name: option for option in flags if option.name not in accepted}


def _namesakes(script: str) -> dict[tuple[str, str], Option]:
    """{(name, value): option} of other scripts' options that are called as one of this script: train.py's --method."""
    own = {name: option for name, option in taken_by(script).items() if isinstance(option.kind, tuple)}
    others = [option for option in OPTIONS if option.name in own and script not in option.scripts]
    choices = [(option, value) for option in others for value in option.kind if value not in own[option.name].kind]
    return {(option.name, value): option for option, value in choices}


def _words(script: str, argv: Sequence[str] | None) -> list[str]:
    """The arguments with recipes expanded, in which foreign flags are marked as such.

    Raises UserError on a foreign flag that does not come from a recipe, and on a recipe that cannot be read.
    """
    foreign, namesakes = _foreign(script), _namesakes(script)
    pairs, words = expand_with_origin(argv), []
    for (word, recipe), (following, _) in zip(pairs, [*pairs[1:], ("", None)], strict=False):
        flag, equals, value = word.partition("=")
        option = foreign.get(flag[2:]) if flag.startswith("--") else None
        if recipe is not None and flag.startswith("--"):
            option = option or namesakes.get((flag[2:], value if equals else following))
        if option and recipe is None:
            raise UserError(f"{title(script)} has no {flag}; {title(option.scripts[0])} has")
        words.append(f"{flag}{_IN_A_RECIPE}{equals}{value}" if option else word)
    return words


def _make_parser(script: str) -> "_Parser":
    """The parser of a script: its own options are in --help, others that it accepts are not."""
    program = PROGRAMS[script]
    parser = _Parser(
        prog=title(script),
        usage=f"python {program.command} [flags and @RECIPES]",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=program.description,
        epilog="@FILE reads flags from a recipe: lines split as a shell would, # begins a comment.",
    )
    parser.examples = program.examples
    for group in GROUPS:
        options = [option for option in options_of(group) if _accepts(script, option)]
        shown = parser.add_argument_group(group.__doc__) if options else None
        for option in options:
            option.add_to(shown, script, hidden=script not in option.scripts)
    namesakes = {option.name: option for option in _namesakes(script).values()}
    for option in (_foreign(script) | namesakes).values():
        option.add_skipped(parser, f"--{option.name}{_IN_A_RECIPE}")
    return parser


class _Parser(argparse.ArgumentParser):
    """Prints a usage error as one line. Of the processes of torchrun, one prints."""

    examples: tuple[str, ...] = ()

    def error(self, message: str, reason: Exception | None = None) -> NoReturn:
        code = 2
        if _has_ranks():
            import distributed  # it imports torch, which a process on its own need not wait for here

            code, message = distributed.settle(code, message, reason)
            if message is None:
                raise SystemExit(code)
        # escaped: a recipe may be untrusted
        self.exit(code, f"{self.prog}: error: {escape(message)}\nsee {self.prog} --help\n")

    def format_help(self) -> str:
        lines = "".join(f"  python {example}\n" for example in self.examples)
        return f"examples:\n{lines}\n{super().format_help()}"

    def print_help(self, file: Any = None) -> None:
        if _has_ranks():
            import distributed

            if not distributed.is_main():
                return
        super().print_help(file)


def _has_ranks() -> bool:
    """Whether torchrun started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") != "1"

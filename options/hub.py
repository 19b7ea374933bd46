"""Options of methods that torch.hub loads, and which of them do not go together."""

import argparse
from dataclasses import dataclass

from model.hub.choices import METHODS, HubSpec
from options.reranking import runs_own_matcher
from support.errors import UserError
from support.options import SWITCH, number, option, refuse_unused, whole


@dataclass(frozen=True)
class HubOptions:
    """methods of torch.hub"""

    hub: tuple[str, ...] = option(
        (),
        str,
        "test this method instead of a network of --resume_model: an entry point of torch.hub, as OWNER/REPO:COMMIT "
        "ENTRY, or FOLDER ENTRY of a clone, and arguments of the entry point, as key=value; or a known method: "
        f"{', '.join(METHODS)}",
        "eval",
        nargs="+",
        metavar="WORD",
    )
    hub_image_size: tuple[int, ...] | None = option(
        None,
        whole(1),
        "resize the images of --hub: their shorter side to N, or all to HEIGHT WIDTH",
        "eval",
        nargs="+",
        metavar="N",
        unit="pixels",
        default_text="the known method's, else as --resize_test_imgs says",
    )
    hub_mean: tuple[float, ...] | None = option(
        None,
        number(),
        "mean of red, green and blue that --hub is normalised with, of images in [0, 1]",
        "eval",
        nargs=3,
        metavar=("R", "G", "B"),
        default_text="ImageNet's",
    )
    hub_std: tuple[float, ...] | None = option(
        None,
        number(1e-6),
        "deviation of red, green and blue that --hub is normalised with",
        "eval",
        nargs=3,
        metavar=("R", "G", "B"),
        default_text="ImageNet's",
    )
    compare_hub: tuple[str, ...] = option(
        (),
        str,
        "compare with this method, named as for --hub, as --compare does with a network",
        "eval",
        nargs="+",
        metavar="WORD",
    )
    compare_hub_image_size: tuple[int, ...] | None = option(
        None,
        whole(1),
        "as --hub_image_size, for --compare_hub",
        "eval",
        nargs="+",
        metavar="N",
        unit="pixels",
        default_text="the known method's, else as --resize_test_imgs says",
    )
    compare_hub_mean: tuple[float, ...] | None = option(
        None,
        number(),
        "as --hub_mean, for --compare_hub",
        "eval",
        nargs=3,
        metavar=("R", "G", "B"),
        default_text="ImageNet's",
    )
    compare_hub_std: tuple[float, ...] | None = option(
        None,
        number(1e-6),
        "as --hub_std, for --compare_hub",
        "eval",
        nargs=3,
        metavar=("R", "G", "B"),
        default_text="ImageNet's",
    )
    trust_code: bool = option(
        False,
        SWITCH,
        "run code with all that you may do on this machine: a --matcher of your own, or in eval.py --hub and "
        "--compare_hub",
        "eval localize",
    )


def hub_spec(args: argparse.Namespace, flag: str) -> HubSpec | None:
    """The method that --hub or --compare_hub names, or None. flag: "hub" or "compare_hub". Raises UserError."""
    settings = (getattr(args, f"{flag}_{name}") for name in ("image_size", "mean", "std"))
    return HubSpec.parse(f"--{flag}", getattr(args, flag), *settings) if getattr(args, flag) else None


def check_hub(args: argparse.Namespace) -> None:
    """Raises UserError on what does not go together with --hub and --compare_hub."""
    for flag in ("hub", "compare_hub"):
        needs = getattr(args, flag), f"--{flag}"
        refuse_unused(args.given, {f"{flag}_{name}": needs for name in ("image_size", "mean", "std")})
    runs_code = args.hub or args.compare_hub or runs_own_matcher(args)
    refuse_unused(args.given, {"trust_code": (runs_code, "--hub, --compare_hub or --matcher MODULE:FUNCTION")})
    if args.compare and args.compare_hub:
        raise UserError("--compare and --compare_hub both name a second method: give one of them")
    if args.hub:
        for name in ("resume_model", "database_descriptors"):
            if getattr(args, name):
                second = "--compare" if name == "resume_model" else "--compare_hub"
                raise UserError(f"--hub and --{name} both name what is tested: to compare them, give one as {second}")
        for name in ("backbone", "fc_output_dim", "backbone_weights"):
            if name in args.given:
                raise UserError(f"--{name} is of networks of this project: leave it out with --hub")
    specs = [spec for spec in (hub_spec(args, "hub"), hub_spec(args, "compare_hub")) if spec]
    if len({spec.name for spec in specs}) < len(specs):
        raise UserError(f"--compare_hub {specs[0].name} is --hub itself: name another method, or other images")
    if specs and not args.trust_code:
        raise UserError(
            f"{specs[0].name} runs code that other people wrote, with all that you may do on this machine: read it at "
            f"{specs[0].place}, and give --trust_code"
        )

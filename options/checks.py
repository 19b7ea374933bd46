"""Which options do not go together, script by script; and the values that follow from other options."""

import argparse
import os
import re

from datasets.choices import check_beta, needs_strength, needs_target
from localization.choices import NEIGHBOURS
from model.choices import head_options, split_loss
from options import default_of
from options.domain import DOMAIN_DEFAULTS
from options.evaluating import check_evaluation, check_no_labels
from options.method import NOT_OF_EIGENPLACES, OF_EIGENPLACES, OF_NEAREST_CROPS
from options.programs import PROGRAMS
from options.reranking import check_reranking, runs_own_matcher
from options.shared import DATASET_VARIABLE
from retrieval.choices import WHITEN_DATABASE
from support.errors import UserError
from support.options import refuse_unused

# options that say how a last layer is fitted, if one is
_FITTING = {
    "train": ("fc_init", "random", "--fc_init pca", ("fc_init_images", "fc_init_power")),
    **dict.fromkeys(
        ("eval", "localize", "describe"),
        ("whiten", None, "--whiten", ("whiten_dim", "whiten_power", "whiten_images")),
    ),
}


def check(args: argparse.Namespace, script: str) -> None:
    """Checks the arguments of a script and resolves its folders. Raises UserError on what does not go together."""
    _refuse_empty(args)
    if script in _FITTING:
        _check_fitting(args, *_FITTING[script])
    if script == "eval" and args.no_labels:
        check_no_labels(args)
    needed = PROGRAMS[script].needed
    if script == "eval" and args.test_set_folders:
        if args.test_set_folder or args.database_folder:
            raise UserError(
                "--test_set_folders finds database and queries itself: leave out --test_set_folder and "
                "--database_folder"
            )
        needed = ()
    if "dataset_folder" in args:
        _resolve_folders(args, needed)
    _CHECKS[script](args)
    if args.faiss_nprobe is not None and args.faiss_index == "Flat":
        raise UserError("--faiss_nprobe is for approximate search: give --faiss_index too")


def _check_fitting(args: argparse.Namespace, name: str, without: str | None, needed: str, names: tuple[str, ...]):
    """Refuses what says how a last layer is fitted, where none is.

    args: of the script
    name: of the option that asks for a layer
    without: its value where it asks for none
    needed: how it is given, for the message
    names: of the options that say how
    """
    for other in names:
        if getattr(args, name) == without and getattr(args, other) != default_of(other):
            raise UserError(f"--{other} says how a last layer is fitted: give {needed} too, or leave it out")


def _refuse_empty(args: argparse.Namespace) -> None:
    for name, value in vars(args).items():
        if value == "":  # as of a variable of the shell that is not set
            raise UserError(f"--{name} is empty; give it a value or leave it out")


def _resolve_folders(args: argparse.Namespace, needed: tuple[str, ...]) -> None:
    """Fills in the folders of train, val and test that the script uses."""
    args.dataset_folder = args.dataset_folder or os.environ.get(DATASET_VARIABLE)
    if needed == ("test",) and args.queries_folder and args.database_folder and not args.dataset_folder:
        needed = ()  # both are paths of their own
    for part in ("train", "val", "test"):
        flag = f"{part}_set_folder"
        if flag not in args:
            continue
        if getattr(args, flag) is None and args.dataset_folder:
            setattr(args, flag, os.path.join(args.dataset_folder, part))
        if getattr(args, flag) is None and part in needed:
            raise UserError(f"give --dataset_folder (or set {DATASET_VARIABLE}), or --{flag}")


def _check_night(args: argparse.Namespace) -> None:
    method = args.night_augmentation
    check_beta(args.fda_beta, args.fda_window)
    fda = needs_target(method), "--night_augmentation fda or fda_pp"
    jitter = args.augmentation_type == "colorjitter", "--augmentation_type colorjitter"
    has_factors = args.augmentation_type not in ("colorjitter", "none")
    uses = {
        "night_probability": (method, "--night_augmentation"),
        "fda_beta": fda,
        "fda_window": fda,
        "pp_strength": (needs_strength(method), "--night_augmentation pp or fda_pp"),
        **dict.fromkeys(("brightness", "contrast", "saturation", "hue"), jitter),
        "fixed_colors": (has_factors, "--augmentation_type brightness, contrast, saturation or bcs"),
    }
    refuse_unused(args.given, uses)


def _resolve_method(args: argparse.Namespace) -> None:
    """Refuses flags that the method has no use for. Fills in the number of EigenPlaces' groups."""
    if args.method == "cosplace":
        refuse_unused(args.given, dict.fromkeys(OF_EIGENPLACES, (False, "--method eigenplaces")))
        _check_groups_num(args)
        return
    for name, why in NOT_OF_EIGENPLACES.items():
        if name in args.given or getattr(args, name) != default_of(name):
            raise UserError(f"--method eigenplaces has no use for --{name} ({why}): leave it out")
    if split_loss(args.loss)[1]:
        raise UserError(f"--method eigenplaces trains heads alone, without pair losses: --loss {args.loss} names one")
    refuse_unused(args.given, dict.fromkeys(OF_NEAREST_CROPS, (args.nearest_crops, "--nearest_crops")))
    if args.nearest_crops and args.crops_folder:
        raise UserError("--crops_folder has parts of panoramas, and --nearest_crops takes no panoramas: leave one out")
    args.groups_num = args.groups_num or args.N**2


def _check_groups_num(args: argparse.Namespace) -> None:
    if not args.groups_num:
        raise UserError("--groups_num 0, all groups, is for --method eigenplaces: give a number of at least 1")


def _check_training(args: argparse.Namespace) -> None:
    _resolve_method(args)
    _resolve_domain(args)
    _check_night(args)
    if needs_target(args.night_augmentation) and not args.target_dataset_folder:
        raise UserError(
            f"--night_augmentation {args.night_augmentation} takes colours from images of the night: give their "
            "folder as --target_dataset_folder"
        )
    _resolve_local_steps(args)
    if args.train_all_layers and args.train_last_blocks is not None:
        raise UserError("give --train_all_layers or --train_last_blocks, not both")
    weights = args.backbone_weights
    if args.resume_model and weights and os.path.basename(weights) != weights:
        raise UserError(
            f"--resume_model and --backbone_weights {weights} both are weights of the backbone: give one of them"
        )
    if args.resume_model and args.resume_train not in (None, "auto"):  # auto may find none, and begin from that network
        raise UserError("--resume_train holds a network already: give it or --resume_model, not both")
    _resolve_loss(args)


def _resolve_loss(args: argparse.Namespace) -> None:
    """Checks the loss, and fills in the defaults that depend on it."""
    head, pairs = split_loss(args.loss)
    head_options(head, args.loss_s, args.loss_m, args.emms_l, args.head_variant)
    for name in ("positives", "pair_options", "pair_weight"):
        if not pairs and getattr(args, name) not in (None, ()):
            raise UserError(f"--{name} needs a pair loss, as in --loss cosface+multi_similarity")
    names = [name for name, _ in args.pair_options]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"--pair_options gives {', '.join(twice)} more than once: give each one value")
    if args.pair_weight is not None and not head:
        raise UserError("--pair_weight is for a pair loss beside a head: leave it out")
    if args.label_smoothing and not head:
        raise UserError(
            "--label_smoothing belongs to a head: name one, as in cosface+multi_similarity, or leave it out"
        )
    args.pair_weight = 1.0 if args.pair_weight is None else args.pair_weight
    _resolve_images_per_class(args)


def _resolve_images_per_class(args: argparse.Namespace) -> None:
    _, pairs = split_loss(args.loss)
    args.images_per_class = args.images_per_class or (4 if pairs else 1)
    if pairs and args.images_per_class == 1:
        raise UserError(f"--loss {args.loss} compares images of one place: --images_per_class must be at least 2")
    if args.batch_size % args.images_per_class or args.batch_size == args.images_per_class:
        raise UserError(
            f"--batch_size {args.batch_size} must be a multiple of --images_per_class {args.images_per_class}, of two "
            "classes at least"
        )


def _resolve_domain(args: argparse.Namespace) -> None:
    """Refuses flags of a domain adaptation that is not asked for, and fills in the defaults of the one that is."""
    for flag, (kinds, default) in DOMAIN_DEFAULTS.items():
        if args.domain_adaptation in kinds:
            if getattr(args, flag) is None:
                setattr(args, flag, default(args) if callable(default) else default)
        elif getattr(args, flag) is not None:
            raise UserError(f"--{flag} needs --domain_adaptation {' or '.join(kinds)}")
    if args.domain_adaptation and args.target_dataset_folder is None:
        raise UserError(
            f"--domain_adaptation {args.domain_adaptation} needs --target_dataset_folder, a folder of images of the "
            "target domain"
        )
    if args.domain_adaptation:
        _check_domain_batch(args)


def _check_domain_batch(args: argparse.Namespace) -> None:
    """Checks how many images of a domain batch are of which folder."""
    batch, target, pseudo = args.domain_batch_size, args.domain_target_images, args.domain_pseudo_images
    if target >= batch:
        raise UserError(
            f"--domain_target_images {target} leaves no source images of --domain_batch_size {batch}: give at most "
            f"{batch - 1}"
        )
    if pseudo is None:
        if args.pseudo_target_folder and args.method == "eigenplaces" and not args.nearest_crops:
            raise UserError("--pseudo_target_folder has panoramas, cut by class: give --domain_pseudo_images (0: none)")
        return
    if args.pseudo_target_folder is None:
        raise UserError("--domain_pseudo_images needs --pseudo_target_folder, the training set by night")
    if pseudo >= target:
        raise UserError(
            f"--domain_pseudo_images {pseudo} leaves no images of --target_dataset_folder among "
            f"--domain_target_images {target}: give at most {target - 1}"
        )


def _resolve_local_steps(args: argparse.Namespace) -> None:
    """Fills in --local_steps: an epoch, unless groups take turns within it."""
    takes_turns = args.parallel == "groups" or args.group_schedule == "iteration"
    if args.local_steps and not takes_turns:
        raise UserError("--local_steps is for --parallel groups or --group_schedule iteration")
    if args.parallel == "groups" and args.group_schedule == "iteration":
        raise UserError("--parallel groups has a schedule of its own: leave out --group_schedule iteration")
    default = args.iterations_per_epoch
    if takes_turns:
        default = min({"groups": 100, "data": 1}[args.parallel], default)
    args.local_steps = args.local_steps or default
    if args.parallel == "groups" and args.iterations_per_epoch % args.local_steps:
        raise UserError(
            f"--local_steps {args.local_steps} does not divide --iterations_per_epoch {args.iterations_per_epoch}: "
            "checkpoints and validations are made where the networks are averaged"
        )
    if args.freeze_bn and args.sync_bn:
        raise UserError("give --freeze_bn or --sync_bn, not both: frozen statistics are the same everywhere")


def _check_localization(args: argparse.Namespace) -> None:
    if not args.resume_model:
        raise UserError("give the network as --resume_model: a best_model.pth, or the name of a published model")
    if not 0 <= args.neighbours <= NEIGHBOURS:
        raise UserError(f"--neighbours is {args.neighbours}, and must be from 0 to {NEIGHBOURS}")
    if not args.positive_dist_threshold:
        raise UserError(
            "--positive_dist_threshold is 0, and must be more: confidence is the probability of being so near"
        )
    _check_places(args)
    check_reranking(args)
    refuse_unused(args.given, {"trust_code": (runs_own_matcher(args), "--matcher MODULE:FUNCTION")})
    if args.rerank > NEIGHBOURS:
        raise UserError(f"--rerank is {args.rerank}: of a photo's {NEIGHBOURS} neighbours no more can be looked at")
    if args.rerank and not (args.calibrate or args.database_folder):
        raise UserError("--rerank looks at the database's images: give their folder as --database_folder")
    if args.calibrate:
        if args.photos:
            raise UserError("--calibrate takes no photos: localize them in a run of their own, afterwards")
        args.calibrate = args.val_set_folder if args.calibrate is True else args.calibrate
        if args.calibrate is None:
            raise UserError(
                "--calibrate needs a validation set: --calibrate VAL_SET, --val_set_folder or --dataset_folder"
            )
    elif not args.photos:
        raise UserError("give photos, or folders of photos, to localize")
    elif not args.database_folder and not args.index_folder:
        raise UserError("give the database's images as --database_folder, or its index as --index_folder")
    if args.calibrate and args.whiten == WHITEN_DATABASE:
        raise UserError(
            f"--calibrate with --whiten {WHITEN_DATABASE} would calibrate a network that is fitted to the validation "
            "set: name the folder of the database that photos will be localized in, as --whiten FOLDER"
        )
    if args.calibrate and args.report:
        raise UserError("--report is of photos: leave it out with --calibrate")
    if args.output:
        _check_folder_of(args.output)


def _check_places(args: argparse.Namespace) -> None:
    """Checks --positions and --near."""
    for name in ("positions", "near"):
        if args.calibrate and getattr(args, name):
            raise UserError(
                f"--{name} is for photos: leave it out with --calibrate, whose images' names have positions"
            )
    if args.positions and not args.database_folder:
        raise UserError(
            "--positions are those of the images in --database_folder: name it, or leave --positions out, for an index "
            "holds them"
        )
    if not args.near:
        return
    latitude, longitude, radius = args.near
    if not (-80 <= latitude <= 84 and -180 <= longitude <= 180 and radius > 0):
        raise UserError(
            f"--near {latitude:g} {longitude:g} {radius:g}: it needs a latitude from -80 to 84, a longitude from -180 "
            "to 180, and metres above 0"
        )
    if args.faiss_index != "Flat":
        raise UserError("--near searches a part of the database, and that exactly: leave out --faiss_index")


def _check_soup(args: argparse.Namespace) -> None:
    if len(args.ingredients) < 2:
        raise UserError(f"a soup needs at least two --ingredients, and there is only {args.ingredients[0]}")
    if args.ingredients_folder:
        inside = [os.path.join(args.ingredients_folder, ingredient) for ingredient in args.ingredients]
        args.ingredients = [
            path if os.path.exists(path) or os.sep in name else name  # else a published model's
            for path, name in zip(inside, args.ingredients, strict=True)
        ]
    if len(set(map(os.path.realpath, args.ingredients))) < len(args.ingredients):
        raise UserError("one of the --ingredients is named twice: each counts once")
    if args.recalibrate_bn < 0 or args.recalibrate_bn == 1:
        raise UserError(f"--recalibrate_bn is {args.recalibrate_bn}, and must be a number of images, 2 or more, or 0")
    for needed, flag, why in (
        (args.method == "greedy", "val_set_folder", "--method greedy"),
        (args.recalibrate_bn, "train_set_folder", "--recalibrate_bn"),
    ):
        if needed and getattr(args, flag) is None:
            raise UserError(f"{why} needs --dataset_folder or --{flag}")
    if args.recalibrate_bn and is_test_set(args.train_set_folder, args.test_set_folder):
        raise UserError(
            f"--train_set_folder {args.train_set_folder} is a test set, whose images may not enter a network: name "
            "training images"
        )
    if args.val_set_folder and is_test_set(args.val_set_folder, args.test_set_folder):
        raise UserError(
            f"--val_set_folder {args.val_set_folder} is a test set: a soup chosen on it could not be tested any more; "
            "name a validation set"
        )
    if os.path.realpath(args.output) in map(os.path.realpath, args.ingredients):
        raise UserError(f"--output {args.output} is one of the ingredients, and would be lost; name another file")
    _check_folder_of(args.output)


def _check_folder_of(output: str) -> None:
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise UserError(f"--output {output} cannot be written: there is no folder {os.path.dirname(output)}")
    if os.path.isdir(output):
        raise UserError(f"--output {output} is a folder: name a file in it")


def is_test_set(folder: str, test_set_folder: str | None) -> bool:
    """Whether a folder is the data set's test set or lies in it, or its name begins with the word test."""
    real = os.path.realpath(folder)
    names = os.path.basename(os.path.normpath(folder)), os.path.basename(real)
    test_set = os.path.realpath(test_set_folder) if test_set_folder else None
    return (test_set is not None and os.path.commonpath([real, test_set]) == test_set) or any(
        re.match("test(?![a-z])", name, re.IGNORECASE) for name in names
    )


def _check_describe(args: argparse.Namespace) -> None:
    if not args.resume_model:
        raise UserError("give the network as --resume_model: a best_model.pth, or the name of a published model")
    if not args.output.endswith(".npy"):
        raise UserError(f"--output {args.output} must end in .npy, the format that it is written in")
    _check_folder_of(args.output)


def _check_check(args: argparse.Namespace) -> None:
    _resolve_method(args)
    _resolve_images_per_class(args)
    if args.sample is not None and args.sample < 1:
        raise UserError(f"--sample is {args.sample}; it must be at least 1")


_CHECKS = {
    "train": _check_training,
    "eval": check_evaluation,
    "localize": _check_localization,
    "soup": _check_soup,
    "check": _check_check,
    "describe": _check_describe,
}

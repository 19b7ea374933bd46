"""Every option of train.py and eval.py.

One recipe serves both: each script accepts all flags, shows those that it uses in its --help, and skips the
others.
"""

import argparse
import itertools
import os
import shlex
import sys

import distributed
from augmentations import AUGMENTATION_TYPES
from datasets.night.augmentation import METHODS, needs_target
from model import zoo
from model.heads import HEADS, head_options
from model.network import BACKBONES, canonical_backbone
from support.errors import UserError
from support.escaping import escape

DATASET_VARIABLE = "SF_XL_PROCESSED_FOLDER"
# flag -> (the kinds of domain adaptation that it belongs to, its default); None: --lr
DOMAIN_DEFAULTS = {
    "domain_batch_size": (("grl", "aada"), 24),
    "domain_lr": (("grl", "aada"), None),
    "grl_loss_weight": (("grl",), 0.1),
    "aada_m": (("aada",), 0.5),
    "aada_gamma": (("aada",), 0.01),
}
_MAX_RECIPES, _MAX_RECIPE = 100, 1 << 16  # how many a command may lead to; characters of one


def parse_arguments(is_training=True, argv=None):
    """The arguments of train.py (is_training) or eval.py as a Namespace, as parse_with."""
    return parse_with(
        make_parser(is_training),
        argv,
        ("train", "val", "test") if is_training else ("test",),
        _check_training if is_training else None,
    )


def parse_with(parser, argv, needed, check=None):
    """The arguments of a script as a Namespace. Exits with code 2 and one line on a usage error, as argparse does.

    parser: make_parser's, further flags added; needed: which of train, val and test must be named; check: called with
    the Namespace, raises UserError on what does not go together. Beyond the flags: train_set_folder, val_set_folder and
    test_set_folder are resolved; expected_architecture is (backbone, fc_output_dim), each None unless it was given;
    save_dir_given tells whether save_dir was.
    """
    try:
        args = parser.parse_args(expand_recipes(argv))
        for name, value in vars(args).items():
            if value == "":  # as of a variable of the shell that is not set
                raise UserError(f"--{name} is empty; give it a value or leave it out")
        if args.test_set_folders and (args.test_set_folder or args.database_folder):
            raise UserError(
                "--test_set_folders finds database and queries itself: leave out --test_set_folder and --database_folder"
            )
        _resolve_folders(args, () if args.test_set_folders and needed == ("test",) else needed)
        if check:
            check(args)
        # what a checkpoint is expected to be: only what was asked for
        args.expected_architecture = args.backbone, args.fc_output_dim
        args.backbone, args.fc_output_dim = args.backbone or "ResNet18", args.fc_output_dim or 512
        args.save_dir_given = args.save_dir is not None
        args.save_dir = args.save_dir or "default"
        if args.faiss_nprobe is not None and args.faiss_index == "Flat":
            raise UserError("--faiss_nprobe is for approximate search: give --faiss_index too")
        if (
            args.resume_train and args.resume_train != "auto" and args.resume_model
        ):  # auto may find none, and begin from that network
            raise UserError("--resume_train holds a network already: give it or --resume_model, not both")
        args.save_descriptors = tuple(args.save_descriptors) if args.save_descriptors != [] else ("npy",)
        head_options(args.loss, args.loss_s, args.loss_m, args.emms_l)
        if args.fda_queries and args.fda_database:
            raise UserError("give --fda_queries or --fda_database, not both")
    except UserError as error:
        parser.error(str(error))
    return args


def make_parser(is_training):
    parser = _Parser(
        prog="train.py" if is_training else "eval.py",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains CosPlace." if is_training else "Computes the recalls of a network on a test set.",
        epilog="@FILE reads flags from a recipe: lines split as a shell would, # begins a comment.",
    )
    training_only = None if is_training else argparse.SUPPRESS
    add_paths_arguments(parser.add_argument_group("paths"), training_only)
    add_model_arguments(parser.add_argument_group("model"), training_only)
    add_groups_arguments(parser.add_argument_group("CosPlace groups"), training_only)
    add_training_arguments(parser.add_argument_group("training"), training_only)
    add_augmentation_arguments(parser.add_argument_group("augmentation"), training_only)
    add_domain_arguments(parser.add_argument_group("target domain"), training_only)
    add_night_arguments(parser.add_argument_group("night"), training_only)
    add_evaluation_arguments(parser.add_argument_group("validation and test"))
    add_report_arguments(parser.add_argument_group("report"), training_only)
    add_running_arguments(parser.add_argument_group("running"))
    return parser


class _Parser(argparse.ArgumentParser):
    """Of many ranks one prints."""

    def error(self, message):
        if distributed.settle(2, message)[1] is None:
            raise SystemExit(2)
        super().error(escape(message))  # a recipe may be untrusted

    def print_help(self, file=None):
        if distributed.is_main():
            super().print_help(file)


def make_further_parser(prog, description, used, **helps):
    """For a further script: as the others, it accepts all flags, shows those of `used` in its --help, and skips
    the others. helps: {flag: what it means here}.
    """
    parser = make_parser(is_training=True)
    parser.prog, parser.description = prog, description
    for action in parser._actions:
        action.help = helps.get(action.dest, action.help) if action.dest in used else argparse.SUPPRESS
    return parser


def add_paths_arguments(group, training_only):
    add = _adder(group)
    evaluation_only = None if training_only else argparse.SUPPRESS
    add(
        "--dataset_folder",
        help=f"folder with the folders train, val and test (default: the environment variable {DATASET_VARIABLE})",
    )
    add("--train_set_folder", help=training_only or "folder of training images (default: <dataset_folder>/train)")
    add(
        "--val_set_folder",
        help=training_only or "folder with database and queries for validation (default: <dataset_folder>/val)",
    )
    add("--test_set_folder", help="folder with database and queries for the test (default: <dataset_folder>/test)")
    add(
        "--test_set_folders",
        nargs="+",
        metavar="FOLDER",
        help=evaluation_only
        or "several test sets in one table: each the folder of a "
        "test set, or of a benchmark data set (Pitts30k, Pitts250k, Tokyo 24/7, MSLS, St Lucia, SF-XL, Nordland, SVOX, AmsterTime) as "
        "VPR-datasets-downloader makes it, with all its queries and queries_* unless --queries_folder names one; what is published of the "
        "model stands beside",
    )
    add(
        "--queries_folder",
        help="folder of the test's queries, below the test set folder or a path (default: queries_v1 if it is there, "
        "else queries)",
    )
    add(
        "--database_folder",
        help="folder of the test's database, below the test set folder or a path (default: database)",
    )
    add(
        "--save_dir",
        help="outputs go to logs/<save_dir>/<time> (default: default"
        + (")" if training_only else "; a resumed run's: its own folder)"),
    )


def add_model_arguments(group, training_only):
    add = _adder(group)
    read = "the checkpoint's, else " if not training_only else "read from the checkpoint, else "
    add(
        "--backbone",
        type=_backbone,
        metavar="NAME",
        help=f"backbone, in any case: {', '.join(BACKBONES)} (default: {read}ResNet18)",
    )
    add("--fc_output_dim", type=_whole(1), metavar="N", help=f"dimension of the descriptors (default: {read}512)")
    add(
        "--train_all_layers",
        action="store_true",
        help=training_only or "train the first layers of the backbone too, else frozen",
    )
    add(
        "--backbone_weights",
        type=_weights,
        default="IMAGENET1K_V1",
        metavar="W",
        help="initial weights of the backbone when no checkpoint is given: IMAGENET1K_V1, IMAGENET1K_V2 (downloaded by torchvision), none "
        "(random), or the path of a file: of torchvision, timm (ResNets), Places365 or Google Landmarks v2; its classifier is dropped",
    )
    add(
        "--resume_model",
        metavar="FILE",
        help="start from the network of a best_model.pth or last_checkpoint.pth, or from a published "
        "model by its name (ResNet50_512, EigenPlaces_ResNet50_512), or from a model of --zoo by its name",
    )
    add(
        "--zoo",
        metavar="FOLDER_OR_URL",
        help="a model zoo of your own, of files NAME.pth (default: the environment variable "
        f"{zoo.VARIABLE}; else none); python -m model.zoo lists it",
    )
    add(
        "--resume_train",
        metavar="FILE",
        help=training_only
        or "go on with the run of this last_checkpoint.pth, where it was and in its "
        "folder; auto: with the newest run of logs/<save_dir>, or a new one if there is none",
    )
    add(
        "--accept_changes",
        action="store_true",
        help=training_only or "resume with other arguments, though the results will be neither run's",
    )


def add_groups_arguments(group, training_only):
    add = _adder(group)
    add("--M", type=_whole(1), default=10, help=training_only or "side of a class's cell, metres")
    add(
        "--alpha",
        type=_whole(1),
        default=30,
        help=training_only or "size of a class's heading bin, degrees (360 with --L 1 trains without headings)",
    )
    add("--N", type=_whole(1), default=5, help=training_only or "distance of a group's classes, cells")
    add("--L", type=_whole(1), default=2, help=training_only or "distance of a group's classes, heading bins")
    add(
        "--groups_num",
        type=_whole(1),
        default=8,
        help=training_only or "number of groups to train on, one an epoch in turn",
    )
    add(
        "--min_images_per_class",
        type=_whole(1),
        default=10,
        help=training_only or "classes with fewer images are dropped, images",
    )


def add_training_arguments(group, training_only):
    add = _adder(group)
    add("--use_amp16", action="store_true", help=training_only or "mixed precision: faster, results differ a little")
    add(
        "--amp_dtype",
        choices=("auto", "float16", "bfloat16"),
        default="auto",
        help=training_only
        or "the 16-bit type of --use_amp16; "
        "auto is float16 with gradient scaling on a GPU; on a CPU bfloat16 if the processor has AVX-512-bf16, AMX or ARM's bf16 and the "
        "network no depthwise convolutions, else float32 after all",
    )
    add(
        "--compile",
        action="store_true",
        help=training_only or "compile the network with torch.compile: faster after minutes, results differ a little",
    )
    add(
        "--tf32",
        action="store_true",
        help=training_only
        or "on NVIDIA GPUs, let float32 products round their factors to TF32's 10 bits: "
        "faster, results differ a little",
    )
    add(
        "--profile",
        type=_whole(0),
        default=0,
        metavar="N",
        help=training_only
        or "write a trace of N steps, after 10 to warm up, to "
        "trace.json in the output folder, for chrome://tracing or ui.perfetto.dev",
    )
    add(
        "--tensorboard",
        action="store_true",
        help=training_only
        or "write what metrics.csv holds as TensorBoard event files too, in the "
        "output folder's tensorboard/ (needs tensorboard)",
    )
    add("--batch_size", type=_whole(2), default=32, help=training_only or "training images a step")
    add("--epochs_num", type=_whole(1), default=50, help=training_only or "epochs, each of one group")
    add("--iterations_per_epoch", type=_whole(1), default=10_000, help=training_only or "steps an epoch")
    add(
        "--checkpoint_every",
        type=_whole(0),
        metavar="N",
        help=training_only
        or "write last_checkpoint.pth every N iterations too, "
        "and not only after each epoch; 0 does not (default: about every 10 minutes)",
    )
    add(
        "--parallel",
        choices=("data", "groups"),
        default="data",
        help=training_only
        or "what torchrun's processes do: data, each a share "
        "of every batch, as one process would train; groups, a group each, whose networks are averaged every --local_steps",
    )
    add(
        "--group_schedule",
        choices=("epoch", "iteration"),
        default="epoch",
        help=training_only
        or "which group is trained: epoch, one an epoch in turn (published); iteration, the next every --local_steps",
    )
    add(
        "--local_steps",
        type=_whole(1),
        metavar="J",
        help=training_only
        or "steps on one group at a time, of --parallel groups "
        "(default: 100) and --group_schedule iteration (default: 1)",
    )
    add(
        "--local_moments",
        choices=("keep", "average", "reset"),
        default="average",
        help=training_only
        or "what becomes of the "
        "network's Adam moments when --parallel groups averages the networks: each process keeps its own, they are averaged, or begin again",
    )
    add(
        "--freeze_bn",
        action="store_true",
        help=training_only or "batch norms use their running statistics in training too, and leave them as they are",
    )
    add(
        "--sync_bn",
        action="store_true",
        help=training_only
        or "batch norms normalise by the statistics of the whole batch, over all processes; on NVIDIA GPUs",
    )
    add(
        "--keep_every",
        type=_whole(0),
        default=0,
        help=training_only
        or "keep the network of every this many epochs as epoch_<n>.pth, for curves and soups; 0 keeps the best alone",
    )
    add("--lr", type=_number(0), default=1e-5, help=training_only or "learning rate of the network (Adam)")
    add(
        "--classifiers_lr",
        type=_number(0),
        default=0.01,
        help=training_only or "learning rate of the groups' heads (Adam)",
    )
    add("--loss", choices=tuple(HEADS), default="cosface", help=training_only or "head over a group's classes")
    add(
        "--loss_s",
        type=_number(0),
        metavar="S",
        help=training_only
        or "scale of the head's cosines (default: the head's own: cosface, sphereface and emms 30, arcface 64)",
    )
    add(
        "--loss_m",
        type=_number(0),
        metavar="M",
        help=training_only
        or "margin of the head (default: the head's own: cosface and emms "
        "0.40, on the cosine, 0 to 1; arcface 0.5, radians, 0 to 1.571; sphereface 1.5, a factor on the angle, 1 to 10)",
    )
    add("--emms_l", type=_number(0), metavar="L", help=training_only or "weight of emms' plain softmax (default: 1)")
    add(
        "--lr_schedule",
        choices=("constant", "cosine"),
        default="constant",
        help=training_only
        or "the network's learning rate: "
        "constant (published), or a warm-up over its first twentieth and then half a cosine down to 0",
    )


def add_augmentation_arguments(group, training_only):
    add = _adder(group)
    add(
        "--augmentation_device",
        choices=("auto", "cuda", "mps", "cpu"),
        help=training_only or "where images are augmented (default: the training device)",
    )
    add(
        "--image_size",
        type=_whole(32),
        default=512,
        help="side of the training crops, and with --resize_test_imgs the shorter side of test images, pixels",
    )
    add(
        "--augmentation_type",
        choices=AUGMENTATION_TYPES,
        default="colorjitter",
        help=training_only
        or "colours of training images: "
        "jittered by the four flags below, left alone, or of every image brightness x 0.65, contrast x 1.15, saturation x 0.85, or (bcs) "
        "all three",
    )
    add("--brightness", type=_number(0), default=0.7, help=training_only or "brightness factor within 1 +- this")
    add("--contrast", type=_number(0), default=0.7, help=training_only or "contrast factor within 1 +- this")
    add("--saturation", type=_number(0), default=0.7, help=training_only or "saturation factor within 1 +- this")
    add(
        "--hue",
        type=_number(0, 0.5),
        default=0.5,
        help=training_only or "hue shift within +- this, turns (at most 0.5)",
    )
    add(
        "--random_resized_crop",
        type=_number(0, 0.999),
        default=0.5,
        help=training_only or "crops cover at least 1 - this of an image's area",
    )


def add_domain_arguments(group, training_only):
    add = _adder(group)
    add(
        "--target_dataset_folder",
        help=training_only or "folder of unlabelled images of the target domain (night); names need no @ fields",
    )
    add(
        "--domain_adaptation",
        choices=("grl", "aada"),
        help=training_only
        or "make the backbone's features of source (training) and "
        "target images alike: grl, a domain classifier behind a gradient reversal; aada, an autoencoder as adversary (default: neither)",
    )
    add(
        "--domain_batch_size",
        type=_whole(3),
        metavar="N",
        help=training_only
        or "images a step of domain adaptation, a third of them of "
        f"the target domain (default: {DOMAIN_DEFAULTS['domain_batch_size'][1]})",
    )
    add(
        "--domain_lr",
        type=_number(0),
        metavar="LR",
        help=training_only or "learning rate of grl's classifier or aada's autoencoder (Adam; default: --lr)",
    )
    add(
        "--grl_loss_weight",
        type=_number(0),
        metavar="ALPHA",
        help=training_only or f"weight of grl's cross-entropy (default: {DOMAIN_DEFAULTS['grl_loss_weight'][1]})",
    )
    add(
        "--aada_m",
        type=_number(0),
        metavar="M",
        help=training_only
        or f"margin of aada, on the autoencoder's squared error (default: {DOMAIN_DEFAULTS['aada_m'][1]})",
    )
    add(
        "--aada_gamma",
        type=_number(0),
        metavar="GAMMA",
        help=training_only or f"weight of aada's term for the backbone (default: {DOMAIN_DEFAULTS['aada_gamma'][1]})",
    )


def add_night_arguments(group, training_only):
    add = _adder(group)
    evaluation_only = None if training_only else argparse.SUPPRESS
    add(
        "--pseudo_target_folder",
        help=training_only
        or "a copy of the training set by night, as `python -m datasets.night` makes it: half "
        "of a batch's classes (the smaller half, if it is odd) give an image of it",
    )
    add(
        "--night_augmentation",
        choices=METHODS,
        help=training_only
        or "make night of training images by day on the augmentation device: "
        "fda, the colours of an image of --target_dataset_folder (Fourier domain adaptation); pp, post-processing; or both (default: no "
        "night)",
    )
    add(
        "--night_probability",
        type=_number(0, 1),
        default=0.5,
        help=training_only or "share of the training images by day that --night_augmentation darkens",
    )
    add(
        "--fda_beta",
        type=_number(0, 0.5),
        default=0.01,
        help="size of FDA's window of low frequencies, a share of an image's shorter side",
    )
    add(
        "--fda_queries",
        action="store_true",
        help=evaluation_only
        or "give each query the low-frequency amplitude (FDA) of a database image that --seed draws",
    )
    add(
        "--fda_database",
        action="store_true",
        help=evaluation_only or "the other way round: give each database image the low-frequency amplitude of a query",
    )


def add_evaluation_arguments(group):
    add = _adder(group)
    add("--infer_batch_size", type=_whole(1), default=16, help="images a batch, those of one size")
    add(
        "--infer_dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="float32",
        help="what the backbone computes "
        "descriptors in; 16 bits differ a little and are faster where the device has them, which is where auto takes them: bfloat16 "
        "(float16 on GPUs older than Ampere), on a CPU by the rule of --amp_dtype",
    )
    add(
        "--positive_dist_threshold",
        type=_number(0),
        default=25,
        help="a database image this near to a query is right, metres",
    )
    add(
        "--resize_test_imgs",
        action="store_true",
        help="resize database images and queries along their shorter side to --image_size (else they keep their size)",
    )
    add(
        "--descriptors_dtype",
        choices=("float32", "float16"),
        default="float32",
        help="what descriptors are stored in; float16 takes half the disk and differs by less than 0.00025",
    )
    add(
        "--no_descriptors_cache",
        action="store_true",
        help="do not keep the test's descriptors below cache/descriptors, where an "
        "interrupted extraction goes on and the next test of the same network and images finds them (validation never keeps its own), but "
        "in a temporary file in TMPDIR",
    )
    add(
        "--descriptors_cache_size",
        type=_number(0),
        default=50,
        metavar="GB",
        help="what cache/descriptors may hold, 10^9 bytes; the least recently used go, those in use stay",
    )
    add(
        "--faiss_index",
        default="Flat",
        metavar="FACTORY",
        help="how the test searches the database: Flat is exact; any other string of "
        "faiss's index_factory, such as IVF4096,PQ64, is approximate, and its recall against exact search is logged (validation is exact)",
    )
    add("--faiss_nprobe", type=_whole(1), metavar="N", help="cells that an IVF index searches a query (default: 16)")
    add(
        "--save_descriptors",
        nargs="*",
        choices=("npy", "h5"),
        default=(),
        help="write the test's descriptors into the output folder: npy "
        "(also if none is named) as database_descriptors.npy and queries_descriptors.npy with names beside them, h5 as "
        "global_descriptors.h5 for hloc (needs h5py)",
    )
    add(
        "--save_pairs",
        type=_whole(0),
        default=0,
        metavar="N",
        help="write the N nearest database images of every query as pairs_queries.txt, a list of pairs as hloc's",
    )
    add(
        "--save_sfm_pairs",
        type=_whole(0),
        default=0,
        metavar="N",
        help="write every database image with its N nearest others as "
        "pairs_sfm.txt, for structure from motion; takes time with the square of the database",
    )
    add(
        "--num_preds_to_save",
        type=_whole(0),
        default=0,
        help="draw each test query beside this many predictions, images",
    )
    add("--save_only_wrong_preds", action="store_true", help="draw only the queries whose first prediction is wrong")


def add_report_arguments(group, training_only):
    add = _adder(group)
    evaluation_only = None if training_only else argparse.SUPPRESS
    add(
        "--report",
        metavar="FILE",
        help=evaluation_only
        or "write a page on the test, one HTML file that needs no network: recalls, "
        "errors, a map, misses, and the training's curves if metrics.csv lies beside --resume_model",
    )
    add(
        "--compare",
        metavar="FILE",
        help=evaluation_only
        or "test this network too, named as for --resume_model, and compare the two "
        "on the same queries by paired bootstrap",
    )
    add(
        "--further_queries",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help=evaluation_only
        or "test these folders of queries too, named as "
        "for --queries_folder, in the same database (queries_night beside queries_v1)",
    )


def add_running_arguments(group):
    add = _adder(group)
    add(
        "--device",
        choices=("auto", "cuda", "mps", "cpu"),
        default="auto",
        help="where to compute; auto: CUDA, else MPS, else the CPU",
    )
    add(
        "--seed",
        type=_whole(-1, 2**63 - 1),
        default=0,
        help="seed of all that is random; -1 draws one, and allows nondeterministic kernels",
    )
    add("--num_workers", type=_whole(0), default=8, help="processes that decode images; results do not depend on it")
    add(
        "--max_bad_images",
        type=_whole(0),
        metavar="N",
        help="the run ends with an error when more than N images cannot be read, after "
        "the recalls if they are test images; bad_images.txt lists them (default: 10, or 0.1%% of the images read so far if that is more)",
    )


def expand_recipes(argv=None):
    """Replaces every @FILE among arguments by the flags in that file, recipes in recipes too. Raises UserError when one
    cannot be read, on one that includes itself, and when there is no end to them.
    """
    return _expand(sys.argv[1:] if argv is None else [str(argument) for argument in argv], (), itertools.count(1))


def _expand(arguments, including, opened):
    """including: the recipes that these arguments stand in, outermost first; opened: counts recipes."""
    expanded = []
    for argument in arguments:
        if not argument.startswith("@"):
            expanded.append(argument)
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
            expanded += _expand(words, (*including, real), opened)
    return expanded


def _read_recipe(path):
    """(its lines, its real path)."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_RECIPE + 1)
        if len(text) > _MAX_RECIPE or "\0" in text:
            raise ValueError
        return text.splitlines(), os.path.realpath(path)
    except OSError as error:
        raise UserError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"the recipe {path} is not a text file of at most {_MAX_RECIPE} characters") from error


def _without_comment(line):
    """As a shell, and unlike shlex: # begins a comment only at the beginning of a word, outside quotes."""
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


def _resolve_folders(args, needed):
    args.dataset_folder = args.dataset_folder or os.environ.get(DATASET_VARIABLE)
    if needed == ("test",) and args.queries_folder and args.database_folder and not args.dataset_folder:
        needed = ()  # both are paths of their own
    for part in ("train", "val", "test"):
        flag = f"{part}_set_folder"
        if getattr(args, flag) is None and args.dataset_folder:
            setattr(args, flag, os.path.join(args.dataset_folder, part))
        if getattr(args, flag) is None and part in needed:
            raise UserError(f"give --dataset_folder (or set {DATASET_VARIABLE}), or --{flag}")


def _check_training(args):
    """What does not go together in training alone: eval.py skips it."""
    _resolve_domain(args)
    _check_night(args)
    _resolve_local_steps(args)
    if args.resume_model and args.backbone_weights and os.path.basename(args.backbone_weights) != args.backbone_weights:
        raise UserError(
            f"--resume_model and --backbone_weights {args.backbone_weights} both are weights of the backbone: give one of them"
        )


def _resolve_domain(args):
    """Refuses flags of a domain adaptation that is not asked for, and fills in the defaults of the one that is."""
    for flag, (kinds, default) in DOMAIN_DEFAULTS.items():
        if args.domain_adaptation in kinds:
            if getattr(args, flag) is None:
                setattr(args, flag, args.lr if flag == "domain_lr" else default)
        elif getattr(args, flag) is not None:
            raise UserError(f"--{flag} needs --domain_adaptation {' or '.join(kinds)}")
    if args.domain_adaptation and args.target_dataset_folder is None:
        raise UserError(
            f"--domain_adaptation {args.domain_adaptation} needs --target_dataset_folder, a folder of images of the target "
            "domain"
        )


def _resolve_local_steps(args):
    """Fills in --local_steps: an epoch, unless groups take turns within it."""
    takes_turns = args.parallel == "groups" or args.group_schedule == "iteration"
    if args.local_steps and not takes_turns:
        raise UserError("--local_steps is for --parallel groups or --group_schedule iteration")
    if args.parallel == "groups" and args.group_schedule == "iteration":
        raise UserError("--parallel groups has a schedule of its own: leave out --group_schedule iteration")
    default = (
        min({"groups": 100, "data": 1}[args.parallel], args.iterations_per_epoch)
        if takes_turns
        else args.iterations_per_epoch
    )
    args.local_steps = args.local_steps or default
    if args.parallel == "groups" and args.iterations_per_epoch % args.local_steps:
        raise UserError(
            f"--local_steps {args.local_steps} does not divide --iterations_per_epoch {args.iterations_per_epoch}: checkpoints "
            "and validations are made where the networks are averaged"
        )
    if args.freeze_bn and args.sync_bn:
        raise UserError("give --freeze_bn or --sync_bn, not both: frozen statistics are the same everywhere")


def _check_night(args):
    if needs_target(args.night_augmentation) and not args.target_dataset_folder:
        raise UserError(
            f"--night_augmentation {args.night_augmentation} takes colours from images of the night: give their folder as "
            "--target_dataset_folder"
        )


def _adder(group):
    def add(*names, help, **options):  # noqa: A002
        if help != argparse.SUPPRESS and options.get("default") not in (None, "") and options.get("action") is None:
            help += " (default: %(default)s)"
        group.add_argument(*names, help=help, **options)

    return add


def _backbone(text):
    try:
        return canonical_backbone(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _weights(text):
    return None if text.lower() == "none" else text


def _whole(low, high=10**9):
    def convert(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low} and at most {high}")
        return value

    return convert


def _number(low, high=float("inf")):
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high or value == float("inf"):
            limits = f"of at least {low}" if high == float("inf") else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limits}")
        return value

    return convert

"""Which options of an evaluation do not go together."""

import argparse

from datasets.choices import check_beta
from options import default_of
from options.hub import check_hub
from options.shared import NO_LABELS_PREDICTIONS
from retrieval.choices import WHITEN_DATABASE
from support.errors import UserError
from support.options import refuse_unused

# what --no_labels has no use for
_NEEDS_LABELS = (
    "test_set_folders",
    "compare",
    "compare_hub",
    "save_only_wrong_preds",
    "positive_dist_threshold",
    "positive_heading_threshold",
    "recall_values",
    "dimensions",
    "precision",
)


def check_no_labels(args: argparse.Namespace) -> None:
    """Refuses what needs positions. No folders are guessed: the environment names labelled ones."""
    for name in _NEEDS_LABELS:
        if getattr(args, name) != default_of(name):
            raise UserError(f"--{name} needs to know which images are right: leave it out, or --no_labels")
    if not (args.database_folder and args.queries_folder) and not (args.dataset_folder or args.test_set_folder):
        raise UserError("--no_labels needs two folders of images: give --database_folder and --queries_folder")
    outputs = ("num_preds_to_save", "save_pairs", "save_sfm_pairs", "save_descriptors", "report")
    if all(getattr(args, name) in (0, None, ()) for name in outputs):
        args.num_preds_to_save = NO_LABELS_PREDICTIONS  # a search that leaves nothing would be for nothing


def _check_descriptors(args: argparse.Namespace) -> None:
    """Refuses what goes with a network, where descriptors are given."""
    files = args.database_descriptors, args.queries_descriptors
    if len(files[0]) != len(files[1]):
        raise UserError(
            "--database_descriptors and --queries_descriptors belong together: give each as many files, one or two"
        )
    if not files[0]:
        return
    if args.no_labels and len(files[0]) > 1:
        raise UserError(
            "--no_labels cannot tell which of two methods is better: give one file to --database_descriptors"
        )
    for name in ("compare", "compare_hub"):
        if len(files[0]) + bool(getattr(args, name)) > 2:
            raise UserError(f"--database_descriptors and --{name} name more than two methods: compare two at a time")
    if args.whiten not in (None, WHITEN_DATABASE):
        raise UserError(
            f"--whiten {args.whiten} has no descriptors there to be fitted to, where --database_descriptors are given: "
            f"give --whiten {WHITEN_DATABASE}"
        )
    for name in ("resume_model", "further_queries", "test_set_folders", "fda_queries", "fda_database"):
        if getattr(args, name):
            raise UserError(f"--database_descriptors are tested as they are, without --{name}: leave one of them out")


def check_evaluation(args: argparse.Namespace) -> None:
    """Checks the arguments of eval.py. Raises UserError on what does not go together."""
    check_hub(args)
    _check_descriptors(args)
    if args.fda_queries and args.fda_database:
        raise UserError("give --fda_queries or --fda_database, not both")
    check_beta(args.fda_beta, args.fda_window)
    swaps = args.fda_queries or args.fda_database
    refuse_unused(
        args.given,
        dict.fromkeys(("fda_beta", "fda_window", "fda_targets"), (swaps, "--fda_queries or --fda_database")),
    )
    if swaps and args.fda_targets == "train" and args.train_set_folder is None:
        raise UserError(
            f"--fda_{'queries' if args.fda_queries else 'database'} takes colours of training images: give their "
            "folder as --train_set_folder, or --fda_targets test for those of the test's other images"
        )

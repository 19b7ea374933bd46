"""How an interrupted run goes on: where it is found, whether it is the same run, and its state put back."""

import argparse
import logging
import os
from typing import Any

import distributed
from support.errors import UserError
from training.checkpoints import keep_best_model
from training.data import TrainingData
from training.environment import describe_changes
from training.ranks import another_number
from training.run import Run
from training.run_files import find_newest_run
from training.run_state import describe_precision_changes, head_differences

logger = logging.getLogger(__name__)

# options that earlier runs did not have, at the values that mean what those did
_LATER_OPTIONS = {
    "train_last_blocks": None,
    "ema": None,
    "fc_lr": None,
    "label_smoothing": 0.0,
    "images_per_class": 1,
    "positives": None,
    "pair_options": (),
    "pair_weight": 1.0,
    "fc_init": "random",
    "fda_window": "paper",
    "pp_strength": None,
    "method": "cosplace",
    "focal_dist": 10.0,
    "lambda_lat": 1.0,
    "lambda_front": 1.0,
    "nearest_crops": False,
    "nearest_degrees": 15.0,
    "crop_degrees": 55.4,
    "heading_is_center": False,
}


def find_run_to_resume(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """Resolves --resume_train auto: (the folder that a resumed run goes on in or None, problems of checkpoints to log).

    A run goes on in its own folder, unless another --save_dir is asked for.
    """
    problems = []
    if args.resume_train == "auto":
        args.resume_train, problems = distributed.on_main(find_newest_run, os.path.join("logs", args.save_dir))
        args.resume_train = args.resume_train and os.path.relpath(args.resume_train)
    if not args.resume_train:
        return None, problems
    folder = os.path.dirname(os.path.abspath(args.resume_train))
    is_same = os.path.dirname(folder) == os.path.abspath(os.path.join("logs", args.save_dir))
    goes_on = (is_same or not args.save_dir_given) and os.path.exists(os.path.join(folder, "info.log"))
    return os.path.relpath(folder) if goes_on else None, problems


def resume(run: Run, state: dict[str, Any], args: argparse.Namespace, data: TrainingData, output_folder: str) -> None:
    """Puts a state back into a run, once it is clear that it is the same run. Raises UserError if it is another.

    run: as built from args, with its facts
    state: as read by load_run_state
    args: of train.py
    data: of the run
    output_folder: where the run goes on
    """
    check_same_run(run, state, args)
    for change in describe_changes(state.get("environment", {}), run.facts["environment"]):
        logger.warning(
            f"The resumed run had {change}: it will end with other weights than the uninterrupted one, if only slightly"
        )
    processes = state.get("processes", run.facts["processes"])
    if processes != run.facts["processes"]:
        another = another_number(args.parallel)
        logger.warning(f"The resumed run had {processes} processes, now {run.facts['processes']}: {another}")
    run.load(state, args.resume_train, data.groups.published_order)
    run.iteration = min(run.iteration, args.iterations_per_epoch)
    run.best_recall1 = distributed.on_main(
        keep_best_model, args.resume_train, output_folder, run.evaluated, run.best_recall1
    )
    if run.best_recall1 < 0:
        run.best_epoch, run.epochs_since_best = -1, 0  # the next validation is the best again
    logger.info(
        f"Resuming at epoch {run.epoch} of {args.epochs_num}, iteration {run.iteration} of "
        f"{args.iterations_per_epoch}, best R@1 so far {run.best_recall1:.1f}"
    )


def _later_options(before: dict[str, Any]) -> dict[str, Any]:
    """As _LATER_OPTIONS; these depend on the earlier run's own arguments."""
    kind, size = before.get("domain_adaptation"), before.get("domain_batch_size")
    return {
        "fixed_colors": before.get("augmentation_type", "colorjitter") not in ("colorjitter", "none"),
        "domain_target_images": size // 3 if isinstance(size, int) else None,
        "domain_pseudo_images": None,
        "domain_source": "all" if kind else None,
        "aada_autoencoder": "pooled" if kind == "aada" else None,
    }


def check_same_run(run: Run, state: dict[str, Any], args: argparse.Namespace) -> None:
    """Raises UserError, naming every difference, if the run would not end as the uninterrupted one.

    With --accept_changes the differences are warnings.
    """
    before, now = state.get("arguments", {}), run.facts["arguments"]
    if before:  # a published run does not say
        before = {**_LATER_OPTIONS, **_later_options(before), **before}
    changes = [
        f"--{name} {before[name]}, now {value}"
        for name, value in now.items()
        if name != "epochs_num" and name in before and before[name] != value
    ]
    epochs = before.get("epochs_num", args.epochs_num)
    if args.lr_schedule != "constant" and epochs != args.epochs_num:
        changes.append(f"--epochs_num {epochs}, now {args.epochs_num}, which changes --lr_schedule {args.lr_schedule}")
    changes += describe_precision_changes(state, run.facts["precision"])
    changes += head_differences(run.heads[0].settings(), state.get("head_settings"), args.method)
    if state.get("split_digest", run.facts["split_digest"]) != run.facts["split_digest"]:
        changes.append(f"the images of {args.train_set_folder} or their split into groups")
    if changes and not args.accept_changes:
        raise UserError(
            f"the run of {args.resume_train} had other arguments: {'; '.join(changes)}. Its results would be neither "
            "run's: give the arguments of that run, or --accept_changes"
        )
    for change in changes:
        logger.warning(f"The resumed run had {change}: results will be neither run's")

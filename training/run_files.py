"""The files that let a run go on: best_model.pth and last_checkpoint.pth in its log folder."""

import logging
import math
import os

from model.checkpoints import network_state, portable
from support.errors import UserError
from support.files import check_sums, read_tensors, write_tensors

logger = logging.getLogger(__name__)

BEST_MODEL, LAST_CHECKPOINT = "best_model.pth", "last_checkpoint.pth"
# the keys of the published last_checkpoint.pth, and their types; ours has more keys
RUN_STATE_KEYS = {
    "epoch_num": int,
    "model_state_dict": dict,
    "optimizer_state_dict": dict,
    "classifiers_state_dict": list,
    "optimizers_state_dict": list,
    "best_val_recall1": float,
}


def save_run_state(state: dict, path: str) -> None:
    """Writes the state of a run: RUN_STATE_KEYS, and whatever else `state` has. Keeps the previous state beside it."""
    # a damaged file must not replace the previous one, which may be sound
    write_tensors(portable(state), path, previous_path(path) if _is_sound(path) else None)


def _is_sound(path: str) -> bool:
    try:
        check_sums(path)
        return True
    except (UserError, OSError):
        return False


def previous_path(path: str) -> str:
    """The path of the state that was saved before the one at `path`."""
    base, extension = os.path.splitext(path)
    return f"{base}.previous{extension}"


def find_newest_run(folder: str) -> tuple[str | None, list[str]]:
    """Finds the newest run in `folder` that can go on: (path of its last_checkpoint.pth, problems of newer runs).

    The path is None if there is no such run. A lost or damaged last_checkpoint.pth counts if the previous one is sound.
    """
    found, problems = [], []
    for run in os.scandir(folder) if os.path.isdir(folder) else []:
        last = os.path.join(run.path, LAST_CHECKPOINT)
        candidates = [path for path in (last, previous_path(last)) if os.path.isfile(path)]
        if candidates:
            found.append((max(map(os.path.getmtime, candidates)), last, candidates))
    for _, last, candidates in sorted(found, reverse=True):
        for path in candidates:
            try:
                check_sums(path)
                return last, problems
            except (UserError, OSError) as error:
                problems.append(str(error))
    return None, problems


def load_run_state(path: str) -> dict:
    """Reads the state of a run, as written by save_run_state or by the published code.

    If the file is lost or damaged, the previous state is read instead, with a warning. Raises UserError that says what
    is wrong with the file.
    """
    try:
        return _load_run_state(path)
    except UserError as error:
        if not os.path.exists(previous_path(path)):
            raise
        logger.warning(f"{error}. Going on from the checkpoint before it, {previous_path(path)}")
        return _load_run_state(previous_path(path))


def _load_run_state(path: str) -> dict:
    state = read_tensors(path)
    if not isinstance(state, dict) or not RUN_STATE_KEYS.keys() <= state.keys():
        lacking = sorted(RUN_STATE_KEYS.keys() - (state.keys() if isinstance(state, dict) else set()))
        raise UserError(
            f"{path} is no run's state (it lacks {', '.join(lacking)}): --resume_train takes a last_checkpoint.pth; "
            "to start from a network's weights alone use --resume_model"
        )
    if isinstance(state["best_val_recall1"], int | float):  # the published code saves numpy's float64
        state["best_val_recall1"] = float(state["best_val_recall1"])
    for key, kind in RUN_STATE_KEYS.items():
        if not isinstance(state[key], kind):
            raise UserError(f"{path} is damaged: its {key} is of type {type(state[key]).__name__}, not {kind.__name__}")
    if state["epoch_num"] < 0 or math.isnan(state["best_val_recall1"]):
        raise UserError(
            f"{path} is damaged: it claims epoch {state['epoch_num']} and a best R@1 of {state['best_val_recall1']}"
        )
    state["model_state_dict"] = network_state(state, path)
    return state

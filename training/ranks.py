"""How processes train one network: alone, sharing each batch, or each on a group of its own.

The training loop calls these strategies in a few places, and nothing else in it asks how many processes there are.
"""

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import distributed
from datasets.bad_images import BadImages
from datasets.schedule import Share
from datasets.train_dataset import Batch, TrainDataset
from model.pair_losses import NoHead
from support.errors import UserError
from support.signals import Interrupted, deferred_signals, pending_signal
from training.averaging import (
    MOMENTS,
    all_rows,
    average,
    common_parameters,
    mean_optimizer,
    merged_sums,
    running_statistics,
)
from training.objective import Objective, Part, SumOfParts
from training.sharded_head import GatheredPairs, ShardedHead
from training.step_monitor import EpochSums

if TYPE_CHECKING:  # both call these strategies
    from training.checkpoints import Checkpoints
    from training.run import Run


class Alone:
    """One process: nothing is shared, nothing is sent."""

    writes = True  # whether this process writes the run's files
    places = (0, 1)  # (this process, number of processes) that train a group each at the same time

    def check(self, args: Any, classes_per_group: Sequence[int]) -> None:
        """Raises UserError if the work cannot be shared out."""

    def share(self, count: int) -> slice:
        """The rows, of `count` rows of a batch, that this process reads."""
        return slice(0, count)

    def synchronised(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with batch norms over the whole batch (--sync_bn). Raises UserError without GPUs."""
        if device.type != "cuda":
            raise UserError(
                "--sync_bn needs NVIDIA GPUs: PyTorch has no synchronised batch norm for others; --freeze_bn is "
                "another way to the same training with any number of processes"
            )
        return network

    def own_head(self, group: int, head: nn.Module) -> nn.Module:
        """A head of a group, or one without classes where another process trains the group."""
        return head

    def cut_heads(self, run: "Run") -> None:
        """Leaves to this process its share of each head's classes."""

    def objective(self, run: "Run", group: int, dataset: TrainDataset) -> Objective | SumOfParts:
        """The objective of a group's steps."""
        objectives = [self._objective(run, run.heads[head], group, dataset) for head in run.heads_of(group)]
        if len(objectives) == 1:
            return objectives[0]
        parts = zip(run.head_weights.items(), objectives, strict=True)
        parts = [Part(name, weight, objective) for (name, weight), objective in parts]
        return SumOfParts(parts, objectives[0].domain_terms if run.domain else None)

    def _objective(self, run: "Run", head: nn.Module, group: int, dataset: TrainDataset) -> Objective:
        """The objective of one of a group's heads."""
        return Objective(run.trained, None if isinstance(head, NoHead) else head, run.domain, run.pairs)

    def take(self, bad_images: BadImages, batch: Batch, rows: list[int]) -> Batch:
        """Tells BadImages which images were read, and returns the batch with the names of the whole batch.

        Raises UserError when training cannot go on.

        bad_images: what is told
        batch: of this process
        rows: where the batch's images are in the whole batch
        """
        bad_images.take(batch)
        return batch

    def reduce_gradients(self, run: "Run", heads: Sequence[nn.Module]) -> None:
        """After backward of a group's heads: makes the gradients those of the whole batch."""

    def end_step(self, run: "Run", checkpoints: "Checkpoints | None") -> None:
        """After a step: writes a checkpoint if one is due."""
        if checkpoints:
            checkpoints.save_if_due()

    def ending_together(self) -> contextlib.AbstractContextManager:
        """A block that all processes leave at the same step when one of them gets a signal."""
        return contextlib.nullcontext()

    def end_training(self, checkpoints: "Checkpoints") -> None:
        """Between an epoch's steps and its validation."""

    def finish(self, checkpoints: "Checkpoints") -> None:
        """Writes what a full disk has refused so far. Raises UserError if it still does."""
        checkpoints.finish()

    def can_save_after(self, error: BaseException) -> bool:
        """Whether a checkpoint can be written after this error: all processes have a part in it."""
        return True

    def gather_state(self, state: dict, heads_per_group: int) -> dict:
        """A run's state as it is written: that of all processes."""
        return state

    def own_state(self, state: dict, heads_per_group: int) -> dict:
        """The part of a written state that this process goes on from."""
        return state

    def names_of(self, groups: Sequence[int]) -> int | str:
        """The groups that all processes have trained in an epoch, for logs: 0, or "0+1"."""
        return _joined([groups])

    def epoch_sums(self, sums: EpochSums) -> EpochSums:
        """The sums of all processes in one."""
        return sums


class _Together(Alone):
    """What the strategies of many processes have in common."""

    @property
    def writes(self) -> bool:
        return distributed.is_main()

    def end_step(self, run: "Run", checkpoints: "Checkpoints | None") -> None:
        due = checkpoints is not None and checkpoints.is_due()
        ours = torch.tensor([due and distributed.is_main(), pending_signal()])
        due, number = distributed.all_reduce(ours, "agreement", maximum=True).tolist()
        if due:
            checkpoints.save()
        if number:
            raise Interrupted(number, on_all_ranks=True)

    def ending_together(self) -> contextlib.AbstractContextManager:
        return deferred_signals()

    def end_training(self, checkpoints: "Checkpoints") -> None:
        checkpoints.save()  # a signal ends each process by itself in the validation: so nothing is lost by that

    def can_save_after(self, error: BaseException) -> bool:
        return getattr(error, "on_all_ranks", False)

    def finish(self, checkpoints: "Checkpoints") -> None:
        checkpoints.is_behind = distributed.from_main(checkpoints.is_behind)
        checkpoints.finish()


class DataParallel(_Together):
    """Each process reads and augments its share of every batch and has its share of the head's classes.

    Gradients are summed, so that training follows the trajectory of one process. Frozen parameters are never sent.
    """

    def check(self, args: Any, classes_per_group: Sequence[int]) -> None:
        size, domain = distributed.size(), args.domain_batch_size
        source = domain - args.domain_target_images if domain else size
        if min(args.batch_size, source, *classes_per_group) < size:
            raise UserError(
                f"{size} processes cannot share {args.batch_size} images a batch"
                + (f", {source} source images a domain batch" if domain else "")
                + f" and {min(classes_per_group)} classes a group: start fewer"
            )

    def share(self, count: int) -> slice:
        return distributed.share(count)

    def synchronised(self, network: nn.Module, device: torch.device) -> nn.Module:
        return nn.SyncBatchNorm.convert_sync_batchnorm(super().synchronised(network, device))

    def cut_heads(self, run: "Run") -> None:
        """Cuts weights and Adam's moments. The softmax of a step is still over all classes."""
        for head, optimizer in zip(run.heads, run.head_optimizers, strict=True):
            classes = distributed.share(len(head.weight))
            head.weight.data = head.weight.data[classes].clone()
            for entry in optimizer.state.values():
                entry |= {key: entry[key][classes].clone() for key in MOMENTS}

    def _objective(self, run: "Run", head: nn.Module, group: int, dataset: TrainDataset) -> Objective:
        classes = distributed.share(dataset.groups.num_classes(group))
        sharded = None if isinstance(head, NoHead) else ShardedHead(head, classes, distributed)
        pairs = run.pairs and GatheredPairs(run.pairs, distributed)
        share = Share(dataset.schedule.batch_size, self.share(dataset.schedule.batch_size))  # of one head's batch
        domain_share = dataset.domain and dataset.domain.share
        return Objective(run.trained, sharded, run.domain, pairs, share, domain_share, mean=distributed.mean)

    def take(self, bad_images: BadImages, batch: Batch, rows: list[int]) -> Batch:
        mine = [_report(batch), batch.error, list(zip(rows, batch.names, strict=False))]
        reports, errors, names = zip(*distributed.gather(mine), strict=True)
        error = next(filter(None, errors), "")
        batch = replace(batch, error=error, names=[name for _, name in sorted(itertools.chain(*names))])
        _take(bad_images, batch, reports, on_all_ranks=True)
        return batch

    def reduce_gradients(self, run: "Run", heads: Sequence[nn.Module]) -> None:
        """Sums gradients, and averages the running statistics of batch norms."""
        gradients = [parameter.grad for parameter in common_parameters(run) if parameter.grad is not None]
        # if one process's classes have a gradient that is not finite, all must skip the step
        poisoned = [head.weight for head in heads if run.scaler.is_enabled() and head.weight.grad is not None]
        poisons = [(weight.grad * 0).sum() for weight in poisoned]
        distributed.sum_flat([*gradients, *poisons], "gradients")
        for weight, poison in zip(poisoned, poisons, strict=True):
            weight.grad += poison
        if not run.network.batch_norm_frozen:
            average(running_statistics(run.network), "statistics")

    def gather_state(self, state: dict, heads_per_group: int) -> dict:
        heads, optimizers = state["classifiers_state_dict"], state["optimizers_state_dict"]
        for number, (head, optimizer) in enumerate(zip(heads, optimizers, strict=True)):
            heads[number] = {"weight": all_rows(head["weight"])}
            entries = {
                parameter: {**entry, **{key: all_rows(entry[key]) for key in MOMENTS}}
                for parameter, entry in optimizer["state"].items()
            }
            optimizers[number] = {**optimizer, "state": entries}
        return state


class GroupParallel(_Together):
    """Each process trains a group of its own for some steps. Then the networks are averaged, and the groups change.

    This is local SGD (Stich, 2019) on the mean of the groups' losses (after Zaccone et al., Frontiers in Robotics and
    AI, 2024). A group's head and its optimizer belong to one process and are never averaged.

    local_steps: steps between two averages
    moments: what becomes of the network's Adam moments then: "keep" (each process its own), "average", or "reset" (the
    optimizer starts again)
    """

    def __init__(self, local_steps: int, moments: str):
        self.local_steps, self.moments = local_steps, moments
        self._untold: list[list] = []  # reports that BadImages has not been told since the last average
        self._last: Batch | None = None

    @property
    def places(self) -> tuple[int, int]:
        return distributed.rank(), distributed.size()

    def check(self, args: Any, classes_per_group: Sequence[int]) -> None:
        if args.groups_num % distributed.size():
            raise UserError(
                f"--parallel groups needs a number of processes that divides --groups_num {args.groups_num}, not "
                f"{distributed.size()}"
            )

    def own_head(self, group: int, head: nn.Module) -> nn.Module:
        if _owner(group) != distributed.rank():
            head.weight.data = head.weight.data.new_empty((0, head.weight.shape[1]))
        return head

    def take(self, bad_images: BadImages, batch: Batch, rows: list[int]) -> Batch:
        """Keeps the report for the next average; raises only where this process cannot go on."""
        if batch.error:
            _take(bad_images, batch, [_report(batch)], on_all_ranks=False)
        self._untold.append(_report(batch))
        self._last = batch
        return batch

    def end_step(self, run: "Run", checkpoints: "Checkpoints | None") -> None:
        if run.iteration % self.local_steps:
            return
        self._average_networks(run)
        untold, self._untold = self._untold, []
        _take(run.bad_images, self._last, itertools.chain(*distributed.gather(untold)), on_all_ranks=True)
        super().end_step(run, checkpoints)

    def _average_networks(self, run: "Run"):
        average([parameter.data for parameter in common_parameters(run) if parameter.requires_grad], "networks")
        average(running_statistics(run.network), "statistics")
        if run.average:  # the mean of moving averages is the moving average of the mean
            network = run.average.network
            trained = [parameter.data for parameter in network.parameters() if parameter.requires_grad]
            average([*trained, *running_statistics(network)], "moving average")
        for optimizer in filter(None, (run.optimizer, run.domain_optimizer)):
            if self.moments == "average":
                moments = [entry[key] for entry in optimizer.state.values() for key in MOMENTS if key in entry]
                average(moments, "moments")
            elif self.moments == "reset":
                optimizer.state.clear()
        if run.scaler.is_enabled():
            run.monitor.flush()
            scales = distributed.gather(run.scaler.state_dict())
            run.scaler.load_state_dict(min(scales, key=lambda state: state["scale"]))
            run.monitor.read_scale()  # a lower scale from another process does not mean that a step was skipped here

    def gather_state(self, state: dict, heads_per_group: int) -> dict:
        """The state of all processes on rank 0, which writes it; the others keep their own."""
        heads, optimizers = state["classifiers_state_dict"], state["optimizers_state_dict"]
        for number, pair in enumerate(zip(heads, optimizers, strict=True)):
            owner = _owner(number // heads_per_group)
            heads[number], optimizers[number] = distributed.tensors_to_main(list(pair), owner)
        state["ranks"] = {"sums": distributed.gather(state["epoch_sums"])}
        state["epoch_sums"] = merged_sums(state["ranks"]["sums"]).state_dict()
        if self.moments == "keep":
            own = state["optimizer_state_dict"]
            optimizers = [distributed.tensors_to_main(own, rank) for rank in range(distributed.size())]
            state["ranks"]["optimizers"] = optimizers
            state["optimizer_state_dict"] = mean_optimizer(optimizers)
        return state

    def own_state(self, state: dict, heads_per_group: int) -> dict:
        """Of another number of processes' state all take the mean of the moments, and rank 0 the sums."""
        numbers = range(len(state["classifiers_state_dict"]))
        own = [_owner(number // heads_per_group) == distributed.rank() for number in numbers]
        heads = [
            head if mine else {**head, "weight": head["weight"][:0]}
            for mine, head in zip(own, state["classifiers_state_dict"], strict=True)
        ]
        optimizers = [
            optimizer if mine else {**optimizer, "state": {}}
            for mine, optimizer in zip(own, state["optimizers_state_dict"], strict=False)
        ]
        sums = state.get("epoch_sums", {}) if distributed.is_main() else {}
        state = {**state, "classifiers_state_dict": heads, "optimizers_state_dict": optimizers, "epoch_sums": sums}
        ranks = state.get("ranks", {})
        if len(ranks.get("sums", ())) == distributed.size():
            state["epoch_sums"] = ranks["sums"][distributed.rank()]
            if self.moments == "keep" and "optimizers" in ranks:
                state["optimizer_state_dict"] = ranks["optimizers"][distributed.rank()]
        return state

    def names_of(self, groups: Sequence[int]) -> int | str:
        return _joined(distributed.gather(groups))

    def epoch_sums(self, sums: EpochSums) -> EpochSums:
        return merged_sums(distributed.gather(sums.state_dict()))


ALONE = Alone()


def make_ranks(parallel: str, local_steps: int, moments: str) -> Alone:
    """The strategy of --parallel ("data" or "groups") for the processes that there are.

    parallel: which strategy
    local_steps, moments: as in GroupParallel
    """
    if distributed.size() == 1:
        return ALONE
    return DataParallel() if parallel == "data" else GroupParallel(local_steps, moments)


def another_number(parallel: str) -> str:
    """What it means for a run with --parallel `parallel` that it is resumed with another number of processes."""
    if parallel == "groups":
        return (
            "groups take turns from this step on as if there had always been so many, and all begin from the mean of "
            "the moments"
        )
    return (
        "the same batches, and with --freeze_bn or --sync_bn the same weights up to rounding; else batch norms see "
        "shares of another size"
    )


def _owner(group: int) -> int:
    """The process that trains a group."""
    return group % distributed.size()


def _report(batch: Batch) -> list:
    return [batch.unreadable, batch.resized, batch.num_images]


def _take(bad_images: BadImages, batch: Batch, reports: Iterable[list], on_all_ranks: bool) -> None:
    """Tells BadImages what processes and steps report; the batch is the last of them. Raises UserError as it does."""
    unreadable, resized, counts = zip(*reports, strict=True)
    merged = replace(batch, unreadable=list(itertools.chain(*unreadable)), resized=list(itertools.chain(*resized)))
    try:
        bad_images.take(merged, sum(counts))
    except UserError as error:
        error.on_all_ranks = on_all_ranks
        raise


def _joined(parts: Iterable[Sequence[int]]) -> int | str:
    names = sorted({group for part in parts for group in part})
    return names[0] if len(names) == 1 else "+".join(map(str, names))

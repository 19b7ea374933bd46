"""How many ranks train one network: each step's batch shared out (data), or a group each, averaged every so many steps
(groups).

Data parallelism follows the trajectory of one process: a rank reads and augments its share of the very batch, has its
share of the head's classes, and gradients are summed. Frozen parameters have none, and are never communicated.

Group parallelism is local SGD (Stich, 2019) on the mean of the groups' losses (after Zaccone et al., Frontiers in
Robotics and AI, 2024): a rank trains a group of its own from the common network for `local_steps` steps, then the ranks
average their networks and go on, each with its next group. A group's head and its optimizer belong to one rank and are
never averaged.
"""

import contextlib
import itertools
import zlib

import torch

import commons
import distributed
from datasets.bad_images import count_images
from datasets.schedule import Share
from support.errors import UserError
from training.sharded_head import ShardedHead
from training.step_monitor import EpochSums

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Parallel:
    """kind: "data" or "groups"; local_steps: between two averages of groups; moments: what becomes of the network's
    Adam moments then: "keep" (each rank its own), "average", or "reset" (the optimizer begins again). With one process
    nothing is communicated.
    """

    def __init__(self, kind="data", local_steps=None, moments="average"):
        self.kind, self.local_steps, self.moments = kind, local_steps, moments
        self._untold, self._last = (
            [],
            None,
        )  # what BadImages has not been told since the last average, and the last batch
        self.by_groups = kind == "groups" and distributed.size() > 1
        self.by_data = kind == "data" and distributed.size() > 1

    def check(self, args, classes_per_group):
        """Raises UserError if the work cannot be shared out."""
        size, domain = distributed.size(), args.domain_batch_size
        if self.by_data and (
            args.batch_size < size or min(classes_per_group) < size or (domain and domain - domain // 3 < size)
        ):
            raise UserError(
                f"{size} processes cannot share {args.batch_size} images a batch"
                + (f", {domain - domain // 3} source images a domain batch" if domain else "")
                + f" and {min(classes_per_group)} classes a group: start fewer"
            )
        if self.by_groups and args.groups_num % size:
            raise UserError(
                f"--parallel groups needs a number of processes that divides --groups_num {args.groups_num}, not {size}"
            )

    def places(self):
        """Schedule's places."""
        return (distributed.rank(), distributed.size()) if self.by_groups else (0, 1)

    def share(self, count):
        """The slice of `count` rows of a batch that this rank has."""
        return distributed.share(count) if self.by_data else slice(0, count)

    def batch_share(self, batch_size):
        return Share(batch_size, self.share(batch_size))

    def synchronised(self, network, device):
        """The network with batch norms over all ranks' shares of a batch (--sync_bn). Raises UserError without GPUs."""
        if device.type != "cuda":
            raise UserError(
                "--sync_bn needs NVIDIA GPUs: PyTorch has no synchronised batch norm for others; --freeze_bn is another way to "
                "the same training with any number of processes"
            )
        return torch.nn.SyncBatchNorm.convert_sync_batchnorm(network) if self.by_data else network

    # --- heads

    def empty_unless_own(self, group, head):
        """The head of a group; without classes where another rank trains it."""
        if self.by_groups and self._owner(group) != distributed.rank():
            head.weight.data = head.weight.data.new_empty((0, head.weight.shape[1]))
        return head

    def cut_heads(self, run):
        """Leaves to this rank its share of each head's classes, of weights and moments. Each step's softmax is over all
        of them.
        """
        for head, optimizer in zip(run.heads, run.head_optimizers, strict=True) if self.by_data else ():
            classes = distributed.share(len(head.weight))
            head.weight.data = head.weight.data[classes].clone()
            for entry in optimizer.state.values():
                entry |= {key: entry[key][classes].clone() for key in _MOMENTS}

    def loss_of(self, head, num_classes):
        """What Objective is to call as its head."""
        return ShardedHead(head, distributed.share(num_classes), distributed) if self.by_data else head

    def objective_options(self, share, domain_share=None):
        """What Objective is to know of the rows that this rank has; share, domain_share: of a batch and of a domain
        batch, or None.
        """
        return {"share": share, "domain_share": domain_share, "mean": distributed.mean} if self.by_data else {}

    # --- a step

    def take(self, bad_images, batch, rows):
        """Tells BadImages of all ranks' images; where ranks train groups of their own, at the next average. rows: this
        rank's, of the batch and, after it, of the domain batch. Returns the batch with the names of all. Raises
        UserError, on all ranks at the same step, as BadImages does.
        """
        report = [batch.unreadable, batch.resized, count_images(batch)]
        if self.by_groups and not batch.error:
            self._untold.append(report)
            self._last = batch
            return batch
        mine = [report, batch.error, list(zip(rows, batch.names, strict=False))]
        reports, errors, names = zip(*(distributed.gather(mine) if self.by_data else [mine]), strict=True)
        batch = batch._replace(
            error=next(filter(None, errors), ""), names=[name for _, name in sorted(itertools.chain(*names))]
        )
        self._take(bad_images, batch, reports)
        return batch

    def _take_untold(self, bad_images):
        """What all ranks have read since the last average."""
        untold, self._untold = self._untold, []
        self._take(bad_images, self._last, itertools.chain(*distributed.gather(untold)))

    def _take(self, bad_images, batch, reports):
        """reports: [unreadable, resized, how many images were read] of ranks and steps; batch: the last of them, which
        tells the rest.
        """
        unreadable, resized, counts = zip(*reports, strict=True)
        batch = batch._replace(unreadable=list(itertools.chain(*unreadable)), resized=list(itertools.chain(*resized)))
        try:
            bad_images.take(batch, sum(counts))
        except UserError as error:
            error.on_all_ranks = not (self.by_groups and batch.error)
            raise

    def sum_gradients(self, run, head):
        """After backward: every rank gets the whole batch's gradients, and the mean of the batch norms' running
        statistics.
        """
        if not self.by_data:
            return
        gradients = [parameter.grad for parameter in _parameters(run) if parameter.grad is not None]
        if run.scaler.is_enabled():  # a gradient of one rank's classes that is not finite must make all skip the step
            poison = (head.weight.grad * 0).sum()
            gradients.append(poison)
        distributed.sum_flat(gradients, "gradients")
        if run.scaler.is_enabled():
            head.weight.grad += poison
        if not run.network.batch_norm_frozen:
            _average(_statistics(run.network), "statistics")

    def end_step(self, run, checkpoints):
        """After an iteration: averages networks and writes a checkpoint where that is due, and ends all ranks if one
        got a signal.
        """
        if self.by_groups:
            if run.iteration % self.local_steps:
                return
            self._average_networks(run)
            self._take_untold(run.bad_images)
        due, number = checkpoints is not None and checkpoints.is_due(), 0
        if distributed.size() > 1:
            due, number = distributed.all_reduce(
                torch.tensor([due and distributed.is_main(), commons.pending_signal()]), "agreement", maximum=True
            ).tolist()
        if due:
            checkpoints.save()
        if number:
            interrupted = commons.Interrupted(number)
            interrupted.on_all_ranks = True
            raise interrupted

    def ending_together(self):
        """Within it a signal takes effect where end_step() says so on all ranks; with one process at once."""
        return commons.deferred_signals() if distributed.size() > 1 else contextlib.nullcontext()

    def end_training(self, checkpoints):
        """Between an epoch's steps and its validation, which ranks leave each by itself on a signal: so nothing is lost
        by that.
        """
        if distributed.size() > 1:
            checkpoints.save()

    def finish(self, checkpoints):
        """Checkpoints.finish() on all ranks."""
        checkpoints.is_behind = distributed.from_main(checkpoints.is_behind)
        checkpoints.finish()

    def _average_networks(self, run):
        _average([parameter.data for parameter in _parameters(run) if parameter.requires_grad], "networks")
        _average(_statistics(run.network), "statistics")
        for optimizer in (run.optimizer, *([run.domain_optimizer] if run.domain else [])):
            if self.moments == "average":
                _average(
                    [entry[key] for entry in optimizer.state.values() for key in _MOMENTS if key in entry], "moments"
                )
            elif self.moments == "reset":
                optimizer.state.clear()
        if run.scaler.is_enabled():
            run.monitor.flush()
            scales = distributed.gather(run.scaler.state_dict())
            run.scaler.load_state_dict(min(scales, key=lambda state: state["scale"]))
            run.monitor.begin()  # a lower scale from another rank is no step that was skipped here

    def another_number(self):
        """What a resumed run with another number of processes means."""
        if self.kind == "groups":
            return "groups take turns from this step on as if there had always been so many, and all begin from the mean of the moments"
        return (
            "the same batches, and with --freeze_bn or --sync_bn the same weights up to rounding; else batch norms see shares of "
            "another size"
        )

    # --- the run's state, which is that of one process whatever the number of ranks

    def _owner(self, group):
        return group % distributed.size()

    def gather_state(self, state):
        """RunState.state_dict()'s of all ranks in one, on rank 0, who writes it; on the others it keeps to what is
        their own.
        """
        heads, optimizers = state["classifiers_state_dict"], state["optimizers_state_dict"]
        for group in range(len(heads)):
            if self.by_data:
                heads[group] = {"weight": _rows(heads[group]["weight"])}
                entries = {
                    number: {**entry, **{key: _rows(entry[key]) for key in _MOMENTS}}
                    for number, entry in optimizers[group]["state"].items()
                }
                optimizers[group] = {**optimizers[group], "state": entries}
            if self.by_groups:
                heads[group], optimizers[group] = distributed.tensors_to_main(
                    [heads[group], optimizers[group]], self._owner(group)
                )
        if self.by_groups:
            state["ranks"] = {"sums": distributed.gather(state["epoch_sums"])}
            state["epoch_sums"] = _merged(state["ranks"]["sums"]).state_dict()
            if self.moments == "keep":
                optimizers = [
                    distributed.tensors_to_main(state["optimizer_state_dict"], rank)
                    for rank in range(distributed.size())
                ]
                state["ranks"]["optimizers"] = optimizers
                state["optimizer_state_dict"] = _mean_optimizer(optimizers)
        return state

    def own_state(self, state):
        """Of a state that ranks have gathered, what this rank goes on from. Of another number of ranks all get the mean
        of the moments, and rank 0 the sums.
        """
        ranks = state.get("ranks", {})
        if self.by_groups:
            own = [self._owner(group) == distributed.rank() for group in range(len(state["classifiers_state_dict"]))]
            heads = [
                head if mine else {**head, "weight": head["weight"][:0]}
                for mine, head in zip(own, state["classifiers_state_dict"], strict=True)
            ]
            optimizers = [
                optimizer if mine else {**optimizer, "state": {}}
                for mine, optimizer in zip(own, state["optimizers_state_dict"], strict=False)
            ]
            state = {
                **state,
                "classifiers_state_dict": heads,
                "optimizers_state_dict": optimizers,
                "epoch_sums": state.get("epoch_sums", {}) if distributed.is_main() else {},
            }
        if self.by_groups and len(ranks.get("sums", ())) == distributed.size():
            state = {**state, "epoch_sums": ranks["sums"][distributed.rank()]}
            if self.moments == "keep" and "optimizers" in ranks:
                state["optimizer_state_dict"] = ranks["optimizers"][distributed.rank()]
        return state

    def names_of(self, groups):
        """The groups that an epoch has trained on all ranks, for logs: 0, or "0+1"."""
        parts = distributed.gather(groups) if self.by_groups else [groups]
        names = sorted({group for part in parts for group in part})
        return names[0] if len(names) == 1 else "+".join(map(str, names))

    def epoch_sums(self, sums):
        """The EpochSums of all ranks in one."""
        if not self.by_groups:
            return sums
        return _merged(distributed.gather(sums.state_dict()))


ALONE = Parallel()


def _merged(parts):
    """The EpochSums of ranks, of their state_dict()s, in one."""
    parts = [EpochSums(**part) for part in parts]
    names = dict.fromkeys(name for part in parts for name in part.totals)
    crc32 = zlib.crc32(" ".join(str(part.images_crc32) for part in parts).encode())
    return EpochSums(
        {name: sum(part.totals.get(name, 0.0) for part in parts) for name in names},
        sum(part.steps for part in parts),
        sum(part.skipped_steps for part in parts),
        0,
        crc32,
        max(part.seconds for part in parts),
    )


def _mean_optimizer(states):
    """Adam's state_dict with the mean of the moments."""
    entries = {
        number: {
            **entry,
            **{
                key: torch.stack([state["state"][number][key].cpu() for state in states]).mean(dim=0)
                for key in _MOMENTS
            },
        }
        for number, entry in states[0]["state"].items()
    }
    return {**states[0], "state": entries}


def _parameters(run):
    """The parameters that the ranks have in common."""
    return [*run.network.parameters(), *(run.domain.parameters() if run.domain else ())]


def _statistics(network):
    """The running statistics of batch norms."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


def _average(tensors, what):
    for tensor in tensors:
        tensor.div_(distributed.size())
    distributed.sum_flat(tensors, what)


def _rows(tensor):
    """The rows of all ranks, on the CPU of rank 0."""
    return distributed.rows_to_main(tensor.detach().cpu(), "checkpoints")

"""The schedule of a training run: step -> (epoch, group, k) -> classes, images and augmentation of the batch.

Every draw is a function of counters, never of previous draws. So results do not depend on the number of workers, and
any step can be the first of a resumed run.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np

from support.errors import UserError

# an independent stream of random numbers for each purpose
_CLASSES, _IMAGES, _AUGMENTATION, _HEADS, _NETWORK = range(5)
_DOMAIN_IMAGES, _DOMAIN_AUGMENTATION, _DOMAIN_MODULES = range(10, 13)
_NIGHT_ROWS, _NIGHT = range(20, 22)

_Parameters = TypeVar("_Parameters", bound=tuple | None)


class Share(NamedTuple):
    """Some rows of a batch. Random numbers are drawn for all rows of a batch, whichever process has them."""

    count: int  # rows of the whole batch
    rows: slice | np.ndarray  # which of them these are

    @classmethod
    def whole(cls, count: int) -> Self:
        """All rows of a batch of `count`."""
        return cls(count, slice(0, count))

    def of(self, parameters: _Parameters) -> _Parameters:
        """Selects these rows of a named tuple of tensors, whose first dimension is the batch; None for None."""
        return parameters and type(parameters)(*(field[self.rows] for field in parameters))


class Schedule:
    """Groups in turn, `local_steps` steps each.

    By default each group has an epoch, as published: epoch e trains group e mod groups_num.

    classes_per_group: number of classes of each trained group
    batch_size: images in a batch
    iterations_per_epoch: steps
    epochs_num: epochs
    seed: of all draws
    local_steps: steps of a group's turn (default: an epoch)
    images_per_class: of each class in a batch
    heads: that each group has; a step has a batch for each, drawn independently
    parameters: of the classes, by the names of their options, for messages
    places: (this rank, number of ranks) that train a group each at the same time: in turn r, rank k trains group (r *
        ranks + k) mod groups_num

    Raises UserError if a group cannot fill a batch.
    """

    def __init__(
        self,
        classes_per_group: Sequence[int],
        batch_size: int,
        iterations_per_epoch: int,
        epochs_num: int,
        seed: int,
        local_steps: int | None = None,
        places: tuple[int, int] = (0, 1),
        images_per_class: int = 1,
        heads: int = 1,
        parameters: Sequence[str] = ("M", "alpha", "N", "L", "min_images_per_class"),
    ):
        self.classes_per_group = [int(classes) for classes in classes_per_group]
        self.batch_size, self.iterations_per_epoch, self.epochs_num, self.seed = (
            batch_size,
            iterations_per_epoch,
            epochs_num,
            seed,
        )
        self.local_steps, (self.place, self.num_places) = local_steps or iterations_per_epoch, places
        self.images_per_class, self.classes_per_batch = images_per_class, batch_size // images_per_class
        self.heads = heads
        for group, classes in enumerate(self.classes_per_group):
            if classes < self.classes_per_batch:
                each = f" (--batch_size / {images_per_class} images of a class)" if images_per_class > 1 else ""
                raise UserError(
                    f"group {group} has {classes} classes, fewer than a batch of {self.classes_per_batch}{each}: "
                    f"lower --batch_size, or change --{', --'.join(parameters[:-1])} or --{parameters[-1]} so that "
                    "groups have more classes"
                )
        self._passes: dict[int, tuple] = {}  # of each head: (group, number of the pass), its order of classes

    @property
    def groups_num(self) -> int:
        """Number of groups that are trained."""
        return len(self.classes_per_group)

    @property
    def steps(self) -> int:
        """Number of steps of the whole run."""
        return self.epochs_num * self.iterations_per_epoch

    def at(self, step: int) -> tuple[int, int, int]:
        """Finds (epoch, group, k) of a step; k: number of batches that the group had before."""
        turn, iteration = divmod(step, self.local_steps)
        turn, group = divmod(turn * self.num_places + self.place, self.groups_num)
        return step // self.iterations_per_epoch, group, turn * self.local_steps + iteration

    def groups_of(self, epoch: int) -> list[int]:
        """Lists the groups that an epoch trains here, in the order of their first steps."""
        first, last = epoch * self.iterations_per_epoch, (epoch + 1) * self.iterations_per_epoch
        turns = range(first // self.local_steps, -(-last // self.local_steps))[: self.groups_num]
        return list(dict.fromkeys(self.at(turn * self.local_steps)[1] for turn in turns))

    def batch(self, group: int, k: int, head: int = 0) -> np.ndarray:
        """Draws the classes of batch k of one of a group's heads: int64 (batch_size,).

        A pass over the group draws without replacement. With several images a class, all classes come once, then all
        a second time, and so on.
        """
        size = self.classes_per_batch
        batches_per_pass = self.classes_per_group[group] // size  # the last partial batch of a pass is dropped
        number, position = divmod(k, batches_per_pass)
        if head not in self._passes or self._passes[head][0] != (group, number):
            generator = self._generator(_CLASSES, group, number, *_of_head(head))
            self._passes[head] = (group, number), generator.permutation(self.classes_per_group[group])
        return np.tile(self._passes[head][1][position * size : (position + 1) * size], self.images_per_class)

    def image_draws(self, group: int, k: int, head: int = 0) -> np.ndarray:
        """Draws a number in [0, 1) for each row of a head's batch, which picks its image: float64 (batch_size,)."""
        return self._generator(_IMAGES, group, k, *_of_head(head)).random(self.batch_size)

    def augmentation_seed(self, group: int, k: int) -> int:
        """The seed of the batch's augmentation parameters."""
        return self._seed(_AUGMENTATION, group, k)

    def night_draws(self, group: int, k: int, head: int = 0) -> np.ndarray:
        """Draws two numbers in [0, 1) for each row of a head's batch: float64 (2, batch_size).

        They decide whether its image becomes night, and with which target.
        """
        return self._generator(_NIGHT_ROWS, group, k, *_of_head(head)).random((2, self.batch_size))

    def night_seed(self, group: int, k: int) -> int:
        """The seed of the night's post-processing."""
        return self._seed(_NIGHT, group, k)

    def network_seed(self, group: int, k: int) -> int:
        """The seed of what is random inside the network (stochastic depth of EfficientNet and ConvNeXt) at a step."""
        return self._seed(_NETWORK, group, k)

    def head_seed(self, group: int) -> int:
        """The seed of a group's initial head."""
        return self._seed(_HEADS, group)

    def domain_draws(self, group: int, k: int, count: int) -> np.ndarray:
        """Draws numbers in [0, 1) that pick the images of a step's domain batch: float64 (count, 3)."""
        return self._generator(_DOMAIN_IMAGES, group, k).random((count, 3))

    def domain_augmentation_seed(self, group: int, k: int) -> int:
        """The seed of the domain batch's augmentation parameters."""
        return self._seed(_DOMAIN_AUGMENTATION, group, k)

    def domain_seed(self) -> int:
        """The seed of the initial weights of what domain adaptation adds."""
        return self._seed(_DOMAIN_MODULES)

    def _seed(self, *counters: int) -> int:
        return int(self._sequence(*counters).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _sequence(self, *counters: int) -> np.random.SeedSequence:
        return np.random.SeedSequence((self.seed, *counters))

    def _generator(self, *counters: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(self._sequence(*counters)))


def _of_head(head: int) -> tuple[int, ...]:
    """What a head adds to the counters of a draw: nothing for the first, the only one of CosPlace."""
    return (head,) if head else ()


def pick_apart(count: int, draws: Sequence[float]) -> list[float]:
    """Draws that pick other ones of `count` candidates by round_from, while there are any, where `draws` may repeat.

    count: of candidates, at least 1
    draws: numbers in [0, 1); the first stays
    """
    picked, left = [], []
    for draw in draws:
        left = left or list(range(count))
        picked.append(left.pop(int(draw * len(left))))
    return [(pick + 0.5) / count for pick in picked]


def round_from(candidates: Sequence, draw: float) -> Iterator:
    """Yields all candidates, from the one that `draw`, a number in [0, 1), picks, and round to the one before it."""
    first = int(draw * len(candidates))
    return (candidates[(first + offset) % len(candidates)] for offset in range(len(candidates)))

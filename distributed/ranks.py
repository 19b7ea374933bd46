"""Which rank this process is, and its share of the work. A process on its own is rank 0 of 1."""

import torch.distributed as dist


def rank() -> int:
    """This process's number, 0 to size() - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """The number of processes that run together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is rank 0, which logs, draws, and writes all files that exist once."""
    return rank() == 0


def quiet() -> bool | None:
    """tqdm's `disable`: None on rank 0 (tqdm looks whether there is a terminal), True on all others."""
    return None if is_main() else True


def share(count: int, of: int | None = None) -> slice:
    """The slice of `count` things that belongs to this rank, or to rank `of`.

    Slices are contiguous and in the order of ranks. Their lengths differ by at most 1.
    """
    of = rank() if of is None else of
    return slice(count * of // size(), count * (of + 1) // size())


def length(count: int, of: int | None = None) -> int:
    """The length of share(count, of)."""
    part = share(count, of)
    return part.stop - part.start

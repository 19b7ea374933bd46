"""The first dimensions of descriptors, for recall against dimension."""

import contextlib
from collections.abc import Iterator

import numpy as np

from retrieval.store import DescriptorStore, temporary_store


@contextlib.contextmanager
def first_dimensions(store: DescriptorStore, dim: int) -> Iterator[DescriptorStore]:
    """A temporary store with the first dimensions of each descriptor, brought to unit length again.

    Of a whitened last layer these are the strongest components: the descriptors that --whiten_dim gives.

    store: complete; with several ranks each shortens its own share
    dim: how many dimensions, of those that the store has
    """
    shape = store.num_images, dim, store.dtype, store.block_size, store.sharded
    with contextlib.closing(temporary_store(*shape)) as short:
        for block in store.blocks():
            rows = store.rows(block)
            values = np.array(store.descriptors[rows.start : rows.stop, :dim], np.float32)
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            np.divide(values, lengths, out=values, where=lengths > 0)
            short.write(block, values, {row: store.unreadable[row] for row in rows if row in store.unreadable})
        short.finish()
        yield short

"""Descriptors changed one by one: their first dimensions, or behind a fitted layer."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np

from model.last_layer import FittedLayer
from retrieval.store import DescriptorStore, temporary_store


def first_dimensions(store: DescriptorStore, dim: int) -> AbstractContextManager[DescriptorStore]:
    """A temporary store with the first dimensions of each descriptor, brought to unit length again.

    Of a whitened last layer these are the strongest components: the descriptors that --whiten_dim gives.

    store: complete; with several ranks each shortens its own share
    dim: how many dimensions, of those that the store has
    """
    return _changed(store, dim, lambda values: values[:, :dim])


def projected(store: DescriptorStore, fitted: FittedLayer) -> AbstractContextManager[DescriptorStore]:
    """A temporary store with each descriptor behind a layer, brought to unit length.

    store: complete; fitted: the layer.
    """
    weight, bias = fitted.weight.astype(np.float32).T, fitted.bias.astype(np.float32)
    return _changed(store, len(bias), lambda values: values @ weight + bias)


@contextlib.contextmanager
def _changed(store: DescriptorStore, dim: int, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[DescriptorStore]:
    """A temporary store with all descriptors changed, and brought to unit length.

    store: complete
    dim: of the changed descriptors
    change: descriptors (n, store.dim) -> (n, dim)
    """
    shape = store.num_images, dim, store.dtype, store.block_size, store.sharded
    with contextlib.closing(temporary_store(*shape)) as short:
        for block in store.blocks():
            rows = store.rows(block)
            values = np.array(change(store.descriptors[rows.start : rows.stop]), np.float32)
            unreadable = {row: store.unreadable[row] for row in rows if row in store.unreadable}
            values[[row - rows.start for row in unreadable]] = 0
            lengths = np.linalg.norm(values, axis=1, keepdims=True)
            np.divide(values, lengths, out=values, where=lengths > 0)
            short.write(block, values, unreadable)
        short.finish()
        yield short

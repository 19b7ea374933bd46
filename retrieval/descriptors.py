"""Descriptors of all images of a folder."""

import contextlib
import itertools

import numpy as np
import torch
from tqdm import tqdm

import distributed
from model.inference import Describer
from retrieval.store import block_size, temporary_store
from support.errors import UserError
from support.workers import explaining_lost_workers, make_workers_loader


def extract_descriptors(
    network,
    images,
    batch_size=16,
    device="cpu",
    num_workers=0,
    description="Descriptors",
    dtype=torch.float32,
    store=None,
):
    """Descriptors of an ImageFolder's images, which may have any sizes: images of one size share a batch.

    network: a GeoLocalizationNet on `device`, which stays as it is; dtype: what its backbone computes in; store: the
    DescriptorStore that they go into (default: a temporary one), whose written blocks are not computed again. Returns
    its memory-mapped (n, dim) descriptors in the order of the images and {index: reason} of the images that could not
    be read, whose rows are zero. Raises UserError if a descriptor is not finite, or the disk refuses.
    """
    if store is None:
        with contextlib.closing(
            temporary_store(len(images), network.fc_output_dim, block=block_size(batch_size, len(images)))
        ) as store:
            return extract_descriptors(network, images, batch_size, device, num_workers, description, dtype, store)
    pending = store.pending()
    if pending:
        device = torch.device(device)
        loader = make_workers_loader(
            images,
            num_workers,
            batch_size=batch_size,
            collate_fn=list,
            sampler=itertools.chain.from_iterable(map(store.rows, pending)),
        )
        describe = Describer(network, device, dtype)
        total = sum(len(store.rows(block)) for block in pending)
        with (
            explaining_lost_workers(),
            tqdm(total=total, desc=description, unit="img", leave=False, disable=distributed.quiet()) as progress,
        ):
            items = itertools.chain.from_iterable(loader)
            for block in pending:
                store.write(block, *_extract_block(describe, images, items, store.rows(block), batch_size, progress))
    if not store.complete:
        store.finish()
    return store.descriptors, store.unreadable


def _extract_block(describe, images, items, rows, batch_size, progress):
    """A block's descriptors, float32 (len(rows), dim), and {index: reason} of its unreadable images. items: (index,
    image, reason) of these rows and of what follows them. A block's batches hold no image of another: so they are the
    same wherever an extraction begins.
    """
    descriptors, unreadable = np.zeros((len(rows), describe.network.fc_output_dim), np.float32), {}
    for indices, batch in _same_size_batches(itertools.islice(items, len(rows)), batch_size, unreadable, progress):
        computed = describe(batch).numpy()
        if not np.isfinite(computed).all():
            raise UserError(
                f"the descriptor of {images.path(indices[0])!r} or of an image beside it is not finite: "
                "the network's weights are damaged, or its training diverged"
            )
        descriptors[np.array(indices) - rows.start] = computed
    return descriptors, unreadable


def _same_size_batches(items, batch_size, unreadable, progress):
    """Regroups images: yields ([indices], uint8 (b, 3, H, W)) of one size each, b at most batch_size.

    At most 4 batches of images wait for fellows of their size; then the largest group goes as it is.
    """
    waiting = {}  # (H, W) -> [(index, image)]
    for index, image, reason in items:
        progress.update()
        if image is None:
            unreadable[index] = reason
            continue
        size = tuple(image.shape[1:])
        waiting.setdefault(size, []).append((index, image))
        if len(waiting[size]) == batch_size:
            yield _stack(waiting.pop(size))
        elif sum(map(len, waiting.values())) > 4 * batch_size:
            yield _stack(waiting.pop(max(waiting, key=lambda size: len(waiting[size]))))
    for group in waiting.values():
        yield _stack(group)


def _stack(group):
    return [index for index, _ in group], torch.stack([image for _, image in group])

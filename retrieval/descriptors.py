"""Descriptors of all images of a folder."""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from tqdm import tqdm

import distributed
from datasets.test_dataset import ImageFolder
from model.inference import Describer
from model.network import GeoLocalizationNet
from retrieval.store import DescriptorStore, block_size, temporary_store
from support.errors import UserError
from support.memory import is_out_of_memory
from support.progress import EVERY, Progress
from support.workers import Loader

logger = logging.getLogger(__name__)

_WAITING = 4  # batches of images that may wait for others of their size


@dataclass(frozen=True)
class ExtractionOptions:
    """How descriptors are extracted."""

    batch_size: int = 16
    device: torch.device | str = "cpu"  # that the network is on
    _: KW_ONLY
    num_workers: int = 0  # processes that read images; results do not depend on it
    dtype: torch.dtype = torch.float32  # that the backbone computes in
    compile: bool = False  # whether the network is compiled: faster after minutes, the last bits differ


_DEFAULTS = ExtractionOptions()


def extract_descriptors(
    network: GeoLocalizationNet,
    images: ImageFolder,
    options: ExtractionOptions = _DEFAULTS,
    store: DescriptorStore | None = None,
    description: str = "Descriptors",
    describe: Describer | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Computes the descriptors of images of any sizes; images of one size share a batch.

    network: on options.device; it is not changed
    images: the images of a folder
    options: how to extract
    store: receives the descriptors; the blocks that it has are not computed again (default: a temporary store)
    description: names the progress bar, and the lines in the log, one a minute where it takes longer
    describe: of this network and these options, where several folders share it

    Returns memory-mapped descriptors (n, dim) in the order of the images, and {index: reason} of the unreadable images,
    whose rows are zero. Raises UserError if a descriptor is not finite, or if the disk refuses.
    """
    if store is None:
        block = block_size(options.batch_size, len(images))
        with contextlib.closing(temporary_store(len(images), network.fc_output_dim, block=block)) as store:
            return extract_descriptors(network, images, options, store, description, describe)
    pending = store.pending()
    if pending:
        describe = describe or Describer(network, options.device, options.dtype, options.compile)
        unknown = {block: store.rows(block) for block in pending}
        if store.earlier:
            unknown = {block: store.earlier.unknown(rows) for block, rows in unknown.items()}
        order = itertools.chain.from_iterable(unknown.values())
        total = sum(map(len, unknown.values()))
        with (
            Loader(images, options.num_workers, options.batch_size, list, sampler=order) as loader,
            tqdm(total=total, desc=description, unit="img", leave=False, disable=distributed.quiet()) as bar,
        ):
            items = _watched(itertools.chain.from_iterable(loader), bar, total, description)
            for block in pending:
                described = itertools.islice(items, len(unknown[block]))
                rows = store.rows(block)
                values, bad = _extract_block(describe, images, described, rows, options.batch_size)
                if store.earlier:
                    store.earlier.fill(rows, values)
                store.write(block, values, bad)
    if not store.complete:
        store.finish()
    return store.descriptors, store.unreadable


def _watched(items: Iterator, bar: tqdm, total: int, description: str) -> Iterator:
    """Yields the items. They move the bar and, on rank 0, about every minute a line says how far it is."""
    progress = Progress(total, first=EVERY)
    for done, item in enumerate(items):  # the ones before are through, but for the last batch
        bar.update()
        if done and distributed.is_main() and progress.is_due():
            of = f"{total} images" + (" of this process" if distributed.size() > 1 else "")
            speed = f"{progress.speed(done):.1f} images/s"
            logger.info(f"{description}, {done} of {of}: {speed}, about {progress.left(done)} to the end")
        yield item


def _extract_block(
    describe: Describer, images: ImageFolder, items: Iterator, rows: range, batch_size: int
) -> tuple[np.ndarray, dict[int, str]]:
    """A block's descriptors, float32 (len(rows), dim), and {index: reason} of its unreadable images.

    A batch never holds images of two blocks, so batches are the same wherever an extraction begins.
    items: (index, image, reason) of these rows, or of some of them; the other rows are zero.
    """
    descriptors, unreadable = np.zeros((len(rows), describe.network.fc_output_dim), np.float32), {}
    for indices, computed in _described(describe, images, items, batch_size, unreadable):
        descriptors[np.array(indices) - rows.start] = computed
    return descriptors, unreadable


def _described(
    describe: Describer, images: ImageFolder, items: Iterator, batch_size: int, unreadable: dict[int, str]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yields ([indices], their descriptors), batch by batch: a GPU computes one while the next is read."""
    begun = None
    for group in _same_size_groups(items, batch_size, unreadable):
        indices = [index for index, _ in group]
        try:
            computing = indices, describe.start(describe.stack([image for _, image in group]))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            height, width = group[0][1].shape[1:]
            raise UserError(
                f"there is not enough memory for the descriptors of {len(group)} images of {width} x {height} pixels, "
                f"as {images.path(indices[0])!r}: lower --infer_batch_size, or make test images smaller with "
                "--resize_test_imgs"
            ) from error
        if begun:
            yield _finished(*begun, images)
        begun = computing
    if begun:
        yield _finished(*begun, images)


def _finished(
    indices: list[int], wait: Callable[[], torch.Tensor], images: ImageFolder
) -> tuple[list[int], np.ndarray]:
    computed = wait().numpy()
    if not np.isfinite(computed).all():
        raise UserError(
            f"the descriptor of {images.path(indices[0])!r} or of an image beside it is not finite: "
            "the network's weights are damaged, or its training diverged"
        )
    return indices, computed


def _same_size_groups(
    items: Iterator, batch_size: int, unreadable: dict[int, str]
) -> Iterator[list[tuple[int, torch.Tensor]]]:
    """Regroups images: yields [(index, uint8 (3, H, W))], each list of one size, and of at most batch_size images.

    At most _WAITING batches of images wait for others of their size; then the largest group goes as it is.
    """
    waiting = {}  # (H, W) -> [(index, image)]
    for index, image, reason in items:
        if image is None:
            unreadable[index] = reason
            continue
        size = tuple(image.shape[1:])
        waiting.setdefault(size, []).append((index, image))
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
        elif sum(map(len, waiting.values())) > _WAITING * batch_size:
            yield waiting.pop(max(waiting, key=lambda size: len(waiting[size])))
    yield from waiting.values()

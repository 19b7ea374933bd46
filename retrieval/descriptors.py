"""Descriptors of all images of a folder."""

import numpy as np
import torch
from tqdm import tqdm

from model.errors import UserError
from model.inference import Describer


def extract_descriptors(network, images, batch_size=16, device="cpu", num_workers=0, description="Descriptors",
                        dtype=torch.float32):
    """Descriptors of an ImageFolder's images, which may have any sizes: images of one size share a batch.

    network: a GeoLocalizationNet on `device`, which stays as it is; dtype: what its backbone computes in. Returns float32
    (n, dim) in the order of the images and {index: reason} of the images that could not be read, whose rows are zero.
    Raises UserError if a descriptor is not finite.
    """
    device = torch.device(device)
    loader = torch.utils.data.DataLoader(images, batch_size=batch_size, num_workers=num_workers, collate_fn=list,
                                         pin_memory=device.type == "cuda")
    descriptors = np.zeros((len(images), network.fc_output_dim), np.float32)
    unreadable = {}
    describe = Describer(network, device, dtype)
    with tqdm(total=len(images), desc=description, unit="img", leave=False, disable=None) as progress:
        for indices, batch in _same_size_batches(loader, batch_size, unreadable, progress):
            descriptors[indices] = describe(batch).numpy()
            if not np.isfinite(descriptors[indices]).all():
                raise UserError(f"the descriptor of {images.path(indices[0])!r} or of an image beside it is not finite: "
                                "the network's weights are damaged, or its training diverged")
    return descriptors, unreadable


def _same_size_batches(loader, batch_size, unreadable, progress):
    """Regroups a loader's images: yields ([indices], uint8 (b, 3, H, W)) of one size each, b at most batch_size.

    At most 4 batches of images wait for fellows of their size; then the largest group goes as it is.
    """
    waiting = {}  # (H, W) -> [(index, image)]
    for items in loader:
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

"""Night as an augmentation of training batches. Workers prepare the targets; the device makes the night."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from datasets.batches import Tensors
from datasets.choices import default_strength, needs_strength, needs_target
from datasets.night.fourier import fda
from datasets.night.post_processing import PostProcessing
from datasets.night.target_images import TargetImages
from datasets.schedule import Share
from model.normalization import to_float, to_tensor


def make_night(
    images: torch.Tensor,
    method: str,
    take_colors: Callable[[torch.Tensor], torch.Tensor],
    generator: torch.Generator | None,
    share: Share | None = None,
    strength: str | None = None,
) -> torch.Tensor:
    """Makes night of float images (B, 3, H, W) in [0, 1].

    images: by day
    method: one of NIGHT_METHODS
    take_colors: a function that applies FDA to the images (not called for pp)
    generator: of the post-processing, on the CPU
    share: as in PostProcessing
    strength: of the post-processing, one of PP_STRENGTHS (default: mild after FDA, else strong)
    """
    if needs_target(method):
        images = take_colors(images)
    if not needs_strength(method):
        return images
    return PostProcessing(strength or default_strength(method))(images, generator, share)


def open_night(
    method: str | None,
    probability: float,
    beta: float,
    target_folder: str | None,
    window: str = "paper",
    strength: str | None = None,
) -> "NightAugmentation | None":
    """Builds the NightAugmentation of a method; None for None.

    method: one of NIGHT_METHODS, or None
    probability: that an image becomes night
    beta: FDA's
    target_folder: of night images, for the methods that need one
    window: FDA's
    strength: as in make_night

    Raises UserError if the target folder is missing or empty.
    """
    if not method:
        return None
    targets = TargetImages(target_folder) if needs_target(method) else None
    return NightAugmentation(method, probability, beta, targets, window, strength)


@dataclass
class NightRows(Tensors):
    """The rows of a batch that become night, as a worker prepares them."""

    rows: torch.Tensor  # int64 (n,): the images that become night
    targets: torch.Tensor | None  # uint8 (n, 3, H, W): FDA's target of each image, of the same size
    share: Share | None = None  # which they are of all images of the batch that become night


class NightAugmentation:
    """Makes night of some images by day.

    method: one of NIGHT_METHODS
    probability: that an image becomes night
    beta: FDA's
    targets: night images, for the methods that need them
    window: FDA's
    strength: as in make_night
    """

    def __init__(
        self,
        method: str,
        probability: float,
        beta: float,
        targets: TargetImages | None = None,
        window: str = "paper",
        strength: str | None = None,
    ):
        self.method, self.probability, self.beta, self.targets = method, probability, beta, targets
        self.window, self.strength = window, strength

    def prepare(
        self,
        draws: np.ndarray,
        by_day: np.ndarray,
        size: tuple[int, int],
        unreadable: list[tuple[str, str]],
        share: Share,
    ) -> NightRows:
        """Prepares the NightRows of a Share of a batch.

        draws: float64 (2, B) in [0, 1), for each row: whether its image becomes night, and with which target
        by_day: bool (B,): the others are of the night already
        size: (width, height) of the images
        unreadable: a list that receives (path, reason)
        share: of the batch, in ascending order

        Raises ImageError if no target can be read.
        """
        all_rows, own = np.flatnonzero(by_day & (draws[0] < self.probability)), np.arange(share.count)[share.rows]
        mine = np.flatnonzero(np.isin(all_rows, own))
        rows = all_rows[mine]
        targets = None
        if needs_target(self.method):
            targets = np.empty((len(rows), size[1], size[0], 3), np.uint8)
            for target, draw in zip(targets, draws[1, rows], strict=True):
                target[:] = self.targets.read(self.targets.index(draw), size, unreadable)
            targets = to_tensor(targets)
        return NightRows(torch.from_numpy(np.searchsorted(own, rows)), targets, Share(len(all_rows), mine))

    def __call__(self, images: torch.Tensor, night: NightRows, seed: int) -> torch.Tensor:
        """Makes night of the rows of `night`: uint8 images (B, 3, H, W) -> float32 (B, 3, H, W) in [0, 1].

        The same seed gives the same result on every device.
        """
        images = to_float(images.contiguous())  # operations over channels are slow on channels_last
        if len(night.rows):
            rows = night.rows.to(images.device)
            targets = (
                None
                if night.targets is None
                else to_float(night.targets.to(images.device, non_blocking=True).contiguous())
            )
            generator = torch.Generator().manual_seed(seed)
            images[rows] = make_night(
                images[rows],
                self.method,
                lambda day: fda(day, targets, self.beta, self.window),
                generator,
                night.share,
                self.strength,
            )
        return images

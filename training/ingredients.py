"""The ingredients of a model soup: their networks, and the batches that its batch norm is estimated on again."""

import logging
from collections.abc import Iterator

import torch
from tqdm import tqdm

from datasets.calibration_dataset import CalibrationImages
from model.checkpoints import load_network
from model.details import Details
from model.network import GeoLocalizationNet
from model.normalization import normalize
from model.soups import refuse_damaged
from support.errors import UserError
from support.workers import Loader

logger = logging.getLogger(__name__)

StateDict = dict[str, torch.Tensor]


def load_ingredients(
    sources: list[str],
    architecture: tuple[str | None, int | None],
    zoo: str | None,
    gem_activation: str | None = None,
) -> tuple[GeoLocalizationNet, list[StateDict]]:
    """Loads networks of one architecture. Returns (the first network, the state_dict of each), on the CPU.

    sources: files, or names of published models
    architecture: (backbone, fc_output_dim) that is expected; None for any
    zoo, gem_activation: as model.checkpoints.load_network takes them

    Raises UserError if they differ in architecture, or hold numbers that are not finite.
    """
    network, state_dicts = None, []
    for source in sources:
        ingredient = load_network(source, *architecture, zoo_location=zoo, gem_activation=gem_activation)
        network = network or ingredient
        (name, dim), (first_name, first_dim) = ((n.backbone_name, n.fc_output_dim) for n in (ingredient, network))
        if (name, dim) != (first_name, first_dim):
            raise UserError(
                f"{source} is a {name} with {dim}-D descriptors, and {sources[0]} a {first_name} with "
                f"{first_dim}-D: the ingredients of a soup have one architecture"
            )
        if (differing := _describe_difference(ingredient.details(), network.details())) is not None:
            raise UserError(f"{source} has {differing}, unlike {sources[0]}: the ingredients of a soup are of one kind")
        refuse_damaged(ingredient.state_dict(), source)
        state_dicts.append({key: value.clone() for key, value in ingredient.state_dict().items()})
    return network, state_dicts


def _describe_difference(details: Details, first: Details) -> str | None:
    """How an ingredient differs from the first one in what its entries do not tell; None if it does not."""
    if details.gem_activation != first.gem_activation:
        return f"--gem_activation {details.gem_activation}"
    return None if details.normalization == first.normalization else "images of another normalisation"


def calibration_batches(images: CalibrationImages, num_workers: int, device: torch.device) -> Iterator[torch.Tensor]:
    """Yields normalised batches (B, 3, H, W) on the device. Raises UserError if no image can be read."""
    seen, unreadable = 0, []
    with Loader(images, num_workers) as loader:
        for batch, problems in tqdm(loader, desc="Batch norm", unit="batch", leave=False, disable=None):
            unreadable += problems
            seen += len(batch)
            if len(batch) > 1:  # one image has no statistics where its features have one position
                yield normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
    if unreadable:
        name, reason = unreadable[0]
        logger.warning(f"{len(unreadable)} training images cannot be read and are left out, as {name!r}: {reason}")
    if not seen:
        raise UserError(f"none of the images drawn from {images.folder} can be read")
    logger.debug(f"Batch norm estimated again on {seen} images")

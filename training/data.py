"""What a run trains, validates and tests on, and how its batches are augmented."""

import argparse
import logging
from dataclasses import dataclass, replace

import numpy as np
import torch

from augmentations import RandomResizedCrop, TrainAugmentation, color_augmentation
from datasets.class_maps import save_class_maps
from datasets.eigenplaces import EigenPlaces, describe_groups_num
from datasets.groups import CosPlace, Groups, open_split
from datasets.image_names import ImageNames
from datasets.methods import Method
from datasets.name_fields import EAST, HEADING, NORTH
from datasets.names import list_images, parse_fields
from datasets.nearest_crops import NearestCrops
from datasets.night.augmentation import NightAugmentation, open_night
from datasets.night.pseudo_targets import open_pseudo_targets
from datasets.positives import chance_recalls, compares_headings, format_chance
from datasets.prepare.eigen_crops import with_crops
from datasets.same_lists import check_same_lists
from datasets.samples import refuse_other_images, sample_training_images
from datasets.schedule import Schedule, Share
from datasets.target_dataset import DomainImages
from datasets.test_dataset import ImageFolder, TestDataset, find_database_folder, find_queries_folder
from datasets.train_dataset import Batch, TrainDataset
from model.choices import split_loss
from support.errors import UserError
from training.ranks import Alone

logger = logging.getLogger(__name__)

# parameters of classes that no advice names: the number of panoramas' classes does not depend on the first, and the
# second says what the images are
_NO_ADVICE = ("focal_dist", "crop_degrees")


@dataclass
class TrainingData:
    """Groups, the schedule of their batches, and the sets of images."""

    groups: Groups
    schedule: Schedule
    dataset: TrainDataset
    augment: TrainAugmentation
    placed: bool = False  # whether batches say where their images were taken, for a pair loss
    headings: bool = True  # whether that needs headings
    val_set: TestDataset | None = None
    test_set: TestDataset | None = None

    def augmented(self, batch: Batch) -> Batch:
        """A batch of uint8 images, augmented: float32 (b, 3, S, S), normalised. A function of (seed, group, k)."""
        schedule, night, images, domain = self.schedule, self.dataset.night, batch.images, batch.domain
        if night:
            images = night(images, batch.night, schedule.night_seed(batch.group, batch.k))
        images = self.augment(images, schedule.augmentation_seed(batch.group, batch.k), self.dataset.share)
        if domain:
            seed = schedule.domain_augmentation_seed(batch.group, batch.k)
            domain = replace(domain, images=self.augment(domain.images, seed, self.dataset.domain.share))
        places = self._places(batch) if self.placed else None
        return replace(batch, images=images, domain=domain, night=None, places=places)

    def _places(self, batch: Batch) -> torch.Tensor:
        names = ImageNames.from_strings(batch.names[: len(batch.labels)], self.dataset.folder)
        return torch.from_numpy(parse_fields(names, (EAST, NORTH, HEADING), () if self.headings else (HEADING,)))

    def draw_classes(self, count: int, folder: str) -> None:
        """Draws maps of some classes of the trained groups into a folder. Raises UserError if the disk refuses."""
        save_class_maps(self.groups, self.dataset.method, self.schedule.groups_num, count, folder)

    def sample(self, count: int, resize: int) -> ImageFolder:
        """At most `count` images of the trained groups, not augmented, their shorter side of `resize` pixels."""
        return sample_training_images(self.dataset.folder, self.groups, self.schedule.groups_num, count, resize)


def open_data(args: argparse.Namespace, seed: int, ranks: Alone) -> TrainingData:
    """Opens all data of a training. Raises UserError when something is missing, or does not fit together.

    args: of train.py
    seed: of all that is drawn
    ranks: how processes share the work
    """
    method = make_method(args)
    groups = _open_groups(args, method)
    if args.crops_folder:
        method = with_crops(method, groups, args.crops_folder)
    parameters = {name: value for name, value in method.parameters().items() if name not in _NO_ADVICE}
    if args.groups_num > groups.num_groups:
        wanted = args.groups_num
        if args.method == "eigenplaces":
            wanted = describe_groups_num(wanted, args.N)
        raise UserError(
            f"--groups_num is {wanted}, but {args.train_set_folder} has only {groups.num_groups} groups "
            f"with {' '.join(f'--{name} {value}' for name, value in parameters.items())}"
        )
    schedule = Schedule(
        [groups.num_classes(group) for group in range(args.groups_num)],
        args.batch_size,
        args.iterations_per_epoch,
        args.epochs_num,
        seed,
        args.local_steps,
        ranks.places,
        args.images_per_class,
        len(method.heads),
        list(parameters),
    )
    ranks.check(args, schedule.classes_per_group)
    log_groups(groups, schedule)
    dataset = _open_train_dataset(args, method, groups, schedule, ranks)
    ranges = args.brightness, args.contrast, args.saturation, args.hue
    colors = color_augmentation(args.augmentation_type, *ranges, args.fixed_colors)
    augment = TrainAugmentation(colors, RandomResizedCrop(args.image_size, scale=(1 - args.random_resized_crop, 1)))
    val_set = _open_test_dataset(args, args.val_set_folder)
    test_set = _open_test_dataset(args, args.test_set_folder, args.database_folder, args.queries_folder)
    logger.info(f"Validation set: {val_set}; test set: {test_set}")
    chances = (
        format_chance(chance_recalls(list(map(len, dataset.positives_per_query)), len(dataset.database))[0])
        for dataset in (val_set, test_set)
    )
    logger.info("Chance R@1: {} on the validation set, {} on the test set".format(*chances))
    check_same_lists([val_set, test_set], _lists_of_targets(dataset))
    placed, headings = split_loss(args.loss)[1] is not None, compares_headings(args.positives)
    if headings and args.alpha >= 360:  # else the split has read them all
        parse_fields(groups.names, (HEADING,))
    return TrainingData(groups, schedule, dataset, augment, placed, headings, val_set, test_set)


def make_method(args: argparse.Namespace) -> Method:
    """The method of --method, with its parameters. args: of train.py."""
    if args.method == "eigenplaces":
        parameters = args.M, args.N, args.focal_dist, args.min_images_per_class
        if args.nearest_crops:
            return NearestCrops(*parameters, args.nearest_degrees, 0 if args.heading_is_center else args.crop_degrees)
        return EigenPlaces(*parameters)
    return CosPlace(args.M, args.alpha, args.N, args.L, args.min_images_per_class)


def _open_groups(args: argparse.Namespace, method: Method) -> Groups:
    """The method's groups of the training images. Raises UserError, as open_split does."""
    folder = args.train_set_folder
    if args.method == "cosplace" or args.crops_folder:
        return open_split(folder, method)
    # images of a kind that the method cannot use have few classes or none, and no parameters would help
    try:
        groups = open_split(folder, method)
    except UserError:
        refuse_other_images(folder, list_images(folder), method)
        raise
    refuse_other_images(folder, groups.names, method)
    return groups


def _share_of(batch_size: int, heads: int, ranks: Alone) -> Share:
    """This process's share of a step's images: the same share of each head's batch."""
    mine = ranks.share(batch_size)
    if heads == 1:
        return Share(batch_size, mine)
    rows = np.arange(batch_size)[mine]
    return Share(heads * batch_size, np.concatenate([head * batch_size + rows for head in range(heads)]))


def _open_train_dataset(
    args: argparse.Namespace, method: Method, groups: Groups, schedule: Schedule, ranks: Alone
) -> TrainDataset:
    # a set by night is a copy of the whole images, also where crops by day were made before
    pseudo_targets = open_pseudo_targets(args.pseudo_target_folder, make_method(args), groups, args.groups_num)
    night = open_night(
        args.night_augmentation,
        args.night_probability,
        args.fda_beta,
        args.target_dataset_folder,
        args.fda_window,
        args.pp_strength,
    )
    domain_images = None
    if args.domain_adaptation:
        folders = [args.target_dataset_folder]
        if args.pseudo_target_folder and args.domain_pseudo_images is None:
            folders.append(args.pseudo_target_folder)  # images that were made night are of the target domain too
        domain_images = DomainImages(
            args.train_set_folder,
            groups,
            schedule,
            folders,
            args.domain_batch_size,
            ranks.share,
            args.domain_target_images,
            args.domain_pseudo_images or 0,
            pseudo_targets,
            args.domain_source == "group",
            method,
        )
        logger.info(f"Target domain: {domain_images}")
    share = _share_of(args.batch_size, schedule.heads, ranks)
    return TrainDataset(args.train_set_folder, groups, schedule, domain_images, pseudo_targets, night, share, method)


def _open_test_dataset(args: argparse.Namespace, folder: str, database: str | None = None, queries: str | None = None):
    resize = args.image_size if args.resize_test_imgs else None
    database, queries = find_database_folder(folder, database), find_queries_folder(folder, queries)
    return TestDataset(database, queries, args.positive_dist_threshold, resize)


def _lists_of_targets(dataset: TrainDataset):
    """[(folder, names)] of the images that are no training images."""
    night: NightAugmentation | None = dataset.night
    sources = filter(None, (night and night.targets, dataset.pseudo_targets))
    return [
        *(dataset.domain.targets if dataset.domain else ()),
        *((source.folder, source.names) for source in sources),
    ]


def log_groups(groups: Groups, schedule: Schedule) -> None:
    """Logs how many classes and images each group has, and how often an epoch sees a class."""
    seen = schedule.iterations_per_epoch * schedule.batch_size * schedule.heads
    num_images = 0
    for group, classes in enumerate(schedule.classes_per_group):
        images = groups.num_group_images(group)
        num_images += images
        logger.info(
            f"Group {group}: {classes} classes, {images} images; each class is seen {seen / classes:.1f} times an epoch"
        )
    logger.info(
        f"Using {schedule.groups_num} of {groups.num_groups} groups, {sum(schedule.classes_per_group)} classes and "
        f"{num_images} of {groups.num_images} images"
    )

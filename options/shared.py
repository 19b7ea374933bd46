"""Options that several scripts take: paths, network, evaluation and running."""

import argparse
from dataclasses import dataclass

from model.choices import BACKBONES, ZOO_VARIABLE, canonical_backbone
from retrieval.choices import MAX_RECALL_VALUE, RECALL_VALUES
from support.errors import UserError
from support.options import SWITCH, number, option, whole

DATASET_VARIABLE = "SF_XL_PROCESSED_FOLDER"  # the environment variable that stands for --dataset_folder

NO_LABELS_PREDICTIONS = 3


def _backbone(text: str) -> str:
    try:
        return canonical_backbone(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _weights(text: str) -> str | None:
    return None if text.lower() == "none" else text


@dataclass(frozen=True)
class PathsOptions:
    """paths"""

    dataset_folder: str | None = option(
        None,
        str,
        "folder with the folders train, val and test",
        "train eval localize soup",
        published=True,
        default_text=f"the environment variable {DATASET_VARIABLE}",
        ranks="own",
    )
    train_set_folder: str | None = option(
        None,
        str,
        "folder of training images",
        "train soup eval",
        published=True,
        default_text="<dataset_folder>/train",
        help_in={"eval": "folder of training images, whose colours --fda_queries and --fda_database take"},
        ranks="own",
    )
    val_set_folder: str | None = option(
        None,
        str,
        "folder with database and queries for validation",
        "train localize soup",
        published=True,
        default_text="<dataset_folder>/val",
        ranks="own",
    )
    test_set_folder: str | None = option(
        None,
        str,
        "folder with database and queries for the test",
        "train eval soup",
        published=True,
        default_text="<dataset_folder>/test",
        ranks="own",
    )
    test_set_folders: list[str] | None = option(
        None,
        str,
        "several test sets in one table: each the folder of a test set, or of a benchmark data set (Pitts30k, "
        "Pitts250k, Tokyo 24/7, MSLS, St Lucia, SF-XL, Nordland, SVOX, AmsterTime) as VPR-datasets-downloader makes "
        "it, with all its queries and queries_* unless --queries_folder names one; published recalls of the model "
        "stand beside",
        "eval",
        nargs="+",
        metavar="FOLDER",
        ranks="given",
    )
    no_labels: bool = option(
        False,
        SWITCH,
        "search any two folders of images, --database_folder and --queries_folder: names need no positions, and there "
        f"are no recalls; {NO_LABELS_PREDICTIONS} predictions are drawn of each query unless another output is named",
        "eval",
    )
    queries_folder: str | None = option(
        None,
        str,
        "folder of the test's queries, below the test set folder or a path",
        "train eval localize",
        default_text="queries_v1 if it is there, else queries",
        ranks="own",
    )
    database_folder: str | None = option(
        None,
        str,
        "folder of the test's database, below the test set folder or a path",
        "train eval localize",
        default_text="database",
        ranks="own",
    )
    save_dir: str | None = option(
        None,
        str,
        "outputs go to logs/<save_dir>/<time>",
        "train eval localize soup describe",
        published=True,
        default_text="default",
        help_in={"train": "outputs go to logs/<save_dir>/<time>, and those of a resumed run to its own folder"},
        ranks="own",
    )


@dataclass(frozen=True)
class ModelOptions:
    """model"""

    backbone: str | None = option(
        None,
        _backbone,
        f"backbone, in any case: {', '.join(BACKBONES)}",
        "train eval localize soup describe",
        published=True,
        metavar="NAME",
        default_text="the checkpoint's, else ResNet18",
    )
    fc_output_dim: int | None = option(
        None,
        whole(1),
        "dimension of the descriptors",
        "train eval localize soup describe",
        published=True,
        metavar="N",
        default_text="the checkpoint's, else 512",
    )
    train_all_layers: bool = option(
        False,
        SWITCH,
        "train the first layers of the backbone too, which are frozen otherwise",
        "train",
        published=True,
        results=True,
    )
    backbone_weights: str | None = option(
        "IMAGENET1K_V1",
        _weights,
        "initial weights of the backbone when no checkpoint is given: IMAGENET1K_V1, IMAGENET1K_V2 (downloaded by "
        "torchvision), none (random), the path of a file: of torchvision, timm (ResNets), Places365 or Google "
        "Landmarks v2, or the name of a model of the zoo (ResNet18_512); its classifier or last layer is dropped",
        "train eval",
        metavar="W",
        ranks="own",
    )
    resume_model: str | None = option(
        None,
        str,
        "start from the network of a best_model.pth or last_checkpoint.pth, or from a published model by its name "
        "(ResNet50_512, EigenPlaces_ResNet50_512), or from a model of --zoo by its name; to test and to localize also "
        "an ONNX file",
        "train eval localize describe",
        published=True,
        metavar="FILE",
        ranks="given",
    )
    zoo: str | None = option(
        None,
        str,
        "a model zoo of your own, of files NAME.pth; python -m model.zoo lists it",
        "train eval localize soup describe",
        metavar="FOLDER_OR_URL",
        default_text=f"the environment variable {ZOO_VARIABLE}; else none",
        ranks="own",
    )
    resume_train: str | None = option(
        None,
        str,
        "continue the run of this last_checkpoint.pth, where it was and in its folder; auto: the newest run of "
        "logs/<save_dir>, or a new one if there is none",
        "train",
        published=True,
        metavar="FILE",
        ranks="given",
    )
    accept_changes: bool = option(
        False, SWITCH, "resume with other arguments, though the results will be neither run's", "train"
    )


@dataclass(frozen=True)
class EvaluationOptions:
    """validation and test"""

    infer_batch_size: int = option(
        16, whole(1), "images a batch, those of one size", "train eval localize soup describe", published=True
    )
    infer_dtype: str = option(
        "float32",
        ("auto", "float32", "bfloat16", "float16"),
        "what the backbone computes descriptors in; 16 bits differ a little and are faster where the device has them. "
        "auto takes them there: bfloat16 (float16 on GPUs older than Ampere), on a CPU by the rule of --amp_dtype",
        "train eval localize soup describe",
    )
    positive_dist_threshold: float = option(
        25,
        number(0),
        "a database image this near to a query is right",
        "train eval localize soup check",
        published=True,
        results=True,
        unit="metres",
    )
    recall_values: tuple[int, ...] = option(
        RECALL_VALUES,
        whole(1, MAX_RECALL_VALUE),
        "the N of each R@N, in any order; 1 is always among them. The log's line has those that are asked for",
        "train eval",
        nargs="+",
        metavar="N",
        default_text=f"{' '.join(map(str, RECALL_VALUES))}, in the log's line up to 20",
    )
    positive_heading_threshold: float | None = option(
        None,
        number(0, 180),
        "a right database image must also look the query's way, give or take so much, by the headings of the names",
        "eval",
        metavar="DEGREES",
        unit="degrees",
        default_text="none: it may look any way",
    )
    resize_test_imgs: bool = option(
        False,
        SWITCH,
        "resize database images and queries along their shorter side to --image_size (else they keep their size)",
        "train eval localize soup describe",
        published=True,
        results=True,
    )
    descriptors_dtype: str = option(
        "float32",
        ("float32", "float16"),
        "what descriptors are stored in; float16 takes half the disk and differs by less than 0.00025",
        "train eval localize describe",
    )
    no_descriptors_cache: bool = option(
        False,
        SWITCH,
        "keep the test's descriptors in a temporary file in TMPDIR, not below cache/descriptors, where an interrupted "
        "extraction continues and the next test of the same network and images finds them (validation never keeps its "
        "own)",
        "train eval describe",
    )
    descriptors_cache_size: float = option(
        50,
        number(0),
        "what cache/descriptors may hold; the least recently used are removed, those in use stay",
        "train eval localize describe",
        metavar="GB",
        unit="10^9 bytes",
    )
    faiss_index: str = option(
        "Flat",
        str,
        "how the test searches the database: Flat is exact; any other string of faiss's index_factory, such as "
        "IVF4096,PQ64, is approximate, and its recall against exact search is logged (validation is exact)",
        "train eval localize",
        metavar="FACTORY",
    )
    faiss_nprobe: int | None = option(
        None,
        whole(1),
        "cells that an IVF index searches a query",
        "train eval localize",
        metavar="N",
        default_text="16",
    )
    save_descriptors: tuple[str, ...] = option(
        (),
        ("npy", "h5"),
        "write the test's descriptors into the output folder: npy (also if none is named) as database_descriptors.npy "
        "and queries_descriptors.npy with names beside them, h5 as global_descriptors.h5 for hloc (needs h5py)",
        "train eval",
        nargs="*",
    )
    save_pairs: int = option(
        0,
        whole(0),
        "write the N nearest database images of every query as pairs_queries.txt, a list of pairs as hloc's",
        "train eval",
        metavar="N",
        unit="images",
    )
    save_sfm_pairs: int = option(
        0,
        whole(0),
        "write every database image with its N nearest others as pairs_sfm.txt, for structure from motion; takes time "
        "with the square of the database",
        "train eval",
        metavar="N",
        unit="images",
    )
    num_preds_to_save: int = option(
        0, whole(0), "draw each test query beside this many predictions", "train eval", published=True, unit="images"
    )
    save_only_wrong_preds: bool = option(
        False, SWITCH, "draw only the queries whose first prediction is wrong", "train eval", published=True
    )


@dataclass(frozen=True)
class RunningOptions:
    """running"""

    device: str = option(
        "auto",
        ("auto", "cuda", "mps", "cpu"),
        "where to compute; auto: CUDA, else MPS, else the CPU",
        "train eval localize soup describe",
        published=True,
        ranks="own",
    )
    seed: int = option(
        0,
        whole(-1, 2**63 - 1),
        "seed of all that is random; -1 draws one, and allows nondeterministic kernels",
        "train eval localize soup",
        published=True,
        results=True,
    )
    num_workers: int = option(
        8,
        whole(0),
        "processes that decode images; results do not depend on it",
        "train eval localize soup check describe",
        published=True,
        ranks="own",
    )
    max_bad_images: int | None = option(
        None,
        whole(0),
        "the run ends with an error when more than N images cannot be read, after the recalls if they are test "
        "images; bad_images.txt lists them",
        "train eval",
        metavar="N",
        default_text="10, or 0.1% of the images read so far if that is more",
    )

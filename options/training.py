"""Options of a training: groups, the training itself, augmentation and night."""

from dataclasses import dataclass

from datasets.choices import AUGMENTATION_TYPES, FDA_WINDOWS, NIGHT_METHODS, PP_STRENGTHS
from support.options import SWITCH, number, option, whole


def _images_per_class(text: str) -> int:
    return max(1, whole(0)(text))  # as published, 0 keeps every class


@dataclass(frozen=True)
class GroupsOptions:
    """classes and groups"""

    M: int = option(10, whole(1), "side of a class's cell", "train check", published=True, results=True, unit="metres")
    alpha: int = option(
        30,
        whole(1),
        "size of a class's heading bin (360 with --L 1 trains without headings)",
        "train check",
        published=True,
        results=True,
        unit="degrees",
    )
    N: int = option(
        5, whole(1), "distance of a group's classes", "train check", published=True, results=True, unit="cells"
    )
    L: int = option(
        2, whole(1), "distance of a group's classes", "train check", published=True, results=True, unit="heading bins"
    )
    groups_num: int = option(
        8,
        whole(0),
        "number of groups to train on, one an epoch in turn; 0, all N x N, is for --method eigenplaces",
        "train check",
        published=True,
        results=True,
    )
    min_images_per_class: int = option(
        10,
        _images_per_class,
        "classes with fewer images are dropped; 0 means 1",
        "train check",
        published=True,
        results=True,
        unit="images",
    )
    visualize_classes: int = option(
        0,
        whole(0),
        "draw maps of N classes, evenly spread over the trained groups, into classes/ in the output folder. A map "
        "shows the cell and the cameras, and with --method eigenplaces the two points and where the crops look",
        "train",
        metavar="N",
    )


@dataclass(frozen=True)
class TrainingOptions:
    """training"""

    use_amp16: bool = option(False, SWITCH, "mixed precision: faster, results differ a little", "train", published=True)
    amp_dtype: str = option(
        "auto",
        ("auto", "float32", "float16", "bfloat16"),
        "the numbers of --use_amp16; float32 turns it off; auto is float16 with gradient scaling on a GPU; on a CPU it "
        "is bfloat16 if the processor has AVX-512-bf16, AMX or ARM's bf16 and the network has no depthwise "
        "convolutions, else float32",
        "train",
    )
    compile: bool = option(
        False,
        SWITCH,
        "compile the network with torch.compile: faster after minutes, results differ a little",
        "train eval",
        results=True,
    )
    tf32: bool = option(
        False,
        SWITCH,
        "on NVIDIA GPUs, let float32 products round their factors to TF32's 10 bits: faster, results differ a little",
        "train",
        results=True,
    )
    profile: int = option(
        0,
        whole(0),
        "write a trace of N steps, after 10 to warm up, to trace.json in the output folder, for chrome://tracing or "
        "ui.perfetto.dev",
        "train",
        metavar="N",
        unit="steps",
    )
    tensorboard: bool = option(
        False,
        SWITCH,
        "write what metrics.csv holds as TensorBoard event files too, in the output folder's tensorboard/ (needs "
        "tensorboard)",
        "train",
    )
    batch_size: int = option(32, whole(2), "training images a step", "train check", published=True, results=True)
    epochs_num: int = option(50, whole(1), "epochs, each of one group", "train", published=True)
    patience: int | None = option(
        None,
        whole(1),
        "end the training when the validation's R@1 has not risen for N epochs in a row; an epoch trains one group, so "
        "N should be at least --groups_num",
        "train",
        metavar="N",
        default_text="all of --epochs_num",
        unit="epochs",
    )
    iterations_per_epoch: int = option(10_000, whole(1), "steps an epoch", "train", published=True, results=True)
    checkpoint_every: int | None = option(
        None,
        whole(0),
        "write last_checkpoint.pth every N iterations too, and not only after each epoch; 0 does not",
        "train",
        metavar="N",
        default_text="about every 10 minutes",
    )
    parallel: str = option(
        "data",
        ("data", "groups"),
        "what torchrun's processes do: data, each a share of every batch, as one process would train; groups, a group "
        "each, whose networks are averaged every --local_steps",
        "train",
        results=True,
    )
    group_schedule: str = option(
        "epoch",
        ("epoch", "iteration"),
        "which group is trained: epoch, one an epoch in turn (published); iteration, the next every --local_steps",
        "train",
        results=True,
    )
    local_steps: int | None = option(
        None,
        whole(1),
        "steps on one group at a time, of --parallel groups and --group_schedule iteration",
        "train",
        results=True,
        metavar="J",
        default_text="100 and 1",
    )
    local_moments: str = option(
        "average",
        ("keep", "average", "reset"),
        "what becomes of the network's Adam moments when --parallel groups averages the networks: each process keeps "
        "its own, they are averaged, or begin again",
        "train",
        results=True,
    )
    freeze_bn: bool = option(
        False,
        SWITCH,
        "batch norms use their running statistics in training too, and leave them as they are",
        "train",
        results=True,
    )
    sync_bn: bool = option(
        False,
        SWITCH,
        "batch norms normalise by the statistics of the whole batch, over all processes; on NVIDIA GPUs",
        "train",
        results=True,
    )
    keep_every: int = option(
        0,
        whole(0),
        "keep the network of every this many epochs as epoch_<n>.pth, for curves and soups; 0 keeps only the best",
        "train",
        unit="epochs",
    )
    ema: float | None = option(
        None,
        number(0, 0.99999),
        "validate, keep and test an exponential moving average of the network's weights, of this decay a step; in the "
        "first steps the decay is lower, so that the first weights are soon forgotten",
        "train",
        results=True,
        metavar="DECAY",
        default_text="the network itself",
    )
    lr: float = option(1e-5, number(0), "learning rate of the network (Adam)", "train", published=True, results=True)
    fc_lr: float | None = option(
        None,
        number(0),
        "learning rate of the network's last layer, which gives descriptors their dimension (Adam)",
        "train",
        results=True,
        metavar="LR",
        default_text="--lr",
    )
    classifiers_lr: float = option(
        0.01, number(0), "learning rate of the groups' heads (Adam)", "train", published=True, results=True
    )
    lr_schedule: str = option(
        "constant",
        ("constant", "cosine"),
        "the network's learning rate: constant (published), or a warm-up over its first twentieth and then half a "
        "cosine down to 0",
        "train",
        results=True,
    )


@dataclass(frozen=True)
class AugmentationOptions:
    """augmentation"""

    augmentation_device: str | None = option(
        None,
        ("auto", "cuda", "mps", "cpu"),
        "where images are augmented",
        "train",
        published=True,
        default_text="the training device",
        ranks="own",
    )
    image_size: int = option(
        512,
        whole(32),
        "side of the training crops, and with --resize_test_imgs the shorter side of test images",
        "train eval localize soup describe",
        published=True,
        results=True,
        unit="pixels",
    )
    augmentation_type: str = option(
        "colorjitter",
        AUGMENTATION_TYPES,
        "colours of training images: jittered by --brightness, --contrast, --saturation and --hue; left alone; or in "
        "half of the images changed by factors drawn for each batch, brightness x 0.65 +- 0.5, contrast x 1.15 +- "
        "0.05, saturation x 0.85 +- 0.05, or (bcs) all three",
        "train",
        results=True,
    )
    fixed_colors: bool = option(
        False,
        SWITCH,
        "--augmentation_type brightness, contrast, saturation and bcs change every image, by the middle factors",
        "train",
        results=True,
    )
    brightness: float = option(
        0.7, number(0), "brightness factor within 1 +- this", "train", published=True, results=True
    )
    contrast: float = option(0.7, number(0), "contrast factor within 1 +- this", "train", published=True, results=True)
    saturation: float = option(
        0.7, number(0), "saturation factor within 1 +- this", "train", published=True, results=True
    )
    hue: float = option(
        0.5,
        number(0, 0.5),
        "hue shift within +- this, at most 0.5",
        "train",
        published=True,
        results=True,
        unit="turns",
    )
    random_resized_crop: float = option(
        0.5,
        number(0, 0.999),
        "crops cover at least 1 - this of an image's area",
        "train",
        published=True,
        results=True,
    )


@dataclass(frozen=True)
class NightOptions:
    """night"""

    pseudo_target_folder: str | None = option(
        None,
        str,
        "a copy of the training set by night, as `python -m datasets.night` makes it: half of a batch's classes (the "
        "smaller half, if it is odd) give an image of it",
        "train",
        results=True,
        ranks="given",
    )
    night_augmentation: str | None = option(
        None,
        NIGHT_METHODS,
        "make night of training images by day on the augmentation device: fda, the colours of an image of "
        "--target_dataset_folder (Fourier domain adaptation); pp, post-processing; or both",
        "train",
        results=True,
        default_text="no night",
    )
    night_probability: float = option(
        0.5,
        number(0, 1),
        "share of the training images by day that --night_augmentation darkens",
        "train",
        results=True,
    )
    fda_beta: float = option(
        0.01,
        number(0, 1),
        "size of FDA's window of low frequencies, a share of an image's shorter side, at most 0.5; at most 1 for "
        "--fda_window fork",
        "train eval",
        results=True,
    )
    fda_window: str = option(
        "paper",
        tuple(FDA_WINDOWS),
        "what --fda_beta means: paper, beta times the shorter side is the highest frequency; fork, as in "
        "AMLSquad/CosPlace, half of that, less one",
        "train eval",
        results=True,
    )
    pp_strength: str | None = option(
        None,
        PP_STRENGTHS,
        "ranges of the post-processing's factors",
        "train",
        results=True,
        default_text="mild after FDA, else strong",
    )
    fda_queries: bool = option(
        False,
        SWITCH,
        "give each query the low-frequency amplitude (FDA) of an image of --fda_targets that --seed draws",
        "eval",
    )
    fda_database: bool = option(
        False, SWITCH, "as --fda_queries, for the database images and not for the queries", "eval"
    )
    fda_targets: str = option(
        "train",
        ("train", "test"),
        "whose amplitude --fda_queries and --fda_database take: train, images of --train_set_folder; test, for queries "
        "those of the database, for the database the queries",
        "eval",
    )

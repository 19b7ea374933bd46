"""Options of the report, and those that the other scripts and commands have of their own."""

from dataclasses import dataclass

from localization.choices import FORMAT_NAMES, MAX_PIXELS, METHODS
from support.options import SWITCH, number, option, whole


@dataclass(frozen=True)
class LastLayerOptions:
    """last layer, fitted to images without labels"""

    fc_init: str = option(
        "random",
        ("random", "pca"),
        "what the last layer of a new run begins with: random, random weights, or those of --resume_model; pca, the "
        "principal components of the features of training images",
        "train",
        results=True,
    )
    fc_init_images: int = option(
        5000,
        whole(2),
        "training images that --fc_init pca takes at most, evenly spread over the classes of the trained groups",
        "train",
        results=True,
        metavar="N",
    )
    fc_init_power: float = option(
        0.5,
        number(0, 1),
        "whitening of --fc_init pca: 0, the components keep their lengths; 1, they are whitened; 0.5 is between both",
        "train",
        results=True,
        metavar="P",
    )
    whiten: str | None = option(
        None,
        str,
        "replace the network's last layer by one that is fitted to images, without labels: database, those of the "
        "database; or those of a folder (one of that name: ./database). It is kept beside the descriptors",
        "eval localize describe",
        metavar="FOLDER",
        help_in={
            "describe": "replace the network's last layer by one that is fitted to images, without labels: database, "
            "those that are described; or those of a folder (one of that name: ./database). It is kept beside the "
            "descriptors",
        },
        ranks="given",
    )
    whiten_dim: int | None = option(
        None,
        whole(1),
        "dimension of the descriptors with --whiten",
        "eval localize describe",
        metavar="N",
        default_text="the network's own",
    )
    whiten_power: float = option(
        0.5,
        number(0, 1),
        "whitening of --whiten: 0, the components keep their lengths; 1, they are whitened; 0.5 is between both",
        "eval localize describe",
        metavar="P",
    )
    whiten_images: int = option(
        5000,
        whole(2),
        "images that --whiten takes at most, evenly spread",
        "eval localize describe",
        metavar="N",
    )


@dataclass(frozen=True)
class ReportOptions:
    """report"""

    report: str | None = option(
        None,
        str,
        "write a page on the test, one HTML file that needs no network: recalls, errors, a map, misses, and the "
        "training's curves if metrics.csv lies beside --resume_model",
        "eval localize",
        metavar="FILE",
        help_in={
            "localize": "write an HTML page too: each photo beside its neighbours, with a map (needs "
            "requirements-report.txt)"
        },
        ranks="given",
    )
    compare: str | None = option(
        None,
        str,
        "test this network too, named as for --resume_model, and compare the two on the same queries by paired "
        "bootstrap and McNemar's test",
        "eval",
        metavar="FILE",
        ranks="given",
    )
    database_descriptors: tuple[str, ...] = option(
        (),
        str,
        "test these descriptors of the database, made by any method, instead of a network's: an .npy file (images, "
        "dimensions), beside which x_names.txt of x.npy has the image of each row, as --save_descriptors writes both. "
        "Two files: two methods are compared, as by --compare",
        "eval",
        nargs="+",
        metavar="FILE",
        ranks="given",
    )
    queries_descriptors: tuple[str, ...] = option(
        (),
        str,
        "the same of the queries, one file for each of --database_descriptors",
        "eval",
        nargs="+",
        metavar="FILE",
        ranks="given",
    )
    precision: float | None = option(
        None,
        number(0, 1),
        "say from which similarity on first predictions can be accepted, so that this share of them is right",
        "eval",
        metavar="P",
        default_text="nothing is said",
    )
    dimensions: tuple[int, ...] = option(
        (),
        whole(1),
        "also compute recalls of the descriptors' first N dimensions, brought to unit length again, by exact search; "
        "--whiten makes them the strongest components",
        "eval",
        nargs="+",
        metavar="N",
    )
    further_queries: tuple[str, ...] = option(
        (),
        str,
        "test these folders of queries too, named as for --queries_folder, in the same database (queries_night beside "
        "queries_v1)",
        "eval",
        nargs="+",
        metavar="FOLDER",
        ranks="given",
    )


@dataclass(frozen=True)
class LocalizationOptions:
    """localization"""

    photos: tuple[str, ...] = option(
        (),
        str,
        "photos of any format that Pillow opens, or folders of them, searched through; those of more than "
        f"{MAX_PIXELS / 1e6:.1f} megapixels are reduced to so many (names that begin with @: ./@...)",
        "localize",
        nargs="*",
        metavar="PHOTO",
        positional=True,
    )
    positions: str | None = option(
        None,
        str,
        "where the database's images were taken, whose names may then be any: exif, their own EXIF; or a CSV or "
        "GeoJSON with the columns that datasets.prepare knows, whose paths begin at --database_folder or beside "
        "the table",
        "localize",
        metavar="FILE",
        default_text="the images' names say it",
    )
    near: tuple[float, ...] | None = option(
        None,
        number(),
        "search only the database's images within a radius of a point: degrees, degrees, metres",
        "localize",
        nargs=3,
        metavar=("LAT", "LON", "METRES"),
        default_text="all are searched",
    )
    index_folder: str | None = option(
        None,
        str,
        "where the database's descriptors are kept, or one index in it; with it --database_folder may be absent, or "
        "left out",
        "localize",
        metavar="FOLDER",
        default_text="cache/descriptors",
    )
    estimate: str = option(
        METHODS[0],
        METHODS,
        "cluster: the mean of the densest cluster of the neighbours, weighted by similarity; nearest: the most "
        "similar image's position",
        "localize",
    )
    neighbours: int = option(5, int, "most similar images listed of each photo, 0 to 50", "localize", metavar="N")
    format: str = option("table", FORMAT_NAMES, "for people: table; for programs: jsonl, csv, geojson", "localize")
    output: str | None = option(
        None,
        str,
        "where the result goes, written whole or not at all",
        "localize",
        metavar="FILE",
        default_text="standard output",
    )
    calibrate: str | bool | None = option(
        None,
        str,
        "localize the queries of a validation set (without VAL_SET: of --val_set_folder) in its database or "
        "--database_folder; fit radius and confidence on one half of its area (in blocks, dealt out by --seed), check "
        "them on the other, and write them beside the index, with a diagram",
        "localize",
        nargs="?",
        constant=True,
        metavar="VAL_SET",
    )
    calibration: str | None = option(
        None,
        str,
        "the calibration to use, or to write",
        "localize",
        metavar="FILE",
        default_text="the one of this model and these settings beside the index",
    )


@dataclass(frozen=True)
class SoupOptions:
    """soup"""

    ingredients: tuple[str, ...] = option(
        (),
        str,
        "two or more best_model.pth, last_checkpoint.pth or names of published models, of one architecture",
        "soup",
        nargs="+",
        required=True,
        metavar="FILE",
    )
    ingredients_folder: str | None = option(
        None,
        str,
        "where relative paths of ingredients begin",
        "soup",
        metavar="FOLDER",
        default_text="the working folder",
    )
    method: str = option(
        "uniform",
        ("uniform", "greedy"),
        "uniform: the mean of all; greedy: from the best on, each that does not lower R@1 on the validation set "
        "(an equal R@1 keeps it)",
        "soup",
    )
    output: str | None = option(
        None,
        str,
        "the soup, a bare state_dict; the table of what was tried is FILE.csv",
        "soup",
        required=True,
        metavar="FILE",
    )
    recalibrate_bn: int = option(
        0,
        int,
        "estimate each soup's batch-norm statistics again on this many training images, drawn by --seed, in squares "
        "of --image_size, not augmented; 0 averages those of the ingredients",
        "soup",
        metavar="N",
        unit="images",
    )


@dataclass(frozen=True)
class CheckOptions:
    """data set"""

    folder: str | None = option(None, str, "the data set", "check", metavar="FOLDER", positional=True)
    json: bool = option(False, SWITCH, "print the findings as JSON", "check")
    sample: int | None = option(
        None,
        int,
        "decode at most this many images of each folder, evenly spread",
        "check",
        metavar="N",
        default_text="all",
    )
    no_groups: bool = option(False, SWITCH, "do not ask whether training images can be split into groups", "check")


@dataclass(frozen=True)
class DescribeOptions:
    """descriptors"""

    folder: str | None = option(
        None,
        str,
        "photos of any format that Pillow opens, searched through",
        "describe",
        metavar="FOLDER",
        positional=True,
    )
    output: str | None = option(
        None,
        str,
        "the array to write, as photos.npy; the names of its rows go into photos_names.txt beside it",
        "describe",
        required=True,
        metavar="FILE",
    )

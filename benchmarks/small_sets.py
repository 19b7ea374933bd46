"""What each part of training on a small set brings: recipes/small_city.txt, and variations of it.

The set is a city of `python -m demo_city`, or any data set in that layout. Of its training images, those that lie
furthest south are taken. A row may mix them with as many images of another city, --mix. Every finished row of a seed is
kept, so that a stopped comparison goes on where it was.
"""

import argparse
import hashlib
import json
import os
import shlex
from typing import NamedTuple

import numpy as np

from benchmarks.comparison import (
    METHOD,
    add_flags,
    cells,
    evaluate,
    found_first,
    parse_and_run,
    test_set,
    trained,
    write_between,
)
from benchmarks.measure import table
from datasets.name_fields import EAST, FIELDS, HEADING
from datasets.names import list_images, parse_fields, positions
from support.errors import UserError
from support.recipes import expand_recipes

MARKS = "<!-- small sets -->", "<!-- end of small sets -->"
SMALL = "@recipes/small_city.txt"
COSFACE = "@recipes/small_city_cosface.txt"
_FAR = 100_000  # metres


class Row(NamedTuple):
    """A row of the table."""

    training: str | None  # flags of train.py; None: no training
    evaluation: str = ""  # flags of eval.py; {train} is the folder of the training images
    trains_bn: bool = False  # whether the recipe's --freeze_bn is left out
    is_mixed: bool = False  # whether as many images of --mix are trained on too


_PCA = f"{SMALL} --fc_init pca"
_RECIPE = "small_city.txt, --fc_init pca"
_COSFACE_PCA = f"{COSFACE} --fc_init pca"
_COSFACE_ROW = "small_city_cosface.txt, --fc_init pca"
ROWS = {
    "no training": Row(None),
    "no training, --whiten TRAIN": Row(None, "--whiten {train}"),
    "no training, --whiten database": Row(None, "--whiten database"),
    "CosFace in 4 groups": Row(COSFACE, trains_bn=True),
    _COSFACE_ROW: Row(_COSFACE_PCA),
    f"{_COSFACE_ROW}, --whiten database": Row(_COSFACE_PCA, "--whiten database"),
    f"{_COSFACE_ROW} --label_smoothing 0.1": Row(f"{_COSFACE_PCA} --label_smoothing 0.1"),
    "small_city.txt": Row(SMALL),
    "small_city.txt, --whiten database": Row(SMALL, "--whiten database"),
    _RECIPE: Row(_PCA),
    f"{_RECIPE}, --whiten database": Row(_PCA, "--whiten database"),
    f"{_RECIPE}, and another city": Row(_PCA, is_mixed=True),
    f"{_RECIPE}, and another city, --whiten database": Row(_PCA, "--whiten database", is_mixed=True),
    "batch norms trained": Row(_PCA, trains_bn=True),
    "batch norms trained, --whiten database": Row(_PCA, "--whiten database", trains_bn=True),
    f"{_RECIPE}, --ema 0.99": Row(f"{_PCA} --ema 0.99"),
    f"{_RECIPE}, --fc_lr 1e-3": Row(f"{_PCA} --fc_lr 1e-3"),
    f"{_RECIPE}, --train_all_layers": Row(f"{_PCA} --train_all_layers"),
    f"{_RECIPE}, --loss cosface+multi_similarity": Row(f"{_PCA} --loss cosface+multi_similarity"),
    f"{_RECIPE}, --min_images_per_class 1": Row(f"{_PCA} --min_images_per_class 1"),
    f"{_RECIPE}, crops of 0.7": Row(f"{_PCA} --random_resized_crop 0.7"),
    f"{_RECIPE}, headings ignored": Row(f"{_PCA} --alpha 360 --positives 12,180"),
}


def main(argv: list[str] | None = None) -> None:
    """Trains and evaluates what is missing, and writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.small_sets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_flags(parser, "", "logs/small_sets", MARKS)
    add(
        "--start",
        default="--backbone MobileNet_V2 --backbone_weights ../shared/data/mobilenet_v2_imagenet_trunk.pth",
        help="flags of the network that every row begins with (default: %(default)s)",
    )
    add("--flags", default="", help="further flags of train.py for every training (default: none)")
    add("--seen", type=int, default=12_800, help="images that a training sees (default: %(default)s)")
    add("--epochs", type=int, default=10, help="of every training (default: %(default)s)")
    add("--views", type=int, choices=(4, 12), default=4, help="crops of each panorama (default: %(default)s)")
    add("--images", type=int, default=2000, help="training images (default: %(default)s)")
    add(
        "--mix", metavar="FOLDER", help="another city, which some rows are trained on too (default: without these rows)"
    )
    add("--rows", nargs="+", choices=ROWS, metavar="ROW", help=f"of {'; '.join(ROWS)} (default: all)")
    add("--reference", choices=ROWS, default="no training", help="row that others are compared with")
    parse_and_run(parser, run, argv)


def run(args: argparse.Namespace) -> None:
    """Collects the results of all rows and seeds, and writes the table."""
    test_sets = dict(test_set(text, args.dataset_folder) for text in args.test_sets)
    asked_for = args.rows or [name for name, row in ROWS.items() if args.mix or not row.is_mixed]
    names = list(dict.fromkeys([args.reference, *asked_for]))
    if mixed := [name for name in names if ROWS[name].is_mixed and not args.mix]:
        raise UserError(f"the row {mixed[0]!r} is trained on another city too: give its folder as --mix")
    subsets = {is_mixed: cut(args, is_mixed) for is_mixed in {ROWS[name].is_mixed for name in names}}
    found = {
        (name, seed): results(args, subsets[ROWS[name].is_mixed], name, seed, test_sets)
        for name in names
        for seed in args.seeds
    }
    columns = {
        title: cells({name: {seed: found[name, seed][title] for seed in args.seeds} for name in names}, args.reference)
        for title in test_sets
    }
    rows = [{"training": name, **{title: columns[title][name] for title in test_sets}} for name in names]
    text = f"R@1 in percent, seeds {', '.join(map(str, args.seeds))}: {METHOD.format(reference=args.reference)}."
    write_between(args.output, MARKS, f"{text}\n\n{table(rows, list(rows[0]))}\n")


def cut(args: argparse.Namespace, is_mixed: bool) -> str:
    """Makes a data set of the training images that lie furthest south, of links. Returns its folder.

    args: the arguments
    is_mixed: whether as many images of --mix, cut in the same way, lie beside them

    Raises UserError if --mix has fewer, or is the same city.
    """
    source = os.path.join(args.dataset_folder, "city1")
    folder = os.path.join(args.work_folder, f"{args.images}_images_{args.views}")
    if is_mixed:
        if os.path.realpath(args.mix) == os.path.realpath(args.dataset_folder):
            raise UserError(f"--mix {args.mix} is --dataset_folder itself: name the folder of another city")
        folder += f"_and_{hashlib.sha256(os.path.abspath(args.mix).encode()).hexdigest()[:8]}"
    images = link_south(args, os.path.join(source, "train"), os.path.join(folder, "train"))
    if is_mixed:
        others = link_south(args, os.path.join(args.mix, "city1", "train"), os.path.join(folder, "train"), _FAR)
        if others < images:
            raise UserError(f"--mix {args.mix} has only {others} such images, and {args.dataset_folder} {images}")
    for other in ("val", "test"):
        if not os.path.lexists(os.path.join(folder, other)):
            os.symlink(os.path.abspath(os.path.join(source, other)), os.path.join(folder, other))
    return folder


def link_south(args: argparse.Namespace, source: str, folder: str, metres: int = 0) -> int:
    """Links the images that lie furthest south into a folder. Returns how many they are.

    args: the arguments
    source: of the images
    folder: of the links
    metres: that the images are moved to the east, in the links' names: `python -m demo_city` puts the first city of
        every seed at one place
    """
    names = list_images(source)
    order = np.argsort(positions(names)[:, 1], kind="stable")
    ways = order[parse_fields(names, (HEADING,))[order, 0] % 90 < 30]
    south = [names[i] for i in (ways if args.views == 4 else order)[: args.images]]
    os.makedirs(folder, exist_ok=True)
    for name in south:
        link = os.path.join(folder, moved(os.path.basename(name), metres) if metres else os.path.basename(name))
        if not os.path.lexists(link):
            os.symlink(os.path.abspath(os.path.join(source, name)), link)
    return len(south)


def moved(name: str, metres: int) -> str:
    """The name of an image that lies further to the east. It has no latitude and longitude, which would be others."""
    fields = name.split("@")
    fields[EAST] = f"{float(fields[EAST]) + metres:010.2f}"
    for field in ("latitude", "longitude"):
        fields[FIELDS.index(field)] = ""
    return "@".join(fields)


def results(
    args: argparse.Namespace, subset: str, name: str, seed: int, test_sets: dict[str, tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Returns {test set: bool (q,)}, whether each query is found first, from the work folder or measured.

    args: the arguments
    subset: folder of the small data set
    name: one of ROWS
    seed: the run's
    test_sets: {title: (database folder, queries folder)}
    """
    row = ROWS[name]
    start = [*shlex.split(args.start), "--seed", str(seed)]
    model = start if row.training is None else [*start, "--resume_model", best_model(args, subset, name, seed)]
    flags = [*model, *shlex.split(row.evaluation.format(train=os.path.join(subset, "train")))]
    path = os.path.join(args.work_folder, f"{_file_name(args, name)}_seed{seed}.json")

    def measure(database: str, queries: str) -> np.ndarray:
        return evaluate([*flags, "--database_folder", database, "--queries_folder", queries], "small_sets_tests")

    return found_first(path, flags, f"{name}, seed {seed}", test_sets, measure)


def best_model(args: argparse.Namespace, subset: str, name: str, seed: int) -> str:
    """Trains a row, or resumes it, unless the same flags did before. Returns the path of its best network.

    args: the arguments
    subset: folder of the small data set
    name: one of ROWS
    seed: the run's
    """
    words = [args.start, ROWS[name].training, args.flags, f"--dataset_folder {shlex.quote(subset)} --seed {seed}"]
    flags = expand_recipes(shlex.split(" ".join(words)))
    if ROWS[name].trains_bn:
        flags.remove("--freeze_bn")
    batch = int(flags[flags.index("--batch_size") + 1])
    flags += ["--epochs_num", str(args.epochs), "--iterations_per_epoch", str(args.seen // args.epochs // batch)]
    digest = hashlib.sha256(json.dumps(flags).encode()).hexdigest()[:12]
    folder = trained(flags, os.path.join("small_sets", f"{args.images}_{args.views}_{digest}"))
    return os.path.join(folder, "best_model.pth")


def _file_name(args: argparse.Namespace, name: str):
    return hashlib.sha256(
        json.dumps([args.images, args.views, args.seen, args.epochs, args.start, args.flags, name]).encode()
    ).hexdigest()[:16]


if __name__ == "__main__":
    main()

"""localize.py on the demo's cities: its estimate against the nearest neighbour, its radii, and its index.

Radius and confidence are fitted on one half of a validation set's area, and checked on the other. Several seeds deal
out the area's blocks. More queries make the check sharper: with 150 a share of 68% is measured to +- 7.5 points by
chance alone, and neighbouring queries are alike. This renders a city with more of them in a minute, for
--further_cities: `python -m demo_city --folder FOLDER --seed 1 --train_metres 60 --val_metres 1000 --queries 1500
--target_night 1`.
"""

import argparse
import logging
import os
import sys
import time

import numpy as np

import commons
from benchmarks.measure import machine, table
from datasets.test_dataset import ImageFolder, TestDataset
from demo import SHIPPED
from localization import calibration
from localization.answers import Located
from localize import Session
from model.checkpoints import load_network
from parser import parse_arguments

_RESAMPLES = 2000
_TEST_SETS = (
    ("City 1, day", "city1", "queries_v1"),
    ("City 1, night", "city1", "queries_night"),
    ("City 2, day", "city2", "queries_v1"),
    ("City 2, night", "city2", "queries_night"),
)


def main(argv: list[str] | None = None) -> None:
    """Prints the four tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.localization",
        description=__doc__.splitlines()[0],
        epilog="Further flags go to localize.py.",
    )
    parser.add_argument("--dataset_folder", default="data/demo", help="the demo's cities (default: %(default)s)")
    parser.add_argument("--resume_model", default=SHIPPED, help="network (default: %(default)s)")
    parser.add_argument(
        "--image_size", type=int, default=96, help="shorter side of images, pixels (default: %(default)s)"
    )
    parser.add_argument(
        "--further_cities", nargs="*", default=[], metavar="FOLDER", help="more folders as --dataset_folder"
    )
    parser.add_argument("--splits", type=int, default=20, help="seeds by which areas are halved (default: %(default)s)")
    own, rest = parser.parse_known_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    session, nearest = (make_session([*rest, "--estimate", method], own) for method in ("cluster", "nearest"))
    print(machine())
    print(
        "\n## The estimate (cluster) and the plain nearest neighbour\n\n"
        + compare(session, nearest, own.dataset_folder)
    )
    print(
        f"\n## Radii and confidence, fitted on one half, checked on the other: {own.splits} splits\n\n"
        + check(session, own)
    )
    print(
        "\n## Calibrated on the validation set of city 1 (one half, seed 0), on the test sets\n\n"
        + transfer(session, own)
    )
    print("\n## Opening the index of city 1's test set, seconds\n\n" + reopening(session, own))


def make_session(flags: list[str], own: argparse.Namespace) -> Session:
    """Returns a session of localize.py with these flags."""
    args = parse_arguments(
        "localize",
        [
            "--resume_model",
            own.resume_model,
            "--resize_test_imgs",
            "--image_size",
            str(own.image_size),
            "--calibrate",
            own.dataset_folder,
            *flags,
        ],
    )
    device = commons.select_device(args.device)
    return Session(args, load_network(args.resume_model).to(device), device, args.seed)


def queries(session: Session, folder: str, city: str, name: str, part: str = "test") -> tuple[Located, np.ndarray]:
    """Locates the queries of a test set. Returns (estimates, true positions).

    session: of localize.py
    folder, city, part: the test set is in <folder>/<city>/<part>
    name: the folder of its queries
    """
    folder = os.path.join(folder, city, part)
    return session.locate_queries(
        TestDataset(
            os.path.join(folder, "database"),
            os.path.join(folder, name),
            session.args.positive_dist_threshold,
            session.resize,
        )
    )


def compare(session: Session, nearest: Session, folder: str) -> str:
    """Returns the table of median errors and shares within the threshold, with their difference's interval.

    The interval is that of a paired bootstrap over queries.
    """
    rows, threshold = [], session.args.positive_dist_threshold
    for title, city, name in _TEST_SETS:
        errors = []
        for one in (nearest, session):
            located, truth = queries(one, folder, city, name)
            errors.append(located.estimates.errors(truth))
        errors = np.array(errors)  # (2, q)
        sample = np.random.default_rng(0).integers(0, errors.shape[1], (_RESAMPLES, errors.shape[1]))
        gain = np.diff((errors <= threshold).astype(float), axis=0)[0][sample].mean(axis=1)
        low, high = 100 * np.quantile(gain, [0.025, 0.975])
        both = (errors <= threshold).all(axis=0)
        (a, b), (within_a, within_b), (fine_a, fine_b) = (
            np.median(errors, axis=1),
            100 * (errors <= threshold).mean(axis=1),
            np.median(errors[:, both], axis=1),
        )
        rows.append(
            {
                "test set": title,
                "median error, nearest": f"{a:.1f} m",
                "cluster": f"{b:.1f} m",
                f"within {threshold:g} m, nearest": f"{within_a:.1f}%",
                "cluster ": f"{within_b:.1f}%",
                "difference": f"{within_b - within_a:+.1f} ({low:+.1f} to {high:+.1f})",
                "median where both are right": f"{fine_a:.1f} and {fine_b:.1f} m",
            }
        )
    return table(rows, list(rows[0]))


def check(session: Session, own: argparse.Namespace) -> str:
    """Returns the table of coverage over the splits of each validation set, and of test sets used like one."""
    rows = []
    for folder in (own.dataset_folder, *own.further_cities):
        sets = [
            ("city1/val", "city1", "queries", "val"),
            *((f"{city}/test/{name}", city, name, "test") for _, city, name in _TEST_SETS),
        ]
        for title, city, name, part in sets:
            located, truth = queries(session, folder, city, name, part)
            checked = [fit_and_check(session, located, truth, seed)[1] for seed in range(own.splits)]
            coverage = np.array([one.coverage() for one in checked])
            row = {"set": os.path.join(folder, title), "queries": len(truth)}
            for column, level in enumerate(calibration.LEVELS):
                low, high = calibration.WINDOWS[column]
                inside = np.mean((low <= coverage[:, column]) & (coverage[:, column] <= high))
                row |= {
                    f"{level:.0%} radii hold": f"{coverage[:, column].mean():.1%} +- {coverage[:, column].std():.1%}",
                    f"in {low:.0%} to {high:.0%}": f"{inside:.0%} of splits",
                }
            bias = [
                one.confidence.mean() - (one.errors <= session.args.positive_dist_threshold).mean() for one in checked
            ]
            rows.append(
                row | {"confidence too high by": f"{100 * np.mean(bias):+.1f} +- {100 * np.std(bias):.1f} points"}
            )
    return table(rows, list(rows[0]))


def fit_and_check(session: Session, located: Located, truth: np.ndarray, seed: int) -> tuple:
    """Fits a calibration on one half of the area, and checks it on the other.

    session: of localize.py
    located: the queries' estimates
    truth: their positions, float64 (q, 2), metres
    seed: deals out the blocks
    """
    return calibration.fit_and_check(located, truth, session.args.positive_dist_threshold, session.identity, seed)


def transfer(session: Session, own: argparse.Namespace) -> str:
    """Returns the table of a validation set's calibration: coverage elsewhere, in another city and at night."""
    located, truth = queries(session, own.dataset_folder, "city1", "queries", "val")
    fitted, _, _ = fit_and_check(session, located, truth, 0)
    rows = []
    for title, city, name in _TEST_SETS:
        located, truth = queries(session, own.dataset_folder, city, name)
        errors, radii = located.estimates.errors(truth), fitted.radii(located.estimates, located.database)
        rows.append(
            {
                "test set": title,
                **{
                    f"{level:.0%} radii hold": f"{share:.1%}"
                    for level, share in zip(calibration.LEVELS, (errors[:, None] <= radii).mean(axis=0), strict=True)
                },
                "median radii": " and ".join(f"{metres:.0f} m" for metres in np.median(radii, axis=0)),
                "mean confidence": f"{fitted.confidence(located.estimates).mean():.1%}",
                f"within {fitted.threshold:g} m": f"{(errors <= fitted.threshold).mean():.1%}",
            }
        )
    return table(rows, list(rows[0]))


def reopening(session: Session, own: argparse.Namespace) -> str:
    """Times the opening of an index that is there: with the images, whose names and times are compared, and without."""
    folder = os.path.join(own.dataset_folder, "city1", "test", "database")
    rows = []
    for title, with_images in (("with the images", True), ("the index alone", False)):
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            images = ImageFolder(folder, session.resize) if with_images else None
            with session.open_index(images, folder) as index:
                seconds.append(time.perf_counter() - start)
        rows.append({"index": title, "images": len(index.names), "fastest of 5": min(seconds), "slowest": max(seconds)})
    start = time.perf_counter()
    load_network(own.resume_model)
    rows.append({"index": "(loading the network)", "fastest of 5": time.perf_counter() - start})
    return table(rows, ["index", "images", "fastest of 5", "slowest"])


if __name__ == "__main__":
    sys.exit(main())

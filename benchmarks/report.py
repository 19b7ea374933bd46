"""The report's size, and the time in which headless Chromium opens it, at 100,000 database images and 8,000 queries.

The test set is generated: streets of a city of 10 km, names as SF-XL's, two models, thumbnails of a few pictures.
Chromium's time is from its start to a screenshot, minus the same for an empty page, measured in turn. It includes
layout and painting. The page's own clock runs from the start of loading until all charts are drawn.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time

import numpy as np

from benchmarks.measure import interleaved, machine, table
from benchmarks.pictures import make_pictures
from datasets.names import format_name
from datasets.test_dataset import ImageFolder, TestDataset
from report.evaluation import Evaluation, write_report
from test import TestResult, summarize

_PICTURES, _CITY, _RANKS = 32, 10_000, 100  # pictures in files, metres, predictions a query
# draws what would be drawn in the next frame, then notes the time since loading began
_CLOCK = """<script>addEventListener("load", () => {
  document.querySelectorAll(".chart").forEach(element => echarts.getInstanceByDom(element).getZr().flush());
  document.documentElement.dataset.drawn = performance.now();
});</script>"""


def main(argv: list[str] | None = None) -> None:
    """Parses the arguments and measures in a temporary folder."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", type=int, default=100_000, help="database images (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=8000, help="queries (default: %(default)s)")
    parser.add_argument(
        "--models", type=int, choices=(1, 2), default=2, help="models on the page (default: %(default)s)"
    )
    parser.add_argument("--chromium", default="chromium", help="the browser's command (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="times that it opens the page; the median counts (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        run(args, folder)


def run(args: argparse.Namespace, folder: str) -> None:
    """Writes the report, opens it if there is a browser, and prints the table."""
    dataset = make_test_set(folder, args.database, args.queries)
    evaluations = [
        Evaluation("queries_v1", f"model {seed}", dataset, random_result(dataset, seed)) for seed in range(args.models)
    ]
    page = os.path.join(folder, "page.html")
    start = time.perf_counter()
    write_report(page, evaluations)
    row = {
        "database images": args.database,
        "queries": args.queries,
        "models": args.models,
        "s to write": time.perf_counter() - start,
        "MB": os.path.getsize(page) / 1e6,
    }
    print(machine())
    if shutil.which(args.chromium):
        row |= opened(args.chromium, page, folder, args.repeats)
    else:
        print(f"There is no {args.chromium} to open the page with: apt-get install chromium, or --chromium")
    print(table([row], list(row)))


def make_test_set(folder: str, num_database: int, num_queries: int) -> TestDataset:
    """Returns a TestDataset of generated names along streets 100 m apart. All its images are a few pictures."""
    pictures = make_pictures(os.path.join(folder, "pictures"), _PICTURES, 256)
    rng = np.random.default_rng(0)
    for part, number, noise in (("database", num_database, 2), ("queries", num_queries, 8)):
        along, street = rng.uniform(0, _CITY, number), 100 * rng.integers(0, _CITY // 100, number)
        positions = np.where(rng.random((number, 1)) < 0.5, np.stack([along, street], 1), np.stack([street, along], 1))
        positions += rng.normal(0, noise, positions.shape) + [550_000, 4_180_000]
        names = [
            format_name(
                east, north, 10, "S", 37.76 + north / 1e8, -122.42, f"{index:022d}", "", index % 360, timestamp="202211"
            )
            for index, (east, north) in enumerate(positions.tolist())
        ]
        os.makedirs(os.path.join(folder, part))
        shutil.copy(pictures[0], os.path.join(folder, part, names[0]))
        with open(os.path.join(folder, f"{part}_images_paths.txt"), "w") as file:
            file.write("\n".join(names) + "\n")
    dataset = TestDataset(os.path.join(folder, "database"), os.path.join(folder, "queries"))
    for part in ("database", "queries"):
        getattr(dataset, part).__class__ = FewPictures
        getattr(dataset, part).pictures = pictures
    return dataset


class FewPictures(ImageFolder):
    """Images that are all among a few files."""

    def path(self, index: int) -> str:
        """Returns the path of one of the pictures."""
        return self.pictures[index % len(self.pictures)]


def random_result(dataset: TestDataset, seed: int) -> TestResult:
    """Returns a TestResult where about two thirds of the first predictions are right."""
    rng = np.random.default_rng(seed)
    predictions = rng.integers(0, len(dataset.database), (len(dataset.queries), _RANKS))
    for query, positives in enumerate(dataset.positives_per_query):
        if len(positives) and rng.random() < 0.67:
            predictions[query, 0] = rng.choice(positives)
    distances = np.sort(rng.uniform(0.1, 1.5, predictions.shape), axis=1).astype(np.float32)
    return summarize(predictions, dataset.positives_per_query, len(dataset.database), distances=distances)


def opened(chromium: str, page: str, folder: str, repeats: int) -> dict[str, float]:
    """Times the opening of a page. Returns {"s to open", "s on the page's clock"}.

    chromium: the browser's command
    page: path of the page
    folder: for its profile and copies
    repeats: times that it is opened; the median counts
    """
    empty, clocked = os.path.join(folder, "empty.html"), os.path.join(folder, "clocked.html")
    with open(empty, "w") as file:
        file.write("<!DOCTYPE html><title>empty</title>")
    shutil.copy(page, clocked)
    with open(clocked, "a") as file:
        file.write(_CLOCK)

    def browse(path: str, *flags: str):
        command = [
            chromium,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1280,900",
            *flags,
            f"--user-data-dir={os.path.join(folder, 'profile')}",
            f"file://{path}",
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    picture = f"--screenshot={os.path.join(folder, 'picture.png')}"
    seconds = interleaved({path: lambda path=path: browse(path, picture) for path in (empty, page)}, repeats)
    clock = [
        float(re.search(r'data-drawn="([\d.]+)"', browse(clocked, "--dump-dom"))[1]) / 1000 for _ in range(repeats)
    ]
    return {
        "s to open": float(np.median(seconds[page]) - np.median(seconds[empty])),
        "s on the page's clock": float(np.median(clock)),
    }


if __name__ == "__main__":
    main()

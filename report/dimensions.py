"""Recall against the dimension of descriptors, in one table."""

import csv
import logging
import os

import distributed
from datasets.test_dataset import TestDataset
from retrieval.dimensions import first_dimensions
from retrieval.recalls import paired_difference
from retrieval.store import DescriptorStore
from support.files import replacing
from test import TestOptions, TestResult, test_stores

logger = logging.getLogger(__name__)


def write_dimensions(
    dimensions: tuple[int, ...],
    dataset: TestDataset,
    options: TestOptions,
    path: str,
    database: DescriptorStore,
    queries: DescriptorStore,
    result: TestResult,
) -> dict[int, TestResult]:
    """Tests the first dimensions of descriptors, by exact search. Logs a table, and writes it as CSV.

    Each row has recalls with their 95% intervals, and the paired difference of its R@1 to that of all dimensions.

    dimensions: how many, each at most as many as there are; all of them are a row too
    dataset: the database and its queries
    options: of the test
    path: of the CSV
    database, queries: their stores
    result: of all dimensions

    Returns {dimension: its result}. Raises UserError if the disk refuses.
    """
    exact, results = options.for_validation(), {}
    for dim in sorted({*dimensions, database.dim}):
        if dim == database.dim and options == exact:
            results[dim] = result
            continue
        with first_dimensions(database, dim) as short_database, first_dimensions(queries, dim) as short_queries:
            results[dim] = test_stores(dataset, short_database, short_queries, exact)
    if not distributed.is_main():
        return results
    shown, whole = result.shown, results[database.dim]
    lines = ["dimensions  " + "".join(f"{f'R@{n} (95% interval)':<24}" for n in shown) + "R@1 minus that of all"]
    records = []
    for dim, found in results.items():
        difference = paired_difference(found.found, whole.found, options.seed)
        (low, high), value = difference.intervals[0], difference.values[0]
        cells = "".join(f"{found.cell(n):<24}" for n in shown)
        last = "" if found is whole else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
        lines.append(f"{dim:10d}  {cells}{last}".rstrip())
        records.append({"dimensions": dim})
        for n, recall, interval in zip(found.recall_values, found.recalls, found.intervals, strict=True):
            numbers = zip(("", "_low", "_high"), (recall, *interval), strict=True)
            records[-1] |= {f"R@{n}{name}": f"{number:.4f}" for name, number in numbers}
        records[-1] |= {"R@1_minus_all": f"{value:.4f}", "low": f"{low:.4f}", "high": f"{high:.4f}"}
    table = "\n".join(lines)
    logger.info(f"{dataset}: recalls in percent by the first dimensions of descriptors (also in {path}):\n\n{table}\n")
    os.makedirs(os.path.dirname(path), exist_ok=True)  # a second method's, or of further queries
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, records[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return results

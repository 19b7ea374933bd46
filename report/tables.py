"""Recalls of several test sets in one table, beside the published ones."""

import csv
import logging

from datasets import protocols
from datasets.test_dataset import TestDataset
from datasets.test_sets import TestSet
from support.escaping import csv_path, csv_text
from support.files import replacing
from test import TestResult

logger = logging.getLogger(__name__)


class RecallTable:
    """A table with a row for each test set. Its CSV, which has all recall values, is written again after each.

    path: of the CSV; model: the value of --resume_model, for the published figures.
    """

    def __init__(self, path: str, model: str | None = None):
        self.path, self.model = path, protocols.published_model(model)
        self._shown, self._rows, self._records = (), [], []

    def add(self, test_set: TestSet, dataset: TestDataset, result: TestResult) -> None:
        """Adds a row, and writes the CSV. dataset, result: of the test set. Raises UserError if the disk refuses.

        Warns if the test is not the published one; then the row has no published figure.
        """
        published, self._shown = self._published(test_set, dataset), result.shown
        self._rows.append(
            [
                test_set.name,
                str(len(dataset.queries)),
                str(len(dataset.database)),
                str(result.num_without_positives),
                result.chance_cell(1),
                *(result.cell(n) for n in result.shown),
                *(["" if published is None else f"{published:.1f}"] if self.model else []),
            ]
        )
        record = {
            "test_set": csv_text(test_set.name),
            "database_folder": csv_path(test_set.database_folder),
            "queries_folder": csv_path(test_set.queries_folder),
            "queries": len(dataset.queries),
            "database": len(dataset.database),
            "without_positives": result.num_without_positives,
        }
        for row, n in enumerate(result.recall_values):
            numbers = zip(("", "_low", "_high"), (result.recalls[row], *result.intervals[row]), strict=True)
            record |= {f"R@{n}{name}": f"{number:.4f}" for name, number in numbers}
            record[f"R@{n}_chance"] = f"{result.chance[row]:.6g}"
        record |= {"published_model": self.model or "", "published_R@1": "" if published is None else published}
        self._records.append(record)
        with replacing(self.path) as temporary, open(temporary, "w", newline="", errors="backslashreplace") as file:
            writer = csv.DictWriter(file, record, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._records)

    def _published(self, test_set: TestSet, dataset: TestDataset) -> float | None:
        if test_set.protocol is None:
            return None
        different = protocols.differences(test_set.protocol, len(dataset.queries), len(dataset.database))
        if dataset.positive_dist_threshold != protocols.THRESHOLD:
            threshold = f"a threshold of {dataset.positive_dist_threshold:g} m instead of {protocols.THRESHOLD}"
            different = f"{different} and {threshold}" if different else threshold
        if dataset.positive_heading_threshold is not None:
            headings = f"a threshold of {dataset.positive_heading_threshold:g} degrees between headings"
            different = f"{different} and {headings}" if different else headings
        if different:
            logger.warning(
                f"{test_set.name}: the test has {different}: its recalls cannot be compared with published ones"
            )
            return None
        return protocols.published_recall(self.model, test_set.name)

    def __str__(self):
        """Markdown."""
        head = [
            "test set",
            "queries",
            "database",
            "without positives",
            "chance R@1",
            *(f"R@{n}" for n in self._shown),
            *([f"published R@1 of {self.model}"] if self.model else []),
        ]
        rows = [head, ["---"] * len(head), *self._rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

"""Which first predictions can be accepted, by their similarity (eval.py --precision)."""

import numpy as np
import pytest

import eval as eval_script
from model.checkpoints import save_network
from model.network import GeoLocalizationNet
from report.curves import acceptance, describe_acceptance
from retrieval.recalls import wilson_intervals
from test import summarize
from tests.scripts import fails, run
from tests.tiny import save_place


def result_of(similarity, right):
    """A TestResult whose first predictions have these similarities; -inf: there is none."""
    similarity = np.array(similarity, float)
    predictions = np.where(np.isfinite(similarity), 0, -1)[:, None]
    positives = [np.array([0]) if one else np.array([], int) for one in right]
    return summarize(predictions, positives, 5, distances=2 - 2 * similarity[:, None], recall_values=(1,))


def test_the_lowest_threshold_of_a_precision_against_a_plain_search():
    rng = np.random.default_rng(0)
    for _ in range(50):
        similarity = rng.choice([0.1, 0.2, 0.3, 0.4, 0.5, -np.inf], 30)
        right = (rng.random(30) < np.maximum(similarity, 0) + 0.4) & np.isfinite(similarity)
        for wanted in (0.5, 0.75, 0.9, 1.0):
            best = None
            for threshold in sorted(set(similarity[np.isfinite(similarity)]), reverse=True):
                accepted = similarity >= threshold
                if right[accepted].mean() >= wanted:
                    best = (
                        threshold,
                        int(accepted.sum()),
                        100 * right[accepted].mean(),
                        100 * right[accepted].sum() / 30,
                    )
            found = acceptance(result_of(similarity, right), wanted)
            if best is None:
                assert found is None
                continue
            assert (found.threshold, found.accepted, found.precision, found.recall) == pytest.approx(best)
            low, high = 100 * wilson_intervals(best[2] / 100, best[1])
            assert (found.low, found.high) == pytest.approx((low, high))


def test_what_is_said_of_it():
    found = acceptance(result_of([0.9, 0.8, 0.7, 0.6], [True, True, False, True]), 0.7)
    assert describe_acceptance(found, 0.7, 4).startswith(
        "Of first predictions with a similarity of at least 0.6000, 75.0 % are right (30.1 to 95.4): 4 of 4 queries"
    )
    nothing = acceptance(result_of([0.9, 0.8], [False, True]), 0.9)
    assert nothing is None and describe_acceptance(None, 0.9, 2).startswith("No threshold of similarity makes 90 % of")


def test_the_log_and_the_page_have_it(workdir, capsys):
    for place in range(6):
        save_place("db", place, 0, 1, size=32)
        save_place("q", place, 0, 2, size=32)
    save_network(GeoLocalizationNet("Small", 16), "m.pth")
    flags = ["--database_folder", "db", "--queries_folder", "q", "--device", "cpu", "--num_workers", 0]
    flags += ["--resume_model", "m.pth"]
    folder = run(eval_script, *flags, "--precision", 0.5, "--report", "page.html")
    log, page = open(f"{folder}/info.log").read(), open("page.html").read()
    assert ": R@100P " in log
    sentence = ("Of first predictions with a similarity of at least", "No threshold of similarity makes 50 %")
    assert any(part in log and part in page for part in sentence)
    plain = run(eval_script, *flags, "--report", "plain.html", "--save_dir", "plain")
    assert "R@100P" in open(f"{plain}/info.log").read() and not any(
        part in open("plain.html").read() for part in sentence
    )
    assert "--precision needs to know which images are right" in fails(
        eval_script, capsys, *flags, "--no_labels", "--precision", 0.9
    )

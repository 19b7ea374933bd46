"""Draws the reliability diagram: confidences and radii against what was observed on the other half."""

from typing import TYPE_CHECKING

import numpy as np

from localization.calibration import LEVELS, WINDOWS, Checked
from retrieval.recalls import wilson_intervals
from support.errors import UserError
from support.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # it is not always installed

_BINS = 6  # with as many queries each
_CURVE = np.linspace(0.02, 0.98, 49)


def check_drawing() -> None:
    """Raises UserError if matplotlib is not installed: before the work, not after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("the reliability diagram needs matplotlib: pip install -r requirements-report.txt") from error


def draw_reliability(checked: Checked, threshold: float, path: str) -> None:
    """Writes the diagram as a PNG. threshold: metres within which an estimate is right. Raises UserError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_confidence(left, checked, threshold)
    _draw_radii(right, checked)
    figure.suptitle(f"Checked on the {len(checked.errors)} queries of the half that was not fitted on")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_confidence(axes: "Axes", checked: Checked, threshold: float) -> None:
    right = checked.errors <= threshold
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfect")
    for rows in np.array_split(np.argsort(checked.confidence, kind="stable"), min(_BINS, len(right))):
        axes.plot(
            [checked.confidence[rows].mean()] * 2,
            wilson_intervals(right[rows].mean(), len(rows)),
            color="tab:blue",
            linewidth=1.2,
        )
        axes.plot(checked.confidence[rows].mean(), right[rows].mean(), "o", color="tab:blue")
    axes.plot([], [], "o-", color="tab:blue", label=f"{_BINS} bins of as many queries, 95% interval")
    axes.hist(
        checked.confidence,
        bins=np.linspace(0, 1, 21),
        weights=np.full(len(right), 0.5 / len(right)),
        color="0.85",
        zorder=0,
        label="share of queries (half scale)",
    )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.08),
        xlabel="confidence",
        ylabel=f"share of estimates within {threshold:g} m",
        title="Confidence",
    )
    axes.legend(loc="upper left", fontsize=9)


def _draw_radii(axes: "Axes", checked: Checked) -> None:
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfect")
    axes.plot(
        _CURVE,
        [(checked.ranks <= level).mean() for level in _CURVE],
        color="tab:orange",
        label="predicted distribution of errors",
    )
    for level, window, radii in zip(LEVELS, WINDOWS, checked.radii.T, strict=True):
        inside = checked.errors <= radii
        axes.plot([level] * 2, wilson_intervals(inside.mean(), len(inside)), color="tab:green", linewidth=1.2)
        axes.plot(level, inside.mean(), "s", color="tab:green")
        axes.hlines(window, level - 0.02, level + 0.02, color="tab:red", linewidth=1)
        axes.annotate(
            f"{level:.0%} radii hold {inside.mean():.1%},\nmedian {np.median(radii):.0f} m",
            (level, inside.mean()),
            (-16, 0),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=9,
        )
    axes.plot([], [], "s-", color="tab:green", label="radii as given, 95% interval (red: the window aimed at)")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.08),
        xlabel="probability that a radius is to hold the truth with",
        ylabel="share of radii that hold the truth",
        title="Radii",
    )
    axes.legend(loc="lower right", fontsize=9)

"""Draw the reliability diagram and the risk-coverage curve of runs, as a PNG that is the same for the same runs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mer_cli.evaluation.calibrated_run import Calibration, answered_at, errors_of, reliability, risk_coverage
from mer_cli.evaluation.calibration_text import Judged
from mer_cli.evaluation.summary import fraction
from mer_cli.runs.run_config import GENERATED

PANEL_WIDTH, ROW_HEIGHT = 5.2, 4.6  # inches
PIXELS_PER_INCH = 110
FEWEST = 5  # answered clips from which on the curve is drawn: a share of fewer says nothing
BEFORE, AFTER, CHANCE = "#b35806", "#1f4e99", "#666666"


def draw_calibrations(judged: Sequence[Judged]) -> bytes:
    """Draw a row for each calibration, the reliability diagram and the risk-coverage curve; return the PNG's bytes."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure = Figure((2 * PANEL_WIDTH, ROW_HEIGHT * len(judged)), dpi=PIXELS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        for each, row in zip(judged, figure.subfigures(len(judged), 1, squeeze=False)[:, 0], strict=True):
            row.suptitle(_title(each), fontsize=8, parse_math=False)
            left, right = row.subplots(1, 2)
            _draw_reliability(left, each.found)
            _draw_answers(right, each.found)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _title(judged: Judged) -> str:
    run, found = judged.run, judged.found
    of = f", {judged.dataset}" if judged.dataset else ""
    stamp = f"\nFaces {GENERATED}" if run.config.generated else ""
    return (
        f"{run.path.name}{of}, last epoch: {len(found.clip_ids)} held-out clips of {found.n_subjects} subjects\n"
        f"each subject's temperature is fitted on the others; for new people it is {found.temperature:.3g}{stamp}"
    )


def _draw_reliability(axes: Axes, found: Calibration) -> None:
    """Draw accuracy against mean confidence in bins of equal width, with 95 % intervals over subjects."""
    equal = errors_of(found)[0]
    axes.plot([0, 1], [0, 1], color=CHANCE, linewidth=1, linestyle="--", label="exact")
    series = (
        ("before", found.before, BEFORE, "s", equal.before, -0.006),
        ("after", found.after, AFTER, "o", equal.after, 0.006),
    )
    for name, probabilities, colour, marker, error, shift in series:
        points = reliability(probabilities, found.labels, found.clip_ids)
        x = np.array([point.confidence for point in points]) + shift  # so that two intervals don't hide each other
        y = np.array([point.accuracy for point in points])
        ends = np.array([(point.low, point.high) for point in points]).T
        axes.vlines(x, *ends, color=colour, linewidth=1, alpha=0.6)
        axes.plot(x, y, color=colour, linewidth=1, alpha=0.5)
        sizes = 12 + 160 * np.array([point.n_clips for point in points]) / len(found.labels)
        axes.scatter(x, y, sizes, color=colour, marker=marker, zorder=3, label=f"{name}: ECE {fraction(error)}")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="probability of the named class", ylabel="share that is right")
    axes.set_title("Reliability, area of a point by its clips, 95 % intervals", fontsize=9)
    axes.legend(fontsize=8, loc="upper left")


def _draw_answers(axes: Axes, found: Calibration) -> None:
    """Draw the share of right answers against the share answered, and of always naming the largest class beside it."""
    threshold, coverage, accuracy = risk_coverage(found.after, found.labels)
    drawn = coverage * len(found.labels) >= FEWEST
    top, by_chance = found.after.max(axis=1), found.largest == found.labels
    axes.plot(coverage[drawn], accuracy[drawn], color=AFTER, label="the surest clips are answered")
    axes.plot(
        coverage[drawn],
        [by_chance[top >= least].mean() for least in threshold[drawn]],
        color=CHANCE,
        linestyle="--",
        label="the largest class is named for them",
    )
    own = answered_at(found, None)
    if own.accuracy is not None and own.interval is not None:
        axes.vlines(own.coverage, *own.interval, color=BEFORE, linewidth=1)
        axes.scatter(
            [own.coverage], [own.accuracy], 50, color=BEFORE, zorder=3, label="probabilities that say something"
        )
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xlabel="share of the clips that is answered")
    axes.set_ylabel("share of the answers that is right")
    axes.set_title("Risk and coverage", fontsize=9)
    axes.legend(fontsize=8, loc="lower right")

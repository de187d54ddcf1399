"""Find the peak motion, in pixels, at which a method falls half-way between chance and ceiling, on generated faces.

The same people make the same expressions at several intensities. At each of them a method is trained and tested, one
subject held out at a time, and the share of right answers rises from chance to at most what the action units allow.
The motion at which it is half-way up is one number that orders methods without any real data. It says nothing about
the score on a real dataset.

OUT/ladder.json                      what was drawn
OUT/intensity-0.4/raw, casme2.h5     a generated release and its store
OUT/runs                             the runs of all methods at all intensities
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mer_cli import __version__
from mer_cli.datasets.registry import load_release
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.datasets.synthetic.drawing import draw_faces
from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.realism import USUAL
from mer_cli.datasets.synthetic.writer import LAYOUTS, write_release
from mer_cli.engines.resumable import ignore_clip
from mer_cli.errors import ConfigError
from mer_cli.evaluation.ceiling import best_rule
from mer_cli.evaluation.chance import run_chance
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.statistics import interval_of_sums
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import Run, read_run
from mer_cli.store.add_clips import add_clips
from mer_cli.store.added import build_drawn
from mer_cli.system.files import write_text
from mer_cli.system.workers import default_jobs
from mer_cli.training.grids import Cell, method_configs, plan_comparison
from mer_cli.training.train import Options, Silent, train_runs

DATASET, SCHEME, RULE = "casme2", "casme2-5", "last"
SETTINGS_FILE = "ladder.json"
DRAWN = "drawn"  # an empty file beside a release that is whole
TIMED_FRAMES = 5  # that the time of drawing is estimated from
SLOPES = np.geomspace(0.5, 16, 16)  # of the fitted curve; at 1 the odds of being up grow as the motion does
STEP = 0.02  # of the logarithm of the motion, at which thresholds are tried: finer than any interval
BEYOND = 2.0  # times the ladder's last motion: where a curve that does not cross in the ladder may still cross
AT_ONCE = 500  # draws whose curves are fitted together: 12 MB


@dataclass(frozen=True)
class Ladder:
    """What is drawn for a threshold.

    seed : of faces, expressions and noise, the same at every intensity
    subjects, clips : at each intensity; the five classes have equal numbers of clips
    intensities : factors on the generator's motion, ascending; at 1 an action unit peaks at 1 to 3 pixels
    release : number of the generator's release
    """

    seed: int
    subjects: int = 10
    clips: int = 100
    intensities: tuple[float, ...] = (0.15, 0.25, 0.4, 0.6, 1.0, 1.5)
    release: int = USUAL

    def plan(self, intensity: float) -> list[ClipPlan]:
        """Plan the clips of an intensity; raise a ConfigError if a number can't be used."""
        return LAYOUTS[DATASET].plan(**self.drawn_at(intensity))

    def drawn_at(self, intensity: float) -> dict[str, Any]:
        """Return the arguments of `write_release` for an intensity, beside dataset and folder."""
        return {
            "subjects": self.subjects,
            "clips": self.clips,
            "seed": self.seed,
            "intensity": intensity,
            "emotions": SCHEMES[SCHEME].class_names,
            "release": self.release,
        }


def forecast_s(ladder: Ladder) -> float:
    """Return about how many seconds all cores take to draw all sets, from the time of a person and a few frames."""
    plan = ladder.plan(ladder.intensities[0])
    started = time.perf_counter()
    frames = iter(next(iter(draw_faces(LAYOUTS[DATASET].view, ladder.seed, plan[:1]))).pictures)
    next(frames)
    a_person = time.perf_counter() - started
    started = time.perf_counter()
    n_timed = len(list(islice(frames, TIMED_FRAMES)))
    a_frame = (time.perf_counter() - started) / n_timed
    n_frames = sum(clip.last - clip.first + 1 for clip in plan)
    a_set = a_person * ladder.subjects + a_frame * n_frames
    return a_set * len(ladder.intensities) / min(default_jobs(), ladder.subjects)


def check_out(out: Path, ladder: Ladder, methods: str, settings: Mapping[str, Any]) -> None:
    """Check what is wanted before anything is drawn, and note in a folder what is drawn there.

    Parameters
    ----------
    methods, settings : as in `bench_threshold`

    Raises
    ------
    ConfigError
        If a number or a setting can't be used, a method is unknown, or the folder holds something else.
    """
    _configs(methods, settings)
    if ladder.subjects < 2:
        raise ConfigError(f"--subjects must be at least 2, because one is held out, got {ladder.subjects}.")
    ladder.plan(ladder.intensities[0])
    note, wanted = out / SETTINGS_FILE, json.dumps({"mer": __version__, **asdict(ladder)}, indent=1) + "\n"
    if note.is_file():
        try:
            held = json.loads(note.read_bytes())
        except ValueError:
            raise ConfigError(
                f"{note}: is damaged. Give another --out, or remove {out} to draw everything again."
            ) from None
        if held != json.loads(wanted):
            raise ConfigError(
                f"{out}: holds a ladder that was drawn with other numbers, or by another version of mer "
                f"({SETTINGS_FILE}). Give another --out, or the numbers in that file."
            )
        return
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out}: holds files that mer bench threshold did not write. Give another --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_text(note, wanted)


def bench_threshold(
    ladder: Ladder,
    methods: str,
    settings: Mapping[str, Any],
    out: Path,
    on_step: Callable[[int, float], object] = lambda done, seconds: None,
) -> dict[str, Any]:
    """Draw what is missing of a ladder, train the methods where they are not trained, and fit their thresholds.

    Parameters
    ----------
    methods : names separated by commas, as `mer compare-methods --methods` takes them
    settings : arguments of `resolve_config`; each goes to the methods that use it
    out : folder of the ladder; what an earlier call has finished there is used again
    on_step : called when an intensity is finished, with how many are, and how long it took in seconds

    Returns
    -------
    seed, release, subjects, clips, rule; left_out, the number of clips that could not be used at every intensity;
    chance (over all clips of the last step) and ceiling, accuracies that don't depend on the method; steps, a list with
    the intensity and peak_px, the median over clips of the largest peak among a clip's action units, in pixels of the
    crop; methods, by name: accuracy and uf1 (over all clips) at each step, and what `fit_threshold` returns

    Raises
    ------
    MerError
        If the folder holds something else, a method or a setting can't be used, or drawing or training fails.
    """
    check_out(out, ladder, methods, settings)
    runs: dict[str, list[Run]] = {}
    for done, intensity in enumerate(ladder.intensities, start=1):
        started = time.perf_counter()
        cells = _plan_step(ladder, intensity, methods, settings, out)
        train_runs([cell.plan for cell in cells], out / "runs", lambda _: Silent(), Options(save_weights="none"))
        for cell in cells:
            runs.setdefault(cell.name, []).append(read_run(out / "runs" / cell.plan.config.run_name))
        on_step(done, time.perf_counter() - started)
    peaks = [peak_px(ladder.plan(intensity)) for intensity in ladder.intensities]
    some = next(iter(runs.values()))[-1]
    common = sorted(set.intersection(*(set(run.labels) for of_method in runs.values() for run in of_method)))
    if not common:
        raise ConfigError(
            f"{out}: no clip could be used at every intensity, so no curve can be fitted. Draw more: --clips N."
        )
    chance = max(guess.accuracy for guess in run_chance(some, RULE))
    ceiling = _ceiling(ladder.plan(ladder.intensities[-1]), {clip_id: some.labels[clip_id] for clip_id in common})
    return {
        "seed": ladder.seed,
        "release": ladder.release,
        "subjects": ladder.subjects,
        "clips": len(common),
        "left_out": ladder.clips - len(common),
        "rule": RULE,
        "chance": chance,
        "ceiling": ceiling,
        "steps": [
            {"intensity": intensity, "peak_px": peak} for intensity, peak in zip(ladder.intensities, peaks, strict=True)
        ],
        "methods": {name: _figures(of_method, common, peaks, chance, ceiling) for name, of_method in runs.items()},
    }


def peak_px(plans: Sequence[ClipPlan]) -> float:
    """Return the median over clips of the largest peak among a clip's action units, in pixels of the crop."""
    return statistics.median(max(unit.peak for unit in plan.units) for plan in plans)


def _plan_step(
    ladder: Ladder, intensity: float, methods: str, settings: Mapping[str, Any], out: Path
) -> tuple[Cell, ...]:
    """Draw and pack the clips of an intensity, and return the runs of the methods on them."""
    folder = out / f"intensity-{intensity:g}"
    raw, store = folder / "raw", folder / f"{DATASET}.h5"
    if not (folder / DRAWN).exists():
        write_release(DATASET, raw, **ladder.drawn_at(intensity))
        (folder / DRAWN).touch()
    release = load_release(DATASET, raw)
    build_drawn(release, store)
    if any(config.method.sees.needs_clips(config.span) for config in _configs(methods, settings).values()):
        add_clips(release, store, jobs=default_jobs(), resume=True, on_clip=ignore_clip)
    return plan_comparison([store], {**settings, "scheme": SCHEME}, 1, out / "runs", methods=methods).cells


def _configs(methods: str, settings: Mapping[str, Any]) -> dict[str, TrainConfig]:
    """Return the settings of the methods, by name; raise a ConfigError if one can't be used."""
    given = {name: value for name, value in settings.items() if value is not None}
    return method_configs(methods, given, flag="--model")


def _ceiling(plans: Sequence[ClipPlan], labels: Mapping[str, int]) -> float:
    """Return the largest share of clips that any rule on their sets of action units can get right.

    Parameters
    ----------
    labels : class by clip id, of planned clips; the others are left out
    """
    layout = LAYOUTS[DATASET]
    units = {f"{DATASET}/{layout.subject_id.format(plan.subject)}/{plan.name}": plan.unit_numbers for plan in plans}
    sets = [frozenset(units[clip_id]) for clip_id in labels]
    return best_rule(sets, list(labels.values()), len(SCHEMES[SCHEME].class_names)).accuracy


def _figures(
    runs: Sequence[Run], common: Sequence[str], peaks: Sequence[float], chance: float, ceiling: float
) -> dict[str, Any]:
    """Return accuracy and UF1 of a method at each step, and its threshold over the `common` clips of all steps."""
    scores = [evaluate(run, RULE) for run in runs]
    is_right = np.array(
        [
            [of_step.predicted[clip_id] == run.labels[clip_id] for run, of_step in zip(runs, scores, strict=True)]
            for clip_id in common
        ]
    )
    return {
        "accuracy": is_right.mean(axis=0).tolist(),
        "uf1": [of_step.uf1 for of_step in scores],
        **fit_threshold(is_right, common, peaks, chance, ceiling),
    }


def fit_threshold(
    is_right: NDArray[np.bool_], clip_ids: Sequence[str], peaks: Sequence[float], chance: float, ceiling: float
) -> dict[str, Any]:
    """Fit how the share of right answers rises with the motion, and return where it is half-way from chance to ceiling.

    The curve is chance + (ceiling - chance) / (1 + (threshold / peak)^slope), a logistic curve over the logarithm of
    the motion. It rises everywhere. Threshold and slope are those of the largest binomial likelihood, on a grid.

    Parameters
    ----------
    is_right : (clips, steps) bool, whether the answer was right
    clip_ids : (clips,) ids, "dataset/subject/name"
    peaks : (steps,) ascending, pixels of the crop
    chance, ceiling : accuracies, 0..1

    Returns
    -------
    slope; threshold_px, and low_px and high_px, the ends of its 95 % interval over subjects, in pixels, None outside
    the ladder; threshold_side, low_side and high_side, "below", "within" or "above" the ladder

    Raises
    ------
    ConfigError
        If the ceiling is not above chance.

    Source
    ------
    the psychometric function of Wichmann & Hill, The psychometric function: I, Perception & Psychophysics 63(8), 2001,
    with chance as the guessing rate and the ceiling in place of 1 - lapses; the interval is ours
    """
    if not ceiling > chance:
        raise ConfigError(
            f"mer bench threshold: on these clips the action units allow an accuracy of {ceiling:.3f}, which is not "
            f"above chance ({chance:.3f}). Draw more: --clips N."
        )
    at = np.log(np.asarray(peaks))
    tried = np.arange(at[0] - np.log(BEYOND), at[-1] + np.log(BEYOND), STEP)
    curves = expit(SLOPES[:, None] * (at - tried[:, None, None]))  # (thresholds, slopes, steps)
    share = np.clip(chance + (ceiling - chance) * curves, 1e-6, 1 - 1e-6).reshape(-1, len(at))
    of_right, of_wrong = np.log(share).T, np.log1p(-share).T

    def best(sums: NDArray[np.float64]) -> NDArray[np.int64]:
        n_right, n_all = np.split(sums, 2, axis=1)  # each (draws, steps)
        parts = range(0, len(sums), AT_ONCE)
        rows = (slice(start, start + AT_ONCE) for start in parts)
        return np.concatenate(
            [np.argmax(n_right[row] @ of_right + (n_all - n_right)[row] @ of_wrong, axis=1) for row in rows]
        )

    counts = np.concatenate([is_right, np.ones_like(is_right)], axis=1).astype(np.float64)
    chosen = int(best(counts.sum(axis=0, keepdims=True))[0])
    low, high = interval_of_sums(counts, clip_ids, lambda sums: tried[best(sums) // len(SLOPES)])
    figures: dict[str, Any] = {"slope": float(SLOPES[chosen % len(SLOPES)])}
    for name, found in (("threshold", tried[chosen // len(SLOPES)]), ("low", low), ("high", high)):
        side = "below" if found < at[0] else "above" if found > at[-1] else "within"
        figures |= {f"{name}_px": float(np.exp(found)) if side == "within" else None, f"{name}_side": side}
    return figures

"""`mer bench flow` and `mer bench threshold`: measure on drawn faces, whose true motion is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from mer_cli.cli import console
from mer_cli.errors import ConfigError

SEED = 100  # far from the seeds that the documentation's scores and settings come from
FLOW_SUBJECTS, FLOW_CLIPS = 8, 40
GENERATED = "Generated faces: nothing here is a result on a dataset."


def measure_flow(
    seed: int | None, subjects: int | None, clips: int | None, release: int | None, raft: Path | None
) -> dict[str, Any]:
    """Return what the flows get right on drawn clips, and what is recognised from each; RAFT's only if it has weights.

    Returns
    -------
    seed and release, what `bench_flow` returns, and under `recognition` what `Recognition.scores` returns
    """
    from mer_cli.bench.flow import Field, bench_flow, read_raft, usual_flows
    from mer_cli.bench.flow_recognition import Recognition
    from mer_cli.bench.true_motion import TrueClip, draw_true_clips, plan_true_clips
    from mer_cli.datasets.synthetic.realism import USUAL

    seed = SEED if seed is None else seed
    release = USUAL if release is None else release
    plans = plan_true_clips(seed, subjects or FLOW_SUBJECTS, clips or FLOW_CLIPS, release)
    flows = usual_flows() | (dict([read_raft(raft)]) if raft else {})
    recognition = Recognition()
    with console.Steps("flow", len(plans)) as steps:

        def on_clip(clip: TrueClip, found: Mapping[str, Field]) -> None:
            recognition.add(clip, found)
            steps.update(steps.done + 1, len(plans))

        figures = bench_flow(draw_true_clips(seed, plans), flows, on_clip)
    console.err.print(f"training {recognition.config.model} on each flow")
    return {"seed": seed, "release": release, **figures, "recognition": recognition.scores()}


def show_flow(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how good each flow is: a line for each, then its error and what it finds of the motion by group of pixels.

    Parameters
    ----------
    figures : what `measure_flow` returns
    """
    from mer_cli.bench.flow import ABOUT, FACE, MOVING
    from mer_cli.bench.true_motion import OUTSIDE

    if as_json:
        console.out.print_json(json.dumps(figures), indent=2, ensure_ascii=True)
        return
    flows, groups = figures["flows"], figures["groups"]
    console.print_lines(
        [
            f"{figures['clips']} clips of {figures['subjects']} subjects, seed {figures['seed']}, release "
            f"{figures['release']} of the generator; pixels of the 224x224 crop. {GENERATED}"
        ]
    )
    rows = [("flow", "s per clip", "error px", "95 %", "found", "95 %", "head known", "head's error px", "outside px")]
    for name, flow in flows.items():
        face, moving = flow["groups"][FACE], flow["groups"][MOVING]
        rows.append(
            (
                name,
                f"{flow['s_per_clip']:.3f}",
                _pixels(face["epe_px"]),
                _interval(face["epe_interval"], _pixels),
                _share(moving["recovered"]),
                _interval(moving["recovered_interval"], _share),
                _share(moving["recovered_known"]),
                _pixels(flow["head_error_px"]),
                _pixels(flow["groups"][OUTSIDE]["epe_px"]),
            )
        )
    console.print_table(rows, numeric=1)
    console.print_lines(console.folded("; ".join(f"{name}: {ABOUT[name]}" for name in flows if name in ABOUT)))
    for title, score, text in (
        ("end-point error in pixels, the fitted motion of the head taken away", "epe_px", _pixels),
        ("share of the true motion that is found, the fitted motion of the head taken away", "recovered", _share),
    ):
        console.out.rule(escape(title))
        table = [("pixels", "share", "true px", *flows)]
        for group, facts in groups.items():
            cells = (text(flow["groups"][group][score]) for flow in flows.values())
            table.append((group, f"{facts['share']:.0%}", _pixels(facts["true_px"]), *cells))
        console.print_table(table, numeric=1)
    _show_recognition(figures["recognition"])


def _show_recognition(found: Mapping[str, Any]) -> None:
    """Print what a method recognises from each flow, and from the true motion."""
    from mer_cli.evaluation.statistics import few_subjects
    from mer_cli.evaluation.summary import fraction, percent

    console.out.rule(escape(f"what {found['model']} recognises from each flow"))
    if found["left_out"]:
        console.print_notes([f"{found['left_out']} clips are left out: their landmarks don't lie as those of a face"])
    if not found["flows"]:
        told = f"not measured: it takes two subjects with clips of the classes of {found['scheme']}"
        console.print_notes([told])
        return
    rows = [("flow", "accuracy %", "95 %", "UF1", "95 %")]
    for name, scores in found["flows"].items():
        shown = (("accuracy", percent), ("uf1", fraction))
        cells = [(text(scores[of]), _interval(scores[f"{of}_interval"], text)) for of, text in shown]
        rows.append((name, *cells[0], *cells[1]))
    console.print_table(rows, numeric=1)
    told = (
        f"{found['scheme']}, {found['clips']} clips of {found['subjects']} subjects, LOSO, rule {found['rule']}, "
        f"--input {found['input']}; for the true motion of the face, {found['input_without_head']}"
    )
    console.print_lines(console.folded(told))
    if few := few_subjects(found["subjects"]):
        console.print_lines([few])


def measure_threshold(
    methods: str | None,
    out: Path | None,
    seed: int | None,
    subjects: int | None,
    clips: int | None,
    release: int | None,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the thresholds of methods; say on stderr how long it will take, before and after the first intensity."""
    from mer_cli.bench.threshold import Ladder, bench_threshold, check_out, forecast_s

    if methods is None or out is None:
        raise ConfigError(
            "mer bench threshold: --model and --out are missing. "
            "Type: mer bench threshold --model flow-svm --out ladder"
        )
    usual = Ladder(SEED if seed is None else seed)
    ladder = replace(
        usual,
        subjects=subjects or usual.subjects,
        clips=clips or usual.clips,
        release=usual.release if release is None else release,
    )
    check_out(out, ladder, methods, settings)
    n_steps = len(ladder.intensities)
    console.print_lines(
        [
            f"{n_steps} intensities of {ladder.clips} clips: drawing them takes about "
            f"{console.spell_seconds(forecast_s(ladder))}, unless {out} holds them; then cropping and training"
        ],
        console.err,
    )

    def tell(done: int, seconds: float) -> None:
        left = f"; about {console.spell_seconds(seconds * (n_steps - done))} left" if done < n_steps else ""
        told = f"intensity {done} of {n_steps} took {console.spell_seconds(seconds)}{left}"
        console.print_lines([told], console.err)

    return bench_threshold(ladder, methods, settings, out, tell)


def show_threshold(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the threshold of each method, lowest first, and the accuracy at each intensity.

    Parameters
    ----------
    figures : what `measure_threshold` returns
    """
    if as_json:
        console.out.print_json(json.dumps(figures), indent=2, ensure_ascii=True)
        return
    from mer_cli.evaluation.statistics import few_subjects

    peaks = [step["peak_px"] for step in figures["steps"]]
    console.print_lines(
        [
            f"{figures['clips']} clips of {figures['subjects']} subjects at each intensity, seed {figures['seed']}, "
            f"release {figures['release']} of the generator, LOSO, rule {figures['rule']}: chance "
            f"{figures['chance']:.3f}, ceiling {figures['ceiling']:.3f}. {GENERATED}"
        ]
    )
    rows = [("method", "threshold", "95 %", *(f"at {peak:.2f} px" for peak in peaks))]
    methods = figures["methods"].items()
    for name, found in sorted(methods, key=lambda item: _rank(item[1])):
        threshold, low, high = (
            _end(found[f"{of}_px"], found[f"{of}_side"], peaks) for of in ("threshold", "low", "high")
        )
        rows.append(
            (
                name,
                threshold,
                low if low == high else f"{low} to {high}",
                *(f"{accuracy:.3f}" for accuracy in found["accuracy"]),
            )
        )
    console.print_table(rows, numeric=1)
    few, left_out = few_subjects(figures["subjects"]), figures["left_out"]
    if few:
        console.print_lines([few])
    if left_out:
        console.print_notes([f"{left_out} clips are left out: at some intensity their face was not found well"])


def _rank(found: Mapping[str, Any]) -> tuple[int, float]:
    return ("below", "within", "above").index(found["threshold_side"]), found["threshold_px"] or 0.0


def _end(pixels: float | None, side: str, peaks: Sequence[float]) -> str:
    """Return a motion as text; of one outside the ladder, on which side it lies."""
    if pixels is not None:
        return f"{pixels:.2f} px"
    return f"{side} {peaks[0] if side == 'below' else peaks[-1]:.2f} px"


def _pixels(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _interval(ends: Sequence[float] | None, text: Any) -> str:
    return "" if ends is None else f"{text(ends[0])} to {text(ends[1])}"

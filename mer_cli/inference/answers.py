"""Write the answers for recordings as lines of text, CSV or JSON, with what the model is and how good it is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mer_cli.inference.facts_text import calibration_text, how_good, trained_on
from mer_cli.inference.model import Facts
from mer_cli.inference.predict import Answer, Prediction
from mer_cli.inference.purpose import PURPOSE
from mer_cli.system.shown_text import csv_cell, visible_json


def place_text(answer: Answer) -> str:
    """Return where in its recording a clip is: the numbers of its frames, and their times if they are known."""
    cut = answer.cut
    frames = f"frames {cut.onset} to {cut.apex}"
    start, end = cut.seconds
    return frames if math.isnan(start) else f"{frames} ({start:.2f} to {end:.2f} s)"


def answer_text(answer: Answer, facts: Facts) -> str:
    """Return the answer for a clip as a sentence: the class or units with probabilities, or why there is none."""
    if answer.label is None:
        return f"no answer. {' '.join(answer.abstains)}"
    if facts.predicts_units:
        return _units_text(answer, facts)
    if answer.probabilities is None:
        return f"{answer.label}; how sure that is, nobody knows"
    best = answer.probabilities.index(max(answer.probabilities))
    spread = f" ±{answer.spread[best]:.0%} over the networks" if answer.spread else ""
    return f"{answer.label} {answer.probabilities[best]:.0%}{spread}"


def _units_text(answer: Answer, facts: Facts) -> str:
    """Return the units above .5 with their probabilities; the likeliest one if there are none."""
    shares = _by_class(answer.probabilities, facts) or {}
    spreads = _by_class(answer.spread, facts) or {}
    said = {name: f"{name} {shares[name]:.0%}" for name in shares}
    said |= {name: f"{said[name]} ±{spreads[name]:.0%} over the networks" for name in spreads}
    if found := _shown_units(answer, facts):
        return ", ".join(said[name] for name in found)
    return f"none of the {len(said)} action units; the likeliest: {said[max(shares, key=shares.__getitem__)]}"


def _shown_units(answer: Answer, facts: Facts) -> list[str]:
    """Return the action units that an answer names."""
    return [name for name in facts.class_names if name in (answer.label or "").split("+")]


def text_lines(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Yield the answers as lines of text, recording by recording, and then what is known about the model."""
    for prediction in predictions:
        yield f"{prediction.path}:"
        yield from (f"  {line}" for line in _lines(prediction))
    if predictions:
        facts = predictions[0].facts
        yield from (
            "",
            f"Model: {trained_on(facts)}",
            how_good(facts.score, of_units=facts.predicts_units),
            calibration_text(facts),
            PURPOSE,
        )


def _lines(prediction: Prediction) -> Iterator[str]:
    if prediction.abstains:
        yield f"No answer. {' '.join(prediction.abstains)}"
    elif not prediction.answers:
        yield "No interval was found that may be a micro-expression."
    for answer in prediction.answers:
        yield f"{place_text(answer)}: {answer_text(answer, prediction.facts)}"
    if not prediction.is_whole:
        yield "Stopped early: only what was found until then."


def to_csv(predictions: Sequence[Prediction]) -> str:
    """Return the answers as CSV, a row for each clip; a recording without a clip has a row that says why."""
    names = predictions[0].facts.class_names if predictions else ()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = (
        *("video", "onset", "apex", "offset", "onset_s", "apex_s", "score"),
        *("fps", "n_frames"),
    )
    said = ("units",) if predictions and predictions[0].facts.predicts_units else ("emotion", "probability", "spread")
    titles = (*columns, *said, *(f"p_{name}" for name in names), "abstains", "trained_on", "how_good")
    writer.writerow(map(csv_cell, titles))
    for prediction in predictions:
        held = prediction.facts
        facts = (trained_on(held), how_good(held.score, of_units=held.predicts_units))
        video = str(prediction.path)
        length = _length(prediction)
        if not prediction.answers:
            nothing = " ".join(prediction.abstains) or "No interval was found that may be a micro-expression."
            writer.writerow(
                map(csv_cell, (video, *[""] * 6, *length, *[""] * (len(said) + len(names)), nothing, *facts))
            )
        for answer in prediction.answers:
            writer.writerow(map(csv_cell, (video, *_place(answer), *length, *_said(answer, prediction.facts), *facts)))
    return out.getvalue()


def _length(prediction: Prediction) -> tuple[str, str]:
    """Return the frames a second of a recording and the number of frames that were read, "" for what is unknown."""
    fps = "" if prediction.fps is None else f"{prediction.fps:g}"
    return fps, str(prediction.spotted.n_frames) if prediction.spotted else ""


def _place(answer: Answer) -> Iterator[str]:
    cut = answer.cut
    yield from (
        str(cut.onset),
        str(cut.apex),
        str(cut.offset),
        *("" if math.isnan(time) else f"{time:.3f}" for time in cut.seconds),
    )
    yield "" if answer.score is None else f"{answer.score:.4g}"


def _said(answer: Answer, facts: Facts) -> Iterator[str]:
    yield answer.label or ""
    n_best = 0 if facts.predicts_units else 2
    if answer.probabilities is None:
        yield from [""] * (n_best + len(facts.class_names))
        yield " ".join(answer.abstains)
        return
    if n_best:
        best = answer.probabilities.index(max(answer.probabilities))
        yield f"{answer.probabilities[best]:.4f}"
        yield f"{answer.spread[best]:.4f}" if answer.spread else ""
    yield from (f"{probability:.4f}" for probability in answer.probabilities)
    yield " ".join(answer.abstains)


def to_json(predictions: Sequence[Prediction]) -> str:
    """Return the answers as JSON, with what is known about the model once."""
    model: dict[str, Any] = {}
    if predictions:
        facts = predictions[0].facts
        model = {
            "trained_on": trained_on(facts),
            "how_good": how_good(facts.score, of_units=facts.predicts_units),
            "probabilities": calibration_text(facts),
            **facts.model_dump(mode="json"),
        }
    document = {"purpose": PURPOSE, "model": model, "recordings": [_recording(each) for each in predictions]}
    return visible_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _recording(prediction: Prediction) -> dict[str, Any]:
    return {
        "video": str(prediction.path),
        "fps": prediction.fps,
        "abstains": list(prediction.abstains),
        "notes": list(prediction.notes),
        "is_whole": prediction.is_whole,
        "clips": [_clip(answer, prediction.facts) for answer in prediction.answers],
    }


def _clip(answer: Answer, facts: Facts) -> dict[str, Any]:
    cut = answer.cut
    return {
        "onset": cut.onset,
        "apex": cut.apex,
        "offset": cut.offset,
        "seconds": None if math.isnan(cut.seconds[0]) else list(cut.seconds),
        "score": answer.score,
        **_named(answer, facts),
        "probabilities": _by_class(answer.probabilities, facts),
        "spread": _by_class(answer.spread, facts),
        "abstains": list(answer.abstains),
    }


def _named(answer: Answer, facts: Facts) -> dict[str, Any]:
    """Return what an answer names: one emotion, or a list of action units; None for no answer."""
    if not facts.predicts_units:
        return {"emotion": answer.label}
    return {"units": None if answer.label is None else _shown_units(answer, facts)}


def _by_class(values: Sequence[float] | None, facts: Facts) -> dict[str, float] | None:
    return None if values is None else dict(zip(facts.class_names, values, strict=True))

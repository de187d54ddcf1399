"""Write the answers for recordings as lines of text, CSV or JSON; each says what was trained on what, and how good."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mer_cli.inference.model import Facts, Score
from mer_cli.inference.predict import Answer, Prediction
from mer_cli.inference.purpose import PURPOSE
from mer_cli.runs.run_config import GENERATED
from mer_cli.system.shown_text import csv_cell, visible_json


def trained_on(facts: Facts) -> str:
    """Return what a model is and what it was trained on, as a sentence."""
    if not facts.datasets:
        return f"{facts.title}; nobody knows which clips it was trained on."
    faces = " Generated faces: no answer means anything about a real one." if facts.generated else ""
    return (
        f"{facts.title}, trained on {facts.n_clips} clips of {facts.n_subjects} subjects "
        f"({', '.join(facts.datasets)}).{faces}"
    )


def how_good(score: Score | None) -> str:
    """Return how good a model's settings are for people that they were not trained on, as a sentence."""
    if score is None:
        return "Nobody has measured how good it is: no leave-one-subject-out run was given with --calibrate."
    low, high = score.uf1_interval
    stamp = f" ({GENERATED})" if score.generated else ""
    return (
        f"Its settings reach UF1 {score.uf1:.3f} [{low:.3f}, {high:.3f}] and {score.accuracy:.1%} accuracy for "
        f"subjects held out; always naming the largest class has UF1 {score.chance_uf1:.3f} ({score.protocol}, rule "
        f"{score.rule}, seed {score.seed}, {score.n_clips} clips of {score.n_subjects} subjects, run {score.run})"
        f"{stamp}. That is with annotated onset and apex; on what is spotted it may be worse."
    )


def calibration_text(facts: Facts) -> str:
    """Return what the probabilities rest on, as a sentence."""
    if facts.temperature is None:
        return "Its probabilities are not calibrated, so they are not shown: mer fit --calibrate RUN makes them so."
    return f"Probabilities are calibrated on held-out subjects (temperature {facts.temperature:.2f})."


def place_text(answer: Answer) -> str:
    """Return where in its recording a clip is: the numbers of its frames, and their times if they are known."""
    cut = answer.cut
    frames = f"frames {cut.onset} to {cut.apex}"
    start, end = cut.seconds
    return frames if math.isnan(start) else f"{frames} ({start:.2f} to {end:.2f} s)"


def answer_text(answer: Answer) -> str:
    """Return the answer for a clip as a sentence: the class with its probability, or why there is none."""
    if answer.label is None:
        return f"no answer. {' '.join(answer.abstains)}"
    if answer.probabilities is None:
        return f"{answer.label}; how sure that is, nobody knows"
    best = answer.probabilities.index(max(answer.probabilities))
    spread = f" ±{answer.spread[best]:.0%} over the networks" if answer.spread else ""
    return f"{answer.label} {answer.probabilities[best]:.0%}{spread}"


def text_lines(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Yield the answers as lines of text, recording by recording, and then what is known about the model."""
    for prediction in predictions:
        yield f"{prediction.path}:"
        yield from (f"  {line}" for line in _lines(prediction))
    if predictions:
        facts = predictions[0].facts
        yield from ("", f"Model: {trained_on(facts)}", how_good(facts.score), calibration_text(facts), PURPOSE)


def _lines(prediction: Prediction) -> Iterator[str]:
    if prediction.abstains:
        yield f"No answer. {' '.join(prediction.abstains)}"
    elif not prediction.answers:
        yield "No interval was found that may be a micro-expression."
    for answer in prediction.answers:
        yield f"{place_text(answer)}: {answer_text(answer)}"
    if not prediction.is_whole:
        yield "Stopped early: only what was found until then."


def to_csv(predictions: Sequence[Prediction]) -> str:
    """Return the answers as CSV, a row for each clip; a recording without a clip has a row that says why."""
    names = predictions[0].facts.class_names if predictions else ()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ("video", "onset", "apex", "offset", "onset_s", "apex_s", "score", "emotion", "probability", "spread")
    titles = (*columns, *(f"p_{name}" for name in names), "abstains", "trained_on", "how_good")
    writer.writerow(map(csv_cell, titles))
    for prediction in predictions:
        facts = (trained_on(prediction.facts), how_good(prediction.facts.score))
        video = str(prediction.path)
        if not prediction.answers:
            nothing = " ".join(prediction.abstains) or "No interval was found that may be a micro-expression."
            blank = [""] * (len(columns) - 1 + len(names))
            writer.writerow(map(csv_cell, (video, *blank, nothing, *facts)))
        for answer in prediction.answers:
            writer.writerow(map(csv_cell, (video, *_cells(answer, len(names)), *facts)))
    return out.getvalue()


def _cells(answer: Answer, n_classes: int) -> Iterator[str]:
    cut = answer.cut
    yield from (
        str(cut.onset),
        str(cut.apex),
        str(cut.offset),
        *("" if math.isnan(time) else f"{time:.3f}" for time in cut.seconds),
    )
    yield "" if answer.score is None else f"{answer.score:.4g}"
    yield answer.label or ""
    if answer.probabilities is None:
        yield from [""] * (2 + n_classes)
    else:
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
            "how_good": how_good(facts.score),
            "probabilities": calibration_text(facts),
            **facts.model_dump(mode="json"),
        }
    document = {"purpose": PURPOSE, "model": model, "recordings": [_recording(each) for each in predictions]}
    return visible_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


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
        "emotion": answer.label,
        "probabilities": _by_class(answer.probabilities, facts),
        "spread": _by_class(answer.spread, facts),
        "abstains": list(answer.abstains),
    }


def _by_class(values: Sequence[float] | None, facts: Facts) -> dict[str, float] | None:
    return None if values is None else dict(zip(facts.class_names, values, strict=True))

"""Write the answers for recordings as lines of text, CSV or JSON, with what the model is and how good it is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from mer_cli.inference.facts_text import known_of
from mer_cli.inference.model import Facts
from mer_cli.inference.predict import Answer, Prediction
from mer_cli.inference.purpose import PURPOSE
from mer_cli.system.shown_text import csv_cell, visible_json

UNSURE = "how sure that is, nobody knows"


def place_text(answer: Answer) -> str:
    """Return where in its recording a clip is: the numbers of its frames, and their times if they are known."""
    cut = answer.cut
    frames = f"frames {cut.onset} to {cut.apex}"
    start, end = cut.seconds
    return frames if math.isnan(start) else f"{frames} ({start:.2f} to {end:.2f} s)"


def answer_text(answer: Answer, prediction: Prediction) -> str:
    """Return the answer for a clip as a sentence: the class, the units, or both, or why there is none."""
    said = [(_one_text(answer, prediction.facts), _is_unsure(answer))]
    units, facts = answer.units, prediction.units_facts
    if units and facts and answer.label:
        said.append((f"action units: {_one_text(units, facts)}", _is_unsure(units)))
    if all(is_unsure for _, is_unsure in said):
        return "; ".join((*(text for text, _ in said), UNSURE))
    return "; ".join(f"{text}; {UNSURE}" if is_unsure else text for text, is_unsure in said)


def _is_unsure(answer: Answer) -> bool:
    return answer.label is not None and answer.probabilities is None


def _one_text(answer: Answer, facts: Facts) -> str:
    """Return what one model says, with probabilities if they are known."""
    if answer.label is None:
        return f"no answer. {' '.join(answer.abstains)}"
    if facts.predicts_units:
        return _units_text(answer, facts)
    if answer.probabilities is None:
        return answer.label
    best = answer.probabilities.index(max(answer.probabilities))
    spread = f" ±{answer.spread[best]:.0%} over the networks" if answer.spread else ""
    return f"{answer.label} {answer.probabilities[best]:.0%}{spread}"


def _units_text(answer: Answer, facts: Facts) -> str:
    """Return the units above .5, with their probabilities if these are known; if there are none, the likeliest one."""
    shares = _by_class(answer.probabilities, facts) or {}
    spreads = _by_class(answer.spread, facts) or {}
    sides = _sides(answer, facts) or {}
    on_side = {"left": " on the left", "right": " on the right"}
    said = {name: f"{name}{on_side.get(sides.get(name, ''), '')}" for name in facts.class_names}
    said |= {name: f"{said[name]} {shares[name]:.0%}" for name in shares}
    said |= {name: f"{said[name]} ±{spreads[name]:.0%} over the networks" for name in spreads}
    found = _shown_units(answer, facts)
    text = ", ".join(said[name] for name in found) or f"none of the {len(said)} action units"
    return text if found or not shares else f"{text}; the likeliest: {said[max(shares, key=shares.__getitem__)]}"


def _shown_units(answer: Answer, facts: Facts) -> list[str]:
    """Return the action units that an answer names."""
    return [name for name in facts.class_names if name in (answer.label or "").split("+")]


def _sides(answer: Answer, facts: Facts) -> dict[str, str] | None:
    """Return on which of the person's sides each unit was seen ("left", "right", "both", ""); None if nobody knows."""
    return None if answer.sides is None else dict(zip(facts.class_names, answer.sides, strict=True))


def text_lines(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Yield the answers as lines of text, recording by recording, and then what is known about the model."""
    for prediction in predictions:
        yield f"{prediction.path}:"
        yield from (f"  {line}" for line in _lines(prediction))
    if predictions:
        yield ""
        for name, facts in models_of(predictions[0]):
            trained, good, calibrated = known_of(facts)
            yield from (f"{name}: {trained}", good, calibrated)
        yield PURPOSE


def _lines(prediction: Prediction) -> Iterator[str]:
    if prediction.abstains:
        yield f"No answer. {' '.join(prediction.abstains)}"
    elif not prediction.answers:
        yield "No interval was found that may be a micro-expression."
    for answer in prediction.answers:
        yield f"{place_text(answer)}: {answer_text(answer, prediction)}"
    if not prediction.is_whole:
        yield "Stopped early: only what was found until then."


def to_csv(predictions: Sequence[Prediction]) -> str:
    """Return the answers as CSV, a row for each clip; a recording without a clip has a row that says why."""
    models = [facts for _, facts in models_of(predictions[0])] if predictions else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = (
        *("video", "onset", "apex", "offset", "onset_s", "apex_s", "score"),
        *("fps", "n_frames"),
    )
    said = [title for facts in models for title in _titles(facts)]
    writer.writerow(map(csv_cell, (*columns, *said, "abstains", "trained_on", "how_good")))
    for prediction in predictions:
        facts = [" ".join(told) for told in zip(*(known_of(of_model)[:2] for of_model in models), strict=True)]
        video = str(prediction.path)
        length = _length(prediction)
        if not prediction.answers:
            nothing = " ".join(prediction.abstains) or "No interval was found that may be a micro-expression."
            writer.writerow(map(csv_cell, (video, *[""] * 6, *length, *[""] * len(said), nothing, *facts)))
        for answer in prediction.answers:
            given = zip((answer, answer.units), models, strict=False)
            cells = [cell for one, of_model in given for cell in _said(one, of_model)]
            row = (video, *_place(answer), *length, *cells, " ".join(answer.abstains), *facts)
            writer.writerow(map(csv_cell, row))
    return out.getvalue()


def models_of(prediction: Prediction) -> list[tuple[str, Facts]]:
    """Return the models that answered, by a title, with what is known about them: one, or one more of action units."""
    if prediction.units_facts is None:
        return [("Model", prediction.facts)]
    return [("Model of emotions", prediction.facts), ("Model of action units", prediction.units_facts)]


def _titles(facts: Facts) -> tuple[str, ...]:
    """Return the titles of the columns for what a model says of a clip."""
    said = ("units", "sides") if facts.predicts_units else ("emotion", "probability", "spread")
    return (*said, *(f"p_{name}" for name in facts.class_names))


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


def _said(answer: Answer | None, facts: Facts) -> Iterator[str]:
    """Yield what a model says of a clip, a cell for each of `_titles`; None: it was not asked."""
    if answer is None:
        yield from [""] * len(_titles(facts))
        return
    yield answer.label or ""
    probabilities = answer.probabilities
    if facts.predicts_units:
        sides = _sides(answer, facts) or {}
        yield "+".join(f"{name} {sides[name]}" for name in _shown_units(answer, facts) if sides.get(name))
    else:
        best = probabilities.index(max(probabilities)) if probabilities else 0
        yield f"{probabilities[best]:.4f}" if probabilities else ""
        yield f"{answer.spread[best]:.4f}" if answer.spread else ""
    yield from (f"{share:.4f}" for share in probabilities) if probabilities else [""] * len(facts.class_names)


def to_json(predictions: Sequence[Prediction]) -> str:
    """Return the answers as JSON, with what is known about the models once."""
    models = [_known(facts) for _, facts in models_of(predictions[0])] if predictions else [{}]
    document: dict[str, Any] = {"purpose": PURPOSE, "model": models[0]}
    if models[1:]:
        document["model_of_units"] = models[1]
    document["recordings"] = [_recording(each) for each in predictions]
    return visible_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _known(facts: Facts) -> dict[str, Any]:
    trained, good, calibrated = known_of(facts)
    return {"trained_on": trained, "how_good": good, "probabilities": calibrated, **facts.model_dump(mode="json")}


def _recording(prediction: Prediction) -> dict[str, Any]:
    return {
        "video": str(prediction.path),
        "fps": prediction.fps,
        "abstains": list(prediction.abstains),
        "notes": list(prediction.notes),
        "is_whole": prediction.is_whole,
        "clips": [_clip(answer, prediction) for answer in prediction.answers],
    }


def _clip(answer: Answer, prediction: Prediction) -> dict[str, Any]:
    cut, facts = answer.cut, prediction.units_facts
    units = _of_model(answer.units, facts) if answer.units and facts else None
    return {
        "onset": cut.onset,
        "apex": cut.apex,
        "offset": cut.offset,
        "seconds": None if math.isnan(cut.seconds[0]) else list(cut.seconds),
        "score": answer.score,
        **_of_model(answer, prediction.facts),
        **({"action_units": units} if facts else {}),
        "abstains": list(answer.abstains),
    }


def _of_model(answer: Answer, facts: Facts) -> dict[str, Any]:
    return {
        **_named(answer, facts),
        "probabilities": _by_class(answer.probabilities, facts),
        "spread": _by_class(answer.spread, facts),
    }


def _named(answer: Answer, facts: Facts) -> dict[str, Any]:
    """Return what an answer names: one emotion, or a list of action units; None for no answer."""
    if not facts.predicts_units:
        return {"emotion": answer.label}
    shown = None if answer.label is None else _shown_units(answer, facts)
    sides = _sides(answer, facts)
    return {"units": shown, "sides": sides and {name: side for name, side in sides.items() if side}}


def _by_class(values: Sequence[float] | None, facts: Facts) -> dict[str, float] | None:
    return None if values is None else dict(zip(facts.class_names, values, strict=True))

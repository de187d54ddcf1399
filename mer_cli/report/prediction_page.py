"""Render the answers for recordings as one HTML page that loads no other file: timelines, frames and probabilities."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mer_cli.faces.pictures import Image
from mer_cli.inference.answers import answer_text, models_of, place_text
from mer_cli.inference.facts_text import known_of
from mer_cli.inference.new_clips import CutClip
from mer_cli.inference.predict import Answer, Prediction
from mer_cli.inference.purpose import PURPOSE
from mer_cli.report.render.html import asset, environment, policy_hash
from mer_cli.report.render.svg import Stretch, probability_chart, timeline_chart
from mer_cli.spotting.interval import Interval, Spotted
from mer_cli.system.opencv import cv2
from mer_cli.system.shown_text import visible

GAIN = 6.0  # of the difference of apex and onset around mid-grey: a motion of a pixel is hardly seen otherwise
JPEG_QUALITY = 92
WARMTH = 0.55  # largest opacity of an attention map over the apex


@dataclass(frozen=True)
class Shown:
    """An image of the page: its `data:` address, and what it shows."""

    address: str
    caption: str


def render_page(predictions: Sequence[Prediction]) -> str:
    """Return one HTML page with a section for each recording; the same predictions give the same bytes."""
    style = Markup("{}{}").format(asset("report.css"), asset("prediction.css"))
    models = models_of(predictions[0]) if predictions else []
    return visible(
        environment()
        .get_template("prediction.html.j2")
        .render(
            style=style,
            style_hash=policy_hash(style),
            purpose=PURPOSE,
            model=[
                sentence
                for name, facts in models
                for trained, *others in (known_of(facts),)
                for sentence in (f"{name}: {trained}", *others)
            ],
            licences=dict.fromkeys(sentence for _, facts in models for sentence in facts.licences),
            recordings=[
                (prediction, _timeline(f"t{place}", prediction), [*_answers(f"r{place}", prediction)])
                for place, prediction in enumerate(predictions, start=1)
            ],
        )
    )


def _answers(key: str, prediction: Prediction) -> Iterator[tuple[Answer, str, list[Markup], list[Shown]]]:
    """Yield each answer, its heading, its charts of probabilities and its images."""
    for place, answer in enumerate(prediction.answers, start=1):
        heading = f"{place_text(answer)}: {answer_text(answer, prediction) if answer.label else 'no answer'}"
        charts = list(_charts(f"{key}-{place}", prediction, answer))
        yield answer, heading[0].upper() + heading[1:], charts, list(_images(answer))


def _charts(key: str, prediction: Prediction, answer: Answer) -> Iterator[Markup]:
    """Yield a chart of the probabilities that each model gives for a clip."""
    if answer.probabilities:
        what, names = "action unit" if prediction.facts.predicts_units else "class", prediction.facts.class_names
        yield probability_chart(key, names, answer.probabilities, answer.spread, what)
    units, facts = answer.units, prediction.units_facts
    if units and facts and units.probabilities:
        yield probability_chart(f"{key}-units", facts.class_names, units.probabilities, units.spread, "action unit")


def _images(answer: Answer) -> Iterator[Shown]:
    clip = answer.cut.clip
    if clip is None:
        return
    yield Shown(_address(clip.onset), f"onset, frame {answer.cut.onset}")
    yield Shown(_address(clip.apex), f"apex, frame {answer.cut.apex}")
    difference = clip.apex.astype(np.float32) - clip.onset
    yield Shown(
        _address(np.clip(128 + GAIN * difference, 0, 255).astype(np.uint8)), f"apex minus onset, {GAIN:g} times"
    )
    if answer.attention is not None:
        yield Shown(_address(_warmed(clip.apex, answer.attention)), "what the answer rests on")


def _warmed(image: Image, attention: NDArray[np.float32]) -> Image:
    """Return an image with a map, 0..1, laid over it in red."""
    opacity = WARMTH * attention[..., None]
    return np.asarray(image * (1 - opacity) + np.array([255, 40, 0], np.float32) * opacity, np.uint8)


def _address(image: Image) -> str:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _timeline(key: str, prediction: Prediction) -> Markup | None:
    """Draw what spotting measured, and where the answers are; None if onset and apex were given."""
    spotted = prediction.spotted
    if spotted is None or spotted.numbers is None or spotted.motion is None or spotted.head is None:
        return None
    found = [
        Stretch(*_seconds(spotted, answer.cut), answer.label or "no answer", answer.label is not None)
        for answer in prediction.answers
    ]
    rejected = [Stretch(*_seconds(spotted, each), each.reason, False) for each in spotted.rejected]
    title = f"Motion in {prediction.path.name}"
    curves = (("face, without the head's motion", spotted.motion), ("head", spotted.head))
    return timeline_chart(
        key, title, (spotted.numbers - spotted.first) / spotted.fps, curves, (("found", found), ("rejected", rejected))
    )


def _seconds(spotted: Spotted, clip: CutClip | Interval) -> tuple[float, float]:
    """Return when a clip begins and ends, in seconds since the first frame."""
    return spotted.seconds_at(clip.onset), spotted.seconds_at(clip.offset)

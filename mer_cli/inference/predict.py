"""`mer predict`: classify what happens in a recording, or say why there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.unit_masks import NO_UNIT, masks_of, spell_mask
from mer_cli.errors import ConfigError
from mer_cli.evaluation.calibration import as_two_classes, combine, says_nothing
from mer_cli.faces.landmarks import FaceFinder
from mer_cli.faces.recording import Recording
from mer_cli.inference.doubt import doubts, nothing_to_find, too_slow, unlike_training
from mer_cli.inference.model import Facts, Model
from mer_cli.inference.new_clips import CutClip, Span, cut_clips
from mer_cli.spotting.interval import Spotted
from mer_cli.spotting.spot import slow_note, spot

LONGEST_RISE_S = 0.5  # from onset to apex, where only the onset is given: a micro-expression is over by then
LONGEST_RISE = 100  # frames, where nobody knows the frames a second
WITHOUT_UNITS = "No action unit was seen in it, and an emotion without any is only a guess."
MOST_FRAMES = 2000  # from a given onset to its apex; a method that sees whole clips keeps the crops of twice as many

OnStep = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Answer:
    """What a model says of one clip of a recording, or why it says nothing.

    score : of spotting; None if onset and apex were given
    label : the most probable class, or the action units whose probability is above .5, such as "AU4+AU7" ("none" if
        there are none); None if it abstains
    probabilities : (classes,), calibrated; None if it abstains or the model is not calibrated
    spread : (classes,), standard deviation over the model's networks; None with a single network
    abstains : the reasons for which there is no answer, as sentences
    sides : for each action unit of a model of units "left", "right" or "both", the person's sides on which it was seen,
        or "" for none; None if the model can't tell
    units : what a second model, which is one of action units, says of the same clip; None without one
    cut : the clip itself
    attention : (224, 224) float32, 0..1, the parts of the crop that the answer rests on; None if not asked for
    """

    score: float | None
    label: str | None
    probabilities: tuple[float, ...] | None
    spread: tuple[float, ...] | None
    abstains: tuple[str, ...]
    cut: CutClip = field(repr=False)
    attention: NDArray[np.float32] | None = field(default=None, repr=False)
    sides: tuple[str, ...] | None = None
    units: Answer | None = None


@dataclass(frozen=True)
class Prediction:
    """The answers for a recording.

    spotted : what spotting found; None if onset and apex were given
    units_facts : what is known of the second model, which is one of action units; None without one
    abstains : the reasons for which the recording as a whole gets no answer
    is_whole : False if Ctrl-C ended it early
    """

    path: Path
    facts: Facts
    fps: float | None
    spotted: Spotted | None
    answers: tuple[Answer, ...]
    abstains: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    units_facts: Facts | None = None


def predict(
    recording: Recording,
    model: Model,
    predictor: Path,
    on_step: OnStep,
    *,
    units: Model | None = None,
    onset: int | None = None,
    apex: int | None = None,
    with_maps: bool = False,
) -> Prediction:
    """Classify the clip from a given onset to its apex, or every interval that spotting finds in a recording.

    Parameters
    ----------
    units : a second model, of action units, that is asked about the same clips and needs no other frames than `model`.
        A clip in which it sees no unit gets no class from `model`
    predictor : file of Dlib's model of 68 landmarks
    on_step : called with what is done ("frames", "clips"), the number of steps done and of all (None if unknown)
    onset : number of the onset frame; None spots intervals
    apex : number of the apex frame; None takes the frame with the strongest motion within half a second
    with_maps : whether to add where in the clip each answer comes from, which takes longer

    Raises
    ------
    FaceError
        If a frame can't be read.
    ConfigError
        If the given frames make no clip, or intervals are to be spotted and nobody knows the frames a second.
    """
    _check_frames(recording, onset, apex)
    facts, whole, near = model.facts, model.needs_clips, "average" in model.steps
    answered = partial(Prediction, recording.path, facts, recording.fps, units_facts=units.facts if units else None)
    if slow := too_slow(recording.fps):
        return answered(None, (), (slow,), recording.notes)
    finder = FaceFinder(predictor)
    if onset is not None:
        given = _given(recording, onset, apex, whole=whole, near=near)
        cut = list(cut_clips(recording, [given], finder, facts.align, whole=whole, near=near))
        answers = _answers(model, units, cut, [None], with_maps=with_maps)
        return answered(None, answers, (), _notes(recording, facts, predictor))
    spotted = spot(recording, predictor, lambda done, total: on_step("frames", done, total))
    spans = [Span(found.onset, found.apex, found.offset) for found in spotted.intervals]
    cut, is_whole = [], not spotted.interrupted
    try:
        for one in cut_clips(recording, spans, finder, facts.align, whole=whole, near=near):
            cut.append(one)
            on_step("clips", len(cut), len(spans))
    except KeyboardInterrupt:
        is_whole = False
    scores = {(found.onset, found.apex, found.offset): found.score for found in spotted.intervals}
    of_cut = [scores[one.onset, one.apex, one.offset] for one in cut]
    answers, reasons = _answers(model, units, cut, of_cut, with_maps=with_maps), tuple(nothing_to_find(spotted))
    return answered(spotted, answers, reasons, _notes(recording, facts, predictor, spotted), is_whole)


def _notes(recording: Recording, facts: Facts, predictor: Path, spotted: Spotted | None = None) -> tuple[str, ...]:
    """Return what is unusual about a recording, each sentence once; reading it may have added some."""
    found = spotted.notes if spotted else (slow_note(recording.fps),)
    unlike = unlike_training(recording.fps, predictor, facts)
    return tuple(dict.fromkeys(filter(None, (*recording.notes, *found, *unlike))))


def _check_frames(recording: Recording, onset: int | None, apex: int | None) -> None:
    """Raise a ConfigError for frame numbers that make no clip."""
    if onset is None and apex is not None:
        raise ConfigError("--apex needs --onset N, too. Add it, or leave both out to have intervals spotted.")
    if onset is not None and apex is not None and apex <= onset:
        raise ConfigError(f"--apex: frame {apex} is not behind the onset, frame {onset}. Give a later frame.")
    last, name = recording.last, recording.path
    for flag, number in (("--onset", onset), ("--apex", apex)):
        if number is not None and last is not None and number > last:
            raise ConfigError(f"{flag}: {name} ends with frame {last}, so it has no frame {number}.")
        if number == 0 and not name.is_dir():
            raise ConfigError(f"{flag}: {name} has no frame 0: the frames of a video are counted from 1.")
    if onset is not None and apex is not None and apex - onset > MOST_FRAMES:
        raise ConfigError(
            f"--apex: frame {apex} is {apex - onset} frames behind the onset. Expected at most {MOST_FRAMES}, "
            "because a micro-expression is over after half a second."
        )
    if onset is not None and onset == last:
        raise ConfigError(
            f"--onset: frame {onset} is the last of {name}, so there is no apex behind it. Give an earlier frame."
        )


def _given(recording: Recording, onset: int, apex: int | None, *, whole: bool, near: bool) -> Span:
    """Return the span of a clip whose onset is given; it ends with the recording.

    Where a method sees whole clips or frames near the apex, and the apex is given, the offset is as long behind it as
    the onset is before it.
    """
    if apex is None:
        reach = round(LONGEST_RISE_S * recording.fps) if recording.fps else LONGEST_RISE
        end = onset + max(reach, 1)
    else:
        sees_behind = whole or (near and recording.last is not None)  # without an end, the frames may be missing
        end = 2 * apex - onset if sees_behind else apex
    return Span(onset, apex, min(end, recording.last or end))


def _answers(
    model: Model,
    units: Model | None,
    cuts: Sequence[CutClip],
    scores: Sequence[float | None],
    *,
    with_maps: bool,
) -> tuple[Answer, ...]:
    """Return an answer for each clip; only clips without doubts are shown to the models."""
    reasons = [tuple(doubts(cut, model.facts, model.steps)) for cut in cuts]
    clear = [(cut, score) for cut, doubted, score in zip(cuts, reasons, scores, strict=True) if not doubted]
    said = _ask(model, clear)
    if units:
        said = map(_with_units, said, _ask(units, clear))
    answers = tuple(
        Answer(score, None, None, None, doubted, cut) if doubted else next(said)
        for cut, doubted, score in zip(cuts, reasons, scores, strict=True)
    )
    return _mapped(model, answers) if with_maps else answers


def _ask(model: Model, cuts: Sequence[tuple[CutClip, float | None]]) -> Iterator[Answer]:
    """Yield what a model says of each clip, which has a score of spotting or None."""
    clips = [cut.clip for cut, _ in cuts if cut.clip]
    if not clips:
        return
    logits, halves = model.logits(clips), model.half_logits(clips) if model.facts.predicts_units else None
    for place, (cut, score) in enumerate(cuts):
        if not np.isfinite(logits[:, place]).all():
            yield Answer(score, None, None, None, ("The model's logits are not finite numbers.",), cut)
        elif model.facts.predicts_units:
            of_halves = None if halves is None else halves[:, :, place]
            yield _unit_answer(model.facts, logits[:, place], of_halves, score, cut)
        else:
            yield _answer(model.facts, logits[:, place], score, cut)


def _with_units(answer: Answer, units: Answer) -> Answer:
    """Add what a model of action units says of a clip; a class is not named without any unit."""
    if units.label != NO_UNIT or answer.label is None:
        return replace(answer, units=units)
    return Answer(answer.score, None, None, None, (WITHOUT_UNITS,), answer.cut, units=units)


def _mapped(model: Model, answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """Add to each answer where in its clip it comes from, if the model can tell."""
    named = [answer for answer in answers if answer.label is not None and answer.cut.clip]
    if not named or model.facts.predicts_units:  # an answer of several units has no map of its own
        return answers
    classes = [model.facts.class_names.index(answer.label) for answer in named if answer.label]
    maps = model.maps([answer.cut.clip for answer in named if answer.cut.clip], classes)
    if maps is None:
        return answers
    of_answer = {id(answer): found for answer, found in zip(named, maps, strict=True)}
    return tuple(replace(answer, attention=of_answer.get(id(answer))) for answer in answers)


def _answer(facts: Facts, logits: NDArray[np.float32], score: float | None, cut: CutClip) -> Answer:
    """Return the answer for one clip from the logits of all members, (members, classes)."""
    probabilities, spread = (each[0] for each in combine(logits[:, None], facts.temperature or 1.0))
    label = facts.class_names[int(np.argmax(probabilities))]
    if facts.temperature is None:  # a softmax that nobody has checked looks like knowledge
        return Answer(score, label, None, None, (), cut)
    if says_nothing(probabilities, [facts.clips_of_class[name] for name in facts.class_names]):
        text = f"The most probable class, {label}, is no more likely than the largest class of the training clips."
        return Answer(score, None, None, None, (text,), cut)
    spreads = tuple(spread.tolist()) if len(logits) > 1 else None
    return Answer(score, label, tuple(probabilities.tolist()), spreads, (), cut)


def _unit_answer(
    facts: Facts,
    logits: NDArray[np.float32],
    halves: NDArray[np.float32] | None,
    score: float | None,
    cut: CutClip,
) -> Answer:
    """Return the answer of a model of action units: the probability of each, which are above .5, and on which side.

    Parameters
    ----------
    halves : (2, members, units), the logits for the left and the right half of the face; None if nobody knows them
    """
    each = combine(as_two_classes(logits), facts.temperature or 1.0)
    probabilities, spread = (found[..., 1] for found in each)  # (units,)
    is_shown = probabilities > 0.5
    label = spell_mask(int(masks_of(is_shown)), facts.class_names)
    sides = None if halves is None else _sides(is_shown, halves, facts.temperature or 1.0)
    if facts.temperature is None:
        return Answer(score, label, None, None, (), cut, sides=sides)
    spreads = tuple(spread.tolist()) if len(logits) > 1 else None
    return Answer(score, label, tuple(probabilities.tolist()), spreads, (), cut, sides=sides)


def _sides(is_shown: NDArray[np.bool_], halves: NDArray[np.float32], temperature: float) -> tuple[str, ...]:
    """Return on which of the person's sides each unit that is shown, (units,), was seen, from `halves` as above."""
    left, right = (combine(as_two_classes(half), temperature)[0][..., 1] > 0.5 for half in halves)
    words = {(True, True): "both", (True, False): "left", (False, True): "right"}
    seen = zip(is_shown.tolist(), left.tolist(), right.tolist(), strict=True)
    return tuple(words.get((on_left, on_right), "") if shown else "" for shown, on_left, on_right in seen)

"""Say whether a picture looks like those that a model was trained on, by a few numbers that a person can check.

A network answers whatever it is shown: a drawing, a statue, a face of half the size. Seven numbers of the onset's crop
tell most of these from the training clips. They don't say that a picture is right: a statue in grey looks familiar to a
model of grey recordings, and so does any face that was filmed like the training clips. Brightness, contrast, colour
and warmth are those of light and skin together: a person whose skin is much darker or lighter than that of all training
subjects can look unfamiliar, and the model was in fact not trained on such people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from mer_cli.faces.crop import CROP_SIZE, Transform
from mer_cli.faces.pictures import Image
from mer_cli.records import subject_of
from mer_cli.store.hdf5 import read_pairs, read_store, read_transforms
from mer_cli.system.opencv import cv2

FALSE_ALARMS = 0.05  # share of the clips of new people, filmed as the training clips were, that may look unfamiliar
FACE = (slice(22, 218), slice(34, 190))  # rows and columns of the crop: the face with little around it
SMOOTH_BELOW = 0.5  # of the Laplacian, in grey values: the pixel lies on a plane through its neighbours
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
CLIPS_AT_ONCE = 64  # 20 MB of crops


@dataclass(frozen=True)
class Measure:
    """A number that is measured on a picture, and how to say that it is outside the range of the training clips.

    too_low, too_high : how the face then differs from those of the training clips
    lowest, highest : smallest and largest possible value
    smallest_sd : spread that is always allowed, so that one level of grey is not a reason to refuse
    is_ratio : whether twice as much is as far as half as much, so that logarithms are compared
    unit : printed behind the value
    """

    too_low: str
    too_high: str
    lowest: float
    highest: float
    smallest_sd: float
    is_ratio: bool = True
    unit: str = ""


MEASURES: dict[str, Measure] = {
    "brightness": Measure("darker", "brighter", 1, 255, 0.05),
    "contrast": Measure("of less contrast", "of more contrast", 0.1, 128, 0.05),
    "sharpness": Measure("more blurred", "sharper or noisier", 0.1, 1000, 0.05),
    "smoothness": Measure("noisier", "smoother (compressed, enlarged or drawn)", 0.1, 100, 0.05, unit=" %"),
    "colour": Measure("less colourful", "more colourful", 0, 255, 3, is_ratio=False),
    "warmth": Measure("bluer", "redder", -255, 255, 3, is_ratio=False),
    "width": Measure("smaller", "larger", 1, 1e5, 0.05, unit=" pixels"),
}


def face_side(transform: Transform) -> float:
    """Return the side of the square that a crop shows, in pixels of the source frame: a face with its margins.

    Parameters
    ----------
    transform : (2, 3), source pixel -> crop pixel
    """
    return CROP_SIZE / float(np.hypot(transform[0, 0], transform[1, 0]))


def measure(crop: Image, face_pixels: float) -> dict[str, float]:
    """Measure a picture: each of `MEASURES` by its name, for the middle of the crop.

    Parameters
    ----------
    crop : (224, 224, 3) uint8, RGB, of the onset
    face_pixels : as `face_side` returns it

    Returns
    -------
    brightness : mean grey value · contrast : its standard deviation
    sharpness : standard deviation of the Laplacian
    smoothness : percent of the pixels in which the Laplacian is less than half a grey value
    colour : mean of the largest minus the smallest channel · warmth : mean of red minus blue
    width : `face_pixels`
    """
    face = crop[FACE].astype(np.float32)
    grey = face @ LUMA
    bends = np.asarray(cv2.Laplacian(grey, cv2.CV_32F))
    found = {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "sharpness": bends.std(),
        "smoothness": 100 * (np.abs(bends) < SMOOTH_BELOW).mean(),
        "colour": (face.max(axis=2) - face.min(axis=2)).mean(),
        "warmth": (face[..., 0] - face[..., 2]).mean(),
        "width": face_pixels,
    }
    return {name: float(np.clip(found[name], kind.lowest, kind.highest)) for name, kind in MEASURES.items()}


def training_look(stores: Sequence[Path]) -> dict[str, tuple[float, float]]:
    """Return for each measure the range in which clips of new people, filmed as those of the stores, are expected.

    Raises
    ------
    StoreError
        If a store can't be read.
    """
    measured: list[dict[str, float]] = []
    clip_ids: list[str] = []
    for path in stores:
        ids = [str(clip_id) for clip_id in read_store(path).clips.index]
        sides = [face_side(transform) for transform in read_transforms(path, ids)]
        for start in range(0, len(ids), CLIPS_AT_ONCE):
            part = slice(start, start + CLIPS_AT_ONCE)
            crops, _ = read_pairs(path, ids[part])
            measured += [measure(crop, side) for crop, side in zip(crops, sides[part], strict=True)]
        clip_ids += ids
    return expected_ranges(measured, [subject_of(clip_id) for clip_id in clip_ids])


def expected_ranges(measured: Sequence[Mapping[str, float]], subjects: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return for each measure the range in which a clip of another person is expected; nothing for a single subject.

    It is a prediction interval for one clip of a new subject, from the spread between subjects and within them, and
    never narrower than the clips themselves. Together the measures leave out at most one clip in twenty, if they are
    normally distributed. With few subjects the ranges are wide, because they say little of other people.

    Parameters
    ----------
    measured : as `measure` returns it, for each clip · subjects : of the same clips

    Source
    ------
    prediction interval of a one-way random-effects model, Bonferroni over the measures; ours
    """
    names, row_of = np.unique(subjects, return_inverse=True)
    n_subjects, n_clips = len(names), len(measured)
    if n_subjects < 2:
        return {}
    reach = float(student.ppf(1 - FALSE_ALARMS / len(MEASURES) / 2, n_subjects - 1))
    counts = np.bincount(row_of)
    ranges = {}
    for name, kind in MEASURES.items():
        values = np.array([each[name] for each in measured])
        compared = np.log(values) if kind.is_ratio else values
        means = np.bincount(row_of, compared) / counts
        within = ((compared - means[row_of]) ** 2).sum() / max(n_clips - n_subjects, 1)
        spread = max(float(np.sqrt(means.var(ddof=1) * (1 + 1 / n_subjects) + within)), kind.smallest_sd)
        ends = means.mean() + reach * spread * np.array([-1, 1])
        low, high = np.exp(np.minimum(ends, 100)) if kind.is_ratio else ends
        ranges[name] = (
            float(np.clip(min(low, values.min()), kind.lowest, kind.highest)),
            float(np.clip(max(high, values.max()), kind.lowest, kind.highest)),
        )
    return ranges


def unfamiliar(measured: Mapping[str, float], look: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return a sentence for each measure that is outside the range of the training clips, none if it looks familiar.

    Parameters
    ----------
    measured : as `measure` returns it
    look : as `training_look` returns it; a measure that it does not have is not judged
    """
    sentences = []
    for name, (low, high) in look.items():
        if name in MEASURES and not low <= measured[name] <= high:
            kind = MEASURES[name]
            how = kind.too_low if measured[name] < low else kind.too_high
            sentences.append(
                f"The face is {how} than in the training clips: {name} {_rounded(measured[name])}{kind.unit}, expected "
                f"{_rounded(low)} to {_rounded(high)}{kind.unit}."
            )
    return sentences


def _rounded(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"

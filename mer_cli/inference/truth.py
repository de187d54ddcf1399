"""How much of an attention map lies where a generated face really moved. Needs numpy only, no network.

`mer synth` leaves the true displacement at the apex beside a release. Carried into the crop, it says which part of the
face moved; a map that finds motion has its mass there.

Every step of the network that halves a map is a window of 3 with a margin of 1, centred on every second cell. So cell i
of a map of S cells is centred on crop pixel i * 224 / S, not on the middle of the i-th of S equal parts: half a cell
beside it, which is 7.5 pixels in the last map.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.writer import GROUND_TRUTH
from mer_cli.errors import RunError
from mer_cli.faces.crop import CROP_SIZE, Transform
from mer_cli.records import parts_of
from mer_cli.system.opencv import cv2

Maps = NDArray[np.float64]


def to_crop(maps: NDArray[Any]) -> Maps:
    """Maps (..., S, S) enlarged to (..., 224, 224), linear between the centres of cells and constant beyond the last.

    Parameters
    ----------
    maps : S must divide 224
    """
    weights = _weights(maps.shape[-1])
    return np.asarray(weights @ maps.astype(np.float64) @ weights.T)


def to_grid(pictures: NDArray[Any], size: int) -> Maps:
    """Pictures (..., 224, 224) reduced to maps (..., size, size): means, weighted as `to_crop` spreads a cell."""
    weights = _weights(size)
    means = (weights / weights.sum(axis=0)).T
    return np.asarray(means @ pictures.astype(np.float64) @ means.T)


@lru_cache
def _weights(size: int) -> Maps:
    """What each cell counts for each crop pixel along one axis, (224, size); rows sum to 1."""
    place = np.arange(CROP_SIZE) * size / CROP_SIZE
    distance = np.abs(np.minimum(place, size - 1)[:, None] - np.arange(size))
    weights: Maps = np.maximum(1 - distance, 0)
    weights.setflags(write=False)
    return weights


# The edge of motion is soft: half of its greatest length is the contour that neither leaves the centre of a wide motion
# out nor takes the fading rim in, which the noise of the pictures hides.
PART_OF_MAXIMUM = 0.5

Regions = NDArray[np.bool_]


@dataclass(frozen=True)
class TruthScores:
    """How one kind of map of each clip lies to where the face moved. Row i is the same clip in every array.

    mass : (N,) share of the map's mass inside the region over the region's share of the crop; 1 is no preference
    elsewhere : (N,) the same against the regions of the other clips, on average: what knowing faces alone gives
    hit : (N,) the share of the map's maximum, one pixel unless tied, that is inside the region
    """

    mass: NDArray[np.float64] = field(repr=False)
    elsewhere: NDArray[np.float64] = field(repr=False)
    hit: NDArray[np.float64] = field(repr=False)


def read_displacements(folder: Path, onsets: Mapping[str, int]) -> dict[str, NDArray[np.float32]]:
    """The true displacement of each clip, (H, W, 2) float32, (x, y) in pixels of its source frame.

    Parameters
    ----------
    folder : a generated release, or the ground_truth folder in it
    onsets : frame number of the onset as the store has it, by clip id

    Raises
    ------
    RunError
        If the folder holds no truth, lacks a clip, or is of another release.
    """
    truth = folder / GROUND_TRUTH if (folder / GROUND_TRUTH).is_dir() else folder
    drawn = _read_onsets(truth)
    displacements = {}
    for clip_id, onset in onsets.items():
        _, subject, name = parts_of(clip_id)
        if drawn.get((subject, name)) != onset:
            said = f"an onset of {drawn[subject, name]}" if (subject, name) in drawn else "no such clip"
            raise RunError(
                f"{truth / 'clips.csv'}: {said} for {clip_id}, the store has an onset of {onset} — expected the truth "
                "of the very release that the store was built from. Name that release: --truth RAW."
            )
        displacements[clip_id] = _read_displacement(truth / subject / f"{name}.npz")
    return displacements


def moved_region(displacement: NDArray[np.float32], transform: Transform) -> Regions:
    """The crop pixels that moved at least half as far as the one that moved most.

    Parameters
    ----------
    displacement : (H, W, 2) float32, (x, y) in pixels of the source frame
    transform : (2, 3) float32, source pixel -> crop pixel

    Returns
    -------
    (224, 224) bool; nothing of it is set where nothing in the crop moved

    Source
    ------
    ours
    """
    shown = cv2.warpAffine(
        displacement, transform.astype(np.float64), (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderValue=0
    )
    length = np.linalg.norm(shown, axis=2)  # (224, 224); the crop keeps the aspect, so source pixels compare as well
    return np.asarray((length >= PART_OF_MAXIMUM * length.max()) & (length > 0))


def score_maps(maps: NDArray[Any], regions: Regions) -> TruthScores:
    """Score a map of each clip against where the clip's face moved.

    Parameters
    ----------
    maps : (N, S, S), not negative, S a divisor of 224; a map of zeros counts as uniform
    regions : (N, 224, 224) bool, something in each

    Source
    ------
    pointing game: Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016; the rest ours
    """
    shown: Maps = to_crop(maps).reshape(len(maps), -1)
    shown[shown.sum(axis=1) == 0] = 1
    flat = regions.reshape(len(regions), -1).astype(np.float64)
    shares = shown @ flat.T / shown.sum(axis=1, keepdims=True) / flat.mean(axis=1)  # (map, region)
    own = np.diag(shares).copy()
    others = (shares.sum(axis=1) - own) / max(len(maps) - 1, 1)
    peaks = shown == shown.max(axis=1, keepdims=True)
    return TruthScores(own, others, (peaks * flat).sum(axis=1) / peaks.sum(axis=1))


def _read_onsets(truth: Path) -> dict[tuple[str, str], int]:
    """True onset of each clip, by subject and clip."""
    file = truth / "clips.csv"
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            return {(row["subject"], row["clip"]): int(row["onset"]) for row in csv.DictReader(opened)}
    except (OSError, KeyError, ValueError) as error:
        raise RunError(
            f"{file}: not readable ({error!r}) — expected what `mer synth` writes beside a generated release. "
            "Name the release or its ground_truth folder: --truth RAW."
        ) from None


def _read_displacement(file: Path) -> NDArray[np.float32]:
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:
            displacement = arrays["displacement"].astype(np.float32)
        if displacement.ndim != 3 or displacement.shape[2] != 2 or not np.isfinite(displacement).all():
            raise ValueError(f"an array of shape {displacement.shape}, or not of finite numbers")
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(
            f"{file}: not readable ({error}) — expected `displacement`, (height, width, 2), of the clip at its apex. "
            "Generate the release again with the same seed: mer synth."
        ) from None
    return np.asarray(displacement)

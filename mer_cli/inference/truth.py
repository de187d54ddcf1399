"""Measure how much of a map lies where a generated face really moved, and decide what counts as moved.

`mer synth` leaves the true displacement at the apex beside a release. Carried into the crop, it says which part of the
face moved; the mass of a map that finds motion lies there.

Every step of MMNet that halves a map is a window of 3 with a margin of 1, centred on every second cell. So cell i
of a map of S cells is centred on crop pixel i * 224 / S, not on the middle of the i-th of S equal parts: half a cell
beside it, which is 7.5 pixels in the last map. A map of 224 cells is on the pixels themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.writer import GROUND_TRUTH
from mer_cli.errors import RunError
from mer_cli.faces.crop import CROP_SIZE, Transform
from mer_cli.records import dataset_of, parts_of, subject_of
from mer_cli.store.hdf5 import StoreInfo, read_transforms
from mer_cli.system.arrays import read_arrays
from mer_cli.system.files import may_be_whole, read_bounded, unread
from mer_cli.system.opencv import cv2

if TYPE_CHECKING:
    from mer_cli.inference.maps import Maps as RunMaps
    from mer_cli.runs.directory import Run

Maps = NDArray[np.float64]
Regions = NDArray[np.bool_]

ATTENTION = "attention"
ATTRIBUTION = "attribution (input x SmoothGrad)"

LARGEST = 1 << 27  # bytes of a file of the truth

# The edge of motion is soft. A contour at half of the greatest length neither cuts the centre out of a wide motion nor
# includes the fading rim, which the noise of the images hides.
PART_OF_MAXIMUM = 0.5


@dataclass(frozen=True)
class TruthScores:
    """Scores of one map of each clip against where its face moved. Row i is the same clip in every array.

    mass : (N,) share of the map's sum that lies inside the region, divided by the region's share of the crop; 1 is no
        preference
    elsewhere : (N,) the same ratio against the regions of all other clips, averaged: what knowing faces alone achieves
    hit : (N,) 1 if the map's maximum is inside the region, 0 if not; the share that is inside if several pixels tie
    """

    mass: NDArray[np.float64] = field(repr=False)
    elsewhere: NDArray[np.float64] = field(repr=False)
    hit: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Measured:
    """The scores of the maps of several runs against the truth. Row i of every score is the clip `clip_ids[i]`.

    runs : each run with the scores of its blocks' maps, first to last; an attribution is one map
    difference : scores of |apex - onset| in place of a map, reduced to the size of each map of the first run
    areas : (N,) the region's share of the crop, which is also what a uniform map or a random point hits
    left_out : a sentence for each clip that is left out of the numbers, with the reason
    kinds : the kind of the maps of each run, ATTENTION or ATTRIBUTION, in the order of `runs`
    seen : for each run on motion, scores of how far its input is from that of a resting face, in place of a map
    """

    clip_ids: tuple[str, ...]
    runs: tuple[tuple[Run, tuple[TruthScores, ...]], ...]
    difference: tuple[TruthScores, ...]
    areas: NDArray[np.float64] = field(repr=False)
    left_out: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    seen: tuple[tuple[Run, TruthScores], ...] = ()

    @property
    def n_subjects(self) -> int:
        return len(set(map(subject_of, self.clip_ids)))


def measure_runs(runs: Sequence[Run], found: Sequence[RunMaps], regions: Mapping[str, Regions]) -> Measured:
    """Score the maps of every run, and what needs no network, against where faces moved.

    A clip is left out if nothing in the crop moved, or if its two labelled frames are the same image: there was nothing
    to find.

    Parameters
    ----------
    found : the maps of each run, all of the same clips
    regions : where the faces really moved, (224, 224) bool, by clip id

    Raises
    ------
    RunError
        If fewer than two clips can be scored.
    """
    first = found[0]
    rows, left_out = [], []
    for row, clip_id in enumerate(first.clip_ids):
        if not regions[clip_id].any():
            left_out.append(f"{clip_id} is left out of the numbers: nothing moved in its crop")
        elif np.array_equal(first.onset[row], first.apex[row]):
            left_out.append(f"{clip_id} is left out of the numbers: its onset and apex are the same image in the store")
        else:
            rows.append(row)
    if len(rows) < 2:
        raise RunError(
            f"{runs[0].path}: only {len(rows)} of {len(first.clip_ids)} clips can be scored against the truth, because "
            "the other faces did not move. At least 2 are needed. Generate a release with motion: mer synth."
        )
    of_clips = np.stack([regions[first.clip_ids[row]] for row in rows])
    moved = np.abs(first.apex[rows].astype(np.int16) - first.onset[rows]).mean(axis=3)  # (N, 224, 224)
    return Measured(
        clip_ids=tuple(first.clip_ids[row] for row in rows),
        runs=tuple(
            (run, tuple(score_maps(block[rows], of_clips) for block in maps.maps))
            for run, maps in zip(runs, found, strict=True)
        ),
        difference=tuple(score_maps(to_grid(moved, block.shape[-1]), of_clips) for block in first.maps),
        areas=of_clips.mean(axis=(1, 2)),
        left_out=tuple(left_out),
        kinds=tuple(maps.kind for maps in found),
        seen=tuple(
            (run, score_maps(maps.seen[rows], of_clips))
            for run, maps in zip(runs, found, strict=True)
            if maps.seen is not None
        ),
    )


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


def to_crop(maps: NDArray[Any]) -> Maps:
    """Enlarge maps (..., S, S) to (..., 224, 224), linear between the centres of cells and constant beyond the last.

    S must divide 224.
    """
    weights = _weights(maps.shape[-1])
    return np.asarray(weights @ maps.astype(np.float64) @ weights.T)


def to_grid(images: NDArray[Any], size: int) -> Maps:
    """Reduce images (..., 224, 224) to maps (..., size, size): averages, with the weights that `to_crop` uses."""
    weights = _weights(size)
    means = (weights / weights.sum(axis=0)).T
    return np.asarray(means @ images.astype(np.float64) @ means.T)


@lru_cache
def _weights(size: int) -> Maps:
    """Return the weight of each cell in each crop pixel along one axis, (224, size); rows sum to 1."""
    place = np.arange(CROP_SIZE) * size / CROP_SIZE
    distance = np.abs(np.minimum(place, size - 1)[:, None] - np.arange(size))
    weights: Maps = np.maximum(1 - distance, 0)
    weights.setflags(write=False)
    return weights


def read_regions(truth: Path, stores: Mapping[str, StoreInfo], clip_ids: Sequence[str]) -> dict[str, Regions]:
    """Return the region where the face really moved in each clip, by clip id: (224, 224) bool, pixels of the crop.

    Parameters
    ----------
    truth : a generated release, or the ground_truth folder in it
    stores : by dataset

    Raises
    ------
    RunError
        If the truth belongs to other clips.
    """
    regions = {}
    for dataset, store in stores.items():
        of_store = [clip_id for clip_id in clip_ids if dataset_of(clip_id) == dataset]
        if not of_store:  # of clips that are only trained on
            continue
        onsets = {str(clip_id): int(onset) for clip_id, onset in store.clips.loc[of_store, "onset"].items()}
        displacements = read_displacements(truth, onsets)
        for clip_id, transform in zip(of_store, read_transforms(store.path, of_store), strict=True):
            regions[clip_id] = moved_region(displacements[clip_id], transform)
    return regions


def moved_region(displacement: NDArray[np.float32], transform: Transform) -> Regions:
    """Return the crop pixels that moved at least half as far as the pixel that moved most.

    Parameters
    ----------
    displacement : (H, W, 2) float32, (x, y) in pixels of the source frame
    transform : (2, 3) float32, source pixel -> crop pixel

    Returns
    -------
    (224, 224) bool; all False if nothing in the crop moved
    """
    shown = cv2.warpAffine(
        displacement, transform.astype(np.float64), (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderValue=0
    )
    length = np.linalg.norm(shown, axis=2)  # (224, 224); the crop keeps the aspect, so source pixels compare as well
    return np.asarray((length >= PART_OF_MAXIMUM * length.max()) & (length > 0))


def read_displacements(folder: Path, onsets: Mapping[str, int]) -> dict[str, NDArray[np.float32]]:
    """Read the true displacement at the apex, by clip id: (H, W, 2) float32, (x, y) in pixels of the source frame.

    Parameters
    ----------
    folder : a generated release, or the ground_truth folder in it
    onsets : frame number of the onset in the store, by clip id

    Raises
    ------
    RunError
        If the folder has no truth, lacks a clip, or belongs to another release.
    """
    truth = folder / GROUND_TRUTH if (folder / GROUND_TRUTH).is_dir() else folder
    drawn = _read_onsets(truth)
    displacements = {}
    for clip_id, onset in onsets.items():
        _, subject, name = parts_of(clip_id)
        if drawn.get((subject, name)) != onset:
            found = f"has an onset of {drawn[subject, name]}" if (subject, name) in drawn else "is missing"
            raise RunError(
                f"{truth / 'clips.csv'}: {clip_id} {found}, and the store has an onset of {onset}. "
                "Name the release that the store was built from: --truth RAW."
            )
        displacements[clip_id] = _read_displacement(truth / subject / f"{name}.npz")
    return displacements


def _read_onsets(truth: Path) -> dict[tuple[str, str], int]:
    """Read the true onset of each clip, by subject and clip."""
    file = truth / "clips.csv"
    try:
        rows = csv.DictReader(StringIO(read_bounded(file, LARGEST).decode("utf-8"), newline=""))
        return {(row["subject"], row["clip"]): int(row["onset"]) for row in rows}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        raise RunError(
            f"{file}: can't be read as the truth of a generated release ({error!r}). "
            "Name a release that `mer synth` wrote, or its ground_truth folder: --truth RAW."
        ) from None


def _read_displacement(file: Path) -> NDArray[np.float32]:
    try:
        displacement = read_arrays(read_bounded(file, LARGEST), {"displacement": LARGEST})["displacement"]
        if displacement.ndim != 3 or displacement.shape[2] != 2 or not np.isfinite(displacement).all():
            raise ValueError(f"an array of shape {displacement.shape}, or not of finite numbers")
    except (OSError, KeyError, ValueError, TypeError) as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        raise RunError(
            f"{file}: can't be read as the displacement of a clip, (height, width, 2) ({error}). "
            "Generate the release again with the same seed: mer synth."
        ) from None
    return displacement.astype(np.float32)

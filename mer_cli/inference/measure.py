"""Takes the maps of runs on generated faces, gives their scores against the truth, and those of simple yardsticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.inference.attention import Attention
from mer_cli.inference.truth import Regions, TruthScores, moved_region, read_displacements, score_maps, to_grid
from mer_cli.records import dataset_of, subject_of
from mer_cli.runs.directory import Run
from mer_cli.store.hdf5 import StoreInfo, read_transforms


@dataclass(frozen=True)
class Measured:
    """Maps against the truth. Row i of every score is the clip `clip_ids[i]`.

    runs : each with the scores of its blocks, first to last
    difference : scores of |apex - onset|, reduced to each block's size
    areas : (N,) the region's share of the crop, which is what a uniform map or a random point hits
    left_out : a sentence for each clip that is in no number, and why
    """

    clip_ids: tuple[str, ...]
    runs: tuple[tuple[Run, tuple[TruthScores, ...]], ...]
    difference: tuple[TruthScores, ...]
    areas: NDArray[np.float64] = field(repr=False)
    left_out: tuple[str, ...] = ()

    @property
    def n_subjects(self) -> int:
        return len(set(map(subject_of, self.clip_ids)))


def read_regions(truth: Path, stores: Mapping[str, StoreInfo], clip_ids: Sequence[str]) -> dict[str, Regions]:
    """Where the face really moved in each clip, (224, 224) bool of its crop.

    Parameters
    ----------
    truth : a generated release, or the ground_truth folder in it
    stores : by dataset

    Raises
    ------
    RunError
        If the truth is not that of the clips.
    """
    regions = {}
    for dataset, store in stores.items():
        of_store = [clip_id for clip_id in clip_ids if dataset_of(clip_id) == dataset]
        onsets = {str(clip_id): int(onset) for clip_id, onset in store.clips.loc[of_store, "onset"].items()}
        displacements = read_displacements(truth, onsets)
        for clip_id, transform in zip(of_store, read_transforms(store.path, of_store), strict=True):
            regions[clip_id] = moved_region(displacements[clip_id], transform)
    return regions


def measure_runs(runs: Sequence[Run], attention: Sequence[Attention], regions: Mapping[str, Regions]) -> Measured:
    """Score every block of every run, and |apex - onset| at the same sizes.

    A clip is left out where nothing in the crop moved, or where its two labelled frames are the same picture: there
    was nothing to find.

    Parameters
    ----------
    attention : of each run, on the same clips

    Raises
    ------
    RunError
        If fewer than two clips can be scored.
    """
    first = attention[0]
    rows, left_out = [], []
    for row, clip_id in enumerate(first.clip_ids):
        if not regions[clip_id].any():
            left_out.append(f"{clip_id} is in no number: nothing moved in its crop")
        elif np.array_equal(first.onset[row], first.apex[row]):
            left_out.append(f"{clip_id} is in no number: its onset and apex are one picture in the store")
        else:
            rows.append(row)
    if len(rows) < 2:
        raise RunError(
            f"{runs[0].path}: {len(rows)} of {len(first.clip_ids)} clips can be scored against the truth — expected at "
            "least 2 whose face moved. Generate a release with motion: mer synth."
        )
    of_clips = np.stack([regions[first.clip_ids[row]] for row in rows])
    moved = np.abs(first.apex[rows].astype(np.int16) - first.onset[rows]).mean(axis=3)  # (N, 224, 224)
    return Measured(
        clip_ids=tuple(first.clip_ids[row] for row in rows),
        runs=tuple(
            (run, tuple(score_maps(block[rows], of_clips) for block in maps.maps))
            for run, maps in zip(runs, attention, strict=True)
        ),
        difference=tuple(score_maps(to_grid(moved, block.shape[-1]), of_clips) for block in first.maps),
        areas=of_clips.mean(axis=(1, 2)),
        left_out=tuple(left_out),
    )

"""Label the clips of a store: the class of each clip under a scheme, or the action units that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_cli.datasets.action_units import EXPECTED, parse_units, unreadable_units
from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.registry import release_words
from mer_cli.datasets.unit_masks import mask_of
from mer_cli.errors import DatasetError, StoreError
from mer_cli.records import dataset_of
from mer_cli.store.hdf5 import StoreInfo

Units = frozenset[int]


def label_clips(info: StoreInfo, scheme: Scheme) -> dict[str, tuple[str, int]]:
    """Return emotion and label of every clip of a store that a scheme keeps, by clip id, sorted by clip id.

    Raises
    ------
    DatasetError, StoreError
        If the scheme does not know an emotion; or the scheme is of action units, and they are absent or can't be read.
    """
    clips = sorted((str(clip_id), str(emotion)) for clip_id, emotion in info.clips["emotion"].items())
    if scheme.of_units:
        coded = units_of(
            {info.dataset: info},
            [clip_id for clip_id, _ in clips],
            f"--scheme {scheme.name} predicts them",
            "choose another --scheme",
        )
        return {clip_id: (emotion, mask_of(coded[clip_id], scheme.class_names)) for clip_id, emotion in clips}
    labelled = ((clip_id, emotion, scheme.label(clip_id, emotion)) for clip_id, emotion in clips)
    return {clip_id: (emotion, label) for clip_id, emotion, label in labelled if label is not None}


def units_of(stores: Mapping[str, StoreInfo], clip_ids: Sequence[str], why: str, instead: str) -> dict[str, Units]:
    """Return the action units of clips, by clip id.

    Parameters
    ----------
    stores : by dataset · why, instead : for errors, what needs the units, and what could be done without them

    Raises
    ------
    StoreError
        If a store has no action units at all.
    DatasetError
        If the units of a clip can't be read.
    """
    found: dict[str, Units] = {}
    for dataset, store in stores.items():
        cells = store.clips["action_units"].astype(str).to_dict()
        of_store = {clip_id: cells[clip_id] for clip_id in clip_ids if dataset_of(clip_id) == dataset}
        _require_units(store, of_store, why, instead)
        found |= {clip_id: parse_units(cell, clip_id) for clip_id, cell in of_store.items()}
    return found


def _require_units(store: StoreInfo, cells: Mapping[str, str], why: str, instead: str) -> None:
    if cells and not any(cell.strip() for cell in cells.values()):
        raise StoreError(
            f"{store.path}: has no action units, and {why} (SMIC's coding table has none). Leave this store out, or "
            f"{instead}."
        )
    found = unreadable_units(cells)
    if found:
        raise DatasetError(
            f"{store.path}: {found}; {why}. {EXPECTED} Correct the coding table, and build the store again: "
            f"mer preprocess {release_words(store.dataset)} --out {store.path}."
        )

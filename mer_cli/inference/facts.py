"""State what is known about a model: its classes, its training clips, and how their faces were cropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mer_cli.datasets.registry import DATASETS
from mer_cli.errors import ConfigError
from mer_cli.inference.familiar import training_look
from mer_cli.inference.model import Facts, Score
from mer_cli.records import subject_of
from mer_cli.runs.run_config import RunConfig
from mer_cli.store.hdf5 import StoreInfo


def facts_of(
    config: RunConfig,
    stores: Sequence[StoreInfo],
    labels: Mapping[str, int],
    temperature: float | None = None,
    score: Score | None = None,
) -> Facts:
    """Return the facts about a model that was trained on clips of stores.

    Parameters
    ----------
    stores : those that it was trained on · labels : class or action units by clip id, of its training clips

    Raises
    ------
    ConfigError
        If the stores were cropped in different ways, so that no crop of a new clip would suit all of them.
    StoreError
        If a store can't be read.
    """
    counts = Counter(place for label in labels.values() for place in config.shown_by(label))
    tables = [store.clips.loc[[clip for clip in labels if clip in store.clips.index]] for store in stores]
    fps = np.concatenate([table["fps"].to_numpy(np.float64) for table in tables])
    rise = np.concatenate([(table["apex"] - table["onset"]).to_numpy(np.float64) for table in tables])
    is_known = np.isfinite(fps) & (fps > 0)
    crop = _crop(stores)
    predictors = {str(store.attributes["predictor_sha256"]) for store in stores}
    return Facts(
        method=config.model,
        title=config.method.title,
        class_names=config.class_names,
        scheme=config.scheme,
        datasets=tuple(store.dataset for store in stores),
        licences=tuple(_licence(store) for store in stores),
        generated=any(store.generated for store in stores),
        n_clips=len(labels),
        n_subjects=len(set(map(subject_of, labels))),
        clips_of_class={name: counts[label] for label, name in enumerate(config.class_names)},
        align=crop["align"],
        crop=crop,
        predictor_sha256=predictors.pop() if len(predictors) == 1 else "",
        fps=_range(fps[is_known]),
        seconds=_range(rise[is_known] / fps[is_known]),
        look=training_look([store.path for store in stores]),
        temperature=temperature,
        score=score,
    )


def _range(values: Any) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def _crop(stores: Sequence[StoreInfo]) -> dict[str, Any]:
    """Return the settings of the crop that all stores have; how the faces lie in it must be the same in all."""
    crops = [dict(store.attributes["crop"]) for store in stores]
    for store, crop in zip(stores, crops, strict=True):
        if crop["align"] != crops[0]["align"]:
            raise ConfigError(
                f"{store.path}: its faces were cropped with --align {crop['align']}, those of {stores[0].path} with "
                f"--align {crops[0]['align']}. A new face can be cropped in one way only. Build one of the stores "
                "again."
            )
    return {name: value for name, value in crops[0].items() if all(crop.get(name) == value for crop in crops)}


def _licence(store: StoreInfo) -> str:
    """Return a sentence on the licence of a store's images."""
    if store.generated:
        return f"{store.dataset}: generated faces, made from head data in the public domain (CC0); they show nobody."
    if store.dataset in DATASETS:
        return (
            f"{DATASETS[store.dataset].title}: given out by its owners under a licence agreement, which says whether "
            "you may pass on a model that was trained on it. Read it first."
        )
    return f"{store.dataset}: your own recordings; what your subjects consented to decides who may have this model."

"""What stored predictions must be before an epoch rule can score them. Takes them with the labels, gives nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.records import FoldPredictions


def check_folds(folds: Sequence[FoldPredictions], labels: Mapping[str, int], n_classes: int) -> None:
    """Refuse folds that `apply_rule` can't score.

    Raises
    ------
    RunError
        If there is none, their epochs or classes differ, a clip has no label or is held out twice, or a logit is not
        finite.
    """
    if not folds:
        raise RunError("No fold to score — expected the predictions of at least one held-out subject. Run: mer train.")
    n_epochs = folds[0].logits.shape[0]
    seen: dict[str, str] = {}
    for fold in folds:
        expected = (n_epochs, len(fold.clip_ids), n_classes)
        if fold.logits.shape != expected or 0 in expected:
            raise RunError(
                f"fold {fold.fold}: the logits have shape {fold.logits.shape} — expected {expected} (epochs as in fold "
                f"{folds[0].fold}, clips, classes), none of them 0. Delete the fold's folder and run mer train again."
            )
        for clip_id in fold.clip_ids:
            if clip_id in seen:
                raise RunError(
                    f"fold {fold.fold}: clip {clip_id} is held out in fold {seen[clip_id]} as well — expected once. "
                    "Delete both folds' folders and run mer train again."
                )
            seen[clip_id] = fold.fold
        check_clips(fold.fold, fold.clip_ids, labels, n_classes)
        check_finite(fold.fold, fold.clip_ids, fold.logits)


def check_clips(fold: str, clip_ids: Sequence[str], labels: Mapping[str, int], n_classes: int) -> None:
    """Refuse a clip of a fold whose label is absent or none of 0..n_classes-1."""
    for clip_id in clip_ids:
        if not 0 <= labels.get(clip_id, -1) < n_classes:
            found = f"the label {labels[clip_id]}" if clip_id in labels else "no label"
            raise RunError(
                f"fold {fold}: clip {clip_id} has {found} — expected 0..{n_classes - 1}. "
                "Restore the run's clips.csv, or train it anew."
            )


def check_finite(fold: str, clip_ids: Sequence[str], logits: NDArray[np.float32]) -> None:
    """Refuse logits, (epochs, clips, classes), of which one is no finite number; the first one is named."""
    wrong = np.argwhere(~np.isfinite(logits).all(axis=2))
    if len(wrong):
        epoch, clip = wrong[0]
        raise RunError(
            f"folds/{fold}/logits.npz, epoch {epoch + 1}, clip {clip_ids[clip]}: a logit is NaN or infinite — expected "
            "finite numbers. The training diverged, or the file was edited: train with --precision fp32, a lower "
            f"learning rate or another seed, or delete folds/{fold} and train it again."
        )

"""Decides what stands over and beside a run's maps, and in which file: a picture for each clip, and class means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.inference.attention import Attention
from mer_cli.inference.pictures import clip_row, draw_rows, mean_row
from mer_cli.inference.truth import Regions
from mer_cli.training.atomic import write_bytes
from mer_cli.training.run import Run

CLASS_MEANS = "class-means.png"
NAME_LENGTH = 80
COLOURS = "Attention maps M1 to M4 over the {face}: blue is 0, red is the map's own maximum, printed below it."
OUTLINE = " White: where the face really moved."


def draw_clips(
    run: Run, attention: Attention, clip_ids: Sequence[str], regions: Mapping[str, Regions], out: Path
) -> list[Path]:
    """Draw clips of a run into a folder, a file for each.

    Parameters
    ----------
    clip_ids : some of those of `attention`
    regions : where their faces really moved, by clip id; empty where that is not known

    Raises
    ------
    RunError
        If a file can't be written.
    """
    drawn = []
    for clip_id in clip_ids:
        row = attention.clip_ids.index(clip_id)
        maps = tuple(block[row] for block in attention.maps)
        title = (
            f"{clip_id}, {run.class_names[run.labels[clip_id]]}. {_said(run, clip_id)}",
            _origin(run),
            COLOURS.format(face="onset") + (OUTLINE if regions else ""),
        )
        picture = clip_row(attention.onset[row], attention.apex[row], maps, regions.get(clip_id))
        drawn.append(_write(out / file_name(clip_id), draw_rows(title, [picture])))
    return drawn


def draw_class_means(run: Run, attention: Attention, out: Path) -> Path:
    """Draw the mean maps of each true class, over all clips of `attention`, into a folder.

    Raises
    ------
    RunError
        If the file can't be written.
    """
    pictures = []
    for label, class_name in enumerate(run.class_names):
        rows = [row for row, clip_id in enumerate(attention.clip_ids) if run.labels[clip_id] == label]
        if rows:
            maps = tuple(block[rows] for block in attention.maps)
            pictures.append(
                mean_row(f"{class_name}\n{len(rows)} clips", attention.onset[rows], attention.apex[rows], maps)
            )
    title = (
        "Means over the clips of each true class, each clip's maps from the fold that held it out.",
        _origin(run),
        COLOURS.format(face="mean onset"),
    )
    return _write(out / CLASS_MEANS, draw_rows(title, pictures))


def one_of_each_class(run: Run) -> tuple[str, ...]:
    """For each class its first clip, in the order of ids, that the run has right after the last epoch, if any."""
    by_label: dict[int, str] = {}
    for clip_id, probabilities in sorted(_last_probabilities(run).items()):
        label = run.labels[clip_id]
        if probabilities.argmax() == label:
            by_label.setdefault(label, clip_id)
    return tuple(by_label[label] for label in sorted(by_label))


def file_name(clip_id: str) -> str:
    """A clip's file: "casme2-01-EP02_01f.png"; with a hash where other characters or the length had to go."""
    name = re.sub(r"[^A-Za-z0-9._]", "-", clip_id)[:NAME_LENGTH]
    if re.fullmatch(r"[A-Za-z0-9._]+/[A-Za-z0-9._]+/[A-Za-z0-9._]+", clip_id) and len(clip_id) <= NAME_LENGTH:
        return f"{name}.png"
    return f"{name}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}.png"


def _said(run: Run, clip_id: str) -> str:
    probabilities = _last_probabilities(run)[clip_id]
    said = int(probabilities.argmax())
    return (
        f"The network of fold {run.fold_of[clip_id]}, which held it out, said after its last epoch: "
        f"{run.class_names[said]} ({probabilities[said]:.0%}), {'right' if said == run.labels[clip_id] else 'wrong'}."
    )


def _origin(run: Run) -> str:
    generated = " Generated faces: nothing here is a result on the dataset." if run.config.generated else ""
    return f"Run {run.config.run_name}, {run.config.protocol_id}, {run.config.protocol()}.{generated}"


def _last_probabilities(run: Run) -> dict[str, NDArray[np.float64]]:
    """Class probabilities of every held-out clip of a finished fold after the last epoch, by clip id."""
    found = {}
    for fold in run.folds:
        for clip_id, logits in zip(fold.clip_ids, fold.logits[-1].astype(np.float64), strict=True):
            powers = np.exp(logits - logits.max())
            found[clip_id] = powers / powers.sum()
    return found


def _write(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path

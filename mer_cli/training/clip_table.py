"""`clips.csv` of a run: clip_id, fold, emotion, label, class; written once, and checked row by row when it is read.

It is for evaluation: its held-out rows never reach training. No torch.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.datasets.schemes import OWN_LABELS, SCHEMES
from mer_cli.errors import DatasetError, RunError
from mer_cli.records import Fold
from mer_cli.training.folds import dataset_of, fold_id
from mer_cli.training.run_config import RunConfig

COLUMNS = ("clip_id", "fold", "emotion", "label", "class")


@dataclass(frozen=True)
class ClipTable:
    """Class, fold and emotion by clip id, for every clip of a run; the fold of a clip that is only trained on is ""."""

    labels: dict[str, int]
    fold_of: dict[str, str]
    emotions: dict[str, str]


def clip_table(labels: Mapping[str, int], emotions: Mapping[str, str], folds: Sequence[Fold]) -> ClipTable:
    """The table of a plan: held-out clips fold by fold, then those that are only trained on.

    Parameters
    ----------
    labels, emotions : by clip id, for the clips of all folds, held out or trained on
    """
    held_out = {clip_id: fold.id for fold in folds for clip_id in fold.test}
    fold_of = held_out | dict.fromkeys(sorted(labels.keys() - held_out.keys()), "")
    return ClipTable(
        {clip_id: labels[clip_id] for clip_id in fold_of}, fold_of, {clip: emotions[clip] for clip in fold_of}
    )


def write_clips(file: Path, table: ClipTable, class_names: Sequence[str]) -> None:
    """Writes the table; the class is named beside its label."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        for clip_id, fold in table.fold_of.items():
            label = table.labels[clip_id]
            writer.writerow((clip_id, fold, table.emotions[clip_id], label, class_names[label]))


def read_clips(file: Path, config: RunConfig) -> ClipTable:
    """The table, each row checked against the run's config and its label scheme, and their number against the protocol.

    Raises
    ------
    RunError
        If the file can't be read, lacks a column, a row is none that `mer train` writes (it names the line), or there
        are more or fewer of them than the protocol has.
    """
    table = ClipTable({}, {}, {})
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise _refused(f"{file}: lacks {', '.join(missing)}", f"the columns {', '.join(COLUMNS)}")
            for row in reader:
                _add(table, row, f"{file}, line {reader.line_num}", config)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused(f"{file}: not readable ({error})", f"a table of {', '.join(COLUMNS)}") from None
    if not any(table.fold_of.values()):
        raise _refused(f"{file}: names no clip that is held out", f"the clips of {config.protocol_id}")
    found, expected = _count(table, config), config.protocol_id.rpartition("/")[2]
    if found != expected:
        raise _refused(f"{file}: names {found} clips", f"{expected}, as {config.protocol_id} says")
    return table


def _count(table: ClipTable, config: RunConfig) -> str:
    """The number of clips as it ends a protocol's id: "249", or across datasets "145-to-133"."""
    n_tested = sum(map(bool, table.fold_of.values()))
    return str(n_tested) if config.is_loso else f"{len(table.fold_of) - n_tested}-to-{n_tested}"


def _add(table: ClipTable, row: Mapping[str, str], place: str, config: RunConfig) -> None:
    if None in row or None in row.values():  # csv's sign for cells that are too many, and for those that are absent
        raise _refused(f"{place}: has another number of cells than the header", f"{len(COLUMNS)} of them")
    clip_id, fold, emotion, label, class_name = (row[name] for name in COLUMNS)
    roles = {store.dataset: store.role for store in config.stores}
    if clip_id.count("/") < 2 or not all(clip_id.split("/", 2)):
        raise _refused(f"{place}: '{clip_id}' is no clip id", "dataset/subject/clip")
    if clip_id in table.labels:
        raise _refused(f"{place}: clip {clip_id} is named a second time", "each clip once")
    if dataset_of(clip_id) not in roles:
        raise _refused(f"{place}: clip {clip_id} is of a dataset without a store", f"one of {', '.join(roles)}")
    names = config.class_names
    if class_name not in names:
        raise _refused(f"{place}: clip {clip_id} has the unknown class '{class_name}'", f"one of {', '.join(names)}")
    if label not in map(str, range(len(names))):
        raise _refused(f"{place}: clip {clip_id} has the label '{label}'", f"0..{len(names) - 1}")
    if names[int(label)] != class_name:
        raise _refused(f"{place}: clip {clip_id} has label {label} and class '{class_name}'", f"'{names[int(label)]}'")
    by_scheme = _label_by_scheme(clip_id, emotion, config)
    if str(by_scheme) != label:
        meant = f"'{names[by_scheme]}'" if by_scheme is not None and by_scheme < len(names) else "no such clip"
        raise _refused(
            f"{place}: clip {clip_id} has the emotion '{emotion}' and class '{class_name}'",
            f"{meant}, as scheme {config.scheme} says",
        )
    role = roles[dataset_of(clip_id)]
    expected = {"loso": fold_id(clip_id), "test": dataset_of(clip_id), "train": ""}[role]
    if fold != expected:
        raise _refused(f"{place}: clip {clip_id} is in fold '{fold}'", f"'{expected}'")
    table.labels[clip_id], table.fold_of[clip_id], table.emotions[clip_id] = int(label), fold, emotion


def _label_by_scheme(clip_id: str, emotion: str, config: RunConfig) -> int | None:
    """The class that the run's scheme gives an emotion; None where it keeps no such clip."""
    if config.scheme == OWN_LABELS:
        return config.class_names.index(emotion) if emotion in config.class_names else None
    try:
        return SCHEMES[config.scheme].label(clip_id, emotion)
    except (KeyError, DatasetError):  # of another dataset, or an emotion that none of it has
        return None


def _refused(what: str, expected: str) -> RunError:
    return RunError(
        f"{what} — expected {expected}. The file was edited or damaged: restore it, or move the run away and train "
        "again."
    )

"""The run directory: written fold by fold, and read back with every part checked against the others.

    runs/<datasets>-<scheme>-<model>-<recipe>-s<seed>-<hash8>/
    ├── config.json        every setting, resolved, and the stores with the part that each plays
    ├── environment.json   the sessions that added folds: versions, device name, threads, and the stores as typed
    ├── clips.csv          clip_id, fold, emotion, label, class: for evaluation, its held-out rows never reach training
    └── folds/<dataset>-<subject>/   logits.npz, history.csv, model.safetensors, done

`logits.npz` holds logits and clip_ids of the held-out clips, and of the inner ones where some were set aside.
`history.csv` holds a row for each epoch (`methods.history_columns`). A fold is written under a temporary name and moved
into place, so a folder that is there is whole. Across datasets a fold is named after its test dataset, and the clips
that are only trained on have no fold.
"""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.schemes import OWN_LABELS, SCHEMES
from mer_cli.errors import DatasetError, RunError
from mer_cli.records import Fold, FoldPredictions, dataset_of, fold_id, subject_of
from mer_cli.runs.run_config import RunConfig, parse_config, read_config
from mer_cli.system.files import write_folder, write_text

CLIP_COLUMNS = ("clip_id", "fold", "emotion", "label", "class")


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
        writer.writerow(CLIP_COLUMNS)
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
            missing = [name for name in CLIP_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise _refused_table(f"{file}: lacks {', '.join(missing)}", f"the columns {', '.join(CLIP_COLUMNS)}")
            for row in reader:
                _add_clip(table, row, f"{file}, line {reader.line_num}", config)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused_table(f"{file}: not readable ({error})", f"a table of {', '.join(CLIP_COLUMNS)}") from None
    if not any(table.fold_of.values()):
        raise _refused_table(f"{file}: names no clip that is held out", f"the clips of {config.protocol_id}")
    found, expected = _count_clips(table, config), config.protocol_id.rpartition("/")[2]
    if found != expected:
        raise _refused_table(f"{file}: names {found} clips", f"{expected}, as {config.protocol_id} says")
    return table


def _count_clips(table: ClipTable, config: RunConfig) -> str:
    """The number of clips as it ends a protocol's id: "249", or across datasets "145-to-133"."""
    n_tested = sum(map(bool, table.fold_of.values()))
    return str(n_tested) if config.is_loso else f"{len(table.fold_of) - n_tested}-to-{n_tested}"


def _add_clip(table: ClipTable, row: Mapping[str, str], place: str, config: RunConfig) -> None:
    if None in row or None in row.values():  # csv's sign for cells that are too many, and for those that are absent
        raise _refused_table(f"{place}: has another number of cells than the header", f"{len(CLIP_COLUMNS)} of them")
    clip_id, fold, emotion, label, class_name = (row[name] for name in CLIP_COLUMNS)
    roles = {store.dataset: store.role for store in config.stores}
    if clip_id.count("/") < 2 or not all(clip_id.split("/", 2)):
        raise _refused_table(f"{place}: '{clip_id}' is no clip id", "dataset/subject/clip")
    if clip_id in table.labels:
        raise _refused_table(f"{place}: clip {clip_id} is named a second time", "each clip once")
    if dataset_of(clip_id) not in roles:
        raise _refused_table(f"{place}: clip {clip_id} is of a dataset without a store", f"one of {', '.join(roles)}")
    names = config.class_names
    if class_name not in names:
        raise _refused_table(
            f"{place}: clip {clip_id} has the unknown class '{class_name}'", f"one of {', '.join(names)}"
        )
    if label not in map(str, range(len(names))):
        raise _refused_table(f"{place}: clip {clip_id} has the label '{label}'", f"0..{len(names) - 1}")
    if names[int(label)] != class_name:
        raise _refused_table(
            f"{place}: clip {clip_id} has label {label} and class '{class_name}'", f"'{names[int(label)]}'"
        )
    by_scheme = _label_by_scheme(clip_id, emotion, config)
    if str(by_scheme) != label:
        meant = f"'{names[by_scheme]}'" if by_scheme is not None and by_scheme < len(names) else "no such clip"
        raise _refused_table(
            f"{place}: clip {clip_id} has the emotion '{emotion}' and class '{class_name}'",
            f"{meant}, as scheme {config.scheme} says",
        )
    role = roles[dataset_of(clip_id)]
    expected = {"loso": fold_id(clip_id), "test": dataset_of(clip_id), "train": ""}[role]
    if fold != expected:
        raise _refused_table(f"{place}: clip {clip_id} is in fold '{fold}'", f"'{expected}'")
    table.labels[clip_id], table.fold_of[clip_id], table.emotions[clip_id] = int(label), fold, emotion


def _label_by_scheme(clip_id: str, emotion: str, config: RunConfig) -> int | None:
    """The class that the run's scheme gives an emotion; None where it keeps no such clip."""
    if config.scheme == OWN_LABELS:
        return config.class_names.index(emotion) if emotion in config.class_names else None
    try:
        return SCHEMES[config.scheme].label(clip_id, emotion)
    except (KeyError, DatasetError):  # of another dataset, or an emotion that none of it has
        return None


def _refused_table(what: str, expected: str) -> RunError:
    return RunError(
        f"{what} — expected {expected}. The file was edited or damaged: restore it, or move the run away and train "
        "again."
    )


MAY_BE_NAN = ("loss", "inner_uf1")  # where training diverged; where there was nobody to choose by


def write_history(file: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Writes a row for each epoch, counted from 1."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(("epoch", *history[0]))
        writer.writerows((epoch, *row.values()) for epoch, row in enumerate(history, start=1))


def read_history(file: Path, column: str, n_epochs: int) -> list[float]:
    """One column (`methods.history_columns`), a finite number for each epoch but for those that may be NaN.

    Raises
    ------
    RunError
        If the file can't be read or lacks the column, or a row is not the next epoch or no number; it names the line.
    """
    values: list[float] = []
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            missing = [name for name in ("epoch", column) if name not in (reader.fieldnames or ())]
            if missing:
                raise _refused_history(file, f"{file}: lacks {', '.join(missing)}", f"the columns epoch and {column}")
            for row in reader:
                place = f"{file}, line {reader.line_num}"
                if row["epoch"] != str(len(values) + 1):
                    raise _refused_history(file, f"{place}: the epoch is {row['epoch']!r}", str(len(values) + 1))
                value = _number_in(row[column])
                if value is None or not (math.isfinite(value) or column in MAY_BE_NAN):
                    raise _refused_history(file, f"{place}: {column} is {row[column]!r}", "a finite number")
                values.append(value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused_history(file, f"{file}: not readable ({error})", "a table with a row for each epoch") from None
    if len(values) != n_epochs:
        raise _refused_history(file, f"{file}: has {len(values)} epochs", f"{n_epochs}, as config.json says")
    return values


def _number_in(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _refused_history(file: Path, what: str, expected: str) -> RunError:
    return RunError(
        f"{what} — expected {expected}. The file was edited or damaged: delete {file.parent} and train again, only "
        "this fold is repeated."
    )


DEFAULT_ROOT = "runs"  # the folder of all runs where --out gives no other


@dataclass(frozen=True)
class Session:
    """What was typed, and the machine. It moves no number of the run, so it stands outside the config.

    stores, test_stores : paths as given, in the order of their datasets · out : the folder of all runs, as given
    environment : versions, device name, threads
    """

    stores: tuple[str, ...]
    test_stores: tuple[str, ...]
    out: str
    environment: Mapping[str, str | int]


def read_sessions(run: Path) -> list[Session]:
    """The sessions of a run, the oldest first.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    file = run / "environment.json"
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if not held:
            raise ValueError("no session in it")
        sessions = [
            Session(_texts(entry, "stores"), _texts(entry, "test_stores"), entry.pop("out"), entry) for entry in held
        ]
        for session in sessions:
            if not session.stores or not isinstance(session.out, str):
                raise ValueError("a session without stores or folder")
        return sessions
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{file}: not readable ({error!r}) — expected the sessions that `mer train` recorded. Restore it, or move "
            "the run away and train again."
        ) from None


def _texts(entry: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = entry.pop(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} is {texts!r}, no list of paths")
    return tuple(texts)


def sessions_text(sessions: Sequence[Session]) -> str:
    """The file's text."""
    entries = [
        {"stores": session.stores, "test_stores": session.test_stores, "out": session.out, **session.environment}
        for session in sessions
    ]
    return json.dumps(entries, indent=2) + "\n"


def record_session(run: Path, session: Session) -> None:
    """Adds a session, unless one just like it is there. Of two that start in one moment, one may be lost.

    Raises
    ------
    RunError
        If the file is damaged or can't be written.
    """
    sessions = read_sessions(run)
    if session not in sessions:
        write_text(run / "environment.json", sessions_text([*sessions, session]))


@dataclass(frozen=True)
class Run:
    """A run as it stands on disk.

    labels, fold_of, emotions : by clip id, for every clip of the run, finished or not; the fold of a clip that is
        only trained on is ""
    folds : the finished folds, sorted by id · missing : ids of the folds that are not
    sessions : the oldest first
    """

    path: Path
    config: RunConfig
    class_names: tuple[str, ...]
    labels: dict[str, int]
    fold_of: dict[str, str]
    emotions: dict[str, str]
    folds: tuple[FoldPredictions, ...]
    missing: tuple[str, ...]
    sessions: tuple[Session, ...]


def open_run(
    root: Path,
    config: RunConfig,
    labels: Mapping[str, int],
    emotions: Mapping[str, str],
    folds: Sequence[Fold],
    session: Session,
) -> Path:
    """The run's directory under `root`: made, or found and checked to be of this very configuration.

    Parameters
    ----------
    labels, emotions : by clip id, for the clips of all folds, held out or trained on
    session : the first one of a run that is made

    Raises
    ------
    RunError
        If the folder holds another configuration or other clips.
    """
    path = root / config.run_name
    clips = clip_table(labels, emotions, folds)
    if path.exists():
        held = parse_config(path)
        if held != config:
            differs = [name for name in RunConfig.model_fields if getattr(held, name) != getattr(config, name)]
            raise RunError(
                f"{path}: holds a run of another configuration ({differs[0]} is {getattr(held, differs[0])!r}) — "
                f"expected {getattr(config, differs[0])!r}. Its config.json was edited: move the folder away, or give "
                "another --out."
            )
        _check_clips(path, read_clips(path / "clips.csv", config), clips)
        return path

    def fill(partial: Path) -> None:
        write_clips(partial / "clips.csv", clips, config.class_names)
        (partial / "environment.json").write_text(sessions_text([session]), encoding="utf-8")
        (partial / "folds").mkdir()
        (partial / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    if not write_folder(path, fill, replace=False):
        return open_run(root, config, labels, emotions, folds, session)  # another process made it meanwhile
    return path


def is_finished(path: Path, fold_id: str) -> bool:
    """Whether the run holds this fold, whole."""
    return (path / "folds" / fold_id / "done").exists()


def folds_to_train(path: Path, wanted: Sequence[Fold], *, resume: bool) -> list[Fold]:
    """The wanted folds that the run at `path` lacks, which need not be there yet; all where `resume` is off."""
    return [fold for fold in wanted if not (resume and is_finished(path, fold.id))]


def write_fold(
    path: Path,
    predictions: FoldPredictions,
    history: Sequence[Mapping[str, float]],
    save_weights: Callable[[Path], None] | None,
) -> None:
    """Puts a finished fold into the run, all of it or nothing.

    Parameters
    ----------
    history : a row for each epoch
    save_weights : writes the weights to the path that it is given; None keeps none

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written.
    """

    def fill(partial: Path) -> None:
        arrays: dict[str, Any] = {"logits": predictions.logits, "clip_ids": _as_array(predictions.clip_ids)}
        if predictions.inner_logits is not None and predictions.inner_clip_ids:
            arrays["inner_logits"] = predictions.inner_logits
            arrays["inner_clip_ids"] = _as_array(predictions.inner_clip_ids)
        np.savez(partial / "logits.npz", **arrays)
        write_history(partial / "history.csv", history)
        if save_weights is not None:
            save_weights(partial / "model.safetensors")
        (partial / "done").touch()

    write_folder(path / "folds" / predictions.fold, fill, replace=True)


def _check_clips(path: Path, held: ClipTable, planned: ClipTable) -> None:
    """The run's clips are those of the stores: their content hashes agree, so only an edit can part them."""
    for what, ours, theirs in (
        ("label", held.labels, planned.labels),
        ("fold", held.fold_of, planned.fold_of),
        ("emotion", held.emotions, planned.emotions),
    ):
        for clip_id in sorted(ours.keys() | theirs.keys()):
            if ours.get(clip_id) != theirs.get(clip_id):
                found = f"the {what} {ours[clip_id]!r}" if clip_id in ours else f"no {what}"
                expected = f"{theirs[clip_id]!r}" if clip_id in theirs else "no such clip"
                raise RunError(
                    f"{path / 'clips.csv'}: clip {clip_id} has {found} — expected {expected}, as the store and the "
                    "scheme say. The file was edited or damaged: restore it, or move the run away and train again."
                )


def _as_array(clip_ids: Sequence[str]) -> NDArray[np.str_]:
    return np.array(clip_ids, dtype=np.str_)


def read_run(path: Path) -> Run:
    """A run directory, with the logits of all finished folds.

    Raises
    ------
    RunError
        If it is no run directory, was written by another version, or a file of it is damaged or was edited.
    """
    config = read_config(path)
    clips = read_clips(path / "clips.csv", config)
    fold_ids = sorted(set(clips.fold_of.values()) - {""})
    _check_folds(path, fold_ids)
    finished = [fold for fold in fold_ids if is_finished(path, fold)]
    return Run(
        path,
        config,
        config.class_names,
        clips.labels,
        clips.fold_of,
        clips.emotions,
        folds=tuple(_FoldReader(path, fold, config, clips).read() for fold in finished),
        missing=tuple(fold for fold in fold_ids if fold not in finished),
        sessions=tuple(read_sessions(path)),
    )


def _check_folds(path: Path, fold_ids: Sequence[str]) -> None:
    """Every finished fold is one of the table's; a name that begins with a dot is an unfinished one of a killed run."""
    stray = [done.parent.name for done in sorted(path.glob("folds/[!.]*/done")) if done.parent.name not in fold_ids]
    if stray:
        raise RunError(
            f"{path / 'folds' / stray[0]}: holds a fold that {path / 'clips.csv'} doesn't name — expected one of "
            f"{', '.join(fold_ids)}. One of the two was edited: restore the table, or move the folder out of the run."
        )


@dataclass(frozen=True)
class _FoldReader:
    """Reads `logits.npz` of one finished fold."""

    path: Path
    fold: str
    config: RunConfig
    clips: ClipTable

    @property
    def file(self) -> Path:
        return self.path / "folds" / self.fold / "logits.npz"

    def read(self) -> FoldPredictions:
        names = ("clip_ids", "logits") + (("inner_clip_ids", "inner_logits") if self.config.inner_val else ())
        try:
            with self.file.open("rb") as opened:
                if not zipfile.is_zipfile(opened):  # `np.load` would take a single array, or speak of pickles
                    raise zipfile.BadZipFile("no archive of arrays")
                opened.seek(0)
                with np.load(opened) as arrays:
                    held = {name: arrays[name] for name in names}
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise self._refused(f"{self.file}: not readable ({error})", "the logits of a finished fold") from None
        clip_ids = self._ids(held["clip_ids"])
        of_fold = {clip_id for clip_id, fold in self.clips.fold_of.items() if fold == self.fold}
        self._check(held["logits"], clip_ids, of_fold, "the fold's clips")
        if not self.config.inner_val:
            return FoldPredictions(self.fold, clip_ids, held["logits"])
        inner_ids = self._ids(held["inner_clip_ids"])
        self._check(held["inner_logits"], inner_ids, self._inner_clips(inner_ids), "the inner clips of training")
        return FoldPredictions(self.fold, clip_ids, held["logits"], inner_ids, held["inner_logits"])

    def _ids(self, stored: NDArray[np.str_]) -> tuple[str, ...]:
        if stored.ndim != 1 or stored.dtype.kind != "U":
            raise self._refused(
                f"{self.file}: holds clip ids of shape {stored.shape}, {stored.dtype}", "one row of text"
            )
        return tuple(map(str, stored))

    def _inner_clips(self, stored: tuple[str, ...]) -> set[str]:
        """All training clips of the subjects that the stored clips are of."""
        subjects = set(map(subject_of, stored))
        if len(subjects) != self.config.inner_val:
            raise self._refused(
                f"{self.file}: holds inner clips of {len(subjects)} subjects",
                f"{self.config.inner_val}, as config.json says",
            )
        trained_on = {store.dataset for store in self.config.stores if store.role != "test"}
        return {
            clip_id
            for clip_id, fold in self.clips.fold_of.items()
            if fold != self.fold and dataset_of(clip_id) in trained_on and subject_of(clip_id) in subjects
        }

    def _check(self, logits: NDArray[np.float32], clip_ids: tuple[str, ...], expected: set[str], whose: str) -> None:
        twice = [clip_id for clip_id, count in Counter(clip_ids).items() if count > 1]
        strange = sorted(set(clip_ids) - expected)
        absent = sorted(expected - set(clip_ids))
        for found, what in (
            (strange, "holds clip {}, which is none of them"),
            (twice, "holds clip {} twice"),
            (absent, "lacks clip {}"),
        ):
            if found:
                table = self.path / "clips.csv"
                raise self._refused(
                    f"{self.file}: {what.format(found[0])}",
                    f"{whose} in {table}, each once",
                    "If that table was edited, restore it; if not, delete",
                )
        shape = (self.config.epochs, len(expected), len(self.config.class_names))
        if logits.shape != shape or logits.dtype != np.float32:
            raise self._refused(
                f"{self.file}: holds logits of shape {logits.shape}, {logits.dtype}",
                f"{shape} (epochs, clips, classes) of float32",
            )

    def _refused(self, what: str, expected: str, remedy: str = "Delete") -> RunError:
        return RunError(
            f"{what} — expected {expected}. {remedy} {self.file.parent} and train again: only this fold is repeated."
        )

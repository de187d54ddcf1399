"""The run directory: written fold by fold, and read back with its clips, logits and histories checked by SHA-256.

    runs/<datasets>-<scheme>-<model>-<recipe>-s<seed>-<hash8>/
    ├── config.json        every setting, resolved, the stores with the part that each plays, the SHA-256 of clips.csv
    │                      and of itself
    ├── environment.json   the sessions that added folds: versions, device name, threads, and the stores as typed
    ├── clips.csv          clip_id, fold, emotion, label, class: for evaluation, its held-out rows never reach training
    ├── source/            a copy of your own method's files, which nothing reads
    ├── scheme.toml       the label scheme, if it is the user's own, to continue the run with; config.json says the same
    ├── folds.csv         the lists of subjects, if some were given, to continue the run with; config.json says the same
    ├── claims/<fold>.json   which process trains the fold now (`claims`)
    ├── failed/<fold>.json   how often the fold failed, and why (`failures`)
    ├── logs/              what jobs of a cluster printed
    └── folds/<dataset>-<subject>/   logits.npz, history.csv, model.safetensors, environment.json, done

`logits.npz` holds logits and clip_ids of the held-out clips, and of the inner ones if some were set aside.
`history.csv` holds a row for each epoch (`Method.history_columns`), a fold's `environment.json` facts about the machine
that trained it, `done` the SHA-256 of the others (`fold_files`). `done` is written last; a fold is filled under a
temporary name and moved into place, so a folder that is there is whole.
A fold that holds out a list of subjects is named after the list, and one that holds out a dataset after the dataset.
Across datasets a clip that is only trained on has no fold, and neither has a generated clip that every fold trains on.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

from mer_cli.datasets.scheme_file import scheme_text
from mer_cli.errors import DatasetError, RunError
from mer_cli.records import Fold, FoldPredictions, dataset_of, fold_id, is_added, subject_of
from mer_cli.runs.fold_files import (
    DONE,
    ENVIRONMENT,
    HISTORY,
    LARGEST,
    LOGITS,
    ROOM,
    WEIGHTS,
    FoldFacts,
    done_text,
    read_environment,
    read_fold,
    write_environment,
    write_history,
    write_logits,
)
from mer_cli.runs.fold_lists import fold_lists_text
from mer_cli.runs.run_config import (
    RunConfig,
    config_text,
    has_all_checksums,
    parse_config,
    read_config,
    stored_checksum,
)
from mer_cli.system.documents import read_json, short_repr
from mer_cli.system.files import may_be_whole, read_bounded, unread, write_folder, write_text

SCHEME_FILE = "scheme.toml"
FOLDS_FILE = "folds.csv"
CLIP_COLUMNS = ("clip_id", "fold", "emotion", "label", "class")


@dataclass(frozen=True)
class ClipTable:
    """Class, fold id and emotion of each clip of a run, by clip id; the fold of a clip only trained on is ""."""

    labels: dict[str, int]
    fold_of: dict[str, str]
    emotions: dict[str, str]

    def without_added(self) -> ClipTable:
        """Return the table without the generated clips that every fold trains on."""
        own = [clip_id for clip_id in self.labels if not is_added(clip_id)]
        return ClipTable(
            {clip_id: self.labels[clip_id] for clip_id in own},
            {clip_id: self.fold_of[clip_id] for clip_id in own},
            {clip_id: self.emotions[clip_id] for clip_id in own},
        )


def clip_table(labels: Mapping[str, int], emotions: Mapping[str, str], folds: Sequence[Fold]) -> ClipTable:
    """Return the table of a run's clips: the held-out clips fold by fold, then the clips that are only trained on.

    Parameters
    ----------
    labels, emotions : by clip id, for the clips of all folds, held out or trained on
    """
    held_out = {clip_id: fold.id for fold in folds for clip_id in fold.test}
    fold_of = held_out | dict.fromkeys(sorted(labels.keys() - held_out.keys()), "")
    return ClipTable(
        {clip_id: labels[clip_id] for clip_id in fold_of}, fold_of, {clip: emotions[clip] for clip in fold_of}
    )


def write_clips(file: Path, table: ClipTable, config: RunConfig) -> None:
    """Write the table of a run's clips as a CSV file, with the class or the action units in words beside each label."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(CLIP_COLUMNS)
        for clip_id, fold in table.fold_of.items():
            label = table.labels[clip_id]
            writer.writerow((clip_id, fold, table.emotions[clip_id], label, config.name_of(label)))


def read_clips(path: Path, config: RunConfig) -> ClipTable:
    """Return the table in `clips.csv` of the run at `path`.

    Raises
    ------
    RunError
        If the file can't be read, or has changed since it was written.
    """
    file = path / "clips.csv"
    table = ClipTable({}, {}, {})
    try:
        expected = stored_checksum(path)
        n_clips = sum(map(int, re.findall(r"\d+", config.protocol_id.rpartition("/")[2]))) + config.n_added
        content = read_bounded(file, min(ROOM + n_clips * 8192, LARGEST))  # 8 kB for a line is plenty
        if expected and hashlib.sha256(content).hexdigest() != expected:
            raise ValueError("it has changed since it was written")
        reader = csv.DictReader(StringIO(content.decode("utf-8"), newline=""))
        rows = list(reader if expected else islice(reader, n_clips + 1))
        if not expected:
            _check_rows(rows, config)
        for row in rows:
            clip_id = row["clip_id"]
            table.labels[clip_id] = range(config.n_labels)[int(row["label"])]
            table.fold_of[clip_id], table.emotions[clip_id] = row["fold"], row["emotion"]
    except (OSError, LookupError, ValueError, TypeError, csv.Error) as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        problem = f"column {error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{file}: was edited or damaged ({problem}). Restore it, or move the run away and train again."
        ) from None
    return table


def _check_rows(rows: Sequence[Mapping[str, str]], config: RunConfig) -> None:
    """Raise a ValueError if a table contradicts itself or the config: all that can be seen without a checksum."""
    if config.predicts_units:
        raise ValueError("the checksum of clips.csv is missing")
    ids = [row["clip_id"] for row in rows]
    twice = next((clip_id for clip_id, count in Counter(ids).items() if count > 1), None)
    if twice:
        raise ValueError(f"clip {twice} is named twice")
    roles = {store.dataset: store.role for store in config.stores}
    list_of = {subject: name for name, subjects in (config.fold_lists or {}).items() for subject in subjects}
    for row in rows:
        clip_id = row["clip_id"]
        held_out = dataset_of(clip_id)
        folds = {"loso": fold_id(clip_id), "dataset": held_out, "test": held_out, "train": ""}
        folds["list"] = list_of.get(subject_of(clip_id), "")
        if row["fold"] != folds.get(roles.get(dataset_of(clip_id), "")):
            raise ValueError(f"clip {clip_id} is in fold '{row['fold']}'")
        if row["label"] not in map(str, range(len(config.class_names))):
            raise ValueError(f"clip {clip_id} has the label '{row['label']}'")
        if row["class"] != config.class_names[int(row["label"])]:
            raise ValueError(f"clip {clip_id} has label {row['label']} and class '{row['class']}'")
        if row["label"] != str(_label_by_scheme(clip_id, row["emotion"], config)):
            raise ValueError(f"clip {clip_id} has the emotion '{row['emotion']}' and class '{row['class']}'")
    n_tested = sum(bool(row["fold"]) for row in rows)
    n_clips = f"{len(rows) - n_tested}-to-{n_tested}" if config.is_across else str(n_tested)
    if n_clips != config.protocol_id.rpartition("/")[2]:
        raise ValueError(f"it names {n_clips} clips, {config.protocol_id} has others")


def _label_by_scheme(clip_id: str, emotion: str, config: RunConfig) -> int | None:
    scheme = config.label_scheme
    try:
        return scheme.label(clip_id, emotion) if scheme else None
    except (KeyError, DatasetError):  # of another dataset, or an emotion that the dataset doesn't have
        return None


DEFAULT_ROOT = "runs"  # the folder of all runs, unless --out gives another
# In a session's environment:
CODE_GIVEN = "code"  # your own method, as it was given to --model
INIT_GIVEN = "init"  # the model whose weights the folds start from, as it was given to --init


@dataclass(frozen=True)
class Session:
    """A call of `mer train` that added folds to a run: the paths typed and the machine, which change no result.

    stores, test_stores : paths as given, sorted by dataset · out : the folder of all runs, as given
    environment : versions, device name, threads; for your own method also its code as it was given
    """

    stores: tuple[str, ...]
    test_stores: tuple[str, ...]
    out: str
    environment: Mapping[str, str | int]


def read_sessions(run: Path) -> list[Session]:
    """Return the sessions in the `environment.json` of a run, the oldest first.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    file = run / "environment.json"
    try:
        held = read_json(file)
        if not held:
            raise ValueError("no session in it")
        sessions = [
            Session(_texts(entry, "stores"), _texts(entry, "test_stores"), entry.pop("out"), entry) for entry in held
        ]
        for session in sessions:
            if not session.stores or not isinstance(session.out, str):
                raise ValueError("a session without stores or folder")
            if not all(isinstance(fact, str | int) for fact in session.environment.values()):
                raise ValueError("a session with a fact that is neither a text nor a number")
        return sessions
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        is_other = isinstance(error, KeyError | TypeError | AttributeError)
        problem = "not a list of sessions with stores, test_stores and out" if is_other else str(error)
        raise RunError(
            f"{file}: was edited or damaged ({problem}). Restore it, or move the run away and train again."
        ) from None


def _texts(entry: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = entry.pop(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} is {short_repr(texts)}, not a list of paths")
    return tuple(texts)


def sessions_text(sessions: Sequence[Session]) -> str:
    """Return the sessions as JSON, the text of `environment.json`."""
    entries = [
        {"stores": session.stores, "test_stores": session.test_stores, "out": session.out, **session.environment}
        for session in sessions
    ]
    return json.dumps(entries, indent=2) + "\n"


def record_session(run: Path, session: Session) -> None:
    """Add a session to a run, unless an equal session is there. If two sessions start at once, one may be lost.

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
    """A run as read from its directory.

    labels, fold_of, emotions : class, fold id and emotion by clip id, for every clip of the run, also of unfinished
        folds; the fold of a clip that is only trained on is ""
    added : class by clip id, of the generated clips that every fold trains on; they are not in the others
    folds : the finished folds, sorted by id · missing : ids of the unfinished folds
    sessions : the oldest first
    machines : facts about the machine that trained each fold, by fold id; only folds that recorded it
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
    machines: Mapping[str, FoldFacts] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)


def open_run(
    root: Path,
    config: RunConfig,
    labels: Mapping[str, int],
    emotions: Mapping[str, str],
    folds: Sequence[Fold],
    session: Session,
    sources: Mapping[str, bytes] | None = None,
) -> Path:
    """Return the run's directory in `root`; make it, or check that the existing one has the same config and clips.

    Parameters
    ----------
    labels, emotions : by clip id, for the clips of all folds, held out or trained on
    session : recorded if the directory is made, otherwise ignored
    sources : files of your own method, by name; copied if the directory is made

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
            differs = next(name for name in RunConfig.model_fields if getattr(held, name) != getattr(config, name))
            raise RunError(
                f"{path}: its config.json was edited: {differs} is {getattr(held, differs)!r}, not "
                f"{getattr(config, differs)!r}. Move the folder away, or give another --out."
            )
        if read_clips(path, config) != clips:
            raise RunError(
                f"{path / 'clips.csv'}: its clips are not those of the store and the scheme. The file was edited or "
                "damaged: restore it, or move the run away and train again."
            )
        return path

    def fill(partial: Path) -> None:
        clips_file = partial / "clips.csv"
        write_clips(clips_file, clips, config)
        (partial / "environment.json").write_text(sessions_text([session]), encoding="utf-8")
        (partial / "folds").mkdir()
        for name, content in (sources or {}).items():
            copy = partial / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        if config.own_scheme and config.label_scheme:
            (partial / SCHEME_FILE).write_text(scheme_text(config.label_scheme), encoding="utf-8")
        if config.fold_lists:
            (partial / FOLDS_FILE).write_text(fold_lists_text(config.fold_lists), encoding="utf-8", newline="\n")
        text = config_text(config, hashlib.sha256(clips_file.read_bytes()).hexdigest())
        (partial / "config.json").write_text(text, encoding="utf-8")

    if not write_folder(path, fill, replace=False):
        return open_run(root, config, labels, emotions, folds, session, sources)  # another process made it meanwhile
    return path


def run_dirs(place: Path) -> Iterator[Path]:
    """Yield the run directories at or below `place`; skip names that begin with a dot (left by a killed `mer train`).

    A directory counts if it has a config.json, or clips.csv and folds/, so that a run that lost its config is reported.
    """
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".")]
        if "config.json" in files or ("clips.csv" in files and "folds" in names):
            names.clear()
            yield Path(folder)


def is_finished(path: Path, fold_id: str) -> bool:
    """Return whether the run at `path` holds the fold, trained and completely written."""
    return os.path.lexists(os.path.join(path, "folds", fold_id, DONE))  # noqa: PTH118  # 5,000 of them in `mer status`


def folds_to_train(path: Path, wanted: Sequence[Fold], *, resume: bool) -> list[Fold]:
    """Return the wanted folds that the run at `path` lacks, or all if `resume` is False; the run need not exist yet."""
    return [fold for fold in wanted if not (resume and is_finished(path, fold.id))]


def write_fold(
    path: Path,
    predictions: FoldPredictions,
    history: Sequence[Mapping[str, float]],
    save_weights: Callable[[Path], None] | None,
    environment: FoldFacts | None = None,
) -> None:
    """Write a trained fold into the run at `path`, completely or not at all.

    Parameters
    ----------
    history : a row for each epoch
    save_weights : called with the path to write the weights to; None keeps no weights
    environment : facts about the machine that trained the fold; None if mer did not train it

    Raises
    ------
    RunError
        If the disk is full or the folder can't be written.
    """

    def fill(partial: Path) -> None:
        write_logits(partial / LOGITS, predictions)
        write_history(partial / HISTORY, history)
        if save_weights is not None:
            save_weights(partial / WEIGHTS)
        if environment is not None:
            write_environment(partial / ENVIRONMENT, environment)
        (partial / DONE).write_text(done_text(path.name, predictions.fold, partial), encoding="utf-8")

    write_folder(path / "folds" / predictions.fold, fill, replace=True)


def read_run(path: str | Path) -> Run:
    """Read a run directory, with the logits of all finished folds.

    Raises
    ------
    RunError
        If it is not a run directory, was written by another version, or has a file that is damaged or was edited.
    """
    path = Path(path)
    config = read_config(path)
    clips = read_clips(path, config)
    held_out: dict[str, list[str]] = {}
    for clip_id, fold in clips.fold_of.items():
        if fold:
            held_out.setdefault(fold, []).append(clip_id)
    fold_ids = sorted(held_out)
    finished = [fold for fold in fold_ids if is_finished(path, fold)]
    run = config.run_name if has_all_checksums(path) else None
    folds = tuple(
        read_fold(path / "folds" / fold, config, held_out[fold], clips.fold_of.keys(), run) for fold in finished
    )
    own = clips.without_added() if config.added else clips
    machines = {fold: read_environment(path / "folds" / fold, run) for fold in finished}
    return Run(
        path,
        config,
        config.class_names,
        own.labels,
        own.fold_of,
        own.emotions,
        folds=folds,
        missing=tuple(fold for fold in fold_ids if fold not in finished),
        sessions=_sessions_of(path, config),
        machines={fold: facts for fold, facts in machines.items() if facts},
        added={clip_id: label for clip_id, label in clips.labels.items() if clip_id not in own.labels},
    )


def _sessions_of(path: Path, config: RunConfig) -> tuple[Session, ...]:
    """Return the sessions of a run, each of which names as many stores as the run has."""
    sessions = tuple(read_sessions(path))
    n_tested = sum(store.role == "test" for store in config.stores)
    for session in sessions:
        if (len(session.stores), len(session.test_stores)) != (len(config.stores) - n_tested, n_tested):
            raise RunError(
                f"{path / 'environment.json'}: was edited or damaged (a session does not name as many stores as the "
                "run has). Restore it, or move the run away and train again."
            )
    return sessions

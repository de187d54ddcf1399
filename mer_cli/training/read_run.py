"""A run directory as it stands on disk: its parts are read, checked against each other, and put together. No torch."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.records import FoldPredictions
from mer_cli.training.clip_table import ClipTable, read_clips
from mer_cli.training.folds import dataset_of, subject_of
from mer_cli.training.run import Run, is_finished
from mer_cli.training.run_config import RunConfig, read_config
from mer_cli.training.sessions import read_sessions


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

"""Finds and reads run directories, and groups the seeds of one configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import check_rule, usable_rules, why_unusable
from mer_cli.evaluation.run_text import stated_rule, unfinished
from mer_cli.runs.directory import Run, read_run, run_dirs
from mer_cli.runs.run_config import other_version


@dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration that differ only in the seed, by ascending seed."""

    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.config.seed for run in self.runs)


@dataclass(frozen=True)
class FoundRuns:
    """The runs that were found on disk, each once, sorted by name, and reasons for those that were passed over.

    named : run directories that the user named themselves, not only a folder above them
    outdated : a sentence for each run that was passed over because it is of another protocol version
    damaged : a sentence for each run that was passed over because it can't be read, with the remedy
    unfit : a sentence for each run that was passed over because the epoch rule can't score it
    """

    runs: tuple[Run, ...]
    named: frozenset[Path]
    outdated: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()

    def under(self, rule: str) -> FoundRuns:
        """Return a copy without the runs that an epoch rule can't score; `unfit` says why for each.

        Raises
        ------
        ConfigError
            If the rule is unknown.
        RunError
            If the user named a run that the rule can't score.
        """
        check_rule(rule)
        unfit = [run for run in self.runs if rule not in usable_rules(run.config)]
        for run in unfit:
            if run.path in self.named:
                raise RunError(why_unusable(str(run.path), rule, run.config))
        kept = tuple(run for run in self.runs if run not in unfit)
        return replace(self, runs=kept, unfit=tuple(why_unusable(str(run.path), rule, run.config) for run in unfit))

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs with all folds, so that they have a score."""
        return tuple(run for run in self.runs if not run.missing)

    @property
    def passed_over(self) -> tuple[str, ...]:
        """A sentence for each run that can't be scored and that the user did not name: why, and what to do."""
        lacking = (unfinished(run) for run in self.runs if run.missing and run.path not in self.named)
        return (*self.outdated, *self.damaged, *self.unfit, *lacking)

    def require_scores(self) -> None:
        """Raise a RunError if a run that the user named lacks folds, or if no run at all is finished."""
        for run in self.runs:
            if run.missing and run.path in self.named:
                raise RunError(unfinished(run))
        if not self.finished:
            others = f", {len(self.unfit)} that the epoch rule can't score" if self.unfit else ""
            others += f", {len(self.damaged)} that can't be read" if self.damaged else ""
            raise RunError(
                f"there is no finished run to score. Found: {len(self.runs)} incomplete, {len(self.outdated)} "
                f"outdated{others}. Continue one, or train: mer train --loso."
            )


def collect_runs(root: Path | list[Path]) -> FoundRuns:
    """Read every run directory at or below the given places.

    Parameters
    ----------
    root : the folder of all runs, which may be absent or empty; or a list of places that the user named, which must
        each hold a run

    Raises
    ------
    RunError
        If a named run cannot be read or is of another protocol version, or if a named place holds no run.
    """
    found: dict[Path, Path] = {}
    named = set()
    for place in root if isinstance(root, list) else [root]:
        paths = list(run_dirs(place))
        if not paths and isinstance(root, list):
            raise RunError(
                f"{place}: found no run directory (a folder with the config.json that `mer train` writes). Correct the "
                "path, or train: mer train --loso."
            )
        found |= {path.resolve(): path for path in paths}  # one place may lie in another
        named |= {place.resolve()} & found.keys()
    runs, outdated, damaged = [], [], []
    for resolved, path in sorted(found.items(), key=lambda item: (item[1].name, item[1])):
        try:
            sentence = None if resolved in named else other_version(path)
            if sentence:
                outdated.append(sentence)
            else:
                runs.append(read_run(path))
        except RunError as error:
            if resolved in named:
                raise
            damaged.append(str(error))
    of_named = frozenset(found[resolved] for resolved in named)
    return FoundRuns(tuple(runs), of_named, tuple(outdated), tuple(damaged))


def group_seeds(runs: Sequence[Run]) -> list[RunGroup]:
    """Group the runs that differ only in their seed: same settings, clips, labels and folds.

    Predictions that were made elsewhere differ in their file as well. If two files are given for one seed, each file is
    a group of its own.

    Raises
    ------
    RunError
        If two runs of a group have the same seed: one is a copy and would count twice.
    """
    by_name = _grouped(runs, _settings_key)
    groups: dict[str, list[Run]] = {}
    for key, group in by_name.items():
        is_stated = bool(stated_rule(group[0].config))
        has_one_each = len({run.config.seed for run in group}) == len(group)
        groups |= _grouped(group, _file_key) if is_stated and not has_one_each else {key: group}
    for group in groups.values():
        group.sort(key=lambda run: (run.config.seed, run.path.name, run.path))
        for one, other in pairwise(group):
            if one.config.seed == other.config.seed:
                raise RunError(
                    f"{other.path}: has the same configuration and seed {other.config.seed} as {one.path}, and would "
                    "count twice. Move one of them away."
                )
    return sorted(
        (RunGroup(tuple(group)) for group in groups.values()), key=lambda group: [run.path.name for run in group.runs]
    )


def _grouped(runs: Iterable[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _file_key(run: Run) -> str:
    """Return `_settings_key`, after the file that the run's predictions came from."""
    foreign = run.config.foreign
    return f"{foreign.code} {foreign.source_sha256} {_settings_key(run)}" if foreign else _settings_key(run)


def _settings_key(run: Run) -> str:
    """Return text that is equal for two runs if and only if nothing but the seed differs.

    It has the labels because clips.csv can be edited. It leaves out the variant, which only names network options that
    it has anyway (`--variant ca` is `--no-pc`), and the file of predictions, of which each seed has another.
    """
    clips = sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items())
    left_out: dict[str, Any] = {"seed": True, "variant": True}
    if stated_rule(run.config):
        left_out["foreign"] = {"code": True, "source_sha256": True}
    return f"{run.config.model_dump_json(exclude=left_out)} {clips}"

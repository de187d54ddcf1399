"""How far runs are, from their directories alone, whoever trains them: finished folds, folds at work, failures, time.

No logits are read, so that it stays cheap with hundreds of runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from mer_cli.engines.engine import TRIES
from mer_cli.errors import RunError
from mer_cli.runs.claims import Claim, living_claims
from mer_cli.runs.directory import is_finished, read_clips
from mer_cli.runs.failures import Failure, read_failures
from mer_cli.runs.fold_files import HISTORY, read_history
from mer_cli.runs.run_config import RunConfig, read_config

MOST_TIMED = 9  # finished folds whose time is read; the folds of a run take about the same time
SECONDS = "seconds"  # a column of history.csv


@dataclass(frozen=True)
class RunProgress:
    """How far a run is; of one that can't be read, only `path` and `problem` are known.

    folds : ids of all its folds · finished : ids of those that are
    at_work : living claims on the others · failed : failures of the others, also of those that are tried again
    seconds : median time of a finished fold, None if it is unknown
    problem : why the run can't be read, otherwise ""
    """

    path: Path
    folds: tuple[str, ...] = ()
    finished: frozenset[str] = frozenset()
    at_work: Mapping[str, Claim] = field(default_factory=dict)
    failed: Mapping[str, Failure] = field(default_factory=dict)
    seconds: float | None = None
    problem: str = ""

    @property
    def given_up(self) -> tuple[str, ...]:
        """Folds that failed so often that they are tried again only by a new command."""
        return tuple(
            fold for fold, failure in self.failed.items() if failure.times >= TRIES and fold not in self.at_work
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Folds that are neither finished nor given up; some may be at work."""
        given_up = self.given_up
        return tuple(fold for fold in self.folds if fold not in self.finished and fold not in given_up)

    @property
    def seconds_of_work(self) -> float | None:
        """Seconds that the missing folds take one after the other, less what was spent on them; None if unknown."""
        if not self.missing:
            return 0.0
        if self.seconds is None:
            return None
        spent = sum(min(claim.since, self.seconds) for claim in self.at_work.values())
        return self.seconds * len(self.missing) - spent


def seconds_left(runs: Iterable[RunProgress]) -> float | None:
    """Return the time until the runs are finished if as many folds stay at work as now; None if it is unknown."""
    runs = list(runs)
    works = [run.seconds_of_work for run in runs]
    n_at_work = sum(len(run.at_work) for run in runs)
    known = [work for work in works if work is not None]
    if len(known) < len(works):
        return None
    if not sum(len(run.missing) for run in runs):
        return 0.0
    return sum(known) / n_at_work if n_at_work else None


class ProgressReader:
    """Reads how far runs are, again and again; what never changes is read once."""

    def __init__(self) -> None:
        self._runs: dict[Path, tuple[RunConfig, tuple[str, ...]]] = {}
        self._seconds: dict[tuple[Path, str], float | None] = {}

    def read(self, path: Path) -> RunProgress:
        """Return how far a run is."""
        try:
            if path not in self._runs:
                config = read_config(path)
                named = set(read_clips(path, config).fold_of.values()) - {""}
                self._runs[path] = config, tuple(sorted(named))
        except (RunError, OSError) as error:
            return RunProgress(path, problem=str(error))
        config, folds = self._runs[path]
        # The claims first: a fold that ends meanwhile is then finished, and not lost.
        claims = living_claims(path)
        finished = frozenset(fold for fold in folds if is_finished(path, fold))
        is_open = {fold for fold in folds if fold not in finished}
        return RunProgress(
            path,
            folds,
            finished,
            at_work={fold: claim for fold, claim in claims.items() if fold in is_open},
            failed={fold: failure for fold, failure in read_failures(path).items() if fold in is_open},
            seconds=self._median_seconds(path, config, sorted(finished)) if is_open else None,
        )

    def _median_seconds(self, path: Path, config: RunConfig, finished: Sequence[str]) -> float | None:
        """Return the median time of a fold; read of a few folds that are spread over the finished ones."""
        if SECONDS not in config.method.history_columns:
            return None
        step = max(len(finished) // MOST_TIMED, 1)
        timed = [self._seconds_of(path, config, fold) for fold in finished[::step][:MOST_TIMED]]
        return median(known) if (known := [seconds for seconds in timed if seconds is not None]) else None

    def _seconds_of(self, path: Path, config: RunConfig, fold: str) -> float | None:
        if (path, fold) not in self._seconds:
            try:
                seconds = sum(read_history(path / "folds" / fold / HISTORY, SECONDS, config.epochs))
            except RunError:  # damaged, as `mer evaluate` will say
                seconds = None
            self._seconds[path, fold] = seconds
        return self._seconds[path, fold]

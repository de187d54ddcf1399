"""Train the folds that runs lack, all folds of a command in one queue; each fold is written as soon as it ends.

The queue begins with the first run. An engine takes the next fold whenever it has a place free, so that no place waits
for the end of a run. The order in which folds end changes no number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch

from mer_cli.engines.engine import Ended, Engine, Needs, Task
from mer_cli.engines.local import LocalEngine
from mer_cli.errors import MerError, RunError
from mer_cli.records import Fold
from mer_cli.runs.directory import CODE_GIVEN, INIT_GIVEN, Session, folds_to_train, open_run, record_session
from mer_cli.runs.failures import forget_failures, read_failures
from mer_cli.runs.own_code import origin_known, sources_of
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.process_state import require_torch_defaults
from mer_cli.runs.run_config import TRAINED_ON
from mer_cli.system.workers import end_unguarded_worker
from mer_cli.training.cost import guess_seconds
from mer_cli.training.fold_work import EndedFold, FoldWork, Trainers, spell
from mer_cli.training.hardware import needs_elsewhere, needs_here
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.loggers import Loggers
from mer_cli.training.machine import describe_environment
from mer_cli.training.time_limit import TimeLimit

Held = TypeVar("Held")
SECONDS_BETWEEN_LOOKS = 1.0  # at folds that another process trains


class Listener(Protocol):
    """An observer that is told how far the training of a run is; it can't change the training.

    `on_start` gets the number of folds to train. A fold that is trained in another process is reported only when it has
    ended, with the last epoch's loss. A classical method has no epochs and no loss.
    """

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


class Silent:
    """A listener for callers that show no progress."""

    def on_start(self, n_folds: int) -> None: ...

    def on_fold(self, fold: Fold) -> None: ...

    def on_epoch(self, epoch: int, loss: float) -> None: ...

    def on_fold_end(self) -> None: ...


@dataclass(frozen=True)
class FailedRun:
    """A run that has folds that can't be trained; its other folds are finished or were not begun.

    reason : which folds failed, and why the first one did · cause : only why, which may be the same of several runs
    """

    plan: RunPlan
    reason: str
    cause: str


@dataclass(frozen=True)
class Options:
    """How the runs of a command are trained; none of these changes a number.

    engine : what trains the folds · resume : False trains finished folds again
    save_weights : "last" keeps the weights of each fold after its last epoch
    loggers : told of every epoch; of a fold in another process, when it has ended
    folds_at_once : folds in parallel on each device; None decides by the method and the machine
    gpus : CUDA numbers; None takes the first
    trainers : a cache to share among runs that differ only in the seed
    time_limit : shared by all runs of a command, and updated here; a later call trains the folds that it left out
    prepare : computes what a run's method sees of the clips, if it is not on disk
    tell : called with a sentence that the user should read
    """

    engine: Engine = field(default_factory=LocalEngine)
    resume: bool = True
    save_weights: Literal["last", "none"] = "last"
    loggers: Loggers = field(default_factory=lambda: Loggers({}))
    folds_at_once: int | None = None
    gpus: Sequence[int] | None = None
    trainers: Trainers = field(default_factory=Trainers)
    time_limit: TimeLimit = field(default_factory=lambda: TimeLimit(math.inf))
    prepare: Callable[[RunPlan], None] = compute_inputs
    tell: Callable[[str], None] = lambda _: None


def train_run(plan: RunPlan, out: Path, listener: Listener | None = None, **options: Any) -> Path:
    """Train the plan's wanted folds that are not finished, until the time limit is over; return the run directory.

    Parameters
    ----------
    out : folder of all runs
    options : fields of `Options`

    Raises
    ------
    ConfigError
        If a GPU is not there, or the folds would not fit into its memory.
    RunError
        If the run directory can't be used or written, a worker is killed, or the device still runs out of memory.
    """
    train_runs([plan], out, lambda _: listener or Silent(), Options(**options))
    return out / plan.config.run_name


def train_runs(
    plans: Sequence[RunPlan],
    out: Path,
    listener_of: Callable[[RunPlan], Listener],
    options: Options,
    *,
    on_run_end: Callable[[Path], object] = lambda _: None,
    goes_on: bool = False,
    seconds: Sequence[float | None] = (),
) -> list[FailedRun]:
    """Train the wanted folds of all plans, the first plan's first; return the runs that failed.

    Parameters
    ----------
    out : folder of all runs
    listener_of : makes the listener of a run, just before its first fold begins
    on_run_end : called with the run directory when its folds are finished, or no more begin
    goes_on : whether a run that fails leaves the others going on; False raises its error
    seconds : how long a fold of each plan will probably take, None if it is unknown

    Raises
    ------
    MerError
        As `train_run`, unless it is a single run's error and `goes_on`. Any other error is a mistake of the program.
    """
    end_unguarded_worker()
    require_torch_defaults()
    if options.loggers.active and len(plans) > 1:  # most loggers know one run at a time
        each = (train_runs([plan], out, listener_of, options, on_run_end=on_run_end, goes_on=goes_on) for plan in plans)
        return [failed for of_plan in each for failed in of_plan]
    runs = [
        _Run(plan, path, folds_to_train(path, plan.wanted, resume=options.resume), expected or guess_seconds(plan))
        for plan, expected in zip(plans, seconds or [None] * len(plans), strict=True)
        for path in (out / plan.config.run_name,)
    ]
    queue = _Queue(runs, out, listener_of, options, on_run_end, goes_on)
    try:
        queue.prepare()
        queue.train()
    finally:
        queue.close()
    failed = queue.failed_runs()
    if failed and not goes_on:
        raise RunError("\n".join(run.reason for run in failed))
    return failed


@dataclass(eq=False)
class _Run:
    """A run in training.

    todo : folds to train, in this order · seconds : how long one takes, if that is known
    needs : what each fold needs of a machine
    n_left : folds that have not ended · is_dropped : whether no more folds begin
    failures : why folds failed · told : what closes the run's loggers
    """

    plan: RunPlan
    path: Path
    todo: list[Fold]
    seconds: float | None
    needs: Needs = field(default_factory=Needs)
    work: FoldWork | None = None
    listener: Listener = field(default_factory=Silent)
    n_left: int = 0
    is_dropped: bool = False
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    told: ExitStack = field(default_factory=ExitStack)


class _Queue:
    """The folds of all runs of a command, in the order in which they begin."""

    def __init__(
        self,
        runs: Sequence[_Run],
        out: Path,
        listener_of: Callable[[RunPlan], Listener],
        options: Options,
        on_run_end: Callable[[Path], object],
        goes_on: bool,
    ) -> None:
        self.runs = runs
        self.out, self.listener_of, self.options = out, listener_of, options
        self.on_run_end, self.goes_on = on_run_end, goes_on
        self.engine, self.limit = options.engine, options.time_limit
        self.run_of: dict[int, _Run] = {}  # by the work's id
        self.begun: dict[tuple[Path, str], Task] = {}  # tasks that have not ended
        self.elsewhere: list[Task] = []  # tasks that another process has claimed

    def prepare(self) -> None:
        """Compute what the runs' methods see, as long as there is time; then decide what their folds need."""
        for number, run in enumerate(run for run in self.runs if run.todo):
            if number and self.limit.is_past:
                break  # no fold but the first one begins
            try:
                self.options.prepare(run.plan)
            except MerError as error:
                self._fail(run, "", error)
        if self.engine.name == "local":
            self._share_machine()
            for before, run in pairwise(self.runs):
                if not run.todo:  # so that it doesn't part those beside it
                    run.needs = before.needs
        else:
            for run in self.runs:
                run.needs = needs_elsewhere(run.plan.config, self.options.folds_at_once)
                run.todo.sort(key=lambda fold: -len(fold.train))

    def _share_machine(self) -> None:
        """Decide how many folds this machine trains in parallel; runs of one kind in a row share the places."""
        n_cores = torch.get_num_threads()
        todo = [run for run in self.runs if run.todo and not run.is_dropped]
        for run in todo:
            try:
                run.needs = needs_here([(run.plan, run.todo)], self.options.folds_at_once, self.options.gpus, n_cores)
            except MerError as error:  # of a network that is too large, which costs no other run
                self._fail(run, "", error)
        todo = [run for run in todo if not run.is_dropped]
        for _, group in groupby(todo, key=lambda run: (run.plan.config.method.sees_motion, run.plan.config.device)):
            alike = list(group)
            try:
                found = needs_here(
                    [(run.plan, run.todo) for run in alike], self.options.folds_at_once, self.options.gpus, n_cores
                )
            except MerError as error:
                for run in alike:
                    self._fail(run, "", error)
                continue
            for run in alike:
                run.needs = found
                if found.at_once > 1:
                    run.todo.sort(key=lambda fold: -len(fold.train))

    def train(self) -> None:
        """Let the engine do the tasks, and wait for those that another process does."""
        for runs in self._alike(self.runs, lambda run: run.needs):
            self._do(self._tasks(runs))
        if self.elsewhere:
            self.options.tell(_waiting(self.elsewhere))
        while self.elsewhere and not self.limit.is_past:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            waiting, self.elsewhere = self.elsewhere, []
            for tasks in self._alike(waiting, lambda task: task.work.needs):
                self._do(self._retaken(tasks))
        if self.elsewhere:
            self.limit.is_over = True
        for run in self.runs:
            if run.work and run.n_left and not run.failures:  # no time is left for its other folds
                self._finish(run)

    def _alike(self, each: Iterable[Held], needs_of: Callable[[Held], Needs]) -> Iterator[list[Held]]:
        """Yield those in a row with the same needs: the local engine looks ahead by a task, which is claimed then."""
        is_local = self.engine.name == "local"
        for _, group in groupby(each, key=lambda held: needs_of(held) if is_local else None):
            yield list(group)

    def _do(self, tasks: Iterator[Task]) -> None:
        """Let the engine do tasks; if a worker is killed, the runs whose folds were at work have failed."""
        while True:
            try:
                self.engine.run(tasks, self._end, self._step)
                return
            except BrokenProcessPool:
                for task in list(self.begun.values()):
                    run = self.run_of[id(task.work)]
                    error = RunError(
                        f"{run.path}: a worker process was killed while training folds, probably for lack of memory. "
                        "Finished folds are kept: run the same command again with --folds-at-once 1."
                    )
                    self._give_back(task)
                    self._fail(run, task.name, error)

    def _tasks(self, runs: Sequence[_Run]) -> Iterator[Task]:
        for run in runs:
            model = run.plan.config.model
            if not run.todo:
                self._open(run)
                self._finish(run)
            for fold in run.todo:
                if run.is_dropped or not self.limit.has_time(model):
                    break
                try:
                    if run.work is None:
                        self._open(run)
                    assert run.work
                    task = Task(run.work, fold, fold.id, run.seconds)
                    is_begun = self._begin(task)
                except MerError as error:  # its directory was removed, for example
                    self._fail(run, "", error)
                    break
                if is_begun:
                    yield task
                else:
                    self.elsewhere.append(task)

    def _retaken(self, waiting: Iterable[Task]) -> Iterator[Task]:
        """Yield the tasks that another process had claimed and not finished; end those that it has finished."""
        for task in waiting:
            run = self.run_of[id(task.work)]
            told = task.work.kept(task.item) if self.options.resume else None
            if told is not None:
                self._count(run, told, is_seen=False)
            elif not run.is_dropped and self.limit.has_time(run.plan.config.model):
                if self._begin(task):
                    yield task
                else:
                    self.elsewhere.append(task)

    def _begin(self, task: Task) -> bool:
        """Claim a task and note that it has begun; return False if another process has claimed it."""
        run = self.run_of[id(task.work)]
        if not (self.engine.is_detached or task.work.begin(task.item, self.engine.place)):
            return False
        self.limit.begin(run.plan.config.model, (run.path, task.name))
        self.begun[run.path, task.name] = task
        if self._is_seen(run):
            run.listener.on_fold(task.item)
        return True

    def _is_seen(self, run: _Run) -> bool:
        """Return whether the run's folds are trained in this process, so that every epoch is seen."""
        return self.engine.name == "local" and run.needs.at_once == 1

    def _open(self, run: _Run) -> None:
        """Make the run's directory if it is not there, and tell the listeners that the run begins."""
        config, options = run.plan.config, self.options
        path, session = _open_run(run.plan, self.out, run.needs)
        if run.todo:
            record_session(path, session)
            origin = origin_known(config.foreign) if config.foreign else None
            saves = options.save_weights == "last" and config.method.is_network
            run.work = FoldWork(run.plan, path, run.needs, self.engine.name, saves, options.resume, origin)
            run.work.sources = dict(sources_of(config.foreign)) if config.foreign and origin and origin.file else {}
            run.work.trainers = options.trainers
            forget_failures(path, (fold.id for fold in run.todo))
            self.run_of[id(run.work)] = run
        run.n_left = len(run.todo)
        both = options.loggers.beside(self.listener_of(run.plan), path, config)
        run.listener = run.told.enter_context(both)
        run.listener.on_start(len(run.todo))

    def _step(self, epoch: int, loss: float) -> None:
        (task,) = self.begun.values()  # in this process there is one at a time
        self.run_of[id(task.work)].listener.on_epoch(epoch, loss)

    def _end(self, ended: Ended) -> None:
        task, run = ended.task, self.run_of[id(ended.task.work)]
        self._give_back(task)
        if ended.error is not None:
            if not self.engine.is_detached:
                with suppress(RunError):  # of a full disk, for example, of which the fold's own error tells
                    for _ in range(ended.tries):
                        task.work.fail(task.item, ended.error, "")
            self._fail(run, task.name, ended.error)
            return
        self._count(run, ended.told, is_seen=self._is_seen(run))

    def _count(self, run: _Run, told: EndedFold, *, is_seen: bool) -> None:
        """Count a fold as finished, and tell of it what the listener has not seen."""
        if not is_seen:
            run.listener.on_fold(told.fold)
            if told.loss is not None:
                run.listener.on_epoch(told.n_epochs, told.loss)
        run.listener.on_fold_end()
        self.limit.ended(run.plan.config.model, (run.path, told.fold.id))
        run.n_left -= 1
        if run.n_left == 0:
            self._finish(run)

    def _give_back(self, task: Task) -> None:
        """Give back the claim on a task that has ended, or never will."""
        self.begun.pop((self.run_of[id(task.work)].path, task.name))
        if not self.engine.is_detached:
            task.work.end(task.item)

    def _fail(self, run: _Run, fold: str, error: Exception) -> None:
        """Note why a fold failed, "" for the whole run; elsewhere the other folds of the run go on."""
        is_whole = not fold or self.engine.name == "local"
        if is_whole and not (self.goes_on and isinstance(error, MerError)):
            raise error
        run.failures.append((fold, error))
        run.is_dropped = is_whole

    def _finish(self, run: _Run) -> None:
        run.told.close()
        self.on_run_end(run.path)

    def failed_runs(self) -> list[FailedRun]:
        """Return the runs with folds that failed, each with its first error."""
        failed = [run for run in self.runs if run.failures]
        return [FailedRun(run.plan, self._reason(run), spell(run.failures[0][1])) for run in failed]

    def _reason(self, run: _Run) -> str:
        fold, error = run.failures[0]
        if not fold or self.engine.name == "local":
            return str(error)
        folds = ", ".join(sorted(fold for fold, _ in run.failures))
        log = "" if self.engine.is_detached else self._log(run, fold)
        it = "it" if len(run.failures) == 1 else "them"
        rest = f"The others are finished; the same command tries {it} again."
        if run.n_left > len(run.failures):
            rest = f"The same command tries {it} again, and trains those that are left."
        return (
            f"{run.path}: {len(run.failures)} of {len(run.plan.wanted)} folds failed: {folds}. "
            f"{spell(error).rstrip('.')}.{log} {rest}"
        )

    def _log(self, run: _Run, fold: str) -> str:
        """Return where the log of a failed fold is, if it has one."""
        failure = read_failures(run.path).get(fold)
        return f" Log: {failure.log}." if failure and failure.log else ""

    def close(self) -> None:
        """End the runs that have begun and have folds left, whatever the reason."""
        for task in list(self.begun.values()):
            self._give_back(task)
        for run in self.runs:
            run.told.close()


def _waiting(tasks: Sequence[Task]) -> str:
    """Return a sentence on the tasks that other processes have claimed."""
    are = "1 fold is" if len(tasks) == 1 else f"{len(tasks)} folds are"
    return f"{are} at work in another command (see mer status); waiting for them. Ctrl-C ends only this command."


def _open_run(plan: RunPlan, out: Path, needs: Needs) -> tuple[Path, Session]:
    """Return the run's directory, made if it is not there, and the session of this call, which is not recorded yet."""
    config = plan.config
    environment, sources = describe_environment(config.device), None
    environment["threads"] = needs.threads or environment["threads"]
    if config.foreign:
        environment[CODE_GIVEN] = origin_known(config.foreign).text
        sources = sources_of(config.foreign)
    if plan.initial_path:
        environment[INIT_GIVEN] = plan.initial_path
    session = Session(plan.paths(*TRAINED_ON), plan.paths("test"), str(out), environment)
    return open_run(out, config, plan.labels, plan.emotions, plan.folds, session, sources), session

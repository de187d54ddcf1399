"""What an engine is, and the work that it does: tasks that write into a folder which remembers what is finished.

A `Work` is a run, whose tasks are its folds, or a store, whose tasks are its clips. Its folder is the truth: an engine
may be stopped at any time, and another engine goes on with what the folder lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

TRIES = 3  # times that a task is begun, if it fails each time
Answer = TypeVar("Answer")
OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class Needs:
    """What one task of a work needs of a machine.

    threads : threads that compute it; None takes all cores of a machine
    device : "cpu", "cuda" or "mps" · on_each_gpu : number of tasks that may share a GPU
    at_once : number of tasks in parallel on this machine; other engines decide by what their machines have
    gpus : CUDA numbers of this machine's GPUs, for its workers in turn
    """

    threads: int | None = 1
    device: str = "cpu"
    on_each_gpu: int = 1
    at_once: int = 1
    gpus: tuple[int, ...] = ()


class Work(Protocol):
    """Tasks of one kind that share what they read; pickled to be sent to workers, where a task is an `item`."""

    @property
    def name(self) -> str:
        """Name of the run or of the store, for logs and errors; no two works of a command have the same."""

    @property
    def folder(self) -> str:
        """The folder that all of it is written to, where logs belong."""

    @property
    def needs(self) -> Needs:
        """What each task needs of a machine."""

    def read(self) -> Any:
        """Return what all tasks share, read from the disk: arrays, which an engine may send to another machine."""

    def do(self, shared: Any, item: Any, on_step: OnStep) -> Any:
        """Do a task, and return its result, which can be pickled; writes nothing.

        Parameters
        ----------
        shared : what `read` returned, here or on another machine
        on_step : called with the number of the epoch and its loss
        """

    def keep(self, item: Any, result: Any) -> Any:
        """Write the result of a task into the folder, completely or not at all; return what to tell of it."""

    def kept(self, item: Any) -> Any | None:
        """Return what there is to tell of a task that is finished already, read from the folder; otherwise None."""

    def begin(self, item: Any, place: str = "") -> bool:
        """Claim a task, so that no other process does it too; return False if another has claimed or finished it.

        Parameters
        ----------
        place : name of the machine that does it, if it is not this one
        """

    def end(self, item: Any) -> None:
        """Give back the claim on a task."""

    def fail(self, item: Any, error: BaseException, log: str) -> int:
        """Note in the folder that a task failed; return how often it has failed in this command.

        Parameters
        ----------
        log : path of the log with more about it, "" if there is none
        """

    def failure(self, item: Any) -> str | None:
        """Return the error of a task that has failed for the last time, otherwise None."""


@dataclass(frozen=True)
class Task:
    """One task of a work.

    item : the fold or the clip, which can be pickled · name : of the item, for logs and errors
    seconds : how long it will probably take, None if it is unknown
    """

    work: Work
    item: Any
    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Ended:
    """A task that has ended: `told` is what `Work.keep` returned, or `error` says why it failed for the last time.

    tries : how often it has failed
    """

    task: Task
    told: Any = None
    error: Exception | None = None
    tries: int = 1


class Engine(Protocol):
    """Something that does tasks.

    is_detached : whether jobs do the tasks that go on when this command ends; they claim tasks and note failures
        themselves, otherwise the caller does
    """

    name: str
    is_detached: bool

    @property
    def place(self) -> str:
        """Name of the machine that does the task that is taken next; "" if it is this one, or not known yet."""

    def ask(self, question: Callable[[], Answer], needs: Needs) -> Answer:
        """Return what a module's function returns on a machine that has what a task needs."""

    def run(self, tasks: Iterable[Task], on_end: Callable[[Ended], None], on_step: OnStep) -> None:
        """Do the tasks, the first ones first.

        Parameters
        ----------
        tasks : taken one by one when there is a free place, so that a generator may still decide to stop; all at once
            by an engine that is detached
        on_end : called in this thread when a task has ended and was written; what it raises ends the run
        on_step : as for `Work.do`; called only of tasks that are done in this process
        """

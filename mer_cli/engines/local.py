"""The engine of this machine: tasks one after the other in this process, or in parallel in worker processes."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, groupby
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from typing import Any

from mer_cli.engines.engine import Answer, Ended, Needs, OnStep, Task, Work
from mer_cli.errors import MerError
from mer_cli.system.workers import run_in_workers


class LocalEngine:
    """The engine that uses no other machine: in this process, or in workers if `Needs.at_once` is more than 1.

    Ctrl-C stops workers at once. A worker that is killed ends the run with concurrent.futures' `BrokenProcessPool`.
    """

    name = "local"
    is_detached = False
    place = ""

    def ask(self, question: Callable[[], Answer], needs: Needs) -> Answer:
        """Return the function's answer; `needs` has no effect, because there is only this machine."""
        return question()

    def run(self, tasks: Iterable[Task], on_end: Callable[[Ended], None], on_step: OnStep) -> None:
        """Do the tasks; those of works with other needs begin when all before them have ended."""
        for needs, group in groupby(tasks, key=lambda task: task.work.needs):
            if needs.at_once == 1:
                _do_in_turn(group, on_end, on_step)
            else:
                _do_in_workers(group, needs, on_end)


def _do_in_turn(tasks: Iterable[Task], on_end: Callable[[Ended], None], on_step: OnStep) -> None:
    for work, of_work in groupby(tasks, key=lambda task: task.work):
        shared = None
        for task in of_work:
            try:
                shared = work.read() if shared is None else shared
                ended = Ended(task, work.keep(task.item, work.do(shared, task.item, on_step)))
            except Exception as error:
                ended = Ended(task, error=error)
            on_end(ended)


def _do_in_workers(tasks: Iterable[Task], needs: Needs, on_end: Callable[[Ended], None]) -> None:
    running: dict[int, Task] = {}

    def send() -> Iterator[tuple[int, bytes, Any]]:
        sent, pickled = None, b""
        for number, task in zip(count(), tasks):
            if task.work is not sent:
                sent, pickled = task.work, pickle.dumps(task.work)
            running[number] = task
            yield number, pickled, task.item

    def receive(result: tuple[int, Any, Exception | None]) -> None:
        number, told, error = result
        on_end(Ended(running.pop(number), told, error))

    free = get_context("spawn").SimpleQueue()
    for number in range(needs.at_once if needs.gpus else 0):
        free.put(needs.gpus[number % len(needs.gpus)])
    take = partial(_take_gpu, free) if needs.gpus else None
    run_in_workers(_do_task, send(), needs.at_once, receive, drop_on_interrupt=True, on_start=take)


def _take_gpu(free: SimpleQueue[int]) -> None:
    """Make a free GPU the one that this worker calls `cuda`."""
    import torch

    torch.cuda.set_device(free.get())


def _do_task(sent: tuple[int, bytes, Any]) -> tuple[int, Any, Exception | None]:
    """Do a task in a worker, and return its number with what `Work.keep` returned, or with the error."""
    number, pickled, item = sent
    try:
        work, shared = _of_worker(pickled)
        return number, work.keep(item, work.do(shared, item, _ignore_step)), None
    except Exception as error:
        return number, None, sendable(error)


def _ignore_step(epoch: int, loss: float) -> None:
    """Do nothing at a step of a task that is done in a worker."""


_HELD: dict[bytes, tuple[Work, Any]] = {}  # by a worker: the last work, and what its tasks share


def _of_worker(pickled: bytes) -> tuple[Work, Any]:
    """Return a work and what its tasks share, which a worker reads once."""
    if pickled not in _HELD:
        _HELD.clear()  # before there are two
        work: Work = pickle.loads(pickled)
        _HELD[pickled] = work, work.read()
    return _HELD[pickled]


def sendable(error: Exception) -> Exception:
    """Return an error that another process can unpickle; of a mistake of the program with its traceback as a note."""
    if not isinstance(error, MerError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error

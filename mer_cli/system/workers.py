"""Runs tasks in worker processes and hands on their results as they end; no worker outlives its parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

from mer_cli.opencv import cv2

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_in_workers(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    jobs: int,
    on_result: Callable[[Result], None],
    *,
    drop_on_interrupt: bool = False,
    on_start: Callable[[], None] | None = None,
) -> None:
    """Run a function on every task, in `jobs` processes at most.

    After an error or Ctrl-C the tasks at work are finished, the others are not begun.

    Parameters
    ----------
    function : of a module, so that a worker can import it
    tasks : each is taken when a worker is free for it, so that a generator may stop before its end
    on_result : called in this process with each result, in the order in which they end
    drop_on_interrupt : Ctrl-C ends the workers at once; for tasks of minutes that leave nothing behind half done
    on_start : called in every worker before its first task; of a module, too

    Raises
    ------
    BrokenProcessPool
        If a worker dies. An exception of `function` is raised here as it is.
    """
    waiting = iter(tasks)
    # Spawned, not forked: the threads of OpenCV do not live through a fork.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (on_start,))
    try:
        with _no_interrupt():
            running = {pool.submit(function, task) for task in islice(waiting, jobs)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                on_result(future.result())
                with _no_interrupt():  # a worker may start as late as here
                    running |= {pool.submit(function, task) for task in islice(waiting, 1)}
    except KeyboardInterrupt:
        if drop_on_interrupt:
            for worker in active_children():
                worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back while workers start: they inherit it, so that only the parent ever sees one and decides.

    Windows has no such mask; there workers ignore Ctrl-C from the moment they have started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _start_worker(on_start: Callable[[], None] | None) -> None:
    """Set up a worker process: one thread, gone when its parent is."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if on_start is not None:
        on_start()


def _end_with_parent() -> None:
    """Wait for the parent's end, however it comes: after a `kill -9` a pool's workers would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""Run tasks in worker processes, as many as cores and memory allow; no worker outlives its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, current_process, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from mer_cli.errors import ConfigError
from mer_cli.system.opencv import cv2

# A worker holds the landmark model and OpenCV (150 MB), up to seven whole images of the largest releases (46 MB) and
# what HOG needs for an enlarged one (110 MB). Two workers and their parent took 520 MB on images of 2040x1088, and
# 920 MB when no image had a face, so that every detector was tried.
WORKER_MEMORY = 350_000_000
MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Files of control groups version 2 and 1: a container's limit, what it uses, and its account.
LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
CACHED = ("inactive_file", "total_inactive_file")  # holds files that were read; freed when needed


def default_jobs() -> int:
    """Return the number of workers: one for each core that this process may use, fewer if memory is short."""
    from joblib import cpu_count  # knows affinity and a container's share on every system

    cores: int = cpu_count()
    memory = available_memory()
    return cores if memory is None else max(1, min(cores, memory // WORKER_MEMORY))


def available_memory() -> int | None:
    """Return the number of bytes that new processes can use without swapping, in a container too; None if unknown."""
    free = [*_free_of_machine(), *(_free_of_group(*files) for files in LIMITS)]
    return min((value for value in free if value is not None), default=None)


def _free_of_machine() -> list[int]:
    try:
        lines = MEMORY_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _free_of_group(limit: str, used: str, account: str) -> int | None:
    try:
        held, taken, entries = (
            (CONTROL_GROUPS / name).read_text(encoding="utf-8").split() for name in (limit, used, account)
        )
        free, of = int(held[0]) - int(taken[0]), dict(zip(entries[::2], entries[1::2], strict=True))
    except (OSError, ValueError, IndexError):  # there is no such group, or its limit is "max"
        return None
    return max(free + max(int(of.get(name, 0)) for name in CACHED), 0)


# Every worker imports the script that its parent runs, and an unguarded one would start the same work once more.
NO_GUARD = (
    "your script does its work also when a worker process imports it. Put the work under "
    '`if __name__ == "__main__":`, and leave imports, functions and classes above that line.'
)
UNGUARDED = 64  # exit code by which the parent knows


def end_unguarded_worker() -> None:
    """End this process, with a sentence on stderr, if it is a worker that comes here only by importing the script."""
    if getattr(current_process(), "_inheriting", False):  # as multiprocessing itself finds it out
        sys.stderr.write(f"error: {NO_GUARD}\n")
        raise SystemExit(UNGUARDED)


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
    """Run a function on every task, in at most `jobs` worker processes.

    After an error or Ctrl-C, running tasks are finished and no further tasks are started.

    Parameters
    ----------
    function : takes a task and returns its result; a module's function, so that a worker can import it
    tasks : each task is taken only when a worker is free, so that a generator may still decide to stop
    on_result : called in this process with each result, in the order in which they arrive
    drop_on_interrupt : end the workers at once on Ctrl-C; for tasks of minutes that leave nothing half done
    on_start : called in every worker before its first task; also a module's function

    Raises
    ------
    BrokenProcessPool
        If a worker process is killed. An exception that `function` raises is not changed.
    ConfigError
        If no worker can start, because the script that called this does its work whenever it is imported.
    """
    end_unguarded_worker()
    waiting = iter(tasks)
    # Spawned, not forked: OpenCV's threads don't survive a fork.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (on_start,))
    running: set[Future[Result]] = set()
    workers: set[BaseProcess] = set()  # also those that have ended
    try:
        with _no_interrupt():
            for task in islice(waiting, jobs):
                running.add(pool.submit(function, task))
                workers |= set(active_children())
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                on_result(future.result())
                with _no_interrupt():  # a worker may start as late as here
                    running |= {pool.submit(function, task) for task in islice(waiting, 1)}
    except BrokenProcessPool:
        pool.shutdown(wait=True)  # then the exit codes are known
        if any(worker.exitcode == UNGUARDED for worker in workers):
            raise ConfigError(NO_GUARD) from None
        raise
    except KeyboardInterrupt:
        if drop_on_interrupt:
            for worker in active_children():
                worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C while workers start; they inherit the block, so that only the parent process reacts to Ctrl-C.

    Windows can't block it; there, workers ignore Ctrl-C once they have started.
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
    """Set up a worker process with one thread that ends with its parent."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if on_start is not None:
        on_start()


def _end_with_parent() -> None:
    """End this process when its parent ends in any way; otherwise workers would wait forever after a `kill -9`."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

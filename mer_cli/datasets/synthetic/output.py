"""Make room for what is generated, and write it in several processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import DatasetError
from mer_cli.system.workers import default_jobs, run_in_workers

Task = TypeVar("Task")
Result = TypeVar("Result")


def make_room(out: Path, notice: str, what: str, text: str = "") -> bool:
    """Make a folder and stamp it with GENERATED.txt; return whether it already had the same stamp.

    Parameters
    ----------
    notice : the stamp begins with it; a stamp that begins otherwise is that of something else
    what : what may be in the folder already: "a generated release of SAMM"
    text : the rest of the stamp

    Raises
    ------
    DatasetError
        If the folder holds other files, or can't be made.
    """
    marker = out / STAMP
    found = marker.read_text(encoding="utf-8") if marker.is_file() else None
    if found and not found.startswith(notice):  # empty: put back by hand
        raise DatasetError(
            f"{out}: holds a generated release of another dataset. Expected an empty folder, or {what}. Give another "
            "OUT."
        )
    if out.exists() and not marker.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DatasetError(
            f"{out}: holds files that mer synth did not write. Expected an empty folder. Give another OUT."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{out}: can't be made a folder ({error.strerror}). Give another OUT.") from None
    marker.write_text(notice + text, encoding="utf-8")
    return found == notice + text


def remove_earlier(*folders: Path) -> None:
    """Remove folders of an earlier generated release, if they exist."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def write_in_parallel(
    tasks: Sequence[Task],
    write: Callable[[Task], Result],
    workers: int | None,
    on_done: Callable[[Result], None],
) -> None:
    """Write every task, several in parallel; call `on_done` with each result.

    Parameters
    ----------
    workers : number of processes; 1 means this process only, None one process for each core

    Raises
    ------
    DatasetError
        If a worker process dies.
    """
    n_workers = min(workers or default_jobs(), len(tasks))
    if n_workers == 1:
        with threadpool_limits(1):
            for task in tasks:
                on_done(write(task))
        return
    try:
        run_in_workers(write, tasks, n_workers, on_done, drop_on_interrupt=True, on_start=_limit_threads)
    except BrokenProcessPool:
        raise DatasetError(
            "mer synth: a worker process was killed while drawing faces, probably for lack of memory. Free memory, and "
            "run the same command again."
        ) from None


def _limit_threads() -> None:
    """Allow one thread per process: more would compete for the cores and take twice the time."""
    threadpool_limits(1)

"""Worker processes that all tests share: to start one, with its imports and Dlib's models, takes seconds.

Only the start is saved: the processes are the product's, and tasks and results travel as they do there. What happens
to workers that are killed or stopped is tested in processes of their own, which know nothing of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

_pools: dict[tuple[int, tuple[Any, ...]], ProcessPoolExecutor] = {}


class KeptPool:
    """A pool for `run_in_workers`, whose processes are those of the earlier ones of its size."""

    def __init__(
        self, n_workers: int, context: SpawnContext, initializer: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        self._key = (n_workers, arguments)
        if self._key not in _pools:
            _pools[self._key] = ProcessPoolExecutor(n_workers, context, initializer, arguments)
        self._futures: list[Future[Any]] = []

    def submit(self, function: Callable[[Any], Any], task: Any) -> Future[Any]:
        self._futures.append(_pools[self._key].submit(_run_in_folder, Path.cwd(), function, task))
        return self._futures[-1]

    def shutdown(self, **_: bool) -> None:
        """End the tasks of this pool, not its processes, unless one of them has died."""
        for future in self._futures:
            future.cancel()
        wait(self._futures)
        if any(isinstance(future.exception(), BrokenProcessPool) for future in self._futures if not future.cancelled()):
            _pools.pop(self._key, None)


def _run_in_folder(folder: Path, function: Callable[[Any], Any], task: Any) -> Any:
    """A process that is started for its task is in the folder of its parent."""
    os.chdir(folder)
    return function(task)

"""What a SLURM job does: the tasks of a chunk, one after the other, as far as they are not finished elsewhere."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from types import FrameType
from typing import Any

from mer_cli.engines.engine import TRIES, Task, Work
from mer_cli.engines.same_code import own_code, require_same_code
from mer_cli.errors import RunError

CLAIMED_WAIT_S = 600.0  # how long a job waits for tasks that another process has claimed, which may have been killed
CLAIMED_LOOK_S = 5.0
MOST_OF_THE_LIMIT = 0.8  # a task that took as much of a job's time doesn't fit into another job either


class Question:
    """A function that a job calls, to learn about the machine that it runs on."""

    def __init__(self, function: Callable[[], Any]) -> None:
        import cloudpickle

        self.code = own_code()
        self.function = cloudpickle.dumps(function)

    def __call__(self) -> Any:
        import cloudpickle

        require_same_code(self.code)
        return cloudpickle.loads(self.function)()


class Tried(Enum):
    """How a try of a task has ended."""

    OVER = "finished, or failed for the last time in this job"
    AGAIN = "failed, to be tried again"
    CLAIMED = "not begun, because another process does it"


class ChunkJob:
    """Tasks that a job does. It may be interrupted at any time, and does what is missing when it is called again.

    Parameters
    ----------
    limit_min : time limit of the job, in minutes
    delay_s : seconds before the limit at which the job is told of it
    """

    def __init__(self, tasks: Sequence[Task], limit_min: int, delay_s: int) -> None:
        import cloudpickle

        self.code = own_code()
        self.tasks = cloudpickle.dumps(tuple(tasks))  # read after the check of the code, with which they may not agree
        self.limit_min, self.delay_s = limit_min, delay_s
        self._reset()

    def _reset(self) -> None:
        self._now: Task | None = None  # claimed by this job
        self._began = 0.0
        self._is_ending = False
        self._read: dict[str, Any] = {}  # what the last work has read, by the name of the work
        self._unread: dict[str, Exception] = {}  # why a work can't be read on this machine

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("code", "tasks", "limit_min", "delay_s")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __call__(self) -> None:
        import cloudpickle

        require_same_code(self.code)
        signal.signal(signal.SIGTERM, self._on_end_of_job)
        left: list[Task] = list(cloudpickle.loads(self.tasks))
        waited = 0.0
        while left and waited < CLAIMED_WAIT_S and not self._is_ending:
            ends = [(task, self._try(task)) for task in left]
            left = [task for task, end in ends if end is not Tried.OVER]
            if left and all(end is Tried.CLAIMED for _, end in ends):
                time.sleep(CLAIMED_LOOK_S)
                waited += CLAIMED_LOOK_S
            else:
                waited = 0.0

    def _try(self, task: Task) -> Tried:
        work, item = task.work, task.item
        if work.kept(item) is not None or work.failure(item) is not None:
            return Tried.OVER
        if self._is_ending or not work.begin(item):
            return Tried.CLAIMED
        self._now, self._began = task, time.monotonic()
        try:
            result = work.do(self._shared(work), item, _no_step)
            work.keep(item, result)
            return Tried.OVER
        except Exception as error:
            traceback.print_exc()
            n_failed = work.fail(item, error, own_log())
            return Tried.OVER if n_failed >= TRIES or work.name in self._unread else Tried.AGAIN
        finally:
            self._now = None
            work.end(item)

    def _shared(self, work: Work) -> Any:
        """Return what a work has read; if it can't be read here, another machine may try, so this job doesn't again."""
        if work.name in self._unread:
            raise self._unread[work.name]
        if work.name not in self._read:
            self._read.clear()
            try:
                self._read[work.name] = work.read()
            except Exception as error:
                self._unread[work.name] = error
                raise
        return self._read[work.name]

    def checkpoint(self) -> Any:
        """Return this chunk for submitit, which puts the job back into the queue: SLURM wants the node, or time is up.

        submitit calls this between two steps of the task at work, which then ends.
        """
        from submitit.helpers import DelayedSubmission

        if self._now is not None:
            work, item = self._now.work, self._now.item
            if time.monotonic() - self._began >= MOST_OF_THE_LIMIT * (self.limit_min * 60 - self.delay_s):
                error = RunError(
                    f"it takes longer than the time limit of {self.limit_min} minutes. Give more, for example --slurm "
                    f"time={2 * self.limit_min}."
                )
                work.fail(item, error, own_log())
            work.end(item)
        return DelayedSubmission(self)

    def _on_end_of_job(self, number: int, frame: FrameType | None) -> None:
        """Give back the claim, because SLURM kills this process soon; until then the task may still finish."""
        print(f"{signal.Signals(number).name}: this job ends.", flush=True)
        self._is_ending = True
        if self._now is not None:
            self._now.work.end(self._now.item)


def own_log() -> str:
    """Return the path of the log of the job that this process is."""
    import submitit

    return str(submitit.JobEnvironment().paths.stdout)


def _no_step(epoch: int, loss: float) -> None:
    """Tell nobody of an epoch: the command may be closed."""

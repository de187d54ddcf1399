"""The process that does tasks on a node of a Ray cluster, one after the other; its parent is Ray.

It keeps a work and what its tasks share until it gets one of another work, so that nothing is compiled or sent twice.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from mer_cli.engines.engine import Answer, Work
from mer_cli.engines.local import sendable
from mer_cli.engines.same_code import Code, require_same_code


@dataclass(frozen=True)
class Outcome:
    """What came of a task in a worker: its result, or the exception that it raised."""

    result: Any = None
    error: Exception | None = None


class Worker:
    """The class of Ray's actors: one worker process each.

    Parameters
    ----------
    threads : number of threads for what counts them when it's first imported (OpenMP, MKL)
    folder : the command's current folder, from which relative paths lead, if this machine has it
    """

    def __init__(self, threads: int, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)
        self.work: Work | None = None
        self.shared: Any = None
        self.of_work, self.of_shared = "", ""  # what Ray calls them

    def begin(self, code: Code) -> Outcome:
        """Return the name of this machine, or an error if it has another `mer` than the command."""
        return self.ask(partial(_named, code))

    def ask(self, question: Callable[[], Answer]) -> Outcome:
        """Return what a function returns or raises."""
        try:
            return Outcome(question())
        except Exception as error:
            return Outcome(error=sendable(error))

    def do(self, references: list[Any], item: Any) -> Outcome:
        """Do a task of a work.

        Parameters
        ----------
        references : to the work, and to what its tasks share; in a list, so that Ray fetches them only when this
            process asks
        """
        import ray

        try:
            work, shared = (reference.hex() for reference in references)  # held instead, Ray could not free it
            if shared != self.of_shared:
                self.work, self.shared, self.of_work, self.of_shared = None, None, "", ""  # before there are two
                self.shared = ray.get(references[1])
                self.of_shared = shared
            if self.work is None or work != self.of_work:
                self.work, self.of_work = ray.get(references[0]), work
            return Outcome(self.work.do(self.shared, item, _ignore_step))
        except ray.exceptions.RayError:
            raise  # of the cluster, not of the task
        except (Exception, SystemExit) as error:
            return Outcome(error=sendable(error if isinstance(error, Exception) else RuntimeError(repr(error))))


def _named(code: Code) -> str:
    require_same_code(code)
    return platform.node()


def _ignore_step(epoch: int, loss: float) -> None:
    """Do nothing at a step; epochs aren't sent over the network."""

"""Simulate nodes that do jobs from one queue, and are lost at random times: what was at work is begun again.

A job is begun on the first node that has room for it. The first job of the queue is never overtaken.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate, count, repeat
from math import inf
from random import Random

REPAIR_S = 600.0  # seconds until a lost node comes back
END, LOST, BACK = range(3)  # events; of two at the same time the first is first, so a fold may end with its node

Lives = Callable[[int], Iterator[float]]


@dataclass(frozen=True)
class Job:
    """Folds, by their numbers, which a node does one after the other on `cores` of its cores."""

    folds: tuple[int, ...]
    cores: int = 1


@dataclass
class Outcome:
    """What became of the folds.

    ends : seconds after the start at which each fold was finished, by its number
    losses : how often each fold was lost at work, by its number; those never lost are left out
    lost_core_s : seconds of the cores whose work was lost
    """

    ends: dict[int, float] = field(default_factory=dict)
    losses: Counter[int] = field(default_factory=Counter)
    lost_core_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds until the last fold was finished."""
        return max(self.ends.values(), default=0.0)


def never_lost(node: int) -> Iterator[float]:
    """Yield for how many seconds a node is there each time: forever."""
    return repeat(inf)


def random_lives(average_s: float, seed: int) -> Lives:
    """Return a function that yields for how many seconds a node is there each time, `average_s` on average."""

    def lives(node: int) -> Iterator[float]:
        random = Random(f"{seed} {node}")
        while True:
            yield random.expovariate(1 / average_s) if average_s < inf else inf

    return lives


def simulate(
    seconds: Sequence[float], jobs: Sequence[Job], n_nodes: int, cores: int = 1, lives: Lives = never_lost
) -> Outcome:
    """Return what becomes of jobs that nodes take from one queue.

    When a node is lost, the finished folds of its jobs stay finished. The rest of the jobs is begun again before
    everything else in the queue.

    Parameters
    ----------
    seconds : of each fold · cores : of each node; no job may need more
    lives : yields for how many seconds a node is there, the first time, the second time, and so on
    """
    return _Cluster(seconds, jobs, cores, [lives(node) for node in range(n_nodes)]).run()


@dataclass(frozen=True)
class _AtWork:
    """A job at work on a node: it began at `times[0]`, and its folds end at the other times."""

    job: Job
    node: int
    times: tuple[float, ...]


class _Cluster:
    """The nodes at a moment, and the events to come: (time, kind, number of the job's start or of the node)."""

    def __init__(
        self, seconds: Sequence[float], jobs: Sequence[Job], cores: int, lives: Sequence[Iterator[float]]
    ) -> None:
        self.seconds, self.queue, self.cores, self.lives = seconds, deque(jobs), cores, lives
        self.free: dict[int, int] = {}  # cores by node, of the nodes that have a free one
        self.at_work: dict[int, _AtWork] = {}
        self.starts = count()
        self.events: list[tuple[float, int, int]] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        for node in range(len(self.lives)):
            self.come_back(0.0, node)
        self.begin(0.0)
        while self.queue or self.at_work:
            now, kind, number = heappop(self.events)
            (self.end, self.lose, self.come_back)[kind](now, number)
            self.begin(now)
        return self.outcome

    def begin(self, now: float) -> None:
        """Begin jobs, in the order of the queue, until the first one has no room."""
        while self.queue:
            job = self.queue[0]
            node = min((node for node, free in self.free.items() if free >= job.cores), default=None)
            if node is None:
                return
            self.queue.popleft()
            self.give(node, -job.cores)
            times = tuple(accumulate((self.seconds[fold] for fold in job.folds), initial=now))
            start = next(self.starts)
            self.at_work[start] = _AtWork(job, node, times)
            heappush(self.events, (times[-1], END, start))

    def give(self, node: int, cores: int) -> None:
        """Add to the free cores of a node."""
        free = self.free.pop(node, 0) + cores
        if free:
            self.free[node] = free

    def end(self, now: float, start: int) -> None:
        work = self.at_work.pop(start, None)
        if work:  # otherwise its node was lost before
            self.outcome.ends |= dict(zip(work.job.folds, work.times[1:], strict=True))
            self.give(work.node, work.job.cores)

    def lose(self, now: float, node: int) -> None:
        self.free.pop(node, None)
        for start in sorted((start for start, work in self.at_work.items() if work.node == node), reverse=True):
            work = self.at_work.pop(start)
            folds, n_finished = work.job.folds, sum(time <= now for time in work.times[1:])
            self.outcome.ends |= dict(zip(folds[:n_finished], work.times[1:], strict=False))
            self.outcome.losses[folds[n_finished]] += 1
            self.outcome.lost_core_s += (now - work.times[n_finished]) * work.job.cores
            self.queue.appendleft(Job(folds[n_finished:], work.job.cores))
        heappush(self.events, (now + REPAIR_S, BACK, node))

    def come_back(self, now: float, node: int) -> None:
        self.free[node] = self.cores
        life = next(self.lives[node])
        if life < inf:
            heappush(self.events, (now + life, LOST, node))

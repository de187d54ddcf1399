"""Simulate the methods of Table 6 on clusters of several sizes: hours, what waits, and what lost nodes cost.

The folds are those of a whole dataset, in the order of `mer compare-methods`. How long each takes was measured on one
machine; all nodes are such machines.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mer_cli.bench.fold_seconds import Pace
from mer_cli.bench.simulation import Job, random_lives, simulate
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.datasets.synthetic.writer import LAYOUTS
from mer_cli.engines.engine import Task
from mer_cli.engines.slurm import CHUNK_S, cut
from mer_cli.engines.slurm_options import ARRAY_PARALLELISM
from mer_cli.engines.slurm_queue import MOST_JOBS
from mer_cli.errors import ConfigError
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.folds import loso_folds
from mer_cli.training.grids import running_order, usual_schemes

DATASET = "casme2"
N_SEEDS = 5
NODES = (1, 4, 26, 100)
LOST_EVERY_H = 24.0  # of each node; harsh
TRIALS = 20  # simulations with other random losses
WAYS = {
    "ray": "Ray, a fold at a time from one queue",
    "slurm": "SLURM, jobs of about half an hour",
    "slurm_first": f"SLURM, if no time of a fold is known: {ARRAY_PARALLELISM} jobs",
}


@dataclass(frozen=True)
class QueuedFold:
    """A fold in the order in which folds begin.

    method, scheme : of its run · average_s : of the folds of its run, which is all that a command can know before
    cores : cores of a node that it takes
    """

    method: str
    scheme: str
    seconds: float
    average_s: float
    cores: int


def parse_nodes(text: str) -> tuple[int, ...]:
    """Return the numbers of nodes in a text such as "1,4,26"; raise a ConfigError for any other text."""
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdecimal() and 1 <= int(number) <= 10_000 for number in numbers):
        raise ConfigError(f"--nodes must be numbers from 1 to 10000, such as 1,4,26, got '{text}'.")
    return tuple(dict.fromkeys(map(int, numbers)))


def queue_folds(
    configs: Mapping[str, TrainConfig], paces: Mapping[str, Pace], cores: int, n_seeds: int = N_SEEDS
) -> list[QueuedFold]:
    """Return all folds of a comparison of methods on the whole dataset, in the order of `mer compare-methods`.

    Parameters
    ----------
    configs : by method; those without random numbers have one run, the others `n_seeds`
    cores : of a node; a network on motion takes one of them, every other method all
    """
    clips = [(f"{DATASET}/{clip.subject:02}/{clip.name}", clip.emotion) for clip in LAYOUTS[DATASET].plan()]
    queue: list[QueuedFold] = []
    for name in sorted(configs, key=lambda name: running_order(configs[name])):
        config = configs[name]
        for scheme in usual_schemes(DATASET):
            kept = [clip_id for clip_id, emotion in clips if SCHEMES[scheme].label(clip_id, emotion) is not None]
            sizes = sorted((len(fold.train) for fold in loso_folds(kept)), reverse=True)
            seconds = [paces[name].fold_s(size, config.epochs) for size in sizes]
            needed = 1 if config.method.sees_motion else cores
            run = [QueuedFold(name, scheme, each, statistics.mean(seconds), needed) for each in seconds]
            queue += run * (n_seeds if config.method.is_random else 1)
    return queue


def bench_cluster(queue: Sequence[QueuedFold], cores: int, nodes: Sequence[int], lost_every_h: float) -> dict[str, Any]:
    """Return what becomes of the folds in each of `WAYS` on each number of nodes, with and without lost nodes.

    Returns
    -------
    folds, node_hours (of all folds), longest_fold_hours and its method; then for each way and number of nodes what
    `_figures` returns

    Raises
    ------
    ConfigError
        If nodes are lost more often than the longest fold takes.
    """
    longest = max(queue, key=lambda fold: fold.seconds)
    if not lost_every_h * 3600 >= longest.seconds:  # also if it is not a number
        raise ConfigError(
            f"--lost-every {lost_every_h:g}: a fold of {longest.method} takes {longest.seconds / 3600:.2g} hours, so "
            "it would hardly ever end. Expected at least as many."
        )
    work_s = sum(fold.seconds * fold.cores for fold in queue) / cores
    return {
        "folds": len(queue),
        "node_hours": work_s / 3600,
        "longest_fold_hours": longest.seconds / 3600,
        "longest_fold": longest.method,
        **{way: {str(n): _figures(queue, way, n, cores, work_s, lost_every_h * 3600) for n in nodes} for way in WAYS},
    }


def _figures(
    queue: Sequence[QueuedFold], way: str, n_nodes: int, cores: int, work_s: float, lost_every_s: float
) -> dict[str, float]:
    """Return the figures of a way on a number of nodes.

    Returns
    -------
    hours_without_losses; hours (the median of the trials) and worst_hours; efficiency, the part of all nodes' hours
    that finished folds took; longest_fold_share, of the hours; lost_folds; repeated_hours of a node; most_losses, of
    one fold in any trial
    """
    seconds, jobs = [fold.seconds for fold in queue], jobs_of(queue, way, cores)
    undisturbed = simulate(seconds, jobs, n_nodes, cores).seconds
    trials = [simulate(seconds, jobs, n_nodes, cores, random_lives(lost_every_s, seed)) for seed in range(TRIALS)]
    median_s = statistics.median(trial.seconds for trial in trials)
    return {
        "hours_without_losses": undisturbed / 3600,
        "hours": median_s / 3600,
        "worst_hours": max(trial.seconds for trial in trials) / 3600,
        "efficiency": work_s / n_nodes / median_s,
        "longest_fold_share": max(seconds) / median_s,
        "lost_folds": statistics.median(trial.losses.total() for trial in trials),
        "repeated_hours": statistics.median(trial.lost_core_s for trial in trials) / cores / 3600,
        "most_losses": max(max(trial.losses.values(), default=0) for trial in trials),
    }


def jobs_of(queue: Sequence[QueuedFold], way: str, cores: int) -> list[Job]:
    """Return what nodes do at a time: a fold on the cores that it takes, or a SLURM job, which has a node to itself."""
    if way == "ray":
        return [Job((number,), fold.cores) for number, fold in enumerate(queue)]
    known = way == "slurm"
    nothing: Any = None  # a job is cut by the seconds alone
    tasks = [Task(nothing, number, fold.method, fold.average_s if known else None) for number, fold in enumerate(queue)]
    return [
        Job(tuple(task.item for task in chunk), cores) for chunk in cut(tasks, CHUNK_S, MOST_JOBS, ARRAY_PARALLELISM)
    ]

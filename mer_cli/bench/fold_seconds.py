"""Measure how long this machine takes for a fold of each method, on drawn clips, from a few training steps.

On the processor, what counts is the processor's time, divided by the number of threads: other programs on the machine
make a fold take longer, but hardly change that. On a GPU it is the time that passes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mer_cli.bench.training import NO_ROWS, draw_windows
from mer_cli.engines.resumable import ignore_clip
from mer_cli.errors import ConfigError
from mer_cli.motion.cache import build_motion
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.store.hdf5 import read_store
from mer_cli.system.documents import read_json, short_repr
from mer_cli.training.batches import PairBatches
from mer_cli.training.drawn_store import write_drawn_store
from mer_cli.training.hardware import torch_threads
from mer_cli.training.inputs import Motion, MotionBatches, describe_clip
from mer_cli.training.loop import Batches, FoldTrainer

N_CLASSES = 5
N_SUBJECTS = 26
N_TRAINED = 240  # clips of a classical method's fold, and the most of a network's
TRAINED_PER_HELD_OUT = 25
MEASURED_S = 2.0  # of epochs, if one is not longer
MOST_EPOCHS = 30
MOST_S = 20.0  # after which no further fold of a method is measured


@dataclass(frozen=True)
class Pace:
    """The seconds of a fold: `pair_s` for each training clip in each epoch, and `start_s` once."""

    pair_s: float
    start_s: float = 0.0

    def fold_s(self, n_clips: int, epochs: int) -> float:
        """Return the seconds of a fold with `n_clips` training clips."""
        return self.start_s + self.pair_s * n_clips * epochs


class _Clock:
    """A clock that is started when it is made; on the processor it counts only this process's own time."""

    def __init__(self, device: str, n_threads: int | None = None) -> None:
        self.on_processor, self.n_threads = device == "cpu", n_threads or torch.get_num_threads()
        self.started, self.worked = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return the seconds since the start, and which part they are of the time that has passed."""
        passed = time.perf_counter() - self.started
        own = (time.process_time() - self.worked) / self.n_threads if self.on_processor else passed
        return min(own, passed), min(own / passed, 1.0)


def measure_pace(config: TrainConfig, repeats: int) -> Pace:
    """Return the pace of a method's folds; a network on motion computes on one thread, every other on all.

    Parameters
    ----------
    config : with its device decided
    repeats : number of folds that are measured after a first one, fewer if they are long; the median counts
    """
    with torch_threads(1) if config.method.sees_motion else nullcontext():
        return _of_network(config, repeats) if config.method.is_network else _of_classical(config, repeats)


def _of_network(config: TrainConfig, repeats: int) -> Pace:
    """Measure folds of as few clips as make a training step, and of a few epochs."""
    n_clips = min(config.batch_size, N_TRAINED)
    n_held_out = max(1, n_clips // TRAINED_PER_HELD_OUT)
    trainer = FoldTrainer(_drawn_batches(config, n_clips + n_held_out), N_CLASSES, config)
    rows, held_out = np.arange(n_clips), np.arange(n_clips, n_clips + n_held_out)

    def train(epochs: int) -> Pace:
        trainer.config = config.model_copy(update={"epochs": epochs, "decay_epochs": 0})
        clock = _Clock(config.device)
        trained = trainer.train_fold("bench", rows, rows % N_CLASSES, held_out, NO_ROWS, lambda epoch, loss: None)
        seconds, part = clock.read()
        of_epochs = part * sum(epoch["seconds"] for epoch in trained.history)
        return Pace(of_epochs / epochs / n_clips, max(0.0, seconds - of_epochs))

    started = time.monotonic()
    first = train(1)  # chooses kernels and fills memory
    epochs = int(np.clip(MEASURED_S / (first.pair_s * n_clips), 1, MOST_EPOCHS))
    paces = [train(epochs)]
    while len(paces) < repeats and time.monotonic() - started < MOST_S:
        paces.append(train(epochs))
    return Pace(
        statistics.median(pace.pair_s for pace in paces),
        statistics.median(pace.start_s for pace in paces),
    )


def _drawn_batches(config: TrainConfig, n_clips: int) -> Batches:
    """Return drawn clips as the network sees them."""
    sees, device = config.method.sees, torch.device(config.device)
    if not isinstance(sees, MotionInput):
        return PairBatches(draw_windows(n_clips), config, device)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((n_clips, sees.n_planes, sees.size, sees.size), dtype=np.float32)
    coded = {row: frozenset(rng.choice(sees.units, 2).tolist()) for row in range(n_clips)} if sees.units else None
    return MotionBatches(Motion(images, coded), sees, config, device)


def _of_classical(config: TrainConfig, repeats: int) -> Pace:
    """Measure folds of drawn vectors, which are as long as those of the descriptor."""
    from mer_cli.training.classical import ClassicalTrainer  # needs scikit-learn, which takes a second to import

    rng = np.random.default_rng(0)
    n_clips = N_TRAINED + N_TRAINED // TRAINED_PER_HELD_OUT
    rows = np.arange(n_clips)
    length = _vector_length(config)
    aims = rng.standard_normal((N_CLASSES, length))
    features = (aims[rows % N_CLASSES] + 3 * rng.standard_normal((n_clips, length))).astype(np.float32)
    trainer = ClassicalTrainer(features, [f"{row % N_SUBJECTS:02}" for row in rows], N_CLASSES, config)
    train, held_out = rows[:N_TRAINED], rows[N_TRAINED:]
    seconds = []
    for _ in range(repeats + 1):
        clock = _Clock("cpu", n_threads=1)
        trainer.train_fold("bench", train, train % N_CLASSES, held_out, NO_ROWS, lambda epoch, loss: None)
        seconds.append(clock.read()[0])
    return Pace(statistics.median(seconds[1:]) / N_TRAINED)


@cache
def _vector_length(config: TrainConfig) -> int:
    """Return the length of the vector that a descriptor computes from a clip."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.h5"
        write_drawn_store(path, n_subjects=1, n_classes=2)
        store = read_store(path)
        if config.method.sees.needs_flow(config.span):
            build_motion(store, config.flow, jobs=1, on_clip=ignore_clip, steps=config.steps)
        return len(describe_clip(store, config, store.clips.index[0]))


def read_paces(path: Path, methods: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Pace]]:
    """Return what `mer bench cluster --json` printed earlier: the facts about the machine, and its paces.

    Parameters
    ----------
    methods : names of the methods that must be there

    Raises
    ------
    ConfigError
        If the file can't be read, or was not written by that command.
    """
    wanted = "Expected what `mer bench cluster --json` prints."
    try:
        held = read_json(path)
        machine, told = held["machine"], held["paces"]
        paces = {name: Pace(float(told[name]["pair_s"]), float(told[name]["start_s"])) for name in methods}
        kind, threads, device = str(machine["kind"]), int(machine["threads"]), str(machine["device"])
    except OSError as error:
        raise ConfigError(f"--seconds {path}: can't be read ({error.strerror}). {wanted}") from None
    except KeyError as error:
        raise ConfigError(f"--seconds {path}: has no {error.args[0]}. {wanted}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"--seconds {path}: {short_repr(str(error))}. {wanted}") from None
    bad = [name for name, pace in paces.items() if not (0 < pace.pair_s < 1e6 and 0 <= pace.start_s < 1e6)]
    bad += [] if threads >= 1 else ["threads"]
    if bad:
        raise ConfigError(f"--seconds {path}: {bad[0]} is not a positive number. {wanted}")
    return machine | {"kind": kind, "threads": threads, "device": device}, paces

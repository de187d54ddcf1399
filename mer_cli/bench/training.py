"""A training step and an epoch, ours beside the plain ones, and beside the floor that the machine's ceilings set."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from mer_cli.bench.ceilings import Ceilings
from mer_cli.bench.floor import count_layers, floor_seconds, step_bytes, step_operations
from mer_cli.bench.ours import our_epoch, our_step
from mer_cli.bench.pictures import N_CLASSES
from mer_cli.bench.reference import reference_epoch, reference_step, write_clips
from mer_cli.bench.turns import Maker, take_turns
from mer_cli.training.config import TrainConfig
from mer_cli.training.hardware import can_compile

TRAINED, HELD_OUT = 240, 9  # clips of a fold of CASME II's 249


def bench_step(config: TrainConfig, repeats: int, ceilings: Ceilings) -> dict[str, float]:
    """A training step of `batch_size` pairs: plain, ours, and ours compiled where the machine can.

    Returns
    -------
    medians reference_s, ours_s, ratio; with a compiler compiled_s, compiled_ratio, and compile_s, what the first
    compiled step took; of the faster of ours clips_per_s, operations_per_s, bytes_per_s (the fewest that there can be);
    floor_s, and above_floor, how many times as long as that it takes
    """
    figures = _beside_each_other(reference_step, our_step, config, repeats)
    layers = count_layers(config.model, N_CLASSES, **config.network_options)
    floor = floor_seconds(layers, config.batch_size, config.precision, ceilings)
    best = min(figures["ours_s"], figures.get("compiled_s", figures["ours_s"]))
    return figures | {
        "clips_per_s": config.batch_size / best,
        "operations_per_s": step_operations(layers, config.batch_size) / best,
        "bytes_per_s": step_bytes(layers, config.batch_size, config.precision) / best,
        "floor_s": floor["floor_s"],
        "floor_operations_s": floor["operations_s"],
        "floor_bytes_s": floor["bytes_s"],
        "above_floor": best / floor["floor_s"],
    }


def bench_epoch(config: TrainConfig, repeats: int) -> dict[str, float]:
    """An epoch of 240 clips, data included: plain from JPEG files, ours from memory, held-out logits too."""
    ours = partial(our_epoch, n_clips=TRAINED, n_held_out=HELD_OUT)
    with tempfile.TemporaryDirectory() as folder:
        plain = partial(reference_epoch, folders=write_clips(Path(folder), TRAINED))
        return {"clips": TRAINED, **_beside_each_other(plain, ours, config, repeats)}


def _beside_each_other(plain: Maker, ours: Maker, config: TrainConfig, repeats: int) -> dict[str, float]:
    eager, compiled = (config.model_copy(update={"compile": how}) for how in ("off", "on"))
    makers: dict[str, tuple[Maker, TrainConfig]] = {"reference": (plain, eager), "ours": (ours, eager)}
    if can_compile(config.device):
        makers["compiled"] = (ours, compiled)
    seconds = take_turns(makers, repeats)
    figures = {f"{kind}_s": of_kind["median_s"] for kind, of_kind in seconds.items()}
    figures["ratio"] = figures["reference_s"] / figures["ours_s"]
    if "compiled" in seconds:
        figures["compiled_ratio"] = figures["reference_s"] / figures["compiled_s"]
        figures["compile_s"] = seconds["compiled"]["first_s"]
    return figures

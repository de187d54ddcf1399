"""Check a network on drawn inputs, before it is trained: what it sees and returns, and whether its scores will be fair.

All numbers are computed on the processor in float32, which gives the same bits every time. Memory and seconds are those
of the config's device.
"""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli.errors import MerError
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.methods import Method
from mer_cli.training.cost import count_saved, input_shapes
from mer_cli.training.finding import Finding, Mark, some_of, spell_bytes, tolerance_of
from mer_cli.training.hardware import memory_layout, set_up_device
from mer_cli.training.hidden_state import changed, lasting_state, own_state, unregistered
from mer_cli.training.inputs import Order
from mer_cli.training.loop import HELD_OUT_BATCH, Steps
from mer_cli.training.own_network import blamed_on_own_code, check_logits, check_loss, random_inputs

FEW = 8  # clips of a step whose numbers only have to exist
PASSES = 8  # backward passes in which every parameter must get a gradient; a layer may be skipped at random
STEPS_TO_LEARN, SECONDS_TO_LEARN = 30, 30.0
LEARNT = 0.98  # of the first loss, above which a loss counts as not falling
EPOCH_CLIPS = 145  # about the training clips of a fold of CASME II
SECONDS_TO_TIME = 5.0

Verdict = tuple[Mark, str]


def check_network(config: TrainConfig, n_classes: int) -> Iterator[Finding]:
    """Yield what each check of a network finds; the rest is left out if the network can't be run at all.

    Parameters
    ----------
    config : with device, precision and compile resolved
    """
    yield Finding("input", "ok", spell_input(config.method))
    yield Finding("settings", "ok", _spell_settings(config))
    plain = config.model_copy(update={"device": "cpu", "precision": "fp32", "compile": "off"})
    for name, check in CHECKS.items():
        used = config if name in OF_DEVICE else plain
        try:
            with blamed_on_own_code(config), _seeded(1):
                mark, text = check(used, n_classes)
        except MerError as error:
            mark, text = "FAILED", str(error)
        except torch.OutOfMemoryError as error:
            mark, text = "FAILED", f"the device ran out of memory: {str(error).splitlines()[0]} Lower --batch-size."
        except Exception as error:
            if not config.foreign:
                raise
            mark, text = "FAILED", f"{type(error).__name__}: {' '.join(str(error).split())}"
        yield Finding(name, mark, text)
        if name == "output" and mark == "FAILED":
            return


def spell_input(method: Method) -> str:
    """Return in words what a network sees, with the shapes of the arguments of `forward`."""
    sees, ((_, *image), *others) = method.sees, input_shapes(method, 1)
    shape = f"(B, {', '.join(map(str, image))}) float32"
    if not isinstance(sees, MotionInput):
        return f"onset and apex, each {shape}"
    graph = f", and the graph of {len(sees.units)} action units, {others[0]}" if others else ""
    return f"{', '.join(sees.channels)}: an image, {shape}{graph}"


def _spell_settings(config: TrainConfig) -> str:
    return (
        f"recipe {config.recipe}: {config.optimiser}, learning rate {config.learning_rate:g}, weight decay "
        f"{config.weight_decay:g}, batch of {config.batch_size}, {config.epochs} epochs"
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all generators as a fold does, and restore them at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            _seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _other_generators() -> str:
    """Return the state of Python's and of numpy's generator as text."""
    return f"{random.getstate()} {pickle.dumps(np.random.get_state())!r}"


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class _Drawn:
    """Drawn clips of a network (a `loop.Batches`); those of a class have a pattern in common, so it can be learnt.

    Drawn with a generator of their own: what a network draws does not change them.
    """

    def __init__(self, config: TrainConfig, n_clips: int, n_classes: int) -> None:
        self.device = torch.device(config.device)
        sees, self.labels = config.method.sees, torch.arange(n_clips) % n_classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            inputs = random_inputs(config.method, n_clips)
            n_shared = 1 if isinstance(sees, MotionInput) and sees.units else 0
            seen = inputs[: len(inputs) - n_shared]
            coarse = torch.randn(n_classes, seen[-1].shape[1], 4, 4)
        seen[-1] += F.interpolate(coarse, seen[-1].shape[2:], mode="bilinear")[self.labels]
        self.seen = [held.to(self.device) for held in seen]
        self.shared = [held.to(self.device) for held in inputs[len(seen) :]]
        self.labels = self.labels.to(self.device)

    def __len__(self) -> int:
        return len(self.labels)

    def start_fold(self, train_rows: NDArray[np.int64]) -> None: ...

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Order:
        return Order(torch.from_numpy(rows).to(self.device))

    def training_batch(self, draw: Order, batch: slice | Tensor) -> tuple[Tensor, ...]:
        return self.plain_batch(draw.row[batch])

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]:
        return (*(held[rows] for held in self.seen), *self.shared)


class _Trial:
    """A fresh network with drawn clips, all of which make one batch."""

    def __init__(self, config: TrainConfig, n_classes: int, n_clips: int) -> None:
        config = config.model_copy(update={"batch_size": n_clips})
        self.code, self.n_classes = config.method.code, n_classes
        self.clips = _Drawn(config, n_clips, n_classes)
        self.rows = torch.arange(n_clips, device=self.clips.device)
        network = config.method.build(n_classes, **config.network_options)
        self.network: nn.Module = network.to(self.clips.device).to(memory_format=memory_layout(config))
        self.steps = (
            Steps(self.network, self.clips, n_classes, config) if any(True for _ in network.parameters()) else None
        )

    def logits(self, n_clips: int) -> Tensor:
        """Return the logits of the first clips, checked, in the mode that the network is in."""
        found = self.network(*self.clips.plain_batch(self.rows[:n_clips]))
        return check_logits(found, n_clips, self.n_classes, self.code)

    def train(self, n_steps: int) -> list[float]:
        """Train some steps on all clips; return the loss of each."""
        assert self.steps is not None  # `_output` refuses a network without parameters
        return [float(self.steps.train_epoch(Order(self.rows), self.clips.labels)) for _ in range(n_steps)]

    def loss(self) -> Tensor:
        """Return the loss of all clips, checked."""
        assert self.steps is not None
        return check_loss(self.steps.loss(self.logits(len(self.rows)).float(), self.clips.labels), self.code)

    @torch.no_grad()
    def plain_logits(self, n_clips: int) -> NDArray[np.float32]:
        """Return the logits of the first clips in eval mode, as held-out clips get them."""
        self.network.eval()
        logits: NDArray[np.float32] = self.logits(n_clips).float().cpu().numpy()
        return logits


def _output(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, FEW)
    logits = trial.logits(FEW)
    if trial.steps is None:
        return "FAILED", "the network has no parameters to train. Assign its layers in __init__."
    return "ok", f"{tuple(logits.shape)} {str(logits.dtype).removeprefix('torch.')}: logits of {FEW} clips"


def _parameters(config: TrainConfig, n_classes: int) -> Verdict:
    network = _Trial(config, n_classes, 1).network
    if hidden := unregistered(network):
        return "FAILED", (
            f"{some_of(hidden)}: weights in a plain list or dict, which are never trained. Use nn.ModuleList, "
            "nn.ModuleDict or nn.ParameterList."
        )
    n_trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    n_frozen = sum(each.numel() for each in network.parameters() if not each.requires_grad)
    size = spell_bytes(sum(tensor.nbytes for tensor in network.state_dict().values()))
    return "ok", f"{n_trained:,} trained{f', {n_frozen:,} frozen' if n_frozen else ''}; the state dict has {size}"


def _gradients(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, FEW)
    trained = {name: each for name, each in trial.network.named_parameters() if each.requires_grad}
    lacking = list(trained)
    for _ in range(PASSES if lacking else 0):
        trial.loss().backward()
        lacking = [name for name in lacking if trained[name].grad is None]
        if not lacking:
            break
    broken = [name for name, each in trained.items() if each.grad is not None and not each.grad.isfinite().all()]
    if lacking:
        return "FAILED", f"{some_of(lacking)}: no gradient, so never trained. Use it in forward, or delete it."
    if broken:
        return "FAILED", f"{some_of(broken)}: the gradient is not finite."
    return "ok", f"every parameter has one ({len(trained)} tensors)"


def _one_clip(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, 1)
    try:
        trial.train(1)
    except ValueError as error:  # BatchNorm's
        return "warning", (
            f"a training batch of one clip fails: {error}. A fold would end with an error if the last batch has one "
            "clip; choose another --batch-size then."
        )
    return "ok", "a training batch of one clip works"


def _alone(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, HELD_OUT_BATCH)
    trial.train(1)
    together = trial.plain_logits(HELD_OUT_BATCH)
    tolerance = tolerance_of(together)
    drift = float(np.abs(trial.plain_logits(HELD_OUT_BATCH) - together).max())
    if drift > tolerance:
        return "FAILED", (
            f"in eval mode two passes over the same clips differ by up to {drift:.2g}: something random stays on. Say "
            "F.dropout(x, training=self.training), or use nn.Dropout."
        )
    alone = trial.plain_logits(1)
    difference = float(np.abs(alone - together[:1]).max())
    if difference > tolerance:
        return "FAILED", (
            f"a clip's logits differ by {difference:.2g} between alone and in a batch of {HELD_OUT_BATCH}: in eval "
            "mode the network looks at the other clips of the batch, which are test clips. Normalise by no mean over "
            "the batch, and let BatchNorm follow eval()."
        )
    return "ok", f"a clip's logits alone are those in a batch of {HELD_OUT_BATCH} (largest difference {difference:.1g})"


def _repeated(config: TrainConfig, n_classes: int) -> Verdict:
    states = []
    for _ in range(2):
        _seed(1)
        trial = _Trial(config, n_classes, FEW)
        trial.train(2)
        states.append({name: each.numpy(force=True).tobytes() for name, each in trial.network.state_dict().items()})
    differing = [name for name, each in states[0].items() if states[1][name] != each]
    if differing:
        return "FAILED", (
            f"{some_of(differing)}: other bits after two steps with the same seed. Draw random numbers from torch's, "
            "numpy's or Python's global generator, which mer seeds for every fold, and use no hash() of a text."
        )
    return "ok", "the same seed gives the same bits after two steps"


def _state(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, FEW)
    before, lasting = own_state(trial.network), lasting_state(trial.network)
    drawn = _other_generators()
    trial.train(2)
    draws = drawn != _other_generators()
    trial.plain_logits(FEW)
    outlives = changed(lasting, lasting_state(trial.network))
    kept = changed(before, own_state(trial.network))
    is_claimed = config.foreign is None or config.foreign.keeps_no_state
    if outlives:
        return "FAILED", (
            f"{some_of(outlives)}: changed by training, and kept for the next fold, which then depends on the folds "
            "before it. Keep it in the module: self.NAME."
        )
    if kept and is_claimed:
        return "FAILED", (
            f"{some_of(kept)}: changed by training, and not in the state dict, but the class says KEEPS_NO_STATE = "
            "True. Take that back, or use register_buffer."
        )
    if draws and config.foreign and is_claimed:
        return "FAILED", (
            "draws from Python's or numpy's generator while it trains, but the class says KEEPS_NO_STATE = True: on a "
            "GPU its steps are then captured, and would repeat what was drawn once. Take that back, or draw with torch."
        )
    if kept:
        return "note", f"{some_of(kept)}: changed by training, and not in the state dict. Each fold has a fresh module."
    advice = "" if is_claimed else ". KEEPS_NO_STATE = True in the class would let one module serve all folds"
    return "ok", f"none outside the state dict{advice}"


def _loss(config: TrainConfig, n_classes: int) -> Verdict:
    trial = _Trial(config, n_classes, 4 * n_classes)
    started, losses = time.monotonic(), trial.train(2)
    while len(losses) < STEPS_TO_LEARN and time.monotonic() - started < SECONDS_TO_LEARN:
        losses += trial.train(1)
    n_steps, n_clips = len(losses), 4 * n_classes
    if not np.isfinite([*losses, *trial.plain_logits(1).ravel()]).all():
        return "FAILED", f"not finite within {n_steps} steps. Lower the learning rate, or correct the loss."
    text = f"{losses[0]:.3f} to {losses[-1]:.3f} in {n_steps} steps on {n_clips} drawn clips, logits finite"
    if n_steps == STEPS_TO_LEARN and losses[-1] > LEARNT * losses[0]:
        return "warning", f"{text}: it hardly falls. Look at the loss, or at the learning rate."
    return "ok", text


def _memory(config: TrainConfig, n_classes: int) -> Verdict:
    saved = count_saved(config.method, n_classes, **config.network_options) * config.batch_size
    n_parameters = sum(each.numel() for each in config.method.build(n_classes, **config.network_options).parameters())
    return "ok", (
        f"{spell_bytes(saved + 16 * n_parameters)} for a training step of {config.batch_size} clips: "
        f"{spell_bytes(saved)} of activations, {spell_bytes(16 * n_parameters)} of weights, gradients and optimiser"
    )


def _seconds(config: TrainConfig, n_classes: int) -> Verdict:
    set_up_device(config)
    trial = _Trial(config, n_classes, config.batch_size)
    trial.train(1)  # chooses kernels
    times: list[float] = []
    while len(times) < 5 and sum(times) < SECONDS_TO_TIME:
        started = time.perf_counter()
        trial.train(1)  # reads the loss, so it waits for the device
        times.append(time.perf_counter() - started)
    step = sorted(times)[len(times) // 2]
    epoch = step * EPOCH_CLIPS / config.batch_size
    return "ok", (
        f"{step:.2g} s for a training step of {config.batch_size} clips, so {epoch:.2g} s for an epoch of "
        f"{EPOCH_CLIPS}; on this machine ({config.device}, {config.precision})"
    )


CHECKS: dict[str, Callable[[TrainConfig, int], Verdict]] = {
    "output": _output,
    "parameters": _parameters,
    "gradients": _gradients,
    "one clip": _one_clip,
    "test batch": _alone,
    "seed": _repeated,
    "state": _state,
    "loss": _loss,
    "memory": _memory,
    "seconds": _seconds,
}
OF_DEVICE = ("memory", "seconds")

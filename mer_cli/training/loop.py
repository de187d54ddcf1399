"""Train a fold epoch by epoch, and keep the logits of its held-out clips after every epoch.

A fold is a pure function of its training clips, their classes, the config and the held-out subject. Of the held-out and
the inner clips only the images are used.

Everything stays on the device. On a GPU every step replays a captured one (`captured`). Only the step of a full batch
is compiled: it has the same shape in every epoch and fold, while the last partial batch differs from fold to fold. A
GPU computes an epoch while the processor queues the next one, and reading a loss would wait for everything in the
queue. So each loss is copied to the processor's memory and read one epoch late.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli.runs.config import TrainConfig
from mer_cli.runs.folds import Stream, fold_seed
from mer_cli.training.captured import CapturedSteps
from mer_cli.training.hardware import memory_layout, set_up_device
from mer_cli.training.own_network import check_logits, check_loss
from mer_cli.training.targets import loss_of


class EpochLog:
    """A log of the average loss and the seconds of each epoch of a fold.

    Parameters
    ----------
    on_epoch : called with the number of finished epochs and the last epoch's average loss; on a GPU an epoch late
    """

    def __init__(self, n_epochs: int, device: torch.device, on_epoch: Callable[[int, float], None]) -> None:
        self.on_gpu = device.type == "cuda"
        self.losses = torch.zeros(n_epochs, pin_memory=self.on_gpu)
        self.on_epoch = on_epoch
        self.computed: list[torch.cuda.Event] = []  # one for each epoch that is queued
        self.n_queued = 0
        self.ends = [time.monotonic()]

    def add(self, loss: Tensor) -> None:
        """Add the average loss of the next epoch, a scalar on the device."""
        self.losses[self.n_queued].copy_(loss, non_blocking=True)
        self.n_queued += 1
        if self.on_gpu:
            self.computed.append(torch.cuda.Event())
            self.computed[-1].record()
        if not self.on_gpu or self.n_queued > 1:
            self._tell()

    def read(self) -> list[tuple[float, float]]:
        """Return (average loss, seconds) of every epoch; wait until the last epoch is computed."""
        while len(self.ends) <= self.n_queued:
            self._tell()
        seconds = [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]
        return list(zip(self.losses.tolist(), seconds, strict=True))

    def _tell(self) -> None:
        epoch = len(self.ends)
        if self.on_gpu:
            self.computed[epoch - 1].synchronize()
        self.ends.append(time.monotonic())
        self.on_epoch(epoch, float(self.losses[epoch - 1]))


SGD_MOMENTUM = 0.9
HELD_OUT_BATCH = 64  # pairs in a forward pass without gradients; changes memory and no number


class Batches(Protocol):
    """All clips of a run in the device's memory, from which the inputs of a network are made."""

    device: torch.device

    def __len__(self) -> int: ...

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Prepare the clips for a fold that trains on `train_rows`; tensors on the device keep their addresses."""

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        """Return an epoch's random choices: tensors with an entry for each clip; `row` is the clips' order."""

    def training_batch(self, draw: Any, batch: slice | Tensor) -> tuple[Tensor, ...]:
        """Return the network's inputs for some clips of a draw; `batch` is a slice of the draw or (B,) positions."""

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]: ...


class Steps:
    """The training steps of one network for all folds, with the optimiser, the precision and the compiled network."""

    def __init__(self, network: nn.Module, batches: Batches, n_classes: int, config: TrainConfig) -> None:
        self.network, self.batches, self.n_classes, self.config = network, batches, n_classes, config
        self.on_gpu = batches.device.type == "cuda"
        foreign = config.foreign
        # The steps of your own network can only be captured if one module serves all folds.
        self.is_captured = self.on_gpu and (foreign is None or foreign.keeps_no_state)
        self.layout = memory_layout(config)
        # Full batches have one shape and share one compiled graph; the last partial batch is not compiled.
        self.full_batch_network: Callable[..., Tensor] = network
        self.full_batch: Callable[..., tuple[Tensor, ...]] = batches.training_batch
        if config.compile == "on":
            self.full_batch_network = torch.compile(network, dynamic=False)
        if config.compile == "on" and self.on_gpu:  # there, making the images is a ninth of the step
            self.full_batch = torch.compile(batches.training_batch, dynamic=False)
        self.loss = loss_of(config, network)
        self.optimiser = self._new_optimiser()
        self.captured: CapturedSteps | None = None

    def prepare(self, n_clips: int) -> None:
        """Capture the steps of an epoch of `n_clips` clips on a GPU (`captured`); the weights are useless after."""
        if not self.is_captured:
            return
        full = self.config.batch_size
        if self.captured is None:
            draw = self.batches.draw_epoch(np.arange(1), np.random.default_rng(0))
            self.captured = CapturedSteps(self._step, draw, len(self.batches))
        self.network.train()
        for size in {min(full, n_clips), n_clips % full} - {0}:
            tries_kernels = size == full and not self.config.deterministic
            self.captured.capture(size, tries_kernels=tries_kernels)

    def start_fold(self) -> None:
        """Reset the optimiser's state to zero, in place because captured steps use its addresses."""
        for state in self.optimiser.state.values():
            for held in state.values():
                held.zero_()

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):  # which a captured step reads
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def train_epoch(self, draw: Any, labels: Tensor) -> Tensor:
        """Train on all clips of a draw, including the last partial batch; return the average loss, on the device.

        Parameters
        ----------
        labels : (n,) int64, classes of the clips in the order of the draw, or masks of their action units
        """
        self.network.train()
        n_clips, size = len(labels), self.config.batch_size
        if self.captured is not None:
            return self.captured.replay(draw, labels, size) / n_clips
        loss_sum = torch.zeros((), device=self.batches.device)
        for start in range(0, n_clips, size):
            batch = slice(start, start + size)
            loss_sum += self._step(draw, batch, labels[batch])
        return loss_sum / n_clips

    @torch.no_grad()
    def plain_logits(self, rows: Tensor) -> Tensor:
        """Return logits of the clips in `rows`, (rows, classes) float32, not augmented, BatchNorm in eval mode."""
        self.network.eval()
        parts = [torch.empty(0, self.n_classes, device=self.batches.device)]
        for start in range(0, len(rows), HELD_OUT_BATCH):
            inputs = self.batches.plain_batch(rows[start : start + HELD_OUT_BATCH])
            with self._autocast():
                output = self._checked(self.network(*self._laid_out(inputs)), len(inputs[0]))
            parts.append(output.float())
        return torch.cat(parts)

    def _step(self, draw: Any, batch: slice | Tensor, labels: Tensor) -> Tensor:
        """Train one step; return the sum of the clips' losses."""
        if len(labels) == self.config.batch_size:
            inputs, run = self.full_batch(draw, batch), self.full_batch_network
        else:
            inputs, run = self.batches.training_batch(draw, batch), self.network
        with self._autocast():
            output = self._checked(run(*self._laid_out(inputs)), len(labels))
        loss = self.loss(output.float(), labels)
        if self.config.foreign:
            check_loss(loss, self.config.foreign.code)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach() * len(labels)

    def _checked(self, output: Tensor, n_clips: int) -> Tensor:
        """Return what the network returned; refuse a wrong shape of your own network's, whatever the batch."""
        foreign = self.config.foreign
        return check_logits(output, n_clips, self.n_classes, foreign.code) if foreign else output

    def _laid_out(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Bring images, but not a graph of action units, into the memory layout of the weights."""
        return [held.contiguous(memory_format=self.layout) if held.ndim == 4 else held for held in inputs]

    def _new_optimiser(self) -> torch.optim.Optimizer:
        """Make the optimiser of all parameters; BatchNorm, biases and position embedding decay too, as released."""
        config, parameters = self.config, self.network.parameters()
        rate: Any = config.learning_rate
        if self.is_captured:
            rate = torch.tensor(rate, device=self.batches.device)
        if config.optimiser == "sgd":
            return torch.optim.SGD(
                parameters, lr=rate, momentum=SGD_MOMENTUM, weight_decay=config.weight_decay, fused=True
            )
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        return kind(parameters, lr=rate, weight_decay=config.weight_decay, fused=True, capturable=self.is_captured)

    def _autocast(self) -> Any:
        return torch.autocast(self.batches.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")


@dataclass(frozen=True)
class TrainedFold:
    """The results of training a fold.

    logits : (epochs, held-out clips, classes) float32 · inner_logits : the same for the inner clips
    history : average training loss, learning rate and seconds of each epoch
    weights : the network's state dict after the last epoch, on the CPU
    """

    logits: NDArray[np.float32]
    inner_logits: NDArray[np.float32]
    history: list[dict[str, float]]
    weights: dict[str, Tensor]


def _copied(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU; tied weights share memory, which can't be written."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


class FoldTrainer:
    """A trainer of all folds of a run, with one network, compiled at most once and re-initialised for each fold.

    Your own network may keep state outside its state dict, such as a counter, so each fold gets a fresh module, unless
    the class says that it keeps none.

    Parameters
    ----------
    initial : weights that every fold starts from, by name; those of other names are drawn
    """

    def __init__(
        self, batches: Batches, n_classes: int, config: TrainConfig, initial: Mapping[str, Tensor] | None = None
    ) -> None:
        self.batches, self.initial = batches, initial or {}
        self.n_classes = n_classes
        self.config = config
        set_up_device(config)
        self.steps = self._steps_of(config.method.build(n_classes, **config.network_options))

    def _steps_of(self, network: nn.Module) -> Steps:
        network = network.to(self.batches.device).to(memory_format=memory_layout(self.config))
        return Steps(network, self.batches, self.n_classes, self.config)

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: NDArray[np.int64],
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold:
        """Train a fold from fresh weights; after every epoch compute the logits of its held-out and inner clips.

        Parameters
        ----------
        fold_id : decides the random streams, together with the seed
        train_rows, train_labels : (n,) rows of the training clips in the batches, and their classes (or action units)
        test_rows, inner_rows : (m,), (k,) rows of the held-out and of the inner clips; both may be empty
        on_epoch : called with the number of finished epochs and the average training loss of the last epoch
        """
        config, batches = self.config, self.batches
        self._start_fold(fold_id, len(train_rows))
        steps = self.steps
        batches.start_fold(train_rows)
        rng = np.random.default_rng(fold_seed(config.seed, fold_id, "draws"))
        label_of_row = torch.zeros(len(batches), dtype=torch.int64)
        label_of_row[torch.from_numpy(train_rows)] = torch.from_numpy(train_labels)
        label_of_row = label_of_row.to(batches.device)
        held_out, inner = (torch.from_numpy(rows).to(batches.device) for rows in (test_rows, inner_rows))

        log = EpochLog(config.epochs, batches.device, on_epoch)
        logits: list[Tensor] = []
        inner_logits: list[Tensor] = []
        for epoch in range(config.epochs):
            steps.set_learning_rate(config.learning_rate_in(epoch))
            draw = batches.draw_epoch(train_rows, rng)
            loss = steps.train_epoch(draw, label_of_row[draw.row])
            logits.append(steps.plain_logits(held_out))
            inner_logits.append(steps.plain_logits(inner))
            log.add(loss)
        history = [
            {"loss": loss, "learning_rate": config.learning_rate_in(epoch), "seconds": seconds}
            for epoch, (loss, seconds) in enumerate(log.read())
        ]
        state = steps.network.state_dict()
        weights = {name: _copied(tensor) for name, tensor in state.items()}
        held_out_logits, logits_of_inner = (torch.stack(of_clips).cpu().numpy() for of_clips in (logits, inner_logits))
        return TrainedFold(held_out_logits, logits_of_inner, history, weights)

    def _torch_seed(self, fold_id: str, stream: Stream) -> int:
        return int(np.random.SeedSequence(fold_seed(self.config.seed, fold_id, stream)).generate_state(1)[0])

    def _start_fold(self, fold_id: str, n_train: int) -> None:
        """Set the weights to start from, in place if one module serves all folds; seed what is drawn while training."""
        foreign = self.config.foreign
        is_shared = foreign is None or foreign.keeps_no_state
        if is_shared:
            self.steps.prepare(n_train)
        seed = self._torch_seed(fold_id, "weights")
        if foreign:  # built-in networks draw from torch's generator only
            random.seed(seed)
            np.random.seed(seed)
        with torch.random.fork_rng(devices=[]):  # drawn on the CPU, so that weights are the same on every device
            torch.manual_seed(seed)
            fresh = self.config.method.build(self.n_classes, **self.config.network_options)
        if self.initial:
            fresh.load_state_dict(fresh.state_dict() | self.initial)
        if is_shared:
            self.steps.network.load_state_dict(fresh.state_dict())
        else:
            del self.steps  # network and optimiser of the fold before: a GPU may not have room for two
            self.steps = self._steps_of(fresh)
        torch.manual_seed(self._torch_seed(fold_id, "dropout"))  # stochastic depth draws from the same generator
        self.steps.start_fold()

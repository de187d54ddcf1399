"""Takes a network and an epoch's draw, trains the network on it batch by batch; everything stays on the device.

On a GPU every step is the replay of a captured one (`captured`). Only the step of a full batch is compiled: it has one
shape in every epoch and every fold, while the last partial batch differs from fold to fold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli.training.captured import CapturedSteps
from mer_cli.training.config import TrainConfig
from mer_cli.training.hardware import memory_layout

SGD_MOMENTUM = 0.9
HELD_OUT_BATCH = 64  # pairs in a forward pass without gradients; moves no number, only memory


class Batches(Protocol):
    """All clips of a run on the device, and how the inputs of the network are made from them."""

    device: torch.device

    def __len__(self) -> int: ...

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Told the training clips of a fold before it begins; what is on the device stays where it is."""

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        """What is random in an epoch: a tensor with an entry for each clip in every field; `row` is their order."""

    def training_batch(self, draw: Any, batch: slice | Tensor) -> tuple[Tensor, ...]:
        """The clips of the draw that `batch` takes, a slice or (B,) int64."""

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]: ...


class Steps:
    """The steps of one network: its optimiser, its precision, and its one compiled form for all folds."""

    def __init__(self, network: nn.Module, batches: Batches, n_classes: int, config: TrainConfig) -> None:
        self.network, self.batches, self.n_classes, self.config = network, batches, n_classes, config
        self.on_gpu = batches.device.type == "cuda"
        self.layout = memory_layout(config)
        # Full batches have one shape, so one compiled graph serves them; the last partial one runs as it is.
        self.full_batch_network: Callable[..., Tensor] = network
        self.full_batch: Callable[..., tuple[Tensor, ...]] = batches.training_batch
        if config.compile == "on":
            self.full_batch_network = torch.compile(network, dynamic=False)
        if config.compile == "on" and self.on_gpu:  # where making the pictures is a ninth of the step
            self.full_batch = torch.compile(batches.training_batch, dynamic=False)
        self.optimiser = self._new_optimiser()
        self.captured: CapturedSteps | None = None

    def prepare(self, n_clips: int) -> None:
        """Captures, on a GPU, the steps that an epoch of `n_clips` takes; the weights are of no use afterwards."""
        if not self.on_gpu:
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
        """An optimiser that has seen nothing, in the memory of the one before."""
        for state in self.optimiser.state.values():
            for held in state.values():
                held.zero_()

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):  # a captured step reads it from there
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def train_epoch(self, draw: Any, labels: Tensor) -> Tensor:
        """Trains on all clips of the draw, the last partial batch included.

        Parameters
        ----------
        labels : (n,) int64, classes of the clips in the order of the draw

        Returns
        -------
        mean loss, a scalar that stays on the device
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
        """(rows, classes) float32, with BatchNorm's running statistics; the rows' pictures are not augmented."""
        self.network.eval()
        parts = [torch.empty(0, self.n_classes, device=self.batches.device)]
        for start in range(0, len(rows), HELD_OUT_BATCH):
            inputs = self.batches.plain_batch(rows[start : start + HELD_OUT_BATCH])
            with self._autocast():
                parts.append(self.network(*self._laid_out(inputs)).float())
        return torch.cat(parts)

    def _step(self, draw: Any, batch: slice | Tensor, labels: Tensor) -> Tensor:
        """One step; gives the sum of the clips' losses."""
        if len(labels) == self.config.batch_size:
            inputs, run = self.full_batch(draw, batch), self.full_batch_network
        else:
            inputs, run = self.batches.training_batch(draw, batch), self.network
        with self._autocast():
            output = run(*self._laid_out(inputs))
        loss = F.cross_entropy(output.float(), labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach() * len(labels)

    def _laid_out(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Pictures in the memory layout of the weights; a graph of action units is none."""
        return [held.contiguous(memory_format=self.layout) if held.ndim == 4 else held for held in inputs]

    def _new_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser over every parameter, BatchNorm, biases and position embedding included, as released."""
        config, parameters = self.config, self.network.parameters()
        rate: Any = config.learning_rate
        if self.on_gpu:
            rate = torch.tensor(rate, device=self.batches.device)
        if config.optimiser == "sgd":
            return torch.optim.SGD(
                parameters, lr=rate, momentum=SGD_MOMENTUM, weight_decay=config.weight_decay, fused=True
            )
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        return kind(parameters, lr=rate, weight_decay=config.weight_decay, fused=True, capturable=self.on_gpu)

    def _autocast(self) -> Any:
        return torch.autocast(self.batches.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

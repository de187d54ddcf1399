"""Takes a fold, gives its held-out logits after every epoch and its last weights. The training loop, in its order.

A fold is a pure function of its training clips, their classes, the config and the held-out subject. The held-out
and the inner clips come in as pictures only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.models import build_model
from mer_cli.training.config import TrainConfig
from mer_cli.training.streams import Stream, fold_seed

SGD_MOMENTUM = 0.9
HELD_OUT_BATCH = 64  # pairs in a forward pass without gradients; moves no number, only memory


@dataclass(frozen=True)
class TrainedFold:
    """What a fold leaves behind.

    logits : (epochs, held-out clips, classes) float32 · inner_logits : the same of the inner clips
    history : for each epoch its mean training loss, learning rate and seconds
    weights : the network's last state dict, on the CPU
    """

    logits: NDArray[np.float32]
    inner_logits: NDArray[np.float32]
    history: list[dict[str, float]]
    weights: dict[str, Tensor]


class Batches(Protocol):
    """All clips of a run on the device, and how the inputs of the network are made from them."""

    device: torch.device

    def __len__(self) -> int: ...

    def start_fold(self, train_rows: NDArray[np.int64]) -> None:
        """Told the training clips of a fold before it begins."""

    def draw_epoch(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        """What is random in an epoch; `row` of it, (n,) int64, is the order of the clips."""

    def training_batch(self, draw: Any, batch: slice) -> tuple[Tensor, ...]: ...

    def plain_batch(self, rows: Tensor) -> tuple[Tensor, ...]: ...


class FoldTrainer:
    """One network on the device, compiled at most once, re-initialised in place for every fold."""

    def __init__(self, batches: Batches, n_classes: int, config: TrainConfig) -> None:
        self.batches = batches
        self.n_classes = n_classes
        self.config = config
        if config.precision == "fp32":  # by default CUDA convolutions of float32 compute in the shorter TF32
            torch.backends.cudnn.allow_tf32 = False
        self.network = (
            build_model(config.model, n_classes, **config.network_options)
            .to(batches.device)
            .to(memory_format=torch.channels_last)
        )
        # Full batches have one shape, so one compiled graph serves them; the last partial one runs as it is.
        self.full_batch_network = torch.compile(self.network, dynamic=False) if config.compile == "on" else self.network

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: NDArray[np.int64],
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold:
        """Trains one fold from fresh weights.

        Parameters
        ----------
        fold_id : names the random streams, together with the seed
        train_rows, train_labels : (n,) rows of the training clips in the windows, and their classes
        test_rows, inner_rows : (m,), (k,) rows of the held-out and of the inner clips, of which there may be none
        on_epoch : told the number of epochs done and the last one's mean training loss
        """
        config, batches, network = self.config, self.batches, self.network
        self._initialise(self._torch_seed(fold_id, "weights"))
        torch.manual_seed(self._torch_seed(fold_id, "dropout"))  # stochastic depth draws from the same generator
        batches.start_fold(train_rows)
        rng = np.random.default_rng(fold_seed(config.seed, fold_id, "draws"))
        optimiser = self.new_optimiser()
        label_of_row = torch.zeros(len(batches), dtype=torch.int64)
        label_of_row[torch.from_numpy(train_rows)] = torch.from_numpy(train_labels)
        label_of_row = label_of_row.to(batches.device)
        held_out, inner = (torch.from_numpy(rows).to(batches.device) for rows in (test_rows, inner_rows))

        history: list[dict[str, float]] = []
        logits: list[Tensor] = []
        inner_logits: list[Tensor] = []
        for epoch in range(config.epochs):
            started = time.monotonic()
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate_in(epoch)
            draw = batches.draw_epoch(train_rows, rng)
            network.train()
            loss_sum = torch.zeros((), device=batches.device)
            for start in range(0, len(train_rows), config.batch_size):
                batch = slice(start, start + config.batch_size)
                labels = label_of_row[draw.row[batch]]
                loss_sum += self.train_step(optimiser, draw, batch, labels) * len(labels)
            logits.append(self._plain_logits(held_out))
            inner_logits.append(self._plain_logits(inner))
            loss_mean = float(loss_sum) / len(train_rows)  # the one host sync of an epoch
            history.append(
                {
                    "loss": loss_mean,
                    "learning_rate": config.learning_rate_in(epoch),
                    "seconds": time.monotonic() - started,
                }
            )
            on_epoch(epoch + 1, loss_mean)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        held_out_logits, logits_of_inner = (torch.stack(of_clips).cpu().numpy() for of_clips in (logits, inner_logits))
        return TrainedFold(held_out_logits, logits_of_inner, history, weights)

    def new_optimiser(self) -> torch.optim.Optimizer:
        """The optimiser over every parameter, BatchNorm, biases and position embedding included, as released."""
        config, parameters = self.config, self.network.parameters()
        rate, decay = config.learning_rate, config.weight_decay
        if config.optimiser == "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=SGD_MOMENTUM, weight_decay=decay, fused=True)
        kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
        return kind(parameters, lr=rate, weight_decay=decay, fused=True)

    def train_step(self, optimiser: torch.optim.Optimizer, draw: Any, batch: slice, labels: Tensor) -> Tensor:
        """One step on the drawn clips `batch`; gives their mean loss, a scalar that stays on the device."""
        inputs = self.batches.training_batch(draw, batch)
        run = self.full_batch_network if len(labels) == self.config.batch_size else self.network
        with self._autocast():
            output = run(*inputs)
        loss = F.cross_entropy(output.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def _plain_logits(self, rows: Tensor) -> Tensor:
        """(rows, classes) float32, with BatchNorm's running statistics."""
        self.network.eval()
        parts = [torch.empty(0, self.n_classes, device=self.batches.device)]
        for start in range(0, len(rows), HELD_OUT_BATCH):
            inputs = self.batches.plain_batch(rows[start : start + HELD_OUT_BATCH])
            with self._autocast():
                parts.append(self.network(*inputs).float())
        return torch.cat(parts)

    def _torch_seed(self, fold_id: str, stream: Stream) -> int:
        return int(np.random.SeedSequence(fold_seed(self.config.seed, fold_id, stream)).generate_state(1)[0])

    def _initialise(self, seed: int) -> None:
        """Fresh weights in place: drawn on the CPU, so that the device does not move them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = build_model(self.config.model, self.n_classes, **self.config.network_options)
        self.network.load_state_dict(fresh.state_dict())

    def _autocast(self) -> Any:
        return torch.autocast(self.batches.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

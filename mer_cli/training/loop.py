"""Takes a fold, gives its held-out logits after every epoch and its last weights. The training loop, in its order.

A fold is a pure function of its training clips, their classes, the config and the held-out subject. The held-out
and the inner clips come in as pictures only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mer_cli.models import build_model
from mer_cli.training.config import TrainConfig
from mer_cli.training.epoch_log import EpochLog
from mer_cli.training.hardware import memory_layout, set_up_device
from mer_cli.training.steps import Batches, Steps
from mer_cli.training.streams import Stream, fold_seed


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


class FoldTrainer:
    """One network on the device, compiled at most once, re-initialised in place for every fold."""

    def __init__(self, batches: Batches, n_classes: int, config: TrainConfig) -> None:
        self.batches = batches
        self.n_classes = n_classes
        self.config = config
        set_up_device(config)
        self.network = (
            build_model(config.model, n_classes, **config.network_options)
            .to(batches.device)
            .to(memory_format=memory_layout(config))
        )
        self.steps = Steps(self.network, batches, n_classes, config)

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
        config, batches, steps = self.config, self.batches, self.steps
        steps.prepare(len(train_rows))
        self._initialise(self._torch_seed(fold_id, "weights"))
        torch.manual_seed(self._torch_seed(fold_id, "dropout"))  # stochastic depth draws from the same generator
        steps.start_fold()
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
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        held_out_logits, logits_of_inner = (torch.stack(of_clips).cpu().numpy() for of_clips in (logits, inner_logits))
        return TrainedFold(held_out_logits, logits_of_inner, history, weights)

    def _torch_seed(self, fold_id: str, stream: Stream) -> int:
        return int(np.random.SeedSequence(fold_seed(self.config.seed, fold_id, stream)).generate_state(1)[0])

    def _initialise(self, seed: int) -> None:
        """Fresh weights in place: drawn on the CPU, so that the device does not move them."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = build_model(self.config.model, self.n_classes, **self.config.network_options)
        self.network.load_state_dict(fresh.state_dict())

"""Takes the loss of every epoch as it is queued, tells of it when the device has computed it.

A GPU computes an epoch while the processor queues the next one. Asking for a loss waits for all that is queued, so here
it is asked for one epoch late, by which time it lies in the processor's memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor


class EpochLog:
    """Mean losses and seconds of a fold's epochs.

    Parameters
    ----------
    on_epoch : told the number of epochs done and the last one's mean loss; on a GPU an epoch late
    """

    def __init__(self, n_epochs: int, device: torch.device, on_epoch: Callable[[int, float], None]) -> None:
        self.on_gpu = device.type == "cuda"
        self.losses = torch.zeros(n_epochs, pin_memory=self.on_gpu)
        self.on_epoch = on_epoch
        self.computed: list[torch.cuda.Event] = []  # one for each epoch that is queued
        self.n_queued = 0
        self.ends = [time.monotonic()]

    def add(self, loss: Tensor) -> None:
        """The mean loss of the next epoch, a scalar on the device."""
        self.losses[self.n_queued].copy_(loss, non_blocking=True)
        self.n_queued += 1
        if self.on_gpu:
            self.computed.append(torch.cuda.Event())
            self.computed[-1].record()
        if not self.on_gpu or self.n_queued > 1:
            self._tell()

    def read(self) -> list[tuple[float, float]]:
        """Loss and seconds of every epoch; waits for the last."""
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

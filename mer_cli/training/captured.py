"""Replay training steps as CUDA graphs, each captured once for each batch size.

A replay costs the processor one call; the step itself would cost it hundreds. A graph reads its clips from buffers that
each epoch's draw is copied into, at a position that the graph itself moves on, so nothing is sent or read back between
two replays. All folds share the graphs: they differ only in the size of their last batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3  # steps before a capture: libraries choose their kernels, the compiler compiles


class CapturedSteps:
    """Training steps captured as CUDA graphs, one for each batch size, with which an epoch is trained.

    Parameters
    ----------
    step : called with a draw, (B,) int64 positions in it and their labels; trains on them and returns their summed loss
    draw : random choices of any epoch; only their shapes and types are used
    n_clips : largest number of clips of a draw
    """

    def __init__(self, step: Callable[[Any, Tensor, Tensor], Tensor], draw: Any, n_clips: int) -> None:
        device = draw.row.device
        self.step = step
        self.draw = replace(draw, **{name: _room_for(held, n_clips) for name, held in _tensors(draw)})
        self.labels = torch.zeros(n_clips, dtype=torch.int64, device=device)
        self.position = torch.zeros((), dtype=torch.int64, device=device)
        self.loss_sum = torch.zeros((), device=device)
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.pool: Any = None  # of memory, shared: the graphs never run at the same time

    def capture(self, size: int, *, tries_kernels: bool) -> None:
        """Capture a training step of `size` clips, unless done before; the network's weights are useless afterwards.

        Parameters
        ----------
        tries_kernels : whether cuDNN tries its kernels and takes the fastest, which may differ between processes
        """
        if size in self.graphs:
            return
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = tries_kernels
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(aside), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*capturable=True.*")  # captured below
                for _ in range(WARM_UP):
                    self._rewind()
                    self._next_batch(size)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                self._next_batch(size)
        finally:
            torch.backends.cudnn.benchmark = before
        self.graphs[size] = graph
        self.pool = self.pool or graph.pool()

    def replay(self, draw: Any, labels: Tensor, size: int) -> Tensor:
        """Train on an epoch in batches of `size` and a smaller last one; return the sum of all losses, on the device.

        Parameters
        ----------
        labels : (n,) int64, classes of the clips in the order of the draw
        """
        n_clips = len(labels)
        for name, held in _tensors(draw):
            getattr(self.draw, name)[:n_clips].copy_(held)
        self.labels[:n_clips].copy_(labels)
        self._rewind()
        for start in range(0, n_clips, size):
            self.graphs[min(size, n_clips - start)].replay()
        return self.loss_sum

    def _next_batch(self, size: int) -> None:
        taken = self.position + torch.arange(size, device=self.position.device)
        self.loss_sum += self.step(self.draw, taken, self.labels[taken])
        self.position += size

    def _rewind(self) -> None:
        self.position.zero_()
        self.loss_sum.zero_()


def _tensors(draw: Any) -> list[tuple[str, Tensor]]:
    return [(field.name, getattr(draw, field.name)) for field in fields(draw)]


def _room_for(held: Tensor, n_clips: int) -> Tensor:
    return torch.zeros(n_clips, *held.shape[1:], dtype=held.dtype, device=held.device)

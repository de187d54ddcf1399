"""Takes a training step, gives an epoch of replays: each step is captured once as a CUDA graph, for each batch size.

A replay costs the processor one call where the step itself costs hundreds. A graph reads its clips from buffers that
every epoch's draw is copied into, at a position that it moves on itself, so nothing is said between two replays, and
nothing is read back. All folds share the graphs: they differ in the size of their last batch alone.
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
    """The steps of an epoch, one after the other.

    Parameters
    ----------
    step : trains on the clips of a draw that (B,) int64 takes, given their labels; gives the sum of their losses
    draw : any epoch's, for the shapes in it
    n_clips : the most clips that a draw may have
    """

    def __init__(self, step: Callable[[Any, Tensor, Tensor], Tensor], draw: Any, n_clips: int) -> None:
        device = draw.row.device
        self.step = step
        self.draw = replace(draw, **{name: _room_for(held, n_clips) for name, held in _tensors(draw)})
        self.labels = torch.zeros(n_clips, dtype=torch.int64, device=device)
        self.position = torch.zeros((), dtype=torch.int64, device=device)
        self.loss_sum = torch.zeros((), device=device)
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.pool: Any = None  # of memory: the graphs never run at once, so they share it

    def capture(self, size: int, *, tries_kernels: bool) -> None:
        """Captures the step of `size` clips, if it is not there yet; the weights it leaves are of no use.

        Parameters
        ----------
        tries_kernels : whether cuDNN tries its kernels and takes the fastest, which may be another one the next time
        """
        if size in self.graphs:
            return
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = tries_kernels
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(aside), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*capturable=True.*")  # it is captured in a moment
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
        """Trains on an epoch in batches of `size` and a smaller last one; gives the sum of all losses, on the device.

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

"""Train your own learner fold by fold: mer shows it the clips, it returns the logits of the held-out clips.

A learner is a class with `fit_predict(train, labels, held_out, *, seed, device, log)`. What it is shown of a clip is
named here, and neither emotion nor action units nor a held-out label are among it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.motion.cache import read_motion
from mer_cli.motion.inputs import ViewInput
from mer_cli.records import dataset_of, subject_of
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.folds import fold_seed
from mer_cli.runs.plan import RunPlan
from mer_cli.store.hdf5 import read_landmarks, read_windows
from mer_cli.store.whole_clips import read_clip
from mer_cli.training.loop import TrainedFold


class LearnerArrays:
    """What a run's clips show, each kind of array read once for all folds, in the order of `plan.labels`.

    What is sent to another process is read before, except whole clips: their store must be there as well.
    """

    def __init__(self, plan: RunPlan) -> None:
        # Without the columns of the store, such as the emotion.
        self.stores = [(replace(each.info, clips=each.info.clips[[]]), list(each.clips)) for each in plan.stores]
        self.config = plan.config

    def __getstate__(self) -> dict[str, Any]:
        """Return this with all arrays read that the learner may ask for."""
        sees = self.config.method.sees
        assert isinstance(sees, ViewInput), self.config.model
        for name in ("images", *sees.arrays):
            if name != "frames":
                getattr(self, name)
        return vars(self)

    @cached_property
    def images(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        parts = []
        for store, ids in self.stores:
            onset, _, apex, _ = read_windows(store.path, ids)
            parts.append((onset[:, HALF_WINDOW].copy(), apex[:, HALF_WINDOW].copy()))  # a view keeps the whole window
        return np.concatenate([onset for onset, _ in parts]), np.concatenate([apex for _, apex in parts])

    @cached_property
    def flow(self) -> NDArray[np.float32]:
        flows = [read_motion(store, self.config.flow, ids) for store, ids in self.stores]
        return np.concatenate(flows).astype(np.float32)

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        return np.concatenate([read_landmarks(store.path, ids) for store, ids in self.stores])

    def frames(self, clip_id: str) -> NDArray[np.uint8]:
        (store,) = (store for store, _ in self.stores if store.dataset == dataset_of(clip_id))
        return read_clip(store.path, clip_id)


@dataclass(frozen=True)
class Clips:
    """Some clips of a run as a learner sees them: ids, subjects and images, in one order, without any label.

    ids : the clips' ids, "<dataset>/<subject>/<name>" · class_names : classes in label order
    """

    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    _rows: NDArray[np.int64] = field(repr=False)
    _arrays: LearnerArrays = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subject of each clip, with its dataset: "casme2/01"."""
        return tuple(map(subject_of, self.ids))

    @cached_property
    def images(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Onset and apex of each clip, each (N, 224, 224, 3) uint8, RGB."""
        onset, apex = self._arrays.images
        return onset[self._rows], apex[self._rows]

    @cached_property
    def flow(self) -> NDArray[np.float32]:
        """Optical flow from onset to apex, (N, 2, 224, 224) float32: u to the right, v down, in pixels."""
        self._require("flow")
        return self._arrays.flow[self._rows]

    @cached_property
    def landmarks(self) -> NDArray[np.float32]:
        """The 68 landmarks of each onset, (N, 68, 2) float32: x and y in pixels of the image."""
        self._require("landmarks")
        return self._arrays.landmarks[self._rows]

    def frames(self, clip_id: str) -> NDArray[np.uint8]:
        """Return the whole clip from onset to offset, (T, 224, 224, 3) uint8, RGB.

        Raises
        ------
        ConfigError
            If the clip is not one of `ids`, or the class's `INPUT` does not name the frames.
        """
        self._require("frames")
        if clip_id not in self.ids:
            code = self._arrays.config.method.code
            raise ConfigError(f"{code}: asks for the frames of '{clip_id}', which is not one of the clips that it got.")
        return self._arrays.frames(clip_id)

    def _require(self, array: str) -> None:
        method = self._arrays.config.method
        if not isinstance(method.sees, ViewInput) or array not in method.sees.arrays:
            raise ConfigError(
                f"{method.code}: asks for {array}, which its INPUT does not name. Write "
                f'INPUT = mer_cli.ViewInput(("{array}",)) into the class.'
            )


class LearnerTrainer:
    """A trainer of your own learner: a fresh object of its class for every fold."""

    def __init__(self, plan: RunPlan, arrays: LearnerArrays) -> None:
        self.config: TrainConfig = plan.config
        self.class_names = plan.config.class_names
        self.ids = tuple(plan.labels)
        self.arrays = arrays

    def train_fold(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: NDArray[np.int64],
        test_rows: NDArray[np.int64],
        inner_rows: NDArray[np.int64],
        on_epoch: Callable[[int, float], None],
    ) -> TrainedFold:
        """Call the learner once; the held-out and the inner clips are shown to it together, sorted by id.

        Parameters
        ----------
        fold_id : decides the learner's seed, together with the run's
        train_rows, train_labels : (n,) rows of the training clips among all clips of the run, and their classes
        test_rows, inner_rows : (m,), (k,) rows of the held-out and of the inner clips
        on_epoch : called with the number of finished epochs and the loss, whenever the learner logs one

        Raises
        ------
        ConfigError
            If the logits have another shape than (epochs, clips, classes).
        """
        started = time.monotonic()
        log = LossLog(self.config.epochs, on_epoch, self.config.method.code)
        seed = self._seed(fold_id)  # for a learner that does not use the seed that it gets
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        shown = np.sort(np.concatenate([test_rows, inner_rows]))
        logits = self.fit(fold_id, train_rows, train_labels, shown, log)
        seconds = (time.monotonic() - started) / self.config.epochs
        history = [{"loss": loss, "seconds": seconds} for loss in log.losses]
        place = {row: number for number, row in enumerate(shown.tolist())}
        test, inner = (logits[:, [place[row] for row in rows.tolist()]] for rows in (test_rows, inner_rows))
        return TrainedFold(test, inner, history, weights={})

    def fit(
        self,
        fold_id: str,
        train_rows: NDArray[np.int64],
        train_labels: NDArray[np.int64],
        shown_rows: NDArray[np.int64],
        log: LossLog,
    ) -> NDArray[np.float32]:
        """Call a new object of the learner's class; return the logits, (epochs, shown clips, classes).

        Raises
        ------
        ConfigError
            If the logits have another shape.
        """
        config = self.config
        learner = config.method.load()(**config.network_options)
        found = learner.fit_predict(
            self._clips(train_rows),
            train_labels,
            self._clips(shown_rows),
            seed=self._seed(fold_id),
            device=config.device,
            log=log,
        )
        return _checked(found, (config.epochs, len(shown_rows), len(self.class_names)), config)

    def _seed(self, fold_id: str) -> int:
        return int(np.random.SeedSequence(fold_seed(self.config.seed, fold_id, "weights")).generate_state(1)[0])

    def _clips(self, rows: NDArray[np.int64]) -> Clips:
        return Clips(tuple(self.ids[row] for row in rows.tolist()), self.class_names, rows, self.arrays)


class LossLog:
    """What a learner calls with each epoch and its loss; an epoch that it never logs has the loss NaN."""

    def __init__(self, n_epochs: int, on_epoch: Callable[[int, float], None], code: str) -> None:
        self.code = code
        self.losses = [float("nan")] * n_epochs
        self.on_epoch = on_epoch

    def __call__(self, epoch: int, loss: float) -> None:
        """Note the loss of an epoch, counted from 1."""
        if not 1 <= epoch <= len(self.losses):
            raise ConfigError(
                f"{self.code}: logs epoch {epoch}, and the run has {len(self.losses)}, counted from 1. The number is "
                "--epochs, or RECIPE = {'epochs': N} in the class."
            )
        self.losses[epoch - 1] = float(loss)
        self.on_epoch(epoch, float(loss))


def _checked(found: Any, shape: tuple[int, int, int], config: TrainConfig) -> NDArray[np.float32]:
    """Return what a learner returned as float32, if it has the right shape."""
    if isinstance(found, torch.Tensor):
        held = found.detach().cpu()
        found = held.numpy() if held.is_complex() else held.double().numpy()
    try:
        exact = np.asarray(found)
        exact = exact if np.iscomplexobj(exact) else exact.astype(np.float64)
    except (TypeError, ValueError):
        exact = np.zeros(())
    if exact.shape != shape or np.iscomplexobj(exact):
        kind = "a complex array" if np.iscomplexobj(exact) else "an array"
        what = f"{kind} of shape {exact.shape}" if exact.ndim else f"a value of type {type(found).__name__}"
        raise ConfigError(
            f"{config.method.code}: fit_predict returned {what}. Expected (epochs, clips, classes), here {shape}. The "
            "number of epochs is --epochs, or RECIPE = {'epochs': N} in the class."
        )
    with np.errstate(over="ignore"):  # what overflows is refused with all that is not finite
        logits = exact.astype(np.float32)
    if np.isfinite(exact).all() and (logits.argmax(axis=2) != exact.argmax(axis=2)).any():
        raise ConfigError(
            f"{config.method.code}: fit_predict returned values up to {np.abs(exact).max():.3g}, whose best class is "
            "lost in float32. Subtract each clip's highest value from its values."
        )
    return logits

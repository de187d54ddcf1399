"""Trains tiny stores on the CPU as `mer train` does, and compares what was stored bit by bit."""

import numpy as np
import torch
from safetensors.torch import load_file

from mer_cli.runs.config import resolve_config
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run


class Silent:
    """A listener that counts what it is told."""

    def __init__(self):
        self.folds, self.losses, self.n_done = [], [], 0

    def on_start(self, n_folds):
        self.n_folds = n_folds

    def on_fold(self, fold):
        self.folds.append(fold.id)

    def on_epoch(self, epoch, loss):
        self.losses.append((epoch, loss))

    def on_fold_end(self):
        self.n_done += 1


def config_of(**changes):
    settings = {"scheme": "mmnet3", "epochs": 2, "batch_size": 2, "device": "cpu"}
    recipe = "quick" if changes.get("model", "mmnet") == "mmnet" else None  # another network's own
    return resolve_config(recipe, **(settings | changes))


def train(stores, out, wanted=None, resume=True, test_stores=(), **changes):
    """Give the run's directory and the listener."""
    listener = Silent()
    stores = stores if isinstance(stores, list) else [stores]
    plan = plan_run(stores, config_of(**changes), test_stores=test_stores, wanted=wanted)
    return train_run(plan, out, listener, resume=resume), listener


def stored(path, fold):
    """Everything that training stores of a fold: logits and weights."""
    with np.load(path / "folds" / fold / "logits.npz") as arrays:
        logits = arrays["logits"]
    return logits, load_file(path / "folds" / fold / "model.safetensors")


def assert_same_fold(one, other, fold):
    (logits, weights), (other_logits, other_weights) = stored(one, fold), stored(other, fold)
    np.testing.assert_array_equal(logits, other_logits)
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)

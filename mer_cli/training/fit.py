"""Train a method on all subjects of its stores, with no subject held out: for use on new clips, not for a score.

The trainer is the one that trains a fold. Nothing is held out, so nothing here can tell how good the result is; the
leave-one-subject-out run of the same settings can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mer_cli.errors import ConfigError, RunError
from mer_cli.motion.images import plane_statistics
from mer_cli.records import Fold
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.plan import RunPlan
from mer_cli.training.fold_work import make_trainer, read_arrays, train_fold
from mer_cli.training.hardware import threads_of_fold, torch_threads
from mer_cli.training.inputs import MotionBatches
from mer_cli.training.loop import FoldTrainer
from mer_cli.training.plan import plan_run

EVERYBODY = "all"  # id of the fold that holds nobody out; it decides the random streams, together with the seed
# What the training clips fix of a network's input, beside its weights.
MEAN, DEVIATION, GRAPH = "input.mean", "input.deviation", "input.graph"
OF_MACHINE = "svm."  # begins the name of each array of a support-vector machine

Weights = dict[str, Tensor]


def plan_fit(stores: Sequence[Path], config: TrainConfig) -> RunPlan:
    """Plan the training of a method on all clips of the stores.

    The plan's config is that of the leave-one-subject-out run of the same settings, so that the two can be compared;
    only the fold to train is another: it trains on every clip.

    Raises
    ------
    MerError
        As `plan_run`, or if the method's state can't be kept as plain numbers, or a setting holds clips back.
    """
    if config.method.kind not in ("network", "classical"):
        raise ConfigError(
            f"--model {config.method.code}: what it learns can't be kept as plain numbers, and a pickle would run code "
            "when it is read. mer fit takes a network, or a built-in method. Its score you get without it: mer train "
            "--loso."
        )
    if config.inner_val:
        raise ConfigError("--inner-val has no effect with mer fit, which holds nobody back. Leave it out.")
    if config.shuffle_labels:
        raise ConfigError("--shuffle-labels would fit a model that knows nothing. Leave it out.")
    if config.pretrain:
        raise ConfigError("--pretrain has no effect with mer fit, which learns from recorded clips. Leave it out.")
    plan = plan_run(stores, config)
    return replace(plan, wanted=(Fold(EVERYBODY, tuple(plan.labels), inner=(), test=()),))


def fit(plan: RunPlan, on_epoch: Callable[[int, float], None]) -> Weights:
    """Train the one fold of a plan from `plan_fit`; call `compute_inputs` before.

    Parameters
    ----------
    on_epoch : called with the number of finished epochs and the last epoch's loss; never for a classical method

    Returns
    -------
    The network's weights and what its training clips fix of its input; or the arrays of a support-vector machine

    Raises
    ------
    RunError
        If the training diverges, or the device runs out of memory.
    """
    (fold,) = plan.wanted
    config = plan.config
    try:
        with torch_threads(threads_of_fold(config, None, torch.get_num_threads())):
            trainer = make_trainer(plan, read_arrays(plan))
            if not isinstance(trainer, FoldTrainer):
                return _fit_machine(plan, trainer)
            weights = train_fold(trainer, fold, plan.labels, on_epoch).weights
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"mer fit: the device ran out of memory ({str(error).splitlines()[0]}) with {len(plan.labels)} clips and a "
            f"batch of {config.batch_size}. Lower --batch-size, which is another model, or use --device cpu."
        ) from None
    diverged = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
    if diverged:
        raise RunError(
            f"mer fit: the training diverged: the weights {diverged[0]} are not finite. Lower the learning rate "
            "(--learning-rate), or use --precision fp32."
        )
    return _beside(weights, _fixed_by(trainer.batches, config), config)


def _fixed_by(batches: object, config: TrainConfig) -> Weights:
    """Return what the clips, all of which were trained on, fix of the network's input."""
    if not isinstance(batches, MotionBatches):
        return {}
    fixed: Weights = {}
    if config.normalisation == "standard":
        mean, deviation = plane_statistics(batches.images, np.arange(len(batches)))
        fixed = {MEAN: torch.from_numpy(mean), DEVIATION: torch.from_numpy(deviation)}
    return fixed | ({GRAPH: batches.shared[0].cpu().clone()} if batches.shared else {})


def _beside(weights: Weights, fixed: Weights, config: TrainConfig) -> Weights:
    """Return weights and further arrays in one; refuse a network of your own whose weights have the arrays' names."""
    if taken := {MEAN, DEVIATION, GRAPH} & weights.keys():
        raise ConfigError(
            f"{config.method.code}: has weights named {min(taken)}, which a model folder keeps for what the training "
            "clips fix. Rename the attribute."
        )
    return weights | fixed


def _fit_machine(plan: RunPlan, trainer: object) -> Weights:
    from mer_cli.training.classical import ClassicalTrainer  # and with it scikit-learn, which takes a second

    assert isinstance(trainer, ClassicalTrainer)
    labels = np.array(list(plan.labels.values()), np.int64)
    machine = trainer.fit(np.arange(len(labels)), labels)
    return {f"{OF_MACHINE}{name}": torch.from_numpy(np.array(held)) for name, held in vars(machine).items()}

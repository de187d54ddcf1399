"""Check a learner on a small drawn store, and an estimator on drawn vectors, before they are trained on a release."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import MerError
from mer_cli.motion.inputs import ViewInput
from mer_cli.runs.config import TrainConfig
from mer_cli.training.drawn_store import write_drawn_store
from mer_cli.training.finding import Finding, Mark, tolerance_of
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.learner import LearnerArrays, LearnerTrainer, LossLog
from mer_cli.training.own_network import blamed_on_own_code
from mer_cli.training.plan import plan_run

N_SUBJECTS, N_HELD_OUT = 6, 2  # drawn for a learner; each subject has a clip of each class
N_VECTORS, N_OTHERS, LENGTH = 60, 20, 300  # drawn for an estimator: to fit, to predict, numbers in each
FOLD = "check"

Logits = NDArray[np.float32]
Fit = Callable[[NDArray[np.int64]], Logits]


def check_learner(config: TrainConfig, n_classes: int) -> Iterator[Finding]:
    """Yield what each check of a learner finds; the rest is left out after an error.

    Parameters
    ----------
    config : with the device resolved
    """
    sees = config.method.sees
    asked = sees.arrays if isinstance(sees, ViewInput) else ()
    yield Finding("input", "ok", f"onset and apex images{''.join(f', {name}' for name in asked)} of each clip")
    yield Finding("settings", "ok", f"recipe {config.recipe}: {config.epochs} epoch{'s' if config.epochs > 1 else ''}")
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "drawn.h5"
        write_drawn_store(store, N_SUBJECTS, n_classes)
        # TV-L1 would take half a minute here.
        plan = plan_run([store], config.model_copy(update={"scheme": "labels", "flow": "fast"}))
        compute_inputs(plan)
        trainer = LearnerTrainer(plan, LearnerArrays(plan))
        rows = np.arange(len(plan.labels))
        labels = np.array(list(plan.labels.values()))
        n_train = len(rows) - N_HELD_OUT * n_classes
        log = LossLog(config.epochs, lambda epoch, loss: None, config.method.code)
        changes = []

        def fit(shown: NDArray[np.int64]) -> Logits:
            given = labels[:n_train].copy()
            with blamed_on_own_code(config):
                logits = trainer.fit(FOLD, rows[:n_train], given, shown, log)
            changes.append((given != labels[:n_train]).any())
            return logits

        yield from _findings(config, fit, rows[n_train:])
        if any(changes):
            yield Finding("labels", "FAILED", "fit_predict changes the array of labels. Work on a copy: labels.copy().")
        n_logged = int(np.isfinite(log.losses).sum())
        if n_logged < config.epochs:
            yield Finding(
                "log", "note", f"log was called for {n_logged} of {config.epochs} epochs; others have no loss"
            )


def check_estimator(config: TrainConfig, n_classes: int) -> Iterator[Finding]:
    """Yield what each check of an estimator finds; the rest is left out after an error."""
    from mer_cli.training.classical import EstimatorTrainer  # and with it scikit-learn, which takes a second

    features = config.foreign.features if config.foreign else ""
    yield Finding("input", "ok", f"vectors of {features}; here {N_VECTORS} drawn ones of {LENGTH} numbers to fit")
    rng = np.random.default_rng(0)
    labels = np.arange(N_VECTORS) % n_classes
    vectors = rng.normal(size=(N_VECTORS + N_OTHERS, LENGTH))
    vectors[:N_VECTORS] += rng.normal(size=(n_classes, LENGTH))[labels]
    trainer = EstimatorTrainer(vectors.astype(np.float32), n_classes, config)
    none = np.array([], dtype=np.int64)

    def fit(shown: NDArray[np.int64]) -> Logits:
        with blamed_on_own_code(config):
            return trainer.train_fold(FOLD, np.arange(N_VECTORS), labels, shown, none, lambda *_: None).logits

    yield from _findings(config, fit, np.arange(N_VECTORS, N_VECTORS + N_OTHERS))


def _findings(config: TrainConfig, fit: Fit, shown: NDArray[np.int64]) -> Iterator[Finding]:
    """Yield what is found by fitting again and again, each time with a new object.

    Parameters
    ----------
    fit : returns the logits of held-out clips, (epochs, clips, classes), after a new fit with the same seed
    """
    name = "output"
    try:
        started = time.perf_counter()
        logits = fit(shown)
        seconds = time.perf_counter() - started
        yield Finding(name, "ok", f"{logits.shape} float32: (epochs, held-out clips, classes)")
        yield Finding("finite", *_finite(logits))
        for name, check in CHECKS.items():
            yield Finding(name, *check(config, fit, shown, logits))
        yield Finding("seconds", "ok", f"{seconds:.2g} s for a fold of these drawn clips, on this machine")
    except MerError as error:
        yield Finding(name, "FAILED", str(error))
    except Exception as error:  # of a library that the user's code calls later
        yield Finding(name, "FAILED", f"{type(error).__name__}: {' '.join(str(error).split())}")


Verdict = tuple[Mark, str]


def _finite(logits: Logits) -> Verdict:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=(1, 2)))
    return ("FAILED", f"logits are not finite after epoch {bad[0] + 1}.") if len(bad) else ("ok", "all logits are")


def _seed(config: TrainConfig, fit: Fit, shown: NDArray[np.int64], logits: Logits) -> Verdict:
    difference = _difference(fit(shown), logits)
    if not difference:
        return "ok", "the same seed gives the same bits"
    if config.device != "cpu" and difference <= _tolerance(logits):
        return "note", f"the same seed gives logits that differ by {difference:.2g}, as on a GPU they may"
    return "FAILED", (
        f"the same seed gives logits that differ by up to {difference:.2g}. Give the argument `seed` (of an estimator: "
        "random_state, which mer sets) to all that draws random numbers."
    )


def _order(config: TrainConfig, fit: Fit, shown: NDArray[np.int64], logits: Logits) -> Verdict:
    difference = _difference(fit(shown[::-1]), logits[:, ::-1])
    if difference > _tolerance(logits):
        return "FAILED", (
            f"the logits differ by up to {difference:.2g} if the held-out clips come in another order. Return a row "
            "for each clip, in the order of held_out.ids, and let no clip depend on others."
        )
    return "ok", "the order of the held-out clips changes nothing"


def _alone(config: TrainConfig, fit: Fit, shown: NDArray[np.int64], logits: Logits) -> Verdict:
    difference = _difference(fit(shown[:1]), logits[:, :1])
    if difference > _tolerance(logits):
        return "FAILED", (
            f"a clip's logits differ by up to {difference:.2g} between alone and among {len(shown)} held-out clips: "
            "the method looks at the other test clips. Use statistics of the training clips only."
        )
    return "ok", f"a clip's logits alone are those among {len(shown)} held-out clips"


def _difference(found: Logits, expected: Logits) -> float:
    return 0.0 if np.array_equal(found, expected, equal_nan=True) else float(np.abs(found - expected).max())


def _tolerance(logits: Logits) -> float:
    return max(tolerance_of(epoch) for epoch in logits)


CHECKS: dict[str, Callable[[TrainConfig, Fit, NDArray[np.int64], Logits], Verdict]] = {
    "seed": _seed,
    "order": _order,
    "test batch": _alone,
}

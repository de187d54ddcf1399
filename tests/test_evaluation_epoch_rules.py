"""Epoch rules: cases worked by hand, an independent re-statement of the released script, and properties."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation.epoch_rules import SELECTED_ON_TEST, apply_rule, choose_inner_epoch, usable_rules
from mer_cli.records import FoldPredictions
from mer_cli.runs.config import resolve_config


def make_fold(subject: str, predicted: list[list[int]], n_classes: int = 3) -> FoldPredictions:
    """A fold whose argmax is `predicted`, (epochs, clips)."""
    logits = np.eye(n_classes, dtype=np.float32)[np.array(predicted)]
    clip_ids = tuple(f"casme2/{subject}/clip{index}" for index in range(logits.shape[1]))
    return FoldPredictions(f"casme2-{subject}", clip_ids, logits)


def make_labels(fold: FoldPredictions, truth: list[int]) -> dict[str, int]:
    return dict(zip(fold.clip_ids, truth, strict=True))


def random_run(seed: int, n_classes: int = 5, n_epochs: int = 12) -> tuple[list[FoldPredictions], dict[str, int]]:
    random = np.random.default_rng(seed)
    folds, labels = [], {}
    for subject, n_clips in enumerate(random.integers(1, 12, size=8)):
        clip_ids = tuple(f"casme2/{subject:02d}/clip{index}" for index in range(n_clips))
        logits = random.normal(size=(n_epochs, n_clips, n_classes)).astype(np.float32)
        folds.append(FoldPredictions(f"casme2-{subject:02d}", clip_ids, logits))
        labels |= dict(zip(clip_ids, random.integers(0, n_classes, size=n_clips).tolist(), strict=True))
    return folds, labels


def test_last_scores_the_last_epoch_pooled_over_folds() -> None:
    first = make_fold("01", [[0, 1, 2], [0, 0, 2]])
    second = make_fold("02", [[1], [2]])
    scores = apply_rule("last", [first, second], make_labels(first, [0, 1, 2]) | make_labels(second, [1]), 3)
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert scores.accuracy == pytest.approx(2 / 4)
    assert scores.uf1 == pytest.approx((2 / 3 + 0 + 2 / 3) / 3)
    assert scores.uar == pytest.approx((1 + 0 + 1) / 3)
    assert (scores.n_clips, scores.n_subjects, scores.n_epochs) == (4, 2, 2)
    assert (scores.selected_on_test, scores.stamp) == (False, "")
    assert scores.epochs == {"casme2-01": 2, "casme2-02": 2}


def test_best_test_takes_accuracy_and_f1_from_different_epochs() -> None:
    # Epoch 1 has 4 clips right and the F1 (8/9 + 0)/2 = .44; epoch 2 has 3 right and (4/6 + 2/4)/2 = .58.
    fold = make_fold("01", [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 0]], n_classes=2)
    scores = apply_rule("best-test", [fold], make_labels(fold, [0, 0, 0, 0, 1]), 2)
    assert scores.accuracy == pytest.approx(4 / 5)
    assert scores.epochs == {"casme2-01": 2}
    assert scores.confusion.tolist() == [[2, 2], [0, 1]]
    assert scores.uf1 == pytest.approx((4 / 6 + 2 / 4) / 2)
    assert scores.uar == pytest.approx((2 / 4 + 1) / 2)
    assert (scores.selected_on_test, scores.stamp) == (True, "selected on the test subject")
    assert scores.stamp == SELECTED_ON_TEST


def test_a_fold_of_several_subjects_counts_them_and_the_stamp_says_so() -> None:
    clip_ids = ("samm/006/a", "samm/006/b", "samm/03/a")
    fold = FoldPredictions("samm", clip_ids, np.eye(3, dtype=np.float32)[[[0, 1, 2]]])
    scores = apply_rule("best-test", [fold], dict(zip(clip_ids, (0, 1, 1), strict=True)), 3)
    assert (scores.n_clips, scores.n_subjects, scores.accuracy) == (3, 2, pytest.approx(2 / 3))
    assert scores.stamp == "selected on the test subjects"


def test_best_test_gives_a_tie_in_f1_to_the_later_epoch() -> None:
    # Truth 0 1. Epochs 1 and 3 both get one clip right, with the classes' roles swapped; both have F1 (2/3 + 0)/2.
    fold = make_fold("01", [[0, 0], [2, 2], [1, 1], [2, 2]])
    scores = apply_rule("best-test", [fold], make_labels(fold, [0, 1]), 3)
    assert scores.epochs == {"casme2-01": 3}
    assert scores.confusion.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_best_test_chooses_the_last_epoch_where_every_f1_is_zero() -> None:
    fold = make_fold("01", [[1, 1], [2, 2], [1, 2]])
    scores = apply_rule("best-test", [fold], make_labels(fold, [0, 0]), 3)
    assert scores.epochs == {"casme2-01": 3}
    assert (scores.accuracy, scores.uf1) == (0.0, 0.0)
    assert scores.confusion[0].tolist() == [0, 1, 1]


def test_best_test_skips_a_class_that_is_neither_true_nor_predicted_in_the_fold() -> None:
    # Truth 0 0. Epoch 1 hits one clip and names class 1 for the other: (2/3 + 0)/2. Epoch 2 hits both: 2*2/4 over one.
    fold = make_fold("01", [[0, 0], [0, 1]])
    scores = apply_rule("best-test", [fold], make_labels(fold, [0, 0]), 3)
    assert scores.epochs == {"casme2-01": 1}
    assert scores.uf1 == pytest.approx(1.0)  # classes 1 and 2 are in neither labels nor predictions
    assert apply_rule("last", [fold], make_labels(fold, [0, 0]), 3).uf1 == pytest.approx((2 / 3 + 0 + 0) / 3)


def test_best_test_compares_f1_in_float32() -> None:
    # Both epochs have the mean F1 11/18 exactly (and in float64), as 2/3 + 1/2 + 2/3 and 2/3 + 2/3 + 1/2: that tie
    # would go to epoch 2. In float32 the first sum is one unit in the last place larger, so the script keeps epoch 1.
    fold = make_fold("01", [[0, 0, 1, 2, 1], [0, 2, 1, 2, 0]])
    scores = apply_rule("best-test", [fold], make_labels(fold, [0, 1, 1, 2, 2]), 3)
    assert scores.epochs == {"casme2-01": 1}


def test_best_test_chooses_as_scalar_float32_arithmetic_in_class_order_does() -> None:
    random = np.random.default_rng(3)
    for _ in range(100):
        predicted = random.integers(0, 5, size=(6, 9))
        truth = random.integers(0, 5, size=9)
        fold = make_fold("01", predicted.tolist(), n_classes=5)
        scores = apply_rule("best-test", [fold], make_labels(fold, truth.tolist()), 5)
        f1 = [script_f1(row, truth, 5) for row in predicted]
        assert scores.epochs["casme2-01"] == max(index for index, value in enumerate(f1, start=1) if value == max(f1))


def script_f1(predicted: np.ndarray, truth: np.ndarray, n_classes: int) -> np.float32:
    """Scalar float32 arithmetic in the order that the released script uses."""
    total, n_present = np.float32(0), 0
    for label in range(n_classes):
        hits = sum(1 for p, t in zip(predicted, truth, strict=True) if p == t == label)
        both = int((predicted == label).sum() + (truth == label).sum())
        if both:
            n_present += 1
            total = np.float32(total + np.float32(2 * hits) / np.float32(both))
    return np.float32(total / np.float32(n_present))


@pytest.mark.parametrize("seed", range(10))
def test_best_test_agrees_with_scikit_learn_fold_by_fold(seed: int) -> None:
    folds, labels = random_run(seed)
    scores = apply_rule("best-test", folds, labels, 5)
    n_correct, truths, chosen = 0, [], []
    for fold in folds:
        truth = np.array([labels[clip_id] for clip_id in fold.clip_ids])
        predicted = fold.logits.argmax(axis=-1)
        n_correct += max(int((row == truth).sum()) for row in predicted)
        f1 = [f1_score(truth, row, average="macro", zero_division=0) for row in predicted]  # classes present only
        assert f1[scores.epochs[fold.fold] - 1] == pytest.approx(max(f1), abs=1e-6)
        truths += truth.tolist()
        chosen += predicted[scores.epochs[fold.fold] - 1].tolist()
    assert scores.accuracy == pytest.approx(n_correct / len(labels))
    assert scores.uf1 == pytest.approx(f1_score(truths, chosen, average="macro", zero_division=0))


@pytest.mark.parametrize("seed", range(25))
def test_best_test_accuracy_is_never_below_last(seed: int) -> None:
    folds, labels = random_run(seed)
    last, best = (apply_rule(rule, folds, labels, 5) for rule in ("last", "best-test"))
    assert best.accuracy >= last.accuracy


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_order_of_clips_folds_and_labels_does_not_matter(rule: str) -> None:
    folds, labels = random_run(7)
    random = np.random.default_rng(1)
    shuffled = []
    for fold in reversed(folds):
        order = random.permutation(len(fold.clip_ids))
        clip_ids = tuple(fold.clip_ids[index] for index in order)
        shuffled.append(FoldPredictions(fold.fold, clip_ids, fold.logits[:, order]))
    before = apply_rule(rule, folds, labels, 5)
    after = apply_rule(rule, shuffled, dict(reversed(labels.items())), 5)
    assert (before.confusion == after.confusion).all()
    assert (before.accuracy, before.uf1, before.uar) == (after.accuracy, after.uf1, after.uar)
    assert list(before.epochs.items()) == list(after.epochs.items())


def test_equal_logits_go_to_the_lower_class() -> None:
    fold = FoldPredictions("casme2-01", ("casme2/01/clip0",), np.zeros((1, 1, 3), dtype=np.float32))
    assert apply_rule("last", [fold], {"casme2/01/clip0": 0}, 3).accuracy == 1.0


def make_inner_fold(inner: list[list[int]], predicted: list[list[int]] | None = None) -> FoldPredictions:
    """A fold of two classes whose inner clips are said to be `inner`, (epochs, clips)."""
    fold = make_fold("01", predicted or [[0]] * len(inner), n_classes=2)
    inner_logits = np.eye(2, dtype=np.float32)[np.array(inner)]
    inner_ids = tuple(f"casme2/02/inner{index}" for index in range(inner_logits.shape[1]))
    return FoldPredictions(fold.fold, fold.clip_ids, fold.logits, inner_ids, inner_logits)


INNER_TRUTH = {"casme2/01/clip0": 0, "casme2/02/inner0": 0, "casme2/02/inner1": 1}
RIGHT, HALF, WRONG = [0, 1], [0, 0], [1, 0]  # UF1 1, (2/3 + 0)/2, 0


@pytest.mark.parametrize(
    ("epochs", "chosen"),
    [
        # By themselves epoch 1 is best; its neighbours are bad, and epochs 4 to 8 are good together.
        ([RIGHT, WRONG, WRONG, RIGHT, RIGHT, HALF, RIGHT, RIGHT, WRONG], 6),
        ([RIGHT, RIGHT, RIGHT, WRONG, WRONG, WRONG, WRONG], 1),  # the mean of three at the start is 1
        ([WRONG, WRONG, WRONG, WRONG, RIGHT, RIGHT, RIGHT], 7),  # and at the end
        ([WRONG, RIGHT, WRONG, HALF], 4),  # means of 3, 4, 4, 3 epochs: 1/3, 1/3, 1/3, 4/9
        ([HALF] * 7, 1),  # ties go to the earlier epoch
        ([WRONG, WRONG], 1),
        ([RIGHT], 1),
    ],
)
def test_inner_val_takes_the_best_smoothed_epoch_of_the_inner_clips(epochs: list[list[int]], chosen: int) -> None:
    fold = make_inner_fold(epochs)
    value = {tuple(RIGHT): 1.0, tuple(HALF): 1 / 3, tuple(WRONG): 0.0}
    uf1 = [value[tuple(epoch)] for epoch in epochs]
    means = [round(float(np.mean(uf1[max(0, at - 2) : at + 3])), 9) for at in range(len(uf1))]
    assert means.index(max(means)) + 1 == chosen  # the case is what it is said to be
    assert choose_inner_epoch(fold, INNER_TRUTH, 2) + 1 == chosen


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4, 5, 6, 20])
def test_inner_val_agrees_with_scikit_learn_and_a_plain_loop(n_epochs: int) -> None:
    random = np.random.default_rng(n_epochs)
    for _ in range(10):
        logits = random.normal(size=(n_epochs, 9, 4)).astype(np.float32)
        ids = tuple(f"casme2/05/{index}" for index in range(9))
        labels = dict(zip(ids, random.integers(0, 3, size=9).tolist(), strict=True))  # class 3 is never true
        fold = FoldPredictions("casme2-01", ("casme2/01/a",), np.zeros((n_epochs, 1, 4), np.float32), ids, logits)
        truth = [labels[clip_id] for clip_id in ids]
        uf1 = [
            f1_score(truth, row, labels=range(4), average="macro", zero_division=0) for row in logits.argmax(axis=-1)
        ]
        near = [uf1[max(0, at - 2) : at + 3] for at in range(n_epochs)]
        means = [round(sum(values) / len(values), 9) for values in near]
        assert choose_inner_epoch(fold, labels, 4) == means.index(max(means))


def test_inner_val_scores_the_held_out_clips_at_that_epoch_as_last_does() -> None:
    fold = make_inner_fold([RIGHT, RIGHT, RIGHT, WRONG, WRONG, WRONG], [[0], [1], [1], [1], [1], [1]])
    scores = apply_rule("inner-val", [fold], INNER_TRUTH, 2)
    assert scores.epochs == {"casme2-01": 1}
    assert (scores.accuracy, scores.uf1, scores.confusion.tolist()) == (1.0, 0.5, [[1, 0], [0, 0]])
    assert (scores.selected_on_test, scores.stamp, scores.n_clips) == (False, "", 1)


def test_no_held_out_label_moves_the_epoch_of_inner_val() -> None:
    random = np.random.default_rng(0)
    fold = make_inner_fold(random.integers(0, 2, (12, 2)).tolist(), random.integers(0, 2, (12, 6)).tolist())
    epochs = set()
    for _ in range(20):
        held_out = dict(zip(fold.clip_ids, random.integers(0, 2, 6).tolist(), strict=True))
        epochs.add(apply_rule("inner-val", [fold], INNER_TRUTH | held_out, 2).epochs["casme2-01"])
    assert len(epochs) == 1


def test_inner_labels_of_a_fold_stand_before_the_true_ones() -> None:
    fold = make_inner_fold([RIGHT, RIGHT, RIGHT, WRONG, WRONG, WRONG])
    permuted = {"casme2-01": {"casme2/02/inner0": 1, "casme2/02/inner1": 0}}
    assert apply_rule("inner-val", [fold], INNER_TRUTH, 2, permuted).epochs == {"casme2-01": 6}


def test_rules_are_usable_where_their_clips_are() -> None:
    assert usable_rules(resolve_config()) == ("last", "best-test")
    assert usable_rules(resolve_config(inner_val=3)) == ("last", "inner-val", "best-test")
    assert usable_rules(resolve_config(model="flow-svm")) == ("last",)


def test_inner_val_of_a_run_without_inner_clips_is_an_error() -> None:
    message = (
        "fold casme2-01: has no inner clips to choose an epoch by. Give --rule last, or train a run that has some: "
        "mer train --loso --inner-val 3."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        apply_rule("inner-val", [make_fold("01", [[0]])], {"casme2/01/clip0": 0}, 3)


def test_inner_clips_need_finite_logits() -> None:
    fold = make_inner_fold([RIGHT, WRONG])
    assert fold.inner_logits is not None
    fold.inner_logits[1, 0, 0] = np.nan
    with pytest.raises(
        RunError, match="^folds/casme2-01/logits.npz, epoch 2, clip casme2/02/inner0: a logit is NaN or inf"
    ):
        apply_rule("inner-val", [fold], INNER_TRUTH, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_logit_that_is_not_finite_is_an_error_naming_file_epoch_and_clip(value: float) -> None:
    fold = make_fold("03", [[0, 0], [0, 0], [1, 1]])
    fold.logits[1, 1, 2] = value
    message = (
        "folds/casme2-03/logits.npz, epoch 2, clip casme2/03/clip1: a logit is NaN or infinite. The training diverged, "
        "or the file was edited. Train with --precision fp32, a lower learning rate or another seed, or delete "
        "folds/casme2-03 and train it again."
    )
    labels = make_labels(fold, [0, 0]) | {"casme2/01/clip0": 1}
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        apply_rule("last", [make_fold("01", [[0], [0], [0]]), fold], labels, 3)


def test_an_unknown_rule_is_an_error_with_a_suggestion() -> None:
    message = "--rule: Unknown epoch rule 'best'. Known: last, inner-val, best-test. Did you mean 'best-test'?"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        apply_rule("best", [make_fold("01", [[0]])], {"casme2/01/clip0": 0}, 3)

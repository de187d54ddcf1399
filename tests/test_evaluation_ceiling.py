"""Ceilings by hand, against every rule there is, and against scikit-learn's own cross-validation."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.preprocessing import MultiLabelBinarizer

from mer_cli.evaluation.ceiling import best_rule, bounds_of, ceiling_of, is_above, uncoded_datasets
from mer_cli.records import Fold
from mer_cli.runs.folds import cross_folds, loso_folds

CLIPS = {  # clip: (cell, class)
    "x/1/a": ("12", 0),
    "x/1/b": ("12", 0),
    "x/2/c": ("L12", 1),
    "x/2/d": ("4", 1),
    "x/3/e": ("4", 2),
    "x/3/f": ("1+2", 2),
}
CELLS = {clip_id: cell for clip_id, (cell, _) in CLIPS.items()}
LABELS = {clip_id: label for clip_id, (_, label) in CLIPS.items()}


def test_any_rule_by_hand():
    """12: class 0 of 0, 0, 1; 4: class 1 of 1 and 2, both with two clips; 1+2: class 2."""
    found = ceiling_of(CELLS, LABELS, loso_folds(LABELS), 3)
    assert found.units.accuracy == pytest.approx(4 / 6)
    assert found.units.uf1 == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)  # one clip wrong in each of columns 0 and 1
    assert found.units.uar == pytest.approx((2 / 2 + 1 / 2 + 1 / 2) / 3)
    assert (found.units.n_sets, found.units.n_alone) == (3, 1)
    assert found.sides.accuracy == pytest.approx(5 / 6)  # L12 tells c from a and b
    assert (found.sides.n_sets, found.sides.n_alone) == (4, 2)
    assert [name for name, _ in bounds_of(found)] == [
        "any rule on the coded action units",
        "any rule on the units and their sides",
    ]
    assert (found.n_clips, found.n_subjects, found.n_units) == (6, 3, 4)


def test_ties_of_a_set_go_to_the_class_with_fewer_clips():
    rule = best_rule(["4", "4", "7"], [0, 1, 0], 2)  # 4 becomes class 1: both classes are found once
    assert (rule.accuracy, rule.uar) == (pytest.approx(2 / 3), pytest.approx((1 / 2 + 1) / 2))


def test_no_rule_on_the_sets_is_right_more_often():
    random = np.random.default_rng(3)
    for _ in range(20):
        sets = random.integers(0, 4, 15).tolist()
        truth = random.integers(0, 3, 15).tolist()
        every = (
            np.mean([rule[units] == label for units, label in zip(sets, truth, strict=True)])
            for rule in itertools.product(range(3), repeat=4)
        )
        assert best_rule(sets, truth, 3).accuracy == pytest.approx(max(every))


def test_sides_that_tell_nothing_more_have_no_row():
    cells = CELLS | {"x/2/c": "12", "x/2/d": "R4", "x/3/e": "R4"}
    found = ceiling_of(cells, LABELS, loso_folds(LABELS), 3)
    assert found.sides.accuracy == found.units.accuracy
    assert [name for name, _ in bounds_of(found)] == ["any rule on the coded action units"]


def drawn(n_subjects=6, n_clips=60, seed=0):
    random = np.random.default_rng(seed)
    cells, labels = {}, {}
    for clip in range(n_clips):
        label = int(random.integers(0, 3))
        units = [unit for unit in (1, 4, 6, 12, 14) if random.random() < (0.7 if unit % 3 == label else 0.2)]
        clip_id = f"x/{clip % n_subjects}/{clip:02d}"
        cells[clip_id], labels[clip_id] = "+".join(map(str, units)), label
    return cells, labels


def test_told_is_what_scikit_learn_gives_leaving_one_subject_out():
    cells, labels = drawn()
    clips = sorted(labels)
    truth = [labels[clip_id] for clip_id in clips]
    units = MultiLabelBinarizer().fit_transform([[unit for unit in cells[clip].split("+") if unit] for clip in clips])
    groups = [clip_id.split("/")[1] for clip_id in clips]
    model = LogisticRegression(C=1, max_iter=1000)
    expected = cross_val_predict(model, units, truth, groups=groups, cv=LeaveOneGroupOut())
    told = ceiling_of(cells, labels, loso_folds(labels), 3).told
    assert told.accuracy.mean == pytest.approx(accuracy_score(truth, expected))
    assert told.uf1.mean == pytest.approx(f1_score(truth, expected, average="macro"))
    assert told.uar.mean == pytest.approx(balanced_accuracy_score(truth, expected))
    assert told.accuracy.low < told.accuracy.mean < told.accuracy.high


def test_the_order_of_the_clips_changes_nothing():
    cells, labels = drawn()
    back = dict(reversed(labels.items()))
    folds = loso_folds(labels)
    turned = [Fold(fold.id, fold.train[::-1], (), fold.test[::-1]) for fold in folds[::-1]]
    assert ceiling_of(cells, labels, folds, 3) == ceiling_of(dict(reversed(cells.items())), back, turned, 3)


def test_across_datasets_only_the_test_clips_are_scored_and_only_the_others_are_trained_on():
    cells = {"a/1/a": "12", "a/2/b": "4", "b/1/c": "12", "b/1/d": "4", "b/2/e": "4"}
    labels = {"a/1/a": 0, "a/2/b": 1, "b/1/c": 1, "b/1/d": 0, "b/2/e": 0}  # the test dataset says the opposite
    found = ceiling_of(cells, labels, cross_folds(["a/1/a", "a/2/b"], ["b/1/c", "b/1/d", "b/2/e"]), 2)
    assert (found.n_clips, found.n_subjects) == (3, 2)
    assert found.units.accuracy == 1
    assert found.told.accuracy.mean == 0


def test_a_single_subject_has_no_interval():
    cells = {"a/1/a": "12", "a/2/b": "4", "b/1/c": "12"}
    found = ceiling_of(cells, {"a/1/a": 0, "a/2/b": 1, "b/1/c": 0}, cross_folds(["a/1/a", "a/2/b"], ["b/1/c"]), 2)
    assert (found.told.accuracy.mean, found.told.accuracy.low, found.told.accuracy.high) == (1, None, None)


def test_a_fold_whose_training_clips_have_one_class_predicts_it():
    cells = {"x/1/a": "12", "x/1/b": "4", "x/1/c": "4", "x/2/d": "4"}
    labels = {"x/1/a": 0, "x/1/b": 1, "x/1/c": 1, "x/2/d": 1}
    told = ceiling_of(cells, labels, loso_folds(cells), 2).told
    assert told.accuracy.mean == 3 / 4  # fold 1 says class 1 three times, fold 2 is right by the 4


def test_clips_without_units_with_doubtful_ones_and_unreadable_ones_are_counted_and_none_is_left_out():
    cells = {"x/1/a": "", "x/1/b": "0", "x/2/c": "4 or 5", "x/2/d": "?", "x/2/e": "?", "x/3/f": "frown+4"}
    labels = {"x/1/a": 0, "x/1/b": 0, "x/2/c": 1, "x/2/d": 1, "x/2/e": 0, "x/3/f": 0}
    found = ceiling_of(cells, labels, loso_folds(labels), 2)
    assert (found.n_clips, found.n_uncoded, found.n_unreadable, found.n_doubtful) == (6, 2, 3, 3)
    assert found.units.n_sets == 4  # none, 4 with 5, the question mark twice, frown with 4
    assert found.units.accuracy == pytest.approx(5 / 6)


def test_datasets_without_any_unit_are_named():
    assert uncoded_datasets({"smic/1/a": "", "smic/2/b": "0", "samm/1/a": "", "samm/1/b": "4"}) == ("smic",)
    assert uncoded_datasets({"samm/1/a": "?"}) == ()


def test_an_accuracy_is_above_a_bound_only_if_its_printed_digits_say_so():
    bound = best_rule([*"aab"], [0, 1, 1], 2)  # 2 of 3: 66.67 as printed
    assert not is_above(66.67, bound)
    assert is_above(66.68, bound)

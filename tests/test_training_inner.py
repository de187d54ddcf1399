"""Subjects that are set aside to choose an epoch by: who they are, and what is refused."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mer_cli.errors import ConfigError
from mer_cli.records import Fold, subject_of
from mer_cli.runs.folds import cross_folds, loso_folds, set_aside


def make_labels(seed, n_subjects=9, n_classes=3):
    random = np.random.default_rng(seed)
    return {
        f"casme2/{subject:02d}/EP{clip:02d}": int(random.integers(n_classes))
        for subject in range(1, n_subjects + 1)
        for clip in range(random.integers(1, 8))
    }


def counts_of(clip_ids, labels):
    counts = Counter(labels[clip_id] for clip_id in clip_ids)
    return np.array([counts[label] for label in range(3)])


@pytest.mark.parametrize("n_subjects", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_set_aside_moves_whole_training_subjects_and_nothing_else(seed, n_subjects):
    labels = make_labels(seed)
    for fold in loso_folds(labels):
        aside = set_aside(fold, labels, n_subjects, seed)
        assert (aside.id, aside.test) == (fold.id, fold.test)
        assert sorted(aside.train + aside.inner) == sorted(fold.train)
        inner, train = ({subject_of(clip) for clip in side} for side in (aside.inner, aside.train))
        assert len(inner) == n_subjects
        assert not inner & train


@pytest.mark.parametrize("seed", range(4))
def test_the_set_is_the_best_there_is_where_all_sets_are_drawn(seed):
    labels = make_labels(seed, n_subjects=7)
    fold = loso_folds(labels)[0]
    subjects = sorted({subject_of(clip) for clip in fold.train})
    everyone = counts_of(fold.train, labels)

    def rank(chosen):
        inner = counts_of([clip for clip in fold.train if subject_of(clip) in chosen], labels)
        shortfall = int(((everyone == inner) & (everyone > 0)).sum()), int(((inner == 0) & (everyone > 0)).sum())
        return (*shortfall, round(float(np.abs(inner - everyone * 2 / len(subjects)).sum()), 9))

    ours = {subject_of(clip) for clip in set_aside(fold, labels, 2, seed).inner}
    assert rank(ours) == min(rank(set(pair)) for pair in itertools.combinations(subjects, 2))


def test_set_aside_depends_on_no_order_nor_held_out_label():
    labels = make_labels(5, n_subjects=12)
    (first, *_) = loso_folds(labels)
    aside = set_aside(first, labels, 3, seed=1)
    turned = Fold(first.id, first.train[::-1], (), first.test)
    again = set_aside(turned, dict(reversed(labels.items())), 3, seed=1)
    assert (set(again.inner), set(again.train)) == (set(aside.inner), set(aside.train))
    other_truth = labels | {clip: (labels[clip] + 1) % 3 for clip in first.test}
    assert set_aside(first, other_truth, 3, seed=1) == aside


def test_set_aside_depends_on_seed_and_fold_where_not_all_sets_are_drawn():
    labels = make_labels(5, n_subjects=26)
    (fold, *_) = loso_folds(labels)
    assert len({set_aside(fold, labels, 4, seed).inner for seed in range(1, 6)}) > 1
    named = [Fold(f"casme2-{number}", fold.train, (), fold.test) for number in range(5)]
    assert len({set_aside(fold, labels, 4, 1).inner for fold in named}) > 1


def test_a_class_that_two_subjects_show_is_on_both_sides_and_that_of_one_is_trained_on():
    labels = {f"x/{subject}/{clip}": 0 for subject in "abcdefgh" for clip in range(3)}
    labels |= {"x/b/rare": 1, "x/g/rare": 1, "x/d/lone": 2}
    fold = loso_folds(labels)[0]  # holds a out
    for seed in range(5):
        aside = set_aside(fold, labels, 2, seed)
        assert {labels[clip] for clip in aside.train} == {0, 1, 2}
        assert {labels[clip] for clip in aside.inner} == {0, 1}


def test_subjects_of_two_datasets_with_one_name_are_two():
    labels = {f"{dataset}/{subject}/a{label}": label for dataset in ("x", "y") for subject in "12" for label in (0, 1)}
    (fold,) = cross_folds(labels, ["z/1/a"])
    aside = set_aside(fold, labels, 2, 1)
    assert len({subject_of(clip) for clip in aside.inner}) == 2
    assert aside.test == ("z/1/a",)


def refuse(labels, n_subjects, expected):
    with pytest.raises(ConfigError) as error:
        set_aside(loso_folds(labels)[0], labels, n_subjects, 1)
    assert str(error.value) == expected


@pytest.mark.parametrize(("n_subjects", "left"), [(2, 1), (5, 0)])
def test_too_few_training_subjects_left_are_refused(n_subjects, left):
    refuse(
        {f"x/{subject}/{clip}": clip for subject in "abcd" for clip in (0, 1)},
        n_subjects,
        f"--inner-val: {n_subjects} of the 3 training subjects of fold x-a leave {left} to train on, and at "
        "least 2 are needed. Lower it, or use a store with more subjects.",
    )


def test_one_class_left_is_refused():
    refuse(
        {f"x/{subject}/1": int(subject == "a") for subject in "abcd"},
        1,
        "--inner-val: 1 of the 3 training subjects of fold x-a leave clips of one class only "
        "to train on. Lower it, or use a store with more subjects.",
    )

"""The guessers on the true CASME II fold sizes and class counts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import binom

from mer_cli.errors import RunError
from mer_cli.evaluation.chance import chance_rows, draw_classes

CLIPS_PER_SUBJECT = [9, 13, 7, 5, 19, 5, 9, 3, 13, 13, 10, 12, 8, 4, 3, 4, 34, 3, 15, 11, 2, 2, 12, 10, 7, 16]
CLASS_COUNTS = [32, 27, 63, 28, 99]


def casme2_like(seed: int = 0) -> tuple[dict[str, int], dict[str, str]]:
    """Labels and folds with the true totals; which subject shows which class is drawn."""
    pool = np.repeat(np.arange(5), CLASS_COUNTS)
    np.random.default_rng(seed).shuffle(pool)
    subjects = np.repeat([f"{index:02d}" for index in range(1, 27)], CLIPS_PER_SUBJECT)
    clip_ids = [f"casme2/{subject}/clip{index}" for index, subject in enumerate(subjects)]
    labels = dict(zip(clip_ids, pool.tolist(), strict=True))
    return labels, {clip_id: f"casme2-{clip_id.split('/')[1]}" for clip_id in clip_ids}


def test_prior_random_gets_a_quarter_under_last_and_well_over_half_under_best_test() -> None:
    labels, fold_of = casme2_like()
    _, last = chance_rows("last", labels, fold_of, 74, 5)
    _, best = chance_rows("best-test", labels, fold_of, 74, 5)
    assert last.accuracy == pytest.approx(0.257, abs=0.02)
    assert last.uf1 == pytest.approx(0.196, abs=0.02)
    assert last.uar == pytest.approx(0.2, abs=0.02)
    assert best.accuracy == pytest.approx(0.588, abs=0.02)
    assert best.uf1 == pytest.approx(0.506, abs=0.03)
    assert (last.name, last.repetitions) == ("prior-random", 200)


def test_prior_random_under_best_test_of_one_epoch_equals_last() -> None:
    labels, fold_of = casme2_like()
    last, best = (chance_rows(rule, labels, fold_of, 1, 5)[1] for rule in ("last", "best-test"))
    assert (last.accuracy, last.uf1, last.uar) == (best.accuracy, best.uf1, best.uar)


def test_the_interval_of_a_guesser_is_that_of_as_many_independent_guesses() -> None:
    labels = {f"x/{subject}/{clip}": clip % 3 for subject in range(4) for clip in range(9)}
    majority, random = chance_rows("last", labels, {clip_id: clip_id.split("/")[1] for clip_id in labels}, 1, 3)
    low, high = binom(36, 1 / 3).ppf((0.025, 0.975)) / 36
    assert random.intervals["accuracy"] == pytest.approx((low, high), abs=1.01 / 36)
    assert majority.intervals == {}


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_majority_is_the_published_floor_under_either_rule(rule: str) -> None:
    labels, fold_of = casme2_like()
    row, _ = chance_rows(rule, labels, fold_of, 74, 5)
    assert row.name == "majority"
    assert row.accuracy == pytest.approx(99 / 249)
    assert row.uf1 == pytest.approx(0.114, abs=0.0005)
    assert row.uar == pytest.approx(1 / 5)


def test_majority_looks_at_the_training_clips_only() -> None:
    # Pooled, class 0 leads 3 to 2; but each fold's own clips are set aside: fold a sees 0 1 1, fold b sees 0 0.
    labels = {"x/a/1": 0, "x/a/2": 0, "x/b/1": 0, "x/b/2": 1, "x/b/3": 1}
    fold_of = {clip_id: clip_id.split("/")[1] for clip_id in labels}
    row, _ = chance_rows("last", labels, fold_of, 3, 2)
    assert row.accuracy == pytest.approx(1 / 5)


def test_order_of_clips_does_not_matter() -> None:
    labels, fold_of = casme2_like()
    turned = dict(reversed(labels.items()))
    assert chance_rows("best-test", labels, fold_of, 5, 5) == chance_rows("best-test", turned, fold_of, 5, 5)


def test_the_same_question_is_answered_from_the_first_simulation() -> None:
    labels, fold_of = casme2_like()
    first, second = (chance_rows("best-test", labels, fold_of, 3, 5)[1] for _ in range(2))
    assert second is first


# Two training clips of class 0 and four of class 1; the test datasets hold 0 0 1 and 0 0 0.
ACROSS = {"a/1/1": 0, "a/1/2": 0, "a/2/1": 1, "a/2/2": 1, "a/3/1": 1, "a/3/2": 1}
ACROSS |= {"x/1/1": 0, "x/1/2": 0, "x/2/1": 1, "y/1/1": 0, "y/1/2": 0, "y/2/1": 0}
ACROSS_FOLDS = {clip_id: clip_id[0].replace("a", "") for clip_id in ACROSS}


def test_across_datasets_guessers_know_the_training_clips_only() -> None:
    # Always 1: right once in three on x (F1 0 and 2/4), never on y; the test datasets' zeros would have told better.
    x, _ = chance_rows("last", ACROSS, ACROSS_FOLDS, 1, 2, ["x"])
    assert (x.accuracy, x.uf1, x.uar) == (pytest.approx(1 / 3), pytest.approx(0.25), pytest.approx(0.5))
    y, _ = chance_rows("last", ACROSS, ACROSS_FOLDS, 1, 2, ["y"])
    assert (y.accuracy, y.uf1, y.uar) == (0, 0, 0)
    both, _ = chance_rows("last", ACROSS, ACROSS_FOLDS, 1, 2)
    assert both.accuracy == pytest.approx(1 / 6)


def test_across_datasets_prior_random_draws_from_the_training_clips_shares() -> None:
    # A draw is 0 in a third of cases, so on average right in (200/3 + 100 * 2/3) / 300 of the clips.
    labels = {"a/1/1": 0, "a/1/2": 1, "a/2/1": 1} | {f"x/1/{index}": int(index >= 200) for index in range(300)}
    fold_of = {clip_id: clip_id[0].replace("a", "") for clip_id in labels}
    _, row = chance_rows("last", labels, fold_of, 1, 2)
    assert row.accuracy == pytest.approx(4 / 9, abs=0.01)
    assert row.uar == pytest.approx(1 / 2, abs=0.01)


def test_a_part_of_the_folds_is_scored_with_the_training_clips_of_all() -> None:
    # Fold b alone is scored; its guesser has seen a and c: 1 1 1 0.
    labels = {"x/a/1": 1, "x/a/2": 1, "x/b/1": 0, "x/b/2": 1, "y/c/1": 1, "y/c/2": 0}
    fold_of = {clip_id: clip_id.split("/")[1] for clip_id in labels}
    row, _ = chance_rows("last", labels, fold_of, 1, 2, ["b"])
    assert row.accuracy == pytest.approx(1 / 2)
    labels["y/c/1"] = labels["x/a/1"] = 0  # now 0 leads 3 to 1
    labels["x/b/2"] = 0
    row, _ = chance_rows("last", labels, fold_of, 1, 2, ["b"])
    assert row.accuracy == 1


def test_one_fold_leaves_nothing_to_guess_from() -> None:
    message = (
        "a guesser needs the clips of other subjects, and there is 1 fold. Train on a store with at least 2 subjects."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        chance_rows("last", {"casme2/01/a": 0}, {"casme2/01/a": "casme2-01"}, 1, 2)


def test_one_fold_is_enough_where_clips_are_only_trained_on() -> None:
    labels = {"casme2/01/a": 0, "samm/006/a": 1}
    row, _ = chance_rows("last", labels, {"casme2/01/a": "casme2", "samm/006/a": ""}, 1, 2)
    assert row.accuracy == 0


def test_a_clip_without_an_entry_for_its_fold_is_an_error() -> None:
    message = "clip casme2/01/b has a label but no fold. Restore the run's clips.csv."
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        chance_rows("last", {"casme2/01/b": 0}, {"casme2/01/a": "casme2-01"}, 1, 2)


def test_under_inner_val_a_guesser_gets_what_it_gets_under_last() -> None:
    labels, fold_of = casme2_like()
    for last, inner in zip(*(chance_rows(rule, labels, fold_of, 74, 5) for rule in ("last", "inner-val")), strict=True):
        assert (last.rule, inner.rule) == ("last", "inner-val")
        assert (last.name, last.accuracy, last.uf1, last.uar) == (inner.name, inner.accuracy, inner.uf1, inner.uar)


def test_a_guesser_does_not_know_the_clips_that_were_set_aside() -> None:
    # Fold a is trained on 0 0 1; with one clip of class 0 less it is a tie (to 0), with both 1 leads.
    labels = {"x/a/1": 1, "x/b/1": 0, "x/c/1": 0, "x/d/1": 1}
    fold_of = {clip_id: clip_id.split("/")[1] for clip_id in labels}
    row, _ = chance_rows("last", labels, fold_of, 1, 2, ["a"])
    assert row.accuracy == 0
    row, _ = chance_rows("last", labels, fold_of, 1, 2, ["a"], {"a": ("x/b/1", "x/c/1"), "b": ("x/d/1",)})
    assert row.accuracy == 1
    across = {"a/1/1": 0, "a/2/1": 0, "a/3/1": 1, "x/1/1": 1}
    row, _ = chance_rows(
        "last", across, {c: c[0].replace("a", "") for c in across}, 1, 2, ["x"], {"x": ("a/1/1", "a/2/1")}
    )
    assert row.accuracy == 1


@pytest.mark.parametrize("shares", [(32, 0, 63, 28, 99), (1, 2, 4), (7,)])
def test_the_guesses_are_those_of_numpys_choice_from_the_same_stream(shares: tuple[int, ...]) -> None:
    size, probabilities = (200, 30, 7), np.array(shares) / sum(shares)
    ours, theirs = (np.random.default_rng(3) for _ in range(2))
    for _ in range(2):  # and the stream stands where it would
        drawn = draw_classes(ours, size, probabilities)
        np.testing.assert_array_equal(drawn, theirs.choice(len(shares), size, p=probabilities))


def test_guessers_keep_the_numbers_that_numpys_choice_gave_them() -> None:
    labels = {f"x/{subject}/{clip}": (subject + clip) % 3 for subject in range(3) for clip in range(6)}
    fold_of = {clip_id: clip_id.split("/")[1] for clip_id in labels}
    _, row = chance_rows("best-test", labels, fold_of, 300, 3)
    found = (row.accuracy, row.uf1, row.uar)
    assert found == pytest.approx((0.8930555555555555, 0.8916305916305918, 0.8930555555555557), rel=1e-12)

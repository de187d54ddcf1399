"""The guessers on the true CASME II fold sizes and class counts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mer_cli.errors import RunError
from mer_cli.evaluation.chance import chance_rows

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


def test_one_fold_leaves_nothing_to_guess_from() -> None:
    message = (
        "chance rows: a guesser needs the clips of other subjects; found 1 fold — expected at least 2. "
        "Train on a store with more subjects."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        chance_rows("last", {"casme2/01/a": 0}, {"casme2/01/a": "casme2-01"}, 1, 2)

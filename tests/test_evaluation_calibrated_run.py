"""A run's calibration: no subject is judged by a temperature that saw it, and what is answered is what was right."""

import re

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.evaluation.calibrated_run import answered_at, calibration_of, errors_of, reliability, risk_coverage
from mer_cli.evaluation.calibration import calibrate, ece, fit_temperature, silence_threshold
from mer_cli.evaluation.statistics import interval_of_sums, mean_interval
from mer_cli.records import subject_of
from mer_cli.runs.directory import read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("runs"), subjects=9, skill=1.5, epochs=2, decay_epochs=2))


@pytest.fixture(scope="module")
def found(run):
    return calibration_of(run)


def test_a_subject_is_judged_by_the_temperature_of_the_others(run, found):
    logits = {clip: row for fold in run.folds for clip, row in zip(fold.clip_ids, fold.logits[-1], strict=True)}
    for subject, temperature in found.temperatures.items():
        others = [clip for clip in sorted(logits) if subject_of(clip) != subject]
        expected = fit_temperature(
            np.array([logits[clip] for clip in others]), np.array([run.labels[c] for c in others])
        )
        assert temperature == pytest.approx(expected)
        for row, clip in enumerate(found.clip_ids):
            if subject_of(clip) == subject:
                assert found.after[row] == pytest.approx(calibrate(logits[clip], temperature))
                assert found.labels[row] == run.labels[clip]


def test_other_labels_of_a_subject_change_its_own_probabilities_in_nothing(run, found):
    subject = "casme2/05"
    own = np.array([subject_of(clip) == subject for clip in found.clip_ids])
    labels = {clip: (label + (subject_of(clip) == subject)) % 3 for clip, label in run.labels.items()}
    edited = type(run)(**{**vars(run), "labels": labels})
    again = calibration_of(edited)
    assert np.array_equal(again.after[own], found.after[own])
    assert np.array_equal(again.thresholds[own], found.thresholds[own])
    assert not np.array_equal(again.after[~own], found.after[~own])


def test_the_temperature_for_new_people_is_that_of_all_held_out_clips(run, found):
    logits = np.concatenate([fold.logits[-1] for fold in run.folds])
    labels = np.array([run.labels[clip] for fold in run.folds for clip in fold.clip_ids])
    assert found.temperature == pytest.approx(fit_temperature(logits, labels))


def test_only_the_last_epoch_counts(run, found):
    logits = {clip: row for fold in run.folds for clip, row in zip(fold.clip_ids, fold.logits[-1], strict=True)}
    assert found.before == pytest.approx(np.array([calibrate(logits[clip], 1.0) for clip in found.clip_ids]))


def test_the_order_of_the_folds_changes_nothing(run, found):
    turned = type(run)(**{**vars(run), "folds": run.folds[::-1]})
    again = calibration_of(turned)
    assert (again.clip_ids, again.temperatures) == (found.clip_ids, found.temperatures)
    assert np.array_equal(again.after, found.after)


def test_the_threshold_of_a_clip_comes_from_the_classes_of_the_other_subjects(run, found):
    others = [label for clip, label in run.labels.items() if subject_of(clip) != "casme2/01"]
    assert found.thresholds[0] == pytest.approx(silence_threshold(np.bincount(others, minlength=3).tolist()))
    assert found.largest[0] == np.argmax(np.bincount(others))


def test_across_datasets_each_test_dataset_is_judged_by_its_own_subjects(tmp_path):
    run = read_run(write_run(tmp_path, "megc3", datasets=["casme2", "samm"], trained_on=["smic"], subjects=5))
    found = calibration_of(run, "samm")
    assert {subject.partition("/")[0] for subject in found.temperatures} == {"samm"}
    assert len(found.clip_ids) == sum(clip.startswith("samm/") for clip in run.labels)


def test_a_run_with_one_held_out_subject_is_refused(tmp_path):
    run = read_run(write_run(tmp_path, "megc3", datasets=["samm"], trained_on=["casme2"], subjects=1))
    expected = (
        f"{run.path}: all held-out clips are of one subject (samm/01). Calibration is fitted on other subjects than it "
        "is judged on. Train a run with more subjects."
    )
    with pytest.raises(RunError, match=f"^{re.escape(expected)}$"):
        calibration_of(run)


def test_a_run_that_lacks_folds_is_refused(tmp_path):
    with pytest.raises(RunError, match="only 3 of 4 folds are finished"):
        calibration_of(read_run(write_run(tmp_path, finished=3)))


def test_errors_are_those_of_the_probabilities_with_their_change(found):
    by_name = {error.name: error for error in errors_of(found)}
    equal = by_name["ECE, 10 bins of equal width"]
    assert (equal.before, equal.after) == (ece(found.before, found.labels), ece(found.after, found.labels))
    likelihood = by_name["negative log-likelihood"]
    true = np.take_along_axis(found.after, found.labels[:, None], axis=1)
    assert likelihood.after == pytest.approx(-np.log(true).mean())
    for error in by_name.values():
        assert error.change == pytest.approx(error.after - error.before)
        assert error.change_interval[0] <= error.change_interval[1]
    assert [error.exact is None for error in by_name.values()] == [False, False, True, True]


def test_the_change_of_an_ece_is_drawn_from_the_same_subjects_as_the_ece():
    """Clips whose probabilities are the same before and after: no draw changes the ECE."""
    from mer_cli.evaluation.calibrated_run import Calibration

    random = np.random.default_rng(0)
    shares = random.dirichlet([1, 1, 1], 40)
    clips = tuple(f"casme2/{row % 8:02d}/EP{row:02d}" for row in range(40))
    labels = random.integers(0, 3, 40)
    same = Calibration(clips, labels, shares, shares, 1.0, {}, np.zeros(40), labels)
    for error in errors_of(same):
        assert (error.change, error.change_interval) == (0, pytest.approx((0, 0)))
        assert error.before == pytest.approx(error.after)


def test_reliability_points_are_the_means_of_their_clips(found):
    points = reliability(found.after, found.labels, found.clip_ids)
    assert sum(point.n_clips for point in points) == len(found.labels)
    top, right = found.after.max(axis=1), found.after.argmax(axis=1) == found.labels
    inside = (top > 0.5) & (top <= 0.6)
    point = next(point for point in points if 0.5 < point.confidence <= 0.6)
    assert (point.confidence, point.accuracy) == pytest.approx((top[inside].mean(), right[inside].mean()))
    assert all(0 <= point.low <= point.high <= 1 for point in points)


def test_a_lower_threshold_answers_more_clips_down_to_all_of_them(found):
    threshold, coverage, accuracy = risk_coverage(found.after, found.labels)
    assert (np.diff(threshold) < 0).all()
    assert (np.diff(coverage) > 0).all()
    assert coverage[-1] == 1
    assert accuracy[-1] == pytest.approx((found.after.argmax(axis=1) == found.labels).mean())


def test_clips_of_equal_probability_are_answered_together():
    shares = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]])
    threshold, coverage, accuracy = risk_coverage(shares, np.array([1, 0, 0]))
    assert threshold.tolist() == [0.9, 0.6]
    assert coverage == pytest.approx([1 / 3, 1])
    assert accuracy == pytest.approx([1, 2 / 3])


def test_answers_at_a_threshold_are_counted_with_chance_beside(found):
    top, right = found.after.max(axis=1), found.after.argmax(axis=1) == found.labels
    answered = answered_at(found, 0.6)
    assert answered.n_answered == (top >= 0.6).sum()
    assert answered.accuracy == pytest.approx(right[top >= 0.6].mean())
    assert answered.silent == pytest.approx(right[top < 0.6].mean())
    assert answered.chance == pytest.approx((found.largest == found.labels)[top >= 0.6].mean())
    assert answered.interval[0] <= answered.accuracy <= answered.interval[1]
    own = answered_at(found, None)
    assert own.n_answered == (top > found.thresholds).sum()


def test_a_threshold_that_nothing_reaches_answers_nothing(found):
    answered = answered_at(found, 1.1)
    assert (answered.n_answered, answered.accuracy, answered.interval, answered.chance) == (0, None, None, None)
    assert answered_at(found, 0.0).silent is None


def test_an_interval_of_sums_agrees_with_that_of_a_mean():
    random = np.random.default_rng(2)
    clips = [f"casme2/{row % 7:02d}/EP{row:02d}" for row in range(50)]
    values = random.random(50)
    table = np.stack([values, np.ones(50)], axis=1)
    found = interval_of_sums(table, clips, lambda sums: sums[:, 0] / sums[:, 1])
    assert found == pytest.approx(mean_interval(values, clips))


def test_an_interval_of_sums_leaves_out_draws_without_a_score():
    clips = ["casme2/01/a", "casme2/02/a"]
    table = np.array([[1.0, 1], [0, 0]])
    assert interval_of_sums(table, clips, lambda sums: sums[:, 0] / np.where(sums[:, 1], sums[:, 1], np.nan)) == (1, 1)
    nothing = interval_of_sums(table, clips, lambda sums: np.full(len(sums), np.nan))
    assert np.isnan(nothing).all()

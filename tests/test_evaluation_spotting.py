"""MEGC's interval F1 and STRS against counts by hand, against the organisers' numbers, and with odd files."""

import tracemalloc

import numpy as np
import pytest

from mer_cli.errors import DatasetError
from mer_cli.evaluation.spotting import match, overlaps, score_spotting
from mer_cli.spotting.interval_file import Row


def micro(video, onset, offset, **more):
    return Row(video, onset, offset, kind="micro", **more)


TRUE = [
    micro("a", 100, 199, emotion="positive", subject="s1"),
    micro("a", 400, 449, emotion="negative", subject="s1"),
    micro("b", 50, 99, emotion="surprise", subject="s2"),
    Row("b", 300, 349, kind="blink", subject="s2"),
]


def test_overlap_counts_the_frames_of_both_ends():
    assert overlaps([(1, 10)], [(6, 15), (1, 10), (11, 20)]).tolist() == [[5 / 15, 1, 0]]


def test_half_of_the_frames_is_enough_and_one_less_is_not():
    assert match([(1, 50)], [(1, 100)]) == [(0, 0)]
    assert match([(1, 49)], [(1, 100)]) == []


def test_a_true_interval_is_found_once_and_the_better_prediction_finds_it():
    assert match([(1, 60), (1, 90)], [(1, 100)]) == [(1, 0)]


def test_f1_pools_counts_over_videos():
    found = score_spotting([Row("a", 100, 180), Row("a", 600, 650), Row("b", 60, 99), Row("b", 300, 349)], TRUE).found
    assert [(one.kind, one.right, one.false, one.missed) for one in found] == [("micro", 2, 2, 1)]
    assert found[0].f1 == pytest.approx(4 / 7)


def test_the_organisers_published_counts_give_their_published_numbers():
    """MEGC 2025, Table 1, SAMM: 6 right, 217 false, 202 missed, of emotions F1 .2222, STRS .0062."""
    emotions = ["negative", "positive", "surprise"]
    true = [micro("v", 100 * k + 1, 100 * k + 50, emotion=emotions[k % 3]) for k in range(208)]
    guesses = ["negative", "negative", "negative"]  # of one of each: precision 1/3 of one, recall 1 of one
    predicted = [Row("v", 100 * k + 1, 100 * k + 50, emotion=guess) for k, guess in enumerate(guesses)]
    predicted += [Row("v", 100 * k + 1, 100 * k + 50, emotion=emotions[(k + 1) % 3]) for k in range(3, 6)]
    predicted += [Row("v", 30000 + 10 * k, 30005 + 10 * k) for k in range(217)]
    scores = score_spotting(predicted, true)
    found = scores.found[0]
    assert (found.right, found.false, found.missed) == (6, 217, 202)
    assert (round(found.precision, 4), round(found.recall, 4), round(found.f1, 4)) == (0.0269, 0.0288, 0.0278)
    assert scores.recognised.strs == found.f1 * scores.recognised.f1


def test_f1_of_the_emotions_is_the_harmonic_mean_of_mean_precision_and_mean_recall():
    """MEGC 2025: precision .1667 and recall .3333 over three emotions give F1 .2222."""
    true = [micro("v", 1, 50, emotion="negative"), micro("v", 101, 150, emotion="positive"), *TRUE[2:3]]
    predicted = [Row("v", 1, 50, emotion="negative"), Row("v", 101, 150, emotion="negative")]
    found = score_spotting(predicted, true).recognised
    assert (found.n, found.n_right) == (2, 1)
    assert (found.precision, found.recall) == (pytest.approx(1 / 6), pytest.approx(1 / 3))
    assert found.f1 == pytest.approx(0.2222, abs=1e-4)


def test_without_emotions_there_is_no_strs():
    assert score_spotting([Row("a", 100, 180)], TRUE).recognised is None


def test_macro_and_micro_are_scored_apart_and_together_if_predictions_have_kinds():
    true = [*TRUE, Row("a", 1000, 1999, kind="macro", subject="s1")]
    predicted = [Row("a", 100, 199, kind="ME"), Row("a", 1000, 1900, kind="macro"), Row("b", 50, 99, kind="macro")]
    found = score_spotting(predicted, true).found
    counts = [(one.kind, one.right, one.false, one.missed) for one in found]
    assert counts == [("micro", 1, 0, 2), ("macro", 1, 1, 0), ("micro and macro", 2, 1, 2)]


def test_without_kinds_a_prediction_in_a_macro_expression_is_a_false_alarm():
    true = [*TRUE, Row("a", 1000, 1999, kind="macro", subject="s1")]
    scores = score_spotting([Row("a", 1000, 1999)], true)
    assert (scores.found[0].false, dict(scores.false_in)) == (1, {"macro": 1})


def test_rejected_predictions_do_not_count():
    found = score_spotting([Row("a", 100, 199, reason="blink"), Row("b", 50, 99)], TRUE).found[0]
    assert (found.right, found.false) == (1, 0)


def test_false_alarms_are_told_by_the_minute_and_by_what_happened_meanwhile():
    predicted = [Row("a", 600, 650, fps=100, n_frames=6000), Row("b", 310, 340, fps=100, n_frames=6000)]
    scores = score_spotting(predicted, TRUE)
    assert scores.minutes == 2
    assert scores.false_a_minute == 1
    assert scores.false_in == {"blink": 1, "nothing": 1}


def test_minutes_are_not_known_if_one_video_does_not_say():
    assert score_spotting([Row("a", 600, 650, fps=100, n_frames=6000), Row("b", 1, 9)], TRUE).minutes is None


def test_a_prediction_file_without_intervals_has_f1_zero():
    scores = score_spotting([], TRUE)
    assert (scores.found[0].f1, scores.found[0].missed) == (0, 3)
    assert "2 videos (a, b) are in the truth and not in the predictions" in scores.notes[0]


def test_the_order_of_the_rows_does_not_matter():
    predicted = [Row("a", 100, 180), Row("a", 110, 199), Row("a", 410, 455), Row("b", 1, 500)]
    shuffled = [predicted[k] for k in (2, 0, 3, 1)], [TRUE[k] for k in (3, 1, 2, 0)]
    assert score_spotting(predicted, TRUE) == score_spotting(*shuffled)


def test_chance_of_intervals_that_fill_the_video_is_known():
    """One true interval of 100 frames and one prediction of the same length in 200: right from 34 to 167 of 101."""
    found = score_spotting([Row("v", 1, 100, n_frames=200)], [micro("v", 51, 150)]).found[0]
    right = np.mean(overlaps([(1 + k, 100 + k) for k in range(101)], [(51, 150)]) >= 0.5)
    assert found.chance == pytest.approx(right, abs=0.05)


def test_the_interval_is_over_subjects_and_absent_with_one():
    predicted = [Row("a", 100, 199, subject="s1"), Row("b", 50, 99, subject="s2")]
    found = score_spotting(predicted, TRUE).found[0]
    assert found.interval[0] < found.f1 < found.interval[1]
    assert score_spotting([Row("a", 100, 199)], TRUE[:1]).found[0].interval is None


@pytest.mark.parametrize("name", ["001", "001.avi", "videos/001.avi", r"C:\videos\001.AVI", "001.mp4"])
def test_videos_are_joined_without_folder_and_extension(name):
    assert score_spotting([Row(name, 1, 50)], [micro("001.avi", 1, 50)]).found[0].right == 1


def test_two_videos_of_one_name_are_told_apart_by_their_folders():
    true = [micro("s1/a.avi", 1, 50), micro("s2/a.avi", 101, 150)]
    assert score_spotting([Row("s2/a.avi", 101, 150), Row("s1/a.avi", 1, 50)], true).found[0].right == 2


def test_videos_of_one_name_are_told_apart_by_their_subjects():
    true = [micro("a", 1, 50, subject="1"), micro("a", 101, 150, subject="2")]
    predicted = [Row("a", 101, 150, subject="1"), Row("a", 101, 150, subject="2")]
    found = score_spotting(predicted, true).found[0]
    assert (found.right, found.false, found.missed) == (1, 1, 1)


def test_videos_of_one_file_only_are_told():
    scores = score_spotting([Row("a", 100, 199), Row("c", 1, 50)], TRUE)
    assert scores.notes == (
        "1 video (b) is in the truth and not in the predictions: what is in them counts as missed",
        "1 video (c) is in the predictions and not in the truth: what is predicted there counts as false alarms",
    )
    assert (scores.found[0].false, scores.found[0].missed) == (1, 2)


def test_files_without_a_common_video_are_refused():
    with pytest.raises(DatasetError) as error:
        score_spotting([Row("x", 1, 50)], TRUE)
    assert str(error.value) == (
        "--spotting: no video is in both files; the first is 'x' in the predictions and 'a' in the truth. Give the "
        "truth of the same videos."
    )


def test_a_truth_without_micro_expressions_is_refused():
    with pytest.raises(DatasetError) as error:
        score_spotting([Row("b", 1, 50)], TRUE[3:])
    assert str(error.value) == (
        "--spotting: the truth has no micro-expression. Its kinds are: blink. Expected intervals of the kind micro, or "
        "no column kind. Give the table of the micro-expressions."
    )


def test_pairs_are_those_of_all_overlaps():
    rng = np.random.default_rng(0)
    spans = [[(onset, onset + length) for onset, length in rng.integers(1, 80, (40, 2)).tolist()] for _ in range(2)]
    found = overlaps(*spans)
    near = sorted(np.argwhere(found >= 0.5).tolist(), key=lambda ij: (-found[*ij], spans[0][ij[0]], spans[1][ij[1]]))
    expected = {}
    for i, j in near:
        if i not in expected and j not in expected.values():
            expected[i] = j
    assert len(expected) > 10
    assert match(*spans) == list(expected.items())


def test_thousands_of_intervals_take_little_memory():
    """All overlaps of all draws would take 8 GB."""
    predicted = [Row("v", 30 * k + 1, 30 * k + 20) for k in range(5000)]
    true = [micro("v", 600 * k + 1, 600 * k + 20) for k in range(250)]
    tracemalloc.start()
    (found,) = score_spotting(predicted, true).found
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.right, found.false, found.missed) == (250, 4750, 0)
    assert most < 100 << 20


def test_a_truth_without_rows_is_refused():
    with pytest.raises(DatasetError) as error:
        score_spotting([Row("a", 1, 50)], [])
    assert str(error.value) == "--spotting: the truth has no rows. Give the table of the micro-expressions."


def test_a_true_interval_that_is_given_twice_is_refused():
    with pytest.raises(DatasetError) as error:
        score_spotting([Row("a", 100, 199)], [*TRUE, micro("a", 100, 199, subject="s1")])
    assert str(error.value) == (
        "--spotting: the truth has the micro-expression from frame 100 to 199 of 'a' twice, and nothing can find it a "
        "second time. Delete one of the rows."
    )


def test_a_predicted_interval_that_is_given_twice_is_told():
    scores = score_spotting([Row("a", 100, 199), Row("a", 100, 199), Row("b", 50, 99)], TRUE)
    assert (scores.found[0].right, scores.found[0].false) == (2, 1)
    assert scores.notes == (
        "1 of the predicted intervals repeats another one of the same frames, and counts as a false alarm",
    )

"""Temperature, calibration errors and abstaining, against hand-worked cases and simulated logits with a known T."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from mer_cli.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    bound_note,
    brier,
    calibrate,
    combine,
    ece,
    expected_ece,
    fit_temperature,
    log_loss,
    says_nothing,
    silence_threshold,
)


def simulated(n, temperature, seed=0, n_classes=3):
    """Logits whose probabilities at this temperature are exactly true."""
    random = np.random.default_rng(seed)
    logits = 3 * random.normal(size=(n, n_classes))
    shares = calibrate(logits, temperature)
    return logits, (random.random((n, 1)) > shares.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_of_simulated_logits_is_found(temperature):
    assert fit_temperature(*simulated(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_one_that_a_minimiser_of_the_likelihood_finds():
    logits, labels = simulated(40, 2.0, seed=3)

    def likelihood(t):
        return -log_softmax(logits / np.exp(t), axis=1)[np.arange(40), labels].mean()

    found = minimize_scalar(likelihood, bounds=(-3, 4), method="bounded")
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(found.x), rel=1e-3)


def test_a_shift_of_a_clip_s_logits_changes_no_temperature():
    logits, labels = simulated(50, 2.0)
    assert fit_temperature(logits + 1000, labels) == pytest.approx(fit_temperature(logits, labels))


def test_all_right_gives_the_lowest_temperature_and_says_so():
    temperature = fit_temperature(np.array([[2.0, 0], [0, 1]]), np.array([0, 1]))
    assert temperature == LOWEST
    assert bound_note(temperature) == (
        "The temperature is at its lower limit of 0.05: nearly all held-out clips are right, too few are wrong to say "
        "how sure the network should be. The probabilities are too high."
    )


def test_all_wrong_gives_the_highest_temperature_and_says_so():
    temperature = fit_temperature(np.array([[2.0, 0], [0, 1]]), np.array([1, 0]))
    assert temperature == HIGHEST
    assert bound_note(temperature) == (
        "The temperature is at its upper limit of 100: the logits say nothing about held-out clips. The probabilities "
        "are nearly equal."
    )


def test_one_clip_and_a_class_that_is_never_named_have_a_temperature():
    assert fit_temperature(np.array([[1.0, 0, -1]]), np.array([0])) == LOWEST
    logits = np.array([[2.0, 0, -9], [1, 0, -9], [3, 1, -9], [0, 1, -9]])
    assert LOWEST < fit_temperature(logits, np.array([0, 1, 2, 1])) <= HIGHEST


def test_logits_that_say_nothing_are_left_as_they_are():
    temperature = fit_temperature(np.full((4, 3), 7.0), np.array([0, 1, 2, 2]))
    assert (temperature, bound_note(temperature)) == (1.0, "")


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), r"must be \(n, classes\) and \(n,\), n at least 1"),
        (np.zeros((2, 3)), np.zeros(3, int), r"must be \(n, classes\)"),
        (np.array([[np.nan, 0]]), np.array([0]), "NaN or infinite"),
        (np.zeros((1, 2)), np.array([2]), r"labels 2\.\.2 are not among 2 classes"),
    ],
)
def test_logits_that_do_not_fit_their_labels_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, labels)


def test_probabilities_add_up_to_one_and_keep_the_named_class():
    logits, _ = simulated(50, 1.0)
    for temperature in (LOWEST, 1.0, HIGHEST):
        shares = calibrate(logits.astype(np.float32), temperature)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert (shares.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert calibrate(np.array([np.log(4) * 2, 0]), 2.0) == pytest.approx([0.8, 0.2])


def test_networks_are_combined_by_the_mean_of_their_probabilities():
    logits = np.log([[[0.8, 0.2]], [[0.4, 0.6]]])  # two networks, one clip
    probabilities, spread = combine(logits, 1.0)
    assert probabilities == pytest.approx(np.array([[0.6, 0.4]]))
    assert spread == pytest.approx(np.full((1, 2), 0.2 * np.sqrt(2)))


def test_a_single_network_has_no_spread():
    _, spread = combine(np.zeros((1, 2, 3)), 1.0)
    assert spread.shape == (2, 3)
    assert np.isnan(spread).all()


# Top probabilities .62, .68 (one right of two), .9 (right), .55 (wrong).
FOUR = np.array([[0.62, 0.38], [0.32, 0.68], [0.9, 0.1], [0.45, 0.55]])
TRUTH = np.array([0, 0, 0, 0])


def test_ece_by_hand_with_bins_of_equal_width():
    # (.5, .6]: |0 - .55| · (.6, .7]: |1 - (.62 + .68)| · (.8, .9]: |1 - .9|, each summed over its clips
    assert ece(FOUR, TRUTH) == pytest.approx((0.55 + 0.3 + 0.1) / 4)


def test_ece_by_hand_with_bins_of_equally_many_clips():
    # each of the four clips has a bin of its own
    assert ece(FOUR, TRUTH, adaptive=True) == pytest.approx((0.38 + 0.68 + 0.1 + 0.55) / 4)


def test_each_adaptive_bin_has_equally_many_clips():
    logits, labels = simulated(40, 1.0)
    probabilities = calibrate(logits, 1.0)
    top, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(top)
    by_hand = sum(abs((right[part] - top[part]).sum()) for part in np.split(order, 10)) / 40
    assert ece(probabilities, labels, adaptive=True) == pytest.approx(by_hand)


def test_brier_and_log_loss_by_hand():
    assert brier(FOUR, TRUTH) == pytest.approx([2 * 0.38**2, 2 * 0.68**2, 2 * 0.1**2, 2 * 0.55**2])
    assert log_loss(FOUR, TRUTH) == pytest.approx(-np.log([0.62, 0.32, 0.9, 0.45]))
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1]))).all()


@pytest.mark.parametrize("adaptive", [False, True])
def test_true_probabilities_have_the_ece_that_is_expected_of_them(adaptive):
    found, expected = [], []
    for seed in range(60):
        logits, labels = simulated(50, 1.0, seed)
        probabilities = calibrate(logits, 1.0)
        found.append(ece(probabilities, labels, adaptive=adaptive))
        expected.append(expected_ece(probabilities, adaptive=adaptive))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.1)
    assert np.mean(found) > 0.05  # 50 clips: far from 0 all the same


def test_an_answer_no_surer_than_the_largest_class_is_common_says_nothing():
    clips = [40, 30, 30]
    threshold = silence_threshold(clips)
    # Wilson's interval by hand: (p + z²/2n + z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    z, n, p = 1.959964, 100, 0.4
    assert threshold == pytest.approx(
        (p + z * z / 2 / n + z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)) / (1 + z * z / n)
    )
    assert says_nothing(np.array([0.45, 0.3, 0.25]), clips)
    assert says_nothing(np.array([0.2, threshold, 0.8 - threshold]), clips)
    assert not says_nothing(np.array([0.2, 0.51, 0.29]), clips)


def test_the_threshold_comes_closer_to_the_share_with_more_clips():
    few, many = silence_threshold([4, 3, 3]), silence_threshold([400, 300, 300])
    assert 0.4 < many < 0.44 < few < 0.75

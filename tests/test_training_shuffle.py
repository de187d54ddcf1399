"""Permuted training labels, and what of a fold training may not look at: pure functions, then true trainings."""

import numpy as np
import pytest
import torch
from tiny_run import config_of, stored, train
from tiny_store import write_store

from mer_cli.runs.directory import read_run
from mer_cli.runs.folds import inner_labels, training_labels
from mer_cli.training.plan import plan_run

CLIPS = tuple(f"casme2/{subject:02d}/EP{clip}" for subject in range(1, 9) for clip in range(5))
LABELS = {clip_id: index % 3 for index, clip_id in enumerate(CLIPS)}


def test_labels_are_the_true_ones_unless_they_are_shuffled():
    assert training_labels("casme2-01", CLIPS, LABELS, config_of()) == LABELS
    assert inner_labels("casme2-01", CLIPS, LABELS, config_of()) == LABELS


def test_shuffled_labels_are_a_permutation_of_the_given_clips():
    config = config_of(shuffle_labels=True)
    for labels_of in (training_labels, inner_labels):
        permuted = labels_of("casme2-01", CLIPS[5:], LABELS, config)
        assert permuted.keys() == set(CLIPS[5:])
        assert sorted(permuted.values()) == sorted(LABELS[clip] for clip in CLIPS[5:])
        assert permuted != {clip: LABELS[clip] for clip in CLIPS[5:]}


def test_the_permutation_depends_on_seed_fold_and_side_and_on_no_order():
    config = config_of(shuffle_labels=True)
    ours = training_labels("casme2-01", CLIPS, LABELS, config)
    assert training_labels("casme2-01", CLIPS[::-1], dict(reversed(LABELS.items())), config) == ours
    others = [
        training_labels("casme2-02", CLIPS, LABELS, config),
        training_labels("casme2-01", CLIPS, LABELS, config_of(shuffle_labels=True, seed=2)),
        inner_labels("casme2-01", CLIPS, LABELS, config),
    ]
    assert ours not in others


EMOTIONS = {  # four subjects; the first is held out
    "casme2/01/EP01_01": "happiness",
    "casme2/01/EP02_01": "disgust",
    "casme2/02/EP01_01": "disgust",
    "casme2/02/EP02_01": "happiness",
    "casme2/03/EP01_01": "surprise",
    "casme2/03/EP02_01": "happiness",
    "casme2/04/EP01_01": "disgust",
    "casme2/04/EP02_01": "surprise",
}
FOLD = "casme2-01"
RESNET = {"model": "resnet18-diff"}  # trained in the steps of MMNet, with less arithmetic


def inner_of(path):
    with np.load(path / "folds" / FOLD / "logits.npz") as arrays:
        return arrays["inner_logits"], tuple(arrays["inner_clip_ids"])


@pytest.fixture(scope="module")
def set_aside_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inner")
    return train(write_store(folder / "tiny.h5", EMOTIONS), folder, wanted=["01"], inner_val=1, **RESNET)[0]


def test_inner_logits_are_stored_after_every_epoch_and_read_back(set_aside_run, tmp_path):
    plan = plan_run([write_store(tmp_path / "tiny.h5", EMOTIONS)], config_of(inner_val=1))
    (fold,) = read_run(set_aside_run).folds
    assert fold.inner_clip_ids == plan.folds[0].inner
    assert fold.inner_logits.shape == (2, len(fold.inner_clip_ids), 3)
    assert np.isfinite(fold.inner_logits).all()
    assert not np.array_equal(fold.inner_logits[0], fold.inner_logits[1])


def test_inner_pictures_and_held_out_labels_move_no_weight_and_no_held_out_logit(set_aside_run, tmp_path):
    logits, inner_ids = inner_of(set_aside_run)
    permuted = EMOTIONS | {"casme2/01/EP01_01": "disgust", "casme2/01/EP02_01": "happiness"}
    store = write_store(tmp_path / "other.h5", permuted, repainted=inner_ids)
    path, _ = train(store, tmp_path, wanted=["01"], inner_val=1, **RESNET)
    assert read_run(path).labels != read_run(set_aside_run).labels
    (before, weights), (after, other_weights) = stored(set_aside_run, FOLD), stored(path, FOLD)
    np.testing.assert_array_equal(before, after)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    other_logits, other_ids = inner_of(path)
    assert other_ids == inner_ids
    assert not np.array_equal(other_logits, logits)  # the pictures were seen, after training


def test_shuffled_training_is_the_ordinary_one_on_permuted_labels(tmp_path):
    store = write_store(tmp_path / "tiny.h5", EMOTIONS)
    path, _ = train(store, tmp_path, wanted=["01"], epochs=1, shuffle_labels=True, **RESNET)
    run = read_run(path)
    (fold, *_) = plan_run([store], config_of()).folds
    word_of = {run.labels[clip]: emotion for clip, emotion in EMOTIONS.items()}
    permuted = training_labels(FOLD, fold.train, run.labels, run.config)
    assert permuted != {clip: run.labels[clip] for clip in fold.train}
    relabelled = EMOTIONS | {clip: word_of[label] for clip, label in permuted.items()}
    plain, _ = train(write_store(tmp_path / "permuted.h5", relabelled), tmp_path, wanted=["01"], epochs=1, **RESNET)
    (logits, weights), (other_logits, other_weights) = stored(path, FOLD), stored(plain, FOLD)
    np.testing.assert_array_equal(logits, other_logits)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert {clip: run.labels[clip] for clip in fold.test} == {clip: read_run(plain).labels[clip] for clip in fold.test}

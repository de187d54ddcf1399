"""Several stores in one run, under LOSO and across datasets, trained for real: no held-out label, no order, no kill
moves a bit."""

import numpy as np
import pytest
from tiny_run import assert_same_fold, config_of, stored, train
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

from mer_cli.runs.directory import read_run
from mer_cli.store.hdf5 import read_windows
from mer_cli.training.fold_work import _read_windows
from mer_cli.training.plan import plan_run

MEGC3 = {"scheme": "megc3", "epochs": 1, "model": "resnet18-diff"}  # in the steps of MMNet, with less arithmetic
CASME2 = {clip: emotion for clip, emotion in EMOTIONS.items() if "/02/" not in clip}
OWN_EMOTIONS = {"mylab/p1/a": "smirk", "mylab/p1/b": "frown", "mylab/p2/a": "frown"}


def write_stores(folder, casme2=CASME2, samm=SAMM_EMOTIONS):
    folder.mkdir(exist_ok=True)
    return [write_store(folder / "casme2.h5", casme2), write_store(folder / "samm.h5", samm)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return write_stores(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def loso(stores, tmp_path_factory):
    """A run over both stores, trained in one go."""
    return train(stores, tmp_path_factory.mktemp("loso"), **MEGC3)[0]


@pytest.fixture(scope="module")
def across(stores, tmp_path_factory):
    """A run that is trained on CASME II and tested on SAMM."""
    return train(stores[:1], tmp_path_factory.mktemp("across"), test_stores=stores[1:], **MEGC3)[0]


def rotated(emotions, of):
    """The emotions with those of the clips `of` passed on to the next of these clips."""
    return emotions | {clip: emotions[donor] for clip, donor in zip(of, of[1:] + of[:1], strict=True)}


def determined_bytes(run):
    """The files of a run that its settings determine to the byte; safetensors writes its metadata in any order."""
    names = ("config.json", "clips.csv", "logits.npz")  # `done` has the checksum of the seconds, too
    return {str(file.relative_to(run)): file.read_bytes() for name in names for file in run.rglob(name)}


def test_windows_of_all_stores_lie_in_the_order_of_the_labels(stores):
    plan = plan_run(stores[::-1], config_of(**MEGC3))
    windows = _read_windows(plan)
    clip_ids = list(plan.labels)
    assert clip_ids == sorted(clip_ids)
    for store in stores:
        rows = [row for row, clip_id in enumerate(clip_ids) if clip_id.startswith(store.stem)]
        onset, onset_numbers, apex, apex_numbers = read_windows(store, [clip_ids[row] for row in rows])
        np.testing.assert_array_equal(windows.onset[rows], onset)
        np.testing.assert_array_equal(windows.apex[rows], apex)
        np.testing.assert_array_equal(windows.onset_numbers[rows], onset_numbers)
        np.testing.assert_array_equal(windows.apex_numbers[rows], apex_numbers)


def test_loso_over_two_stores_holds_each_subject_out_once(loso):
    run = read_run(loso)
    assert [fold.fold for fold in run.folds] == ["casme2-01", "casme2-03", "samm-006", "samm-03"]
    assert run.missing == ()
    assert {clip: fold.fold for fold in run.folds for clip in fold.clip_ids} == run.fold_of
    assert run.labels.keys() == CASME2.keys() | SAMM_EMOTIONS.keys()


def test_a_run_across_datasets_has_one_fold_that_holds_the_test_store(across):
    run = read_run(across)
    (fold,) = run.folds
    assert (fold.fold, fold.clip_ids) == ("samm", tuple(sorted(SAMM_EMOTIONS)))
    assert run.labels.keys() == CASME2.keys() | SAMM_EMOTIONS.keys()
    assert {clip for clip, fold in run.fold_of.items() if fold == ""} == CASME2.keys()


def test_held_out_labels_of_a_subject_of_several_stores_do_not_reach_training(loso, tmp_path):
    held_out = [clip for clip in SAMM_EMOTIONS if "/006/" in clip]
    stores = write_stores(tmp_path, samm=rotated(SAMM_EMOTIONS, held_out))
    path, _ = train(stores, tmp_path, wanted=["samm-006"], **MEGC3)
    assert read_run(path).labels != read_run(loso).labels
    assert_same_fold(path, loso, "samm-006")


def test_labels_of_another_store_do_reach_training_under_loso(loso, tmp_path):
    """The twin of the test above: the comparison is able to see a label."""
    stores = write_stores(tmp_path, casme2=rotated(CASME2, ["casme2/01/EP01_01", "casme2/01/EP02_01"]))
    path, _ = train(stores, tmp_path, wanted=["samm-006"], **MEGC3)
    assert not np.array_equal(stored(path, "samm-006")[0], stored(loso, "samm-006")[0])


def test_labels_of_the_test_store_do_not_reach_training(across, tmp_path):
    casme2, samm = write_stores(tmp_path, samm=rotated(SAMM_EMOTIONS, list(SAMM_EMOTIONS)))
    path, _ = train([casme2], tmp_path, test_stores=[samm], **MEGC3)
    before, after = read_run(across).labels, read_run(path).labels
    assert all(before[clip] != after[clip] for clip in SAMM_EMOTIONS)
    assert_same_fold(path, across, "samm")


def test_labels_of_the_training_store_do_reach_training_across_datasets(across, tmp_path):
    casme2, samm = write_stores(tmp_path, casme2=rotated(CASME2, ["casme2/01/EP01_01", "casme2/01/EP02_01"]))
    path, _ = train([casme2], tmp_path, test_stores=[samm], **MEGC3)
    assert not np.array_equal(stored(path, "samm")[0], stored(across, "samm")[0])


def test_the_order_of_clips_in_the_stores_and_of_the_stores_moves_nothing(loso, tmp_path):
    stores = write_stores(tmp_path, *(dict(reversed(emotions.items())) for emotions in (CASME2, SAMM_EMOTIONS)))
    path, _ = train(stores[::-1], tmp_path / "runs", wanted=["samm-03"], **MEGC3)
    assert_same_fold(path, loso, "samm-03")
    assert (path / "clips.csv").read_bytes() == (loso / "clips.csv").read_bytes()


@pytest.mark.slow
def test_folds_trained_apart_with_the_stores_in_another_order_equal_the_straight_run(stores, loso, tmp_path):
    for name in ("samm-03", "01"):
        path, _ = train(stores, tmp_path, wanted=[name], **MEGC3)
    assert read_run(path).missing == ("casme2-03", "samm-006")
    path, listener = train(stores[::-1], tmp_path, **MEGC3)
    assert listener.folds == ["casme2-03", "samm-006"]
    assert path.name == loso.name
    assert determined_bytes(path) == determined_bytes(loso)
    for fold in read_run(loso).folds:
        assert_same_fold(path, loso, fold.fold)
    assert len(read_run(path).sessions) == 1


def test_a_session_from_another_place_is_recorded_and_moves_no_bit(loso, tmp_path):
    """The config holds what is in a store, not where it lies."""
    first = write_stores(tmp_path / "a")
    second = write_stores(tmp_path / "b")
    train(first, tmp_path / "runs", wanted=["samm-03"], **MEGC3)
    path, listener = train(second, tmp_path / "runs", wanted=["samm-03", "samm-006"], **MEGC3)
    assert listener.folds == ["samm-006"]
    sessions = read_run(path).sessions
    assert [session.stores for session in sessions] == [tuple(map(str, first)), tuple(map(str, second))]
    assert {session.out for session in sessions} == {str(tmp_path / "runs")}
    _, listener = train(first[::-1], tmp_path / "runs", wanted=["samm-03"], **MEGC3)
    assert (listener.folds, read_run(path).sessions) == ([], sessions)
    for fold in ("samm-03", "samm-006"):
        assert_same_fold(path, loso, fold)


def test_own_labels_are_trained_and_tested_under_both_protocols(tmp_path):
    own = write_store(tmp_path / "mylab.h5", OWN_EMOTIONS)
    other = write_store(tmp_path / "theirs.h5", {"theirs/q/a": "smirk"})
    for given, folds in (({}, ["mylab-p1", "mylab-p2"]), ({"test_stores": [other]}, ["theirs"])):
        path, _ = train(own, tmp_path, **MEGC3 | {"scheme": "auto"}, **given)
        run = read_run(path)
        assert [fold.fold for fold in run.folds] == folds
        assert run.class_names == ("frown", "smirk")
        assert run.folds[0].logits.shape[-1] == 2

import random

import pytest
from sklearn.model_selection import LeaveOneGroupOut

from mer_cli.errors import ConfigError
from mer_cli.records import fold_id
from mer_cli.runs.folds import cross_folds, loso_folds, select_folds


def make_clip_ids(seed, n_subjects=7):
    rng = random.Random(seed)
    sizes = {f"{subject:02d}": rng.randint(1, 9) for subject in rng.sample(range(1, 30), n_subjects)}
    return [f"casme2/{subject}/EP{n:02d}_01" for subject, size in sizes.items() for n in range(size)]


@pytest.mark.parametrize("seed", range(5))
def test_loso_folds_keep_each_subject_on_one_side_and_every_clip_in_each_fold(seed):
    clip_ids = make_clip_ids(seed)
    folds = loso_folds(clip_ids)
    for fold in folds:
        assert {fold_id(clip) for clip in fold.test} == {fold.id}
        assert fold.id not in {fold_id(clip) for clip in fold.train}
        assert sorted(fold.train + fold.test) == sorted(clip_ids)
        assert fold.inner == ()
    assert [fold.id for fold in folds] == sorted({fold_id(clip) for clip in clip_ids})
    assert sorted(clip for fold in folds for clip in fold.test) == sorted(clip_ids)


def test_loso_folds_equal_scikit_learns():
    clip_ids = sorted(make_clip_ids(11))
    subjects = [clip.split("/")[1] for clip in clip_ids]
    theirs = LeaveOneGroupOut().split(clip_ids, groups=subjects)
    for fold, (train, test) in zip(loso_folds(clip_ids), theirs, strict=True):
        assert fold.train == tuple(clip_ids[i] for i in train)
        assert fold.test == tuple(clip_ids[i] for i in test)


def test_loso_folds_do_not_depend_on_the_order_of_clips_nor_change_it():
    clip_ids = make_clip_ids(3)
    shuffled = random.Random(1).sample(clip_ids, len(clip_ids))
    before = list(shuffled)
    assert loso_folds(shuffled) == loso_folds(clip_ids)
    assert shuffled == before


def test_loso_folds_take_a_subject_with_one_clip():
    folds = loso_folds(["casme2/01/EP01_01", "casme2/02/EP01_01", "casme2/02/EP02_01"])
    assert [len(fold.test) for fold in folds] == [1, 2]


def test_loso_folds_refuse_one_subject():
    with pytest.raises(ConfigError) as error:
        loso_folds(["casme2/05/EP01_01", "casme2/05/EP02_01"])
    assert str(error.value) == (
        "LOSO needs at least 2 subjects, and the store has 1 (casme2-05) under this scheme. "
        "Preprocess more subjects, or choose another --scheme."
    )


def test_select_folds_takes_subjects_and_fold_ids_in_the_order_of_the_folds():
    folds = loso_folds(["casme2/01/a", "casme2/02/a", "casme2/03/a"])
    assert [fold.id for fold in select_folds(folds, ["casme2-03", "01"])] == ["casme2-01", "casme2-03"]
    assert select_folds(folds, None) == folds


def test_select_folds_names_an_unknown_subject():
    folds = loso_folds(["casme2/01/a", "casme2/02/a"])
    with pytest.raises(ConfigError) as error:
        select_folds(folds, ["1"])
    assert str(error.value) == "--folds: this run has no fold '1'. Available folds: 01, 02."


TWO_DATASETS = ["casme2/01/a", "casme2/03/a", "samm/006/a", "samm/03/a"]


def test_loso_folds_keep_equal_subject_ids_of_two_datasets_apart():
    folds = loso_folds(TWO_DATASETS)
    assert [fold.id for fold in folds] == ["casme2-01", "casme2-03", "samm-006", "samm-03"]
    assert folds[1].test == ("casme2/03/a",)
    assert folds[1].train == ("casme2/01/a", "samm/006/a", "samm/03/a")


def test_select_folds_takes_a_subject_of_one_of_several_datasets():
    folds = loso_folds(TWO_DATASETS)
    assert [fold.id for fold in select_folds(folds, ["samm-03", " 01", "006"])] == ["casme2-01", "samm-006", "samm-03"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            "03",
            "--folds: subject '03' is in 2 datasets. Name casme2-03 or samm-03.",
        ),
        (
            "02",
            "--folds: this run has no fold '02'. Available folds: casme2-01, casme2-03, samm-006, samm-03.",
        ),
        (
            "samm",
            "--folds: this run has no fold 'samm'. Available folds: casme2-01, casme2-03, samm-006, samm-03.",
        ),
    ],
)
def test_select_folds_refuses_what_does_not_mean_one_fold(wanted, message):
    with pytest.raises(ConfigError) as error:
        select_folds(loso_folds(TWO_DATASETS), ["samm-006", wanted])
    assert str(error.value) == message


def test_cross_folds_hold_each_test_dataset_out_and_train_on_the_same_clips():
    train = ["smic/s1/b", "casme2/01/a"]
    folds = cross_folds(train, ["samm/03/a", "mmew/S1/a", "samm/006/a"])
    assert [(fold.id, fold.test) for fold in folds] == [("mmew", ("mmew/S1/a",)), ("samm", ("samm/006/a", "samm/03/a"))]
    assert {fold.train for fold in folds} == {("casme2/01/a", "smic/s1/b")}
    assert [fold.id for fold in select_folds(folds, ["samm"])] == ["samm"]

"""What a run will be, from the stores' tables alone: scheme, folds, protocol, warnings, and what is refused."""

import pytest
from tiny_run import config_of
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

from mer_cli.errors import ConfigError, StoreError
from mer_cli.training.plan import plan_run

SMIC_EMOTIONS = {"smic/s1/s1_ne_01": "negative", "smic/s2/s2_po_01": "positive"}
OWN_EMOTIONS = {"mylab/p1/a": "smirk", "mylab/p1/b": "frown", "mylab/p2/a": "frown"}


@pytest.fixture
def casme2(tmp_path):
    return write_store(tmp_path / "casme2.h5")


@pytest.fixture
def samm(tmp_path):
    return write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)


@pytest.fixture
def smic(tmp_path):
    return write_store(tmp_path / "smic.h5", SMIC_EMOTIONS)


def refuse(stores, expected, **given):
    with pytest.raises((ConfigError, StoreError)) as error:
        plan_run(stores, config_of(**given.pop("settings", {})), **given)
    assert str(error.value) == expected


def test_scheme_auto_is_the_datasets_own_and_the_one_that_covers_several(casme2, samm):
    for stores, scheme, protocol_id in (
        ([casme2], "casme2-5", "casme2-5/5"),
        ([samm], "samm-5", "samm-5/3"),
        ([casme2, samm], "megc3", "casme2+samm-megc3/8"),
    ):
        config = plan_run(stores, config_of(scheme="auto")).config
        assert (config.scheme, config.protocol_id) == (scheme, protocol_id)


def test_all_of_the_composites_datasets_give_its_name(casme2, samm, smic):
    config = plan_run([smic, casme2, samm], config_of(scheme="megc3")).config
    assert config.protocol_id == "megc2019-cde/10"
    assert config.run_name.startswith("megc2019-cde-mmnet-quick-s1-")
    assert config.protocol() == "leave one subject out"


def test_the_composites_name_stands_for_one_subject_left_out_alone(casme2, samm, smic):
    plan = plan_run([smic, casme2, samm], config_of(scheme="megc3"), leave_dataset_out=True)
    assert plan.config.protocol_id == "casme2+samm+smic-megc3/10"
    assert plan.config.protocol() == "leave one dataset out, mean over 3 datasets"
    assert [(fold.id, len(fold.train), len(fold.test)) for fold in plan.folds] == [
        ("casme2", 5, 5),
        ("samm", 7, 3),
        ("smic", 8, 2),
    ]


def test_the_order_of_stores_is_no_setting(casme2, samm, smic):
    one, other = (
        plan_run(stores, config_of(scheme="megc3")) for stores in ([casme2, samm, smic], [smic, samm, casme2])
    )
    assert one.config.run_name == other.config.run_name
    assert one.config.model_dump_json() == other.config.model_dump_json()
    assert (one.folds, list(one.labels), one.paths("loso")) == (other.folds, list(other.labels), other.paths("loso"))


def test_loso_over_several_stores_has_a_fold_for_each_subject_of_each(casme2, samm):
    plan = plan_run([samm, casme2], config_of(scheme="megc3"), wanted=["samm-03"])
    assert [fold.id for fold in plan.folds] == ["casme2-01", "casme2-02", "casme2-03", "samm-006", "samm-03"]
    (wanted,) = plan.wanted
    assert wanted.test == ("samm/03/03_1_1",)
    assert "casme2/03/EP01_01" in wanted.train
    assert plan.labels["samm/006/006_1_2"] == plan.config.class_names.index("negative")
    assert plan.emotions["samm/006/006_1_2"] == "anger"


def test_across_datasets_each_test_store_is_a_fold_that_is_trained_on_the_others(casme2, samm, smic):
    plan = plan_run([casme2], config_of(scheme="megc3"), test_stores=[smic, samm])
    assert [(fold.id, fold.test) for fold in plan.folds] == [
        ("samm", tuple(sorted(SAMM_EMOTIONS))),
        ("smic", tuple(sorted(SMIC_EMOTIONS))),
    ]
    assert {fold.train for fold in plan.folds} == {tuple(sorted(EMOTIONS))}
    assert [(store.dataset, store.role) for store in plan.config.stores] == [
        ("casme2", "train"),
        ("samm", "test"),
        ("smic", "test"),
    ]
    assert plan.config.protocol_id == "casme2-to-samm+smic-megc3/5-to-5"
    assert plan.config.run_name.startswith("casme2-to-samm+smic-megc3-mmnet-quick-s1-")
    assert plan.config.protocol() == "trained on casme2, tested on samm and smic"
    assert plan.paths("test") == (str(samm), str(smic))


def test_subjects_of_the_training_stores_are_set_aside_across_datasets(casme2, samm, smic):
    plan = plan_run([casme2, samm], config_of(scheme="megc3", inner_val=2), test_stores=[smic])
    (fold,) = plan.folds
    assert {clip.partition("/")[0] for clip in fold.test} == {"smic"}
    assert sorted(fold.train + fold.inner) == sorted((*EMOTIONS, *SAMM_EMOTIONS))
    assert len({clip.rpartition("/")[0] for clip in fold.inner}) == 2
    assert plan.wanted == plan.folds


def test_the_part_that_a_store_plays_is_a_setting(casme2, samm):
    config = config_of(scheme="megc3")
    plans = [
        plan_run([casme2, samm], config),
        plan_run([casme2], config, test_stores=[samm]),
        plan_run([samm], config, test_stores=[casme2]),
    ]
    assert len({plan.config.run_name for plan in plans}) == 3


def test_one_training_subject_is_enough_across_datasets(smic, tmp_path):
    one = write_store(tmp_path / "one.h5", {"casme2/01/a": "surprise", "casme2/01/b": "disgust"})
    assert plan_run([one], config_of(scheme="megc3"), test_stores=[smic]).folds[0].id == "smic"


def test_own_labels_are_the_classes(tmp_path):
    own = write_store(tmp_path / "mylab.h5", OWN_EMOTIONS)
    config = plan_run([own], config_of(scheme="auto")).config
    assert (config.scheme, config.class_names, config.protocol_id) == ("labels", ("frown", "smirk"), "mylab-labels/3")


def test_every_dataset_whose_counts_differ_is_warned_of(tmp_path, smic):
    casme2 = write_store(tmp_path / "casme2.h5", table_version="20190701")
    samm = write_store(tmp_path / "samm.h5", SAMM_EMOTIONS, table_version="v2")
    warnings = plan_run([smic, samm, casme2], config_of(scheme="megc3")).warnings
    assert warnings == (
        "megc3: the store holds negative 2, positive 2, surprise 1 of 3 subjects. Expected negative 88, positive 32, "
        "surprise 25 of 24 subjects with table 20190701 of casme2. `mer info` lists the clips that failed.",
        "megc3: the store holds negative 1, positive 1, surprise 1 of 2 subjects. Expected negative 92, positive 26, "
        "surprise 15 of 28 subjects with table v2 of samm. `mer info` lists the clips that failed.",
    )


@pytest.mark.parametrize("as_test", [False, True])
def test_two_stores_of_one_dataset_are_refused(casme2, tmp_path, as_test):
    other = write_store(tmp_path / "again.h5", {"casme2/09/a": "disgust"})
    given = {"test_stores": [other]} if as_test else {}
    refuse(
        [casme2] if as_test else [casme2, other],
        f"{other}: holds casme2, as does {casme2}. Expected one store for each dataset, so that no subject is on both "
        "sides. Leave one of them out.",
        **given,
    )


def test_a_store_that_is_trained_and_tested_on_is_refused(casme2):
    refuse(
        [casme2],
        f"{casme2}: holds casme2, as does {casme2}. Expected one store for each dataset, so that no subject is on "
        "both sides. Leave one of them out.",
        test_stores=[casme2],
    )


def test_a_scheme_that_does_not_cover_all_stores_is_refused(casme2, samm):
    refuse(
        [casme2],
        "--scheme: 'mmnet3' covers casme2, and not samm. Choose one of megc3.",
        test_stores=[samm],
    )


def test_one_subject_is_refused_under_loso(tmp_path):
    store = write_store(tmp_path / "one.h5", {"casme2/03/a": "surprise", "casme2/03/b": "disgust"})
    refuse(
        [store],
        "LOSO needs at least 2 subjects, and the store has 1 (casme2-03) under this scheme. "
        "Preprocess more subjects, or choose another --scheme.",
    )


def test_a_store_without_a_clip_of_the_scheme_is_refused_beside_one_that_has_some(casme2, tmp_path):
    samm = write_store(tmp_path / "others.h5", {"samm/006/a": "others"})
    refuse(
        [casme2, samm],
        f"{samm}: has no clip of scheme 'megc3'. Expected emotions: happiness, surprise, anger, contempt, disgust, "
        "fear, sadness. Choose another --scheme.",
        settings={"scheme": "megc3"},
    )


def test_own_clips_that_all_have_one_label_are_refused(tmp_path):
    own = write_store(tmp_path / "mylab.h5", dict.fromkeys(OWN_EMOTIONS, "smile"))
    refuse(
        [own],
        "--scheme labels: all clips have the label 'smile'. Expected at least 2 labels. Give the clips different "
        "labels in the table, and build the store again.",
        settings={"scheme": "auto"},
    )


def test_a_subject_of_two_datasets_must_be_named_with_its_dataset(casme2, samm):
    refuse(
        [casme2, samm],
        "--folds: subject '03' is in 2 datasets. Name casme2-03 or samm-03.",
        wanted=["03"],
        settings={"scheme": "megc3"},
    )


def test_a_missing_store_is_refused(tmp_path):
    path = tmp_path / "none.h5"
    refuse(
        [path],
        f"{path}: no such store. Write it: mer preprocess DATASET RAW --out {path}.",
    )

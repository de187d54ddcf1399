"""Generated clips that every fold trains on: never held out, never scored, and told beside every score."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from added_store import ADDED_EMOTIONS, KEPT, PRETRAIN, write_added
from tiny_run import config_of, stored, train
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.cli.train import clip_warnings
from mer_cli.errors import ConfigError, RunError, StoreError
from mer_cli.evaluation.chance import run_chance
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.run_text import is_own_recipe, remarks, settings, settings_key, train_command
from mer_cli.evaluation.summary import prediction_table, summarise
from mer_cli.inference.run_files import find_stores
from mer_cli.report.entries import score_runs
from mer_cli.report.placing import place_runs
from mer_cli.runs.directory import read_run
from mer_cli.runs.folds import added_to, training_labels
from mer_cli.store.added import read_added, share_out
from mer_cli.store.hdf5 import read_store
from mer_cli.training.fit import plan_fit
from mer_cli.training.fold_work import make_trainer
from mer_cli.training.plan import plan_run

STAMP = "trained with 3 generated clips added"
SMALL = {"model": "ststnet", "flow": "fast"}  # little arithmetic


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = write_store(tmp_path_factory.mktemp("data") / "casme2.h5")
    write_added(path)
    return path


@pytest.fixture(scope="module")
def with_added(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("runs"), pretrain=PRETRAIN, **SMALL)[0]


def test_every_fold_trains_on_all_generated_clips_and_holds_none_out(store):
    plain, plan = (plan_run([store], config_of(**SMALL, pretrain=pretrain)) for pretrain in ("", PRETRAIN))
    for before, fold in zip(plain.folds, plan.folds, strict=True):
        assert fold == replace(before, train=before.train + KEPT)
    assert plan.config.protocol_id == plain.config.protocol_id == f"casme2-mmnet3/{len(EMOTIONS)}"
    assert (plan.config.stores, plan.config.test_datasets) == (plain.config.stores, ("casme2",))
    (added,) = plan.config.added
    held = read_added(read_store(store), len(ADDED_EMOTIONS))
    assert (added.dataset, added.content_hash, added.n_clips) == ("synth-casme2", held.content_hash, 3)
    assert (added.release, added.seed) == (2, 70_007)
    assert list(plan.labels) == sorted(plan.labels), "rows of arrays are in this order"
    assert plan.config.run_name != plain.config.run_name


def test_inner_subjects_are_recorded_ones(tmp_path):
    """Of two subjects, the generated ones would suit best: only they show all three classes."""
    words = ("happiness", "disgust", "surprise")
    path = write_store(tmp_path / "casme2.h5", {f"casme2/{number:02d}/EP1": words[number % 3] for number in range(9)})
    write_added(path)
    for fold in plan_run([path], config_of(inner_val=2, pretrain=PRETRAIN)).folds:
        assert len(fold.inner) == 2
        assert not {*KEPT} & {*fold.inner, *fold.test}
        assert fold.train[-3:] == KEPT


def test_generated_clips_are_never_held_back_to_choose_c(store):
    plan = plan_run([store], config_of(model="flow-svm", epochs=None, batch_size=None, device=None, pretrain=PRETRAIN))
    trainer = make_trainer(plan, np.zeros((len(plan.labels), 2), np.float32))
    assert dict(zip(plan.labels, trainer.subjects.tolist(), strict=True)) == {
        **{clip_id: clip_id.rpartition("/")[0] for clip_id in EMOTIONS},
        **dict.fromkeys(KEPT, ""),
    }


def test_a_run_with_generated_clips_is_scored_on_recorded_ones_alone(with_added, store, tmp_path):
    run = read_run(with_added)
    assert run.labels.keys() == run.fold_of.keys() == run.emotions.keys() == EMOTIONS.keys()
    assert run.added == {KEPT[0]: 2, KEPT[1]: 1, KEPT[2]: 0}
    assert {clip for fold in run.folds for clip in fold.clip_ids} == EMOTIONS.keys()
    assert evaluate(run, "last").n_clips == len(EMOTIONS)
    plain = read_run(train(store, tmp_path, **SMALL)[0])
    assert run_chance(run, "last") == run_chance(plain, "last")
    assert any((stored(with_added, fold.fold)[0] != stored(plain.path, fold.fold)[0]).any() for fold in run.folds)


def test_the_stamp_stands_beside_every_score(with_added):
    run = read_run(with_added)
    assert STAMP in remarks(run.config)
    assert settings(run.config).endswith("+ 3 generated clips")
    (summary,) = summarise(run, "last")
    assert ("training clips", STAMP) in summary.facts
    header, *rows = prediction_table(run, evaluate(run, "last"))
    assert all(STAMP in row[header.index("remarks")] for row in rows)
    listed = mer("runs", with_added.parent)
    assert STAMP in listed.output


def test_it_is_other_settings_than_the_methods_own_recipe_and_never_ranked(with_added, store):
    run = read_run(with_added)
    plain = plan_run([store], config_of(**SMALL)).config
    assert settings_key(run.config) != settings_key(plain)
    alone = score_runs([run], place_runs([run]))
    assert not any(entry.competes for entry in alone)
    own = plan_run([store], config_of(model="ststnet", epochs=None, batch_size=None, pretrain=PRETRAIN)).config
    assert is_own_recipe(own.model_copy(update={"pretrain": ""}), "last")
    assert not is_own_recipe(own, "last")


def test_shuffled_labels_are_permuted_over_recorded_and_generated_clips_alike(store):
    plan = plan_run([store], config_of(**SMALL, pretrain=PRETRAIN, shuffle_labels=True))
    moved = set()
    for seed in range(20):
        fold = plan.folds[0]
        permuted = training_labels(fold.id, fold.train, plan.labels, plan.config.model_copy(update={"seed": seed}))
        moved |= {clip_id for clip_id, label in permuted.items() if label != plan.labels[clip_id]}
    assert moved >= {*KEPT}
    assert moved - {*KEPT}


def test_a_run_goes_on_and_is_replayed_with_its_generated_clips(with_added, store):
    again, listener = train(store, with_added.parent, pretrain=PRETRAIN, **SMALL)
    assert (again, listener.folds) == (with_added, [])
    assert f"--pretrain {PRETRAIN}" in train_command(read_run(with_added))
    replayed = mer("train", "--config", with_added / "config.json", "--out", with_added.parent)
    assert replayed.exit_code == 0, replayed.output
    assert str(with_added) in replayed.output


def test_generated_clips_of_other_content_are_another_run(with_added, tmp_path):
    path = write_store(tmp_path / "casme2.h5")
    write_added(path, ADDED_EMOTIONS | {"synth-casme2/01/EP01_01": "happiness"})
    other = plan_run([path], config_of(**SMALL, pretrain=PRETRAIN)).config
    assert other.run_name != with_added.name
    with_it = mer("train", path, "--config", with_added / "config.json", "--out", tmp_path)
    assert with_it.exit_code == 1
    assert "It would be another run" in with_it.output


def test_a_rare_class_is_told_by_recorded_clips_and_by_what_folds_train_on(store):
    plain, plan = (plan_run([store], config_of(**SMALL, pretrain=pretrain)) for pretrain in ("", PRETRAIN))
    assert "surprise: 1 clip of 1 subject, no training clip of it in fold casme2-03" in clip_warnings(plain)[-1]
    assert (
        "surprise: 1 clip of 1 subject, training clips of one subject only in fold casme2-03"
        in (clip_warnings(plan)[-1])
    )


def test_two_datasets_share_the_clips_out(tmp_path):
    stores = [write_store(tmp_path / "casme2.h5"), write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)]
    assert share_out([read_store(path) for path in stores], 9) == {"casme2": 5, "samm": 4}
    write_added(stores[0])
    write_added(stores[1], {f"synth-samm/006/{number}": "anger" for number in range(3)})
    plan = plan_run(stores, config_of(scheme="megc3", pretrain="synth:7"))
    assert [(added.dataset, added.n_clips) for added in plan.config.added] == [("synth-casme2", 3), ("synth-samm", 3)]
    assert [store.info.dataset for store in plan.stores] == ["casme2", "samm", "synth-casme2", "synth-samm"]
    for fold in plan.folds:
        assert sum(clip_id.startswith("synth-") for clip_id in fold.train) == 6


def test_a_fold_that_holds_out_a_dataset_gets_no_clips_in_its_layout(tmp_path):
    stores = [write_store(tmp_path / "casme2.h5"), write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)]
    write_added(stores[0])
    write_added(stores[1], {f"synth-samm/006/{number}": "anger" for number in range(3)})
    plan = plan_run(stores, config_of(scheme="megc3", pretrain="synth:7"), leave_dataset_out=True)
    of_fold = {fold.id: {clip.split("/")[0] for clip in fold.train if clip.startswith("synth-")} for fold in plan.folds}
    assert of_fold == {"casme2": {"synth-samm"}, "samm": {"synth-casme2"}}


def test_a_list_that_is_named_like_a_dataset_gets_the_clips_as_others_do(store, tmp_path):
    lists = tmp_path / "lists.csv"
    subjects = sorted({clip_id.split("/")[1] for clip_id in EMOTIONS})
    rows = (f"{subject},{'casme2' if place == 0 else 'rest'}" for place, subject in enumerate(subjects))
    lists.write_text("\n".join(["subject,fold", *rows]), encoding="utf-8")
    plan = plan_run([store], config_of(pretrain=PRETRAIN), folds_file=lists)
    assert {fold.id: sum(clip in fold.train for clip in KEPT) for fold in plan.folds} == {"casme2": 3, "rest": 3}
    assert added_to(plan.folds[0], KEPT) == KEPT


def test_held_out_datasets_are_told_at_most_how_many_clips_a_fold_gets(tmp_path):
    stores = [write_store(tmp_path / "casme2.h5"), write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)]
    write_added(stores[0])
    write_added(stores[1], {f"synth-samm/006/{number}": "anger" for number in range(3)})
    config = plan_run(stores, config_of(scheme="megc3", pretrain="synth:7"), leave_dataset_out=True).config
    assert config.n_added == 6
    assert remarks(config) == ("trained with up to 3 generated clips added",)
    assert "up to 3 generated clips" in settings(config)


def test_a_dataset_whose_generated_clips_are_in_no_class_is_left_out(tmp_path):
    stores = [write_store(tmp_path / "casme2.h5"), write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)]
    write_added(stores[0])
    write_added(stores[1], {f"synth-samm/006/{number}": "others" for number in range(3)})
    plan = plan_run(stores, config_of(scheme="megc3", pretrain="synth:7"))
    assert [added.dataset for added in plan.config.added] == ["synth-casme2"]
    assert [held.info.dataset for held in plan.stores] == ["casme2", "samm", "synth-casme2"]


@pytest.mark.parametrize("value", ["synth", "synth:0", "synth:-3", "synth:1e3", "real:5", "synth:1000001"])
def test_what_is_not_a_number_of_clips_is_refused(value):
    with pytest.raises(ConfigError, match=r"--pretrain must be synth:N, with N from 1 to 1000000, or none"):
        config_of(pretrain=value)


def test_pretrain_none_is_the_default():
    assert config_of(pretrain="none") == config_of()


def test_what_cannot_be_added_honestly_is_refused(store, with_added, tmp_path):
    with pytest.raises(StoreError, match="not drawn yet"):
        plan_run([store], config_of(pretrain="synth:5"))
    with pytest.raises(StoreError, match="lbp-top sees whole clips"):
        plan_run([store], config_of(model="lbp-top", epochs=None, batch_size=None, device=None, pretrain=PRETRAIN))
    with pytest.raises(ConfigError, match="no effect with mer fit"):
        plan_fit([store], config_of(pretrain=PRETRAIN))
    added = read_added(read_store(store), len(ADDED_EMOTIONS)).path
    with pytest.raises(ConfigError, match="were generated to be trained on beside recorded ones"):
        plan_run([added], config_of(scheme="labels"))
    own = write_store(
        tmp_path / "my_lab.h5", {clip.replace("casme2", "my_lab"): word for clip, word in EMOTIONS.items()}
    )
    with pytest.raises(ConfigError, match="no faces can be generated in the layout of my_lab"):
        plan_run([own], config_of(scheme="labels", pretrain=PRETRAIN))
    cut = write_store(tmp_path / "casme2.h5", crop={"align": "none"})
    with pytest.raises(ConfigError, match="was built with --align none"):
        plan_run([cut], config_of(pretrain=PRETRAIN))
    with pytest.raises(ConfigError, match="less than a clip for each of 2 datasets"):
        share_out([read_store(store), read_store(write_store(tmp_path / "samm.h5", SAMM_EMOTIONS))], 1)
    with pytest.raises(RunError, match="trained with 3 generated clips added"):
        find_stores(read_run(with_added), [])


def test_a_store_that_is_not_the_generated_clips_is_refused(tmp_path):
    path = write_store(tmp_path / "casme2.h5")
    wrong = write_added(path)
    write_store(wrong, EMOTIONS)
    with pytest.raises(StoreError, match=r"holds 5 clips of casme2\. Expected 4 generated clips of synth-casme2"):
        plan_run([path], config_of(pretrain=PRETRAIN))


def test_clips_csv_names_the_generated_clips_without_a_fold(with_added):
    with (with_added / "clips.csv").open(encoding="utf-8") as file:
        fold_of = {row["clip_id"]: row["fold"] for row in csv.DictReader(file)}
    assert {clip_id for clip_id, fold in fold_of.items() if not fold} == {*KEPT}


def test_a_run_on_recorded_faces_stays_one_and_says_what_was_added(tmp_path):
    path = write_store(tmp_path / "casme2.h5", generated=False)
    write_added(path)
    config = plan_run([path], config_of(**SMALL, pretrain=PRETRAIN)).config
    assert not config.generated
    assert remarks(config) == (STAMP,)
    assert plan_run([path], config_of(**SMALL)).config.added == ()


def test_what_is_wrong_with_the_run_is_told_before_anything_is_drawn(tmp_path):
    path = write_store(tmp_path / "casme2.h5")
    for flags, told in (
        (["--folds", "99"], "no fold '99'"),
        (["--scheme", "samm-5"], "and not casme2"),
        (["--model", "lbp-top"], "sees whole clips"),
    ):
        result = mer("train", path, "--loso", "--pretrain", "synth:50", "--out", tmp_path / "runs", *flags)
        assert result.exit_code == 1
        assert told in result.output
    assert not (tmp_path / "synth").exists()


def test_another_store_is_refused_before_clips_are_drawn_for_it(with_added, tmp_path):
    path = write_store(tmp_path / "casme2.h5", repainted=EMOTIONS)
    result = mer("train", path, "--config", with_added / "config.json", "--out", tmp_path / "runs")
    assert result.exit_code == 1
    assert f"error: {path}: its content hash is " in result.output
    assert "It would be another run." in " ".join(result.output.split())
    assert not (tmp_path / "synth").exists()

"""Lists of subjects and whole datasets held out, trained for real: no held-out label moves a bit, and a run goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import assert_same_fold, stored
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store
from typer.testing import CliRunner

import mer_cli
from mer_cli.cli import main
from mer_cli.errors import ConfigError
from mer_cli.inference.fold_inputs import FoldInputs, finished_folds, plan_of
from mer_cli.inference.quoted_run import quote_run
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.store.hdf5 import read_store, read_windows
from mer_cli.training.plan import plan_run

SMALL = {"scheme": "megc3", "epochs": 1, "device": "cpu", "model": "ststnet", "flow": "fast"}  # little arithmetic
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
MIXED = "subject,fold\ncasme2-01,b\ncasme2-02,a\ncasme2-03,a\nsamm-006,a\nsamm-03,b\n"
MIXED_TEST = ("casme2/01/EP01_01", "casme2/01/EP02_01", "samm/03/03_1_1")  # of list b


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def write_stores(folder, casme2=EMOTIONS, samm=SAMM_EMOTIONS):
    folder.mkdir(exist_ok=True)
    (folder / "lists.csv").write_text(MIXED, encoding="utf-8")
    return [write_store(folder / "casme2.h5", casme2), write_store(folder / "samm.h5", samm)]


def train(stores, out, **given):
    with pytest.warns(UserWarning, match="training clips of one subject only"):  # there are five subjects
        return mer_cli.train(stores, out=out, progress=False, **SMALL, **given).path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_stores(folder)
    return folder


@pytest.fixture(scope="module")
def stores(data):
    return [data / "casme2.h5", data / "samm.h5"]


@pytest.fixture(scope="module")
def by_lists(data, stores, tmp_path_factory):
    return train(stores, tmp_path_factory.mktemp("lists"), folds_file=data / "lists.csv")


@pytest.fixture(scope="module")
def by_dataset(stores, tmp_path_factory):
    return train(stores, tmp_path_factory.mktemp("datasets"), leave_dataset_out=True)


def rotated(emotions, of):
    """The emotions with those of the clips `of` passed on to the next of these clips."""
    return emotions | {clip: emotions[donor] for clip, donor in zip(of, of[1:] + of[:1], strict=True)}


def test_each_fold_holds_out_a_list_of_subjects_of_both_datasets(by_lists):
    run = read_run(by_lists)
    assert {fold.fold: fold.clip_ids for fold in run.folds}["b"] == MIXED_TEST
    assert {clip: fold.fold for fold in run.folds for clip in fold.clip_ids} == run.fold_of
    assert (run.missing, run.labels.keys()) == ((), EMOTIONS.keys() | SAMM_EMOTIONS.keys())


@pytest.mark.parametrize("protocol", ["by_lists", "by_dataset"])
def test_held_out_labels_do_not_reach_training_and_training_labels_do(protocol, request, tmp_path):
    before = request.getfixturevalue(protocol)
    fold, other = ("b", "a") if protocol == "by_lists" else ("samm", "casme2")
    held_out = [clip for clip in SAMM_EMOTIONS if protocol == "by_dataset" or "/006/" in clip]
    fold, other = (fold, other) if protocol == "by_dataset" else (other, fold)  # 006 is in list a
    stores = write_stores(tmp_path / "data", samm=rotated(SAMM_EMOTIONS, held_out))
    how = {"leave_dataset_out": True} if protocol == "by_dataset" else {"folds_file": tmp_path / "data/lists.csv"}
    after = train(stores, tmp_path, **how)
    assert read_run(after).labels != read_run(before).labels
    assert_same_fold(after, before, fold)
    assert not np.array_equal(stored(after, other)[0], stored(before, other)[0])


def test_leaving_a_dataset_out_trains_as_testing_on_it_does(stores, by_dataset, tmp_path):
    across = train(stores[:1], tmp_path, test_stores=stores[1:])
    (logits, weights), (others, other_weights) = stored(across, "samm"), stored(by_dataset, "samm")
    np.testing.assert_array_equal(logits, others)
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def test_a_run_by_lists_goes_on_under_another_name_of_its_file(by_lists, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("".join(sorted(MIXED.splitlines(keepends=True), reverse=True)), encoding="utf-8")
    first = mer("train", *stores, "--folds-file", "mine.csv", "--folds", "b", *FLAGS)
    assert first.exit_code == 0, first.stderr
    path = Path(first.stdout.strip())
    assert path.name == by_lists.name
    assert read_run(path).missing == ("a",)
    digits = read_run(path).config.protocol()[-8:]
    assert f"casme2+samm-megc3/8, 2-fold by subject, lists {digits}: 1 of 2 folds, 1 epoch" in first.stderr
    assert f"lists {digits} are those of mine.csv\n" in first.stderr
    Path("mine.csv").unlink()
    listed = mer("runs", "runs")
    assert f"--folds-file {path / 'folds.csv'} --scheme megc3" in listed.stderr
    rest = mer("train", "--config", path / "config.json")  # with the run's own copy of the lists
    assert rest.exit_code == 0, rest.stderr
    assert f"{path}: 1 of 2 folds are finished already" in rest.stderr
    for fold in ("a", "b"):
        assert_same_fold(path, by_lists, fold)
    shown = mer("evaluate", path)
    assert f"2-fold by subject, lists {digits}" in shown.stdout


def test_a_run_that_leaves_datasets_out_is_replayed_as_one(by_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = mer("train", "--config", by_dataset / "config.json", "--out", by_dataset.parent)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(by_dataset)
    assert f"{by_dataset}: 2 of 2 folds are finished already" in done.stderr
    other = mer("train", "--config", by_dataset / "config.json", "--loso")
    assert other.stderr == (
        f"error: {by_dataset / 'config.json'}: the run is leave one dataset out, mean over 2 datasets (casme2 and "
        "samm), and the command line asks for leave one subject out (casme2 and samm). It would be another run. Give "
        "the protocol and the stores of that run, or train without --config.\n"
    )


def test_other_lists_than_a_replayed_runs_are_refused(by_lists, tmp_path):
    (tmp_path / "other.csv").write_text(MIXED.replace("02,a", "02,b"), encoding="utf-8")
    refused = mer("train", "--config", by_lists / "config.json", "--folds-file", tmp_path / "other.csv")
    digits = read_run(by_lists).config.protocol()[-8:]
    assert f"the run is 2-fold by subject, lists {digits} (casme2 and samm), and the command line " in refused.stderr
    assert "asks for 2-fold by subject, lists " in refused.stderr
    assert refused.exit_code == 1


def test_a_config_file_names_the_protocol_and_trains_it(data, stores, by_lists, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = mer("train", *stores, "--folds-file", data / "lists.csv", "--print-config", *FLAGS)
    assert printed.exit_code == 0, printed.stderr
    assert f"trains {by_lists.name}." in printed.stdout
    Path("run.toml").write_text(printed.stdout, encoding="utf-8")
    done = mer("train", "--config", "run.toml", "--out", by_lists.parent)
    assert (done.exit_code, done.stdout.strip()) == (0, str(by_lists)), done.stderr
    planned = mer("train", "--config", "run.toml", "--leave-dataset-out", "--print-config")
    assert "folds_file" not in planned.stdout
    assert "leave_dataset_out = true" in planned.stdout


def test_one_dataset_alone_cant_be_left_out(stores):
    result = mer("train", stores[0], "--leave-dataset-out", *FLAGS)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: --leave-dataset-out: there is only casme2. Expected at least 2 datasets, because a fold trains on "
        "the others. Name the stores of more, or give --loso.\n"
    )


def test_a_fold_that_is_asked_for_is_named_by_its_list(data, stores):
    with pytest.raises(ConfigError) as error:
        plan_run(stores, resolve_config(**SMALL), folds_file=data / "lists.csv", wanted=["01"])
    assert str(error.value) == "--folds: this run has no fold '01'. Available folds: a, b."


def test_mer_folds_writes_the_lists_that_another_program_is_to_hold_out(data, stores, tmp_path):
    result = mer(
        "folds", *stores, "--scheme", "megc3", "--folds-file", data / "lists.csv", "--csv", tmp_path / "folds.csv"
    )
    assert result.exit_code == 0, result.stderr
    rows = [line.split(",") for line in (tmp_path / "folds.csv").read_text(encoding="utf-8").splitlines()]
    assert tuple(row[2] for row in rows if row[:2] == ["b", "held out"]) == MIXED_TEST
    result = mer("folds", *stores, "--scheme", "megc3", "--leave-dataset-out")
    assert result.exit_code == 0, result.stderr
    assert "leave one dataset out, mean over 2 datasets: 2 folds, 8 held-out clips" in result.stderr


def test_predictions_that_were_made_elsewhere_are_taken_under_lists(data, stores, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{clip},{clip == MIXED_TEST[0]:d},0,.5\n" for clip in {**EMOTIONS, **SAMM_EMOTIONS})
    Path("preds.csv").write_text(f"clip_id,negative,positive,surprise\n{rows}", encoding="utf-8")
    result = mer(
        *("import-predictions", "preds.csv", *stores, "--scheme", "megc3", "--folds-file", data / "lists.csv"),
        *("--name", "MyNet", "--epoch-rule", "fixed"),
    )
    assert result.exit_code == 0, result.stderr
    run = read_run(Path(result.stdout.strip()))
    assert [fold.fold for fold in run.folds] == ["a", "b"]
    assert run.config.fold_lists
    assert set(run.config.fold_lists) == {"a", "b"}


def test_the_inputs_of_a_list_of_subjects_of_several_datasets_are_made_again(by_lists, data, stores):
    run = read_run(by_lists)
    planned = plan_run(stores, resolve_config(scheme="megc3", device="cpu"), folds_file=data / "lists.csv")
    assert tuple(finished_folds(run)) == planned.folds
    assert plan_of(run, {info.dataset: info for info in map(read_store, stores)}).labels == planned.labels
    inputs = FoldInputs(planned, torch.device("cpu"))
    (fold,) = (fold for fold in planned.folds if fold.id == "b")
    inputs.start_fold(fold)
    assert len(inputs.of(MIXED_TEST)[0]) == 3
    for clip_id in MIXED_TEST:
        onset, _, apex, _ = read_windows(stores[clip_id.startswith("samm")], [clip_id])
        for found, expected in zip(inputs.frames(clip_id), (onset[0, 3], apex[0, 3]), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_model_of_everybody_quotes_no_run_of_another_protocol(by_lists, stores):
    fitted = plan_run(stores, resolve_config(**SMALL)).config
    with pytest.raises(
        Exception, match="the protocol is 2-fold by subject, lists ........ in the run and leave one su"
    ):
        quote_run(by_lists, fitted)

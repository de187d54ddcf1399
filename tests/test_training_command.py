"""`mer train` as its user meets it: protocols, stores, what is said of them, and what is refused."""

import inspect
import json
from pathlib import Path

import pytest
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.cli import train as command
from mer_cli.runs.directory import DEFAULT_ROOT, read_run

SHORT = ["--scheme", "megc3", "--epochs", "1", "--device", "cpu", "--save-weights", "none"]
QUICK = [*SHORT, "--recipe", "quick"]
SMALL = [*SHORT, "--model", "resnet18-diff", "--batch-size", "4"]  # trained in the steps of MMNet, with less arithmetic


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _stores(tmp_path, monkeypatch):
    """The user's folder: two stores in data/."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"), EMOTIONS, table_version="20190701")
    write_store(Path("data/samm.h5"), SAMM_EMOTIONS, table_version="v2")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "give"),
        (["--loso", "--test", "data/samm.h5"], "--loso and --test are different protocols. Give"),
        (["--leave-dataset-out", "--loso"], "--loso and --leave-dataset-out are different protocols. Give"),
        (["--test", "data/samm.h5", "--folds-file", "x"], "--test and --folds-file are different protocols. Give"),
    ],
)
def test_exactly_one_protocol_must_be_given(given, problem):
    result = mer("train", "data/casme2.h5", *given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: mer train: {problem} one of --loso, --test, --folds-file and --leave-dataset-out. For example: "
        "mer train --loso, or: mer train A.h5 --test B.h5\n"
    )


def test_a_store_must_be_named_where_there_are_two():
    result = mer("train", "--loso")
    assert result.exit_code == 1
    assert result.stderr == ("error: data: holds several stores, casme2.h5, samm.h5. Name one, like data/casme2.h5.\n")


def test_several_stores_are_one_run_and_each_dataset_is_warned_of():
    result = mer("train", "data/samm.h5", "data/casme2.h5", "--loso", "--folds", "samm-03", *SMALL)
    assert result.exit_code == 0, result.stderr
    path = Path(result.stdout.strip())
    assert path.name.startswith("casme2+samm-megc3-resnet18-diff-released-s1-")
    assert [folder.name for folder in (path / "folds").iterdir()] == ["samm-03"]
    plan, _, *warnings = result.stderr.splitlines()[:4]
    assert plan.startswith("casme2+samm-megc3/8, leave one subject out: 1 of 5 folds, 1 epoch, seed 1, cpu ")
    assert ["of casme2." in warnings[0], "of samm." in warnings[1]] == [True, True]
    (session,) = json.loads((path / "environment.json").read_text())
    assert (session["stores"], session["test_stores"], session["out"]) == (
        ["data/casme2.h5", "data/samm.h5"],
        [],
        "runs",
    )


def test_what_is_set_aside_or_permuted_is_said_before_training():
    settings = ["--folds", "samm-03", "--inner-val", "1", "--shuffle-labels"]
    result = mer("train", "data/samm.h5", "data/casme2.h5", "--loso", *settings, *SMALL)
    assert result.exit_code == 0, result.stderr
    n_inner = len(read_run(Path(result.stdout.strip())).folds[0].inner_clip_ids)
    assert result.stderr.splitlines()[1:3] == [
        f"training subjects held back in each fold to choose its epoch: 1 ({n_inner} clips on average)",
        "training labels are permuted: a null control, so its accuracy must be at chance",
    ]


def test_too_many_subjects_to_set_aside_are_refused():
    result = mer("train", "data/casme2.h5", "--loso", "--inner-val", "1", *QUICK)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: --inner-val: 1 of the 2 training subjects of fold casme2-01 leave 1 to train"
    )


def test_a_subject_id_of_two_datasets_is_refused():
    result = mer("train", "data/casme2.h5", "data/samm.h5", "--loso", "--folds", "03", *QUICK)
    assert result.exit_code == 1
    assert result.stderr == ("error: --folds: subject '03' is in 2 datasets. Name casme2-03 or samm-03.\n")


def test_a_run_across_datasets_is_trained_and_scored_and_stands_among_all_methods_but_not_in_table_6():
    result = mer("train", "data/casme2.h5", "--test", "data/samm.h5", *SMALL)
    assert result.exit_code == 0, result.stderr
    path = Path(result.stdout.strip())
    assert path.name.startswith("casme2-to-samm-megc3-resnet18-diff-released-s1-")
    assert "casme2-to-samm-megc3/5-to-3, trained on casme2, tested on samm: 1 of 1 folds" in result.stderr
    scored = mer("evaluate", path)
    assert scored.exit_code == 0, scored.stderr
    assert "casme2-to-samm-megc3/5-to-3, trained on casme2, tested on samm" in scored.stdout
    assert "clips, subjects  3, 2" in scored.stdout
    for table, is_in_it in (("6", False), ("methods", True)):
        report = mer("report", "--table", table)
        assert report.exit_code == 0, report.stderr
        assert ("casme2-to-samm" in report.stdout) == is_in_it


def test_the_one_store_in_data_is_trained_on_where_only_a_test_store_is_named(tmp_path):
    Path("data/samm.h5").rename(tmp_path / "samm.h5")
    result = mer("train", "--test", "samm.h5", *SMALL)
    assert result.exit_code == 0, result.stderr
    assert "trained on casme2, tested on samm" in result.stderr


def test_the_folder_of_runs_has_one_default():
    assert Path(DEFAULT_ROOT) == inspect.signature(command.train).parameters["out"].default


def test_a_scheme_of_ones_own_and_its_rare_classes_are_told_before_training_starts():
    Path("my 2.toml").write_text(
        'name = "my2"\nclasses = ["good", "bad"]\n[casme2]\nhappiness = "good"\ndisgust = "bad"\ndrop = ["surprise"]\n'
        "[expected.casme2]\ngood = 2\nbad = 3\n",
        encoding="utf-8",
    )
    given = ["data/casme2.h5", "--loso", *SMALL, "--folds", "01"]
    result = mer("train", *given, "--scheme", "my 2.toml")
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[0].startswith("casme2-my2/4, leave one subject out: 1 of 2 folds, ")
    assert lines[2:4] == [
        "warning: my2: the store holds good 2, bad 2 of 2 subjects. Expected good 2, bad 3 of 2 subjects in my 2.toml. "
        "`mer info` lists the clips that failed.",
        "warning: good: 2 clips of 2 subjects, training clips of one subject only in folds casme2-01 and casme2-02; "
        "bad: 2 clips of 2 subjects, training clips of one subject only in folds casme2-01 and casme2-02",
    ]
    again = mer("train", *given, "--scheme", f"{result.stdout.strip()}/scheme.toml")
    assert again.stdout == result.stdout
    assert f"{result.stdout.strip()}: 1 of 2 folds are finished already" in again.stderr
    refused = mer("train", *given, "--scheme", "mine.toml")
    assert (refused.exit_code, refused.stderr) == (
        1,
        "error: mine.toml: can't be read (No such file or directory). Give --scheme the path of a TOML file, as "
        "docs/labels.md shows.\n",
    )

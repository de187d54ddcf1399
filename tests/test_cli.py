"""The command line as its user meets it: exit codes, what goes to stdout and stderr, the whole text of errors."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_factory import write_run
from safetensors.torch import load_file
from test_models_official import official_state_dict
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli import __version__
from mer_cli.cli.main import app

MER = Path(sys.executable).with_name("mer")
SHORT = ["--loso", "--scheme", "mmnet3", "--model", "resnet18-diff", "--batch-size", "2", "--device", "cpu"]


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MER_PREDICTOR", raising=False)


def test_version():
    result = mer("--version")
    assert (result.exit_code, result.stdout) == (0, f"mer {__version__}\n")


def test_an_unknown_dataset_is_named_with_the_nearest():
    result = mer("preprocess", "casme22", "raw")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: Unknown dataset 'casme22'. Known: casme2, samm, mmew, smic, casme3, casme, dfme, casme3c, 4dme, table. "
        "Did you mean 'casme2'?\n"
    )


def test_train_without_a_protocol_says_which():
    result = mer("train")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: mer train: give one of --loso, --test, --folds-file and --leave-dataset-out. For example: mer "
        "train --loso, or: mer train A.h5 --test B.h5\n"
    )


def test_train_without_a_store_says_how_to_make_one():
    result = mer("train", "--loso")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: data: holds no store (.h5 file). Name a store, or make one: mer preprocess casme2 RAW.\n"
    )


def test_a_setting_that_cannot_be_used_names_its_flag(tmp_path):
    result = mer("train", "--loso", "--epochs", "0")
    assert result.exit_code == 1
    assert result.stderr == "error: --epochs must be at least 1, got 0.\n"


def test_a_wrong_use_exits_with_2():
    assert mer("train", "--epoch", "3").exit_code == 2
    assert mer("preprocess").exit_code == 2


def test_evaluate_without_runs_says_how_to_make_one():
    result = mer("evaluate")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: runs: found no run directory (a folder with the config.json that `mer train` writes). Correct the "
        "path, or train: mer train --loso.\n"
    )


def test_evaluate_prints_protocol_scores_and_guessers_and_exports(tmp_path):
    write_run(tmp_path / "runs")
    result = mer("evaluate", "--rule", "best-test", "--export", "predictions.csv")
    assert result.exit_code == 0, result.stderr
    for words in ("protocol", "best-test: selected on the test subject", "accuracy", "UAR", "majority", "prior-random"):
        assert words in result.stdout
    assert (
        Path("predictions-selected-on-test.csv")
        .read_text(encoding="utf-8")
        .startswith("dataset,subject,clip,fold,seed,epoch rule,gt,pred,p_1")
    )


def test_an_unknown_rule_is_named(tmp_path):
    write_run(tmp_path / "runs")
    result = mer("evaluate", "--rule", "best")
    assert result.exit_code == 1
    assert "best" in result.stderr
    assert "last" in result.stderr


def test_report_goes_to_stdout_or_a_file_with_the_same_bytes(tmp_path):
    write_run(tmp_path / "runs")
    printed = mer("report", "--format", "markdown")
    assert printed.exit_code == 0
    assert mer("report", "--out", "report.md").stdout == ""
    assert Path("report.md").read_text(encoding="utf-8") == printed.stdout
    assert printed.stdout.startswith("# ")


def test_info_shows_counts_and_says_that_faces_are_generated():
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    result = mer("info")
    assert result.exit_code == 0
    assert "generated: no score on them is a result on the dataset" in result.stdout
    assert "casme2-mmnet3/5" in result.stdout


def test_info_names_the_2014_table():
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"), table_version="20140508", generated=False)
    result = mer("info")
    assert "warning: the coding table is that of 2014-05-08" in result.stdout
    assert "24/EP07_01, 24/EP07_04f and 24/EP10_03 became surprise" in result.stdout


def test_train_prints_the_run_and_continues_it(tmp_path):
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    first = mer("train", *SHORT, "--epochs", "1", "--folds", "03", "--save-weights", "none")
    assert first.exit_code == 0, first.stderr
    path = Path(first.stdout.strip())
    assert json.loads((path / "config.json").read_text())["epochs"] == 1
    assert "fold casme2-03 done (1 of 1)" in first.stderr
    again = mer("train", *SHORT, "--epochs", "1", "--folds", "03", "--save-weights", "none")
    assert again.stdout == first.stdout
    assert f"{path}: 1 of 3 folds are finished already\n" in again.stderr
    assert "fold casme2-03 done" not in again.stderr
    incomplete = mer("evaluate", path)
    assert incomplete.exit_code == 1
    assert "1 of 3 folds are finished" in incomplete.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_training_keeps_finished_folds_and_nothing_half_written(how):
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    command = [MER, "train", *SHORT, "--epochs", "4"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not list(Path().glob("runs/*/folds/casme2-01/done")):
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.02)
    started.send_signal(how)
    _, stderr = started.communicate()
    assert started.returncode == 130
    assert not list(Path().rglob("*.partial"))
    assert stderr.endswith("stopped: finished work is kept, and the same command continues from there\n")


def test_import_official_writes_our_weights(tmp_path):
    import torch

    weights = official_state_dict()
    torch.save(weights, "best.pth")
    result = mer("import-official", "best.pth", "--out", "official")
    assert (result.exit_code, result.stdout) == (0, "official/model.safetensors\n")
    torch.testing.assert_close(load_file("official/model.safetensors")["head.bias"], weights["main_branch.fc.bias"])


def test_doctor_names_each_thing_and_the_fix(tmp_path, monkeypatch):
    assert mer("doctor").exit_code == 0
    monkeypatch.setenv("MER_PREDICTOR", str(tmp_path / "none.dat"))
    result = mer("doctor")
    assert result.exit_code == 1
    assert "PyAV (videos: exact time stamps, jumps to late clips): " in result.stdout
    assert "missing 68-point model (preprocess): not found" in result.stdout
    assert "fix: MER_PREDICTOR:" in result.stdout


def test_a_terminal_that_knows_ascii_only_ends_no_command(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path / "runs", seed=seed)
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([MER, "evaluate"], cwd=tmp_path, env=ascii_only, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mean \\xb1 standard deviation" in done.stdout


def test_a_full_disk_under_standard_output_is_one_line():
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run([MER, "info"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the results: no space left on the disk. Make room, and run the same command again.\n",
    )


@pytest.mark.parametrize("words", [["train"], ["train", "--help-all"], ["ablate"], ["compare-methods"], ["preprocess"]])
def test_help_cuts_no_flag_off_at_80_columns(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = mer(*words, *([] if "--help-all" in words else ["--help"]))
    assert result.exit_code == 0
    assert "…" not in result.stdout


def test_help_of_train_shows_the_settings_of_the_method_with_its_own_defaults():
    plain, mmnet, ststnet = (
        mer("train", *words, "--help").stdout for words in ([], ["--model", "mmnet"], ["--model=ststnet"])
    )
    flags = ("--flip", "--n-heads", "--flow")
    assert [[flag in text for flag in flags] for text in (plain, mmnet, ststnet)] == [
        [True, False, False],
        [True, True, False],
        [False, False, True],
    ]
    assert "of a fold. Default: 500." in " ".join(ststnet.replace("│", " ").split())
    assert all(flag in mer("train", "--help-all").stdout for flag in ("--n-heads", "--flow", "--class-weight"))

"""`mer tune` on a tiny store: the runs that it makes are those of `mer train`, and what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import ConfigError
from mer_cli.runs.directory import read_run
from mer_cli.training.tuning import parse_tries

EMOTIONS = ("happiness", "disgust", "surprise")
CLIPS = {f"casme2/{1 + n // 2:02d}/EP{n:02d}": EMOTIONS[n % 3] for n in range(10)}
QUICK = ("--model", "ststnet", "--scheme", "mmnet3", "--flow", "fast", "--device", "cpu", "--precision", "fp32")
TRIED = ("--try", "epochs=1,2", "--try", "learning-rate=1e-3", "--inner-val", "1")


@pytest.fixture(autouse=True)
def _beside_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"), CLIPS)


def tune(*arguments: str):
    return CliRunner().invoke(app, ["tune", *QUICK, *arguments])


def test_it_trains_each_setting_once_and_tells_what_each_fold_chose() -> None:
    first = tune(*TRIED)
    assert first.exit_code == 0, first.stderr
    assert "settings chosen in each fold on 1 training subject, of 2 settings" in first.stdout
    assert "epochs 1, learning rate 0.001" in first.stdout
    runs = [read_run(path) for path in Path("runs").iterdir()]
    assert sorted((run.config.epochs, run.config.inner_val) for run in runs) == [(1, 1), (2, 1)]
    assert not list(Path("runs").rglob("model.safetensors"))
    assert not any(path.name in first.stdout for path in Path("runs").iterdir())  # --json prints nothing but JSON
    again = tune(*TRIED, "--json")
    assert again.exit_code == 0, again.stderr
    assert "0 folds to train" in again.stderr
    held = json.loads(again.stdout)
    assert (held["n_subjects"], held["generated"], len(held["seeds"])) == (5, True, 1)
    assert sum(setting["chosen"] for setting in held["settings"]) == 5


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "mer tune: give at least one setting with its values. For example: --try epochs=10,20"),
        (
            ("--try", "epochs=1,2"),
            "mer tune: give --inner-val N, the number of training subjects in each fold that choose the settings. For "
            "example: --inner-val 3",
        ),
        (
            ("--try", "epochs=2", "--inner-val", "1"),
            "mer tune: there is only one setting to choose. Give several values: --try epochs=10,20",
        ),
        (
            ("--try", "epochs=1,2", "--epochs", "3", "--inner-val", "1"),
            "--epochs is given beside --try epochs. Leave one of them out.",
        ),
    ],
    ids=str,
)
def test_what_leaves_nothing_to_choose_is_refused_before_training(arguments: tuple[str, ...], problem: str) -> None:
    result = tune(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {problem}\n")
    assert not Path("runs").exists()


def test_a_method_without_epochs_is_refused() -> None:
    result = CliRunner().invoke(
        app, ["tune", "--model", "flow-svm", "--try", "class-weight=none,balanced", "--inner-val", "1"]
    )
    assert result.stderr == (
        "error: mer tune: flow-svm has no epochs, so there is nothing to choose on inner subjects. It chooses its C on "
        "the training subjects of each fold already. Expected a network or a learner.\n"
    )


def test_tries_are_read_with_the_type_of_the_setting() -> None:
    assert parse_tries(["epochs=10, 20,10", "--learning-rate=.001", "pc=true,false", "n-heads=2"]) == {
        "epochs": [10, 20],
        "learning_rate": [0.001],
        "pc": [True, False],
        "n_heads": [2],
    }


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (
            ["epochs"],
            "--try 'epochs': names no value. Give a setting and its values, separated by commas: --try epochs=10,20.",
        ),
        (["seed=1,2"], "--try: 'seed' can't be tried, because it doesn't say how the method learns. Leave it out."),
        (["epochs=1", "epochs=2"], "--try: epochs is given twice. Give all its values at once: --try epochs=10,20."),
    ],
    ids=str,
)
def test_a_try_that_names_no_values_is_refused(texts: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_tries(texts)
    assert str(caught.value) == problem


@pytest.mark.parametrize("name", ["seed", "scheme", "inner-val", "device", "model", "epoch"])
def test_only_settings_of_the_method_can_be_tried(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^--try: .*'{name}'"):
        parse_tries([f"{name}=1,2"])

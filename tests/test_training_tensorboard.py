"""Event files of finished folds: what they hold, once each; and the error where TensorBoard is missing."""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tiny_run import Silent, config_of
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import ConfigError
from mer_cli.runs.fold_files import read_history, write_history
from mer_cli.runs.run_config import RunConfig
from mer_cli.training.loggers import Loggers, make_loggers
from mer_cli.training.plan import plan_run
from mer_cli.training.tensorboard_log import log_folder, require_tensorboard, write_log
from mer_cli.training.train import train_run

HISTORY = [{"loss": 1.5, "learning_rate": 8e-4, "seconds": 2.0}, {"loss": 0.5, "learning_rate": 7e-4, "seconds": 2.5}]


def write_fold(run: Path, history: Sequence[Mapping[str, float]]) -> None:
    (run / "folds" / "casme2-01").mkdir(parents=True, exist_ok=True)
    write_history(run / "folds" / "casme2-01" / "history.csv", history)


def run_config(folder: Path) -> RunConfig:
    return plan_run([write_store(folder / "casme2.h5")], config_of()).config


def test_an_event_file_holds_the_history_and_is_replaced(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_fold(tmp_path, [{**row, "loss": 9.0} for row in HISTORY])
    write_log(tmp_path, "casme2-01", run_config(tmp_path))
    write_fold(tmp_path, HISTORY)
    write_log(tmp_path, "casme2-01", run_config(tmp_path))
    folder = log_folder(tmp_path, "casme2-01")
    assert len(list(folder.iterdir())) == 1
    assert list(folder.parent.iterdir()) == [folder]
    events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "learning_rate", "seconds"}
    for name in events.Tags()["scalars"]:
        held = [(event.step, event.value) for event in events.Scalars(name)]
        history = read_history(tmp_path / "folds" / "casme2-01" / "history.csv", name, 2)
        assert held == [(1, pytest.approx(history[0])), (2, pytest.approx(history[1]))]


def test_a_training_that_diverged_has_its_log_as_well(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_fold(tmp_path, [HISTORY[0], {**HISTORY[1], "loss": math.nan}])
    write_log(tmp_path, "casme2-01", run_config(tmp_path))
    events = EventAccumulator(str(log_folder(tmp_path, "casme2-01"))).Reload()
    first, second = (event.value for event in events.Scalars("loss"))
    assert (first, math.isnan(second)) == (1.5, True)


def test_training_leaves_one_of_every_finished_fold(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    store = write_store(tmp_path / "casme2.h5")
    plans = [
        plan_run([store], config_of(model="resnet18-diff", epochs=1), wanted=wanted)
        for wanted in (["01"], ["01", "02"])
    ]
    run = train_run(plans[0], tmp_path, Silent(), save_weights="none")
    assert not (run / "tensorboard").exists()
    for _ in range(2):
        loggers = Loggers(make_loggers("tensorboard"))
        train_run(plans[1], tmp_path, Silent(), save_weights="none", loggers=loggers)
        files = sorted((run / "tensorboard").glob("*/*"))
        assert [file.parent.name for file in files] == ["casme2-01", "casme2-02"]


def test_where_tensorboard_is_missing_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError) as error:
        require_tensorboard("--tensorboard")
    before, _, after = str(error.value).partition(" (")
    assert before == "--tensorboard: TensorBoard can't be imported"
    assert after.partition("). ")[2] == (
        "Install it: pip install 'mer-cli[tensorboard]'. Or leave the flag out: history.csv has the same numbers."
    )


def test_the_command_says_so_before_it_looks_for_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", "--loso", "--tensorboard"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: --tensorboard: TensorBoard can't be imported")

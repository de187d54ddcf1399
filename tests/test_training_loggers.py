"""Loggers: what they get and when, where their classes are found, and what one that fails costs."""

import sys
import warnings
from pathlib import Path

import pytest
from tiny_run import Silent, config_of
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import ConfigError, RunError
from mer_cli.runs.fold_files import read_history
from mer_cli.training.loggers import METHODS, Loggers, make_loggers
from mer_cli.training.plan import plan_run
from mer_cli.training.tensorboard_log import TensorBoardLogger, log_folder
from mer_cli.training.train import train_run

SETTINGS = {"model": "ststnet", "flow": "fast", "epochs": 3, "batch_size": 256}
LOGGER = '''
class FileLogger:
    """Writes a line for each call into the file calls.txt of the working directory."""

    def write(self, *words):
        with open("calls.txt", "a", encoding="utf-8") as file:
            print(*words, file=file)

    def on_run(self, run, config, n_folds):
        self.write("run", run.name == config.run_name, config.epochs, n_folds)

    def on_fold(self, fold_id):
        self.write("fold", fold_id)

    def on_epoch(self, epoch, loss, learning_rate):
        self.write("epoch", epoch, loss, learning_rate)

    def on_fold_end(self):
        self.write("fold end")

    def on_end(self):
        self.write("end")


class Deaf:
    def on_run(self, run, config, n_folds): ...


class Needy(FileLogger):
    def __init__(self, address): ...


class Leaving:
    def __init__(self):
        raise SystemExit(0)
'''


class Notes:
    """A logger that notes its calls, and fails in one of them if asked to."""

    def __init__(self, fails_in=None):
        self.calls = []
        self.fails_in = fails_in

    def __getattr__(self, name):
        if name not in METHODS:
            raise AttributeError(name)

        def note(*values):
            self.calls.append((name, *values))
            if name == self.fails_in:
                raise OSError("the server is away")

        return note

    def names(self):
        return [name for name, *_ in self.calls]


def plan_of(folder, wanted=("01", "02"), **changes):
    store = folder / "casme2.h5"
    return plan_run([store if store.exists() else write_store(store)], config_of(**SETTINGS | changes), wanted=wanted)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a logger and entry points, in a folder on `sys.path`; gives the folder."""
    site = tmp_path / "site"
    (site / "mylab-1.0.dist-info").mkdir(parents=True)
    (site / "mylab_loggers.py").write_text(LOGGER, encoding="utf-8")
    (site / "mylab_broken.py").write_text("import no_such_library\n", encoding="utf-8")
    (site / "mylab-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n", "utf-8")
    points = "file = mylab_loggers:FileLogger\nwandb = mylab_loggers:FileLogger\n"
    (site / "mylab-1.0.dist-info/entry_points.txt").write_text(f"[mer.loggers]\n{points}", encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    yield site
    for name in ("mylab_loggers", "mylab_broken"):
        sys.modules.pop(name, None)


def curves(run, fold_id, n_epochs):
    """The calls for a fold, as its history has them."""
    file = run / "folds" / fold_id / "history.csv"
    rows = zip(*(read_history(file, name, n_epochs) for name in ("loss", "learning_rate")), strict=True)
    epochs = [("on_epoch", epoch, *row) for epoch, row in enumerate(rows, start=1)]
    return [("on_fold", fold_id), *epochs, ("on_fold_end",)]


@pytest.mark.parametrize("folds_at_once", [1, 2])
def test_a_logger_gets_loss_and_rate_of_every_epoch_and_nothing_else(tmp_path, folds_at_once):
    notes, plan = Notes(), plan_of(tmp_path)
    run = train_run(plan, tmp_path, Silent(), loggers=Loggers({"notes": notes}), folds_at_once=folds_at_once)
    order = [call[1] for call in notes.calls if call[0] == "on_fold"]
    assert sorted(order) == ["casme2-01", "casme2-02"]
    told = [call for fold_id in order for call in curves(run, fold_id, 3)]
    assert notes.calls == [("on_run", run, plan.config, 2), *told, ("on_end",)]


def test_epochs_are_told_while_a_fold_trains_and_an_interrupted_run_is_ended(tmp_path):
    class Stopping(Silent):
        def on_epoch(self, epoch, loss):
            if epoch == 2:
                raise KeyboardInterrupt

    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        train_run(plan_of(tmp_path), tmp_path, Stopping(), loggers=Loggers({"notes": notes}), folds_at_once=1)
    assert notes.names() == ["on_run", "on_fold", "on_epoch", "on_end"]


def test_a_finished_run_and_a_classical_method_have_no_epochs_to_tell(tmp_path):
    plan = plan_of(tmp_path, model="flow-svm", epochs=1, batch_size=32, wanted=("01",))
    for n_folds in (1, 0):
        notes = Notes()
        train_run(plan, tmp_path, Silent(), loggers=Loggers({"notes": notes}), folds_at_once=1)
        of_fold = ["on_fold", "on_fold_end"] * n_folds
        assert (notes.names(), notes.calls[0][-1]) == (["on_run", *of_fold, "on_end"], n_folds)


@pytest.mark.parametrize("method", METHODS)
def test_a_logger_that_fails_is_left_out_with_one_warning_and_costs_no_fold(tmp_path, method):
    failing, other, said = Notes(fails_in=method), Notes(), []
    loggers = Loggers({"failing": failing, "other": other}, said.append)
    run = train_run(plan_of(tmp_path), tmp_path, Silent(), loggers=loggers, folds_at_once=1)
    assert said == [
        f"--log failing: {method} failed (OSError: the server is away). Training goes on without this logger; the "
        "history.csv of each fold has the same numbers."
    ]
    assert failing.names().count(method) == 1
    assert sorted(folder.name for folder in (run / "folds").iterdir()) == ["casme2-01", "casme2-02"]
    assert other.names() == ["on_run", *["on_fold", *["on_epoch"] * 3, "on_fold_end"] * 2, "on_end"]


def test_a_logger_that_exits_is_left_out():
    class Leaving(Notes):
        def on_fold(self, fold_id):
            raise SystemExit(0)

    loggers = Loggers({"leaving": Leaving()}, [].append)
    loggers.tell("on_fold", "01")
    assert not loggers.active


def test_in_python_the_warning_is_a_warning():
    loggers = Loggers({"notes": Notes(fails_in="on_fold")})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loggers.tell("on_fold", "casme2-01")
    assert "on_fold failed (OSError: the server is away)" in str(caught[0].message)


@pytest.mark.parametrize("name", ["file", "mylab_loggers:FileLogger"])
def test_the_command_finds_a_logger_by_entry_point_and_by_its_class(package, name):
    write_store(Path("casme2.h5"))
    settings = [word for key, value in SETTINGS.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    given = ["--loso", "--folds", "01", "--scheme", "mmnet3", "--device", "cpu", *settings]
    result = CliRunner().invoke(app, ["train", "casme2.h5", *given, "--log", name])
    assert result.exit_code == 0, result.stderr
    calls = Path("calls.txt").read_text(encoding="utf-8").splitlines()
    expected = [" ".join(map(str, call[1:])) for call in curves(Path(result.stdout.strip()), "casme2-01", 3)[1:-1]]
    assert calls == ["run True 3 1", "fold casme2-01", *(f"epoch {row}" for row in expected), "fold end", "end"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" , ", "--log: ' , ' names no logger. Separate names by commas: tensorboard,mlflow."),
        (
            "tensorbord",
            "--log: Unknown logger 'tensorbord'. Known: tensorboard, mlflow, wandb, file. Did you mean 'tensorboard'?",
        ),
        (
            "wandb",
            "--log wandb: several packages have a logger of this name: mer_cli.training.tracking:WandbLogger, "
            "mylab_loggers:FileLogger. Give one of these instead of the name.",
        ),
        (
            "mylab_loggers:Logger",
            "--log mylab_loggers:Logger: mylab_loggers:Logger can't be imported and called (AttributeError: module "
            "'mylab_loggers' has no attribute 'Logger'). Correct it, or leave it out.",
        ),
        (
            "mylab_loggers:Leaving",
            "--log mylab_loggers:Leaving: mylab_loggers:Leaving can't be imported and called (SystemExit: 0). Correct "
            "it, or leave it out.",
        ),
        (
            "./mylab_loggers.py:Logger",
            "--log ./mylab_loggers.py:Logger: expected a module that Python can import, and a class: module:Class.",
        ),
        (
            "mylab_broken:Logger",
            "--log mylab_broken:Logger: mylab_broken:Logger can't be imported and called (ModuleNotFoundError: No "
            "module named 'no_such_library'). Correct it, or leave it out.",
        ),
        (
            "mylab_loggers:Needy",
            "--log mylab_loggers:Needy: mylab_loggers:Needy can't be imported and called (TypeError: Needy.__init__() "
            "missing 1 required positional argument: 'address'). Correct it, or leave it out.",
        ),
        (
            "mylab_loggers:Deaf",
            "--log mylab_loggers:Deaf: mylab_loggers:Deaf is not a logger: it lacks on_fold, on_epoch, on_fold_end, "
            "on_end. Expected a class with the methods on_run, on_fold, on_epoch, on_fold_end, on_end.",
        ),
    ],
)
def test_a_name_that_is_no_logger_is_refused(package, text, problem):
    with pytest.raises(ConfigError) as error:
        make_loggers(text)
    assert str(error.value) == problem


@pytest.mark.parametrize(("name", "title"), [("mlflow", "MLflow"), ("wandb", "Weights & Biases")])
def test_a_library_that_is_missing_is_named_with_its_extra(name, title, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as error:
        make_loggers(name)
    assert str(error.value) == (
        f"--log {name}: {title} can't be imported (import of {name} halted; None in sys.modules). Install it: pip "
        f"install 'mer-cli[{name}]'. Or leave the flag out: history.csv has the same numbers."
    )


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {name: [event.step for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_shows_a_fold_while_it_trains_and_a_killed_fold_does_not_look_whole(tmp_path):
    pytest.importorskip("tensorboard")
    run = train_run(plan_of(tmp_path, wanted=("02",)), tmp_path, Silent(), folds_at_once=1)
    plan = plan_of(tmp_path, wanted=("01",))
    killed = TensorBoardLogger()
    killed.on_run(run, plan.config, 1)
    killed.on_fold("casme2-01")
    killed.on_epoch(1, 0.5, 1e-3)
    killed.writer.close()  # as if the process had ended here
    unfinished = run / "tensorboard" / "casme2-01.unfinished"
    assert sorted((run / "tensorboard").iterdir()) == [unfinished, log_folder(run, "casme2-02")]
    assert scalars(unfinished) == {"loss": [1], "learning_rate": [1]}
    train_run(plan, tmp_path, Silent(), loggers=Loggers({"tensorboard": TensorBoardLogger()}), folds_at_once=1)
    whole = [log_folder(run, fold_id) for fold_id in ("casme2-01", "casme2-02")]
    assert sorted((run / "tensorboard").iterdir()) == whole
    epochs = [1, 2, 3]
    assert [scalars(folder) for folder in whole] == [{"loss": epochs, "learning_rate": epochs, "seconds": epochs}] * 2


def test_tensorboard_keeps_nothing_of_an_interrupted_fold(tmp_path):
    pytest.importorskip("tensorboard")

    class Stopping(Silent):
        def on_epoch(self, epoch, loss):
            if len(self.folds) == 2:
                raise RunError("stop")

    loggers = Loggers({"tensorboard": TensorBoardLogger()})
    with pytest.raises(RunError):
        train_run(plan_of(tmp_path), tmp_path, Stopping(), loggers=loggers, folds_at_once=1)
    (run,) = tmp_path.glob("casme2-mmnet3-*")
    assert [folder.name for folder in (run / "tensorboard").iterdir()] == ["casme2-01"]

"""`mer_cli.train`: one call that trains, continues and returns a run, and what it prints meanwhile."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cells import Cells
from moved_store import write_moved_store
from tiny_store import write_store
from torch import nn

import mer_cli as mer
from mer_cli.errors import ConfigError
from mer_cli.system.workers import NO_GUARD

# A store of five clips has rare classes, and a changed method says so: other tests look at these sentences.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*training clip"),
    pytest.mark.filterwarnings("ignore:.*changed since"),
]

SMALL = {"scheme": "mmnet3", "epochs": 2, "batch_size": 2, "device": "cpu", "precision": "fp32"}
CLASS = """
from torch import nn

class {name}(nn.Module):
    def __init__(self, n_classes, width: int = 2):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, width), nn.Linear(width, n_classes))

    def forward(self, onset, apex):
        return self.layers(apex - onset)
"""


class Linear(nn.Module):
    """Refuses to go on in the folds of some subjects, as an interrupt does."""

    calls, interrupted_at = 0, -1

    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, n_classes))

    def forward(self, onset, apex):
        Linear.calls += 1
        if Linear.calls == Linear.interrupted_at:
            raise KeyboardInterrupt
        return self.layers(apex - onset)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_moved_store(Path("casme2.h5")).path


def test_a_class_is_trained_and_its_run_returned(store):
    run = mer.train(mer.open_store(store), Linear, **SMALL)
    assert (run.path.parent, run.missing, len(run.folds)) == (Path("runs"), (), 3)
    assert run.config.foreign.code == "test_api_train:Linear"


def test_the_class_of_a_file_and_a_built_in_method_are_trained(store):
    Path("net.py").write_text(CLASS.format(name="Net"), encoding="utf-8")
    run = mer.train([str(store)], "net.py:Net", options={"width": 3}, folds=["01"], out="other", **SMALL)
    assert (run.path.parent, run.missing) == (Path("other"), ("casme2-02", "casme2-03"))
    assert run.config.foreign.options == {"width": 3}
    assert mer.train(store, "flow-svm", scheme="mmnet3", flow="fast").config.model == "flow-svm"


def test_a_store_may_be_tested_on_instead(store):
    samm = write_store(Path("samm.h5"), {"samm/006/a": "anger", "samm/006/b": "happiness", "samm/03/c": "surprise"})
    run = mer.train(store, Linear, test_stores=samm, **(SMALL | {"scheme": "megc3"}))
    assert [fold.fold for fold in run.folds] == ["samm"]


def test_an_interrupted_run_is_continued_by_the_same_call(store, monkeypatch):
    mer.train(store, Linear, out="straight", **SMALL)
    monkeypatch.setattr(Linear, "interrupted_at", Linear.calls + 8)  # in the second fold
    with pytest.raises(KeyboardInterrupt):
        mer.train(store, Linear, **SMALL)
    (path,) = Path("runs").iterdir()
    assert mer.read_run(path).missing == ("casme2-02", "casme2-03")
    finished = path / "folds" / "casme2-01" / "done"
    written = finished.stat().st_mtime_ns
    run = mer.train(store, Linear, **SMALL)
    assert (run.path, run.missing, finished.stat().st_mtime_ns) == (path, (), written)
    straight = mer.read_run(Path("straight") / path.name)
    assert all((one.logits == other.logits).all() for one, other in zip(run.folds, straight.folds, strict=True))


def test_a_class_of_a_notebook_is_trained_in_worker_processes_and_a_changed_one_makes_another_run(store, monkeypatch):
    cells = Cells(monkeypatch)
    cells.run(CLASS.format(name="Net"))
    one = mer.train(store, cells.names["Net"], folds_at_once=2, **SMALL)
    straight = mer.train(store, cells.names["Net"], out="straight", **SMALL)
    assert (one.config.foreign.code, one.path.name, one.missing) == ("__main__:Net", straight.path.name, ())
    assert all((fold.logits == other.logits).all() for fold, other in zip(one.folds, straight.folds, strict=True))
    assert (one.path / "source" / "Net.py").read_text() == CLASS.format(name="Net").partition("\n\n")[2]
    cells.run(CLASS.format(name="Net").replace("apex - onset", "apex"))
    changed = mer.train(store, cells.names["Net"], **SMALL)
    assert changed.path != one.path


def test_a_class_of_a_module_without_a_file_is_refused(store, monkeypatch):
    module = ModuleType("made_up")
    exec(CLASS.format(name="Net"), vars(module))
    monkeypatch.setitem(sys.modules, "made_up", module)
    with pytest.raises(ConfigError) as error:
        mer.train(store, module.Net, **SMALL)
    assert str(error.value) == (
        "made_up:Net: its module has no file, so its source can't be recorded with the run. Write the class into a "
        "file, and give FILE.py:Net."
    )


@pytest.mark.parametrize("progress", [None, False])
def test_without_a_terminal_nothing_is_printed(store, capfd, progress):
    mer.train(store, Linear, progress=progress, **SMALL)
    assert capfd.readouterr() == ("", "")


def test_progress_that_is_asked_for_is_on_stderr(store, capfd):
    mer.train(store, "flow-svm", scheme="mmnet3", flow="fast", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.findall(r"fold (\S+) done", err) == ["casme2-01", "casme2-02", "casme2-03"]


def test_other_numbers_of_clips_than_published_are_warned_of(tmp_path):
    store = write_store(tmp_path / "casme2.h5", table_version="20190701")
    with pytest.warns(UserWarning, match=r"^mmnet3: the store holds positive 2, surprise 1, negative 2 of 3 subjects"):
        mer.train(store, Linear, out=tmp_path, folds=["01"], **SMALL)


def test_an_unknown_setting_is_refused(store):
    with pytest.raises(ConfigError, match=r"^There is no setting 'epoch'. Expected one of: "):
        mer.train(store, Linear, epoch=3)


@pytest.mark.slow
def test_a_script_that_trains_without_a_main_guard_is_told_to_add_one(store):
    call = f"mer.train('casme2.h5', Net, folds_at_once=2, **{SMALL!r})"
    Path("script.py").write_text(f"import mer_cli as mer\n{CLASS.format(name='Net')}\n{call}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"mer_cli.errors.ConfigError: {NO_GUARD}"

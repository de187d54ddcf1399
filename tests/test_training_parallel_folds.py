"""Folds that are trained several at once equal those of one process, whatever happens to the processes."""

import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import pytest
import torch
from moved_store import write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, train
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.engines import local
from mer_cli.errors import ConfigError
from mer_cli.records import Fold
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.system import workers
from mer_cli.training import hardware
from mer_cli.training.hardware import (
    choose_folds_at_once,
    parse_folds_at_once,
    parse_gpus,
    resolve_gpus,
    threads_of_fold,
)
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

# Dropout and BatchNorm are in it. A fold of these epochs takes long enough to be killed before it ends.
MODEL = {"model": "ststnet", "flow": "fast", "epochs": 30, "precision": "fp32"}
FOLDS = ("casme2-01", "casme2-02", "casme2-03")
LOSO = [Fold(f"casme2-{subject:02}", ("clip",) * 100, (), ("other",)) for subject in range(26)]

# Trains with two workers. All are killed when the first fold ends; or Ctrl-C comes while they start on endless folds.
SCRIPT = """
import multiprocessing, os, signal, sys, threading, time
from pathlib import Path

how, epochs = sys.argv[1], int(sys.argv[2])

class Listener:
    def on_start(self, n_folds):
        if how == "interrupt":
            threading.Thread(target=interrupt, daemon=True).start()
    def on_fold(self, fold): pass
    def on_epoch(self, epoch, loss): pass
    def on_fold_end(self):
        for worker in multiprocessing.active_children():
            worker.kill()

def interrupt():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    time.sleep(0.3)
    os.killpg(0, signal.SIGINT)

if __name__ == "__main__":
    from mer_cli.errors import MerError
    from mer_cli.runs.config import resolve_config
    from mer_cli.training.inputs import compute_inputs
    from mer_cli.training.plan import plan_run
    from mer_cli.training.train import train_run

    settings = {"scheme": "mmnet3", "batch_size": 2, "device": "cpu", "model": "ststnet", "flow": "fast"}
    config = resolve_config(**settings, precision="fp32", epochs=epochs)
    try:
        plan = plan_run([Path("casme2.h5")], config)
        compute_inputs(plan)
        train_run(plan, Path("runs"), Listener(), folds_at_once=2)
    except MerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.fixture(autouse=True)
def _own_workers(monkeypatch):
    """A worker that trains keeps its trainer: it must not be another test's."""
    monkeypatch.setattr(workers, "ProcessPoolExecutor", ProcessPoolExecutor)


@pytest.fixture(autouse=True)
def two_threads():
    """What torch has on two cores, whatever else the tests run beside; and what it has afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_moved_store(tmp_path_factory.mktemp("data") / "casme2.h5").path


@pytest.fixture(scope="module")
def straight(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("straight"), **MODEL)[0]


def train_in_process(how, epochs, data, folder):
    """In a process group of its own, that is stopped in the way `how`; the flow is there, so only folds are trained."""
    shutil.copytree(data, folder, dirs_exist_ok=True)
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", how, str(epochs)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, start_new_session=True, timeout=120)


def test_folds_at_once_equal_those_of_one_process(store, straight, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = f"train {store} --loso --scheme mmnet3 --batch-size 2 --device cpu --folds-at-once 2"
    flags = [part for name, value in MODEL.items() for part in (f"--{name}", str(value))]
    done = CliRunner().invoke(main.app, [*command.split(), *flags])
    assert done.exit_code == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.name == straight.name
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)
        assert f"fold {fold} done" in done.stderr
    assert (path / "environment.json").read_text().count('"threads": 1') == 1


@pytest.mark.slow
def test_mmnets_folds_too_where_each_has_the_same_threads(store, tmp_path):
    torch.set_num_threads(1)
    settings = {"epochs": 1, "batch_size": 4}
    in_turn, _ = train(store, tmp_path / "turn", wanted=["01", "02"], **settings)
    torch.set_num_threads(2)
    listener = Silent()
    plan = plan_run([store], config_of(**settings), wanted=["01", "02"])
    at_once = train_run(plan, tmp_path / "once", listener, folds_at_once=2)
    for fold in FOLDS[:2]:
        assert_same_fold(at_once, in_turn, fold)
    assert (listener.n_folds, sorted(listener.folds), listener.n_done) == (2, list(FOLDS[:2]), 2)
    assert [epoch for epoch, _ in listener.losses] == [1, 1]


@pytest.mark.slow
def test_a_dead_worker_is_said_and_the_next_start_goes_on(store, straight, tmp_path):
    done = train_in_process("kill", MODEL["epochs"], store.parent, tmp_path)
    path = Path("runs") / straight.name
    assert done.stderr == (
        f"error: {path}: a worker process was killed while training folds, probably for lack of memory. "
        "Finished folds are kept: run the same command again with --folds-at-once 1.\n"
    )
    finished = {fold.fold for fold in read_run(tmp_path / path).folds}
    assert 1 <= len(finished) < 3
    _, listener = train(tmp_path / "casme2.h5", tmp_path / "runs", **MODEL)
    assert set(listener.folds) == {*FOLDS} - finished
    for fold in FOLDS:
        assert_same_fold(tmp_path / path, straight, fold)


@pytest.mark.usefixtures("straight")
@pytest.mark.slow
def test_ctrl_c_ends_the_workers_at_once(store, tmp_path):
    done = train_in_process("interrupt", 10**6, store.parent, tmp_path)
    assert (done.returncode, done.stderr) == (1, "interrupted\n")
    assert [process.pid for process in psutil.process_iter() if _folder(process) == tmp_path] == []


def _folder(process):
    try:
        return Path(process.cwd())
    except (psutil.Error, OSError):
        return None


@pytest.mark.parametrize(
    ("settings", "n_todo", "wanted", "memory", "n_at_once"),
    [
        ({"model": "ststnet"}, 26, None, None, 2),
        ({"model": "ststnet"}, 1, None, None, 1),
        ({"model": "ststnet"}, 26, None, 3_300_000_000, 1),
        ({"model": "ststnet"}, 26, None, 100, 1),
        ({"model": "ststnet"}, 26, 4, 100, 4),
        ({"model": "ststnet"}, 3, 4, None, 3),
        ({"model": "ststnet", "epochs": 1}, 26, None, None, 1),  # done before a worker has started
        ({"model": "mmnet"}, 26, None, None, 1),
        ({"model": "mmnet"}, 26, 2, None, 2),
        ({"model": "flow-svm"}, 26, None, None, 1),
    ],
)
def test_folds_at_once_are_chosen_by_network_cores_memory_and_work(
    settings, n_todo, wanted, memory, n_at_once, monkeypatch
):
    monkeypatch.setattr(hardware, "available_memory", lambda: memory)
    config = resolve_config(**settings).model_copy(update={"device": "cpu"})
    assert choose_folds_at_once(config, LOSO[:n_todo], wanted, n_cores=2) == n_at_once


@pytest.mark.parametrize(
    ("model", "wanted", "n_threads"), [("ststnet", None, 1), ("ststnet", 1, 1), ("mmnet", None, 2), ("mmnet", 2, 1)]
)
def test_the_threads_of_a_fold_depend_on_the_network_alone_unless_folds_are_asked_for(model, wanted, n_threads):
    config = resolve_config(model=model).model_copy(update={"device": "cpu"})
    assert threads_of_fold(config, wanted, n_cores=2) == n_threads


@pytest.mark.parametrize(
    ("model", "wanted", "n_gpus", "n_at_once"),
    [("mmnet", None, 1, 1), ("mmnet", None, 2, 2), ("mmnet", 3, 2, 6), ("ststnet", None, 1, 16), ("ststnet", 1, 2, 2)],
)
def test_networks_on_motion_share_a_gpu_and_each_gpu_has_a_fold_of_mmnet(model, wanted, n_gpus, n_at_once, monkeypatch):
    monkeypatch.setattr(hardware, "available_memory", lambda: None)
    config = resolve_config(model=model).model_copy(update={"device": "cuda"})
    assert choose_folds_at_once(config, LOSO, wanted, n_cores=16, n_devices=n_gpus) == n_at_once


def test_the_folds_of_a_motion_network_run_at_once_when_nothing_is_said(store, straight, tmp_path, monkeypatch):
    """The number is chosen from the cores, not from the one thread that each fold is given."""
    monkeypatch.setattr(hardware, "PAIRS_THAT_REPAY_WORKERS", 1)
    started = []
    monkeypatch.setattr(local, "_do_in_workers", lambda tasks, needs, on_end: started.append(needs.at_once))
    train(store, tmp_path, **MODEL)
    assert started == [2]


def test_gpus_are_named_by_number_and_only_where_there_are_some():
    config = resolve_config(device="cpu")
    assert resolve_gpus(config, None) == ()
    with pytest.raises(ConfigError) as error:
        resolve_gpus(config, (0,))
    assert str(error.value) == ("--gpus has no effect with --device cpu. Leave it out; `mer doctor` says why.")
    assert parse_gpus("0, 3") == (0, 3)
    with pytest.raises(ConfigError) as error:
        parse_gpus("0,all")
    assert str(error.value) == ("--gpus must be numbers as `nvidia-smi` shows them, such as 0,1, got '0,all'.")


def test_folds_at_once_are_a_number_or_auto():
    assert (parse_folds_at_once("auto"), parse_folds_at_once("3")) == (None, 3)
    for text in ("0", "-1", "two", ""):
        with pytest.raises(ConfigError) as raised:
            parse_folds_at_once(text)
        assert str(raised.value) == (f"--folds-at-once must be auto, or a number of at least 1, got {text!r}.")

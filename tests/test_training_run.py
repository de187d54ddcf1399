"""The run directory: written, read back, refused, and what a kill or a full disk leaves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer_cli.errors import RunError
from mer_cli.records import FoldPredictions
from mer_cli.training.config import resolve_config
from mer_cli.training.folds import loso_folds
from mer_cli.training.run import RunConfig, is_finished, open_run, read_run, write_fold

LABELS = {"casme2/01/a": 0, "casme2/01/b": 1, "casme2/02/a": 1}
EMOTIONS = {"casme2/01/a": "happiness", "casme2/01/b": "disgust", "casme2/02/a": "fear"}
FOLDS = loso_folds(LABELS)
HISTORY = [{"loss": 1.5, "learning_rate": 8e-4, "seconds": 0.1}, {"loss": 1.0, "learning_rate": 8e-4, "seconds": 0.1}]


def make_config(**changes):
    settings = resolve_config(epochs=2, scheme="casme2-5").model_dump() | {
        "dataset": "casme2",
        "protocol_id": "casme2-5/3",
        "class_names": ("positive", "negative"),
        "content_hash": "c0ffee",
        "table_sha256": "ab",
        "table_version": "",
        "generated": True,
    }
    return RunConfig(**(settings | changes))


def make_run(root, config=None):
    return open_run(root, config or make_config(), LABELS, EMOTIONS, FOLDS, {"torch": "2"})


def predictions_of(fold, seed=0):
    logits = np.random.default_rng(seed).normal(size=(2, len(fold.test), 2)).astype(np.float32)
    return FoldPredictions(fold.id, fold.test, logits)


def test_a_run_reads_back_as_it_was_written(tmp_path):
    path = make_run(tmp_path)
    for fold in FOLDS:
        write_fold(path, predictions_of(fold), HISTORY, save_weights=None)
    run = read_run(path)
    assert run.config == make_config()
    assert (run.labels, run.emotions, run.missing) == (LABELS, EMOTIONS, ())
    assert run.fold_of["casme2/02/a"] == "casme2-02"
    assert [fold.fold for fold in run.folds] == ["casme2-01", "casme2-02"]
    np.testing.assert_array_equal(run.folds[0].logits, predictions_of(FOLDS[0]).logits)
    assert (path / "folds/casme2-01/history.csv").read_text().splitlines()[1] == "1,1.5,0.0008,0.1"
    assert path.name.startswith("casme2-5-mmnet-released-s1-")


def test_an_unfinished_fold_is_missing_and_finishes_later(tmp_path):
    path = make_run(tmp_path)
    write_fold(path, predictions_of(FOLDS[1]), HISTORY, save_weights=None)
    assert read_run(path).missing == ("casme2-01",)
    assert not is_finished(path, "casme2-01")
    assert make_run(tmp_path) == path
    assert is_finished(path, "casme2-02")


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"epochs": 3},
        {"precision": "fp32"},
        {"content_hash": "other"},
        {"compile": "on"},
        {"device": "cpu"},
    ],
)
def test_any_other_setting_gives_another_run(tmp_path, changes):
    assert make_config(**changes).run_name != make_config().run_name
    assert make_run(tmp_path, make_config(**changes)) != make_run(tmp_path)


def test_an_edited_config_is_refused_and_names_what_differs(tmp_path):
    path = make_run(tmp_path)
    file = path / "config.json"
    file.write_text(file.read_text().replace('"epochs": 2', '"epochs": 70'))
    with pytest.raises(RunError) as error:
        make_run(tmp_path)
    assert str(error.value) == (
        f"{path}: holds a run of another configuration (epochs is 70) — expected 2. Its config.json was edited: move "
        "the folder away, or give another --out."
    )


def test_a_run_of_another_protocol_version_is_refused(tmp_path):
    path = make_run(tmp_path)
    file = path / "config.json"
    file.write_text(file.read_text().replace('"protocol_version": 1', '"protocol_version": 0'))
    with pytest.raises(RunError, match=r"config\.json: protocol version 0, this program reads 1 — expected a run of"):
        read_run(path)


def test_a_run_that_lost_its_config_is_refused_and_its_folds_stay(tmp_path):
    path = make_run(tmp_path)
    write_fold(path, predictions_of(FOLDS[0]), HISTORY, save_weights=None)
    (path / "config.json").unlink()
    with pytest.raises(RunError, match="no run directory"):
        make_run(tmp_path)
    assert is_finished(path, "casme2-01")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run directory — expected a config.json in it. `mer train --loso` makes one"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="not a run's config"):
        read_run(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "other shape", "other clips"])
def test_damaged_logits_name_the_folder_to_delete(tmp_path, damage):
    path = make_run(tmp_path)
    fold = predictions_of(FOLDS[0])
    if damage == "other shape":
        fold = FoldPredictions(fold.fold, fold.clip_ids, fold.logits[:1])
    if damage == "other clips":
        fold = FoldPredictions(fold.fold, ("casme2/01/a", "casme2/01/z"), fold.logits)
    write_fold(path, fold, HISTORY, save_weights=None)
    file = path / "folds/casme2-01/logits.npz"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match=r"Delete .*casme2-01 and train again: only this fold is repeated\."):
        read_run(path)


def test_weights_that_cannot_be_written_leave_no_fold(tmp_path):
    path = make_run(tmp_path)

    def interrupted(file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_fold(path, predictions_of(FOLDS[0]), HISTORY, interrupted)
    assert list((path / "folds").iterdir()) == []
    assert read_run(path).missing == ("casme2-01", "casme2-02")


def test_what_a_kill_left_does_not_hinder_the_next_attempt(tmp_path):
    path = make_run(tmp_path)
    stale = path / "folds/.casme2-01.partial"
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    write_fold(path, predictions_of(FOLDS[0]), HISTORY, save_weights=None)
    assert is_finished(path, "casme2-01")
    assert sorted(item.name for item in (path / "folds/casme2-01").iterdir()) == ["done", "history.csv", "logits.npz"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_training_run import FOLDS, HISTORY, make_config, make_run, predictions_of
from mer_cli.errors import RunError
from mer_cli.training.loso import _weight_saver
from mer_cli.training.run import write_fold
import torch
path = make_run(Path(sys.argv[1]))
write_fold(path, predictions_of(FOLDS[1]), HISTORY, None)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    save = _weight_saver({"w": torch.zeros(5000)}, make_config(), FOLDS[0])
    write_fold(path, predictions_of(FOLDS[0]), HISTORY, save)
except RunError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_finished_folds_stay(tmp_path):
    """A limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    tests = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, tests], capture_output=True, text=True, check=True
    )
    (path,) = tmp_path.iterdir()
    assert done.stdout == (
        f"{path}/folds/casme2-01: can't be written (Error while serializing: I/O error: File too large "
        "(os error 27)) — expected a writable folder with room for it. Free space or give "
        "another --out, then run the same command again: finished folds are kept.\n"
    )
    assert read_run(path).missing == ("casme2-01",)
    assert sorted(item.name for item in (path / "folds").iterdir()) == ["casme2-02"]

"""The run directory: written, read back, refused, and what a kill or a full disk leaves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer_cli.errors import RunError
from mer_cli.evaluation.run_text import recipe_and_changes
from mer_cli.records import FoldPredictions
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import Session, is_finished, open_run, read_run, record_session, write_fold
from mer_cli.runs.folds import cross_folds, loso_folds
from mer_cli.runs.methods import METHODS
from mer_cli.runs.run_config import PROTOCOL_VERSION, RunConfig, RunStore

LABELS = {"casme2/01/a": 0, "casme2/01/b": 1, "casme2/02/a": 1}
EMOTIONS = {"casme2/01/a": "happiness", "casme2/01/b": "disgust", "casme2/02/a": "disgust"}
FOLDS = loso_folds(LABELS)
HISTORY = [{"loss": 1.5, "learning_rate": 8e-4, "seconds": 0.1}, {"loss": 1.0, "learning_rate": 8e-4, "seconds": 0.1}]


SESSION = Session(("data/casme2.h5",), (), "runs", {"torch": "2", "threads": 2})


def make_store(**changes):
    fields = {"dataset": "casme2", "role": "loso", "content_hash": "c0ffee", "table_sha256": "ab"}
    return RunStore(**(fields | {"table_version": "", "generated": True} | changes))


def make_config(**changes):
    settings = resolve_config(epochs=2, scheme="labels").model_dump() | {
        "stores": (make_store(),),
        "protocol_id": "casme2-labels/3",
        "class_names": ("happiness", "disgust"),
    }
    return RunConfig(**(settings | changes))


def make_run(root, config=None, folds=FOLDS):
    return open_run(root, config or make_config(), LABELS, EMOTIONS, folds, SESSION)


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
    assert path.name.startswith("casme2-labels-mmnet-released-s1-")


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
        {"stores": (make_store(content_hash="other"),)},
        {"stores": (make_store(table_sha256="other"),)},
        {"stores": (make_store(role="test"), make_store(dataset="samm", role="train"))},
        {"compile": "on"},
        {"device": "cpu"},
    ],
)
def test_any_other_setting_gives_another_run(tmp_path, changes):
    assert make_config(**changes).run_name != make_config().run_name
    assert make_run(tmp_path, make_config(**changes)) != make_run(tmp_path)


def test_the_order_of_stores_is_no_setting():
    stores = (make_store(role="train"), make_store(dataset="samm", role="test"))
    one, other = make_config(stores=stores), make_config(stores=stores[::-1])
    assert (one, one.run_name) == (other, other.run_name)
    assert [store.dataset for store in other.stores] == ["casme2", "samm"]


@pytest.mark.parametrize("role", ["loso", "train"])
def test_a_run_is_generated_where_any_of_its_stores_is(role):
    real = make_store(dataset="samm", role=role, generated=False)
    assert make_config(stores=(real, make_store(role=role))).generated
    assert not make_config(stores=(real,)).generated


def test_an_edited_config_is_refused_and_names_what_differs(tmp_path):
    path = make_run(tmp_path)
    file = path / "config.json"
    file.write_text(file.read_text().replace('"epochs": 2', '"epochs": 70'))
    with pytest.raises(RunError) as error:
        make_run(tmp_path)
    assert str(error.value) == (
        f"{path}: its config.json was edited: epochs is 70, not 2. Move the folder away, or give another --out."
    )


def test_a_run_of_another_protocol_version_is_refused(tmp_path):
    path = make_run(tmp_path)
    file = path / "config.json"
    file.write_text(file.read_text().replace(f'"protocol_version": {PROTOCOL_VERSION}', '"protocol_version": 1'))
    with pytest.raises(RunError) as error:
        read_run(path)
    assert str(error.value) == (
        f"{file}: protocol version 1, and this program reads {PROTOCOL_VERSION}. Train again; the old run "
        "stays as it is."
    )


def test_a_run_that_lost_its_config_is_refused_and_its_folds_stay(tmp_path):
    path = make_run(tmp_path)
    write_fold(path, predictions_of(FOLDS[0]), HISTORY, save_weights=None)
    (path / "config.json").unlink()
    with pytest.raises(RunError, match="not a run directory"):
        make_run(tmp_path)
    assert is_finished(path, "casme2-01")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"not a run directory, it has no config\.json\. `mer train --loso` makes one"):
        read_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match="was edited or damaged"):
        read_run(tmp_path)


def test_clips_that_are_only_trained_on_have_no_fold(tmp_path):
    stores = (make_store(role="train"), make_store(dataset="samm", role="test"))
    labels = {"casme2/01/a": 0, "casme2/01/b": 1, "samm/02/a": 1}
    emotions = {"casme2/01/a": "happiness", "casme2/01/b": "disgust", "samm/02/a": "disgust"}
    folds = cross_folds(list(labels)[:2], ["samm/02/a"])
    config = make_config(stores=stores, protocol_id="casme2-to-samm-labels/2-to-1")
    session = Session(("data/casme2.h5",), ("data/samm.h5",), "runs", {})
    path = open_run(tmp_path, config, labels, emotions, folds, session)
    assert (path / "clips.csv").read_text() == (
        "clip_id,fold,emotion,label,class\n"
        "samm/02/a,samm,disgust,1,disgust\n"
        "casme2/01/a,,happiness,0,happiness\n"
        "casme2/01/b,,disgust,1,disgust\n"
    )
    run = read_run(path)
    assert run.fold_of == {"samm/02/a": "samm", "casme2/01/a": "", "casme2/01/b": ""}
    assert (run.labels, run.missing) == (labels, ("samm",))


FILES = ["clips.csv", "config.json", "environment.json", "folds"]


def test_each_session_is_recorded_once(tmp_path):
    path = make_run(tmp_path)
    other = Session(("/elsewhere/casme2.h5",), (), "/scratch/runs", {"torch": "3", "threads": 64})
    for session in (other, SESSION, other):
        record_session(path, session)
    assert read_run(path).sessions == (SESSION, other)
    assert sorted(file.name for file in path.iterdir()) == FILES


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"torch": "2"}',
        '[{"stores": ["a.h5"]}]',
        '[{"stores": [], "test_stores": [], "out": "runs"}]',
        '[{"stores": "a.h5", "test_stores": [], "out": "runs"}]',
        '[{"stores": [1], "test_stores": [], "out": "runs"}]',
        '[{"stores": ["a.h5"], "test_stores": {}, "out": "runs"}]',
        '[{"stores": ["a.h5"], "test_stores": [], "out": 1}]',
    ],
)
def test_damaged_sessions_are_named(tmp_path, text):
    file = make_run(tmp_path) / "environment.json"
    file.write_text(text)
    with pytest.raises(
        RunError, match=r"environment\.json: was edited or damaged \(.*\)\. Restore it, or move the run away"
    ):
        read_run(file.parent)


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
    with pytest.raises(RunError, match=r"[Dd]elete .*casme2-01 and train again: only this fold is repeated\."):
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
from mer_cli.evaluation.run_text import recipe_and_changes
from functools import partial
from mer_cli.training.fold_work import _save_weights
from mer_cli.runs.directory import write_fold
import torch
path = make_run(Path(sys.argv[1]))
write_fold(path, predictions_of(FOLDS[1]), HISTORY, None)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    save = partial(_save_weights, {"w": torch.zeros(5000)}, make_config(), FOLDS[0])
    write_fold(path, predictions_of(FOLDS[0]), HISTORY, save)
except RunError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_finished_folds_stay(tmp_path):
    """A limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    tests = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, tests], capture_output=True, text=True, check=True
    )
    (path,) = tmp_path.iterdir()
    assert done.stdout == (
        f"{path}/folds/casme2-01: cannot be written (File too large). Free space on the disk or give another --out, "
        "then run the same command again: finished folds are kept.\n"
    )
    assert read_run(path).missing == ("casme2-01",)
    assert sorted(item.name for item in (path / "folds").iterdir()) == ["casme2-02"]


def test_a_setting_that_a_later_version_adds_leaves_a_run_where_it_is():
    class Later(RunConfig):
        new_setting: int = 3

    config = make_config()
    assert Later(**config.model_dump()).run_name == config.run_name
    assert Later(**config.model_dump(), new_setting=4).run_name != config.run_name


def test_runs_of_this_protocol_version_keep_their_names():
    held = {"scheme": "casme2-5", "protocol_id": "casme2-5/3", "class_names": ("positive", "negative")}
    assert make_config(**held).run_name == "casme2-5-mmnet-released-s1-e5024ec5"
    ablated = make_config(**held, seed=2, variant="baseline", block="basic", attention="none", pc=False)
    assert ablated.run_name == "casme2-5-mmnet-baseline-released-s2-fdd58e4e"
    assert len({make_config(**changes).run_name for changes in ({}, {"inner_val": 3}, {"shuffle_labels": True})}) == 3


def test_a_run_of_an_earlier_revision_of_a_method_has_another_name_and_says_so():
    settings = resolve_config(model="dual-inception").model_dump()
    earlier, now = make_config(**settings), make_config(**settings, revision=METHODS["dual-inception"].revision)
    assert earlier.revision == 1 < now.revision
    assert earlier.run_name != now.run_name
    assert recipe_and_changes(now) == "published recipe"
    assert recipe_and_changes(earlier) == "published recipe, revision of the code 1"

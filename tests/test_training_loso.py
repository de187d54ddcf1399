"""Runs of a few clips of one store through the whole training stage, on the CPU."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_run import Silent, assert_same_fold, config_of, stored, train
from tiny_store import EMOTIONS, write_store

from mer_cli.runs.directory import read_run
from mer_cli.runs.methods import METHODS
from mer_cli.training.machine import computes_in_bf16
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

# Trained on the pictures that MMNet is trained on, in the same steps, with a quarter of the arithmetic.
RESNET = {"model": "resnet18-diff"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "casme2.h5")


@pytest.fixture(scope="module")
def exact(store, tmp_path_factory):
    """A fold of MMNet in float32."""
    return train(store, tmp_path_factory.mktemp("exact"), wanted=["01"], precision="fp32")[0]


@pytest.fixture(scope="module")
def straight(store, tmp_path_factory):
    """A run of the other network on pictures, trained in one go."""
    return train(store, tmp_path_factory.mktemp("straight"), **RESNET)


def test_a_run_holds_every_fold_with_a_logit_for_each_epoch_clip_and_class(straight):
    path, listener = straight
    run = read_run(path)
    assert [fold.fold for fold in run.folds] == ["casme2-01", "casme2-02", "casme2-03"]
    assert [fold.logits.shape for fold in run.folds] == [(2, 2, 3), (2, 2, 3), (2, 1, 3)]
    assert run.labels == {clip: {"happiness": 0, "surprise": 1, "disgust": 2}[word] for clip, word in EMOTIONS.items()}
    assert run.config.class_names == ("positive", "surprise", "negative")
    assert run.config.protocol_id == "casme2-mmnet3/5"
    assert (listener.n_folds, listener.n_done, len(listener.losses)) == (3, 3, 6)
    with (path / "folds/casme2-01/history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert float(history[0]["loss"]) == pytest.approx(listener.losses[0][1])


def test_the_stored_weights_give_the_stored_logits_of_the_last_epoch(store, exact):
    """And the file explains itself: it carries the config and the fold."""
    logits, weights = stored(exact, "casme2-01")
    network = METHODS["mmnet"].build(3)
    network.load_state_dict(weights)
    from mer_cli.store.hdf5 import read_windows

    clip_ids = [clip for clip in EMOTIONS if "/01/" in clip]
    onset, _, apex, _ = read_windows(store, clip_ids)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pair = [((torch.from_numpy(w[:, 3]) / 255 - mean) / std).permute(0, 3, 1, 2) for w in (onset, apex)]
    with torch.no_grad():
        np.testing.assert_allclose(network.eval()(*pair).numpy(), logits[-1], atol=0.05 * np.abs(logits[-1]).max())
    with safe_open(exact / "folds/casme2-01/model.safetensors", "pt") as file:
        assert file.metadata()["fold"] == "casme2-01"
        assert '"epochs":2' in file.metadata()["config"]


def test_held_out_labels_do_not_reach_training(exact, tmp_path):
    """With the held-out clips' emotions permuted in the store, every stored logit and weight stays bit-identical."""
    permuted = dict(EMOTIONS)
    held_out = [clip for clip in EMOTIONS if "/01/" in clip]
    for clip, donor in zip(held_out, held_out[1:] + held_out[:1], strict=True):
        permuted[clip] = EMOTIONS[donor]
    path, _ = train(write_store(tmp_path / "permuted.h5", permuted), tmp_path, wanted=["01"], precision="fp32")
    assert read_run(path).labels != read_run(exact).labels
    assert_same_fold(path, exact, "casme2-01")


def test_training_labels_do_reach_training(exact, tmp_path):
    """The twin of the test above: the comparison is able to see a label."""
    changed = EMOTIONS | {"casme2/02/EP01_01": "surprise"}
    path, _ = train(write_store(tmp_path / "changed.h5", changed), tmp_path, wanted=["01"], precision="fp32")
    assert not np.array_equal(stored(path, "casme2-01")[0], stored(exact, "casme2-01")[0])


def test_folds_trained_apart_and_in_another_order_equal_the_straight_run(store, straight, tmp_path):
    for subject in ("03", "01"):
        path, listener = train(store, tmp_path, wanted=[subject], **RESNET)
        assert listener.folds == [f"casme2-{subject}"]
    path, listener = train(store, tmp_path, **RESNET)
    assert listener.folds == ["casme2-02"]
    for fold in ("casme2-01", "casme2-02", "casme2-03"):
        assert_same_fold(path, straight[0], fold)
    _, listener = train(store, tmp_path, **RESNET)
    assert (listener.n_folds, listener.folds) == (0, [])


def test_the_order_of_clips_in_the_store_moves_nothing(straight, tmp_path):
    store = write_store(tmp_path / "shuffled.h5", dict(reversed(EMOTIONS.items())))
    path, _ = train(store, tmp_path, wanted=["03"], **RESNET)
    assert_same_fold(path, straight[0], "casme2-03")


def test_another_seed_gives_another_run_and_other_logits(store, straight, tmp_path):
    path, _ = train(store, tmp_path, wanted=["03"], seed=2, **RESNET)
    assert path.name != straight[0].name
    assert not np.array_equal(stored(path, "casme2-03")[0], stored(straight[0], "casme2-03")[0])


@pytest.mark.slow
def test_stochastic_depth_is_drawn_from_the_folds_own_stream(store, tmp_path):
    paths = [train(store, tmp_path / name, wanted=["01"], epochs=1, stochastic_depth=0.3)[0] for name in "ab"]
    assert_same_fold(*paths, "casme2-01")


def test_weights_are_not_kept_where_that_is_asked(store, tmp_path):
    plan = plan_run([store], config_of(epochs=1, **RESNET), wanted=["01"])
    path = train_run(plan, tmp_path, Silent(), save_weights="none")
    held = sorted(file.name for file in (path / "folds/casme2-01").iterdir())
    assert held == ["done", "environment.json", "history.csv", "logits.npz"]
    assert plan.weight_bytes == pytest.approx(45e6, rel=0.01)


# Stops in the middle of its second fold, says so, and waits to be killed.
KILLED_RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tiny_run import Silent, config_of
from mer_cli.training.machine import computes_in_bf16
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

class Waiting(Silent):
    def on_epoch(self, epoch, loss):
        super().on_epoch(epoch, loss)
        if len(self.folds) == 2:
            print("now", flush=True)
            time.sleep(60)

train_run(plan_run([Path(sys.argv[1])], config_of(model="resnet18-diff")), Path(sys.argv[2]), Waiting())
"""


class Interrupted(Silent):
    """Sends Ctrl-C in the middle of the second fold."""

    def on_epoch(self, epoch, loss):
        if len(self.folds) == 2:
            signal.raise_signal(signal.SIGINT)


def kill(store, out):
    command = [sys.executable, "-c", KILLED_RUN, store, out, Path(__file__).parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as started:
        assert started.stdout.readline() == "now\n"
        started.kill()
    assert started.returncode == -signal.SIGKILL


def interrupt(store, out):
    with pytest.raises(KeyboardInterrupt):
        train_run(plan_run([store], config_of(**RESNET)), out, Interrupted())


@pytest.mark.parametrize("stop", [pytest.param(kill, marks=pytest.mark.slow), interrupt])
def test_a_killed_run_continues_and_ends_in_the_same_bits(store, straight, tmp_path, stop):
    stop(store, tmp_path)
    assert read_run(next(tmp_path.glob("casme2-*"))).missing == ("casme2-02", "casme2-03")
    path, listener = train(store, tmp_path, **RESNET)
    assert listener.folds == ["casme2-02", "casme2-03"]
    for fold in ("casme2-01", "casme2-02", "casme2-03"):
        assert_same_fold(path, straight[0], fold)


@pytest.mark.skipif(not computes_in_bf16("cpu"), reason="this processor does not compute in bf16")
def test_the_default_precision_stays_near_float32(store, exact, tmp_path):
    path, _ = train(store, tmp_path, wanted=["01"])
    fast, slow = stored(path, "casme2-01")[0], stored(exact, "casme2-01")[0]
    assert np.abs(fast - slow).max() < 0.15 * np.abs(slow).max() + 0.1


GOLDEN = json.loads((Path(__file__).parent / "golden/tiny_run.json").read_text())["last_epoch"]


def assert_golden(path, fold):
    """On the machine that wrote them they were equal bit for bit; elsewhere the last digits differ and grow."""
    logits, expected = stored(path, fold)[0][-1], GOLDEN[fold]
    assert np.abs(logits - expected).max() < 0.05 * np.abs(expected).max()


def test_float32_logits_are_those_of_the_first_version(exact):
    assert_golden(exact, "casme2-01")


@pytest.mark.slow
def test_those_of_the_other_folds_too(store, tmp_path):
    path, _ = train(store, tmp_path, wanted=["02", "03"], precision="fp32")
    for fold in ("casme2-02", "casme2-03"):
        assert_golden(path, fold)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_cuda_stays_near_the_cpu(store, tmp_path):
    paths = [train(store, tmp_path, wanted=["03"], device=device, precision="fp32")[0] for device in ("cpu", "cuda")]
    on_cpu, on_cuda = (stored(path, "casme2-03")[0] for path in paths)
    assert np.abs(on_cpu - on_cuda).max() < 0.05 * np.abs(on_cpu).max() + 0.05

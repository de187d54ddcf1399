"""What a learner is shown of the clips, in which order, and which of its answers are refused."""

import re

import numpy as np
import pytest
from complete_store import complete_store
from moved_store import write_moved_store
from own_methods import write
from tiny_run import Silent, config_of, train
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

from mer_cli.errors import ConfigError, RunError
from mer_cli.runs.directory import read_run
from mer_cli.store.hdf5 import read_landmarks, read_windows
from mer_cli.store.whole_clips import read_clip
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

HEAD = """\
import numpy as np
import torch

import mer_cli


class Mine:
    INPUT = mer_cli.ViewInput(({arrays}))

    def fit_predict(self, train, labels, held_out, *, seed, device, log):
        n, k = len(held_out), len(train.class_names)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return complete_store(write_moved_store(tmp_path_factory.mktemp("complete") / "casme2.h5").path)


def run(folder, stores, body, arrays="", wanted=("01",), **changes):
    """Train a learner with these lines in its `fit_predict`."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    text = f"{write(folder, HEAD.format(arrays=arrays) + lines)}:Mine"
    settings = {"epochs": None, "batch_size": None, "model": text, "flow": "fast" if "flow" in arrays else None}
    return train(stores, folder / "runs", list(wanted), **(settings | changes))[0]


SAVE = "np.savez(r'{}', **shown)\nreturn np.zeros((1, n, k))"


def test_a_learner_sees_images_landmarks_flow_and_whole_clips_in_the_order_of_their_ids(store, tmp_path):
    body = (
        "shown = {'train': train.ids, 'held_out': held_out.ids, 'labels': labels, 'subjects': held_out.subjects}\n"
        "shown |= {'onset': held_out.images[0], 'apex': held_out.images[1], 'landmarks': held_out.landmarks}\n"
        "shown |= {'flow': held_out.flow, 'frames': held_out.frames(held_out.ids[1])}\n"
    )
    arrays = '"flow", "frames", "landmarks"'
    run(tmp_path, store, body + SAVE.format(tmp_path / "shown.npz"), arrays)
    shown = np.load(tmp_path / "shown.npz")
    ids = [clip for clip in EMOTIONS if "/01/" in clip]
    assert shown["held_out"].tolist() == ids
    assert shown["subjects"].tolist() == ["casme2/01"] * 2
    assert shown["train"].tolist() == [clip for clip in EMOTIONS if "/01/" not in clip]
    assert shown["labels"].tolist() == [2, 0, 1]  # disgust, happiness, surprise under mmnet3
    onset, _, apex, _ = read_windows(store, ids)
    np.testing.assert_array_equal(shown["onset"], onset[:, 3])
    np.testing.assert_array_equal(shown["apex"], apex[:, 3])
    np.testing.assert_array_equal(shown["landmarks"], read_landmarks(store, ids))
    np.testing.assert_array_equal(shown["frames"], read_clip(store, ids[1]))
    assert shown["flow"].shape == (2, 2, 224, 224)
    assert np.isclose(np.median(shown["flow"][0, 0]), 2, atol=0.2)  # the first clip moves 2 pixels to the right


def test_two_stores_and_inner_clips_are_shown_together_and_sorted(tmp_path):
    stores = [write_store(tmp_path / "casme2.h5"), write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)]
    body = "shown = {'held_out': held_out.ids, 'train': train.ids, 'apex': train.images[1]}\n"
    path = run(
        tmp_path, stores, body + SAVE.format(tmp_path / "shown.npz"), wanted=("casme2-01",), scheme="megc3", inner_val=1
    )
    shown = np.load(tmp_path / "shown.npz")
    (fold,) = read_run(path).folds
    assert shown["held_out"].tolist() == sorted([*fold.clip_ids, *fold.inner_clip_ids])
    assert fold.inner_logits.shape == (1, len(fold.inner_clip_ids), 3)
    for clip_id, image in zip(shown["train"].tolist(), shown["apex"], strict=True):
        _, _, apex, _ = read_windows(stores[clip_id.startswith("samm")], [clip_id])
        np.testing.assert_array_equal(image, apex[0, 3])


@pytest.mark.parametrize(
    ("body", "arrays", "text"),
    [
        (
            "return np.zeros((n, k))",
            "",
            "mynet.py:Mine: fit_predict returned an array of shape (2, 3). Expected (epochs, clips, classes), here "
            "(1, 2, 3). The number of epochs is --epochs, or RECIPE = {'epochs': N} in the class.",
        ),
        (
            "return None",
            "",
            "mynet.py:Mine: fit_predict returned a value of type NoneType. Expected (epochs, clips, classes), here "
            "(1, 2, 3). The number of epochs is --epochs, or RECIPE = {'epochs': N} in the class.",
        ),
        (
            "log(2, .5)",
            "",
            "mynet.py:Mine: logs epoch 2, and the run has 1, counted from 1. The number is --epochs, or "
            "RECIPE = {'epochs': N} in the class.",
        ),
        (
            "return held_out.flow",
            "",
            'mynet.py:Mine: asks for flow, which its INPUT does not name. Write INPUT = mer_cli.ViewInput(("flow",)) '
            "into the class.",
        ),
        (
            "return train.frames(held_out.ids[0])",
            '"frames",',
            "mynet.py:Mine: asks for the frames of 'casme2/01/EP01_01', which is not one of the clips that it got.",
        ),
        (
            "return labels[99]",
            "",
            "mynet.py:Mine, line 12: IndexError: index 99 is out of bounds for axis 0 with size 3. Correct the file.",
        ),
    ],
)
def test_a_learner_that_answers_wrongly_gets_one_error(store, tmp_path, body, arrays, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        run(tmp_path, store, body, arrays)


def test_logits_that_are_not_finite_are_not_written(store, tmp_path):
    text = (
        "mynet.py:Mine: fold casme2-01: the logits are not finite after epoch 1, so the fold is not written. "
        "Correct the method."
    )
    with pytest.raises(RunError, match=f"^{re.escape(text)}$"):
        run(tmp_path, store, "return np.full((1, n, k), np.nan)")


def test_a_store_without_whole_clips_is_refused_before_training_where_the_learner_needs_them(tmp_path):
    plain = write_store(tmp_path / "casme2.h5")
    lines = HEAD.format(arrays='"frames",') + "        return np.zeros((1, n, k))\n"
    with pytest.raises(Exception, match="mer preprocess .*--clips"):
        plan_run([plain], config_of(epochs=None, batch_size=None, model=f"{write(tmp_path, lines)}:Mine"))


def test_a_tensor_is_taken_and_what_the_learner_does_to_its_labels_changes_nothing(store, tmp_path):
    path = run(tmp_path, store, "labels[:] = 0\nreturn torch.ones(1, n, k)", wanted=())
    assert read_run(path).labels["casme2/03/EP01_01"] == 1
    plan = plan_run([store], config_of(epochs=None, batch_size=None, model=f"{tmp_path / 'mynet.py'}:Mine"))
    assert train_run(plan, tmp_path / "runs", Silent()) == path

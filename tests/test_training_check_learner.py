"""What the check of a learner or an estimator finds, and the drawn store that it uses."""

import re

import pytest
from checked_method import check

from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.store.hdf5 import read_store
from mer_cli.store.whole_clips import read_clip
from mer_cli.training.check_method import check_method
from mer_cli.training.drawn_store import write_drawn_store

LEARNER = """
import numpy as np

class Net:
    def fit_predict(self, train, labels, held_out, *, seed, device, log):
        seen, new = (clips.images[1][:, ::32, ::32].reshape(len(clips), -1) / 255 for clips in (train, held_out))
        scores = np.stack([-((new - seen[labels == each].mean(0)) ** 2).sum(1) for each in np.unique(labels)], 1)
        return scores[None]
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_plain_learner_passes_every_check():
    found = check(LEARNER)
    assert {name: mark for name, (mark, _) in found.items()} == {
        **dict.fromkeys(("input", "settings", "output", "finite", "seed", "order", "test batch", "seconds"), "ok"),
        "log": "note",
    }
    assert found["output"][1] == "(1, 6, 3) float32: (epochs, held-out clips, classes)"
    assert found["log"][1] == "log was called for 0 of 1 epochs; others have no loss"


@pytest.mark.parametrize(
    ("old", "new", "name", "message"),
    [
        (
            "scores[None]",
            "scores",
            "output",
            "mynet.py:Net: fit_predict returned an array of shape (6, 3). Expected (epochs, clips, classes), here "
            "(1, 6, 3). The number of epochs is --epochs, or RECIPE = {'epochs': N} in the class.",
        ),
        ("scores[None]", "scores[None] * np.nan", "finite", "logits are not finite after epoch 1."),
        (
            "scores[None]",
            "scores[None] + np.random.default_rng().random()",
            "seed",
            "the same seed gives logits that differ by up to N. Give the argument `seed` (of an estimator: "
            "random_state, which mer sets) to all that draws random numbers.",
        ),
        (
            "scores[None]",
            "scores[None] + np.arange(len(scores))[:, None]",
            "order",
            "the logits differ by up to N if the held-out clips come in another order. Return a row for each clip, in "
            "the order of held_out.ids, and let no clip depend on others.",
        ),
        (
            "scores[None]",
            "(scores - 0.1 * scores.mean(0))[None]",
            "test batch",
            "a clip's logits differ by up to N between alone and among 6 held-out clips: the method looks at the other "
            "test clips. Use statistics of the training clips only.",
        ),
        (
            "        return",
            "        labels[0] = 1 - labels[0]\n        return",
            "labels",
            "fit_predict changes the array of labels. Work on a copy: labels.copy().",
        ),
        (
            "clips.images",
            "clips.flow",
            "output",
            'mynet.py:Net: asks for flow, which its INPUT does not name. Write INPUT = mer_cli.ViewInput(("flow",)) '
            "into the class.",
        ),
        (
            "        return",
            "        labels = train.emotions\n        return",
            "output",
            "mynet.py:Net, line 7: AttributeError: 'Clips' object has no attribute 'emotions'. Correct the file.",
        ),
    ],
)
def test_a_check_of_a_learner_finds(old, new, name, message):
    assert old in LEARNER
    mark, told = check(LEARNER.replace(old, new))[name]
    assert mark == "FAILED"
    assert re.sub(r"by up to \S+(?<!\.)", "by up to N", told) == message


ESTIMATOR = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier

class Own(ClassifierMixin, BaseEstimator):
    def fit(self, vectors, labels):
        self.classes_ = np.unique(labels)
        self.means_ = np.stack([vectors[labels == each].mean(0) for each in self.classes_])
        return self

    def decision_function(self, vectors):
        return -((vectors[:, None] - self.means_) ** 2).sum(2)

    def predict(self, vectors):
        return self.classes_[self.decision_function(vectors).argmax(1)]

Net = RandomForestClassifier(5)
"""


def test_an_estimator_that_is_not_a_classifier_is_refused():
    text = "from sklearn.linear_model import Ridge\nNet = Ridge()\n"
    assert check(text, features="flow")["output"] == (
        "FAILED",
        "mynet.py:Net: Ridge is not a classifier: it has no classes_ after fit. Give a classifier of scikit-learn, or "
        "a pipeline that ends with one.",
    )


def test_an_estimator_that_scikit_learn_can_t_fit_is_blamed_without_a_traceback():
    text = "from sklearn.model_selection import GridSearchCV\nfrom sklearn.svm import SVC\n"
    told = check(f"{text}Net = GridSearchCV(SVC(), {{'C': [1]}}, cv=99)\n", features="flow")["output"][1]
    assert told == (
        "mynet.py:Net, in scikit-learn: ValueError: Cannot have number of splits n_splits=99 greater than the number "
        "of samples: n_samples=60. Correct the file."
    )


def test_an_estimator_passes_every_check():
    found = check(ESTIMATOR, features="flow")
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["output"][1] == "(1, 20, 3) float32: (epochs, held-out clips, classes)"


def test_a_check_finds_an_estimator_that_looks_at_the_other_test_vectors():
    text = ESTIMATOR.replace("return -((vectors[", "return -(((vectors - vectors.mean(0))[").replace(
        "RandomForestClassifier(5)", "Own"
    )
    mark, told = check(text, features="lbp-top")["test batch"]
    assert mark == "FAILED"
    assert re.sub(r"by up to \S+", "by up to N", told) == (
        "a clip's logits differ by up to N between alone and among 20 held-out clips: the method looks at the other "
        "test clips. Use statistics of the training clips only."
    )


def test_something_else_than_an_estimator_is_told():
    assert check("def Net():\n    return 3\n", features="flow")["output"] == (
        "FAILED",
        "mynet.py:Net: gives an object of type int, not a scikit-learn estimator.",
    )


def test_a_built_in_descriptor_has_nothing_to_check():
    with pytest.raises(
        ConfigError, match="^--check lbp-top: is a built-in descriptor. Expected a network, or a method"
    ):
        check_method(resolve_config(model="lbp-top"), 3)


def test_the_drawn_store_has_landmarks_and_whole_clips(tmp_path):
    write_drawn_store(tmp_path / "drawn.h5", 2, 3)
    store = read_store(tmp_path / "drawn.h5")
    assert sorted(store.clips["emotion"]) == sorted(["class 1", "class 2", "class 3"] * 2)
    frames = read_clip(store.path, "drawn/01/clip3")
    assert frames.shape == (12, 224, 224, 3)
    assert (frames[0] != frames[-1]).any()

"""Tell how much better a method recognises expressions with a better flow: `canonical-svm` learns from each of them.

It sees every flow with the steps of `STEPS`, and in place of a flow also the true motion of the face, from which no
head has to be removed. What the truth gives is what is left to gain by a better flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.bench.true_motion import DATASET, TrueClip
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.evaluation.metrics import accuracy, uf1
from mer_cli.evaluation.statistics import bootstrap_interval, count_by_subject, score_of
from mer_cli.motion.canonical import take_steps
from mer_cli.motion.inputs import Step
from mer_cli.records import subject_of
from mer_cli.runs.config import resolve_config

MODEL, SCHEME = "canonical-svm", f"{DATASET}-5"
STEPS: tuple[Step, ...] = ("head", "face", "shape")  # a clip has one pair of frames, so nothing is averaged
TRUTH = "true motion"

Field = NDArray[np.float32]


class Recognition:
    """What `canonical-svm` sees of each clip by each flow; filled clip by clip, then `scores` trains on it."""

    def __init__(self) -> None:
        self.config = resolve_config(model=MODEL, input="+".join(STEPS))
        self.labels: dict[str, int] = {}
        self.vectors: dict[str, list[NDArray[np.float32]]] = {}

    def add(self, clip: TrueClip, flows: Mapping[str, Field]) -> None:
        """Add a clip, unless the scheme leaves its emotion out.

        Parameters
        ----------
        flows : from onset to apex, by name, each (224, 224, 2) float32 in pixels

        Raises
        ------
        FaceError
            If the landmarks of the clip can't be brought to the mean face.
        """
        label = SCHEMES[SCHEME].label(clip.clip_id, clip.emotion)
        if label is None:
            return
        self.labels[clip.clip_id] = label
        shown = {name: (flow, STEPS) for name, flow in flows.items()} | {TRUTH: (clip.own, STEPS[1:])}
        for name, (motion, steps) in shown.items():
            canonical = take_steps(motion.transpose(2, 0, 1), clip.landmarks, steps)
            self.vectors.setdefault(name, []).append(self.config.method.describe(canonical))

    def scores(self) -> dict[str, Any]:
        """Train with one subject held out at a time, and score each flow.

        Returns
        -------
        model, input, scheme, clips and subjects; by flow: accuracy and uf1, with accuracy_interval and uf1_interval,
        95 % over subjects. `flows` is empty if there is one subject only
        """
        subjects = sorted({subject_of(clip_id) for clip_id in self.labels})
        facts: dict[str, Any] = {"model": MODEL, "input": "+".join(STEPS), "scheme": SCHEME, "rule": "last"}
        facts |= {"clips": len(self.labels), "subjects": len(subjects)}
        if len(subjects) < 2:
            return facts | {"flows": {}}
        return facts | {"flows": {name: self._score(np.stack(held)) for name, held in self.vectors.items()}}

    def _score(self, features: NDArray[np.float32]) -> dict[str, Any]:
        """Return the scores of the vectors of one flow, (clips, D)."""
        from mer_cli.training.classical import ClassicalTrainer  # and with it scikit-learn, which takes a second

        n_classes = len(SCHEMES[SCHEME].class_names)
        clip_ids, labels = list(self.labels), np.array(list(self.labels.values()))
        of_clip = np.array([subject_of(clip_id) for clip_id in clip_ids])
        trainer = ClassicalTrainer(features, of_clip.tolist(), n_classes, self.config)
        predicted: dict[str, int] = {}
        for subject in sorted(set(of_clip.tolist())):
            train, test = np.flatnonzero(of_clip != subject), np.flatnonzero(of_clip == subject)
            logits = trainer.train_fold(subject, train, labels[train], test, test[:0], lambda epoch, loss: None).logits
            answers = logits[-1].argmax(axis=1).tolist()
            predicted |= {clip_ids[row]: answer for row, answer in zip(test.tolist(), answers, strict=True)}
        counts = count_by_subject(predicted, self.labels, n_classes)
        found: dict[str, Any] = {}
        for name, metric in (("accuracy", accuracy), ("uf1", uf1)):
            interval = bootstrap_interval([counts], metric)
            found |= {name: score_of(counts, metric), f"{name}_interval": (interval.low, interval.high)}
        return found

"""Measure how well `canonical-svm` recognises expressions from each optical flow, and from the true motion.

The true motion is there twice: with the head's, which the step `head` has to fit and remove as from a flow, and the
face's alone. From a flow to the first is what a better flow could give, from the first to the second what a better fit
of the head could. Lids that close and eyes that look elsewhere are seen by a flow, and are not in the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.bench.true_motion import DATASET, Field, TrueClip
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.evaluation.metrics import accuracy, uf1
from mer_cli.evaluation.statistics import bootstrap_interval, count_by_subject, score_of
from mer_cli.faces.mean_face import is_a_face
from mer_cli.motion.canonical import take_steps
from mer_cli.motion.inputs import Step, text_of_steps
from mer_cli.records import subject_of
from mer_cli.runs.config import resolve_config
from mer_cli.runs.folds import loso_folds
from mer_cli.training.classical import ClassicalTrainer
from mer_cli.training.fold_work import train_fold

MODEL, SCHEME = "canonical-svm", SCHEMES[f"{DATASET}-5"]
TAKEN: tuple[Step, ...] = ("head", "face", "shape")  # a clip has one pair of frames, so nothing is averaged
WITHOUT_HEAD: tuple[Step, ...] = ("face", "shape")
TRUE_WITH_HEAD, TRUE_OF_FACE = "true motion, with the head's", "true motion of the face"

Vector = NDArray[np.float32]


class Recognition:
    """The vectors that `canonical-svm` sees of each clip by each flow; filled clip by clip, then scored.

    left_out : number of clips whose landmarks don't lie as those of a face
    """

    def __init__(self) -> None:
        self.config = resolve_config(model=MODEL, input=text_of_steps(TAKEN))
        self.labels: dict[str, int] = {}
        self.vectors: dict[str, dict[str, Vector]] = {}  # by flow and clip id
        self.left_out = 0

    def add(self, clip: TrueClip, flows: Mapping[str, Field]) -> None:
        """Add a clip, unless the scheme leaves its emotion out, or its landmarks don't lie as those of a face.

        Parameters
        ----------
        flows : from onset to apex, by name, each (224, 224, 2) float32 in pixels
        """
        label = SCHEME.label(clip.clip_id, clip.emotion)
        if label is None:
            return
        if not is_a_face(clip.landmarks):
            self.left_out += 1
            return
        self.labels[clip.clip_id] = label
        shown = {name: (flow, TAKEN) for name, flow in flows.items()}
        shown |= {TRUE_WITH_HEAD: (clip.own + clip.head, TAKEN), TRUE_OF_FACE: (clip.own, WITHOUT_HEAD)}
        for name, (motion, steps) in shown.items():
            canonical = take_steps(motion.transpose(2, 0, 1), clip.landmarks, steps)
            self.vectors.setdefault(name, {})[clip.clip_id] = self.config.method.describe(canonical)

    def scores(self) -> dict[str, Any]:
        """Train with one subject held out at a time, and score each flow.

        Returns
        -------
        model, input, input_without_head (of the true motion of the face), scheme, rule, clips, subjects and left_out;
        and under `flows` by name, the two true motions included: accuracy and uf1, 0..1, with accuracy_interval and
        uf1_interval, 95 % over subjects. `flows` is empty if there are fewer than two subjects
        """
        n_subjects = len(set(map(subject_of, self.labels)))
        scored = self.vectors if n_subjects > 1 else {}
        return {
            "model": MODEL,
            "input": self.config.input,
            "input_without_head": text_of_steps(WITHOUT_HEAD),
            "scheme": SCHEME.name,
            "rule": "last",
            "clips": len(self.labels),
            "subjects": n_subjects,
            "left_out": self.left_out,
            "flows": {name: self._score(held) for name, held in scored.items()},
        }

    def _score(self, vectors: Mapping[str, Vector]) -> dict[str, Any]:
        """Return the scores of the vectors of one flow, by clip id."""
        n_classes = len(SCHEME.class_names)
        features = np.stack([vectors[clip_id] for clip_id in self.labels])
        trainer = ClassicalTrainer(features, list(map(subject_of, self.labels)), n_classes, self.config)
        predicted: dict[str, int] = {}
        for fold in loso_folds(self.labels):
            logits = train_fold(trainer, fold, self.labels, lambda epoch, loss: None).logits[-1]
            predicted |= zip(fold.test, logits.argmax(axis=1).tolist(), strict=True)
        counts = count_by_subject(predicted, self.labels, n_classes)
        found: dict[str, Any] = {}
        for name, metric in (("accuracy", accuracy), ("uf1", uf1)):
            interval = bootstrap_interval([counts], metric)
            found |= {name: score_of(counts, metric), f"{name}_interval": (interval.low, interval.high)}
        return found

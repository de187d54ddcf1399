"""A model whose logits a test gives, and facts about a model that was trained on generated faces."""

from pathlib import Path

import numpy as np

from mer_cli.inference.model import Facts, Score

NAMES = ("happiness", "disgust", "surprise")
SCORE = Score(
    run="casme2-3-mmnet-quick-s1-0a1b2c3d",
    protocol="leave one subject out, casme2-3/90",
    rule="last",
    seed=1,
    n_clips=90,
    n_subjects=10,
    accuracy=0.7,
    uf1=0.65,
    uf1_interval=(0.5, 0.75),
    uar=0.66,
    chance_uf1=0.167,
    generated=False,
)


def facts_of(**changes):
    fields = {
        "method": "mmnet",
        "title": "MMNet",
        "class_names": NAMES,
        "scheme": "mine",
        "datasets": ("casme2",),
        "licences": ("CASME II: academic research only.",),
        "generated": False,
        "n_clips": 90,
        "n_subjects": 10,
        "clips_of_class": dict(zip(NAMES, (30, 30, 30), strict=True)),
        "align": "box",
        "crop": {},
        "predictor_sha256": "",
        "fps": (200.0, 200.0),
        "seconds": (0.05, 0.4),
        "look": {"brightness": (1.0, 255.0)},
        "temperature": 2.0,
        "score": SCORE,
    }
    return Facts(**(fields | changes))


class FixedModel:
    """A `Model` that gives the same logits, (members, classes), for every clip, and keeps what it was shown."""

    path = Path("model")

    def __init__(self, logits=((4.0, 0.0, 0.0),), needs_clips=False, **facts):
        self.given, self.facts, self.needs_clips = np.array(logits, np.float32), facts_of(**facts), needs_clips
        self.steps = ()
        self.halves = None  # (2, members, classes)
        self.members, self.shown = len(self.given), []

    def logits(self, clips):
        self.shown += clips
        return np.repeat(self.given[:, None], len(clips), axis=1)

    def half_logits(self, clips):
        return None if self.halves is None else np.repeat(self.halves[:, :, None], len(clips), axis=2)

    def maps(self, clips, classes):
        return np.stack([np.full((224, 224), label / 4, np.float32) for label in classes])

"""Predictions made by hand, for the tests of what is printed and drawn of them."""

from pathlib import Path

import numpy as np
from fixed_model import facts_of

from mer_cli.inference.model import NewClip
from mer_cli.inference.new_clips import CutClip
from mer_cli.inference.predict import Answer, Prediction
from mer_cli.spotting.interval import Interval, Spotted


def clip_of(shade=90):
    onset = np.full((224, 224, 3), shade, np.uint8)
    apex = onset.copy()
    apex[100:120, 80:140] += 20
    return NewClip(onset, apex, np.zeros((68, 2), np.float32))


def cut_of(onset=101, apex=121, offset=151, clip=None):
    return CutClip(onset, apex, offset, ((onset - 1) / 200, (apex - 1) / 200), 1, 200.0, 260.0, clip)


def answered(onset=101, **changes):
    fields = {
        "score": 3.25,
        "label": "disgust",
        "probabilities": (0.125, 0.625, 0.25),
        "spread": (0.01, 0.05, 0.04),
        "abstains": (),
        "cut": cut_of(onset, onset + 20, onset + 50, clip_of()),
        "attention": np.linspace(0, 1, 224 * 224, dtype=np.float32).reshape(224, 224),
    }
    return Answer(**(fields | changes))


def silent(onset=401, *reasons):
    reasons = reasons or ("No face was found on frame 401.",)
    cut = cut_of(onset, onset + 20, onset + 50)
    return answered(label=None, probabilities=None, spread=None, abstains=reasons, cut=cut, attention=None)


def spotted_of(n=200):
    numbers = np.arange(1, 5 * n, 5, dtype=np.int32)
    head = np.full(n, 0.3, np.float32)
    head[50:60] = np.nan
    return Spotted(
        fps=200.0,
        n_frames=5 * n,
        intervals=(Interval(101, 121, 151, 3.25), Interval(401, 421, 451, 2.5)),
        rejected=(Interval(601, 611, 641, 4.0, "blink"),),
        numbers=numbers,
        motion=np.abs(np.sin(numbers / 40)).astype(np.float32),
        head=head,
        n_faces=np.ones(n, np.int8),
    )


def prediction_of(*answers, path="talk.mp4", facts=None, **changes):
    fields = {
        "path": Path(path),
        "facts": facts or facts_of(),
        "fps": 200.0,
        "spotted": spotted_of(),
        "answers": answers or (answered(), silent()),
    }
    return Prediction(**(fields | changes))

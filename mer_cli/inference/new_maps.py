"""Show where the answers of a model for new clips come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.inference.model import Model, NewClip
from mer_cli.inference.saliency import explain_clips
from mer_cli.inference.trained_model import NetworkModel
from mer_cli.motion.inputs import MotionInput, PairInput
from mer_cli.training.own_network import blamed_on_own_code


def explain_answers(model: Model, clips: Sequence[NewClip], labels: Sequence[int]) -> NDArray[np.float32] | None:
    """Return a map of each clip on its crop, the mean over the model's networks (`saliency.explain_clips`).

    Parameters
    ----------
    labels : (n,) the class that the model named for each clip, as its place in `model.facts.class_names`

    Returns
    -------
    (n, 224, 224) float32, 0..1, the maximum of each map is 1 unless the map is 0 everywhere; None if the model has no
    networks whose gradients can be computed: a support-vector machine, or an ONNX file

    Raises
    ------
    RunError
        If weights can't be read, or a network's answer can't be traced back to its input.
    """
    if not isinstance(model, NetworkModel):
        return None
    shown = np.zeros((len(clips), CROP_SIZE, CROP_SIZE), np.float32)
    if not clips:
        return shown
    method = model.config.method
    assert isinstance(method.sees, MotionInput | PairInput), model.config.model
    landmarks = np.stack([clip.landmarks for clip in clips]) if method.sees.needs_landmarks else None
    for member, network in model.networks():
        inputs = model.inputs(clips, member)
        with blamed_on_own_code(model.config):
            found = explain_clips(network, inputs, method.sees, name=method.code, classes=labels, landmarks=landmarks)
        shown += found.maps
    largest = shown.max(axis=(1, 2), keepdims=True)
    np.divide(shown, largest, out=shown, where=largest > 0)
    return shown

"""Ask a model about a new recording with one call: what `mer predict` does, for a notebook or a script."""

from __future__ import annotations

from pathlib import Path

from mer_cli.faces.landmarks import find_predictor
from mer_cli.faces.recording import Recording, open_recording
from mer_cli.inference import predict as prediction
from mer_cli.inference.model import Model
from mer_cli.inference.open_model import open_model
from mer_cli.inference.predict import OnStep, Prediction
from mer_cli.inference.shipped import open_shipped


def predict(
    recording: Recording | str | Path,
    model: Model | str | Path | None = None,
    *,
    onset: int | None = None,
    apex: int | None = None,
    fps: float | None = None,
    predictor: Path | None = None,
    with_maps: bool = False,
    on_step: OnStep = lambda what, done, total: None,
) -> Prediction:
    """Classify the micro-expressions in a recording, or say why there is no answer.

    Parameters
    ----------
    recording : a video, a folder of numbered images, or an object of your own with `read` (`faces.recording.Recording`)
    model : a model folder, a run with weights, or an ONNX file, or what `open_model` returned for it; None asks the two
        models that come with mer, of emotions and of action units, which were trained on generated faces
    onset, apex : frame numbers; without an onset intervals are spotted, without an apex it is searched for
    fps : frames a second of a folder of images
    predictor : Dlib's model of 68 landmarks; None takes MER_PREDICTOR or the installed one
    with_maps : whether to add where in the clip each answer comes from, which takes longer
    on_step : called with what is done ("frames", "clips"), the number done and of all (None if unknown)

    Raises
    ------
    FaceError
        If a frame can't be read.
    ConfigError
        If the given frames make no clip, or intervals are to be spotted and nobody knows the frames a second.
    MerError
        If the model can't be read.
    """
    held = open_recording(Path(recording), fps) if isinstance(recording, str | Path) else recording
    units: Model | None = None
    if model is None:
        model, units = open_shipped()
    asked = open_model(Path(model)) if isinstance(model, str | Path) else model
    found = find_predictor(predictor)
    return prediction.predict(held, asked, found, on_step, units=units, onset=onset, apex=apex, with_maps=with_maps)

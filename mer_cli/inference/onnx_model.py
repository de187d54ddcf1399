"""A model in an ONNX file, run by onnxruntime on the processor: no torch, and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import RunError
from mer_cli.inference.model import NewClip
from mer_cli.inference.new_inputs import inputs_of
from mer_cli.inference.onnx_file import Record, import_onnx, read_onnx

BATCH = 32  # clips that go through the network at once
LOGITS, PROBABILITIES = "logits", "probabilities"

Arrays = Mapping[str, NDArray[Any]]


class OnnxModel:
    """The network of an ONNX file that `mer export` wrote (an `inference.model.Model`)."""

    members = 1

    def __init__(self, path: Path, record: Record, session: Any) -> None:
        self.path, self.record, self.session = path, record, session
        self.facts = record.facts
        self.needs_clips = record.motion is not None and record.motion.needs_clips("clip")
        self.steps = record.steps

    def logits(self, clips: Sequence[NewClip]) -> NDArray[np.float32]:
        """Return the logits for each clip, (1, n, classes), not calibrated.

        Raises
        ------
        RunError
            If a logit is not finite.
        """
        batches = [clips[start : start + BATCH] for start in range(0, len(clips), BATCH)]
        parts = [
            self.run(inputs_of(batch, self.record.motion, self.record.flow, self.record.steps))[LOGITS]
            for batch in batches
        ]
        n_classes = len(self.facts.class_names)
        return np.concatenate([np.empty((0, n_classes), np.float32), *parts])[None]

    def maps(self, clips: Sequence[NewClip], classes: Sequence[int]) -> None:
        """Return None: an ONNX file has no gradients."""

    def half_logits(self, clips: Sequence[NewClip]) -> None:
        """Return None: only mer's own networks are asked about half a face."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Return logits and probabilities, (n, classes) each, for inputs by name, as the record describes them.

        Raises
        ------
        RunError
            If onnxruntime fails, or a result is not finite.
        """
        names = (LOGITS, PROBABILITIES)
        try:
            found = dict(zip(names, self.session.run(list(names), dict(inputs)), strict=True))
        except Exception as error:  # onnxruntime has a class of its own for each kind
            described = "; ".join(f"{name}: {text}" for name, text in self.record.inputs.items())
            raise _failed(self.path, error, f"Expected as inputs {described}.") from None
        n_clips = len(next(iter(inputs.values())))
        for name, values in found.items():
            if values.shape != (n_clips, len(self.facts.class_names)) or not np.isfinite(values).all():
                raise RunError(
                    f"{self.path}: its {name} are not finite numbers, one for each class. The network is not usable: "
                    "train another, with a lower --learning-rate."
                )
        return found


def open_onnx(path: Path) -> OnnxModel:
    """Open an ONNX file that `mer export` wrote.

    Raises
    ------
    ConfigError
        If the extra [export] is not installed.
    RunError
        If it is not such a file, was edited, or onnxruntime can't run it.
    """
    content, record = read_onnx(path)
    runtime = import_onnx(str(path), "onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what fails raises an error as well
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for each kind
        raise _failed(path, error, "Update onnxruntime: pip install -U 'mer-cli[export]'.") from None
    return OnnxModel(path, record, session)


def _failed(path: Path, error: Exception, cure: str) -> RunError:
    line = " ".join(str(error).strip().partition("\n")[0].split()).rstrip(".")
    return RunError(f"{path}: onnxruntime can't run it ({line}). {cure}")

"""Export a network as an ONNX file that needs no other part of mer, and check it against torch before it is written.

The file contains everything between what a clip shows and calibrated probabilities: the normalisation, the graph of
action units, the network, the temperature. What a fold computes of its training clips is a constant in it. Networks
that see images take them as they are, uint8; networks on motion take the planes before normalisation.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_cli import __version__
from mer_cli.errors import ConfigError, RunError
from mer_cli.inference.model import Facts, NewClip
from mer_cli.inference.new_inputs import inputs_of
from mer_cli.inference.onnx_file import ANY_NUMBER, FORMAT, FORMAT_WITHOUT_STEPS, LARGEST, Record, import_onnx, seal
from mer_cli.inference.onnx_model import LOGITS, PROBABILITIES, open_onnx
from mer_cli.inference.purpose import PURPOSE
from mer_cli.inference.seen import Fixed
from mer_cli.motion.inputs import MotionInput
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.run_config import GENERATED
from mer_cli.system.files import replacing, unwritten
from mer_cli.training.batches import IMAGENET_MEAN, IMAGENET_STD, plain_images
from mer_cli.training.cost import IMAGE
from mer_cli.training.own_network import blamed_on_own_code

OPSET = 20  # of 2023: onnxruntime 1.17 and later run it
MOST_DIFFERENT = 1e-4  # largest difference of a logit between torch and onnxruntime with which a file is written
CHECKED_BATCHES = (1, 5)  # numbers of clips that the file is checked with
SEED = 1  # of the random inputs


class WholeNetwork(nn.Module):
    """A network together with its normalisation and its temperature.

    Parameters
    ----------
    temperature : divisor of the logits; 1 leaves the probabilities as they are
    """

    fixed_mean: Tensor
    fixed_deviation: Tensor
    fixed_graph: Tensor | None

    def __init__(self, network: nn.Module, config: TrainConfig, fixed: Fixed, temperature: float) -> None:
        super().__init__()
        self.network, self.normalisation, self.temperature = network, normalisation_of(config), temperature
        self.is_on_motion, self.predicts_units = isinstance(config.method.sees, MotionInput), config.predicts_units
        if not self.is_on_motion:
            fixed = Fixed(np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32))
        for name, value in vars(fixed).items():
            self.register_buffer(f"fixed_{name}", None if value is None else torch.from_numpy(value.copy()))

    def forward(self, *seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, (B, K) each, of the inputs that `Record.inputs` describes."""
        if self.is_on_motion:
            inputs = [self._normalised(seen[0]), *(() if self.fixed_graph is None else (self.fixed_graph,))]
        else:  # contiguous, so that MMNet takes its plain layers, without padding
            inputs = [plain_images(image, self.fixed_mean, self.fixed_deviation).contiguous() for image in seen]
        logits = self.network(*inputs).float()
        divided = logits / self.temperature
        return logits, torch.sigmoid(divided) if self.predicts_units else torch.softmax(divided, dim=1)

    def _normalised(self, planes: Tensor) -> Tensor:
        """Return planes, (B, P, S, S), normalised as `motion.images.normalise` does."""
        if self.normalisation == "standard":
            standard: Tensor = (planes - self.fixed_mean) / self.fixed_deviation
            return standard
        low, high = planes.amin((2, 3), keepdim=True), planes.amax((2, 3), keepdim=True)
        stretched = (planes - low) / torch.where(high > low, high - low, 1.0)
        return stretched if self.normalisation == "minmax" else torch.round(stretched * 255)


def normalisation_of(config: TrainConfig) -> str:
    """Return the name of the normalisation of a network's input: the config's for motion, "imagenet" for images."""
    return config.normalisation if isinstance(config.method.sees, MotionInput) else "imagenet"


@dataclass(frozen=True)
class Exported:
    """An ONNX file that was written, and how it was checked.

    difference : largest difference of a logit or a probability between torch and onnxruntime
    checked_on : the inputs of the check, in words
    generated : that the network was trained on generated faces, if so; otherwise ""
    """

    path: Path
    difference: float
    checked_on: str
    generated: str


def export_network(
    network: nn.Module,
    config: TrainConfig,
    fixed: Fixed,
    facts: Facts,
    path: Path,
    *,
    model: str,
    fold: str = "",
    clips: Sequence[NewClip] = (),
) -> Exported:
    """Export a network to the ONNX file `path`, if onnxruntime gives the same numbers as torch.

    Parameters
    ----------
    fixed : what the training clips fixed of the network's input
    model, fold : name of the run or the model folder, and fold, that the network is from
    clips : clips to check the file on; without any, on drawn inputs

    Raises
    ------
    ConfigError
        If the extra [export] is not installed, or torch can't export the network.
    RunError
        If the numbers differ by more than 1e-4 or are not finite, or the file can't be written.
    """
    require_exporter()
    record = make_record(config, facts, model, fold)
    whole = WholeNetwork(network, config, fixed, facts.temperature or 1.0)
    whole = whole.to("cpu", torch.float32).to(memory_format=torch.contiguous_format).eval()
    batches = [_inputs(n_clips, config, fixed, clips) for n_clips in CHECKED_BATCHES]
    content = seal(_convert(whole, batches[-1], config), record)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
            difference = max(_difference(whole, config, temporary, path, inputs) for inputs in batches)
            if not difference <= MOST_DIFFERENT:
                raise RunError(
                    f"{path}: not written, because onnxruntime and torch differ by {difference:.1e}. Expected at most "
                    f"{MOST_DIFFERENT:.0e}. Update both: pip install -U torch 'mer-cli[export]'."
                )
    except OSError as error:
        raise RunError(unwritten(path, error)) from None
    stored = "1 stored clip" if len(clips) == 1 else f"{len(clips)} stored clips"
    checked_on = stored if clips else "drawn inputs, because no store was found"
    return Exported(path, difference, checked_on, record.generated)


def require_exporter() -> None:
    """Raise a ConfigError if a library of the extra [export] is not installed."""
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_onnx("mer export", module)


def make_record(config: TrainConfig, facts: Facts, model: str, fold: str) -> Record:
    """Return the record of a network for its ONNX file, without checksums."""
    sees, n_classes = config.method.sees, len(facts.class_names)
    motion = sees if isinstance(sees, MotionInput) else None
    if motion:
        shape = f"({ANY_NUMBER}, {motion.n_planes}, {motion.size}, {motion.size})"
        inputs = {"planes": f"float32 {shape}, not normalised: {', '.join(motion.channels)}"}
    else:
        shape = f"({ANY_NUMBER}, {IMAGE[1]}, {IMAGE[2]}, {IMAGE[0]})"
        inputs = {
            "onset": f"uint8 {shape}, RGB: crop of the face at the onset",
            "apex": f"uint8 {shape}, RGB: the same crop at the apex",
        }
    if config.steps:
        taken = f", after the steps {', '.join(config.steps)} of mer's docs/canonical.md"
        inputs = {name: text + taken for name, text in inputs.items()}
    made_by = "sigmoid" if config.predicts_units else "softmax"
    divided = f" divided by the temperature {facts.temperature:.4g}" if facts.temperature else ", not calibrated"
    return Record(
        format=FORMAT if config.steps else FORMAT_WITHOUT_STEPS,
        mer=__version__,
        purpose=PURPOSE,
        generated=GENERATED if facts.generated else "",
        model=model,
        fold=fold,
        inputs=inputs,
        outputs={
            LOGITS: f"float32 ({ANY_NUMBER}, {n_classes}), in the order of facts.class_names",
            PROBABILITIES: f"float32 ({ANY_NUMBER}, {n_classes}): {made_by} of the logits{divided}",
        },
        motion=motion,
        flow=config.flow if motion and motion.needs_flow("apex") else None,
        steps=config.steps,
        normalisation=normalisation_of(config),
        facts=facts,
    )


def _inputs(n_clips: int, config: TrainConfig, fixed: Fixed, clips: Sequence[NewClip]) -> dict[str, NDArray[Any]]:
    """Return inputs to check a file on: of stored clips, or drawn with the spread of the training clips."""
    sees = config.method.sees
    motion = sees if isinstance(sees, MotionInput) else None
    if clips:
        flow = config.flow if motion and motion.needs_flow("apex") else None
        return inputs_of([clips[place % len(clips)] for place in range(n_clips)], motion, flow, config.steps)
    rng = np.random.default_rng(SEED)
    if motion is None:
        onset, apex = rng.integers(0, 256, (2, n_clips, *IMAGE[1:], IMAGE[0]), dtype=np.uint8)
        return {"onset": onset, "apex": apex}
    planes = rng.normal(size=(n_clips, motion.n_planes, motion.size, motion.size)).astype(np.float32)
    if fixed.mean is not None and fixed.deviation is not None:
        planes = planes * fixed.deviation + fixed.mean
    return {"planes": planes}


def _convert(whole: WholeNetwork, inputs: Mapping[str, NDArray[Any]], config: TrainConfig) -> Any:
    """Return a network as an `onnx.ModelProto`; its inputs may be of any number of clips."""
    if (n_bytes := sum(value.nbytes for value in whole.state_dict().values())) > LARGEST // 2:
        raise ConfigError(
            f"{config.method.code}: the network has {n_bytes:,} bytes of weights. Expected at most {LARGEST // 2:,}. "
            "Export a smaller network."
        )
    any_number = torch.export.Dim(ANY_NUMBER)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                whole,
                tuple(map(torch.from_numpy, inputs.values())),
                input_names=list(inputs),
                output_names=[LOGITS, PROBABILITIES],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes={"seen": tuple({0: any_number} for _ in inputs)},
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever the network raises
        raise ConfigError(
            f"{config.method.code}: torch can't export the network ({_first_line(error)}). Change its forward: it must "
            "neither decide by the numbers in its inputs nor depend on the number of clips."
        ) from None
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what torch's exporter warns, logs and prints, such as whole programs; its errors say enough."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _first_line(error: BaseException) -> str:
    """Return the first line of what torch says of a network, without what its exporter says before and after it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _difference(
    whole: WholeNetwork, config: TrainConfig, file: Path, path: Path, inputs: Mapping[str, NDArray[Any]]
) -> float:
    """Return the largest difference between torch and onnxruntime; `path` is the name of `file` in errors.

    The difference of logits larger than 1 is divided by the largest: float32 has seven digits.
    """
    with blamed_on_own_code(config), torch.inference_mode():
        expected = whole(*map(torch.from_numpy, inputs.values()))
    if not all(bool(values.isfinite().all()) for values in expected):
        raise RunError(f"{path}: not written, because the network's logits are not finite. Train it again.")
    found = open_onnx(file).run(inputs)
    pairs = zip(expected, (found[LOGITS], found[PROBABILITIES]), strict=True)
    return max(float(np.abs(one.numpy() - other).max() / max(1, np.abs(other).max())) for one, other in pairs)

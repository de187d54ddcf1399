"""Write and read a model folder: `model.json`, `model.safetensors` and `card.md`. `docs/model-folder.md` describes it.

Nothing in it runs code. `model.json` has the SHA-256 of the weights and of what it says itself, so an edit is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from mer_cli import __version__
from mer_cli.errors import ConfigError, RunError
from mer_cli.inference.model import Facts
from mer_cli.runs.run_config import PROTOCOL_VERSION, RunConfig
from mer_cli.system.documents import parse_json, short_repr
from mer_cli.system.files import may_be_whole, read_bounded, unread, write_folder
from mer_cli.training.fit import DEVIATION, GRAPH, MEAN
from mer_cli.training.initial import Initial

MODEL, WEIGHTS, CARD = "model.json", "model.safetensors", "card.md"
FORMAT, FORMAT_VERSION = "mer-model", 1
CHECKSUM = "sha256"  # of all that model.json says except this
LARGEST_JSON, LARGEST_WEIGHTS = 1 << 24, 1 << 32  # bytes
OUT = "Give another --out, or move the folder away."
AGAIN = "Restore the folder, or fit the model again"


class ModelFile(BaseModel):
    """What a model folder's `model.json` says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: Literal["mer-model"] = "mer-model"
    """Always "mer-model"."""
    format_version: int = FORMAT_VERSION
    """Version of the folder's layout."""
    mer: str = __version__
    """Version of mer that wrote it."""
    facts: Facts
    """What is known about the model."""
    config: RunConfig | None
    """Settings of the leave-one-subject-out run that trains in the same way; None for released weights."""
    network: dict[str, Any]
    """Keyword arguments of the network's class."""
    weights_sha256: str
    """SHA-256 of model.safetensors."""


def write_model(
    folder: Path,
    weights: Mapping[str, Tensor],
    card: str,
    facts: Facts,
    config: RunConfig | None,
    network: Mapping[str, Any],
) -> Path:
    """Write a model folder, whole or not at all; return its path.

    Parameters
    ----------
    weights : the network's state dict and what its training clips fix of its input; or a machine's arrays
    card : text of card.md

    Raises
    ------
    RunError
        As `require_free`, or if the folder can't be written.
    """
    content = save({name: tensor.contiguous() for name, tensor in weights.items()}, {"format": FORMAT})
    said = ModelFile(facts=facts, config=config, network=dict(network), weights_sha256=_sha256(content))
    require_free(folder, config, said.weights_sha256)

    def fill(partial: Path) -> None:
        (partial / WEIGHTS).write_bytes(content)
        (partial / CARD).write_text(card, encoding="utf-8")
        (partial / MODEL).write_text(model_text(said), encoding="utf-8")

    write_folder(folder, fill, replace=True)
    return folder


def require_free(folder: Path, config: RunConfig | None, weights_sha256: str = "") -> None:
    """Raise a RunError if a folder holds anything but an earlier writing of the same model, or is a file.

    Parameters
    ----------
    config : settings of the model that is to be written there
    weights_sha256 : tells models without settings apart
    """
    try:
        held = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{folder}: a model can't be written there ({error.strerror}). {OUT}") from None
    others = held - {MODEL, WEIGHTS, CARD} or (held if MODEL not in held else set())
    if others:
        raise RunError(f"{folder}: holds other files, such as {min(others)}, which stay as they are. {OUT}")
    try:
        is_same = not held or _identity(read_model_file(folder)) == (config, "" if config else weights_sha256)
    except RunError:
        is_same = False
    if not is_same:
        raise RunError(f"{folder}: holds another model, which stays as it is. {OUT}")


def _identity(said: ModelFile) -> tuple[RunConfig | None, str]:
    return said.config, "" if said.config else said.weights_sha256


def read_model_folder(folder: Path) -> tuple[ModelFile, dict[str, Tensor]]:
    """Return what a model folder says and its weights, both as they were written.

    Raises
    ------
    RunError
        As `read_model_file`, or if the weights are absent, damaged or not those that were written.
    """
    said = read_model_file(folder)
    content = _read(folder / WEIGHTS, LARGEST_WEIGHTS)
    if _sha256(content) != said.weights_sha256:
        raise RunError(
            f"{folder / WEIGHTS}: was edited or damaged: its SHA-256 is {_sha256(content)[:12]}, and {MODEL} says "
            f"{said.weights_sha256[:12]}. {AGAIN}."
        )
    try:
        return said, load(content)
    except SafetensorError as error:
        raise RunError(f"{folder / WEIGHTS}: can't be read as weights ({error}). {AGAIN}.") from None


def read_initial(path: Path) -> Initial:
    """Return the weights of a model folder, for a training that starts from them.

    Parameters
    ----------
    path : the folder, or a file in it

    Raises
    ------
    RunError
        As `read_model_folder`.
    ConfigError
        If it isn't recorded on what they were trained.
    """
    folder = path.parent if path.name in (WEIGHTS, MODEL) else path
    if not (folder / MODEL).exists():
        raise RunError(f"--init {path}: not a model folder, it has no {MODEL}. Give a folder that mer fit wrote.")
    said, weights = read_model_folder(folder)
    if said.config is None:
        raise ConfigError(
            f"--init {path}: nobody here knows on whom these weights were trained, so a score could be of people that "
            "they have seen. Give a model that mer fit wrote."
        )
    own = {name: tensor for name, tensor in weights.items() if name not in (MEAN, DEVIATION, GRAPH)}
    return Initial(path, said.weights_sha256, said.config, own)


def read_model_file(folder: Path) -> ModelFile:
    """Return what a folder's `model.json` says.

    Raises
    ------
    RunError
        If the folder is not a model, another version wrote it, or the file is damaged or was edited.
    """
    file = folder / MODEL
    if not file.exists():
        raise RunError(
            f"{folder}: not a model, it has no {MODEL}. Give a folder that mer fit wrote, a run directory with "
            "weights, or an .onnx file."
        )
    try:
        held = parse_json(_read(file, LARGEST_JSON))
        if not isinstance(held, dict) or held.get("format") != FORMAT:
            raise ValueError(f'its format is not "{FORMAT}"')
    except ValueError as error:
        raise RunError(f"{file}: not a model that mer wrote ({error}). {AGAIN}.") from None
    if held.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{file}: has format version {short_repr(held.get('format_version'))}, and this program reads "
            f"{FORMAT_VERSION}. Update mer, or fit the model again."
        )
    if held.pop(CHECKSUM, None) != _checksum(held):
        raise RunError(f"{file}: was edited or damaged: its checksum is not that of what it says. {AGAIN}.")
    try:
        said = ModelFile.model_validate(held)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        value = "" if problem["type"] == "value_error" else f" is {short_repr(problem['input'])}"
        said_of_it = problem["msg"].removeprefix("Value error, ")
        raise RunError(f"{file}: {where}{value}: {said_of_it}. {AGAIN}.") from None
    _require_same_code(file, said)
    return said


def _require_same_code(file: Path, said: ModelFile) -> None:
    """Refuse a model whose weights this version of the program would give other logits with."""
    config = said.config
    if config is None:
        return
    for what, theirs, ours in (
        ("protocol version", config.protocol_version, PROTOCOL_VERSION),
        (f"revision of {config.model}", config.revision, config.method.revision),
    ):
        if theirs != ours:
            raise RunError(
                f"{file}: was trained with {what} {theirs}, and this program has {ours}, which gives other logits. "
                f"Fit the model again, or use mer {said.mer}."
            )


def model_text(said: ModelFile) -> str:
    """Return the text of `model.json`, with its checksum at the end."""
    held = json.loads(said.model_dump_json())
    return json.dumps(held | {CHECKSUM: _checksum(held)}, indent=2) + "\n"


def _checksum(held: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(held, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(file: Path, limit: int) -> bytes:
    try:
        return read_bounded(file, limit)
    except OSError as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        raise RunError(f"{file}: there is no such file, and a model needs it. {AGAIN}.") from None
    except ValueError as error:
        raise RunError(f"{file}: {error}. {AGAIN}.") from None

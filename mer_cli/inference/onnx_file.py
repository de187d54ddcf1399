"""An ONNX file that `mer export` wrote: the network, and a record of what it needs and rests on.

The record is JSON under the key `mer` of the file's metadata, where every program that runs ONNX finds it. It has a
SHA-256 of the network and one of itself, so an edit is noticed: a file whose weights or class names were changed would
otherwise answer as confidently as before.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mer_cli.errors import RunError, shortened
from mer_cli.inference.model import Facts
from mer_cli.motion.inputs import Backend, MotionInput, Step
from mer_cli.system.documents import parse_json, short_repr
from mer_cli.system.extras import import_extra
from mer_cli.system.files import read_bounded, unread

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

KEY = "mer"
FORMAT = 2  # raised whenever an earlier program would misread a file
FORMAT_WITHOUT_STEPS = 1  # of a file whose record has no steps, which earlier programs read
LARGEST = 1 << 30  # bytes of a file; that of the largest built-in network has 45 MB
LARGEST_TENSOR = 1 << 28  # numbers in a tensor that is computed for one clip
ANY_NUMBER = "n"  # name of the first dimension of every input and output: the number of clips
EXPORT_AGAIN = "Export the model again: mer export MODEL --onnx."


class Record(BaseModel):
    """What an ONNX file says of its network, beside the network itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int
    """Version of this record (`FORMAT`)."""
    mer: str
    """Version of mer that wrote the file."""
    purpose: str
    """What the network is for and what it is not for."""
    generated: str
    """That the network was trained on generated faces, if so; otherwise ""."""
    model: str
    """Name of the run or of the model folder that the network is from."""
    fold: str
    """Fold of the run, whose subject the network has not seen; "" for a network of a model folder."""
    inputs: dict[str, str]
    """Description of each input, by its name in the file."""
    outputs: dict[str, str]
    """Description of each output, by its name in the file."""
    motion: MotionInput | None
    """What the network sees of a clip if that is motion; None if it sees the images of onset and apex."""
    flow: Backend | None
    """How the flow is computed; None if the network needs no flow."""
    steps: tuple[Step, ...] = ()
    """Steps that make the input of different people comparable (`mer train --input`), in their order."""
    normalisation: str
    """Normalisation of the input, which the file contains: "standard", "minmax", "minmax8" or "imagenet"."""
    facts: Facts
    """What is known about the model."""
    graph_sha256: str = ""
    """SHA-256 of the network: its layers and its weights."""
    sha256: str = ""
    """SHA-256 of this record without this field, as JSON with sorted names and without blanks."""


def import_onnx(where: str, module: str) -> Any:
    """Import and return a library of the extra [export]; the error begins with `where`, a command or a file."""
    return import_extra(where, module, module, "export")


def seal(model: ModelProto, record: Record) -> bytes:
    """Return the content of an ONNX file: a network and its record, with checksums of both.

    What the exporter noted for its own developers is left out: it names folders of this machine.
    """
    _forget_the_exporter(model)
    sealed = record.model_copy(update={"graph_sha256": _graph_sha256(model)})
    left_out = set() if record.steps else {"steps"}
    said = sealed.model_dump(mode="json", exclude=left_out)
    sealed = sealed.model_copy(update={"sha256": _record_sha256(said)})
    model.doc_string = " ".join(text for text in (record.purpose, record.generated) if text)
    model.producer_name, model.producer_version = "mer", record.mer
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, sealed.model_dump_json(exclude=left_out)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def read_onnx(path: Path) -> tuple[bytes, Record]:
    """Return the content of an ONNX file that `mer export` wrote, and its record, after checking both.

    Raises
    ------
    ConfigError
        If the extra [export] is not installed.
    RunError
        If it is not such a file, or was written by a newer version, edited or damaged.
    """
    onnx = import_onnx(str(path), "onnx")
    try:
        content = read_bounded(path, LARGEST)
    except OSError as error:
        raise RunError(unread(path, error)) from None
    except ValueError as error:
        raise RunError(f"{path}: not an ONNX file of mer ({error}). {EXPORT_AGAIN}") from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf has several errors, and names its own classes
        raise RunError(f"{path}: not an ONNX file, or cut short. {EXPORT_AGAIN}") from None
    record = _read_record(path, model)
    try:
        _check_graph(model)
        if record.graph_sha256 != _graph_sha256(model):
            raise ValueError("the network has changed since it was written")
        _check_computed(onnx, model)
    except ValueError as error:
        raise _edited(path, str(error)) from None
    return content, record


def _read_record(path: Path, model: ModelProto) -> Record:
    held = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    if held is None:
        producer = f" of {shortened(model.producer_name)}" if model.producer_name else ""
        raise RunError(
            f"{path}: an ONNX file{producer} that does not say what it was trained on, its classes and its crop. "
            "Give a file that `mer export` wrote."
        )
    try:
        said = parse_json(held.encode())
        if not isinstance(said, dict):
            raise ValueError(f"its record is a JSON {type(said).__name__}")
    except ValueError as error:
        raise _edited(path, str(error)) from None
    version = said.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{path}: format version {version}, and this program reads {FORMAT}. Update mer: pip install -U mer-cli. "
            "Or export the model again with this version: mer export MODEL --onnx."
        )
    try:
        record = Record.model_validate(said)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise _edited(path, f"{place} is {short_repr(problem['input'])}: {problem['msg']}") from None
    if record.sha256 != _record_sha256(said):
        raise _edited(path, "its record has changed since it was written")
    return record


def _edited(path: Path, problem: str) -> RunError:
    return RunError(f"{path}: was edited or damaged ({problem}). {EXPORT_AGAIN}")


def _record_sha256(said: dict[str, Any]) -> str:
    held = {name: value for name, value in said.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(held, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _graph_sha256(model: ModelProto) -> str:
    digest = hashlib.sha256()
    for opset in model.opset_import:
        digest.update(f"{opset.domain}:{opset.version}\n".encode())
    digest.update(model.graph.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _forget_the_exporter(model: ModelProto) -> None:
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _check_graph(model: ModelProto) -> None:
    """Raise a ValueError if a tensor lies in another file, or has not as many numbers as it is said to have."""
    if model.functions or model.graph.sparse_initializer:
        raise ValueError("it has operators of its own or sparse tensors, which mer never writes")
    for tensor in _tensors_of(model.graph):
        if tensor.external_data or tensor.data_location:
            raise ValueError(f"the tensor {short_repr(tensor.name)} lies in another file")
        n_bytes = math.prod(tensor.dims) * _ITEM_BYTES.get(tensor.data_type, 1)
        if n_bytes > LARGEST or (tensor.raw_data and n_bytes != len(tensor.raw_data)):
            raise ValueError(
                f"the tensor {short_repr(tensor.name)} is said to have {math.prod(tensor.dims):,} numbers, and the "
                f"file holds {len(tensor.raw_data):,} bytes of it"
            )


_ITEM_BYTES = {1: 4, 6: 4, 7: 8, 11: 8}  # float, int32, int64, double: of their numbers in `TensorProto`


def _tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            inner: Iterable[GraphProto] = (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ()))
            for each in inner:
                yield from _tensors_of(each)


def _check_computed(onnx: Any, model: ModelProto) -> None:
    """Raise a ValueError if a tensor of the computation would be too large: a few bytes can ask for a terabyte."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise ValueError(f"its layers don't fit each other: {str(error).strip().splitlines()[0]}") from None
    for value in inferred.graph.value_info:
        sizes = [size.dim_value for size in value.type.tensor_type.shape.dim if size.HasField("dim_value")]
        if math.prod(sizes) > LARGEST_TENSOR:
            raise ValueError(f"the tensor {short_repr(value.name)} would have {math.prod(sizes):,} numbers")

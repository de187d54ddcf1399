"""Open a trained model: a model folder, a run directory, or an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from mer_cli.errors import ConfigError, RunError
from mer_cli.inference.model import Model
from mer_cli.inference.model_folder import MODEL, ModelFile, read_model_folder
from mer_cli.inference.run_model import open_run
from mer_cli.inference.seen import Fixed
from mer_cli.inference.trained_model import MachineModel, Member, NetworkModel
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.own_code import is_known
from mer_cli.runs.own_method import find_any_method
from mer_cli.runs.run_config import parse_config
from mer_cli.training.fit import DEVIATION, GRAPH, MEAN, OF_MACHINE
from mer_cli.training.support_vectors import SupportVectors, UnitVectors

CONFIG = "config.json"


def open_model(path: Path, stores: Sequence[Path] = (), code: str | None = None) -> Model:
    """Return a model that classifies new clips.

    Parameters
    ----------
    path : a folder that `mer fit` or `mer import-official` wrote; a run directory with weights, all of whose finished
        folds answer; or an .onnx file that `mer export` wrote
    stores : stores of a run that have moved; only for a run
    code : the code of a network of your own, FILE.py:CLASS

    Raises
    ------
    RunError
        If there is no such model, or it is damaged, of another version, or lacks weights or stores.
    ConfigError
        If the network is your own and its code is not given, or is another code; or the model needs no stores.
    """
    if stores and path.exists() and not is_run(path):
        raise ConfigError(f"--store has no effect with {path}, which needs no store. Leave it out.")
    if path.suffix == ".onnx":
        from mer_cli.inference.onnx_model import open_onnx

        return open_onnx(path)
    if not path.is_dir():
        what = "not a model" if path.exists() else "no such file or folder"
        raise RunError(
            f"{path}: {what}. Give a folder that mer fit wrote, a run directory with weights, or an .onnx file."
        )
    if is_run(path):
        _require_code(path, parse_config(path).foreign, code)
        return open_run(path, stores)
    said, weights = read_model_folder(path)
    if said.config:
        _require_code(path, said.config.foreign, code)
    return open_folder(path, said, weights)


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory, not a model folder or a file."""
    return not (path / MODEL).exists() and (path / CONFIG).exists()


def _require_code(path: Path, foreign: Foreign | None, code: str | None) -> None:
    """Import the code of a network of your own, which must be the code that was trained."""
    if foreign is None:
        if code:
            raise ConfigError(f"--code has no effect with {path}, whose method is built in. Leave it out.")
        return
    if foreign.door != "network" or (code is None and is_known(foreign)):
        return
    if code is None:
        raise ConfigError(
            f"{path}: its network is not part of mer: {foreign.code}, whose source has the SHA-256 "
            f"{foreign.source_sha256[:12]}. Name the file, which is then run: --code {foreign.code}."
        )
    found = find_any_method(code, dict(foreign.options), flag="--code").foreign
    if found is None or found.source_sha256 != foreign.source_sha256:
        other = found.source_sha256[:12] if found else "none, because it is built in"
        raise ConfigError(
            f"--code {code}: is not the code that {path} was trained with: the SHA-256 over its source is {other}, not "
            f"{foreign.source_sha256[:12]}. Give that code."
        )


def open_folder(path: Path, said: ModelFile, weights: Mapping[str, Tensor]) -> Model:
    """Return the model of a model folder that was read."""
    config: TrainConfig = said.config or resolve_config(model=said.facts.method, **said.network)
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    if config.method.kind == "classical":
        fields = {name.removeprefix(OF_MACHINE): held for name, held in arrays.items()}
        machine = UnitVectors(**fields) if config.predicts_units else SupportVectors(**fields)
        return MachineModel(path, said.facts, config, machine)
    fixed = Fixed(*(arrays.get(name) for name in (MEAN, DEVIATION, GRAPH)))
    own = {name: tensor for name, tensor in weights.items() if name not in (MEAN, DEVIATION, GRAPH)}
    return NetworkModel(path, said.facts, config, [Member("the network", lambda: own, fixed)])

"""Export the networks of a model folder or of a run's folds, checked on clips of a store (`mer export`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.inference.export import CHECKED_BATCHES, Exported, export_network, require_exporter
from mer_cli.inference.model import NewClip
from mer_cli.inference.open_model import is_run, open_model
from mer_cli.inference.run_files import find_stores as stores_of_run
from mer_cli.inference.trained_model import MachineModel, NetworkModel
from mer_cli.motion.cache import read_near
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.directory import read_run
from mer_cli.store.hdf5 import StoreInfo, find_stores, read_landmarks, read_store
from mer_cli.store.whole_clips import read_clip

SUFFIX = ".onnx"
FOLD = "fold "  # begins the name of a run's network


def export_model(
    path: Path,
    on_network: Callable[[int, int], None],
    *,
    out: Path | None = None,
    folds: Sequence[str] = (),
    stores: Sequence[Path] = (),
    code: str | None = None,
) -> Iterator[Exported]:
    """Export the network of a model folder, or those of a run's folds; yield each file when it is written.

    Parameters
    ----------
    path, stores, code : as for `open_model`; the files are checked on clips of the stores
    on_network : called with the number of finished networks and of all networks
    out : the file; for several folds a folder. By default FOLDER.onnx beside the folder, or RUN/onnx/FOLD.onnx
    folds : ids of folds of a run; all finished folds if empty

    Raises
    ------
    ConfigError
        If the model is not of networks, a fold or the code is not the model's, or torch can't export a network.
    RunError
        As `open_model`, or if a file's numbers differ from torch's, or it can't be written.
    StoreError
        If a store can't be read, or lacks what the network sees.
    """
    require_exporter()
    model = open_model(path, stores if is_run(path) else (), code)
    if not isinstance(model, NetworkModel):
        raise _not_of_networks(path, model.facts.method, is_machine=isinstance(model, MachineModel))
    targets = _targets(path, model, out, folds)
    clips = _stored_clips(model, stores)
    done = 0
    for member, network in model.networks():
        if target := targets.get(member.name):
            fold = member.name.removeprefix(FOLD) if member.name.startswith(FOLD) else ""
            yield export_network(
                network,
                model.config,
                member.fixed,
                model.facts,
                target,
                model=path.resolve().name,
                fold=fold,
                clips=clips,
            )
            done += 1
            on_network(done, len(targets))


def _not_of_networks(path: Path, method: str, *, is_machine: bool) -> ConfigError:
    if not is_machine:
        return ConfigError(f"{path}: is an ONNX file already. Give a folder that mer fit wrote, or a run directory.")
    return ConfigError(
        f"{path}: {method} is a descriptor with a support-vector machine, and only networks can be exported. Fit one, "
        "for example: mer fit --model ststnet."
    )


def _targets(path: Path, model: NetworkModel, out: Path | None, folds: Sequence[str]) -> dict[str, Path]:
    """Return the file of each network to export, by the network's name."""
    names = model.names
    if not names[0].startswith(FOLD):
        if folds:
            raise ConfigError(f"--fold has no effect with {path}, which has one network. Leave it out.")
        beside = path if path.name.strip(".") else path.resolve()  # "." has no name
        if out and out.is_dir():
            raise ConfigError(f"--out {out}: is a folder. Give a file, such as {out / beside.name}{SUFFIX}.")
        return {names[0]: out or beside.with_name(f"{beside.name}{SUFFIX}")}
    known = [name.removeprefix(FOLD) for name in names]
    if unknown := [fold for fold in folds if fold not in known]:
        raise ConfigError(f"--fold: {unknown_name('fold', unknown[0], known)}")
    wanted = list(dict.fromkeys(folds)) or known
    if out and out.suffix == SUFFIX:
        if len(wanted) > 1:
            raise ConfigError(
                f"--out {out}: {path} has {len(wanted)} networks to export, one for each fold. Give a folder, or name "
                "one fold: --fold ID."
            )
        return {f"{FOLD}{wanted[0]}": out}
    folder = out or path / "onnx"
    return {f"{FOLD}{fold}": folder / f"{fold}{SUFFIX}" for fold in wanted}


def _stored_clips(model: NetworkModel, given: Sequence[Path]) -> list[NewClip]:
    """Return a few clips, spread over a store, to check files on; none if no store of the model's datasets is found."""
    if is_run(model.path):
        stores = list(stores_of_run(read_run(model.path), given).values())
    elif given:
        stores = [read_store(path) for path in given]
    else:
        found = find_stores(Path("data")) if any(Path("data").glob("*.h5")) else []
        stores = [store for store in map(read_store, found) if store.dataset in model.facts.datasets]
    return _clips_of(stores[0], model.config) if stores else []


def _clips_of(store: StoreInfo, config: TrainConfig) -> list[NewClip]:
    ids = list(store.clips.index)
    places = np.linspace(0, len(ids) - 1, min(len(ids), max(CHECKED_BATCHES))).round().astype(int)
    chosen = [ids[place] for place in places]
    sees = config.method.sees
    is_placed = sees.needs_landmarks or bool(config.steps)
    landmarks = read_landmarks(store.path, chosen) if is_placed else np.zeros((len(chosen), 68, 2), "f4")
    frames = [read_clip(store.path, clip_id) if sees.needs_clips(config.span) else None for clip_id in chosen]
    clips = []
    for clip_id, of_clip, whole in zip(chosen, landmarks, frames, strict=True):
        (onset, apex), *others = read_near(store, clip_id)
        clips.append(NewClip(onset, apex, of_clip, whole, tuple(others)))
    return clips

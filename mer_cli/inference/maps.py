"""Compute the maps of a run's held-out clips, each from the network of the fold that held the clip out.

That network has seen neither the clip nor its subject. MMNet has attention maps; any other network's answer is
attributed to the pixels that it sees (`saliency`). What a fold computes of its training clips is computed again. Whole
folds go through MMNet in batches of one fixed size and in float32, and clips through other networks one by one, so a
clip's maps do not depend on which other clips are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mer_cli.errors import RunError
from mer_cli.inference.fold_inputs import FoldInputs, plan_of
from mer_cli.inference.run_files import find_stores, read_weights, weights_file
from mer_cli.inference.saliency import attribute, draw_map, exact, has_attention, resting
from mer_cli.inference.truth import ATTENTION, ATTRIBUTION, to_crop
from mer_cli.motion.inputs import MotionInput, PairInput
from mer_cli.records import Fold
from mer_cli.runs.directory import Run
from mer_cli.runs.fold_files import check_weights
from mer_cli.runs.run_config import has_all_checksums
from mer_cli.store.hdf5 import StoreInfo, read_store
from mer_cli.store.whole_clips import clips_hash
from mer_cli.training.loop import HELD_OUT_BATCH
from mer_cli.training.own_network import blamed_on_own_code

Array = NDArray[np.generic]

MAP, MOTION = "map ", "motion "  # in the names of a clip's arrays, before a block's number or a plane's name


@dataclass(frozen=True)
class Maps:
    """Maps of held-out clips of a run, and the clips' frames. Row i is the same clip in every array.

    clip_ids : sorted
    maps : attention maps, for each block, first to last, (N, S, S) float32 in 0..1, with S = 112, 56, 28 and 14; or a
        single attribution map of each clip, (N, 224, 224), whose maximum is 1
    onset, apex : (N, 224, 224, 3) uint8, RGB, the labelled frames
    kind : `truth.ATTENTION` or `truth.ATTRIBUTION`
    motion : the planes of motion that the network sees, by name, (N, 224, 224) float32 in their own unit
    seen : how far the network's input is from that of a resting face, (N, 224, 224) float32; None for two images
    """

    clip_ids: tuple[str, ...]
    maps: tuple[NDArray[np.float32], ...] = field(repr=False)
    onset: NDArray[np.uint8] = field(repr=False)
    apex: NDArray[np.uint8] = field(repr=False)
    kind: str = ATTENTION
    motion: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    seen: NDArray[np.float32] | None = field(default=None, repr=False)


NO_NETWORK = {
    "classical": "it is a descriptor with a support-vector machine",
    "estimator": "it is a scikit-learn estimator",
    "learner": "it is a learner, of which mer keeps the logits only",
    "predictions": "its predictions were made outside mer",
}


def require_network(run: Run) -> None:
    """Raise an error if a run is not of a network.

    Raises
    ------
    RunError
        If the run's method has no network whose weights mer keeps.
    """
    method = run.config.method
    if not method.is_network:
        raise RunError(
            f"{run.path}: {method.title} has no network that can be explained: {NO_NETWORK[method.kind]}. "
            "Name a run of a network; `mer models` lists them."
        )


def find_all_stores(run: Run, given: Sequence[Path]) -> dict[str, StoreInfo]:
    """Return the stores of a run's held-out clips, by dataset; for a network on motion those of all its clips.

    Parameters
    ----------
    given : as for `find_stores`

    Raises
    ------
    RunError, StoreError
        As `find_stores`.
    """
    trained = {store.dataset for store in run.config.stores if store.role == "train"}
    if trained and run.config.method.sees_motion:  # which is normalised by the training clips
        of_training = [path for path in given if read_store(path).dataset in trained]
        stores = find_stores(run, of_training, trained_on=True)
        stores |= find_stores(run, [path for path in given if path not in of_training])
    else:
        stores = find_stores(run, given)
    for store in run.config.stores:
        if store.clips_hash and clips_hash(stores[store.dataset].path) != store.clips_hash:
            raise RunError(
                f"{stores[store.dataset].path}: its whole clips are not those that {run.path} was trained on. "
                "Say where that store is: --store PATH."
            )
    return stores


def read_maps(
    run: Run,
    stores: Mapping[str, StoreInfo],
    clip_ids: Sequence[str],
    device: torch.device,
    on_fold: Callable[[int, int], None],
) -> Maps:
    """Compute the maps of held-out clips, each with the weights of its fold after the last epoch.

    An attribution explains the answer that the run recorded: the class with the highest logit after the last epoch,
    right or wrong. The true class plays no part.

    Parameters
    ----------
    stores : by dataset, from `find_all_stores`
    clip_ids : held-out clips of the run, in any order
    on_fold : called with the number of finished folds and of all folds

    Raises
    ------
    RunError
        If a fold is not finished or has no weights, they are damaged or not of this run, or the network can't be
        explained.
    ConfigError
        If the network is your own, and its code was not named or fails.
    StoreError
        If the crops can't be read.
    """
    wanted = sorted(clip_ids)
    fold_ids = sorted({run.fold_of[clip_id] for clip_id in wanted})
    files = {fold_id: weights_file(run, fold_id) for fold_id in fold_ids}
    with blamed_on_own_code(run.config):
        network = run.config.method.build(len(run.class_names), **run.config.network_options).to(device).eval()
    plan = plan_of(run, stores)
    inputs = FoldInputs(plan, device)
    found: dict[str, dict[str, Array]] = {}
    for n_done, fold_id in enumerate(fold_ids, start=1):
        check_weights(files[fold_id], run.config.run_name if has_all_checksums(run.path) else None)
        network.load_state_dict(read_weights(files[fold_id], run.config, fold_id))
        network.requires_grad_(requires_grad=False)
        (fold,) = (fold for fold in plan.folds if fold.id == fold_id)
        inputs.start_fold(fold)
        chosen = [clip_id for clip_id in wanted if clip_id in fold.test]
        if has_attention(network):
            found |= _attention(network, inputs, fold, chosen)
        else:
            with blamed_on_own_code(run.config):
                found |= {clip_id: _attribution(network, inputs, run, clip_id) for clip_id in chosen}
        on_fold(n_done, len(fold_ids))
    return _gathered(wanted, found, ATTENTION if has_attention(network) else ATTRIBUTION)


def _gathered(clip_ids: Sequence[str], found: Mapping[str, Mapping[str, Array]], kind: str) -> Maps:
    """Return the arrays of the clips, by name and clip, as arrays over all clips."""
    arrays: dict[str, Any] = {
        name: np.stack([found[clip_id][name] for clip_id in clip_ids]) for name in found[clip_ids[0]]
    }
    maps = tuple(array for name, array in arrays.items() if name.startswith(MAP))
    motion = {name.removeprefix(MOTION): array for name, array in arrays.items() if name.startswith(MOTION)}
    return Maps(tuple(clip_ids), maps, arrays["onset"], arrays["apex"], kind, motion, arrays.get("seen"))


@torch.no_grad()
def _attention(network: Any, inputs: FoldInputs, fold: Fold, chosen: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Return the frames and the maps of the blocks for some clips of a fold; all its clips go through the network."""
    maps: list[list[NDArray[np.float32]]] = []
    with exact(network):
        for start in range(0, len(fold.test), HELD_OUT_BATCH):
            _, of_batch = network.forward_with_maps(*inputs.of(fold.test[start : start + HELD_OUT_BATCH]))
            maps.append([block[:, 0].cpu().numpy() for block in of_batch])  # each (B, S, S)
    of_fold = [np.concatenate(block) for block in zip(*maps, strict=True)]
    found = {}
    for clip_id in chosen:
        onset, apex = inputs.frames(clip_id)
        of_clip = {f"{MAP}{number}": block[fold.test.index(clip_id)] for number, block in enumerate(of_fold, start=1)}
        if "shape" in inputs.plan.config.steps:
            of_clip = {
                name: inputs.on_crop(to_crop(block).astype(np.float32), clip_id) for name, block in of_clip.items()
            }
        found[clip_id] = {"onset": onset, "apex": apex, **of_clip}
    return found


def _attribution(network: nn.Module, inputs: FoldInputs, run: Run, clip_id: str) -> dict[str, Array]:
    """Return the frames, the map, and what the network sees of a clip."""
    onset, apex = inputs.frames(clip_id)
    sees, landmarks = run.config.method.sees, inputs.landmarks(clip_id)
    assert isinstance(sees, MotionInput | PairInput), run.config.model
    seen = inputs.of([clip_id])
    amounts = attribute(network, seen, sees, run.config.method.code, _answer(run, clip_id))
    drawn = inputs.on_crop(draw_map(amounts, sees, landmarks), clip_id)
    found: dict[str, Array] = {"onset": onset, "apex": apex, f"{MAP}1": drawn}
    if isinstance(sees, MotionInput):
        away = (seen[0] - resting(seen[0])).abs()[0].cpu().numpy()
        found["seen"] = inputs.on_crop(draw_map(away, sees, landmarks), clip_id)
    found.update({f"{MOTION}{name}": plane for name, plane in inputs.shown_motion(clip_id).items()})
    return found


def _answer(run: Run, clip_id: str) -> int:
    """Return the class that the clip's fold had predicted for it after its last epoch."""
    (fold,) = (fold for fold in run.folds if fold.fold == run.fold_of[clip_id])
    return int(fold.logits[-1, fold.clip_ids.index(clip_id)].argmax())

"""Measure optical flows against the true motion of drawn faces, by part of the face and by size of the motion.

A flow sees the motion of the head as well, several times as large as most expressions. Two measures take it away: the
affine motion that is fitted to the flow's own estimate over the face, as the methods of this project do it, and the
true motion of the head, which only the generator knows. What is left is compared with the face's own true motion.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mer_cli.bench.true_motion import OUTSIDE, PLACES, UNSEEN, TrueClip
from mer_cli.errors import ConfigError
from mer_cli.evaluation.statistics import interval_of_sums
from mer_cli.faces.face_motion import head_motion
from mer_cli.faces.pictures import Image
from mer_cli.motion.flow import SETTINGS, grey, optical_flow
from mer_cli.motion.inputs import Backend
from mer_cli.system.opencv import cv2

Field = NDArray[np.float32]
Estimate = Callable[[Image, Image], Field]  # onset and apex, (224, 224, 3) uint8 RGB -> (224, 224, 2), pixels (x, y)
OnClip = Callable[[TrueClip, Mapping[str, Field]], object]

NOTHING: Field = np.empty(0, np.float32)  # in place of a flow to begin with
EDGES = (0.25, 0.5, 1.0, 2.0)  # pixels of the crop, of the true motion
SIZES = ("under .25 px", ".25 to .5 px", ".5 to 1 px", "1 to 2 px", "over 2 px")
MOVING = "all that moves .25 px or more"
FACE = "the whole face"
GROUPS = (*PLACES, *SIZES, MOVING, FACE)
# Sums over the pixels of a group in one clip.
SUMS = ("pixels", "true", "true_squared", "error", "error_known", "along", "along_known")


# What is measured beside the flows of `--flow`. The settings were chosen on generated faces of seeds 10 and 11.
ATTACHMENT = 60  # of TV-L1; 15 makes the motion too smooth and too small
ABOUT = {
    "tvl1": "as --flow tvl1",
    "tvl1-60": f"TV-L1 with attachment {ATTACHMENT}",
    "fast": "as --flow fast (DIS)",
    "fine": "as --flow fine (DIS down to the full resolution)",
    "farneback": "Farnebäck's, as in OpenCV's example",
}


def usual_flows() -> dict[str, Estimate]:
    """Return the flows that need no weights, by the names of `ABOUT`."""
    return {
        "tvl1": partial(_of_training, "tvl1"),
        "tvl1-60": _sharper_tvl1,
        "fast": partial(_of_training, "fast"),
        "fine": partial(_of_training, "fine"),
        "farneback": _farneback,
    }


def _of_training(backend: Backend, onset: Image, apex: Image) -> Field:
    return optical_flow(grey(onset), grey(apex), backend).transpose(1, 2, 0)


def _sharper_tvl1(onset: Image, apex: Image) -> Field:
    from skimage.registration import optical_flow_tvl1  # a third of a second

    v, u = optical_flow_tvl1(grey(onset), grey(apex), **SETTINGS["tvl1"] | {"attachment": ATTACHMENT})
    return np.stack([u, v], axis=2)


def _farneback(onset: Image, apex: Image) -> Field:
    """Return Farnebäck's flow with the settings of OpenCV's own example, `samples/python/opt_flow.py`."""
    flow = cv2.calcOpticalFlowFarneback(
        grey(onset),
        grey(apex),
        NOTHING,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )
    return np.asarray(flow, np.float32)


def read_raft(weights: Path) -> tuple[str, Estimate]:
    """Read the weights of torchvision's RAFT, large or small; return its name and the flow.

    Parameters
    ----------
    weights : file of a `state_dict`, as torchvision publishes them

    Raises
    ------
    ConfigError
        If the file can't be read as plain weights, or is neither RAFT's.
    """
    from torchvision.models.optical_flow import raft_large, raft_small  # a second

    expected = "Expected the .pth file of torchvision's raft_small or raft_large."
    if not weights.is_file():
        raise ConfigError(f"--raft-weights {weights}: is not a file. {expected}")
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception:  # torch raises whatever its unpickler meets
        raise ConfigError(f"--raft-weights {weights}: can't be read as weights. {expected}") from None
    for name, build in {"raft-small": raft_small, "raft-large": raft_large}.items():
        network = build(weights=None, progress=False)
        if isinstance(state, Mapping) and _shapes(state) == _shapes(network.state_dict()):
            network.load_state_dict(state)
            return name, partial(_raft, network.eval())
    raise ConfigError(f"--raft-weights {weights}: weights of another network. {expected}")


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(getattr(numbers, "shape", ())) for name, numbers in state.items()}


def _raft(network: torch.nn.Module, onset: Image, apex: Image) -> Field:
    both = torch.from_numpy(np.stack([onset, apex])).permute(0, 3, 1, 2) / 127.5 - 1  # -1..1, as it was trained
    with torch.inference_mode():
        flow = network(both[:1], both[1:])[-1][0]  # the last refinement
    return np.asarray(flow.permute(1, 2, 0).numpy(), np.float32)


def bench_flow(clips: Iterable[TrueClip], flows: Mapping[str, Estimate], on_clip: OnClip) -> dict[str, Any]:
    """Measure flows on clips whose motion is known, one clip after another on one core.

    Parameters
    ----------
    flows : by name
    on_clip : called after each clip, with its flows by name

    Returns
    -------
    clips, subjects; share and mean true motion of each group of pixels (`GROUPS`); and by flow what `_scores` returns.
    All motion is in pixels of the crop

    Raises
    ------
    ConfigError
        If a flow returns a number that is not finite.
    """
    ids: list[str] = []
    sums: dict[str, list[NDArray[np.float64]]] = {name: [] for name in flows}
    seconds: dict[str, list[float]] = {name: [] for name in flows}
    head_errors: dict[str, list[float]] = {name: [] for name in flows}
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)  # as in a worker
    torch.set_num_threads(1)
    try:
        for clip in clips:
            ids.append(clip.clip_id)
            found: dict[str, Field] = {}
            for name, estimate in flows.items():
                started = time.perf_counter()
                found[name] = flow = estimate(clip.onset, clip.apex)
                seconds[name].append(time.perf_counter() - started)
                if not np.isfinite(flow).all():
                    raise ConfigError(f"{name}: the flow of {clip.clip_id} is not finite. Leave this flow out.")
                of_clip, head_error = _compare(clip, flow)
                sums[name].append(of_clip)
                head_errors[name].append(head_error)
            on_clip(clip, found)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    totals = np.sum(next(iter(sums.values())), axis=0)
    shown = totals[GROUPS.index(FACE), 0] + totals[GROUPS.index(OUTSIDE), 0]
    return {
        "clips": len(ids),
        "subjects": len({clip_id.rsplit("/", 1)[0] for clip_id in ids}),
        "groups": {
            group: {"share": float(row[0] / shown), "true_px": _ratio(row[1], row[0])}
            for group, row in zip(GROUPS, totals, strict=True)
        },
        "flows": {
            name: {"s_per_clip": statistics.median(seconds[name]), "head_error_px": statistics.mean(head_errors[name])}
            | _scores(np.stack(sums[name]), ids)
            for name in flows
        },
    }


def _compare(clip: TrueClip, flow: Field) -> tuple[NDArray[np.float64], float]:
    """Return the sums (`SUMS`) of each group of pixels of a clip, (groups, sums); and the error of the fitted head."""
    is_face = (clip.places != UNSEEN) & (clip.places != PLACES.index(OUTSIDE))
    fitted = head_motion(flow, is_face)
    length = np.linalg.norm(clip.own, axis=2)
    by_fit, known = flow - fitted, flow - clip.head
    maps = (
        np.ones_like(length),
        length,
        length**2,
        np.linalg.norm(by_fit - clip.own, axis=2),
        np.linalg.norm(known - clip.own, axis=2),
        (by_fit * clip.own).sum(axis=2),
        (known * clip.own).sum(axis=2),
    )
    size = np.digitize(length, EDGES)
    masks = [clip.places == index for index in range(len(PLACES))]
    masks += [is_face & (size == index) for index in range(len(SIZES))]
    masks += [is_face & (length >= EDGES[0]), is_face]
    rows = [[values[mask].sum(dtype=np.float64) for values in maps] for mask in masks]
    return np.array(rows), float(np.linalg.norm(fitted - clip.head, axis=2)[is_face].mean())


def _scores(sums: NDArray[np.float64], clip_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the scores of a flow for each group of pixels, from the sums of each clip, (clips, groups, sums).

    Returns
    -------
    by group: epe_px, the mean end-point error once the fitted motion of the head is taken away; epe_known_px, the same
    with the head's true motion; recovered and recovered_known, the share of the true motion that is found: the
    projection of the estimate on the truth, sum(estimate . true) / sum(true . true); epe_interval and
    recovered_interval, 95 % over subjects. A group without pixels, or without motion, has None
    """
    scores: dict[str, dict[str, Any]] = {}
    for index, group in enumerate(GROUPS):
        of_group = sums[:, index]
        total = dict(zip(SUMS, of_group.sum(axis=0), strict=True))
        moves = group != OUTSIDE and total["true_squared"] > 0
        scores[group] = {
            "epe_px": _ratio(total["error"], total["pixels"]),
            "epe_interval": _interval(of_group[:, [SUMS.index("error"), 0]], clip_ids),
            "epe_known_px": _ratio(total["error_known"], total["pixels"]),
            "recovered": _ratio(total["along"], total["true_squared"]) if moves else None,
            "recovered_interval": (
                _interval(of_group[:, [SUMS.index("along"), SUMS.index("true_squared")]], clip_ids) if moves else None
            ),
            "recovered_known": _ratio(total["along_known"], total["true_squared"]) if moves else None,
        }
    return {"groups": scores}


def _ratio(above: float, below: float) -> float | None:
    return float(above / below) if below else None


def _interval(pairs: NDArray[np.float64], clip_ids: Sequence[str]) -> tuple[float, float] | None:
    """Return the 95 % interval of a ratio of two sums over clips, (clips, 2), by drawing subjects."""
    if len({clip_id.rsplit("/", 1)[0] for clip_id in clip_ids}) < 2 or not pairs[:, 1].any():
        return None
    return interval_of_sums(pairs, clip_ids, _divide)


def _divide(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    there = sums[:, 1] > 0
    quotient = np.full(len(sums), np.nan)
    quotient[there] = sums[there, 0] / sums[there, 1]
    return quotient

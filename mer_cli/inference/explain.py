"""`mer explain`: draw the maps of a run; score the maps of generated faces against where the faces moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from mer_cli.errors import ConfigError, RunError
from mer_cli.inference.gallery import draw_class_means, draw_clips, one_of_each_class
from mer_cli.inference.maps import Maps, find_all_stores, read_maps, require_network
from mer_cli.inference.run_files import find_clips
from mer_cli.inference.truth import Measured, Regions, measure_runs, read_regions
from mer_cli.runs.config import require_classes
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.own_method import find_any_method
from mer_cli.training.hardware import resolve_hardware


@dataclass(frozen=True)
class Explained:
    """The image files that `explain_run` drew, and the scores of the maps (None if no truth was given).

    undrawn : classes without a drawn clip, because no clip of them is classified correctly and you named none
    """

    pictures: tuple[Path, ...]
    undrawn: tuple[str, ...]
    measured: Measured | None


def explain_run(
    path: Path,
    names: Sequence[str],
    out: Path,
    on_fold: Callable[[int, int], None],
    *,
    stores: Sequence[Path] = (),
    truth: Path | None = None,
    compare: Sequence[Path] = (),
    codes: Sequence[str] = (),
    device: Literal["auto", "cuda", "cpu"] = "auto",
) -> Explained:
    """Draw the maps of a run's clips, and score the maps if a truth is given.

    The maps are attention maps if the network has any, otherwise attributions of its answer (`saliency`).

    Parameters
    ----------
    path : folder of the run
    names : clips to draw, as for `find_clips`; without names, the class means and for each class the first clip
        that is classified correctly
    out : folder of the images
    on_fold : called with the number of finished folds and of all folds
    stores : as for `find_stores`
    truth : a generated release, or the ground_truth folder in it; the scores are over all clips, whichever are drawn
    compare : runs on the same clips and folds, to be scored as well
    codes : the code of each network that is your own, as "FILE.py:CLASS" or "MODULE:CLASS"; it is executed

    Raises
    ------
    RunError
        If a run is not of a network, has no weights or no such clip, the network can't be explained, the runs don't
        fit each other or the store, or the truth is of another release.
    ConfigError
        If a network is your own, and its code was not named in `codes`, is another than the run's, or fails.
    StoreError
        If a store can't be read.
    """
    runs = [read_run(one) for one in (path, *compare)]
    for code in codes:
        _name_code(runs, code)
    _check(runs, truth)
    run = runs[0]
    held = [find_all_stores(one, stores) for one in runs]
    named = find_clips(run, names)
    clip_ids = named if truth is None else find_clips(run, ())
    for other in runs[1:]:
        find_clips(other, ())
    regions = {} if truth is None else read_regions(truth, held[0], clip_ids)
    n_folds = len({run.fold_of[clip_id] for clip_id in clip_ids})
    maps = []
    for number, one in enumerate(runs):

        def on_fold_of_run(done: int, _: int, before: int = number * n_folds) -> None:
            on_fold(before + done, n_folds * len(runs))

        maps.append(read_maps(one, held[number], clip_ids, _device(one, device), on_fold_of_run))
    pictures, undrawn = _draw(run, maps[0], named if names else (), regions, out)
    return Explained(pictures, undrawn, measure_runs(runs, maps, regions) if truth is not None else None)


def _draw(
    run: Run, found: Maps, named: Sequence[str], regions: Mapping[str, Regions], out: Path
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Draw the named clips, or a clip of each class and the class means; return the files and the classes left out."""
    if named:
        return tuple(draw_clips(run, found, named, regions, out)), ()
    drawn = one_of_each_class(run)
    pictures = (*draw_clips(run, found, drawn, regions, out), draw_class_means(run, found, out))
    labels = {run.labels[clip_id] for clip_id in drawn}
    return pictures, tuple(name for label, name in enumerate(run.class_names) if label not in labels)


def _check(runs: Sequence[Run], truth: Path | None) -> None:
    """Refuse what can be refused before anything is computed."""
    first = runs[0]
    for run in runs:
        require_classes(run.config, f"{run.path}, mer explain")
        require_network(run)
        if (run.labels, run.fold_of, run.config.stores) != (first.labels, first.fold_of, first.config.stores):
            raise RunError(
                f"{run.path} ({run.config.protocol_id}) and {first.path} ({first.config.protocol_id}) differ in their "
                "stores, clips, labels or folds. Compare runs of one store and scheme."
            )
    if len({run.config for run in runs}) < len(runs):
        raise RunError(f"{first.path}: --compare names a run twice, or a copy of one. Leave the second one out.")
    if truth is None and len(runs) > 1:
        raise RunError(
            f"{first.path}: --compare needs --truth, because runs are compared by where the generated faces really "
            "moved. Add --truth RAW, the release that the store was built from."
        )
    if truth is not None and not first.config.generated:
        raise RunError(
            f"{first.path}: --truth is only for generated faces, and this run's are recorded: nobody knows where they "
            "really moved. Leave --truth out."
        )


def _name_code(runs: Sequence[Run], code: str) -> None:
    """Import the code of a network that is your own, which must be the code that one of the runs was trained with."""
    own = [run for run in runs if run.config.foreign is not None and run.config.foreign.door == "network"]
    if not own:
        raise ConfigError(f"--model {code}: has no effect, because {runs[0].config.model} is built in. Leave it out.")
    for run in own:
        foreign = run.config.foreign
        if foreign is not None and find_any_method(code, foreign.options).foreign == foreign:
            return
    raise ConfigError(
        f"--model {code}: this is not the code that {own[0].path} was trained with. A copy of that code is in "
        f"{own[0].path / 'source'}: read it, and name it."
    )


def _device(run: Run, wanted: Literal["auto", "cuda", "cpu"]) -> torch.device:
    return torch.device(resolve_hardware(run.config.model_copy(update={"device": wanted}), n_pairs=0).device)

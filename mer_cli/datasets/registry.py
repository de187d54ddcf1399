"""The datasets by name: how each is loaded, and how generated faces are written in its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mer_cli.datasets import casme2
from mer_cli.datasets.frame_files import Source
from mer_cli.datasets.suggest import unknown_name
from mer_cli.errors import DatasetError
from mer_cli.records import Release

DATASETS: dict[str, Callable[[Path, Source | None], Release]] = {casme2.NAME: casme2.load}


def load_release(dataset: str, root: Path, *, source: Source | None = None) -> Release:
    """Reads a release as unpacked.

    Parameters
    ----------
    dataset : its name, in any case
    root : its folder
    source : which pictures; None takes raw where both are there

    Raises
    ------
    DatasetError
        If the dataset is unknown or the release is not as expected.
    """
    return DATASETS[_known(dataset)](root, source)


def synthesise(
    dataset: str,
    out: Path,
    *,
    subjects: int,
    clips: int,
    seed: int,
    intensity: float,
    emotions: tuple[str, ...] | None,
    on_clip: Callable[[int, int], None],
) -> Path:
    """Writes generated faces in the dataset's own layout; gives the release's root."""
    known = _known(dataset)
    from mer_cli.datasets.synthetic.casme2_release import write_casme2

    return {casme2.NAME: write_casme2}[known](
        out, subjects=subjects, clips=clips, seed=seed, intensity=intensity, emotions=emotions, on_clip=on_clip
    )


def _known(dataset: str) -> str:
    if dataset.casefold() not in DATASETS:
        raise DatasetError(unknown_name("dataset", dataset, DATASETS))
    return dataset.casefold()

"""The datasets by name: how each is loaded, and how generated faces are written in its layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from mer_cli.datasets import casme, casme2, casme3, mmew, samm, smic
from mer_cli.datasets.frame_files import Source
from mer_cli.datasets.layout import Layout
from mer_cli.datasets.loading import load
from mer_cli.datasets.own_table import load_own
from mer_cli.datasets.stamp import with_stamp
from mer_cli.datasets.tree import look_through, shows_frames_of
from mer_cli.errors import DatasetError, unknown_name
from mer_cli.records import ApexRule, Release

OWN = "table"  # one's own data, told by a CSV
LAYOUTS: dict[str, Layout] = {module.LAYOUT.name: module.LAYOUT for module in (casme2, samm, mmew, smic, casme3, casme)}


def load_release(
    dataset: str,
    root: Path,
    *,
    source: Source | None = None,
    apex_rule: ApexRule = "flow",
    table: Path | None = None,
) -> Release:
    """Reads a release as unpacked.

    Parameters
    ----------
    dataset : its name or title, in any case, or "table" for one's own clips
    root : its folder
    source : which pictures; None takes raw where both are there
    apex_rule : how the apex of a clip is settled that has none annotated: "flow" or "midpoint"
    table : the CSV of one's own clips; for "table" alone

    Raises
    ------
    DatasetError
        If the dataset is unknown or the release is not as expected; a release of another dataset is named.
    """
    known = _known(dataset, (*LAYOUTS, OWN))
    if (known == OWN) != (table is not None):
        raise DatasetError(
            f"mer preprocess {known}: --table {table or 'is missing'}. Expected --table CLIPS.csv with the dataset "
            f"'{OWN}' and with no other. Type: mer preprocess {OWN} RAW --table CLIPS.csv"
        )
    if table is not None:
        return with_stamp(load_own(root, table, source, apex_rule, reserved=(*LAYOUTS, OWN)), root)
    layout = LAYOUTS[known]
    try:
        return with_stamp(load(layout, root, source, apex_rule), root)
    except DatasetError as error:
        other = _looks_like(root, layout)
        hint = f" It looks like {other.title}: mer preprocess {other.name} {root}" if other else ""
        raise DatasetError(f"{error}{hint}") from None


def release_words(dataset: str) -> str:
    """Give what `mer preprocess` is to be told to read a store's release again: "casme2 RAW"."""
    return f"{dataset} RAW" if dataset in LAYOUTS else f"{OWN} RAW --table {dataset}.csv"


def synthesise(
    dataset: str,
    out: Path,
    *,
    subjects: int | None,
    clips: int | None,
    seed: int,
    intensity: float,
    emotions: tuple[str, ...] | None,
    on_clip: Callable[[int, int], None],
) -> Path:
    """Writes generated faces in the dataset's own layout; gives the release's root."""
    from mer_cli.datasets.synthetic import releases

    return releases.write_release(
        _known(dataset, releases.LAYOUTS),
        out,
        subjects=subjects,
        clips=clips,
        seed=seed,
        intensity=intensity,
        emotions=emotions,
        on_clip=on_clip,
    )


def _looks_like(root: Path, layout: Layout) -> Layout | None:
    """Another dataset whose clips the folder holds, with their pictures named as there."""
    if not root.is_dir():
        return None
    root = root.absolute()
    if shows_frames_of(look_through(root, layout), layout):
        return None
    return next((other for other in LAYOUTS.values() if shows_frames_of(look_through(root, other), other)), None)


def _known(dataset: str, names: Collection[str]) -> str:
    """The name among `names`; a dataset's title will do ("CASME II"), signs and spaces make no difference."""
    spelt = {
        _letters(text): name for name in names for text in (name, LAYOUTS[name].title if name in LAYOUTS else name)
    }
    if _letters(dataset) not in spelt:
        raise DatasetError(unknown_name("dataset", dataset, names))
    return spelt[_letters(dataset)]


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.casefold())

"""The datasets by name, and what can be done with one: load a release, or write generated faces in its layout."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from mer_cli.datasets import casme, casme2, casme3, casme3c, dfme, fourdme, mmew, samm, smic
from mer_cli.datasets.dataset import Dataset
from mer_cli.datasets.loading import load
from mer_cli.datasets.own_table import load_own
from mer_cli.datasets.stamp import with_stamp
from mer_cli.datasets.synthetic.long_settings import LongSettings
from mer_cli.datasets.tree import look_through, shows_frames_of
from mer_cli.errors import DatasetError, unknown_name
from mer_cli.records import ApexRule, Release, Source

OWN = "table"  # your own data, described by a CSV
# Names of CAS(ME)^2, which must not be read as CASME II.
SQUARED = re.compile(
    r"cas[\s_-]*\(\s*me\s*\)[\s_-]*(\^|\*\*)?\s*[2²]|casme\s*((\^|\*\*)\s*2|²)|cas[\s_-]*me[\s_-]*squared",
    re.IGNORECASE,
)
DATASETS: dict[str, Dataset] = {
    module.DATASET.name: module.DATASET for module in (casme2, samm, mmew, smic, casme3, casme, dfme, casme3c, fourdme)
}


def load_release(
    dataset: str,
    root: Path,
    *,
    source: Source | None = None,
    apex_rule: ApexRule = "flow",
    table: Path | None = None,
    join_spellings: bool = False,
) -> Release:
    """Read a release in the folders in which it was unpacked.

    Parameters
    ----------
    dataset : its name or title, in any case, or "table" for your own clips
    root : the folder of the release
    source : which images, "raw" or "cropped"; None takes raw if the release has both
    apex_rule : how to find the apex of a clip without an annotated one: "flow" or "midpoint"
    table : the table of your own clips, which "table" needs; or the coding table of a release, if it is renamed or
        elsewhere
    join_spellings : take two spellings of one subject or label ("001", "1") as one; otherwise they are an error

    Raises
    ------
    DatasetError
        If the dataset is unknown or the release is not as expected; another dataset that the folder may hold is named.
    """
    known = known_dataset(dataset, (*DATASETS, OWN))
    if known == OWN:
        if table is None:
            raise DatasetError(
                f"mer preprocess {OWN}: --table is missing. Type: mer preprocess {OWN} RAW --table CLIPS.csv"
            )
        return with_stamp(
            load_own(root, table, source, apex_rule, (*DATASETS, OWN), join_spellings=join_spellings), root
        )
    try:
        read = load(DATASETS[known], root, source, apex_rule, table, join_spellings=join_spellings)
        release = with_stamp(read, root)
        # The table of generated faces has the counts of a released one, but no cell of it.
        return replace(release, table_differences=()) if release.generated else release
    except DatasetError as error:
        other = _looks_like(root, DATASETS[known])
        hint = f" It looks like {other.title}: mer preprocess {other.name} {root}" if other else ""
        raise DatasetError(f"{error}{hint}") from None


def release_words(dataset: str) -> str:
    """Return the arguments with which `mer preprocess` reads a dataset again: "casme2 RAW", where RAW is the folder."""
    return f"{dataset} RAW" if dataset in DATASETS else f"{OWN} RAW --table {dataset}.csv"


def synthesise(
    dataset: str,
    out: Path,
    *,
    subjects: int | None,
    clips: int | None,
    seed: int,
    intensity: float,
    emotions: tuple[str, ...] | None,
    release: int,
    light: float,
    noise: float,
    on_clip: Callable[[int, int], None],
) -> Path:
    """Write a release of generated faces in the layout of a dataset, as `write_release`; return its root folder."""
    from mer_cli.datasets.synthetic import writer  # not above: it loads Dlib and OpenCV

    return writer.write_release(
        known_dataset(dataset, writer.LAYOUTS),
        out,
        subjects=subjects,
        clips=clips,
        seed=seed,
        intensity=intensity,
        emotions=emotions,
        release=release,
        light=light,
        noise=noise,
        on_clip=on_clip,
    )


def synthesise_long(out: Path, settings: LongSettings, on_video: Callable[[int, int], None]) -> Path:
    """Write long videos of generated faces, as `write_long_videos`; return `out`."""
    from mer_cli.datasets.synthetic.long_release import write_long_videos  # not above: it loads Dlib and OpenCV

    return write_long_videos(out, settings, on_video=on_video)


def _looks_like(root: Path, dataset: Dataset) -> Dataset | None:
    """Return another dataset that the clips in a folder seem to be from, by the names of their images; None if none."""
    if not root.is_dir():
        return None
    root = root.absolute()
    if shows_frames_of(look_through(root, dataset), dataset):
        return None
    return next((other for other in DATASETS.values() if shows_frames_of(look_through(root, other), other)), None)


def known_dataset(dataset: str, names: Collection[str]) -> str:
    """Return the name among `names` that `dataset` means: "casme2" for "CASME II"; only letters and digits count.

    Raises
    ------
    DatasetError
        If none is meant.
    """
    if SQUARED.fullmatch(dataset.strip()):
        raise DatasetError(
            f"{dataset.strip()}: is not CASME II (casme2) but another dataset, whose long videos mer does not read as "
            f"they are released. Write a CSV of its clips and give that: mer preprocess {OWN} RAW --table CLIPS.csv. "
            'See "Your own data" in docs/datasets.md.'
        )
    spelt = {
        _letters(text): name for name in names for text in (name, DATASETS[name].title if name in DATASETS else name)
    }
    if _letters(dataset) not in spelt:
        raise DatasetError(unknown_name("dataset", dataset, names))
    return spelt[_letters(dataset)]


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", unicodedata.normalize("NFKC", text).casefold())

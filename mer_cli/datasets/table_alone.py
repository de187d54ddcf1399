"""Read what a coding table says of its clips by itself, without their images: emotions and action units.

Whose table it is can be told from its file's name as the dataset's owners send it; otherwise the user says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mer_cli.datasets.assemble import annotate
from mer_cli.datasets.coding_table import Coding, read_coding_table
from mer_cli.datasets.dataset import Dataset, Entry
from mer_cli.datasets.known_cells import differing_cells, table_notes
from mer_cli.datasets.own_table import read_own_table
from mer_cli.datasets.registry import DATASETS, OWN, known_dataset
from mer_cli.datasets.spelling import one_spelling
from mer_cli.datasets.stamp import with_stamp
from mer_cli.datasets.tree import TABLE_EXTENSIONS
from mer_cli.errors import DatasetError
from mer_cli.records import FailedClip, Release


@dataclass(frozen=True)
class TableAlone:
    """What a coding table says of its clips.

    version : the published version that the table counts as; "" if it counts as none
    entries : the row of each clip, by clip id · failed : the rows that contradict themselves or another row
    generated : whether the table was written by `mer synth`
    notes : a sentence for each thing to know about how the table was read
    """

    dataset: str
    path: Path
    sha256: str
    version: str
    entries: Mapping[str, Entry]
    failed: tuple[FailedClip, ...]
    generated: bool
    notes: tuple[str, ...]


def is_table(path: Path) -> bool:
    """Return whether a path has the extension of a table: .xlsx, .xls, .csv and so on."""
    return path.suffix.casefold() in TABLE_EXTENSIONS


def read_table_alone(path: Path, dataset: str | None = None, *, join_spellings: bool = False) -> TableAlone:
    """Read a coding table by itself.

    Parameters
    ----------
    path : the table as the dataset's owners send it, or a CSV of your own clips
    dataset : whose table it is, name or title, or "table" for your own; None tells it from the file's name
    join_spellings : take two spellings of one subject or label as one; otherwise they are an error

    Raises
    ------
    DatasetError
        If the dataset is unknown or can't be told, the table counts as another dataset's, or it can't be read.
    """
    name = known_dataset(dataset, (*DATASETS, OWN)) if dataset else _by_name(path)
    if name == OWN:
        own, table, entries, told = read_own_table(path, (*DATASETS, OWN), join_spellings=join_spellings)
        found, failed = annotate(own, entries, ())
        encoding = (f"{path.name}: {table.encoding}",) if table.encoding else ()
        return TableAlone(own, path, table.sha256, "", found, failed, _is_generated(path, own), (*encoding, *told))
    described = DATASETS[name]
    coding = read_coding_table(described, path)
    _check_counts(path, coding, described)
    entries, told = one_spelling(str(path), coding.entries, ("subject",), join=join_spellings)
    found, failed = annotate(name, entries, described.emotions, described.errata)
    version, generated = coding.version(described), _is_generated(path, name)
    # The table of generated faces has the counts of a released one, but no cell of it.
    differing = () if generated else differing_cells(described, version, entries)
    notes = (*table_notes(coding.notes, version, differing), *told)
    return TableAlone(name, path, coding.sha256, version, found, failed, generated, notes)


def _by_name(path: Path) -> str:
    """Return the name of the dataset whose owners call their table so."""
    fitting = [name for name, dataset in DATASETS.items() if _is_named_like(path, dataset)]
    if len(fitting) == 1:
        return fitting[0]
    could = (
        f"it could be that of {' or '.join(fitting)}"
        if fitting
        else "its name is not one that the datasets' owners use"
    )
    raise DatasetError(
        f"{path}: can't tell whose coding table this is; {could}. Say it: --dataset {(fitting or ['casme2'])[0]}, or "
        f"--dataset {OWN} for a CSV of your own clips."
    )


def _check_counts(path: Path, coding: Coding, described: Dataset) -> None:
    """Raise a DatasetError if a table has the counts of another dataset's table, and not of that it is read as."""
    if coding.version(described):
        return
    rows = _rows(coding)
    for other in DATASETS.values():
        if other is described or not other.versions:
            continue
        with suppress(DatasetError):  # its columns differ
            as_other = read_coding_table(other, path)
            version = as_other.version(other) if _rows(as_other) == rows else ""  # else it is another sheet
            if version:
                break
    else:
        return
    raise DatasetError(
        f"{path}: has as many clips of each emotion as the table of {other.name}, version {version}, so it is not that "
        f"of {described.name}. Give --dataset {other.name}."
    )


def _rows(coding: Coding) -> set[tuple[str, str]]:
    return {(entry.where, entry.name) for entry in coding.entries}


def _is_named_like(path: Path, dataset: Dataset) -> bool:
    patterns = (*dataset.tables, *(pattern for of_part in dataset.parts.values() for pattern in of_part))
    stems = (Path(pattern).stem if Path(pattern).suffix in TABLE_EXTENSIONS else pattern for pattern in patterns)
    return any(fnmatch(path.stem.casefold(), stem.casefold()) for stem in stems)


def _is_generated(path: Path, dataset: str) -> bool:
    release = Release(dataset, "raw", table_path=path, table_sha256="", table_version="", clips=())
    return with_stamp(release, path.parent).generated

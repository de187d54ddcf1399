"""Find the coding table of a release, or that of each of its parts, and read the rows as entries.

A table is found by its name, else by its columns and the clips that it lists; or the user names it. Offset and action
units may be missing: a method that needs onset and apex alone has all it needs, and a note says what is missing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mer_cli.datasets.dataset import Dataset, Entry
from mer_cli.datasets.named_frames import number_named_frames
from mer_cli.datasets.tables import Table, folded, read_table, whole_number
from mer_cli.datasets.tree import ClipFolders, Tree
from mer_cli.errors import DatasetError
from mer_cli.records import FrameRef

SHARE_FOUND = 0.5  # of a renamed table's rows, at least, that have a folder
SHARE_EARLY = 0.1  # of the clips, at most, that may end before their apex; more are not single mistakes
AT_APEX = "the table has no offset and the folder begins before the onset: the clip ends with its apex"


@dataclass(frozen=True)
class Coding:
    """The rows of a coding table as entries.

    path, sha256 : of the table; for a release without one its folder, and ""
    more_tables : the tables of the other parts, if each part of the release has one; `sha256` is then of all
    notes : a sentence for each thing that the user should know about how the table was read
    """

    path: Path
    sha256: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    more_tables: tuple[Path, ...] = ()

    def version(self, dataset: Dataset) -> str:
        """Return the version of the table that has as many rows of each emotion; "" if no version has."""
        if not self.sha256:
            return dataset.tableless_version
        counts = Counter(entry.emotion for entry in self.entries)
        return next((version for version, published in dataset.versions.items() if counts == published), "")


def read_coding(dataset: Dataset, root: Path, tree: Tree, held: ClipFolders, table_path: Path | None) -> Coding:
    """Read the coding table of a release, or the names of its folders if it comes without one.

    Parameters
    ----------
    held : the clips' folders
    table_path : the table that the user named; None looks for it

    Raises
    ------
    DatasetError
        If there is no table, several renamed ones could be it, or it can't be read.
    """
    if table_path is None and dataset.read_folder and not held.pictures.has_table:
        return Coding(held.root, "", tuple(dataset.read_folder(folder) for folder in held.folders.values()))
    return _coding(dataset, _paths(dataset, root, tree, held, table_path))


def read_coding_table(dataset: Dataset, path: Path) -> Coding:
    """Read a coding table of a dataset without its release; raise a DatasetError if it can't be read."""
    return _coding(dataset, {"": path})


def _coding(dataset: Dataset, paths: Mapping[str, Path]) -> Coding:
    """Return the rows of the tables, whose paths are given by part of the release."""
    tables = {part: _read(dataset, path) for part, path in paths.items()}
    entries: list[Entry] = []
    notes = []
    for part, table in tables.items():
        where = f"{table.path.name} " if len(tables) > 1 else ""
        entries += [_in_part(dataset.read_row(row), part, where) for row in table.rows]
        notes += [f"{table.path.name}: {table.encoding}"] if table.encoding else []
        if dataset.columns.action_units and dataset.columns.action_units not in table.columns:
            notes.append(
                f"{table.path.name} has no column '{dataset.columns.action_units}': the store will have no action units"
            )
    (path, *more), sums = [table.path for table in tables.values()], [table.sha256 for table in tables.values()]
    sha256 = sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()
    return Coding(path, sha256, tuple(entries), tuple(notes), tuple(more))


def _paths(dataset: Dataset, root: Path, tree: Tree, held: ClipFolders, table_path: Path | None) -> dict[str, Path]:
    """Return the path of the table of each part, by the part's name; "" for a release without parts."""
    if table_path is None:
        found = {part: path for part, names in dataset.parts.items() if (path := tree.table(names)) is not None}
        if found:
            return found
    return {"": table_path or _find(dataset, root, tree, held)}


def _in_part(entry: Entry, part: str, table: str) -> Entry:
    """Return an entry that names its table in errors, and is looked for in the folders of its part before others."""
    in_part = (f"{part}/{key}" for key in entry.keys if part)
    return replace(entry, where=f"{table}{entry.where}", keys=(*in_part, *entry.keys))


def _read(dataset: Dataset, path: Path) -> Table:
    columns = dataset.columns
    optional = (columns.offset, columns.action_units, *dataset.optional_columns)
    may_lack = tuple(dict.fromkeys(column for column in optional if column))
    needed = [column for column in columns if column and column not in may_lack]
    table = read_table(path, needed, may_lack, dataset.sheet)
    others = {folded(title) for title in table.titles} - {folded(column) for column in (*columns, *may_lack)}
    misspelt = [
        column
        for column, likeness in ((columns.offset, _is_like_offset), (columns.action_units, _is_like_units))
        if column and column not in table.columns and column not in dataset.optional_columns
        if any(map(likeness, others))
    ]
    return read_table(path, [*needed, *misspelt], may_lack, dataset.sheet) if misspelt else table


def _is_like_offset(title: str) -> bool:
    return "offset" in title


def _is_like_units(title: str) -> bool:
    return title in {"au", "aus"} or "unit" in title


def _find(dataset: Dataset, root: Path, tree: Tree, held: ClipFolders) -> Path:
    """Return the table that is named like the dataset's, or the only one below `root` that fits by its content."""
    path = tree.table(dataset.tables)
    if path is not None:
        return path
    fitting = [path for path in tree.tables if path.is_relative_to(root) and _fits(dataset, path, held)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DatasetError(
            f"{root}: no table is named like {dataset.tables[0]}, and {len(fitting)} fit by their columns and clips: "
            f"{', '.join(str(path.relative_to(root)) for path in fitting)}. Choose one with --table."
        )
    found = ", ".join(sorted(table.name for table in tree.tables)) or "none"
    raise DatasetError(
        f"{root}: no coding table; the tables here are {found}. Expected {dataset.tables[0]}, which the dataset's "
        f"owners send with the release{dataset.table_hint}. Copy it into {root}, or give its path with --table."
    )


def _fits(dataset: Dataset, path: Path, held: ClipFolders) -> bool:
    try:
        entries = [dataset.read_row(row) for row in _read(dataset, path).rows]
    except DatasetError:
        return False
    n_found = sum(any(key in held.folders for key in entry.keys) for entry in entries)
    return n_found >= SHARE_FOUND * len(entries)


def with_offsets(coding: Coding, dataset: Dataset, frames_of: Callable[[Entry], tuple[FrameRef, ...]]) -> Coding:
    """Return a coding that says where each clip ends, although the table has no column of offsets.

    A folder that begins with the onset was cut and ends with the offset; so does one whose images are named by what
    they show. One that begins earlier has frames after the clip too, and nobody knows where it ends: the clip is used
    up to its apex, and a repair says so.

    Raises
    ------
    DatasetError
        If some folders begin before the onset and many end before the apex: they are numbered otherwise.
    """
    if not coding.sha256 or not dataset.columns.offset or any("offset" in entry.cells for entry in coding.entries):
        return coding
    entries, n_whole, ends_early = [], 0, []
    for entry in coding.entries:
        onset, apex = (whole_number(entry.cells.get(field, "")) for field in ("onset", "apex"))
        try:
            frames, _, _ = number_named_frames(frames_of(entry), dict(entry.cells))
        except DatasetError:  # `assemble` raises it again for this row
            frames = ()
        if frames and onset is not None and frames[0].number < onset:
            n_whole += 1
            is_known = apex is not None and apex >= onset
            entry = replace(
                entry,
                cells={**entry.cells, "offset": str(apex) if is_known else ""},
                repairs=(*entry.repairs, *([AT_APEX] if is_known else [])),
            )
        if frames and apex is not None and frames[-1].number < apex:
            ends_early.append(entry)
        entries.append(entry)
    column = dataset.columns.offset
    if n_whole and len(ends_early) > SHARE_EARLY * len(entries):
        raise DatasetError(
            f"{coding.path}: has no column '{column}'. The folders of {_clips(n_whole)} begin before the onset, and "
            f"those of {_clips(len(ends_early))} end before the apex ({ends_early[0].subject}/{ends_early[0].name}): "
            "their frames are numbered otherwise than in the table, which offsets would tell. Add the column."
        )
    until = "the last frame of its folder" + (f", {n_whole} of them with the apex" if n_whole else "")
    note = f"{coding.path.name} has no column '{column}': a clip ends with {until}"
    return replace(coding, entries=tuple(entries), notes=(*coding.notes, note))


def _clips(count: int) -> str:
    return f"{count} clip" if count == 1 else f"{count} clips"

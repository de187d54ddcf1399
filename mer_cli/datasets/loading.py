"""Reads a release as its owners sent it: a folder and a layout come in, a `Release` goes out. No picture is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mer_cli.datasets.assemble import assemble
from mer_cli.datasets.frame_files import Source, check_folder_name, check_inside, folder_entries, list_frames
from mer_cli.datasets.layout import Entry, Layout
from mer_cli.datasets.tables import read_table
from mer_cli.datasets.tree import ClipFolders, Tree, look_through
from mer_cli.errors import DatasetError
from mer_cli.records import ApexRule, FrameRef, Release


def load(layout: Layout, root: Path, source: Source | None, apex_rule: ApexRule) -> Release:
    """Reads the coding table and lists the frames of every clip.

    Parameters
    ----------
    root : the folder that holds the release, one above it, or its picture folder itself
    source : which pictures; None takes the ones that the layout prefers
    apex_rule : how the apex of a clip is settled that has none annotated

    Returns
    -------
    Release whose clips are sorted by id; each row of the table is a clip or a failed one

    Raises
    ------
    DatasetError
        If the folder holds no pictures of the release, or no coding table that can be read.
    """
    root = root.absolute()
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Expected the unpacked {layout.title} release. Check the path.")
    folder_entries(root)  # says so where it may not be listed
    tree = look_through(root, layout)
    held = _choose(layout, root, tree, source)
    table_path, sha256, entries = _read_entries(layout, root, tree, held)
    boundary = held.root.resolve()

    @cache
    def frames_in(folder: Path) -> tuple[FrameRef, ...]:
        check_inside(folder, boundary)
        return list_frames(folder)

    def frames_of(entry: Entry) -> tuple[FrameRef, ...]:
        check_folder_name(entry.name, layout.example)
        for key in entry.keys:
            if key in held.folders:
                return frames_in(held.folders[key])
        raise DatasetError(
            f"no folder '{entry.name}' of subject {entry.subject} in {held.root}. Expected one like {layout.example}. "
            "Unpack the release again."
        )

    assembled = assemble(layout.name, layout.fps, entries, layout.emotions, frames_of, apex_rule)
    return Release(
        dataset=layout.name,
        source=held.pictures.source,
        table_path=table_path,
        table_sha256=sha256,
        table_version=_version(layout, entries) if sha256 else layout.tableless_version,
        clips=assembled.clips,
        failed=assembled.failed,
        errata=assembled.errata,
    )


def _choose(layout: Layout, root: Path, tree: Tree, source: Source | None) -> ClipFolders:
    for held in tree.sets:
        if source in (None, held.pictures.source):
            return held
    wanted = [pictures.folder for pictures in layout.pictures if source in (None, pictures.source)]
    if not wanted:
        raise DatasetError(
            f"--source {source}: {layout.title} comes as {layout.source} pictures only. Expected no --source. "
            "Leave it out."
        )
    raise DatasetError(
        f"{root}: no {source or layout.title} pictures; it holds {', '.join(tree.children) or 'nothing'}. Expected "
        f"clips like {layout.example} in a folder {' or '.join(wanted)}. Give the folder of the unpacked release."
    )


def _read_entries(layout: Layout, root: Path, tree: Tree, held: ClipFolders) -> tuple[Path, str, Sequence[Entry]]:
    """Path and SHA-256 of the table, and its rows; of a release without a table its folder, "", and its clips."""
    if layout.read_folder and not held.pictures.has_table:
        return held.root, "", [layout.read_folder(folder) for folder in held.folders.values()]
    path = tree.table(layout.tables)
    if path is None:
        found = ", ".join(sorted(table.name for table in tree.tables)) or "none"
        raise DatasetError(
            f"{root}: no coding table; the tables here are {found}. Expected {layout.tables[0]}, which the dataset's "
            f"owners send with the release{layout.table_hint}. Copy it into {root}."
        )
    table = read_table(path, layout.columns, layout.optional_columns, layout.sheet)
    return path, table.sha256, [layout.read_row(row) for row in table.rows]


def _version(layout: Layout, entries: Sequence[Entry]) -> str:
    """The published version that has just these rows of each emotion, whatever the file is called."""
    counts = Counter(entry.emotion for entry in entries)
    return next((version for version, published in layout.versions.items() if counts == published), "")

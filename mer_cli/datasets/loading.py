"""Read a release as its owners sent it, as the `Dataset` describes it. No image is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mer_cli.datasets.assemble import assemble
from mer_cli.datasets.dataset import Dataset, Entry
from mer_cli.datasets.frame_files import check_folder_name, check_inside, folder_entries, list_frames
from mer_cli.datasets.spelling import one_spelling
from mer_cli.datasets.tables import read_table
from mer_cli.datasets.tree import ClipFolders, Tree, look_through
from mer_cli.errors import DatasetError
from mer_cli.records import ApexRule, FrameRef, Release, Source


def load(
    dataset: Dataset, root: Path, source: Source | None, apex_rule: ApexRule, *, join_spellings: bool = False
) -> Release:
    """Read the release of a dataset: its coding table, and the list of frames of every clip.

    Parameters
    ----------
    root : the folder of the release, a folder above it, or the image folder in it
    source : which images, "raw" or "cropped"; None takes the kind that the dataset prefers
    apex_rule : how to find the apex of a clip without an annotated one
    join_spellings : take two spellings of one subject as one; otherwise they are an error

    Returns
    -------
    the release, its clips sorted by id; each row of the table is a clip or a failed clip

    Raises
    ------
    DatasetError
        If the folder holds no images of the release, or no coding table that can be read.
    """
    root = root.absolute()
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder. Give the folder of the unpacked {dataset.title} release.")
    folder_entries(root)  # raises if it can't be listed
    tree = look_through(root, dataset)
    held = _choose(dataset, root, tree, source)
    table_path, sha256, entries = _read_entries(dataset, root, tree, held)
    entries, joined = one_spelling(str(table_path), entries, ("subject",), join=join_spellings)
    boundary = held.root.resolve()

    @cache
    def frames_in(folder: Path) -> tuple[FrameRef, ...]:
        check_inside(folder, boundary)
        return list_frames(folder)

    def frames_of(entry: Entry) -> tuple[FrameRef, ...]:
        check_folder_name(entry.name, dataset.example)
        for key in entry.keys:
            if key in held.folders:
                return frames_in(held.folders[key])
        raise DatasetError(
            f"no folder '{entry.name}' of subject {entry.subject} in {held.root}. Expected one like {dataset.example}. "
            "Unpack the release again."
        )

    assembled = assemble(dataset.name, dataset.fps, entries, dataset.emotions, frames_of, apex_rule, dataset.errata)
    return Release(
        dataset=dataset.name,
        source=held.pictures.source,
        table_path=table_path,
        table_sha256=sha256,
        table_version=_version(dataset, entries) if sha256 else dataset.tableless_version,
        clips=assembled.clips,
        failed=assembled.failed,
        errata=(*assembled.errata, *joined),
    )


def _choose(dataset: Dataset, root: Path, tree: Tree, source: Source | None) -> ClipFolders:
    for held in tree.sets:
        if source in (None, held.pictures.source):
            return held
    wanted = [pictures.folder for pictures in dataset.pictures if source in (None, pictures.source)]
    if not wanted:
        raise DatasetError(
            f"--source {source}: {dataset.title} comes with {dataset.source} images only. Leave --source out."
        )
    raise DatasetError(
        f"{root}: no {source or dataset.title} images; it holds {', '.join(tree.children) or 'nothing'}. Expected "
        f"clips like {dataset.example} in a folder {' or '.join(wanted)}. Give the folder of the unpacked release."
    )


def _read_entries(dataset: Dataset, root: Path, tree: Tree, held: ClipFolders) -> tuple[Path, str, Sequence[Entry]]:
    """Return the table's path, its SHA-256 and its rows; for a release without a table its folder, "" and its clips."""
    if dataset.read_folder and not held.pictures.has_table:
        return held.root, "", [dataset.read_folder(folder) for folder in held.folders.values()]
    path = tree.table(dataset.tables)
    if path is None:
        found = ", ".join(sorted(table.name for table in tree.tables)) or "none"
        raise DatasetError(
            f"{root}: no coding table; the tables here are {found}. Expected {dataset.tables[0]}, which the dataset's "
            f"owners send with the release{dataset.table_hint}. Copy it into {root}."
        )
    columns = [column for column in dataset.columns if column and column not in dataset.optional_columns]
    table = read_table(path, columns, dataset.optional_columns, dataset.sheet)
    return path, table.sha256, [dataset.read_row(row) for row in table.rows]


def _version(dataset: Dataset, entries: Sequence[Entry]) -> str:
    """Return the version of the table that has as many rows of each emotion as `entries`; "" if no version has."""
    counts = Counter(entry.emotion for entry in entries)
    return next((version for version, published in dataset.versions.items() if counts == published), "")

"""Read a release as its owners sent it, as the `Dataset` describes it. No image is opened."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from mer_cli.datasets.assemble import assemble
from mer_cli.datasets.coding_table import read_coding, with_offsets
from mer_cli.datasets.dataset import Dataset, Entry
from mer_cli.datasets.frame_files import check_folder_name, check_inside, folder_entries, list_frames
from mer_cli.datasets.known_cells import differing_cells
from mer_cli.datasets.spelling import one_spelling
from mer_cli.datasets.tree import ClipFolders, Tree, look_through
from mer_cli.errors import DatasetError
from mer_cli.records import ApexRule, Release, Source


def load(
    dataset: Dataset,
    root: Path,
    source: Source | None,
    apex_rule: ApexRule,
    table_path: Path | None = None,
    *,
    join_spellings: bool = False,
) -> Release:
    """Read the release of a dataset: its coding table, and the list of frames of every clip.

    Parameters
    ----------
    root : the folder of the release, a folder above it, or the image folder in it
    source : which images, "raw" or "cropped"; None takes the kind that the dataset prefers
    apex_rule : how to find the apex of a clip without an annotated one
    table_path : the coding table; None looks for it in the release
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
    coding = read_coding(dataset, root, tree, held, table_path)
    entries, joined = one_spelling(str(coding.path), coding.entries, ("subject",), join=join_spellings)
    coding = replace(coding, entries=tuple(entries))
    place_of = partial(_place, dataset, held, held.root.resolve())
    coding = with_offsets(coding, dataset, lambda entry: list_frames(place_of(entry)))
    assembled = assemble(
        dataset.name, dataset.fps, coding.entries, dataset.emotions, place_of, apex_rule, dataset.errata
    )
    version = coding.version(dataset)
    return Release(
        dataset=dataset.name,
        source=held.pictures.source,
        table_path=coding.path,
        more_tables=coding.more_tables,
        table_sha256=coding.sha256,
        table_version=version,
        clips=assembled.clips,
        failed=assembled.failed,
        errata=(*assembled.errata, *joined),
        numbering=assembled.numbering,
        table_notes=coding.notes,
        table_differences=differing_cells(dataset, version, coding.entries) if coding.sha256 else (),
    )


def _place(dataset: Dataset, held: ClipFolders, boundary: Path, entry: Entry) -> Path:
    """Return the folder of a clip; `boundary` is the folder of all images, with its links resolved."""
    check_folder_name(entry.name, dataset.example)
    for key in entry.keys:
        if key in held.folders:
            check_inside(held.folders[key], boundary)
            return held.folders[key]
    raise DatasetError(
        f"no folder '{entry.name}' of subject {entry.subject} in {held.root}. Expected one like {dataset.example}. "
        "Unpack the release again."
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

"""Find the clip folders and the tables of a release in one look through its folders.

Images are found by names: of the clip folders, and of the folders on the way to them. So it makes no difference if a
zip was unpacked into a folder of its own name, if the given folder is one level too high or too low, or if parents were
renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mer_cli.datasets.dataset import Dataset, Pictures
from mer_cli.datasets.frame_files import folder_entries, frame_number
from mer_cli.errors import DatasetError
from mer_cli.records import Source

DEPTH = 8  # levels below the root; the deepest release has six
RELEASED_EXTENSIONS = frozenset({".xlsx", ".xls", ".csv"})  # of tables as the owners or public copies have them
TABLE_EXTENSIONS = RELEASED_EXTENSIONS | {".xlsm", ".xlsb", ".ods", ".tsv"}
CROPPED_PREFIX = "reg_"  # of an image's name, in all releases that come cropped


@dataclass(frozen=True)
class ClipFolders:
    """The folders of all clips with one kind of images, by clip key (`Dataset.clip_key`); `root` holds them all."""

    root: Path
    pictures: Pictures
    folders: dict[str, Path]


@dataclass(frozen=True)
class Tree:
    """The clip folders and tables of a release.

    sets : the clip folders of each kind of images, the preferred kind first
    tables : spreadsheet files, the nearest to the root first, files beside or above the root last
    children : names of the folders in the root
    """

    sets: tuple[ClipFolders, ...]
    tables: tuple[Path, ...]
    children: tuple[str, ...]

    def table(self, patterns: Sequence[str]) -> Path | None:
        """Return a table for the first pattern that fits any table's name, whatever its extension; else None."""
        tables = sorted(self.tables, key=lambda path: path.suffix.casefold() not in RELEASED_EXTENSIONS)
        for pattern in patterns:
            stem = Path(pattern).stem if Path(pattern).suffix in TABLE_EXTENSIONS else pattern
            for path in tables:
                if fnmatch(path.stem.casefold(), stem.casefold()):
                    return path
        return None


def look_through(root: Path, dataset: Dataset) -> Tree:
    """Find the clip folders of a dataset below `root`, and all spreadsheets on the way; don't look into clip folders.

    Parameters
    ----------
    root : absolute path of a folder
    """
    found: dict[tuple[Path, Pictures], dict[str, Path]] = {}
    tables: list[Path] = []
    children: list[str] = []
    level: list[tuple[str, ...]] = [()]
    for depth in range(DEPTH + 1):
        below = []
        for way in level:
            for name, is_folder in _entries(root.joinpath(*way)):
                here = (*way, name)
                if not is_folder:
                    if Path(name).suffix.casefold() in TABLE_EXTENSIONS:
                        tables.append(root.joinpath(*here))
                    continue
                if depth == 0:
                    children.append(name)
                if name.casefold() in dataset.skipped:
                    continue
                key = dataset.clip_key((root.name, *here))
                if key is None:
                    below.append(here)
                else:
                    place = _pictures(root, here, dataset)
                    found.setdefault(place, {}).setdefault(key, root.joinpath(*here))
        level = below
    for above in (root.parent, root.parent.parent):
        files = (above / name for name, is_folder in _entries(above) if not is_folder)
        tables += [path for path in files if path.suffix.casefold() in TABLE_EXTENSIONS]
    sets = [ClipFolders(place, pictures, folders) for (place, pictures), folders in found.items()]
    order = [*dataset.pictures, *(pictures for _, pictures in found)]
    # Another dataset's clips may lie under the same root, in a folder of the same name.
    sets.sort(
        key=lambda held: (
            not _shows_frames_of(held, dataset),
            order.index(held.pictures),
            len(held.root.parts),
            held.root,
        )
    )
    return Tree(tuple(sets), tuple(tables), tuple(children))


def shows_frames_of(tree: Tree, dataset: Dataset) -> bool:
    """Return whether any clip folders in `tree` hold images with file names like those in the dataset."""
    return any(_shows_frames_of(held, dataset) for held in tree.sets)


def _shows_frames_of(held: ClipFolders, dataset: Dataset) -> bool:
    """Return whether the first clip folder that is not empty holds an image with a file name like in the dataset."""
    for folder in held.folders.values():
        names = [name for name, _ in _entries(folder)]
        if names:
            return any(dataset.frame_name.fullmatch(name) for name in names)
    return False


def _pictures(root: Path, way: Sequence[str], dataset: Dataset) -> tuple[Path, Pictures]:
    """Return the innermost folder on the way to a clip that names the kind of its images, and that kind."""
    known = {pictures.folder.casefold(): pictures for pictures in dataset.pictures}
    for n_parts in range(len(way) - 1, -1, -1):
        place = root.joinpath(*way[:n_parts])
        if place.name.casefold() in known:
            return place, known[place.name.casefold()]
    is_tableless = dataset.tableless in (part.casefold() for part in way)
    return root, Pictures("", _source_by_name(root.joinpath(*way), dataset), has_table=not is_tableless)


def _source_by_name(folder: Path, dataset: Dataset) -> Source:
    for name, _ in _entries(folder):
        if frame_number(name) is not None:
            return "cropped" if name.casefold().startswith(CROPPED_PREFIX) else dataset.source
    return dataset.source


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """List a folder as sorted pairs (name, whether it is a folder), without hidden files; [] if it can't be listed."""
    try:
        held = folder_entries(folder)
    except DatasetError:  # such as lost+found
        return []
    return [item for item in sorted(held) if not item[0].startswith((".", "~", "__MACOSX"))]

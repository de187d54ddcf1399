"""Looks through a release's folders once: a root and a layout come in; clip folders by key, and tables, go out.

Where the pictures lie is told by names: of the clip folders, and of the folders on the way to them. So a zip unpacked
into a folder of its own name, a folder given one level too high or too low, and renamed parents are all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mer_cli.datasets.frame_files import Source, folder_entries, frame_number
from mer_cli.datasets.layout import Layout, Pictures
from mer_cli.errors import DatasetError

DEPTH = 8  # levels below the root; the deepest release has six
TABLE_EXTENSIONS = frozenset({".xlsx", ".xls", ".csv"})
CROPPED_PREFIX = "reg_"  # of a picture's name, in all of the releases that come cropped


@dataclass(frozen=True)
class ClipFolders:
    """The clips of one kind of pictures: `folders` has a folder for each key, `root` is the folder they lie in."""

    root: Path
    pictures: Pictures
    folders: dict[str, Path]


@dataclass(frozen=True)
class Tree:
    """What a look through a release found.

    sets : kinds of pictures, the preferred one first
    tables : spreadsheet files, the nearest to the root first, those beside the root last
    children : names of the folders in the root
    """

    sets: tuple[ClipFolders, ...]
    tables: tuple[Path, ...]
    children: tuple[str, ...]

    def table(self, patterns: Sequence[str]) -> Path | None:
        """Give the file that fits the first pattern that any fits; what extension a pattern has does not matter."""
        for pattern in patterns:
            stem = Path(pattern).stem if Path(pattern).suffix in TABLE_EXTENSIONS else pattern
            for path in self.tables:
                if fnmatch(path.stem.casefold(), stem.casefold()):
                    return path
        return None


def look_through(root: Path, layout: Layout) -> Tree:
    """List the clip folders below `root` by the layout's names, and the spreadsheets beside them; no clip is entered.

    Parameters
    ----------
    root : an absolute path of a folder
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
                if name.casefold() in layout.skipped:
                    continue
                key = layout.clip_key((root.name, *here))
                if key is None:
                    below.append(here)
                else:
                    place = _pictures(root, here, layout)
                    found.setdefault(place, {}).setdefault(key, root.joinpath(*here))
        level = below
    for above in (root.parent, root.parent.parent):
        files = (above / name for name, is_folder in _entries(above) if not is_folder)
        tables += [path for path in files if path.suffix.casefold() in TABLE_EXTENSIONS]
    sets = [ClipFolders(place, pictures, folders) for (place, pictures), folders in found.items()]
    order = [*layout.pictures, *(pictures for _, pictures in found)]
    # Another dataset's clips may lie under the same root, in a folder of the same name.
    sets.sort(
        key=lambda held: (
            not _shows_frames_of(held, layout),
            order.index(held.pictures),
            len(held.root.parts),
            held.root,
        )
    )
    return Tree(tuple(sets), tuple(tables), tuple(children))


def shows_frames_of(tree: Tree, layout: Layout) -> bool:
    """Whether clip folders hold pictures named as in this dataset."""
    return any(_shows_frames_of(held, layout) for held in tree.sets)


def _shows_frames_of(held: ClipFolders, layout: Layout) -> bool:
    """Whether the first clip folder that is not empty holds a picture named as in this dataset."""
    for folder in held.folders.values():
        names = [name for name, _ in _entries(folder)]
        if names:
            return any(layout.frame_name.fullmatch(name) for name in names)
    return False


def _pictures(root: Path, way: Sequence[str], layout: Layout) -> tuple[Path, Pictures]:
    """Which pictures a clip folder belongs to, by the innermost name on the way to it that says so; and that folder."""
    known = {pictures.folder.casefold(): pictures for pictures in layout.pictures}
    for n_parts in range(len(way) - 1, -1, -1):
        place = root.joinpath(*way[:n_parts])
        if place.name.casefold() in known:
            return place, known[place.name.casefold()]
    is_tableless = layout.tableless in (part.casefold() for part in way)
    return root, Pictures("", _source_by_name(root.joinpath(*way), layout), has_table=not is_tableless)


def _source_by_name(folder: Path, layout: Layout) -> Source:
    for name, _ in _entries(folder):
        if frame_number(name) is not None:
            return "cropped" if name.casefold().startswith(CROPPED_PREFIX) else layout.source
    return layout.source


def _entries(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder, sorted, and whether each is a folder; nothing where the system does not let us look."""
    try:
        held = folder_entries(folder)
    except DatasetError:  # such as lost+found
        return []
    return [item for item in sorted(held) if not item[0].startswith((".", "~", "__MACOSX"))]

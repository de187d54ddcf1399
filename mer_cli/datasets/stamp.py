"""Decide whether the faces of a release were drawn by `mer synth`.

`mer synth` leaves GENERATED.txt in the folder that it writes. Everything in or below that folder is generated, whatever
path or link leads there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from mer_cli.records import Clip, Release

STAMP = "GENERATED.txt"
# A folder that you may not list has no links that lead to images; a disk that fails must not hide a stamp.
NOT_LISTED = (FileNotFoundError, NotADirectoryError, PermissionError)


def with_stamp(release: Release, root: Path) -> Release:
    """Return the release with the GENERATED.txt files found in or above the folders of its clips and its table.

    A single generated clip, or a table from a generated folder, makes the whole release generated. Each folder is
    searched only once, however many clips lie in it.

    Parameters
    ----------
    root : the folder that was given for the release
    """

    @cache
    def above(folder: Path) -> frozenset[Path]:
        higher = above(folder.parent) if folder != folder.parent else frozenset()
        return higher | {folder / STAMP} if os.path.lexists(folder / STAMP) else higher

    @cache
    def of_folder(folder: Path) -> frozenset[Path]:
        # As it is named, without the ".." that would lead through another folder; and where its links lead.
        return above(Path(os.path.abspath(folder))) | above(folder.resolve())  # noqa: PTH100

    @cache
    def links_in(folder: Path) -> frozenset[str]:
        names: set[str] = set()
        with suppress(*NOT_LISTED), os.scandir(folder) as entries:
            names.update(entry.name for entry in entries if entry.is_symlink())
        return frozenset(names)

    def of_files(files: Iterable[Path], folder: Path) -> frozenset[Path]:
        links = links_in(folder)
        linked = (file for file in files if file.name in links) if links else ()
        return of_folder(folder).union(*(above(file.resolve().parent) for file in linked))

    def of_clip(clip: Clip) -> frozenset[Path]:
        # The frames of a clip lie in one folder, or are those of one video.
        return of_files((frame.path for frame in clip.frames), clip.frames[0].path.parent)

    by_clip = [of_clip(clip) for clip in release.clips]
    by_table = [of_files([table], table.parent) for table in release.tables]
    found = of_folder(root).union(*by_table, *by_clip)
    stamps = {stamp.parent.resolve() / STAMP for stamp in found}  # each once, whichever links lead there
    return replace(release, generated=bool(stamps), stamps=tuple(sorted(stamps)), n_generated=sum(map(bool, by_clip)))


def stamp_sentence(release: Release) -> str:
    """Return a sentence that says which clips of a release are generated, and which GENERATED.txt tells so."""
    stamp, *others = map(str, release.stamps)
    more = f" and {len(others)} more" if others else ""
    if release.n_generated == len(release.clips):
        return f"generated faces ({stamp}{more}): no score on them is a result on the dataset"
    what = f"{release.n_generated} of {len(release.clips)} clips" if release.n_generated else "the coding table"
    verb = "come" if release.n_generated else "comes"
    return (
        f"generated faces: {what} {verb} from below {stamp}{more}, so the whole store counts as generated: "
        "no score on it is a result on the dataset"
    )

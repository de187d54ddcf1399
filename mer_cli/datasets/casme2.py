"""CASME II: 255 clips of 26 subjects, 200 frames a second; a release's folder comes in, its clips go out.

Two coding tables are in use, CASME2-coding-20190701.xlsx and the older CASME2-coding-20140508.xlsx; three rows of
subject 24 have another emotion in each. A table is recognised by its counts, since copies are re-saved and renamed.
Pictures: `CASME2_RAW_selected` (cut from onset to offset), `CASME2-RAW` (with frames around) or `Cropped`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mer_cli.datasets.annotation import settle_annotation
from mer_cli.datasets.errata import Field, apply_errata
from mer_cli.datasets.frame_files import Source, child_folders, clip_folder, list_frames
from mer_cli.datasets.tables import Row, read_table
from mer_cli.errors import DatasetError
from mer_cli.records import Clip, FailedClip, FrameRef, Release

NAME = "casme2"
FPS = 200.0
TABLES = ("CASME2-coding-20190701.xlsx", "CASME2-coding-20140508.xlsx")
OTHER_TABLES = ("CASME2-coding*.xlsx", "CASME2-coding*.xls", "CASME2_label*.xlsx", "CASME2_label*.xls")
PICTURE_FOLDERS: Mapping[Source, tuple[str, ...]] = {
    "raw": ("CASME2_RAW_selected", "CASME2-RAW"),
    "cropped": ("Cropped", "Cropped-updated", "CASME2_Cropped", "Cropped_original"),
}
SEARCH_DEPTH = 4  # a zip unpacked into a folder of its own name, inside the release's folder
GENERATED = "GENERATED.txt"  # what `mer synth` leaves beside its pictures

COLUMNS: Mapping[Field, str] = {"onset": "OnsetFrame", "apex": "ApexFrame", "offset": "OffsetFrame"}
SUBJECT, FILENAME, UNITS, EMOTION = "Subject", "Filename", "Action Units", "Estimated Emotion"

# Rows of each emotion in the published tables, both of 255 rows.
VERSIONS = {
    "20190701": {
        "happiness": 32,
        "disgust": 63,
        "repression": 27,
        "surprise": 28,
        "others": 99,
        "sadness": 4,
        "fear": 2,
    },
    "20140508": {
        "happiness": 32,
        "disgust": 63,
        "repression": 27,
        "surprise": 25,
        "others": 99,
        "sadness": 7,
        "fear": 2,
    },
}
EMOTIONS = tuple(VERSIONS["20190701"])


def load(root: Path, source: Source | None) -> Release:
    """Reads the coding table and lists the frames of every clip; no picture is opened.

    Parameters
    ----------
    root : the folder that holds the release, or its picture folder itself
    source : which pictures; None takes raw where both are there

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
        raise DatasetError(f"{root}: no such folder. Expected the unpacked CASME II release. Check the path.")
    pictures, source = _find_pictures(root, source)
    table = read_table(_find_table(root, pictures), [SUBJECT, FILENAME, *COLUMNS.values(), UNITS, EMOTION])
    subjects = child_folders(pictures)
    folders: dict[str, dict[str, Path]] = {}
    seen: set[str] = set()
    clips: list[Clip] = []
    failed: list[FailedClip] = []
    errata: list[str] = []
    for row in table.rows:
        subject, name, emotion = _subject(row), row.cells[FILENAME], _emotion(row)
        clip_id = f"{NAME}/{subject}/{name}"
        try:
            if clip_id.casefold() in seen:
                raise DatasetError("the clip has an earlier row already. Expected one row a clip. Delete one.")
            seen.add(clip_id.casefold())
            if emotion not in EMOTIONS:
                raise DatasetError(
                    f"emotion '{emotion}' is unknown. Expected one of {', '.join(EMOTIONS)}. Correct the table."
                )
            if subject not in folders:
                folders[subject] = child_folders(_subject_folder(subjects, subject, pictures))
            frames = list_frames(clip_folder(folders[subject], name, pictures.resolve()))
            clip, applied = _clip(row, subject, emotion, frames)
        except DatasetError as error:
            failed.append(FailedClip(clip_id, emotion, f"row {row.number}: {error}"))
        else:
            clips.append(clip)
            errata += applied
    return Release(
        dataset=NAME,
        root=root,
        source=source,
        table_path=table.path,
        table_sha256=table.sha256,
        table_version=_version(table.rows),
        clips=tuple(sorted(clips, key=lambda clip: clip.clip_id)),
        failed=tuple(failed),
        errata=tuple(sorted(errata)),
        generated=any((folder / GENERATED).exists() for folder in (root, pictures.parent)),
    )


def _clip(row: Row, subject: str, emotion: str, frames: tuple[FrameRef, ...]) -> tuple[Clip, list[str]]:
    """A row's clip, and the errata that were applied to it."""
    name = row.cells[FILENAME]
    cells, applied = apply_errata(NAME, subject, name, {field: row.cells[column] for field, column in COLUMNS.items()})
    annotation = settle_annotation(cells, frames)
    clip = Clip(
        dataset=NAME,
        subject=subject,
        name=name,
        emotion=emotion,
        action_units=row.cells[UNITS],
        onset=annotation.onset,
        apex=annotation.apex,
        offset=annotation.offset,
        fps=FPS,
        frames=frames,
        repairs=(*(erratum.sentence().rstrip(".") for erratum in applied), *annotation.repairs),
    )
    return clip, [f"{clip.clip_id}: {erratum.sentence()}" for erratum in applied]


def _find_pictures(root: Path, source: Source | None) -> tuple[Path, Source]:
    """The folder whose children are the subjects, and which pictures it holds."""
    places = [root, *_folders_below(root, SEARCH_DEPTH)]
    found = {kind: place for place in reversed(places) if (kind := _kind(root, place)) and _has_subjects(place)}
    for wanted_source in (source,) if source else PICTURE_FOLDERS:
        if wanted_source in found:
            return found[wanted_source], wanted_source
    wanted = [name for kind, names in PICTURE_FOLDERS.items() if source in (None, kind) for name in names]
    held = ", ".join(sorted(place.name for place in places[1:] if place.parent == root)) or "nothing"
    raise DatasetError(
        f"{root}: no {source or 'CASME II'} pictures; it holds {held}. Expected a folder {' or '.join(wanted)} with "
        "sub01, sub02, ... in it. Give the folder of the unpacked release."
    )


def _kind(root: Path, place: Path) -> Source | None:
    """Which pictures a folder holds, by the innermost name on the way to it that says so."""
    for name in reversed((root.name, *place.relative_to(root).parts)):
        for kind, names in PICTURE_FOLDERS.items():
            if name.casefold() in {known.casefold() for known in names}:
                return kind
    return None


def _has_subjects(folder: Path) -> bool:
    return any(_subject_number(name) is not None for name in _children(folder))


def _children(folder: Path) -> Mapping[str, Path]:
    """The folders inside; none where the system does not let us look (such as lost+found)."""
    try:
        return child_folders(folder)
    except DatasetError:
        return {}


def _folders_below(folder: Path, depth: int) -> list[Path]:
    """All folders down to a depth, nearest first; subjects' own folders are not entered."""
    level, found = [folder], []
    for _ in range(depth):
        level = [
            child for parent in level for name, child in _children(parent).items() if _subject_number(name) is None
        ]
        found += level
    return found


def _find_table(root: Path, pictures: Path) -> Path:
    """The coding table: inside the release, in the picture folder or beside it; the newest published one first."""
    between = [folder for folder in pictures.parents if folder == root or root in folder.parents]
    children = [child for name, child in _children(root).items() if _subject_number(name) is None]
    places = list(dict.fromkeys([root, pictures, *between, *children, root.parent]))
    for pattern in (*TABLES, *OTHER_TABLES):
        for place in places:
            tables = [file for file in sorted(place.glob(pattern)) if not file.name.startswith(("~", "."))]
            if tables:
                return tables[0]
    beside = sorted(file.name for place in places for file in place.glob("*.xls*"))
    raise DatasetError(
        f"{root}: no coding table; the workbooks here are {', '.join(beside) or 'none'}. Expected {TABLES[0]}, which "
        "the dataset's owners send with the release (CASME2-ObjectiveClasses.xlsx holds no frame numbers). "
        f"Copy it into {root}."
    )


def _subject_folder(subjects: Mapping[str, Path], subject: str, pictures: Path) -> Path:
    for name, folder in subjects.items():
        if _subject_number(name) == _subject_number(subject) and _subject_number(name) is not None:
            return clip_folder(subjects, folder.name, pictures.resolve())
    raise DatasetError(f"no folder 'sub{subject}' for this subject. Expected one in {pictures}. Unpack it again.")


def _subject_number(name: str) -> int | None:
    """17 for "sub17", "17" or "Sub17"; None for anything else."""
    digits = name.casefold().removeprefix("sub")
    return int(digits) if digits.isdecimal() and len(digits) <= 2 else None


def _subject(row: Row) -> str:
    """The subject's id as the released table writes it: "01", also where a re-saved copy holds the number 1."""
    number = _subject_number(row.cells[SUBJECT].removesuffix(".0"))
    return row.cells[SUBJECT] if number is None else f"{number:02d}"


def _emotion(row: Row) -> str:
    emotion = row.cells[EMOTION].casefold()
    return "others" if emotion == "other" else emotion


def _version(rows: tuple[Row, ...]) -> str:
    counts = Counter(_emotion(row) for row in rows)
    return next((version for version, published in VERSIONS.items() if counts == published), "")

"""Write the intervals of recordings to a CSV, and read such a CSV back, whatever program wrote it.

    video,onset,apex,offset,score,reason,fps,n_frames
    001.avi,412,447,489,18.3,,200,12000
    002.avi,,,,,,200,12000

A row is an interval; one without frames says that nothing was found in a video. `reason` says why an interval was
rejected. Only video, onset and offset are needed; a column `emotion` may say what was recognised in an interval.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.datasets.table_text import read_text_rows
from mer_cli.datasets.tables import folded, whole_number
from mer_cli.errors import DatasetError, did_you_mean, shortened
from mer_cli.spotting.interval import Interval, Spotted
from mer_cli.system.files import read_bounded

COLUMNS = ("video", "onset", "apex", "offset", "score", "reason", "fps", "n_frames")
NEEDED = ("video", "onset", "offset")
OPTIONAL = ("apex", "score", "reason", "fps", "n_frames", "emotion", "kind", "subject")
LARGEST = 64 << 20  # bytes


@dataclass(frozen=True)
class Row:
    """An interval of a file, or a video without one; the first frame of a video has number 1, ends are included.

    onset, offset : 0 if nothing was found in the video
    kind, emotion, subject, reason : "" if the file doesn't say
    fps : 0 if the file doesn't say · n_frames : of the video, 0 if the file doesn't say
    """

    video: str
    onset: int
    offset: int
    kind: str = ""
    emotion: str = ""
    subject: str = ""
    reason: str = ""
    fps: float = 0.0
    n_frames: int = 0


def interval_rows(video: str, spotted: Spotted, intervals: Iterable[Interval]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a recording, without the header: one for each interval, or one that says there is none."""
    end = (f"{spotted.fps:g}", str(spotted.n_frames))
    rows = [(video, str(it.onset), str(it.apex), str(it.offset), f"{it.score:g}", it.reason, *end) for it in intervals]
    yield from rows or [(video, "", "", "", "", "", *end)]


def read_intervals(path: Path) -> tuple[Row, ...]:
    """Read the intervals of a CSV, in the order of the file; a file with only a header has none.

    Raises
    ------
    DatasetError
        If it can't be read as a CSV, lacks a column, or a row has frames that can't be right.
    """
    header, *rows = _cells(path)
    places = _places(path, header)
    numbered = ((number, row) for number, row in enumerate(rows, start=2) if any(cell.strip() for cell in row))
    return tuple(
        _row(f"{path}: row {number}", {name: row[at].strip() for name, at in places.items()})
        for number, row in numbered
    )


def _cells(path: Path) -> list[list[str]]:
    try:
        cells = read_text_rows(read_bounded(path, LARGEST)).cells
    except OSError as error:
        raise DatasetError(f"{path}: can't be read ({error.strerror}). Check the path.") from None
    except (csv.Error, ValueError) as error:
        raise DatasetError(
            f"{path}: not a CSV of intervals ({str(error).rstrip('.')}). Give a file that mer spot --format csv wrote, "
            f"or one with the columns {', '.join(NEEDED)}."
        ) from None
    if not cells:
        raise DatasetError(f"{path}: the file is empty. Expected a header with {', '.join(NEEDED)}.")
    return cells


def _places(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Return the index of each column that the file has."""
    here = [folded(title) for title in header]
    missing = [name for name in NEEDED if name not in here]
    if missing:
        found = ", ".join(shortened(title.strip()) for title in header[:20] if title.strip()) or "nothing"
        raise DatasetError(
            f"{path}: no column {', '.join(repr(name) for name in missing)}; the first row has {found}. Expected a "
            f"header with {', '.join(NEEDED)}.{did_you_mean(missing[0], header)}"
        )
    twice = next((name for name in (*NEEDED, *OPTIONAL) if here.count(name) > 1), None)
    if twice:
        raise DatasetError(f"{path}: there are two columns '{twice}'. Delete the wrong one.")
    return {name: here.index(name) for name in (*NEEDED, *OPTIONAL) if name in here}


def _row(where: str, cells: Mapping[str, str]) -> Row:
    if not cells["video"]:
        raise DatasetError(f"{where}: the video is blank. Fill it in.")
    if "\n" in cells["video"]:
        raise DatasetError(
            f"{where}: the video holds a line break. Close the quotation mark before it, or rename the video."
        )
    onset, offset = _frame(where, "onset", cells), _frame(where, "offset", cells)
    apex = _frame(where, "apex", cells)
    if (onset == 0) != (offset == 0):
        blank, given = ("onset", "offset") if onset == 0 else ("offset", "onset")
        raise DatasetError(f"{where}: the {blank} is blank, and the {given} is not. Fill it in, or leave both blank.")
    if onset > offset:
        raise DatasetError(f"{where}: onset {onset} is after offset {offset}. Correct the row.")
    if apex and not onset <= apex <= offset:
        raise DatasetError(f"{where}: apex {apex} is not between onset {onset} and offset {offset}. Correct the row.")
    n_frames = _frame(where, "n_frames", cells)
    length = offset - onset + 1
    if n_frames and offset and length > n_frames:  # of images in a folder, the first may have any number
        raise DatasetError(f"{where}: the interval has {length} frames, and the video {n_frames}. Correct the row.")
    texts = {name: cells.get(name, "") for name in ("kind", "emotion", "subject", "reason")}
    return Row(cells["video"], onset, offset, **texts, fps=_fps(where, cells.get("fps", "")), n_frames=n_frames)


def _frame(where: str, name: str, cells: Mapping[str, str]) -> int:
    """Return the whole number in a cell; 0 if it is blank or the file has no such column."""
    text = cells.get(name, "")
    number = whole_number(text) if text else 0
    if number is None or (text and number < 1):
        raise DatasetError(f"{where}: {name} '{shortened(text)}'. Expected a whole number of at least 1. Correct it.")
    return number


def _fps(where: str, text: str) -> float:
    try:
        fps = float(text or 0)
    except ValueError:
        fps = -1.0
    if not 0 <= fps < 1e6:
        raise DatasetError(f"{where}: fps '{shortened(text)}'. Expected frames a second, such as 200. Correct it.")
    return fps

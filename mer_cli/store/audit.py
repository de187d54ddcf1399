"""Write the audit of a store: what became of every row of the release's table, as pages, contact sheet and `audit.csv`.

The audit is drawn into a temporary folder while the store is packed, and both are moved to their places together.
Images are written one clip after another, so memory doesn't grow with their number. The same store gives the same
bytes.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.engines.resumable import FAILED
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.records import Clip, FailedClip, parts_of
from mer_cli.store.audit_page import INDEX, PICTURES, AuditRow, file_stem, render_index, render_subject, subject_pages
from mer_cli.store.contact_sheet import ContactSheet, draw_clip, encode
from mer_cli.store.schema import CroppedClip
from mer_cli.system.opencv import cv2
from mer_cli.system.shown_text import csv_cell, visible

CSV_NAME = "audit.csv"
FIELDS = tuple(field.name for field in fields(AuditRow))
MANIFEST = "files.txt"  # lists the files of the audit, so that the next one removes these and no others
OURS = re.compile(
    rf"({re.escape(CSV_NAME)}|{re.escape(INDEX)}|contact_sheet(-\d+)?\.png|subject-[\w.-]+\.html|{PICTURES}/[\w.-]+\.jpg)",
    re.ASCII,
)
JPEG_QUALITY = 90
MAX_WAITING = 4  # clips, of 2 MB each, that wait to be drawn


def audit_dir(out: Path) -> Path:
    """Return the folder of a store's audit: data/casme2.h5 -> data/audit/casme2."""
    return out.parent / "audit" / out.stem


class Audit:
    """The audit of one store, with a row for each clip in the order they are added.

    Images are drawn in a separate thread while the next clips are read and packed; at most 4 clips wait
    for that thread.

    Parameters
    ----------
    folder : an existing folder for the files
    attributes : attributes of the store that are known before its clips are read
    notes : sentences for the index page
    """

    def __init__(self, folder: Path, attributes: Mapping[str, Any], notes: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._notes = notes
        self._attributes = attributes
        self._rows: list[AuditRow] = []
        stamp = "generated faces, " if attributes["generated"] else ""
        self._sheet = ContactSheet(folder, f"{stamp}{attributes['dataset']}")
        self._drawer = ThreadPoolExecutor(1)  # one, so that the contact sheet keeps the order
        self._drawing: deque[Future[None]] = deque()
        (folder / PICTURES).mkdir(exist_ok=True)

    def add(self, clip: CroppedClip) -> None:
        """Add a row and the images of a clip that is in the store."""
        picture = f"{PICTURES}/{file_stem(clip.clip_id)}.jpg"
        onset, apex, offset = (int(clip.columns[name]) for name in ("onset", "apex", "offset"))
        emotion = str(clip.columns["emotion"])
        row = AuditRow(clip.clip_id, emotion, onset, apex, offset, clip.status, clip.note, clip.detector, picture)
        self._rows.append(row)
        self._draw(self._draw_clip, row, clip)

    def add_failed(self, failed: FailedClip, clip: Clip | None) -> None:
        """Add a row of the coding table without a clip in the store; `clip` is None if the loader failed on the row."""
        row = AuditRow(failed.clip_id, failed.emotion, None, None, None, FAILED, failed.reason)
        if clip:
            row = replace(row, onset=clip.onset, apex=clip.apex, offset=clip.offset)
        self._rows.append(row)
        self._draw(self._sheet.add_failed, f"{_title(row)} failed: {row.note}")

    def finish(self) -> None:
        """Wait for the images, then write the HTML pages, `audit.csv`, and the list of all files."""
        while self._drawing:
            self._drawing.popleft().result()
        self._drawer.shutdown()
        sheets = self._sheet.finish()
        pages = subject_pages(self._rows)
        texts = {page.file: render_subject(self._attributes, pages, place) for place, page in enumerate(pages)}
        texts[INDEX] = render_index(self._attributes, self._rows, pages, sheets, self._notes)
        for name, text in texts.items():
            (self._folder / name).write_text(visible(text), encoding="utf-8")
        with (self._folder / CSV_NAME).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, (*FIELDS, "generated"))
            writer.writeheader()
            stamp = {"generated": str(bool(self._attributes["generated"])).lower()}
            for row in self._rows:
                cells = asdict(row)
                shown = {name: csv_cell(cell) for name, cell in cells.items() if isinstance(cell, str)}
                writer.writerow(cells | shown | stamp)
        pictures = [row.picture for row in self._rows if row.picture]
        _write_manifest(self._folder, [CSV_NAME, *texts, *sheets, *pictures])

    def _draw(self, task: Callable[..., None], *arguments: object) -> None:
        """Draw something in the other thread; an error there is raised here at a later clip, or at the end."""
        if len(self._drawing) == MAX_WAITING:
            self._drawing.popleft().result()
        self._drawing.append(self._drawer.submit(task, *arguments))

    def _draw_clip(self, row: AuditRow, clip: CroppedClip) -> None:
        drawn = draw_clip(clip, CROP_SIZE)
        strip = np.hstack([drawn.landmarks, drawn.onset, drawn.apex, drawn.difference])
        encoded = encode(strip, ".jpg", cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        (self._folder / row.picture).write_bytes(encoded)
        self._sheet.add(": ".join(filter(None, (_title(row), row.note))), clip)


def place_audit(drawn: Path, target: Path) -> None:
    """Move the files of a finished audit from `drawn` to `target`, replacing only files of an earlier audit there."""
    (target / PICTURES).mkdir(parents=True, exist_ok=True)
    earlier, names = _read_manifest(target), _read_manifest(drawn)
    _write_manifest(target, [*earlier, *names])  # so that no file is forgotten if this is interrupted
    for name in names:
        (drawn / name).replace(target / name)
    for name in set(earlier) - set(names):
        (target / name).unlink(missing_ok=True)
    (drawn / MANIFEST).replace(target / MANIFEST)


def _write_manifest(folder: Path, names: list[str]) -> None:
    (folder / MANIFEST).write_text("".join(f"{name}\n" for name in sorted(set(names))), encoding="utf-8")


def _read_manifest(folder: Path) -> list[str]:
    """Return the files that an audit's list names; other lines, which someone may have added, are ignored."""
    path = folder / MANIFEST
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return [name for name in lines if OURS.fullmatch(name)]


def _title(row: AuditRow) -> str:
    _, subject, name = parts_of(row.clip_id)
    return f"{subject}/{name} {row.emotion}"

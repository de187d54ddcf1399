"""What became of every row of a release's table: `audit.csv` and a contact sheet, beside the store.

They are drawn into a folder of their own while the store is packed and moved to their place with it.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.records import Clip, FailedClip
from mer_cli.store.contact_sheet import ContactSheet
from mer_cli.store.schema import FAILED, CroppedClip

CSV_NAME = "audit.csv"
SHEETS = "contact_sheet*.png"
FIELDS = ("clip_id", "emotion", "onset", "apex", "offset", "status", "note", "detector")


def audit_dir(out: Path) -> Path:
    """Give the folder of a store's audit: data/casme2.h5 -> data/audit/casme2."""
    return out.parent / "audit" / out.stem


class Audit:
    """Collects one row per clip, in the order they come.

    Parameters
    ----------
    folder : where the files go; it exists
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, object]] = []
        self._sheet = ContactSheet(folder)

    def add(self, clip: CroppedClip) -> None:
        """Add a clip that is in the store."""
        row = {name: clip.columns[name] for name in FIELDS if name in clip.columns}
        self._rows.append(row | {"clip_id": clip.clip_id, "detector": clip.detector})
        onset, apex = (clip.arrays[name][HALF_WINDOW] for name in ("onset_window", "apex_window"))
        self._sheet.add(_label(clip.clip_id, str(clip.columns["emotion"])), clip.status, onset, apex)

    def add_failed(self, failed: FailedClip, clip: Clip | None) -> None:
        """Add a row of the table that is not in the store; `clip` is None where it never became one."""
        row: dict[str, object] = {"clip_id": failed.clip_id, "emotion": failed.emotion}
        if clip:
            row |= {"onset": clip.onset, "apex": clip.apex, "offset": clip.offset}
        self._rows.append(row | {"status": FAILED, "note": failed.reason})
        self._sheet.add(f"{_label(failed.clip_id, failed.emotion)}: failed", FAILED)

    def finish(self) -> None:
        """Write the files."""
        self._sheet.finish()
        with (self._folder / CSV_NAME).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, restval="")
            writer.writeheader()
            writer.writerows(self._rows)


def place_audit(drawn: Path, target: Path) -> None:
    """Move the files of a finished audit to their place; pages of an earlier one go, anything else there stays."""
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob(SHEETS):
        stale.unlink()
    for path in sorted(drawn.iterdir()):
        path.replace(target / path.name)


def _label(clip_id: str, emotion: str) -> str:
    return f"{clip_id.partition('/')[2]} {emotion}"

"""Pictures of every clip on a few pages: onset, apex and their difference, so that a wrong crop is seen at a glance.

Pages (contact_sheet.png, contact_sheet-2.png, ...) are written as they fill, so memory does not grow with the clips.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mer_cli.faces.frames import Image
from mer_cli.opencv import cv2
from mer_cli.store.schema import FAILED, OK, REPAIRED

THUMB = 96  # pixels
LABEL_HEIGHT = 18
GAP = 8
COLUMNS = 4
ROWS = 25
CELL_WIDTH = 3 * THUMB + GAP
CELL_HEIGHT = LABEL_HEIGHT + THUMB + GAP
DIFFERENCE_GAIN = 5

PAPER = (255, 255, 255)
INK = {OK: (60, 60, 60), REPAIRED: (190, 110, 0), FAILED: (190, 0, 0)}
OUTLINE = {REPAIRED: (255, 170, 0), FAILED: (190, 0, 0)}
FONT_SCALE = 0.38


def difference_image(onset: Image, apex: Image) -> Image:
    """Show what moved: grey where nothing did, 128 + 5 (apex - onset) elsewhere, clipped to 0-255."""
    difference = DIFFERENCE_GAIN * (apex.astype(np.int16) - onset) + 128
    return difference.clip(0, 255).astype(np.uint8)


class ContactSheet:
    """Draws clips in the order they come, and writes a page for every hundred.

    Parameters
    ----------
    folder : where the pages go; it exists
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_pages = 0
        self._n_cells = 0
        self._page = _blank_page()

    def add(self, label: str, status: str, onset: Image | None = None, apex: Image | None = None) -> None:
        """Draw one clip; one that failed has no pictures, only its label and an empty frame."""
        row, column = divmod(self._n_cells, COLUMNS)
        left, top = GAP + column * CELL_WIDTH, GAP + row * CELL_HEIGHT
        baseline = (left, top + LABEL_HEIGHT - 6)
        cv2.putText(
            self._page, label, baseline, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, INK[status], lineType=cv2.LINE_AA
        )
        top += LABEL_HEIGHT
        if onset is not None and apex is not None:
            pictures = np.hstack([_thumb(onset), _thumb(apex), _thumb(difference_image(onset, apex))])
            self._page[top : top + THUMB, left : left + 3 * THUMB] = pictures
        if status in OUTLINE:
            corner = (left + 3 * THUMB - 1, top + THUMB - 1)
            cv2.rectangle(self._page, (left, top), corner, OUTLINE[status], thickness=2)
        self._n_cells += 1
        if self._n_cells == COLUMNS * ROWS:
            self._write_page()

    def finish(self) -> None:
        """Write the last page, cut to what is on it."""
        if self._n_cells:
            self._write_page()

    def _write_page(self) -> None:
        self._n_pages += 1
        name = "contact_sheet.png" if self._n_pages == 1 else f"contact_sheet-{self._n_pages}.png"
        n_rows = -(-self._n_cells // COLUMNS)
        page = self._page[: 2 * GAP + n_rows * CELL_HEIGHT, :, ::-1]
        (self._folder / name).write_bytes(cv2.imencode(".png", page)[1].tobytes())
        self._page = _blank_page()
        self._n_cells = 0


def _blank_page() -> Image:
    return np.full((2 * GAP + ROWS * CELL_HEIGHT, 2 * GAP + COLUMNS * CELL_WIDTH, 3), PAPER, dtype=np.uint8)


def _thumb(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA), dtype=np.uint8)

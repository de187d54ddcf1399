"""Draw all clips on a few pages: onset with landmarks, apex and difference, so that wrong crops are easy to see.

Pages (contact_sheet.png, contact_sheet-2.png, ...) are stacked from bands of full width and written when they are full,
so memory doesn't grow with the clips; only the first page waits for the counts at its top. `draw_clip` draws the images
of one clip, which the audit shows as well.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_cli.engines.resumable import FAILED, OK
from mer_cli.faces.crop import Landmarks, crop_landmarks
from mer_cli.faces.frames import HALF_WINDOW, Image
from mer_cli.store.schema import REPAIRED, CroppedClip
from mer_cli.system.opencv import cv2
from mer_cli.system.shown_text import visible

DIFFERENCE_GAIN = 5
DOT = (0, 255, 120)  # visible on any skin; the rim separates it from a green background
RIM = (0, 0, 0)
DOT_RADIUS = 0.0065  # of the image's side
RIM_WIDTH = 0.6  # pixels
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class ClipPictures:
    """Four images of a clip, (side, side, 3) uint8 RGB; `landmarks` is the onset with a dot at each landmark."""

    landmarks: Image
    onset: Image
    apex: Image
    difference: Image


def draw_clip(clip: CroppedClip, side: int) -> ClipPictures:
    """Draw the four images of a clip, each `side` pixels wide and high.

    The landmarks are stored in pixels of the source frame and pass through the clip's transform, so dots beside the
    face mean that the landmarks or the transform are wrong.
    """
    onset, apex = (_scaled(_labelled(clip, name), side) for name in ("onset_window", "apex_window"))
    size = clip.arrays["onset_window"].shape[1]
    landmarks, transform = (np.asarray(clip.arrays[name], np.float32) for name in ("landmarks", "transforms"))
    points = crop_landmarks(landmarks, transform)
    difference = difference_image(_labelled(clip, "onset_window"), _labelled(clip, "apex_window"))
    return ClipPictures(
        landmarks=draw_dots(onset, (points + 0.5) * side / size - 0.5),
        onset=onset,
        apex=apex,
        difference=_scaled(difference, side),
    )


def difference_image(onset: Image, apex: Image) -> Image:
    """Return 128 + 5 (apex - onset), clipped to 0-255: grey where nothing moved."""
    difference = DIFFERENCE_GAIN * (apex.astype(np.int16) - onset) + 128
    return difference.clip(0, 255).astype(np.uint8)


def draw_dots(image: Image, points: Landmarks) -> Image:
    """Return a copy of an image, (H, W, 3) uint8 RGB, with a dot at each of `points`, (n, 2), x and y in pixels.

    Points far outside the image are left out.
    """
    drawn = np.ascontiguousarray(image.copy())
    side = max(image.shape)
    near = points[(np.abs(points) < 2 * side).all(axis=1)]  # OpenCV's fixed-point numbers have limits
    for radius, colour in ((DOT_RADIUS * side + RIM_WIDTH, RIM), (DOT_RADIUS * side, DOT)):
        for x, y in _fixed_point(near):
            cv2.circle(drawn, (x, y), round(radius * 2**SUBPIXEL_BITS), colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return drawn


def encode(image: Image, extension: str, *parameters: int) -> bytes:
    """Encode an image, (H, W, 3) uint8 RGB, as bytes of a ".png" or ".jpg" file; `parameters` go to `cv2.imencode`."""
    # A reversed view would cost as much again as the encoding.
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(extension, bgr, parameters)[1].tobytes())


def _fixed_point(points: Landmarks) -> list[list[int]]:
    rounded: list[list[int]] = np.rint(points * 2**SUBPIXEL_BITS).astype(int).tolist()
    return rounded


def _labelled(clip: CroppedClip, name: str) -> Image:
    picture: Image = clip.arrays[name][HALF_WINDOW]
    return picture


def _scaled(image: Image, side: int) -> Image:
    if image.shape[0] == side:
        return image
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


THUMB = 112  # pixels; half a crop, which is quick to shrink to
COLUMNS = 3
MARGIN, GAP = 12, 14
CELL_WIDTH = 3 * THUMB
WIDTH = 2 * MARGIN + COLUMNS * CELL_WIDTH + (COLUMNS - 1) * GAP
PAGE_HEIGHT = 3000  # pixels; the band that passes it is the last of its page
FAILED_SHOWN = 300  # a wrong table fails in all its rows, which may be ten thousand

PAPER = (255, 255, 255)
INK = {OK: (40, 40, 40), REPAIRED: (160, 85, 0), FAILED: (180, 0, 0)}
OUTLINE = {REPAIRED: (255, 150, 0), FAILED: (200, 0, 0)}
LINE_THICKNESS = 3
LINE_HEIGHT = 18
BASELINE = 5  # of a line of text, from its lower end
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42

LEGEND = "each clip: onset with the 68 landmarks  |  apex  |  what moved, five times as strong (grey: nothing)"


class ContactSheet:
    """The contact sheet of a store: pages of small images of all clips, in the order in which they are added.

    Parameters
    ----------
    folder : an existing folder for the pages
    title : the text at the top
    """

    def __init__(self, folder: Path, title: str) -> None:
        self._folder = folder
        self._title = title
        self._counts = {OK: 0, REPAIRED: 0, FAILED: 0}
        self._row: list[tuple[str, CroppedClip]] = []
        self._page: list[Image] = []
        self._first_page: list[Image] = []
        self._n_pages = 0

    def add(self, label: str, clip: CroppedClip) -> None:
        """Add the images of one clip, with `label` above them."""
        self._counts[clip.status] += 1
        self._row.append((label, clip))
        if len(self._row) == COLUMNS:
            self._end_row()

    def add_failed(self, text: str) -> None:
        """Add `text`, which names a failed clip and why it failed, in wrapped lines; only the first 300 are listed."""
        self._end_row()
        self._counts[FAILED] += 1
        n_more = self._counts[FAILED] - FAILED_SHOWN
        if n_more > 1:
            return
        if n_more == 1:
            text = "and more: all failed clips are in index.html and audit.csv"
        band = _text_band(wrap(text, WIDTH - 2 * MARGIN - GAP), INK[FAILED], left=MARGIN + GAP)
        band[2:-2, MARGIN : MARGIN + LINE_THICKNESS] = OUTLINE[FAILED]
        self._stack(band)

    def finish(self) -> list[str]:
        """Write the remaining pages; return the file names of all pages."""
        self._end_row()
        self._end_page()
        counts = ", ".join(f"{count} {status}" for status, count in self._counts.items())
        self._write(1, [_header(f"{self._title}: {counts}"), *self._first_page])
        return [_page_name(number) for number in range(1, max(self._n_pages, 1) + 1)]

    def _end_row(self) -> None:
        if self._row:
            self._stack(_clip_band(self._row))
            self._row = []

    def _stack(self, band: Image) -> None:
        self._page.append(band)
        if sum(len(stacked) for stacked in self._page) > PAGE_HEIGHT:
            self._end_page()

    def _end_page(self) -> None:
        if not self._page:
            return
        self._n_pages += 1
        if self._n_pages == 1:
            self._first_page = self._page
        else:
            self._write(self._n_pages, [_header(f"{self._title}, page {self._n_pages}"), *self._page])
        self._page = []

    def _write(self, number: int, bands: Sequence[Image]) -> None:
        (self._folder / _page_name(number)).write_bytes(encode(np.vstack(bands), ".png"))


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels, between words, or inside a word wider than a line (a path)."""
    lines = [""]
    for word in re.findall(r"\s*\S+", " ".join(visible(text).split())):
        if _width(lines[-1] + word) <= width:
            lines[-1] += word
            continue
        rest = word.lstrip()
        if lines[-1]:
            lines.append("")
        while rest:
            fitting = max(1, bisect_right(range(1, len(rest) + 1), width, key=lambda n: _width(rest[:n])))
            lines[-1], rest = rest[:fitting], rest[fitting:]
            if rest:
                lines.append("")
    return lines


def _page_name(number: int) -> str:
    return "contact_sheet.png" if number == 1 else f"contact_sheet-{number}.png"


def _header(title: str) -> Image:
    """Draw the title, what the images are, and what the colours mean."""
    colours = _text_band(["repaired, and how", "failed, and why: not in the store"], INK[OK], left=MARGIN + 28)
    for line, status in enumerate((REPAIRED, FAILED)):
        top = GAP // 2 + line * LINE_HEIGHT
        colours[top + 3 : top + 15, MARGIN : MARGIN + 20] = OUTLINE[status]
    return np.vstack([_text_band([title], INK[OK], scale=0.6), _text_band([LEGEND], INK[OK]), colours])


def _clip_band(row: Sequence[tuple[str, CroppedClip]]) -> Image:
    """Draw a row of clips, their wrapped labels above their images."""
    labels = [wrap(label, CELL_WIDTH) for label, _ in row]
    height = max(len(lines) for lines in labels) * LINE_HEIGHT + LINE_THICKNESS
    band = _blank(height + THUMB + GAP)
    for column, (lines, (_, clip)) in enumerate(zip(labels, row, strict=True)):
        left = MARGIN + column * (CELL_WIDTH + GAP)
        for number, line in enumerate(lines):
            top = height - LINE_THICKNESS - (len(lines) - number) * LINE_HEIGHT
            _write_line(band, line, left, top, INK[clip.status])
        drawn = draw_clip(clip, THUMB)
        corner = slice(height, height + THUMB), slice(left, left + CELL_WIDTH)
        band[corner] = np.hstack([drawn.landmarks, drawn.apex, drawn.difference])
        if clip.status in OUTLINE:
            # Around the images, not over their edges.
            corners = (left - 2, height - 2), (left + CELL_WIDTH + 1, height + THUMB + 1)
            cv2.rectangle(band, *corners, OUTLINE[clip.status], LINE_THICKNESS)
    return band


def _text_band(
    lines: Sequence[str], colour: tuple[int, int, int], left: int = MARGIN, scale: float = FONT_SCALE
) -> Image:
    band = _blank(GAP + len(lines) * LINE_HEIGHT)
    for number, line in enumerate(lines):
        _write_line(band, line, left, GAP // 2 + number * LINE_HEIGHT, colour, scale)
    return band


def _write_line(
    band: Image, text: str, left: int, top: int, colour: tuple[int, int, int], scale: float = FONT_SCALE
) -> None:
    cv2.putText(band, text, (left, top + LINE_HEIGHT - BASELINE), FONT, scale, colour, lineType=cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0])


def _blank(height: int) -> Image:
    return np.full((height, WIDTH, 3), PAPER, dtype=np.uint8)

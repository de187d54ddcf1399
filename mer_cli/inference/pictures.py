"""Draws the paper's figure 4: a clip, what differs between its frames, and the attention maps over the face, as PNG.

The same input gives the same bytes: matplotlib's own defaults and fonts, no time and no version in the file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.inference.grid import to_crop
from mer_cli.inference.truth import Regions
from mer_cli.store.clip_pictures import DIFFERENCE_GAIN, difference_image

PIXELS_PER_INCH = 112  # a panel is two inches wide, so that a crop pixel is one of the picture
PANEL, GAP, LEFT = 2.0, 0.08, 1.1  # inches
HEADING, BELOW = 0.75, 0.3  # inches above the panels for what is said of all, and of each; below them for the scale
COLOURS = "turbo"
OPACITY = 0.55  # of a map over the face
CONTOUR = "white"
GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma


@dataclass(frozen=True)
class PictureRow:
    """One row of panels.

    name : stands at its left
    first : what stands before the maps: heading and (224, 224, 3) uint8 RGB
    face : (224, 224, 3) uint8 RGB, drawn grey under the maps
    maps : for each block (S, S) in 0..1
    region : where the face really moved, drawn as a contour
    """

    name: str
    first: tuple[tuple[str, NDArray[np.uint8]], ...] = field(repr=False)
    face: NDArray[np.uint8] = field(repr=False)
    maps: tuple[NDArray[Any], ...] = field(repr=False)
    region: Regions | None = field(repr=False, default=None)


def clip_row(
    onset: NDArray[np.uint8], apex: NDArray[np.uint8], maps: tuple[NDArray[Any], ...], region: Regions | None
) -> PictureRow:
    """The row of one clip: onset, apex, their signed difference as the audit shows it, and the maps over the onset."""
    first = (
        ("onset", onset),
        ("apex", apex),
        (f"{DIFFERENCE_GAIN} x (apex - onset), grey 0", difference_image(onset, apex)),
    )
    return PictureRow("", first, onset, maps, region)


def mean_row(
    name: str, onset: NDArray[np.uint8], apex: NDArray[np.uint8], maps: tuple[NDArray[Any], ...]
) -> PictureRow:
    """The row of the mean over several clips, (N, ...) each: |apex - onset|, and the maps over the mean onset."""
    difference = np.abs(apex.astype(np.int16) - onset).mean(axis=(0, 3))  # (224, 224)
    shown = np.rint(255 * difference / max(difference.max(), 1e-9)).astype(np.uint8)
    face = np.rint(onset.mean(axis=0)).astype(np.uint8)
    first = (("mean |apex - onset|", np.repeat(shown[..., None], 3, axis=2)),)
    return PictureRow(name, first, face, tuple(block.mean(axis=0) for block in maps))


def draw_rows(title: Sequence[str], rows: Sequence[PictureRow]) -> bytes:
    """A picture of rows that have the same panels, as the bytes of a PNG.

    Parameters
    ----------
    title : lines above the panels
    """
    n_columns = len(rows[0].first) + len(rows[0].maps)
    left = LEFT if any(row.name for row in rows) else GAP
    width = left + n_columns * (PANEL + GAP)
    height = HEADING + len(rows) * (PANEL + BELOW) + GAP
    with matplotlib.rc_context(matplotlib.rcParamsDefault), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a label in a script that the font lacks shows boxes
        figure = Figure((width, height), dpi=PIXELS_PER_INCH)
        FigureCanvasAgg(figure)
        figure.text(GAP / width, 1 - GAP / height, "\n".join(title), va="top", fontsize=8, parse_math=False)
        for index, row in enumerate(rows):
            bottom = height - HEADING - (index + 1) * PANEL - index * BELOW
            axes = [
                figure.add_axes(
                    ((left + column * (PANEL + GAP)) / width, bottom / height, PANEL / width, PANEL / height)
                )
                for column in range(n_columns)
            ]
            _draw_row(row, axes, has_headings=index == 0)
            figure.text(GAP / width, (bottom + PANEL / 2) / height, row.name, va="center", fontsize=8, parse_math=False)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_row(row: PictureRow, axes: Sequence[Axes], *, has_headings: bool) -> None:
    plain, mapped = axes[: len(row.first)], axes[len(row.first) :]
    for panel, (heading, picture) in zip(plain, row.first, strict=True):
        _frame(panel, heading if has_headings else "")
        panel.imshow(picture, interpolation="nearest")
    face = row.face @ GREY
    for number, (panel, block) in enumerate(zip(mapped, row.maps, strict=True), start=1):
        _frame(panel, f"M{number}, {block.shape[0]} x {block.shape[0]}" if has_headings else "")
        panel.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        shown = to_crop(block)
        panel.imshow(shown, cmap=COLOURS, vmin=0, vmax=shown.max(), alpha=OPACITY, interpolation="nearest")
        panel.set_xlabel(f"0 to {shown.max():.2f}, mean {block.mean():.2f}", fontsize=7, labelpad=2)
        if row.region is not None:
            panel.contour(row.region, levels=[0.5], colors=CONTOUR, linewidths=1)
    if row.region is not None:
        plain[-1].contour(row.region, levels=[0.5], colors=CONTOUR, linewidths=1)


def _frame(panel: Axes, heading: str) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_xlim(-0.5, CROP_SIZE - 0.5)
    panel.set_ylim(CROP_SIZE - 0.5, -0.5)
    panel.set_title(heading, fontsize=8, pad=3)
    for side in panel.spines.values():
        side.set_visible(False)

"""Draw the paper's figure 4 for a run, as PNG files: one for each clip, and one of the class means.

Each row shows a clip, the difference between its frames, the planes of motion if the network sees them, and the maps
over the face: attention maps, or an attribution of the answer. The same input always
gives the same bytes: matplotlib's own defaults and fonts, no time and no version in the file.
"""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE
from mer_cli.inference.maps import Maps
from mer_cli.inference.truth import ATTENTION, ATTRIBUTION, Regions, to_crop
from mer_cli.runs.directory import Run
from mer_cli.store.contact_sheet import DIFFERENCE_GAIN, difference_image
from mer_cli.system.files import write_bytes

PIXELS_PER_INCH = 112  # a panel is two inches wide, so a crop pixel is one pixel of the image
PANEL, GAP, LEFT = 2.0, 0.08, 1.1  # inches
HEADING, BELOW = 0.75, 0.3  # inches above the panels for the title and headings; below them for the scale
COLOUR_MAP = "turbo"
OPACITY = 0.55  # of a map over the face
CONTOUR = "white"
GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
CLASS_MEANS = "class-means.png"
NAME_LENGTH = 80
CHARACTER = 0.064  # inches, the mean width of a character of the title
LINE = 0.145  # inches, the height of a line of the title
SHOWN = {
    ATTENTION: "Attention maps M1 to M4 over the {face}: blue is 0, red is the map's own maximum, printed below it.",
    ATTRIBUTION: "Attribution of the answer (input x SmoothGrad) over the {face}: how much of its lead over the "
    "other classes each place accounts for, compared with a face at rest. Blue is 0, red is the map's own maximum.",
}
SIGNED_MOTION = " u (to the right) and v (down) in pixels: red is positive, blue negative, white 0."
OTHER_MOTION = " {planes}: white is 0."
OUTLINE = " White line: where the face really moved."
SIGNED, UNSIGNED = "RdBu_r", "Purples"  # colours of a plane of motion


@dataclass(frozen=True)
class ImageRow:
    """A row of panels (small images side by side) in an image.

    name : text at its left
    first : the panels before the maps: heading and (224, 224, 3) uint8 RGB
    motion : the panels after them, the planes of motion by name: (224, 224), or (224, 224, 3) in 0..255
    face : (224, 224, 3) uint8 RGB, drawn grey under the maps
    maps : for each block (S, S) in 0..1; or the only map, (224, 224)
    region : where the face really moved, drawn as a contour
    """

    name: str
    first: tuple[tuple[str, NDArray[np.uint8]], ...] = field(repr=False)
    face: NDArray[np.uint8] = field(repr=False)
    maps: tuple[NDArray[Any], ...] = field(repr=False)
    region: Regions | None = field(repr=False, default=None)
    motion: Mapping[str, NDArray[np.float32]] = field(repr=False, default_factory=dict)


def clip_row(
    onset: NDArray[np.uint8],
    apex: NDArray[np.uint8],
    maps: tuple[NDArray[Any], ...],
    region: Regions | None,
    motion: Mapping[str, NDArray[np.float32]] | None = None,
) -> ImageRow:
    """Return the row of a clip: onset, apex, their signed difference as in the audit, motion, maps over the onset."""
    first = (
        ("onset", onset),
        ("apex", apex),
        (f"{DIFFERENCE_GAIN} x (apex - onset), grey 0", difference_image(onset, apex)),
    )
    return ImageRow("", first, onset, maps, region, motion or {})


def mean_row(name: str, onset: NDArray[np.uint8], apex: NDArray[np.uint8], maps: tuple[NDArray[Any], ...]) -> ImageRow:
    """Return a row of averages over N clips, the first axis of each array: |apex - onset|, maps over mean onset."""
    difference = np.abs(apex.astype(np.int16) - onset).mean(axis=(0, 3))  # (224, 224)
    shown = np.rint(255 * difference / max(difference.max(), 1e-9)).astype(np.uint8)
    face = np.rint(onset.mean(axis=0)).astype(np.uint8)
    first = (("mean |apex - onset|", np.repeat(shown[..., None], 3, axis=2)),)
    return ImageRow(name, first, face, tuple(block.mean(axis=0) for block in maps))


def draw_rows(title: Sequence[str], rows: Sequence[ImageRow]) -> bytes:
    """Draw rows that have the same panels, under the lines of a title; return the bytes of a PNG."""
    n_columns = len(rows[0].first) + len(rows[0].motion) + len(rows[0].maps)
    left = LEFT if any(row.name for row in rows) else GAP
    width = left + n_columns * (PANEL + GAP)
    lines = [part for line in title for part in textwrap.wrap(line, int((width - 2 * GAP) / CHARACTER))]
    heading = HEADING + max(len(lines) - 3, 0) * LINE
    height = heading + len(rows) * (PANEL + BELOW) + GAP
    with matplotlib.rc_context(matplotlib.rcParamsDefault), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a label in a script that the font lacks shows boxes
        figure = Figure((width, height), dpi=PIXELS_PER_INCH)
        FigureCanvasAgg(figure)
        figure.text(GAP / width, 1 - GAP / height, "\n".join(lines), va="top", fontsize=8, parse_math=False)
        for index, row in enumerate(rows):
            bottom = height - heading - (index + 1) * PANEL - index * BELOW
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


def _draw_row(row: ImageRow, axes: Sequence[Axes], *, has_headings: bool) -> None:
    n_plain, n_moved = len(row.first), len(row.motion)
    plain, moved, mapped = axes[:n_plain], axes[n_plain : n_plain + n_moved], axes[n_plain + n_moved :]
    for panel, (heading, image) in zip(plain, row.first, strict=True):
        _frame(panel, heading if has_headings else "")
        panel.imshow(image, interpolation="nearest")
    for panel, (name, plane) in zip(moved, row.motion.items(), strict=True):
        _frame(panel, name if has_headings else "")
        _draw_motion(panel, name, plane)
    face = row.face @ GREY
    for number, (panel, block) in enumerate(zip(mapped, row.maps, strict=True), start=1):
        is_whole = block.shape[-1] == CROP_SIZE
        heading = "attribution" if is_whole else f"M{number}, {block.shape[0]} x {block.shape[0]}"
        _frame(panel, heading if has_headings else "")
        panel.imshow(face, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        shown = to_crop(block)
        panel.imshow(shown, cmap=COLOUR_MAP, vmin=0, vmax=shown.max(), alpha=OPACITY, interpolation="nearest")
        panel.set_xlabel(f"0 to {shown.max():.2f}, mean {block.mean():.2f}", fontsize=7, labelpad=2)
        if row.region is not None:
            panel.contour(row.region, levels=[0.5], colors=CONTOUR, linewidths=1)
    if row.region is not None:
        plain[-1].contour(row.region, levels=[0.5], colors=CONTOUR, linewidths=1)


def _draw_motion(panel: Axes, name: str, plane: NDArray[np.float32]) -> None:
    """Draw a plane of motion, and its range below it; an image in colours as it is."""
    if plane.ndim == 3:
        panel.imshow(np.rint(plane).astype(np.uint8), interpolation="nearest")
        return
    low, high = float(plane.min()), float(plane.max())
    reach = max(abs(low), abs(high), 1e-9)
    is_signed = name in ("u", "v")
    panel.imshow(
        plane,
        cmap=SIGNED if is_signed else UNSIGNED,
        vmin=-reach if is_signed else 0,
        vmax=reach,
        interpolation="nearest",
    )
    if name != "patches":  # overlapping patches are added up, so they have no unit
        panel.set_xlabel(f"{low:.2f} to {high:.2f}", fontsize=7, labelpad=2)


def _frame(panel: Axes, heading: str) -> None:
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_xlim(-0.5, CROP_SIZE - 0.5)
    panel.set_ylim(CROP_SIZE - 0.5, -0.5)
    panel.set_title(heading, fontsize=8, pad=3)
    for side in panel.spines.values():
        side.set_visible(False)


def draw_clips(run: Run, found: Maps, clip_ids: Sequence[str], regions: Mapping[str, Regions], out: Path) -> list[Path]:
    """Draw the maps of clips into a folder, a PNG file for each clip; return the paths of the files.

    Parameters
    ----------
    clip_ids : the clips to draw, all among `found.clip_ids`
    regions : where the faces really moved, by clip id; empty if that is not known

    Raises
    ------
    RunError
        If a file can't be written.
    """
    drawn = []
    for clip_id in clip_ids:
        row = found.clip_ids.index(clip_id)
        maps = tuple(block[row] for block in found.maps)
        title = (
            f"{clip_id}, {run.class_names[run.labels[clip_id]]}. {_verdict(run, clip_id)}",
            _origin(run),
            SHOWN[found.kind].format(face="onset") + _motion_text(found.motion) + (OUTLINE if regions else ""),
        )
        motion = {name: planes[row] for name, planes in found.motion.items()}
        row_drawn = clip_row(found.onset[row], found.apex[row], maps, regions.get(clip_id), motion)
        drawn.append(out / file_name(clip_id))
        write_bytes(drawn[-1], draw_rows(title, [row_drawn]))
    return drawn


def _motion_text(names: Iterable[str]) -> str:
    """Return what the colours of planes of motion mean; a dynamic image has its own."""
    signed = [name for name in names if name in ("u", "v")]
    others = [name for name in names if name not in ("u", "v", "dynamic")]
    text = SIGNED_MOTION if signed else ""
    return text + (OTHER_MOTION.format(planes=" and ".join(others).capitalize()) if others else "")


def draw_class_means(run: Run, found: Maps, out: Path) -> Path:
    """Draw the average maps of each true class, over all clips of `found`, into a file in `out`; return its path.

    Raises
    ------
    RunError
        If the file can't be written.
    """
    rows_drawn = []
    for label, class_name in enumerate(run.class_names):
        rows = [row for row, clip_id in enumerate(found.clip_ids) if run.labels[clip_id] == label]
        if rows:
            maps = tuple(block[rows] for block in found.maps)
            name = f"{class_name}\n{len(rows)} clips"
            rows_drawn.append(mean_row(name, found.onset[rows], found.apex[rows], maps))
    title = (
        "Means over the clips of each true class, each clip's maps from the fold that held it out.",
        _origin(run),
        SHOWN[found.kind].format(face="mean onset"),
    )
    write_bytes(out / CLASS_MEANS, draw_rows(title, rows_drawn))
    return out / CLASS_MEANS


def one_of_each_class(run: Run) -> tuple[str, ...]:
    """Return the first clip id of each class that is classified correctly after the last epoch, if there is any."""
    by_label: dict[int, str] = {}
    for clip_id, probabilities in sorted(_last_probabilities(run).items()):
        label = run.labels[clip_id]
        if probabilities.argmax() == label:
            by_label.setdefault(label, clip_id)
    return tuple(by_label[label] for label in sorted(by_label))


def file_name(clip_id: str) -> str:
    """Return the name of a clip's image, "casme2-01-EP02_01f.png", with a hash if characters were replaced or cut."""
    name = re.sub(r"[^A-Za-z0-9._]", "-", clip_id)[:NAME_LENGTH]
    if re.fullmatch(r"[A-Za-z0-9._]+/[A-Za-z0-9._]+/[A-Za-z0-9._]+", clip_id) and len(clip_id) <= NAME_LENGTH:
        return f"{name}.png"
    return f"{name}-{hashlib.sha256(clip_id.encode()).hexdigest()[:8]}.png"


def _verdict(run: Run, clip_id: str) -> str:
    probabilities = _last_probabilities(run)[clip_id]
    predicted = int(probabilities.argmax())
    return (
        f"The network of fold {run.fold_of[clip_id]}, which held it out, said after its last epoch: "
        f"{run.class_names[predicted]} ({probabilities[predicted]:.0%}), "
        f"{'right' if predicted == run.labels[clip_id] else 'wrong'}."
    )


def _origin(run: Run) -> str:
    generated = " Generated faces: nothing here is a result on the dataset." if run.config.generated else ""
    return f"Run {run.config.run_name}, {run.config.protocol_id}, {run.config.protocol()}.{generated}"


def _last_probabilities(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return the class probabilities of the clips of finished folds after the last epoch, by clip id."""
    found = {}
    for fold in run.folds:
        for clip_id, logits in zip(fold.clip_ids, fold.logits[-1].astype(np.float64), strict=True):
            powers = np.exp(logits - logits.max())
            found[clip_id] = powers / powers.sum()
    return found

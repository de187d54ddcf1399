"""The releases that can be generated, by the dataset's name, and the one call that writes any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mer_cli.datasets.synthetic import (
    casme2_release,
    casme3_release,
    casme_release,
    mmew_release,
    samm_release,
    smic_release,
)
from mer_cli.datasets.synthetic.clip import Draw, draw_faces
from mer_cli.datasets.synthetic.layout import GeneratedLayout
from mer_cli.datasets.synthetic.writer import write_plans
from mer_cli.errors import DatasetError, unknown_name

LAYOUTS: Mapping[str, GeneratedLayout] = {
    layout.name: layout
    for layout in (
        casme2_release.LAYOUT,
        samm_release.LAYOUT,
        mmew_release.LAYOUT,
        smic_release.LAYOUT,
        smic_release.LONG_LAYOUT,
        casme3_release.LAYOUT,
        casme_release.LAYOUT,
    )
}


def write_release(
    dataset: str,
    out: Path,
    *,
    subjects: int | None = None,
    clips: int | None = None,
    seed: int = 0,
    intensity: float = 1.0,
    emotions: Sequence[str] | None = None,
    on_clip: Callable[[int, int], None] | None = None,
    draw: Draw = draw_faces,
    workers: int | None = None,
) -> Path:
    """Writes a generated release; the default has the real one's size and counts.

    Parameters
    ----------
    dataset : a name of `LAYOUTS`
    subjects, clips : how many, the clips of all subjects together; None takes the real release's
    intensity : factor on the motion; 1 peaks at 1-3 pixels of a 224 crop
    emotions : only these, in equal numbers
    on_clip : told the number of clips done and in all
    draw : makes the pictures; must be picklable where several processes work
    workers : processes; one works in this process, None takes one for each core

    Returns
    -------
    The release's root, `out`

    Raises
    ------
    ConfigError
        If a value can't be used.
    DatasetError
        If the dataset is unknown, or `out` holds other files.
    """
    if dataset not in LAYOUTS:
        raise DatasetError(unknown_name("dataset", dataset, LAYOUTS))
    layout = LAYOUTS[dataset]
    plans = layout.plan(subjects=subjects, clips=clips, seed=seed, intensity=intensity, emotions=emotions)
    write_plans(out, layout, plans, seed, draw, workers, on_clip)
    return out

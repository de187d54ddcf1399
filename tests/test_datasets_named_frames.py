"""Clips of which only the images of onset and apex were kept, named after them."""

from __future__ import annotations

import pytest
from photo_release import head, write_picture

from mer_cli.datasets.registry import load_release

HEADER = "subject,clip,onset,apex,offset,label,path\n"


def load(root, cells, *names):
    for name in names:
        write_picture(root / "p1" / "c1" / name, head())
    (root / "lab.csv").write_text(f"{HEADER}p1,c1,{cells},happiness,p1/c1\n", encoding="utf-8")
    (clip,) = load_release("table", root, source=None, apex_rule="flow", table=root / "lab.csv").clips
    return clip


@pytest.mark.parametrize(
    ("cells", "names", "numbers"),
    [
        (",,", ("onset.jpg", "apex.jpg"), (1, 8, 8)),
        ("46,59,86", ("onset.jpg", "apex.jpg"), (46, 59, 59)),
        ("46,59,86", ("onset.jpg", "apex.jpg", "offset.jpg"), (46, 59, 86)),
        ("46,59,", ("onset.jpg", "apex.jpg", "offset.jpg"), (1, 8, 15)),
        ("59,46,86", ("onset.jpg", "apex.jpg"), (1, 8, 8)),
        ("46,,86", ("onset.jpg", "apex.jpg"), (1, 8, 8)),
    ],
)
def test_images_named_onset_and_apex_are_the_onset_and_apex(tmp_path, cells, names, numbers):
    clip = load(tmp_path, cells, *names)
    assert (clip.onset, clip.apex, clip.offset) == numbers
    shown = {frame.number: frame.path.name for frame in clip.frames}
    assert (shown[clip.onset], shown[clip.apex]) == ("onset.jpg", "apex.jpg")
    assert (clip.apex_rule, clip.repairs) == ("annotated", ())
    assert clip.notes == (f"images taken by their names: {', '.join(names)}",)

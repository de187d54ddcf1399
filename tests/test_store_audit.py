"""The audit's files: which are there, their pictures, and what a second audit leaves of the first."""

import csv
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_store import EMOTIONS, make_clip

from mer_cli.records import FailedClip
from mer_cli.store.audit import Audit, place_audit
from mer_cli.store.contact_sheet import (
    DOT,
    FONT,
    FONT_SCALE,
    OUTLINE,
    THUMB,
    ContactSheet,
    difference_image,
    draw_clip,
    wrap,
)

ATTRIBUTES = {
    "dataset": "casme2",
    "table": "CASME2-coding-20190701.xlsx",
    "table_version": "20190701",
    "table_sha256": "ab" * 32,
    "source": "raw",
    "generated": False,
    "crop": {"align": "box"},
    "errata": ("casme2/04/EP12_01f: apex / set to 291.",),
}
FAILED = FailedClip("casme2/03/EP09_09", "others", "row 7: no folder. Unpack it again.")


def clip_of(clip_id, emotion="disgust", **columns):
    clip = make_clip(clip_id, emotion)
    return replace(clip, columns=clip.columns | columns)


def black_clip(points):
    """A clip of black pictures whose landmarks come to `points` of the crop, by a transform that halves and shifts."""
    clip = clip_of("casme2/01/EP01")
    transform = np.array([[0.5, 0, -10], [0, 0.5, -20]], np.float32)
    landmarks = (np.asarray(points, np.float32) + np.float32([10, 20])) / np.float32(0.5)
    windows = {name: np.zeros_like(clip.arrays[name]) for name in ("onset_window", "apex_window")}
    return replace(clip, arrays=clip.arrays | windows | {"landmarks": landmarks, "transforms": transform})


def spread_points():
    """68 points over the crop, none near another."""
    return np.array([(12 + 25 * (k % 9), 12 + 25 * (k // 9)) for k in range(68)], np.float32)


def write_audit(folder, clips, failed=(), **attributes):
    folder.mkdir()
    audit = Audit(folder, ATTRIBUTES | attributes)
    for entry in failed:
        audit.add_failed(entry, None)
    for clip in clips:
        audit.add(clip)
    audit.finish()
    return folder


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def dots_in(picture):
    """Places of the dots' colour, (n, 2) as (x, y)."""
    return np.argwhere((np.abs(picture.astype(int) - DOT) < 40).all(axis=2))[:, ::-1]


def test_draw_clip_puts_a_dot_on_each_landmark_and_nowhere_else():
    points = spread_points()
    picture = draw_clip(black_clip(points), 224).landmarks
    for x, y in points.astype(int):
        assert np.abs(picture[y, x].astype(int) - DOT).max() < 40, (x, y)
    nearest = np.linalg.norm(dots_in(picture)[:, None] - points[None], axis=2).min(axis=1)
    assert len(nearest) >= 68 * 4  # each covers a few pixels
    assert nearest.max() < 2


def test_draw_clip_leaves_the_onset_itself_without_dots():
    drawn = draw_clip(black_clip(spread_points()), 224)
    assert not drawn.onset.any()
    assert drawn.landmarks.any()


def test_draw_clip_draws_nothing_for_landmarks_outside_the_crop():
    far = np.full((68, 2), 1e12, np.float32)
    far[0] = (-300, 100)
    far[1] = np.nan
    assert not draw_clip(black_clip(far), 224).landmarks.any()


def test_draw_clip_follows_a_transform_that_turns():
    clip = black_clip(spread_points())
    turn = np.array([[0, -0.5, 220], [0.5, 0, 3]], np.float32)
    landmarks = clip.arrays["landmarks"] % 400
    picture = draw_clip(replace(clip, arrays=clip.arrays | {"landmarks": landmarks, "transforms": turn}), 224).landmarks
    expected = np.stack([220 - landmarks[:, 1] / 2, 3 + landmarks[:, 0] / 2], axis=1)
    assert np.linalg.norm(dots_in(picture)[:, None] - expected[None], axis=2).min(axis=1).max() < 2.5


def test_difference_image_is_grey_where_nothing_moved_and_five_times_as_strong_elsewhere():
    onset = np.array([[[100, 100, 100], [100, 0, 255]]], np.uint8)
    apex = np.array([[[100, 110, 90], [200, 0, 0]]], np.uint8)
    assert difference_image(onset, apex).tolist() == [[[128, 178, 78], [255, 128, 0]]]


def test_contact_sheet_shows_landmarks_in_place_at_its_own_size(tmp_path):
    points = spread_points()
    write_audit(tmp_path / "a", [black_clip(points)])
    page = cv2.imread(str(tmp_path / "a" / "contact_sheet.png"))[..., ::-1]
    # The clip's first two pictures are black: their corner is the first black pixel far to the left.
    top = next(y for y in range(len(page)) if not page[y, 12 + THUMB : 12 + 2 * THUMB].any())
    cell = page[top : top + THUMB, 12 : 12 + THUMB]
    expected = (points + 0.5) * THUMB / 224 - 0.5
    found = dots_in(cell)
    assert len(found) >= 68
    assert np.linalg.norm(found[:, None] - expected[None], axis=2).min(axis=1).max() < 1.5
    assert np.linalg.norm(found[:, None] - expected[None], axis=2).min(axis=0).max() < 1.5
    assert len(dots_in(page)) == len(found)


@pytest.mark.parametrize(("status", "n_outlined"), [("ok", 0), ("repaired", 1)])
def test_contact_sheet_outlines_repaired_clips_only(tmp_path, status, n_outlined):
    sheet = ContactSheet(tmp_path, "casme2")
    sheet.add("01/EP01", clip_of("casme2/01/EP01", status=status))
    assert sheet.finish() == ["contact_sheet.png"]
    page = cv2.imread(str(tmp_path / "contact_sheet.png"))[..., ::-1]
    rows_of_frame = (page == OUTLINE["repaired"]).all(axis=2).sum(axis=1) > 3 * THUMB
    edges = np.flatnonzero(np.diff(rows_of_frame.astype(int)) == 1)
    assert len(edges) == 2 * n_outlined


def test_contact_sheet_starts_a_page_where_one_is_full_and_counts_on_the_first(tmp_path):
    sheet = ContactSheet(tmp_path, "casme2")
    clip = clip_of("casme2/01/EP01")
    for _ in range(70):
        sheet.add("x", clip)
    assert sheet.finish() == ["contact_sheet.png", "contact_sheet-2.png"]
    heights = [len(cv2.imread(str(tmp_path / name))) for name in ("contact_sheet.png", "contact_sheet-2.png")]
    assert heights[0] > 3000 > heights[1]


def test_contact_sheet_lists_only_the_first_few_hundred_failures_but_counts_all(tmp_path):
    sizes = {}
    for n_failed in (300, 301, 5000):
        sheet = ContactSheet(tmp_path, "casme2")
        for _ in range(n_failed):
            sheet.add_failed("09/EP01 others failed: row 7: no folder.")
        pages = [cv2.imread(str(tmp_path / name)) for name in sheet.finish()]
        sizes[n_failed] = sum(map(len, pages))
    assert sizes[300] < sizes[301] == sizes[5000]


@pytest.mark.parametrize(
    "text",
    ["short", "a " * 400, "see /media/" + "very_long_folder/" * 30 + "img1.jpg: empty.", "", "tab\tand\nline"],
    ids=["short", "words", "path", "empty", "white space"],
)
def test_wrap_keeps_every_word_and_no_line_is_wider_than_asked(text):
    lines = wrap(text, 300)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert max(cv2.getTextSize(line, FONT, FONT_SCALE, 1)[0][0] for line in lines) <= 300


def test_audit_holds_a_page_for_each_subject_a_picture_for_each_clip_and_the_table(tmp_path):
    clips = [clip_of(clip_id, emotion) for clip_id, emotion in EMOTIONS.items()]
    files = files_in(write_audit(tmp_path / "a", clips, [FAILED]))
    names = [re.sub(r"-[0-9a-f]{10}\.jpg$", "-#.jpg", name) for name in files]
    assert names == [
        "audit.csv",
        "clips/casme2_01_EP01_01-#.jpg",
        "clips/casme2_01_EP02_01-#.jpg",
        "clips/casme2_02_EP01_01-#.jpg",
        "clips/casme2_02_EP02_01-#.jpg",
        "clips/casme2_03_EP01_01-#.jpg",
        "contact_sheet.png",
        "files.txt",
        "index.html",
        "subject-01.html",
        "subject-02.html",
        "subject-03.html",
    ]
    rows = list(csv.DictReader(files["audit.csv"].decode().splitlines()))
    assert rows[0] == {
        "clip_id": "casme2/03/EP09_09",
        "emotion": "others",
        "onset": "",
        "apex": "",
        "offset": "",
        "status": "failed",
        "note": "row 7: no folder. Unpack it again.",
        "detector": "",
        "picture": "",
        "generated": "false",
    }
    assert [row["picture"] in files for row in rows[1:]] == [True] * 5
    strip = cv2.imdecode(np.frombuffer(files[rows[1]["picture"]], np.uint8), cv2.IMREAD_COLOR)
    assert strip.shape == (224, 4 * 224, 3)
    onset = clips[0].arrays["onset_window"][3][..., ::-1].astype(int)
    assert np.abs(strip[:, 224:448].astype(int) - onset).mean() < 8  # as much as JPEG loses on hard edges


def test_audit_of_the_same_clips_has_the_same_bytes(tmp_path):
    clips = [clip_of(clip_id, emotion) for clip_id, emotion in EMOTIONS.items()]
    first, second = (files_in(write_audit(tmp_path / name, clips, [FAILED])) for name in "ab")
    assert first == second


def test_audit_keeps_clips_apart_whose_ids_differ_in_case_or_in_what_no_file_name_holds(tmp_path):
    ids = ["casme2/01/EP01", "casme2/01/ep01", "casme2/01/EP 01", "casme2/01/EP?01", "casme2/01/../../x"]
    names = [name.casefold() for name in files_in(write_audit(tmp_path / "a", [clip_of_id(i) for i in ids]))]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("clips/") for name in names) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def clip_of_id(clip_id):
    """A clip whose name may hold anything."""
    clip = clip_of("casme2/01/EP01")
    return replace(clip, columns=clip.columns | {"id": clip_id})


def test_a_drawing_that_fails_is_not_passed_over(tmp_path):
    clip = clip_of("casme2/01/EP01")
    (tmp_path / "a").mkdir()
    audit = Audit(tmp_path / "a", ATTRIBUTES)
    (tmp_path / "a" / "clips").rmdir()
    audit.add(clip)
    with pytest.raises(FileNotFoundError, match=r"casme2_01_EP01"):
        audit.finish()


def test_place_audit_takes_away_what_an_earlier_audit_wrote_and_nothing_else(tmp_path):
    target = tmp_path / "audit"
    place_audit(write_audit(tmp_path / "a", [clip_of("casme2/01/EP01"), clip_of("casme2/09/EP02")]), target)
    foreign = ["subject-notes.html", "clips/mine.jpg", "contact_sheet-old.png"]
    for name in foreign:
        (target / name).write_text("mine")
    place_audit(write_audit(tmp_path / "b", [clip_of("casme2/01/EP01")]), target)
    names = sorted(files_in(target))
    assert [name for name in names if "_09_" in name or "subject-09" in name] == []
    assert set(foreign) < set(names)
    kept = files_in(target)
    assert {name: text for name, text in kept.items() if name not in foreign} == files_in(
        write_audit(tmp_path / "c", [clip_of("casme2/01/EP01")])
    )


def test_place_audit_takes_no_file_away_that_is_none_of_an_audit_whatever_the_list_says(tmp_path):
    target = tmp_path / "audit"
    place_audit(write_audit(tmp_path / "a", [clip_of("casme2/01/EP01")]), target)
    (tmp_path / "thesis.txt").write_text("mine")
    (target / "notes.txt").write_text("mine")
    with (target / "files.txt").open("a") as file:
        file.write("../thesis.txt\nnotes.txt\nclips/../../thesis.txt\n")
    place_audit(write_audit(tmp_path / "b", [clip_of("casme2/01/EP01")]), target)
    assert (tmp_path / "thesis.txt").exists()
    assert (target / "notes.txt").exists()


def test_memory_does_not_grow_with_the_clips(tmp_path):
    code = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_store_audit import ATTRIBUTES, clip_of
from mer_cli.store.audit import Audit
audit = Audit(Path({str(tmp_path)!r}), ATTRIBUTES)
for k in range(300):
    audit.add(clip_of(f"casme2/{{k // 10:02d}}/EP{{k}}"))
    if k == 150:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
audit.finish()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after_150, after_300 = map(int, done.stdout.split())
    assert after_300 - after_150 < 20 * 1024  # KiB; 150 clips are 300 MiB, their drawn pictures 90 MiB

"""The pictures of `mer explain`: the same bytes for the same maps, every map where it belongs, names that are safe."""

import re

import cv2
import matplotlib
import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.inference.gallery import (
    CLASS_MEANS,
    clip_row,
    draw_class_means,
    draw_clips,
    draw_rows,
    file_name,
    mean_row,
    one_of_each_class,
)
from mer_cli.inference.maps import Maps
from mer_cli.inference.truth import measure_runs
from mer_cli.runs.directory import read_run

SIZES = (112, 56, 28, 14)
RED, BLUE = (0, 0), (13, 13)  # rows and columns of 14x14


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


def face(shade):
    return np.full((224, 224, 3), shade, np.uint8)


def corner_maps():
    """Maps whose upper left quarter is 1 and whose rest is 0."""
    maps = []
    for size in SIZES:
        block = np.zeros((size, size), np.float32)
        block[: size // 2, : size // 2] = 1
        maps.append(block)
    return tuple(maps)


def panels(png, n_panels):
    """The panels of a picture of one row: what lies between the white gaps, each as wide as the crop."""
    shown = pixels(png)
    heading = 75
    is_gap = (shown[heading + 30 : -40] == 255).all(axis=(0, 2))
    starts = np.flatnonzero(is_gap[:-1] & ~is_gap[1:]) + 1
    assert len(starts) == n_panels
    return [shown[heading:, start : start + 224] for start in starts]


def attention_of(run, seed=0):
    rng = np.random.default_rng(seed)
    ids = tuple(sorted(run.labels))
    maps = tuple(rng.random((len(ids), size, size), np.float32) for size in SIZES)
    onset, apex = rng.integers(0, 256, (2, len(ids), 224, 224, 3), dtype=np.uint8)
    return Maps(ids, maps, onset, apex)


def test_the_same_input_gives_the_same_bytes_and_nothing_of_when_or_by_what(monkeypatch):
    row = clip_row(face(90), face(120), corner_maps(), None)
    first = draw_rows(["a title"], [row])
    monkeypatch.setitem(matplotlib.rcParams, "figure.facecolor", "red")  # a user's own matplotlibrc
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    assert draw_rows(["a title"], [row]) == first
    assert draw_rows(["another"], [row]) != first
    assert not re.search(rb"tEXt|tIME|Software|[Mm]atplotlib", first)


def test_maps_lie_over_the_face_the_right_way_round():
    shown = panels(draw_rows(["title"], [clip_row(face(90), face(100), corner_maps(), None)]), 7)
    for panel in shown[3:]:
        upper_left, upper_right, lower_left = panel[30, 30], panel[30, 190], panel[190, 30]
        assert upper_left[0] > upper_left[2] + 50  # red is the map's maximum
        assert upper_right[0] < upper_left[0] - 40  # blue is 0
        np.testing.assert_array_equal(upper_right, lower_left)
    assert shown[2][100, 100].tolist() == [178] * 3  # 128 + 5 * 10


def test_frames_are_shown_as_they_are():
    onset = face(0)
    onset[10:40, 150:200] = (255, 128, 0)
    shown = panels(draw_rows(["title"], [clip_row(onset, face(7), corner_maps(), None)]), 7)
    top = int(np.flatnonzero((shown[1] == 7).all(axis=2)[:, 100])[0])
    picture = shown[0][top : top + 224]
    assert np.abs(picture[12:38, 152:198] - (255, 128, 0)).max() <= 1
    assert picture[60:, :].max() == 0


def test_the_truth_is_outlined_on_the_difference_and_the_maps_only():
    region = np.zeros((224, 224), bool)
    region[60:120, 60:160] = True
    row = clip_row(face(90), face(90), corner_maps(), region)
    plain = panels(draw_rows(["title"], [clip_row(face(90), face(90), corner_maps(), None)]), 7)
    outlined = panels(draw_rows(["title"], [row]), 7)
    differs = [np.abs(one - other).max(axis=2) > 60 for one, other in zip(plain, outlined, strict=True)]
    assert [bool(changed.any()) for changed in differs] == [False, False, True, True, True, True, True]
    rows, columns = np.nonzero(differs[2])
    assert (np.ptp(rows), np.ptp(columns)) == (pytest.approx(60, abs=3), pytest.approx(100, abs=3))


def test_class_means_average_maps_and_differences():
    onset, apex = np.stack([face(10), face(10)]), np.stack([face(10), face(10)])
    apex[0, :112] = 30  # twice as far in the upper half, the other way in the second clip
    apex[1, :112], apex[1, 112:] = 0, 0
    row = mean_row("positive", onset, apex, tuple(np.stack([block, 0 * block]) for block in corner_maps()))
    ((heading, difference),) = row.first
    assert heading == "mean |apex - onset|"
    assert (difference[0, 0].tolist(), difference[-1, 0].tolist()) == ([255] * 3, [85] * 3)
    assert [float(block.max()) for block in row.maps] == [0.5] * 4


def test_one_clip_of_each_class_is_one_that_the_network_has_right(tmp_path):
    run = read_run(write_run(tmp_path, skill=0.3, subjects=8))
    chosen = one_of_each_class(run)
    assert [run.labels[clip_id] for clip_id in chosen] == sorted(set(run.labels.values()))
    last = {clip: int(fold.logits[-1, row].argmax()) for fold in run.folds for row, clip in enumerate(fold.clip_ids)}
    for clip_id in chosen:
        right = [clip for clip in sorted(last) if last[clip] == run.labels[clip] == run.labels[clip_id]]
        assert clip_id == right[0]


def test_every_clip_has_a_file_and_the_means_one_of_all(tmp_path):
    run = read_run(write_run(tmp_path / "runs", generated=True))
    out = tmp_path / "out"
    attention = attention_of(run)
    drawn = draw_clips(run, attention, ["casme2/02/EP01", "casme2/01/EP00"], {}, out)
    drawn.append(draw_class_means(run, attention, out))
    assert [path.name for path in drawn] == ["casme2-02-EP01.png", "casme2-01-EP00.png", CLASS_MEANS]
    assert sorted(out.iterdir()) == sorted(drawn)
    assert drawn[0].read_bytes() != drawn[1].read_bytes()
    assert pixels(drawn[2].read_bytes()).shape[0] > 3 * 224


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    run = read_run(write_run(tmp_path / "runs"))
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match=r"out/class-means\.png: cannot be written"):
        draw_class_means(run, attention_of(run), tmp_path / "out")


@pytest.mark.parametrize(
    ("clip_id", "pattern"),
    [
        ("casme2/05/EP03_02", r"casme2-05-EP03_02\.png"),
        ("mmew/S01/S01-01-001", r"mmew-S01-S01-01-001-[0-9a-f]{8}\.png"),
        ("table/../a b", r"table-\.\.-a-b-[0-9a-f]{8}\.png"),
        ("table/Ä/中", r"table-----[0-9a-f]{8}\.png"),
        ("table/1/" + "x" * 300, r"table-1-x{72}-[0-9a-f]{8}\.png"),
    ],
)
def test_file_names_are_safe(clip_id, pattern):
    assert re.fullmatch(pattern, file_name(clip_id))


def test_clips_that_look_alike_have_different_files():
    assert len({file_name(clip_id) for clip_id in ("a/b-c/d", "a/b/c-d", "a/b/c d", "a-b/c/d")}) == 4


def test_a_label_in_another_script_or_with_dollars_is_drawn(recwarn):
    row = mean_row("惊讶 $x$ \\frac", face(3)[None], face(9)[None], tuple(block[None] for block in corner_maps()))
    assert draw_rows(["$a_b$ 惊"], [row]).startswith(b"\x89PNG")
    assert not recwarn.list


def test_clips_in_which_nothing_could_be_found_are_in_no_number(tmp_path):
    run = read_run(write_run(tmp_path, generated=True))
    attention = attention_of(run)
    attention.apex[1] = attention.onset[1]
    regions = {clip_id: np.zeros((224, 224), bool) for clip_id in attention.clip_ids}
    for clip_id in attention.clip_ids[:-1]:
        regions[clip_id][:50] = True
    still, flat = attention.clip_ids[-1], attention.clip_ids[1]
    measured = measure_runs([run], [attention], regions)
    assert measured.left_out == (
        f"{flat} is left out of the numbers: its onset and apex are the same image in the store",
        f"{still} is left out of the numbers: nothing moved in its crop",
    )
    assert set(measured.clip_ids) == set(attention.clip_ids) - {still, flat}
    np.testing.assert_allclose(measured.areas, 50 / 224)
    regions = {clip_id: np.zeros((224, 224), bool) for clip_id in attention.clip_ids}
    with pytest.raises(
        RunError, match=r"only 0 of \d+ clips can be scored against the truth, .* At least 2 are needed"
    ):
        measure_runs([run], [attention], regions)

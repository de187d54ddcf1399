"""One's own clips from a CSV: folders of frames and videos, and what people type into such a table."""

import csv
from pathlib import Path

import pytest
from fake_dataset import write_frames, write_video

from mer_cli.datasets.registry import load_release
from mer_cli.errors import DatasetError

HEADER = "subject,clip,onset,apex,offset,label,path"


def load(root, *lines, name="mylab.csv", header=HEADER, **options):
    table = root / name
    table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return load_release("table", root, table=table, **options)


def reason(root, line, **options):
    write_frames(root / "p01/smile", range(10, 31))
    release = load(root, line, **options)
    assert release.clips == ()
    return release.failed[0].reason


def test_folders_and_videos_become_clips(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31), "frame_{:04d}.png")
    write_video(tmp_path / "videos/p02.avi", n_frames=40)
    release = load(
        tmp_path,
        "p01,smile,12,20,28,happy,p01/smile",
        "p02,frown,5,,30,angry,videos/p02.avi",
        "p02,blink,31,35,39,happy,videos\\p02.avi",
    )
    assert (release.dataset, release.source, release.table_version, release.failed) == ("mylab", "raw", "", ())
    blink, frown, smile = sorted(release.clips, key=lambda clip: clip.name)
    assert smile.clip_id == "mylab/p01/smile"
    assert (smile.onset, smile.apex, smile.offset, smile.apex_rule, smile.emotion) == (12, 20, 28, "annotated", "happy")
    assert smile.frames[0].path.name == "frame_0010.png"
    assert (frown.onset, frown.apex, frown.offset, frown.apex_rule) == (5, 17, 30, "flow")
    assert {frame.path.name for frame in (*frown.frames, *blink.frames)} == {"p02.avi"}
    assert [frame.number for frame in blink.frames] == list(range(21, 41))


def test_a_blank_onset_and_offset_are_the_first_and_last_frame(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31))
    (clip,) = load(tmp_path, "p01,smile,,,,happy,p01/smile", apex_rule="midpoint").clips
    assert (clip.onset, clip.apex, clip.offset, clip.apex_rule, clip.repairs) == (10, 20, 30, "midpoint", ())


def test_columns_may_come_in_any_order_with_units_and_frame_rate(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31))
    header = "Path;Label;Subject;Clip;Onset;Offset;fps;action_units;remarks"
    (clip,) = load(tmp_path, "p01/smile;happy;p01;smile;10;30;120;6+12;nice", header=header).clips
    assert (clip.fps, clip.action_units, clip.apex_rule) == (120.0, "6+12", "flow")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31))
    table = tmp_path / "mylab.csv"
    table.write_bytes(f"\ufeff{HEADER}\r\np01,smile,12,20,28,happy,p01\\smile\r\n".encode())
    assert load_release("table", tmp_path, table=table).clips[0].onset == 12


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "p01,smile,12,20,28,happy,p01/grin",
            "row 2: path 'p01/grin' is neither a folder nor a video in {root}. Correct the table.",
        ),
        (
            "p01,smile,12,20,28,happy,mylab.csv",
            "row 2: path 'mylab.csv' is neither a folder nor a video in {root}. Correct the table.",
        ),
        (
            "p01,smile,12,20,28,happy,../secret",
            "row 2: {root}/../secret leads out of the release, to {parent}/secret. Copy the frames into {root}.",
        ),
        ("p01,smile,12,20,28,,p01/smile", "row 2: the label is blank. Fill it in."),
        (
            "p01,a/b,12,20,28,happy,p01/smile",
            "row 2: the clip name 'a/b' is not a folder name and would lead out of the release. Expected a name like "
            "'smile_1'. Correct the table.",
        ),
        (
            ",smile,12,20,28,happy,p01/smile",
            "row 2: the subject is blank. Probably its cell was merged with others: only the first row of a merged "
            "cell holds its value. Unmerge the cells, and write the subject into every row.",
        ),
        (
            "p01,smile,first,20,28,happy,p01/smile",
            "row 2: onset 'first' is not a frame number. Expected a whole number. Correct the table.",
        ),
    ],
)
def test_a_row_that_cannot_be_used_fails_with_its_number(tmp_path, line, expected):
    root = tmp_path / "lab"
    root.mkdir()
    assert reason(root, line) == expected.format(root=root, parent=tmp_path)


def test_an_absolute_path_may_not_leave_the_folder(tmp_path):
    write_frames(tmp_path / "elsewhere", range(3))
    write_frames(tmp_path / "lab/p01/smile", range(3))
    assert len(load(tmp_path / "lab", f"p01,smile,,,,happy,{tmp_path}/lab/p01/smile").clips) == 1
    assert "leads out of the release" in reason(tmp_path / "lab", f"p01,smile,1,2,3,happy,{tmp_path}/elsewhere")


@pytest.mark.parametrize("name", ["samm.csv", "Table.csv", "---.csv"])
def test_a_table_named_like_a_known_dataset_is_refused(tmp_path, name):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, "p01,smile,12,20,28,happy,p01/smile", name=name)
    dataset = name.removesuffix(".csv").casefold().strip("-")
    assert str(error.value) == (
        f"{tmp_path / name}: the dataset, named after the file, would be '{dataset}'. Expected a name other than "
        "casme2, samm, mmew, smic, casme3, casme, dfme, casme3c, 4dme, table. Rename the file, for example to "
        "mylab.csv."
    )


def test_a_missing_folder_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(DatasetError, match="no such folder. Give the folder that the table's paths start in"):
        load_release("table", tmp_path / "none", table=tmp_path / "x.csv")
    with pytest.raises(DatasetError, match="row 1: no column 'label'; found subject, clip, onset, emotion, offset, "):
        load(tmp_path, "p01,smile,12,happy,28,p01/smile", header="subject,clip,onset,emotion,offset,path")


def test_a_frame_rate_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, "p01,smile,12,28,happy,p01/smile,30 fps", header="subject,clip,onset,offset,label,path,fps")
    assert str(error.value) == (
        f"{tmp_path}/mylab.csv: row 2: fps '30 fps' is not a number. Expected frames per second, such as 200, or a "
        "blank cell. Correct the table."
    )


def test_a_table_with_tabs_may_be_called_tsv(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31))
    table = tmp_path / "mylab.tsv"
    table.write_text(f"{HEADER}\np01,smile,12,20,28,happy,p01/smile\n".replace(",", "\t"))
    assert load_release("table", tmp_path, table=table).clips[0].onset == 12


@pytest.mark.parametrize(("title", "fps"), [("CAS(ME)^3 part C", 0.0), ("DFME", 200.0), ("4DME", 60.0)])
def test_the_table_that_the_docs_show_beside_a_dataset_is_read(tmp_path, title, fps):
    page = (Path(__file__).parents[1] / "docs/datasets.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    start = section.index("    subject,clip,")
    lines = [line.strip() for line in section[start:].split("\n\n")[0].splitlines()]
    for row in csv.DictReader(lines):
        write_frames(tmp_path / row["path"], range(int(row["onset"]), int(row["offset"]) + 1))
    release = load(tmp_path, *lines[1:], name="copy.csv", header=lines[0])
    assert (len(release.clips), release.failed) == (3, ())
    assert release.clips[0].fps == fps
    assert len({clip.subject for clip in release.clips}) > 1


BY_TIME = "subject,clip,onset_s,apex_s,offset_s,label,path"


def test_times_mean_the_frames_that_are_shown_then(tmp_path):
    write_video(tmp_path / "a.avi", n_frames=40)  # 30 frames a second
    release = load(tmp_path, 'p01,smile,0.166,"0,35",1.0,happy,a.avi', "p01,frown,1.05,,,sad,a.avi", header=BY_TIME)
    frown, smile = release.clips
    assert (smile.onset, smile.apex, smile.offset, smile.apex_rule) == (6, 11, 31, "annotated")
    assert smile.notes == ("by time: onset 0.166 s is frame 6, apex 0.35 s is frame 11, offset 1 s is frame 31",)
    assert (frown.onset, frown.offset, frown.apex_rule) == (32, 40, "flow")


def test_times_of_a_folder_go_by_its_frame_rate(tmp_path):
    write_frames(tmp_path / "p01/smile", range(10, 31))
    (clip,) = load(
        tmp_path,
        "p01,smile,0.1,0.2,0.25,happy,p01/smile,20",
        header="subject,clip,onset_s,apex_s,offset_s,label,path,fps",
    ).clips
    assert (clip.onset, clip.apex, clip.offset) == (12, 14, 15)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "p01,smile,0.1,0.2,9.5,happy,a.avi",
            "row 2: offset_s 9.5 is behind the end: the last frame, 40, is shown at 1.300 s. Correct the table; times "
            "are counted from the first frame.",
        ),
        (
            "p01,smile,0.1,0.2,0.3,happy,p01/smile",
            "row 2: the row gives times in seconds, and the frame rate of the images isn't known. Fill in fps, or give "
            "the numbers of the images in the columns onset, apex and offset.",
        ),
    ],
)
def test_a_time_without_a_frame_fails_the_row(tmp_path, line, expected):
    write_video(tmp_path / "a.avi", n_frames=40)
    assert reason(tmp_path, line, header=BY_TIME) == expected


def test_frames_of_a_video_may_be_counted_from_zero(tmp_path):
    write_video(tmp_path / "a.avi", n_frames=40)
    header = f"{HEADER},counted_from"
    release = load(
        tmp_path, "p01,a,0,4,9,x,a.avi,0", "p01,b,20,24,29,x,a.avi,1", "p01,c,31,34,39,x,a.avi,", header=header
    )
    assert [(clip.onset, clip.apex, clip.offset) for clip in release.clips] == [(1, 5, 10), (20, 24, 29), (31, 34, 39)]
    assert all(clip.repairs == () for clip in release.clips)


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        (
            f"{HEADER},counted_from",
            "p01,a,0,4,9,x,a.avi,2",
            "counted_from '2' can't be the number of a video's first frame. Expected 0, 1 or a blank cell, which means "
            "1. Correct the table.",
        ),
        (
            f"{HEADER},counted_from",
            "p01,a,0,4,9,x,p01/smile,0",
            "counted_from is 0, but the images of a folder have the numbers in their names. Leave the cell blank; it "
            "is for videos.",
        ),
        (
            BY_TIME,
            "p01,a,0:33,4,9,x,a.avi",
            "onset_s '0:33' is not a time. Expected seconds since the first frame, such as 62.4, or a blank cell. "
            "Correct the table.",
        ),
    ],
)
def test_a_wrong_way_of_counting_is_told(tmp_path, header, line, expected):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, line, header=header)
    assert str(error.value) == f"{tmp_path / 'mylab.csv'}: row 2: {expected}"

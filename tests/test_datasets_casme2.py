"""CASME II's loader on tiny trees of every layout, with every fault that the release or a user's copy has."""

import random
import shutil
from pathlib import Path

import pytest
from fake_dataset import HEADER, ROWS, write_frames, write_release, write_table

from mer_cli.datasets.casme2 import VERSIONS
from mer_cli.datasets.registry import load_release
from mer_cli.errors import DatasetError

TABLE = "CASME2-coding-20190701.xlsx"


def load(root, source):
    return load_release("casme2", root, source=source)


def only(release):
    assert release.failed == ()
    (clip,) = release.clips
    return clip


def reason(release):
    assert release.clips == ()
    (failed,) = release.failed
    return failed.reason


def release_of(
    root, subject="03", name="EP01_2", onset=10, apex=15, offset=20, on_disk=range(10, 21), emotion="disgust"
):
    """A release of one clip whose row and frames need not agree."""
    write_frames(root / "CASME2_RAW_selected" / f"sub{subject}" / name, on_disk)
    write_table(root / TABLE, [(subject, name, onset, apex, offset, 4, emotion)])
    return load(root, None)


def test_a_release_as_it_should_be(tmp_path):
    release = load(write_release(tmp_path), None)
    assert [clip.clip_id for clip in release.clips] == [f"casme2/{row[0]}/{row[1]}" for row in ROWS]
    assert (release.dataset, release.source, release.table_version, release.generated) == ("casme2", "raw", "", False)
    first = release.clips[0]
    assert (first.onset, first.apex, first.offset, first.fps) == (46, 59, 86, 200)
    assert (first.emotion, first.action_units, first.repairs) == ("happiness", "12", ())
    assert [frame.number for frame in first.frames] == list(range(46, 87))
    assert first.frames[0].path.name == "img46.jpg"
    assert release.clips[1].action_units == "4+L10"


@pytest.mark.parametrize(
    ("pictures", "given", "source"),
    [
        ("CASME2_RAW_selected", "", "raw"),
        ("CASME2_RAW_selected", "CASME2_RAW_selected", "raw"),
        ("CASME2_RAW_selected/CASME2_RAW_selected", "", "raw"),
        ("CASME2-RAW", "", "raw"),
        ("CASME2-RAW/CASME2-RAW", "", "raw"),
        ("CASME2/CASME2/CASME2-RAW", "", "raw"),
        ("Cropped", "", "cropped"),
        ("Cropped-updated/Cropped", "", "cropped"),
        ("Cropped/Cropped", "", "cropped"),
        ("CASME2_Cropped/Cropped", "", "cropped"),
        ("Cropped_original", "", "cropped"),
    ],
)
def test_every_layout_is_found(tmp_path, pictures, given, source):
    pattern = "reg_img{}.jpg" if source == "cropped" else "img{}.jpg"
    release = load(write_release(tmp_path, pictures, pattern=pattern) / given, None)
    assert release.source == source
    assert len(release.clips) == len(ROWS)


@pytest.mark.parametrize("folder", ["sub{}", "Sub{}", "{}"])
def test_subject_folders_may_be_renamed(tmp_path, folder):
    assert len(load(write_release(tmp_path, subject_folder=folder), None).clips) == len(ROWS)


def test_source_chooses_where_both_are_there(tmp_path):
    write_release(tmp_path)
    write_release(tmp_path, "Cropped", pattern="reg_img{}.jpg")
    assert load(tmp_path, None).source == "raw"
    assert load(tmp_path, "cropped").clips[0].frames[0].path.name == "reg_img46.jpg"


def test_cropped_pictures_inside_a_raw_folder_are_cropped(tmp_path):
    write_release(tmp_path / "CASME2-RAW", "Cropped", pattern="reg_img{}.jpg")
    assert load(tmp_path / "CASME2-RAW", None).source == "cropped"


def test_the_folder_may_be_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(write_release(tmp_path) / "CASME2_RAW_selected")
    assert len(load(Path(), None).clips) == len(ROWS)


@pytest.mark.parametrize("place", ["", "CASME2_RAW_selected", "tables"])
def test_the_table_is_found_inside_the_release_or_beside_the_pictures(tmp_path, place):
    write_release(tmp_path / "release")
    (tmp_path / "release" / place).mkdir(exist_ok=True)
    (tmp_path / "release" / TABLE).rename(tmp_path / "release" / place / TABLE)
    assert len(load(tmp_path / "release", None).clips) == len(ROWS)


def test_the_newer_table_is_preferred(tmp_path):
    write_release(tmp_path)
    write_table(tmp_path / "CASME2_RAW_selected" / "CASME2-coding-20140508.xlsx", ROWS[:1])
    assert load(tmp_path, None).table_path.name == TABLE


def test_the_missing_apex_of_the_release_is_an_erratum(tmp_path):
    release = release_of(tmp_path, "04", "EP12_01f", 261, "/", 321, range(261, 322))
    clip = only(release)
    assert clip.apex == 291
    assert clip.repairs[0].startswith("apex / set to 291: no apex is annotated")
    assert release.errata[0].startswith("casme2/04/EP12_01f: apex / set to 291")


def test_the_offset_that_was_never_cut_is_an_erratum(tmp_path):
    release = release_of(tmp_path, "16", "EP01_08", 73, 94, 110, range(73, 97))
    assert (only(release).offset, len(release.errata)) == (96, 1)


def test_an_erratum_is_not_applied_to_a_table_that_was_mended(tmp_path):
    release = release_of(tmp_path, "04", "EP12_01f", 261, 279, 321, range(261, 322))
    assert (only(release).apex, release.errata, only(release).repairs) == (279, (), ())


@pytest.mark.parametrize(
    ("apex", "settled", "repair"),
    [
        ("/", 15, "apex '/' is no frame number: the midpoint 15 is taken"),
        (None, 15, "apex '' is no frame number: the midpoint 15 is taken"),
        (44, 15, "apex 44 is outside 10..20: the midpoint 15 is taken"),
    ],
)
def test_a_dead_apex_is_mended_and_told(tmp_path, apex, settled, repair):
    clip = only(release_of(tmp_path, apex=apex))
    assert (clip.apex, clip.repairs) == (settled, (repair,))


@pytest.mark.parametrize(
    ("on_disk", "settled", "repairs"),
    [
        (range(10, 19), (10, 15, 18), ("offset 20 is not on disk: the nearest frame 18 is taken",)),
        (range(12, 21), (12, 15, 20), ("onset 10 is not on disk: the nearest frame 12 is taken",)),
        ([10, 11, 13, 17, 20], (10, 13, 20), ("apex 15 is not on disk: the nearest frame 13 is taken",)),
        # Another release's numbers: the offset alone lies inside, or the onset alone (07/EP06_01), or nothing.
        (
            range(18, 29),
            (18, 23, 28),
            ("10, 15, 20 are numbered otherwise than the frames 18..28 on disk: moved to 18, 23, 28",),
        ),
        (
            range(2, 12),
            (2, 6, 11),
            ("10, 15, 20 are numbered otherwise than the frames 2..11 on disk: moved to 2, 6, 11",),
        ),
        (
            range(101, 116),
            (101, 108, 115),
            ("10, 15, 20 are numbered otherwise than the frames 101..115 on disk: moved to 101, 108, 115",),
        ),
        # A long recording is no clip that was numbered otherwise.
        (
            range(16, 600),
            (16, 16, 20),
            (
                "onset 10 is not on disk: the nearest frame 16 is taken",
                "apex 15 is not on disk: the nearest frame 16 is taken",
            ),
        ),
    ],
)
def test_a_frame_that_is_not_on_disk_becomes_the_nearest(tmp_path, on_disk, settled, repairs):
    clip = only(release_of(tmp_path, on_disk=on_disk))
    assert ((clip.onset, clip.apex, clip.offset), clip.repairs) == (settled, repairs)


def test_an_apex_on_the_onset_is_kept_and_noted(tmp_path):
    clip = only(release_of(tmp_path, apex=10))
    assert (clip.apex, clip.repairs, clip.notes) == (10, (), ("apex equals onset (10): the pair shows no motion",))


def test_context_frames_around_the_clip_are_kept(tmp_path):
    clip = only(release_of(tmp_path, on_disk=range(4, 60)))
    assert (clip.onset, clip.repairs) == (10, ())
    assert [frame.number for frame in clip.frames] == list(range(4, 31))  # ten are enough


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"offset": 5}, "row 2: offset 5 is before onset 10. Expected onset <= apex <= offset. Correct the table."),
        ({"onset": "x"}, "row 2: onset 'x' is not a frame number. Expected a whole number. Correct the table."),
        (
            {"offset": None},
            "row 2: offset '' is not a frame number. Expected a whole number. Correct the table (a formula without "
            "a saved value reads as blank: open it in LibreOffice and save it).",
        ),
        (
            {"on_disk": range(100, 300)},
            "row 2: no frame of 10..20 is on disk, which has 100..299. Correct the table, or unpack the release again.",
        ),
        ({"emotion": "angry"}, "row 2: Unknown emotion 'angry'. Known: happiness, disgust, repression, "),
        ({"on_disk": []}, "the clip's folder holds no images. Unpack the release again."),
    ],
)
def test_a_row_that_cannot_be_used_fails_with_its_number(tmp_path, changes, expected):
    assert expected in reason(release_of(tmp_path, **changes))


@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "a\\b", "/etc", "C:x"])
def test_a_name_that_would_leave_the_release_fails_and_nothing_is_read(tmp_path, name):
    write_frames(tmp_path / "x", range(10, 21))
    root = tmp_path / "deep" / "release"
    write_release(root, rows=ROWS[:1])
    write_table(root / TABLE, [("01", name, 10, 15, 20, 4, "disgust")])
    assert "is not a folder name and would lead out of the release" in reason(load(root, None))


def test_a_clip_that_is_a_link_out_of_the_release_fails(tmp_path):
    write_frames(tmp_path / "elsewhere", range(10, 21))
    root = write_release(tmp_path / "release", rows=ROWS[:1])
    (root / "CASME2_RAW_selected/sub01/EP09_01").symlink_to(tmp_path / "elsewhere")
    write_table(root / TABLE, [("01", "EP09_01", 10, 15, 20, 4, "disgust")])
    assert "leads out of the release" in reason(load(root, None))


def test_a_missing_clip_or_subject_fails_and_the_others_do_not(tmp_path):
    root = write_release(tmp_path)
    shutil.rmtree(root / "CASME2_RAW_selected/sub01/EP02_01f")
    shutil.rmtree(root / "CASME2_RAW_selected/sub17")
    release = load(root, None)
    assert [failed.clip_id for failed in release.failed] == ["casme2/01/EP02_01f", "casme2/17/EP06_02_01"]
    assert [failed.reason for failed in release.failed] == [
        f"row {row}: no folder '{name}' of subject {subject} in {root}/CASME2_RAW_selected. Expected one like "
        "sub01/EP02_01f. Unpack the release again."
        for row, subject, name in ((2, "01", "EP02_01f"), (5, "17", "EP06_02_01"))
    ]
    assert len(release.clips) == 2


def test_a_second_row_that_says_otherwise_fails_both(tmp_path):
    root = write_release(tmp_path)
    write_table(root / TABLE, [*ROWS, (*ROWS[0][:3], 60, *ROWS[0][4:])])
    release = load(root, None)
    assert len(release.clips) == len(ROWS) - 1
    assert [failed.reason for failed in release.failed] == [
        f"row {row}: the clip has a second row, row {other}, with other values. Expected one row per clip. "
        "Delete the wrong one."
        for row, other in ((2, 6), (6, 2))
    ]


def test_a_second_row_that_says_the_same_is_one(tmp_path):
    root = write_release(tmp_path)
    straight = load(root, None)
    write_table(root / TABLE, [*ROWS, ROWS[0]])
    assert (load(root, None).clips, load(root, None).failed) == (straight.clips, ())


def test_shuffled_rows_and_numeric_subjects_give_the_same_clips(tmp_path):
    root = write_release(tmp_path)
    straight = load(root, None).clips
    shuffled = [(int(row[0]), *row[1:]) for row in random.Random(2).sample(ROWS, len(ROWS))]
    write_table(root / TABLE, shuffled)
    assert load(root, None).clips == straight


def test_generated_faces_are_known_as_such(tmp_path):
    root = write_release(tmp_path)
    (root / "GENERATED.txt").write_text("generated")
    assert load(root, None).generated
    assert load(root / "CASME2_RAW_selected", None).generated


@pytest.mark.parametrize("version", VERSIONS)
def test_a_published_table_is_recognised_by_its_counts(tmp_path, version):
    emotions = [emotion for emotion, count in VERSIONS[version].items() for _ in range(count)]
    assert len(emotions) == 255
    rows = [("01", f"EP{n}_1", 1, 2, 3, 4, emotion) for n, emotion in enumerate(emotions)]
    root = write_release(tmp_path, rows=ROWS[:1])
    write_table(root / "CASME2-coding-20140508.xlsx", rows)  # whatever the file is called
    (root / TABLE).unlink()
    assert load(root, None).table_version == version
    write_table(root / "CASME2-coding-20140508.xlsx", rows[1:])
    assert load(root, None).table_version == ""


def test_every_row_ends_as_a_clip_or_a_failure_whatever_is_in_it(tmp_path):
    rng = random.Random(5)
    root = write_release(tmp_path)
    junk = ["", None, "/", "../../x", -3, 4.5, "46", 1e12, "EP02_01f", "sub01", "0" * 50, "é", "nan"]
    rows = []
    for _ in range(60):
        row = list(rng.choice(ROWS))
        for _ in range(rng.randint(1, 3)):
            row[rng.randrange(len(row))] = rng.choice(junk)
        rows.append(row)
    write_table(root / TABLE, [*ROWS, *rows])
    release = load(root, None)
    told = {" ".join(failed.reason.split()[:2]) for failed in release.failed}
    assert len(told) == len(release.failed)
    assert len(release.clips) + len(release.failed) <= len(ROWS) + len(rows)
    n_different = len({tuple(map(str, row)) for row in [*ROWS, *rows] if any(cell not in (None, "") for cell in row)})
    assert len(release.clips) + len(release.failed) >= n_different - 5  # rows that read alike, as "46" and 46
    for clip in release.clips:
        assert clip.frames[0].number <= clip.onset <= clip.apex <= clip.offset <= clip.frames[-1].number
        assert all(frame.path.is_relative_to(root) for frame in clip.frames)


def test_a_folder_that_is_not_there_or_holds_no_release_is_named(tmp_path):
    with pytest.raises(DatasetError) as error:
        load_release("casme2", tmp_path / "none")
    assert str(error.value) == (f"{tmp_path}/none: no such folder. Give the folder of the unpacked CASME II release.")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError) as error:
        load_release("casme2", tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: no CASME II images; it holds photos. Expected clips like sub01/EP02_01f in a folder "
        "CASME2_RAW_selected or CASME2-RAW or Cropped or Cropped-updated or CASME2_Cropped or Cropped_original. "
        "Give the folder of the unpacked release."
    )


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no cropped images; it holds CASME2_RAW_selected. Expected clips"):
        load(write_release(tmp_path), "cropped")


def test_a_missing_table_is_named_with_what_was_found(tmp_path):
    root = write_release(tmp_path)
    (root / TABLE).unlink()
    write_table(
        root / "CASME2-ObjectiveClasses.xlsx", header=[None if "Frame" in str(cell) else cell for cell in HEADER]
    )
    with pytest.raises(DatasetError) as error:
        load(root, None)
    assert str(error.value) == (
        f"{root}: no coding table; the tables here are CASME2-ObjectiveClasses.xlsx. Expected {TABLE}, which the "
        "dataset's owners send with the release (CASME2-ObjectiveClasses.xlsx holds no frame numbers). "
        f"Copy it into {root}, or give its path with --table."
    )


def test_a_renamed_column_is_named_with_the_nearest(tmp_path):
    root = write_release(tmp_path)
    write_table(root / TABLE, header=["Apex Frame No" if cell == "ApexFrame" else cell for cell in HEADER])
    with pytest.raises(DatasetError, match=r"sheet 'Sheet1' row 1: no column 'ApexFrame'; found Subject, Filename, "):
        load(root, None)


def test_a_table_that_is_no_workbook_is_named(tmp_path):
    root = write_release(tmp_path)
    (root / TABLE).write_bytes(b"<html>log in</html>")
    with pytest.raises(DatasetError, match="can't be read as a table"):
        load(root, None)
    (root / TABLE).rename(root / "CASME2_label_Ver_2.xls")
    with pytest.raises(DatasetError, match=r"Ver_2\.xls: can't be read as a table"):
        load(root, None)


def test_notes_above_the_header_are_skipped(tmp_path):
    root = write_release(tmp_path)
    write_table(root / TABLE, notes=5)
    assert len(load(root, None).clips) == len(ROWS)


def test_dataset_names_are_taken_in_any_case(tmp_path):
    assert load_release("CASME2", write_release(tmp_path)).dataset == "casme2"

"""Coding tables as they are passed around: cut to fewer columns, renamed, elsewhere, or edited in a laboratory."""

import pytest
from layout_trees import RELEASES, write_pictures, write_workbook

from mer_cli.datasets.casme2 import VERSIONS
from mer_cli.datasets.registry import load_release
from mer_cli.errors import DatasetError

CASME2, SMIC = RELEASES["casme2"], RELEASES["smic"]
HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")


def write(root, *drop, name="CASME2-coding-20190701.xlsx", rows=CASME2.rows, header=HEADER):
    """A tiny CASME II whose table is `name`, without the columns of `drop`."""
    CASME2.write(root, [])
    (root / CASME2.table).unlink()
    whole = [header, *((s, clip, on, apex, off, "4+L10", label) for s, clip, on, apex, off, label in rows)]
    kept = [at for at, title in enumerate(HEADER) if title not in drop]
    path = root / "CASME2_RAW_selected" / name
    write_workbook(path, [[row[at] for at in kept] for row in whole])
    return path


def message(*arguments, **options):
    with pytest.raises(DatasetError) as error:
        load_release(*arguments, **options)
    return str(error.value)


def test_a_table_without_offsets_and_action_units_is_read(tmp_path):
    write(tmp_path, "OffsetFrame", "Action Units")
    release = load_release("casme2", tmp_path)
    assert [(clip.onset, clip.apex, clip.offset) for clip in release.clips] == [(46, 59, 86), (6, 11, 20), (5, 9, 14)]
    assert {(clip.action_units, clip.repairs, clip.apex_rule) for clip in release.clips} == {("", (), "annotated")}
    assert release.table_notes == (
        "CASME2-coding-20190701.xlsx has no column 'Action Units': the store will have no action units",
        "CASME2-coding-20190701.xlsx has no column 'OffsetFrame': a clip ends with the last frame of its folder",
    )


def test_without_offsets_a_folder_with_frames_around_the_clip_is_used_up_to_the_apex(tmp_path):
    write(tmp_path, "OffsetFrame")
    around = tmp_path / "CASME2_RAW_selected/sub01/EP02_01f"
    write_pictures(around, [f"img{number}.jpg" for number in (*range(30, 46), *range(87, 99))])
    release = load_release("casme2", tmp_path)
    assert [(clip.onset, clip.apex, clip.offset) for clip in release.clips] == [(46, 59, 59), (6, 11, 20), (5, 9, 14)]
    assert release.clips[0].repairs == (
        "the table has no offset and the folder begins before the onset: the clip ends with its apex",
    )
    assert release.table_notes == (
        "CASME2-coding-20190701.xlsx has no column 'OffsetFrame': a clip ends with the last frame of its folder, 1 of "
        "them with the apex",
    )


def test_without_offsets_frames_that_are_numbered_otherwise_are_refused(tmp_path):
    path = write(tmp_path, "OffsetFrame")
    folder = tmp_path / "CASME2_RAW_selected/sub01/EP02_01f"
    for picture in list(folder.iterdir()):
        picture.rename(picture.with_name(f"img{int(picture.stem[3:]) - 45}.jpg"))
    assert message("casme2", tmp_path) == (
        f"{path}: has no column 'OffsetFrame'. The folders of 1 clip begin before the onset, and those of 1 clip end "
        "before the apex (01/EP02_01f): their frames are numbered otherwise than in the table, which offsets would "
        "tell. Add the column."
    )


@pytest.mark.parametrize(
    ("column", "title"), [("OffsetFrame", "Offset"), ("Action Units", "AUs"), ("Action Units", "FACS units")]
)
def test_a_column_that_may_be_missing_is_not_overlooked_for_another_title(tmp_path, column, title):
    path = write(tmp_path, header=[title if name == column else name for name in HEADER])
    text = message("casme2", tmp_path)
    assert text.startswith(f"{path}: sheet 'Sheet1' row 1: no column '{column}'; found Subject, Filename, ")
    expected, _, advice = text.partition(" Expected ")[2].partition(". ")
    assert set(expected.split(", ")) <= set(HEADER)
    assert column in expected
    assert advice == "Add or rename the column."


def test_without_offsets_images_named_onset_and_apex_are_the_clip(tmp_path):
    write(tmp_path, "OffsetFrame")
    folder = tmp_path / "CASME2_RAW_selected/sub01/EP02_01f"
    for picture in folder.iterdir():
        picture.unlink()
    write_pictures(folder, ["onset.jpg", "apex.jpg"])
    release = load_release("casme2", tmp_path)
    assert [(clip.onset, clip.apex, clip.offset) for clip in release.clips] == [(46, 59, 59), (6, 11, 20), (5, 9, 14)]
    assert release.clips[0].repairs == ()


def test_columns_without_a_title_hide_no_misspelt_one(tmp_path):
    root = SMIC.write(tmp_path)
    header = ("Subject", "Filename", "OnsetF", "Offset frame", "Emotion", "", "")
    rows = [(s, c, on, off, e, 1, 2) for s, c, on, _, off, e in SMIC.rows]
    write_workbook(root / SMIC.table, [header, *rows], sheet="HS")
    assert ": no column 'OffsetF'; found Subject, Filename, OnsetF, Offset frame, Emotion." in message("smic", root)


def test_a_table_without_an_apex_is_refused(tmp_path):
    write(tmp_path, "ApexFrame")
    assert "no column 'ApexFrame'" in message("casme2", tmp_path)


def test_a_renamed_table_is_found_by_its_columns_and_clips(tmp_path):
    path = write(tmp_path, name="my labels.xlsx")
    write_workbook(tmp_path / "other.xlsx", [HEADER, ["99", "EP99", 1, 2, 3, 4, "fear"]])
    write_workbook(tmp_path / "notes.xlsx", [["a"]])
    release = load_release("casme2", tmp_path)
    assert release.table_path == path
    assert len(release.clips) == 3


def test_several_renamed_tables_are_named(tmp_path):
    first = write(tmp_path, name="a.xlsx")
    first.with_name("b.xlsx").write_bytes(first.read_bytes())
    assert message("casme2", tmp_path) == (
        f"{tmp_path}: no table is named like CASME2-coding-20190701.xlsx, and 2 fit by their columns and clips: "
        "CASME2_RAW_selected/a.xlsx, CASME2_RAW_selected/b.xlsx. Choose one with --table."
    )
    assert load_release("casme2", tmp_path, table=first.with_name("b.xlsx")).table_path.name == "b.xlsx"


def test_the_table_that_is_named_is_taken_before_the_one_in_the_release(tmp_path):
    rows = [(*row[:5], "fear") for row in CASME2.rows]
    other = write(tmp_path / "elsewhere", name="edited.xlsx", rows=rows)
    write(tmp_path / "release")
    release = load_release("casme2", tmp_path / "release", table=other)
    assert {clip.emotion for clip in release.clips} == {"fear"}


@pytest.mark.parametrize("suffix", [".xlsm", ".ods"])
def test_a_released_table_is_preferred_to_a_copy_in_another_format(tmp_path, suffix):
    path = write(tmp_path)
    path.with_suffix(suffix).write_bytes(b"not read")
    assert load_release("casme2", tmp_path).table_path == path


def test_a_workbook_with_macros_is_found(tmp_path):
    path = write(tmp_path, name="CASME2-coding-20190701.xlsm")
    assert load_release("casme2", tmp_path).table_path == path


def smic_table(path, apexes):
    header = ("Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion")
    rows = [(row[0], row[1], row[2], apex, row[4], row[5]) for row, apex in zip(SMIC.rows, apexes, strict=True)]
    write_workbook(path, [header, *rows], sheet="HS")


def test_the_apexes_of_a_smic_table_made_elsewhere_are_used(tmp_path):
    root = SMIC.write(tmp_path)
    smic_table(root / SMIC.table, [559750, None, 17582004])
    first, second, third = load_release("smic", root).clips
    assert (first.apex, first.apex_rule) == (559750, "annotated")
    assert second.apex_rule == "flow"
    assert (third.apex, third.apex_rule) == (17582004, "annotated")


def test_the_short_release_of_smic_takes_a_table_that_is_named(tmp_path):
    root = RELEASES["smic-short"].write(tmp_path / "release")
    rows = RELEASES["smic-short"].rows
    header = ("Subject", "Filename", "OnsetF", "ApexF", "OffsetF", "Emotion")
    write_workbook(tmp_path / "mine.xlsx", [header, *((s, c, on, on + 5, off, e) for s, c, on, _, off, e in rows)])
    release = load_release("smic", root, table=tmp_path / "mine.xlsx")
    assert [(clip.apex - clip.onset, clip.apex_rule) for clip in release.clips] == [(5, "annotated")] * 3


KNOWN = [
    ("04", "EP12_01f", 261, "/", 321),
    ("05", "EP09_05f", 69, 69, 123),
    ("16", "EP01_08", 73, 94, 110),
    ("07", "EP06_01", 15, 49, 68),
    ("12", "EP09_02", 16, 59, 101),
    ("12", "EP09_06", 1, 111, 111),
    ("20", "EP16_01", 1, 111, 111),
]
RELABELLED = [("24", clip, 1, 5, 9) for clip in ("EP07_01", "EP07_04f", "EP10_03")]


def whole_table(known, relabelled="surprise"):
    """255 rows with the counts of the published table, and its known cells."""
    version = VERSIONS["20190701" if relabelled == "surprise" else "20140508"]
    left = [emotion for emotion, count in version.items() for _ in range(count)]
    for _ in RELABELLED:
        left.remove(relabelled)
    rows = [(*row, relabelled) for row in RELABELLED]
    rows += [(*row, left.pop()) for row in known]
    return rows + [("01", f"EP90_{n:03d}", 1, 5, 9, emotion) for n, emotion in enumerate(left)]


@pytest.mark.parametrize(("label", "version"), [("surprise", "20190701"), ("sadness", "20140508")])
def test_a_table_with_all_known_cells_is_the_published_one(tmp_path, label, version):
    write(tmp_path, rows=whole_table(KNOWN, label))
    release = load_release("casme2", tmp_path)
    assert (release.table_version, release.table_differences) == (version, ())


def test_an_edited_table_is_told_by_row_with_both_values(tmp_path):
    edited = [("04", "EP12_01f", 261, 279, 321), *KNOWN[1:2], ("16", "EP01_08", 73, 94, 96), *KNOWN[3:]]
    write(tmp_path, rows=whole_table(edited))
    release = load_release("casme2", tmp_path)
    assert release.table_version == "20190701"
    assert release.table_differences == (
        "row 5 (04/EP12_01f): apex '279', published '/'",
        "row 7 (16/EP01_08): offset '96', published '110'",
    )


def test_a_known_row_that_is_missing_is_told(tmp_path):
    write(tmp_path, rows=whole_table([*KNOWN[:6], ("20", "EP16_1", 1, 111, 111)]))
    assert load_release("casme2", tmp_path).table_differences == ("20/EP16_01: the table has no such row",)


def test_generated_tables_are_not_compared_with_the_published_one(tmp_path):
    write(tmp_path, rows=whole_table(KNOWN[:1]))
    (tmp_path / "GENERATED.txt").touch()
    assert load_release("casme2", tmp_path).table_differences == ()

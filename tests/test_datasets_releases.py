"""Every dataset's loader on a tiny release of the real shape, and on what people do to a release."""

import errno
import os
import random
import shutil

import pandas as pd
import pytest
from layout_trees import RELEASES, frames_of, write_pictures, write_workbook

from mer_cli.datasets.registry import DATASETS, load_release
from mer_cli.errors import DatasetError

EVERY = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
WITH_TABLE = pytest.mark.parametrize(
    "release", [release for release in RELEASES.values() if release.table], ids=lambda release: release.dataset
)


def load(release, root, **options):
    return load_release(release.dataset, root, **options)


def message(call, *arguments, **options):
    with pytest.raises(DatasetError) as error:
        call(*arguments, **options)
    return str(error.value)


@EVERY
def test_a_release_as_it_comes(tmp_path, release):
    loaded = load(release, release.write(tmp_path))
    assert [clip.clip_id for clip in loaded.clips] == list(release.ids)
    assert loaded.failed == ()
    by_name = {(str(row[0]), row[1], str(row[2])): row for row in release.rows}
    assert len(by_name) == len(loaded.clips)
    for clip in loaded.clips:
        row = next(row for row in release.rows if row[1] in clip.name and int(row[2]) == clip.onset)
        assert (clip.onset, clip.offset) == (int(row[2]), int(row[4]))
        assert clip.apex == (int(row[3]) if row[3] else (clip.onset + clip.offset) // 2)
        assert [frame.number for frame in clip.frames] == list(frames_of(row))
        assert clip.frames[0].path.name == release.picture(row, clip.onset)
        assert clip.frames[0].path.is_file()
        assert clip.emotion == {"Other": "others", "Others": "others"}.get(row[5], row[5].casefold())
        assert (clip.repairs, clip.fps) == ((), DATASETS[release.dataset].fps)
        assert clip.apex_rule == ("annotated" if row[3] else "flow")


@EVERY
@pytest.mark.parametrize("place", ["above", "pictures", "doubled"])
def test_a_folder_too_high_or_too_low_or_doubled_by_the_zip(tmp_path, release, place):
    if place == "above":
        loaded = load(release, release.write(tmp_path / "unpacked" / "release").parent)
    elif place == "pictures":
        loaded = load(release, release.write(tmp_path) / release.pictures.partition("/")[0])
    else:
        release.write(tmp_path / release.pictures.partition("/")[0])
        loaded = load(release, tmp_path)
    assert [clip.clip_id for clip in loaded.clips] == list(release.ids)


@EVERY
def test_the_dataset_is_named_in_any_case(tmp_path, release):
    assert load_release(release.dataset.upper(), release.write(tmp_path)).dataset == release.dataset


@EVERY
@pytest.mark.parametrize("given", DATASETS)
def test_a_release_of_another_dataset_is_named_as_what_it_looks_like(tmp_path, release, given):
    root = release.write(tmp_path)
    if given != release.dataset:
        dataset = DATASETS[release.dataset]
        text = message(load_release, given, root)
        assert text.endswith(f" It looks like {dataset.title}: mer preprocess {dataset.name} {root}")


@WITH_TABLE
def test_a_missing_table_is_named_with_what_is_there(tmp_path, release):
    root = release.write(tmp_path)
    (root / release.table).unlink()
    write_workbook(root / "notes.xlsx", [["a"]])
    dataset = DATASETS[release.dataset]
    assert message(load, release, root) == (
        f"{root}: no coding table; the tables here are notes.xlsx. Expected {dataset.tables[0]}, which the dataset's "
        f"owners send with the release{dataset.table_hint}. Copy it into {root}."
    )


@WITH_TABLE
def test_the_table_may_lie_beside_the_folder_that_was_given(tmp_path, release):
    root = release.write(tmp_path / "release")
    shutil.move(root / release.table, tmp_path)
    assert len(load(release, root).clips) == len(release.rows)


@WITH_TABLE
def test_a_row_without_a_folder_fails_and_the_others_do_not(tmp_path, release):
    extra = list(release.rows[0])
    extra[1] = {"samm": "006_9_9", "mmew": "S09-01-009", "smic": "s1_ne_99", "casme3": "z"}.get(release.dataset, "EP99")
    loaded = load(release, release.write(tmp_path, [*release.rows, extra]))
    assert [clip.clip_id for clip in loaded.clips] == list(release.ids)
    (failed,) = loaded.failed
    number = {"samm": 18}.get(release.dataset, 5)
    subject, name = failed.clip_id.split("/")[1:]
    assert failed.reason == (
        f"row {number}: no folder '{name}' of subject {subject} in {tmp_path / release.pictures.removesuffix('/frame')}"
        f"{'/frame' if release.dataset == 'casme3' else ''}. Expected one like {DATASETS[release.dataset].example}. "
        "Unpack the release again."
    )


@WITH_TABLE
def test_the_order_of_the_rows_changes_nothing(tmp_path, release):
    straight = load(release, release.write(tmp_path))
    shuffled = load(release, release.write(tmp_path, random.Random(1).sample(release.rows, len(release.rows))))
    assert shuffled.clips == straight.clips


@EVERY
def test_the_order_in_which_the_disk_lists_its_files_changes_nothing(tmp_path, release, monkeypatch):
    straight = load(release, release.write(tmp_path))
    listed = os.scandir

    class Backwards:
        def __init__(self, path):
            with listed(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("os.scandir", Backwards)
    assert load(release, tmp_path) == straight


@WITH_TABLE
def test_a_renamed_sheet_and_further_columns_change_nothing(tmp_path, release):
    straight = load(release, release.write(tmp_path))
    path = tmp_path / release.table
    if path.suffix == ".xlsx":
        from openpyxl import load_workbook

        book = load_workbook(path)
        book.worksheets[0].title = "my copy"
        book.worksheets[0].insert_cols(1)
        book.save(path)
        assert load(release, tmp_path).clips == straight.clips


@EVERY
@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_the_case_of_folder_names_changes_nothing(tmp_path, release, change):
    release.write(tmp_path)
    for folder in sorted((tmp_path.rglob("*")), key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir():
            folder.rename(folder.with_name("".join(change(folder.name)) + "~")).rename(
                folder.with_name(change(folder.name))
            )
    loaded = load(release, tmp_path)
    assert (len(loaded.clips), loaded.failed) == (len(release.rows), ())


@EVERY
def test_files_that_are_no_frames_are_left_alone(tmp_path, release):
    straight = load(release, release.write(tmp_path))
    for clip in straight.clips:
        folder = clip.frames[0].path.parent
        for name in (f"._{clip.frames[0].path.name}", ".DS_Store", "Thumbs.db", "notes.txt", "crop.mat"):
            (folder / name).write_bytes(b"x")
    shutil.copytree(tmp_path / release.pictures.partition("/")[0], tmp_path / "__MACOSX" / "copy")
    assert load(release, tmp_path) == straight


@EVERY
def test_an_empty_clip_folder_fails_by_name(tmp_path, release):
    row = release.rows[0]
    folder = release.write(tmp_path) / release.pictures / release.folder(row)
    for path in folder.iterdir():
        path.unlink()
    loaded = load(release, tmp_path)
    assert len(loaded.clips) == len(release.rows) - 1
    (failed,) = loaded.failed
    assert failed.reason.endswith(f"{folder}: the clip's folder holds no images. Unpack the release again.")


@EVERY
def test_a_folder_that_may_not_be_read_fails_by_name(tmp_path, release, monkeypatch):
    folder = release.write(tmp_path) / release.pictures / release.folder(release.rows[0])
    listed = os.scandir

    def refuse(path):  # as the system does, also where the tests run as root, who may read everything
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr("os.scandir", refuse)
    (failed,) = load(release, tmp_path).failed
    assert failed.reason.endswith(f"{folder}: can't be listed (Permission denied). Check its permissions.")


@WITH_TABLE
@pytest.mark.parametrize("name", ["../../x", "..", "a/b", "a\\b", "/etc/passwd", "C:x"])
def test_a_name_that_would_leave_the_release_fails_and_nothing_is_read(tmp_path, release, name):
    row = list(release.rows[0])
    row[1] = f"{name}/x" if release.dataset == "casme3" else name  # whose names end in the onset
    loaded = load(release, release.write(tmp_path / "deep" / "release", [row, *release.rows[1:]]))
    (failed,) = loaded.failed
    assert "is not a folder name and would lead out of the release. Expected a name like" in failed.reason
    assert len(loaded.clips) == len(release.rows) - 1


@EVERY
def test_a_clip_that_is_a_link_out_of_the_release_fails(tmp_path, release):
    folder = release.write(tmp_path / "release") / release.pictures / release.folder(release.rows[0])
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    (failed,) = load(release, tmp_path / "release").failed
    assert f"{folder} leads out of the release, to {tmp_path}/elsewhere. Copy the frames" in failed.reason


@WITH_TABLE
def test_an_unknown_label_fails_by_name(tmp_path, release):
    rows = [list(row) for row in release.rows]
    rows[1][5] = "bored"
    (failed,) = load(release, release.write(tmp_path, rows)).failed
    expected = ", ".join(DATASETS[release.dataset].emotions)
    assert failed.reason.endswith(f"Unknown emotion 'bored'. Known: {expected}. Correct the table.")


@WITH_TABLE
def test_two_rows_of_a_clip_fail_where_they_differ_in_any_order(tmp_path, release):
    other = list(release.rows[0])
    other[5] = release.rows[1][5]
    rows = [*release.rows, other]
    for shuffled in (rows, rows[::-1]):
        loaded = load(release, release.write(tmp_path, shuffled))
        assert len(loaded.clips) == len(release.rows) - 1
        assert len(loaded.failed) == 2
        assert all("the clip has a second row, row " in failed.reason for failed in loaded.failed)
    assert len(load(release, release.write(tmp_path, [*release.rows, release.rows[0]])).clips) == len(release.rows)


@WITH_TABLE
def test_a_table_of_thousands_of_rows_is_read(tmp_path, release):
    n_rows = 3000 if release.dataset == "casme2" else 1000  # all come through the same reader of workbooks
    spare = list(release.rows[0])
    spare[1] = {"samm": "006_9_9", "mmew": "S09-01-009", "smic": "s1_ne_99", "casme3": "z"}.get(release.dataset, "EP99")
    more = [[spare[0], f"{spare[1]}{number}", *spare[2:]] for number in range(n_rows)]
    loaded = load(release, release.write(tmp_path, [*release.rows, *more]))
    assert (len(loaded.clips), len(loaded.failed)) == (len(release.rows), n_rows)


@EVERY
def test_pictures_alone_say_that_they_are_generated(tmp_path, release):
    root = release.write(tmp_path / "raw")
    assert not load(release, root).generated
    (root / "GENERATED.txt").write_text("generated")
    assert load(release, root).generated
    assert load(release, root / release.pictures.partition("/")[0]).generated


@WITH_TABLE
def test_a_table_saved_as_csv_is_read(tmp_path, release):
    straight = load(release, release.write(tmp_path))
    path = tmp_path / release.table
    sheets = pd.read_excel(path, sheet_name=None, header=None, dtype=str, na_filter=False, engine="calamine")
    sheet = next(iter(sheets.values()))
    path.unlink()
    sheet.to_csv(path.with_suffix(".csv"), header=False, index=False)
    assert load(release, tmp_path).clips == straight.clips


def test_the_table_may_lie_two_folders_above(tmp_path):
    for name in ("casme3", "smic"):
        release = RELEASES[name]
        release.write(tmp_path)
        assert len(load(release, tmp_path / release.pictures).clips) == len(release.rows)


def test_a_folder_that_cannot_be_listed_for_a_link_to_itself_is_still_looked_through(tmp_path):
    root = RELEASES["samm"].write(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    assert len(load_release("samm", root).clips) == 3


def test_two_datasets_under_one_root_are_kept_apart(tmp_path):
    first, other = RELEASES["casme"], RELEASES["casme2"]
    other.write(tmp_path / "CASME2")
    first.write(tmp_path / "CASME")
    (tmp_path / "CASME" / first.pictures).rename(tmp_path / "CASME" / "Cropped")
    (tmp_path / "CASME2" / other.pictures).rename(tmp_path / "CASME2" / "Cropped")
    for moved in (tmp_path / "CASME2" / "Cropped").glob("*.xlsx"):
        moved.rename(tmp_path / "CASME2" / moved.name)
    for release in (first, other):
        assert [clip.clip_id for clip in load(release, tmp_path).clips] == list(release.ids)


def test_a_source_that_the_dataset_does_not_have_is_named(tmp_path):
    root = RELEASES["mmew"].write(tmp_path)
    assert message(load_release, "mmew", root, source="raw") == (
        "--source raw: MMEW comes with cropped images only. Leave --source out."
    )


def test_samm_apexes_outside_their_clip_are_errata(tmp_path):
    rows = (
        ("028", "028_4_1", 1059, 1143, 1134, "Contempt"),
        ("032", "032_3_1", 4896, 1930, 4960, "Anger"),
        ("032", "032_3_2", 5126, 5127, 5180, "Anger"),
    )
    release = RELEASES["samm"]
    for row in rows:
        write_pictures(tmp_path / "SAMM" / row[0] / row[1], [f"{row[0]}_{n}.jpg" for n in frames_of(row)])
    release.write(tmp_path, rows)
    loaded = load_release("samm", tmp_path)
    assert [(clip.name, clip.apex) for clip in loaded.clips] == [
        ("028_4_1", 1113),
        ("032_3_1", 4930),
        ("032_3_2", 5127),
    ]
    assert loaded.errata == (
        "samm/028/028_4_1: apex 1143 set to 1113: the apex lies after the offset 1134 (erratum; quangdtsc/megc2019, "
        "README and apex list).",
        "samm/032/032_3_1: apex 1930 set to 4930: the apex lies before the onset 4896 (erratum; quangdtsc/megc2019, "
        "README and apex list; SLSTT's coding.csv and MiE-X's path list have 4930 too).",
    )


def test_samm_numbers_are_read_with_either_width_and_grey_pictures_are_pictures(tmp_path):
    loaded = load_release("samm", RELEASES["samm"].write(tmp_path))
    assert [clip.frames[0].path.name for clip in loaded.clips] == ["006_05562.jpg", "011_2029.jpg", "016_12256.jpg"]


@pytest.mark.parametrize("folder", ["others", "repression"])
@pytest.mark.parametrize("tree", ["emotion first", "subject first"])
def test_mmew_clips_are_found_by_name_in_both_trees(tmp_path, folder, tree):
    release = RELEASES["mmew"]
    release.write(tmp_path)
    shutil.rmtree(tmp_path / "MMEW_Final/Micro_Expression")
    for row in release.rows:
        emotion = folder if row[5] == "others" else row[5]
        place = f"Micro_Expression/{emotion}" if tree == "emotion first" else f"{row[0]}/{emotion}"
        write_pictures(tmp_path / "MMEW_Final" / place / row[1], [f"{n}.jpg" for n in frames_of(row)])
    loaded = load_release("mmew", tmp_path)
    assert (len(loaded.clips), loaded.failed, loaded.source) == (3, (), "cropped")


def test_mmew_repression_in_the_table_is_others(tmp_path):
    rows = [(*row[:5], "repression" if row[5] == "others" else row[5]) for row in RELEASES["mmew"].rows]
    loaded = load_release("mmew", RELEASES["mmew"].write(tmp_path, rows))
    assert sorted(clip.emotion for clip in loaded.clips) == ["disgust", "happiness", "others"]


def test_smic_cropped_pictures_are_cropped(tmp_path):
    release = RELEASES["smic-short"]
    for row in release.rows:
        folder = tmp_path / "SMIC_all_cropped/HS" / release.folder(row)
        write_pictures(folder, [f"reg_image{n:06d}.bmp" for n in frames_of(row)])
    assert load_release("smic", tmp_path).source == "cropped"
    assert load_release("smic", tmp_path / "SMIC_all_cropped/HS").source == "cropped"
    release.write(tmp_path)
    assert load_release("smic", tmp_path).source == "raw"
    assert load_release("smic", tmp_path, source="cropped").source == "cropped"


def test_smic_other_cameras_and_clips_without_expression_are_left_alone(tmp_path):
    release = RELEASES["smic-short"]
    release.write(tmp_path)
    for place in ("NIR", "VIS"):
        write_pictures(tmp_path / "SMIC_all_raw" / place / "s1/micro/negative/s1_ne_05", ["image1.bmp"])
    write_pictures(tmp_path / "SMIC_all_raw/HS/s1/non_micro/s1_ne_06", ["image1.bmp"])
    assert len(load_release("smic", tmp_path).clips) == 3


def test_smic_long_pictures_without_a_known_folder_name_are_not_taken_for_the_short_release(tmp_path):
    release = RELEASES["smic"]
    release.write(tmp_path)
    (tmp_path / release.pictures).rename(tmp_path / "HS")
    (tmp_path / release.table).unlink()
    assert "no coding table; the tables here are none. Expected SMIC-HS-E_annotation.xlsx" in message(
        load_release, "smic", tmp_path / "HS"
    )


def test_smic_takes_the_numbers_of_the_sheet_of_its_camera(tmp_path):
    from openpyxl import load_workbook

    release = RELEASES["smic"]
    straight = load(release, release.write(tmp_path))
    book = load_workbook(tmp_path / release.table)
    slow = book["VIS"]
    for row in book["HS"].iter_rows(values_only=True):
        slow.append([cell // 4 if isinstance(cell, int) and cell > 99 else cell for cell in row])
    book.move_sheet("VIS", -1)
    book.save(tmp_path / release.table)
    assert load(release, tmp_path).clips == straight.clips


def test_smic_clips_have_one_name_however_the_disk_spells_it(tmp_path):
    release = RELEASES["smic-short"]
    release.write(tmp_path)
    folder = tmp_path / release.pictures / release.folder(release.rows[0])
    folder.rename(folder.with_name("S01_NE_1"))
    assert [clip.clip_id for clip in load(release, tmp_path).clips] == list(release.ids)


def test_smic_short_release_is_known_to_be_of_164_clips_even_where_some_are_missing(tmp_path):
    assert load_release("smic", RELEASES["smic-short"].write(tmp_path)).table_version == "HS"


def test_smic_apex_may_be_the_midpoint(tmp_path):
    loaded = load_release("smic", RELEASES["smic-short"].write(tmp_path), apex_rule="midpoint")
    assert {clip.apex_rule for clip in loaded.clips} == {"midpoint"}


def test_smic_long_clips_with_several_expressions_say_that_the_first_is_taken(tmp_path):
    release = RELEASES["smic"]
    release.write(tmp_path)
    from openpyxl import load_workbook

    book = load_workbook(tmp_path / release.table)
    sheet = book["HS"]
    for column, value in zip("FGHI", (559800, 559820, 559850, 559870), strict=True):
        sheet[f"{column}2"] = value
    book.save(tmp_path / release.table)
    first = load_release("smic", tmp_path).clips[0]
    assert first.repairs == ("the video holds 3 micro-expressions: the first is taken",)


def test_smic_clip_that_is_labelled_against_its_name_is_an_erratum(tmp_path):
    row = (18, "s18_sur_03", 100, None, 120, "negative")
    release = RELEASES["smic"]
    write_pictures(tmp_path / release.pictures / "s18/s18_sur_03", [f"image{n:06d}.jpg" for n in frames_of(row)])
    loaded = load_release("smic", release.write(tmp_path, [row]))
    assert [clip.emotion for clip in loaded.clips] == ["surprise"]
    assert loaded.errata[0].startswith("smic/18/s18_sur_03: emotion negative set to surprise: the clip's own name says")


def test_casme3_faulty_rows_are_errata(tmp_path):
    rows = (
        ("spNO.149", "d", "112", "83", "358", "disgust"),
        ("spNO.216", "d", "3647", "2668", "2694", "disgust"),
        ("spNO.216", "e", "0", "0", "25", "fear"),
        ("spNO.40", "e", "1812", "1824", "0", "anger"),
        ("spNO.40", "e", "2327", "2363", "0", "anger"),
        ("spNO.214", "c", "5", "5", "3460", "sad"),
    )
    for subject, name, first, last in (
        ("149", "d", 100, 400),
        ("216", "d", 2600, 2700),
        ("216", "e", 1, 60),
        ("40", "e", 1800, 2420),
        ("214", "c", 1, 60),
    ):
        write_pictures(tmp_path / f"part_A/spNO.{subject}/{name}/color", [f"{n}.jpg" for n in range(first, last + 1)])
        write_pictures(tmp_path / f"part_A/spNO.{subject}/{name}/depth", ["1.png"])
    RELEASES["casme3"].write_table(tmp_path / RELEASES["casme3"].table, rows)
    loaded = load_release("casme3", tmp_path)
    assert loaded.failed == ()
    assert {clip.clip_id: (clip.onset, clip.apex, clip.offset) for clip in loaded.clips} == {
        "casme3/spNO.149/d_112": (112, 123, 358),
        "casme3/spNO.214/c_5": (5, 5, 34),
        "casme3/spNO.216/d_3647": (2647, 2668, 2694),
        "casme3/spNO.216/e_0": (1, 13, 25),
        "casme3/spNO.40/e_1812": (1812, 1824, 1845),
        "casme3/spNO.40/e_2327": (2327, 2363, 2403),
    }
    assert len(loaded.errata) == 6
    assert max(len(clip.frames) for clip in loaded.clips) < 300  # of a whole recording only the clip is kept


def test_casme3_folder_may_be_called_after_the_onset_that_was_corrected(tmp_path):
    row = ("spNO.216", "d", "3647", "2668", "2694", "disgust")
    write_pictures(tmp_path / "Part_A_ME_clip/frame/spNo.216_d_2647", [f"{n}.jpg" for n in range(2647, 2695)])
    RELEASES["casme3"].write_table(tmp_path / RELEASES["casme3"].table, [row])
    (clip,) = load_release("casme3", tmp_path).clips
    assert (clip.clip_id, clip.onset) == ("casme3/spNO.216/d_3647", 2647)


def test_casme3_depth_pictures_and_videos_are_left_alone(tmp_path):
    release = RELEASES["casme3"]
    release.write(tmp_path)
    write_pictures(tmp_path / "Part_A_ME_clip/depth/spNo.1_a_355", ["355.png"])
    (tmp_path / "Part_A_ME_clip/video/spNo.2_b_1").mkdir(parents=True)
    loaded = load_release("casme3", tmp_path)
    assert {clip.frames[0].path.suffix for clip in loaded.clips} == {".jpg"}


def test_casme_frames_are_found_padded_or_not(tmp_path):
    loaded = load_release("casme", RELEASES["casme"].write(tmp_path))
    assert [clip.frames[0].path.name for clip in loaded.clips] == [
        "EP01_12-73.jpg",
        "EP12_2_11-008.jpg",
        "EP11-001.jpg",
    ]


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_published_table_is_recognised_by_its_counts(tmp_path, dataset):
    for version, counts in DATASETS[dataset].versions.items():
        if version != "HS":
            release = RELEASES[dataset]
            emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
            rows = [(*release.rows[0][:5], emotion) for emotion in emotions]
            assert load(release, release.write(tmp_path / version, rows)).table_version == version
            assert load(release, release.write(tmp_path / version, rows[1:])).table_version == ""


def test_an_unknown_dataset_is_named_with_the_nearest(tmp_path):
    assert message(load_release, "casme4", tmp_path) == (
        "Unknown dataset 'casme4'. Known: casme2, samm, mmew, smic, casme3, casme, table. Did you mean 'casme'?"
    )


@pytest.mark.parametrize(
    ("spelt", "dataset"),
    [
        ("CASME II", "casme2"),
        ("casmeii", "casme2"),
        ("casme-2", "casme2"),
        ("CAS(ME)^3", "casme3"),
        ("CAS(ME)³", "casme3"),
        ("CASME Ⅱ", "casme2"),
        ("CASME 3", "casme3"),
        ("casme_i", "casme"),
    ],
)
def test_a_dataset_may_be_called_by_its_title(tmp_path, spelt, dataset):
    release = RELEASES[dataset]
    assert load_release(spelt, release.write(tmp_path)).dataset == dataset


@pytest.mark.parametrize("spelt", ["CAS(ME)^2", "cas(me)2", "CAS(ME)²", "CASME^2", "CASME²", "CAS (ME) ^2", "CASME**2"])
def test_cas_me_squared_is_not_read_as_casme_ii(tmp_path, spelt):
    root = RELEASES["casme2"].write(tmp_path)
    assert message(load_release, spelt, root) == (
        f"{spelt}: is not CASME II (casme2) but another dataset, whose long videos mer does not read as they are "
        "released. Write a CSV of its clips and give that: mer preprocess table RAW --table CLIPS.csv. "
        'See "Your own data" in docs/datasets.md.'
    )


def test_a_table_is_for_ones_own_data_alone(tmp_path):
    assert message(load_release, "samm", tmp_path, table=tmp_path / "x.csv") == (
        "mer preprocess samm: --table goes with the dataset 'table' only. "
        "Type: mer preprocess table RAW --table CLIPS.csv"
    )
    assert "mer preprocess table: --table is missing. Type:" in message(load_release, "table", tmp_path)

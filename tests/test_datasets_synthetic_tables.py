"""Trees and coding tables of generated releases at their full size, cell by cell, types included."""

import csv
import re
from collections import Counter

import cv2
import numpy as np
import pytest
import xlrd
from openpyxl import load_workbook
from tiny_faces import write_tiny_release

from mer_cli.datasets.registry import load_release
from mer_cli.datasets.synthetic.writer import LAYOUTS

UNITS = re.compile(r"[LR]?\d+(\+[LR]?\d+)*")


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The root of each full release, written when it is first asked for."""
    folder, written = tmp_path_factory.mktemp("tiny"), {}

    def root(layout):
        if layout not in written:
            written[layout] = write_tiny_release(layout, folder / layout)
        return written[layout]

    return root


def sheet(path, title, **how):
    return list(load_workbook(path, **how)[title].values)


def truth(root, layout):
    """The drawn frames by subject and clip, from the ground truth."""
    with (root / "ground_truth/clips.csv").open() as file:
        return {(row["subject"], row["clip"]): row for row in csv.DictReader(file)}


def numbers(folder):
    return sorted(int(re.findall(r"\d+", path.stem)[-1]) for path in folder.iterdir())


def types(row):
    return tuple(type(cell) for cell in row)


def test_casme2(roots):
    root = roots("casme2")
    path = root / "CASME2_RAW_selected/CASME2-coding-20190701.xlsx"
    assert load_workbook(path).sheetnames == ["Sheet1", "Sheet2", "Sheet3"]
    rows = sheet(path, "Sheet1")
    assert rows[0] == (
        "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
        "Estimated Emotion", "Objective Classes",
    )  # fmt: skip
    assert len(rows) == 256
    apexes = Counter(type(row[4]) for row in rows[1:])
    assert apexes == {int: 254, str: 1}
    assert ("04", "EP12_01f", None, 261, "/", 321) in [row[:6] for row in rows]
    for subject, name, blank, onset, apex, offset, other_blank, units, emotion, objective in rows[1:]:
        assert (type(subject), blank, other_blank) == (str, None, None)
        assert (type(onset), type(offset), type(objective)) == (int, int, int)
        assert apex == "/" or onset <= apex <= offset
        assert isinstance(units, int) or (UNITS.fullmatch(units) and not units.isdecimal())
        assert emotion in LAYOUTS["casme2"].emotions
        assert 1 <= objective <= 7
        held = numbers(root / f"CASME2_RAW_selected/sub{subject}/{name}")
        assert held == list(range(onset, (96 if (subject, name) == ("16", "EP01_08") else offset) + 1))
        assert (root / f"CASME2_RAW_selected/sub{subject}/{name}/img{onset}.jpg").is_file()


def test_samm(roots):
    root = roots("samm")
    path = root / "SAMM/SAMM_Micro_FACS_Codes_v2.xlsx"
    rows = sheet(path, "MICRO_ONLY")
    assert load_workbook(path).sheetnames == ["MICRO_ONLY"]
    assert rows[13] == (
        "Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
        "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
    )  # fmt: skip
    assert not any("Subject" in row for row in rows[:13])
    assert len(rows) == 13 + 1 + 159
    words = Counter(row[9] for row in rows[14:])
    assert words == {
        "Anger": 57, "Happiness": 26, "Other": 26, "Surprise": 15, "Contempt": 12, "Disgust": 9, "Fear": 8,
        "Sadness": 6,
    }  # fmt: skip
    drawn, units = truth(root, "samm"), []
    for number, row in enumerate(rows[14:], start=15):
        subject, name, inducement, onset, apex, offset, duration, micro, code, _, objective, note = row
        assert types((subject, name, inducement, onset, apex, offset, objective)) == (str, str, int, int, int, int, int)
        assert re.fullmatch(rf"{subject}_\d+_\d+", name)
        assert duration == f"=SUM(F{number}-D{number})+1"
        assert (micro, note) == ("Micro - 1/2", None)
        folder = root / "SAMM" / subject / name
        assert numbers(folder) == list(range(onset, offset + 1))
        assert all(re.fullmatch(rf"{subject}_\d{{4,5}}\.jpg", path.name) for path in folder.iterdir())
        assert (onset <= apex <= offset) == (name not in ("028_4_1", "032_3_1"))
        assert int(drawn[subject, name]["offset"]) == offset
        units.append(code)
    assert not any(row[6] for row in sheet(path, "MICRO_ONLY", data_only=True)[14:])  # no computed value is there
    dirty = [code for code in units if isinstance(code, str) and not UNITS.fullmatch(code)]
    assert len(dirty) >= 159 // 4 - 1
    for pattern in (
        r"\d+B",
        r"A\d+B\+A\d+C",
        r".* or L14",
        r"\d+.*\+soft focus",
        r"ref\(.*B\)\+43",
        r"\d+.* ",
        r"A/.*",
    ):
        assert any(re.fullmatch(pattern, code) for code in dirty), pattern
    assert any(isinstance(code, int) for code in units)


def test_mmew(roots):
    root = roots("mmew")
    rows = sheet(root / "MMEW_Final/MMEW_Micro_Exp.xlsx", "Sheet1")
    assert rows[0] == (
        "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "remarks"
    )  # fmt: skip
    assert len(rows) == 301
    codes = {"happiness": 1, "surprise": 2, "disgust": 3, "others": 4, "fear": 5, "sadness": 6, "anger": 7}
    beyond = 0
    for subject, name, onset, apex, offset, _, emotion, remark in rows[1:]:
        assert re.fullmatch(rf"{subject}-{codes[emotion]:02d}-\d{{3}}", name)
        assert (onset, type(apex), type(offset), remark) == (1, int, int, None)
        held = numbers(root / f"MMEW_Final/Micro_Expression/{emotion}/{name}")
        assert held == list(range(1, len(held) + 1))
        assert (root / f"MMEW_Final/Micro_Expression/{emotion}/{name}/1.jpg").is_file()
        beyond += max(apex, offset) > len(held)
    assert beyond in (14, 15, 16)  # an early apex may be in one of the sixteen wrong rows


def test_smic_short_has_no_table(roots):
    root = roots("smic")
    assert sorted(path.name for path in root.iterdir()) == ["GENERATED.txt", "SMIC_all_raw", "ground_truth"]
    clips = [path for path in root.glob("SMIC_all_raw/HS/s*/micro/*/s*") if path.is_dir()]
    counts = Counter((path.parent.name, path.name.split("_")[1]) for path in clips)
    assert counts == {("negative", "ne"): 70, ("positive", "po"): 51, ("surprise", "sur"): 43}
    for folder in clips:
        assert folder.name.split("_")[0] == folder.parts[-4]
        held = numbers(folder)
        assert held == list(range(held[0], held[-1] + 1))
        assert all(re.fullmatch(r"image\d{6}\.bmp", path.name) for path in folder.iterdir())
    assert {folder.parts[-4] for folder in clips} == {
        f"s{number}" for number in (1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15, 18, 19, 20)
    }


def test_smic_long(roots):
    root = roots("smic-long")
    path = root / "SMIC-E_raw_image/SMIC-HS-E_annotation.xlsx"
    assert load_workbook(path).sheetnames == ["HS", "VIS", "Sheet2", "Sheet3"]
    formulas, rows, slow = sheet(path, "HS"), sheet(path, "HS", data_only=True), sheet(path, "VIS", data_only=True)
    assert rows[0] == (
        "Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None, "FirstF",
        "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion", None, None,
    )  # fmt: skip
    assert rows[158:] == [(None,) * 19] * 6
    assert formulas[158:] == [(None,) * 19] * 6
    assert Counter(row[16] for row in rows[1:158]) == {"negative": 66, "positive": 51, "surprise": 40}
    assert sum(row[5] is not None for row in rows[1:158]) == 8
    n_linked = 0
    for number, (row, formula, vis) in enumerate(zip(rows[1:158], formulas[1:158], slow[1:158], strict=True), start=2):
        subject, name, _, onset, offset, second, second_end, third, third_end, _, first, last, *totals, emotion = row[
            :17
        ]
        assert types((subject, name, onset, offset, first, last)) == (int, str, int, int, int, int)
        assert formula[4] == f"=D{number}+M{number}-1"
        assert offset == onset + totals[0] - 1
        assert last == first + totals[3] - 1
        if formula[3] != onset:  # a cell of the other sheet
            n_linked += 1
            assert formula[3] == f"=VIS!D{number}*4+{onset % 4}"
            assert vis[3] * 4 + onset % 4 == onset
        if second is not None:
            assert second_end - second == offset - onset
        if third is not None and name != "s20_ne_06":
            assert third_end - third == offset - onset
        assert emotion == ("negative" if name == "s18_sur_03" else {
            "ne": "negative", "po": "positive", "sur": "surprise"
        }[name.split("_")[1]])  # fmt: skip
        folder = root / f"SMIC-E_raw_image/HS_long/SMIC-HS-E/s{subject:02d}/{name}"
        assert re.fullmatch(rf"s{subject}_(ne|po|sur)_\d\d", name)
        assert numbers(folder) == list(range(first, last + 1))
        assert first < onset
        assert max(cell for cell in (offset, second_end, third_end) if cell is not None) < last
        assert all(re.fullmatch(r"image\d{6,}\.jpg", path.name) for path in folder.iterdir())
    assert 40 < n_linked < 60
    garbage = next(row for row in rows if row[1] == "s20_ne_06")
    assert garbage[7] < 0
    assert garbage[8] < garbage[7]


def test_casme3(roots):
    root = roots("casme3")
    path = root / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    assert load_workbook(path).sheetnames[0] == "label"
    rows = sheet(path, "label")
    assert rows[0] == ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
    assert len(rows) == 861
    assert {cell for row in rows for cell in types(row)} == {str}
    assert Counter(row[7] for row in rows[1:]) == {
        "disgust": 250, "surprise": 187, "others": 158, "Others": 3, "fear": 86, "anger": 64, "sad": 57, "happy": 55,
    }  # fmt: skip
    assert {row[6] for row in rows[1:]} <= {"I", "II", "III", "IV", "V", "VI", "VII"}
    assert len({row[0] for row in rows[1:]}) == 94
    drawn, n_dropped = truth(root, "casme3"), 0
    for subject, recording, onset, *_ in rows[1:]:
        assert re.fullmatch(r"spNO\.\d+", subject)
        folder = root / f"Part_A_ME_clip/frame/spNo.{subject[5:]}_{recording.lower()}_{onset}"
        held, clip = numbers(folder), drawn[subject, f"{recording}_{onset}"]
        assert (held[0], held[-1]) == (int(clip["onset"]), int(clip["offset"]))
        assert all(re.fullmatch(r"[1-9]\d*\.jpg", path.name) for path in folder.iterdir())
        n_dropped += len(held) < held[-1] - held[0] + 1
    assert n_dropped == 86
    faulty = {row[:5] for row in rows} & {
        ("spNO.149", "d", "112", "83", "358"), ("spNO.216", "d", "3647", "2668", "2694"),
        ("spNO.216", "e", "0", "0", "25"), ("spNO.40", "e", "1812", "1824", "0"),
        ("spNO.40", "e", "2327", "2363", "0"), ("spNO.214", "c", "5", "5", "3460"),
    }  # fmt: skip
    assert len(faulty) == 6


def test_casme(roots):
    root = roots("casme")
    book = xlrd.open_workbook(root / "CASME_raw_selected/CASME-coded-20190721.xls")
    held = book.sheet_by_index(0)
    assert held.row_values(0) == [
        "Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "Onset", "Total", "AU", "Emotion"
    ]  # fmt: skip
    assert held.nrows == 194
    text, number, empty = xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_EMPTY
    n_without = 0
    for row in range(1, 194):
        subject, name, _, onset, apex, second, offset, _, rise, whole, units, emotion = held.row_values(row)
        kinds = held.row_types(row)
        assert [kinds[column] for column in (0, 1, 2, 3, 4, 6, 7, 8, 9, 11)] == [
            number, text, empty, number, number, number, empty, number, number, text
        ]  # fmt: skip
        n_without += second == "\\"
        assert second == "\\" or onset < apex < second <= offset
        assert rise == round((apex - onset + 1) * 1000 / 60)
        assert whole == round((offset - onset + 1) * 1000 / 60)
        assert kinds[10] == number or UNITS.fullmatch(units)
        assert emotion in LAYOUTS["casme"].emotions
        folder = root / f"CASME_raw_selected/sub{int(subject):02d}/{name}"
        frames = range(int(onset), int(offset) + 1)
        written = {f"{name}-{frame}.jpg" if row <= 92 else f"{name}-{frame:03d}.jpg" for frame in frames}
        assert {path.name for path in folder.iterdir()} == written
    assert n_without == 68


def test_dfme(roots):
    root = roots("dfme")
    n_rows, folders = 0, {"training": "train_data", "testA": "test_data_A", "testB": "test_data_B"}
    for part, place in folders.items():
        path = root / f"DFME/full_release_annotation/{part}_full_with_AU.xlsx"
        assert load_workbook(path).sheetnames == ["Sheet1"]
        rows = sheet(path, "Sheet1")
        assert rows[0] == (
            "Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU"
        )  # fmt: skip
        n_rows += len(rows) - 1
        for subject, name, onset, apex, offset, emotion, code, fps, _ in rows[1:]:
            assert re.fullmatch(rf"{subject}_\d\d", name)
            assert re.fullmatch(r"sub\d{4}", subject)
            assert 0 <= onset < apex < offset
            assert code == ["anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"].index(emotion)
            assert fps in (200, 300, 500)
            held = numbers(root / f"DFME/{place}/{place}/{name}")
            assert held == list(range(held[-1] + 1))
            assert held[-1] >= offset
            assert (root / f"DFME/{place}/{place}/{name}/00000.png").is_file()
    assert n_rows == 262


def test_casme3c(roots):
    root = roots("casme3c")
    path = root / "CAS(ME)3_part_C_ME.xlsx"
    rows = sheet(path, "mockCrimeME")
    assert rows[0] == ("sub", "count", "onset", "offset", "au", "emotion")
    assert Counter(row[5] for row in rows[1:]) == {"negative": 99, "surprise": 30, "others": 20, "positive": 16}
    assert len({row[:2] for row in rows[1:]}) == 165
    for subject, count, onset, offset, _, _ in rows[1:]:
        assert types((subject, count, onset, offset)) == (int, int, int, int)
        assert set(range(onset, offset + 1)) < set(numbers(root / f"part_C/part_C/{subject:02d}/a/color"))


def test_4dme(roots):
    root = roots("4dme")
    rows = sheet(root / "4DME_Labelling_Micro_release v1.xlsx", "Sheet1")
    labels = ("Positive", "Negative", "Surprise", "Repression", "Others")
    assert rows[0][:7] == ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs")
    assert rows[0][-7:] == (*labels, "eye blink", "fold")
    assert len(rows) == 268
    assert sum("+" in row[2] for row in rows[1:]) == 29
    assert sum("(k)" in row[6] for row in rows[1:]) == 38
    for subject, name, emotion, onset, _, offset, *_ in rows[1:]:
        assert numbers(root / f"gray_micro/{subject}/{name}") == list(range(onset, offset + 1))
        assert set(emotion.split("+")) <= set(labels)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pipeline_reads_it_and_finds_the_truth_of_every_clip(roots, layout):
    root, dataset = roots(layout), layout.removesuffix("-long")
    release = load_release(dataset, root)
    assert (len(release.clips), release.failed, release.generated) == (LAYOUTS[layout].n_clips, (), True)
    keys = {(clip.subject, clip.name) for clip in release.clips}
    assert keys == set(truth(root, layout))
    assert all((root / f"ground_truth/{subject}/{name}.npz").is_file() for subject, name in keys)


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if LAYOUTS[layout].table])
def test_the_same_seed_gives_the_same_table_and_another_seed_another(tmp_path, layout):
    few = {"subjects": 2, "clips": 8}
    tables = [
        (write_tiny_release(layout, tmp_path / name, seed=seed, **few) / LAYOUTS[layout].table).read_bytes()
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    ]
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_picture_tells_its_frame_number_by_its_shade(roots, layout):
    """Pictures are written under their own number, none shifted against another."""
    clip = load_release(layout.removesuffix("-long"), roots(layout)).clips[1]
    for frame in clip.frames:
        picture = cv2.imread(str(frame.path), cv2.IMREAD_UNCHANGED)
        assert picture.ndim == (2 if layout in ("samm", "4dme") else 3)
        assert abs(int(np.median(picture)) - frame.number * 7 % 256) <= 2

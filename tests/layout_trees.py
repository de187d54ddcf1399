"""Tiny releases of every dataset, typed from what is known of the real ones: folders, file names, table, cell types.

Independent of `mer synth`, whose own trees are another test's matter. Pictures are 8x8 and grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import xlwt
from openpyxl import Workbook

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class TinyRelease:
    """How one dataset's tiny release is written.

    rows : (subject, clip, onset, apex, offset, label) as in the table, cell types included
    folder : a row's folder in the release · picture : the name of a frame's picture
    pictures : the folder that holds all clips · table : where the table lies
    ids : clip ids that come out, in their order
    """

    dataset: str
    rows: Rows
    folder: Callable[[Sequence[Any]], str]
    picture: Callable[[Sequence[Any], int], str]
    pictures: str
    table: str
    write_table: Callable[[Path, Rows], None]
    ids: tuple[str, ...]

    def write(self, root: Path, rows: Rows | None = None) -> Path:
        """Write pictures and table; give `root`."""
        for row in self.rows:
            folder = root / self.pictures / self.folder(row)
            write_pictures(folder, [self.picture(row, number) for number in frames_of(row)])
        if self.table:
            path = root / self.table
            path.parent.mkdir(parents=True, exist_ok=True)
            self.write_table(path, self.rows if rows is None else rows)
        return root


def frames_of(row: Sequence[Any]) -> range:
    """The frames on disk: onset to offset as annotated."""
    return range(int(row[2]), int(row[4]) + 1)


def write_pictures(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for brightness, name in enumerate(names):
        coded = cv2.imencode(Path(name).suffix, np.full((8, 8, 3), brightness % 256, np.uint8))[1]
        (folder / name).write_bytes(coded.tobytes())


def write_workbook(path: Path, rows: Rows, *, sheet: str = "Sheet1", others: Sequence[str] = ()) -> None:
    book = Workbook()
    book.worksheets[0].title = sheet
    for row in rows:
        book.worksheets[0].append(list(row))
    for title in others:
        book.create_sheet(title)
    book.save(path)


def _casme2_table(path: Path, rows: Rows) -> None:
    header = ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
              "Estimated Emotion", "Objective Classes")  # fmt: skip
    cells = [(s, name, None, on, apex, off, None, "4+L10", label, 4) for s, name, on, apex, off, label in rows]
    write_workbook(path, [header, *cells], others=("Sheet2", "Sheet3"))


def _samm_table(path: Path, rows: Rows) -> None:
    notes = [(f"note {number}",) for number in range(13)]
    header = ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration",
              "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes")  # fmt: skip
    cells = [
        (s, name, 1, on, apex, off, f"=SUM(F{n}-D{n})+1", "Micro - 1/2", "L12 or L14", label, 4, None)
        for n, (s, name, on, apex, off, label) in enumerate(rows, start=15)
    ]
    write_workbook(path, [*notes, header, *cells], sheet="MICRO_ONLY")


def _mmew_table(path: Path, rows: Rows) -> None:
    header = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion",
              "remarks")  # fmt: skip
    cells = [(s, name, on, apex, off, "4+7", label, None) for s, name, on, apex, off, label in rows]
    write_workbook(path, [header, *cells])


def _smic_table(path: Path, rows: Rows) -> None:
    header = ("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None,
              "FirstF", "LastF", "TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion", None, None)  # fmt: skip
    cells = [
        (s, name, None, on, off, *([None] * 5), on - 9, off + 9, off - on + 1, None, None, off - on + 19, label)
        for s, name, on, _, off, label in rows
    ]
    cells += [(None,)] * 6
    write_workbook(path, [header, *cells], sheet="HS", others=("VIS", "Sheet2", "Sheet3"))


def _casme3_table(path: Path, rows: Rows) -> None:
    header = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion")
    cells = [(s, name, on, apex, off, "4+B23", "IV", label) for s, name, on, apex, off, label in rows]
    assert all(isinstance(cell, str) for row in cells for cell in row)
    write_workbook(path, [header, *cells], sheet="label", others=("Sheet2",))


def _casme_table(path: Path, rows: Rows) -> None:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    header = ("Subject", "Filename", "", "OnsetF", "ApexF1", "ApexF2", "OffsetF", "", "Onset", "Total", "AU", "Emotion")
    cells = [
        (s, name, "", on, apex, "\\", off, "", 1000 * on // 60, 1000 * (off - on) // 60, "4", label)
        for s, name, on, apex, off, label in rows
    ]
    for number, row in enumerate([header, *cells]):
        for column, cell in enumerate(row):
            if cell != "":
                sheet.write(number, column, cell)
    book.save(str(path))


def _casme_picture(row: Sequence[Any], number: int) -> str:
    return f"{row[1]}-{number}.jpg" if row[0] == 1 else f"{row[1]}-{number:03d}.jpg"


def _dfme_table(path: Path, rows: Rows) -> None:
    header = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")
    cells = [(*row, 0, int(row[0][-1]) * 100, "4+L10") for row in rows]
    write_workbook(path, [header, *cells])


def _casme3c_table(path: Path, rows: Rows) -> None:
    header = ("sub", "count", "onset", "offset", "au", "emotion")
    cells = [
        (s, int(count) if count.isdecimal() else count, on, off, "4,7", label) for s, count, on, _, off, label in rows
    ]
    write_workbook(path, [header, *cells], sheet="mockCrimeME")


def _fourdme_table(path: Path, rows: Rows) -> None:
    labels = ("Positive", "Negative", "Surprise", "Repression", "Others")
    header = ("sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "AU4", "AU7", *labels, "eye blink",
              "fold")  # fmt: skip
    cells = [
        (s, name, label, on, apex, off, "AU4(k)+L7", 1, 1, *(int(word in label.split("+")) for word in labels), 0, 1)
        for s, name, on, apex, off, label in rows
    ]
    write_workbook(path, [header, *cells])


RELEASES = {
    release.dataset if release.table or release.dataset != "smic" else "smic-short": release
    for release in (
        TinyRelease(
            "casme2",
            (
                ("01", "EP02_01f", 46, 59, 86, "happiness"),
                ("02", "EP01_11f", 6, 11, 20, "disgust"),
                ("17", "EP06_02_01", 5, 9, 14, "surprise"),
            ),
            folder=lambda row: f"sub{row[0]}/{row[1]}",
            picture=lambda row, number: f"img{number}.jpg",
            pictures="CASME2_RAW_selected",
            table="CASME2_RAW_selected/CASME2-coding-20190701.xlsx",
            write_table=_casme2_table,
            ids=("casme2/01/EP02_01f", "casme2/02/EP01_11f", "casme2/17/EP06_02_01"),
        ),
        TinyRelease(
            "samm",
            (
                ("006", "006_1_2", 5562, 5588, 5632, "Anger"),
                ("011", "011_2_1", 2029, 2040, 2050, "Happiness"),
                ("016", "016_7_8", 12256, 12260, 12270, "Other"),
            ),
            folder=lambda row: f"{row[0]}/{row[1]}",
            picture=lambda row, number: f"{row[0]}_{number:0{4 if row[0] == '011' else 5}d}.jpg",
            pictures="SAMM",
            table="SAMM/SAMM_Micro_FACS_Codes_v2.xlsx",
            write_table=_samm_table,
            ids=("samm/006/006_1_2", "samm/011/011_2_1", "samm/016/016_7_8"),
        ),
        TinyRelease(
            "mmew",
            (
                ("S01", "S01-01-001", 1, 8, 15, "happiness"),
                ("S01", "S01-04-002", 1, 6, 12, "others"),
                ("S30", "S30-03-001", 1, 9, 20, "disgust"),
            ),
            folder=lambda row: f"{row[5]}/{row[1]}",
            picture=lambda row, number: f"{number}.jpg",
            pictures="MMEW_Final/Micro_Expression",
            table="MMEW_Final/MMEW_Micro_Exp.xlsx",
            write_table=_mmew_table,
            ids=("mmew/S01/S01-01-001", "mmew/S01/S01-04-002", "mmew/S30/S30-03-001"),
        ),
        TinyRelease(
            "smic",
            (
                (1, "s1_ne_01", 559740, None, 559760, "negative"),
                (20, "s20_po_04", 17581039, None, 17581049, "positive"),
                (20, "s20_sur_02", 17582000, None, 17582009, "surprise"),
            ),
            folder=lambda row: f"s{row[0]:02d}/{row[1]}",
            picture=lambda row, number: f"image{number:06d}.jpg",
            pictures="SMIC-E_raw_image/HS_long/SMIC-HS-E",
            table="SMIC-E_raw_image/SMIC-HS-E_annotation.xlsx",
            write_table=_smic_table,
            ids=("smic/01/s1_ne_01", "smic/20/s20_po_04", "smic/20/s20_sur_02"),
        ),
        TinyRelease(
            "smic",
            (
                (1, "s1_ne_01", 559740, None, 559760, "negative"),
                (20, "s20_po_04", 581039, None, 581049, "positive"),
                (20, "s20_sur_02", 582000, None, 582009, "surprise"),
            ),
            folder=lambda row: f"s{row[0]}/micro/{row[5]}/{row[1]}",
            picture=lambda row, number: f"image{number}.bmp",
            pictures="SMIC_all_raw/HS",
            table="",
            write_table=_smic_table,
            ids=("smic/01/s1_ne_01", "smic/20/s20_po_04", "smic/20/s20_sur_02"),
        ),
        TinyRelease(
            "casme3",
            (
                ("spNO.1", "a", "355", "360", "370", "happy"),
                ("spNO.1", "a", "7", "9", "15", "Others"),
                ("spNO.14", "J", "100", "110", "120", "disgust"),
            ),
            folder=lambda row: f"{row[0].replace('spNO', 'spNo')}_{row[1]}_{row[2]}",
            picture=lambda row, number: f"{number}.jpg",
            pictures="Part_A_ME_clip/frame",
            table="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
            write_table=_casme3_table,
            ids=("casme3/spNO.1/a_355", "casme3/spNO.1/a_7", "casme3/spNO.14/J_100"),
        ),
        TinyRelease(
            "casme",
            (
                (1, "EP01_12", 73, 80, 91, "tense"),
                (2, "EP12_2_11", 8, 12, 20, "disgust"),
                (18, "EP11", 1, 5, 9, "happiness"),
            ),
            folder=lambda row: f"sub{row[0]:02d}/{row[1]}",
            picture=_casme_picture,
            pictures="CASME_raw_selected",
            table="CASME-coded-20190721.xls",
            write_table=_casme_table,
            ids=("casme/01/EP01_12", "casme/02/EP12_2_11", "casme/18/EP11"),
        ),
        TinyRelease(
            "dfme",
            (
                ("sub0002", "sub0002_01", 0, 12, 20, "disgust"),
                ("sub0003", "sub0003_01", 3, 9, 14, "contempt"),
                ("sub0005", "sub0005_12", 110, 120, 130, "surprise"),
            ),
            folder=lambda row: f"train_data/train_data/{row[1]}",
            picture=lambda row, number: f"{number:05d}.png",
            pictures="DFME",
            table="DFME/full_release_annotation/training_full_with_AU.xlsx",
            write_table=_dfme_table,
            ids=("dfme/sub0002/sub0002_01", "dfme/sub0003/sub0003_01", "dfme/sub0005/sub0005_12"),
        ),
        TinyRelease(
            "casme3c",
            (
                (1, "1", 355, None, 370, "negative"),
                (1, "2", 407, None, 415, "Others"),
                (31, "1", 100, None, 120, "positive"),
            ),
            folder=lambda row: f"{row[0]:02d}/{row[1]}/color",
            picture=lambda row, number: f"{number}.jpg",
            pictures="ME_C",
            table="CAS(ME)3_part_C_ME.xlsx",
            write_table=_casme3c_table,
            ids=("casme3c/01/1_355", "casme3c/01/2_407", "casme3c/31/1_100"),
        ),
        TinyRelease(
            "4dme",
            (
                ("S13", "S13_1st_001_01_1", 355, 360, 370, "Negative"),
                ("S13", "S13_1st_001_02_1", 7, 9, 15, "Others"),
                ("S20", "S20_2nd_004_01_1", 100, 110, 120, "Repression"),
            ),
            folder=lambda row: f"{row[0]}/{row[1]}",
            picture=lambda row, number: f"{number}.jpg",
            pictures="gray_micro",
            table="4DME_Labelling_Micro_release v1.xlsx",
            write_table=_fourdme_table,
            ids=("4dme/S13/S13_1st_001_01_1", "4dme/S13/S13_1st_001_02_1", "4dme/S20/S20_2nd_004_01_1"),
        ),
    )
}

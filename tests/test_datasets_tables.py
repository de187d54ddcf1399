"""The coding-table reader on real workbooks: what it finds, what it keeps as text, and what it says of a bad file."""

import datetime
import hashlib
import os

import pytest
import xlwt
from openpyxl import Workbook

from mer_cli.datasets.tables import read_table, whole_number
from mer_cli.errors import DatasetError

COLUMNS = ("Subject", "Filename", "ApexFrame")


def write_book(path, **sheets):
    """A workbook with the sheets' rows, in the order given."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def read(folder, *rows, header=COLUMNS):
    return read_table(write_book(folder / "coding.xlsx", Sheet1=[header, *rows]), COLUMNS).rows


def message(path, columns=COLUMNS):
    with pytest.raises(DatasetError) as error:
        read_table(path, columns)
    return str(error.value)


def test_read_table_gives_rows_in_file_order_with_their_spreadsheet_numbers(tmp_path):
    rows = read(tmp_path, ["02", "EP01_11f", 51], ["01", "EP02_01f", 59])
    assert [row.number for row in rows] == [2, 3]
    assert rows[0].cells == {"Subject": "02", "Filename": "EP01_11f", "ApexFrame": "51"}
    assert rows[1].cells == {"Subject": "01", "Filename": "EP02_01f", "ApexFrame": "59"}


def test_read_table_gives_the_path_and_hash_of_the_file_as_it_lies_on_disk(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[COLUMNS, ["01", "EP02_01f", 59]])
    table = read_table(path, COLUMNS)
    assert table.path == path
    assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_read_table_reads_every_cell_as_text(tmp_path):
    (row,) = read(tmp_path, ["01", 20, "/"])
    assert row.cells == {"Subject": "01", "Filename": "20", "ApexFrame": "/"}


@pytest.mark.parametrize("word", ["NA", "nan", "null", "None"])
def test_read_table_does_not_take_a_word_for_an_empty_cell(tmp_path, word):
    (row,) = read(tmp_path, ["01", word, 59])
    assert row.cells["Filename"] == word


def test_read_table_gives_an_empty_cell_as_empty_text(tmp_path):
    (row,) = read(tmp_path, ["01", "EP02_01f", None])
    assert row.cells["ApexFrame"] == ""


def test_read_table_strips_the_spaces_around_a_cell(tmp_path):
    (row,) = read(tmp_path, ["01 ", " EP02_01f", "\t59\n"])
    assert row.cells == {"Subject": "01", "Filename": "EP02_01f", "ApexFrame": "59"}


def test_read_table_does_not_fail_on_a_date(tmp_path):
    (row,) = read(tmp_path, ["01", "EP02_01f", datetime.datetime(2014, 5, 8)])
    assert row.cells["ApexFrame"].startswith("2014-05-08")


def test_read_table_skips_blank_rows_and_keeps_the_numbers_of_the_others(tmp_path):
    rows = read(tmp_path, [None, None, None], ["01", "EP02_01f", 59], ["  ", None, ""], ["02", "EP01_11f", 51])
    assert [row.number for row in rows] == [3, 5]


def test_read_table_skips_a_row_that_is_blank_in_the_wanted_columns(tmp_path):
    rows = read(tmp_path, ["01", "EP02_01f", 59, ""], [None, None, None, "a remark"], header=[*COLUMNS, "Remark"])
    assert [row.number for row in rows] == [2]


def test_read_table_leaves_out_further_and_blank_columns(tmp_path):
    (row,) = read(
        tmp_path, ["01", "x", "EP02_01f", "y", 59], header=["Subject", None, "Filename", "Notes", "ApexFrame"]
    )
    assert row.cells == {"Subject": "01", "Filename": "EP02_01f", "ApexFrame": "59"}


def test_read_table_takes_the_columns_in_any_order(tmp_path):
    (row,) = read(tmp_path, [59, "01", "EP02_01f"], header=["ApexFrame", "Subject", "Filename"])
    assert row.cells == {"Subject": "01", "Filename": "EP02_01f", "ApexFrame": "59"}


@pytest.mark.parametrize("header", [("subject", "FILENAME", "apexframe"), (" Subject", "File name", "Apex\nFrame ")])
def test_read_table_matches_columns_without_case_or_spaces(tmp_path, header):
    (row,) = read(tmp_path, ["01", "EP02_01f", 59], header=header)
    assert row.cells == {"Subject": "01", "Filename": "EP02_01f", "ApexFrame": "59"}


def test_read_table_finds_the_header_below_notes(tmp_path):
    notes = [["CASME II"], ["Subject", "see the paper"], [None]]
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[*notes, COLUMNS, ["01", "EP02_01f", 59]])
    (row,) = read_table(path, COLUMNS).rows
    assert (row.number, row.cells["Subject"]) == (5, "01")


@pytest.mark.parametrize("order", [("Notes", "Empty", "Data"), ("Data", "Empty", "Notes")])
def test_read_table_finds_the_sheet_that_holds_the_columns(tmp_path, order):
    sheets = {"Notes": [["Subject", "Filename"], ["who", "what"]], "Empty": [], "Data": [COLUMNS, ["01", "EP1", 59]]}
    (row,) = read_table(write_book(tmp_path / "coding.xlsx", **{title: sheets[title] for title in order}), COLUMNS).rows
    assert row.cells["Filename"] == "EP1"


def test_read_table_takes_the_first_of_two_headers_alike(tmp_path):
    path = write_book(
        tmp_path / "coding.xlsx", Old=[COLUMNS, ["01", "EP1", 59]], New=[COLUMNS, ["02", "EP2", 51], ["03", "EP3", 51]]
    )
    assert [row.cells["Subject"] for row in read_table(path, COLUMNS).rows] == ["01"]


def test_read_table_reads_an_old_workbook(tmp_path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("Sheet1")
    for column, values in enumerate(
        [("Subject", 1, "02"), ("Filename", "EP01_12", "EP01_13"), ("ApexFrame", 80, "\\")]
    ):
        for row, value in enumerate(values):
            sheet.write(row, column, value)
    book.save(str(tmp_path / "coding.xls"))
    rows = read_table(tmp_path / "coding.xls", COLUMNS).rows
    assert [tuple(row.cells.values()) for row in rows] == [("1", "EP01_12", "80"), ("02", "EP01_13", "\\")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_read_table_reads_a_csv_however_it_was_saved(tmp_path, separator, line_end, encoding):
    lines = ["Subject,Filename,ApexFrame", '01,"EP, é",59', "", "02,EP03,"]
    text = line_end.join(lines) + line_end
    if separator != ",":
        text = text.replace("EP, é", "EP é").replace(",", separator).replace("EP é", "EP, é")
    (tmp_path / "coding.csv").write_bytes(text.encode(encoding))
    rows = read_table(tmp_path / "coding.csv", COLUMNS).rows
    assert [(row.number, *row.cells.values()) for row in rows] == [(2, "01", "EP, é", "59"), (4, "02", "EP03", "")]


def test_read_table_takes_an_optional_column_where_it_is_there(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[[*COLUMNS, "Action Units"], ["01", "EP1", 59, "4+L10"]])
    assert read_table(path, COLUMNS, ("Action Units", "fps")).rows[0].cells["Action Units"] == "4+L10"
    assert "fps" not in read_table(path, COLUMNS, ("Action Units", "fps")).rows[0].cells


def test_read_table_names_a_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "coding.xlsx"
    assert message(path) == (
        f"{path}: the coding table can't be read (No such file or directory). Check its permissions."
    )
    path.mkdir()
    assert "the coding table can't be read (Is a directory)" in message(path)


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", b"Subject,Filename,ApexFrame\n01,EP02_01f,59\n"])
def test_read_table_names_a_file_that_is_no_workbook(tmp_path, content):
    path = tmp_path / "coding.xlsx"
    path.write_bytes(content)
    assert message(path) == (
        f"{path}: can't be read as a table (its content does not begin like a workbook's). Download the coding table "
        "again, or open it in Excel or LibreOffice and save it as .xlsx without a password."
    )


def test_read_table_names_a_workbook_that_was_cut_short(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[COLUMNS, ["01", "EP02_01f", 59]])
    path.write_bytes(path.read_bytes()[:-200])
    assert message(path).startswith(f"{path}: can't be read as a table (")


@pytest.mark.parametrize("name", ["coding.xlsm", "coding.xls", "coding.csv"])
def test_read_table_knows_a_workbook_by_its_content_whatever_its_name(tmp_path, name):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[COLUMNS, ["01", "EP02_01f", 59]]).rename(tmp_path / name)
    assert read_table(path, COLUMNS).rows[0].cells["ApexFrame"] == "59"


def test_read_table_says_in_which_encoding_a_csv_was_read(tmp_path):
    path = tmp_path / "coding.csv"
    text = "Subject,Filename,ApexFrame\n01,开心,59\n"
    path.write_bytes(text.encode("gbk"))
    table = read_table(path, COLUMNS)
    assert table.rows[0].cells["Filename"] == "开心"
    assert table.encoding == "read as GB18030 (GBK, Chinese), because it is not UTF-8: check that 开心 is right"
    path.write_bytes(text.encode())
    assert read_table(path, COLUMNS).encoding == ""


def test_read_table_refuses_a_csv_whose_encoding_cannot_be_told(tmp_path):
    path = tmp_path / "coding.csv"
    path.write_bytes("Subject,Filename,ApexFrame\n01,恐惧,59\n".encode("gbk"))
    assert message(path) == (
        f"{path}: the text is not UTF-8, and its encoding can't be told: its characters could be GB18030 (GBK, "
        "Chinese) or Big5 (Chinese) or EUC-KR (Korean). Open it in the program that wrote it, and save it as "
        '"CSV UTF-8".'
    )


def test_read_table_refuses_a_nul_in_a_csv(tmp_path):
    path = tmp_path / "coding.csv"
    path.write_text("Subject,Filename,ApexFrame\n01,EP\0,59\n")
    assert message(path) == (
        f"{path}: can't be read as a CSV (row 2 holds a NUL character). Save it again, as CSV or .xlsx."
    )


def test_read_table_refuses_a_cell_that_is_too_long_for_a_csv(tmp_path):
    path = tmp_path / "coding.csv"
    path.write_text(f"Subject,Filename,ApexFrame\n01,{'x' * 200_000},59\n")
    assert message(path) == (
        f"{path}: can't be read as a CSV (field larger than field limit (131072)). Save it again, as CSV or .xlsx."
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_read_table_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "coding.csv")
    assert message(tmp_path / "coding.csv") == (
        f"{tmp_path / 'coding.csv'}: the coding table can't be read (it is not a regular file). Give the path of the "
        "coding table."
    )


def test_read_table_refuses_a_file_that_no_coding_table_is_as_large_as(tmp_path):
    path = tmp_path / "coding.csv"
    with path.open("wb") as file:
        file.truncate(300 << 20)  # takes no room on the disk
    assert message(path) == (
        f"{path}: the coding table can't be read (it has more than 268,435,456 bytes). Give the path of the coding "
        "table."
    )


def test_read_table_names_the_sheets_where_none_has_a_header(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Notes=[["Subject", "see the paper"]], Empty=[])
    assert message(path) == (
        f"{path}: no header row in any sheet (Notes, Empty). Expected a row with the columns "
        "Subject, Filename, ApexFrame. Take the coding table as released."
    )


def test_read_table_names_a_sheet_without_rows_below_its_header(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[COLUMNS, [None, " ", None]])
    assert message(path) == (f"{path}: sheet 'Sheet1' has no rows below its header. Download the table again.")


def test_read_table_names_a_missing_column_and_the_nearest_that_is_there(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Codes=[["note"], ["Subject", "Filename", None, "Apex Frame 1"], [1, 2]])
    assert message(path) == (
        f"{path}: sheet 'Codes' row 2: no column 'ApexFrame'; found Subject, Filename, Apex Frame 1. "
        "Did you mean 'Apex Frame 1'? Expected Subject, Filename, ApexFrame. Add or rename the column."
    )


def test_read_table_suggests_nothing_where_no_column_is_near(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[["Subject", "Filename"], ["01", "EP02_01f"]])
    assert message(path, [*COLUMNS, "Estimated Emotion"]) == (
        f"{path}: sheet 'Sheet1' row 1: no column 'ApexFrame', 'Estimated Emotion'; found Subject, Filename. "
        "Expected Subject, Filename, ApexFrame, Estimated Emotion. Add or rename the column."
    )


def test_read_table_suggests_no_column_that_is_wanted_itself(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[["Subject", "OffsetFrame"], ["01", 86]])
    assert message(path, ("Subject", "OnsetFrame", "OffsetFrame")) == (
        f"{path}: sheet 'Sheet1' row 1: no column 'OnsetFrame'; found Subject, OffsetFrame. "
        "Expected Subject, OnsetFrame, OffsetFrame. Add or rename the column."
    )


def test_read_table_refuses_a_column_that_is_there_twice(tmp_path):
    path = write_book(tmp_path / "coding.xlsx", Sheet1=[[*COLUMNS, "apex frame"], ["01", "EP02_01f", 59, 60]])
    assert message(path) == (f"{path}: sheet 'Sheet1' row 1: there are two columns 'ApexFrame'. Delete the wrong one.")


def test_read_table_allows_a_column_that_is_not_wanted_to_be_there_twice(tmp_path):
    (row,) = read(tmp_path, ["01", "EP02_01f", 59, "a", "b"], header=[*COLUMNS, "Notes", "Notes"])
    assert row.cells["ApexFrame"] == "59"


@pytest.mark.parametrize(
    ("text", "number"),
    [("46", 46), ("046", 46), ("0", 0), ("46.", 46), ("46.0", 46), ("46.00", 46), ("999999999", 999_999_999)],
)
def test_whole_number_reads_a_frame_number(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "/", "46.5", "-3", "+3", "1e3", "4 6", " 46", "46\n", "nan", "1000000000", "٤٦"])
def test_whole_number_gives_none_for_anything_else(text):
    assert whole_number(text) is None


def test_whole_number_reads_what_a_workbook_makes_of_numbers(tmp_path):
    rows = read(tmp_path, ["01", "EP1", 46], ["01", "EP2", 46.0], ["01", "EP3", "46"], ["01", "EP4", 46.5])
    assert [whole_number(row.cells["ApexFrame"]) for row in rows] == [46, 46, 46, None]

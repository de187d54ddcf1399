"""Workbooks of every kind, read in a process of their own; what makes a parser crash ends in an error."""

import datetime
import io
import sys
import zipfile

import pytest
from openpyxl import Workbook

from mer_cli.datasets import workbook
from mer_cli.datasets.workbook import UnreadableWorkbookError, read_workbook

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
MANIFEST = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
ODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="Codes"><table:table-row>
<table:table-cell office:value-type="string"><text:p>开心</text:p></table:table-cell>
<table:table-cell office:value-type="float" office:value="46"><text:p>46</text:p></table:table-cell>
</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"""


def xlsx(*rows, **further):
    book = Workbook()
    for at, row in enumerate(rows, start=1):
        for across, cell in enumerate(row, start=1):
            book.worksheets[0].cell(at, across, cell)
    for place, cell in further.items():
        book.worksheets[0][place] = cell
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def with_sheet(content, xml):
    """The workbook with other XML in its sheet."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, xml if name == "xl/worksheets/sheet1.xml" else old.read(name))
    return changed.getvalue()


def reason(content):
    with pytest.raises(UnreadableWorkbookError) as error:
        read_workbook(content)
    return str(error.value)


def test_cells_become_text_as_they_are_seen():
    day = datetime.datetime(2014, 5, 8)
    content = xlsx(["01", 1, 46.0, 46.5], [True, None, day, " a "], [], ["=1+1", 17581039])
    assert read_workbook(content) == {
        "Sheet": [
            ["01", "1", "46", "46.5"],
            ["True", "", "2014-05-08 00:00:00", " a "],
            ["", "", "", ""],
            ["", "17581039", "", ""],
        ]
    }


def test_blank_rows_above_and_columns_before_are_kept():
    assert read_workbook(xlsx(C3="x")) == {"Sheet": [["", "", ""], ["", "", ""], ["", "", "x"]]}


def test_an_open_document_is_read():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as ods:
        ods.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        ods.writestr("META-INF/manifest.xml", MANIFEST)
        ods.writestr("content.xml", ODS.replace("\n<", "<"))  # as it is saved, without line ends between the cells
    assert read_workbook(content.getvalue()) == {"Codes": [["开心", "46"]]}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)])
def test_what_is_no_workbook_is_refused(content):
    assert reason(content) == "Cannot detect file format"


@LINUX
def test_a_sheet_that_claims_every_cell_there_is_takes_no_memory_of_ours():
    assert reason(xlsx(A1="a", XFD1048576="b")) == "reading it takes over 1 GiB of memory"


@LINUX
def test_a_zip_bomb_takes_no_memory_of_ours():
    cell = b'<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>' + b"a" * (600 << 20)
    assert reason(with_sheet(xlsx(["a"]), cell + b"</t></is></c></row></sheetData></worksheet>")) == (
        "reading it takes over 1 GiB of memory"
    )


def test_a_parser_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(workbook, "WALL_S", 0.01)
    assert reason(xlsx(["a"])) == "reading it takes over 0.01 seconds"


def test_a_reader_that_does_not_start_is_not_the_fault_of_the_file(monkeypatch):
    content = xlsx(["a"])
    monkeypatch.setattr(sys, "path", [])
    assert reason(content).startswith("the reader doesn't start: ")


def test_more_cells_than_a_table_has_are_refused():
    assert reason(xlsx(A1="a", ZZ9000="b")) == "it has over 5,000,000 cells"

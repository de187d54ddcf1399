"""Damage to coding tables (CSV, .xlsx, .xls): any content is read as cells, or refused with a clear error.

The damage knows the formats, because damage to the bytes of a zip mostly ends at its checksums: cells and header of a
CSV; the XML and the members of an .xlsx, packed again; the records of an .xls. What is read may differ from the table
before the damage, as a changed cell does.
"""

import io
import random
import zipfile

import xlwt
from campaign import Tally, campaign, damaged, damages, outcome, sizes
from hypothesis import strategies as st
from openpyxl import Workbook

HEADER = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")
ROWS = [(f"{n:02d}", f"EP{n:02d}_01", 46 + n, "/" if n == 4 else 59 + n, 86.0, "4+L10", "happiness") for n in range(9)]
LAB = "subject,clip,onset,offset,label,path\n" + "".join(
    f"p{n:02d},c{n},1,9,happiness,p{n:02d}/c{n}\n" for n in range(9)
)
ODD_CELLS = (
    *(
        "",
        "\0",
        "\x1b[31m",
        "-1",
        "1e9",
        "999999999999",
        "nan",
        "=1+1",
        "/",
        '"',
        "\n",
        ",",
        ";",
        "é",
        "开心",
        "\udcff",
    ),
    *("p" * 5000, "../../etc/passwd", "1;2", "A" * 140_000),
)
XML_PARTS = (
    *(b"<row", b"</row>", b'<c r="', b"</c>", b"<v>", b"</v>", b't="s"', b't="n"', b't="str"', b"<sheetData>", b'r="'),
    *(b"</worksheet>", b"<si>", b"</si>", b"<t>", b"<dimension", b"xmlns", b'count="', b"?>", b"Id=", b"Target="),
)
XML_TEXTS = (
    *(b"", b"A1048577", b"XFD1048576", b"999999999999999999999", b"-1", b"NaN", b"&lol;", b"\xff\xfe", b"\0", b"<"),
    *(b'<c r="XFD1048576"><v>1</v></c>', b'<c r="A1" t="s"><v>99999</v></c>', b"<row r='4294967295'></row>"),
    *(b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]>', b"../../../etc/passwd", b"<c></c>" * 50_000),
)
numbers = st.integers(0, 1 << 32)


def own(path):
    from mer_cli.datasets.registry import load_release

    release = load_release("table", path.parent, table=path)
    return [(clip.clip_id, clip.emotion) for clip in release.clips], [failed.reason for failed in release.failed]


def released(path):
    from mer_cli.datasets.casme2 import COLUMNS
    from mer_cli.datasets.tables import read_table

    return [dict(row.cells) for row in read_table(path, COLUMNS).rows]


def xlsx():
    book = Workbook()
    for row in (HEADER, *ROWS):
        book.worksheets[0].append(row)
    book.create_sheet("Sheet2")
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def xls():
    book = xlwt.Workbook()
    for at, row in enumerate((HEADER, *ROWS)):
        sheet = book.get_sheet(0) if at else book.add_sheet("Sheet1")
        for across, cell in enumerate(row):
            sheet.write(at, across, cell)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def change_csv(content, seed):
    """Change cells, rows, the separator or the encoding of a CSV."""
    drawn = random.Random(seed)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(drawn.randint(1, 3)):
        row = drawn.choice(rows)
        kind = drawn.choice(["cell", "cell", "cell", "more", "fewer", "repeat", "drop"])
        if kind == "cell" and row:
            row[drawn.randrange(len(row))] = drawn.choice(ODD_CELLS)
        elif kind == "more":
            row += [drawn.choice(ODD_CELLS)] * drawn.choice([1, 2, 1000])
        elif kind == "fewer" and row:
            row.pop(drawn.randrange(len(row)))
        elif kind == "repeat":
            rows.insert(drawn.randrange(len(rows)), list(row))
        elif kind == "drop":
            rows.remove(row)
    text = drawn.choice("\n\n\n\r").join(drawn.choice(",,,;\t").join(row) for row in rows)
    encoding = drawn.choice(["utf-8", "utf-8", "gb18030", "latin-1", "utf-16", "utf-16-be", "utf-32", "cp932", "big5"])
    return text.encode(encoding, drawn.choice(["replace", "surrogateescape"]) if encoding == "utf-8" else "replace")


def change_xlsx(content, seed):
    """Change the members of a workbook's zip, and the XML in them; the checksums are right again."""
    drawn = random.Random(seed)
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for _ in range(drawn.randint(1, 3)):
        name = drawn.choice([*members, *["xl/worksheets/sheet1.xml"] * 8])
        if name not in members:
            continue
        kind = drawn.choice(["text", "text", "text", "value", "bytes", "drop", "empty", "swap"])
        if kind == "text":
            part = drawn.choice(XML_PARTS)
            places = members[name].split(part)
            at = drawn.randrange(len(places))
            places[at] = drawn.choice([drawn.choice(XML_TEXTS) + places[at], places[at] + drawn.choice(XML_TEXTS)])
            members[name] = part.join(places)
        elif kind == "value":
            old_value, new = drawn.choice(XML_PARTS), drawn.choice([*XML_PARTS, *XML_TEXTS])
            members[name] = members[name].replace(old_value, new, drawn.choice([1, 2, -1]))
        elif kind == "bytes":
            at = drawn.randrange(len(members[name]) + 1)
            members[name] = members[name][:at] + drawn.randbytes(4) + members[name][at + drawn.randint(0, 8) :]
        elif kind == "drop":
            del members[name]
        else:
            members[name] = b"" if kind == "empty" else members[drawn.choice([*members])]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", drawn.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])) as new:
        for name, text in members.items():
            new.writestr(name, text)
    return packed.getvalue()


def change_xls(content, seed):
    """Change records of an old workbook (kind, length, content) and fields of the container around it."""
    drawn = random.Random(seed)
    changed = bytearray(content)
    for _ in range(drawn.randint(1, 3)):
        start = drawn.choice([0, *[512] * 11])  # the container's header; the workbook's records
        at = start + drawn.randrange((len(changed) if start else 512) - start - 8)
        if start:
            at = 512
            for _ in range(drawn.randrange(90)):
                length = int.from_bytes(changed[at + 2 : at + 4], "little")
                at = at + 4 + length if at + 8 + length < len(changed) else 512
        width = drawn.choice([1, 2, 2, 4])
        value = drawn.choice([0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, drawn.getrandbits(32)])
        at += drawn.choice([0, 2, 4, 6, 8, drawn.randrange(64)]) if start else 0
        changed[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed)


def try_cases(n_cases, path, content, cases, change, read):
    path.write_bytes(content)
    _, undisturbed = outcome(read, path)

    def tried(case):
        path.write_bytes(change(content, case))
        return outcome(read, path)

    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))


@sizes
def test_a_csv_with_other_bytes_is_read_or_refused(n_cases, tmp_path):
    try_cases(n_cases, tmp_path / "lab.csv", LAB.encode(), damages, damaged, own)


@sizes
def test_a_csv_with_other_cells_is_read_or_refused(n_cases, tmp_path):
    try_cases(n_cases, tmp_path / "lab.csv", LAB.encode(), numbers, change_csv, own)


@sizes
def test_a_workbook_with_other_xml_is_read_or_refused(n_cases, tmp_path):
    try_cases(n_cases, tmp_path / "coding.xlsx", xlsx(), numbers, change_xlsx, released)


@sizes
def test_an_old_workbook_with_other_records_is_read_or_refused(n_cases, tmp_path):
    try_cases(n_cases, tmp_path / "coding.xls", xls(), numbers, change_xls, released)


@sizes
def test_an_old_workbook_with_other_bytes_is_read_or_refused(n_cases, tmp_path):
    try_cases(n_cases, tmp_path / "coding.xls", xls(), damages, damaged, released)

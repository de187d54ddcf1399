"""The encoding of a CSV: what is found in tables as people save them, and what is refused rather than guessed."""

import pytest

from mer_cli.datasets.table_text import UnknownEncodingError, find_encoding, read_text_rows

HEADER = "subject,clip,onset,offset,label,path\n"
CHINESE = ["开心", "厌恶", "惊讶", "压抑", "其他"]
TRADITIONAL = ["開心", "厭惡", "驚訝"]
JAPANESE = ["喜び", "嫌悪", "驚き", "怒り"]
KOREAN = ["기쁨", "혐오", "놀람", "슬픔", "분노"]
FRENCH = ["joie", "dégoût", "déçu", "créée", "naïve", "Émotion", "été", "à"]
GERMAN = ["Glück", "Überraschung", "Ärger", "Süß", "Fußgänger"]
SPANISH = ["alegría", "¿qué?", "niño", "acción"]


def table(labels, n_rows):
    rows = (f"p{n:02d},c{n},1,9,{labels[n % len(labels)]},p{n:02d}/c{n}\n" for n in range(n_rows))
    return HEADER + "".join(rows)


@pytest.mark.parametrize("n_rows", [1, 9, 60])
@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (CHINESE, "gbk"),
        (CHINESE, "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (FRENCH, "latin-1"),
        (FRENCH[1:2], "latin-1"),
        (FRENCH[2:3], "latin-1"),
        (["l’émotion"], "cp1252"),
        (GERMAN, "latin-1"),
        (GERMAN[2:3], "latin-1"),
        (SPANISH, "latin-1"),
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (FRENCH, "utf-16-le"),
        (CHINESE, "utf-16-be"),
        (CHINESE, "utf-32"),
    ],
)
def test_a_table_is_read_as_it_was_typed(labels, encoding, n_rows):
    text = table(labels, n_rows)
    content = text.encode(encoding)
    assert content.decode(find_encoding(content)).removeprefix("\ufeff") == text
    assert [row[4] for row in read_text_rows(content).cells[1:]] == [labels[n % len(labels)] for n in range(n_rows)]


def test_enough_different_syllables_are_korean():
    text = table(KOREAN, 9)
    assert text.encode("cp949").decode(find_encoding(text.encode("cp949"))) == text


@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (["恐惧"], "gbk"),  # could be Big5 or Korean as well
        (KOREAN[:1], "cp949"),
        (JAPANESE, "euc_jp"),
        (["радость", "отвращение"], "cp1251"),
        (["radość"], "cp1250"),
        (["χαρά"], "cp1253"),
        (["şaşkınlık"], "cp1254"),
        (FRENCH, "mac_roman"),
        (FRENCH, "cp850"),
        (GERMAN, "mac_roman"),
        (GERMAN, "cp850"),
    ],
)
@pytest.mark.parametrize("n_rows", [3, 60])
def test_a_table_that_would_be_guessed_is_refused(labels, encoding, n_rows):
    with pytest.raises(UnknownEncodingError, match='Open it in the program that wrote it, and save it as "CSV UTF-8".'):
        read_text_rows(table(labels, n_rows).encode(encoding))


def test_what_is_told_names_the_encoding_and_some_words():
    assert read_text_rows(table(CHINESE, 9).encode("gbk")).told == (
        "read as GB18030 (GBK, Chinese), because it is not UTF-8: check that 开心, 厌恶, 惊讶 are right"
    )
    assert read_text_rows(table(["dégoût"], 2).encode("latin-1")).told == (
        "read as Windows-1252 (Latin-1), because it is not UTF-8: check that dégoût is right"
    )
    assert read_text_rows(table(CHINESE, 9).encode("utf-16")).told == "read as UTF-16"
    assert read_text_rows(table(CHINESE, 9).encode("utf-8-sig")).told == ""


def test_unicode_text_of_excel_is_read():
    cells = read_text_rows(table(CHINESE, 2).replace(",", "\t").replace("\n", "\r\n").encode("utf-16")).cells
    assert cells == [HEADER.strip().split(","), *(row.split(",") for row in table(CHINESE, 2).splitlines()[1:])]


@pytest.mark.parametrize("content", [b"\xff\xfea", b"\xef\xbb\xbf\xff", b"a\0\xff"])
def test_a_text_that_is_not_whole_is_refused(content):
    with pytest.raises(UnknownEncodingError, match="its encoding can't be told"):
        read_text_rows(content)

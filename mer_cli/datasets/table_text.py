"""Read the rows of a CSV, whatever program saved it: its encoding is found, or the file is refused.

Excel saves a CSV in the encoding of the computer's language unless "CSV UTF-8" is chosen, and "Unicode text" in
UTF-16. A table is short and almost all of it ASCII, so detectors made for prose guess: of 111 such tables
charset-normalizer read 65 rightly, and took "dégoût" in Latin-1 for Chinese. Here an encoding is taken if its
characters are those that its language uses daily, and no other encoding fits as well. Nothing else is taken, because a
label that is read wrongly becomes a class without anyone noticing.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = "cp1252"
TITLES = {
    WESTERN: "Windows-1252 (Latin-1)",
    "gb18030": "GB18030 (GBK, Chinese)",
    "big5": "Big5 (Chinese)",
    "cp932": "Shift-JIS (Japanese)",
    "cp949": "EUC-KR (Korean)",
    "euc_jp": "EUC-JP (Japanese)",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
}
SHARE_COMMON = 0.8  # of the different characters, at least; a name may hold a rare one
KOREAN_SYLLABLES = 8  # different ones, from which chance no longer makes Chinese look Korean
ADVICE = 'Open it in the program that wrote it, and save it as "CSV UTF-8".'

_SYMBOLS = frozenset("«»°±²³µ·¼½¾§©®¡¿ªº£€\xa0‘’“”–—…•")
_TURKISH = frozenset("×÷ðþýÐÞÝ")  # no letters, or read so from Windows-1254
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_LETTERS = re.compile(r"[^\W\d_]+")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[^\w\s\x00-\x7f’](?=[^\W\d_])")
_CAPITAL_INSIDE = re.compile(r"[a-zß-ÿ][À-ÖØ-Þ]")
_THREE_IN_A_ROW = re.compile(r"[^\x00-\x7f]{3}")


class UnknownEncodingError(ValueError):
    """A text whose encoding can't be told for certain; the words say why and what to do."""


class TextRows(NamedTuple):
    """The cells of a CSV, short rows filled up; `told` says which encoding was taken, "" if it is UTF-8."""

    cells: list[list[str]]
    told: str = ""


def read_text_rows(content: bytes) -> TextRows:
    """Return the cells of a CSV, as text, with commas, semicolons or tabs between them.

    Raises
    ------
    UnknownEncodingError
        If the text could be in several encodings, or in none that is known here.
    csv.Error, ValueError
        If it can't be read as a CSV.
    """
    encoding = find_encoding(content)
    text = content.decode(encoding)
    if encoding.startswith(("utf-16", "utf-32")):
        text = text.removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    for number, row in enumerate(rows, start=1):
        if any("\0" in cell for cell in row):
            raise ValueError(f"row {number} holds a NUL character")
    width = max(map(len, rows), default=0)
    return TextRows([row + [""] * (width - len(row)) for row in rows], _told(encoding, text))


def find_encoding(content: bytes) -> str:
    """Return the name of the encoding of a table's text: UTF-8 if it fits, else by its mark, else by its characters.

    Raises
    ------
    UnknownEncodingError
        If several encodings fit, or none.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return encoding if _decoded(content, encoding) is not None else _refuse(f"not whole {encoding}")
    if b"\0" in content:
        return _without_mark(content)
    if _decoded(content, "utf-8") is not None:
        return "utf-8"
    texts = {encoding: _decoded(content, encoding) for encoding in _COMMON}
    fitting = [encoding for encoding, text in texts.items() if text is not None and _is_common(text, encoding)]
    if "cp949" in fitting and len(set(_FOREIGN.findall(texts["cp949"] or ""))) >= KOREAN_SYLLABLES:
        fitting = ["cp949"]  # every Korean syllable is also a common Chinese character, but not the other way round
    western = _decoded(content, WESTERN)
    if western is not None and _is_western(western):
        fitting.append(WESTERN)
    if len(fitting) == 1:
        return fitting[0]
    named = " or ".join(TITLES[encoding] for encoding in fitting)
    return _refuse(f"its characters could be {named}" if named else "its characters fit no encoding that is known here")


def _refuse(why: str) -> str:
    raise UnknownEncodingError(f"the text is not UTF-8, and its encoding can't be told: {why}. {ADVICE}")


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _without_mark(content: bytes) -> str:
    """Return which UTF-16 a text without a mark is in: ASCII has a zero in every second byte."""
    for encoding, zeros in (("utf-16-le", content[1::2]), ("utf-16-be", content[::2])):
        text = _decoded(content, encoding)
        if text and "\0" not in text and zeros.count(0) > len(zeros) / 2:
            return encoding
    return "utf-8" if _decoded(content, "utf-8") is not None else _refuse("it holds NUL characters")


def _is_western(text: str) -> bool:
    """Tell whether a text read as Latin-1 has accented letters as words have them, and signs where signs stand."""
    foreign = set(_FOREIGN.findall(text))
    if not all(("À" <= char <= "ÿ" and char not in _TURKISH) or char in _SYMBOLS for char in foreign):
        return False
    if any(pattern.search(text) for pattern in (_BETWEEN_LETTERS, _CAPITAL_INSIDE, _THREE_IN_A_ROW)):
        return False
    words = (word for word in _LETTERS.findall(text) if len(word) > 1)
    return all(any(char.isascii() for char in word) for word in words)


def _touch_letters(text: str) -> bool:
    """Tell whether every run of foreign characters touches an ASCII letter, as an accented letter does in its word."""
    return not re.search(r"(?<![A-Za-z\x80-\U0010ffff])[^\x00-\x7f]+(?![A-Za-z\x80-\U0010ffff])", text)


def _is_common(text: str, encoding: str) -> bool:
    """Tell whether the foreign characters of a text are those that the language of an encoding uses daily."""
    different = {char for char in _FOREIGN.findall(text) if not _is_wide_sign(char)}
    n_common = sum(_COMMON[encoding](char) for char in different)
    has_kana = any(map(_is_kana, different))  # without it, Japanese in EUC looks like Chinese
    if encoding == "euc_jp" and not has_kana:
        return False
    return 0 < n_common >= SHARE_COMMON * len(different) and not _touch_letters(text)


def _is_wide_sign(char: str) -> bool:
    """Tell whether a character is East Asian punctuation or a wide digit or letter of ASCII."""
    return "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e" or char in "—…·“”‘’"


def _in_rows(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """Return a check whether a character stands in the rows `first`..`last` (first bytes) of a two-byte code."""

    def check(char: str) -> bool:
        try:
            coded = char.encode(encoding)
        except UnicodeEncodeError:
            return False
        return len(coded) == 2 and first <= coded[0] <= last

    return check


def _is_kana(char: str) -> bool:
    return "HIRAGANA" in unicodedata.name(char, "") or "\u30a0" <= char <= "\u30ff"


_kanji = _in_rows("cp932", 0x88, 0x97)
# Each standard sorts its everyday characters before the rare ones.
_COMMON: dict[str, Callable[[str], bool]] = {
    "gb18030": _in_rows("gb2312", 0xB0, 0xD7),
    "big5": _in_rows("big5", 0xA4, 0xC6),
    "cp932": lambda char: _is_kana(char) or _kanji(char),
    "cp949": _in_rows("euc_kr", 0xB0, 0xC8),
    "euc_jp": lambda char: _is_kana(char) or _kanji(char),
}


def _told(encoding: str, text: str) -> str:
    if encoding in {"utf-8", "utf-8-sig"}:
        return ""
    if encoding.startswith("utf"):  # there is no doubt about it
        return f"read as {TITLES[encoding]}"
    words = list(dict.fromkeys(re.findall(r"[^\W\d_]*[^\x00-\x7f]+[^\W\d_]*", text)))[:3]
    shown = f": check that {', '.join(words)} {'is' if len(words) == 1 else 'are'} right" if words else ""
    return f"read as {TITLES[encoding]}, because it is not UTF-8{shown}"


def _delimiter(text: str) -> str:
    """Return the separator (comma, semicolon or tab) that occurs most often in the header."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count)

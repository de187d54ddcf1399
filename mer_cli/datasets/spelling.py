r"""Tell whether two names mean the same subject, label or clip, whoever typed them and with whatever program.

Two subjects that are one person would be trained on and tested on: "001" and "1", "p2" and "p" with a full-width 2, a
name with a zero-width space in it. Such names have the same key here, and their difference is shown in errors.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mer_cli.errors import DatasetError, shortened

if TYPE_CHECKING:
    from mer_cli.datasets.dataset import Entry

# Letters and marks that are drawn as nothing; all characters of the category "format" are left out as well.
INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\U000e0100-\U000e01ef]")
MOST_BYTES = 200  # of a subject, a clip or a label in UTF-8: files and folders are named after them
# What other programs write into a cell that holds no value.
MISSING = frozenset({"nan", "nat", "null", "na", "n/a", "<na>", "#n/a"})
MISSING_SUBJECTS = frozenset({"nan", "NaN", "<NA>", "#N/A"})  # "Nan" and "NA" can be people
FAILED_FORMULA = re.compile(r"#[A-Z/0]+[!?]")  # Excel's #VALUE!, #REF!, #DIV/0!, #NAME?


def looks(text: str) -> str:
    """Return a key that is the same for texts that look alike: compatibility forms, case, spaces, invisible characters.

    For example "P２", "p2" and "p2" with a zero-width space have the same key.
    """
    if text.isascii() and text.isprintable():  # nearly all cells of a table; a ninth of the time
        return " ".join(text.casefold().split())
    plain = unicodedata.normalize("NFKC", text)
    seen = "".join(
        character
        for character in plain
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
    )
    folded = unicodedata.normalize("NFKC", INVISIBLE.sub("", seen).casefold())
    return " ".join(folded.split())


def means(text: str) -> str:
    """Return a key that is the same for names that mean the same: as `looks`, and "001", "1" and "1.0" are one number.

    Leading zeros of each number in the text are left out: "s01" and "S1" have the same key.
    """
    key = looks(text)
    if re.fullmatch(r"[0-9]+\.0+", key):  # a number that a spreadsheet program saved
        key = key.partition(".")[0]
    digits = "".join(str(unicodedata.decimal(character, character)) for character in key)
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", digits)


def spelt(text: str) -> str:
    r"""Return a text as an error shows it beside another one: `p\uff12` where a character can be taken for another."""
    shown = (
        character
        if character.isprintable()
        and unicodedata.normalize("NFKC", character) == character
        and not unicodedata.combining(character)
        and not INVISIBLE.match(character)
        else character.encode("unicode_escape").decode("ascii")
        for character in shortened(text)
    )
    return "".join(shown)


def first_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two different names that mean the same, sorted; None if there are none."""
    first: dict[str, str] = {}
    for name in sorted(set(names)):
        if (other := first.setdefault(means(name), name)) != name:
            return other, name
    return None


def is_blank(text: str) -> bool:
    """Return whether nothing in a text can be seen."""
    return not looks(text)


def check_names(entry: Entry) -> None:
    """Check that a table row has a subject and a clip name: not blank, not a missing value, not too long.

    Raises
    ------
    DatasetError
        If one of them can't be used.
    """
    if is_blank(entry.subject) or entry.subject in MISSING_SUBJECTS:
        said = "blank" if is_blank(entry.subject) else f"'{entry.subject}'"
        raise DatasetError(
            f"the subject is {said}. Probably its cell was merged with others: only the first row of a merged cell "
            "holds its value. Unmerge the cells, and write the subject into every row."
        )
    if is_blank(entry.name):
        raise DatasetError("the clip name is blank. Write it into every row; a merged cell holds it in one row only.")
    _check_characters("subject", entry.subject)
    _check_characters("clip name", entry.name)


def check_label(label: str) -> None:
    """Check that a label is one: not blank, not a missing value, not too long; raise a DatasetError otherwise."""
    if is_blank(label):
        raise DatasetError("the label is blank. Fill it in.")
    if looks(label) in MISSING or FAILED_FORMULA.fullmatch(label):
        raise DatasetError(f"the label is '{label}', which stands for a cell without a value. Fill it in.")
    _check_characters("label", label)


def _check_characters(what: str, text: str) -> None:
    control = next((character for character in text if unicodedata.category(character) in ("Cc", "Cs")), "")
    if control:
        raise DatasetError(
            f"the {what} '{spelt(text)}' holds the control character U+{ord(control):04X}. Correct the table."
        )
    n_bytes = len(text.encode())
    if n_bytes > MOST_BYTES:
        raise DatasetError(
            f"the {what} '{spelt(text)}' is too long, with {n_bytes} bytes. Expected at most {MOST_BYTES}. Shorten it "
            "in the table."
        )


def one_spelling(
    table: str, entries: Sequence[Entry], fields: Iterable[Literal["subject", "emotion"]], *, join: bool
) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the rows of a table with one spelling for each name, and a sentence for each spelling that was replaced.

    Parameters
    ----------
    table : names the table in the error
    fields : "subject", and "emotion" if any label is a class
    join : take the first spelling of a name for the later ones; otherwise a second spelling is an error

    Raises
    ------
    DatasetError
        If a name has two spellings and they are not to be joined.
    """
    kept, told = list(entries), dict[str, None]()
    for field in fields:
        first: dict[str, tuple[str, str]] = {}
        for place, entry in enumerate(kept):
            text = getattr(entry, field)
            where, spelling = first.setdefault(means(text), (entry.where, text))
            if spelling == text or is_blank(text):
                continue
            if not join:
                raise DatasetError(f"{table}: {_two_spellings(field, entry.where, text, where, spelling)}")
            sentence = f"{_WORDS[field]} '{spelt(text)}' joined with '{spelt(spelling)}' of {where}"
            told[sentence] = None
            mended = replace(entry, repairs=(*entry.repairs, sentence))
            kept[place] = replace(mended, subject=spelling) if field == "subject" else replace(mended, emotion=spelling)
    return kept, tuple(told)


_WORDS = {"subject": "subject", "emotion": "label"}


def _two_spellings(field: str, where: str, text: str, first: str, spelling: str) -> str:
    """Return the sentence about a name's second spelling, with what to do if it means the same, and if it does not."""
    if field == "subject":
        why = "They seem to be one person, who would be trained on and tested on at once."
        other = "If they are two people, give one of them another name in every row, such as"
    else:
        why = "They seem to be one class."
        other = "If they are two classes, give one of them another name in every row, such as"
    return (
        f"{where}: {_WORDS[field]} '{spelt(text)}' is spelt '{spelt(spelling)}' in {first}. {why} Use one spelling, or "
        f"add --join-spellings to take the first one for both. {other} '{looks(text)}-b'."
    )

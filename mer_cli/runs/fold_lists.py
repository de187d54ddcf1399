"""Read a file that deals the subjects into lists, each of which is held out by one fold: k-fold by subject.

The file is a CSV with the columns `subject` and `fold`, a row for each subject; rows with the same fold are a list. So
the folds that a dataset or a paper publishes are used as they are, and none is drawn here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mer_cli.datasets.table_text import UnknownEncodingError, read_text_rows
from mer_cli.errors import ConfigError, did_you_mean, shortened
from mer_cli.records import parts_of, subject_of
from mer_cli.system.files import read_bounded

if TYPE_CHECKING:
    from mer_cli.runs.plan import PlannedStore  # and with it h5py, which reading a run does not need

COLUMNS = ("subject", "fold")
FLAG = "--folds-file"
LARGEST = 16 << 20  # bytes; a thousand subjects take 20 kB
MOST_NAMED = 5  # subjects that an error names
# A fold's name is the name of its folder, on any system.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
NO_FOLDER = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]", re.IGNORECASE)  # on Windows

FoldLists = dict[str, tuple[str, ...]]  # fold -> its subjects as "dataset/subject", both sorted


@dataclass(frozen=True)
class _Listed:
    """A row of the file, by its number in a spreadsheet program."""

    row: int
    subject: str
    fold: str


def read_fold_lists(file: Path, stores: Sequence[PlannedStore], scheme: str) -> FoldLists:
    """Return the subjects that each fold of a file holds out.

    Parameters
    ----------
    file : CSV with the columns subject ("03", or "samm-006" if several datasets have it) and fold
    stores : of the run; a subject of theirs without a clip of the scheme may be in the file, and is left out
    scheme : name of the label scheme, for the errors

    Returns
    -------
    "dataset/subject" by fold, only of subjects with clips of the scheme

    Raises
    ------
    ConfigError
        If the file can't be read or lacks a column, a name can't be used, there are fewer than 2 folds, a subject is
        unknown, in two rows or in none, or a fold has no clip.
    """
    listed = _read_rows(file)
    _check_folds(file, listed)
    names = _names_of_subjects(stores)
    row_of: dict[str, int] = {}
    lists: dict[str, list[str]] = {}
    with_clips = sorted({subject_of(clip_id) for store in stores for clip_id in store.clips})
    for each in listed:
        subject = _find_subject(f"{file} row {each.row}", each.subject, names)
        if subject in row_of:
            raise ConfigError(
                f"{file} row {each.row}: subject '{each.subject}' is in row {row_of[subject]} already. Expected one "
                "row for each subject. Delete one of the two."
            )
        row_of[subject] = each.row
        lists.setdefault(each.fold, []).append(subject)
    if missing := [subject for subject in with_clips if subject not in row_of]:
        raise ConfigError(
            f"{file}: lacks {len(missing)} of the {len(with_clips)} subjects with clips of scheme '{scheme}': "
            f"{_named(missing, stores)}. Expected each subject in one list. Add a row for each."
        )
    found = {fold: tuple(sorted(set(lists[fold]).intersection(with_clips))) for fold in sorted(lists)}
    if empty := next((fold for fold, subjects in found.items() if not subjects), None):
        raise ConfigError(
            f"{file}: fold '{empty}' would hold out nothing, because none of its subjects "
            f"({_named(sorted(lists[empty]), stores)}) has a clip of scheme '{scheme}'. Expected a clip in each fold. "
            "Delete its rows, or choose another --scheme."
        )
    return found


def fold_lists_text(lists: Mapping[str, Sequence[str]]) -> str:
    """Return the lists as the text of a CSV file that `read_fold_lists` reads.

    Parameters
    ----------
    lists : "dataset/subject" by fold
    """
    several = len({subject.partition("/")[0] for subjects in lists.values() for subject in subjects}) > 1
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((_short(subject, several), fold) for fold, subjects in lists.items() for subject in subjects)
    return written.getvalue()


def _read_rows(file: Path) -> list[_Listed]:
    expected = f"Expected a CSV in UTF-8 with the columns {' and '.join(COLUMNS)}."
    try:
        content = read_bounded(file, LARGEST)
        cells = [[cell.strip() for cell in row] for row in read_text_rows(content).cells]
    except UnknownEncodingError as error:
        raise ConfigError(f"{file}: {error}") from None
    except (OSError, csv.Error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: can't be read ({reason}). {expected} Correct what follows {FLAG}.") from None
    rows = [(number, row) for number, row in enumerate(cells, start=1) if any(row)]
    if len(rows) < 2:
        raise ConfigError(f"{file}: has no row below its header. {expected} Add a row for each subject.")
    (header_row, titles), *rows = rows
    here = [title.casefold() for title in titles]
    for column in COLUMNS:
        if here.count(column) != 1:
            how = "no column" if column not in here else "two columns"
            raise ConfigError(
                f"{file} row {header_row}: has {how} '{column}' ({shortened(', '.join(titles))}). {expected} Correct "
                "the header."
            )
    places = [here.index(column) for column in COLUMNS]
    return [
        _checked(file, number, *(row[place] if place < len(row) else "" for place in places)) for number, row in rows
    ]


def _checked(file: Path, number: int, subject: str, fold: str) -> _Listed:
    """Return a row; raise a ConfigError if a cell is empty or the fold's name can't be used."""
    where = f"{file} row {number}"
    if not subject or not fold:
        empty = "subject" if not subject else "fold"
        raise ConfigError(
            f"{where}: its {empty} is empty. Expected a subject and its fold. Fill it, or delete the row."
        )
    fold = re.sub(r"^([0-9]+)\.0*$", r"\1", fold)  # a number as a spreadsheet program may write it
    if not NAME.fullmatch(fold) or NO_FOLDER.fullmatch(fold):
        raise ConfigError(
            f"{where}: fold '{shortened(fold)}' can't name a folder. Expected 1 to 40 letters (a to z), digits, - and "
            "_, not a device name such as NUL. Rename the fold."
        )
    return _Listed(number, subject, fold)


def _check_folds(file: Path, listed: Iterable[_Listed]) -> None:
    spelled: dict[str, str] = {}
    for each in listed:
        first = spelled.setdefault(each.fold.casefold(), each.fold)
        if first != each.fold:
            raise ConfigError(
                f"{file} row {each.row}: fold '{each.fold}' differs from fold '{first}' in capital letters alone. "
                "Expected one spelling of each fold. Write both alike, or rename one."
            )
    if len(spelled) < 2:
        raise ConfigError(
            f"{file}: names one fold only ('{next(iter(spelled.values()))}'). Expected at least 2, because a fold "
            "trains on the subjects of the others. Deal the subjects into more lists."
        )


def _names_of_subjects(stores: Sequence[PlannedStore]) -> dict[str, list[str]]:
    """Return the subjects that each name means: "03" and "casme2-03" mean "casme2/03"."""
    names: dict[str, set[str]] = {}
    for store in stores:
        failed = (str(entry["clip_id"]) for entry in store.info.attributes["failed"])
        for clip_id in (*map(str, store.info.clips.index), *failed):
            dataset, subject, _ = parts_of(clip_id)
            for name in (subject, f"{dataset}-{subject}"):
                names.setdefault(name, set()).add(subject_of(clip_id))
    return {name: sorted(subjects) for name, subjects in names.items()}


def _find_subject(where: str, name: str, names: Mapping[str, Sequence[str]]) -> str:
    fitting = names.get(name, ())
    if not fitting:
        raise ConfigError(
            f"{where}: no store has a subject '{shortened(name)}'.{did_you_mean(name, names)} Expected a subject as "
            "`mer folds` names it. Correct it, or delete the row."
        )
    if len(fitting) > 1:
        either = " or ".join(_short(subject, True) for subject in fitting)
        raise ConfigError(
            f"{where}: subject '{name}' is in {len(fitting)} datasets. Expected {either}. Name one of them."
        )
    return fitting[0]


def _short(subject: str, several: bool) -> str:
    """Return a subject as the file names it: "03", or "casme2-03" if there are several datasets."""
    dataset, _, name = subject.partition("/")
    return f"{dataset}-{name}" if several else name


def _named(subjects: Sequence[str], stores: Sequence[PlannedStore]) -> str:
    shown = [_short(subject, len(stores) > 1) for subject in subjects[:MOST_NAMED]]
    more = f" and {len(subjects) - MOST_NAMED} more" if len(subjects) > MOST_NAMED else ""
    return f"{', '.join(shown)}{more}"

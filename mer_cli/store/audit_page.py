"""Render the rows of an audit as HTML: an index, and a page for each subject. No file is written.

The pages need only the images beside them. All four images of a clip lie in one file, and the pages show parts of it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_cli.engines.resumable import FAILED, OK
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.pairs import odd_pairs
from mer_cli.records import FailedClip, parts_of
from mer_cli.store.counts import Contents, count_tables, count_warnings, differences, store_table, store_table_notes
from mer_cli.store.schema import NOTE_SEPARATOR, REPAIRED, describe_images

INDEX = "index.html"
PICTURES = "clips"
GENERATED = "generated: no score on them is a result on the dataset"


@dataclass(frozen=True)
class AuditRow:
    """One row of the coding table and what became of it.

    onset, apex, offset : frame numbers, None if the row never became a clip
    picture : the file of its images, "" if it has none
    """

    clip_id: str
    emotion: str
    onset: int | None
    apex: int | None
    offset: int | None
    status: str
    note: str
    detector: str = ""
    picture: str = ""

    @property
    def subject(self) -> str:
        return parts_of(self.clip_id)[1]

    @property
    def anchor(self) -> str:
        return file_stem(self.clip_id)


@dataclass(frozen=True)
class SubjectPage:
    """The audit page of one subject: the name of its file, and its rows in the order of the clip ids."""

    name: str
    file: str
    rows: tuple[AuditRow, ...]

    @property
    def summary(self) -> str:
        """The number of rows by status, as text: "8 clips, 1 repaired, 1 failed"."""
        n = Counter(row.status for row in self.rows)
        n_clips = f"{n[OK] + n[REPAIRED]} clip{'s' if n[OK] + n[REPAIRED] != 1 else ''}"
        return ", ".join([n_clips, *(f"{n[status]} {status}" for status in (REPAIRED, FAILED) if n[status])])


def file_stem(text: str) -> str:
    """Return a unique name for files and links: "casme2/01/EP02_01f" -> "casme2_01_EP02_01f-1a2b3c4d5e".

    The digits tell texts apart that differ only in case or in characters that a file name can't have.
    """
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', text)[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def subject_pages(rows: Iterable[AuditRow]) -> list[SubjectPage]:
    """Return a page for each subject, with its rows; its file is "subject-01.html" if a file can have that name."""
    by_subject: dict[str, list[AuditRow]] = {}
    for row in sorted(rows, key=lambda row: (row.clip_id, row.status)):
        by_subject.setdefault(row.subject, []).append(row)
    n_alike = Counter(subject.casefold() for subject in by_subject)
    pages = []
    for subject in sorted(by_subject):
        is_plain = re.fullmatch(r"[A-Za-z0-9._-]{1,80}", subject) and n_alike[subject.casefold()] == 1
        file = f"subject-{subject if is_plain else file_stem(subject)}.html"
        pages.append(SubjectPage(subject, file, tuple(by_subject[subject])))
    return pages


def render_index(
    attributes: Mapping[str, Any],
    rows: Sequence[AuditRow],
    pages: Sequence[SubjectPage],
    sheets: Sequence[str],
    notes: Sequence[str] = (),
) -> str:
    """Return the index page as HTML: counts beside the published ones, failures, repairs, errata, links to subjects.

    Parameters
    ----------
    attributes : attributes of the store
    sheets : file names of the contact sheet's pages
    notes : further sentences to show
    """
    contents = Contents(
        name="",
        dataset=attributes["dataset"],
        table_version=attributes["table_version"],
        emotions={row.clip_id: row.emotion for row in rows if row.status != FAILED},
        failed=tuple(FailedClip(row.clip_id, row.emotion, row.note) for row in rows if row.status == FAILED),
    )
    found = differences(contents)
    file_of = {page.name: page.file for page in pages}
    facts = [
        *([("faces", GENERATED)] if attributes["generated"] else []),
        ("coding table", store_table(attributes)),
        ("images", describe_images(attributes)),
        ("crop", attributes["crop"]["align"]),
    ]
    return _render(
        "index.html.j2",
        dataset=contents.dataset,
        n_ok=sum(row.status == OK for row in rows),
        facts=facts,
        sheets=sheets,
        tables=count_tables([contents]),
        notes=[
            *store_table_notes(attributes),
            *count_warnings(contents),
            *odd_pairs({row.clip_id: row.note for row in rows}, NOTE_SEPARATOR),
            *notes,
        ],
        failed=[difference for difference in found if difference.is_failed],
        changed=[difference for difference in found if not difference.is_failed],
        errata=attributes["errata"],
        subjects=pages,
        repaired=[(row, file_of[row.subject]) for row in rows if row.status == REPAIRED],
    )


def render_subject(attributes: Mapping[str, Any], pages: Sequence[SubjectPage], place: int) -> str:
    """Return `pages[place]` as HTML, with links to the pages before and after it."""
    before = pages[place - 1] if place else None
    after = pages[place + 1] if place + 1 < len(pages) else None
    faces = f"Faces {GENERATED}." if attributes["generated"] else ""
    return _render(
        "subject.html.j2", dataset=attributes["dataset"], subject=pages[place], before=before, after=after, faces=faces
    )


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(side=CROP_SIZE, **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("mer_cli.store"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

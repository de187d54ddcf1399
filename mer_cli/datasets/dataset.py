"""What differs between the datasets, as data: a dataset's module describes all its facts in one `Dataset`.

`tree` finds the images by it, `loading` reads the release with it, `schemes` and the tables of counts take its classes
and published counts from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern
from typing import NamedTuple

from mer_cli.datasets.annotation import Erratum, Field
from mer_cli.datasets.tables import Row
from mer_cli.errors import DatasetError, unknown_name
from mer_cli.records import Source, dataset_of


class Pictures(NamedTuple):
    """A folder name that says which kind of images (raw or cropped) lies below it.

    `has_table` is False for a release that comes without a table: its clips are known from the folders' names.
    """

    folder: str
    source: Source
    has_table: bool = True


@dataclass(frozen=True)
class Entry:
    """One clip as its table row (or, without a table, its folder) describes it.

    where : names the row in errors: "row 15"
    keys : possible keys of the clip's folder, as `Dataset.clip_key` returns them, the likeliest first
    cells : "onset", "apex", "offset" -> the text of the cell; a field that the release does not annotate is absent
    fps : frames per second, if they differ between the clips of a dataset
    seconds : the fields that are annotated by time instead, in seconds since the first frame
    """

    where: str
    subject: str
    name: str
    emotion: str
    action_units: str
    keys: tuple[str, ...]
    cells: Mapping[Field, str]
    repairs: tuple[str, ...] = ()
    fps: float | None = None
    seconds: Mapping[Field, float] = field(default_factory=dict)


class Columns(NamedTuple):
    """The names of a coding table's columns; "" for a column that the table does not have."""

    subject: str
    name: str
    onset: str
    apex: str
    offset: str
    action_units: str
    emotion: str

    def entry(
        self,
        row: Row,
        subject: str,
        name: str,
        keys: tuple[str, ...],
        *,
        also: Mapping[str, str] | None = None,
        repairs: tuple[str, ...] = (),
    ) -> Entry:
        """Return the entry of a table row, with its emotion as the schemes know it: in lower case, "Other" as "others".

        Parameters
        ----------
        subject, name, keys : what the dataset's module makes of the row's cells, as in `Entry`
        also : further words of the table -> the emotion that they mean, in lower case
        """
        emotion = row.cells[self.emotion].casefold()
        frames: tuple[tuple[Field, str], ...] = (("onset", self.onset), ("apex", self.apex), ("offset", self.offset))
        return Entry(
            where=f"row {row.number}",
            subject=subject,
            name=name,
            emotion={"other": "others", **(also or {})}.get(emotion, emotion),
            action_units=row.cells.get(self.action_units, ""),
            keys=keys,
            cells={field: row.cells[column] for field, column in frames if column in row.cells},
            repairs=repairs,
        )


@dataclass(frozen=True)
class Scheme:
    """A named map from emotions to classes, with the published numbers of clips and subjects.

    class_names : names of the classes; the position is the label (0, 1, ...)
    class_of : dataset -> emotion -> class name, or None for an emotion that the scheme leaves out
    left_out : ids of single clips that the scheme leaves out
    expected : (dataset, table version) -> number of clips of each class, in label order, if the whole table is used
    n_subjects : (dataset, table version) -> number of subjects with at least one of these clips, if it is known
    composite : name of the protocol that uses all datasets of the scheme together
    on_request : whether `mer compare-methods` uses the scheme only if --scheme names it
    origin : the user's file that describes the scheme, as it was typed; "" for a scheme of this program. The counts
        that such a file expects hold for any table, so their table version is ""
    of_units : whether the classes are action units, several of which a clip may show; a label is then a mask
        (`unit_masks`), which `store.labels` makes, and no emotion has a class
    """

    name: str
    class_names: tuple[str, ...]
    class_of: Mapping[str, Mapping[str, str | None]]
    expected: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    n_subjects: Mapping[tuple[str, str], int] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    composite: str = ""
    on_request: bool = False
    origin: str = ""
    of_units: bool = False

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(self.class_of)

    def label(self, clip_id: str, emotion: str) -> int | None:
        """Return the label (0, 1, ...) of a clip with this emotion, or None if the scheme leaves the clip out.

        Raises
        ------
        DatasetError
            If the scheme does not know the emotion for the clip's dataset.
        """
        class_of = self.class_of[dataset_of(clip_id)]
        if emotion not in class_of:
            raise DatasetError(
                f"clip {clip_id}, scheme {self.name}: {unknown_name('emotion', emotion, class_of)} Correct the coding "
                "table, or choose another --scheme."
            )
        class_name = class_of[emotion]
        if class_name is None or clip_id in self.left_out:
            return None
        return self.class_names.index(class_name)


def padded(cell: str, width: int) -> str:
    """Return the subject's number in a table cell with leading zeros, "6" or "6.0" as "006"; a blank cell stays ""."""
    return cell.removesuffix(".0").zfill(width) if cell else ""


def as_named(*emotions: str) -> dict[str, str | None]:
    """Return a map from each emotion to itself, for a scheme in which each emotion is a class of its own."""
    return {emotion: emotion for emotion in emotions}


def all_to(class_name: str | None, *emotions: str) -> dict[str, str | None]:
    """Return a map from each of the emotions to one class name, or to None if a scheme leaves them out."""
    return dict.fromkeys(emotions, class_name)


@dataclass(frozen=True)
class TableChange:
    """A clip whose emotion in some version of a table differs from the version that the published counts are of.

    here : its emotion in that other version; None if the clip is not in it
    published : its emotion in the version that the published counts are of
    """

    clip_id: str
    here: str | None
    published: str


class KnownCell(NamedTuple):
    """A cell of a published table whose text is known from public sources."""

    subject: str
    clip: str
    field: Field
    text: str


def known_frames(
    subject: str, clip: str, onset: int | None = None, apex: int | str | None = None, offset: int | None = None
) -> tuple[KnownCell, ...]:
    """Return the known cells of one row; a number that is not known is left out."""
    cells: tuple[tuple[Field, int | str | None], ...] = (("onset", onset), ("apex", apex), ("offset", offset))
    return tuple(KnownCell(subject, clip, field, str(value)) for field, value in cells if value is not None)


@dataclass(frozen=True)
class Dataset:
    """One dataset: how its releases lie on disk, what a row of its table says, its known mistakes, classes and counts.

    name, title : "casme2", "CASME II"
    fps : frames per second
    tables : patterns of the coding table's file name, the preferred one first; case and extension do not matter
    sheet : the sheet to read, if several have the same columns
    columns, optional_columns : columns that `read_row` reads; optional columns may be missing, and so may those of
        the offset and of the action units
    pictures : folder names that tell the kind of images below, the preferred kind first
    source : the kind of images if no such folder name is on the way to them
    example : path of a clip's folder as a user sees it, for errors
    clip_key : takes the folder names from the root to a folder, both included; returns a key that identifies the
        clip if the folder is a clip's, else None
    skipped : folder names that are not looked into, in lower case: other cameras, depth images
    read_row : turns a row of the table into an entry
    read_folder : turns the folder of a clip into an entry, for a release without a table
    tableless : name (lower case) of a folder above the clips, by which a release without a table is recognised
    tableless_version : version of the release without a table
    emotions : the labels that occur
    frame_name : file names of the images, by which another dataset is recognised that has folders of the same names
    table_hint : added to the error for a missing table
    parts : for a release with a table for each of its parts: part -> patterns of that table's file name. Any of them
        may be missing. `clip_key` returns "part/key" for a folder that is known to lie in a part
    versions : version of the table -> its number of rows of each emotion, by which a table is recognised
    published : the version that the published counts are of; "" if no counts are published
    older : version -> a warning about it, with {scheme}, {here} (its counts) and {published} (the published counts)
    changes : version -> clips that differ from the published version
    known_cells : version -> cells of the published table that are known, by which an edited copy is recognised
    errata : known mistakes of the table
    schemes : label schemes of this dataset alone; protocols over several datasets are in `schemes.py`
    """

    name: str
    title: str
    fps: float
    tables: tuple[str, ...]
    columns: Columns
    pictures: tuple[Pictures, ...]
    example: str
    clip_key: Callable[[Sequence[str]], str | None]
    read_row: Callable[[Row], Entry]
    emotions: tuple[str, ...]
    frame_name: Pattern[str]
    schemes: tuple[Scheme, ...]
    optional_columns: tuple[str, ...] = ()
    sheet: str = ""
    source: Source = "raw"
    skipped: frozenset[str] = frozenset()
    read_folder: Callable[[Path], Entry] | None = None
    tableless: str = ""
    tableless_version: str = ""
    table_hint: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    published: str = ""
    older: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, tuple[TableChange, ...]] = field(default_factory=dict)
    known_cells: Mapping[str, tuple[KnownCell, ...]] = field(default_factory=dict)
    errata: tuple[Erratum, ...] = ()

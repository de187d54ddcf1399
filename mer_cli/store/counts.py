"""Count clips of each class beside the published counts: the paper's Tables 1 and 2, then the other schemes.

Clips that make a count differ are named: failed ones, and rows that differ in another version of a table. A clip that a
scheme leaves out makes no difference to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mer_cli.datasets.action_units import EXPECTED, unreadable_units
from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.known_cells import table_notes
from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.schemes import OWN_LABELS, SCHEMES, check_counts, protocol_id, resolve_scheme
from mer_cli.records import FailedClip, dataset_of, subject_of

# dataset -> the version of its table that the published counts are of
PUBLISHED = {name: dataset.published for name, dataset in DATASETS.items() if dataset.published}

PAPER_TABLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Table 1: clips of each class, tasks of five and of four classes", ("casme2-5", "samm-5", "mmew-4")),
    ("Table 2: clips of each class, tasks of three classes", ("mmnet3", "samm-3")),
)


@dataclass(frozen=True)
class Contents:
    """The facts about the clips of one dataset that are needed to count them.

    name : tells two stores of one dataset apart
    emotions : the emotion of every usable clip, by clip id
    failed : rows of the coding table without a usable clip
    """

    name: str
    dataset: str
    table_version: str
    emotions: Mapping[str, str]
    failed: tuple[FailedClip, ...] = ()

    @cached_property
    def folded_ids(self) -> frozenset[str]:
        """The ids of the usable clips, case-folded because loaders ignore case in them."""
        return frozenset(clip_id.casefold() for clip_id in self.emotions)


@dataclass(frozen=True)
class Count:
    """One cell of a table of counts: the number found, and the published number (None if nothing is published)."""

    found: int
    published: int | None

    @property
    def differs(self) -> bool:
        return self.published not in (None, self.found)


@dataclass(frozen=True)
class CountColumn:
    """The counts of one scheme.

    task : the id of the protocol without the number of clips
    classes : the count of each class, in the order of the labels
    """

    task: str
    heading: str
    classes: Mapping[str, Count]
    all_clips: Count
    subjects: Count


@dataclass(frozen=True)
class CountTable:
    """A table of counts; `number` is its number in the paper (1 or 2), None if the paper doesn't have this table."""

    number: int | None
    title: str
    columns: tuple[CountColumn, ...]

    @property
    def rows(self) -> tuple[tuple[str, tuple[Count | None, ...]], ...]:
        """Pairs of a row's name and its cells: classes, then sums; a cell is None if its column lacks the class."""
        names = dict.fromkeys(name for column in self.columns for name in column.classes)
        return (
            *((name, tuple(column.classes.get(name) for column in self.columns)) for name in names),
            ("all clips", tuple(column.all_clips for column in self.columns)),
            ("subjects", tuple(column.subjects for column in self.columns)),
        )


def count_tables(held: Sequence[Contents]) -> tuple[CountTable, ...]:
    """Return tables that count the clips of some datasets under every scheme made for them.

    A protocol over several datasets (MEGC 2019) has a column for each of its datasets in `held`, and a column for all
    of them together if each is in `held` exactly once. In a dataset of your own every label is a class.
    """
    named = {name for _, names in PAPER_TABLES for name in names}
    titled = [
        *((number, title, [SCHEMES[name] for name in names]) for number, (title, names) in enumerate(PAPER_TABLES, 1)),
        *((None, f"scheme {scheme.name}", [scheme]) for scheme in SCHEMES.values() if scheme.name not in named),
    ]
    n_stores = Counter(contents.dataset for contents in held)
    tables = []
    for number, title, schemes in titled:
        columns = []
        for scheme in schemes:
            covered = [contents for contents in held if contents.dataset in scheme.datasets]
            for contents in covered:
                suffix = f" in {contents.name}" if n_stores[contents.dataset] > 1 else ""
                columns.append(_count(scheme, [contents], suffix))
            if scheme.composite and sorted(part.dataset for part in covered) == sorted(scheme.datasets):
                columns.append(_count(scheme, covered))
        if columns:
            tables.append(CountTable(number, title, tuple(columns)))
    for contents in held:
        if contents.emotions and not schemes_of(contents.dataset):
            scheme = resolve_scheme(OWN_LABELS, {contents.dataset: contents.emotions.values()})
            tables.append(CountTable(None, f"scheme {OWN_LABELS}", (_count(scheme, [contents]),)))
    return tuple(tables)


def count_warnings(contents: Contents) -> list[str]:
    """Return a warning for each scheme if its counts differ from a known table's or the table is an older version.

    Schemes that are used on request only are left out: `mer train` warns of them.
    """
    warnings = []
    for scheme in (scheme for scheme in schemes_of(contents.dataset) if not scheme.on_request):
        labels = labels_of(scheme, contents.emotions)
        warning = check_counts(scheme, contents.dataset, contents.table_version, labels)
        if warning:
            warnings.append(f"warning: {warning}")
    return warnings


def units_warning(cells: Mapping[str, str]) -> list[str]:
    """Return a list with one warning if the action units of some clips can't be read, else an empty list.

    Parameters
    ----------
    cells : action units by clip id, as the coding table has them
    """
    found = unreadable_units(cells)
    if not found:
        return []
    return [f"warning: {found}. {EXPECTED} augcn-flow does not train on such clips: correct the coding table."]


def table_fact(dataset: str, table: str, version: str, sha256: str, n_differences: int = 0) -> str:
    """Return a phrase that describes a coding table and says whether it is a published version.

    Parameters
    ----------
    sha256 : checksum of the table; "" if the release has none and its clips come from the names of folders
    n_differences : number of cells that are known to differ from that version
    """
    if version and n_differences:
        version = f"counts as {version}, {n_differences} {'cell differs' if n_differences == 1 else 'cells differ'}"
    known = version or ("not a published version" if schemes_of(dataset) else "your own")
    if not sha256:
        return f"none: clips and classes from the folders of {table} ({known})"
    return f"{table} ({known}), SHA-256 {sha256[:12]}"


def store_table(attributes: Mapping[str, Any]) -> str:
    """Return the phrase of `table_fact` on the coding table that a store was built from."""
    dataset, table, version, sha256 = (
        attributes[name] for name in ("dataset", "table", "table_version", "table_sha256")
    )
    return table_fact(dataset, table, version, sha256, len(attributes.get("table_differences", ())))


def store_table_notes(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a store says about its coding table: how it was read, and where it differs from the published one."""
    told, differing = (attributes.get(name, ()) for name in ("table_notes", "table_differences"))
    return table_notes(told, attributes["table_version"], differing)


def schemes_of(dataset: str) -> list[Scheme]:
    """Return the schemes made for a dataset, alone or together with others; none for a dataset of your own."""
    return [scheme for scheme in SCHEMES.values() if dataset in scheme.datasets]


def labels_of(scheme: Scheme, emotions: Mapping[str, str]) -> dict[str, int]:
    """Return the class number of every clip that a scheme keeps; result and `emotions` are by clip id."""
    labelled = ((clip_id, scheme.label(clip_id, emotion)) for clip_id, emotion in emotions.items())
    return {clip_id: label for clip_id, label in labelled if label is not None}


def _count(scheme: Scheme, parts: Sequence[Contents], suffix: str = "") -> CountColumn:
    labels = {clip_id: label for part in parts for clip_id, label in labels_of(scheme, part.emotions).items()}
    found = Counter(labels.values())
    tables = [(part.dataset, PUBLISHED.get(part.dataset, part.table_version)) for part in parts]
    published = _sum_up(scheme.expected.get(table) for table in tables)
    subjects = _sum_up((scheme.n_subjects[table],) if table in scheme.n_subjects else None for table in tables)
    n_subjects = len({subject_of(clip_id) for clip_id in labels})
    protocol = protocol_id(scheme, [part.dataset for part in parts], len(labels))
    return CountColumn(
        task=protocol.partition("/")[0],
        heading=protocol + suffix,
        classes={
            name: Count(found[label], published[label] if published else None)
            for label, name in enumerate(scheme.class_names)
        },
        all_clips=Count(len(labels), sum(published) if published else None),
        subjects=Count(n_subjects, subjects[0] if subjects else None),
    )


def _sum_up(parts: Iterable[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    """Return the sums over all datasets, or None if one of them is unknown."""
    sums: tuple[int, ...] = ()
    for part in parts:
        if part is None:
            return None
        sums = tuple(a + b for a, b in zip(sums, part, strict=True)) if sums else part
    return sums


@dataclass(frozen=True)
class Difference:
    """One clip that makes a count differ from the published one.

    is_failed : True if the clip failed, False if the table is another version that has the clip differently
    why, effect : what is different about the clip, and which counts that changes; a sentence each
    """

    clip_id: str
    is_failed: bool
    why: str
    effect: str

    @property
    def sentence(self) -> str:
        return f"{self.clip_id} {self.why} {self.effect}"


def differences(contents: Contents) -> tuple[Difference, ...]:
    """Return the clips that make counts differ from the published ones, and all failed clips, sorted by clip id."""
    found = []
    for failed in contents.failed:
        why = f"({failed.emotion}) failed: {failed.reason.rstrip('.')}."
        found.append(Difference(failed.clip_id, True, why, effect_of_failure(contents, failed)))
    schemes, version = schemes_of(contents.dataset), contents.table_version
    known = DATASETS.get(contents.dataset)
    for change in known.changes.get(version, ()) if known else ():
        published = PUBLISHED[contents.dataset]
        if change.here is None:
            why = f"is not a clip of its own in table {version}, but one in {published}."
            effects = _missing(schemes, change.clip_id, change.published)
        else:
            why = f"is {change.here} in table {version}, {change.published} in {published}."
            effects = _moved(schemes, change.clip_id, change.here, change.published)
        found.append(Difference(change.clip_id, False, why, _spell(effects)))
    return tuple(sorted(found, key=lambda difference: difference.clip_id))


def effect_of_failure(contents: Contents, failed: FailedClip) -> str:
    """Return a sentence that says which counts of its dataset lack a failed clip."""
    if failed.clip_id.casefold() in contents.folded_ids:  # a second row of a clip that is there
        return _spell([])
    schemes = schemes_of(contents.dataset)
    if not schemes:
        return _spell([f"{OWN_LABELS} has 1 {failed.emotion} fewer"])
    return _spell(_missing(schemes, failed.clip_id, failed.emotion))


def _missing(schemes: list[Scheme], clip_id: str, emotion: str) -> list[str]:
    classes = {scheme.name: _class_name(scheme, clip_id, emotion) for scheme in schemes}
    return [f"{scheme} has 1 {name} fewer" for scheme, name in classes.items() if name]


def _moved(schemes: list[Scheme], clip_id: str, here: str, published: str) -> list[str]:
    ways = {
        scheme.name: (_class_name(scheme, clip_id, here), _class_name(scheme, clip_id, published)) for scheme in schemes
    }
    return [
        f"{scheme} has it as {ours or 'left out'}, published as {theirs or 'left out'}"
        for scheme, (ours, theirs) in ways.items()
        if ours != theirs
    ]


def _spell(effects: list[str]) -> str:
    return f"{'; '.join(effects) or 'It changes no count'}."


def _class_name(scheme: Scheme, clip_id: str, emotion: str) -> str | None:
    """Return the class that a scheme counts a clip in; None if it leaves the clip out or doesn't know the emotion."""
    if emotion not in scheme.class_of[dataset_of(clip_id)]:
        return None
    label = scheme.label(clip_id, emotion)
    return None if label is None else scheme.class_names[label]

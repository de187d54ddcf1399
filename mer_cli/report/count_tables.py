"""The paper's Tables 1 and 2: clips of each class as published, and beside them those of your stores.

Stores of generated faces stand in a block of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mer_cli.datasets.schemes import SCHEMES
from mer_cli.report.model import ANY_DATASET, Block, Cell, Column, Note, Row, Table
from mer_cli.store.counts import PAPER_TABLES, PUBLISHED, Contents, Count, CountColumn, count_tables, store_table
from mer_cli.store.hdf5 import StoreInfo
from mer_cli.store.overview import describe_stores


@dataclass(frozen=True)
class _Counted:
    """A store and its column in Table 1 or 2: the number of clips of each class."""

    info: StoreInfo
    column: CountColumn

    @property
    def differs(self) -> bool:
        return any(count.differs for count in _by_name(self.column).values())


def build_count_table(number: int, stores: Sequence[StoreInfo]) -> Table:
    """Build Table 1 (tasks of five or four classes) or Table 2 (of three): published clip counts beside your stores.

    Parameters
    ----------
    stores : in any order; stores of datasets that the table lacks are left out
    """
    title, scheme_names = PAPER_TABLES[number - 1]
    datasets = [dataset for name in scheme_names for dataset in SCHEMES[name].datasets]
    published = dict(zip(datasets, _count(number, [_nothing_of(dataset) for dataset in datasets]), strict=True))
    real = {dataset: _counted(number, dataset, stores, generated=False) for dataset in datasets}
    generated = {dataset: _counted(number, dataset, stores, generated=True) for dataset in datasets}
    n_columns = {dataset: max(len(real[dataset]), len(generated[dataset])) for dataset in datasets}
    blocks = [_block("Clips of each class", published, real, n_columns, _first_notes(published, real))]
    if any(generated.values()):
        blocks.append(_block(ANY_DATASET, published, generated, n_columns, [], generated=True))
    sentence = title.partition(": ")[2]
    return Table(
        id=str(number),
        title=sentence[0].upper() + sentence[1:],
        columns=tuple(_columns(published, n_columns)),
        blocks=tuple(blocks),
        absent="" if any((*real.values(), *generated.values())) else "no store of yours is counted in it",
    )


def _nothing_of(dataset: str) -> Contents:
    """Return the contents of an empty store of `dataset`; a table that counts it has only the published counts."""
    return Contents(dataset, dataset, PUBLISHED[dataset], {})


def _count(number: int, held: Sequence[Contents]) -> tuple[CountColumn, ...]:
    """Return the columns of Table `number`, with the clips of `held` counted, in the order of the table's schemes."""
    (table,) = (table for table in count_tables(held) if table.number == number)
    return table.columns


def _counted(number: int, dataset: str, stores: Sequence[StoreInfo], *, generated: bool) -> list[_Counted]:
    of_dataset = [info for info in stores if info.dataset == dataset and info.generated == generated]
    counted = []
    for info in sorted(of_dataset, key=lambda info: (info.path.name, info.content_hash)):
        (table,) = (table for table in describe_stores([info]).tables if table.number == number)
        (column,) = table.columns
        counted.append(_Counted(info, column))
    return counted


def _by_name(column: CountColumn) -> dict[str, Count]:
    return {**column.classes, "all clips": column.all_clips, "subjects": column.subjects}


def _columns(published: Mapping[str, CountColumn], n_columns: Mapping[str, int]) -> Iterator[Column]:
    yield Column("class", "Class", numeric=False)
    for dataset, column in published.items():
        yield Column(f"{dataset}_published", f"{column.task}/{column.all_clips.published}", "published")
    for dataset, column in published.items():
        for place in range(n_columns[dataset]):
            suffix = "" if n_columns[dataset] == 1 else f"_{place + 1}"
            yield Column(f"{dataset}_here{suffix}", _here(column, place, n_columns[dataset]), "here")


def _here(column: CountColumn, place: int, n_places: int) -> str:
    return column.task if n_places == 1 else f"{column.task} ({place + 1})"


def _block(
    heading: str,
    published: Mapping[str, CountColumn],
    held: Mapping[str, list[_Counted]],
    n_columns: Mapping[str, int],
    notes: list[Note],
    generated: bool = False,
) -> Block:
    here: list[dict[str, Cell]] = []
    for dataset, column in published.items():
        for place in range(n_columns[dataset]):
            if place >= len(held[dataset]):
                here.append({})
                continue
            store = held[dataset][place]
            mark = chr(ord("a") + sum(note.mark != "" for note in notes)) if store.differs else ""
            notes = [*notes, _store_note(_here(column, place, n_columns[dataset]), store, mark)]
            here.append({name: _found(count, mark) for name, count in _by_name(store.column).items()})
    as_published = [
        {name: _published(count) for name, count in _by_name(column).items()} for column in published.values()
    ]
    names = dict.fromkeys(name for column in published.values() for name in column.classes)
    rows = tuple(
        Row("count", (Cell(name), *(cells.get(name, Cell()) for cells in (*as_published, *here))))
        for name in (*names, "all clips", "subjects")
    )
    return Block(heading, rows, tuple(notes), generated)


def _published(count: Count) -> Cell:
    return Cell("–") if count.published is None else Cell(str(count.published), float(count.published))


def _found(count: Count, mark: str) -> Cell:
    return Cell(str(count.found), float(count.found), marks=(mark,) if count.differs else ())


def _first_notes(published: Mapping[str, CountColumn], real: Mapping[str, list[_Counted]]) -> list[Note]:
    versions = ", ".join(f"{dataset} {PUBLISHED[dataset]}" for dataset in published)
    texts = [
        f"Published: the paper's clips, from the usual coding tables ({versions}). The numbers of subjects are from "
        "those tables; the paper doesn't give them."
    ]
    if any(column.subjects.published is None for column in published.values()):
        texts.append("–: not published.")
    missing = [f"`mer preprocess {dataset} RAW`" for dataset, counted in real.items() if not counted]
    if missing:
        texts.append(f"Not counted here yet: {', '.join(missing)}.")
    return [Note(text) for text in texts]


def _store_note(heading: str, store: _Counted, mark: str) -> Note:
    info = store.info
    text = f"{heading} here: `{info.path.name}`, {store.column.heading}, coding table {store_table(info.attributes)}."
    if mark:
        text += " Marked counts differ from the published ones; `mer info` lists clips that failed or changed class."
    return Note(text, mark)

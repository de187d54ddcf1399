"""Decides the rows of a block of methods: printed in the paper, run here, or still to be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mer_cli.evaluation.run_text import (
    ablate_command,
    longest_range,
    standard_config,
    train_command,
    without_private_paths,
)
from mer_cli.report.entries import Entry
from mer_cli.report.model import RowKind
from mer_cli.report.paper import SOURCE, PaperBlock, PaperRow, grid_keys, paper_blocks
from mer_cli.report.placing import settings_name
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import METHODS, MMNET, Method
from mer_cli.runs.variants import GRIDS, RECIPES


@dataclass(frozen=True)
class Line:
    """The content of one table row, before it is formatted.

    paper : the paper's row that is shown beside it · entry : the runs of the row
    reference : MMNet with the same settings, to compare the row with; None for MMNet itself, or if no such run finished
        (in the table of all methods then the best row, see `rows.with_reference`)
    command : command that trains or continues the row's runs; "" for a finished row
    """

    method: str
    kind: RowKind
    paper: PaperRow | None = None
    entry: Entry | None = None
    reference: Entry | None = None
    command: str = ""

    @property
    def is_stated(self) -> bool:
        """Whether the row has the scores of predictions that were made elsewhere, and is not a control."""
        return self.kind == "method" and self.entry is not None and self.entry.is_stated


@dataclass(frozen=True)
class _Slot:
    """A row of the table that runs of several settings can fill; `key` is None for a method that is only quoted."""

    method: str
    key: Hashable | None
    paper: PaperRow | None


@dataclass(frozen=True)
class _Family:
    """Entries that differ only in the options that tables vary; without entries the name is "".

    machine : device and precision at the end of the name, if another family has the same settings; else ""
    """

    name: str
    machine: str
    recipe: str
    entries: tuple[Entry, ...]

    @property
    def reference(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.is_finished and entry.place.is_plain), None)

    @property
    def is_ablation(self) -> bool:
        return any(not entry.place.is_plain for entry in self.entries)


def lay_out(number: int | None, paper: PaperBlock | None, entries: Sequence[Entry]) -> list[Line]:
    """Return the rows of one block of a table, grouped by settings; runs on permuted labels come last.

    Entries of the released recipe come first. On the paper's clips its rows are there even without a run, because
    published numbers are shown beside that recipe only.

    Parameters
    ----------
    number : number of the table; None is the table of all methods
    paper : the printed rows, if the clips are the paper's
    entries : of one protocol, each with a row in the table
    """
    families = _families([entry for entry in entries if not entry.config.shuffle_labels])
    if paper and not (families and families[0].entries[0].place.is_standard):
        families = [_Family("", "", standard_config().recipe, ()), *families]
    slots = _slots(number, paper, entries)
    lines: list[Line] = []
    for index, family in enumerate(families):
        lines += _family_lines(number, slots, family, paper if index == 0 else None)
    for entry in entries:
        if entry.config.shuffle_labels:
            slot = next(slot for slot in slots if slot.key == entry.place.rows[number])
            name = f"{_name(slot, entry.config.recipe)}, {entry.name}"
            lines.append(_entry_line(f"control: {name}", entry, None, None, "control"))
    return lines


def _families(entries: Sequence[Entry]) -> list[_Family]:
    recipes = list(RECIPES)
    members = _members(entries)
    firsts = {key: same[0].place for key, same in members.items()}
    named = sorted((recipes.index(place.recipe), place.family_name, key) for key, place in firsts.items())
    n_named = Counter(name for _, name, _ in named)
    families = []
    for _, name, key in named:
        same = sorted(members[key], key=lambda entry: (not entry.is_finished, entry.config.seed, entry.config.run_name))
        machine = f", {firsts[key].machine}" if n_named[name] > 1 else ""
        families.append(_Family(f"{name}{machine}", machine, firsts[key].recipe, tuple(same)))
    return families


def _members(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return entries by family; another method joins the MMNet family of its settings, even from another machine."""
    members: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.config.model != MMNET, entry.config.run_name)):
        key = entry.place.family
        if entry.config.model != MMNET and key not in members:
            wanted = entry.place.settings
            key = next((other for other, same in members.items() if same[0].place.settings == wanted), key)
        members.setdefault(key, []).append(entry)
    return members


def _slots(number: int | None, paper: PaperBlock | None, entries: Sequence[Entry]) -> list[_Slot]:
    """Return the paper's rows (in a table of ablations the rows of `mer ablate`), then others that were run."""
    rows = paper.rows if paper else ()
    keyed = {row.key: row for row in rows if row.key is not None}
    methods = {entry.place.rows[number]: entry.config.method for entry in entries}
    found = sorted(methods, key=partial(_row_order, number))
    if number not in GRIDS and paper:
        printed = [_Slot(_name_beside(row), row.key, row) for row in rows]
        others = (_Slot(_row_name(number, key, methods), key, None) for key in found if key not in keyed)
        return [*printed, *others]
    keys = dict.fromkeys([*grid_keys(number), *keyed, *found])
    return [_Slot(_row_name(number, key, methods), key, keyed.get(key)) for key in keys]


def _family_lines(
    number: int | None, slots: Sequence[_Slot], family: _Family, paper: PaperBlock | None
) -> Iterator[Line]:
    for slot in slots:
        beside = slot.paper if paper else None
        own = [entry for entry in family.entries if slot.key == entry.place.rows[number]]
        method = _name(slot, family.recipe)
        for index, entry in enumerate(own):
            name = f"{method}, {entry.name}{_machine(family, own, entry)}"
            reference = None if entry.place.is_plain else family.reference
            yield _entry_line(name, entry, None if index else beside, reference)
        if not own and slot.key is None and beside:
            yield Line(slot.method, "method", beside)
        elif not own and slot.key is not None and (beside or (number in GRIDS and family.is_ablation)):
            name = ", ".join(part for part in (method, _missing_name(number, slot, family)) if part)
            yield Line(name, "missing", beside, command=_filling_command(number, family, paper, slot.key))


def _machine(family: _Family, own: Sequence[Entry], entry: Entry) -> str:
    """Return ", <machine>" if another row differs from this one only in the machine that trained it, else ""."""
    if entry.is_stated:
        return ""
    names = {each.place.machine for each in own}
    return f", {entry.place.machine}" if family.machine or len(names) > 1 else ""


def _missing_name(number: int | None, slot: _Slot, family: _Family) -> str:
    """Return the settings that runs need to fill an empty row; a method other than MMNet has its own settings."""
    if not family.entries or number in GRIDS or slot.paper is None or slot.paper.config is None:
        return family.name
    return f"{settings_name(slot.paper.config)}{family.machine}"


def _entry_line(
    name: str, entry: Entry, paper: PaperRow | None, reference: Entry | None, kind: RowKind = "method"
) -> Line:
    if entry.is_finished:
        return Line(name, kind, paper, entry, reference)
    run = entry.runs[0]
    n_missing = len(run.missing)
    state = f"incomplete: {n_missing} of {n_missing + len(run.folds)} folds missing"
    command = train_command(without_private_paths(run))
    return Line(f"{name} ({state})", "incomplete", paper, entry, command=command)


def _filling_command(number: int | None, family: _Family, paper: PaperBlock | None, key: Hashable) -> str:
    if family.entries and number in GRIDS:
        like = _runs_to_repeat(number, family)
        return ablate_command(number, without_private_paths(like[0]), [run.config.seed for run in like])
    assert paper, "without runs there is a row for the paper's only"
    protocol = f"data/{paper.dataset}.h5 --scheme {paper.scheme}"
    if number in GRIDS:
        return f"mer ablate --table {number} {protocol}"
    return f"mer train {protocol} --loso{'' if key == MMNET else f' --model {key}'}{_seed_flags(number, family)}"


def _seed_flags(number: int | None, family: _Family) -> str:
    """Return `--seed` and `--seeds` flags that give a new row the same seeds as the rows that were run."""
    first = standard_config().seed
    wanted = longest_range([run.config.seed for run in _runs_to_repeat(number, family)]) if family.entries else [first]
    flags = f" --seed {wanted[0]}" if wanted[0] != first else ""
    return f"{flags} --seeds {len(wanted)}" if len(wanted) > 1 else flags


def _runs_to_repeat(number: int | None, family: _Family) -> list[Run]:
    """Return the runs whose seeds and settings a new row should have: MMNet's, else the row with the most seeds.

    Parameters
    ----------
    family : has at least one entry
    """
    of_row: dict[Hashable, list[Run]] = {}
    for entry in family.entries:
        of_row.setdefault(entry.place.rows[number], []).extend(entry.runs)
    mmnet = [run for entry in family.entries if entry.place.is_plain for run in entry.runs]
    return mmnet or max(of_row.values(), key=len)


# Rows of our grids that the paper's tables lack.
_OUR_NAMES = {
    "ca-block": "CA block without attention",
    "basic-continuous": "Basic block with continuous attention",
    "cbam": "Independent attention, 7x7 (CBAM)",
    "balanced": "MMNet, balanced (ours)",
}


def _row_order(number: int | None, key: Hashable) -> tuple[int, str]:
    """Return the sort key of a row that the paper lacks; methods come in the order of `mer models`, your own last."""
    names, name = list(METHODS), str(key).partition(", ")[0]
    return (0 if number in GRIDS else names.index(name) if name in names else len(names)), str(key)


def _row_name(number: int | None, key: Hashable, methods: Mapping[Hashable, Method]) -> str:
    """Return the name of a row in a table of ablations, or of a row that the paper lacks.

    Parameters
    ----------
    methods : method of each row that was run, by the row's key
    """
    if isinstance(key, tuple):
        return "N_L {}, N_H {}".format(*key)
    if number not in GRIDS:
        name, _, source = str(key).partition(f", {SOURCE} ")
        is_shared = source and any(str(other).startswith(f"{name}, {SOURCE} ") for other in methods if other != key)
        _, comma, departures = (str(key) if is_shared else name).partition(", ")
        return f"{with_form(methods[key])}{comma}{departures}"
    printed = (row.method for block in paper_blocks(number) for row in block.rows if row.key == key)
    return next(printed, None) or _OUR_NAMES[str(key)]


def _name(slot: _Slot, recipe: str) -> str:
    """Return the method; in Table 5, mark the layers and heads that `recipe` gives MMNet: "N_L 2, N_H 4 (MMNet)"."""
    if not isinstance(slot.key, tuple):
        return slot.method
    plain = standard_config(recipe)
    return f"{slot.method} (MMNet)" if slot.key == (plain.n_layers, plain.n_heads) else slot.method


def _name_beside(row: PaperRow) -> str:
    """Return the printed name of a method; if we train a variant instead, also its name."""
    return with_form(row.config.method, row.method) if row.config else row.method


def with_form(method: Method, printed: str = "") -> str:
    """Return a title like "STSTNet" or "DSSN (variant)"; if the paper prints another, "TSCNN: TSCNN-lite (variant)"."""
    name = method.title if printed in ("", method.title) else f"{printed}: {method.title}"
    return name if method.form in ("as published", "quoted only", "trained outside mer") else f"{name} ({method.form})"

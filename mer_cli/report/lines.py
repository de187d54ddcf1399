"""Lays out the rows of a block of methods: what is printed in the paper, what ran here, and what nobody has run yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mer_cli.evaluation.run_text import ablate_command, longest_range, train_command, without_private_paths
from mer_cli.report.collect import Entry
from mer_cli.report.model import RowKind
from mer_cli.report.paper import PaperBlock, PaperRow
from mer_cli.report.placing import (
    as_mmnet,
    family_key,
    family_name,
    is_plain,
    is_standard,
    key_of_paper,
    machine_name,
    name_beside,
    row_key,
    row_name,
    row_order,
    settings_key,
)
from mer_cli.runs.config import GRIDS, RECIPES, resolve_config
from mer_cli.runs.directory import Run
from mer_cli.runs.methods import MMNET


@dataclass(frozen=True)
class Line:
    """What a row is about.

    paper : what is printed beside it · entry : what ran here
    reference : MMNet with the same settings, which it is compared with; None for MMNet itself, or where none finished
    command : what fills the row, or continues it; "" for a finished one
    """

    method: str
    kind: RowKind
    paper: PaperRow | None = None
    entry: Entry | None = None
    reference: Entry | None = None
    command: str = ""


@dataclass(frozen=True)
class _Slot:
    """A place in the table: key None is a method that is quoted only."""

    method: str
    key: Hashable | None
    paper: PaperRow | None


@dataclass(frozen=True)
class _Family:
    """Entries that differ in nothing but what tables vary; there may be none yet, which then have no name either.

    machine : ends the names of families whose settings are the same
    """

    name: str
    machine: str
    recipe: str
    entries: tuple[Entry, ...]

    @property
    def reference(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.is_finished and is_plain(entry.config)), None)

    @property
    def is_ablation(self) -> bool:
        return any(not is_plain(entry.config) for entry in self.entries)


def lay_out(number: int | None, paper: PaperBlock | None, entries: Sequence[Entry]) -> list[Line]:
    """Give the rows of one block, family by family; controls last.

    The released recipe's family is the first, and is there without a run where the clips are the paper's: published
    numbers stand beside that recipe alone.

    Parameters
    ----------
    paper : the printed rows, where the clips are the paper's
    entries : of one protocol, each with a place in the table
    """
    families = _families([entry for entry in entries if not entry.config.shuffle_labels])
    if paper and not (families and is_standard(families[0].entries[0].config)):
        families = [_Family("", "", resolve_config().recipe, ()), *families]
    slots = _slots(number, paper, entries)
    lines: list[Line] = []
    for index, family in enumerate(families):
        lines += _family_lines(number, slots, family, paper if index == 0 else None)
    for entry in entries:
        if entry.config.shuffle_labels:
            slot = next(slot for slot in slots if slot.key == row_key(number, entry.config))
            name = f"{_name(number, slot, entry.config.recipe)}, {family_name(entry.config)}"
            lines.append(_entry_line(f"control: {name}", entry, None, None, "control"))
    return lines


def _families(entries: Sequence[Entry]) -> list[_Family]:
    members = _members(entries)
    recipes = list(RECIPES)
    configs = {key: as_mmnet(same[0].config) for key, same in members.items()}
    named = sorted((recipes.index(config.recipe), family_name(config), key) for key, config in configs.items())
    n_named = Counter(name for _, name, _ in named)
    families = []
    for _, name, key in named:
        same = sorted(members[key], key=lambda entry: (not entry.is_finished, entry.config.seed, entry.config.run_name))
        config = configs[key]
        machine = f", {machine_name(config)}" if n_named[name] > 1 else ""
        families.append(_Family(f"{name}{machine}", machine, config.recipe, tuple(same)))
    return families


def _members(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The entries of each family; another network joins MMNet's of its settings, on whatever machine."""
    members: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.config.model != MMNET, entry.config.run_name)):
        key = family_key(entry.config)
        if entry.config.model != MMNET and key not in members:
            wanted = settings_key(entry.config)
            alike = (other for other, same in members.items() if settings_key(same[0].config) == wanted)
            key = next(alike, key)
        members.setdefault(key, []).append(entry)
    return members


def _slots(number: int | None, paper: PaperBlock | None, entries: Sequence[Entry]) -> list[_Slot]:
    """The paper's rows in its order; in a table of ablations the grid's, then what else was trained."""
    rows = paper.rows if paper else ()
    keyed = {key: row for row in rows if (key := key_of_paper(number, row)) is not None}
    found = sorted({row_key(number, entry.config) for entry in entries}, key=partial(row_order, number))
    if number not in GRIDS and paper:
        printed = [_Slot(name_beside(row), key_of_paper(number, row), row) for row in rows]
        return [*printed, *(_Slot(row_name(number, key), key, None) for key in found if key not in keyed)]
    in_grid = [row_key(number, resolve_config(**row)) for row in (GRIDS.get(number, ()) if number else ())]
    return [_Slot(row_name(number, key), key, keyed.get(key)) for key in dict.fromkeys([*in_grid, *keyed, *found])]


def _name(number: int | None, slot: _Slot, recipe: str) -> str:
    """The method; layers and heads of another recipe than the released one make another row MMNet."""
    is_mmnet = isinstance(slot.key, tuple) and slot.key == row_key(number, resolve_config(recipe))
    return f"{slot.method} (MMNet)" if is_mmnet else slot.method


def _family_lines(
    number: int | None, slots: Sequence[_Slot], family: _Family, paper: PaperBlock | None
) -> Iterator[Line]:
    for slot in slots:
        beside = slot.paper if paper else None
        own = [entry for entry in family.entries if slot.key == row_key(number, entry.config)]
        method = _name(number, slot, family.recipe)
        for index, entry in enumerate(own):
            name = f"{method}, {family_name(entry.config)}{_machine(family, own, entry)}"
            reference = None if is_plain(entry.config) else family.reference
            yield _entry_line(name, entry, None if index else beside, reference)
        if not own and slot.key is None and beside:
            yield Line(slot.method, "method", beside)
        elif not own and slot.key is not None and (beside or (number in GRIDS and family.is_ablation)):
            name = ", ".join(part for part in (method, _missing_name(number, slot, family)) if part)
            yield Line(name, "missing", beside, command=_filling_command(number, family, paper, slot.key))


def _machine(family: _Family, own: Sequence[Entry], entry: Entry) -> str:
    """What tells a row from another of the same settings: where it was trained, maybe elsewhere than MMNet."""
    names = {machine_name(each.config) for each in own}
    return f", {machine_name(entry.config)}" if family.machine or len(names) > 1 else ""


def _missing_name(number: int | None, slot: _Slot, family: _Family) -> str:
    """The settings that would fill a row: another network than MMNet has its own."""
    if not family.entries or number in GRIDS or slot.paper is None:
        return family.name
    return f"{family_name(resolve_config(**slot.paper.settings or {}))}{family.machine}"


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
        like = _seeds_to_repeat(number, family)
        return ablate_command(number, without_private_paths(like[0]), [run.config.seed for run in like])
    assert paper, "without runs there is a row for the paper's only"
    protocol = f"data/{paper.dataset}.h5 --scheme {paper.scheme}"
    if number in GRIDS:
        return f"mer ablate --table {number} {protocol}"
    return f"mer train {protocol} --loso{'' if key == MMNET else f' --model {key}'}{_seed_flags(number, family)}"


def _seed_flags(number: int | None, family: _Family) -> str:
    """Those of the rows that are there, so that the seeds are the same in all."""
    first = resolve_config().seed
    wanted = longest_range([run.config.seed for run in _seeds_to_repeat(number, family)]) if family.entries else [first]
    flags = f" --seed {wanted[0]}" if wanted[0] != first else ""
    return f"{flags} --seeds {len(wanted)}" if len(wanted) > 1 else flags


def _seeds_to_repeat(number: int | None, family: _Family) -> list[Run]:
    """The runs of MMNet, which every other row is compared with; where there is none, of the row with most seeds."""
    of_row: dict[Hashable, list[Run]] = {}
    for entry in family.entries:
        of_row.setdefault(row_key(number, entry.config), []).extend(entry.runs)
    return of_row.get(row_key(number, resolve_config(family.recipe))) or max(of_row.values(), key=len)

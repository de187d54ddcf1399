"""Scores runs: an entry is what has a table row of its own, and a protocol groups the entries that are comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mer_cli.datasets.registry import DATASETS
from mer_cli.evaluation.epoch_rules import Scores, evaluate, usable_rules
from mer_cli.evaluation.run_text import own_classes, stated_rule, trained_with, tuned_on_test
from mer_cli.evaluation.statistics import METRICS, Spread, few_subjects, spread
from mer_cli.report.collect import group_seeds
from mer_cli.report.model import NOT_A_RESULT, Note
from mer_cli.report.paper import paper_blocks
from mer_cli.report.placing import Place, Places, class_counts, datasets_of, n_subjects, settings_name
from mer_cli.runs.directory import Run
from mer_cli.runs.rare_classes import rare_text_of
from mer_cli.runs.run_config import RunConfig, RunStore


@dataclass(frozen=True)
class Entry:
    """What has a table row of its own: the finished seeds of one configuration, or one run that lacks folds.

    place : rows of the tables that the runs belong in, the same for all of them
    class_counts : number of scored clips of each class, in label order · n_subjects : number of their subjects
    scores : by rule, one for each run · spreads : by rule and metric ("last", "uf1"); both empty if the run lacks folds
    dataset : the dataset whose clips are scored, if the run has several datasets; None if all clips are scored
    """

    runs: tuple[Run, ...]
    place: Place
    class_counts: tuple[int, ...]
    n_subjects: int
    scores: Mapping[str, tuple[Scores, ...]]
    spreads: Mapping[tuple[str, str], Spread]
    dataset: str | None = None

    @property
    def config(self) -> RunConfig:
        return self.runs[0].config

    @property
    def is_finished(self) -> bool:
        return not self.runs[0].missing

    @property
    def competes(self) -> bool:
        """Whether the entry is ranked: finished, not on permuted labels, recipe not tuned on the test subjects.

        Runs that trained on more than the dataset's clips are not: the other rows did not.
        Predictions that were made elsewhere are not: their epoch rule is what their author says (`is_stated`).
        """
        has_more = bool(trained_with(self.config))
        return self.is_finished and not (self.config.shuffle_labels or self.is_tuned or self.is_stated or has_more)

    @property
    def is_tuned(self) -> bool:
        """Whether the recipe was chosen by the scores of subjects that are scored here."""
        return bool(tuned_on_test(self.config, self.dataset))

    @property
    def name(self) -> str:
        """Recipe and changed settings, except those that tables vary: "released recipe, epochs 10"."""
        return settings_name(self.config, self.dataset)

    @property
    def is_stated(self) -> bool:
        """Whether the predictions were made elsewhere, so that mer knows their epoch rule from their author only."""
        return bool(stated_rule(self.config))

    @property
    def rules(self) -> tuple[str, ...]:
        return usable_rules(self.config)

    def by_seed(self, rule: str) -> dict[int, Scores]:
        """Return the scores under a rule by seed; empty if the run lacks folds or the rule can't score it."""
        return {run.config.seed: scores for run, scores in zip(self.runs, self.scores.get(rule, ()), strict=False)}

    def is_part_of(self, number: int | None) -> bool:
        """Return whether Table `number` is about the scored dataset; always true for all clips or for number None."""
        return number is None or self.dataset is None or self.dataset in datasets_of(number)

    @property
    def clips(self) -> tuple[object, ...]:
        """A key that is equal for comparable entries: the clips of the runs, and the dataset that is scored."""
        return (*self.place.clips, self.dataset is None, self.dataset or "")


def metrics_of(rule: str) -> tuple[str, ...]:
    """Return the names of the scores shown under a rule: accuracy, uf1, uar; no uar under `best-test`."""
    return tuple(name for name in METRICS if (rule, name) != ("best-test", "uar"))


def score_runs(runs: Sequence[Run], places: Places) -> tuple[Entry, ...]:
    """Return an entry for the finished seeds of each configuration, and one for each run that lacks folds.

    A run over several datasets has an entry for all clips and one for each dataset. A run across datasets has one entry
    for each test dataset, and none for all together.
    """
    finished = [group.runs for group in group_seeds([run for run in runs if not run.missing])]
    unfinished = sorted((run for run in runs if run.missing), key=lambda run: (run.path.name, run.path))
    groups = [*finished, *((run,) for run in unfinished)]
    return tuple(
        _entry(seeds, places[seeds[0].path], part) for seeds in groups for part in seeds[0].config.scored_parts
    )


def _entry(runs: tuple[Run, ...], place: Place, dataset: str | None) -> Entry:
    first = runs[0]
    rules = () if first.missing else usable_rules(first.config)
    scores = {rule: tuple(evaluate(run, rule, dataset) for run in runs) for rule in rules}
    spreads = {(rule, name): spread(name, scores[rule], first) for rule in rules for name in metrics_of(rule)}
    counts = class_counts(first, dataset) if dataset else place.class_counts
    subjects = n_subjects(first, dataset) if dataset else place.n_subjects
    return Entry(runs, place, counts, subjects, scores, spreads, dataset)


@dataclass(frozen=True)
class Protocol:
    """A group of comparable entries: all on the same stores, clips, labels and folds."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        """The first entry; use it for what all entries share."""
        return self.entries[0]

    @property
    def generated(self) -> bool:
        return self.first.config.generated

    @property
    def dataset(self) -> str | None:
        """The dataset whose clips are scored, if the runs have several; None if all clips are scored."""
        return self.first.dataset

    @property
    def name(self) -> str:
        """The name, "casme2-5/249, leave one subject out"; across datasets it says which trained and which tested."""
        config, part = self.first.config, ""
        if config.pooled_parts == (None,) and self.dataset:
            part = f", scored on {dataset_title(self.dataset)} alone"
        return f"{config.protocol_id}{part}, {config.protocol([self.dataset] if self.dataset else None)}"

    @property
    def heading(self) -> str:
        text = heading(self.name, self.first.class_counts, self.first.n_subjects)
        if not self.generated:
            return text
        stores = self.first.config.stores
        titles = ", ".join(dataset_title(store.dataset) for store in stores if self.dataset in (None, store.dataset))
        return f"{NOT_A_RESULT.format(titles)}. {text}"

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Notes that must stand beside every number: on the classes, and on intervals over few subjects; often none."""
        few = self._few_subjects if any(entry.spreads for entry in self.entries) else ""
        return (*self._notes_on_classes, *([Note(few)] if few else []))

    @property
    def _few_subjects(self) -> str:
        """A sentence if the interval is over few subjects, those of the smallest dataset for a mean; otherwise ""."""
        config = self.first.config
        if self.dataset or not config.averages_datasets:
            return few_subjects(self.first.n_subjects)
        fewest = min(n_subjects(self.first.runs[0], dataset) for dataset in config.test_datasets)
        return few_subjects(fewest, of_smallest=True)

    @property
    def _notes_on_classes(self) -> tuple[Note, ...]:
        """Notes on what your own label scheme calls a class, and on classes that a fold can hardly learn; often none.

        Runs that hold back subjects to choose an epoch train on fewer clips, so each number of them has its own note.
        """
        own = own_classes(self.first.config)
        rare: dict[int, str] = {}
        for entry in self.entries:  # those that lack folds, whose inner clips are not all known, come last
            if entry.config.inner_val not in rare:
                rare[entry.config.inner_val] = rare_text_of(entry.runs[0])
        return (
            *([Note(f"Classes of {self.first.config.scheme}, a label scheme of your own: {own}.")] if own else []),
            *(Note(f"Rare classes{_with_inner(n_inner)}: {text}.") for n_inner, text in sorted(rare.items()) if text),
        )

    @property
    def origin(self) -> str:
        """The coding table and store of each dataset: "table 20190701, store 0123456789ab"."""
        stores = self.first.config.stores
        return ", ".join(store_origin(store, named=len(stores) > 1) for store in stores)


def _with_inner(n_subjects: int) -> str:
    return f" with inner val {n_subjects}" if n_subjects else ""


def protocols(number: int | None, entries: Sequence[Entry]) -> list[Protocol]:
    """Group comparable entries for Table `number`: real faces before generated, then the paper's schemes in its order.

    Entries for a single dataset that the table is not about are left out. For runs over several datasets, the entry for
    all clips comes after the entry for the table's own dataset.
    """
    order = {block.scheme: index for index, block in enumerate(paper_blocks(number))}

    def key(entry: Entry) -> tuple[object, ...]:
        config = entry.config
        return (config.generated, order.get(config.scheme, len(order)), *entry.clips)

    fitting = [entry for entry in entries if entry.is_part_of(number)]
    return [Protocol(tuple(same)) for _, same in groupby(sorted(fitting, key=key), key=key)]


def heading(protocol: str, counts: Sequence[int], subjects: int | None) -> str:
    """Return the heading of a block: "casme2-5/249, leave one subject out: 5 classes, 249 clips, 26 subjects"."""
    held_out = f", {subjects} subjects" if subjects else ""
    return f"{protocol}: {len(counts)} classes, {sum(counts)} clips{held_out}"


def dataset_title(dataset: str) -> str:
    """Return the title of a dataset ("casme2" gives "CASME II"), or the name itself for your own data."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def store_origin(store: RunStore, *, named: bool) -> str:
    """Return "table 20190701, store 0123456789ab", after "casme2: " if `named`."""
    table = f"table {store.table_version}" if store.table_version else "unknown table"
    return f"{f'{store.dataset}: ' if named else ''}{table}, store {store.content_hash[:12]}"

"""Runs, scored: an entry for whatever has a row for itself, and entries put together that compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mer_cli.datasets.registry import DATASETS
from mer_cli.evaluation.epoch_rules import Scores, evaluate, usable_rules
from mer_cli.evaluation.statistics import METRICS, Spread, spread
from mer_cli.report.collect import group_seeds
from mer_cli.report.model import NOT_A_RESULT
from mer_cli.report.paper import paper_blocks
from mer_cli.report.placing import Place, Places, class_counts, datasets_of, n_subjects
from mer_cli.runs.directory import Run
from mer_cli.runs.run_config import RunConfig, RunStore
from mer_cli.runs.variants import RECIPE_STAMPS


@dataclass(frozen=True)
class Entry:
    """The finished seeds of one configuration, or one run that lacks folds.

    place : where its runs stand, the same for all of them
    class_counts, n_subjects : of the clips that it is scored on, the counts in label order
    scores : by rule, of each run · spreads : by rule and metric ("last", "uf1"); both empty if the run lacks folds
    dataset : of a run over several datasets or across datasets, the one that the scores are of; None for all
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
        """Whether it is finished, not a control, and not of a recipe that was tuned on the test subjects."""
        return self.is_finished and not self.config.shuffle_labels and self.config.recipe not in RECIPE_STAMPS

    @property
    def rules(self) -> tuple[str, ...]:
        return usable_rules(self.config)

    def by_seed(self, rule: str) -> dict[int, Scores]:
        """Return the scores of each seed; none if the run lacks folds or can't be scored under the rule."""
        return {run.config.seed: scores for run, scores in zip(self.runs, self.scores.get(rule, ()), strict=False)}

    def is_part_of(self, number: int | None) -> bool:
        """Return whether a table has the clips of the scores: all of a run's, or those of the table's dataset."""
        return number is None or self.dataset is None or self.dataset in datasets_of(number)

    @property
    def clips(self) -> tuple[object, ...]:
        """What entries that compare share: the clips of their runs, and the dataset that is scored."""
        return (*self.place.clips, self.dataset is None, self.dataset or "")


def metrics_of(rule: str) -> tuple[str, ...]:
    """Return the scores that are shown under a rule; `best-test` is the released script's, which has no UAR."""
    return tuple(name for name in METRICS if (rule, name) != ("best-test", "uar"))


def score_runs(runs: Sequence[Run], places: Places) -> tuple[Entry, ...]:
    """Group the seeds of each configuration and score them.

    A run that leaves one subject out over several datasets has an entry for all of their clips and one for each
    dataset's. A run across datasets has one for each dataset that it is tested on, and none for them together.
    """
    finished = [group.runs for group in group_seeds([run for run in runs if not run.missing])]
    unfinished = sorted((run for run in runs if run.missing), key=lambda run: (run.path.name, run.path))
    groups = [*finished, *((run,) for run in unfinished)]
    return tuple(_entry(seeds, places[seeds[0].path], part) for seeds in groups for part in _parts(seeds[0].config))


def _parts(config: RunConfig) -> tuple[str | None, ...]:
    """Return the datasets that a run is scored on separately; None stands for all clips together."""
    if not config.is_loso:
        return config.test_datasets
    return (None, *config.test_datasets) if len(config.stores) > 1 else (None,)


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
    """Entries that compare: on the same stores, clips, labels and folds."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        """Any of the entries, for what they share."""
        return self.entries[0]

    @property
    def generated(self) -> bool:
        return self.first.config.generated

    @property
    def dataset(self) -> str | None:
        """The dataset that the scores are of, if it is one of several; None for all."""
        return self.first.dataset

    @property
    def name(self) -> str:
        """Return "casme2-5/249, leave one subject out"; across datasets, which were trained and which tested on."""
        config, part = self.first.config, ""
        if config.is_loso and self.dataset:
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
    def origin(self) -> str:
        """The coding table and store of each dataset."""
        stores = self.first.config.stores
        return ", ".join(store_origin(store, named=len(stores) > 1) for store in stores)


def protocols(number: int | None, entries: Sequence[Entry]) -> list[Protocol]:
    """Put entries together that compare: the real dataset first, then the paper's schemes in its order.

    Of the composite set a table's own dataset comes before all of it; other datasets are left to other tables.
    """
    order = {block.scheme: index for index, block in enumerate(paper_blocks(number))}

    def key(entry: Entry) -> tuple[object, ...]:
        config = entry.config
        return (config.generated, order.get(config.scheme, len(order)), *entry.clips)

    fitting = [entry for entry in entries if entry.is_part_of(number)]
    return [Protocol(tuple(same)) for _, same in groupby(sorted(fitting, key=key), key=key)]


def heading(protocol: str, counts: Sequence[int], subjects: int | None) -> str:
    """Return "casme2-5/249, leave one subject out: 5 classes, 249 clips, 26 subjects"."""
    held_out = f", {subjects} subjects" if subjects else ""
    return f"{protocol}: {len(counts)} classes, {sum(counts)} clips{held_out}"


def dataset_title(dataset: str) -> str:
    """Return "CASME II"; the name itself for your own data."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def store_origin(store: RunStore, *, named: bool) -> str:
    """Return "table 20190701, store 0123456789ab", if wanted after the dataset."""
    table = f"table {store.table_version}" if store.table_version else "unknown table"
    return f"{f'{store.dataset}: ' if named else ''}{table}, store {store.content_hash[:12]}"

"""Builds the table of runs that predict action units: mean F1 and the F1 of each unit, protocol by protocol.

No other table has such a run: a mean over units can't be compared with one over classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mer_cli.datasets.units import CD6ME
from mer_cli.evaluation.chance import run_chance
from mer_cli.evaluation.epoch_rules import Scores, evaluate
from mer_cli.evaluation.run_text import progress, remarks, settings, trained_with, tuned_on_test
from mer_cli.evaluation.statistics import Spread, few_subjects, spread
from mer_cli.evaluation.summary import fraction
from mer_cli.evaluation.unit_metrics import left_out
from mer_cli.records import dataset_of, subject_of
from mer_cli.report.collect import group_seeds
from mer_cli.report.entries import dataset_title
from mer_cli.report.lines import with_form
from mer_cli.report.model import ANY_DATASET, UNITS, Block, Cell, Column, Note, Row, RowKind, Table
from mer_cli.report.rows import key_of, score_cell, table_row
from mer_cli.runs.directory import Run
from mer_cli.runs.run_config import RunConfig

RULE = "last"
HEADINGS = {"uf1": "Mean F1", "uar": "Mean recall", "accuracy": "Accuracy %"}
CD6ME_DATASETS = frozenset({"casme", "casme2", "casme3", "samm", "mmew", "4dme"})
CD6ME_UNITS = tuple(f"AU{number}" for number in CD6ME)
_PUBLISHED = (
    "SSSNet .405, OFF-ApexNet .395, ResNet-18 .372, SVM on flow .362, STSTNet .318, RCN-A .287, LBP-TOP .121 (Varanka "
    "et al., arXiv 2211.11425; five seeds, last epoch)"
)
_CD6ME = Note(
    f"Published on these six datasets, one left out at a time (CD6ME), mean F1: {_PUBLISHED}. They count a unit that "
    "no clip of a dataset shows as 0, and these rows leave it out."
)
_NOT_CD6ME = Note(
    "The published mean F1 of CD6ME is of its twelve units on CASME, CASME II, CAS(ME)^3, SAMM, MMEW and 4DME, so it "
    "is not comparable with these rows."
)
_SCORES = Note(
    "Mean F1: 2TP / (2TP + FP + FN) of each action unit, counts summed over all folds, averaged over the units that a "
    "scored clip shows. Mean recall likewise; accuracy is over all units and clips, and high for a guesser that never "
    "names a unit. Scores are of the last epoch (`last`). Several seeds: mean ± standard deviation. [low, high]: 95 % "
    "interval, drawn over subjects."
)


Standing = tuple[Run, ...]  # runs that differ only in their seed


def build_unit_table(runs: Sequence[Run]) -> Table:
    """Build the table of the runs that predict action units; without any it has no block."""
    blocks: dict[tuple[str, str | None], list[Standing]] = {}
    for group in group_seeds(runs):
        config = group.runs[0].config
        for part in config.test_datasets if config.is_across else (None,):
            blocks.setdefault((_clips(group.runs[0]), part), []).append(group.runs)
    names = {name for run in runs for name in run.class_names}
    columns = (
        Column("method", "Method", numeric=False),
        *(Column(key_of(RULE, metric), heading) for metric, heading in HEADINGS.items()),
        *(Column(f"f1_{name}", name) for name in sorted(names, key=lambda name: int(name.removeprefix("AU")))),
        Column("seeds", "Seeds", numeric=False),
        Column("remarks", "Remarks", numeric=False),
        Column("runs", "Runs", numeric=False, laid_out=False),
    )
    return Table(
        id=UNITS,
        title="Action units",
        columns=columns,
        blocks=tuple(_block(rows, part, columns) for (_, part), rows in blocks.items()),
        notes=(_SCORES,) if blocks else (),
        absent="" if blocks else "no run of yours predicts action units",
    )


def _clips(run: Run) -> str:
    """Return text that is equal for runs on the same clips, units and folds."""
    stores = sorted((store.dataset, store.content_hash) for store in run.config.stores)
    clips = sorted((clip_id, label, run.fold_of[clip_id]) for clip_id, label in run.labels.items())
    return f"{run.config.protocol_id} {run.config.protocol()} {stores} {clips}"


def _block(groups: Sequence[Standing], part: str | None, columns: Sequence[Column]) -> Block:
    first = groups[0][0]
    filled = [(runs, _cells(runs, part)) for runs in groups]
    filled.sort(key=lambda pair: -(pair[1][key_of(RULE, "uf1")].value or -1.0))
    _mark_best([cells for runs, cells in filled if _kind(runs) == "method" and _competes(runs[0].config, part)])
    rows = [table_row(_kind(runs), cells, columns) for runs, cells in filled]
    finished = next((run for runs, _ in filled for run in runs if not run.missing), None)
    return Block(
        heading=f"{first.config.protocol_id}, {first.config.protocol([part] if part else None)}",
        rows=(*rows, *(_guessers(finished, part, columns) if finished else ())),
        notes=tuple(_notes(first, part)),
        generated=first.config.generated,
    )


def _mark_best(ranked: Sequence[dict[str, Cell]]) -> None:
    """Mark the best mean F1, and no other score: naming every unit, or none, has the best recall or accuracy."""
    key = key_of(RULE, "uf1")
    for cells in ranked:
        if cells[key].value == max(other[key].value or 0.0 for other in ranked):
            cells[key] = replace(cells[key], best=True)


def _competes(config: RunConfig, part: str | None) -> bool:
    """Return whether a row may be the best: it learnt from the dataset's clips alone, and nobody tuned it on them."""
    return not (trained_with(config) or tuned_on_test(config, part))


def _kind(runs: Standing) -> RowKind:
    if not _finished(runs):
        return "incomplete"
    return "control" if runs[0].config.shuffle_labels else "method"


def _finished(runs: Standing) -> Standing:
    return tuple(run for run in runs if not run.missing)


def _cells(runs: Standing, part: str | None) -> dict[str, Cell]:
    """Return the cells of a row, by column; an unfinished run has no scores."""
    config, scored = runs[0].config, _finished(runs)
    told = (*remarks(config, part), "" if scored else progress(runs[0]))
    cells = {
        "method": Cell(f"{with_form(config.method)}, {settings(config, part)}"),
        "seeds": Cell(", ".join(str(run.config.seed) for run in scored or runs)),
        "remarks": Cell(", ".join(filter(None, told))),
        "runs": Cell(", ".join(run.path.name for run in scored or runs)),
    }
    if not scored:
        return cells | {key_of(RULE, metric): Cell("–") for metric in HEADINGS}
    by_seed = [evaluate(run, RULE, part) for run in scored]
    cells |= {key_of(RULE, metric): score_cell(metric, spread(metric, by_seed, scored[0])) for metric in HEADINGS}
    return cells | _of_each_unit(by_seed, runs[0].class_names)


def _of_each_unit(by_seed: Sequence[Scores], class_names: Sequence[str]) -> dict[str, Cell]:
    """Return the F1 of each unit, over all clips that are scored and averaged over the seeds; none if no clip shows it.

    Where datasets are held out, their clips are counted together.
    """
    each = np.array([[row.f1 for row in scores.targets.per_class(scores.confusion)] for scores in by_seed])
    support = by_seed[0].targets.support(by_seed[0].confusion)
    found = zip(class_names, each.mean(axis=0).tolist(), support.tolist(), strict=True)
    return {f"f1_{name}": Cell(fraction(f1), f1) if n_clips else Cell("–") for name, f1, n_clips in found}


def _guessers(run: Run, part: str | None, columns: Sequence[Column]) -> Iterator[Row]:
    for guesser in run_chance(run, RULE, part):
        cells = {"method": Cell(f"chance: {guesser.name}")}
        for metric in HEADINGS:
            low, high = guesser.intervals.get(metric, (None, None))
            cells[key_of(RULE, metric)] = score_cell(metric, Spread(getattr(guesser, metric), low=low, high=high))
        yield table_row("chance", cells, columns)


def _notes(run: Run, part: str | None) -> Iterator[Note]:
    config = run.config
    scored = [clip_id for clip_id, fold in run.fold_of.items() if fold and part in (None, dataset_of(clip_id))]
    if config.generated:
        yield Note(f"{ANY_DATASET}.")
    datasets = sorted({dataset_of(clip_id) for clip_id in scored})
    for dataset in datasets if config.averages_datasets else (None,):
        masks = [run.labels[clip_id] for clip_id in scored if dataset in (None, dataset_of(clip_id))]
        if units := left_out(masks, run.class_names):
            where = f" of {dataset_title(dataset)}" if dataset else ""
            yield Note(f"No clip{where} shows {', '.join(units)}: left out of the means{' there' if dataset else ''}.")
    sizes = [len({subject_of(clip) for clip in scored if dataset_of(clip) == dataset}) for dataset in datasets]
    fewest = min(sizes) if config.averages_datasets else sum(sizes)
    if few := few_subjects(fewest, of_smallest=config.averages_datasets):
        yield Note(few)
    if config.averages_datasets and not config.generated:
        is_cd6me = frozenset(datasets) == CD6ME_DATASETS and run.class_names == CD6ME_UNITS
        yield _CD6ME if is_cd6me else _NOT_CD6ME

"""Builds the tables that `mer evaluate` shows and exports, of one run or of several seeds of one configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mer_cli.datasets.unit_masks import bits_of
from mer_cli.evaluation.ceiling import CARE, TOLD, bounds_of, is_above
from mer_cli.evaluation.ceiling_sources import RunCeiling, run_ceiling
from mer_cli.evaluation.chance import NullControl, control_of, run_chance
from mer_cli.evaluation.epoch_rules import Scores, evaluate
from mer_cli.evaluation.machines import machines_text, unlike_machines
from mer_cli.evaluation.run_text import (
    UNCHECKED,
    own_classes,
    remarks,
    settings,
    stated_rule,
    trained_with,
    tuned_on_test,
)
from mer_cli.evaluation.statistics import Spread, counts_of, few_subjects, spread
from mer_cli.evaluation.targets import CLASSES
from mer_cli.evaluation.unit_metrics import left_out
from mer_cli.records import dataset_of, parts_of
from mer_cli.runs.directory import Run
from mer_cli.runs.rare_classes import rare_text_of
from mer_cli.runs.run_config import GENERATED
from mer_cli.runs.variants import TUNED, TUNED_REASON

TextTable = tuple[tuple[str, ...], ...]  # rows of cells of equal number, the header first
Facts = tuple[tuple[str, str], ...]  # names and values


@dataclass(frozen=True)
class Summary:
    """What `mer evaluate` shows of one run, or of one of its test datasets, as text; each table begins with its header.

    classes, confusion : empty if scores are averaged over datasets, each of which has a summary of its own. Action
        units have no confusion, because a clip shows several
    datasets : if the score is of several datasets, rows for each dataset and for the guessers on it; else empty
    """

    title: str
    facts: Facts
    classes: TextTable
    confusion: TextTable
    chance: TextTable
    datasets: TextTable


def summarise(run: Run, rule: str) -> tuple[Summary, ...]:
    """Return what `mer evaluate` shows of a run: a summary of all clips; if datasets are held out, one of each dataset.

    Across datasets there is none of all clips; if one dataset is left out at a time, it comes first.
    """
    config = run.config
    is_by_dataset = config.is_across or config.averages_datasets
    return tuple(summarise_dataset(run, rule, part) for part in (config.scored_parts if is_by_dataset else (None,)))


def summarise_dataset(run: Run, rule: str, dataset: str | None) -> Summary:
    """Return what `mer evaluate` shows of a run on one of its test datasets; on all of them if that is None."""
    scores = evaluate(run, rule, dataset)
    names = _names_of(scores)
    protocol, *facts = _facts([scores], run, dataset, ("seed", str(run.config.seed)))
    faces = [("faces", GENERATED)] if run.config.generated else []
    unlike = machines_text(unlike_machines(run, dataset))
    machines = f"the folds come from unlike machines: {unlike}. Their last digits may differ"
    several = dataset is None and len(run.config.test_datasets) > 1
    return Summary(
        title=run.path.name,
        facts=(
            *faces,
            protocol,
            ("coding table", _table_versions(run)),
            *facts,
            *([("machines", machines)] if unlike else []),
        ),
        classes=() if scores.averaged else _class_table(scores, run.class_names),
        confusion=() if scores.averaged or run.config.predicts_units else _confusion_table(scores, run.class_names),
        chance=(("guesser", *names), *_chance(run, scores, dataset)),
        datasets=_dataset_table(run, scores, names) if several else (),
    )


def _facts(by_seed: Sequence[Scores], run: Run, dataset: str | None, seeds: tuple[str, str]) -> Facts:
    """Return names and values that describe one evaluation: protocol, epoch rule, clips, settings, seeds, then scores.

    Parameters
    ----------
    by_seed : the scores of each seed, on the clips of `run`
    seeds : name and value of the entry on seeds: ("seed", "1")
    """
    config, scores = run.config, by_seed[0]
    fewest = min(counts_of(scores, run).sizes)
    few = "" if scores.selected_on_test else few_subjects(fewest, of_smallest=scores.averaged)
    told = (
        ("classes of your scheme", own_classes(config)),
        ("rare action units" if config.predicts_units else "rare classes", rare_text_of(run)),
        ("left out of the means", _left_out_text(run, scores, dataset)),
        ("few subjects", few),
        ("training clips", trained_with(config)),
        (TUNED, TUNED_REASON.removeprefix(f"{TUNED}: ").replace("`", "") if tuned_on_test(config, dataset) else ""),
    )
    return (
        ("protocol", f"{config.protocol_id}, {config.protocol([dataset] if dataset else None)}"),
        ("epoch rule", _rule_text(run, scores)),
        ("clips, subjects", f"{scores.n_clips}, {scores.n_subjects}"),
        *((name, text) for name, text in told if text),
        ("model, settings", f"{config.model}, {settings(config, dataset)}"),
        seeds,
        *([("null control", _control_text(control_of(by_seed, run)))] if config.shuffle_labels else []),
        *_score_facts(by_seed, run),
        *_ceiling_facts(run_ceiling(run, dataset), float(np.mean([each.accuracy for each in by_seed]))),
    )


def _score_facts(by_seed: Sequence[Scores], run: Run) -> Facts:
    """Return accuracy, UF1 and UAR, each with its name: "71.08 ± 1.20 % (95 % interval over subjects 62.96 to 84.44)".

    Parameters
    ----------
    by_seed : the scores of each seed, on the clips of `run`; ± is their standard deviation
    """
    what = "an action unit" if run.config.predicts_units else "a class"
    accuracy, f1, uar = (spread(name, by_seed, run) for name in by_seed[0].targets.names)
    accuracy_name, f1_name, uar_name = _names_of(by_seed[0])
    return (
        (accuracy_name.removesuffix(" %"), spread_text(accuracy, percent, " %", what)),
        (f1_name, spread_text(f1, fraction, what=what)),
        (uar_name, spread_text(uar, fraction, what=what)),
    )


def _ceiling_facts(ceiling: RunCeiling, accuracy: float) -> Facts:
    """Return what the labels allow, or why it isn't known; and that a run's accuracy (0..1) is above it if it is."""
    found = ceiling.found
    if found is None:
        return (("ceiling", f"not known: {ceiling.missing}"),)
    bounds = [f"{name} {percent(rule.accuracy)} % at most" for name, rule in bounds_of(found)]
    told = f"{TOLD} {percent(found.told.accuracy.mean)} %, UF1 {fraction(found.told.uf1.mean)}"
    facts = [("ceiling", "; ".join([*bounds, told]))]
    if is_above(100 * accuracy, found.units):
        above = [name for name, rule in bounds_of(found) if is_above(100 * accuracy, rule)]
        facts.append(("above the ceiling", f"of {' and of '.join(above)}. {CARE}"))
    return tuple(facts)


def spread_text(found: Spread, text: Callable[[float], str], unit: str = "", what: str = "a class") -> str:
    """Return a score with its deviation and interval: "71.08 ± 1.20 % (95 % interval over subjects 62.96 to 84.44)"."""
    score = text(found.mean) if found.sd is None else f"{text(found.mean)} ± {text(found.sd)}"
    if found.low is None or found.high is None:
        return f"{score}{unit}"
    lost = f"; {what} has no clip in {percent(found.lost)} % of the draws" if found.lost else ""
    return f"{score}{unit} (95 % interval over subjects {text(found.low)} to {text(found.high)}{lost})"


def _names_of(scores: Scores) -> tuple[str, str, str]:
    """Return the headings of accuracy, F1 and UAR; of classes under `best-test` the F1 is the script's, not UF1."""
    names = scores.targets.names
    is_scripts = scores.selected_on_test and scores.targets is CLASSES
    return f"{names['accuracy']} %", "F1 of the released script" if is_scripts else names["uf1"], names["uar"]


def _left_out_text(run: Run, scores: Scores, dataset: str | None) -> str:
    """Return the action units that the means leave out, because no scored clip shows them; "" of classes, or if none.

    If datasets are scored by themselves as well, each with its name: "casme2: AU9; samm: AU9, AU15".
    """
    if not run.config.predicts_units:
        return ""
    several = dataset is None and len(run.config.test_datasets) > 1
    parts: dict[str, list[int]] = {}
    for clip_id in scores.predicted:
        parts.setdefault(dataset_of(clip_id) if several else "", []).append(run.labels[clip_id])
    found = {part: left_out(masks, run.class_names) for part, masks in sorted(parts.items())}
    said = [f"{f'{part}: ' if part else ''}{', '.join(units)}" for part, units in found.items() if units]
    return f"{'; '.join(said)} (no clip shows them)" if said else ""


def _rule_text(run: Run, scores: Scores) -> str:
    """Return the epoch rule and how it chose the epochs: "best-test: selected on the test subject (74 epochs)"."""
    if stamp := stated_rule(run.config):
        return f"{stamp} ({UNCHECKED})"
    if not run.config.has_epochs:
        return f"{scores.rule} (no epochs: nothing to choose)"
    by = (
        f"chosen by {run.config.inner_val} training subjects of each fold"
        if scores.rule == "inner-val"
        else scores.stamp
    )
    return f"{f'{scores.rule}: {by}' if by else scores.rule} ({scores.n_epochs} epochs)"


def _control_text(control: NullControl) -> str:
    """Return in words which accuracy an honest rule gives for runs on permuted labels, and how far off they are."""
    off = f"{100 * (control.accuracy - control.expected):+.2f} points"
    expected = f"training labels permuted: {percent(control.expected)} % are expected by chance"
    if control.low is None or control.high is None:
        return f"{expected}; {off}; no interval and no verdict, because there is one subject"
    verdict = "within" if control.is_at_chance else "outside"
    interval = f"{percent(control.low)} to {percent(control.high)} % for an honest rule (95 % interval)"
    return f"{expected}, {interval}; {off}, {verdict}"


def _dataset_table(run: Run, scores: Scores, names: tuple[str, str, str]) -> TextTable:
    """Return rows of scores: on all datasets (MEGC calls it "full"), then on each dataset, followed by its guessers."""
    rows = [_dataset_row(run, "mean" if scores.averaged else "full", scores)]
    for dataset in run.config.test_datasets:
        of_one = evaluate(run, scores.rule, dataset)
        rows.append(_dataset_row(run, dataset, of_one))
        rows += [(dataset, row[0], "", "", *row[1:]) for row in _chance(run, of_one, dataset)]
    return (("dataset", "by", "clips", "subjects", *names), *rows)


def _dataset_row(run: Run, name: str, scores: Scores) -> tuple[str, ...]:
    numbers = (percent(scores.accuracy), fraction(scores.uf1), fraction(scores.uar))
    return (name, run.config.model, str(scores.n_clips), str(scores.n_subjects), *numbers)


def _chance(run: Run, scores: Scores, dataset: str | None) -> TextTable:
    rows = run_chance(run, scores.rule, dataset)
    return tuple((row.name, percent(row.accuracy), fraction(row.uf1), fraction(row.uar)) for row in rows)


def _table_versions(run: Run) -> str:
    stores = run.config.stores
    named = [(store.dataset, store.table_version or "unknown") for store in stores]
    return named[0][1] if len(named) == 1 else ", ".join(f"{dataset} {version}" for dataset, version in named)


def _class_table(scores: Scores, class_names: Sequence[str]) -> TextTable:
    """Return a table with number of clips, precision, recall and F1 of every class or action unit."""
    is_class = scores.targets is CLASSES
    rows = [("class" if is_class else "action unit", "clips", "precision", "recall", "F1")]
    for name, row in zip(class_names, scores.targets.per_class(scores.confusion), strict=True):
        numbers = (fraction(row.precision), fraction(row.recall), fraction(row.f1))
        rows.append((name, str(row.n), *(numbers if row.n or is_class else ("", "", ""))))
    return tuple(rows)


def _confusion_table(scores: Scores, class_names: Sequence[str]) -> TextTable:
    """Return the pooled confusion matrix as a table, rows true and columns predicted."""
    rows = zip(class_names, scores.confusion, strict=True)
    return (("true \\ predicted", *class_names), *((name, *map(str, counts.tolist())) for name, counts in rows))


def prediction_table(run: Run, scores: Scores, told: Sequence[str] = ()) -> TextTable:
    """Return every held-out clip's prediction at the epoch that the rule chose, sorted by clip id.

    The columns are dataset, subject, clip, fold, seed, epoch rule, gt, pred, p_1..p_C, generated, remarks: `gt` and
    `pred` count classes from 0, `p_1` is the probability (softmax) of class 0, `generated` says whether the faces are
    generated ("true" or "false"), `remarks` holds the warnings that must stand beside a score of these predictions
    ("selected on the test subject; tuned on test", often nothing). Under `best-test` the epoch is the one picked for
    F1; the accuracy comes from other epochs. The epoch rule of predictions that were made elsewhere is their stamp.
    Of action units there are columns for each: gt_AU1 and pred_AU1 say whether it is shown (0 or 1), p_AU1 is its
    probability (sigmoid).

    Parameters
    ----------
    told : further warnings
    """
    warnings = "; ".join(text for text in (scores.stamp, *remarks(run.config), *told) if text)
    n_classes, rule = len(run.class_names), stated_rule(run.config) or scores.rule
    generated = str(run.config.generated).lower()
    rows = []
    for fold in run.folds:
        logits = fold.logits[scores.epochs[fold.fold] - 1].astype(np.float64)  # (clips, classes)
        for clip_id, clip_logits in zip(fold.clip_ids, logits, strict=True):
            dataset, subject, clip = parts_of(clip_id)
            said = _said_of(run, run.labels[clip_id], clip_logits)
            named = (dataset, subject, clip, fold.fold, str(run.config.seed), rule)
            rows.append((*named, *said, generated, warnings))
    header = ("dataset", "subject", "clip", "fold", "seed", "epoch rule")
    columns = ("gt", "pred", *(f"p_{index}" for index in range(1, n_classes + 1)))
    if run.config.predicts_units:
        columns = tuple(f"{what}_{name}" for what in ("gt", "pred", "p") for name in run.class_names)
    return ((*header, *columns, "generated", "remarks"), *sorted(rows))


def _said_of(run: Run, label: int, logits: NDArray[np.float64]) -> tuple[str, ...]:
    """Return the cells on a clip's truth, prediction and probabilities."""
    if run.config.predicts_units:
        truth, shares = bits_of(label, len(logits)), expit(logits)
        decided = [str(int(is_shown)) for is_shown in (*truth, *(logits > 0))]
        return (*decided, *(f"{share:.6f}" for share in shares))
    powers = np.exp(logits - logits.max())
    return (str(label), str(int(np.argmax(logits))), *(f"{share:.6f}" for share in powers / powers.sum()))


def percent(share: float) -> str:
    """Format a share in percent: .88353 becomes "88.35"."""
    return f"{100 * share:.2f}"


def fraction(share: float) -> str:
    """Format a share with four digits, as papers print F1: .86762 becomes ".8676"."""
    return f"{share:.4f}".removeprefix("0")


def signed_fraction(difference: float) -> str:
    """Format a difference with sign and four digits: -.0371 becomes "-.0371", and -.00001 becomes "+.0000"."""
    return f"{round(difference, 4) + 0.0:+.4f}".replace("0.", ".", 1)


def summarise_seeds(runs: Sequence[Run], rule: str) -> tuple[TextTable, ...]:
    """Return what `mer evaluate` shows of several seeds: mean, standard deviation and 95 % interval of each score.

    Parameters
    ----------
    runs : the runs of one configuration, by ascending seed; for a single run no table is returned

    Returns
    -------
    Tables of names and values with the title in the first row: one for all clips, then one for each dataset if there
    are several. Across datasets: one for each test dataset.
    """
    if len(runs) == 1:
        return ()
    return tuple(_summarise_seed_group(runs, rule, part) for part in runs[0].config.scored_parts)


def _summarise_seed_group(runs: Sequence[Run], rule: str, dataset: str | None) -> TextTable:
    config = runs[0].config
    by_seed = [evaluate(run, rule, dataset) for run in runs]
    seeds = f"{len(runs)}: {', '.join(str(run.config.seed) for run in runs)}; mean ± standard deviation"
    return (
        (f"{len(runs)} seeds of {config.protocol_id}{f', tested on {dataset}' if dataset else ''}", ""),
        *([("faces", GENERATED)] if config.generated else []),
        *_facts(by_seed, runs[0], dataset, ("seeds", seeds)),
    )

"""Turns the seeds of one configuration into one score, as text. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from mer_cli.evaluation.null_control import control_of
from mer_cli.evaluation.run_text import settings
from mer_cli.evaluation.scoring import evaluate
from mer_cli.evaluation.summary import TextTable, control_text, rule_text, score_facts
from mer_cli.training.run import Run
from mer_cli.training.run_config import GENERATED


def summarise_seeds(runs: Sequence[Run], rule: str) -> tuple[TextTable, ...]:
    """Give what `mer evaluate` shows of several seeds: mean, deviation over the seeds, interval of the mean.

    Parameters
    ----------
    runs : the seeds of one configuration, in their order; of a single one nothing is to be said

    Returns
    -------
    Names with values, the title in the first row: of all datasets and then of each under LOSO, of each test dataset
    across datasets.

    Raises
    ------
    RunError
        As `evaluate`.
    """
    if len(runs) == 1:
        return ()
    config = runs[0].config
    datasets: list[str | None] = [None] if config.is_loso else []
    if not config.is_loso or len(config.test_datasets) > 1:
        datasets += config.test_datasets
    return tuple(_summarise(runs, rule, dataset) for dataset in datasets)


def _summarise(runs: Sequence[Run], rule: str, dataset: str | None) -> TextTable:
    run, config = runs[0], runs[0].config
    by_seed = [evaluate(run, rule, dataset) for run in runs]
    return (
        (f"{len(runs)} seeds of {config.protocol_id}{f', tested on {dataset}' if dataset else ''}", ""),
        *([("faces", GENERATED)] if config.generated else []),
        ("protocol", f"{config.protocol_id}, {config.protocol([dataset] if dataset else None)}"),
        ("epoch rule", rule_text(run, by_seed[0])),
        ("clips, subjects", f"{by_seed[0].n_clips}, {by_seed[0].n_subjects}"),
        ("model, settings", f"{config.model}, {settings(config)}"),
        ("seeds", f"{len(runs)}: {', '.join(str(run.config.seed) for run in runs)}; mean ± standard deviation"),
        *([("null control", control_text(control_of(by_seed, run)))] if config.shuffle_labels else []),
        *score_facts(by_seed, run),
    )

"""Counts the settings of a method that were tried on the same held-out subjects: picking the best is choosing on them.

Runs that differ in seed or machine alone have the same settings. Nothing is scored here.
"""

from __future__ import annotations

from collections.abc import Sequence

from mer_cli.errors import RunError
from mer_cli.evaluation.run_text import settings_key, stated_rule
from mer_cli.runs.directory import Run
from mer_cli.runs.run_config import RunConfig, parse_config

SETTINGS_TRIED = "one of {} settings tried on these subjects"


def settings_beside(run: Run) -> int:
    """Return how many settings of the run's method were tried on its clips, by the runs in the same folder.

    Runs that can't be read, and those without a finished fold, are not counted.
    """
    found = [run.config]
    for path in sorted(run.path.resolve().parent.iterdir()):
        if not path.name.startswith(".") and (path / "config.json").is_file() and any(path.glob("folds/*/done")):
            try:
                found.append(parse_config(path))
            except RunError:  # `mer evaluate` says what is wrong with it
                continue
    return len({settings_key(config) for config in found if _is_a_try(config) and _clips(config) == _clips(run.config)})


def several_settings(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each method of which the runs have several settings on the same clips."""
    tries: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        if _is_a_try(run.config):
            tries.setdefault((_clips(run.config), run.config.protocol_id), set()).add(settings_key(run.config))
    return [
        f"{clips.partition(' ')[0]}: {len(keys)} settings tried on the subjects of {protocol}; the best of them would "
        "be chosen by the scores that it is shown with"
        for (clips, protocol), keys in tries.items()
        if len(keys) > 1
    ]


def _is_a_try(config: RunConfig) -> bool:
    return not config.shuffle_labels and not stated_rule(config)


def _clips(config: RunConfig) -> str:
    """Return text that is equal for runs of one method on the same clips, labels and folds; the method's name first."""
    held = config.model_dump_json(include={"scheme", "own_scheme", "protocol_id", "class_names", "fold_lists"})
    stores = sorted((store.dataset, store.role, store.content_hash) for store in config.stores)
    return f"{config.model} {held} {stores}"

"""Find the runs that were trained with other code of the same method: changed code begins another run, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mer_cli.errors import RunError
from mer_cli.runs.directory import is_finished
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.run_config import parse_config


def changed_since(root: Path, plan: RunPlan) -> Iterator[str]:
    """Yield a sentence for each run in `root` that differs from the plan in nothing but the source of your own method.

    For example: "mynet.py changed since 14 of 26 folds of runs/casme2-5-mynet-plain-s1-01234567 were trained: this is
    another run."
    """
    config = plan.config
    if config.foreign is None:
        return
    for file in sorted(root.glob(f"*-{config.model}-*/config.json")):
        try:
            held = parse_config(file.parent)
        except RunError:
            continue  # of another version or damaged: `mer runs` tells
        source = {"source_sha256": config.foreign.source_sha256, "version": config.foreign.version}
        is_other = held.foreign is not None and held.foreign.source_sha256 != config.foreign.source_sha256
        if is_other and held.foreign and held.foreign.model_copy(update=source) == config.foreign:
            same = held.model_copy(update={"foreign": config.foreign}) == config
            n_finished = sum(is_finished(file.parent, fold.id) for fold in plan.folds)
            if same and n_finished:
                yield (
                    f"{config.foreign.code.partition(':')[0]} changed since {n_finished} of {len(plan.folds)} folds of "
                    f"{file.parent} {'was' if n_finished == 1 else 'were'} trained: this is another run."
                )

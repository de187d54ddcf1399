"""Quote the leave-one-subject-out run of a model's settings: its score, and the temperature that its logits ask for.

A model that was trained on everybody has no held-out clip, so it has no score of its own. The run of the same settings
says how good such a network is on people that it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mer_cli.datasets.unit_masks import bits_of
from mer_cli.errors import RunError, shortened
from mer_cli.evaluation.calibration import as_two_classes, fit_temperature
from mer_cli.evaluation.chance import run_chance
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.statistics import spread
from mer_cli.inference.model import Score
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.run_config import AddedStore, RunConfig

RULE = "last"
# A seed is drawn, not chosen, and the machine is not a setting. What the variant says, the network's parts say.
MAY_DIFFER = frozenset({"seed", "device", "precision", "compile", "deterministic", "variant"})
MOST_NAMED = 3


@dataclass(frozen=True)
class Quoted:
    """What a model card quotes of a run; `temperature` divides the logits."""

    score: Score
    temperature: float


def quote_run(path: Path, config: RunConfig) -> Quoted:
    """Return what the card of a model with these settings may quote of a run.

    Parameters
    ----------
    config : settings of the model, as those of its leave-one-subject-out run

    Raises
    ------
    RunError
        If the run can't be read, is not finished, or has other settings, stores or classes.
    """
    run = read_run(path)
    if differing := _differences(run.config, config):
        named = "; ".join(differing[:MOST_NAMED])
        more = f"; and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
        raise RunError(
            f"--calibrate {path}: this run has other settings than the model: {named}{more}. Its score would say "
            "nothing about the model. Give the same settings, or train that run: mer train --loso."
        )
    return quote(run)


def quote(run: Run) -> Quoted:
    """Return score and temperature of a finished run, both from the last epoch's logits of its held-out clips.

    Raises
    ------
    RunError
        If the run is not finished, or a logit is not finite.
    """
    scores = evaluate(run, RULE)
    uf1 = spread("uf1", [scores], run)
    logits = np.concatenate([fold.logits[-1] for fold in run.folds])
    labels = np.array([run.labels[clip_id] for fold in run.folds for clip_id in fold.clip_ids])
    score = Score(
        run=run.config.run_name,
        protocol=f"{run.config.protocol()}, {run.config.protocol_id}",
        rule=RULE,
        seed=run.config.seed,
        n_clips=scores.n_clips,
        n_subjects=scores.n_subjects,
        accuracy=scores.accuracy,
        uf1=scores.uf1,
        uf1_interval=(uf1.mean, uf1.mean) if uf1.low is None or uf1.high is None else (uf1.low, uf1.high),
        uar=scores.uar,
        chance_uf1=run_chance(run, RULE)[0].uf1,
        generated=run.config.generated,
    )
    if run.config.predicts_units:  # each unit of each clip is a case of its own
        n_units = len(run.class_names)
        logits, labels = as_two_classes(logits).reshape(-1, 2), bits_of(labels, n_units).ravel().astype(np.int64)
    return Quoted(score, fit_temperature(logits, labels))


def _differences(run: RunConfig, model: RunConfig) -> list[str]:
    """Return what differs between a run's config and a model's, in words."""
    found = []
    if run.protocol() != model.protocol():
        found.append(f"the protocol is {run.protocol()} in the run and {model.protocol()} in the model")
    for name in RunConfig.model_fields:
        if name in MAY_DIFFER or name in ("stores", "fold_lists"):
            continue
        theirs, ours = getattr(run, name), getattr(model, name)
        if theirs != ours:
            what = "the code" if name == "foreign" else name.replace("_", " ")
            found.append(f"{what} is {_spell(theirs)} in the run and {_spell(ours)} in the model")
    theirs, ours = (
        {(store.dataset, store.content_hash, store.clips_hash) for store in config.stores} for config in (run, model)
    )
    if theirs != ours:
        of_run, of_model = (
            ", ".join(f"{dataset} {content[:12]}" for dataset, content, _ in sorted(stores))
            for stores in (theirs, ours)
        )
        found.append(f"the stores (by content hash) are {of_run} in the run and {of_model} in the model")
    return found


def _spell(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if isinstance(value, Foreign):
        options = ", ".join(f"{name}={option}" for name, option in value.options.items())
        return f"{value.code} ({', '.join(filter(None, (value.source_sha256[:12], options)))})"
    if isinstance(value, tuple) and all(isinstance(part, AddedStore) for part in value):
        return ", ".join(f"{part.n_clips:,} clips of {part.dataset}" for part in value)
    return shortened(str(value)) or "not given"

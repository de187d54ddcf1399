"""Plan a run: its protocol (`runs.protocol`), and how the machine is used. Reads no image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mer_cli.errors import ConfigError
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.protocol import plan_protocol
from mer_cli.runs.run_config import RunConfig
from mer_cli.training.cost import count_weight_bytes
from mer_cli.training.hardware import resolve_hardware
from mer_cli.training.initial import Initial, fitting_weights, require_no_leak
from mer_cli.training.inputs import check_inputs
from mer_cli.training.machine import Machine
from mer_cli.training.own_network import blamed_on_own_code, try_network


def plan_run(
    stores: Sequence[Path],
    config: TrainConfig,
    *,
    test_stores: Sequence[Path] = (),
    folds_file: Path | None = None,
    leave_dataset_out: bool = False,
    wanted: Sequence[str] | None = None,
    machine: Machine | None = None,
    initial: Initial | None = None,
) -> RunPlan:
    """Plan a run: read the stores' tables, and decide scheme, clips, folds, device, precision and compilation.

    Parameters
    ----------
    stores, test_stores, folds_file, leave_dataset_out, wanted : as in `plan_protocol`
    machine : the machine that will train, if it is not this one
    initial : weights that every fold starts from; None draws them

    Raises
    ------
    MerError
        As `plan_protocol`, or if the machine lacks what the config asks for, or a store what the method needs
        (`check_inputs`);
        or the initial weights don't fit, or were trained on subjects that the run holds out.
    """
    if initial:
        config = config.model_copy(update={"init": initial.sha256})
    plan = plan_protocol(
        stores,
        config,
        test_stores=test_stores,
        folds_file=folds_file,
        leave_dataset_out=leave_dataset_out,
        wanted=wanted,
    )
    n_pairs = sum(len(fold.train) for fold in plan.folds) * config.epochs
    run_config = resolve_hardware(plan.config, n_pairs, machine)
    plan = replace(plan, config=run_config)
    check_inputs(plan)
    if initial:
        plan = _started_from(plan, initial)
    if run_config.foreign and run_config.method.is_network:
        try_network(run_config, len(run_config.class_names))
    return replace(plan, weight_bytes=_weight_bytes(run_config))


def _started_from(plan: RunPlan, initial: Initial) -> RunPlan:
    """Return the plan with the weights that every fold starts from."""
    if plan.config.shuffle_labels:
        raise ConfigError(
            f"--init {initial.path}: with --shuffle-labels a run must have nothing to learn, and these weights know "
            "true labels. Leave one of the two out."
        )
    weights, drawn = fitting_weights(initial, plan.config)
    require_no_leak(initial, plan.config)
    told = f"--init {initial.path}: its classes are not those of this run, so {' and '.join(drawn)} are drawn as usual."
    warnings = (*plan.warnings, *([told] if drawn else []))
    return replace(plan, initial=weights, initial_path=str(initial.path), warnings=warnings)


def _weight_bytes(config: RunConfig) -> int:
    if not config.method.is_network:
        return 0
    with blamed_on_own_code(config):
        return count_weight_bytes(config.method, len(config.class_names), **config.network_options)

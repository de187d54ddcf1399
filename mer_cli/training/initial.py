"""Weights of another training that every fold starts from, in place of random ones (`--init`).

They are refused if they don't fit the network and its input, or have learnt from people whom the run holds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from mer_cli.errors import ConfigError
from mer_cli.runs.config import TrainConfig, group_of
from mer_cli.runs.run_config import RunConfig, RunStore
from mer_cli.training.own_network import blamed_on_own_code

OF_INPUT = ("input", "flow", "normalisation", "span", "clips")  # groups of settings that decide what a network sees
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Initial:
    """Weights to start from.

    path : as the user gave it · sha256 : of the file of weights
    config : settings that they were trained with, on all clips of its stores
    weights : the network's state dict
    """

    path: Path
    sha256: str
    config: RunConfig
    weights: Mapping[str, Tensor] = field(repr=False, compare=False)


def require_no_leak(initial: Initial, config: RunConfig) -> None:
    """Raise a ConfigError if the weights were trained on people whom the run holds out, or holds back (`inner_val`).

    A model that was fitted on a dataset has seen all its subjects. Generated and recorded faces are of different
    people, even in the layout of one dataset.
    """
    for seen in initial.config.stores:
        for store in config.stores:
            if (store.role != "train" or config.inner_val) and _share_people(seen, store):
                raise ConfigError(
                    f"--init {initial.path}: was trained on all subjects of {seen.dataset}, and this run "
                    f"{'tests on' if store.role == 'test' else 'holds out'} subjects of {store.dataset}, so each score "
                    "would be of people that the network has seen. Fit a model on another dataset, or on generated "
                    "faces (mer synth, then mer fit)."
                )


def _share_people(one: RunStore, other: RunStore) -> bool:
    is_one_table = one.table_sha256 != "" and one.table_sha256 == other.table_sha256
    return is_one_table or (one.dataset == other.dataset and one.generated == other.generated)


def fitting_weights(initial: Initial, config: RunConfig) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the weights that every fold starts from, and the names of those that are drawn as usual.

    The arrays whose shape depends on the number of classes, those of the last layer, are drawn if the classes are not
    those that the weights were trained for.

    Raises
    ------
    ConfigError
        If the method has no weights, or the weights are of another network, of other input or of other shapes.
    """
    if not config.method.is_network:
        raise ConfigError(
            f"--init has no effect with --model {config.model}, which is not a network that mer trains. Leave it out."
        )
    _require_same_network(initial, config)
    shapes = _shapes(config, len(config.class_names))
    last: tuple[str, ...] = ()
    if initial.config.class_names != config.class_names:
        with_more = _shapes(config, len(config.class_names) + 1)
        last = tuple(name for name, shape in shapes.items() if with_more.get(name) != shape)
    theirs = {name: tuple(tensor.shape) for name, tensor in initial.weights.items()}
    for name in sorted((shapes.keys() | theirs.keys()) - {*last}):
        if shapes.get(name) != theirs.get(name):
            raise ConfigError(
                f"--init {initial.path}: {name} is {_spell(theirs.get(name))} in these weights and "
                f"{_spell(shapes.get(name))} in the network. Give weights of the same network."
            )
    return {name: initial.weights[name] for name in shapes if name not in last}, last


def _require_same_network(initial: Initial, config: RunConfig) -> None:
    theirs, said = initial.config, f"--init {initial.path}: was trained"
    codes = [each.foreign.source_sha256 if each.foreign else "" for each in (theirs, config)]
    if theirs.model != config.model or codes[0] != codes[1]:
        code = " of other code" if theirs.model == config.model else ""
        raise ConfigError(
            f"{said} with --model {theirs.model}{code}, and this run has {config.model}. Give weights of that method, "
            "or the method of these weights."
        )
    ours = config.network_options
    # Whether the logits are of units or of classes changes no weight, and the last layer is drawn if they differ.
    named = {name: (each, ours.get(name)) for name, each in theirs.network_options.items() if name != "predicts_units"}
    named |= {
        name: (getattr(theirs, name), getattr(config, name))
        for name in TrainConfig.model_fields
        if name != "foreign" and group_of(name) in {*OF_INPUT} & config.method.groups
    }
    for name, (there, here) in named.items():
        if there != here:
            raise ConfigError(
                f"{said} with {name.replace('_', ' ')} {there}, and this run has {here}: the network would be another, "
                "or see other input. Give both the same."
            )


def _shapes(config: TrainConfig, n_classes: int) -> dict[str, Shape]:
    with blamed_on_own_code(config), torch.random.fork_rng(devices=[]):
        network = config.method.build(n_classes, **config.network_options)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _spell(shape: Shape | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"

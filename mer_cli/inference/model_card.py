"""Write a model's card: what it was trained on, how, how good that is elsewhere, and what nobody knows about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from mer_cli.evaluation.calibration import bound_note
from mer_cli.evaluation.run_text import changes, flag, settings, shown_path
from mer_cli.inference.facts_text import quoted
from mer_cli.inference.model import Facts
from mer_cli.inference.purpose import PURPOSE
from mer_cli.runs.methods import METHODS, MMNET
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.run_config import GENERATED, RunConfig


def card_text(facts: Facts, plan: RunPlan, folder: str | None) -> str:
    """Return the card of a model that was trained on all clips of a plan, as Markdown.

    Parameters
    ----------
    folder : where the model is written, for the commands that it names; None for a reader who has not its clips
    """
    config = plan.config
    parts = [
        f"# {facts.title}, trained on {_names(facts)}",
        f"**Faces {GENERATED}.**" if facts.generated else "",
        PURPOSE,
        "## How good it is",
        *_goodness(facts, plan, folder),
        "## What it was trained on",
        *_data(facts, config),
        "## How it was trained",
        *_recipe(facts, config),
        "## What it can't know",
        *_limits(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _names(facts: Facts) -> str:
    names = " and ".join(facts.datasets)
    return f"generated faces in the layout of {names}" if facts.generated else names


def _goodness(facts: Facts, plan: RunPlan, folder: str | None) -> Iterator[str]:
    yield "It has no score of its own: it was trained on everybody, so no clip is left to test it on."
    if facts.score is None:
        yield f"**Nobody knows how good it is.**{' These two commands would tell:' if folder else ''}"
        if folder:
            fit = f"{_fit_command(plan, folder)} --calibrate runs/{plan.config.run_name}"
            yield f"    {_train_command(plan)}\n    {fit}"
        yield "Its probabilities are not calibrated, so `mer predict` shows none."
        return
    yield quoted(facts.score, of_units=facts.predicts_units)
    assert facts.temperature is not None
    yield (
        f"To make probabilities its logits are divided by {facts.temperature:.3g}, the temperature under which the "
        f"held-out clips of that run are likeliest. {bound_note(facts.temperature)}"
    ).strip()


def _data(facts: Facts, config: RunConfig) -> Iterator[str]:
    subjects = "1 subject" if facts.n_subjects == 1 else f"{facts.n_subjects} subjects"
    yield f"{facts.n_clips} clips of {subjects}, label scheme {facts.scheme}:"
    yield "\n".join(
        [
            f"| {'action unit' if facts.predicts_units else 'class'} | clips |",
            "|---|---|",
            *(f"| {name} | {n} |" for name, n in facts.clips_of_class.items()),
        ]
    )
    yield "\n".join(f"- {sentence}" for sentence in facts.licences)
    hashes = ", ".join(f"{store.dataset} {store.content_hash[:12]}" for store in config.stores)
    yield f"Stores, by content hash: {hashes}."
    yield (
        "Onset and apex are those of the coding tables; mer found the apex where a table has none."
        f" {_span('Frames a second', facts.fps)} {_span('Seconds from onset to apex', facts.seconds)}"
    )


def _span(what: str, found: tuple[float, float]) -> str:
    low, high = (f"{end:.4g}" for end in found)
    if found == (0, 0):
        return f"{what}: nobody knows."
    return f"{what}: {low}." if low == high else f"{what}: {low} to {high}."


def _recipe(facts: Facts, config: RunConfig) -> Iterator[str]:
    method = config.method
    paper = f", {method.paper}" if method.paper else ""
    seed = f", seed {config.seed}" if method.is_random else ""
    yield f"{facts.title}{paper}. Settings: {settings(config)}{seed}. All subjects at once."
    if config.foreign:
        yield (
            f"It is a network from outside mer: `{config.foreign.code}`. The SHA-256 over its source is "
            f"{config.foreign.source_sha256}. Nothing of that code is in this folder: whoever opens the model has to "
            "name the file."
        )
    elif method.note and config.model in METHODS:
        yield f"How it differs from the publication: {method.note}."
    yield (
        f"Faces were cropped with --align {facts.align} to 224x224 pixels, the whole clip with the transform of its "
        "onset."
    )


def _limits(facts: Facts) -> Iterator[str]:
    rare = [name for name, n in facts.clips_of_class.items() if n == 0]
    limits = [
        _known(facts),
        "It was shown clips of which people had decided that a micro-expression is in them. Whether there is one in a "
        "new video it can't tell.",
        f"It has seen {facts.n_subjects} people, in the light and with the camera of these recordings. For other "
        "people it may be worse, and nothing here can tell by how much.",
        "An action unit is what coders saw: a doubtful one counts as shown."
        if facts.predicts_units
        else "A class is what coders called it. What a person felt nobody measured.",
        *([f"It never saw a clip of {' and '.join(rare)}."] if rare else []),
    ]
    yield "\n".join(f"- {limit}" for limit in limits)


def _known(facts: Facts) -> str:
    names = f"({', '.join(facts.class_names)})"
    if facts.predicts_units:
        return (
            f"It knows {len(facts.class_names)} action units {names}. Of any other it says nothing, nor "
            "of a unit's strength. Sides of the face were not taught."
        )
    return (
        f"It knows {len(facts.class_names)} classes {names}, and names one of them whatever it is shown: also for a "
        "face that shows nothing, or something else."
    )


def _train_command(plan: RunPlan) -> str:
    return f"mer train {_stores(plan)} --loso {_flags(plan.config)}"


def _fit_command(plan: RunPlan, folder: str) -> str:
    return f"mer fit {_stores(plan)} {_flags(plan.config)} --out {shlex.quote(shown_path(folder, 'model'))}"


def _stores(plan: RunPlan) -> str:
    paths = ((str(store.info.path), f"data/{store.info.dataset}.h5") for store in plan.stores)
    return " ".join(shlex.quote(shown_path(path, elsewhere)) for path, elsewhere in paths)


def _flags(config: RunConfig) -> str:
    """Return the flags that give these settings; a file of your own is named without its folder."""
    given: dict[str, Any] = {"scheme": "YOUR-SCHEME.toml" if config.own_scheme else config.scheme}
    if config.foreign:
        given["model"] = config.foreign.code
        given |= {f"set {shlex.quote(f'{name}={value}')}": None for name, value in config.foreign.options.items()}
    else:
        given |= {name: value for name in ("model", "variant") if (value := getattr(config, name)) != MMNET}
    given["recipe"] = config.recipe
    if config.method.is_random:
        given |= {name: getattr(config, name) for name in ("seed", "device", "precision", "compile")}
    return " ".join(flag(name.replace("_", "-"), value) for name, value in (given | changes(config)).items())

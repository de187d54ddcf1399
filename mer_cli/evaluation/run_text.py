"""A run's settings in words, and the command lines that continue or complement it. Nothing is printed here."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from itertools import groupby
from os import pardir, sep
from os.path import relpath
from pathlib import Path
from typing import Any

from mer_cli.runs.config import PARTS, TrainConfig, resolve_config
from mer_cli.runs.directory import CODE_GIVEN, DEFAULT_ROOT, FOLDS_FILE, INIT_GIVEN, SCHEME_FILE, Run, Session
from mer_cli.runs.methods import MMNET
from mer_cli.runs.run_config import RunConfig
from mer_cli.runs.variants import TUNED, TUNED_ON

# Left out when a run's settings are named: its name has them, or they say where the numbers were computed.
_NOT_A_CHANGE = frozenset(
    {"scheme", "foreign", "model", "variant", "recipe", "seed", "device", "precision", "compile", "deterministic"}
)

OUTSIDE = "trained outside mer, epoch rule as stated by its author: {}"
UNCHECKED = "nothing here can check it, nor that no held-out subject was trained on"

_FOLLOWED = ("epochs", "span")  # other settings follow these, unless they are given themselves


@cache
def standard_config(recipe: str | None = None, variant: str | None = None, **settings: Any) -> TrainConfig:
    """Return the complete settings that `resolve_config` makes of these; the result is cached."""
    return resolve_config(recipe, variant, **settings)


def method_default(config: TrainConfig, recipe: str | None = None, **settings: Any) -> TrainConfig:
    """Return the complete settings of the same method as `config` has, for a recipe, or for its first one if None.

    Parameters
    ----------
    settings : further arguments of `resolve_config`
    """
    method = {"model": config.model} | ({"foreign": config.foreign} if config.foreign else {})
    return standard_config(recipe, settings.pop("variant", None), **method, **settings)


_NOT_TRIED = frozenset({"seed", "variant", "device", "precision", "compile", "deterministic"})  # not settings to choose


def settings_key(config: TrainConfig) -> str:
    """Return text that is equal for two configurations if no setting differs that could be chosen by a score.

    Seed and machine are not such settings; the network's parts say what the variant says.
    """
    return config.model_copy(update={"scheme": ""}).model_dump_json(
        include=set(TrainConfig.model_fields) - _NOT_TRIED, exclude={"foreign": {"code"}}
    )


def is_own_recipe(config: TrainConfig, rule: str) -> bool:
    """Return whether the settings are the method's own recipe: the first that it has, with nothing changed.

    Under `inner-val` any number of inner subjects is.
    """
    standard = method_default(config)
    foreign = config.foreign.model_copy(update={"options": {}}) if config.foreign else None
    own = standard.model_copy(
        update={
            "foreign": foreign,
            "shuffle_labels": config.shuffle_labels,
            **({"inner_val": config.inner_val} if rule == "inner-val" else {}),
        }
    )
    return settings_key(own) == settings_key(config)


def settings(config: TrainConfig, dataset: str | None = None) -> str:
    """Return options of your own method, variant, recipe and changed settings: "width=4, plain recipe, epochs 10".

    Parameters
    ----------
    dataset : the test dataset that is scored; all if left out
    """
    return ", ".join([*own_options(config), recipe_and_changes(config, dataset)])


def tuned_on_test(config: TrainConfig, dataset: str | None = None) -> str:
    """Return "tuned on test" if the recipe was chosen by the scores of subjects that are scored here, otherwise "".

    Nothing was chosen on generated faces.

    Parameters
    ----------
    dataset : the test dataset that is scored; all if left out
    """
    where = TUNED_ON.get(config.recipe, "")
    if where == "":
        return ""
    scored = getattr(config, "stores", ())  # settings that are not of a run have none
    recorded = {store.dataset for store in scored if store.role != "train" and not store.generated}
    return TUNED if where is None or where in (recorded if dataset is None else recorded & {dataset}) else ""


def own_options(config: TrainConfig) -> list[str]:
    """Return options and features of your own method as text: "width=64", "on the vectors of flow-svm"."""
    if config.foreign is None:
        return []
    features = [f"on the vectors of {config.foreign.features}"] if config.foreign.features else []
    return [*(f"{name}={value}" for name, value in config.foreign.options.items()), *features]


def recipe_and_changes(config: TrainConfig, dataset: str | None = None) -> str:
    """Return variant, recipe and all settings that differ from them as text: "baseline, released recipe, epochs 10"."""
    variant = "" if config.variant == MMNET else f"{config.variant}, "
    tuned = tuned_on_test(config, dataset)
    stamp = f" ({tuned})" if tuned else ""
    recipe = stated_rule(config) or f"{variant}{config.recipe} recipe{stamp}"
    told_below = ("pretrain", "init")
    changed = ((name.replace("_", " "), value) for name, value in changes(config).items() if name not in told_below)
    named = (f", {name}" if value is True else f", {name} {value}" for name, value in changed)
    added = f" + {_generated(config)}" if n_added(config) else ""
    start = f", {_from_weights(config)}" if config.init else ""
    return f"{recipe}{''.join(named)}{start}{added}"


def stated_rule(config: TrainConfig) -> str:
    """Return the stamp of predictions made elsewhere, with the epoch rule that their author states; otherwise ""."""
    foreign = config.foreign
    return OUTSIDE.format(foreign.epoch_rule) if foreign and foreign.door == "predictions" else ""


def remarks(config: TrainConfig, dataset: str | None = None) -> tuple[str, ...]:
    """Return the warnings that must stand beside a run's scores: "permuted labels", "tuned on test"; often none.

    Parameters
    ----------
    dataset : the test dataset that is scored; all if left out
    """
    permuted = "permuted labels" if config.shuffle_labels else ""
    found = (permuted, tuned_on_test(config, dataset), stated_rule(config), trained_with(config))
    return tuple(remark for remark in found if remark)


def trained_with(config: TrainConfig) -> str:
    """Return what a run has learnt from beside the datasets' clips: "trained with 978 generated clips added".

    Or "trained from weights 0a1b2c3d", or both; "" if it has learnt from nothing else.
    """
    start = [_from_weights(config)] if config.init else []
    added = [f"with {_generated(config)} added"] if n_added(config) else []
    return f"trained {' and '.join([*start, *added])}" if start or added else ""


def _from_weights(config: TrainConfig) -> str:
    return f"from weights {config.init[:8]}"


def n_added(config: TrainConfig) -> int:
    """Return the number of generated clips that folds train on; 0 for settings that are not of a run."""
    return config.n_added if isinstance(config, RunConfig) else 0


def _generated(config: TrainConfig) -> str:
    """Return how many generated clips a fold trains on; if it holds out a whole dataset, it gets none in its layout."""
    most, limit = n_added(config), ""
    if isinstance(config, RunConfig) and config.averages_datasets:
        most, limit = most - min(store.n_clips for store in config.added), "up to "
    return f"{limit}{'1 generated clip' if most == 1 else f'{most:,} generated clips'}"


def progress(run: Run) -> str:
    """Return how many folds of a run are finished: "14 of 26 folds"."""
    return f"{len(run.folds)} of {len(run.folds) + len(run.missing)} folds"


def unfinished(run: Run) -> str:
    """Return an error text: some of the run's folds are missing, and which command trains them."""
    return (
        f"{run.path}: only {progress(run)} are finished, so it has no score of {run.config.protocol_id} yet. Continue "
        f"with: {train_command(run)}"
    )


def train_command(run: Run) -> str:
    """Return the command that continues a run, with the stores and output folder of its last session."""
    config, session = run.config, run.sessions[-1]
    stores = " ".join(shlex.quote(store) for store in session.stores)
    protocol = _protocol_flags(run)
    if stated_rule(config):
        return _import_command(run, stores if config.is_loso else f"{stores} {protocol}")
    named = {
        "scheme": _scheme_word(run),
        **_method_flags(config, session),
        "recipe": config.recipe,
        "seed": config.seed,
        **changes(config),
        **({"init": shlex.quote(str(session.environment.get(INIT_GIVEN, "MODEL")))} if config.init else {}),
    }
    return f"mer train {stores} {protocol} {_flags(run, named)}"


def _protocol_flags(run: Run) -> str:
    """Return the flags of the run's protocol: "--loso", "--test smic.h5", or the lists that the run has a copy of."""
    config, session = run.config, run.sessions[-1]
    if config.fold_lists:
        return f"--folds-file {shlex.quote(str(Path(session.out) / run.path.name / FOLDS_FILE))}"
    if config.averages_datasets:
        return "--leave-dataset-out"
    return " ".join(f"--test {shlex.quote(store)}" for store in session.test_stores) or "--loso"


def _import_command(run: Run, stores: str) -> str:
    """Return the `mer import-predictions` command that completes a run of predictions made elsewhere."""
    config, session, foreign = run.config, run.sessions[-1], run.config.foreign
    assert foreign, "predictions are foreign"
    file = shlex.quote(str(session.environment.get(CODE_GIVEN, foreign.code)))
    said = f"--name {shlex.quote(foreign.title)} --epoch-rule {shlex.quote(foreign.epoch_rule)}"
    permuted = " --shuffle-labels" if config.shuffle_labels else ""
    out = f" --out {shlex.quote(session.out)}" if session.out != DEFAULT_ROOT else ""
    named = f"--scheme {_scheme_word(run)} --seed {config.seed}{permuted}{out}"
    return f"mer import-predictions {file} {stores} {said} {named}"


def _method_flags(config: TrainConfig, session: Session) -> dict[str, Any]:
    """Return the flags that name the method: nothing for MMNet itself; for your own the code as it was given."""
    foreign = config.foreign
    if foreign is None:
        return {name: value for name in ("model", "variant") if (value := getattr(config, name)) != MMNET}
    options = {f"set {shlex.quote(f'{name}={value}')}": None for name, value in foreign.options.items()}
    features = {"features": shlex.quote(foreign.features)} if foreign.features else {}
    given = shlex.quote(str(session.environment.get(CODE_GIVEN, foreign.code)))
    return {"model": given, **options, **features}


def _scheme_word(run: Run) -> str:
    """Return what follows --scheme on a command line: the scheme's name, or the file that the run has of your own."""
    if not run.config.own_scheme:
        return run.config.scheme
    return shlex.quote(str(Path(run.sessions[-1].out) / run.path.name / SCHEME_FILE))


def own_classes(config: RunConfig) -> str:
    """Return in words what your own label scheme makes of the emotions; "" for a scheme of this program.

    For example: "positive = happiness; negative = disgust, fear; left out: others, casme2/04/EP12_01f".
    """
    own = config.own_scheme
    if not own:
        return ""
    several = len(own.class_of) > 1
    words: dict[str, list[str]] = {name: [] for name in config.class_names}
    for dataset, class_of in own.class_of.items():
        for emotion, name in class_of.items():
            words[name].append(f"{dataset} {emotion}" if several else emotion)
    parts = [f"{name} = {', '.join(emotions)}" for name, emotions in words.items() if emotions]
    dropped = [f"{dataset} {word}" if several else word for dataset, of in own.dropped.items() for word in of]
    left_out = [*dropped, *own.left_out]
    return "; ".join([*parts, f"left out: {', '.join(left_out)}"] if left_out else parts)


def ablate_command(table: int, run: Run, seeds: Collection[int]) -> str:
    """Return the `mer ablate` command that trains the other rows of a table of ablations with the settings of `run`.

    Parameters
    ----------
    table : number of the table; the rows differ only in the options that it varies
    run : trained on a single store
    seeds : wanted seeds; `mer ablate` takes only consecutive seeds, so the command has `longest_range` of them
    """
    config = run.config
    wanted = longest_range(seeds)
    changed = {name: value for name, value in changes(config).items() if name not in PARTS}
    named = {"scheme": _scheme_word(run), "recipe": config.recipe, "seed": wanted[0], **changed}
    (store,) = run.sessions[-1].stores
    return f"mer ablate --table {table} {shlex.quote(store)} --seeds {len(wanted)} {_flags(run, named)}"


def longest_range(seeds: Collection[int]) -> list[int]:
    """Return the longest range of consecutive seeds, the lowest if several are as long: 0, 1, 5, 6 gives [0, 1]."""
    counted = groupby(enumerate(sorted(seeds)), key=lambda each: each[1] - each[0])
    return max(([seed for _, seed in same] for _, same in counted), key=len)


def without_private_paths(run: Run) -> Run:
    """Return a copy of the run that names no private folder in its last session, so that its command can be published.

    A path in the working folder becomes relative. A store outside it becomes `data/<dataset>.h5`, and an output folder
    outside it becomes the default folder of runs.
    """
    last = run.sessions[-1]
    of_role = {
        is_test: [store.dataset for store in run.config.stores if (store.role == "test") is is_test]
        for is_test in (False, True)
    }
    stores, test_stores = (
        tuple(shown_path(path, f"data/{dataset}.h5") for path, dataset in zip(paths, of_role[is_test], strict=True))
        for is_test, paths in ((False, last.stores), (True, last.test_stores))
    )
    environment = {name: value for name, value in last.environment.items() if name not in (CODE_GIVEN, INIT_GIVEN)}
    if INIT_GIVEN in last.environment:
        environment[INIT_GIVEN] = shown_path(str(last.environment[INIT_GIVEN]), "MODEL")
    session = Session(stores, test_stores, shown_path(last.out, DEFAULT_ROOT), environment)
    return replace(run, sessions=(*run.sessions[:-1], session))


def shown_path(path: str, elsewhere: str) -> str:
    """Return a path as it may be published: relative to the working folder, or `elsewhere` if it lies outside."""
    here = relpath(path)
    return elsewhere if here.startswith(pardir + sep) else here


def _flags(run: Run, settings: Mapping[str, object]) -> str:
    """Return settings as command-line flags, followed by the run's machine settings and, if not the default, --out."""
    config, out = run.config, run.sessions[-1].out
    machine = {"device": config.device, "precision": config.precision, "compile": config.compile}
    flags = [flag(name.replace("_", "-"), value) for name, value in {**settings, **machine}.items()]
    if out != DEFAULT_ROOT:
        flags.append(f"--out {shlex.quote(out)}")
    return " ".join(flags)


def flag(name: str, value: object) -> str:
    """Return a setting as a command line has it: "--epochs 10", "--no-pc"; with None only the name."""
    if value is None:
        return f"--{name}"
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def changes(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from recipe and variant, without those that only follow a changed one (decay).

    The revision of the method's code counts as one, if an earlier version of this program made the run.
    """
    variant = config.variant if config.model == MMNET else None
    standard = method_default(config, config.recipe, variant=variant)
    asked = {name: value for name in _FOLLOWED if (value := getattr(config, name)) != getattr(standard, name)}
    if asked:
        standard = method_default(config, config.recipe, variant=variant, **asked).model_copy(
            update={name: getattr(standard, name) for name in asked}
        )
    names = [name for name in TrainConfig.model_fields if name not in _NOT_A_CHANGE]
    changed = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(standard, name)}
    if isinstance(config, RunConfig) and config.revision != config.method.revision:
        changed["revision of the code"] = config.revision
    return changed

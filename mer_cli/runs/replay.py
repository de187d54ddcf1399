"""Replay a run from its config.json: the same settings on the same stores, so that the same run is made again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mer_cli.errors import ConfigError
from mer_cli.runs.config_file import SET, ConfigFile, settings_of
from mer_cli.runs.directory import FOLDS_FILE, INIT_GIVEN, SCHEME_FILE, read_sessions
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.run_config import RunConfig, RunStore, read_config
from mer_cli.store.hdf5 import read_store


def read_recorded(path: Path, given: Collection[str]) -> ConfigFile:
    """Read the config.json of a run, with the stores that it was trained on.

    Parameters
    ----------
    given : names of the flags on the command line; stores that are named there are not looked for

    Raises
    ------
    ConfigError
        If the file is not a run's config, or a store of the run is not where it was, or is another one now.
    RunError
        If the config was written by another version, or was edited.
    """
    if path.name != "config.json":
        raise ConfigError(f"--config: {path} is neither a TOML file nor a run's config.json. Name one of them.")
    recorded = read_config(path.parent)
    flags: dict[str, Any] = {"loso": True} if recorded.is_loso else {}
    if recorded.averages_datasets:
        flags["leave_dataset_out"] = True
    if recorded.fold_lists and "folds_file" not in given:
        flags["folds_file"] = path.with_name(FOLDS_FILE)
    settings = settings_of(recorded)
    if recorded.init and "init" not in given:
        flags["init"] = _find_init(path)
    if recorded.own_scheme:
        settings["scheme"] = str(path.with_name(SCHEME_FILE))
    if recorded.foreign:
        del settings["model"]
        flags |= _of_own_method(path, recorded.foreign, given)
    for name, is_tested in (("stores", False), ("test", True)):
        records = [store for store in recorded.stores if (store.role == "test") is is_tested]
        if records and name not in given:
            flags[name] = [_find_store(path, record, recorded) for record in records]
    return ConfigFile(path, settings, flags, recorded)


def _of_own_method(path: Path, foreign: Foreign, given: Collection[str]) -> dict[str, Any]:
    """Return the values of --set and --features with which your own method was trained.

    Its code must be named on the command line: a run that somebody sent must not choose what is executed.
    """
    if foreign.door == "predictions":
        raise ConfigError(f"{path}: the run's predictions were imported, so it can't be trained again.")
    if "model" not in given:
        copy = path.with_name("source") / foreign.code
        raise ConfigError(
            f"{path}: the run is of your own method {foreign.code}. Name its code, which is executed: --model "
            f"FILE.py:CLASS. The run's copy is {copy}; read it before you use it."
        )
    options = [f"{name}={value}" for name, value in foreign.options.items()]
    return {SET: options} | ({"features": foreign.features} if foreign.features else {})


def _find_init(path: Path) -> Path:
    """Return the path of the weights that a run started from, as its newest session has it."""
    typed = Path(str(read_sessions(path.parent)[-1].environment.get(INIT_GIVEN, "")))
    if not typed.exists() or typed == Path():
        raise ConfigError(
            f"{path}: the weights that the run started from are not at {typed}. Name their place: --init MODEL."
        )
    return typed


def _find_store(path: Path, record: RunStore, recorded: RunConfig) -> Path:
    """Return the path of a store that the run was trained on, as one of the run's sessions has it."""
    typed = list(dict.fromkeys(_typed(path, record, recorded)))
    there = {store: read_store(store).content_hash for store in typed if store.is_file()}
    for store, content_hash in there.items():
        if content_hash == record.content_hash:
            return store
    for store, content_hash in there.items():
        raise _other_store(path, store, record, "content_hash", content_hash)
    how = f"mer train STORE --config {path}" if record.role != "test" else f"mer train --config {path} --test STORE"
    places = " or ".join(map(str, typed))
    raise ConfigError(f"{path}: the run's store of {record.dataset} is not at {places}. Name its place: {how}.")


def _typed(path: Path, record: RunStore, recorded: RunConfig) -> Iterator[Path]:
    """Yield the paths of a store that were typed in the run's sessions, the newest first."""
    is_tested = record.role == "test"
    place = [store for store in recorded.stores if (store.role == "test") is is_tested].index(record)
    for session in reversed(read_sessions(path.parent)):
        paths = session.test_stores if is_tested else session.stores
        if place < len(paths):
            yield Path(paths[place])


HASHES = {"content_hash": "content hash", "clips_hash": "hash of whole clips"}


def _other_store(path: Path, store: Path | str, record: RunStore, hashed: str, found: str) -> ConfigError:
    return ConfigError(
        f"{store}: its {HASHES[hashed]} is {found[:12]}, and the run of {path} was trained on a store of "
        f"{record.dataset} with {getattr(record, hashed)[:12]}. It would be another run. Name the store of that run, "
        "or train without --config."
    )


def check_same_run(file: ConfigFile, plan: RunPlan, changed: Collection[str]) -> None:
    """Raise an error if a planned run is not the run that it replays; a TOML file replays none.

    Parameters
    ----------
    changed : settings that the command line overrides; if there are any, only the stores must be the same

    Raises
    ------
    ConfigError
        If a store or a setting is another one.
    """
    recorded, planned = file.recorded, plan.config
    if recorded is None:
        return
    theirs, ours = (
        (config.protocol(), [(store.dataset, store.role) for store in config.stores]) for config in (recorded, planned)
    )
    if theirs != ours:
        raise ConfigError(
            f"{file.path}: the run is {_words(recorded)}, and the command line asks for {_words(planned)}. It would be "
            "another run. Give the protocol and the stores of that run, or train without --config."
        )
    own = [store for store in plan.stores if store.role != "added"]
    for record, store, read in zip(recorded.stores, planned.stores, own, strict=True):
        for hashed in HASHES:
            if getattr(store, hashed) != getattr(record, hashed):
                raise _other_store(file.path, read.info.path, record, hashed, getattr(store, hashed))
    theirs_source, our_source = (config.foreign and config.foreign.source_sha256 for config in (recorded, planned))
    if planned.model == recorded.model and theirs_source != our_source:
        raise ConfigError(
            f"{file.path}: the code of {planned.model} is not what the run was trained with. It would be another run. "
            f"A copy of that code is in {file.path.with_name('source')}: name it with --model, or leave --config out."
        )
    is_same_code = planned.foreign is not None and theirs_source == our_source  # it is named on every command line
    if {*changed} - ({"model"} if is_same_code else set()) or planned.seed != recorded.seed:
        return
    for name in RunConfig.model_fields:
        if getattr(recorded, name) != getattr(planned, name):
            raise ConfigError(
                f"{file.path}: {name} was {getattr(recorded, name)!r}, and would be {getattr(planned, name)!r} now. It "
                "would be another run. Train without --config."
            )


def _words(config: RunConfig) -> str:
    return f"{config.protocol()} ({' and '.join(store.dataset for store in config.stores)})"

"""The config file of a run: a TOML file with settings and flags under their names, read here and written here.

What the file says has the same effect as the flags of the same names; a flag on the command line overrides it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import ConfigDict, Strict, ValidationError, create_model

from mer_cli.errors import ConfigError, unknown_name
from mer_cli.runs.config import SETTINGS, TrainConfig, describe_invalid, has_effect
from mer_cli.runs.methods import METHODS, MMNET
from mer_cli.runs.run_config import RunConfig
from mer_cli.runs.variants import VARIANTS
from mer_cli.system.documents import read_toml, short_repr
from mer_cli.system.toml import spell

SET = "set"  # table of the options of a network: `--set name=value`
PLAIN = (str, int, float, bool)
_PATH = Annotated[Path, Strict(False)]
_FROM_TEXT: dict[Any, Any] = {
    Path: _PATH,
    Path | None: _PATH | None,
    list[Path] | None: list[_PATH] | None,
}  # all other types are strict


@dataclass(frozen=True)
class ConfigFile:
    """What a config file gives.

    settings : values by the name of the setting, as `resolve_config` takes them
    flags : values of the other flags by the name of the parameter
    recorded : the config of the run that is replayed; None if the file is a TOML file
    """

    path: Path
    settings: Mapping[str, Any]
    flags: Mapping[str, Any]
    recorded: RunConfig | None = None

    def override(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the file, replaced by those `given` on the command line that are not None.

        Raises
        ------
        ConfigError
            If --recipe or --variant is given, and the file has another value of it and a setting that it decides.
        """
        named = {name: value for name, value in given.items() if value is not None}
        settings = {**self.settings, **named}
        for preset, decided in _decided_by_preset(settings).items():
            if preset not in named or named[preset] == self.settings.get(preset):
                continue
            hidden = next((name for name in self.settings if name in decided and name not in named), None)
            if hidden:
                raise ConfigError(
                    f"--{preset} {named[preset]}: {self.path} sets {hidden}, which a {preset} decides. Take it out of "
                    f"the file, or give --{hidden.replace('_', '-')} as well."
                )
        return settings

    def respell(self, message: str, given: Collection[str]) -> str:
        """Return an error message that begins with a flag, with the file and the key in its place if it comes from it.

        Parameters
        ----------
        given : names that the command line gives, which override the file
        """
        found = re.match(r"--([a-z-]+)", message)
        if not found:
            return message
        spelled = found[1].replace("-", "_")
        names = [name for name in (spelled, spelled.removeprefix("no_")) if name in {**self.settings, **self.flags}]
        if not names or names[0] in given:
            return message
        return f"{self.path}: {names[0]}{message[found.end() :]}"


def _decided_by_preset(settings: Mapping[str, Any]) -> dict[str, set[str]]:
    method = METHODS.get(str(settings.get("model", MMNET)))
    presets = {"variant": VARIANTS, "recipe": method.recipes if method else {}}
    return {preset: {name for held in forms.values() for name in held} for preset, forms in presets.items()}


def read_config_file(path: Path, flags: Mapping[str, Any]) -> ConfigFile:
    """Read a TOML file of settings and flags.

    A flag that takes several values may have one value instead of a list. A flag whose values are separated by commas
    may have a list, and a flag that is a text may have a number.

    Parameters
    ----------
    flags : type of each further flag that the file may have, by name: str, Path, int, bool, a Literal or a list of
        these, perhaps with limits or "| None"

    Raises
    ------
    ConfigError
        If the file can't be read, or has an unknown key or a value of a wrong type or out of its limits.
    """
    try:
        held = read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"--config: there is no file {path}. `mer train --print-config` prints one.") from None
    except OSError as error:
        raise ConfigError(f"--config: {path} can't be read ({error.strerror}).") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not a TOML file ({error}). `mer train --print-config` prints one.") from None
    settings = {name: (TrainConfig.model_fields[name].annotation, TrainConfig.model_fields[name]) for name in SETTINGS}
    known = [*settings, *flags]
    for name in held:
        if name not in known:
            raise ConfigError(f"{path}: {unknown_name('key', name, known)}")
    typed = {name: _as_flag(path, name, value, flags[name]) if name in flags else value for name, value in held.items()}
    fields: dict[str, Any] = {**settings, **{name: (_FROM_TEXT.get(kind, kind), None) for name, kind in flags.items()}}
    model = create_model("File", __config__=ConfigDict(strict=True), **fields)
    try:
        checked = model(**typed)
    except ValidationError as error:
        problem = re.sub("Input is not a valid path.*(?=, got)", "a path", describe_invalid(error))
        raise ConfigError(ConfigFile(path, typed, {}).respell(problem, ())) from None
    values = {name: getattr(checked, name) for name in typed}
    return ConfigFile(
        path,
        {name: value for name, value in values.items() if name in settings},
        {name: value for name, value in values.items() if name in flags},
    )


def _as_flag(path: Path, name: str, value: Any, kind: Any) -> Any:
    """Return a flag's value in a file as the command line has it: a text of values with commas, or a list of texts."""
    kinds = {kind, *get_args(kind)}
    if name == SET and isinstance(value, dict):
        return _options(path, value)
    if str in kinds:
        parts = value if isinstance(value, list) else [value]
        if all(isinstance(part, str) or _is_number(part) for part in parts):
            return ",".join(map(str, parts))
    is_list = any(get_origin(each) is list for each in kinds)
    return [value] if is_list and isinstance(value, str) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _options(path: Path, table: Mapping[str, Any]) -> list[str]:
    """Return the table of a network's options as values of `--set`: ["width=64"]."""
    for name, value in table.items():
        if not isinstance(value, PLAIN):
            raise ConfigError(f"{path}: {SET}.{name} must be a text, a number, true or false, got {short_repr(value)}.")
    return [f"{name}={value if isinstance(value, str) else spell(value)}" for name, value in table.items()]


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that have an effect on the run's method; `resolve_config` makes the same config of them."""
    values = {name: getattr(config, name) for name in SETTINGS}
    return {name: value for name, value in values.items() if has_effect(config.method, name, values)}


def toml_text(entries: Iterable[tuple[str, Any, str]], heading: str, options: Mapping[str, Any] | None = None) -> str:
    """Return the text of a TOML file.

    Parameters
    ----------
    entries : name, value and help of each key
    heading : comment at the beginning
    options : the table `set`
    """
    lines = [f"# {heading}"]
    for name, value, about in entries:
        lines += ["", *(f"# {line}" for line in about.splitlines()), f"{name} = {spell(value)}"]
    if options:
        lines += ["", f"[{SET}]", *(f"{spell(name)} = {spell(value)}" for name, value in options.items())]
    return "\n".join(lines) + "\n"

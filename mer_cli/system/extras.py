"""Import a library that comes with an extra of the package (`pip install 'mer-cli[NAME]'`)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mer_cli.errors import ConfigError


def import_extra(where: str, title: str, module: str, extra: str, otherwise: str = "") -> Any:
    """Import and return a library of an extra.

    Parameters
    ----------
    where : the command, flag or file that needs it, with which the error begins
    title : name of the library
    otherwise : what to do instead of installing it, as a sentence

    Raises
    ------
    ConfigError
        If it can't be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{where}: {title} can't be imported ({error}). Install it: pip install 'mer-cli[{extra}]'."
            f"{f' {otherwise}' if otherwise else ''}"
        ) from None

"""The source of a class that was defined in a notebook or a script, with all that it uses of the same place."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any

from mer_cli.errors import ConfigError


def source_of_main(found: Any) -> str:
    """Return the source of a class or function and of everything in its module that it uses, sorted by name.

    A class or function stands there with its text, a value (number, text, list ...) as Python writes it. Modules and
    what was imported from them are left out.

    Raises
    ------
    ConfigError
        If a text can't be found, for example because the class was typed at Python's prompt.
    """
    module = vars(sys.modules[found.__module__])
    texts: dict[str, str] = {}
    waiting = [(found.__qualname__, found)]
    while waiting:
        name, each = waiting.pop()
        if name in texts:
            continue
        is_code = isinstance(each, type | FunctionType)
        if inspect.ismodule(each) or (is_code and each.__module__ != found.__module__):
            texts[name] = f"{name} = {getattr(each, '__module__', '')}.{each.__name__}"
            continue
        texts[name] = _text_of(name, each)
        if is_code:
            used = {used for code in _code_of(each) for used in _names_in(code)}
            used |= {base.__name__ for base in getattr(each, "__mro__", ())[1:]}
            waiting += [(other, module[other]) for other in used if _is_own(module.get(other), found.__module__)]
            waiting += [(f"{name}: {kept}", held) for kept, held in _values_kept(each)]
    return "\n\n".join(texts[name] for name in sorted(texts))


def _is_own(held: Any, module: str) -> bool:
    """Return whether a value is defined in the module itself, and not imported into it."""
    if held is None or inspect.ismodule(held):
        return False
    return getattr(held, "__module__", module) == module


def _text_of(name: str, held: Any) -> str:
    if not isinstance(held, type | FunctionType):
        return _text_of_value(name, held)
    try:
        return inspect.getsource(held)
    except (OSError, TypeError):
        raise ConfigError(
            f"{name}: its source can't be found, and a run records it. Write it into a file, and give FILE.py:{name}."
        ) from None


def _text_of_value(name: str, held: Any) -> str:
    """Return a value as Python writes it; if it may be cut short there, as an array is, also a hash of it."""
    if isinstance(held, bool | int | float | str | bytes | None):
        return f"{name} = {held!r}"
    try:
        digest = hashlib.sha256(pickle.dumps(held)).hexdigest()
    except Exception:  # what can't be pickled has its text alone
        return f"{name} = {held!r}"
    return f"{name} = {held!r}  # SHA-256 {digest}"


def _code_of(held: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods and properties of a class."""
    for function in _functions_of(held):
        yield function.__code__


def _functions_of(held: Any) -> Iterator[FunctionType]:
    """Yield a function itself, or the functions of the methods and properties of a class."""
    for each in [held] if isinstance(held, FunctionType) else vars(held).values():
        for function in (each, getattr(each, "__func__", None), getattr(each, "fget", None)):
            if isinstance(function, FunctionType):
                yield function


def _values_kept(held: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the text of a class or function doesn't tell: values of the function around it, and defaults."""
    for function in _functions_of(held):
        kept: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with suppress(ValueError):  # what is not defined yet
                kept |= {} if name == "__class__" else {name: cell.cell_contents}
        kept |= {f"default {n}": value for n, value in enumerate(function.__defaults__ or ())}
        kept |= {f"default of {name}": value for name, value in (function.__kwdefaults__ or {}).items()}
        yield from ((f"{function.__name__}: {name}", value) for name, value in kept.items() if value is not held)
    if isinstance(held, type):
        yield from ((name, value) for name, value in vars(held).items() if _is_setting(name, value))


def _is_setting(name: str, value: Any) -> bool:
    return (
        not name.startswith(("__", "_abc_")) and not callable(value) and not isinstance(value, property | classmethod)
    )


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names that code uses, also in functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)

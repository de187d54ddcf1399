"""The source of a class that was defined in a notebook or a script, with all that it uses of the same place."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
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
        texts[name] = _text_of(name, each)
        if isinstance(each, type | FunctionType):
            used = {used for code in _code_of(each) for used in _names_in(code)}
            used |= {base.__name__ for base in getattr(each, "__mro__", ())[1:]}
            waiting += [(other, module[other]) for other in used if _is_own(module.get(other), found.__module__)]
    return "\n\n".join(texts[name] for name in sorted(texts))


def _is_own(held: Any, module: str) -> bool:
    """Return whether a value is defined in the module itself, and not imported into it."""
    if held is None or inspect.ismodule(held):
        return False
    return getattr(held, "__module__", module) == module


def _text_of(name: str, held: Any) -> str:
    if not isinstance(held, type | FunctionType):
        return f"{name} = {held!r}"
    try:
        return inspect.getsource(held)
    except (OSError, TypeError):
        raise ConfigError(
            f"{name}: its source can't be found, and a run records it. Write it into a file, and give FILE.py:{name}."
        ) from None


def _code_of(held: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods and properties of a class."""
    if isinstance(held, FunctionType):
        yield held.__code__
        return
    for each in vars(held).values():
        for function in (each, getattr(each, "__func__", None), getattr(each, "fget", None)):
            if isinstance(function, FunctionType):
                yield function.__code__


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names that code uses, also in functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)

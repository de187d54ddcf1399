"""The source of a class that was defined in a notebook or a script, with all that it uses of the same place."""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

from mer_cli.errors import ConfigError

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in the text of an object, another one in every process


def source_of_main(found: Any) -> str:
    """Return the source of a class or function and of everything in its module that it uses, sorted by name.

    A class or function stands there with its text, a value (number, text, list ...) as Python writes it, an array or
    tensor also with a hash of its numbers. Modules and what was imported from them are left out.

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
            used = {used for function in _functions_of(each) for used in _names_in(function.__code__)}
            used |= {base.__name__ for base in getattr(each, "__mro__", ())[1:]} | _names_in_text(texts[name])
            waiting += [(other, module[other]) for other in used if _is_own(module.get(other), found.__module__)]
            enclosed = _enclosed(name, each)
            waiting += [(place, value) for place, value in enclosed if _is_own(value, found.__module__)]
        elif type(each).__module__ == found.__module__:
            waiting.append((type(each).__qualname__, type(each)))
    return "\n\n".join(texts[name] for name in sorted(texts))


def _is_own(held: Any, module: str) -> bool:
    """Return whether a value is defined in the module itself, and not a class, function or module imported into it."""
    if isinstance(held, type | FunctionType | BuiltinFunctionType):
        return held.__module__ == module
    return held is not None and not inspect.ismodule(held)


def _text_of(name: str, held: Any) -> str:
    if not isinstance(held, type | FunctionType):
        return f"{name} = {_spell(held)}{''.join(f'  # {digest}' for digest in _digests(held))}"
    try:
        return inspect.getsource(held)
    except (OSError, TypeError):
        raise ConfigError(
            f"{name}: its source can't be found, and a run records it. Write it into a file, and give FILE.py:{name}."
        ) from None


def _spell(held: Any) -> str:
    """Return a value as Python writes it; of an object that is written by its address, its attributes instead."""
    text = repr(held)
    without = ADDRESS.sub("", text)
    return text if without == text else f"{without} {ADDRESS.sub('', repr(getattr(held, '__dict__', '')))}"


def _digests(held: Any) -> Iterator[str]:
    """Yield a hash of each array or tensor in a value: as text they are shortened and rounded."""
    if isinstance(held, Mapping):
        yield from (digest for each in held.values() for digest in _digests(each))
    elif isinstance(held, list | tuple):
        yield from (digest for each in held for digest in _digests(each))
    elif hasattr(held, "__array__"):
        import numpy as np  # here, because a shell's completion imports this module

        plain = held.detach().cpu() if hasattr(held, "detach") else held
        yield hashlib.sha256(np.asarray(plain).tobytes()).hexdigest()[:16]


def _enclosed(name: str, held: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a class or function that is defined within a function takes from there, by name, and its defaults."""
    for function in _functions_of(held):
        place = f"{name}.{function.__name__}"
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if variable not in ("__class__", held.__name__):
                yield f"{place}.{variable}", cell.cell_contents
        if "<locals>" in name:
            yield f"{place} defaults", (function.__defaults__, function.__kwdefaults__)


def _functions_of(held: Any) -> Iterator[FunctionType]:
    """Yield a function itself, or the methods and properties of a class."""
    if isinstance(held, FunctionType):
        yield held
        return
    for each in vars(held).values():
        for function in (each, getattr(each, "__func__", None), getattr(each, "fget", None)):
            if isinstance(function, FunctionType):
                yield function


def _names_in_text(text: str) -> set[str]:
    """Return the names in a source text, among them those of defaults, class attributes and decorators."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # the line of a lambda may be a part of a statement
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names that code uses, also in functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)

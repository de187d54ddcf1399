"""The source of a class that was defined in a notebook or a script, with all that it uses of the same place."""

from __future__ import annotations

import ast
import inspect
import linecache
import pickle
import sys
from collections.abc import Iterator
from symtable import SymbolTable, symtable
from textwrap import dedent
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any

from mer_cli.errors import ConfigError

PLAIN = (bool, int, float, complex, str, bytes, NoneType, range)  # Python writes all of such a value


def source_of_main(found: Any) -> str:
    """Return the source of a class or function and of everything in its module that it uses, sorted by name.

    A class or function stands there with its text; a number, a text, or a list of them as Python writes it; any other
    value with its type and a hash. Modules, and classes and functions that were imported, are left out.

    Raises
    ------
    ConfigError
        If a text can't be found, for example because the class was typed at Python's prompt, or a value has no hash.
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
            used = set(_names_used(texts[name], each))
            used |= {base.__name__ for base in getattr(each, "__mro__", ())[1:]}
            waiting += [(other, module[other]) for other in used if _is_own(module.get(other), found.__module__)]
            enclosed = _enclosed(name, each)
            waiting += [(place, value) for place, value in enclosed if _is_own(value, found.__module__)]
        elif _is_own(type(each), found.__module__):
            waiting.append((type(each).__qualname__, type(each)))
    return "\n\n".join(texts[name] for name in sorted(texts))


def _is_own(held: Any, module: str) -> bool:
    """Return whether a value is defined in the module itself, and not imported into it."""
    if held is None or inspect.ismodule(held):
        return False
    if isinstance(held, type | FunctionType | BuiltinFunctionType):
        return held.__module__ == module
    return True  # an object, such as a loss, is made here, wherever its class is from


def _text_of(name: str, held: Any) -> str:
    if not isinstance(held, type | FunctionType):
        return f"{name} = {held!r}" if _is_plain(held) else f"{name} = {type(held).__name__}('{_hash(name, held)}')"
    try:
        return inspect.getsource(held)
    except (OSError, TypeError):
        text = _text_in_cell(held) if isinstance(held, type) else ""
    if not text:
        raise ConfigError(
            f"{name}: its source can't be found, and a run records it. Write it into a file, and give FILE.py:{name}."
        )
    return text


def _text_in_cell(held: type) -> str:
    """Return the text of a class in a notebook's cell, where `inspect` finds functions only; "" if it isn't found.

    The cell is that of any of its methods. A class without methods is written anew, from its values.
    """
    codes = [function.__code__ for function in _functions_of(held)]
    for code in codes:
        lines = linecache.getlines(code.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == held.__name__:
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                if first <= code.co_firstlineno <= (node.end_lineno or 0):
                    return "".join(lines[first - 1 : node.end_lineno])
    if codes:
        return ""
    bases = ", ".join(base.__name__ for base in held.__bases__ if base is not object)
    values = [f"    {_text_of(name, value)}\n" for name, value in vars(held).items() if not name.startswith("__")]
    return "".join([f"class {held.__name__}{f'({bases})' if bases else ''}:\n", *(values or ["    pass\n"])])


def _enclosed(name: str, held: type | FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what a class or function that is defined within a function takes from there, by name.

    These are the variables that it encloses, its defaults, and the values of a class's attributes.
    """
    for function in (held,) if isinstance(held, FunctionType) else _functions_of(held):
        place = f"{name}.{function.__name__}"
        for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if variable not in ("__class__", held.__name__):
                yield f"{place}.{variable}", cell.cell_contents
        if "<locals>" in name:
            yield f"{place} defaults", (function.__defaults__, function.__kwdefaults__)
    if isinstance(held, type) and "<locals>" in name:  # set in the class's body, maybe from the function around it
        for attribute, value in vars(held).items():
            is_of_python = attribute.startswith(("__", "_abc_"))
            if not (is_of_python or callable(value) or isinstance(value, property | classmethod | staticmethod)):
                yield f"{name}.{attribute}", value


def _functions_of(held: type) -> Iterator[FunctionType]:
    """Yield the methods and properties of a class, as functions."""
    for each in vars(held).values():
        for function in (each, getattr(each, "__func__", None), getattr(each, "fget", None)):
            if isinstance(function, FunctionType):
                yield function


def _names_used(text: str, held: type | FunctionType) -> Iterator[str]:
    """Return the global names that a class or function uses, in defaults and decorators, too."""
    try:
        return _names_in(symtable(dedent(text), "source", "exec"))
    except SyntaxError:  # the line of a lambda, which begins before it
        return iter(held.__code__.co_names if isinstance(held, FunctionType) else ())


def _names_in(table: SymbolTable) -> Iterator[str]:
    """Yield the global names in a piece of code and in the functions within it."""
    yield from (symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced())
    for child in table.get_children():
        yield from _names_in(child)


def _is_plain(held: Any) -> bool:
    if isinstance(held, list | tuple):
        return all(map(_is_plain, held))
    if isinstance(held, dict):
        return all(_is_plain(each) for pair in held.items() for each in pair)
    return isinstance(held, PLAIN)


def _hash(name: str, held: Any) -> str:
    import joblib  # numpy's arrays have the same hash in every session

    try:
        return str(joblib.hash(held))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{name}: can't be recorded with the run ({error}), and your method uses it. Make it inside the class."
        ) from None

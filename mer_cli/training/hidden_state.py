"""Find what a network keeps outside its state dict: attributes, class attributes and globals of its file.

A state dict is set anew for every fold. What is kept elsewhere, such as a counter, would go from fold to fold.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OF_EVERY_MODULE = {*vars(nn.Module())} | {"_is_full_backward_hook"}
PLAIN = (type(None), bool, int, float, complex, str, bytes)
CODE = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type, property, classmethod, staticmethod)

State = dict[str, Any]  # a value that can be compared, by the attribute's name


def own_state(network: nn.Module) -> State:
    """Return what a module and its submodules keep outside the state dict, by attribute: "self.head.n_calls"."""
    return {
        f"self.{place + '.' if place else ''}{name}": _frozen(value)
        for place, module in network.named_modules()
        for name, value in _attributes(module)
    }


def lasting_state(network: nn.Module) -> State:
    """Return what outlives a module: attributes of its own classes, "MyNet.n_calls", and the globals of their files.

    Own classes are those of the network's file or package.
    """
    package = type(network).__module__.partition(".")[0]
    kinds = {kind for module in network.modules() for kind in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] == package]
    state = {f"{kind.__name__}.{name}": _frozen(value) for kind in own for name, value in _values(vars(kind))}
    for place in {kind.__module__ for kind in own}:
        held = vars(sys.modules[place]) if place in sys.modules else {}
        state |= {f"the global {name}": _frozen(value) for name, value in _values(held)}
    return state


def changed(before: State, after: State) -> list[str]:
    """Return the names, sorted, whose values differ between two states, or are in one of them only."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def unregistered(network: nn.Module) -> list[str]:
    """Return the attributes that hold weights in a plain list or dict, where torch doesn't find them to train them."""
    known = {id(parameter) for parameter in network.parameters()}
    return [
        f"self.{place + '.' if place else ''}{name}"
        for place, module in network.named_modules()
        for name, value in _attributes(module)
        if any(id(parameter) not in known for parameter in _weights_in(value))
    ]


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from ((name, value) for name, value in vars(module).items() if name not in OF_EVERY_MODULE)
    yield from ((name, module._buffers[name]) for name in sorted(module._non_persistent_buffers_set))


def _values(held: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a class or a file that are values, not code."""
    return ((name, value) for name, value in held.items() if not (name.startswith("__") or isinstance(value, CODE)))


def _weights_in(value: Any) -> Iterator[nn.Parameter]:
    if isinstance(value, nn.Parameter):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, Mapping):
        yield from (found for each in value.values() for found in _weights_in(each))
    elif isinstance(value, list | tuple | set | deque):
        yield from (found for each in value for found in _weights_in(each))


def _frozen(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """Return something that is equal for equal values, however deep, and does not change with the value."""
    if isinstance(value, PLAIN):
        return repr(value)
    if id(value) in seen or isinstance(value, CODE):
        return type(value).__name__
    seen |= {id(value)}
    if isinstance(value, Tensor):
        flat = value.detach().reshape(-1).cpu().contiguous()
        return str(value.dtype), tuple(value.shape), _digest(flat.view(torch.uint8).numpy().tobytes())
    if isinstance(value, np.ndarray | np.generic):
        is_object = value.dtype.hasobject
        return str(value.dtype), value.shape, repr(value.tolist()) if is_object else _digest(value.tobytes())
    if isinstance(value, np.random.Generator):
        return _frozen(value.bit_generator.state, seen)
    if isinstance(value, torch.Generator):
        return _frozen(value.get_state(), seen)
    if isinstance(value, random.Random):
        return repr(value.getstate())
    if isinstance(value, Mapping):
        return [(repr(key), _frozen(each, seen)) for key, each in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple | deque):
        return [_frozen(each, seen) for each in value]
    held = getattr(value, "__dict__", {})
    return type(value).__name__, [(name, _frozen(each, seen)) for name, each in held.items()]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

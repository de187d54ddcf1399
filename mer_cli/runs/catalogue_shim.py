"""SHIM."""

from mer_cli.runs.methods import METHODS as _ALL
from mer_cli.runs.methods import Method as Method

METHODS = tuple(_ALL.values())


def method_of(name: str) -> Method:
    """SHIM."""
    return _ALL[name]


def live_methods() -> tuple[Method, ...]:
    """SHIM."""
    return tuple(method for method in METHODS if method.code)

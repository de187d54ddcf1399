"""Check that another machine has the same `mer`: one with other code could give other numbers, without an error."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mer_cli
from mer_cli.errors import RunError

N_SHOWN = 8  # digits of a SHA-256 in a message


@dataclass(frozen=True)
class Code:
    """The code of `mer` on a machine: its version, and the SHA-256 over its Python files."""

    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.version}, code {self.sha256[:N_SHOWN]}"


@cache
def own_code() -> Code:
    """Return the code of `mer` that this process has on its disk."""
    root = Path(mer_cli.__file__).parent
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return Code(mer_cli.__version__, digest.hexdigest())


def require_same_code(expected: Code) -> None:
    """Raise a RunError if this machine has another `mer` than the machine that sent the work."""
    found = own_code()
    if found != expected:
        raise RunError(
            f"{platform.node()}: this machine has another mer ({found}) than the command ({expected}). Install the "
            "same version on all machines, best in a folder that they share."
        )

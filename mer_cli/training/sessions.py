"""`environment.json`: which `mer train` commands added folds to a run, from which files and on which machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_cli.errors import RunError
from mer_cli.training.atomic import write_text

DEFAULT_ROOT = "runs"  # the folder of all runs where --out gives no other


@dataclass(frozen=True)
class Session:
    """What was typed, and the machine. It moves no number of the run, so it stands outside the config.

    stores, test_stores : paths as given, in the order of their datasets · out : the folder of all runs, as given
    environment : versions, device name, threads
    """

    stores: tuple[str, ...]
    test_stores: tuple[str, ...]
    out: str
    environment: Mapping[str, str | int]


def read_sessions(run: Path) -> list[Session]:
    """The sessions of a run, the oldest first.

    Raises
    ------
    RunError
        If the file is absent or damaged.
    """
    file = run / "environment.json"
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if not held:
            raise ValueError("no session in it")
        sessions = [
            Session(_texts(entry, "stores"), _texts(entry, "test_stores"), entry.pop("out"), entry) for entry in held
        ]
        for session in sessions:
            if not session.stores or not isinstance(session.out, str):
                raise ValueError("a session without stores or folder")
        return sessions
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{file}: not readable ({error!r}) — expected the sessions that `mer train` recorded. Restore it, or move "
            "the run away and train again."
        ) from None


def _texts(entry: dict[str, Any], name: str) -> tuple[str, ...]:
    texts = entry.pop(name)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} is {texts!r}, no list of paths")
    return tuple(texts)


def sessions_text(sessions: Sequence[Session]) -> str:
    """The file's text."""
    entries = [
        {"stores": session.stores, "test_stores": session.test_stores, "out": session.out, **session.environment}
        for session in sessions
    ]
    return json.dumps(entries, indent=2) + "\n"


def record_session(run: Path, session: Session) -> None:
    """Adds a session, unless one just like it is there. Of two that start in one moment, one may be lost.

    Raises
    ------
    RunError
        If the file is damaged or can't be written.
    """
    sessions = read_sessions(run)
    if session not in sessions:
        write_text(run / "environment.json", sessions_text([*sessions, session]))

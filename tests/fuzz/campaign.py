"""Try one damaged input in a process of its own, and say how it ended.

A process for each input, because what is looked for may kill or freeze it. They are forked from a server that has
imported everything once, so that an input costs some 20 ms.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HANG_S = 20
MEMORY = 2 << 30
PRELOADED = (
    "pytest",
    "hypothesis.strategies",
    "pandas",
    "mer_cli.runs.directory",
    "mer_cli.store.hdf5",
    "mer_cli.faces.frames",
    "mer_cli.datasets.own_table",
    "mer_cli.evaluation.summary",
    "mer_cli.report.build",
    "mer_cli.report.render",
    "mer_cli.runs.config_file",
    "mer_cli.models.official",
)

# How a case may end. A clear error and the right result are what the user should get; "other result" is a fault where
# a checksum guards the file.
ERROR, SAME, OTHER = "clear error", "right result", "other result"
TRACEBACK, HANG, CRASH, TOO_LARGE = "traceback", "hang", "crash", "over 2 GiB"

sizes = pytest.mark.parametrize(
    "n_cases", [pytest.param(200, marks=pytest.mark.slow), pytest.param(2000, marks=pytest.mark.campaign)]
)


def outcome(read: Callable[..., object], *arguments: object) -> tuple[str, str]:
    """Return how `read(*arguments)` ends in a process of its own, and its words: an error's text, or a result's digest.

    `read` is a function at the top of a module; what it returns is made of numbers, texts, arrays, tables and
    collections of them, and is compared by its digest.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, read, arguments), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(HANG_S):
            return HANG, f"no answer in {HANG_S} s"
        return here.recv()
    except EOFError:
        process.join(HANG_S)
        return CRASH, f"exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()
        here.close()


def _run(there: Connection, read: Callable[..., object], arguments: tuple[object, ...]) -> None:
    from mer_cli.errors import MerError

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = SAME, digest(read(*arguments))
    except MerError as error:
        answer = ERROR, str(error)
    except MemoryError:
        answer = TOO_LARGE, traceback.format_exc()
    except BaseException:
        answer = TRACEBACK, traceback.format_exc()
    there.send(answer)


def digest(value: object) -> str:
    """Return the SHA-256 of a value: equal values have equal digests."""
    held = hashlib.sha256()
    _add(held, value)
    return held.hexdigest()


def _add(held: hashlib._Hash, value: object) -> None:
    if isinstance(value, np.ndarray) and value.dtype != object:
        held.update(f"{value.dtype} {value.shape}".encode())
        held.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        held.update(value.to_csv().encode())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            _add(held, (key, value[key]))
    elif isinstance(value, (list, tuple, np.ndarray)):
        held.update(f"{len(value)}".encode())
        for item in value:
            _add(held, item)
    else:
        held.update(repr(value).encode())


class Tally:
    """Counts how the cases of a campaign ended; an end that is not allowed fails the test at once, with its case."""

    def __init__(self, undisturbed: str, *, may_change: bool) -> None:
        self.undisturbed = undisturbed
        self.allowed = {ERROR, SAME, OTHER} if may_change else {ERROR, SAME}
        self.ends: Counter[str] = Counter()

    def add(self, ended: tuple[str, str], case: object) -> None:
        end, words = ended
        if end == SAME and words != self.undisturbed:
            end = OTHER
        self.ends[end] += 1
        if end == ERROR:
            assert "Traceback" not in words, words
        assert end in self.allowed, f"{end}: {words}\nafter {case}"

    def __str__(self) -> str:
        return ", ".join(f"{end} {count}" for end, count in self.ends.most_common())


def campaign(n_cases: int, cases: st.SearchStrategy, tried: Callable[[object], tuple[str, str]], tally: Tally) -> None:
    """Try `n_cases` cases of a strategy, always the same ones, and print how they ended."""

    @settings(
        max_examples=n_cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=cases)
    def run(case: object) -> None:
        tally.add(tried(case), case)

    run()
    print(f"{sum(tally.ends.values())} cases: {tally}")


# Damage to the bytes of any file: places are shares of its length, so that a case fits a file of any size.
places = st.floats(0, 1, exclude_max=True)
byte_damage = st.one_of(
    st.tuples(st.just("set"), places, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("cut"), places, st.just(b"")),
    st.tuples(st.just("delete"), places, st.integers(1, 64).map(bytes)),
    st.tuples(st.just("repeat"), places, st.integers(1, 64).map(bytes)),
)
damages = st.lists(byte_damage, min_size=1, max_size=4)


def damaged(content: bytes, damage: list[tuple[str, float, bytes]]) -> bytes:
    """Return the bytes of a file after each damage of the list, in its order."""
    for kind, share, given_bytes in damage:
        at = int(share * len(content))
        n = len(given_bytes)
        if kind == "set":
            content = content[:at] + given_bytes + content[at + n :]
        elif kind == "insert":
            content = content[:at] + given_bytes + content[at:]
        elif kind == "cut":
            content = content[:at]
        elif kind == "delete":
            content = content[:at] + content[at + n :]
        else:
            content = content[: at + n] + content[at:]
    return content

"""A process that outlives a command, to end what is left of the Ray cluster that the command started on its machine.

If the command is killed, Ray ends most of its processes, but its agents stay, and so does the cluster's folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

SECONDS_TO_END = 10


@contextmanager
def reaper(folder: str) -> Iterator[Callable[[], None]]:
    """Remove a folder after the block, or when this process has ended in any way, after the processes that are noted.

    Yields
    ------
    a function that notes all processes that this one has started since, and theirs
    """
    before = set(psutil.Process().children(recursive=True))  # are not Ray's
    command = [sys.executable, "-P", __file__, folder]
    # Its own session, which Ctrl-C doesn't reach. Its stdin ends when this process does.
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as process:

        def note() -> None:
            assert process.stdin is not None
            for started in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if started.pid != process.pid and started not in before:
                        process.stdin.write(f"{started.pid} {started.create_time()}\n")
            process.stdin.flush()

        yield note


def reap(folder: str, lines: Iterable[str]) -> None:
    """Wait until the lines end; then kill the processes that they name, and remove the folder."""
    named = [line.split() for line in lines]
    left = []
    for pid, created in named:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            if process.create_time() == float(created):  # otherwise another process has this number now
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=SECONDS_TO_END)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    reap(sys.argv[1], sys.stdin)

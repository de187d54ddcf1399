"""A work whose tasks write small files: as slow and as faulty as a test needs, in any process that sees its folder."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mer_cli.engines.engine import TRIES, Needs, Task


@dataclass
class WrittenWork:
    """Its folder has for each item: NAME.json when it is finished, NAME.failed with its errors, NAME.claim.

    sleep : seconds that a task takes · broken : items that fail each time · killed : items that kill their process
    """

    name: str
    folder: str
    sleep: float = 0.0
    broken: tuple = ()
    killed: tuple = ()
    source: str = ""
    needs: Needs = field(default_factory=Needs)

    def path(self, item, kind):
        return Path(self.folder) / f"{item}.{kind}"

    def read(self):
        return Path(self.source).read_text(encoding="utf-8") if self.source else "shared"

    def do(self, shared, item, on_step):
        with self.path("begun", "log").open("a") as file:
            file.write(f"{item} {os.environ.get('SLURM_CPUS_PER_TASK')}\n")
        on_step(1, 0.5)
        if item in self.broken:
            raise ValueError("this item is broken")
        if item in self.killed:
            os.kill(os.getpid(), 9)
        until = time.monotonic() + self.sleep
        while time.monotonic() < until:
            time.sleep(0.02)
        return f"{shared} {item}"

    def keep(self, item, result):
        with self.path("kept", "log").open("a") as file:
            file.write(f"{item}\n")
        self.path(item, "partial").write_text(json.dumps(result))
        self.path(item, "partial").rename(self.path(item, "json"))
        return result

    def kept(self, item):
        with suppress(OSError):
            return json.loads(self.path(item, "json").read_text())

    def begin(self, item):
        claim = self.path(item, "claim")
        with suppress(OSError, ValueError):
            if not psutil.pid_exists(int(claim.read_text())):
                claim.unlink()
        try:
            with claim.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        if self.kept(item) is None:
            return True
        self.end(item)
        return False

    def end(self, item):
        self.path(item, "claim").unlink(missing_ok=True)

    def fail(self, item, error, log):
        with self.path(item, "failed").open("a") as file:
            file.write(json.dumps({"error": str(error), "log": log}) + "\n")
        return len(self.errors(item))

    def errors(self, item):
        with suppress(OSError):
            return [json.loads(line) for line in self.path(item, "failed").read_text().splitlines()]
        return []

    def failure(self, item):
        errors = self.errors(item)
        return errors[-1]["error"] if len(errors) >= TRIES else None

    def lines(self, kind):
        """Items that were begun, or kept, in this order."""
        with suppress(OSError):
            return [line.split()[0] for line in self.path(kind, "log").read_text().splitlines()]
        return []


def tasks_of(work, n, seconds=None):
    return [Task(work, f"i{number}", f"i{number}", seconds) for number in range(n)]

"""Tasks for engines that note in a folder who did what: each reading, unpickling and doing is a file."""

import os
import signal
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np

from mer_cli.engines.engine import Needs, Task
from mer_cli.errors import StoreError


class CountedWork:
    """A task's item is a name of what it does: "sleep 0.1", "kill once", "kill", "fail", "refuse"; all but a number."""

    def __init__(self, folder, name="a run", needs=None, bytes_shared=1000):
        self.name, self.folder, self.bytes_shared = name, str(folder), bytes_shared
        self.needs = needs or Needs()

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._note("unpickled")

    def _note(self, *words):
        (Path(self.folder) / "|".join((*words, str(os.getpid()), uuid.uuid4().hex))).touch()

    def read(self):
        self._note("read")
        return np.ones(self.bytes_shared, dtype=np.uint8)

    def do(self, shared, item, on_step):
        number, kind, *rest = item.split()
        before = self.counts("do", number)
        self._note("do", number)
        if kind == "kill" and not (rest == ["once"] and before):
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "fail":
            raise ValueError(f"task {number} fails")
        elif kind == "refuse":
            raise StoreError(f"task {number} is refused.")
        elif kind == "sleep":
            time.sleep(float(rest[0]))
        elif kind == "threads":
            return os.environ["OMP_NUM_THREADS"]
        elif kind == "gpus":
            time.sleep(1)
            return f"{os.environ['CUDA_VISIBLE_DEVICES']} {os.getpid()}"
        return int(shared.sum())

    def keep(self, item, result):
        self._note("keep", item.split()[0])
        return result

    def counts(self, *words):
        """How often something was noted, by process."""
        start = "|".join((*words, ""))
        return Counter(path.name.split("|")[-2] for path in Path(self.folder).iterdir() if path.name.startswith(start))

    def tasks(self, *kinds):
        return [Task(self, f"{number} {kind}", f"task {number}") for number, kind in enumerate(kinds)]

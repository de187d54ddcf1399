"""Remember which jobs do which tasks, in a file beside their logs: the same command finds its jobs again."""

from __future__ import annotations

import json
import os
import pickle
import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mer_cli.engines.engine import Task, Work
from mer_cli.system.documents import read_json
from mer_cli.system.files import write_text

LOGS = "slurm"  # folder of the logs, in a run or beside the runs
PREFIX = "mer-"
END_OF_LOG = 4000  # bytes
Key = tuple[str, str]
ALIVE = (
    *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD"),
    *("RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
)


def key_of(task: Task) -> Key:
    """Return what identifies a task between two commands: the names of its work and of its item."""
    return task.work.name, task.name


@dataclass(frozen=True)
class Job:
    """A job as SLURM knows it; SLURM forgets a job five minutes after its end, by default.

    number : of the array and of the job in it, such as 12_3 · reason : why it is not running
    """

    number: str
    state: str
    reason: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ALIVE


@dataclass
class Array:
    """An array of jobs that was submitted.

    folder : of the logs · name : of the jobs, drawn by chance
    chunks : tasks of each job · numbers : of the jobs, such as 12_0; empty if the command was killed meanwhile
    """

    folder: Path
    name: str
    chunks: list[list[Key]]
    numbers: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Path of the file that remembers it."""
        return self.folder / f"{self.name}.json"

    @property
    def number(self) -> str:
        """Number of the array, which `scancel` takes; "" if it is unknown."""
        return self.numbers[0].partition("_")[0] if self.numbers else ""

    def write(self) -> None:
        write_text(self.file, json.dumps({"chunks": self.chunks, "jobs": self.numbers}) + "\n")

    def remove(self) -> None:
        """Remove what nobody needs when all jobs have ended; the logs stay."""
        with suppress(OSError):
            for number in self.numbers:
                for name in (f"{number}_submitted.pkl", f"{number}_0_result.pkl"):
                    (self.folder / name).unlink(missing_ok=True)
            script = self.folder / f"{self.number}_submission.sh"
            for link in self.folder.glob(".submission_file_*.sh"):
                if link.is_symlink() and link.readlink() == script:
                    link.unlink(missing_ok=True)
            script.unlink(missing_ok=True)
            self.file.unlink(missing_ok=True)

    def log(self, place: int) -> str:
        """Return the path of the log of a job, "" if its number is not known."""
        return str(self.folder / f"{self.numbers[place]}_0_log.out") if self.numbers else ""


def new_array(folder: Path, chunks: Iterable[Sequence[Task]]) -> Array:
    """Return an array that is yet to be submitted."""
    keys = [[key_of(task) for task in chunk] for chunk in chunks]
    return Array(folder, f"{PREFIX}{uuid.uuid4().hex[:10]}", keys)


def log_folder(works: Sequence[Work]) -> Path:
    """Return the folder of the logs of a command: in the run if it has only one, otherwise beside the runs."""
    first = Path(works[0].folder)
    return (first if len(works) == 1 else first.parent) / LOGS


def read_arrays(works: Iterable[Work]) -> list[Array]:
    """Return the arrays that earlier commands have submitted for these works, as far as their files can be read."""
    folders = dict.fromkeys(folder / LOGS for work in works for folder in (Path(work.folder), Path(work.folder).parent))
    found = []
    for file in (file for folder in folders for file in sorted(folder.glob(f"{PREFIX}*.json"))):
        with suppress(OSError, ValueError, KeyError, TypeError):
            held = read_json(file)
            chunks = [[(str(work), str(item)) for work, item in chunk] for chunk in held["chunks"]]
            found.append(Array(file.parent, file.stem, chunks, [str(number) for number in held["jobs"]]))
    return found


def read_result(array: Array, place: int) -> tuple[str, Any] | None:
    """Return ("success", what a job returned) or ("error", its traceback); None while it runs, or if it was killed."""
    if not array.numbers:
        return None
    try:
        with (array.folder / f"{array.numbers[place]}_0_result.pkl").open("rb") as file:
            found: tuple[str, Any] = pickle.load(file)
            return found
    except (OSError, EOFError):
        return None


def forgotten(array: Array, place: int) -> Job:
    """Return a job that SLURM doesn't know any more; what it left tells whether it came to its end."""
    result = read_result(array, place)
    return Job("", "COMPLETED" if result is not None and result[0] == "success" else "")


CAUSES = {
    "CANCELLED": "its job was cancelled with scancel. The same command submits it again.",
    "OUT_OF_MEMORY": "its job ran out of memory. Give more, for example --slurm mem=32G.",
    "TIMEOUT": "SLURM ended its job at the time limit. Give more with --slurm time=MINUTES.",
    "DEADLINE": "SLURM ended its job at its deadline.",
    "NODE_FAIL": "the node of its job failed.",
    "BOOT_FAIL": "the node of its job did not start.",
}
UNKNOWN = "its job is gone, and SLURM doesn't say why; it may have been killed for lack of memory."


def cause(array: Array, place: int, job: Job) -> str:
    """Return why a job has ended without doing its tasks, in the same words for all jobs with the same cause."""
    if job.state in CAUSES:
        return CAUSES[job.state]
    kind, told = read_result(array, place) or ("", "")
    lines = str(told).strip().splitlines() if kind == "error" else _end_of_log(array, place)
    if not lines and job.state == "FAILED":
        return f"its job failed without a log. Its node may not see {array.folder}, which must be on a shared disk."
    if not lines or lines[-1].startswith("submitit "):  # submitit's own line, that a task has begun
        return UNKNOWN
    last = re.sub(r"^(mer_cli\.errors\.\w+|srun: error: \S+): ", "", lines[-1].strip())
    return f"its job failed: {last.rstrip('.')}."


def _end_of_log(array: Array, place: int) -> list[str]:
    try:
        with Path(array.log(place)).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - END_OF_LOG))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]

"""Submit jobs through submitit, and ask which of them are queued or running; SLURM's accounting is never asked."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, Protocol

import psutil

from mer_cli.engines.slurm_options import Partition, require_submitit
from mer_cli.engines.slurm_record import Job
from mer_cli.errors import ConfigError, RunError

ANSWER_S = 60.0  # how long SLURM's commands may take
MOST_JOBS = 1000  # of an array, by SLURM's default
ENDLESS = 1_000_000  # times that submitit may put a job back into the queue: each time, `ChunkJob` does what is missing


class Queue(Protocol):
    """Something that jobs are submitted to."""

    def submit(self, calls: Sequence[Callable[[], Any]], folder: Path, name: str, wanted: dict[str, Any]) -> list[str]:
        """Submit a job for each call, and return their numbers.

        Parameters
        ----------
        folder : of the logs · name : of the jobs, by which `jobs` finds them · wanted : submitit's parameters
        """

    def jobs(self, name: str, numbers: Sequence[str]) -> Mapping[int, Job] | None:
        """Return the jobs of a name by their place in the array; None if they can't be asked for now."""

    def cancel(self, numbers: Sequence[str]) -> None:
        """Stop jobs."""

    def partitions(self) -> Sequence[Partition]: ...


class SlurmQueue:
    """The queue of a SLURM cluster."""

    def __init__(self) -> None:
        require_submitit()
        missing = [tool for tool in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(tool) is None]
        if missing:
            raise ConfigError(
                f"--engine slurm: there is no {missing[0]} on the PATH. Run the command on a login node of a SLURM "
                "cluster, or leave --engine out."
            )

    def submit(self, calls: Sequence[Callable[[], Any]], folder: Path, name: str, wanted: dict[str, Any]) -> list[str]:
        submitit = require_submitit()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            executor = submitit.SlurmExecutor(folder, max_num_timeout=ENDLESS)
            executor.update_parameters(
                **wanted, job_name=name, stderr_to_stdout=True, additional_parameters={"requeue": True}
            )
            with redirect_stderr(io.StringIO()):  # submitit prints what sbatch says, and raises it
                return [str(job.job_id) for job in executor.submit_array(calls)]
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise RunError(f"--engine slurm: sbatch refuses the jobs: {in_one_line(str(error))}") from None
        except OSError as error:  # of a full disk, for example
            raise RunError(
                f"--engine slurm: {folder}: the jobs and their logs can't be written ({error.strerror}), and none was "
                "submitted. Make room, or give yourself permission to write there."
            ) from None

    def jobs(self, name: str, numbers: Sequence[str]) -> Mapping[int, Job] | None:
        done = _ask("squeue", "--noheader", "--array", "--states=all", f"--name={name}", "--format=%i|%T|%r")
        if done.returncode:
            return None
        lines = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
        return {_place(number): Job(number, state, reason) for number, state, reason in lines}

    def cancel(self, numbers: Sequence[str]) -> None:
        if numbers:
            _ask("scancel", *numbers)

    def partitions(self) -> Sequence[Partition]:
        done = _ask("sinfo", "--noheader", "--format=%P|%l")
        if done.returncode:
            raise RunError(f"--engine slurm: SLURM doesn't answer: {in_one_line(done.stderr)}")
        lines = dict.fromkeys(done.stdout.splitlines())  # a partition has a line for each state of its nodes
        fields = [line.partition("|") for line in lines]
        return [Partition(name.rstrip("*"), minutes_of(limit), name.endswith("*")) for name, _, limit in fields]


class LocalQueue:
    """Processes of this machine that submitit starts in place of jobs: for a machine without SLURM, and for tests."""

    def __init__(self) -> None:
        self.started: list[Any] = []  # held, because a process that nobody waits for stays

    def submit(self, calls: Sequence[Callable[[], Any]], folder: Path, name: str, wanted: dict[str, Any]) -> list[str]:
        executor = require_submitit().LocalExecutor(folder, max_num_timeout=ENDLESS)
        executor.update_parameters(
            timeout_min=wanted["time"], signal_delay_s=wanted["signal_delay_s"], stderr_to_stdout=True
        )
        jobs = executor.submit_array(calls)
        self.started += jobs
        return [str(job.job_id) for job in jobs]

    def jobs(self, name: str, numbers: Sequence[str]) -> Mapping[int, Job] | None:
        for job in self.started:
            job.done()
        return {place: Job(number, "RUNNING") for place, number in enumerate(numbers) if _is_job(int(number))}

    def cancel(self, numbers: Sequence[str]) -> None:
        for job in self.started:
            if str(job.job_id) in numbers:
                job.cancel()

    def partitions(self) -> Sequence[Partition]:
        return ()


def _is_job(process: int) -> bool:
    try:
        found = psutil.Process(process)
        return found.status() != psutil.STATUS_ZOMBIE and any("submitit" in part for part in found.cmdline())
    except psutil.Error:
        return False


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _place(number: str) -> int:
    """Return the place in its array of a job such as 12_3; a job without an array is the first."""
    return int(number.partition("_")[2] or 0)


def minutes_of(limit: str) -> int | None:
    """Return a time such as 1-02:30:00, 2:00:00 or 30:00 in minutes; None without a limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if found is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in found.groups())
    return days * 1440 + hours * 60 + minutes


def in_one_line(text: str) -> str:
    """Return what a program of SLURM wrote, in a sentence: without the name of the program before each line."""
    lines = [re.sub(r"^(sbatch|sinfo|squeue): (error: )?", "", line.strip()) for line in text.splitlines()]
    return ". ".join(line.rstrip(".") for line in lines if line) + "."

"""Read the options of --slurm, and decide what a job asks SLURM for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mer_cli.engines.engine import Needs
from mer_cli.errors import ConfigError, did_you_mean, shortened, unknown_name
from mer_cli.system.extras import import_extra

Options = Mapping[str, str]

NUMBERS = {"time": 1, "cpus_per_task": 1, "cpus_per_gpu": 1, "signal_delay_s": 1, "array_parallelism": 1}  # smallest
GPUS = ("gres", "gpus_per_node", "gpus_per_task")
MEMORY = ("mem", "mem_per_cpu", "mem_per_gpu")
# What this engine decides itself, and what is not a plain value.
OWN = {
    *("job_name", "nodes", "ntasks_per_node", "num_gpus", "setup", "teardown", "additional_parameters", "srun_args"),
    *("use_srun", "stderr_to_stdout", "wckey", "dependency"),
}

SIGNAL_DELAY_S = 90  # seconds before its time limit that a job is told of it
ARRAY_PARALLELISM = 256  # jobs of a command that run at once
SLURMS_MINUTE_S = 60  # SLURM looks at time limits once a minute


def require_submitit() -> Any:
    """Import and return submitit, which is an extra."""
    return import_extra("--engine slurm", "submitit", "submitit", "slurm")


def known_options() -> tuple[str, ...]:
    """Return the names of the options that --slurm takes: those of submitit but what the engine decides itself."""
    known = require_submitit().SlurmExecutor._valid_parameters()
    return tuple(sorted(known - OWN))


def parse_slurm_options(text: str) -> dict[str, str]:
    """Return the options in a text such as "partition=gpu,gres=gpu:1,time=120", with checked names and values.

    A part without "=" belongs to the value before it, so that "exclude=node1,node2" excludes two nodes.
    """
    known = known_options()
    options: dict[str, str] = {}
    name = ""
    for part in text.split(","):
        written, equals, value = (piece.strip() for piece in part.partition("="))
        if equals:
            name = written.removeprefix("--").replace("-", "_")
            if name not in known:
                raise ConfigError(f"--slurm: {unknown_name('option', name, known)}")
            if name in options:
                raise ConfigError(f"--slurm: '{name}' is given twice. Give it once.")
            options[name] = value
        elif name and written and written.replace("-", "_") not in known:
            options[name] += f",{written}"
        else:
            raise ConfigError(
                f"--slurm: '{shortened(part.strip())}' has no value. Expected name=value, with commas between several, "
                "such as partition=gpu,time=120."
            )
    check_options(options)
    return options


def check_options(options: Options) -> None:
    """Raise a ConfigError for a value that SLURM can't use, as far as that can be seen without SLURM."""
    for name, value in options.items():
        if not value:
            raise ConfigError(f"--slurm {name}: it has no value. Give one, such as {name}={_example(name)}.")
        if re.search(r"[\s\x00-\x1f]", value):
            raise ConfigError(f"--slurm {name}={shortened(value)}: a value has no spaces. Take them out.")
        if name in NUMBERS and not (re.fullmatch(r"[0-9]{1,9}", value) and int(value) >= NUMBERS[name]):
            unit = " of minutes" if name == "time" else ""
            raise ConfigError(
                f"--slurm {name}={shortened(value)}: expected a whole number{unit}, at least {NUMBERS[name]}. "
                f"For example: {name}={_example(name)}."
            )
        if name in MEMORY and not re.fullmatch(r"[0-9]{1,12}[KMGT]?B?", value, re.IGNORECASE):
            raise ConfigError(
                f"--slurm {name}={shortened(value)}: expected a number with a unit, K, M, G or T. "
                f"For example: {name}={_example(name)}."
            )
    _check_time(options)


def _check_time(options: Options) -> None:
    if "time" not in options:
        return
    minutes, delay = int(options["time"]), int(options.get("signal_delay_s", SIGNAL_DELAY_S))
    if minutes * 60 < delay + SLURMS_MINUTE_S:
        raise ConfigError(
            f"--slurm time={minutes}: a job is told {delay} seconds before its time limit, so it would have no time to "
            f"work. Expected at least {-(-(delay + SLURMS_MINUTE_S) // 60)} minutes. Give more, or a smaller "
            "signal_delay_s."
        )


def _example(name: str) -> str:
    return {
        "time": "120",
        "signal_delay_s": "90",
        "array_parallelism": "20",
        "gres": "gpu:1",
        "partition": "gpu",
        **dict.fromkeys(MEMORY, "16G"),
    }.get(name, "1")


@dataclass(frozen=True)
class Partition:
    """A partition of a cluster: `limit_min` is the longest time of a job in minutes, None without a limit."""

    name: str
    limit_min: int | None = None
    is_default: bool = False


def time_limit(options: Options, partitions: Sequence[Partition]) -> int | None:
    """Return the longest time that a job may take, in minutes: by --slurm, else by its partition; None without a limit.

    Raises
    ------
    ConfigError
        If a partition is not there, or allows less time than --slurm asks for.
    """
    by_name = {each.name: each for each in partitions}
    named = options["partition"].split(",") if "partition" in options else [p.name for p in partitions if p.is_default]
    for name in named:
        if name not in by_name:
            raise ConfigError(
                f"--slurm partition={shortened(name)}: this cluster has no such partition. It has: "
                f"{', '.join(by_name)}.{did_you_mean(name, by_name)}"
            )
    limits = [limit for name in named if (limit := by_name[name].limit_min) is not None]
    if "time" not in options:
        return min(limits, default=None)
    minutes = int(options["time"])
    if limits and len(limits) == len(named) and minutes > max(limits):
        raise ConfigError(
            f"--slurm time={minutes}: partition {','.join(named)} ends jobs after {max(limits)} minutes. "
            f"Give time={max(limits)} or less: what is missing then is submitted again."
        )
    return minutes


def resources(options: Options, needs: Iterable[Needs]) -> dict[str, Any]:
    """Return what each job of a command asks SLURM for: what --slurm says, otherwise the most that any task needs.

    A job does its tasks one after the other. The number of threads is asked for as cpus_per_task, so that a job finds
    it in SLURM_CPUS_PER_TASK; with None, the partition decides.
    """
    wanted: dict[str, Any] = {name: int(value) if name in NUMBERS else value for name, value in options.items()}
    several = tuple(needs)
    threads = [each.threads for each in several]
    if not {"cpus_per_task", "cpus_per_gpu"} & wanted.keys() and None not in threads:
        wanted["cpus_per_task"] = max(each for each in threads if each is not None)
    if any(each.device == "cuda" for each in several) and not wanted.keys() & set(GPUS):
        wanted["gpus_per_node"] = "1"
    if "cpus_per_task" in wanted:  # srun of SLURM 22.05 and later doesn't ask sbatch
        wanted["srun_args"] = [f"--cpus-per-task={wanted['cpus_per_task']}"]
    return wanted

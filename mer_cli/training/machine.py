"""The facts about a machine that a plan rests on, so that a run can be planned here and trained on another machine.

The facts are gathered by `this_machine` on the machine that trains, and sent to the one that plans.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import TypeAdapter

from mer_cli import __version__
from mer_cli.engines.engine import Engine, Needs
from mer_cli.errors import RunError
from mer_cli.system.documents import read_json
from mer_cli.system.files import write_text
from mer_cli.system.workers import available_memory

COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("gcc", "clang")}
ANSWERS = Path("~/.cache/mer/machines")
MONTH_S = 30 * 86_400
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """The facts about a machine, as a process on it sees them; they can be pickled.

    host : name of the machine
    processor : name of the processor · threads : torch's threads, by default one for each core that the process may use
    memory : bytes that new processes can use without swapping, None if unknown
    gpus : names of the NVIDIA GPUs that torch can use, first the one that the process calls `cuda`
    has_mps : whether torch can use an Apple GPU
    computes_bf16 : devices, such as "cpu", that compute bf16 in hardware
    can_compile : devices for which the compiler that torch.compile needs is installed
    python, torch, mer : their versions · platform : name and version of the operating system
    """

    host: str
    processor: str
    threads: int
    memory: int | None
    gpus: tuple[str, ...]
    has_mps: bool
    computes_bf16: tuple[str, ...]
    can_compile: tuple[str, ...]
    python: str
    torch: str
    mer: str
    platform: str

    def has(self, device: str) -> bool:
        """Return whether torch can use the device on this machine."""
        return {"cuda": bool(self.gpus), "mps": self.has_mps}.get(device, True)


def this_machine(device: str = "auto") -> Machine:
    """Return the facts about this machine.

    Parameters
    ----------
    device : the device that is wanted; "cpu" leaves the GPUs out, because the names of NVIDIA GPUs can't be read
        without starting CUDA in this process, which takes a second and some of a GPU's memory
    """
    gpus = _names_of_gpus() if device in ("auto", "cuda") and torch.cuda.is_available() else ()
    devices = ("cpu", "cuda") if gpus else ("cpu",)
    return Machine(
        host=platform.node(),
        processor=_name_of_processor(CPU_INFO),
        threads=torch.get_num_threads(),
        memory=available_memory(),
        gpus=gpus,
        has_mps=torch.backends.mps.is_available(),
        computes_bf16=tuple(filter(computes_in_bf16, devices)),
        can_compile=tuple(filter(can_compile, COMPILERS)),
        python=platform.python_version(),
        torch=torch.__version__,
        mer=__version__,
        platform=platform.platform(),
    )


def _names_of_gpus() -> tuple[str, ...]:
    current = torch.cuda.current_device()
    others = (number for number in range(torch.cuda.device_count()) if number != current)
    return tuple(torch.cuda.get_device_name(number) for number in (current, *others))


@cache  # on a machine with many cores the file takes long to read
def _name_of_processor(info: Path) -> str:
    """Return the processor's name, such as "AMD EPYC 7763 64-Core Processor"; its kind where the name is unknown."""
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name")
    return next(names, "") or platform.processor() or platform.machine()


def computes_in_bf16(device: str) -> bool:
    """Return whether the device computes bf16 in hardware; emulated bf16 is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def can_compile(device: str) -> bool:
    """Return whether the compiler that torch.compile needs is installed: C++ for the CPU, C for CUDA (Triton)."""
    if device == "cuda" and "CC" in os.environ:
        return True
    return any(shutil.which(compiler) for compiler in COMPILERS[device])


def describe_environment(device: str, machine: Machine | None = None) -> dict[str, str | int]:
    """Return the facts about a machine that a run directory records: versions, device name, threads.

    Where a run for GPUs is only planned, and there is no GPU, the device is the processor.

    Parameters
    ----------
    machine : the machine that trains, if it is not this one
    """
    machine = machine or this_machine(device)
    return {
        "python": machine.python,
        "torch": machine.torch,
        "platform": machine.platform,
        "device": machine.gpus[0] if device == "cuda" and machine.gpus else machine.processor,
        "threads": machine.threads,
    }


def describe_fold(device: str) -> dict[str, str | int]:
    """Return the facts about this process that a fold records if this process trained it.

    They name the machine, its job on a cluster if there is one, and what can change the last digits of a number. They
    hold no time: a machine that trains a fold again records the same.
    """
    job = cluster_job()
    facts: dict[str, str | int] = {"host": platform.node(), **({"job": job} if job else {})}
    facts |= describe_environment(device)
    if device == "cpu":
        facts["instructions"] = torch.backends.cpu.get_cpu_capability()  # a virtual machine may hide some of them
    libc = " ".join(platform.libc_ver()).strip()
    facts["system"] = " ".join(filter(None, (platform.system(), platform.machine(), libc)))
    return facts | {"mer": __version__} | {name: version(name) for name in ("numpy", "scikit-learn")}


def ask_machine(engine: Engine, device: str, jobs: str = "") -> Machine:
    """Return the facts about a machine on which an engine does tasks; the answer of a SLURM job is kept for a month.

    Parameters
    ----------
    device : the device that is wanted, as in `this_machine` · jobs : options of the jobs, which decide the machine
    """
    needs = Needs(threads=None, device="cuda" if device == "cuda" else "cpu")
    question = partial(this_machine, device)
    if not engine.is_detached:
        return engine.ask(question, needs)
    cluster = os.environ.get("SLURM_CONF", "")
    asked = f"{jobs} {device} {cluster} {platform.node()} {__version__} {torch.__version__} {sys.prefix}"
    file = ANSWERS.expanduser() / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    with suppress(OSError, ValueError):  # of an answer that is not there or damaged
        if time.time() - file.stat().st_mtime < MONTH_S:
            return TypeAdapter(Machine).validate_python(read_json(file))
    machine = engine.ask(question, needs)
    with suppress(RunError):
        write_text(file, json.dumps(asdict(machine), indent=2) + "\n")
    return machine


def cluster_job() -> str:
    """Return the cluster's job that this process belongs to, such as "slurm 1234_5"; "" if there is none."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    slurm = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
    found = {"ray": os.environ.get("RAY_JOB_ID"), "slurm": slurm}
    return ", ".join(f"{cluster} {job}" for cluster, job in found.items() if job)

"""`mer doctor`: check what this machine has and lacks, with the fix; each library is imported to see that it works."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.errors import MerError

PREDICTOR_LICENCE = (
    "its author states that this model, trained on iBUG 300-W, can't be used in a commercial product; it is never "
    "shipped with mer"
)
EXTRAS = (  # what it is for, its module, and the extra that installs it
    ("TensorBoard (train --log tensorboard)", "tensorboard", "tensorboard"),
    ("MLflow (train --log mlflow)", "mlflow", "mlflow"),
    ("Weights & Biases (train --log wandb)", "wandb", "wandb"),
    ("PyAV (videos: exact time stamps, jumps to late clips)", "av", "video"),
    ("Ray (--engine ray)", "ray", "ray"),
    ("submitit (--engine slurm)", "submitit", "slurm"),
)


@dataclass(frozen=True)
class Finding:
    """The result of one check. `fix` is empty if nothing is to be done; `needed` is False if mer runs without it."""

    what: str
    found: str
    fix: str = ""
    needed: bool = True

    @property
    def is_missing(self) -> bool:
        return bool(self.fix) and self.needed


def examine(folder: Path = Path()) -> list[Finding]:
    """Return the results of all checks: whether this machine has what the commands may need.

    Parameters
    ----------
    folder : where data/ and runs/ would be written, for the check of free space
    """
    return [
        Finding("Python", f"{platform.python_version()} ({sys.executable})"),
        _opencv(),
        _library("dlib", "dlib", "pip install dlib-bin"),
        _predictor(),
        _library("h5py", "h5py", "pip install h5py"),
        _library("PyTorch", "torch", "pip install torch torchvision"),
        _device(),
        _compiler(),
        *(_library(what, module, f"pip install 'mer-cli[{extra}]'", needed=False) for what, module, extra in EXTRAS),
        _disk(folder),
    ]


def _library(what: str, module: str, fix: str, *, needed: bool = True) -> Finding:
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        return Finding(what, f"can't be imported: {error}", fix, needed)
    return Finding(what, str(getattr(found, "__version__", "installed")))


def _opencv() -> Finding:
    try:
        from mer_cli.system.opencv import cv2

        return Finding("OpenCV", str(cv2.__version__))
    except MerError as error:
        return Finding("OpenCV", "can't be imported", str(error))


def _predictor() -> Finding:
    what = "68-point model (preprocess)"
    try:
        from mer_cli.faces.landmarks import find_predictor

        return Finding(what, f"{find_predictor()}; {PREDICTOR_LICENCE}")
    except (MerError, ImportError) as error:
        return Finding(what, "not found", str(error))


def _device() -> Finding:
    try:
        import torch

        from mer_cli.training.machine import computes_in_bf16
    except ImportError:
        return Finding("device", "unknown without PyTorch")
    if torch.cuda.is_available():
        device, name = "cuda", torch.cuda.get_device_name()
    else:
        why = "this torch is built without CUDA"
        if torch.version.cuda:
            why = "torch sees no GPU: check whether nvidia-smi does, and CUDA_VISIBLE_DEVICES"
        device, name = "cpu", f"CPU, {torch.get_num_threads()} threads ({why})"
    return Finding("device", f"{name}; trains in {'bf16' if computes_in_bf16(device) else 'fp32'}")


def _compiler() -> Finding:
    what = "compiler (train --compile)"
    found = next(filter(None, map(shutil.which, ("g++", "clang++", "gcc", "clang"))), None)
    if found:
        return Finding(what, found)
    return Finding(
        what, "not found: needed for compiled training, such as long runs on a GPU", "apt-get install g++", needed=False
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{free:.1f} GB free in {os.fspath(folder.resolve())}"
    if free < 2:
        fix = "free some space: a store of CASME II takes about 0.5 GB, a run with weights 1 GB"
        return Finding("disk", found, fix)
    return Finding("disk", found)


@app.command()
def doctor() -> None:
    """Check what this machine has and lacks for each command, and print the fix.

    Example: mer doctor
    """
    findings = examine()
    show_findings(findings)
    if any(finding.is_missing for finding in findings):
        raise typer.Exit(1)


def show_findings(findings: Iterable[Finding]) -> None:
    """Print each finding on a line, and the fix below it."""
    for finding in findings:
        mark = "missing" if finding.is_missing else "advice" if finding.fix else "ok"
        console.print_lines([f"{mark:8}{finding.what}: {finding.found}"])
        if finding.fix:
            console.print_lines([f"        fix: {finding.fix}"])

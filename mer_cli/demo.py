"""The main job on generated faces: the commands that a user types, each shown and run in a folder of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mer_cli.errors import ConfigError

# Three emotions, so that the three classes of `mmnet3` are balanced, and motion of 3-9 pixels instead of 1-3: a
# network with 9 million weights that sees 40 clips for a few minutes learns nothing of less.
SYNTH = "mer synth casme2 raw --subjects 6 --clips 48 --intensity 3 --emotions happiness,surprise,disgust"
COMMANDS = (
    "mer preprocess casme2 raw",
    "mer info",
    "mer train --loso --scheme mmnet3 --recipe quick",
    "mer evaluate",
    "mer report --table 6 --out report.md",
)


def run_demo(folder: Path, seed: int, show: Callable[[str], None]) -> None:
    """Runs each command in `folder`, which is made; a demo that was interrupted there continues.

    Parameters
    ----------
    seed : of the faces and of the training
    show : given each command line before it runs

    Raises
    ------
    ConfigError
        If the folder holds something else, or a command fails.
    """
    marker = folder / "faces.txt"  # the command that drew the faces, written when they are all there
    synth = f"{SYNTH} --seed {seed}"
    drawn = marker.read_text().strip() if marker.exists() else ""
    if drawn not in ("", synth):
        raise ConfigError(
            f"{folder}: holds the demo of other faces ({drawn}) — expected those of --seed {seed}. Give another --out."
        )
    if not drawn and folder.exists() and {path.name for path in folder.iterdir()} - {"raw"}:
        raise ConfigError(f"{folder}: holds files that no demo wrote — expected an empty folder. Give another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    if not drawn:
        _run(synth, folder, show)
        marker.write_text(synth + "\n")
    for line in COMMANDS:
        _run(f"{line} --seed {seed}" if line.startswith("mer train") else line, folder, show)


def _run(line: str, folder: Path, show: Callable[[str], None]) -> None:
    show(line)
    done = subprocess.run([sys.executable, "-m", "mer_cli", *shlex.split(line)[1:]], cwd=folder, check=False)
    if done.returncode:
        raise ConfigError(
            f"{line}: ended with exit code {done.returncode} in {folder} — expected 0. Mend what it says above and run "
            "the demo again: finished work is kept."
        )

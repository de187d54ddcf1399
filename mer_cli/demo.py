"""The whole pipeline on generated faces: the commands that a user types, each shown and run in a folder of its own.

MMNet is trained once, on the faces of one release, and tested on other people in another one: a fold for each of the 24
would take a processor without bf16 two hours. A fast method is trained and tested on the same clips.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import ConfigError

# The motion peaks at 8 to 24 pixels instead of 1 to 3, because MMNet sees each clip only a few times. Many people with
# one clip of each emotion, because of a few people it learns the faces instead of the motion (docs/performance.md).
FACES = "--intensity 8 --emotions happiness,surprise,disgust"
FACES_FILE = "faces.txt"  # in the demo's folder: the commands that have drawn their faces
OTHER_FACES = 1000  # added to the seed: people of one seed are the same in every release
COMMANDS = (
    "mer preprocess casme2 raw/casme2",
    "mer preprocess casme raw/casme",
    "mer train data/casme2.h5 --test data/casme.h5 --scheme labels --model flow-svm --flow fast",
    "mer train data/casme2.h5 --test data/casme.h5 --scheme labels --recipe quick --epochs 5 --decay .5 --seed {seed}",
    "mer report --format html --out report.html",
)


def draw_faces(seed: int) -> tuple[str, ...]:
    """Return the commands that draw the faces of a seed: one release to train on, another with other people in it."""
    return (
        f"mer synth casme2 raw/casme2 --subjects 24 --clips 72 {FACES} --seed {seed}",
        f"mer synth casme raw/casme --subjects 12 --clips 36 {FACES} --seed {seed + OTHER_FACES}",
    )


def run_demo(folder: Path, seed: int, show: Callable[[str], None]) -> list[Path]:
    """Run each command in `folder`, which is made; a demo that was interrupted there continues.

    Parameters
    ----------
    seed : of the faces and of MMNet's training
    show : told each command line before it runs

    Returns
    -------
    The directories of the demo's own runs.

    Raises
    ------
    ConfigError
        If the folder holds something else, or a command fails.
    """
    synth = draw_faces(seed)
    try:
        drawn = _drawn_before(folder, synth)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be used as a folder ({error.strerror}). Give another --out.") from None
    for line in synth[len(drawn) :]:
        _run(line, folder, show)
        drawn.append(line)
        (folder / FACES_FILE).write_text("\n".join(drawn) + "\n", encoding="utf-8")
    printed = [_run(line.format(seed=seed), folder, show) for line in COMMANDS]
    return [folder / run for run in printed if run]


def _drawn_before(folder: Path, synth: Sequence[str]) -> list[str]:
    """Return the commands whose faces an earlier demo has drawn into the folder; refuse anything else in it."""
    if not folder.exists() or not any(folder.iterdir()):
        return []
    try:
        drawn = (folder / FACES_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        drawn = []
    if not drawn and {path.name for path in folder.iterdir()} - {"raw"}:
        raise ConfigError(f"{folder}: holds files that the demo did not write. Give another --out.")
    if drawn != [*synth[: len(drawn)]]:
        raise ConfigError(
            f"{folder}: holds a demo whose faces were drawn by other commands ({FACES_FILE}). Give another --out, or "
            "delete the folder."
        )
    return list(takewhile(lambda line: (folder / shlex.split(line)[3] / STAMP).exists(), drawn))


def _run(line: str, folder: Path, show: Callable[[str], None]) -> str:
    """Run a command line in the folder; return the run's path that `mer train` prints, nothing of other commands."""
    show(line)
    command = [sys.executable, "-m", "mer_cli", *shlex.split(line)[1:]]
    stdout = subprocess.PIPE if line.startswith("mer train") else None  # the others print for the terminal's width
    process = subprocess.Popen(command, cwd=folder, stdout=stdout, text=True, encoding="utf-8")
    try:
        printed, _ = process.communicate()
    except KeyboardInterrupt:
        _wait_for_end(process)
        raise
    path = (printed or "").strip()
    if process.returncode:
        raise ConfigError(
            f"{line}: ended with exit code {process.returncode} in {folder}. Mend what it says above and run the "
            "demo again (finished work is kept), or give another --out."
        )
    if path:
        print(path)
    return path


def _wait_for_end(process: subprocess.Popen[str]) -> None:
    """Let an interrupted command tidy up: Ctrl-C has reached it as well, a signal to the demo alone has not."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()

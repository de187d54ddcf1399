"""Commands stopped at random moments, again and again: the same command then ends with an undisturbed run's bytes.

The moments are drawn by seed over the time that the command takes undisturbed, so that start-up, work and end are all
hit. A command that ends before its moment has finished: its output is compared, and it starts anew.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from campaign import digest
from safetensors import safe_open

MER = [sys.executable, "-m", "mer_cli"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
STARTED_S = 1.0  # before that, Python itself may answer a signal with a traceback
LONGEST_S = 300


class Command(NamedTuple):
    """A command line as it is typed in a folder of its own, what to compare, and what it needs in the folder."""

    words: list[str]
    result: Callable[[Path], object]
    needs: tuple[str, ...]


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def release(folder: Path) -> object:
    return list(files_below(folder / "raw"))


def store(folder: Path) -> object:
    """The store's bytes and the audit's; no part of an interrupted build is left."""
    left = [path.name for path in folder.iterdir() if "partial" in path.name or path.name.endswith((".parts", ".lock"))]
    assert left == []
    return [(name, content) for name, content in files_below(folder) if not name.startswith("raw/")]


def runs(folder: Path) -> object:
    """All that a run holds but times and sessions; the stored logits and weights bit by bit."""
    found: list[tuple[str, object]] = []
    for name, content in files_below(folder / "runs"):
        path = folder / "runs" / name
        assert not name.endswith(".partial"), name
        if path.name == "logits.npz":
            with np.load(path) as arrays:
                found.append((name, {key: arrays[key] for key in arrays.files}))
        elif path.suffix == ".safetensors":  # the order of its header's entries is drawn anew in each process
            with safe_open(path, "numpy") as weights:
                found.append((name, weights.metadata()))
                found.append((name, {key: weights.get_tensor(key) for key in weights.keys()}))  # noqa: SIM118
        elif path.name not in ("history.csv", "done", "environment.json"):  # seconds, and a checksum of them
            found.append((name, content))
    return found


TRAIN = ["train", "casme2.h5", "--loso", "--out", "runs", "--folds-at-once", "1"]
COMMANDS = {
    "synth": Command(["synth", "casme2", "raw", "--subjects", "3", "--clips", "6"], release, ()),
    "preprocess": Command(["preprocess", "casme2", "raw", "--out", "casme2.h5", "--jobs", "1"], store, ("raw",)),
    "train-ststnet": Command(
        [*TRAIN, "--model", "ststnet", "--flow", "fast", "--epochs", "20", "--save-weights", "last"],
        runs,
        ("casme2.h5",),
    ),
    "train-mmnet": Command([*TRAIN, "--epochs", "2", "--batch-size", "2"], runs, ("casme2.h5",)),
    "compare-methods": Command(
        ["compare-methods", "casme2.h5", "--methods", "flow-svm,ststnet", "--epochs", "20", "--flow", "fast"],
        runs,
        ("casme2.h5",),
    ),
}


def start(command: Command, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*MER, *command.words],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(command: Command, folder: Path) -> None:
    process = start(command, folder)
    words, _ = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0, words


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A generated release and its store, by undisturbed commands."""
    folder = tmp_path_factory.mktemp("made")
    run(COMMANDS["synth"], folder)
    run(COMMANDS["preprocess"], folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory) -> Callable[[str], tuple[str, float]]:
    """Return the digest of a command's result and the seconds that it takes, when nothing disturbs it."""
    held: dict[str, tuple[str, float]] = {}

    def of(name: str) -> tuple[str, float]:
        if name not in held:
            folder = tmp_path_factory.mktemp(name)
            prepare(folder, name, made)
            begun = time.monotonic()
            run(COMMANDS[name], folder)
            held[name] = digest(COMMANDS[name].result(folder)), time.monotonic() - begun
        return held[name]

    return of


def prepare(folder: Path, name: str, made: Path) -> None:
    """Empty a folder but for what a command needs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for needed in COMMANDS[name].needs:
        (folder / needed).symlink_to(made / needed)


def stop(process: subprocess.Popen[str], how: signal.Signals, after: float) -> tuple[bool, str]:
    """Send a signal after some seconds; return whether the command had ended before, and what it printed."""
    with suppress(subprocess.TimeoutExpired):
        words, _ = process.communicate(timeout=after)
        return True, words
    if how == signal.SIGTERM:
        process.send_signal(how)  # as a cluster or a service manager does, to the command alone
    else:
        os.killpg(process.pid, how)
    words, _ = process.communicate(timeout=60)
    return False, words


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# `make ci` stops the three shortest commands three times; all are stopped 50 times by each signal in a campaign.
STOPPED = [
    *(
        pytest.param(name, signal.SIGKILL, 3, marks=pytest.mark.slow)
        for name in ("synth", "preprocess", "train-ststnet")
    ),
    *(pytest.param(name, how, 50, marks=pytest.mark.campaign) for name in COMMANDS for how in SIGNALS),
]


@pytest.mark.parametrize(("name", "how", "n_kills"), STOPPED)
def test_the_same_command_ends_with_the_same_bytes_however_often_it_was_stopped(
    name, how, n_kills, made, undisturbed, tmp_path
):
    expected, seconds = undisturbed(name)
    command, draw = COMMANDS[name], random.Random(f"{name} {how.name}")
    folder = tmp_path / "work"
    prepare(folder, name, made)
    n_stopped = n_finished = 0
    while n_stopped < n_kills:
        after = draw.uniform(0, 1.1 * seconds)
        process = start(command, folder)
        ended, words = stop(process, how, after)
        if ended:
            assert process.returncode == 0, words
            assert digest(command.result(folder)) == expected
            n_finished += 1
            prepare(folder, name, made)
            continue
        n_stopped += 1
        if how != signal.SIGKILL and after > STARTED_S:
            # Python ends itself by the signal if that hits an import that compiles code, or Python's own end.
            assert process.returncode in (0, 130, -how), (process.returncode, words)
            assert "Traceback" not in words, words
    run(command, folder)
    assert digest(command.result(folder)) == expected
    print(f"{name}: {n_stopped} times {how.name}, finished {n_finished + 1} times, all with the same bytes")


N_SIZES = 6


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts a disk of so many bytes and files, or changes their number, and its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def of(n_bytes: int, n_files: int) -> Path:
        nonlocal mounted
        how = f"{'remount,' if mounted else ''}size={n_bytes},nr_inodes={n_files}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("only root may mount a disk")
        mounted = True
        return folder

    yield of
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def room(folder: Path) -> tuple[int, int]:
    """Return the bytes and the files that a folder needs, without what its links lead to."""
    held = [path for path in folder.rglob("*") if not path.is_symlink()]
    return sum(path.stat().st_size for path in held if path.is_file()), len(held)


@pytest.mark.campaign
@pytest.mark.parametrize("lacking", ["bytes", "files"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_clear_error_and_with_room_the_same_command_goes_on(
    name, lacking, made, undisturbed, disk, tmp_path
):
    expected, _ = undisturbed(name)
    command = COMMANDS[name]
    (tmp_path / "measured").mkdir()
    prepare(tmp_path / "measured", name, made)
    run(command, tmp_path / "measured")
    n_bytes, n_files = room(tmp_path / "measured")
    ends: list[str] = []
    for share in range(1, N_SIZES + 1):
        given = {"bytes": 4 * n_bytes, "files": 4 * n_files + 20}
        given[lacking] = given[lacking] * share // (4 * N_SIZES)
        mounted = disk(max(given["bytes"], 1 << 14), max(given["files"], 4))
        work = mounted / "work"
        try:
            prepare(work, name, made)
        except OSError:
            continue  # not even the folder fits
        process = start(command, work)
        words, _ = process.communicate(timeout=LONGEST_S)
        ends.append(f"{process.returncode}")
        assert process.returncode in (0, 1), words
        assert "Traceback" not in words, words
        if process.returncode == 1:
            assert words.count("error:") == 1, words
            assert ("No space left" in words) or ("full" in words), words
        disk(8 * n_bytes + (64 << 20), 8 * n_files + 200)
        run(command, work)
        assert digest(command.result(work)) == expected
        shutil.rmtree(work)
    print(f"{name}, too few {lacking}: exit codes {' '.join(ends)}, then the same bytes")


@pytest.mark.campaign
@pytest.mark.parametrize("apart", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("name", COMMANDS)
def test_two_of_the_same_command_at_once_end_with_the_same_bytes(name, apart, made, undisturbed, tmp_path):
    expected, _ = undisturbed(name)
    command, work = COMMANDS[name], tmp_path / "work"
    prepare(work, name, made)
    first = start(command, work)
    time.sleep(apart)
    second = start(command, work)
    for process in (first, second):
        words, _ = process.communicate(timeout=LONGEST_S)
        assert process.returncode == 0 or (process.returncode == 1 and "error:" in words), words
        assert "Traceback" not in words, words
    assert 0 in (first.returncode, second.returncode)
    run(command, work)
    assert digest(command.result(work)) == expected


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["preprocess", "compare-methods"])
def test_a_worker_that_the_kernel_kills_costs_nothing_finished(name, made, undisturbed, tmp_path):
    expected, seconds = undisturbed(name)
    command, draw = COMMANDS[name], random.Random(name)
    work = tmp_path / "work"
    n_killed = 0
    for _ in range(10):
        prepare(work, name, made)
        process = start(command, work)
        time.sleep(draw.uniform(STARTED_S, seconds))
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            with suppress(psutil.NoSuchProcess):
                child.kill()
                n_killed += 1
        words, _ = process.communicate(timeout=LONGEST_S)
        assert process.returncode in (0, 1), words
        assert "Traceback" not in words, words
        run(command, work)
        assert digest(command.result(work)) == expected
    assert n_killed
    print(f"{name}: {n_killed} workers killed in 10 runs, then the same bytes")

"""A build that is killed, stopped or runs out of disk: finished clips are kept, and the next start uses them."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from photo_release import write_release

from mer_cli.engines.resumable import Resumable, parts_dir
from mer_cli.store.build import build_store
from mer_cli.store.hdf5 import SIGNATURE, read_store

N_CLIPS = 4

# Builds a pickled release with one worker. It is killed after its second clip; or the worker is killed or all get a
# Ctrl-C while the worker starts; or no file may grow past a limit.
SCRIPT = """
import multiprocessing, os, pickle, resource, signal, sys, threading, time
from pathlib import Path

how, release_path, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
ended = []

def on_clip(clip_id, status):
    ended.append(clip_id)
    if len(ended) == 2 and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

def disturb_worker():
    while not multiprocessing.active_children():
        time.sleep(0.01)
    if how == "kill-worker":
        multiprocessing.active_children()[0].kill()
    else:
        time.sleep(0.3)  # in the middle of its imports
        os.killpg(0, signal.SIGINT)

if __name__ == "__main__":
    from mer_cli.errors import MerError
    from mer_cli.store.build import build_store

    if how.endswith("MB"):
        limit = int(how.removesuffix("MB")) * 1_000_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if how in ("kill-worker", "interrupt"):
        threading.Thread(target=disturb_worker, daemon=True).start()
    release = pickle.loads(release_path.read_bytes())
    try:
        build_store(release, out, jobs=1, resume=True, on_clip=on_clip)
    except MerError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("raw"), N_CLIPS)


@pytest.fixture(scope="module")
def straight_hash(release, tmp_path_factory) -> str:
    """The content of the store that is built without a stop."""
    return read_store(build(release, tmp_path_factory.mktemp("straight") / "casme2.h5", Counter())).content_hash


def build(release, out: Path, seen: Counter, *, resume: bool = True) -> Path:
    return build_store(release, out, jobs=1, resume=resume, on_clip=lambda _, status: seen.update([status])).path


def build_in_process(how: str, release, out: Path) -> subprocess.CompletedProcess[str]:
    """Build in a process group of its own that is stopped in the way `how`."""
    folder = out.parent
    (folder / "script.py").write_text(SCRIPT)
    (folder / "release.pickle").write_bytes(pickle.dumps(release))
    command = [sys.executable, "script.py", how, "release.pickle", out.name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, start_new_session=True, timeout=60)


def running_in(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    pids = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder:
                pids.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return pids


@pytest.fixture(scope="module")
def killed(release, tmp_path_factory) -> Path:
    """The folder of a build of casme2.h5 that was killed after its second clip."""
    folder = tmp_path_factory.mktemp("killed")
    assert build_in_process("kill", release, folder / "casme2.h5").returncode == -signal.SIGKILL
    return folder


def test_a_killed_build_leaves_no_worker_behind(killed):
    deadline = time.monotonic() + 10
    while (left := running_in(killed)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def test_a_killed_build_goes_on_from_its_parts(release, straight_hash, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    assert not out.exists()
    seen = Counter()
    build(release, out, seen)
    assert seen["resumed"] >= 2
    assert seen["resumed"] + seen["ok"] == N_CLIPS
    assert read_store(out).content_hash == straight_hash
    assert [path.name for path in out.parent.glob("casme2*")] == ["casme2.h5"]


def test_no_part_is_used_without_resume(release, straight_hash, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    seen = Counter()
    build(release, out, seen, resume=False)
    assert seen == {"ok": N_CLIPS}
    assert read_store(out).content_hash == straight_hash


def test_damaged_parts_are_cut_again(release, straight_hash, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    cut_short, changed, *whole = sorted(parts_dir(out).glob("*.npz"))
    cut_short.write_bytes(cut_short.read_bytes()[:-1000])
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    seen = Counter()
    build(release, out, seen)
    assert (seen["resumed"], seen["ok"]) == (len(whole), N_CLIPS - len(whole))
    assert read_store(out).content_hash == straight_hash


def test_ctrl_c_ends_the_workers_quietly_and_keeps_the_parts(release, straight_hash, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    for surplus in sorted(parts_dir(out).glob("*.npz"))[2:]:
        surplus.unlink()
    stopped = build_in_process("interrupt", release, out)
    assert (stopped.returncode, stopped.stderr) == (1, "interrupted\n")
    assert running_in(out.parent) == []
    seen = Counter()
    build(release, out, seen)
    assert seen["resumed"] >= 2
    assert read_store(out).content_hash == straight_hash


@pytest.mark.parametrize(("limit", "n_parts"), [("1MB", 0), ("4MB", N_CLIPS)])
def test_a_full_disk_is_said_and_leaves_the_store_that_was_there(release, tmp_path, limit, n_parts):
    # Files may not grow past the limit: at 1 MB no part can be written, at 4 MB the parts can but not the store.
    out = tmp_path / "casme2.h5"
    was_there = SIGNATURE + b"a store"
    out.write_bytes(was_there)
    full = build_in_process(limit, release, out)
    assert full.stderr == (
        "error: casme2.h5: cannot be written (File too large). The disk needs room for 9 MB of store and as much again "
        "for parts. Free space on the disk or give another --out, then run the same command again: finished "
        "clips are kept.\n"
    )
    assert full.returncode == 1
    assert out.read_bytes() == was_there
    assert len(list(parts_dir(out).glob("*.npz"))) == n_parts
    assert list(parts_dir(out).glob("*.partial")) == []


def test_a_dead_worker_is_said(release, tmp_path):
    done = build_in_process("kill-worker", release, tmp_path / "casme2.h5")
    assert done.stderr == (
        "error: casme2.h5: a worker process was killed while cropping clips, probably for lack of memory. Finished "
        "clips are kept. Run the same command again with --jobs 1.\n"
    )


def test_a_half_written_store_of_a_killed_build_is_removed_before_the_next_needs_the_room(tmp_path):
    work = Resumable(tmp_path / "casme2.h5", "cropping clips", room="", elsewhere="")
    work.parts.mkdir()
    (work.parts / "whole.npz").touch()
    (work.parts / ".casme2.h5-0123abcd.partial").touch()
    with work.alone():
        assert work.make_parts([], 1, print) == {}
    assert [path.name for path in work.parts.iterdir()] == ["whole.npz"]

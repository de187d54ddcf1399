"""A build of the flow that is killed, runs out of disk or loses a worker: finished clips are kept and used."""

import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from moved_store import SHIFTS, write_moved_store

from mer_cli.engines.resumable import parts_dir
from mer_cli.motion.cache import build_motion, motion_path
from mer_cli.store.hdf5 import read_store
from mer_cli.system.files import lock_file, lock_path

# Builds with one worker. It is killed after its second clip; or the worker is; or no file may grow past a limit.
SCRIPT = """
import multiprocessing, os, resource, signal, sys
from pathlib import Path

how = sys.argv[1]
ended = []

def on_clip(clip_id, status):
    ended.append(clip_id)
    if len(ended) == 2 and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if len(ended) == 1 and how == "kill-worker":
        multiprocessing.active_children()[0].kill()

if __name__ == "__main__":
    from mer_cli.errors import MerError
    from mer_cli.motion.cache import build_motion
    from mer_cli.store.hdf5 import read_store

    if how.endswith("kB"):
        limit = int(how.removesuffix("kB")) * 1000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        build_motion(read_store(Path("casme2.h5")), "tvl1", jobs=1, on_clip=on_clip)
    except MerError as error:
        sys.exit(f"error: {error}")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store alone."""
    path = tmp_path_factory.mktemp("data")
    write_moved_store(path / "casme2.h5")
    return path


def build_in_process(how, folder):
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run([sys.executable, "script.py", how], cwd=folder, capture_output=True, text=True, timeout=60)


def build(folder, flow="tvl1"):
    """Build, and give how many clips ended in which way."""
    seen = Counter()
    store = read_store(folder / "casme2.h5")
    build_motion(store, flow, jobs=1, on_clip=lambda _, status: seen.update([status]))
    return seen


@pytest.fixture(scope="module")
def killed(folder, tmp_path_factory):
    """The folder of a build that was killed after its second clip."""
    path = shutil.copytree(folder, tmp_path_factory.mktemp("killed") / "data")
    assert build_in_process("kill", path).returncode == -signal.SIGKILL
    assert not motion_path(path / "casme2.h5", "tvl1").exists()
    return path


@pytest.mark.slow
def test_a_killed_build_goes_on_from_its_parts_to_the_same_bytes(folder, killed, tmp_path):
    straight = shutil.copytree(folder, tmp_path / "straight")
    again = shutil.copytree(killed, tmp_path / "again")
    parts = sorted(parts_dir(motion_path(again / "casme2.h5", "tvl1")).glob("*.npz"))
    parts[0].write_bytes(parts[0].read_bytes()[:-1000])  # and one of them is damaged
    assert len(parts) >= 2
    seen = build(again)
    assert seen == {"resumed": len(parts) - 1, "ok": len(SHIFTS) - len(parts) + 1}
    assert build(straight) == {"ok": len(SHIFTS)}
    paths = [motion_path(each / "casme2.h5", "tvl1") for each in (straight, again)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert list(paths[1].parent.iterdir()) == [paths[1]]


@pytest.mark.parametrize("with_parts", [True, False])
def test_what_a_process_left_that_was_killed_at_the_very_end_is_cleared(folder, tmp_path, with_parts):
    again = shutil.copytree(folder, tmp_path / "again")
    assert build(again, "fast") == {"ok": len(SHIFTS)}
    path = motion_path(again / "casme2.h5", "fast")
    lock_path(path).write_text("4194304")
    if with_parts:
        parts_dir(path).mkdir()
        (parts_dir(path) / "part.npz").touch()
    with lock_file(path):  # a living process does it itself
        assert build(again, "fast") == {}
        assert parts_dir(path).exists() == with_parts
    lock_path(path).write_text("4194304")
    assert build(again, "fast") == {}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.slow
def test_no_part_of_another_store_is_used(killed, tmp_path):
    again = shutil.copytree(killed, tmp_path / "again")
    write_moved_store(again / "casme2.h5", seed=1)
    assert build(again) == {"ok": len(SHIFTS)}


@pytest.mark.parametrize("limit", ["100kB", "900kB"])
@pytest.mark.slow
def test_a_full_disk_is_said(folder, tmp_path, limit):
    # At 100 kB no part can be written, at 900 kB the parts can but not the whole file.
    path = shutil.copytree(folder, tmp_path / "data")
    full = build_in_process(limit, path)
    assert full.stderr == (
        "error: motion/casme2.flow-tvl1.h5: cannot be written (File too large). The disk needs room for 2 MB of "
        "flow and as much again for parts. Free space on the disk or copy the store to a folder of your own and name "
        "it there, then run the same command again: finished clips are kept.\n"
    )
    assert not motion_path(path / "casme2.h5", "tvl1").exists()


@pytest.mark.slow
def test_a_dead_worker_is_said(folder, tmp_path):
    path = shutil.copytree(folder, tmp_path / "data")
    assert build_in_process("kill-worker", path).stderr == (
        "error: motion/casme2.flow-tvl1.h5: a worker process was killed while computing the flow, probably for lack "
        "of memory. Finished clips are kept. Run the same command again.\n"
    )

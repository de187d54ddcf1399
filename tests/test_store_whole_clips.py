"""Whole clips in a store: they agree with the windows, nothing else changes, what cannot be done is said."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from photo_release import head, make_release, write_clip, write_picture
from tiny_store import edited, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.engines.resumable import parts_dir
from mer_cli.errors import StoreError
from mer_cli.faces.crop import warp
from mer_cli.faces.pictures import read_picture
from mer_cli.store.add_clips import CLIP_PARTS, add_clips
from mer_cli.store.build import build_store
from mer_cli.store.hdf5 import read_store, read_transforms, read_windows
from mer_cli.store.whole_clips import (
    append_clips,
    clips_hash,
    clips_size,
    clips_state,
    encode_clip,
    fill_gaps,
    read_clip,
)
from mer_cli.system.files import lock_file

PLAIN, GAP, FLOW = CLIP_IDS = ("casme2/01/EP01", "casme2/01/EP02", "casme2/02/EP03")

# Adds whole clips to a store with one worker, of a pickled release. It is killed after its second clip, or no file may
# grow past a limit.
SCRIPT = """
import os, pickle, resource, signal, sys
from pathlib import Path

ended = []

def on_clip(clip_id, status):
    ended.append(clip_id)
    if len(ended) == 2 and sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    from mer_cli.errors import MerError
    from mer_cli.store.add_clips import add_clips

    if sys.argv[1] != "kill":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
    try:
        add_clips(pickle.loads(Path(sys.argv[2]).read_bytes()), Path("casme2.h5"), jobs=1, resume=True, on_clip=on_clip)
    except MerError as error:
        sys.exit(f"error: {error}")
"""


def add(release, out, seen=None, *, resume=True):
    """Add with one worker; `seen` counts how the clips ended."""
    statuses = Counter() if seen is None else seen
    return add_clips(release, out, jobs=1, resume=resume, on_clip=lambda _, status: statuses.update([status]))


def add_in_process(how, release, out):
    (out.parent / "script.py").write_text(SCRIPT)
    (out.parent / "release.pickle").write_bytes(pickle.dumps(release))
    command = [sys.executable, "script.py", str(how), "release.pickle"]
    return subprocess.run(command, cwd=out.parent, capture_output=True, text=True, timeout=60)


def frame_numbers(path, clip_id):
    """The group as documented, read with nothing but h5py."""
    with h5py.File(path) as file:
        row = file["clips/id"].asstr()[:].tolist().index(clip_id)
        start = file["clip/start"][:]
        return file["clip/frame_numbers"][start[row] : start[row + 1]].tolist()


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A plain clip with a mended apex; one with frames outside onset and offset and a gap; one with its apex found."""
    root = tmp_path_factory.mktemp("raw")
    gap = write_clip(root, "EP02", n_frames=12, onset=42, apex=46, offset=49)
    clips = (
        write_clip(root, "EP01", n_frames=8, repairs=("apex '/' set to the midpoint 44",)),
        replace(gap, frames=tuple(frame for frame in gap.frames if frame.number != 44)),
        write_clip(root, "EP03", subject="02", n_frames=9, apex_rule="flow"),
    )
    return make_release(root, clips)


@pytest.fixture(scope="module")
def built(release, tmp_path_factory):
    """A store of the release that does not hold its clips whole."""
    out = tmp_path_factory.mktemp("built") / "casme2.h5"
    return build_store(release, out, jobs=1, resume=True, on_clip=lambda *_: None).path


@pytest.fixture(scope="module")
def whole(release, built, tmp_path_factory):
    """The same store with the group, added without a stop."""
    out = Path(shutil.copy(built, tmp_path_factory.mktemp("whole")))
    assert add(release, out) == "added"
    return out


@pytest.fixture(scope="module")
def killed(release, built, tmp_path_factory):
    """The folder of a pass that was killed after its second clip."""
    folder = tmp_path_factory.mktemp("killed")
    out = Path(shutil.copy(built, folder))
    assert add_in_process("kill", release, out).returncode == -signal.SIGKILL
    assert out.read_bytes() == built.read_bytes()
    return folder


@pytest.fixture
def out(built, tmp_path):
    """A copy of the store without the group."""
    return Path(shutil.copy(built, tmp_path))


def test_every_frame_from_onset_to_offset_is_there_and_no_other(whole):
    assert frame_numbers(whole, PLAIN) == list(range(40, 48))
    assert frame_numbers(whole, GAP) == [42, 43, 45, 46, 47, 48, 49]
    assert frame_numbers(whole, FLOW) == list(range(40, 49))


def test_frames_are_the_release_s_through_the_stored_transform_and_the_missing_one_between_them(release, whole):
    clip = next(clip for clip in release.clips if clip.clip_id == GAP)
    (transform,) = read_transforms(whole, [GAP])
    wanted = [warp(read_picture(frame.path), transform) for frame in clip.frames if 42 <= frame.number <= 49]
    frames = read_clip(whole, GAP)
    assert frames.dtype == np.uint8
    missing = 44 - 42
    assert np.array_equal(np.delete(frames, missing, axis=0), np.stack(wanted))
    assert np.abs(frames[missing] - (frames[missing - 1] / 2 + frames[missing + 1] / 2)).max() <= 0.5


@pytest.mark.parametrize("clip_id", CLIP_IDS)
def test_onset_and_apex_are_the_windows_middle_frames(whole, clip_id):
    onset, _, apex, _ = read_windows(whole, [clip_id])
    labelled = read_store(whole).clips.loc[clip_id]
    frames = read_clip(whole, clip_id)
    assert len(frames) == labelled["offset"] - labelled["onset"] + 1
    assert np.array_equal(frames[0], onset[0, 3])
    assert np.array_equal(frames[labelled["apex"] - labelled["onset"]], apex[0, 3])


def assert_same_but_for_clips(built, whole):
    with h5py.File(built) as before, h5py.File(whole) as after:
        assert set(after) - set(before) == {"clip"}
        assert dict(after.attrs) == dict(before.attrs)
        for name in (*(f"clips/{column}" for column in before["clips"]), *(set(before) - {"clips"})):
            assert np.array_equal(after[name][:], before[name][:]), name
            assert (after[name].dtype, after[name].chunks) == (before[name].dtype, before[name].chunks), name


def test_nothing_else_of_the_store_changes(built, whole):
    assert_same_but_for_clips(built, whole)


def test_a_frame_is_a_chunk_of_gzip(whole):
    with h5py.File(whole) as file:
        frames = file["clip/frames"]
        assert (frames.shape, frames.dtype, frames.chunks) == ((24, 224, 224, 3), np.uint8, (1, 224, 224, 3))
        assert (frames.compression, frames.compression_opts) == ("gzip", 1)
        assert file["clip/start"][:].tolist() == [0, 8, 15, 24]
    n_frames, n_bytes = clips_size(whole)
    assert n_frames == 24
    assert 0 < n_bytes < 24 * 224 * 224 * 3


def test_a_second_pass_does_nothing(release, whole):
    before, seen = whole.stat(), Counter()
    parts_dir(whole, CLIP_PARTS).mkdir()  # of a pass that was killed when it had only these to remove
    assert add(release, whole, seen) == "kept"
    assert (seen, whole.stat()) == (Counter(), before)
    assert sorted(path.name for path in whole.parent.iterdir()) == ["casme2.h5"]


def test_clips_hash_changes_with_the_pictures(release, whole, out, tmp_path):
    moved = write_clip(tmp_path / "moved", "EP01", n_frames=8)
    write_picture(moved.frames[5].path, head(7.0))
    clips = [replace(release.clips[0], frames=moved.frames), *release.clips[1:]]
    encoded = list(map(encode_clip, clips, read_transforms(out, CLIP_IDS)))
    append_clips(out, CLIP_IDS, [len(clip.numbers) for clip in encoded], encoded)
    assert read_store(out).content_hash == read_store(whole).content_hash
    assert clips_hash(out) != clips_hash(whole)


def test_a_killed_pass_goes_on_from_its_parts_to_the_same_bytes(release, whole, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    (parts_dir(out, CLIP_PARTS) / "casme2.h5").write_bytes(b"half a store")  # as after a kill while the copy is written
    seen = Counter()
    assert add(release, out, seen)
    assert seen["resumed"] >= 2
    assert seen["resumed"] + seen["ok"] == len(CLIP_IDS)
    assert out.read_bytes() == whole.read_bytes()
    assert not parts_dir(out, CLIP_PARTS).exists()


def test_parts_of_other_pictures_or_damaged_ones_are_not_used(release, whole, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    first, second, *more = sorted(parts_dir(out, CLIP_PARTS).glob("*.npz"))
    for surplus in more:
        surplus.unlink()
    first.write_bytes(first.read_bytes()[:-1000])
    second.rename(second.with_name(second.name.replace("-", "-0")))  # another fingerprint
    seen = Counter()
    add(release, out, seen)
    assert seen == {"ok": len(CLIP_IDS)}
    assert out.read_bytes() == whole.read_bytes()


def test_no_part_is_used_without_resume(release, whole, killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "copy") / "casme2.h5"
    seen = Counter()
    add(release, out, seen, resume=False)
    assert seen == {"ok": len(CLIP_IDS)}
    assert clips_hash(out) == clips_hash(whole)


def test_a_picture_that_cannot_be_read_is_named_with_its_clip_and_the_others_are_kept(release, built, out):
    broken = release.clips[1].frames[3].path
    content = broken.read_bytes()
    broken.write_bytes(b"")
    try:
        expected = (
            f"{out}: whole clips not added, because 1 of 3 can't be read. The "
            f"first is casme2/01/EP02: {broken}: the file is empty (0 bytes). Copy the file "
            "from the release again. Then run the same command again: finished clips are kept. Frames that "
            "the release doesn't have are left out."
        )
        with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
            add(release, out)
        assert out.read_bytes() == built.read_bytes()
    finally:
        broken.write_bytes(content)
    os.utime(release.clips[0].frames[1].path)  # another time of writing: another picture, for all one knows
    seen = Counter()
    assert add(release, out, seen)
    assert seen == {"resumed": 1, "ok": 2}


@pytest.mark.parametrize(("limit", "n_parts"), [(100_000, 0), (7_000_000, 3)])
def test_a_full_disk_is_said_and_leaves_the_store(release, built, out, limit, n_parts):
    # Files may not grow past the limit: too small for a part, or for the group in a copy of the store.
    full = add_in_process(limit, release, out)
    assert full.stderr == (
        "error: casme2.h5: whole clips cannot be added (File too large). The disk needs room for a new store of 10 MB "
        "and 4 MB of parts, at most. Free space on the disk or copy the store to a folder of your own and name that "
        "copy with --out, then run the same command again: finished clips are kept.\n"
    )
    assert full.returncode == 1
    assert out.read_bytes() == built.read_bytes()
    assert len(list(parts_dir(out, CLIP_PARTS).glob("*.npz"))) == n_parts
    assert len(list(parts_dir(out, CLIP_PARTS).iterdir())) == n_parts


def test_a_release_of_another_annotation_is_refused(release, out):
    moved = replace(release, clips=(replace(release.clips[0], offset=46), *release.clips[1:]))
    expected = (
        f"{out}: clip casme2/01/EP01 is frames 40 to 47, but the release has frames 40 to 46. Give the release that "
        f"the store was built of, or build it again: mer preprocess casme2 RAW --clips --out {out}."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        add(moved, out)
    with pytest.raises(StoreError, match="casme2/01/EP01 is frames 40 to 47, but the release doesn't have this clip"):
        add(replace(release, clips=release.clips[1:]), out)


def test_add_clips_holds_the_store_s_lock(release, out):
    with lock_file(out), pytest.raises(StoreError, match="is building it"):
        add(release, out)


def test_a_store_without_the_group_says_how_it_is_added(built, tmp_path):
    own = write_store(tmp_path / "mylab.h5", {"mylab/p01/smile": "happiness"})
    assert clips_state(built) == "absent"
    for path, release, clip_id in (
        (built, "casme2 RAW", PLAIN),
        (own, "table RAW --table mylab.csv", "mylab/p01/smile"),
    ):
        expected = (
            f"{path}: holds only the frames around onset and apex, not whole clips. "
            f"Add them: mer preprocess {release} --clips --out {path}."
        )
        for read in (clips_hash, clips_size, lambda path, clip_id=clip_id: read_clip(path, clip_id)):
            with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
                read(path)


def test_read_clip_refuses_a_clip_that_is_not_there(whole):
    with pytest.raises(StoreError, match=r"lacks 1 of the clips that were asked for: casme2/01/EP09\. It has 3 others"):
        read_clip(whole, "casme2/01/EP09")


def write_own_release(root):
    """A clip of pictures and one of a video, and their table."""
    write_clip(root / "raw", "EP01", n_frames=8)
    video = cv2.VideoWriter(str(root / "raw/long.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (320, 360))
    for number in range(12):
        video.write(head(0.25 * number)[..., ::-1])
    video.release()
    (root / "mylab.csv").write_text(
        "subject,clip,onset,apex,offset,label,path\n01,a,40,44,47,happiness,sub01/EP01\n02,b,2,6,10,surprise,long.avi\n"
    )


def test_preprocess_adds_whole_clips_of_pictures_and_videos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_own_release(tmp_path)
    store = Path("data/mylab.h5")

    def mer(*arguments):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    command = ("preprocess", "table", "raw", "--table", "mylab.csv", "--jobs", "1")
    mer(*command)
    assert "\nwhole clips   none (mer preprocess --clips adds them)\n" in mer("info")
    output = mer(*command, "--clips")
    assert output.splitlines()[:-1] == [
        "data/mylab.h5 is up to date",
        "2 clips: 2 ok, 0 repaired, 0 failed",
        "look at data/audit/mylab/index.html: every clip with its images, and audit.csv",
    ]
    n_frames, n_bytes = clips_size(store)
    size = f"{n_frames} frames, {n_bytes / 1e6:.0f} of the {store.stat().st_size / 1e6:.0f} MB of data/mylab.h5"
    assert output.endswith(f"\nwhole clips added: {size}\n")
    assert n_frames == 8 + 9
    onset, _, apex, _ = read_windows(store, ["mylab/02/b"])
    frames = read_clip(store, "mylab/02/b")
    assert np.array_equal(frames[[0, 4]], np.stack([onset[0, 3], apex[0, 3]]))
    mer(*command)
    assert mer(*command, "--clips").endswith(f"\nwhole clips are up to date: {size}\n")
    assert f"\nwhole clips   17 frames, {n_bytes / 1e6:.0f} MB\n" in mer("info")
    with edited(store) as file:
        drop_frames(file["clip"])
    assert "\nwhole clips   damaged (mer preprocess --clips repairs them)\n" in mer("info")
    mer(*command)
    assert "\nwhole clips repaired: 17 frames, " in mer(*command, "--clips")


def drop_frames(group):
    del group["frames"]


def drop_hash(group):
    del group.attrs["content_hash"]


def shorten_start(group):
    start = group["start"][:-1]
    del group["start"]
    group["start"] = start


def shrink_pictures(group):
    n_frames = len(group["frames"])
    del group["frames"]
    group["frames"] = np.zeros((n_frames, 112, 112, 3), np.uint8)


@pytest.mark.parametrize("damage", [drop_frames, drop_hash, shorten_start, shrink_pictures])
def test_a_damaged_group_is_said_and_repaired(release, built, whole, tmp_path, damage):
    out = Path(shutil.copy(whole, tmp_path))
    with edited(out) as file:
        damage(file["clip"])
    with pytest.raises(StoreError) as error:
        clips_hash(out)
    assert str(error.value) == (
        f"{out}: its whole clips (/clip) are damaged. Repair them: mer preprocess casme2 RAW --clips --out {out}."
    )
    assert clips_state(out) == "damaged"
    assert add(release, out) == "repaired"
    assert clips_hash(out) == clips_hash(whole)
    assert np.array_equal(read_clip(out, GAP), read_clip(whole, GAP))
    assert_same_but_for_clips(built, out)
    assert [path.name for path in tmp_path.iterdir()] == ["casme2.h5"]


def test_frames_that_are_missing_lie_straight_between_their_neighbours():
    ramp = np.arange(0, 100, 10, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    numbers = np.arange(5, 15, dtype=np.int32)
    np.testing.assert_array_equal(fill_gaps(ramp, numbers), ramp)
    there = [0, 1, 2, 6, 9]
    np.testing.assert_array_equal(fill_gaps(ramp[there], numbers[there]), ramp)
    every_second = [0, 2, 4, 8]  # numbered in steps of two: one is missing
    np.testing.assert_array_equal(fill_gaps(ramp[every_second], numbers[every_second]), ramp[[0, 2, 4, 6, 8]])
    np.testing.assert_array_equal(fill_gaps(ramp[:1], numbers[:1]), ramp[:1])

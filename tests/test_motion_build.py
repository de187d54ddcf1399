"""The flow of a store: computed once, from the right frames, and never read where it is another store's."""

import errno
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from complete_store import complete_store
from moved_store import SHIFTS, write_moved_store
from tiny_store import edited

from mer_cli.engines.resumable import ByClip, build_by_clip, parts_dir
from mer_cli.errors import StoreError
from mer_cli.faces.mean_face import MEAN_FACE, NOT_A_FACE
from mer_cli.motion.cache import build_motion, is_current, motion_path, read_motion
from mer_cli.motion.images import read_images, redraw_windows
from mer_cli.motion.inputs import STEPS, MotionInput
from mer_cli.store.hdf5 import find_store, read_store, read_windows
from mer_cli.system.files import lock_file

CLIPS = list(SHIFTS)


def build(store, backend="fast", jobs=1):
    """Build, and give how many clips ended in which way."""
    seen = Counter()
    path = build_motion(store, backend, jobs=jobs, on_clip=lambda _, status: seen.update([status]))
    assert path == motion_path(store.path, backend)
    return dict(seen)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store with its flow beside it."""
    store = write_moved_store(tmp_path_factory.mktemp("data") / "casme2.h5")
    assert build(store) == {"ok": len(CLIPS)}
    return store


@pytest.fixture
def copy(built, tmp_path):
    """The same, to be spoilt."""
    return read_store(shutil.copytree(built.path.parent, tmp_path / "data") / "casme2.h5")


def assert_moves_as_written(flows, clip_ids):
    for flow, clip_id in zip(flows, clip_ids, strict=True):
        np.testing.assert_allclose(flow[:, 20:-20, 20:-20].astype(float).mean((1, 2)), SHIFTS[clip_id], atol=0.1)


def test_build_motion_keeps_the_flow_of_the_labelled_frames(built):
    wanted = [CLIPS[3], CLIPS[0], CLIPS[4]]
    flows = read_motion(built, "fast", wanted)
    assert (flows.shape, flows.dtype) == ((3, 2, 224, 224), np.float16)
    assert_moves_as_written(flows, wanted)


@pytest.mark.slow
def test_build_motion_with_tv_l1_in_two_processes(copy):
    assert build(copy, "tvl1", jobs=2) == {"ok": len(CLIPS)}
    assert_moves_as_written(read_motion(copy, "tvl1", CLIPS), CLIPS)
    assert is_current(copy, "fast")  # each in a file of its own


def test_build_motion_does_nothing_where_the_flow_is_there(built):
    assert build(built) == {}


def test_the_flow_is_not_taken_for_a_store_and_nothing_else_is_left(built):
    folder = built.path.parent
    assert find_store(folder) == built.path
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "casme2.h5",
        "motion",
        "motion/casme2.flow-fast.h5",
    ]


def test_the_same_store_gives_the_same_bytes(built, copy):
    motion_path(copy.path, "fast").unlink()
    assert build(copy) == {"ok": len(CLIPS)}
    assert motion_path(copy.path, "fast").read_bytes() == motion_path(built.path, "fast").read_bytes()


def test_an_absent_flow_is_said(copy):
    with pytest.raises(StoreError) as error:
        read_motion(copy, "tvl1", CLIPS)
    assert str(error.value) == (
        f"{motion_path(copy.path, 'tvl1')}: no such file, so casme2.h5 has no flow yet. "
        f"Training a network on motion with {copy.path} computes it."
    )


def test_the_flow_of_another_store_is_not_read_but_computed_anew(copy):
    other = write_moved_store(copy.path, seed=1)
    with pytest.raises(StoreError) as error:
        read_motion(other, "fast", CLIPS)
    assert str(error.value) == (
        f"{motion_path(copy.path, 'fast')}: flow of another store (content hash 000000000000; casme2.h5 has "
        f"111111111111). Training a network on motion with {copy.path} computes it."
    )
    assert not is_current(other, "fast")
    assert build(other) == {"ok": len(CLIPS)}
    read_motion(other, "fast", CLIPS)


def test_a_flow_of_other_settings_is_not_read(copy):
    path = motion_path(copy.path, "fast")
    with edited(path) as file:
        expected = file.attrs["settings"]
        stale = json.dumps(json.loads(expected) | {"preset": 0}, sort_keys=True)
        file.attrs["settings"] = stale
    with pytest.raises(StoreError) as error:
        read_motion(copy, "fast", CLIPS)
    assert str(error.value) == (
        f"{path}: computed with {stale}, not with {expected}. "
        f"Training a network on motion with {copy.path} computes it."
    )
    assert not is_current(copy, "fast")


def test_a_file_that_lacks_the_flow_of_a_clip_is_not_read(copy):
    path = motion_path(copy.path, "fast")
    with edited(path) as file:
        flow = file["flow"][:-1]
        del file["flow"]
        file["flow"] = flow
    with pytest.raises(
        StoreError, match=r"damaged, /flow has the shape \(4, 2, 224, 224\), not \(5, 2, 224, 224\)\. Training"
    ):
        read_motion(copy, "fast", CLIPS)
    assert not is_current(copy, "fast")


def test_a_damaged_flow_is_not_read(copy):
    path = motion_path(copy.path, "fast")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError, match="as HDF5, because it is damaged or truncated .* Training a network"):
        read_motion(copy, "fast", CLIPS)
    assert not is_current(copy, "fast")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_flow_that_is_not_finite_is_told_and_computed_anew(built, copy, value):
    path = motion_path(copy.path, "fast")
    with edited(path) as file:
        file["flow"][3, 1, 100, 100] = value
    with pytest.raises(StoreError) as error:
        read_motion(copy, "fast", CLIPS)
    assert str(error.value) == (
        f"{path}: damaged, the flow of clip {CLIPS[3]} is not finite. "
        f"Training a network on motion with {copy.path} computes it."
    )
    assert build(copy) == {"ok": len(CLIPS)}
    assert path.read_bytes() == motion_path(built.path, "fast").read_bytes()


def test_a_flow_of_other_clips_is_computed_anew(copy):
    with edited(motion_path(copy.path, "fast")) as file:
        file["id"][0] = "casme2/99/x"
    with pytest.raises(StoreError, match="damaged, /id doesn't name the store's clips. Training"):
        read_motion(copy, "fast", CLIPS[1:])
    assert build(copy) == {"ok": len(CLIPS)}


def test_a_folder_in_the_way_is_said_before_anything_is_computed(copy):
    path = motion_path(copy.path, "tvl1")
    path.mkdir()
    with pytest.raises(StoreError) as error:
        build(copy, "tvl1")
    assert str(error.value) == (
        f"{path}: cannot be written (Is a directory). Move {path} away, then run the "
        "same command again: finished clips are kept."
    )
    assert not parts_dir(path).exists()


def test_a_file_in_the_folders_place_is_said(built, tmp_path):
    (tmp_path / "motion").touch()
    with pytest.raises(StoreError) as error:
        build(replace(built, path=tmp_path / "casme2.h5"))
    assert str(error.value) == (
        f"{motion_path(tmp_path / 'casme2.h5', 'fast')}: cannot be written (File exists). "
        f"Move {tmp_path / 'motion'} away, then run the same command again: finished clips are kept."
    )


def test_a_folder_that_may_not_be_written_to_is_said(tmp_path):
    path = tmp_path / "motion/casme2.flow-fast.h5"

    def refuse(arrays, temporary):
        shutil.rmtree(path.parent)  # as where it can't even be made
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))

    wanted = ByClip("the flow", path, clip_ids=[], compute=np.zeros, key="", room="2 MB of flow")
    with pytest.raises(StoreError) as error:
        build_by_clip(wanted, is_current=lambda: False, write=refuse, jobs=1, on_clip=lambda *_: None)
    assert str(error.value) == (
        f"{path}: cannot be written (Permission denied). Give yourself permission to write to {tmp_path} "
        f"or copy the store to a folder of your own and name it there, then run the same "
        "command again: finished clips are kept."
    )


def test_a_clip_that_is_not_there_is_said(built):
    with pytest.raises(StoreError) as error:
        read_motion(built, "fast", [CLIPS[0], "casme2/99/x", "casme2/99/y"])
    assert str(error.value) == (
        f"{motion_path(built.path, 'fast')}: lacks 2 of the clips that were asked for: "
        "casme2/99/x, casme2/99/y. It has 5 others."
    )


def test_a_build_that_another_process_is_at_is_said(copy):
    with lock_file(motion_path(copy.path, "tvl1")), pytest.raises(StoreError, match="is building it"):
        build(copy, "tvl1")


def test_a_store_that_is_gone_is_said(built, tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        build(replace(built, path=tmp_path / "gone.h5"))


def folded(store, row):
    """The store, in which the landmarks of a clip's row are no longer those of a face."""
    complete_store(store.path)
    with edited(store.path) as file:
        file["landmarks"][row] = MEAN_FACE[:, ::-1]
    return read_store(store.path)


def test_a_clip_without_the_landmarks_of_a_face_stops_only_those_who_need_it(tmp_path):
    store = folded(write_moved_store(tmp_path / "casme2.h5"), 1)
    others = [clip_id for clip_id in CLIPS if clip_id != CLIPS[1]]
    told = (
        f"{store.path}: clip {CLIPS[1]}: {NOT_A_FACE}. Look at the clip in the audit of its store. Take fewer steps "
        "(--input crop takes none), or leave the clip out with a label scheme of your own (leave_out in "
        "docs/labels.md)."
    )
    arguments = {"jobs": 1, "on_clip": lambda *_: None, "steps": STEPS}
    with pytest.raises(StoreError) as caught:
        build_motion(store, "fast", needed=CLIPS, **arguments)
    assert str(caught.value) == told
    build_motion(store, "fast", needed=others, **arguments)
    assert is_current(store, "fast", STEPS)
    assert np.isfinite(read_motion(store, "fast", others, STEPS)).all()
    with pytest.raises(StoreError) as caught:
        read_motion(store, "fast", CLIPS, STEPS)
    assert str(caught.value) == told
    with edited(motion_path(store.path, "fast", STEPS)) as file:
        file["flow"][0] = np.nan
    assert not is_current(store, "fast", STEPS)
    with pytest.raises(StoreError, match="damaged, the flow of clip"):
        read_motion(store, "fast", CLIPS[:1], STEPS)


def test_images_of_such_a_clip_are_refused_with_its_name(tmp_path):
    store = folded(write_moved_store(tmp_path / "casme2.h5"), 1)
    onset, _, apex, _ = read_windows(store.path, CLIPS)
    with pytest.raises(StoreError, match=f"clip {CLIPS[1]}: its landmarks don't lie"):
        redraw_windows(store.path, CLIPS, onset, apex, STEPS)
    wanted = MotionInput(28, ("apex-grid",))
    with pytest.raises(StoreError, match=f"clip {CLIPS[1]}: its landmarks don't lie"):
        read_images(store, "fast", CLIPS, wanted, STEPS)

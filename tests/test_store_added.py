"""Generated clips drawn for a run's training clips: only the frames that a store keeps, in a store of their own."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from added_store import ADDED_EMOTIONS, write_added
from tiny_faces import draw_flat, write_tiny_release
from tiny_store import write_store

from mer_cli.datasets.registry import DATASETS, load_release
from mer_cli.datasets.synthetic.drawing import draw_faces
from mer_cli.datasets.synthetic.writer import GROUND_TRUTH, LAYOUTS, write_for_store
from mer_cli.errors import DatasetError, StoreError
from mer_cli.faces.crop import CROP_SETTINGS
from mer_cli.faces.mean_face import NOT_A_FACE, is_a_face
from mer_cli.store.added import SEED, draw_added, pack_added, read_added
from mer_cli.store.hdf5 import read_store
from mer_cli.system.files import lock_file

FEW = {"clips": 40, "seed": SEED, "release": 2}


def write_flat(dataset, out, **changes):
    return write_for_store(dataset, out, **({"near": 3, "draw": draw_flat, "workers": 1} | FEW | changes))


def told(clip):
    return clip.clip_id, clip.emotion, clip.onset, clip.apex, clip.offset, clip.apex_rule, clip.action_units, clip.fps


@pytest.mark.parametrize("dataset", sorted(LAYOUTS.keys() & DATASETS.keys()))
def test_a_release_of_few_frames_is_read_as_the_whole_one(dataset, tmp_path):
    few = load_release(dataset, write_flat(dataset, tmp_path / "few"))
    whole = load_release(dataset, write_tiny_release(dataset, tmp_path / "whole", subjects=4, **FEW))
    assert [*map(told, few.clips)] == [*map(told, whole.clips)]
    assert [clip.repairs for clip in few.clips] == [clip.repairs for clip in whole.clips]
    assert (len(few.clips), few.failed, few.generated) == (40, (), True)
    numbers = {clip.clip_id: {frame.number for frame in clip.frames} for clip in few.clips}
    for clip in whole.clips:
        near = {
            frame.number
            for frame in clip.frames
            if min(abs(frame.number - clip.onset), abs(frame.number - clip.apex)) <= 3
        }
        assert numbers[clip.clip_id] >= near


def test_a_tenth_of_casme2s_frames_is_drawn(tmp_path):
    count = [len(list(path.rglob("*.jpg"))) for path in (
        write_flat("casme2", tmp_path / "few"),
        write_tiny_release("casme2", tmp_path / "whole", subjects=4, **FEW),
    )]  # fmt: skip
    assert 4 * count[0] < count[1]


def test_a_drawn_frame_is_the_same_with_the_others_and_without():
    layout = LAYOUTS["casme2"]
    (plan, *_) = layout.plan(subjects=1, clips=1, seed=SEED, release=2)
    wanted = [plan.onset, plan.onset + 1, plan.onset + 5]

    alone = list(next(draw_faces(None, SEED, [replace(plan, drawn=frozenset(wanted))])).pictures)
    every = list(islice(next(draw_faces(None, SEED, [plan])).pictures, 6))
    for picture, index in zip(alone, (0, 1, 5), strict=True):
        difference = np.abs(picture.astype(int) - every[index])
        assert difference.max() == 0 if index < 2 else difference.mean() < 0.02, index


def test_an_interrupted_drawing_is_continued(tmp_path):
    out = write_flat("casme2", tmp_path / "few")
    whole = {path: path.read_bytes() for path in out.rglob("*.jpg")}
    truths = sorted((out / GROUND_TRUTH).rglob("*.npz"))
    truths[0].unlink()
    folder = next(path.parent for path in sorted(whole) if path.parent.name == truths[0].stem)
    lost = sorted(folder.iterdir())
    lost[0].write_bytes(b"half")
    lost[-1].unlink()
    drawn = []

    def drawn_again(view, seed, plans):
        drawn.extend(plan.name for plan in plans)
        return draw_flat(view, seed, plans)

    write_flat("casme2", out, draw=drawn_again)
    assert drawn == [truths[0].stem]
    assert {path: path.read_bytes() for path in out.rglob("*.jpg")} == whole


def own_store(folder):
    return read_store(write_store(folder / "casme2.h5", crop=CROP_SETTINGS | {"align": "box", "window": 7, "bits": 12}))


def test_the_store_is_of_a_dataset_of_its_own_and_is_made_once(tmp_path):
    store = own_store(tmp_path)
    drawn, packed = [], []
    draw_added(store, 2, lambda *clip: drawn.append(clip))
    pack_added(store, 2, lambda *clip: packed.append(clip))
    assert (len(drawn), len(packed)) == (2, 2)
    added = read_added(store, 2)
    assert added.path == tmp_path / "synth" / "casme2-r2-s70007-n2.h5"
    assert (added.dataset, added.generated, added.attributes["crop"]["align"]) == ("synth-casme2", True, "box")
    assert set(added.clips["emotion"]) <= {*DATASETS["casme2"].emotions}
    assert all(clip_id.startswith("synth-casme2/") for clip_id in added.clips.index)
    assert {path.name for path in added.path.parent.iterdir()} == {added.path.name, "audit"}
    assert [folder.name for folder in (added.path.parent / "audit").iterdir()] == [added.path.stem]
    before = added.path.read_bytes()
    draw_added(store, 2, lambda *clip: drawn.append(clip))
    pack_added(store, 2, lambda *clip: packed.append(clip))
    assert (len(drawn), len(packed), added.path.read_bytes() == before) == (2, 2, True)


def test_two_commands_do_not_draw_at_once(tmp_path):
    store = read_store(write_store(tmp_path / "casme2.h5"))
    (tmp_path / "synth").mkdir()
    with (
        lock_file(tmp_path / "synth" / "casme2-r2-s70007-n2"),
        pytest.raises(StoreError, match="another process is building it"),
    ):
        draw_added(store, 2)


def test_a_packing_that_is_interrupted_leaves_no_store_that_nobody_has_judged(tmp_path, monkeypatch):
    store = own_store(tmp_path)
    draw_added(store, 2)

    def interrupt(landmarks):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mer_cli.store.added.is_a_face", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pack_added(store, 2)
    with pytest.raises(StoreError, match="are not drawn yet"):
        read_added(store, 2)
    pack_added(store, 2)
    assert len(read_added(store, 2).clips) == 2
    assert {path.name for path in (tmp_path / "synth").iterdir()} == {"casme2-r2-s70007-n2.h5", "audit"}


def test_clips_of_another_crop_are_refused(tmp_path):
    store = read_store(write_store(tmp_path / "casme2.h5", crop={"align": "box", "box_scale": 2}))
    path = write_added(store.path)
    with pytest.raises(StoreError) as caught:
        read_added(store, len(ADDED_EMOTIONS))
    assert str(caught.value) == (
        f"{path}: its generated clips are cropped with other settings than the clips of {store.path}. Build the older "
        "of the two again: `mer preprocess` builds the store, and `mer train` draws the clips if you move their file "
        "away."
    )


def test_another_crop_has_a_store_of_its_own(tmp_path):
    store = read_store(write_store(tmp_path / "casme2.h5", crop={"align": "eyes"}))
    with pytest.raises(StoreError, match="casme2-r2-s70007-n2-eyes.h5: the generated clips"):
        read_added(store, 2)


def test_clips_of_another_plan_are_not_kept(tmp_path):
    out = write_flat("samm", tmp_path, clips=3)
    assert write_flat("samm", tmp_path, clips=3) == out
    with pytest.raises(DatasetError) as caught:
        write_flat("samm", tmp_path, clips=3, seed=SEED + 1)
    assert str(caught.value) == (
        f"{out}: holds clips that were drawn with other numbers, or by another version of mer. Remove the folder, and "
        "they are drawn again."
    )


def test_windows_of_generated_clips_hold_frames_on_both_sides(tmp_path):
    plans = LAYOUTS["samm"].plan(subjects=1, clips=3, seed=SEED, release=2)
    release = load_release("samm", write_flat("samm", tmp_path, clips=3))
    for plan, clip in zip(sorted(plans, key=lambda plan: plan.name), release.clips, strict=True):
        assert {frame.number for frame in clip.frames} >= {*range(plan.apex - 3, min(plan.apex + 4, plan.offset + 1))}
        assert np.isin([clip.onset, clip.offset], [frame.number for frame in clip.frames]).all()


def test_a_drawn_clip_that_cannot_be_compared_with_the_mean_face_is_left_out(tmp_path, monkeypatch):
    store, judged = own_store(tmp_path), []

    def is_first_or_later(landmarks):
        judged.append(is_a_face(landmarks))
        return len(judged) > 1

    monkeypatch.setattr("mer_cli.store.added.is_a_face", is_first_or_later)
    draw_added(store, 2)
    pack_added(store, 2)
    added = read_added(store, 2)
    assert judged == [True, True]
    assert len(added.clips) == 1
    (failed,) = added.attributes["failed"]
    assert failed["reason"] == NOT_A_FACE
    assert failed["clip_id"] not in added.clips.index

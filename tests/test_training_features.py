"""What each descriptor is given of a clip, computed once a store; what is stale or absent is noticed."""

import re
import shutil
from collections import Counter

import numpy as np
import pytest
from complete_store import N_FRAMES, complete_store
from moved_store import SHIFTS, write_moved_store
from tiny_store import edited

from mer_cli.errors import StoreError
from mer_cli.faces.crop import NO_FACE_NOTE
from mer_cli.motion.cache import build_motion, motion_path, read_motion
from mer_cli.motion.flow import grey, optical_flow
from mer_cli.motion.interpolate import interpolate
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.store.hdf5 import read_landmarks, read_store
from mer_cli.store.whole_clips import read_clip
from mer_cli.training.inputs import compute_features, compute_flow, describe_clip, read_features
from mer_cli.training.plan import plan_run

CLIPS = list(SHIFTS)


def plan_of(path, **settings):
    return plan_run([path], resolve_config(**({"scheme": "mmnet3", "model": "flow-svm", "flow": "fast"} | settings)))


def compute(plan):
    """Compute, and give how many clips ended in which way."""
    seen = Counter()
    compute_flow(plan, lambda clip_id, status: None)
    compute_features(plan, lambda _, status: seen.update([status]))
    return dict(seen)


def name(model):
    return re.compile(rf"casme2\.{model}-[0-9a-f]{{16}}\.npz")


def files(path, model="flow-svm"):
    return [file for file in sorted((path.parent / "motion").iterdir()) if name(model).fullmatch(file.name)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store with clips and landmarks, its flow, and its features of flow-svm."""
    path = tmp_path_factory.mktemp("data") / "casme2.h5"
    write_moved_store(path)
    complete_store(path)
    assert compute(plan_of(path)) == {"ok": len(CLIPS)}
    return path


@pytest.fixture
def copy(built, tmp_path):
    """The same, to be spoilt."""
    return shutil.copytree(built.parent, tmp_path / "data") / "casme2.h5"


def change(path, group, **attributes):
    with edited(path) as file:
        file[group].attrs.update(attributes)


def greys(path, clip_id):
    return np.stack([grey(frame) for frame in read_clip(path, clip_id)])


def flows(frames):
    return np.stack([optical_flow(frames[0], frame, "fast") for frame in frames[1:]])


def test_features_are_the_descriptors_of_the_flow_in_the_order_of_the_labels(built):
    plan = plan_of(built)
    features = read_features(plan)
    assert (features.shape, features.dtype) == ((len(CLIPS), 3072), np.float32)
    cached = read_motion(read_store(built), "fast", list(plan.labels)).astype(np.float32)
    np.testing.assert_array_equal(features, [METHODS["flow-svm"].load()(flow) for flow in cached])


def test_features_are_joined_by_clip_id(copy):
    before, (path,) = read_features(plan_of(copy)), files(copy)
    with np.load(path) as held:
        ids, features = held["ids"], held["features"]
    np.savez(path, ids=["casme2/00/x", *ids], features=[features[0] * 0, *features])  # each a row further down
    np.testing.assert_array_equal(read_features(plan_of(copy)), before)


def test_clips_that_a_scheme_drops_are_computed_once_another_keeps_them(copy):
    with edited(copy) as file:  # casme2-5 has no fear, mmnet3 counts it as negative
        file["clips/emotion"][1] = "fear"
    (path,) = files(copy)
    good = path.read_bytes()
    path.unlink()
    few, all_of_them = (plan_of(copy, scheme=scheme) for scheme in ("casme2-5", "mmnet3"))
    assert compute(few) == {"ok": len(CLIPS) - 1}
    assert read_features(few).shape == (len(CLIPS) - 1, 3072)
    with pytest.raises(StoreError, match="missing or damaged"):
        read_features(all_of_them)
    assert compute(all_of_them) == {"ok": 1}
    assert path.read_bytes() == good
    assert compute(few) == {}


def test_a_dropped_clip_without_landmarks_stops_nothing(copy):
    with edited(copy) as file:
        file["clips/emotion"][3] = "fear"
        file["clips/note"][3] = NO_FACE_NOTE
    assert compute(plan_of(copy, scheme="casme2-5", model="mdmo")) == {"ok": len(CLIPS) - 1}
    with pytest.raises(StoreError, match=f"clip {CLIPS[3]} was taken whole because no face was found in it"):
        plan_of(copy, model="mdmo")


def test_features_of_damaged_flow_are_of_flow_that_is_computed_anew(copy):
    (path,) = files(copy)
    good = path.read_bytes()
    path.unlink()
    with edited(motion_path(copy, "fast")) as file:
        file["flow"][2, 0, 7, 7] = np.nan
    assert compute(plan_of(copy)) == {"ok": len(CLIPS)}
    assert path.read_bytes() == good


def test_what_is_there_is_not_computed_again_and_no_part_is_left(built):
    assert compute(plan_of(built)) == {}
    assert [path.name for path in built.parent.rglob("*.parts")] == []
    assert len(files(built)) == 1


@pytest.mark.parametrize(
    ("settings", "n_frames"),
    [({}, 10), ({"clip_frames": 0}, None), ({"clip_frames": 6}, 6), ({"clip_frames": 6, "interpolation": "tim"}, 6)],
)
@pytest.mark.parametrize("model", ["hoof", "mdmo"])
def test_flow_over_a_clip_goes_from_its_onset_to_every_later_frame(built, model, settings, n_frames):
    plan = plan_of(built, model=model, **settings)
    clip = greys(built, CLIPS[1])
    frames = interpolate(clip, n_frames or len(clip), settings.get("interpolation", "linear"))
    inputs = [flows(frames), *([read_landmarks(built, [CLIPS[1]])[0]] if model == "mdmo" else [])]
    ours = describe_clip(plan.stores[0].info, plan.config, CLIPS[1])
    np.testing.assert_array_equal(ours, METHODS[model].load()(*inputs))


def test_flow_to_the_apex_alone_is_the_stores_and_needs_no_clips(built, tmp_path):
    store = write_moved_store(tmp_path / "casme2.h5")
    plan = plan_of(store.path, model="fhofo", span="apex")
    assert (plan.config.clip_frames, plan.config.stores[0].clips_hash) == (0, "")
    flow = read_motion(read_store(built), "fast", [CLIPS[2]]).astype(np.float32)
    build_motion(store, "fast", jobs=1, on_clip=lambda clip_id, status: None)
    np.testing.assert_array_equal(
        describe_clip(plan.stores[0].info, plan.config, CLIPS[2]), METHODS["fhofo"].load()(flow)
    )


@pytest.mark.parametrize("model", ["lbp-top", "higo-top"])
def test_texture_is_of_the_grey_clip_lengthened_where_it_is_too_short(built, model):
    plan = plan_of(built, model=model, flow=None)
    frames = interpolate(greys(built, CLIPS[3]), 10, METHODS[model].recipes["published"].get("interpolation", "linear"))
    assert N_FRAMES[3] < 10
    np.testing.assert_array_equal(
        describe_clip(plan.stores[0].info, plan.config, CLIPS[3]), METHODS[model].load()(frames)
    )


def test_features_of_what_the_store_was_are_not_read(copy):
    change(copy, "/", content_hash="7" * 64)
    with pytest.raises(StoreError, match=r"missing or damaged; it holds the flow-svm features of casme2.h5. `mer"):
        read_features(plan_of(copy))
    assert compute(plan_of(copy)) == {"ok": len(CLIPS)}
    assert len(files(copy)) == 2
    read_features(plan_of(copy))


def test_every_setting_that_moves_a_feature_has_a_file_of_its_own(copy):
    runs = [
        {"model": "hoof"},
        {"model": "fhoof"},
        {"model": "hoof", "clip_frames": 5},
        {"model": "hoof", "interpolation": "tim"},
        {"model": "hoof", "flow": "tvl1"},
        {"model": "hoof", "span": "apex"},
    ]
    names = []
    for settings in runs:
        with pytest.raises(StoreError) as error:
            read_features(plan_of(copy, **settings))
        names.append(str(error.value).partition(": ")[0])
    change(copy, "clip", content_hash="8" * 64)
    with pytest.raises(StoreError) as error:
        read_features(plan_of(copy, model="hoof"))
    names.append(str(error.value).partition(": ")[0])
    assert len(set(names)) == len(names)


def test_other_whole_clips_are_another_run_of_what_sees_them(copy):
    before = [plan_of(copy, model=model).config for model in ("hoof", "flow-svm")]
    change(copy, "clip", content_hash="8" * 64)
    after = [plan_of(copy, model=model).config for model in ("hoof", "flow-svm")]
    assert [one.run_name == other.run_name for one, other in zip(before, after, strict=True)] == [False, True]
    assert after[0].stores[0].clips_hash == "8" * 64


def test_damaged_features_are_computed_anew(copy):
    (path,) = files(copy)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert compute(plan_of(copy)) == {"ok": len(CLIPS)}
    assert path.read_bytes() == good


def test_edited_features_are_computed_anew(copy):
    (path,) = files(copy)
    good = path.read_bytes()
    with np.load(path) as held:
        ids, features = held["ids"], held["features"]
    for changed in ({"ids": ids[::-1], "features": features}, {"ids": ids, "features": features * np.nan}):
        np.savez(path, **changed)
        assert compute(plan_of(copy)) == {"ok": len(CLIPS)}
        assert path.read_bytes() == good


@pytest.mark.parametrize("model", ["hoof", "mdmo", "lbp-top", "higo-top"])
def test_a_store_without_clips_is_said_before_anything_is_computed(tmp_path, model):
    path = write_moved_store(tmp_path / "casme2.h5").path
    with pytest.raises(StoreError) as error:
        plan_of(path, model=model, flow=None)
    assert str(error.value) == (
        f"{path}: holds only the frames around onset and apex, not whole clips. "
        f"Add them: mer preprocess casme2 RAW --clips --out {path}."
    )
    assert [file.name for file in tmp_path.iterdir()] == ["casme2.h5"]


def test_landmarks_that_are_a_guess_are_said_before_anything_is_computed(copy):
    with edited(copy) as file:
        file["clips/note"][3] = NO_FACE_NOTE
    with pytest.raises(StoreError, match=f"clip {CLIPS[3]} was taken whole because no face was found in it"):
        plan_of(copy, model="mdmo")
    plan_of(copy, model="hoof")  # which takes none

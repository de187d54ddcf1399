"""`mer_cli.open_store`: what a store hands out equals what is in its file."""

import numpy as np
import pytest
import torch
from complete_store import complete_store
from moved_store import write_moved_store
from torch.utils.data import DataLoader

import mer_cli as mer
from mer_cli.errors import ConfigError, StoreError
from mer_cli.motion.cache import motion_path, read_motion
from mer_cli.runs.config import TrainConfig
from mer_cli.store.hdf5 import read_landmarks, read_store, read_windows
from mer_cli.store.whole_clips import read_clip
from mer_cli.training.batches import PairBatches, Windows

IDS = ["casme2/03/EP01_01", "casme2/01/EP02_01"]  # not in the file's order
KEPT = {  # by mmnet3
    "casme2/01/EP01_01": (0, "positive"),
    "casme2/01/EP02_01": (2, "negative"),
    "casme2/02/EP01_01": (2, "negative"),
    "casme2/02/EP02_01": (0, "positive"),
    "casme2/03/EP01_01": (1, "surprise"),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "casme2.h5"
    write_moved_store(path)
    return complete_store(path)


@pytest.fixture
def store(path):
    return mer.open_store(str(path))


def test_a_store_says_what_it_is(store, path):
    assert (store.path, store.dataset, store.generated, len(store)) == (path, "casme2", True, 5)
    told = "casme2, 5 clips of 3 subjects; generated: not a result on any dataset"
    assert repr(store) == f"Store('{path}': {told})"
    assert f"<p><b>{path}</b>: {told}</p><p>Its first clips:</p><table" in store._repr_html_()


def test_a_store_that_is_absent_is_refused_when_it_is_opened(tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        mer.open_store(tmp_path / "smic.h5")


def test_the_table_of_clips_is_a_copy(store, path):
    table = store.clips
    table["emotion"] = "fear"
    assert store.clips.equals(read_store(path).clips)


def test_images_are_the_labelled_frames_in_the_order_of_the_ids(store, path):
    onset, _, apex, _ = read_windows(path, IDS)
    np.testing.assert_array_equal(store.images(IDS), (onset[:, 3], apex[:, 3]))


def test_without_ids_all_clips_are_read_and_a_single_id_may_be_a_text(store):
    assert [images.shape for images in store.images()] == [(5, 224, 224, 3)] * 2
    np.testing.assert_array_equal(store.images()[1][4:], store.images(IDS[0])[1])


def test_an_unknown_clip_is_named(store, path):
    with pytest.raises(StoreError) as error:
        store.images(["casme2/09/EP01_01"])
    assert str(error.value) == (
        f"{path}: lacks 1 of the clips that were asked for: casme2/09/EP01_01. It has 5 others."
    )


def test_frames_and_landmarks_are_those_of_the_file(store, path):
    np.testing.assert_array_equal(store.frames(IDS[0]), read_clip(path, IDS[0]))
    np.testing.assert_array_equal(store.landmarks(IDS), read_landmarks(path, IDS))


def test_flow_is_computed_once_and_kept_beside_the_store(store, path):
    assert not motion_path(path, "fast").exists()
    flow = store.flow(IDS, backend="fast")
    assert (flow.shape, flow.dtype) == ((2, 2, 224, 224), np.float32)
    np.testing.assert_array_equal(flow, read_motion(store.info, "fast", IDS))
    written = motion_path(path, "fast").stat().st_mtime_ns
    assert store.flow(backend="fast").shape[0] == 5
    assert motion_path(path, "fast").stat().st_mtime_ns == written


def test_an_unknown_flow_is_refused(store):
    with pytest.raises(ConfigError) as error:
        store.flow(backend="fats")
    assert str(error.value) == "backend: Unknown optical flow 'fats'. Known: tvl1, fast, fine. Did you mean 'fast'?"


def test_labels_have_number_and_name_of_each_class_sorted_by_clip(store):
    labels = store.labels("mmnet3")
    assert dict(zip(labels.index, zip(labels["label"], labels["class"], strict=True), strict=True)) == KEPT
    assert list(labels.index) == sorted(KEPT)
    assert len(store.labels("casme2-5")) == 5


def test_a_torch_dataset_has_the_images_that_a_network_of_mer_sees(store, path):
    dataset = store.torch_dataset("mmnet3")
    assert (list(dataset.ids), dataset.labels.tolist()) == (list(KEPT), [label for label, _ in KEPT.values()])
    assert dataset.class_names == ("positive", "surprise", "negative")
    onset, apex, labels = next(iter(DataLoader(dataset, batch_size=5)))
    arrays = read_windows(path, list(dataset.ids))
    windows = Windows(arrays[0], arrays[2], arrays[1], arrays[3], np.full(5, 100, np.int32))
    batches = PairBatches(windows, TrainConfig(), torch.device("cpu"))
    assert all(map(torch.equal, (onset, apex), batches.plain_batch(torch.arange(5))))
    assert torch.equal(labels, dataset.labels)

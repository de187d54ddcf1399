"""The maps of a run: of the fold that held a clip out, of the last weights, the same whichever clips are asked for."""

import shutil

import h5py
import numpy as np
import pytest
import torch
from run_factory import forget_checksum, write_run
from safetensors.torch import load_file
from tiny_store import EMOTIONS, write_store
from tiny_truth import write_moving_store

from mer_cli.errors import RunError
from mer_cli.inference.maps import read_maps
from mer_cli.inference.run_files import find_clips, find_stores
from mer_cli.models.mmnet import MMNet
from mer_cli.runs.directory import read_run

CPU = torch.device("cpu")


@pytest.fixture
def run(explained):
    """A true run with weights and continuous attention."""
    (path,) = (path for path in (explained / "runs").iterdir() if "independent" not in path.name)
    return read_run(path)


@pytest.fixture
def copied(run, tmp_path):
    """The run, to be damaged; its folds share the weights of the first one, which are not looked into."""
    path = shutil.copytree(run.path, tmp_path / run.path.name, ignore=shutil.ignore_patterns("*.safetensors"))
    for fold in run.folds:
        source = run.path / "folds" / fold.fold / "model.safetensors"
        (path / "folds" / fold.fold / "model.safetensors").symlink_to(source)
    return read_run(path)


def maps_of(run, clip_ids, on_fold=lambda done, total: None):
    return read_maps(run, find_stores(run, []), clip_ids, CPU, on_fold)


def test_each_clip_is_seen_by_the_network_that_held_it_out(run):
    told = []
    found = maps_of(run, find_clips(run, []), lambda done, total: told.append((done, total)))
    assert found.clip_ids == tuple(sorted(EMOTIONS))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [block.shape for block in found.maps] == [(5, side, side) for side in (112, 56, 28, 14)]
    with h5py.File(run.sessions[-1].stores[0]) as file:
        rows = {clip_id: row for row, clip_id in enumerate(file["clips/id"].asstr()[:])}
        onset, apex = (file[f"{name}_window"][:, 3] for name in ("onset", "apex"))
    for fold in run.folds:
        network = MMNet(len(run.class_names)).eval()
        network.load_state_dict(load_file(run.path / "folds" / fold.fold / "model.safetensors"))
        for clip_id, stored in zip(fold.clip_ids, fold.logits[-1], strict=True):
            pair = []
            for picture in (onset[rows[clip_id]], apex[rows[clip_id]]):
                scaled = (picture / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
                pair.append(torch.from_numpy(scaled).permute(2, 0, 1)[None].float())
            with torch.no_grad():
                logits, maps = network.forward_with_maps(*pair)
            np.testing.assert_allclose(logits[0], stored, rtol=1e-3, atol=1e-4)  # so these are the weights that scored
            row = found.clip_ids.index(clip_id)
            np.testing.assert_array_equal(found.onset[row], onset[rows[clip_id]])
            np.testing.assert_array_equal(found.apex[row], apex[rows[clip_id]])
            for ours, theirs in zip(found.maps, maps, strict=True):
                np.testing.assert_allclose(ours[row], theirs[0, 0], atol=1e-5)


def test_a_clips_maps_do_not_depend_on_the_clips_beside_it(run):
    everything = maps_of(run, find_clips(run, []))
    wanted = ("casme2/02/EP02_01", "casme2/01/EP02_01")
    some = maps_of(run, wanted)
    assert some.clip_ids == tuple(sorted(wanted))
    for ours, theirs in zip(some.maps, everything.maps, strict=True):
        np.testing.assert_array_equal(ours, theirs[[1, 3]])


def test_a_run_without_weights_says_how_to_train_them(copied):
    file = copied.path / "folds/casme2-02/model.safetensors"
    file.unlink()
    with pytest.raises(RunError) as caught:
        maps_of(copied, find_clips(copied, []))
    assert str(caught.value) == (
        f"{file}: the fold's weights were not kept (`mer ablate` and --save-weights none keep none). Train again "
        "with the same settings and: mer train ... --save-weights last --no-resume."
    )


def make_old(path):
    """Make it a run of a version that kept no checksum of the weights."""
    forget_checksum(path)
    for done in path.glob("folds/*/done"):
        done.write_text("".join(done.read_text().splitlines(keepends=True)[1:3]))


def test_weights_that_have_changed_are_refused(copied):
    file = copied.path / "folds/casme2-02/model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(RunError) as caught:
        maps_of(copied, find_clips(copied, []))
    assert str(caught.value) == (
        f"{file}: was edited or damaged (it has changed since it was written). Delete {file.parent} and train again: "
        "only this fold is repeated."
    )


def test_weights_of_another_fold_are_refused(copied):
    """They were trained on the very clips."""
    make_old(copied.path)
    file = copied.path / "folds/casme2-02/model.safetensors"
    file.unlink()
    file.symlink_to(copied.path / "folds/casme2-01/model.safetensors")
    with pytest.raises(RunError, match=r"these are the weights of fold casme2-01 of .*, not of fold casme2-02 of "):
        maps_of(copied, find_clips(copied, []))


def test_damaged_weights_are_named(copied):
    make_old(copied.path)
    file = copied.path / "folds/casme2-02/model.safetensors"
    file.unlink()
    file.write_bytes(b"no weights")
    with pytest.raises(RunError, match=r"casme2-02/model\.safetensors: can't be read as weights .* only this fold is"):
        maps_of(copied, find_clips(copied, []))


def test_clips_are_found_by_their_ends_in_the_order_of_the_names(run):
    names = ["03/EP01_01", "casme2/01/EP02_01", "casme2/03/EP01_01"]
    assert find_clips(run, names) == ("casme2/03/EP01_01", "casme2/01/EP02_01")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("EP02_01", "'EP02_01' fits 2 clips. Name casme2/01/EP02_01 or casme2/02/EP02"),
        (
            "casme2/01/EP02_1",
            "this run has no clip 'casme2/01/EP02_1' among its 5 held-out clips. "
            "Did you mean 'casme2/01/EP02_01'? See them in ",
        ),
    ],
)
def test_an_unknown_clip_is_refused(run, name, said):
    with pytest.raises(RunError) as caught:
        find_clips(run, [name])
    assert said in str(caught.value)


def test_a_clip_of_an_unfinished_fold_has_no_network_yet(tmp_path):
    run = read_run(write_run(tmp_path, finished=1))
    assert find_clips(run, ["01/EP00"]) == ("casme2/01/EP00",)
    for names in (["02/EP00"], []):
        with pytest.raises(RunError, match=r"fold casme2-02, which holds out casme2/02/EP00, is not finished \(1 of "):
            find_clips(run, names)


def test_a_clip_that_was_only_trained_on_is_refused(tmp_path):
    run = read_run(write_run(tmp_path, "megc3", datasets=("samm",), trained_on=("casme2",)))
    assert {clip_id.partition("/")[0] for clip_id in find_clips(run, [])} == {"samm"}
    with pytest.raises(
        RunError, match=r"casme2/01/EP00 was trained on, and .* Name a clip of .*, for example samm/01/EP"
    ):
        find_clips(run, ["casme2/01/EP00"])


def test_the_store_must_be_the_one_that_was_trained_on(run, tmp_path):
    other = write_moving_store(tmp_path / "other.h5")
    with pytest.raises(
        RunError, match=r"other\.h5: this is not the store .*: its content hash is [0-9a-f]{12}, not [0-9a-f]{12}\. "
    ):
        find_stores(run, [other])
    moved = shutil.copy(run.sessions[-1].stores[0], tmp_path / "moved.h5")
    assert find_stores(run, [moved])["casme2"].path == moved


def test_a_store_of_another_dataset_is_refused(run, tmp_path):
    samm = write_store(tmp_path / "samm.h5", {"samm/006/006_1_2": "anger"})
    with pytest.raises(RunError, match=r"--store .*samm\.h5: this is a store of samm, and .* was tested on casme2\. "):
        find_stores(run, [samm])


def test_a_store_that_is_gone_asks_where_it_lies(tmp_path):
    run = read_run(write_run(tmp_path))
    with pytest.raises(RunError) as caught:
        find_stores(run, [])
    assert str(caught.value) == (
        f"{run.path}: its casme2 store data/casme2.h5 can't be found from this folder. Say where it is: --store PATH."
    )


def test_across_datasets_the_tested_store_is_looked_for(tmp_path):
    run = read_run(write_run(tmp_path, "megc3", datasets=("samm",), trained_on=("casme2",)))
    with pytest.raises(RunError, match=r"its samm store data/samm\.h5 can't be found"):
        find_stores(run, [])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_cuda_gives_the_same_maps(run):
    stores, clip_ids = find_stores(run, []), find_clips(run, [])
    ours = read_maps(run, stores, clip_ids, torch.device("cuda"), lambda done, total: None)
    for block, on_cpu in zip(ours.maps, maps_of(run, clip_ids).maps, strict=True):
        np.testing.assert_allclose(block, on_cpu, atol=1e-3)

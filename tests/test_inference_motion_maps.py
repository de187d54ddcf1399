"""Maps of networks on motion: of the recorded answer, of the fold's own normalisation, and what has none is told."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from own_methods import NETWORK, write
from run_factory import write_run
from safetensors.torch import load_file
from tiny_run import train
from tiny_store import EMOTIONS
from tiny_truth import patch_of, write_moving_store, write_truth
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.errors import RunError
from mer_cli.inference.fold_inputs import FoldInputs, plan_of
from mer_cli.inference.maps import find_all_stores, read_maps, require_network
from mer_cli.inference.model import NewClip
from mer_cli.inference.open_model import open_model
from mer_cli.inference.run_files import find_clips
from mer_cli.inference.saliency import explain_clips
from mer_cli.inference.truth import ATTRIBUTION
from mer_cli.runs.directory import read_run
from mer_cli.runs.foreign import Foreign

CPU = torch.device("cpu")
NAME = "dual-inception, published recipe, epochs 3, batch size 4, flow fast (attribution (input x SmoothGrad))"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A release's truth, its store, and a run of a network that sees u and v, normalised by the training clips."""
    root = tmp_path_factory.mktemp("motion")
    write_truth(root / "raw")
    store = write_moving_store(root / "casme2.h5")
    settings = {"batch_size": 4, "precision": "fp32", "flow": "fast"}
    train(store, root / "runs", model="dual-inception", epochs=3, **settings)
    return root


@pytest.fixture
def run(place):
    (path,) = (place / "runs").iterdir()
    shutil.rmtree(path / "explain", ignore_errors=True)
    return read_run(path)


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_the_inputs_of_a_fold_are_those_of_its_training(run):
    plan = plan_of(run, find_all_stores(run, []))
    inputs = FoldInputs(plan, CPU)
    for fold, stored in zip(plan.folds, run.folds, strict=True):
        inputs.start_fold(fold)
        network = run.config.method.build(len(run.class_names)).eval()
        network.load_state_dict(load_file(run.path / "folds" / fold.id / "model.safetensors"))
        with torch.no_grad():
            logits = network(*inputs.of(stored.clip_ids))
        np.testing.assert_allclose(logits, stored.logits[-1], rtol=1e-4, atol=1e-5)


def test_a_map_explains_the_recorded_answer_by_the_network_that_held_the_clip_out(run):
    clip_ids = find_clips(run, [])
    stores = find_all_stores(run, [])
    told = []
    found = read_maps(run, stores, clip_ids, CPU, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (found.kind, [block.shape for block in found.maps]) == (ATTRIBUTION, [(5, 224, 224)])
    assert {name: planes.shape for name, planes in found.motion.items()} == {"u": (5, 224, 224), "v": (5, 224, 224)}
    plan = plan_of(run, stores)
    inputs = FoldInputs(plan, CPU)
    for fold, stored in zip(plan.folds, run.folds, strict=True):
        inputs.start_fold(fold)
        network = run.config.method.build(len(run.class_names)).eval()
        network.load_state_dict(load_file(run.path / "folds" / fold.id / "model.safetensors"))
        answers = stored.logits[-1].argmax(axis=1).tolist()
        seen = inputs.of(stored.clip_ids)
        ours = explain_clips(network, seen, run.config.method.sees, name="", classes=answers).maps
        for clip_id, map_of_clip in zip(stored.clip_ids, ours, strict=True):
            np.testing.assert_allclose(found.maps[0][clip_ids.index(clip_id)], map_of_clip, atol=1e-5)
    one = read_maps(run, stores, clip_ids[2:3], CPU, lambda done, total: None)
    np.testing.assert_array_equal(one.maps[0], found.maps[0][2:3])


def test_the_command_draws_and_scores_them_beside_what_needs_no_network(place, run):
    result = mer("explain", run.path, "03/EP01_01", "--truth", place / "raw")
    assert result.exit_code == 0, result.stderr
    assert f"\n{NAME}, 1 seed\n" in result.stdout
    assert (run.path / "explain/casme2-03-EP01_01.png").read_bytes().startswith(b"\x89PNG")
    with (run.path / "explain/attention.csv").open(newline="") as file:
        rows = {row["maps"]: row for row in csv.DictReader(file)}
    assert list(rows) == [
        *(NAME, "|apex - onset|, no network"),
        *(f"input of {NAME.partition(' (')[0]}, no network", "uniform map, random point"),
    ]
    for row in rows.values():
        assert float(row["mass_low"]) <= float(row["mass"]) <= float(row["mass_high"])
    assert (
        float(rows["|apex - onset|, no network"]["mass"]) > 40
    )  # nearly all of it lies in the patch, of 1/52 of a crop


def test_what_moved_is_where_the_patch_moved(place, run):
    """The yardstick and the truth lie on the same pixels."""
    clip_id = next(iter(EMOTIONS))
    found = read_maps(run, find_all_stores(run, []), [clip_id], CPU, lambda done, total: None)
    columns, rows = patch_of(0)
    top, left = 4 * (rows.start - 2), 4 * (columns.start - 10)
    row, column = np.unravel_index(found.seen[0].argmax(), (224, 224))
    assert (top - 16 <= row <= top + 40, left - 16 <= column <= left + 56) == (True, True)


def test_a_new_clip_is_explained_by_all_networks_of_a_run(run):
    """The clip of a store is given as if it were new: its map is the mean of those of the folds."""
    stores = find_all_stores(run, [])
    clip_id = "casme2/03/EP01_01"
    inputs = FoldInputs(plan_of(run, stores), CPU)
    folds = {fold.id: fold for fold in inputs.plan.folds}
    inputs.start_fold(folds["casme2-03"])
    onset, apex = inputs.frames(clip_id)
    model = open_model(run.path)
    (shown,) = model.maps([NewClip(onset, apex, np.zeros((68, 2), np.float32))], [1])
    expected = np.zeros((224, 224), np.float32)
    for fold in folds.values():
        network = run.config.method.build(len(run.class_names)).eval()
        network.load_state_dict(load_file(run.path / "folds" / fold.id / "model.safetensors"))
        inputs.start_fold(fold)
        sees = run.config.method.sees
        expected += explain_clips(network, inputs.of([clip_id]), sees, name="", classes=[1]).maps[0]
    np.testing.assert_allclose(shown, expected / len(folds), atol=1e-3)


@pytest.mark.parametrize(
    ("door", "what"),
    [
        ("predictions", "its predictions were made outside mer"),
        ("learner", "it is a learner, of which mer keeps the logits only"),
    ],
)
def test_a_run_without_a_network_is_told_so(tmp_path, door, what):
    foreign = Foreign(door=door, title="My method", code="mine.py:Mine", source_sha256="ab" * 32, sees={"arrays": ()})
    run = read_run(write_run(tmp_path))
    config = run.config.model_copy(update={"model": "my-method", "foreign": foreign})
    with pytest.raises(RunError) as error:
        require_network(replace(run, config=config))
    assert str(error.value) == (
        f"{run.path}: My method has no network that can be explained: {what}. Name a run of a network; "
        "`mer models` lists them."
    )


@pytest.fixture(scope="module")
def own(place):
    """A run of one's own network."""
    file = write(place / "code", NETWORK)
    settings = {"epochs": 1, "batch_size": 4, "precision": "fp32"}
    path, _ = train(place / "casme2.h5", place / "own", model=f"{file}:MyNet", **settings)
    return file, path


def test_your_own_network_is_explained_if_you_name_its_code(own, monkeypatch):
    file, path = own
    result = mer("explain", path, "03/EP01_01", "--model", f"{file}:MyNet")
    assert result.exit_code == 0, result.stderr
    monkeypatch.setattr("mer_cli.runs.own_code._KNOWN", {})
    refused = mer("explain", path, "03/EP01_01")
    assert refused.exit_code == 1
    assert refused.stderr == (
        "error: mynet.py:MyNet: this run's method is not part of mer, and its code was not given. Reading, scoring and "
        "reporting the run need no code; for anything else name it: --model FILE.py:CLASS or MODULE:CLASS.\n"
    )


def test_other_code_than_the_runs_is_refused(own, run, tmp_path):
    _, path = own
    other = write(tmp_path, NETWORK.replace("width: int = 4", "width: int = 5"))
    result = mer("explain", path, "--model", f"{other}:MyNet")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: --model {other}:MyNet: this is not the code that {path} was trained with. A copy of that code is in "
        f"{path / 'source'}: read it, and name it.\n"
    )
    built_in = mer("explain", run.path, "--model", f"{other}:MyNet")
    assert built_in.exit_code == 1
    assert built_in.stderr == (
        f"error: --model {other}:MyNet: has no effect, because dual-inception is built in. Leave it out.\n"
    )

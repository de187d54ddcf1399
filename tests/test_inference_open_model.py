"""A run or a folder as a model: what it answers for clips of a store is what training stored for them."""

import shutil

import numpy as np
import pytest
import torch
from complete_store import complete_store
from moved_store import write_moved_store
from new_clips import held_out, new_clips
from own_methods import LEARNER, NETWORK
from run_factory import write_run
from tiny_run import train
from tiny_store import EMOTIONS, edited, write_store

from mer_cli.errors import ConfigError, MerError, RunError
from mer_cli.evaluation.calibration import fit_temperature
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.faces.mean_face import MEAN_FACE
from mer_cli.inference.open_model import open_model
from mer_cli.runs.directory import read_run
from mer_cli.store.hdf5 import read_store

OF_FLOW = {"flow": "fast", "epochs": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with landmarks, action units and whole clips."""
    return complete_store(write_moved_store(tmp_path_factory.mktemp("store") / "casme2.h5").path)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Such a store whose landmarks are those of faces, each a little larger than the one before."""
    path = complete_store(write_moved_store(tmp_path_factory.mktemp("faces") / "casme2.h5").path)
    with edited(path) as file:
        for row in range(len(file["landmarks"])):
            file["landmarks"][row] = (MEAN_FACE - 112) * (0.9 + 0.03 * row) + 112
    return path


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """A run of a small network on motion, whose planes each fold normalises by its training clips."""
    return train(store, tmp_path_factory.mktemp("runs"), model="dual-inception", **OF_FLOW)[0]


def assert_answers_as_stored(path):
    """Each network's answers for its held-out clips are the logits that the run stored, to the last bit."""
    run = read_run(path)
    model = open_model(path)
    store = run.sessions[-1].stores[0]
    for member, fold in enumerate(run.folds):
        stored = held_out(run, fold.fold)
        found = model.logits(new_clips(store, stored, whole=model.needs_clips))
        assert found.shape == (len(run.folds), len(stored), 3)
        np.testing.assert_array_equal(found[member], np.stack(list(stored.values())))
        assert not np.array_equal(found[member], found[member - 1])  # another fold's network answers otherwise


def test_mmnets_networks_answer_for_a_new_clip_as_in_their_run(explained):
    (path,) = (path for path in (explained / "runs").iterdir() if "independent" not in path.name)
    assert_answers_as_stored(path)


def test_networks_on_motion_see_new_clips_normalised_by_their_own_training_clips(run):
    assert_answers_as_stored(run)


def test_a_network_on_action_units_has_the_graph_of_its_own_training_clips(store, tmp_path):
    assert_answers_as_stored(train(store, tmp_path, model="augcn-flow", **OF_FLOW)[0])


def test_a_network_on_whole_clips_sees_all_frames_of_a_new_clip(store, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_cli.training.loop.Steps.train_epoch", lambda steps, draw, labels: torch.zeros(()))
    assert_answers_as_stored(train(store, tmp_path, model="di-resnet18", epochs=1, precision="fp32")[0])


@pytest.mark.parametrize(
    ("model", "steps"), [("canonical-cnn", "canonical"), ("tscnn-lite", "head+shape"), ("augcn-flow", "shape")]
)
def test_the_canonical_input_of_a_new_clip_is_that_of_a_stored_one(faces, tmp_path, model, steps):
    settings = OF_FLOW | {"input": steps}
    assert_answers_as_stored(train(faces, tmp_path, model=model, **settings)[0])


def test_mmnet_sees_the_canonical_images_of_a_new_clip(faces, tmp_path, monkeypatch):
    monkeypatch.setattr("mer_cli.training.loop.Steps.train_epoch", lambda steps, draw, labels: torch.zeros(()))
    settings = {"input": "canonical", "epochs": 1, "precision": "fp32"}
    assert_answers_as_stored(train(faces, tmp_path, **settings)[0])


def test_folds_with_inner_clips_are_normalised_without_them(tmp_path):
    store = write_store(tmp_path / "casme2.h5", EMOTIONS | {"casme2/04/EP01_01": "happiness"})
    with edited(store) as file:
        file["transforms"][:] = [[1, 0, 0], [0, 1, 0]]
    path, _ = train(store, tmp_path, ["03"], model="dual-inception", **OF_FLOW | {"epochs": 1}, inner_val=1)
    run = read_run(path)
    stored = held_out(run, "casme2-03")
    assert run.folds[0].inner_clip_ids
    found = open_model(path).logits(new_clips(store, stored))
    np.testing.assert_array_equal(found[0], np.stack(list(stored.values())))


def test_a_run_tells_its_own_score_and_what_it_was_trained_on(run, store):
    model, held = open_model(run), read_run(run)
    facts, scores = model.facts, evaluate(held, "last")
    assert (model.members, model.needs_clips) == (3, False)
    assert (facts.method, facts.title, facts.scheme) == ("dual-inception", "Dual-Inception", "mmnet3")
    assert facts.class_names == ("positive", "surprise", "negative")
    assert (facts.n_clips, facts.n_subjects, facts.clips_of_class) == (
        5,
        3,
        {"positive": 2, "surprise": 1, "negative": 2},
    )
    assert (facts.datasets, facts.generated, facts.align) == (("casme2",), True, "box")
    assert facts.predictor_sha256 == read_store(store).attributes["predictor_sha256"]
    assert (facts.fps, facts.seconds) == ((200, 200), (0.3, 0.3))
    assert facts.score.run == held.config.run_name
    assert facts.score.protocol == "leave one subject out, casme2-mmnet3/5"
    assert (facts.score.uf1, facts.score.accuracy, facts.score.n_clips) == (scores.uf1, scores.accuracy, 5)
    assert facts.score.uf1_interval[0] <= facts.score.uf1 <= facts.score.uf1_interval[1]
    assert facts.score.generated
    logits = np.concatenate([fold.logits[-1] for fold in held.folds])
    labels = np.array([held.labels[clip] for fold in held.folds for clip in fold.clip_ids])
    assert facts.temperature == fit_temperature(logits, labels)


def test_no_clip_has_no_logits(run):
    assert open_model(run).logits([]).shape == (3, 0, 3)


def test_a_store_that_has_moved_is_named(run, store, tmp_path, monkeypatch):
    moved = shutil.copy(store, tmp_path / "elsewhere.h5")
    copy = shutil.copytree(run, tmp_path / run.name)
    text = (copy / "environment.json").read_text().replace(str(store), "gone.h5")
    (copy / "environment.json").write_text(text)
    with pytest.raises(RunError) as error:
        open_model(copy)
    assert str(error.value) == (
        f"{copy}: its casme2 store gone.h5 can't be found from this folder. Say where it is: --store PATH."
    )
    assert open_model(copy, [moved]).members == 3


def test_an_unfinished_run_answers_without_a_score(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / run.name)
    shutil.rmtree(copy / "folds/casme2-02")
    model = open_model(copy)
    assert (model.members, model.facts.score, model.facts.temperature) == (2, None, None)


def refusal(path, **options):
    with pytest.raises(MerError) as error:
        open_model(path, **options)
    return str(error.value)


def test_weights_that_were_not_kept_are_missed_with_the_command_that_keeps_them(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / run.name)
    (copy / "folds/casme2-02/model.safetensors").unlink()
    assert refusal(copy) == (
        f"{copy}/folds/casme2-02/model.safetensors: the fold's weights were not kept (`mer ablate` and --save-weights "
        "none keep none). Train again with the same settings and: mer train ... --save-weights last --no-resume."
    )


def test_what_cannot_answer_for_a_new_clip_is_refused(tmp_path):
    permuted = write_run(tmp_path, shuffle_labels=True)
    assert refusal(permuted) == (
        f"{permuted}: was trained on permuted labels, as a null control, so its answers mean nothing. Give a run "
        "without --shuffle-labels."
    )
    svm = write_run(tmp_path, model="flow-svm", recipe="published", epochs=1, decay_epochs=0)
    assert refusal(svm) == (
        f"{svm}: flow-svm keeps nothing of its folds that could answer for a new clip. Fit one model on all subjects: "
        f"mer fit --model flow-svm --calibrate {svm}."
    )
    empty = write_run(tmp_path, finished=0, seed=4)
    assert refusal(empty).startswith(f"{empty}: has no finished fold yet. Continue with: mer train ")


def test_what_is_not_a_model_is_told(tmp_path):
    expected = "Give a folder that mer fit wrote, a run directory with weights, or an .onnx file."
    assert refusal(tmp_path / "none") == f"{tmp_path}/none: no such file or folder. {expected}"
    (tmp_path / "notes.txt").write_text("")
    assert refusal(tmp_path / "notes.txt") == f"{tmp_path}/notes.txt: not a model. {expected}"
    assert refusal(tmp_path) == f"{tmp_path}: not a model, it has no model.json. {expected}"


def test_your_own_learner_leaves_nothing_that_could_answer(store, tmp_path):
    (tmp_path / "nearest.py").write_text(LEARNER)
    path, _ = train(store, tmp_path, ["03"], model=f"{tmp_path}/nearest.py:Nearest", batch_size=None)
    assert refusal(path) == (
        f"{path}: nearest is not a network that mer trained, so it keeps nothing that could answer for a new clip. "
        "Give a run of a network."
    )


def test_the_code_of_your_own_network_is_asked_for_and_checked(store, tmp_path, monkeypatch):
    (tmp_path / "mynet.py").write_text(NETWORK)
    path, _ = train(store, tmp_path, ["03"], model=f"{tmp_path}/mynet.py:MyNet", epochs=1)
    assert_answers_as_stored_with(path, store)
    monkeypatch.setattr("mer_cli.inference.open_model.is_known", lambda foreign: False)  # as in another process
    digest = read_run(path).config.foreign.source_sha256[:12]
    assert refusal(path) == (
        f"{path}: its network is not part of mer: mynet.py:MyNet, whose source has the SHA-256 {digest}. Name the "
        "file, which is then run: --code mynet.py:MyNet."
    )
    assert open_model(path, code=f"{tmp_path}/mynet.py:MyNet").members == 1
    (tmp_path / "other.py").write_text(NETWORK + "\n")
    with pytest.raises(ConfigError) as error:
        open_model(path, code=f"{tmp_path}/other.py:MyNet")
    assert str(error.value).startswith(
        f"--code {tmp_path}/other.py:MyNet: is not the code that {path} was trained with"
    )


def assert_answers_as_stored_with(path, store):
    stored = held_out(read_run(path), "casme2-03")
    found = open_model(path).logits(new_clips(store, stored))
    np.testing.assert_array_equal(found[0], np.stack(list(stored.values())))


def test_code_for_a_built_in_network_has_no_effect(run):
    assert refusal(run, code="mynet.py:MyNet") == (
        f"--code has no effect with {run}, whose method is built in. Leave it out."
    )

"""A fitted model's folder: what it holds, that it answers as it was trained, and that every edit of it is noticed."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from complete_store import complete_store
from moved_store import write_moved_store
from new_clips import new_clips
from own_methods import ESTIMATOR, NETWORK
from safetensors.numpy import load_file
from sklearn.svm import SVC
from tiny_run import config_of, train
from tiny_store import EMOTIONS, write_store

from mer_cli import resolve_config
from mer_cli.errors import MerError, RunError, StoreError
from mer_cli.inference.fit_model import check_fit, fit_model, hold_folder
from mer_cli.inference.model_folder import model_text, read_model_file
from mer_cli.inference.open_model import open_model
from mer_cli.inference.purpose import PURPOSE
from mer_cli.motion.images import plane_statistics, read_images
from mer_cli.runs.methods import METHODS
from mer_cli.store.hdf5 import read_store
from mer_cli.training import classical
from mer_cli.training.fit import plan_fit
from mer_cli.training.inputs import compute_inputs, read_features

MODEL = {"model": "dual-inception", "flow": "fast", "epochs": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return complete_store(write_moved_store(tmp_path_factory.mktemp("store") / "casme2.h5").path)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("runs"), **MODEL)[0]


@pytest.fixture(scope="module")
def fitted(store, run, tmp_path_factory):
    """A model folder that quotes the run."""
    return fit(store, tmp_path_factory.mktemp("models") / "model", calibrate=run)


def fit(store, folder, calibrate=None, **changes):
    plan = plan_fit([store], config_of(**MODEL | changes))
    return fit_plan(plan, folder, calibrate)


def fit_plan(plan, folder, calibrate=None):
    facts = check_fit(plan, folder, calibrate)
    compute_inputs(plan)
    return fit_model(plan, folder, facts, lambda epoch, loss: None)


@pytest.fixture
def copy(fitted, tmp_path):
    """The model, to be damaged."""
    return shutil.copytree(fitted, tmp_path / "model")


def refusal(path):
    with pytest.raises(RunError) as error:
        open_model(path)
    return str(error.value)


def test_the_folder_holds_weights_what_the_clips_fixed_a_card_and_what_it_is(fitted, store, run):
    assert sorted(path.name for path in fitted.iterdir()) == ["card.md", "model.json", "model.safetensors"]
    held = load_file(fitted / "model.safetensors")
    info = read_store(store)
    images = read_images(info, "fast", list(EMOTIONS), METHODS["dual-inception"].sees)
    mean, deviation = plane_statistics(images, np.arange(5))
    np.testing.assert_array_equal(held["input.mean"], mean)
    np.testing.assert_array_equal(held["input.deviation"], deviation)
    said = json.loads((fitted / "model.json").read_text())
    assert (said["format"], said["format_version"]) == ("mer-model", 1)
    assert read_model_file(fitted).config.run_name == run.name
    assert "input.graph" not in held


def test_a_model_quotes_the_run_of_its_settings_and_no_score_of_its_own(fitted, run):
    facts = open_model(fitted).facts
    assert facts.score == open_model(run).facts.score
    assert facts.temperature == open_model(run).facts.temperature
    card = (fitted / "card.md").read_text()
    assert "It has no score of its own" in card
    assert f"it reached UF1 {facts.score.uf1:.4f} (95 % interval over subjects" in card
    assert "Epoch rule last, seed 1. Its faces were generated: that is not a result on any dataset." in card
    assert "**Faces generated: not a result on any dataset.**" in card
    assert PURPOSE in card
    assert "| positive | 2 |" in card


def test_without_a_run_the_card_names_the_two_commands_that_would_tell(store, tmp_path, monkeypatch):
    monkeypatch.chdir(store.parent)
    card = (fit(store, tmp_path / "m", epochs=1) / "card.md").read_text()
    assert "**Nobody knows how good it is.**" in card
    train_command, fit_command = (line.strip() for line in card.splitlines() if line.startswith("    mer "))
    assert train_command == (
        "mer train casme2.h5 --loso --scheme mmnet3 --model dual-inception --recipe published --seed 1 --device cpu "
        "--precision fp32 --compile off --epochs 1 --batch-size 2 --flow fast"
    )
    assert fit_command.startswith("mer fit casme2.h5 --scheme mmnet3 ")
    assert f"--out model --calibrate runs/{read_model_file(tmp_path / 'm').config.run_name}" in fit_command


def test_the_same_fit_gives_the_same_weights_and_another_seed_others(fitted, store, tmp_path):
    again, other = fit(store, tmp_path / "again"), fit(store, tmp_path / "other", seed=2)
    first = (fitted / "model.safetensors").read_bytes()
    assert (again / "model.safetensors").read_bytes() == first
    assert (other / "model.safetensors").read_bytes() != first


def test_another_seed_of_the_run_may_be_quoted(store, run, tmp_path):
    assert read_model_file(fit(store, tmp_path / "m", calibrate=run, seed=2)).facts.score.seed == 1


def test_a_network_on_action_units_takes_its_graph_along(store, tmp_path):
    model = open_model(fit(store, tmp_path / "m", model="augcn-flow", epochs=1))
    clips = new_clips(store, EMOTIONS)
    assert model.logits(clips).shape == (1, 5, 3)
    assert load_file(tmp_path / "m/model.safetensors")["input.graph"].shape == (9, 9)


def test_a_support_vector_machine_decides_as_scikit_learns(store, tmp_path, monkeypatch):
    fitted_by_sklearn = []
    wrapped = classical.SVC.fit
    monkeypatch.setattr(
        classical.SVC, "fit", lambda self, *args: fitted_by_sklearn.append((self, args)) or wrapped(self, *args)
    )
    config = resolve_config(model="flow-svm", flow="fast", scheme="mmnet3")
    plan = plan_fit([store], config)
    folder = fit_plan(plan, tmp_path / "m")
    model = open_model(folder)
    machine, (kernel, labels) = fitted_by_sklearn[-1]
    assert (labels == list(plan.labels.values())).all()
    expected = machine.decision_function(kernel)
    found = model.machine.decide(read_features(plan))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    logits = model.logits(new_clips(store, plan.labels))
    np.testing.assert_array_equal(logits[0], found.astype(np.float32))
    assert not list(folder.glob("*.pkl"))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_plain_arrays_decide_as_a_machine_of_any_number_of_classes(kernel, n_classes):
    random = np.random.default_rng(n_classes)
    features = random.normal(size=(60, 7)).astype(np.float32)
    labels = np.arange(60) % n_classes
    features[:, 0] += labels
    sees = METHODS["flow-svm" if kernel == "rbf" else "bi-woof"]
    config = resolve_config(model=sees.name, scheme="mmnet3")
    held = classical.Machine(features, features, config)
    arrays = held.as_arrays(labels, 0.5)
    others = random.normal(size=(40, 7)).astype(np.float32)
    scaled = held.scaler.transform(others.astype(np.float64))
    options = {"gamma": held.gamma} if kernel == "rbf" else {}
    direct = SVC(C=0.5, kernel=kernel, break_ties=True, **options).fit(held.seen, labels)
    expected = direct.decision_function(scaled)
    found = arrays.decide(others)
    np.testing.assert_allclose(found[:, 1] if n_classes == 2 else found, expected, atol=1e-9)
    assert (arrays.classes[found.argmax(axis=1)] == direct.predict(scaled)).all()


def test_your_own_network_is_fitted_and_named_on_its_card(store, tmp_path):
    (tmp_path / "mynet.py").write_text(NETWORK)
    folder = fit(store, tmp_path / "m", model=f"{tmp_path}/mynet.py:MyNet", flow=None, epochs=1)
    model = open_model(folder)
    assert model.logits(new_clips(store, EMOTIONS)).shape == (1, 5, 3)
    card = (folder / "card.md").read_text()
    assert f"`mynet.py:MyNet`. The SHA-256 over its source is {model.config.foreign.source_sha256}." in card


def refused_plan(store, **changes):
    with pytest.raises(MerError) as error:
        plan_fit([store], config_of(**changes))
    return str(error.value)


def test_what_has_no_plain_numbers_to_keep_is_refused(store, tmp_path):
    (tmp_path / "forest.py").write_text(ESTIMATOR)
    own = resolve_config(model=f"{tmp_path}/forest.py:pipeline", features="flow", scheme="mmnet3")
    with pytest.raises(MerError) as error:
        plan_fit([store], own)
    assert str(error.value) == (
        "--model forest.py:pipeline: what it learns can't be kept as plain numbers, and a pickle would run code when "
        "it is read. mer fit takes a network, or a built-in method. Its score you get without it: mer train --loso."
    )


def test_settings_that_hold_somebody_back_are_refused(store):
    assert refused_plan(store, inner_val=1) == (
        "--inner-val has no effect with mer fit, which holds nobody back. Leave it out."
    )
    assert refused_plan(store, shuffle_labels=True) == (
        "--shuffle-labels would fit a model that knows nothing. Leave it out."
    )


def test_a_run_of_other_settings_is_not_quoted(store, run, tmp_path):
    with pytest.raises(RunError) as error:
        fit(store, tmp_path / "m", calibrate=run, epochs=3)
    assert str(error.value) == (
        f"--calibrate {run}: this run has other settings than the model: epochs is 2 in the run and 3 in the model; "
        "decay epochs is 2 in the run and 3 in the model. Its score would say nothing about the model. Give the same "
        "settings, or train that run: mer train --loso."
    )
    assert not (tmp_path / "m").exists()


def test_a_run_on_another_store_is_not_quoted(run, tmp_path):
    (tmp_path / "data").mkdir()
    other = write_moved_store(tmp_path / "data/casme2.h5", seed=1).path
    with pytest.raises(RunError) as error:
        fit(other, tmp_path / "m", calibrate=run)
    assert (
        "the stores (by content hash) are casme2 000000000000 in the run and casme2 111111111111 in the model"
        in str(error.value)
    )


def test_a_folder_that_holds_something_else_stays_as_it_is(fitted, store, tmp_path):
    kept = tmp_path / "thesis"
    kept.mkdir()
    (kept / "chapter.tex").write_text("x")
    with pytest.raises(RunError) as error:
        fit(store, kept)
    assert str(error.value) == (
        f"{kept}: holds other files, such as chapter.tex, which stay as they are. Give another --out, or move the "
        "folder away."
    )
    model = shutil.copytree(fitted, tmp_path / "model")
    with pytest.raises(RunError) as error:
        fit(store, model, seed=2)
    assert str(error.value) == (
        f"{model}: holds another model, which stays as it is. Give another --out, or move the folder away."
    )
    fit(store, model)  # the same model again


def test_stores_that_were_cropped_in_different_ways_are_refused(tmp_path):
    from tiny_store import SAMM_EMOTIONS

    paths = [
        write_store(tmp_path / "casme2.h5"),
        write_store(tmp_path / "samm.h5", SAMM_EMOTIONS, crop={"align": "eyes"}),
    ]
    plan = plan_fit(paths, config_of(**MODEL | {"scheme": "megc3"}))
    with pytest.raises(MerError) as error:
        fit_plan(plan, tmp_path / "m")
    assert str(error.value) == (
        f"{paths[1]}: its faces were cropped with --align eyes, those of {paths[0]} with --align box. A new face can "
        "be cropped in one way only. Build one of the stores again."
    )


AGAIN = "Restore the folder, or fit the model again."


def test_a_folder_of_a_newer_version_is_refused(copy):
    held = json.loads((copy / "model.json").read_text()) | {"format_version": 2}
    (copy / "model.json").write_text(json.dumps(held))
    assert refusal(copy) == (
        f"{copy}/model.json: has format version 2, and this program reads 1. Update mer, or fit the model again."
    )


def test_an_edited_model_json_is_noticed(copy):
    text = (copy / "model.json").read_text()
    (copy / "model.json").write_text(text.replace('"temperature": ', '"temperature": 1'))
    assert refusal(copy) == (
        f"{copy}/model.json: was edited or damaged: its checksum is not that of what it says. {AGAIN}"
    )


def test_a_model_of_code_that_gives_other_logits_is_refused(copy):
    said = read_model_file(copy)
    config = said.config.model_copy(update={"revision": 1})
    (copy / "model.json").write_text(model_text(said.model_copy(update={"config": config})))
    assert refusal(copy) == (
        f"{copy}/model.json: was trained with revision of dual-inception 1, and this program has 2, which gives other "
        f"logits. Fit the model again, or use mer {said.mer}."
    )


@pytest.mark.parametrize("size", [100, -5])
def test_truncated_or_edited_weights_are_noticed(copy, size):
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[:size])
    assert refusal(copy).startswith(f"{copy}/model.safetensors: was edited or damaged: its SHA-256 is ")
    assert refusal(copy).endswith(f" {AGAIN}")


def test_a_missing_file_is_named(copy):
    (copy / "model.safetensors").unlink()
    assert refusal(copy) == f"{copy}/model.safetensors: there is no such file, and a model needs it. {AGAIN}"


@pytest.mark.parametrize("text", ["[]", '{"format": "other"}'])
def test_another_programs_json_is_not_a_model(copy, text):
    (copy / "model.json").write_text(text)
    assert refusal(copy) == (f'{copy}/model.json: not a model that mer wrote (its format is not "mer-model"). {AGAIN}')


def test_weights_that_no_reader_understands_are_told(copy):
    said = read_model_file(copy)
    (copy / "model.safetensors").write_bytes(b"x" * 20)
    digest = hashlib.sha256(b"x" * 20).hexdigest()
    (copy / "model.json").write_text(model_text(said.model_copy(update={"weights_sha256": digest})))
    assert refusal(copy).startswith(f"{copy}/model.safetensors: can't be read as weights (")
    assert refusal(copy).endswith(f"). {AGAIN}")


def test_a_file_in_the_way_of_the_folder_is_told(store, tmp_path):
    (tmp_path / "m").write_text("")
    with pytest.raises(RunError) as error:
        fit(store, tmp_path / "m")
    assert str(error.value) == (
        f"{tmp_path}/m: a model can't be written there (Not a directory). Give another --out, or move the folder away."
    )


def reseal(folder, **facts):
    """Change facts of a model as somebody would who mends the checksum, too."""
    held = json.loads((folder / "model.json").read_text())
    del held["sha256"]
    held["facts"] |= facts
    digest = hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(held | {"sha256": digest}))


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"temperature": 0.0}, "facts.temperature is 0.0: Input should be greater than 0"),
        ({"temperature": -1.0}, "facts.temperature is -1.0: Input should be greater than 0"),
        (
            {"class_names": ["positive"], "clips_of_class": {"positive": 5}},
            "facts: at least two classes are needed, each with a name of its own",
        ),
        (
            {"clips_of_class": {"positive": 5}},
            "facts: the number of training clips must be known for each class and for nothing else",
        ),
    ],
)
def test_facts_that_cannot_be_are_refused(copy, facts, problem):
    reseal(copy, **facts)
    assert refusal(copy) == f"{copy / 'model.json'}: {problem}. Restore the folder, or fit the model again."


def test_two_models_are_not_fitted_into_one_folder_at_once(tmp_path):
    folder = tmp_path / "models" / "model"
    with hold_folder(folder), pytest.raises(StoreError) as error, hold_folder(folder):
        raise AssertionError
    assert str(error.value) == (
        f"{folder}: another process is building it. Wait until it ends, then run the same command again."
    )
    with hold_folder(folder):
        pass
    assert list(folder.parent.iterdir()) == []


def test_a_place_where_no_folder_can_be_is_told_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "model"
    with pytest.raises(RunError) as error, hold_folder(folder):
        raise AssertionError
    assert str(error.value) == (
        f"{folder}: cannot be written (File exists). Move {tmp_path / 'file'} away, then run the same command again: "
        "nothing was trained yet."
    )

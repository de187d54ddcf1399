"""Folds that start from the weights of a fitted model: what fits, what is refused, and how it is told."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from new_clips import held_out, new_clips
from own_methods import NETWORK
from tiny_run import assert_same_fold, config_of, stored, train
from tiny_store import EMOTIONS, SAMM_EMOTIONS, edited, write_store
from typer.testing import CliRunner

import mer_cli
from mer_cli.cli import main
from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation.run_text import is_own_recipe, remarks, settings, settings_key, train_command
from mer_cli.faces.mean_face import MEAN_FACE
from mer_cli.inference.fit_model import check_fit, fit_model
from mer_cli.inference.model_folder import read_initial, read_model_file
from mer_cli.inference.open_model import open_model
from mer_cli.report.entries import score_runs
from mer_cli.report.placing import place_runs
from mer_cli.runs.directory import read_run
from mer_cli.training.fit import plan_fit
from mer_cli.training.initial import require_no_leak
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

# A network without BatchNorm, whose input no training clip fixes: what it answers hangs on its weights alone.
PLAIN = {"model": "offapexnet", "flow": "fast", "normalisation": "minmax", "scheme": "megc3", "epochs": 1}
STILL = {"learning_rate": 1e-30}
FOLDS = ["casme2-01", "casme2-02", "casme2-03"]


def fit(store, folder, **changes):
    plan = plan_fit([store], config_of(**PLAIN | changes))
    compute_inputs(plan)
    return fit_model(plan, folder, check_fit(plan, folder, None), lambda epoch, loss: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_store(folder / "casme2.h5")
    write_store(folder / "samm.h5", SAMM_EMOTIONS, table_sha256="12" * 32)
    for store in sorted(folder.iterdir()):
        with edited(store) as file:
            file["landmarks"][:] = MEAN_FACE
            file["transforms"][:] = [[1, 0, 0], [0, 1, 0]]
    return folder


@pytest.fixture(scope="module")
def store(data):
    return data / "casme2.h5"


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """A model of the other dataset."""
    return fit(data / "samm.h5", tmp_path_factory.mktemp("models") / "samm")


def plan_from(fitted, store, **changes):
    return plan_run([store], config_of(**PLAIN | changes), initial=read_initial(fitted))


@pytest.fixture(scope="module")
def started(fitted, store, tmp_path_factory):
    return train_run(plan_from(fitted, store), tmp_path_factory.mktemp("runs"))


def test_without_learning_the_folds_answer_as_the_model_does(fitted, store, tmp_path):
    run = read_run(train_run(plan_from(fitted, store, **STILL), tmp_path))
    logits = open_model(fitted).logits(new_clips(store, EMOTIONS))[0]
    of_clip = dict(zip(EMOTIONS, logits, strict=True))
    assert [fold.fold for fold in run.folds] == FOLDS
    for fold in run.folds:
        for clip_id, found in held_out(run, fold.fold).items():
            np.testing.assert_allclose(found, of_clip[clip_id], rtol=1e-4, atol=1e-5)


def test_worker_processes_start_from_the_same_weights(fitted, store, started, tmp_path):
    path = train_run(plan_from(fitted, store), tmp_path, folds_at_once=2)
    for fold in FOLDS:
        assert_same_fold(path, started, fold)


def test_the_seed_still_decides_what_is_drawn(fitted, store, started, tmp_path):
    other = train_run(plan_from(fitted, store, seed=2), tmp_path)
    assert (stored(other, FOLDS[0])[0] != stored(started, FOLDS[0])[0]).any()


def test_of_other_classes_the_last_layer_is_drawn_as_usual(fitted, store, tmp_path):
    plan = plan_from(fitted, store, scheme="casme2-5", **STILL)
    assert plan.warnings[-1] == (
        f"--init {fitted}: its classes are not those of this run, so head.6.weight and head.6.bias are drawn as usual."
    )
    weights = stored(train_run(plan, tmp_path / "from"), FOLDS[0])[1]
    drawn = stored(train([store], tmp_path / "drawn", **PLAIN | STILL | {"scheme": "casme2-5"})[0], FOLDS[0])[1]
    theirs = read_initial(fitted).weights
    for name, tensor in weights.items():
        assert torch.equal(tensor, (drawn if name.startswith("head.6") else theirs)[name]), name


def test_it_is_recorded_by_the_hash_of_the_weights_and_told_beside_every_score(fitted, store, started):
    run, sha256 = read_run(started), read_model_file(fitted).weights_sha256
    assert run.config.init == json.loads((started / "config.json").read_text())["init"] == sha256
    assert f"trained from weights {sha256[:8]}" in remarks(run.config)
    assert f"from weights {sha256[:8]}" in settings(run.config)
    plain = plan_run([store], config_of(**PLAIN)).config
    assert plain.run_name != run.config.run_name
    assert settings_key(plain) != settings_key(run.config)
    assert not any(entry.competes for entry in score_runs([run], place_runs([run])))
    assert f"--init {fitted}" in train_command(run)
    assert not is_own_recipe(run.config, "last")


def test_other_weights_at_the_same_path_are_another_run(data, store, started, tmp_path):
    other = fit(data / "samm.h5", tmp_path / "model", seed=2)
    plan = plan_from(other, store)
    assert plan.config.run_name != started.name


def test_a_run_is_continued_and_replayed_from_its_weights(fitted, store, started, tmp_path):
    def mer(*arguments):
        return CliRunner().invoke(main.app, [str(argument) for argument in arguments])

    again = mer("train", "--config", started / "config.json", "--out", started.parent)
    assert again.exit_code == 0, again.output
    assert "3 of 3 folds are finished already" in again.output
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in config_of(**PLAIN).model_dump().items() if name in
             (*PLAIN, "batch_size", "device")]  # fmt: skip
    typed = mer("train", store, "--loso", *flags, "--init", fitted / "model.safetensors", "--out", started.parent)
    assert typed.exit_code == 0, typed.output
    assert "3 of 3 folds are finished already" in typed.output
    with pytest.warns(UserWarning, match="training clips of one subject only"):
        run = mer_cli.train(store, init=fitted, out=started.parent, progress=False, batch_size=2, device="cpu", **PLAIN)
    assert run.path == started


def test_a_control_that_must_have_nothing_to_learn_starts_from_no_weights(fitted, store):
    with pytest.raises(ConfigError) as error:
        plan_from(fitted, store, shuffle_labels=True)
    assert str(error.value) == (
        f"--init {fitted}: with --shuffle-labels a run must have nothing to learn, and these weights know true labels. "
        "Leave one of the two out."
    )


def test_a_replay_whose_weights_are_gone_says_how_to_name_them(fitted, store, tmp_path):
    moved = tmp_path / "model"
    shutil.copytree(fitted, moved)
    run = train_run(plan_from(moved, store), tmp_path / "runs")
    shutil.rmtree(moved)
    shown = CliRunner().invoke(main.app, ["train", "--config", str(run / "config.json")])
    assert shown.exit_code == 1
    assert shown.stderr == (
        f"error: {run / 'config.json'}: the weights that the run started from are not at {moved}. Name their place: "
        "--init MODEL.\n"
    )


def test_people_whom_the_run_holds_out_must_be_unknown_to_the_weights(data, fitted, store, tmp_path):
    own = fit(store, tmp_path / "own")
    with pytest.raises(ConfigError, match="was trained on all subjects of casme2, and this run holds out subjects of"):
        plan_from(own, store)
    with pytest.raises(ConfigError, match="and this run tests on subjects of casme2"):
        plan_run([data / "samm.h5"], config_of(**PLAIN), test_stores=[store], initial=read_initial(own))
    across = plan_run([data / "samm.h5"], config_of(**PLAIN), test_stores=[store], initial=read_initial(fitted))
    assert across.config.init
    initial = read_initial(own)
    (seen,) = initial.config.stores
    (held,) = plan_run([store], config_of(**PLAIN)).config.stores
    config = plan_run([store], config_of(**PLAIN)).config
    for table, generated, is_refused in (("ab", False, True), ("99", False, False), ("99", True, True)):
        known = seen.model_copy(update={"table_sha256": table * 32, "generated": generated})
        changed = replace(initial, config=initial.config.model_copy(update={"stores": (known,)}))
        assert held.generated
        if is_refused:
            with pytest.raises(ConfigError, match="people that the network has seen"):
                require_no_leak(changed, config)
        else:
            require_no_leak(changed, config)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model": "flow-svm", "normalisation": None, "epochs": None, "batch_size": None, "device": None},
         "--init has no effect with --model flow-svm"),
        ({"model": "ststnet"}, "was trained with --model offapexnet, and this run has ststnet"),
        ({"flow": "tvl1"}, "was trained with flow fast, and this run has tvl1"),
        ({"normalisation": "standard"}, "was trained with normalisation minmax, and this run has standard"),
        ({"input": "average"}, "was trained with input crop, and this run has average"),
    ],
)  # fmt: skip
def test_weights_of_another_network_or_of_other_input_are_refused(changes, match, fitted, store):
    with pytest.raises(ConfigError, match=match):
        plan_from(fitted, store, **changes)


def test_what_is_not_a_model_folder_is_told_without_offering_what_init_does_not_take(fitted, tmp_path):
    with pytest.raises(RunError) as caught:
        read_initial(tmp_path)
    assert str(caught.value) == (
        f"--init {tmp_path}: not a model folder, it has no model.json. Give a folder that mer fit wrote."
    )
    assert read_initial(fitted / "model.json").sha256 == read_initial(fitted).sha256


def test_arrays_that_do_not_fit_are_named(fitted, store):
    initial = read_initial(fitted)
    wrong = replace(initial, weights={**initial.weights, "head.0.bias": torch.zeros(7)})
    with pytest.raises(ConfigError, match=r"head\.0\.bias is of shape \(7,\) in these weights and of shape \(1024,\)"):
        plan_run([store], config_of(**PLAIN), initial=wrong)
    lacking = {name: tensor for name, tensor in initial.weights.items() if name != "head.0.bias"}
    with pytest.raises(ConfigError, match=r"head\.0\.bias is absent in these weights and of shape"):
        plan_run([store], config_of(**PLAIN), initial=replace(initial, weights=lacking))


def test_networks_of_a_run_from_weights_answer_no_new_clip(started):
    with pytest.raises(RunError, match="doesn't say whom those had seen"):
        open_model(started)


def test_a_network_of_your_own_starts_from_weights_of_the_same_code(data, store, tmp_path):
    code = tmp_path / "mynet.py"
    code.write_text(NETWORK, encoding="utf-8")
    own = {"model": f"{code}:MyNet", "normalisation": None, "flow": None}
    model = fit(data / "samm.h5", tmp_path / "model", **own)
    path = train_run(plan_from(model, store, **own, **STILL), tmp_path / "runs")
    assert read_run(path).config.init
    theirs, weights = read_initial(model).weights, stored(path, FOLDS[0])[1]
    assert weights.keys() == theirs.keys()
    assert all(torch.equal(weights[name], theirs[name]) for name in theirs)
    other = tmp_path / "other.py"
    other.write_text(NETWORK.replace("0.2", "0.3"), encoding="utf-8")
    with pytest.raises(ConfigError, match="with --model mynet of other code, and this run has mynet"):
        plan_from(model, store, **own | {"model": f"{other}:MyNet"})

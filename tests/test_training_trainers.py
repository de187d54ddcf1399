"""One trainer for all folds and seeds of a configuration: nothing is compiled twice, and no seed leaves a trace."""

import pytest
import torch
from moved_store import write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, train
from tiny_store import write_store
from tools import require_tool

from mer_cli.training.fold_work import Trainers
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.machine import COMPILERS
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

MODEL = {"model": "ststnet", "flow": "fast", "epochs": 2, "precision": "fp32"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = write_moved_store(tmp_path_factory.mktemp("data") / "casme2.h5").path
    compute_inputs(plan_run([path], config_of(**MODEL)))
    return path


def test_a_seed_trained_after_another_equals_it_trained_alone(store, tmp_path):
    trainers = Trainers()
    paths = [
        train_run(plan_run([store], config_of(**MODEL, seed=seed)), tmp_path / "both", Silent(), trainers=trainers)
        for seed in (1, 2)
    ]
    alone, _ = train(store, tmp_path / "alone", **MODEL, seed=2)
    for fold in ("casme2-01", "casme2-02", "casme2-03"):
        assert_same_fold(paths[1], alone, fold)
    assert paths[0].name != paths[1].name


def test_another_setting_makes_another_trainer(store):
    trainers = Trainers()
    first = trainers.of(plan_run([store], config_of(**MODEL)))
    assert trainers.of(plan_run([store], config_of(**MODEL, seed=5))) is first
    assert first.config.seed == 5
    assert trainers.of(plan_run([store], config_of(**MODEL | {"epochs": 3}))) is not first


def test_seeds_that_set_other_subjects_aside_share_a_trainer_too(tmp_path):
    emotions = {
        f"casme2/{subject:02}/{emotion}": emotion for subject in range(1, 6) for emotion in ("happiness", "disgust")
    }
    store = write_store(tmp_path / "casme2.h5", emotions)
    trainers = Trainers()
    compute_inputs(plan_run([store], config_of(**MODEL)))
    plans = [plan_run([store], config_of(**MODEL, seed=seed, inner_val=1)) for seed in (1, 2, 3)]
    assert len({plan.folds for plan in plans}) > 1
    assert len({id(trainers.of(plan)) for plan in plans}) == 1


@pytest.mark.slow
def test_all_folds_and_seeds_share_one_compiled_network(store, tmp_path):
    """Full batches alone are compiled, so last batches of other sizes compile nothing more."""
    require_tool(*COMPILERS["cpu"])
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    trainers = Trainers()
    for seed in (1, 2):
        config = config_of(**MODEL, seed=seed, compile="on")
        train_run(plan_run([store], config), tmp_path, Silent(), trainers=trainers)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1

"""Folds on other engines: the same numbers, each fold trained once, and one that fails costs no other."""

import pickle
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from moved_store import write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, train

from mer_cli.cli.methods import show_failed
from mer_cli.engines.engine import Ended, Needs
from mer_cli.engines.local import LocalEngine
from mer_cli.errors import ConfigError, RunError
from mer_cli.runs.directory import read_run
from mer_cli.runs.failures import read_failures
from mer_cli.training.fold_work import FoldWork
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.plan import plan_run
from mer_cli.training.time_limit import TimeLimit
from mer_cli.training.train import FailedRun, Options, train_run, train_runs

MODEL = {"model": "ststnet", "flow": "fast", "epochs": 3, "precision": "fp32"}
FOLDS = ("casme2-01", "casme2-02", "casme2-03")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = write_moved_store(tmp_path_factory.mktemp("data") / "casme2.h5").path
    compute_inputs(plan_run([path], config_of(**MODEL)))
    return path


@pytest.fixture(scope="module")
def straight(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("straight"), **MODEL)[0]


def plans_of(store, *seeds):
    return [plan_run([store], config_of(**MODEL, seed=seed)) for seed in seeds]


class Elsewhere:
    """An engine that does each task as another machine would: from what was pickled, in an order of its own."""

    name = "ray"
    is_detached = False
    place = "node7"

    def __init__(self, fail=()):
        self.fail, self.done = fail, Counter()

    def run(self, tasks, on_end, on_step):
        for task in reversed(list(tasks)):
            self.done[task.work.name, task.name] += 1
            if task.name in self.fail:
                on_end(Ended(task, error=RuntimeError("the node is on fire")))
                continue
            work, shared = pickle.loads(pickle.dumps((task.work, task.work.read())))
            on_end(Ended(task, task.work.keep(task.item, work.do(shared, task.item, lambda epoch, loss: None))))


def test_a_fold_that_was_sent_away_has_the_same_numbers(store, straight, tmp_path):
    listener = Silent()
    path = train_run(plans_of(store, 1)[0], tmp_path, listener, engine=Elsewhere())
    assert path.name == straight.name
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)
    assert (listener.n_folds, sorted(listener.folds), listener.n_done) == (3, list(FOLDS), 3)
    assert [epoch for epoch, _ in listener.losses] == [3, 3, 3]


def test_another_machine_needs_no_store(store, straight, tmp_path):
    """What the folds share is read by the command, and sent."""
    data = tmp_path / "data"
    data.mkdir()
    moved = write_moved_store(data / "casme2.h5").path
    plan = plans_of(moved, 1)[0]
    compute_inputs(plan)
    work = FoldWork(plan, tmp_path / plan.config.run_name, Needs(), "ray")
    sent = pickle.dumps((work, work.read()))
    data.rename(tmp_path / "gone")
    work, shared = pickle.loads(sent)
    trained, facts = work.do(shared, plan.folds[0], lambda epoch, loss: None)
    with np.load(straight / "folds" / FOLDS[0] / "logits.npz") as held:
        np.testing.assert_array_equal(trained.logits, held["logits"])
    assert facts["threads"] == 1


def test_a_machine_without_the_planned_device_says_so(store, tmp_path):
    plan = plans_of(store, 1)[0]
    config = plan.config.model_copy(update={"device": "mps"})  # none of the machines that run these tests has one
    plan = type(plan)(plan.stores, config, plan.folds, plan.wanted, plan.warnings)
    work = pickle.loads(pickle.dumps(FoldWork(plan, tmp_path, Needs(device="mps"), "ray")))
    with pytest.raises(ConfigError, match=r"^--device mps: .* Apple GPU"):
        work.read()


def test_a_fold_that_fails_costs_no_other_fold_and_no_other_run(store, straight, tmp_path):
    one, two = plans_of(store, 1, 2)
    engine = Elsewhere(fail=("casme2-02",))
    ended = []
    failed = train_runs(
        [one, two], tmp_path, lambda _: Silent(), Options(engine=engine), on_run_end=ended.append, goes_on=True
    )
    log = tmp_path / one.config.run_name / "logs" / "casme2-02.log"
    assert [run.plan for run in failed] == [one, two]
    assert failed[0].reason == (
        f"{tmp_path / one.config.run_name}: 1 of 3 folds failed: casme2-02. RuntimeError: the node is on fire "
        f"Log: {log}. The others are finished; the same command tries it again."
    )
    assert "the node is on fire" in log.read_text(encoding="utf-8")
    assert set(engine.done.values()) == {1}
    for plan in (one, two):
        run = tmp_path / plan.config.run_name
        assert read_run(run).missing == ("casme2-02",)
        assert read_failures(run)["casme2-02"].error == "RuntimeError: the node is on fire"
    assert ended == []
    again = Elsewhere()
    assert train_runs([one, two], tmp_path, lambda _: Silent(), Options(engine=again), on_run_end=ended.append) == []
    assert list(again.done) == [(plan.config.run_name, "casme2-02") for plan in (two, one)]
    assert ended == [tmp_path / plan.config.run_name for plan in (two, one)]
    assert read_failures(tmp_path / one.config.run_name) == {}
    assert_same_fold(tmp_path / one.config.run_name, straight, "casme2-02")


def test_a_single_run_ends_with_the_error_after_its_other_folds(store, tmp_path):
    plan = plans_of(store, 1)[0]
    with pytest.raises(RunError, match="1 of 3 folds failed: casme2-03. RuntimeError: the node is on fire"):
        train_run(plan, tmp_path, engine=Elsewhere(fail=("casme2-03",)))
    assert read_run(tmp_path / plan.config.run_name).missing == ("casme2-03",)


def test_the_folds_of_all_runs_are_one_queue(store, tmp_path, monkeypatch):
    """The pool of workers is started once, and the longest folds of a run come first."""
    monkeypatch.setattr("mer_cli.training.hardware.PAIRS_THAT_REPAY_WORKERS", 1)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    pools = []
    monkeypatch.setattr("mer_cli.engines.local._do_in_workers", lambda tasks, needs, on_end: pools.append(list(tasks)))
    plans = plans_of(store, 1, 2)
    train_runs(plans, tmp_path, lambda _: Silent(), Options(engine=LocalEngine()))
    (tasks,) = pools
    assert [task.work.plan.config.seed for task in tasks] == [1, 1, 1, 2, 2, 2]
    lengths = [len(task.item.train) for task in tasks[:3]]
    assert lengths == sorted(lengths, reverse=True)


def test_a_cause_that_several_runs_share_is_told_once(store, capsys):
    plans = plans_of(store, 1, 2, 3)
    names = {plan.config.run_name: f"seed {plan.config.seed}" for plan in plans}
    reasons = zip(plans, ("no GPU", "disk full", "no GPU"), strict=True)
    show_failed([FailedRun(plan, f"runs/{plan.config.seed}: {cause}", cause) for plan, cause in reasons], names)
    assert capsys.readouterr().err == (
        "failed: seed 1: runs/1: no GPU\nfailed for the same reason: seed 3\nfailed: seed 2: runs/2: disk full\n"
    )


def test_what_methods_see_is_computed_until_the_time_is_over(store, tmp_path, monkeypatch):
    """The first fold of a command is always trained, and a later command goes on."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("mer_cli.training.time_limit.time", SimpleNamespace(monotonic=lambda: clock.now))
    prepared = []

    def prepare(plan):
        prepared.append(plan.config.seed)
        clock.now += 60

    limit = TimeLimit(100)
    options = Options(time_limit=limit, prepare=prepare, folds_at_once=1)
    train_runs(plans_of(store, 1, 2, 3), tmp_path, lambda _: Silent(), options)
    assert prepared == [1, 2]
    assert limit.is_over
    assert [len(read_run(run).folds) for run in tmp_path.iterdir()] == [1]


SHARE = """
import sys
from pathlib import Path
from mer_cli.runs.config import resolve_config
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

class Telling:
    def on_start(self, n_folds): pass
    def on_fold(self, fold): pass
    def on_epoch(self, epoch, loss): pass
    def on_fold_end(self): pass

settings = {"scheme": "mmnet3", "batch_size": 2, "device": "cpu", "model": "ststnet", "flow": "fast"}
configs = [resolve_config(**settings, precision="fp32", epochs=60, seed=seed) for seed in range(1, 9)]
plans = [plan_run([Path(sys.argv[1])], config) for config in configs]
print("ready", flush=True)
input()
from mer_cli.training import fold_work
kept = fold_work.FoldWork.keep
def keep(self, item, result):
    print(self.name, item.id, flush=True)
    return kept(self, item, result)
fold_work.FoldWork.keep = keep
for plan in plans:
    train_run(plan, Path(sys.argv[2]), Telling())
"""


@pytest.mark.slow
def test_two_commands_on_the_same_runs_share_the_folds(store, tmp_path):
    command = [sys.executable, "-c", SHARE, str(store), str(tmp_path)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    lines = []
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        lines.append(process.communicate(timeout=200)[0].splitlines())
        assert process.returncode == 0
    assert set(Counter(lines[0] + lines[1]).values()) == {1}
    assert len(lines[0] + lines[1]) == 8 * 3
    assert min(map(len, lines)) > 4
    for run in tmp_path.iterdir():
        assert read_run(run).missing == ()
        assert not list((run / "claims").glob("*.json"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
def test_ray_gives_the_same_bits(store, straight, tmp_path):
    from ray_cluster import ray_engine

    with ray_engine() as engine:
        path = train_run(plans_of(store, 1)[0], tmp_path, engine=engine)
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)
    assert all(facts["job"].startswith("ray ") for facts in read_run(path).machines.values())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra slurm")
def test_submitits_own_processes_give_the_same_bits(store, straight, tmp_path):
    from mer_cli.engines.slurm import SlurmEngine

    said = []
    engine = SlurmEngine({}, said.append, cluster="local", look_s=0.3, gone_s=0.3)
    path = train_run(plans_of(store, 1)[0], tmp_path, engine=engine)
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)
    assert any(sentence.startswith("SLURM: submitted ") for sentence in said)


@pytest.mark.slow
def test_a_real_slurm_cluster_gives_the_same_bits(store, straight, tmp_path):
    from slurm_cluster import slurm_cluster

    from mer_cli.engines.slurm import SlurmEngine

    with slurm_cluster():
        engine = SlurmEngine({"time": "30"}, lambda sentence: None, look_s=0.3, gone_s=0.3)
        path = train_run(plans_of(store, 1)[0], tmp_path, engine=engine)
    for fold in FOLDS:
        assert_same_fold(path, straight, fold)
    assert all(facts["job"].startswith("slurm ") for facts in read_run(path).machines.values())

"""Folds on other engines: the same numbers, each fold trained once, and one that fails costs no other."""

import pickle
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from moved_store import write_moved_store
from tiny_run import Silent, assert_same_fold, config_of, train
from typer.testing import CliRunner

import mer_cli
from mer_cli.cli import main
from mer_cli.cli.methods import show_failed
from mer_cli.engines import local
from mer_cli.engines.engine import Ended, Needs
from mer_cli.engines.local import LocalEngine
from mer_cli.errors import ConfigError, RunError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.failures import read_failures
from mer_cli.runs.own_code import Origin
from mer_cli.training.cost import guess_seconds
from mer_cli.training.fold_work import FoldWork
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.loggers import Loggers
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
        self.fail, self.done, self.seconds = fail, Counter(), []

    def run(self, tasks, on_end, on_step):
        for task in reversed(list(tasks)):
            self.seconds.append(task.seconds)
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
        f"{tmp_path / one.config.run_name}: 1 of 3 folds failed: casme2-02. RuntimeError: the node is on fire. "
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


def test_the_length_of_a_fold_is_guessed_before_any_was_timed(store, tmp_path):
    """MMNet took .43 s a pair on two quiet cores (docs/performance.md)."""
    svm = plan_run([store], resolve_config(model="flow-svm", scheme="mmnet3"))
    plans = [*plans_of(store, 1), plan_run([store], config_of(model="mmnet")), svm]
    seconds = [guess_seconds(plan) for plan in plans]
    n_pairs = sum(len(fold.train) for fold in plans[1].folds) / len(plans[1].folds) * plans[1].config.epochs
    assert seconds[1] / n_pairs == pytest.approx(0.43, rel=0.3)
    assert seconds[0] < 1 < seconds[2]
    engine = Elsewhere()
    train_runs(plans[:1], tmp_path, lambda _: Silent(), Options(engine=engine), seconds=[7.0])
    train_runs(plans_of(store, 2), tmp_path, lambda _: Silent(), Options(engine=engine))
    assert engine.seconds[:3] == [7.0] * 3
    assert 0 < engine.seconds[3] < 1


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


def test_runs_of_other_needs_wait_unclaimed_and_survive_a_killed_worker(store, tmp_path, monkeypatch):
    """To see that the first fold of the next run has other needs, the engine must not take it."""
    monkeypatch.setattr("mer_cli.training.hardware.PAIRS_THAT_REPAY_WORKERS", 1)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    parallel, alone = (
        plans_of(store, 1)[0],
        plan_run([store], resolve_config(model="flow-svm", flow="fast", scheme="mmnet3")),
    )

    def killed(tasks, needs, on_end):
        assert len(list(tasks)) == 3
        assert not (tmp_path / alone.config.run_name).exists()
        raise BrokenProcessPool

    monkeypatch.setattr("mer_cli.engines.local._do_in_workers", killed)
    ended = []
    failed = train_runs(
        [parallel, alone], tmp_path, lambda _: Silent(), Options(), on_run_end=ended.append, goes_on=True
    )
    assert [run.plan for run in failed] == [parallel]
    assert ended == [tmp_path / alone.config.run_name]


class Told:
    """A logger that remembers what it was told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *values: self.told.append((name, *values))


def claimed_elsewhere(monkeypatch, finish):
    """Let the first two folds be claimed by another process at first; `finish` is called before the next look."""
    begin = FoldWork.begin
    monkeypatch.setattr(
        FoldWork, "begin", lambda work, item, place="": item.id not in FOLDS[:2] and begin(work, item, place)
    )
    monkeypatch.setattr("mer_cli.training.train.time", SimpleNamespace(sleep=lambda _: finish()))


def test_a_fold_that_another_command_finishes_is_told_whole(store, straight, tmp_path, monkeypatch):
    plan = plans_of(store, 1)[0]
    folds = tmp_path / plan.config.run_name / "folds"

    def finish():
        for fold in FOLDS[:2]:
            if not (folds / fold).exists():
                shutil.copytree(straight / "folds" / fold, folds / fold)

    claimed_elsewhere(monkeypatch, finish)
    logger, listener, said = Told(), Silent(), []
    train_run(plan, tmp_path, listener, loggers=Loggers({"mine": logger}), tell=said.append, folds_at_once=1)
    assert listener.folds == ["casme2-03", "casme2-01", "casme2-02"]
    assert [values[0] for name, *values in logger.told if name == "on_fold"] == listener.folds
    assert [name for name, *_ in logger.told].count("on_epoch") == 3 * 3
    assert said == [
        "2 folds are at work in another command (see mer status); waiting for them. Ctrl-C ends only this command."
    ]


def test_in_python_a_wait_for_another_command_is_a_warning_and_its_folds_are_taken_over(store, tmp_path, monkeypatch):
    begin, is_free = FoldWork.begin, []
    monkeypatch.setattr(FoldWork, "begin", lambda work, item, place="": bool(is_free) and begin(work, item, place))
    monkeypatch.setattr("mer_cli.training.train.time", SimpleNamespace(sleep=is_free.append))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = mer_cli.train(store, "flow-svm", flow="fast", scheme="mmnet3", out=tmp_path, progress=False)
    assert [str(each.message).partition(";")[0] for each in told if "at work" in str(each.message)] == [
        "3 folds are at work in another command (see mer status)"
    ]
    assert run.missing == ()


def test_a_time_limit_ends_the_wait_for_another_command(store, tmp_path, monkeypatch):
    plan = plans_of(store, 1)[0]
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("mer_cli.training.time_limit.time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(FoldWork, "begin", lambda work, item, place="": False)
    monkeypatch.setattr(
        "mer_cli.training.train.time", SimpleNamespace(sleep=lambda s: setattr(clock, "now", clock.now + s))
    )
    limit = TimeLimit(5)
    train_run(plan, tmp_path, time_limit=limit, folds_at_once=1)
    assert limit.is_over


@pytest.mark.parametrize("at", ["on_epoch", "on_fold_end"])
def test_a_run_that_is_removed_meanwhile_costs_no_other_run(store, tmp_path, at):
    one, two = plans_of(store, 1, 2)

    class Removing(Silent):
        def remove(self, *told):
            shutil.rmtree(tmp_path / one.config.run_name, ignore_errors=True)

    setattr(Removing, at, Removing.remove)
    failed = train_runs([one, two], tmp_path, lambda _: Removing(), Options(folds_at_once=1), goes_on=True)
    assert [run.plan for run in failed] == [one]
    assert failed[0].reason == (
        f"{tmp_path / one.config.run_name}: the run directory is no longer there. Run the same command again."
    )
    assert [run.name for run in tmp_path.iterdir()] == [two.config.run_name]
    assert read_run(tmp_path / two.config.run_name).missing == ()


def test_a_full_disk_is_told_of_the_fold_and_not_of_the_note_on_it(store, tmp_path, monkeypatch):
    def refuse(*given):
        raise RunError("the disk is full")

    monkeypatch.setattr(FoldWork, "keep", refuse)
    monkeypatch.setattr("mer_cli.training.fold_work.note_failure", lambda *given: refuse("the note"))
    failed = train_runs(plans_of(store, 1, 2), tmp_path, lambda _: Silent(), Options(folds_at_once=1), goes_on=True)
    assert [run.reason for run in failed] == ["the disk is full"] * 2


def test_your_own_file_that_is_another_on_a_node_is_copied_there(tmp_path):
    file = tmp_path / "mynet.py"
    file.write_text("WIDTH = 2\n", encoding="utf-8")
    origin = Origin(f"{file}:MyNet", "MyNet", file=file)
    work = FoldWork(None, tmp_path, Needs(), "ray", origin=origin, sources={"mynet.py": b"WIDTH = 1\n"})
    copy = work._origin_here(origin).file
    assert (copy != file, copy.read_text(encoding="utf-8")) == (True, "WIDTH = 1\n")
    file.write_bytes(b"WIDTH = 1\r\n")
    assert work._origin_here(origin) == origin


SVM = ["--model", "flow-svm", "--flow", "fast", "--scheme", "mmnet3"]


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_a_store_that_is_given_twice_is_trained_once(store, tmp_path):
    command = ["compare-methods", store, store, "--methods", "flow-svm", "--flow", "fast", "--scheme", "mmnet3"]
    done = mer(*command, "--out", tmp_path)
    assert done.exit_code == 0, done.stderr
    (run,) = tmp_path.iterdir()
    assert done.stdout.split() == [str(run)]


def test_a_damaged_fold_can_be_trained_again(store, tmp_path):
    """How long a fold took is only good to know."""
    command = ["train", store, "--loso", *SVM, "--out", tmp_path]
    assert mer(*command).exit_code == 0
    (run,) = tmp_path.iterdir()
    (run / "folds" / FOLDS[0] / "history.csv").write_text("damaged", encoding="utf-8")
    done = mer(*command, "--no-resume")
    assert done.exit_code == 0, done.stderr
    assert read_run(run).missing == ()


def test_slurm_trains_no_folds_in_parallel_in_a_job(store):
    done = mer("train", store, "--loso", "--engine", "slurm", "--folds-at-once", 2)
    assert (done.exit_code, done.stderr) == (
        1,
        "error: --folds-at-once has no effect with --engine slurm, whose jobs train one fold after the other. Leave it "
        "out; the number of jobs at once is --slurm array_parallelism=N.\n",
    )


def test_a_run_that_does_not_fit_costs_no_run_beside_it(store, tmp_path, monkeypatch):
    plans = plans_of(store, 1, 2)

    def needs(runs, *asked):
        if any(plan is plans[0] for plan, _ in runs):
            raise ConfigError("too large")
        return Needs()

    monkeypatch.setattr("mer_cli.training.train.needs_here", needs)
    failed = train_runs(plans, tmp_path, lambda _: Silent(), Options(), goes_on=True)
    assert [(run.plan, run.reason) for run in failed] == [(plans[0], "too large")]
    assert [run.name for run in tmp_path.iterdir()] == [plans[1].config.run_name]


def test_ray_decides_by_the_cores_how_many_folds_it_trains(store, tmp_path):
    with pytest.raises(ConfigError) as error:
        train_run(plans_of(store, 1)[0], tmp_path, engine=Elsewhere(), folds_at_once=2)
    assert str(error.value) == (
        "--folds-at-once has no effect with --engine ray and --device cpu, where the cores of the nodes decide. Leave "
        "it out."
    )
    assert not any(tmp_path.iterdir())


def test_a_worker_holds_what_one_run_reads(monkeypatch):
    held = []

    class Read:
        def read(self):
            held.append(len(local._HELD))
            return "arrays"

    monkeypatch.setattr(local, "_HELD", {})
    monkeypatch.setattr("mer_cli.engines.local.pickle", SimpleNamespace(loads=lambda _: Read()))
    for pickled in (b"1", b"1", b"2", b"1"):
        assert local._of_worker(pickled)[1] == "arrays"
    assert held == [0, 0, 0]


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
    for job in engine.queue.started:
        job._process.wait()
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

"""`mer bench cluster`: what the simulation counts; how fast anything is, no test says."""

import json
from itertools import chain, repeat
from math import inf
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from mer_cli.bench import fold_seconds
from mer_cli.bench.cluster import WAYS, bench_cluster, jobs_of, parse_nodes, queue_folds
from mer_cli.bench.fold_seconds import Pace, measure_pace, read_paces
from mer_cli.bench.simulation import REPAIR_S, Job, random_lives, simulate
from mer_cli.cli import main
from mer_cli.engines.slurm_options import ARRAY_PARALLELISM
from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.training.hardware import needs_elsewhere, resolve_hardware

UNEVEN = [float(3 + 7 * number % 41) for number in range(120)]


def alone(seconds, cores=1):
    return [Job((number,), cores) for number in range(len(seconds))]


def test_one_node_takes_the_sum():
    assert simulate(UNEVEN, alone(UNEVEN), 1).seconds == sum(UNEVEN)


def test_as_many_nodes_as_folds_take_the_longest_fold():
    assert simulate(UNEVEN, alone(UNEVEN), len(UNEVEN)).seconds == max(UNEVEN)


@pytest.mark.parametrize("n_nodes", [2, 5, 26])
def test_a_queue_is_within_the_bound_of_list_scheduling(n_nodes):
    taken = simulate(UNEVEN, alone(UNEVEN), n_nodes).seconds
    least = max(sum(UNEVEN) / n_nodes, max(UNEVEN))
    assert least <= taken <= sum(UNEVEN) / n_nodes + (1 - 1 / n_nodes) * max(UNEVEN)


def test_a_lost_fold_is_begun_again_before_the_others():
    def lives(node):  # node 0 is lost after 15 s, the other never
        return chain([15.0], repeat(inf)) if node == 0 else repeat(inf)

    # 0 to 10 s: folds 0 and 1. Node 0 begins fold 2 at 10 s and loses it at 15 s; node 1 begins fold 3 at 20 s, but
    # fold 2 comes first.
    outcome = simulate([10.0, 20.0, 30.0, 40.0], alone(range(4)), 2, lives=lives)
    assert outcome.ends == {0: 10.0, 1: 20.0, 2: 50.0, 3: 90.0}
    assert outcome.losses == {2: 1}
    assert outcome.lost_core_s == 5.0


def test_a_lost_node_comes_back():
    def lives(node):
        return chain([15.0], repeat(inf))

    outcome = simulate([10.0, 20.0], alone(range(2)), 1, lives=lives)
    assert outcome.ends == {0: 10.0, 1: 15 + REPAIR_S + 20}


def test_a_fold_that_ends_when_its_node_is_lost_is_finished():
    outcome = simulate([10.0], alone(range(1)), 1, lives=lambda node: chain([10.0], repeat(inf)))
    assert (outcome.ends, outcome.losses) == ({0: 10.0}, {})


def test_nothing_lost_counts_as_finished():
    outcome = simulate(UNEVEN, alone(UNEVEN), 3, lives=random_lives(60.0, seed=1))
    assert outcome.losses.total() > 5
    assert set(outcome.ends) == set(range(len(UNEVEN)))
    busy = sum(UNEVEN) + outcome.lost_core_s
    assert busy <= 3 * outcome.seconds
    assert outcome.seconds > simulate(UNEVEN, alone(UNEVEN), 3).seconds


def test_random_losses_are_the_same_for_the_same_seed_only():
    first, again, other = (simulate(UNEVEN, alone(UNEVEN), 3, lives=random_lives(60.0, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_share_the_cores_of_a_node_and_all_are_lost_with_it():
    jobs = [Job((0,), 1), Job((1,), 1), Job((2,), 2)]
    assert simulate([10.0, 20.0, 5.0], jobs, 1, cores=2).ends == {0: 10.0, 1: 20.0, 2: 25.0}
    outcome = simulate([10.0, 20.0, 5.0], jobs, 1, cores=2, lives=lambda node: chain([4.0], repeat(inf)))
    back = 4 + REPAIR_S
    assert outcome.ends == {0: back + 10, 1: back + 20, 2: back + 25}
    assert outcome.losses == {0: 1, 1: 1}
    assert outcome.lost_core_s == 8.0


def test_a_lost_job_of_several_folds_keeps_those_that_are_finished():
    outcome = simulate([10.0, 20.0, 30.0], [Job((0, 1, 2))], 1, lives=lambda node: chain([25.0], repeat(inf)))
    back = 25 + REPAIR_S
    assert outcome.ends == {0: 10.0, 1: back + 20, 2: back + 50}
    assert (outcome.losses, outcome.lost_core_s) == ({1: 1}, 15.0)


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr("mer_cli.bench.cluster.TRIALS", 2)


def queue_of(*methods, pair_s=1.0, cores=2):
    configs = {name: resolve_config(model=name) for name in methods}
    return queue_folds(configs, dict.fromkeys(methods, Pace(pair_s, start_s=0.5)), cores)


def test_the_folds_are_those_of_the_whole_dataset_five_times_if_the_seed_counts():
    queue = queue_of("mmnet", "flow-svm")
    counts = {(name, scheme): 0 for name in ("flow-svm", "mmnet") for scheme in ("casme2-5", "mmnet3")}
    for fold in queue:
        counts[fold.method, fold.scheme] += 1
    assert list(counts.values()) == [26, 25, 5 * 26, 5 * 25]
    of_five = [fold.seconds for fold in queue if (fold.method, fold.scheme) == ("flow-svm", "casme2-5")]
    assert sum(of_five) == 25 * 249 + 26 * 0.5  # a clip is trained on in every fold but its subject's
    assert of_five == sorted(of_five, reverse=True)
    assert [fold.average_s for fold in queue[:26]] == pytest.approx([sum(of_five) / 26] * 26)
    epochs = resolve_config(model="mmnet").epochs
    assert queue[-25].seconds == epochs * (156 - 1) + 0.5  # subjects with one clip: the longest folds come first
    assert [fold.method for fold in queue[:51]] == ["flow-svm"] * 51


def test_a_fold_takes_as_many_cores_as_the_engines_give_it():
    for fold in queue_of(*(method.name for method in LIVE), cores=4):
        config = SimpleNamespace(method=METHODS[fold.method], device="cpu")
        needs = needs_elsewhere(config, None)
        assert fold.cores == (needs.threads or 4), fold.method


def test_slurm_jobs_take_half_an_hour_and_have_a_node_each():
    queue = queue_of("ststnet", pair_s=0.001)
    jobs = jobs_of(queue, "slurm", cores=2)
    assert [fold for job in jobs for fold in job.folds] == list(range(len(queue)))
    assert {job.cores for job in jobs} == {2}
    times = [sum(queue[fold].seconds for fold in job.folds) for job in jobs]
    assert max(times) < 1800 + max(fold.seconds for fold in queue)
    assert min(times[:-1]) > 1800 - max(fold.seconds for fold in queue)
    assert len(jobs_of(2 * queue, "slurm_first", cores=2)) == ARRAY_PARALLELISM
    assert {job.cores for job in jobs_of(queue, "ray", cores=2)} == {1}


def test_the_figures_of_a_cluster_without_losses_add_up():
    queue = queue_of("flow-svm", "mmnet", pair_s=0.01, cores=2)
    found = bench_cluster(queue, 2, (1, 26), lost_every_h=inf)
    total = sum(fold.seconds for fold in queue) / 3600
    assert (found["folds"], found["longest_fold"]) == (306, "mmnet")
    assert found["node_hours"] == pytest.approx(total)
    alone, many = found["ray"]["1"], found["ray"]["26"]
    assert alone["hours"] == alone["hours_without_losses"] == pytest.approx(total)
    assert alone["efficiency"] == pytest.approx(1)
    assert many["efficiency"] == pytest.approx(total / 26 / many["hours"])
    assert many["longest_fold_share"] == pytest.approx(found["longest_fold_hours"] / many["hours"])
    assert (many["lost_folds"], many["repeated_hours"], many["most_losses"]) == (0, 0, 0)


def test_lost_nodes_cost_hours_and_folds():
    queue = queue_of("mmnet", pair_s=0.1)
    found = bench_cluster(queue, 2, (4,), lost_every_h=2.0)["ray"]["4"]
    assert found["worst_hours"] >= found["hours"] > found["hours_without_losses"]
    assert found["lost_folds"] > 0 < found["repeated_hours"]


@pytest.mark.parametrize("hours", [1.0, float("nan")])
def test_nodes_that_are_lost_before_any_fold_can_end_are_refused(hours):
    with pytest.raises(ConfigError) as error:
        bench_cluster(queue_of("mmnet"), 2, (4,), lost_every_h=hours)
    assert str(error.value) == (
        f"--lost-every {hours:g}: a fold of mmnet takes 5.1 hours, so it would hardly ever end. "
        "Expected at least as many."
    )


@pytest.mark.parametrize("text", ["", "0", "1,x", "10001"])
def test_numbers_of_nodes_that_cannot_be_are_refused(text):
    with pytest.raises(ConfigError) as error:
        parse_nodes(text)
    assert str(error.value) == f"--nodes must be numbers from 1 to 10000, such as 1,4,26, got '{text}'."


@pytest.mark.parametrize("name", ["ststnet", "augcn-flow", "resnet18-diff", "flow-svm", "higo-top"])
def test_each_kind_of_method_is_measured(name, monkeypatch):
    monkeypatch.setattr(fold_seconds, "N_TRAINED", 25)
    monkeypatch.setattr(fold_seconds, "MEASURED_S", 0.0)
    config = resolve_config(model=name, device="cpu" if METHODS[name].is_network else None)
    if name == "resnet18-diff":
        config = config.model_copy(update={"batch_size": 2})
    pace = measure_pace(resolve_hardware(config, 0), repeats=1)
    assert 0 < pace.pair_s < 10
    assert pace.fold_s(10, 3) == pytest.approx(pace.start_s + 30 * pace.pair_s)


def measured(**changes):
    paces = {method.name: {"pair_s": 0.001, "start_s": 0.1} for method in LIVE}
    return {"machine": {"kind": "cpu", "threads": 2, "device": "a processor"}, "paces": paces} | changes


def test_the_command_simulates_with_seconds_of_an_earlier_one(tmp_path):
    file = tmp_path / "seconds.json"
    file.write_text(json.dumps(measured()))
    command = ["bench", "cluster", "--seconds", str(file), "--nodes", "26", "--lost-every", "100"]
    done = CliRunner().invoke(main.app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert set(figures["simulation"]) >= {"folds", "node_hours", *WAYS}
    file.write_text(done.stdout)
    assert json.loads(CliRunner().invoke(main.app, [*command, "--json"]).stdout) == figures
    told = CliRunner().invoke(main.app, command).stdout
    assert "each node is lost every 100 hours on average" in told
    assert all(title in told for title in WAYS.values())


FAULTY = {
    "has no paces": {"machine": {}},
    "has no mmnet": measured(paces={}),
    "mmnet is not a positive number": measured(paces={name: {"pair_s": 0, "start_s": 0} for name in METHODS}),
    "threads is not a positive number": measured(machine={"kind": "cpu", "threads": 0, "device": "a processor"}),
}


@pytest.mark.parametrize("problem", FAULTY)
def test_seconds_that_the_command_did_not_write_are_refused(problem, tmp_path):
    file = tmp_path / "seconds.json"
    file.write_text(json.dumps(FAULTY[problem]))
    with pytest.raises(ConfigError) as error:
        read_paces(file, {method.name: method for method in LIVE})
    assert str(error.value) == f"--seconds {file}: {problem}. Expected what `mer bench cluster --json` prints."


def test_seconds_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ConfigError) as error:
        read_paces(tmp_path / "none.json", {})
    assert str(error.value) == (
        f"--seconds {tmp_path / 'none.json'}: can't be read (No such file or directory). "
        "Expected what `mer bench cluster --json` prints."
    )


def test_flags_of_the_simulation_are_refused_elsewhere():
    done = CliRunner().invoke(main.app, ["bench", "load", "--nodes", "4"])
    assert done.exit_code == 1
    assert done.stderr == "error: --nodes has no effect without `mer bench cluster`. Leave it out.\n"

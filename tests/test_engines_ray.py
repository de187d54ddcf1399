"""The engine on Ray, with real clusters on this machine: one for this file, and two nodes for the slow faults."""

import os
import signal
import socket
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from counted_work import CountedWork
from ray_cluster import free_port, ray_engine

from mer_cli.engines import ray_cluster
from mer_cli.engines.engine import Needs
from mer_cli.engines.ray_cluster import connection_error, joined_cluster
from mer_cli.engines.ray_reaper import reaper
from mer_cli.errors import ConfigError, RunError, StoreError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")


@pytest.fixture(scope="module")
def engine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setattr("joblib.cpu_count", lambda: 2)
        others = set(psutil.Process().children(recursive=True))  # SLURM's, if its tests came first
        with ray_engine() as made:
            made.others = others
            yield made


def test_what_a_process_had_started_before_its_cluster_outlives_it(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as before:
        with reaper(str(tmp_path / "cluster")) as note_processes:
            after = subprocess.Popen(["sleep", "60"])
            note_processes()
        assert after.wait(timeout=10) == -signal.SIGKILL
        assert before.poll() is None
        before.kill()


def ended(engine, tasks):
    """What became of each task, by its name."""
    got = []
    engine.run(tasks, got.append, None)
    assert len({end.task.name for end in got}) == len(got)
    return {end.task.name: end for end in got}


@pytest.mark.slow
def test_each_of_200_tasks_is_done_once_by_two_workers_that_get_the_work_once(engine, tmp_path):
    work = CountedWork(tmp_path)
    got = ended(engine, iter(work.tasks(*["sleep 0.005"] * 200)))
    assert [end.told for end in got.values()] == [1000] * 200
    by_worker = work.counts("do")
    assert sum(by_worker.values()) == 200
    assert len(by_worker) == 2
    assert work.counts("read") == {str(os.getpid()): 1}
    assert work.counts("unpickled") == dict.fromkeys(by_worker, 1)
    assert work.counts("keep") == {str(os.getpid()): 200}


@pytest.mark.slow
def test_workers_are_used_again_for_the_next_work(engine, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    works = [CountedWork(tmp_path / name, "a run") for name in ("one", "two")]  # in two calls, they may have one name
    for work in works:
        ended(engine, work.tasks(*["sleep 0.05"] * 8))
    assert works[0].counts("do").keys() == works[1].counts("do").keys()


@pytest.mark.slow
def test_a_task_is_taken_when_a_worker_is_free(engine, tmp_path):
    taken, n_ended, most = 0, 0, 0

    def tasks():
        nonlocal taken, most
        for task in CountedWork(tmp_path).tasks(*["sleep 0.02"] * 10):
            taken += 1
            most = max(most, taken - n_ended)
            yield task

    def on_end(end):
        nonlocal n_ended
        n_ended += 1

    engine.run(tasks(), on_end, None)
    assert n_ended == 10
    assert most <= 4  # two at work, and two whose results are being written


@pytest.mark.slow
def test_a_killed_worker_costs_the_task_at_work_and_nothing_else(engine, tmp_path, capfd):
    work = CountedWork(tmp_path)
    got = ended(engine, work.tasks("sleep 0.1", "kill once", *["sleep 0.1"] * 6))
    assert all(end.error is None for end in got.values())
    times = [sum(work.counts("do", str(number)).values()) for number in range(8)]
    assert times == [1, 2, 1, 1, 1, 1, 1, 1]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_task_that_fails_or_loses_its_worker_three_times_ends_while_others_go_on(engine, tmp_path):
    work = CountedWork(tmp_path)
    got = ended(engine, work.tasks("fail", "kill", "refuse", *["sleep 0.01"] * 5))
    assert [sum(work.counts("do", str(number)).values()) for number in range(4)] == [3, 3, 1, 1]
    assert type(got["task 0"].error) is ValueError
    assert str(got["task 0"].error) == "task 0 fails"
    assert "counted_work.py" in got["task 0"].error.__notes__[0]
    assert str(got["task 1"].error).startswith(
        f"task 1: its worker on {socket.gethostname()} was lost 3 times. Ray says: The actor died"
    )
    assert str(got["task 1"].error).endswith("Worker unexpectedly exits with a connection error code 2. End of file.")
    assert type(got["task 2"].error) is StoreError
    assert str(got["task 2"].error) == "task 2 is refused."
    assert Counter(end.error is None for end in got.values()) == {True: 5, False: 3}


@pytest.mark.slow
def test_workers_that_were_lost_while_they_had_nothing_to_do_cost_one_try(engine, tmp_path):
    work = CountedWork(tmp_path)
    ended(engine, work.tasks(*["sleep 0.05"] * 8))
    for pid in work.counts("do"):
        os.kill(int(pid), signal.SIGKILL)
    other = CountedWork(tmp_path / "other")
    (tmp_path / "other").mkdir()
    assert ended(engine, other.tasks("kill once"))["task 0"].error is None


@pytest.mark.slow
def test_an_error_of_the_caller_ends_the_tasks_at_work_and_the_engine_can_go_on(engine, tmp_path):
    def refuse(end):
        raise StoreError("enough")

    work = CountedWork(tmp_path)
    with pytest.raises(StoreError, match="enough"):
        engine.run(work.tasks("sleep 0", "sleep 100", "sleep 100"), refuse, None)
    assert ended(engine, work.tasks("sleep 0"))["task 0"].error is None


@pytest.mark.slow
def test_a_worker_gets_the_threads_of_its_task(engine, tmp_path):
    for threads, expected in ((2, "2"), (None, "2"), (1, "1")):
        work = CountedWork(tmp_path, f"run of {threads}", Needs(threads=threads))
        assert ended(engine, work.tasks("threads"))["task 0"].told == expected


@pytest.mark.slow
def test_ask_returns_what_a_function_returns_or_raises_in_a_worker(engine):
    assert engine.ask(os.getppid, Needs()) in [child.pid for child in psutil.Process().children()]
    with pytest.raises(FileNotFoundError):
        engine.ask(unreadable, Needs())


def unreadable():
    return Path("nowhere").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (
            Needs(device="cuda"),
            "--engine ray: --device cuda, but no node of the cluster has a GPU. Add a node that has one, or use "
            "--device cpu.",
        ),
        (
            Needs(threads=3),
            "--engine ray: a task needs 3 cores of one node, and the largest has 2. Ask for fewer, or add a larger "
            "node.",
        ),
    ],
)
@pytest.mark.slow
def test_what_no_node_has_is_told_before_anything_is_started(engine, needs, expected):
    with pytest.raises(ConfigError) as caught:
        engine.ask(os.getpid, needs)
    assert str(caught.value) == expected


@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_only(engine):
    family = {psutil.Process(), *psutil.Process().children(recursive=True)} - engine.others
    heard = [held.laddr.ip for process in family for held in process.net_connections("tcp") if held.status == "LISTEN"]
    assert set(heard) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert heard


NOT_AN_ADDRESS = (
    "--engine ray:{0}: '{0}' is not an address. Expected ray:HOST:PORT, as 'ray start --head' prints it, or ray:auto "
    "on a machine that is a node of the cluster."
)
NO_RAY = (
    "--engine ray:{}: there is no Ray cluster at this address ({}). Start its first node there: ray start --head; it "
    "prints the address."
)


@pytest.mark.parametrize("address", ["here", "ray://host:10001", "host:0", "host:99999", "host:port", ":6379"])
def test_what_is_not_an_address_is_refused(address):
    with pytest.raises(ConfigError) as caught, joined_cluster(address):
        pass
    assert str(caught.value) == NOT_AN_ADDRESS.format(address)


def test_an_address_where_nothing_listens_is_refused_at_once():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError) as caught, joined_cluster(address):
        pass
    assert str(caught.value) == NO_RAY.format(address, "Connection refused")


def test_an_address_where_something_else_listens_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("mer_cli.engines.ray_cluster.SECONDS_TO_ANSWER", 0.2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught, joined_cluster(address):
            pass
    assert str(caught.value) == NO_RAY.format(address, "nothing answers within 0.2 seconds")


# Ray's own texts, as 2.59 and 2.60 wrote them.
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            RuntimeError(
                "Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\nThis process "
                "on node 192.0.2.2 was started with:\n    Ray: 2.59.0\n    Python: 3.11.9\n"
            ),
            "--engine ray:a:1: the cluster has Ray 2.60.0 and Python 3.11.7, and this machine has Ray 2.59.0 and "
            "Python 3.11.9. All nodes need the same: install Ray 2.60.0 here (pip install 'ray==2.60.0') in an "
            "environment with Python 3.11.7.",
        ),
        (
            ConnectionError(
                "Could not find any running Ray instance. Please specify the one to connect to by setting `--address` "
                "flag or `RAY_ADDRESS` environment variable."
            ),
            "--engine ray:a:1: this machine is not a node of a Ray cluster. Start one: ray start --head, or add this "
            "machine to another's: ray start --address=HOST:PORT.",
        ),
        (
            SystemExit(15),
            NO_RAY.format("a:1", "what answers there doesn't speak as Ray does"),
        ),
        (RuntimeError("Something\n new."), "--engine ray:a:1: Something new."),
    ],
)
def test_an_error_of_ray_says_what_to_do(error, expected):
    assert str(connection_error("--engine ray:a:1", error)) == expected


def test_a_start_that_takes_too_long_is_tried_again(monkeypatch):
    started = []

    def start(stack):
        started.append(stack)
        if len(started) < 3:
            raise RuntimeError("The current node timed out during startup. This could happen because ...")
        return "ray"

    monkeypatch.setattr(ray_cluster, "_start_local", start)
    with ray_cluster.local_cluster() as ray:
        assert (ray, len(started)) == ("ray", 3)
    started[:] = []
    monkeypatch.setattr(ray_cluster, "STARTS", 2)
    with pytest.raises(RunError, match="timed out during startup"), ray_cluster.local_cluster():
        pass
    assert len(started) == 2

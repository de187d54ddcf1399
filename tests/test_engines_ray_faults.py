"""What Ray's engine loses when processes are killed: a node, the command, a cluster of its own; all of them real."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from counted_work import CountedWork
from ray_cluster import OBJECT_STORE, Node, node_environment

import mer_cli

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")]
TESTS = Path(__file__).parent
PACKAGE = Path(mer_cli.__file__).parent
SOON = 30  # seconds


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    paths = [str(TESTS), str(PACKAGE.parent)]
    temporary = Path("/tmp") / f"ray-{secrets.token_hex(4)}"  # paths of sockets are short
    temporary.mkdir()
    yield node_environment(PYTHONPATH=os.pathsep.join(paths), RAY_TMPDIR=str(temporary))
    shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture(scope="module")
def head(environment, tmp_path_factory):
    node = Node(tmp_path_factory.mktemp("head"), "head", env=environment)
    yield node.wait()
    node.stop()


@pytest.fixture
def second(environment, head, tmp_path):
    node = Node(tmp_path, "second", address=head.address, env=environment)
    yield node.wait()
    node.stop()


def start(environment, address, folder, *kinds, cwd=None):
    folder.mkdir(exist_ok=True)
    return psutil.Popen(
        [sys.executable, str(TESTS / "ray_driver.py"), address, str(folder), *kinds],
        env=environment,
        cwd=cwd or folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(driver, n_ended):
    """Read the driver's lines until so many tasks have ended."""
    lines = [driver.stdout.readline() for _ in range(n_ended + 1)]
    assert lines[0] == "connected\n", (lines, driver.stdout.read())
    return lines


def times_done(folder, n):
    work = CountedWork(folder)
    return [sum(work.counts("do", str(number)).values()) for number in range(n)]


def wait_until(holds):
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(processes):
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_node_whose_raylet_is_killed_costs_the_task_at_work_there(environment, head, second, tmp_path):
    driver = start(environment, head.address, tmp_path / "run", *["sleep 1"] * 12)
    lines = read_until(driver, 4)
    second.raylet().kill()
    rest = driver.communicate(timeout=60)[0].splitlines(keepends=True)
    assert sorted(lines[1:] + rest) == sorted(f"task {number} None\n" for number in range(12))
    done = times_done(tmp_path / "run", 12)
    assert sum(done) in (12, 13)  # 12 if the node was killed while it had nothing to do
    assert driver.returncode == 0


def test_a_node_that_joins_gets_tasks(environment, head, tmp_path):
    driver = start(environment, head.address, tmp_path / "run", *["sleep 1"] * 40)
    read_until(driver, 1)
    node = Node(tmp_path, "late", address=head.address, env=environment).wait()
    try:
        driver.communicate(timeout=120)
    finally:
        node.stop()
    assert times_done(tmp_path / "run", 40) == [1] * 40
    assert len(CountedWork(tmp_path / "run").counts("do")) == 2


def test_workers_end_with_a_command_that_is_killed_and_the_next_command_does_the_rest(environment, head, tmp_path):
    folder, kinds = tmp_path / "run", ["sleep 0.5"] * 8
    driver = start(environment, head.address, folder, *kinds)
    read_until(driver, 3)
    workers = [psutil.Process(int(pid)) for pid in CountedWork(folder).counts("do")]
    assert alive(workers)
    driver.kill()
    driver.communicate()
    wait_until(lambda: not alive(workers))
    again = start(environment, head.address, folder, *kinds)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert sum(CountedWork(folder).counts("keep").values()) == 8
    assert sum(times_done(folder, 8)) <= 10


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_a_local_cluster_ends_with_its_command(environment, tmp_path, sent):
    folder = tmp_path / "run"
    driver = start(environment, "local", folder, *["sleep 2"] * 8)
    read_until(driver, 1)
    cluster = driver.children(recursive=True)
    reaper = next(process.cmdline() for process in cluster if "ray_reaper.py" in " ".join(process.cmdline()))
    assert len(cluster) > 4
    driver.send_signal(sent)
    driver.communicate(timeout=SOON)
    assert driver.returncode == -sent
    wait_until(lambda: not alive(cluster))
    assert not Path(reaper[-1]).exists()


def test_a_cluster_with_a_password_refuses_a_command_without(environment, head, tmp_path):
    other = {**environment, "RAY_AUTH_TOKEN": "0" * 64}
    told = start(other, head.address, tmp_path / "run", "sleep 0").communicate(timeout=60)[0].splitlines()
    assert told[-1] == (  # before it, Ray's own lines about each of its attempts
        f"error: --engine ray:{head.address}: the cluster asks for a password, and this machine has another or none. "
        "Copy ~/.ray/auth_token of its first node to the same place here, and set RAY_AUTH_MODE=token."
    )


def test_a_node_with_another_mer_ends_the_run_with_one_error(environment, head, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "other" / "mer_cli", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "mer_cli" / "errors.py").open("a", encoding="utf-8") as code:
        code.write("# another\n")
    other = {**environment, "PYTHONPATH": os.pathsep.join([str(TESTS), str(tmp_path / "other")])}
    driver = start(other, head.address, tmp_path / "run", "sleep 0")
    told = driver.communicate(timeout=60)[0]
    assert "this machine has another mer (0.1.0, code " in told
    assert told.endswith("Install the same version on all machines, best in a folder that they share.\n")
    assert driver.returncode == 1
    assert times_done(tmp_path / "run", 1) == [0]


def test_an_object_store_that_is_too_small_is_told_once(environment, head, tmp_path):
    folder = tmp_path / "run"
    code = f"import counted_work; counted_work.np.ones = lambda size, dtype: bytearray({OBJECT_STORE + 1})"
    (tmp_path / "sitecustomize.py").write_text(code, encoding="utf-8")
    larger = {**environment, "PYTHONPATH": os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])}
    told = start(larger, head.address, folder, *["sleep 0"] * 3).communicate(timeout=60)[0].splitlines()
    assert told[0] == "connected"
    assert len(told) == 2
    assert told[1].startswith(f"error: --engine ray:{head.address}: a run: the tasks share 100,00")
    assert told[1].endswith(
        " bytes, and the smallest object store of a node has 100,000,000. Start the nodes with a larger one: ray start "
        "--object-store-memory=BYTES."
    )


GPUS = """
import sys
from counted_work import CountedWork
from mer_cli.engines.engine import Needs
from mer_cli.engines.ray_engine import RayEngine

work = CountedWork(sys.argv[2], needs=Needs(threads=None, device="cuda", on_each_gpu=int(sys.argv[3])))
with RayEngine(sys.argv[1]) as engine:
    engine.run(work.tasks(*["gpus"] * 12), lambda end: print(end.told or end.error), None)
"""


@pytest.mark.parametrize(("on_each_gpu", "n_workers"), [(1, 2), (2, 4)])
def test_each_worker_has_a_gpu_or_shares_it_with_as_many_as_are_asked_for(
    environment, tmp_path, on_each_gpu, n_workers
):
    """Ray believes that the node has two GPUs; who gets which is decided all the same."""
    node = Node(tmp_path, "gpus", "--num-gpus=2", "--num-cpus=6", env=environment)
    try:
        node.wait()
        (tmp_path / "work").mkdir()
        command = [sys.executable, "-c", GPUS, node.address, str(tmp_path / "work"), str(on_each_gpu)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    finally:
        node.stop()
    held = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert len(held) == n_workers, (done.stdout, done.stderr)
    assert sorted(held.values()) == sorted(["0", "1"] * on_each_gpu)

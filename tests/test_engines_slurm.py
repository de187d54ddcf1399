"""The jobs of a SLURM cluster do the tasks of a command: submitit's local processes everywhere, and real daemons."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from written_work import WrittenWork, tasks_of

import mer_cli
from mer_cli.engines.engine import Needs, Task
from mer_cli.engines.slurm import SlurmEngine, cut, cut_finely
from mer_cli.engines.slurm_job import ChunkJob
from mer_cli.engines.slurm_options import parse_slurm_options, resources
from mer_cli.engines.slurm_queue import minutes_of
from mer_cli.engines.slurm_record import Array, Job, cause
from mer_cli.errors import ConfigError, RunError

TESTS = Path(__file__).parent


def no_step(epoch, loss):
    raise AssertionError("an engine that is detached tells of no epoch")


class Trial:
    """An engine with short waits; `said` is what it told, `ended` which tasks have ended."""

    def __init__(self, options="", cluster="slurm"):
        self.said = []
        self.ended = {}
        parsed = parse_slurm_options(options) if options else {}
        self.engine = SlurmEngine(parsed, self.said.append, cluster=cluster, look_s=0.3, gone_s=0.3)

    def run(self, tasks):
        self.engine.run(tasks, self.on_end, no_step)
        return self

    def on_end(self, ended):
        assert ended.task.name not in self.ended
        self.ended[ended.task.name] = ended.told if ended.error is None else str(ended.error)


@pytest.fixture
def work(tmp_path):
    return WrittenWork("run-a", str(tmp_path))


@pytest.fixture
def local(monkeypatch):
    """Return a function that makes a trial whose jobs are processes of this machine."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(mer_cli.__file__).parents[1]), str(TESTS)]))
    trials = []

    def make(options=""):
        trials.append(Trial(options, "local"))
        return trials[-1]

    yield make
    for trial in trials:
        for job in trial.engine.queue.started:
            job._process.wait()


@pytest.fixture
def cluster(slurm):
    yield slurm
    slurm.end_jobs()


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def squeue(form="%i"):
    return subprocess.run(["squeue", "-h", "-r", "-o", form], capture_output=True, text=True, check=True).stdout.split()


def driver(work, n, options="", seconds=None):
    """A process that does tasks on SLURM, and prints what the engine says and the names of ended tasks."""
    code = (
        "import sys; from test_engines_slurm import *; "
        f"work = {work!r}; trial = Trial({options!r}); trial.said = None; "
        "trial.engine.say = lambda text: print(text, flush=True); "
        f"trial.run(tasks_of(work, {n}, {seconds})); print(sorted(trial.ended), flush=True)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


# --- options and chunks


def test_slurm_options_are_read_with_their_commas_and_dashes():
    text = "partition=gpu,gres=gpu:1,time=120,array-parallelism=20,exclude=n1,n2, mem=16G"
    assert parse_slurm_options(text) == {
        "partition": "gpu",
        "gres": "gpu:1",
        "time": "120",
        "array_parallelism": "20",
        "exclude": "n1,n2",
        "mem": "16G",
    }


KNOWN = (
    "account, array_parallelism, comment, constraint, cpus_per_gpu, cpus_per_task, exclude, exclusive, gpus_per_node, "
    "gpus_per_task, gres, mail_type, mail_user, mem, mem_per_cpu, mem_per_gpu, nodelist, partition, qos, "
    "signal_delay_s, time"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partion=gpu", f"--slurm: Unknown option 'partion'. Known: {KNOWN}. Did you mean 'partition'?"),
        ("nodes=2", f"--slurm: Unknown option 'nodes'. Known: {KNOWN}. Did you mean 'nodelist'?"),
        (
            "partition=gpu,time",
            "--slurm: 'time' has no value. Expected name=value, with commas between several, such as "
            "partition=gpu,time=120.",
        ),
        (
            "",
            "--slurm: '' has no value. Expected name=value, with commas between several, such as "
            "partition=gpu,time=120.",
        ),
        ("time=", "--slurm time: it has no value. Give one, such as time=120."),
        ("time=5,time=6", "--slurm: 'time' is given twice. Give it once."),
        (
            "time=2h",
            "--slurm time=2h: expected a whole number of minutes, at least 1. For example: time=120.",
        ),
        (
            "cpus_per_task=0",
            "--slurm cpus_per_task=0: expected a whole number, at least 1. For example: cpus_per_task=1.",
        ),
        ("mem=lots", "--slurm mem=lots: expected a number with a unit, K, M, G or T. For example: mem=16G."),
        ("comment=a b", "--slurm comment=a b: a value has no spaces. Take them out."),
        (
            "time=2",
            "--slurm time=2: a job is told 90 seconds before its time limit, so it would have no time to work. "
            "Expected at least 3 minutes. Give more, or a smaller signal_delay_s.",
        ),
    ],
)
def test_what_slurm_can_not_take_is_an_error(text, message):
    with pytest.raises(ConfigError) as raised:
        parse_slurm_options(text)
    assert str(raised.value) == message


def test_a_job_asks_for_what_its_tasks_need_unless_slurm_says_so():
    asked = resources({}, [Needs(threads=2), Needs(threads=4, device="cuda")])
    assert asked == {"cpus_per_task": 4, "gpus_per_node": "1", "srun_args": ["--cpus-per-task=4"]}
    asked = resources({"gres": "gpu:a100:1", "cpus_per_task": "3"}, [Needs(threads=8, device="cuda")])
    assert asked == {"gres": "gpu:a100:1", "cpus_per_task": 3, "srun_args": ["--cpus-per-task=3"]}
    assert resources({}, [Needs(threads=None), Needs(threads=4)]) == {}


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("2:00:00", 120), ("1-02:30:00", 1590), ("30:00", 30), ("infinite", None), ("n/a", None)],
)
def test_a_partitions_limit_is_read_in_minutes(written, minutes):
    assert minutes_of(written) == minutes


def lengths(chunks):
    return [len(chunk) for chunk in chunks]


def test_chunks_take_half_an_hour_in_the_order_of_the_tasks(work):
    tasks = tasks_of(work, 7, seconds=600)
    chunks = cut(tasks, 1800, 1000, 20)
    assert lengths(chunks) == [3, 3, 1]
    assert [task for chunk in chunks for task in chunk] == tasks


def test_a_task_of_hours_is_a_chunk_of_its_own(work):
    tasks = [Task(work, name, name, seconds) for name, seconds in (("a", 9000), ("b", 900), ("c", 900), ("d", 900))]
    assert lengths(cut(tasks, 1800, 1000, 20)) == [1, 2, 1]


def test_tasks_of_unknown_length_are_cut_into_as_many_chunks_as_run_at_once(work):
    assert lengths(cut(tasks_of(work, 7), 1800, 1000, 3)) == [3, 2, 2]
    assert lengths(cut(tasks_of(work, 2), 1800, 1000, 3)) == [1, 1]


def test_there_are_never_more_chunks_than_an_array_may_have(work):
    assert max(lengths(cut(tasks_of(work, 5200, seconds=1800), 1800, 1000, 20))) == 6
    assert len(cut(tasks_of(work, 5200, seconds=1800), 1800, 1000, 20)) <= 1000


def test_tasks_of_a_killed_job_are_cut_finely(work):
    assert lengths(cut_finely(tasks_of(work, 3))) == [1, 1, 1]
    assert len(cut_finely(tasks_of(work, 250))) == 84


LOG = """submitit INFO (2026-11-29 13:49:07,659) - Loading pickle: /runs/a/slurm/12_0_submitted.pkl
srun: error: node7: task 0: Killed

"""


@pytest.mark.parametrize(
    ("state", "log", "message"),
    [
        ("OUT_OF_MEMORY", LOG, "its job ran out of memory. Give more, for example --slurm mem=32G."),
        ("TIMEOUT", LOG, "SLURM ended its job at the time limit. Give more with --slurm time=MINUTES."),
        ("NODE_FAIL", LOG, "the node of its job failed."),
        ("CANCELLED", LOG, "its job was cancelled with scancel. The same command submits it again."),
        ("FAILED", LOG, "its job failed: task 0: Killed."),
        (
            "FAILED",
            None,
            "its job failed without a log. Its node may not see {folder}, which must be on a shared disk.",
        ),
        ("", None, "its job is gone, and SLURM doesn't say why; it may have been killed for lack of memory."),
    ],
)
def test_a_job_that_ended_too_early_has_one_cause(tmp_path, state, log, message):
    if log is not None:
        (tmp_path / "12_0_0_log.out").write_text(log, encoding="utf-8")
    array = Array(tmp_path, "mer-0123456789", [[("run-a", "i0")]], ["12_0"])
    assert cause(array, 0, Job("12_0", state)) == message.format(folder=tmp_path)


# --- everywhere, by processes of this machine


def test_jobs_do_all_tasks_and_one_that_fails_three_times_stops_no_other(local, work):
    work.broken = ("i1",)
    trial = local("array_parallelism=2").run(tasks_of(work, 5))
    assert trial.ended == {f"i{n}": f"shared i{n}" for n in (0, 2, 3, 4)} | {"i1": "this item is broken"}
    assert sorted(work.lines("begun")) == ["i0", "i1", "i1", "i1", "i2", "i3", "i4"]
    (log,) = {error["log"] for error in work.errors("i1")}
    assert "ValueError: this item is broken" in Path(log).read_text(encoding="utf-8")
    assert sorted(path.suffix for path in (Path(work.folder) / "slurm").iterdir()) == [".out", ".out"]


def test_a_killed_job_costs_only_the_task_that_kills_it(local, work):
    work.killed = ("i1",)
    trial = local("array_parallelism=1").run(tasks_of(work, 3))
    cause = "its job is gone, and SLURM doesn't say why; it may have been killed for lack of memory."
    assert trial.ended == {f"i{n}": f"shared i{n}" for n in (0, 2)} | {"i1": cause}
    assert sorted(work.lines("begun")) == ["i0", "i1", "i1", "i1", "i2"]


def test_a_job_whose_machine_has_other_code_does_nothing(local, work, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(Path(mer_cli.__file__).parent, other / "mer_cli", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "mer_cli" / "errors.py").open("a") as file:
        file.write("# another version\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(other), str(TESTS)]))
    monkeypatch.chdir(tmp_path)
    trial = local("array_parallelism=1").run(tasks_of(work, 2))
    assert work.lines("begun") == []
    (error,) = set(trial.ended.values())
    codes = subprocess.run(
        [sys.executable, "-c", "from mer_cli.engines.same_code import own_code; print(own_code())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=other,
    ).stdout.strip()
    from mer_cli.engines.same_code import own_code

    assert error == (
        f"its job failed: {platform.node()}: this machine has another mer ({codes}) than the command ({own_code()}). "
        "Install the same version on all machines, best in a folder that they share."
    )


def test_a_machine_that_can_not_read_the_work_notes_it_once_a_job(local, work, tmp_path):
    work.source = str(tmp_path / "store.h5")
    trial = local("array_parallelism=1").run(tasks_of(work, 2))
    error = f"[Errno 2] No such file or directory: '{work.source}'"
    assert trial.ended == {"i0": error, "i1": error}
    assert len({each["log"] for each in work.errors("i0")}) == 3
    assert work.lines("begun") == []


def test_a_node_answers_a_question(local, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    trial = local()
    assert trial.engine.ask(platform.node, Needs()) == platform.node()
    assert len(trial.said) == 1


def test_a_folder_in_whose_path_slurm_puts_numbers_is_refused_before_anything_is_submitted(local, tmp_path):
    folder = tmp_path / "runs %j"
    work = WrittenWork("run-a", str(folder))
    with pytest.raises(RunError) as raised:
        local().run(tasks_of(work, 1))
    assert str(raised.value) == (
        f"--engine slurm: {folder}/slurm: SLURM can't write logs there, because it replaces '%' in their paths. Use a "
        "folder without it, for example with another --out."
    )
    assert not (folder / "slurm").exists()


def test_a_task_that_takes_longer_than_the_time_limit_fails(work, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "12")
    monkeypatch.setenv("SUBMITIT_FOLDER", work.folder)
    (task,) = tasks_of(work, 1)
    job = ChunkJob([task], limit_min=120, delay_s=90)
    assert work.begin("i0")
    job._now, job._began = task, time.monotonic() - 5000
    assert job.checkpoint().function is job
    assert work.errors("i0") == []
    assert work.begin("i0")
    job._began = time.monotonic() - 6000
    job.checkpoint()
    assert work.errors("i0") == [
        {
            "error": "it takes longer than the time limit of 120 minutes. Give more, for example --slurm time=240.",
            "log": f"{work.folder}/12_0_log.out",
        }
    ]
    assert work.begin("i0")


# --- real SLURM


def test_slurm_without_sbatch_is_an_error(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError) as raised:
        SlurmEngine({}, print)
    assert str(raised.value) == (
        "--engine slurm: there is no sbatch on the PATH. Run the command on a login node of a SLURM cluster, or leave "
        "--engine out."
    )


def test_slurm_does_all_tasks_with_the_threads_that_they_need(cluster, work):
    work.needs = Needs(threads=2)
    work.broken = ("i1",)
    trial = Trial("array_parallelism=2").run(tasks_of(work, 5))
    assert trial.ended == {f"i{n}": f"shared i{n}" for n in (0, 2, 3, 4)} | {"i1": "this item is broken"}
    assert sorted(work.path("begun", "log").read_text().splitlines()) == [
        *("i0 2", "i1 2", "i1 2", "i1 2", "i2 2", "i3 2", "i4 2"),
    ]
    (said,) = trial.said
    number = said.split(": ")[2].split(".")[0]
    assert said == (
        f"SLURM: submitted 2 jobs for 5 tasks: {number}. You may close this command: the same command shows how far "
        f"they are, `scancel {number}` stops them. Logs: {work.folder}/slurm"
    )
    logs = sorted(path.name for path in (Path(work.folder) / "slurm").iterdir())
    assert logs == [f"{number}_0_0_log.out", f"{number}_1_0_log.out"]


def test_a_killed_command_finds_its_jobs_again(cluster, work):
    work.sleep = 1.5
    with driver(work, 4, "array_parallelism=2") as first:
        first.stdout.readline()
        wait_for(lambda: work.lines("begun"))
        first.kill()
    jobs = squeue()
    trial = Trial("array_parallelism=2").run(tasks_of(work, 5))
    assert sorted(work.lines("begun")) == ["i0", "i1", "i2", "i3", "i4"]
    assert trial.ended == {f"i{n}": f"shared i{n}" for n in range(5)}
    number = jobs[0].partition("_")[0]
    assert trial.said[0] == (
        f"SLURM: jobs of an earlier command are queued or running: {number} does 4 of the tasks. "
        f"Logs: {work.folder}/slurm"
    )
    assert trial.said[1].startswith("SLURM: submitted 1 job for 1 task: ")
    assert len(trial.said) == 2


def test_jobs_that_are_cancelled_end_with_an_error_and_are_submitted_by_the_next_command(cluster, work):
    work.sleep = 60

    def cancel():
        wait_for(lambda: work.lines("begun"))
        subprocess.run(["scancel", "--user=root"], check=True)

    other = threading.Thread(target=cancel)
    other.start()
    trial = Trial().run(tasks_of(work, 1))
    other.join()
    assert trial.ended == {"i0": "its job was cancelled with scancel. The same command submits it again."}
    assert work.errors("i0") == []
    work.sleep = 0
    assert Trial().run(tasks_of(work, 1)).ended == {"i0": "shared i0"}
    assert work.lines("begun") == ["i0", "i0"]


def test_jobs_go_on_after_ctrl_c(cluster, work):
    work.sleep = 1
    with driver(work, 2) as first:
        first.stdout.readline()
        (number, _) = squeue("%F")
        first.send_signal(signal.SIGINT)
        assert first.stdout.read() == (
            f"The jobs go on. The same command shows how far they are; `scancel {number}` stops them.\n"
        )
    wait_for(lambda: len(work.lines("kept")) == 2)


def test_a_question_that_no_node_can_answer_tells_at_once_why_its_job_waits(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    trial = Trial("cpus_per_task=99")

    def say(sentence):
        trial.said.append(sentence)
        if len(trial.said) == 2:
            raise KeyboardInterrupt

    trial.engine.say = say
    with pytest.raises(KeyboardInterrupt):
        trial.engine.ask(platform.node, Needs())
    number = trial.said[0].split()[2]
    assert trial.said[1].startswith(f"SLURM: job {number}")
    assert trial.said[1].endswith(f" waits: PartitionConfig. `scontrol show job {number}` tells more.")


def test_a_home_folder_that_can_not_be_written_is_told_before_a_question(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError) as raised:
        Trial().engine.ask(platform.node, Needs())
    assert str(raised.value) == (
        f"--engine slurm: {tmp_path}/file/.cache/mer/slurm: the jobs and their logs can't be written (Not a "
        "directory), and none was submitted. Make room, or give yourself permission to write there."
    )


@pytest.mark.slow
def test_a_preempted_job_goes_on_where_it_stopped(cluster, work):
    work.sleep = 3
    with driver(work, 3, "array_parallelism=1") as first:
        first.stdout.readline()
        wait_for(lambda: work.lines("begun") == ["i0", "i1"])
        # All cores for the partition that goes first.
        subprocess.run(["sbatch", "-p", "high", "-c", "2", "-o", "/dev/null", "--wrap", "true"], check=True)
        assert first.stdout.read() == "['i0', 'i1', 'i2']\n"
    assert sorted(work.lines("kept")) == ["i0", "i1", "i2"]
    # SLURM gives the task at work two seconds, which may be enough for it.
    assert sorted(set(work.lines("begun"))) == ["i0", "i1", "i2"]
    assert len(work.lines("begun")) <= 4


@pytest.mark.slow
def test_a_job_that_is_told_of_its_time_limit_submits_itself_again(cluster, work):
    work.sleep = 2
    with driver(work, 4, "array_parallelism=1") as first:
        first.stdout.readline()
        wait_for(lambda: len(work.lines("begun")) == 2)
        (number,) = squeue()
        subprocess.run(["scancel", "--signal=USR2", number], check=True)
        first.kill()  # the job needs no command
    wait_for(lambda: len(work.lines("kept")) == 4)
    assert work.lines("begun") == ["i0", "i1", "i1", "i2", "i3"]
    assert work.lines("kept") == ["i0", "i1", "i2", "i3"]


@pytest.mark.slow
def test_what_a_time_limit_cuts_off_is_done_by_the_same_job_later(cluster, work):
    work.sleep = 25
    trial = Trial("time=2,signal_delay_s=30,array_parallelism=1").run(tasks_of(work, 4))
    assert trial.ended == {f"i{n}": f"shared i{n}" for n in range(4)}
    assert work.lines("kept") == ["i0", "i1", "i2", "i3"]
    assert len(work.lines("begun")) == 5
    assert len(trial.said) == 1


@pytest.mark.slow
def test_a_node_that_loses_its_power_costs_only_the_task_at_work(cluster, work):
    work.sleep = 3
    with driver(work, 3, "array_parallelism=1") as first:
        first.stdout.readline()
        wait_for(lambda: len(work.lines("begun")) == 2)
        cluster.kill_node()
        time.sleep(15)
        cluster.start_node()
        assert first.stdout.read().endswith("['i0', 'i1', 'i2']\n")  # before it perhaps why the job waits
    assert work.lines("begun") == ["i0", "i1", "i1", "i2"]
    assert work.lines("kept") == ["i0", "i1", "i2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "partition=hihg",
            "--slurm partition=hihg: this cluster has no such partition. It has: low, high. Did you mean 'high'?",
        ),
        (
            "partition=low,time=121",
            "--slurm time=121: partition low ends jobs after 120 minutes. Give time=120 or less: what is missing then "
            "is submitted again.",
        ),
    ],
)
def test_what_the_cluster_does_not_have_is_an_error_before_anything_is_submitted(cluster, options, message):
    with pytest.raises(ConfigError) as raised:
        Trial(options)
    assert str(raised.value) == message


def test_what_sbatch_says_is_told_in_one_line(cluster, work, capfd):
    work.needs = Needs(device="cuda")
    with pytest.raises(RunError) as raised:
        Trial().run(tasks_of(work, 2))
    assert str(raised.value) == (
        "--engine slurm: sbatch refuses the jobs: Invalid generic resource (gres) specification."
    )
    assert capfd.readouterr() == ("", "")
    assert list((Path(work.folder) / "slurm").glob("*.json")) == []


@pytest.mark.slow
def test_a_controller_that_is_away_stops_no_job_and_no_command(cluster, work):
    work.sleep = 5
    with driver(work, 3, "array_parallelism=1") as first:
        first.stdout.readline()
        wait_for(lambda: work.lines("begun"))
        cluster.stop("slurmctld")
        with pytest.raises(RunError) as raised:
            Trial()
        cluster.start_controller()
        cluster.wait_until_up()
        assert first.stdout.read() == "['i0', 'i1', 'i2']\n"
    assert work.lines("begun") == ["i0", "i1", "i2"]
    assert str(raised.value) == (
        "--engine slurm: SLURM doesn't answer: slurm_load_partitions: Unable to contact slurm controller (connect "
        "failure)."
    )

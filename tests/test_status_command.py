"""`mer status`, over runs that are finished, at work, failed or damaged: once, as JSON, and again and again."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli import console
from mer_cli.cli.main import app
from mer_cli.runs import claims
from mer_cli.runs.claims import Claims
from mer_cli.runs.failures import note_failure

NOW = 1e9  # of the claims' begin, in seconds since 1970; their signs of life are dated by the disk
HERE = f"{os.uname().nodename if hasattr(os, 'uname') else ''} (local, process {os.getpid()})"


def mer(*arguments):
    return CliRunner().invoke(app, ["status", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _in_an_empty_folder_at_a_fixed_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claims, "time", SimpleNamespace(time=lambda: NOW))


def claim_elsewhere(run, fold, *, minutes=0.0, **changes):
    """Write the living claim of a SLURM job on another machine."""
    owner = {"token": "t", "host": "node7", "machine": "", "pid": 4242, "started": 1.0, "engine": "slurm"}
    owner |= {"where": "", "job": "17_3", "begun": NOW - 60 * minutes} | changes
    (run / "claims").mkdir(exist_ok=True)
    (run / "claims" / f"{fold}.json").write_text(json.dumps(owner), encoding="utf-8")


def finish(run, fold):
    """Finish a fold, as far as it is looked at here."""
    (run / "folds" / fold).mkdir()
    (run / "folds" / fold / "done").touch()


def test_a_line_for_all_runs_then_the_unfinished_ones_with_their_folds():
    write_run(Path("runs"), seed=1)
    half, idle = write_run(Path("runs"), seed=2, finished=1), write_run(Path("runs"), seed=3, finished=0)
    claim_elsewhere(half, "casme2-02", minutes=0.1)
    for _ in range(3):
        note_failure(half, "casme2-03", "CUDA error:\nout of memory", log="logs/17_2.err", host="node3")
    note_failure(half, "casme2-04", "killed")
    shown = mer()
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "3 runs, 1 finished: 5 of 12 folds, 1 at work, 1 failed, time left unknown",
        f"{half}  1 of 4 folds  1 at work  1 failed  6 s left",
        "    casme2-02  6 s on node7 (slurm, job 17_3)",
        "    casme2-03  failed 3 times on node3: CUDA error: out of memory; log: logs/17_2.err",
        "    casme2-04  failed once: killed",
        f"{idle}  0 of 4 folds",
    ]
    assert shown.stderr == ""


def test_a_finished_run_is_shown_if_it_is_named():
    done = write_run(Path("runs"))
    assert mer().stdout == "1 run, 1 finished: 4 of 4 folds\n"
    assert mer(done).stdout == f"1 run, 1 finished: 4 of 4 folds\n{done}  4 of 4 folds\n"


def test_claims_and_failures_of_finished_folds_are_of_the_past():
    run = write_run(Path("runs"), finished=2)
    note_failure(run, "casme2-01", "killed")
    claim_elsewhere(run, "casme2-02")
    assert mer().stdout == f"1 run, 0 finished: 2 of 4 folds\n{run}  2 of 4 folds\n"


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ({}, "node7 (slurm, job 17_3)"),
        ({"engine": "ray", "where": "node9", "job": ""}, "node9 (ray, process 4242 on node7)"),
        ({"engine": "local", "job": ""}, "node7 (local, process 4242)"),
        ({"pid": "?"}, "an unknown machine (its claim can't be read)"),
        ({"where": "\x1b[2J"}, r"\x1b[2J (slurm, job 17_3)"),
    ],
)
def test_a_claim_is_told_in_words(owner, words):
    run = write_run(Path("runs"), finished=1)
    claim_elsewhere(run, "casme2-02", **owner)
    assert mer().stdout.splitlines()[2] == f"    casme2-02  0 s on {words}"


def test_time_left_counts_what_folds_at_work_have_had_and_shares_the_rest():
    """A fold of six epochs took 6 s; four folds are missing, two of them at work."""
    run = write_run(Path("runs"), subjects=6, finished=2)
    claim_elsewhere(run, "casme2-03", minutes=0.05)
    claim_elsewhere(run, "casme2-04", minutes=60)
    told = json.loads(mer("--json").stdout)
    assert told["runs"][0]["seconds_of_a_fold"] == 6
    assert told["runs"][0]["seconds_left"] == (4 * 6 - 3 - 6) / 2
    assert told["seconds_left"] == told["runs"][0]["seconds_left"]


def test_time_left_of_several_runs_is_their_work_over_all_folds_at_work():
    one, two = write_run(Path("runs"), seed=1, finished=2), write_run(Path("runs"), seed=2, finished=3)
    claim_elsewhere(one, "casme2-03")
    claim_elsewhere(one, "casme2-04")
    assert json.loads(mer("--json").stdout)["seconds_left"] == 18 / 2
    claim_elsewhere(two, "casme2-04")
    assert json.loads(mer("--json").stdout)["seconds_left"] == 18 / 3


def test_json_has_all_of_it():
    run = write_run(Path("runs"), finished=1)
    note_failure(run, "casme2-03", "killed", log="logs/a\x1b.err", host="node3")
    claim_elsewhere(run, "casme2-02", minutes=1)
    text = mer("--json").stdout
    assert "\x1b" not in text
    (told,) = json.loads(text)["runs"]
    (claim,), (failure,) = told.pop("at_work"), told.pop("failed")
    assert told == {
        "run": str(run),
        "problem": None,
        "folds": 4,
        "finished": 1,
        "missing": 3,
        "seconds_of_a_fold": 6,
        "seconds_left": 12,
    }
    assert 0 <= claim.pop("age") < 60
    assert claim == {
        "fold": "casme2-02",
        "host": "node7",
        "pid": 4242,
        "engine": "slurm",
        "where": "node7",
        "job": "17_3",
        "since": 60,
    }
    assert time.time() - failure.pop("noted") < 60
    assert failure == {
        "fold": "casme2-03",
        "given_up": False,
        "times": 1,
        "error": "killed",
        "log": "logs/a\x1b.err",
        "host": "node3",
    }


def test_a_run_that_cannot_be_read_is_told_and_stops_nothing():
    broken, half = write_run(Path("runs"), seed=1), write_run(Path("runs"), seed=2, finished=1)
    (broken / "clips.csv").write_bytes(b"\xff")
    shown = mer()
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "2 runs, 0 finished: 1 of 4 folds",
        f"{half}  1 of 4 folds",
        f"{broken}  can't be read",
    ]
    assert shown.stderr.startswith(f"note: {broken / 'clips.csv'}: was edited or damaged")


def test_a_history_that_is_damaged_leaves_the_time_unknown():
    run = write_run(Path("runs"), finished=1)
    (run / "folds" / "casme2-01" / "history.csv").write_bytes(b"\xff")
    claim_elsewhere(run, "casme2-02")
    assert mer().stdout.splitlines()[1] == f"{run}  1 of 4 folds  1 at work    time left unknown"


def test_without_runs_it_says_how_to_train_one():
    shown = mer()
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == "no runs found; train one: mer train --loso\n"


def test_a_folder_that_is_not_there_is_one_error():
    shown = mer("elsewhere")
    assert shown.exit_code == 1
    assert shown.stderr == ("error: elsewhere: there is no such folder. Name a run directory, or a folder of runs.\n")


def test_watching_and_json_exclude_each_other():
    shown = mer("--watch", "--json")
    assert (shown.exit_code, shown.stderr) == (1, "error: mer status: give either --watch or --json, not both.\n")


@pytest.fixture
def during_waits(monkeypatch):
    """A list of what happens between the looks of `--watch`, in place of waiting."""
    steps = []
    monkeypatch.setattr("mer_cli.cli.status.time.sleep", lambda seconds: steps.pop(0)())
    return steps


def test_watching_tells_each_change_and_ends_when_nothing_is_missing(during_waits):
    run = write_run(Path("runs"), finished=1)
    other = Path("runs/other")

    def fail_for_good():
        for _ in range(3):
            note_failure(run, "casme2-04", "killed", host="node3")

    with Claims("local") as ours:
        during_waits += [
            lambda: ours.take(run, "casme2-02"),
            lambda: (finish(run, "casme2-02"), ours.give_back(run, "casme2-02"), ours.take(run, "casme2-03")),
            lambda: ours.give_back(run, "casme2-03"),
            lambda: run.with_name("copy").mkdir() or (run.with_name("copy") / "config.json").touch(),
            lambda: (run.with_name("copy") / "config.json").unlink(),
            lambda: (fail_for_good(), write_run(Path("elsewhere"), seed=2).rename(other)),
            lambda: finish(run, "casme2-03"),
        ]
        shown = mer("--watch")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[:2] == ["1 run, 0 finished: 1 of 4 folds", f"{run}  1 of 4 folds"]
    changes = [line[10:] for line in shown.stdout.splitlines()[2:-1]]
    assert changes == [
        f"{run}: casme2-02 begun on {HERE}",
        f"{run}: casme2-02 finished (2 of 4)",
        f"{run}: casme2-03 begun on {HERE}",
        f"{run}: casme2-03 is no longer at work",
        f"{run.with_name('copy')}: can't be read",
        f"{run.with_name('copy')}: was removed",
        f"{run}: casme2-04 failed 3 times on node3: killed",
        f"{other}: 4 of 4 folds",
        f"{run}: casme2-03 finished (3 of 4)",
    ]
    assert shown.stdout.splitlines()[-1] == "2 runs, 1 finished: 7 of 8 folds, 1 failed"


def test_watching_redraws_on_a_terminal(during_waits, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        console, "out", Console(file=screen, width=100, height=20, force_terminal=True, color_system=None)
    )
    run = write_run(Path("runs"), finished=3)
    during_waits += [lambda: claim_elsewhere(run, "casme2-04", where="\x1b[2J"), lambda: finish(run, "casme2-04")]
    assert mer("--watch").exit_code == 0
    drawn = screen.getvalue()
    assert r"casme2-04  0 s on \x1b[2J (slurm, job 17_3)" in drawn
    assert "\x1b[2J" not in drawn
    assert "1 run, 1 finished: 4 of 4 folds" in drawn.split("\x1b[1A")[-1]


def test_ctrl_c_ends_watching_without_an_error():
    run = write_run(Path("runs"), finished=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "mer_cli", "status", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "1 run, 0 finished: 1 of 4 folds\n"
    assert process.stdout.readline() == f"{run}  1 of 4 folds\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_it_loads_no_torch():
    write_run(Path("runs"))
    code = "import sys; from mer_cli.cli.main import app; app(['status'], standalone_mode=False); "
    code += "print(sorted({'torch', 'pandas', 'sklearn', 'scipy', 'cv2', 'h5py'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 run, 1 finished: 4 of 4 folds", "[]"]

"""`mer runs`, over a folder of runs of every kind, and `mer runs rm`, which asks and removes nothing else."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli import console
from mer_cli.cli.main import app
from mer_cli.cli.runs import spell_age, spell_bytes
from mer_cli.runs.claims import Claims
from mer_cli.runs.disk import DiskUse, disk_use
from mer_cli.runs.run_config import PROTOCOL_VERSION


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_kind_of_run_is_a_row():
    done = write_run(Path("runs"), seed=1, generated=True)
    half = write_run(Path("runs"), seed=2, finished=1)
    old, broken = write_run(Path("runs"), seed=3), write_run(Path("runs"), seed=4)
    config = old / "config.json"
    config.write_text(config.read_text().replace(f'"protocol_version": {PROTOCOL_VERSION}', '"protocol_version": 1'))
    (broken / "clips.csv").write_bytes(b"\xff")
    rows = {Path(row["run"]): row for row in json.loads(mer("runs", "--json").stdout)}
    assert list(rows) == sorted(rows, key=lambda path: path.name)
    states = {path: rows[path]["state"] for path in (done, half, old, broken)}
    assert list(states.values()) == ["finished", "1 of 4 folds", "other version", "damaged"]
    assert rows[done]["marks"] == ["generated faces"]
    assert rows[done]["accuracy"] > 0
    assert rows[done]["bytes"] == sum(file.stat().st_size for file in done.rglob("*") if file.is_file())
    assert rows[half]["accuracy"] is None
    shown = mer("runs")
    assert shown.exit_code == 0
    assert f"{100 * rows[done]['accuracy']:.2f}" in shown.stdout
    assert "just now" in shown.stdout
    assert f"note: {half}: continue with: mer train data/casme2.h5 --loso" in shown.stderr
    assert f"note: {broken / 'clips.csv'}" in shown.stderr


def test_on_a_narrow_terminal_a_run_stands_in_two_lines(monkeypatch):
    done = write_run(Path("runs"), seed=1, generated=True)
    half = write_run(Path("runs"), seed=2, finished=1)
    monkeypatch.setattr(console, "out", Console(width=80, force_terminal=True, color_system=None, soft_wrap=True))
    lines = mer("runs").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "run"
    assert lines[1].split() == ["protocol", "state", "accuracy", "%", "UF1", "changed", "size"]
    assert lines[2] == f"{done}  generated faces"
    assert lines[3].startswith("    casme2-mmnet3/12  finished")
    assert lines[4] == f"{half}  tuned on test"
    assert lines[5].startswith("    casme2-mmnet3/12  1 of 4 folds")
    assert [row["run"] for row in json.loads(mer("runs", "--json").stdout)] == [str(done), str(half)]


def test_a_folder_of_runs_may_be_named_and_an_empty_one_is_no_error():
    path = write_run(Path("elsewhere"))
    assert str(path) in mer("runs", "elsewhere").stdout
    assert mer("runs", "list", "elsewhere").stdout == mer("runs", "elsewhere").stdout
    nothing = mer("runs")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == "no runs found; train one: mer train --loso\n"


def test_runs_are_removed_whole_and_what_links_lead_to_stays():
    going, staying = write_run(Path("runs"), seed=1), write_run(Path("runs"), seed=2)
    Path("precious").mkdir()
    Path("precious/file").touch()
    (going / "link").symlink_to(Path("precious").resolve())
    result = mer("runs", "rm", "--yes", going, going / ".")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"removed {going}\n"
    assert list(Path("runs").iterdir()) == [staying]
    assert Path("precious/file").exists()


def test_nothing_goes_where_one_is_no_run():
    run = write_run(Path("runs"))
    Path("model").mkdir()
    Path("model/config.json").write_text("{}", encoding="utf-8")
    Path("link").symlink_to(run)
    for wrong, problem in (
        ("model", "is not a run directory"),
        ("nowhere", "there is no such folder"),
        ("link", f"is a link to {run.resolve()}"),
    ):
        result = mer("runs", "rm", "--yes", run, wrong)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {wrong}: {problem}")
        assert "Nothing was removed" in result.stderr
    assert run.exists()


def test_folds_at_work_are_listed_and_warned_of_before_a_removal():
    run = write_run(Path("runs"), finished=1)
    with Claims("ray") as ours:
        ours.take(run, "casme2-02", where="node9")
        ours.take(run, "casme2-03", where="node7")
        assert mer("runs").stdout.splitlines()[1].endswith("  tuned on test, 2 folds at work")
        assert json.loads(mer("runs", "--json").stdout)[0]["marks"] == ["tuned on test"]
        ours.give_back(run, "casme2-03")
        result = mer("runs", "rm", "--yes", run)
        assert result.stderr.splitlines()[1] == (
            "  warning: 1 fold of it at work right now, on node9; the work would be lost"
        )
    assert not run.exists()


def test_a_look_at_claims_is_no_change_of_a_run():
    run = write_run(Path("runs"), finished=1)
    with Claims("local") as ours:
        ours.take(run, "casme2-02")
    for file in (run, *run.rglob("*")):
        os.utime(file, (1e9, 1e9))
    size = disk_use(run).size
    (run / "claims" / "casme2-02.json").write_text("{}")
    assert disk_use(run) == DiskUse(size + 2, 1e9)


def test_without_a_terminal_it_must_be_told():
    run = write_run(Path("runs"), finished=1)
    result = mer("runs", "rm", run)
    assert result.exit_code == 1
    assert "1 of 4 folds" in result.stderr
    assert "warning" not in result.stderr
    assert result.stderr.endswith(
        "error: mer runs rm: there is no terminal to ask for confirmation, so nothing was removed. In a script: mer "
        "runs rm --yes RUN...\n"
    )
    assert run.exists()


@pytest.mark.parametrize(("answer", "stays"), [(b"n\n", True), (b"y\n", False)])
def test_a_person_is_asked(answer, stays):
    run = write_run(Path("runs"))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mer_cli", "runs", "rm", str(run)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.write(ours, answer)
        _, asked = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"Remove this run" in asked
    assert process.returncode == (1 if stays else 0)
    assert run.exists() == stays


def test_ages_and_sizes_are_short():
    ages = [spell_age(seconds) for seconds in (5, 200, 3 * 3600, 50 * 3600)]
    assert ages == ["just now", "3 min ago", "3 h ago", "2 days ago"]
    assert [spell_bytes(size) for size in (1200, 38_000_000, 1_040_000_000)] == ["1 kB", "38 MB", "1.0 GB"]

"""A command with --time-limit ends at a fold's end, says what is left, and goes on when it is typed again."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.errors import ConfigError
from mer_cli.runs.directory import read_run
from mer_cli.training import time_limit
from mer_cli.training.time_limit import TimeLimit, parse_time_limit

TRAIN = ["train", "--loso", "--model", "flow-svm", "--flow", "fast", "--scheme", "mmnet3"]


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still until a test moves it."""
    held = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: held.now))
    return held


@pytest.fixture
def _store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))


@pytest.fixture
def _slow(monkeypatch):
    """Ten minutes pass between any two looks at the clock, so that a fold takes at least as long."""
    ticks = count()
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=lambda: 600.0 * next(ticks)))


@pytest.mark.parametrize(("text", "seconds"), [("4m", 240), ("90s", 90), ("1h30m", 5400), (" 2H ", 7200)])
def test_a_time_limit_is_read_in_hours_minutes_and_seconds(text, seconds):
    assert parse_time_limit(text).seconds == seconds


@pytest.mark.parametrize(
    "text", ["", "4", "m", "four minutes", "4m30", "-4m", "30s4m", "1.5h", "\u0664m", "9" * 400 + "s"]
)
def test_what_is_not_a_length_of_time_is_refused(text):
    with pytest.raises(ConfigError) as error:
        parse_time_limit(text)
    assert str(error.value) == (
        f"--time-limit: '{text}' is not a length of time. Write hours, minutes and seconds like 4m, 90s or 1h30m."
    )


def test_a_time_limit_of_nothing_is_refused():
    with pytest.raises(ConfigError) as error:
        parse_time_limit("0m")
    assert str(error.value) == (
        "--time-limit must be longer than 0. Leave it out to train until all folds are finished."
    )


def test_a_fold_begins_only_if_the_longest_so_far_would_still_fit(clock):
    limit = TimeLimit(100)
    clock.now = 20  # what comes before the first fold counts as well
    assert limit.begin("mmnet", "01")
    clock.now = 50
    limit.ended("mmnet", "01")
    assert limit.begin("mmnet", "02")  # 30 s fit into the 50 s that are left
    clock.now = 85
    limit.ended("mmnet", "02")
    assert not limit.begin("mmnet", "03")  # 35 s don't fit into 15 s
    assert limit.is_over
    assert limit.longest == {"mmnet": 35}
    clock.now = 0
    assert not limit.has_time("mmnet")  # what was left out once stays out


def test_the_first_fold_begins_however_short_the_time_is(clock):
    limit = TimeLimit(1)
    clock.now = 10
    assert [limit.begin("mmnet", fold) for fold in ("01", "02", "03")] == [True, False, False]
    assert not limit.begin("mmnet", "01")  # the first of the command, not of each run


def test_without_a_limit_every_fold_begins(clock):
    limit = parse_time_limit(None)
    clock.now = 1e9
    assert all(limit.begin("mmnet", fold) for fold in ("01", "02", "03"))
    assert not limit.is_over


def test_the_time_of_one_method_says_nothing_of_another(clock):
    limit = TimeLimit(100)
    assert limit.begin("ststnet", "01")
    limit.ended("ststnet", "01")
    clock.now = 40
    assert limit.has_time("mmnet")  # never timed, in the first half of the time
    limit.expect("sssnet", 70)  # as an earlier command's folds tell
    clock.now = 60
    assert limit.has_time("ststnet")
    assert not limit.has_time("mmnet")
    limit = TimeLimit(100)
    assert limit.begin("ststnet", "01")
    limit.ended("ststnet", "01")
    limit.expect("sssnet", 70)
    assert limit.has_time("sssnet")
    clock.now = 100
    assert not limit.has_time("sssnet")


@pytest.mark.usefixtures("_store", "_slow")
def test_a_command_that_is_typed_again_finishes_the_run_as_one_without_a_limit_does():
    ends = []
    for _ in range(3):
        result = mer(*TRAIN, "--time-limit", "4m")
        assert result.exit_code == 0, result.stderr
        ends.append(result.stderr.splitlines()[-3:])
    path = Path(result.stdout.strip())
    assert [end[0] for end in ends[:2]] == [
        "the time limit of 4 min 0 s is over; 2 folds are left.",
        "the time limit of 4 min 0 s is over; 1 fold is left.",
    ]
    assert ends[0][1:] == [
        "A fold takes 10 min 0 s, longer than the limit, so each command trains only the folds it begins with.",
        "Run the same command again to continue.",
    ]
    assert not any("time limit" in line for line in ends[2])
    assert mer(*TRAIN, "--out", "straight").exit_code == 0
    held, straight = read_run(path), read_run(Path("straight") / path.name)
    assert held.missing == ()
    for ours, theirs in zip(held.folds, straight.folds, strict=True):
        assert ours.clip_ids == theirs.clip_ids
        np.testing.assert_array_equal(ours.logits, theirs.logits)


@pytest.mark.usefixtures("_store", "_slow")
def test_a_time_limit_holds_for_all_seeds_together():
    network = ["train", "--loso", "--model", "ststnet", "--flow", "fast", "--scheme", "mmnet3", "--epochs", "1"]
    result = mer(*network, "--seeds", "2", "--time-limit", "5m")
    assert result.exit_code == 0, result.stderr
    assert "the time limit of 5 min 0 s is over; 5 folds are left.\n" in result.stderr
    assert len(list(Path("runs").iterdir())) == 1  # no run of the second seed was begun


@pytest.mark.usefixtures("_store", "_slow")
def test_workers_begin_no_fold_after_the_time_limit():
    result = mer(*TRAIN, "--folds-at-once", "2", "--time-limit", "5m")
    assert "the time limit of 5 min 0 s is over; 2 folds are left.\n" in result.stderr
    assert len(list(Path(result.stdout.strip(), "folds").iterdir())) == 1


@pytest.mark.usefixtures("_store", "_slow")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ablate", "--table", "3", "--recipe", "quick", "--epochs", "1"], marks=pytest.mark.slow),
        ["compare-methods", "--methods", "flow-svm,bi-woof", "--flow", "fast"],
    ],
)
def test_grids_of_runs_have_a_time_limit_too(command):
    result = mer(*command, "--scheme", "mmnet3", "--time-limit", "5m")
    assert "the time limit of 5 min 0 s is over" in result.stderr


@pytest.mark.usefixtures("_store")
def test_a_time_limit_on_a_run_that_is_trained_anew_is_refused():
    result = mer(*TRAIN, "--no-resume", "--time-limit", "4m")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: mer train: --time-limit with --no-resume would train the same folds each time. "
        "Leave one of them out.\n",
    )

"""What is noted of folds that failed, and files of it that are damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mer_cli.errors import RunError
from mer_cli.runs.failures import LONGEST, forget_failures, note_failure, read_failures

FOLD = "casme2-01"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "folds").mkdir(parents=True)
    return tmp_path / "run"


def test_failures_are_counted_and_the_last_one_is_told(run):
    assert note_failure(run, FOLD, "out of memory") == 1
    assert note_failure(run, FOLD, "no GPU\nwas found", log="logs/17_3.err", host="node7") == 2
    assert note_failure(run, "casme2-02", "killed") == 1
    found = read_failures(run)
    assert list(found) == [FOLD, "casme2-02"]
    told = found[FOLD]
    assert (told.times, told.error, told.log, told.host) == (2, "no GPU\nwas found", "logs/17_3.err", "node7")


def test_forgetting_begins_to_count_anew(run):
    note_failure(run, FOLD, "killed")
    note_failure(run, "casme2-02", "killed")
    forget_failures(run, [FOLD, "casme2-09"])
    assert list(read_failures(run)) == ["casme2-02"]
    assert note_failure(run, FOLD, "killed") == 1


def test_the_failure_of_a_finished_fold_is_not_told(run):
    note_failure(run, FOLD, "killed")
    (run / "folds" / FOLD).mkdir()
    (run / "folds" / FOLD / "done").touch()
    assert read_failures(run) == {}


def test_a_run_without_failures_has_none(run):
    assert read_failures(run) == {}
    forget_failures(run, [FOLD])


def test_a_long_error_is_noted_without_its_middle(run):
    note_failure(run, FOLD, "a" + "x" * 10_000_000 + "z")
    error = read_failures(run)[FOLD].error
    assert len(error) == LONGEST + 3
    assert (error[0], error[-1]) == ("a", "z")


def test_a_path_that_is_not_unicode_is_noted_with_a_question_mark(run):
    note_failure(run, FOLD, "killed", log="logs/\udcff.err")
    assert read_failures(run)[FOLD].log == "logs/?.err"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"times": 0, "error": "", "log": "", "host": "", "noted": 0}',
        b'{"times": 1, "error": 5, "log": "", "host": "", "noted": 0}',
        b'{"times": 1, "error": "", "log": "", "host": "", "noted": NaN}',
    ],
)
def test_a_damaged_note_is_left_out_and_counted_anew(run, content):
    note_failure(run, "casme2-02", "killed")
    (run / "failed" / f"{FOLD}.json").write_bytes(content)
    assert list(read_failures(run)) == ["casme2-02"]
    assert note_failure(run, FOLD, "killed") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_in_place_of_a_note_is_not_waited_for(run):
    (run / "failed").mkdir()
    os.mkfifo(run / "failed" / f"{FOLD}.json")
    assert read_failures(run) == {}


def test_a_note_that_cannot_be_written_is_one_error(run, monkeypatch):
    def refuse(path, text):
        raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    file = run / "failed" / f"{FOLD}.json"
    with pytest.raises(RunError) as raised:
        note_failure(run, FOLD, "killed")
    assert str(raised.value) == (
        f"{file}: cannot be written (No space left on device). Free space on the disk or give another --out, then run "
        "the same command again: finished folds are kept."
    )

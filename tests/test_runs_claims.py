"""Claims on folds: real processes that race, are killed and stopped, and disks that fail."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from mer_cli.errors import RunError
from mer_cli.runs import claims
from mer_cli.runs.claims import STALE, Claims, living_claims

HOLD = """
import sys, time
from pathlib import Path
from mer_cli.runs.claims import Claims
holding = Claims("local")
print(holding.take(Path(sys.argv[1]), "casme2-01"), flush=True)
sys.stdin.read()
holding.close()
"""
FORGET = """
import os, sys
from pathlib import Path
from mer_cli.runs.claims import Claims
Claims("local").take(Path(sys.argv[1]), "casme2-01")
if hasattr(os, "fork"):
    if not os.fork():
        sys.exit()  # a copy, whose end ends nothing
    os.wait()
print(*os.listdir(Path(sys.argv[1], "claims")))
sys.exit(int("an error"))
"""
RACE = """
import sys, time
from pathlib import Path
from mer_cli.runs.claims import Claims
run, done = Path(sys.argv[1]), sys.argv[2]
with Claims("local") as taken:
    print("ready", flush=True)
    sys.stdin.readline()
    for fold in map(str, range(50)):
        if taken.take(run, fold):
            print(fold, flush=True)
            if done == "finish":
                (run / "folds" / fold).mkdir(parents=True)
                (run / "folds" / fold / "done").touch()
                taken.give_back(run, fold)
    print("done", flush=True)
    sys.stdin.readline()
"""
FOLD = "casme2-01"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "folds").mkdir(parents=True)
    return tmp_path / "run"


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def holder(run):
    """Another process, which has claimed the fold."""
    process = start(HOLD, run)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def claim_file(run, fold=FOLD):
    return run / "claims" / f"{fold}.json"


def write_claim(run, fold=FOLD, *, seconds_ago=0.0, **changes):
    """Write the claim of a process of another machine."""
    owner = {"token": "t", "host": "node7", "machine": "", "pid": 4242, "started": 1.0, "engine": "slurm"}
    owner |= {"where": "", "job": "17_3", "begun": time.time() - seconds_ago - 60} | changes
    file = claim_file(run, fold)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(owner), encoding="utf-8")
    set_age(file, seconds_ago)
    return file


def set_age(file, seconds):
    os.utime(file, (time.time() - seconds,) * 2)


def finish(run, fold=FOLD):
    (run / "folds" / fold).mkdir()
    (run / "folds" / fold / "done").touch()


def files_left(run):
    return sorted(path.name for path in (run / "claims").iterdir())


def test_a_claim_is_held_by_one_and_leaves_nothing(run):
    with Claims("local") as ours, Claims("local") as others:
        assert ours.take(run, FOLD)
        assert not others.take(run, FOLD)
        ours.give_back(run, FOLD)
        assert others.take(run, FOLD)
    assert files_left(run) == []


def test_a_fold_that_this_command_holds_can_be_taken_again(run):
    with Claims("local") as ours:
        assert ours.take(run, FOLD)
        assert ours.take(run, FOLD)


def test_a_finished_fold_is_claimed_only_to_train_it_again(run):
    finish(run)
    with Claims("local") as ours:
        assert not ours.take(run, FOLD)
        assert ours.take(run, FOLD, again=True)


def test_a_fold_that_another_finishes_between_the_look_and_the_claim_is_not_trained_again(run, monkeypatch):
    create = claims._create

    def finish_first(file, content):
        finish(run)
        return create(file, content)

    monkeypatch.setattr(claims, "_create", finish_first)
    with Claims("local") as ours:
        assert not ours.take(run, FOLD)
        assert files_left(run) == []


def test_living_claims_say_who_trains_where_and_since_when(run):
    write_claim(run, "casme2-02", seconds_ago=30)
    with Claims("ray") as ours:
        ours.take(run, FOLD, where="node1", job="a")
        ours.take(run, "casme2-03")
        here = claims.socket.gethostname()
        found = living_claims(run)
    assert list(found) == [FOLD, "casme2-02", "casme2-03"]
    assert (found[FOLD].host, found[FOLD].pid) == (here, os.getpid())
    assert (found[FOLD].engine, found[FOLD].where, found[FOLD].job) == ("ray", "node1", "a")
    assert 0 <= found[FOLD].since < 10
    assert (found["casme2-02"].host, found["casme2-02"].where, found["casme2-02"].job) == ("node7", "node7", "17_3")
    assert 90 <= found["casme2-02"].since < 100
    assert 30 <= found["casme2-02"].age < 40
    assert found["casme2-03"].where == here


@pytest.mark.parametrize("what", ["keep", "finish"])
def test_two_processes_that_race_for_fifty_folds_take_each_once(run, what):
    for fold in range(0, 50, 5):
        write_claim(run, str(fold), seconds_ago=STALE + 60)  # both want to take these over
    racers = [start(RACE, run, what) for _ in range(2)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    # Both are done before either is let go, because then it gives its claims back.
    taken = Counter(line.strip() for racer in racers for line in iter(racer.stdout.readline, "done\n"))
    for racer in racers:
        racer.communicate("\n")
    assert taken == Counter(map(str, range(50)))
    assert files_left(run) == []


def test_a_living_process_keeps_its_claim_and_a_killed_one_loses_it_at_once(run, holder):
    set_age(claim_file(run), STALE + 3600)  # a laptop that has slept
    with Claims("local") as ours:
        assert not ours.take(run, FOLD)
        assert living_claims(run)[FOLD].pid == holder.pid
        holder.kill()  # SIGKILL; it stays a zombie until it is waited for
        while psutil.Process(holder.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert living_claims(run) == {}
        assert ours.take(run, FOLD)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows stops no process")
def test_a_stopped_process_keeps_its_claim_only_while_it_is_fresh(run, holder):
    holder.send_signal(signal.SIGSTOP)
    while psutil.Process(holder.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    with Claims("local") as ours:
        assert not ours.take(run, FOLD)
        set_age(claim_file(run), STALE + 1)
        assert ours.take(run, FOLD)
        holder.send_signal(signal.SIGCONT)
        holder.communicate("")
        assert holder.returncode == 0
        assert living_claims(run)[FOLD].pid == os.getpid()


def test_the_claim_of_a_process_whose_number_another_has_now_is_stale(run):
    here = {"host": claims.socket.gethostname(), "machine": claims._machine(), "pid": os.getpid()}
    write_claim(run, **here, started=claims._started(psutil.Process()) - 3600)
    assert living_claims(run) == {}


def test_a_process_of_another_container_is_not_looked_for_here(run):
    write_claim(run, host=claims.socket.gethostname(), machine="another container", pid=2**31 - 1)
    assert list(living_claims(run)) == [FOLD]


@pytest.mark.parametrize(("seconds", "is_living"), [(0, 1), (STALE - 10, 1), (STALE + 10, 0), (-STALE - 10, 0)])
def test_a_claim_of_another_machine_lives_by_its_age(run, seconds, is_living):
    """By its age it is also stale if it is of the future: the clock was set back, and nobody touched it since."""
    write_claim(run, seconds_ago=seconds)
    assert len(living_claims(run)) == is_living
    with Claims("local") as ours:
        assert ours.take(run, FOLD) is not bool(is_living)


def test_the_age_is_told_by_the_clock_of_the_disk(run, monkeypatch):
    write_claim(run)
    monkeypatch.setattr(claims.time, "time", lambda: 1e9)
    assert 0 <= living_claims(run)[FOLD].age < 10
    assert files_left(run) == [f"{FOLD}.json"]


@pytest.mark.parametrize("content", [b"", b"[" * 9000, b'{"pid": 1e400}', b"\xff", b"0" * (claims.LARGEST + 1)])
def test_a_damaged_claim_lives_by_its_age_alone(run, content):
    claim_file(run).parent.mkdir()
    claim_file(run).write_bytes(content)
    with Claims("local") as ours:
        assert not ours.take(run, FOLD)
        assert (living_claims(run)[FOLD].host, living_claims(run)[FOLD].pid) == ("", 0)
        set_age(claim_file(run), STALE + 1)
        assert ours.take(run, FOLD)


def test_a_claim_that_was_taken_over_is_not_touched(run, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with Claims("local") as ours:
        ours.take(run, FOLD)
        other = write_claim(run, seconds_ago=60)
        before = other.stat().st_mtime_ns
        time.sleep(0.1)
        assert other.stat().st_mtime_ns == before


def test_a_claim_that_was_taken_over_while_its_owner_slept_is_not_removed(run):
    with Claims("local") as ours:
        ours.take(run, FOLD)
        other = write_claim(run)
        ours.give_back(run, FOLD)
        assert other.exists()


def wait_until(is_so):
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_signs_of_life_outlast_a_disk_that_is_gone_for_a_while(run, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with Claims("local") as ours:
        ours.take(run, FOLD)
        set_age(claim_file(run), 60)
        wait_until(lambda: living_claims(run)[FOLD].age < 30)
        run.rename(run.with_name("gone"))
        time.sleep(0.1)
        assert not run.exists()
        run.with_name("gone").rename(run)
        claim_file(run).unlink()
        wait_until(claim_file(run).exists)
    assert files_left(run) == []


def test_a_claim_seen_stale_and_renewed_meanwhile_is_put_back(run):
    seen = claims._look(write_claim(run, seconds_ago=STALE + 1))
    write_claim(run, token="another")
    assert not claims._rename_and_remove(claim_file(run), seen)
    assert list(living_claims(run)) == [FOLD]
    assert files_left(run) == [f"{FOLD}.json"]


def test_a_claim_is_put_back_on_a_disk_without_hard_links(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    test_a_claim_seen_stale_and_renewed_meanwhile_is_put_back(run)


def test_a_stale_claim_is_taken_over_on_a_disk_without_locks(run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(claims.FileLock, "_acquire", refuse)
    write_claim(run, seconds_ago=STALE + 1)
    with Claims("local") as ours:
        assert ours.take(run, FOLD)
    assert files_left(run) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_is_one_error_and_leaves_no_claim(run, monkeypatch):
    file, opened = claim_file(run), Path.open

    def open_full(path, *arguments, **options):
        if path == file:
            opened(path, "xb").close()
            return opened(Path("/dev/full"), "wb", buffering=0)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_full)
    with Claims("local") as ours, pytest.raises(RunError) as raised:
        ours.take(run, FOLD)
    assert str(raised.value) == (
        f"{file}: cannot be written (No space left on device). Free space on the disk or give another --out, then run "
        "the same command again: finished folds are kept."
    )
    assert files_left(run) == []


def test_a_run_that_was_removed_is_one_error_and_not_made_again(tmp_path):
    run = tmp_path / "run"
    with Claims("local") as ours, pytest.raises(RunError) as raised:
        ours.take(run, FOLD)
    assert str(raised.value) == f"{run}: the run directory is no longer there. Run the same command again."
    assert not run.exists()


def test_a_run_without_claims_has_none(run):
    assert living_claims(run) == {}


def test_a_process_that_ends_gives_its_claims_back(run):
    done = subprocess.run([sys.executable, "-c", FORGET, str(run)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, f"{FOLD}.json\n")
    assert files_left(run) == []


def test_closing_ends_the_thread(run):
    before = threading.active_count()
    with Claims("local") as ours:
        ours.take(run, FOLD)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before

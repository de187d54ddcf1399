"""Claims on the folds of a run: several commands may train one run, and none trains a fold that another has begun.

`claims/<fold>.json` in the run says which process trains a fold. It is not a lock: its owner touches it every `BEAT`
seconds, and without a sign of life for `STALE` seconds anyone may take it over; on the owner's own machine at once, if
the process is gone. If a claim fails to keep two processes apart (a disk that doesn't know locks, three processes
within a millisecond, a clock that jumps), a fold is trained twice, with the same numbers, and one result is kept.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mer_cli.errors import RunError
from mer_cli.runs.directory import is_finished
from mer_cli.system.files import NO_LOCKS, read_bounded, unwritten

FOLDER = "claims"
BEAT = 15.0  # seconds between two signs of life
STALE = 120.0  # seconds; NFS may show a file's time up to a minute late
LARGEST = 1 << 14  # bytes of a claim
LOCK_SECONDS = 5.0  # the lock is held for a few operations on the disk
NEARLY = 2.0  # seconds by which the start of one process may differ, read twice


@dataclass(frozen=True)
class Claim:
    """A living claim on a fold; its texts are "" and its number 0 if the file can't be read.

    host, pid : the process that holds it · engine : "local", "ray" or "slurm" · job : of the cluster, or ""
    where : name of the machine that computes, which under Ray need not be the host
    since : seconds since the fold was claimed · age : seconds since the last sign of life
    """

    host: str
    pid: int
    engine: str
    where: str
    job: str
    since: float
    age: float


class _Owner(BaseModel):
    """What a claim's file says; `token` makes it unlike any other.

    machine : tells apart boots and containers of one host name, or "" · started : as `_started` returns it
    begun : seconds since 1970, by the owner's clock
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    token: str
    host: str = Field(max_length=1000)
    machine: str
    pid: int = Field(gt=0, lt=1 << 31)
    started: float
    engine: str = Field(max_length=1000)
    where: str = Field(max_length=1000)
    job: str = Field(max_length=1000)
    begun: float


@dataclass(frozen=True)
class _Seen:
    """A claim's file as it was at one moment; `content` is b"" if it can't be read."""

    content: bytes
    changed: int  # nanoseconds since 1970, by the disk's clock

    @property
    def owner(self) -> _Owner | None:
        """What the file says, None if it is damaged."""
        try:
            return _Owner.model_validate_json(self.content)
        except ValidationError:
            return None


class Claims:
    """The claims of this process; a thread touches their files until they are given back or closed."""

    def __init__(self, engine: str) -> None:
        self._engine, self._pid = engine, os.getpid()
        self._held: dict[Path, bytes] = {}
        self._lock = threading.Lock()  # for `_held`, and so that no claim is touched while it is given back
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, run: Path, fold: str, *, where: str = "", job: str = "", again: bool = False) -> bool:
        """Claim a fold; return False if another living claim is there, or if the fold is finished.

        Parameters
        ----------
        where : name of the machine that computes, if it is not this one · job : of the cluster
        again : claim a finished fold too, to train it again

        Raises
        ------
        RunError
            If the claim can't be written, for example to a full disk: the fold couldn't be, either.
        """
        file = _file_of(run, fold)
        with self._lock:
            if file in self._held:
                return True
            if not again and is_finished(run, fold):
                return False
            content = _owner(self._engine, where, job).model_dump_json().encode()
            try:
                file.parent.mkdir(exist_ok=True)
                if not _create(file, content) and not (_remove_stale(file) and _create(file, content)):
                    return False
            except FileNotFoundError:
                raise RunError(f"{run}: the run directory is no longer there. Run the same command again.") from None
            except OSError as error:
                raise RunError(unwritten(file, error)) from None
            self._held[file] = content
            self._begin_to_beat()
        if not again and _is_finished_now(run, fold):  # by another, after the first look
            self.give_back(run, fold)
            return False
        return True

    def give_back(self, run: Path, fold: str) -> None:
        """Remove the claim on a fold, unless another process has taken it over, for example from a laptop asleep.

        A claim that can't be removed now, because the disk is gone, goes stale by itself.
        """
        file = _file_of(run, fold)
        with self._lock:
            content = self._held.pop(file, None)
            if content is None:
                return
            with suppress(OSError):
                seen = _look(file)
                if seen and seen.content == content:
                    _remove(file, seen)

    def close(self) -> None:
        """Give back all claims, and end the thread; a process that ends without it, by Ctrl-C for example, does it too.

        A copy of this process (`os.fork`) has no claims, and gives back none.
        """
        if os.getpid() != self._pid:
            return
        atexit.unregister(self.close)
        self._closed.set()
        for file in list(self._held):
            self.give_back(file.parent.parent, file.stem)
        if self._thread:
            self._thread.join()

    def _begin_to_beat(self) -> None:
        if self._thread is None:
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._beat, name="claims", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        """Give signs of life until closed; a disk that is gone for a while stops nothing."""
        while not self._closed.wait(BEAT):
            for file in list(self._held):
                with self._lock, suppress(OSError):
                    self._touch(file)

    def _touch(self, file: Path) -> None:
        """Touch a claim; make it again if someone removed it, and forget it if another process has taken it over."""
        if file not in self._held:
            return
        seen = _look(file)
        if seen is None:
            _create(file, self._held[file])
        elif seen.content == self._held[file]:
            os.utime(file)  # to the disk's time: on NFS, the server sets it
        elif seen.content:
            del self._held[file]


def living_claims(run: Path) -> dict[str, Claim]:
    """Return the living claims of all processes on the folds of a run, by fold; also those on finished folds."""
    folder = run / FOLDER
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".json" and not file.name.startswith("."))
    except OSError:
        return {}
    found = {file.stem: _look(file) for file in files}
    clock = _DiskClock(folder)
    return {
        fold: _claim(seen.owner, max(clock.age(seen), 0.0))
        for fold, seen in found.items()
        if seen and not _is_stale(seen, clock)
    }


def _claim(owner: _Owner | None, age: float) -> Claim:
    if owner is None:
        return Claim("", 0, "", "", "", age, age)
    since = max(time.time() - owner.begun, 0.0)
    return Claim(owner.host, owner.pid, owner.engine, owner.where or owner.host, owner.job, since, age)


def _file_of(run: Path, fold: str) -> Path:
    return run.absolute() / FOLDER / f"{fold}.json"


def _create(file: Path, content: bytes) -> bool:
    """Create a claim's file, and return True; return False if it exists already.

    Of several processes that create a file exclusively (O_EXCL), exactly one succeeds, on NFS since version 3 too: the
    server decides, and knows a request that is sent again because its answer was lost.
    """
    try:
        opened = file.open("xb")
    except FileExistsError:
        return False
    try:
        with opened:
            opened.write(content)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise
    return True


def _look(file: Path) -> _Seen | None:
    """Return a claim's file as it is now, None if there is none; opening it makes NFS ask the server for its time."""
    try:
        content = read_bounded(file, LARGEST)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        content = b""  # damaged, or of another user: only its age counts
    try:
        return _Seen(content, file.stat().st_mtime_ns)
    except OSError:
        return None


def _remove_stale(file: Path) -> bool:
    """Remove a claim if it is stale; return whether there is none any more."""
    seen = _look(file)
    return seen is None or (_is_stale(seen, _DiskClock(file.parent)) and _remove(file, seen))


def _remove(file: Path, seen: _Seen) -> bool:
    """Remove a claim if it is still as it was seen, and return True.

    Otherwise a process that saw a stale claim, and was slow, would remove the claim of the process that was faster. A
    lock keeps all that remove apart; on a disk without locks, the look at the renamed file.
    """
    lock = FileLock(file.with_name(f".{file.stem}.lock"))
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        return _look(file) == seen and _rename_and_remove(file, seen)
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _rename_and_remove(file: Path, seen: _Seen) -> bool:
    away = file.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        file.rename(away)
    except FileNotFoundError:
        return False
    if _look(away) == seen:
        away.unlink(missing_ok=True)
        return True
    try:
        os.link(away, file)  # which never replaces a file, as renaming does
    except FileExistsError:
        pass
    except OSError:  # a disk without hard links
        if not file.exists():
            away.rename(file)
    away.unlink(missing_ok=True)
    return False


class _DiskClock:
    """The clock by which a disk dates its files, asked once: clocks of machines differ, on NFS the server's counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now: float | None = None

    def age(self, seen: _Seen) -> float:
        """Return the seconds since a file was last touched; less than 0 if the clock was set back meanwhile."""
        if self._now is None:
            self._now = self._ask()
        return self._now - seen.changed / 1e9

    def _ask(self) -> float:
        probe = self._folder / f".{uuid.uuid4().hex}.now"
        try:
            with probe.open("xb") as opened:
                return os.fstat(opened.fileno()).st_mtime
        except OSError:  # a folder that may only be read
            return time.time()
        finally:
            with suppress(OSError):
                probe.unlink()


def _is_stale(seen: _Seen, clock: _DiskClock) -> bool:
    """Return whether anyone may take a claim over.

    A process on this machine that runs is alive at any age: after the machine has slept, all claims look old. One that
    is stopped (Ctrl-Z) has only its age.
    """
    owner = seen.owner
    if owner and (owner.host, owner.machine) == (socket.gethostname(), _machine()):
        state = _state(owner.pid, owner.started)
        if state != psutil.STATUS_STOPPED:
            return state == psutil.STATUS_DEAD
    return abs(clock.age(seen)) > STALE


def _state(pid: int, started: float) -> str:
    """Return the state of a process of this machine: dead if it has ended, or its number is another process's now."""
    try:
        process = psutil.Process(pid)
        if abs(_started(process) - started) > NEARLY:
            return str(psutil.STATUS_DEAD)
        state = process.status()
    except psutil.AccessDenied:
        return str(psutil.STATUS_RUNNING)
    except psutil.Error:
        return str(psutil.STATUS_DEAD)
    return str(psutil.STATUS_DEAD if state == psutil.STATUS_ZOMBIE else state)


def _started(process: psutil.Process) -> float:
    """Return when a process began, in seconds; where psutil derives it from the clock, since the machine's start.

    A clock that is set later then changes nothing.
    """
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


@cache
def _machine() -> str:
    """Return what tells this machine's boots and containers apart, whose process numbers are others; "" elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _owner(engine: str, where: str, job: str) -> _Owner:
    return _Owner(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        started=_started(psutil.Process()),
        engine=engine,
        where=where,
        job=job,
        begun=time.time(),
    )


def _is_finished_now(run: Path, fold: str) -> bool:
    """Return whether a fold is finished; listing the folder makes NFS forget that it was absent a moment ago."""
    with suppress(OSError):
        list((run / "folds").iterdir())
    return is_finished(run, fold)

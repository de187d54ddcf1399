"""One writer at a time, on disks with locks and without, and a store that another program holds open."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import h5py
import pytest
from filelock import FileLock
from tiny_store import write_store

from mer_cli.errors import StoreError
from mer_cli.store.hdf5 import read_store
from mer_cli.store.upgrade import upgrade_store
from mer_cli.system.files import lock_file, lock_path


def assert_one_at_a_time(out):
    with lock_file(out):
        with pytest.raises(StoreError) as raised, lock_file(out):
            pass
        assert str(raised.value) == (
            f"{out}: another process is building it. Wait until it ends, then run the same command again."
        )
    with lock_file(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path):
    assert_one_at_a_time(tmp_path / "casme2.h5")


def test_a_killed_processs_lock_file_holds_nothing(tmp_path):
    out = tmp_path / "casme2.h5"
    lock_path(out).write_text("4194304")
    assert_one_at_a_time(out)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_disk_without_locks_a_file_stands_in(tmp_path, monkeypatch, number):
    def refuse(lock):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    assert_one_at_a_time(tmp_path / "casme2.h5")


def test_a_folder_that_may_not_be_written_to_is_the_systems_error(tmp_path, monkeypatch):
    def refuse(lock):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    with pytest.raises(PermissionError), lock_file(tmp_path / "casme2.h5"):
        pass


def test_a_store_that_another_program_writes_to_is_not_called_damaged(tmp_path):
    path = write_store(tmp_path / "casme2.h5")
    held = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", held, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError) as raised:
            read_store(path)
        other.stdin.close()
    assert str(raised.value) == (
        f"{path}: open in another program that may be writing to it. Wait until that ends or close it there, then run "
        "the same command again."
    )
    with pytest.raises(StoreError) as raised:
        read_store(path)
    assert str(raised.value) == (
        f"{path}: another program has opened it to write since `mer` wrote it, so its checksums are gone. If its clips "
        f"are unchanged, this writes them again in seconds: mer upgrade {path}. Otherwise build it again: mer "
        f"preprocess DATASET RAW --out {path} --no-resume."
    )
    assert upgrade_store(path) == "upgraded"
    assert len(read_store(path).clips) == 5


def test_a_store_on_a_disk_without_locks_is_read_without(tmp_path, monkeypatch):
    path = write_store(tmp_path / "casme2.h5")
    opened = h5py.File

    def open_without_locks(*given, locking=None, **options):
        if locking is not False:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return opened(*given, locking=locking, **options)

    monkeypatch.setattr("mer_cli.store.checked.h5py.File", open_without_locks)
    assert len(read_store(path).clips) == 5

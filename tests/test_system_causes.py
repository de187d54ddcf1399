"""A file that can't be read or written now is not called damaged, and the advice is for the true cause."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from tiny_store import write_store

from mer_cli.engines.resumable import load_arrays, save_arrays
from mer_cli.errors import StoreError
from mer_cli.store.checked import UnreadStoreError
from mer_cli.store.hdf5 import read_store, require_no_other_file
from mer_cli.system.files import failure, lock_file, lock_path, unread, unwritten

AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes another user")


def in_a_child(do):
    """What `do` returns or raises, as text, in a forked process that may give up its rights."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(do())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "casme2.h5", {"casme2/01/a": "disgust"})


@AS_ROOT
def test_a_store_that_you_may_not_read_is_not_called_damaged(store):
    store.chmod(0o600)
    for folder in store.parents[:-2]:
        folder.chmod(0o755)

    def read():
        os.setuid(65534)
        return read_store(store)

    assert in_a_child(read) == (
        f"UnreadStoreError: {store}: cannot be read (Permission denied). The file may be whole: keep it. Give yourself "
        "permission to read it and to enter its folder, or ask its owner, then run the same command again."
    )


def test_a_store_is_not_called_damaged_if_too_many_files_are_open(store):
    resource = pytest.importorskip("resource")

    def read():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return read_store(store)

    assert in_a_child(read) == (
        f"UnreadStoreError: {store}: cannot be read (Too many open files). The file may be whole: keep it. Close other "
        "programs or raise the limit (ulimit -n 4096), then run the same command again."
    )


def test_a_store_that_hdf5_cannot_open_is_not_called_damaged_if_too_many_files_are_open(store):
    resource = pytest.importorskip("resource")

    def read():
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, free + 1))  # room for the bytes, not for HDF5
        return read_store(store)

    assert "UnreadStoreError" in in_a_child(read)
    assert "damaged" not in in_a_child(read)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES, errno.EIO])
def test_a_store_is_read_whatever_the_disk_answers_about_locks(store, monkeypatch, number):
    opened = h5py.File

    def without_locks(*given, locking=None, **options):
        if locking is not False:
            raise OSError(number, f"unable to lock file, errno = {number}")
        return opened(*given, locking=locking, **options)

    monkeypatch.setattr("mer_cli.store.checked.h5py.File", without_locks)
    assert len(read_store(store).clips) == 1


@pytest.mark.parametrize("value", ["FALSE", "false", "0"])
def test_hdf5_use_file_locking_turns_off_the_locks_of_preprocess_too(tmp_path, monkeypatch, value):
    import filelock

    def refuse(lock):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", value)
    with lock_file(tmp_path / "casme2.h5"):
        assert lock_path(tmp_path / "casme2.h5").exists()
        with pytest.raises(StoreError, match="another process is building it"), lock_file(tmp_path / "casme2.h5"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_read_now_is_never_replaced(store):
    held = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", held, store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(UnreadStoreError, match="open in another program"):
            require_no_other_file(store)
        other.stdin.close()


def test_a_store_that_a_program_is_changing_is_not_called_damaged(store):
    held = (
        "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); file.attrs['mine'] = 1; file.flush(); "
        "file['clips/apex'][0] = 60; file.flush(); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", held, store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(UnreadStoreError, match="open in another program"):
            read_store(store)
        other.stdin.close()


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "casme2.h5"
    os.mkfifo(pipe)
    with pytest.raises(StoreError, match=r"casme2\.h5: not a store\. Name an \.h5 file"):
        read_store(pipe)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EIO, "Check the disk and its connection, which failed, and copy your files to another disk"),
        (errno.ESTALE, "Connect the network disk again, which doesn't answer"),
        (errno.ENOMEM, "Close other programs to free memory"),
        (errno.EBUSY, "Wait until the program that uses it ends"),
        (errno.ENOTTY, "Remove the cause"),
    ],
)
def test_what_to_do_about_a_file_that_cannot_be_read_follows_the_cause(number, cure):
    said = unread(Path("a.h5"), OSError(number, ""))
    assert said == (
        f"a.h5: cannot be read ({os.strerror(number)}). The file may be whole: keep it. {cure}, then run the same "
        "command again."
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOENT, "a.h5: there is no such file. Check the path."),
        (errno.EISDIR, "a.h5: a folder, not a file. Check the path."),
    ],
)
def test_a_path_without_a_file_is_said(number, said):
    assert unread(Path("a.h5"), OSError(number, "")) == said


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EMFILE, "Close other programs or raise the limit (ulimit -n 4096)"),
        (errno.EIO, "Check the disk and its connection, which failed, and copy your files to another disk"),
        (
            errno.EDQUOT,
            "Your share of the disk is used up: remove files of yours, ask for a larger quota or give another --out",
        ),
    ],
)
def test_what_to_do_about_a_file_that_cannot_be_written_follows_the_cause(tmp_path, number, cure):
    said = unwritten(tmp_path / "a.h5", OSError(number, ""), room="9 MB")
    assert said == (
        f"{tmp_path / 'a.h5'}: cannot be written ({os.strerror(number)}). {cure}, then run the same command again: "
        "finished folds are kept."
    )


@pytest.fixture
def without_inodes(tmp_path):
    """A disk with free space that can't hold one more file."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3,size=8m", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a disk")
    try:
        for name in ("a", "b"):
            (disk / name).write_text("")
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@AS_ROOT
def test_a_disk_without_inodes_is_not_called_full(without_inodes):
    out = without_inodes / "casme2.h5"
    with pytest.raises(OSError, match="No space left") as raised:
        out.write_text("")
    assert unwritten(out, raised.value, room="9 MB") == (
        f"{out}: cannot be written (No space left on device). The disk has free space, but can't hold more files (its "
        "inodes are used up): remove many small files or give another --out, then run the same command again: finished "
        "folds are kept."
    )
    assert failure(raised.value) == (
        "the disk can't hold more files. Remove many small files, and run the same command again."
    )


@AS_ROOT
def test_a_part_that_you_may_not_read_is_not_taken_for_damaged(tmp_path):
    part = tmp_path / "part.npz"
    save_arrays(part, {"a": [1]})
    part.chmod(0o600)
    for folder in part.parents[:3]:
        folder.chmod(0o755)

    def read():
        os.setuid(65534)
        return load_arrays(part)

    assert in_a_child(read).startswith(f"StoreError: {part}: cannot be read (Permission denied). The file may be whole")


def test_only_errors_of_the_disk_and_the_machine_are_told_in_a_line():
    assert failure(FileNotFoundError(errno.ENOENT, "", "a")) is None
    assert failure(OSError(errno.EMFILE, "")) == (
        "Too many open files. Close other programs or raise the limit (ulimit -n 4096), then run the same command "
        "again."
    )

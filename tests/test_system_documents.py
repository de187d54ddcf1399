"""Files that are read with limits: no pipe is waited for, no endless device is read, nothing too deep is parsed."""

import os
import socket
import time

import pytest

from mer_cli.errors import ConfigError
from mer_cli.runs.config_file import read_config_file
from mer_cli.system.arrays import read_arrays
from mer_cli.system.documents import read_json, read_toml
from mer_cli.system.files import read_bounded


def test_a_file_is_read_up_to_its_limit(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(ValueError, match=r"^it has more than 4 bytes$"):
        read_bounded(file, 4)


def test_a_pipe_a_device_and_a_link_to_one_are_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(ValueError, match=r"^it is not a regular file$"):
            read_bounded(tmp_path / name, 1 << 40)


def test_a_folder_a_socket_and_a_link_to_itself_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in (".", "socket", "loop", "absent"):
            with pytest.raises(OSError, match=name.strip(".") or "directory"):
                read_bounded(tmp_path / name, 10)


def test_what_grows_while_it_is_read_ends_at_the_limit():
    with pytest.raises(ValueError, match=r"^it has more than 100 bytes$"):
        read_bounded("/proc/self/maps", 100)  # its size is said to be 0


DEEP = "it is nested more than 32 levels deep"


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40])
def test_json_that_is_too_deep_is_refused(tmp_path, text):
    file = tmp_path / "held.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{DEEP}$"):
        read_json(file)
    file.write_text("[" * 30 + "]" * 30)
    assert read_json(file)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "[" * 40 + "]" * 40, "a." * 20_000 + "a = 1"])
def test_toml_that_is_too_deep_is_refused_at_once(tmp_path, text):
    file = tmp_path / "held.toml"
    file.write_text(text)
    started = time.monotonic()
    with pytest.raises(ValueError, match=f"^{DEEP}$"):
        read_toml(file)
    assert time.monotonic() - started < 5
    with pytest.raises(ConfigError, match=f"not a TOML file \\({DEEP}\\)"):
        read_config_file(file, {})


def test_an_npz_file_that_is_not_an_archive_is_refused():
    with pytest.raises(ValueError, match=r"^not an archive of arrays$"):
        read_arrays(b"PK", {"logits": 10})

"""How many workers a machine gets: by its cores, and by the memory that is left on it or in its container."""

from __future__ import annotations

import os

import pytest

from mer_cli.system import workers
from mer_cli.system.workers import WORKER_MEMORY, available_memory, default_jobs

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with four cores whose files of memory can be written."""
    monkeypatch.setattr(workers, "MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(workers, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    (tmp_path / "cgroup" / "memory").mkdir(parents=True)
    return tmp_path


def set_memory(root, available):
    (root / "meminfo").write_text(
        f"MemTotal:       64000000 kB\nMemFree:        1000 kB\nMemAvailable:   {available // 1024} kB\n"
    )


def set_container(root, limit, used, cached, *, version=2):
    folder = root / "cgroup" if version == 2 else root / "cgroup" / "memory"
    names = {2: ("memory.max", "memory.current", ""), 1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")}
    limit_name, used_name, prefix = names[version]
    (folder / limit_name).write_text(f"{limit}\n")
    (folder / used_name).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {cached}\n")


@pytest.mark.parametrize(("available", "expected"), [(64 * GIB, 4), (2 * WORKER_MEMORY + 4096, 2), (GIB // 10, 1)])
def test_default_jobs_is_one_a_core_as_far_as_memory_goes(machine, available, expected):
    set_memory(machine, available)
    assert default_jobs() == expected


@pytest.mark.parametrize("version", [1, 2])
def test_default_jobs_stays_in_the_memory_of_a_container(machine, version):
    set_memory(machine, 64 * GIB)
    set_container(machine, 2 * GIB, 2 * GIB - WORKER_MEMORY, WORKER_MEMORY, version=version)
    assert available_memory() == 2 * WORKER_MEMORY
    assert default_jobs() == 2


def test_a_container_without_a_limit_has_the_memory_of_the_machine(machine):
    set_memory(machine, 3 * GIB)
    set_container(machine, "max", GIB, 0)
    assert available_memory() == 3 * GIB


def test_default_jobs_is_one_a_core_where_nothing_tells_of_memory(machine):
    assert available_memory() is None
    assert default_jobs() == 4


def test_default_jobs_of_this_machine():
    assert 1 <= default_jobs() <= len(os.sched_getaffinity(0))

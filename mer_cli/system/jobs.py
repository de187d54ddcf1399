"""How many worker processes a build takes where nobody says: as many as there are cores, if they fit in the memory."""

from __future__ import annotations

from pathlib import Path

# A worker holds the landmark model and OpenCV (150 MB), up to seven whole pictures of the largest releases (46 MB) and
# what HOG needs for one that is enlarged (110 MB); two of them and the parent took 520 MB on pictures of 2040x1088, and
# 920 MB where no face was found in any, so that everything was tried.
WORKER_MEMORY = 350_000_000
MEMORY_INFO = Path("/proc/meminfo")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Of control groups version 2 and 1: a container's limit, what it uses, and its account.
LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
CACHED = ("inactive_file", "total_inactive_file")  # used for files that were read, and given back when it is needed


def default_jobs() -> int:
    """Return the number of workers: one a core that this process may use, fewer where memory is short, at least one."""
    from joblib import cpu_count  # it knows affinity and a container's share, on every system

    cores: int = cpu_count()
    memory = available_memory()
    return cores if memory is None else max(1, min(cores, memory // WORKER_MEMORY))


def available_memory() -> int | None:
    """Give the bytes that new processes may take without swapping, in a container too; None where nothing tells."""
    free = [*_free_of_machine(), *(_free_of_group(*files) for files in LIMITS)]
    return min((value for value in free if value is not None), default=None)


def _free_of_machine() -> list[int]:
    try:
        lines = MEMORY_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _free_of_group(limit: str, used: str, account: str) -> int | None:
    try:
        held, taken, entries = (
            (CONTROL_GROUPS / name).read_text(encoding="utf-8").split() for name in (limit, used, account)
        )
        free, of = int(held[0]) - int(taken[0]), dict(zip(entries[::2], entries[1::2], strict=True))
    except (OSError, ValueError, IndexError):  # no such group, or its limit is "max"
        return None
    return max(free + max(int(of.get(name, 0)) for name in CACHED), 0)

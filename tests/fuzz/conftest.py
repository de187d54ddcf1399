"""Leave the campaigns out where they can't run: they need Linux, for a process per case and for its limits."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


def pytest_collection_modifyitems(items):
    """Give a campaign, which takes minutes, the time it needs; each of its cases has a limit of its own."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(3600 if item.get_closest_marker("campaign") else 900))

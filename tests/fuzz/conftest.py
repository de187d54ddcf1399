"""Leave the campaigns out where they can't run: they need Linux, for a process per case and for its limits."""

import sys

import pytest

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


def pytest_collection_modifyitems(items):
    """Give the campaigns time: each case has a limit of its own."""
    for item in items:
        if item.path.parent.name == "fuzz":
            item.add_marker(pytest.mark.timeout(3600 if item.get_closest_marker("campaign") else 900))

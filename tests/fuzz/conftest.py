"""Leave the campaigns out where they can't run: they need Linux, for a process per case and for its limits."""

import sys

import pytest

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(autouse=True)
def _no_timeout(request):
    """A campaign takes minutes; each case has its own limit."""
    request.node.add_marker(pytest.mark.timeout(3600 if request.node.get_closest_marker("campaign") else 900))

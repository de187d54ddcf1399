"""Programs that some tests need and that no Python package brings."""

import os
import shutil

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def require_tool(*names):
    """The path of the first of these programs that is there. Where none is, the test is skipped, and fails in CI."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"none of these programs is on the PATH: {', '.join(names)}"
    if os.environ.get("MER_REQUIRE_TOOLS") == "1":
        pytest.fail(f"{reason} (MER_REQUIRE_TOOLS=1 asks for it)")
    pytest.skip(reason)

"""The one place where OpenCV is imported; where a library that it needs is missing, one line says the fix."""

from __future__ import annotations

from mer_cli.errors import FaceError

try:
    import cv2
except ImportError as error:
    raise FaceError(
        f"opencv-python: cannot be imported ({error}). Expected the system's libGL beside it. Install that, "
        "`apt-get install libgl1`, or the build that does without: `pip install opencv-python-headless`."
    ) from error

# What it would print of a damaged picture is said by our errors, in words, once.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["cv2"]

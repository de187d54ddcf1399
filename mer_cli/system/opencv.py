"""Import OpenCV for all other modules; if a library that it needs is missing, say in one line what to install."""

from __future__ import annotations

from mer_cli.errors import FaceError

try:
    import cv2
except ImportError as error:
    raise FaceError(
        f"opencv-python: cannot be imported ({error}). Install the system's libGL, `apt-get install libgl1`, or "
        "the build that doesn't need it, `pip install opencv-python-headless`."
    ) from error

# Our own errors say what is wrong with a damaged image.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["cv2"]

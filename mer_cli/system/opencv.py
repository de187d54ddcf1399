"""Import OpenCV for all other modules; if a library that it needs is missing, say in one line what to install."""

from __future__ import annotations

import os

from mer_cli.errors import FaceError

MAX_PIXELS = 1 << 26  # of an image; OpenCV's own limit lets a file of some bytes take gigabytes
# Both are read once: when OpenCV is loaded, and when it opens its first video. FFmpeg's -8 is silence.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

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

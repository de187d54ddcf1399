"""What is in a store: names, shapes and dtypes of one HDF5 file per dataset, and the record of one clip in it.

The file is readable with nothing but h5py. The windows are stored as they are. Measured on 105 MB of them, one core:
gzip level 1 saves 37 %, but writing takes 1.6 s instead of .1 s and reading .47 s instead of .04-.24 s; lzf saves 23 %
for .8 s and .38 s. Training reads the whole store at each start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.faces.crop import CROP_SIZE, N_LANDMARKS
from mer_cli.faces.frames import WINDOW

SCHEMA_VERSION = 1

CLIPS_GROUP = "clips"
TEXT = "text"
COLUMNS: dict[str, str] = {
    "id": TEXT,
    "subject": TEXT,
    "name": TEXT,
    "emotion": TEXT,
    "action_units": TEXT,
    "onset": "<i4",
    "apex": "<i4",
    "offset": "<i4",
    "fps": "<f8",
    "status": TEXT,
    "note": TEXT,
}

# Shape of one clip's entry and dtype; each dataset is chunked per clip.
ARRAYS: dict[str, tuple[tuple[int, ...], str]] = {
    "onset_window": ((WINDOW, CROP_SIZE, CROP_SIZE, 3), "|u1"),
    "apex_window": ((WINDOW, CROP_SIZE, CROP_SIZE, 3), "|u1"),
    "onset_window_frames": ((WINDOW,), "<i4"),
    "apex_window_frames": ((WINDOW,), "<i4"),
    "landmarks": ((N_LANDMARKS, 2), "<f4"),
    "transforms": ((2, 3), "<f4"),
}
CLIP_BYTES = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in ARRAYS.values())

VERSION_ATTRIBUTE = "schema_version"
CONTENT_HASH = "content_hash"  # over columns and arrays: equal for equal clips, whenever and wherever they were built
BUILD_KEY = "build_key"  # over all that a build depends on: tells whether a store is what would be built now
# Attributes that hold JSON; all others are plain text, numbers or truth values.
JSON_ATTRIBUTES = ("detectors", "crop", "errata", "failed", "tools")

# What a clip's note says of an apex that is not annotated, by the rule that settled it.
APEX_NOTES = {
    "flow": "apex not annotated: frame {} has the strongest motion",
    "midpoint": "apex not annotated: the midpoint {} is taken",
}

# How a clip ends; a store holds the first two only.
OK = "ok"
REPAIRED = "repaired"
FAILED = "failed"
RESUMED = "resumed"


@dataclass(frozen=True)
class CroppedClip:
    """One clip as it goes into a store.

    columns : a value for each of `COLUMNS`
    arrays : an array for each of `ARRAYS`, of that shape and dtype
    detector : what found the face (`faces.landmarks.Face`)
    """

    columns: dict[str, Any]
    arrays: dict[str, NDArray[np.generic]] = field(repr=False)
    detector: str

    @property
    def clip_id(self) -> str:
        return str(self.columns["id"])

    @property
    def status(self) -> str:
        return str(self.columns["status"])

    @property
    def note(self) -> str:
        return str(self.columns["note"])

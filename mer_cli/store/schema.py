"""Names, shapes and dtypes in a store, one HDF5 file per dataset, and the record of one clip in it.

The file can be read with nothing but h5py. The windows are not compressed, because training reads the whole store at
each start. Measured on 105 MB, one core: gzip level 1 saves 37 %, but writing takes 1.6 s instead of .1 s and reading
.47 s instead of .04-.24 s; lzf saves 23 % for .8 s and .38 s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.engines.resumable import OK
from mer_cli.faces.crop import CROP_SIZE, N_LANDMARKS, NO_FACE_NOTE
from mer_cli.faces.depth import BITS
from mer_cli.faces.frames import WINDOW
from mer_cli.records import ApexRule

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

# Shape of one clip's entry, and dtype; each HDF5 dataset is chunked per clip.
ARRAYS: dict[str, tuple[tuple[int, ...], str]] = {
    "onset_window": ((WINDOW, CROP_SIZE, CROP_SIZE, 3), "|u1"),
    "apex_window": ((WINDOW, CROP_SIZE, CROP_SIZE, 3), "|u1"),
    "onset_window_frames": ((WINDOW,), "<i4"),
    "apex_window_frames": ((WINDOW,), "<i4"),
    "landmarks": ((N_LANDMARKS, 2), "<f4"),
    "transforms": ((2, 3), "<f4"),
}
LARGE_ARRAYS = {"onset_window": WINDOW, "apex_window": WINDOW}  # with the number of images that have a checksum each
CLIP_BYTES = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in ARRAYS.values())

VERSION_ATTRIBUTE = "schema_version"
CONTENT_HASH = "content_hash"  # over columns and arrays: the same for the same clips, whenever and wherever built
NOTE_SEPARATOR = "; "  # between the sentences of a clip's note
BUILD_KEY = "build_key"  # over everything that a build depends on: tells whether a store is up to date
CHECKSUMS = "checksums"  # 1 if the file ends in checksums (`seal`); stores of older versions lack it
# Attributes that hold JSON, and what it holds.
JSON_ATTRIBUTES: dict[str, type] = {"detectors": dict, "crop": dict, "errata": list, "failed": list, "tools": dict}
# Only in a store that has something to tell: lists of sentences about its coding table, as JSON.
TABLE_ATTRIBUTES = ("table_notes", "table_differences")
TEXT_ATTRIBUTES = (
    *("dataset", "source", "table", "table_sha256", "table_version", "predictor_sha256"),
    *(BUILD_KEY, CONTENT_HASH),
)

# A store holds clips that are OK or REPAIRED.
REPAIRED = "repaired"
STATUSES = (OK, REPAIRED)

MAX_CLIPS = 1_000_000  # a file that declares more is damaged

# How a note marks a clip without an annotated apex, by the rule that chose the apex. Like `NO_FACE_NOTE` this text is
# part of the format: the content hash covers it, so it never changes, and the two functions below read it.
APEX_NOTES: dict[ApexRule, str] = {
    "flow": "apex not annotated: frame {} has the strongest motion",
    "midpoint": "apex not annotated: the midpoint {} is taken",
}


def apex_notes(rule: ApexRule, apex: int) -> tuple[str, ...]:
    """Return the sentence about an apex that is not annotated, for the clip's note; an empty tuple if it is annotated.

    A clip with such a note does not count as repaired.
    """
    return (APEX_NOTES[rule].format(apex),) if rule in APEX_NOTES else ()


def apex_rule(note: str, apex: int) -> ApexRule:
    """Return the rule that chose the apex of a stored clip, "annotated", "flow" or "midpoint", read from its note."""
    for rule, mark in APEX_NOTES.items():
        if mark.format(apex) in note.split(NOTE_SEPARATOR):
            return rule
    return "annotated"


def describe_images(attributes: Mapping[str, Any]) -> str:
    """Return the kind of images that a store was made from: "raw", or "raw, 12-bit" if they have more than 8 bits."""
    bits = attributes["crop"].get(BITS)
    return f"{attributes['source']}, {bits}-bit" if bits else str(attributes["source"])


def has_face(note: str) -> bool:
    """Tell from the note of a stored clip whether a face was found in the clip."""
    return NO_FACE_NOTE not in note.split(NOTE_SEPARATOR)


def drawn_attributes(dataset: str) -> dict[str, Any]:
    """Return the attributes of a store of drawn clips, which come from no release."""
    held: dict[str, Any] = {name: kind() for name, kind in JSON_ATTRIBUTES.items()}
    text = dict.fromkeys(("table", "table_sha256", "table_version", "source", "predictor_sha256", BUILD_KEY), "")
    return held | text | {"crop": {"align": "box"}, "dataset": dataset, "generated": True}


@dataclass(frozen=True)
class CroppedClip:
    """A cropped clip, as it is written to a store.

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

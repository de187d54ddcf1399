"""Read the attributes and the table of clips of an open store, and refuse what can't be true."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.store.checked import Checked
from mer_cli.store.schema import (
    BUILD_KEY,
    CHECKSUMS,
    CLIPS_GROUP,
    COLUMNS,
    CONTENT_HASH,
    JSON_ATTRIBUTES,
    SCHEMA_VERSION,
    STATUSES,
    TABLE_ATTRIBUTES,
    TEXT_ATTRIBUTES,
    VERSION_ATTRIBUTE,
)
from mer_cli.store.seal import DamageError

HASHES = (CONTENT_HASH, BUILD_KEY, "table_sha256", "predictor_sha256")
HASH = re.compile(r"[0-9a-f]{64}|")  # "" in a store that comes from no release
FAILED_FIELDS = {"clip_id", "emotion", "reason"}


def read_attributes(checked: Checked) -> dict[str, Any]:
    """Return the attributes of a store by name; raise DamageError if one is missing or has a wrong type."""
    attributes: dict[str, Any] = {name: checked.attribute(name, str) for name in TEXT_ATTRIBUTES}
    for name in HASHES:
        if not HASH.fullmatch(attributes[name]):
            raise DamageError(f"the attribute {name} is not a SHA-256, but '{attributes[name][:80]}'.")
    attributes["generated"] = checked.attribute("generated", bool)
    attributes |= {name: checked.json_attribute(name, kind) for name, kind in JSON_ATTRIBUTES.items()}
    attributes[VERSION_ATTRIBUTE] = SCHEMA_VERSION
    if checked.seal:
        attributes[CHECKSUMS] = 1
    attributes |= {name: checked.json_attribute(name, list) for name in TABLE_ATTRIBUTES if checked.has_attribute(name)}
    for entry in attributes["failed"]:
        is_entry = isinstance(entry, dict) and set(entry) == FAILED_FIELDS
        if not is_entry or not all(isinstance(value, str) for value in entry.values()):
            raise DamageError("the attribute failed doesn't list clips with their emotion and the reason.")
    for name in ("errata", *TABLE_ATTRIBUTES):
        if not all(isinstance(sentence, str) for sentence in attributes.get(name, ())):
            raise DamageError(f"the attribute {name} doesn't list sentences.")
    if not isinstance(attributes["crop"].get("align"), str):
        raise DamageError("the attribute crop doesn't say how the faces were aligned.")
    return attributes


def read_columns(checked: Checked, dataset: str) -> dict[str, NDArray[Any]]:
    """Return the columns of the table of clips by name; raise DamageError if they can't be true."""
    n_clips = len(checked.column(f"{CLIPS_GROUP}/id", None, COLUMNS["id"]))
    columns = {name: checked.column(f"{CLIPS_GROUP}/{name}", n_clips, dtype) for name, dtype in COLUMNS.items()}
    _check_ids(columns, dataset)
    _check_numbers(columns)
    return columns


def _check_ids(columns: Mapping[str, NDArray[Any]], dataset: str) -> None:
    ids = columns["id"].tolist()
    if not ids:
        raise DamageError("it holds no clip.")
    if len(set(ids)) < len(ids):
        twice = next(clip_id for clip_id in ids if ids.count(clip_id) > 1)
        raise DamageError(f"two clips have the id {twice}.")
    for clip_id, subject, name in zip(ids, columns["subject"], columns["name"], strict=True):
        if not (dataset and subject and name) or clip_id != f"{dataset}/{subject}/{name}":
            raise DamageError(
                f"the clip '{clip_id}' is not named after its dataset '{dataset}', its subject '{subject}' and its "
                f"name '{name}'."
            )


def _check_numbers(columns: Mapping[str, NDArray[Any]]) -> None:
    onset, apex, offset = columns["onset"], columns["apex"], columns["offset"]
    for row in np.flatnonzero((onset < 0) | (onset > apex) | (apex > offset))[:1]:
        raise DamageError(
            f"clip {columns['id'][row]} has its onset at {onset[row]}, its apex at {apex[row]} and its offset at "
            f"{offset[row]}. Expected 0 <= onset <= apex <= offset."
        )
    fps = columns["fps"]
    for row in np.flatnonzero(np.isinf(fps) | (fps < 0))[:1]:
        raise DamageError(f"clip {columns['id'][row]} has {fps[row]} frames a second.")
    for row in np.flatnonzero(~np.isin(columns["status"].astype(str), STATUSES))[:1]:
        raise DamageError(f"clip {columns['id'][row]} has the status '{columns['status'][row]}', not ok or repaired.")

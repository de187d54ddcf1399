"""Describe stores: where they come from, and their clips of each class beside the published counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_cli.faces.pairs import odd_pairs
from mer_cli.records import ApexRule, FailedClip
from mer_cli.store.audit_page import GENERATED
from mer_cli.store.counts import (
    Contents,
    CountTable,
    count_tables,
    count_warnings,
    differences,
    store_table,
    store_table_notes,
    units_warning,
)
from mer_cli.store.hdf5 import StoreInfo
from mer_cli.store.schema import CHECKSUMS, NOTE_SEPARATOR, REPAIRED, apex_rule, describe_images
from mer_cli.store.whole_clips import clips_size, clips_state

Facts = tuple[tuple[str, str], ...]
WITHOUT_CLIPS = {
    "absent": "none (mer preprocess --clips adds them)",
    "damaged": "damaged (mer preprocess --clips repairs them)",
}
APEX_FOUND: dict[ApexRule, str] = {"flow": "by the strongest motion", "midpoint": "at the midpoint"}


@dataclass(frozen=True)
class Overview:
    """Printable facts of some stores.

    facts : (name, value) pairs of each store
    tables : the clips of each class beside the published counts
    differences : a sentence for each clip that makes a count differ from the published one
    warnings : a sentence each
    errata : the corrections of the coding tables that were applied, a sentence each
    notes : what to know about how the coding tables were read, and where they differ from the published ones
    """

    facts: tuple[Facts, ...]
    tables: tuple[CountTable, ...]
    differences: tuple[str, ...]
    warnings: tuple[str, ...]
    errata: tuple[str, ...]
    notes: tuple[str, ...] = ()


def describe_stores(stores: Sequence[StoreInfo]) -> Overview:
    """Return the printable facts of stores, and the counts of their clips under every scheme of their datasets."""
    held = [_contents(info) for info in stores]
    return Overview(
        facts=tuple(_facts(info) for info in stores),
        tables=count_tables(held),
        differences=tuple(difference.sentence for contents in held for difference in differences(contents)),
        warnings=tuple(text for info, contents in zip(stores, held, strict=True) for text in _warnings(info, contents)),
        errata=tuple(erratum for info in stores for erratum in info.attributes["errata"]),
        notes=tuple(note for info in stores for note in store_table_notes(info.attributes)),
    )


def _contents(info: StoreInfo) -> Contents:
    return Contents(
        name=info.path.name,
        dataset=info.dataset,
        table_version=info.table_version,
        emotions={str(clip_id): str(emotion) for clip_id, emotion in info.clips["emotion"].items()},
        failed=tuple(FailedClip(**entry) for entry in info.attributes["failed"]),
    )


def _facts(info: StoreInfo) -> Facts:
    attributes, clips = info.attributes, info.clips
    n_repaired = int((clips["status"] == REPAIRED).sum())
    rules = Counter(apex_rule(note, apex) for note, apex in zip(clips["note"], clips["apex"], strict=True))
    apexes = ", ".join(f"{rules[rule]} {how}" for rule, how in APEX_FOUND.items() if rules[rule])
    return (
        *([("faces", GENERATED)] if info.generated else []),
        ("store", str(info.path)),
        ("dataset", f"{info.dataset}, {describe_images(attributes)} images"),
        ("clips", f"{len(clips)} ({n_repaired} repaired), {len(attributes['failed'])} failed"),
        ("subjects", str(clips["subject"].nunique())),
        *([("apexes", f"not annotated: {apexes}")] if apexes else []),
        ("coding table", store_table(attributes)),
        ("whole clips", _whole_clips(info.path)),
        ("crop", f"{attributes['crop']['align']}, predictor SHA-256 {str(attributes['predictor_sha256'])[:12]}"),
        ("content hash", info.content_hash[:12]),
        *([] if CHECKSUMS in attributes else [("checksums", "none (mer upgrade adds them)")]),
    )


def _whole_clips(path: Path) -> str:
    state = clips_state(path)
    if state != "whole":
        return WITHOUT_CLIPS[state]
    n_frames, n_bytes = clips_size(path)
    return f"{n_frames} frames, {round(n_bytes / 1e6)} MB"


def _warnings(info: StoreInfo, contents: Contents) -> list[str]:
    return [
        *count_warnings(contents),
        *units_warning(dict(info.clips["action_units"].astype(str))),
        *odd_pairs(dict(info.clips["note"].astype(str)), NOTE_SEPARATOR),
    ]

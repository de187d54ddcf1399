"""A store comes in, what a person asks of it goes out: provenance, and clips by scheme beside the published counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mer_cli.datasets.schemes import SCHEMES, Scheme, check_counts, protocol_id
from mer_cli.store.hdf5 import StoreInfo
from mer_cli.store.schema import REPAIRED


@dataclass(frozen=True)
class SchemeCounts:
    """Clips of one scheme in a store; `rows` are (class, clips, published clips or None where nobody published any)."""

    protocol: str
    n_subjects: int
    rows: tuple[tuple[str, int, int | None], ...]


@dataclass(frozen=True)
class Overview:
    """Printable facts of a store; `notes` are sentences about counts that are not as published, and errata."""

    facts: tuple[tuple[str, str], ...]
    schemes: tuple[SchemeCounts, ...]
    notes: tuple[str, ...]


def describe_store(info: StoreInfo) -> Overview:
    """Count a store's clips under every scheme of its dataset, and say where they come from."""
    attributes, clips = info.attributes, info.clips
    n_repaired = int((clips["status"] == REPAIRED).sum())
    version = info.table_version or "not a published version, so its counts can't be checked"
    facts = (
        *([("faces", "generated: no score on them is a result on the dataset")] if info.generated else []),
        ("store", str(info.path)),
        ("dataset", f"{info.dataset}, {attributes['source']} pictures"),
        ("clips", f"{len(clips)} ({n_repaired} repaired), {len(attributes['failed'])} failed"),
        ("subjects", str(clips["subject"].nunique())),
        ("coding table", f"{attributes['table']} ({version}), SHA-256 {info.table_sha256[:12]}"),
        ("crop", f"{attributes['crop']['align']}, predictor SHA-256 {str(attributes['predictor_sha256'])[:12]}"),
        ("content hash", info.content_hash[:12]),
    )
    schemes, warnings = [], []
    for scheme in SCHEMES.values():
        if info.dataset in scheme.datasets:
            labelled = _labelled(info, scheme)
            schemes.append(_count(info, scheme, labelled))
            labels = [label for _, label in labelled]
            warnings.append(check_counts(scheme, info.dataset, info.table_version, labels))
    notes = (
        *(f"warning: {warning}" for warning in warnings if warning),
        *(f"erratum: {erratum}" for erratum in attributes["errata"]),
        *(f"failed: {failed['clip_id']}: {failed['reason']}" for failed in attributes["failed"]),
    )
    return Overview(facts, tuple(schemes), notes)


def _labelled(info: StoreInfo, scheme: Scheme) -> list[tuple[str, int]]:
    """Subject and class of every clip that the scheme keeps."""
    rows = zip(info.clips["subject"], info.clips["name"], info.clips["emotion"], strict=True)
    labelled = ((subject, scheme.label(subject, name, emotion)) for subject, name, emotion in rows)
    return [(subject, label) for subject, label in labelled if label is not None]


def _count(info: StoreInfo, scheme: Scheme, labelled: list[tuple[str, int]]) -> SchemeCounts:
    counts = Counter(label for _, label in labelled)
    published = scheme.expected.get((info.dataset, info.table_version))
    return SchemeCounts(
        protocol=protocol_id(scheme, len(labelled)),
        n_subjects=len({subject for subject, _ in labelled}),
        rows=tuple(
            (name, counts[label], published[label] if published else None)
            for label, name in enumerate(scheme.class_names)
        ),
    )

"""What a person reads of a store on stdout: how it was built, what a build would meet, what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli.cli import console

if TYPE_CHECKING:
    from mer_cli.store.add_clips import Done
    from mer_cli.store.build import BuildSummary
    from mer_cli.store.counts import Count, CountTable
    from mer_cli.store.dry_run import DryRun
    from mer_cli.store.overview import Overview


CLIPS_SHOWN = 10
PUBLISHED = "published"
WHOLE_CLIPS = {"added": "added", "repaired": "repaired", "kept": "are up to date"}


def show_build(summary: BuildSummary, overview: Overview | None) -> None:
    """How `preprocess` ended: some repairs and failures, where to look and, if asked, counts beside the published."""
    state = "is up to date" if summary.already_built else "written"
    console.out.print(escape(f"{summary.path} {state}"))
    n_clips = summary.n_ok + summary.n_repaired + len(summary.failed)
    console.out.print(
        f"{n_clips} clips: {summary.n_ok} ok, {summary.n_repaired} repaired, {len(summary.failed)} failed"
    )
    _first_clips("repaired", summary.repairs)  # errata among them
    _first_clips("failed", [(failed.clip_id, failed.reason) for failed in summary.failed])
    if overview:
        show_counts(overview.tables)
        for warning in overview.warnings:
            console.out.print(escape(warning))
    console.out.print(
        escape(f"look at {summary.audit_dir / 'index.html'}: every clip with its pictures, and audit.csv")
    )


def _first_clips(how: str, clips: Sequence[tuple[str, str]]) -> None:
    for clip_id, why in clips[:CLIPS_SHOWN]:
        console.out.print(escape(f"  {how}: {clip_id}: {why}"))
    if len(clips) > CLIPS_SHOWN:
        console.out.print(f"  ... and {len(clips) - CLIPS_SHOWN} more, all in audit.csv")


def show_whole_clips(store: Path, n_frames: int, n_bytes: int, done: Done) -> None:
    """What `preprocess --clips` did, what it left in the store, and how large that made it."""
    size, whole = round(n_bytes / 1e6), round(store.stat().st_size / 1e6)
    console.out.print(
        escape(f"whole clips {WHOLE_CLIPS[done]}: {n_frames} frames, {size} of the {whole} MB of {store}")
    )


def show_dry_run(found: DryRun) -> None:
    """What a build would meet: counts beside the published ones, then each clip that fails or is mended."""
    console.print_facts(found.facts)
    console.out.print()
    show_counts(found.tables)
    for note in found.notes:
        console.out.print(escape(note))
    for clip_id, how in found.repairs:
        console.out.print(escape(f"will be repaired: {clip_id}: {how}"))
    for clip in found.failing:
        console.out.print(escape(f"will fail: {clip.clip_id} ({clip.emotion}). {clip.effect}"))
        for reason in clip.reasons:
            console.out.print(escape(f"  {reason}"))
    for obstacle in found.obstacles:
        console.out.print(escape(f"stops the build: {obstacle}"))
    n_repaired, n_failing = len(found.repairs), len(found.failing)
    n_ok = found.n_rows - n_repaired - n_failing
    console.out.print(
        f"{found.n_rows} clips: {n_ok} ok, {n_repaired} to be repaired, {n_failing} to fail; nothing written"
    )


def show_overview(overview: Overview) -> None:
    """What stores hold: where each comes from, then the counts of all."""
    for facts in overview.facts:
        console.print_facts(facts)
        console.out.print()
    show_counts(overview.tables)
    for line in (*overview.differences, *overview.warnings, *(f"erratum: {text}" for text in overview.errata)):
        console.out.print(escape(line))


def show_counts(tables: Iterable[CountTable]) -> None:
    """Clips of each class and subjects, each beside the published count; ours in bold where it differs.

    Set by hand: a table of Rich would cut numbers off where several stores are wider than the terminal.
    """
    for table in tables:
        names = max(len(name) for name, _ in table.rows)
        widths = [len(column.heading) for column in table.columns]
        console.out.print(escape(table.title))
        headings = "".join(f"   {column.heading}  {PUBLISHED}" for column in table.columns)
        console.out.print(escape(" " * names + headings))
        for name, cells in table.rows:
            counts = "".join(_count_cell(count, width) for count, width in zip(cells, widths, strict=True))
            console.out.print(f"{escape(f'{name:{names}}')}{counts}".rstrip())
        console.out.print()


def _count_cell(count: Count | None, width: int) -> str:
    if count is None:
        return " " * (3 + width + 2 + len(PUBLISHED))
    found = f"{count.found:>{width}}"
    published = "–" if count.published is None else str(count.published)
    return f"   {f'[bold red]{found}[/]' if count.differs else found}  {published:>{len(PUBLISHED)}}"

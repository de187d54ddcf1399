"""`mer preprocess` builds a store; `mer info` shows what stores hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_release, complete_store
from mer_cli.cli.engine import EngineFlag, SlurmFlag, check_engine_flags, engine_of

if TYPE_CHECKING:
    from mer_cli.records import Release
    from mer_cli.store.add_clips import Done
    from mer_cli.store.build import BuildSummary
    from mer_cli.store.counts import Count, CountTable
    from mer_cli.store.dry_run import DryRun
    from mer_cli.store.overview import Overview


Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="casme2, samm, mmew, smic, casme3, casme, dfme, casme3c, 4dme, or table for your own data.",
        autocompletion=complete_release,
    ),
]
AlignFlag = Annotated[
    Literal["box", "eyes", "none"],
    typer.Option(
        help="Crop an upright box, turn the face so that the eyes are level, or squeeze each cropped image whole."
    ),
]
TableFlag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Table of your own clips (mer preprocess table RAW), or a release's table that was renamed or moved.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of processes. Default: one for each core that memory allows."),
]
Predictor = Annotated[
    Path | None,
    typer.Option(metavar="FILE.dat", help="Dlib's 68-point model. Default: MER_PREDICTOR, or the installed one."),
]
SourceFlag = Annotated[
    Literal["raw", "cropped"] | None,
    typer.Option(help="Use the raw or the cropped images. Default: raw if the release has both."),
]
ApexFlag = Annotated[
    Literal["flow", "midpoint"],
    typer.Option(help="Apex of clips without an annotated one: the strongest motion, or the middle."),
]
JoinSpellings = Annotated[
    bool,
    typer.Option("--join-spellings", help="Take names that differ only in spelling (001, 1) as one subject or label."),
]
Clips = Annotated[
    bool, typer.Option("--clips", help="Also keep every frame from onset to offset, for methods that need them.")
]


@app.command()
def preprocess(
    dataset: Dataset,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder of the unpacked release.")],
    out: Annotated[
        Path | None, typer.Option(metavar="STORE.h5", help="Store to write. Default: data/DATASET.h5.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Keep the clips that an interrupted run finished.")] = True,
    jobs: Jobs = None,
    predictor: Predictor = None,
    source: SourceFlag = None,
    align: AlignFlag = "box",
    apex: ApexFlag = "flow",
    table: TableFlag = None,
    join_spellings: JoinSpellings = False,
    clips: Clips = False,
    allow_failed: Annotated[bool, typer.Option("--allow-failed", help="Exit with 0 even if clips failed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the release and list what will fail; write nothing.")
    ] = False,
    engine: EngineFlag = "local",
    slurm: SlurmFlag = None,
) -> None:
    """Find the face of every clip, crop it to 224x224 and pack onset and apex windows into one HDF5 store.

    Continues an interrupted run. Example: mer preprocess casme2 /raw
    """
    from mer_cli.datasets.known_cells import table_notes
    from mer_cli.datasets.registry import load_release
    from mer_cli.datasets.stamp import stamp_sentence
    from mer_cli.store.build import build_store
    from mer_cli.store.dry_run import check_release
    from mer_cli.store.hdf5 import read_store
    from mer_cli.store.overview import describe_stores
    from mer_cli.system.workers import default_jobs

    check_engine_flags(engine, jobs=jobs)
    release = load_release(dataset, raw, source=source, apex_rule=apex, table=table, join_spellings=join_spellings)
    out = out or Path("data") / f"{release.dataset}.h5"
    stamped = [stamp_sentence(release)] if release.generated else []
    told = table_notes(release.table_notes, release.table_version, release.table_differences)
    console.print_notes([*stamped, *told, *release.numbering])
    if dry_run:
        with console.Steps("check", len(release.clips)) as steps:
            found = check_release(release, out, predictor, steps.on_clip, align=align, whole_clips=clips, resume=resume)
        show_dry_run(found)
        raise typer.Exit(0 if found.is_clean(allow_failed=allow_failed) else 1)
    how: dict[str, Any] = {"jobs": jobs or default_jobs(), "resume": resume}
    with engine_of(engine, slurm) as opened:
        how["engine"] = None if opened.name == "local" else opened
        with console.Steps("preprocess", len(release.clips)) as steps:
            summary = build_store(release, out, predictor=predictor, align=align, on_clip=steps.on_clip, **how)
        # With --clips on a finished store, the user has seen the counts before.
        show_build(summary, None if clips and summary.already_built else describe_stores([read_store(out)]))
        if clips:
            _add_clips(release, out, summary.n_ok + summary.n_repaired, how)
    if summary.failed and not allow_failed:
        raise typer.Exit(1)


def _add_clips(release: Release, out: Path, n_clips: int, how: Mapping[str, Any]) -> None:
    """Add whole clips to a finished store, and print how that ended; `how` has arguments of `add_clips`."""
    from mer_cli.store.add_clips import add_clips
    from mer_cli.store.whole_clips import clips_size

    with console.Steps("whole clips", n_clips) as steps:
        done = add_clips(release, out, on_clip=steps.on_clip, **how)
    show_whole_clips(out, *clips_size(out), done)


@app.command()
def info(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Stores; all of data/ if left out.", autocompletion=complete_store),
    ] = None,
) -> None:
    """Show the paper's Tables 1 and 2: clips and subjects of each class beside the published counts, and which differ.

    Also shows where each store comes from. Example: mer info data/casme2.h5 data/samm.h5 data/smic.h5
    """
    from mer_cli.store.hdf5 import find_stores, read_store
    from mer_cli.store.overview import describe_stores

    show_overview(describe_stores([read_store(path) for path in stores or find_stores()]))


@app.command()
def upgrade(
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Stores; all of data/ if left out.", autocompletion=complete_store),
    ] = None,
) -> None:
    """Check every image, landmark and cell of stores, and write the checksums that stores of older versions lack.

    Takes seconds. Runs on a store stay valid. Example: mer upgrade data/casme2.h5
    """
    from mer_cli.store.hdf5 import find_stores
    from mer_cli.store.upgrade import upgrade_store

    for path in stores or find_stores():
        done = upgrade_store(path)
        console.print_lines([f"{path} is whole{'' if done == 'whole' else '; checksums written'}"])


CLIPS_SHOWN = 10
PUBLISHED = "published"


def show_build(summary: BuildSummary, overview: Overview | None) -> None:
    """Print how `preprocess` ended: repairs and failures, counts beside the published ones, and where to look."""
    console.print_lines([f"{summary.path} {'is up to date' if summary.already_built else 'written'}"])
    n_clips = summary.n_ok + summary.n_repaired + len(summary.failed)
    console.out.print(
        f"{n_clips} clips: {summary.n_ok} ok, {summary.n_repaired} repaired, {len(summary.failed)} failed"
    )
    _first_clips("repaired", summary.repairs)  # errata among them
    _first_clips("failed", [(failed.clip_id, failed.reason) for failed in summary.failed])
    console.print_notes(summary.notes)
    if overview:
        show_counts(overview.tables)
        console.print_lines(overview.warnings)
    console.print_lines([f"look at {summary.audit_dir / 'index.html'}: every clip with its images, and audit.csv"])


def _first_clips(how: str, clips: Sequence[tuple[str, str]]) -> None:
    console.print_lines(f"  {how}: {clip_id}: {why}" for clip_id, why in clips[:CLIPS_SHOWN])
    if len(clips) > CLIPS_SHOWN:
        console.out.print(f"  ... and {len(clips) - CLIPS_SHOWN} more, all in audit.csv")


def show_whole_clips(store: Path, n_frames: int, n_bytes: int, done: Done) -> None:
    """Print what `preprocess --clips` did, and how many frames and bytes of the store are whole clips."""
    what = "are up to date" if done == "kept" else done
    size, whole = round(n_bytes / 1e6), round(store.stat().st_size / 1e6)
    console.print_lines([f"whole clips {what}: {n_frames} frames, {size} of the {whole} MB of {store}"])


def show_dry_run(found: DryRun) -> None:
    """Print what a build would find: counts beside the published ones, then each clip that fails or is repaired."""
    console.print_facts(found.facts)
    console.out.print()
    show_counts(found.tables)
    console.print_lines(found.notes)
    console.print_lines(f"will be repaired: {clip_id}: {how}" for clip_id, how in found.repairs)
    for clip in found.failing:
        console.print_lines([f"will fail: {clip.clip_id} ({clip.emotion}). {clip.effect}"])
        console.print_lines(f"  {reason}" for reason in clip.reasons)
    console.print_lines(f"stops the build: {obstacle}" for obstacle in found.obstacles)
    n_repaired, n_failing = len(found.repairs), len(found.failing)
    n_ok = found.n_rows - n_repaired - n_failing
    console.out.print(
        f"{found.n_rows} clips: {n_ok} ok, {n_repaired} to be repaired, {n_failing} to fail; nothing written"
    )


def show_overview(overview: Overview) -> None:
    """Print where each store comes from, then the counts of all stores."""
    for facts in overview.facts:
        console.print_facts(facts)
        console.out.print()
    show_counts(overview.tables)
    errata = (f"erratum: {text}" for text in overview.errata)
    console.print_lines((*overview.notes, *overview.differences, *overview.warnings, *errata))


def show_counts(tables: Iterable[CountTable]) -> None:
    """Print the numbers of clips of each class and of subjects beside the published ones; bold if they differ.

    The columns are aligned here, because a table of Rich would cut off numbers if several stores are wider than the
    terminal.
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

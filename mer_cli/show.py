"""Results as a person reads them, printed to stdout; only the command line calls it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from mer_cli import console

if TYPE_CHECKING:
    from rich.console import Console

    from mer_cli.doctor import Finding
    from mer_cli.evaluation.summary import Summary, TextTable
    from mer_cli.inference.explain import Explained
    from mer_cli.store.add_clips import Done
    from mer_cli.store.build import BuildSummary
    from mer_cli.store.counts import Count, CountTable
    from mer_cli.store.dry_run import DryRun
    from mer_cli.store.overview import Overview
    from mer_cli.training.ablation import Cell
    from mer_cli.training.plan import RunPlan

CLIPS_SHOWN = 10
PUBLISHED = "published"


def show_build(summary: BuildSummary, overview: Overview | None) -> None:
    """How `preprocess` ended: the first repairs and failures, where to look, and where asked for, counts beside the published."""
    state = "was there already, built from the same release" if summary.already_built else "written"
    console.out.print(escape(f"{summary.path} {state}"))
    n_clips = summary.n_ok + summary.n_repaired + len(summary.failed)
    console.out.print(
        f"{n_clips} clips: {summary.n_ok} ok, {summary.n_repaired} repaired, {len(summary.failed)} failed"
    )
    notes = overview.notes if overview else ()  # the errata are among them
    _first_clips("repaired", [(clip, how) for clip, how in summary.repairs if not any(clip in note for note in notes)])
    _first_clips("failed", [(failed.clip_id, failed.reason) for failed in summary.failed])
    if overview:
        show_counts(overview.tables)
        for note in notes:
            console.out.print(escape(note))
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
    console.out.print(escape(f"whole clips {done}: {n_frames} frames, {size} of the {whole} MB of {store}"))


def show_dry_run(found: DryRun) -> None:
    """What a build would meet: counts beside the published ones, then each clip that fails or is mended."""
    _facts(found.facts)
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
        _facts(facts)
        console.out.print()
    show_counts(overview.tables)
    for line in (*overview.differences, *overview.notes):
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


def show_plan(plan: RunPlan, out: Path, save_weights: str) -> None:
    """What `train` is about to do, on stderr: it is progress, not a result."""
    from mer_cli.training.methods import is_classical

    config = plan.config
    keeps_weights = save_weights == "last" and plan.weight_bytes > 0
    size = f", weights {plan.weight_bytes * len(plan.wanted) / 1e6:.0f} MB" if keeps_weights else ""
    if is_classical(config.model):
        how = f"{config.model} and a support-vector machine"
    else:
        compiled = ", compiled" if config.compile == "on" else ""
        how = f"{config.epochs} epochs, seed {config.seed}, {config.device} {config.precision}{compiled}"
    n_folds = f"{len(plan.wanted)} of {len(plan.folds)} folds"
    console.err.print(f"{config.protocol_id}, {config.protocol()}: {n_folds}, {how}{size}")
    if config.inner_val:
        n_inner = sum(len(fold.inner) for fold in plan.wanted) / len(plan.wanted)
        console.err.print(
            f"{config.inner_val} training subjects of each fold ({n_inner:.0f} clips in the mean) are set aside to "
            "choose its epoch by, and not trained on"
        )
    if config.shuffle_labels:
        console.err.print("training labels permuted: a null control, whose accuracy must be chance")
    if config.generated:
        console.err.print("generated faces: no score of this run is a result on the dataset")
    for warning in plan.warnings:
        console.err.print(escape(f"warning: {warning}"))
    if (out / config.run_name).exists():
        console.err.print(escape(f"{out / config.run_name} is there already"))


def show_notes(notes: Iterable[str]) -> None:
    """What was passed over and why, on stderr."""
    for note in notes:
        console.err.print(escape(f"note: {note}"))


def show_facts(tables: Iterable[TextTable]) -> None:
    """Names with their values, each table under the title in its first row."""
    for (title, _), *rows in tables:
        console.out.rule(escape(title))
        _facts([(name, value) for name, value in rows])


def show_explained(explained: Explained, sections: Iterable[tuple[str, TextTable]], csv_path: Path | None) -> None:
    """The numbers where there are any, then the files."""
    if explained.measured is not None:
        n_clips, n_subjects = len(explained.measured.clip_ids), explained.measured.n_subjects
        console.out.print(
            f"Attention against the truth: {n_clips} clips of {n_subjects} subjects, each by the network that held it "
            "out, last epoch. Generated faces: no result on the dataset."
        )
    for heading, rows in sections:
        console.out.print(f"\n{escape(heading)}")
        _table(console.out, rows, numeric=1)
    for path in (*explained.pictures, *([csv_path] if csv_path else [])):
        console.out.print(escape(str(path)))
    if explained.undrawn:
        show_notes(
            [f"no clip of {', '.join(explained.undrawn)} was recognised, so none is drawn. Name clips to see them."]
        )


def show_grid(cells: Sequence[Cell], table: int) -> None:
    """The plan of `ablate`: each run, how far it is, and the time left for all."""
    from mer_cli.training.ablation import seconds_left

    rows = [("protocol", "row", "seed", "folds", "finished")]
    for cell in cells:
        config = cell.plan.config
        n_folds = len(cell.plan.folds)
        rows.append((config.protocol_id, cell.name, str(config.seed), str(n_folds), str(cell.n_finished)))
    _table(console.err, rows, numeric=2)
    left = seconds_left(cells)
    guess = (
        "time left not known before one is finished" if left is None else f"about {console.spell_seconds(left)} left"
    )
    console.err.print(f"table {table}: {sum(cell.n_missing for cell in cells)} folds to train, {guess}")


def show_cell(cell: Cell, number: int, n_cells: int) -> None:
    """The run that `ablate` is about to continue."""
    console.err.print(f"run {number} of {n_cells}: {cell.plan.config.protocol_id}, {cell.name}")


def show_summaries(summaries: Iterable[Summary]) -> None:
    """Scores of one run under one rule."""
    for summary in summaries:
        console.out.rule(escape(summary.title))
        _facts(summary.facts)
        for rows in (summary.datasets, summary.classes, summary.confusion, summary.chance):
            if rows:
                _table(console.out, rows, numeric=2 if rows is summary.datasets else 1)


def show_findings(findings: Iterable[Finding]) -> None:
    """What `doctor` found, a line each, and the fix under what is missing."""
    for finding in findings:
        mark = "missing" if finding.is_missing else "advice" if finding.fix else "ok"
        console.out.print(escape(f"{mark:8}{finding.what}: {finding.found}"))
        if finding.fix:
            console.out.print(escape(f"        fix: {finding.fix}"))


def show_command(line: str) -> None:
    """A command line of the demo, before it runs."""
    console.out.print(f"\n[bold]$ {escape(line)}[/bold]")


def show_demo(folder: Path) -> None:
    """The demo's report and where everything lies."""
    console.out.print()
    console.out.print(escape((folder / "report.md").read_text()), end="")
    console.out.print("\nEverything lies here:")
    places = {
        "raw": "the generated release, and what really moved in it (ground_truth)",
        "data": "the store, and the audit with a picture of every clip",
        "runs": "the run: its config, its folds with weights, and the held-out logits of every epoch",
        "report.md": "the report shown above",
    }
    for name, what in places.items():
        console.out.print(escape(f"  {folder / name}  {what}"))


def _facts(facts: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        for line in console.folded(value, f"{name:{width}}  "):
            console.out.print(escape(line))


def _table(where: Console, rows: Sequence[Sequence[str]], numeric: int) -> None:
    """Rows of cells, the header first, whose columns from `numeric` on are numbers."""
    for line in console.aligned(rows, numeric=range(numeric, len(rows[0])), gap=3):
        where.print(escape(line))

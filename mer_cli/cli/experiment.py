"""The commands of the experiment: a command builds a config, makes one library call, and prints; nothing else.

Results go to stdout, progress and errors to stderr. Heavy libraries are imported inside the commands, so that
`mer --help` needs none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mer_cli.cli import console, show, show_stores
from mer_cli.cli.app import app
from mer_cli.cli.flags import GridCommand, TimeLimitFlag, TrainCommand
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.records import Release
    from mer_cli.runs.plan import RunPlan


def train_with_progress(plan: RunPlan, out: Path, *, resume: bool = True, **options: Any) -> Path:
    """Train a plan; gives the run directory.

    Parameters
    ----------
    options : of `training.train.train_run`
    """
    from mer_cli.runs.directory import folds_to_train
    from mer_cli.training.inputs import compute_features, compute_flow
    from mer_cli.training.train import train_run

    config = plan.config
    if folds_to_train(out / config.run_name, plan.wanted, resume=resume):
        if config.method.sees.needs_flow(config.span):
            with console.Steps("flow", sum(len(store.info.clips) for store in plan.stores)) as steps:
                compute_flow(plan, steps.on_clip)
        if not config.method.is_network:
            with console.Steps("features", len(plan.labels)) as steps:
                compute_features(plan, steps.on_clip)
    with console.TrainProgress(config.epochs) as progress:
        return train_run(plan, out, progress, resume=resume, **options)


DatasetName = Annotated[
    str, typer.Argument(metavar="DATASET", help="casme2, samm, mmew, smic, casme3, casme, or table for one's own.")
]
Stores = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[STORE]...", help="Stores, one for each dataset; the one in data/ if left out."),
]


@app.command()
def preprocess(
    dataset: DatasetName,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder of the unpacked release.")],
    out: Annotated[Path | None, typer.Option(help="The store to write. Default: data/DATASET.h5.")] = None,
    resume: Annotated[bool, typer.Option(help="Use the clips that an interrupted run finished.")] = True,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one for each core, fewer where memory is short.")
    ] = None,
    predictor: Annotated[
        Path | None, typer.Option(help="Dlib's 68-point model. Default: MER_PREDICTOR, or the installed one.")
    ] = None,
    source: Annotated[
        Literal["raw", "cropped"] | None, typer.Option(help="Which pictures. Default: raw where both are there.")
    ] = None,
    align: Annotated[
        Literal["box", "eyes"], typer.Option(help="Crop: an upright box, or turned so that the eyes lie level.")
    ] = "box",
    apex: Annotated[
        Literal["flow", "midpoint"],
        typer.Option(help="Apex of clips that have none annotated: the strongest motion, or the middle."),
    ] = "flow",
    table: Annotated[
        Path | None, typer.Option(metavar="CLIPS.csv", help="The clips, for one's own data: mer preprocess table RAW.")
    ] = None,
    clips: Annotated[
        bool, typer.Option("--clips", help="Also keep every frame from onset to offset, for methods that need them.")
    ] = False,
    allow_failed: Annotated[bool, typer.Option(help="Exit with 0 even where clips failed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the release, and list what will fail; nothing is written.")
    ] = False,
) -> None:
    """Find the face of every clip, crop it to 224x224 and pack onset and apex windows into one HDF5 store.

    An interrupted run continues where it was. Example: mer preprocess casme2 /raw
    """
    from mer_cli.datasets.registry import load_release
    from mer_cli.datasets.stamp import stamp_sentence
    from mer_cli.store.build import build_store
    from mer_cli.store.dry_run import check_release
    from mer_cli.store.hdf5 import read_store
    from mer_cli.store.overview import describe_stores
    from mer_cli.system.workers import default_jobs

    release = load_release(dataset, raw, source=source, apex_rule=apex, table=table)
    out = out or Path("data") / f"{release.dataset}.h5"
    if release.generated:
        show.show_notes([stamp_sentence(release)])
    if dry_run:
        with console.Steps("check", len(release.clips)) as steps:
            found = check_release(release, out, predictor, steps.on_clip, whole_clips=clips, resume=resume)
        show_stores.show_dry_run(found)
        raise typer.Exit(0 if found.is_clean(allow_failed=allow_failed) else 1)
    jobs = jobs or default_jobs()
    with console.Steps("preprocess", len(release.clips)) as steps:
        summary = build_store(
            release, out, predictor=predictor, align=align, jobs=jobs, resume=resume, on_clip=steps.on_clip
        )
    # Where whole clips alone were asked for, the counts of the store have been read before.
    show_stores.show_build(summary, None if clips and summary.already_built else describe_stores([read_store(out)]))
    if clips:
        _add_clips(release, out, summary.n_ok + summary.n_repaired, jobs=jobs, resume=resume)
    if summary.failed and not allow_failed:
        raise typer.Exit(1)


def _add_clips(release: Release, out: Path, n_clips: int, *, jobs: int, resume: bool) -> None:
    """What `preprocess --clips` does once the store is there."""
    from mer_cli.store.add_clips import add_clips
    from mer_cli.store.whole_clips import clips_size

    with console.Steps("whole clips", n_clips) as steps:
        done = add_clips(release, out, jobs=jobs, resume=resume, on_clip=steps.on_clip)
    show_stores.show_whole_clips(out, *clips_size(out), done)


@app.command()
def info(
    stores: Annotated[
        list[Path] | None, typer.Argument(metavar="[STORE]...", help="Stores; all of data/ if left out.")
    ] = None,
) -> None:
    """Show the paper's Tables 1 and 2: clips and subjects of each class beside the published counts, and which differ.

    Says where each store comes from, too. Example: mer info data/casme2.h5 data/samm.h5 data/smic.h5
    """
    from mer_cli.store.hdf5 import read_store
    from mer_cli.store.overview import describe_stores, find_stores

    show_stores.show_overview(describe_stores([read_store(path) for path in stores or find_stores()]))


@app.command(cls=TrainCommand)
def train(
    ctx: typer.Context,
    stores: Stores = None,
    loso: Annotated[bool, typer.Option("--loso", help="Leave one subject out: one fold for each subject.")] = False,
    test: Annotated[
        list[Path] | None, typer.Option(metavar="STORE", help="Test on this store instead; may be given several times.")
    ] = None,
    folds: Annotated[str | None, typer.Option(help="Only these subjects: 03,17 or samm-006.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs, with seeds counting up from --seed.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    resume: Annotated[bool, typer.Option(help="Leave finished folds as they are.")] = True,
    save_weights: Annotated[Literal["last", "none"], typer.Option(help="Weights kept of each fold.")] = "last",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Leave TensorBoard's event files in the run; needs that extra.")
    ] = False,
    folds_at_once: Annotated[
        str,
        typer.Option(
            "--folds-at-once",
            "--folds-per-gpu",
            metavar="N|auto",
            help="Folds trained at once, on each GPU or on the processor; auto: one a core for a motion network.",
        ),
    ] = "auto",
    gpus: Annotated[str | None, typer.Option(help="GPUs to train on, by number: 0,1. Default: the first.")] = None,
    time_limit: TimeLimitFlag = None,
) -> None:
    """Train the network once for each held-out subject, or test dataset, and keep the held-out logits of every epoch.

    An interrupted run continues after its last finished fold. Example: mer train --loso
    """
    from mer_cli.runs.config import check_seeds, resolve_config
    from mer_cli.runs.directory import folds_to_train
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.executor import parse_folds_at_once
    from mer_cli.training.hardware import parse_gpus
    from mer_cli.training.plan import plan_run
    from mer_cli.training.time_limit import parse_time_limit
    from mer_cli.training.train import Trainers

    _check_asked(loso=loso, test=bool(test), tensorboard=tensorboard, trains_anew=bool(time_limit) and not resume)
    config = resolve_config(**ctx.obj)
    check_seeds(config.method, seeds, shuffle_labels=config.shuffle_labels)
    stores, wanted = stores or [find_store()], folds.split(",") if folds else None
    on_gpus, at_once = parse_gpus(gpus) if gpus else None, parse_folds_at_once(folds_at_once)
    trainers, limit, plans = Trainers(), parse_time_limit(time_limit), []
    for seed in range(config.seed, config.seed + seeds):
        seeded = config.model_copy(update={"seed": seed})
        plan = plan_run(stores, seeded, test_stores=test or (), wanted=wanted)
        plans.append(plan)
        is_left = folds_to_train(out / plan.config.run_name, plan.wanted, resume=resume)
        if is_left and not limit.has_time(config.model):
            continue
        show.show_plan(plan, out, save_weights)
        path = train_with_progress(
            plan,
            out,
            resume=resume,
            save_weights=save_weights,
            tensorboard=tensorboard,
            folds_at_once=at_once,
            gpus=on_gpus,
            trainers=trainers,
            time_limit=limit,
        )
        typer.echo(path)
    show.show_time_limit(limit, plans, out)


def _check_asked(*, loso: bool, test: bool, tensorboard: bool, trains_anew: bool) -> None:
    """Refuse what `train` can't do, before anything is computed."""
    from mer_cli.training.tensorboard_log import require_tensorboard

    if loso == test:
        problem = "--loso and --test are two protocols" if loso else "no protocol is named"
        raise ConfigError(
            f"mer train: {problem} — expected one of --loso and --test. "
            "Type: mer train --loso, or: mer train A.h5 --test B.h5"
        )
    if tensorboard:
        require_tensorboard()
    if trains_anew:
        raise ConfigError(
            "mer train: --time-limit with --no-resume would train the same folds each time. Leave one of them out."
        )


@app.command(cls=GridCommand)
def ablate(
    ctx: typer.Context,
    table: Annotated[int, typer.Option(help="The paper's table: 3, 4 or 5.")],
    stores: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[STORE]...", help="Stores, each for itself; all of data/ if left out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs of each row, counting up from --seed.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan, and the time that is left.")] = False,
    time_limit: TimeLimitFlag = None,
) -> None:
    """Train the runs of one of the paper's ablation tables; those that are there already are not trained again.

    May be stopped and started at will. No weights are kept. Example: mer ablate --table 3 --seeds 5
    """
    from mer_cli.store.overview import find_stores
    from mer_cli.training.grids import plan_grid
    from mer_cli.training.time_limit import parse_time_limit

    limit = parse_time_limit(time_limit)
    cells = plan_grid(table, stores or find_stores(), ctx.obj, seeds, out)
    show.show_grid(cells, table)
    for number, cell in enumerate(cells, start=1):
        if cell.n_missing and not dry_run and limit.has_time(cell.plan.config.model):
            show.show_cell(cell, number, len(cells))
            typer.echo(train_with_progress(cell.plan, out, save_weights="none", time_limit=limit))
    show.show_time_limit(limit, [cell.plan for cell in cells], out)

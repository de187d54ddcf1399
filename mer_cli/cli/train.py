"""`mer train`: train a method fold by fold, and show how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_store
from mer_cli.cli.config_file import PrintConfigFlag, check_replay, config_text
from mer_cli.cli.engine import EngineFlag, SlurmFlag, check_engine_flags, elsewhere, engine_of, machine_of, say
from mer_cli.cli.flags import FoldsFile, LeaveOneDatasetOut, SettingsCommand, Stores, TimeLimitFlag
from mer_cli.errors import ConfigError, RunError

if TYPE_CHECKING:
    from mer_cli.engines.engine import Engine
    from mer_cli.runs.config import TrainConfig
    from mer_cli.runs.plan import RunPlan
    from mer_cli.training.initial import Initial
    from mer_cli.training.loggers import Loggers
    from mer_cli.training.time_limit import TimeLimit
    from mer_cli.training.train import FailedRun, Options


Loso = Annotated[bool, typer.Option("--loso", help="Leave one subject out: one fold for each subject.")]
Test = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="STORE",
        help="Instead of --loso: test on this store, and train on the others. Repeatable.",
        autocompletion=complete_store,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Argument of your own method's class. Repeatable."),
]
Features = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What your own scikit-learn estimator learns from: flow, or a descriptor."),
]
Folds = Annotated[
    str | None, typer.Option(metavar="ID,...", help="Train only these folds, by subject or name: 03,17 or samm-006.")
]
Init = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="Start each fold's network from the weights of a model folder of mer fit, instead of random ones.",
    ),
]
Seeds = Annotated[int, typer.Option(min=1, metavar="N", help="Number of runs, with seeds counting up from --seed.")]
Out = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of all runs.")]
Resume = Annotated[bool, typer.Option(help="Skip folds that are finished.")]
SaveWeights = Annotated[Literal["last", "none"], typer.Option(help="Weights to keep of each fold.")]
Tensorboard = Annotated[
    bool, typer.Option("--tensorboard", help="Write event files for TensorBoard; the same as --log tensorboard.")
]
Log = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Loggers that get the loss and the learning rate while it trains: tensorboard, mlflow, wandb, or one of "
        "your own as module:Class.",
    ),
]
FoldsAtOnce = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Number of folds trained in parallel, on each GPU or on the processor; auto decides by the method.",
    ),
]
Gpus = Annotated[str | None, typer.Option(metavar="N,...", help="Numbers of the GPUs to train on. Default: the first.")]


@app.command(cls=SettingsCommand)
def train(
    ctx: typer.Context,
    stores: Stores = None,
    loso: Loso = False,
    test: Test = None,
    folds_file: FoldsFile = None,
    leave_dataset_out: LeaveOneDatasetOut = False,
    set: Set = None,
    features: Features = None,
    init: Init = None,
    folds: Folds = None,
    seeds: Seeds = 1,
    out: Out = Path("runs"),
    resume: Resume = True,
    save_weights: SaveWeights = "last",
    tensorboard: Tensorboard = False,
    log: Log = None,
    folds_at_once: FoldsAtOnce = "auto",
    gpus: Gpus = None,
    time_limit: TimeLimitFlag = None,
    engine: EngineFlag = "local",
    slurm: SlurmFlag = None,
    print_config: PrintConfigFlag = False,
) -> None:
    """Train a method once for each held-out subject, and keep its predictions on that subject after every epoch.

    An interrupted run continues after its last finished fold. Settings of other methods: --model NAME --help.
    Example: mer train --loso
    """
    from mer_cli.runs.config import check_seeds, resolve_config
    from mer_cli.runs.own_method import parse_options
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.hardware import parse_folds_at_once, parse_gpus
    from mer_cli.training.time_limit import parse_time_limit
    from mer_cli.training.train import Options

    protocols = {
        "--loso": loso,
        "--test": bool(test),
        "--folds-file": folds_file is not None,
        "--leave-dataset-out": leave_dataset_out,
    }
    if any(protocols.values()) or not print_config:
        _check_asked(
            [flag for flag, is_given in protocols.items() if is_given],
            tensorboard=tensorboard,
            trains_anew=bool(time_limit) and not resume,
        )
    config = resolve_config(**ctx.obj, options=parse_options(set or ()), features=features)
    check_seeds(config.method, seeds, shuffle_labels=config.shuffle_labels)
    if print_config:
        console.print_text(config_text(ctx, config))
        return
    at_once = parse_folds_at_once(folds_at_once)
    check_engine_flags(engine, gpus=gpus, folds_at_once=at_once, time_limit=time_limit, resume=resume)
    limit = parse_time_limit(time_limit)
    options = Options(
        resume=resume,
        save_weights=save_weights,
        loggers=loggers_of(log, tensorboard=tensorboard),
        folds_at_once=at_once,
        gpus=parse_gpus(gpus) if gpus else None,
        time_limit=limit,
    )
    asked: dict[str, Any] = {
        "test_stores": test or (),
        "folds_file": folds_file,
        "leave_dataset_out": leave_dataset_out,
        "wanted": folds.split(",") if folds else None,
        "initial": read_init(init),
    }
    with engine_of(engine, slurm) as opened:
        asked["machine"] = machine_of(opened, config.device, slurm)
        given = stores or [find_store()]
        draw_with_progress(given, config, asked, console.Steps, partial(check_replay, ctx, also=("pretrain",)))
        plans = [*_plans(given, config, seeds, asked)]
        for plan in plans:
            check_replay(ctx, plan)
            show_plan(plan, out, save_weights)
        show_folds_file(folds_file, plans[0])
        train_with_progress(plans, out, replace(options, engine=opened), seconds=expected_of(plans, out))
    show_time_limit(limit, plans, out)


def read_init(path: Path | None) -> Initial | None:
    """Return the weights of --init, if it is given."""
    if path is None:
        return None
    from mer_cli.inference.model_folder import read_initial

    return read_initial(path)


def _plans(stores: Sequence[Path], config: TrainConfig, n_seeds: int, asked: Mapping[str, Any]) -> Iterator[RunPlan]:
    """Yield the plan of the run with each seed; `asked` has further arguments of `plan_run`."""
    from mer_cli.training.plan import plan_run

    for seed in range(config.seed, config.seed + n_seeds):
        yield plan_run(stores, config.model_copy(update={"seed": seed}), **asked)


def draw_with_progress(
    stores: Sequence[Path],
    config: TrainConfig,
    asked: Mapping[str, Any],
    steps: Callable[[str, int], Any],
    check: Callable[[RunPlan], None] | None = None,
) -> None:
    """Draw the generated clips that --pretrain adds to those of stores, unless they are there, showing progress.

    Whatever else is wrong with the run is told before anything is drawn, which takes minutes.

    Parameters
    ----------
    asked : further arguments of `plan_run` · steps : what shows the progress over clips
    check : raises an error if the run, planned without these clips, must not be trained
    """
    if not config.pretrain:
        return
    from mer_cli.runs.protocol import require_addable
    from mer_cli.store.added import added_path, draw_added, pack_added, share_out
    from mer_cli.store.hdf5 import read_store
    from mer_cli.training.plan import plan_run

    infos = {info.dataset: info for info in map(read_store, stores)}
    shares = share_out(list(infos.values()), config.n_drawn)
    if all(added_path(infos[dataset], n_clips).exists() for dataset, n_clips in shares.items()):
        return
    require_addable(config)
    plan = plan_run(stores, config.model_copy(update={"pretrain": ""}), **asked)
    if check:
        check(plan)
    for dataset, n_clips in shares.items():
        with steps(f"draw {dataset}", n_clips) as shown:
            draw_added(infos[dataset], n_clips, shown.on_clip)
        with steps(f"crop {dataset}", n_clips) as shown:
            pack_added(infos[dataset], n_clips, shown.on_clip)


def _check_asked(protocols: Sequence[str], *, tensorboard: bool, trains_anew: bool) -> None:
    """Refuse flags that `train` can't follow, before anything is computed.

    Parameters
    ----------
    protocols : the flags of protocols that are given
    """
    from mer_cli.training.tensorboard_log import require_tensorboard

    if len(protocols) != 1:
        how = f"{' and '.join(protocols)} are different protocols. Give" if protocols else "give"
        raise ConfigError(
            f"mer train: {how} one of --loso, --test, --folds-file and --leave-dataset-out. For example: mer train "
            "--loso, or: mer train A.h5 --test B.h5"
        )
    if tensorboard:
        require_tensorboard("--tensorboard")
    if trains_anew:
        raise ConfigError(
            "mer train: --time-limit with --no-resume would train the same folds each time. Leave one of them out."
        )


def loggers_of(log: str | None, *, tensorboard: bool) -> Loggers:
    """Return the loggers of --log and --tensorboard, whose warnings go to stderr."""
    from mer_cli.training.loggers import Loggers, make_loggers

    names = [name for name in (log, "tensorboard" if tensorboard else None) if name is not None]
    loggers = make_loggers(",".join(names)) if names else {}
    return Loggers(loggers, lambda warning: console.print_lines([f"warning: {warning}"], console.err))


def train_with_progress(
    plans: Sequence[RunPlan],
    out: Path,
    options: Options,
    *,
    names: Sequence[str] = (),
    seconds: Sequence[float | None] = (),
    on_run_end: Callable[[Path], object] = console.print_path,
    goes_on: bool = False,
) -> list[FailedRun]:
    """Compute what the plans' methods see, and train their folds, showing progress; return the runs that failed.

    Parameters
    ----------
    names : of the runs, if they are a grid's · seconds : how long a fold of each takes, if that is known of all
    on_run_end, goes_on : as in `training.train.train_runs`
    """
    from mer_cli.runs.directory import folds_to_train
    from mer_cli.training.train import train_runs

    prepare = partial(prepare_with_progress, steps=console.Steps, engine=elsewhere(options.engine))
    options = replace(options, prepare=prepare, tell=say)
    work: dict[str, float] = {}
    n_left = 0
    total = 0.0
    for plan, each in zip(plans, seconds or [None] * len(plans), strict=True):
        n_todo = len(folds_to_train(out / plan.config.run_name, plan.wanted, resume=options.resume))
        work[plan.config.run_name] = each if each and all(seconds) else plan.config.epochs
        n_left += n_todo
        total += n_todo * work[plan.config.run_name]
    numbers = {plan.config.run_name: number for number, plan in enumerate(plans)}

    def listener_of(plan: RunPlan) -> console.OfRun:
        number = numbers[plan.config.run_name]
        line = f"run {number + 1} of {len(plans)}: {names[number]}" if names else ""
        name = names[number] if names else f"seed {plan.config.seed}" if len(plans) > 1 else ""
        return progress.of_run(plan.config.epochs, work[plan.config.run_name], name, line)

    unit = "expected seconds" if seconds and all(seconds) else "epochs"
    with console.TrainProgress(n_left, total, unit) as progress:
        return train_runs(plans, out, listener_of, options, on_run_end=on_run_end, goes_on=goes_on, seconds=seconds)


def expected_of(plans: Sequence[RunPlan], out: Path) -> list[float | None]:
    """Return how long a fold of each plan takes, as far as finished folds tell; a damaged one stops no training."""
    from mer_cli.training.grids import cell_of, expected_seconds

    try:
        return expected_seconds([cell_of(plan.config.model, plan, out) for plan in plans])
    except RunError:
        return [None] * len(plans)


def prepare_with_progress(plan: RunPlan, steps: Callable[[str, int], Any], engine: Engine | None = None) -> None:
    """Compute the flow and the vectors that a plan needs and that are not on disk.

    Parameters
    ----------
    steps : what shows the progress over clips · engine : computes on other machines; None computes here
    """
    from mer_cli.training.inputs import compute_features, compute_flow

    config = plan.config
    if config.method.sees.needs_flow(config.span):
        with steps("flow", sum(len(store.info.clips) for store in plan.stores)) as shown:
            compute_flow(plan, shown.on_clip, engine)
    if config.method.kind in ("classical", "estimator"):
        with steps("features", len(plan.labels)) as shown:
            compute_features(plan, shown.on_clip, engine)


def show_plan(plan: RunPlan, out: Path, save_weights: str) -> None:
    """Print on stderr what training the plan will do, and how many of its folds are finished already."""
    from mer_cli.runs.changed_code import changed_since
    from mer_cli.runs.directory import folds_to_train

    config, path = plan.config, out / plan.config.run_name
    keeps_weights = save_weights == "last" and plan.weight_bytes > 0
    size = f", weights {plan.weight_bytes * len(plan.wanted) / 1e6:.0f} MB" if keeps_weights else ""
    if config.method.kind == "classical":
        how = f"{config.model} and a support-vector machine"
    elif config.foreign and config.foreign.features:
        how = f"{config.model} on the vectors of {config.foreign.features}, seed {config.seed}"
    else:
        compiled = ", compiled" if config.compile == "on" else ""
        arithmetic = f" {config.precision}{compiled}" if config.method.is_network else ""  # a learner has its own
        n_epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
        how = f"{n_epochs}, seed {config.seed}, {config.device}{arithmetic}"
    n_folds = f"{len(plan.wanted)} of {len(plan.folds)} folds"
    console.print_lines([f"{config.protocol_id}, {config.protocol()}: {n_folds}, {how}{size}"], console.err)
    if config.inner_val:
        n_inner = sum(len(fold.inner) for fold in plan.wanted) / len(plan.wanted)
        console.err.print(
            f"training subjects held back in each fold to choose its epoch: {config.inner_val} "
            f"({n_inner:.0f} clips on average)"
        )
    show_clips(plan)
    console.print_lines(changed_since(out, plan), console.err)
    if path.exists():
        n_finished = len(plan.folds) - len(folds_to_train(path, plan.folds, resume=True))
        console.print_lines([f"{path}: {n_finished} of {len(plan.folds)} folds are finished already"], console.err)


def show_folds_file(file: Path | None, plan: RunPlan) -> None:
    """Print on stderr which file has the lists of subjects that the protocol names by their digits, if there is one."""
    from mer_cli.runs.run_config import lists_digest

    if file and plan.config.fold_lists:
        console.print_lines([f"lists {lists_digest(plan.config.fold_lists)} are those of {file}"], console.err)


def show_clips(plan: RunPlan) -> None:
    """Print on stderr what to know of a plan's clips: permuted labels, generated faces, wrong counts, rare classes."""
    from mer_cli.evaluation.run_text import trained_with

    if plan.config.shuffle_labels:
        console.err.print("training labels are permuted: a null control, so its accuracy must be at chance")
    if more := trained_with(plan.config):
        console.err.print(f"{more}; the scores are of the held-out clips alone")
    show_faces([plan])
    console.print_lines((f"warning: {warning}" for warning in clip_warnings(plan)), console.err)


def clip_warnings(plan: RunPlan) -> list[str]:
    """Return what is wrong with a plan's clips: counts other than published, classes that a fold can hardly learn."""
    from mer_cli.runs.rare_classes import rare_text

    config = plan.config
    rare = rare_text(plan.labels, config.class_names, plan.folds, of_units=config.predicts_units)
    return [warning for warning in (*plan.warnings, rare) if warning]


def show_faces(plans: Iterable[RunPlan]) -> None:
    """Print a warning on stderr if any run is on generated faces."""
    if any(plan.config.generated for plan in plans):
        console.err.print("generated faces: no score of this run is a result on the dataset")


def show_time_limit(limit: TimeLimit, plans: Iterable[RunPlan], out: Path) -> None:
    """Print on stderr how many folds the time limit left out, if any, and how to continue."""
    from mer_cli.runs.directory import folds_to_train

    if not limit.is_over:
        return
    n_left = sum(len(folds_to_train(out / plan.config.run_name, plan.wanted, resume=True)) for plan in plans)
    are_left = "1 fold is" if n_left == 1 else f"{n_left} folds are"
    console.err.print(f"the time limit of {console.spell_seconds(limit.seconds)} is over; {are_left} left.")
    longest = max(limit.longest.values(), default=0)
    if longest > limit.seconds:
        console.err.print(
            f"A fold takes {console.spell_seconds(longest)}, longer than the limit, so each command trains only the "
            "folds it begins with."
        )
    console.err.print("Run the same command again to continue.")

"""The command line: a command builds a config, makes one library call, and prints; nothing else.

Results go to stdout, progress and errors to stderr. Exit code 0, 1 for a `MerError`, 2 for a wrong use, 130 for Ctrl-C.
Heavy libraries are imported inside the commands, so that `mer --help` needs none of them.
"""

from __future__ import annotations

import inspect
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from mer_cli import __version__, console, show
from mer_cli.errors import ConfigError, MerError


class Commands(TyperGroup):
    """All commands; the one place that turns an error into text and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except MerError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("stopped: what was finished is kept, and the same command continues from there", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="mer",
    cls=Commands,
    help="Micro-expression recognition: MMNet's leave-one-subject-out experiment, from the raw release to the tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="Dataset of the release: casme2.")]
Store = Annotated[Path | None, typer.Argument(metavar="[STORE]", help="The store; the one in data/ if left out.")]
Runs = Annotated[
    list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run directories; all of runs/ if left out.")
]


def main() -> None:
    """The installed `mer`."""
    app()


class TrainCommand(TyperCommand):
    """`train`, with a flag for every field of `TrainConfig`; the field's help and limits are written once, there.

    The flags are made when the command is used: pydantic, loaded for them, would double the time of `mer --help`.
    The command finds their values in `ctx.obj`.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return [*super().get_params(ctx), *_setting_flags()]

    def invoke(self, ctx: Any) -> Any:
        ctx.obj = {flag.name: ctx.params.pop(flag.name) for flag in _setting_flags()}
        return super().invoke(ctx)


@cache
def _setting_flags() -> list[Any]:
    from mer_cli.training.config import TrainConfig

    def settings() -> None: ...

    flags = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,  # "as in the recipe": the defaults are the model's
            annotation=Annotated[
                field.annotation | None,  # type: ignore[operator]  # a field of a model always has one
                typer.Option(help=f"{field.description} Released: {field.default}.", rich_help_panel="Settings"),
            ],
        )
        for name, field in TrainConfig.model_fields.items()
    ]
    settings.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]  # what typer reads
    settings.__annotations__ = {flag.name: flag.annotation for flag in flags}
    maker = typer.Typer(add_completion=False)
    maker.command()(settings)
    return typer.main.get_command(maker).params


def show_version(wanted: bool) -> None:
    if wanted:
        console.out.print(f"mer {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Three commands make the experiment: mer preprocess casme2 /raw · mer train --loso · mer report."""


@app.command()
def preprocess(
    dataset: DatasetName,
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="Folder of the unpacked release.")],
    out: Annotated[Path | None, typer.Option(help="The store to write. Default: data/DATASET.h5.")] = None,
    resume: Annotated[bool, typer.Option(help="Use the clips that an interrupted run finished.")] = True,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each core.")] = None,
    predictor: Annotated[
        Path | None, typer.Option(help="Dlib's 68-point model. Default: MER_PREDICTOR, or the installed one.")
    ] = None,
    source: Annotated[
        Literal["raw", "cropped"] | None, typer.Option(help="Which pictures. Default: raw where both are there.")
    ] = None,
    align: Annotated[
        Literal["box", "eyes"], typer.Option(help="Crop: an upright box, or turned so that the eyes lie level.")
    ] = "box",
    allow_failed: Annotated[bool, typer.Option(help="Exit with 0 even where clips failed.")] = False,
) -> None:
    """Find the face of every clip, crop it to 224x224 and pack onset and apex windows into one HDF5 store.

    An interrupted run continues where it was. Example: mer preprocess casme2 /raw
    """
    from mer_cli.datasets.registry import load_release
    from mer_cli.store.build import build_store
    from mer_cli.store.hdf5 import read_store
    from mer_cli.store.overview import describe_store

    release = load_release(dataset, raw, source=source)
    out = out or Path("data") / f"{release.dataset}.h5"
    jobs = jobs or os.cpu_count() or 1
    with console.Steps("preprocess", len(release.clips)) as steps:
        summary = build_store(
            release, out, predictor=predictor, align=align, jobs=jobs, resume=resume, on_clip=steps.on_clip
        )
    show.show_build(summary, describe_store(read_store(out)))
    if summary.failed and not allow_failed:
        raise typer.Exit(1)


@app.command()
def info(store: Store = None) -> None:
    """Show what a store holds: clips and subjects by scheme beside the published counts, errata, provenance.

    Example: mer info data/casme2.h5
    """
    from mer_cli.store.hdf5 import find_store, read_store
    from mer_cli.store.overview import describe_store

    show.show_overview(describe_store(read_store(store or find_store())))


@app.command(cls=TrainCommand)
def train(
    ctx: typer.Context,
    store: Store = None,
    loso: Annotated[bool, typer.Option("--loso", help="Leave one subject out: one fold for each subject.")] = False,
    folds: Annotated[str | None, typer.Option(help="Only these subjects: 03,17.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs, with seeds counting up from --seed.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    resume: Annotated[bool, typer.Option(help="Leave finished folds as they are.")] = True,
    save_weights: Annotated[Literal["last", "none"], typer.Option(help="Weights kept of each fold.")] = "last",
) -> None:
    """Train the network once for each held-out subject and keep the held-out logits of every epoch.

    An interrupted run continues after its last finished fold. Example: mer train --loso
    """
    from mer_cli.store.hdf5 import find_store
    from mer_cli.training.config import resolve_config
    from mer_cli.training.loso import plan_loso, train_loso

    if not loso:
        raise ConfigError("mer train: no protocol is named — expected --loso. Type: mer train --loso")
    config = resolve_config(**ctx.obj)
    for seed in range(config.seed, config.seed + seeds):
        seeded = config.model_copy(update={"seed": seed})
        plan = plan_loso(store or find_store(), seeded, folds.split(",") if folds else None)
        show.show_plan(plan, out, save_weights)
        with console.TrainProgress(plan.config.epochs) as progress:
            path = train_loso(plan, out, progress, resume=resume, save_weights=save_weights)
        typer.echo(path)


@app.command()
def evaluate(
    runs: Runs = None,
    rule: Annotated[str, typer.Option(help="Epoch rule: last, or best-test (selected on the test subject).")] = "last",
    export: Annotated[Path | None, typer.Option(help="Write every held-out clip's prediction to this CSV.")] = None,
) -> None:
    """Score runs from their stored predictions: accuracy, UF1, UAR, each class, confusion, and chance beside them.

    Example: mer evaluate runs/casme2-5-mmnet-released-s1-0a1b2c3d --rule last
    """
    from mer_cli.evaluation.summary import evaluate as score
    from mer_cli.evaluation.summary import summarise
    from mer_cli.report.collect import collect_runs, write_predictions

    found = collect_runs(runs or [Path("runs")])
    for run in found:
        show.show_summary(summarise(run, score(run, rule)))
    if export:
        write_predictions(export, found, rule)


@app.command()
def report(
    runs: Runs = None,
    format: Annotated[Literal["markdown"], typer.Option(help="How it is written.")] = "markdown",
    out: Annotated[Path | None, typer.Option(help="File to write; stdout if left out.")] = None,
) -> None:
    """Write the paper's tables beside ours, with the protocol and the epoch rule of every number.

    Example: mer report --format markdown
    """
    from mer_cli.report.collect import collect_runs, write_report
    from mer_cli.report.render import render_markdown
    from mer_cli.report.table6 import build_table6

    text = render_markdown([build_table6(collect_runs(runs or Path("runs")))])
    if out:
        write_report(out, text)
    else:
        typer.echo(text, nl=False)


@app.command("import-official")
def import_official(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="State dict saved by a released MMNet script.")],
    out: Annotated[Path, typer.Option(help="Folder to write model.safetensors into.")],
) -> None:
    """Turn weights of the released MMNet script into ours; the file is read as plain weights, no code in it runs.

    Example: mer import-official best.pth --out official
    """
    from mer_cli.models.official import convert_official

    typer.echo(convert_official(file, out))


@app.command()
def synth(
    dataset: DatasetName,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the release into.")],
    subjects: Annotated[int, typer.Option(help="Number of subjects.")] = 26,
    clips: Annotated[int, typer.Option(help="Number of clips, all subjects together.")] = 255,
    seed: Annotated[int, typer.Option(help="Same seed, same pictures.")] = 0,
    intensity: Annotated[float, typer.Option(help="Factor on the motion; at 1 it peaks at 1-3 of 224 pixels.")] = 1.0,
    emotions: Annotated[str | None, typer.Option(help="Only these, in equal numbers: happiness,surprise.")] = None,
) -> None:
    """Write generated faces in a release's own layout, to try everything without a licence.

    Example: mer synth casme2 raw --subjects 6 --clips 48
    """
    from mer_cli.datasets.registry import synthesise

    only = tuple(emotions.split(",")) if emotions else None
    with console.Steps("synth", clips) as steps:
        root = synthesise(
            dataset, out, subjects=subjects, clips=clips, seed=seed, intensity=intensity, emotions=only,
            on_clip=steps.update,
        )  # fmt: skip
    typer.echo(root)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all that the demo writes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the faces and of the training.")] = 1,
) -> None:
    """Run the whole pipeline on generated faces, a few minutes on two cores; no licensed data, no download.

    Example: mer demo --out demo
    """
    from mer_cli.demo import run_demo

    run_demo(out, seed, show.show_command)
    show.show_demo(out)


@app.command()
def doctor() -> None:
    """Say what this machine has and lacks for each command, with the fix.

    Example: mer doctor
    """
    from mer_cli.doctor import examine

    findings = examine()
    show.show_findings(findings)
    if any(finding.is_missing for finding in findings):
        raise typer.Exit(1)


@app.command()
def bench(
    part: Annotated[Literal["step"], typer.Argument(help="What to measure: a training step.")] = "step",
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON.")] = False,
    device: Annotated[Literal["auto", "cuda", "cpu"], typer.Option(help="Where to measure.")] = "auto",
    repeats: Annotated[int, typer.Option(min=1, help="Measured steps of each kind; the median counts.")] = 5,
) -> None:
    """Measure the training step side by side with a plain float32 one of the same network; takes minutes on a CPU.

    Example: mer bench step --json
    """
    from mer_cli.bench import bench_step

    figures = bench_step(repeats, device)
    show.show_bench(figures, as_json)

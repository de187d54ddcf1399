"""`mer demo`: run the whole pipeline on generated faces, as a user would type it.

Its last screen has the answer in one line, each method beside chance, where to look, and what to type next.

MMNet is trained once, on the faces of one release, and tested on other people in another release: a fold for each of
the 24 people would take two hours on a processor without bf16. MMNet's balanced form and two fast methods are trained
and tested on the same clips.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from itertools import groupby, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.report.summary import SummaryRow


PLACES = {
    "report.html": "these scores in full, and the paper's tables",
    "data/audit/casme2/index.html": "every training clip, with its face and landmarks",
    "data/audit/casme/index.html": "every test clip",
    "runs": "what was trained: settings, weights, and the predictions after every epoch",
}
WHAT_IT_MEANS = (
    "Both forms of MMNet were trained once, and for a few epochs. Another seed may give a score outside that interval. "
    "This does not tell which method is better.",
    "The faces are generated: this shows that everything works, and is not a result on any dataset.",
)
ON_A_REAL_RELEASE = {
    "mer preprocess casme2 /raw": "with --dry-run first: what will fail, and why, in seconds",
    "mer train --loso": "minutes on a GPU, many hours on two cores; --time-limit 4h stops after a fold",
    "mer report --format html --out report.html": "your runs beside the paper's tables",
}


def show_demo(folder: Path, rows: Sequence[SummaryRow]) -> None:
    """Print the results of the demo's runs.

    Parameters
    ----------
    rows : the finished runs on generated faces, from `report.summary`; one of the runs is plain MMNet's
    """
    answer, *sentences = _sentences(rows)
    console.out.print()
    for line in console.folded(answer):
        console.out.print(f"[bold]{escape(line)}[/bold]")
    for sentence in sentences:
        console.print_lines(console.folded(sentence))
    console.print_lines(_table(rows))
    console.out.print("\nTo look at:")
    console.print_lines(console.aligned([(f"  {folder / place}", what) for place, what in PLACES.items()]))
    console.out.print("\nOn a real release, unpacked in /raw:")
    console.print_lines(console.aligned([(f"  {command}", what) for command, what in ON_A_REAL_RELEASE.items()]))


def _sentences(rows: Sequence[SummaryRow]) -> tuple[str, ...]:
    """Return the accuracy of every method, whether MMNet's is above chance, and what the scores mean."""
    ours = next(row for row in rows if row.method == "MMNet" and not row.variant)
    guess = next(guesser for guesser in ours.chance if guesser.intervals)
    (low, high), score = guess.intervals["accuracy"], ours.accuracy
    assert score is not None
    others = "".join(
        f", {row.method}{_form(row)} of {_percent(row.accuracy.mean)} %"
        for row in rows
        if row.protocol == ours.protocol and row is not ours and row.accuracy
    )
    found = "is above chance" if score.mean > high else "can't be told from guessing here"
    interval = f"{ours.n_subjects} people are too few for an interval."
    if score.low is not None and score.high is not None:
        interval = (
            f"Its 95 % interval over these {ours.n_subjects} people is {_percent(score.low)} to {_percent(score.high)}."
        )
    return (
        f"MMNet names the emotion of {_percent(score.mean)} % of {ours.n_clips} clips of people it has never "
        f"seen{others}, guessing of {_percent(guess.accuracy)} %.",
        f"Guessing stays between {_percent(low)} and {_percent(high)} % in 95 of 100 trials, so MMNet {found}. "
        f"{interval}",
        *WHAT_IT_MEANS,
    )


def _form(row: SummaryRow) -> str:
    """Return the form of MMNet that is not the paper's, as " (balanced)"; "" for other rows."""
    return f" ({row.variant})" if row.variant else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _table(rows: Sequence[SummaryRow]) -> Iterator[str]:
    """Yield the lines of a table for each protocol, best method first, then guessers, then what the labels allow."""
    from mer_cli.evaluation.ceiling import READS

    for protocol, group in groupby(rows, lambda row: row.protocol):
        same = list(group)
        cells = [("method", "accuracy %", "UF1", "UAR")]
        for row in same:
            seed = f", seed {row.seeds[0]}" if row.method == "MMNet" else ""  # the others have no randomness
            means = [spread.mean for spread in (row.accuracy, row.uf1, row.uar) if spread]
            cells.append((f"{row.method}, {row.settings}{seed}", *_scores(*means)))
        for guess in same[0].chance:
            cells.append((f"chance: {guess.name}", *_scores(guess.accuracy, guess.uf1, guess.uar)))
        if ceiling := same[0].ceiling:
            told = (ceiling.told.accuracy.mean, ceiling.told.uf1.mean, ceiling.told.uar.mean)
            cells.append(("ceiling: told the coded action units", *_scores(*told)))
        yield f"\n{protocol}: {same[0].n_clips} clips, {same[0].n_subjects} subjects, last epoch"
        yield from console.aligned(cells, numeric=(1, 2, 3))
        if ceiling:
            yield f"The ceiling {READS}, which no method does."


def _scores(accuracy: float, uf1: float, uar: float) -> tuple[str, str, str]:
    from mer_cli.evaluation.summary import fraction, percent

    return percent(accuracy), fraction(uf1), fraction(uar)


# The motion peaks at 8 to 24 pixels instead of 1 to 3, because MMNet sees each clip only a few times. Many people
# have one clip of each emotion: from a few people it learns the faces instead of the motion (docs/performance.md).
FACES = "--intensity 8 --emotions happiness,surprise,disgust"
FACES_FILE = "faces.txt"  # in the demo's folder: the commands that have drawn faces
OTHER_FACES = 1000  # added to the seed, because one seed gives the same people in every release
TRAIN_MMNET = "mer train data/casme2.h5 --test data/casme.h5 --scheme labels --recipe quick --epochs 5 --decay .5"
COMMANDS = (
    "mer preprocess casme2 raw/casme2",
    "mer preprocess casme raw/casme",
    "mer train data/casme2.h5 --test data/casme.h5 --scheme labels --model flow-svm --flow fast",
    "mer train data/casme2.h5 --test data/casme.h5 --scheme labels --model canonical-svm",
    f"{TRAIN_MMNET} --seed {{seed}}",
    f"{TRAIN_MMNET} --variant balanced --seed {{seed}}",
    "mer report --format html --out report.html",
)


def draw_faces(seed: int) -> tuple[str, ...]:
    """Return the `mer synth` commands that draw the demo's faces: a release to train on, other people to test on."""
    return (
        f"mer synth casme2 raw/casme2 --subjects 24 --clips 72 {FACES} --seed {seed}",
        f"mer synth casme raw/casme --subjects 12 --clips 36 {FACES} --seed {seed + OTHER_FACES}",
    )


def run_demo(folder: Path, seed: int, show: Callable[[str], None]) -> list[Path]:
    """Run the demo's commands in `folder`, or continue an interrupted demo; return the directories of its runs.

    Parameters
    ----------
    seed : of the faces and of MMNet's training
    show : called with each command line before it runs

    Raises
    ------
    ConfigError
        If the folder holds something else, or a command fails.
    """
    synth = draw_faces(seed)
    try:
        drawn = _drawn_before(folder, synth)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be used as a folder ({error.strerror}). Give another --out.") from None
    for line in synth[len(drawn) :]:
        _run(line, folder, show)
        drawn.append(line)
        (folder / FACES_FILE).write_text("\n".join(drawn) + "\n", encoding="utf-8")
    printed = [_run(line.format(seed=seed), folder, show) for line in COMMANDS]
    return [folder / run for run in printed if run]


def _drawn_before(folder: Path, synth: Sequence[str]) -> list[str]:
    """Return the commands whose faces an earlier demo has drawn in the folder; refuse a folder with anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return []
    try:
        drawn = (folder / FACES_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        drawn = []
    if not drawn and {path.name for path in folder.iterdir()} - {"raw"}:
        raise ConfigError(f"{folder}: holds files that the demo did not write. Give another --out.")
    if drawn != [*synth[: len(drawn)]]:
        raise ConfigError(
            f"{folder}: holds a demo whose faces were drawn by other commands ({FACES_FILE}). Give another --out, or "
            "delete the folder."
        )
    return list(takewhile(lambda line: (folder / shlex.split(line)[3] / STAMP).exists(), drawn))


def _run(line: str, folder: Path, show: Callable[[str], None]) -> str:
    """Run a command line in the folder; return the path that `mer train` prints, and "" for other commands."""
    show(line)
    command = [sys.executable, "-m", "mer_cli", *shlex.split(line)[1:]]
    stdout = subprocess.PIPE if line.startswith("mer train") else None  # the others print for the terminal's width
    process = subprocess.Popen(command, cwd=folder, stdout=stdout, text=True, encoding="utf-8")
    try:
        printed, _ = process.communicate()
    except KeyboardInterrupt:
        _wait_for_end(process)
        raise
    path = (printed or "").strip()
    if process.returncode:
        raise ConfigError(
            f"{line}: ended with exit code {process.returncode} in {folder}. Solve the problem printed above and run "
            "the demo again (finished work is kept), or give another --out."
        )
    if path:
        print(path)
    return path


def _wait_for_end(process: subprocess.Popen[str]) -> None:
    """Let an interrupted command clean up; terminate it if the signal reached only the demo and not the command."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for all files of the demo.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the faces and of the training.")] = 1,
) -> None:
    """Run the whole pipeline on generated faces in a few minutes, without licensed data or a download.

    Example: mer demo --out demo
    """
    from mer_cli.report.summary import summarise_runs
    from mer_cli.runs.directory import read_run

    runs = run_demo(out, seed, lambda line: console.out.print(f"\n[bold]$ {escape(line)}[/bold]"))
    with chdir(out):  # where the runs' stores are, from which the ceiling is read
        rows = summarise_runs([read_run(run.relative_to(out)) for run in runs])
    show_demo(out, rows)

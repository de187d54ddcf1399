"""Several seeds of one configuration as one score, and the files that `mer evaluate` writes."""

import csv
import statistics
from pathlib import Path

import pytest
from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.summary import summarise_seeds
from mer_cli.runs.directory import read_run


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_seeds_are_one_score_with_their_deviation_and_the_interval_of_the_mean():
    runs = [read_run(write_run(Path("runs"), seed=seed, generated=True)) for seed in (1, 2, 3)]
    ((title, *facts),) = summarise_seeds(runs, "last")
    facts = dict(facts)
    scores = [evaluate(run, "last").uf1 for run in runs]
    assert title == ("3 seeds of casme2-mmnet3/12", "")
    assert facts["faces"] == "generated: not a result on any dataset"
    assert facts["seeds"] == "3: 1, 2, 3; mean ± standard deviation"
    mean, deviation = (f"{number:.4f}"[1:] for number in (statistics.mean(scores), statistics.stdev(scores)))
    assert facts["UF1"].startswith(f"{mean} ± {deviation} (95 % interval over subjects ")
    leaky = dict(summarise_seeds(runs, "best-test")[0])
    assert leaky["epoch rule"] == "best-test: selected on the test subject (6 epochs)"
    assert "interval" not in leaky["accuracy"]
    assert summarise_seeds(runs[:1], "last") == ()


def test_several_datasets_have_a_score_each():
    runs = [
        read_run(write_run(Path("runs"), "megc3", datasets=("casme2", "samm"), seed=seed, subjects=3))
        for seed in (1, 2)
    ]
    titles = [rows[0][0].partition("/")[2].partition(", ")[2] for rows in summarise_seeds(runs, "last")]
    assert titles == ["", "tested on casme2", "tested on samm"]


def test_the_command_shows_seeds_after_the_single_runs():
    for seed in (1, 2):
        write_run(Path("runs"), seed=seed)
    write_run(Path("runs"), variant="pc")
    result = mer("evaluate")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("mean ± standard deviation") == 1
    assert result.stdout.index("2 seeds of casme2-mmnet3/12") > result.stdout.rindex("prior-random")


def test_methods_are_compared_one_configuration_at_a_time():
    one, other = write_run(Path("runs")), write_run(Path("runs"), variant="pc")
    assert "p of McNemar's test, seed 1 (over clips, so too small)" in mer("evaluate", one, "--compare", other).stdout
    result = mer("evaluate", one, other, "--compare", other)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: mer evaluate --compare: the runs have 2 configurations (")
    half = write_run(Path("runs"), variant="ca", finished=1)
    assert "1 of 4 folds are finished" in mer("evaluate", one, "--compare", half).stderr


def test_the_log_of_megc_has_a_row_for_each_held_out_clip():
    path = write_run(Path("runs"), "megc3", datasets=("casme2", "samm", "smic"))
    result = mer("evaluate", path, "--export-megc", "out/log.csv")
    assert result.exit_code == 0, result.stderr
    with Path("out/log.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    run = read_run(path)
    assert list(rows[0]) == ["fold", "gt", "pred"]
    assert [row["fold"] for row in rows] == sorted(run.fold_of.values())
    assert len({row["fold"] for row in rows}) == 12
    right = sum(row["gt"] == row["pred"] for row in rows)
    assert right / len(rows) == evaluate(run, "last").accuracy


def test_the_log_of_megc_is_of_one_run():
    names = sorted(write_run(Path("runs"), seed=seed).name for seed in (1, 2))
    result = mer("evaluate", "--export-megc", "log.csv")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: --export-megc log.csv: there are 2 runs ({', '.join(names)}), and the columns fold, gt, pred "
        "have no seed. Name one run: mer evaluate RUN --export-megc FILE.csv\n"
    )
    assert not Path("log.csv").exists()

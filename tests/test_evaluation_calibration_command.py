"""`mer evaluate --calibration`: what it prints, the picture and the CSV that it writes, and what it refuses."""

import csv

import numpy as np
import pytest
from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.evaluation.calibrated_run import calibration_of
from mer_cli.runs.directory import read_run

RUN = CliRunner()


def mer(*arguments):
    return RUN.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs"), subjects=8, skill=1.5, generated=True, epochs=2, decay_epochs=2)


@pytest.fixture(scope="module")
def shown(path):
    result = mer("evaluate", path, "--calibration")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_errors_are_shown_before_and_after_with_the_temperature(path, shown):
    found = calibration_of(read_run(path))
    assert f"Calibration of {path.name}, last epoch" in " ".join(shown.split())
    assert f"temperature      {found.temperature:.3g}; " in shown
    for name in ("ECE, 10 bins of equal width", "ECE, 10 bins of equally many clips", "Brier score"):
        assert name in shown
    right = found.after[np.arange(len(found.labels)), found.labels]
    line = next(line for line in shown.splitlines() if line.startswith("negative log-likelihood"))
    assert line.split()[3] == f"{-np.log(right).mean():.4f}".removeprefix("0")


def test_answers_are_shown_with_chance_and_the_faces_are_said_to_be_generated(path, shown):
    found = calibration_of(read_run(path))
    part = shown[shown.index("Calibration of") :]
    assert "faces            generated: not a result on any dataset" in part
    line = next(line for line in part.splitlines() if line.startswith("says something"))
    assert f" {found.answered.sum()} " in line
    assert "largest class %" in part


def test_without_the_flag_nothing_of_it_is_shown(path):
    assert "Calibration" not in mer("evaluate", path).stdout


def test_the_picture_is_a_png_and_the_same_each_time(path, tmp_path):
    for name in ("a.png", "b.png"):
        result = mer("evaluate", path, "--calibration", "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1] == str(tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "b.png").read_bytes()


def test_the_csv_has_each_clip_s_probabilities_and_how_it_was_judged(path, tmp_path):
    assert mer("evaluate", path, "--calibration", "--out", tmp_path / "c.csv").exit_code == 0
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = calibration_of(read_run(path))
    assert [f"{row['dataset']}/{row['subject']}/{row['clip']}" for row in rows] == list(found.clip_ids)
    for row, shares, label in zip(rows, found.after, found.labels, strict=True):
        assert [float(row[f"p_{number}"]) for number in (1, 2, 3)] == pytest.approx(shares, abs=1e-6)
        assert (row["gt"], row["pred"], row["epoch rule"]) == (str(label), str(shares.argmax()), "last")
        temperature = found.temperatures[f"{row['dataset']}/{row['subject']}"]
        assert float(row["temperature"]) == pytest.approx(temperature, abs=1e-6)
        assert (row["answered"] == "true") == (shares.max() > float(row["threshold"]))
        assert row["generated"] == "true"


def test_across_datasets_each_test_dataset_has_its_own_tables(tmp_path):
    path = write_run(tmp_path, "megc3", datasets=["casme2", "samm"], trained_on=["smic"], subjects=5)
    result = mer("evaluate", path, "--calibration", "--out", tmp_path / "a.png")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Calibration of") == 2
    assert "tested on samm" in result.stdout[result.stdout.rindex("Calibration of") :]


def error_of(*arguments):
    result = mer("evaluate", *arguments)
    assert result.exit_code == 1
    return result.stderr.strip()


def test_what_can_t_be_calibrated_or_written_is_refused_before_anything_is_scored(path, tmp_path):
    assert error_of(path, "--calibration", "--rule", "best-test") == (
        "error: --calibration has only --rule last: best-test chooses epochs, and a model that is fitted for new "
        "people has no held-out clips to choose by. Leave --rule out."
    )
    assert error_of(path, "--out", "a.png") == (
        "error: --out a.png has no effect without --calibration. Add it, or leave --out out."
    )
    assert error_of(path, "--calibration", "--out", "a.jpg") == (
        "error: --out a.jpg: ends with neither .png (a picture) nor .csv (the clips). Give one of them."
    )


def test_a_csv_of_runs_that_differ_in_more_than_their_seed_is_refused(path, tmp_path):
    other = write_run(tmp_path, subjects=8, epochs=3, decay_epochs=3)
    message = error_of(path, other, "--calibration", "--out", tmp_path / "c.csv")
    assert f"error: --out {tmp_path / 'c.csv'}: the runs have 2 configurations" in message
    assert not (tmp_path / "c.csv").exists()

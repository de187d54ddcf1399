"""`mer evaluate` and `mer report` over a folder of runs of every kind: what is scored, noted, and refused."""

import csv
from pathlib import Path

import pytest
from rich.console import Console
from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli import console
from mer_cli.cli.main import app
from mer_cli.runs.run_config import PROTOCOL_VERSION


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def age(path):
    """Make it a run of the version before this one."""
    file = path / "config.json"
    file.write_text(file.read_text().replace(f'"protocol_version": {PROTOCOL_VERSION}', '"protocol_version": 1'))
    return path


CONTINUE = (
    "only 1 of 4 folds are finished, so it has no score of casme2-mmnet3/12 yet. Continue with: "
    "mer train data/casme2.h5 --loso --scheme mmnet3 --recipe released --seed 2 --epochs 6 "
    "--device cpu --precision fp32 --compile off --out elsewhere\n"
)


def test_all_finished_runs_are_scored_and_the_others_are_noted():
    done = write_run(Path("runs"), seed=1)
    half = write_run(Path("runs"), seed=2, finished=1, out="elsewhere")
    old = age(write_run(Path("runs"), seed=3))
    result = mer("evaluate", "--export", "p.csv")
    assert result.exit_code == 0, result.stderr
    assert done.name in result.stdout
    assert half.name not in result.stdout
    assert result.stderr == (
        f"note: {old / 'config.json'}: protocol version 1, and this program reads {PROTOCOL_VERSION}. "
        f"Train again; the old run stays as it is.\nnote: {half}: {CONTINUE}"
    )
    assert len(Path("p.csv").read_text(encoding="utf-8").splitlines()) == 13


def test_a_named_run_that_is_incomplete_is_an_error_after_the_others_are_scored():
    done = write_run(Path("runs"), seed=1)
    half = write_run(Path("runs"), seed=2, finished=1, out="elsewhere")
    result = mer("evaluate", half, done)
    assert result.exit_code == 1
    assert done.name in result.stdout
    assert result.stderr == f"error: {half}: {CONTINUE}"


NO_INNER = (
    "has no inner clips to choose an epoch by. Give --rule last, or train a run that has some: mer train --loso "
    "--inner-val 3."
)


def test_runs_without_inner_clips_are_passed_over_under_inner_val():
    plain = write_run(Path("runs"), seed=1)
    inner = write_run(Path("runs"), seed=2, subjects=5, inner_val=2)
    result = mer("evaluate", "--rule", "inner-val")
    assert result.exit_code == 0, result.stderr
    assert inner.name in result.stdout
    assert plain.name not in result.stdout
    assert result.stderr == f"note: {plain}: {NO_INNER}\n"


@pytest.mark.parametrize("flag", [(), ("--compare",)])
def test_a_named_run_without_inner_clips_is_an_error_before_anything_is_shown(flag):
    plain = write_run(Path("runs"), seed=1)
    inner = write_run(Path("runs"), seed=2, subjects=5, inner_val=2)
    result = mer("evaluate", inner, *flag, plain, "--rule", "inner-val")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {plain}: {NO_INNER}\n"


def test_where_no_run_has_inner_clips_there_is_nothing_to_score():
    plain = write_run(Path("runs"), seed=1)
    result = mer("evaluate", "--rule", "inner-val")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"note: {plain}: {NO_INNER}\nerror: there is no finished run to score. Found: 0 incomplete, 0 outdated, 1 "
        "that the epoch rule can't score. Continue one, or train: mer train --loso.\n"
    )


def test_a_folder_without_a_finished_run_is_an_error():
    half = write_run(Path("runs"), seed=2, finished=1, out="elsewhere")
    result = mer("evaluate")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"note: {half}: {CONTINUE}error: there is no finished run to score. Found: 1 incomplete, 0 outdated. "
        "Continue one, or train: mer train --loso.\n"
    )


def test_each_dataset_of_a_run_is_shown_with_its_guessers():
    write_run(Path("runs"), "megc3", datasets=("casme2", "samm", "smic"))
    result = mer("evaluate", "--rule", "best-test")
    assert result.exit_code == 0, result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    start = next(number for number, row in enumerate(rows) if row[:2] == ["dataset", "by"])
    assert [row[:2] for row in rows[start + 1 : start + 4]] == [
        ["full", "mmnet"],
        ["casme2", "mmnet"],
        ["casme2", "majority"],
    ]
    assert [row[2:4] for row in rows[start + 1 : start + 3]] == [["36", "12"], ["12", "4"]]
    assert "best-test: selected on the test subject (6 epochs)" in result.stdout


def test_on_a_narrow_terminal_nothing_is_wider_than_it(monkeypatch):
    write_run(Path("runs"), scheme="casme2-5", generated=True)
    monkeypatch.setattr(console, "out", Console(width=72, force_terminal=True, color_system=None, soft_wrap=True))
    lines = mer("evaluate").stdout.splitlines()
    assert max(map(len, lines)) <= 72
    header = next(line for line in lines if line.startswith("true"))
    assert header.split() == ["true", "\\", "predicted", "happiness", "repression", "disgust", "surprise", "others"]


def test_labels_are_shown_character_by_character():
    write_run(Path("runs"), class_names=("[bold]smirk", "frown[/]", "a|b"))
    result = mer("evaluate")
    assert result.exit_code == 0, result.stderr
    for label in ("[bold]smirk", "frown[/]", "a|b"):
        assert result.stdout.count(label) == 3


def test_report_notes_an_outdated_run_and_goes_on():
    write_run(Path("runs"), seed=1)
    old = age(write_run(Path("runs"), seed=3))
    result = mer("report")
    assert result.exit_code == 0
    assert result.stderr.startswith(
        f"note: {old / 'config.json'}: protocol version 1, and this program reads {PROTOCOL_VERSION}"
    )
    assert mer("report", old).exit_code == 1


def test_a_damaged_run_is_noted_by_evaluate_compare_and_report():
    whole, other = (write_run(Path("runs") / variant, seed=1, variant=variant) for variant in ("mmnet", "ca"))
    damaged = write_run(Path("runs") / "ca", seed=2, variant="ca")
    (damaged / "clips.csv").write_text("")
    told = f"note: {damaged / 'clips.csv'}: "
    for command in (("evaluate",), ("evaluate", whole, "--compare", "runs/ca"), ("report",)):
        result = mer(*command)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count(told) == 1
    assert mer("evaluate", damaged).stderr.startswith("error: ")
    assert other.exists()


SAMM = {"scheme": "megc3", "datasets": ("samm",)}


def header_and_remarks(path):
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return rows[0], {row[-1] for row in rows[1:]}


def test_an_export_under_best_test_says_so_in_its_name_and_in_every_row():
    run = write_run(Path("runs"), **SAMM)
    Path("p.csv").write_text("mine", encoding="utf-8")
    result = mer("evaluate", run, "--rule", "best-test", "--export", "p.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        "note: p.csv: written as p-selected-on-test.csv, because the predictions are selected on the test subject\n"
    )
    assert Path("p.csv").read_text(encoding="utf-8") == "mine"
    header, remarks = header_and_remarks(Path("p-selected-on-test.csv"))
    assert (header[-1], remarks) == ("remarks", {"selected on the test subject"})
    again = mer("evaluate", run, "--rule", "best-test", "--export", "p-selected-on-test.csv")
    assert (again.exit_code, again.stderr) == (0, "")
    assert mer("evaluate", run, "--export", "last.csv").stderr == ""
    assert header_and_remarks(Path("last.csv"))[1] == {""}


def test_an_export_says_what_else_must_stand_beside_a_score_of_it():
    run = write_run(Path("runs"), seed=1)
    for epochs in (3, 4):
        write_run(Path("runs"), epochs=epochs, decay_epochs=epochs)
    mer("evaluate", run, "--export", "p.csv")
    assert header_and_remarks(Path("p.csv"))[1] == {"tuned on test; one of 3 settings tried on these subjects"}


def test_several_settings_of_a_method_are_told_beside_their_scores():
    for epochs in (3, 4):
        write_run(Path("runs"), **SAMM, epochs=epochs, decay_epochs=epochs)
    assert mer("evaluate").stderr == (
        "note: mmnet: 2 settings tried on the subjects of samm-megc3/12; the best of them would be chosen by the "
        "scores that it is shown with\n"
    )


def test_a_megc_log_under_best_test_is_refused_unless_it_is_asked_for_by_name():
    run = write_run(Path("runs"), **SAMM)
    asked = ("evaluate", run, "--rule", "best-test", "--export-megc", "m.csv")
    result = mer(*asked)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: --export-megc m.csv: under best-test the predictions are selected on the test subject, and the columns "
        "fold, gt, pred can't say so. Give --rule last, or add --yes-selected-on-test to write them into a file with "
        "that in its name.\n"
    )
    assert not list(Path().glob("m*.csv"))
    assert mer(*asked, "--yes-selected-on-test").exit_code == 0
    assert Path("m-selected-on-test.csv").read_text(encoding="utf-8").startswith("fold,gt,pred\n")
    assert not Path("m.csv").exists()


def test_intervals_over_few_subjects_are_called_rough():
    few, many = write_run(Path("runs"), **SAMM, subjects=14), write_run(Path("runs"), **SAMM, subjects=15)
    said = "few subjects Only 14 subjects: a 95 % interval over fewer than 15 is rough, and holds the true score"
    assert said in " ".join(mer("evaluate", few).stdout.split())
    assert "few subjects" not in mer("evaluate", many).stdout
    assert "few subjects" not in mer("evaluate", few, "--rule", "best-test").stdout

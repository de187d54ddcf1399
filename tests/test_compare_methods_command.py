"""`mer compare-methods` on a tiny store: what it prints, that it goes on where it was, and that it tells of a loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app

QUICK = ("--epochs", "1", "--scheme", "mmnet3", "--flow", "fast", "--device", "cpu", "--precision", "fp32")


@pytest.fixture(autouse=True)
def _beside_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"))


def compare(*arguments: str):
    return CliRunner().invoke(app, ["compare-methods", *arguments])


def test_each_method_is_trained_once_and_its_run_is_printed() -> None:
    first = compare("--methods", "ststnet,flow-svm", *QUICK)
    assert first.exit_code == 0, first.stderr
    runs = first.stdout.split()
    assert [json.loads((Path(run) / "config.json").read_text())["model"] for run in runs] == ["flow-svm", "ststnet"]
    assert not list(Path("runs").rglob("model.safetensors"))
    lines = first.stderr.splitlines()
    assert lines[0].split() == ["protocol", "run", "seed", "folds", "finished", "a", "fold", "left"]
    assert lines[3] == "6 folds to train, time unknown until a fold is finished: flow-svm, ststnet"
    assert lines[4] == "generated faces: no score of this run is a result on the dataset"
    assert lines[5].startswith(
        "warning: casme2-mmnet3/5: positive: 2 clips of 2 subjects, training clips of one subject"
    )
    assert [line for line in lines if line.startswith("run ")] == [
        "run 1 of 2: casme2-mmnet3/5, flow-svm",
        "run 2 of 2: casme2-mmnet3/5, ststnet",
    ]
    again = compare("--methods", "ststnet,flow-svm", *QUICK)
    assert (again.exit_code, again.stdout) == (0, "")
    assert "0 folds to train, about 0 s left" in again.stderr


def test_a_dry_run_writes_nothing_and_says_what_is_left_out() -> None:
    result = compare("--dry-run", *QUICK)
    assert result.exit_code == 1
    assert not Path("runs").exists()
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("left out: hoof, fhoof, fhofo"))
    assert "lbp-top, higo-top, di-resnet18: data/casme2.h5: " in line
    assert "mer preprocess casme2 RAW --clips" in line
    assert compare("--dry-run", "--methods", "ststnet", *QUICK).exit_code == 0


def test_a_method_that_fails_does_not_end_the_others() -> None:
    run = Path(compare("--methods", "ststnet,flow-svm", *QUICK).stdout.split()[0])
    for fold in (run / "folds").iterdir():
        (fold / "done").unlink()
    clips = run / "clips.csv"
    clips.write_text(clips.read_text().replace("casme2/", "casme9/", 1))
    result = compare("--methods", "ststnet,flow-svm", "--seeds", "2", *QUICK)
    assert result.exit_code == 1
    assert "mmnet3-ststnet-" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("failed: casme2-mmnet3/")
    assert str(clips) in result.stderr.splitlines()[-1]

"""The three commands through the installed `mer`, typed in order in an empty folder, on a generated release."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mer_cli.cli.main import app

MER = Path(sys.executable).with_name("mer")


def run(folder, line):
    """A command as a user types it; gives the finished process."""
    return subprocess.run([MER, *line.split()[1:]], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    done = run(folder, "mer synth casme2 raw --subjects 2 --clips 4 --emotions happiness,disgust --seed 5")
    assert (done.returncode, done.stdout) == (0, "raw\n"), done.stderr
    return folder


def test_raw_release_in_report_out(folder):
    preprocess = run(folder, "mer preprocess casme2 raw")
    assert preprocess.returncode == 0, preprocess.stderr
    assert "4 clips: 3 ok, 1 repaired, 0 failed" in preprocess.stdout
    assert (folder / "data/audit/casme2/contact_sheet.png").is_file()

    train = run(folder, "mer train --loso --scheme mmnet3 --recipe quick --epochs 1")
    assert train.returncode == 0, train.stderr
    assert "generated faces: no score of this run is a result on the dataset" in train.stderr
    assert (folder / train.stdout.strip() / "folds/casme2-02/model.safetensors").is_file()

    report = run(folder, "mer report --format markdown")
    assert report.returncode == 0, report.stderr
    assert "## Table 6" in report.stdout
    measured = report.stdout.split("Generated faces: not a result on CASME II")[1]
    assert "casme2-mmnet3/4" in measured
    assert "selected on the test subject" in measured


def test_a_broken_picture_fails_its_clip_only_and_the_exit_code_says_so(folder, monkeypatch):
    monkeypatch.chdir(folder)
    clip = sorted((folder / "raw/CASME2_RAW_selected/sub01").iterdir())[0]
    frames = {path: path.read_bytes() for path in clip.iterdir()}
    try:
        for path in frames:
            path.write_bytes(b"")
        command = ["preprocess", "casme2", "raw", "--out", "data/broken.h5"]
        broken = CliRunner().invoke(app, command)
        assert broken.exit_code == 1
        assert "4 clips: 2 ok, 1 repaired, 1 failed" in broken.stdout
        assert f"failed: casme2/01/{clip.name}: " in broken.stdout
        assert CliRunner().invoke(app, [*command, "--allow-failed"]).exit_code == 0
        assert "failed" in (folder / "data/audit/broken/audit.csv").read_text()
    finally:
        for path, content in frames.items():
            path.write_bytes(content)
        (folder / "data/broken.h5").unlink()

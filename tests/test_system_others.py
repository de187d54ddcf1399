"""What Windows and macOS lack is taken away, and the experiment runs: as there, as far as can be seen from here."""

import csv
import subprocess
import sys
from pathlib import Path

from photo_release import write_release

SCRIPT = """
import os, signal, sys

sys.modules["fcntl"] = None
del os.sched_getaffinity, os.posix_fallocate, signal.pthread_sigmask

if __name__ == "__main__":
    from mer_cli.cli.main import app

    for line in open("commands.txt"):
        app(line.split(), standalone_mode=False)
"""

COMMANDS = """\
preprocess table raw --table mylab.csv --out data/mylab.h5 --jobs 2 --clips
train data/mylab.h5 --loso --model flow-svm --flow fast
train data/mylab.h5 --loso --model ststnet --flow fast --epochs 1 --folds-at-once 2
compare-methods data/mylab.h5 --methods flow-svm --flow fast
evaluate
report --format html --out report.html
"""


def test_all_commands_run_without_what_linux_alone_has(tmp_path):
    clips = write_release(tmp_path / "raw", 4).clips
    with (tmp_path / "mylab.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["subject", "clip", "onset", "apex", "offset", "label", "path"])
        for clip, label in zip(clips, ("happy", "angry") * 2, strict=True):
            writer.writerow([clip.subject, clip.name, 40, 44, 47, label, f"sub{clip.subject}/{clip.name}"])
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "commands.txt").write_text(COMMANDS)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(Path(tmp_path, "runs").glob("*/folds/*/done"))) == 4
    assert (tmp_path / "report.html").stat().st_size > 10_000

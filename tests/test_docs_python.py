"""The examples of docs/python.md, run one after the other, and the example notebook, run in a kernel."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cells import Cells
from complete_store import complete_store
from moved_store import write_moved_store

import mer_cli

# A store of five clips has rare classes, and a changed method says so: other tests look at these sentences.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*training clip"),
    pytest.mark.filterwarnings("ignore:.*changed since"),
]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "examples/own_network.ipynb"

RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=200, resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, "executed.ipynb")
"""


def execute(notebook, folder):
    """Run a notebook in a kernel, in a folder; return the texts that its cells displayed or printed, cell by cell."""
    done = subprocess.run([sys.executable, "-c", RUN, notebook], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = json.loads((folder / "executed.ipynb").read_text(encoding="utf-8"))["cells"]
    return [_shown(cell) for cell in cells if cell["cell_type"] == "code"]


def _shown(cell):
    outputs = [output.get("text") or list(output["data"].values()) for output in cell["outputs"]]
    return json.dumps(outputs)


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    complete_store(write_moved_store(Path("data/casme2.h5")).path)
    cells = Cells(monkeypatch)
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        cells.run(code)
    printed = capsys.readouterr().out
    assert "casme2, 5 clips of 3 subjects" in printed
    assert re.search(r"^epoch rule +last \(2 epochs\)$", printed, re.MULTILINE)
    assert "My network" in Path("report.html").read_text(encoding="utf-8")


def test_every_name_is_on_the_page():
    known = set(mer_cli.__all__) - {"__version__", "Store", "read_store", "resolve_config", "plan_run", "train_run"}
    assert known == set(re.findall(r"`mer\.(\w+)`", PAGE))


def test_the_example_notebook_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_example_notebook_runs_in_a_kernel(tmp_path):
    shown = execute(NOTEBOOK, tmp_path)
    assert "<progress" in shown[5]
    assert "generated: not a result on any dataset" in shown[6]
    assert len(list((tmp_path / "runs").iterdir())) == 2


KERNEL = [
    """
import mer_cli as mer
from torch import nn

FACTOR = 2

class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, n_classes))

    def forward(self, onset, apex):
        return FACTOR * self.layers(apex - onset)

settings = {"scheme": "mmnet3", "epochs": 2, "batch_size": 2, "device": "cpu", "precision": "fp32"}
""",
    "one = mer.train('casme2.h5', Net, folds_at_once=2, **settings)",
    "again = mer.train('casme2.h5', Net, **settings); print(again.path == one.path)",
    "FACTOR = 3; other = mer.train('casme2.h5', Net, **settings); print(other.path == one.path)",
    "try:\n    mer.train('casme2.h5', 'stopped.py:Stopped', **settings)\n"
    "except KeyboardInterrupt:\n    print('interrupted')",
    "print(len(mer.train('casme2.h5', 'stopped.py:Stopped', **settings).folds))",
]
STOPPED = """
import os, signal
from pathlib import Path
from torch import nn

class Stopped(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layers = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, n_classes))

    def forward(self, onset, apex):
        if len(list(Path("runs").glob("*-stopped-*/folds/*/done"))) == 1 and not Path("once").exists():
            Path("once").touch()
            os.kill(os.getpid(), signal.SIGINT)
        return self.layers(apex - onset)
"""


@pytest.mark.slow
def test_a_class_of_a_kernel_trains_in_workers_shows_progress_and_continues_after_an_interrupt(tmp_path):
    write_moved_store(tmp_path / "casme2.h5")
    (tmp_path / "stopped.py").write_text(STOPPED, encoding="utf-8")
    empty = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [empty | {"id": f"cell-{number}", "source": source} for number, source in enumerate(KERNEL)]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "kernel.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    shown = execute(tmp_path / "kernel.ipynb", tmp_path)
    assert "3 of 3 folds" in shown[1]
    assert "True" in shown[2]
    assert "False" in shown[3]
    assert "interrupted" in shown[4]
    assert '"3\\n"' in shown[5]

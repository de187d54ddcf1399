"""What the redesign must not move: run names, a store's hash, the methods, a report, exit codes. Deleted at its end."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from run_factory import write_run
from tiny_store import write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app

FILE = Path(__file__).parent / "golden/frozen.json"
FROZEN = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
SENTENCES = {"title", "notes", "note", "header", "label", "text", "mark", "about"}  # rewritten in plain English
CONFIGS = [
    {},
    {"model": "mmnet", "recipe": "released-3"},
    {"recipe": "paper", "seed": 3},
    {"recipe": "quick", "epochs": 5, "decay": 0.5},
    {"variant": "baseline"},
    {"variant": "ca"},
    {"variant": "independent", "recipe": "released-3"},
    {"variant": "cbam"},
    {"variant": "figure"},
    {"attention": "none", "n_heads": 8, "n_layers": 3, "inner_val": 2},
    {"flip": 0.0, "rotation": 0.0, "shuffle_labels": True},
    {"model": "ststnet", "epochs": 10},
    {"model": "ststnet", "normalisation": "minmax8"},
    {"model": "offapexnet", "flow": "fast"},
    {"model": "sssnet", "seed": 7},
    {"model": "resnet18-flow"},
    {"model": "resnet18-diff", "padding": 3},
    {"model": "rcn-a", "optimiser": "adam"},
    {"model": "dual-inception"},
    {"model": "dssn", "batch_size": 4},
    {"model": "tscnn-lite"},
    {"model": "augcn-flow"},
    {"model": "di-resnet18", "weight_decay": 0.1},
    {"model": "flow-svm", "class_weight": "balanced"},
    {"model": "bi-woof"},
    {"model": "hoof", "span": "apex"},
    {"model": "fhoof"},
    {"model": "fhofo", "clip_frames": 20, "interpolation": "tim"},
    {"model": "mdmo"},
    {"model": "lbp-top"},
    {"model": "higo-top", "scheme": "mmnet3"},
]
RUNS = [
    {},
    {"seed": 2},
    {"seed": 3, "finished": 2},
    {"variant": "baseline"},
    {"variant": "ca", "skill": 0.0},
    {"scheme": "casme2-5", "skill": 2.0},
    {"scheme": "megc3", "datasets": ("casme2", "samm", "smic")},
    {"scheme": "megc3", "datasets": ("samm",), "trained_on": ("casme2",)},
    {
        "scheme": "megc3",
        "model": "ststnet",
        "recipe": "published",
        "datasets": ("casme2", "samm", "smic"),
        "generated": True,
    },
    {"model": "flow-svm", "epochs": 1, "decay_epochs": 0, "recipe": "published"},
    {"inner_val": 1, "seed": 5},
]
COMMANDS = [
    "--help",
    "models",
    "doctor",
    "train",
    "train --loso --test x.h5",
    "train --loso",
    "train --loso STORE --model nosuch",
    "train --loso STORE --model ststnet --flip .5",
    "train --loso STORE --epochs 0",
    "train --loso STORE --scheme nosuch",
    "train --loso STORE --folds 99",
    "train --loso STORE --model lbp-top",
    "train --loso STORE --model flow-svm --seeds 2",
    "train --loso STORE --recipe published",
    "train --loso STORE --model hoof --n-heads 2",
    "ablate --table 9",
    "ablate STORE --table 3 --dry-run",
    "compare-methods STORE --dry-run --methods nosuch",
    "compare-methods STORE --dry-run --methods ststnet,flow-svm",
    "compare-methods STORE --dry-run",
    "preprocess nosuch x",
    "preprocess casme2 nowhere",
    "evaluate nowhere",
    "evaluate RUNS",
    "evaluate RUN",
    "evaluate RUN --rule best-test",
    "evaluate RUN --rule nosuch",
    "report RUNS --format json",
    "report RUNS --format nosuch",
    "report RUNS --table 99",
    "runs RUNS",
    "explain nowhere",
]


def run_names():
    from mer_cli.runs.config import resolve_config
    from mer_cli.runs.run_config import RunConfig, RunStore

    store = RunStore(
        dataset="casme2", role="loso", content_hash="0" * 64, table_sha256="1" * 64, table_version="", generated=False
    )
    fixed = {"device": "cpu", "precision": "fp32", "compile": "off"}
    names = {}
    for changes in CONFIGS:
        config = resolve_config(**changes)
        settled = config.model_dump() | fixed
        run = RunConfig(**settled, stores=(store,), protocol_id="casme2-5/249", class_names=("a", "b"))
        names[json.dumps(changes)] = run.run_name
    return names


def without_sentences(held):
    if isinstance(held, dict):
        return {name: without_sentences(part) for name, part in held.items() if name not in SENTENCES}
    return [without_sentences(part) for part in held] if isinstance(held, list) else held


def report(root):
    for changes in RUNS:
        write_run(root / "runs", **changes)
    done = CliRunner().invoke(
        app, ["report", *map(str, sorted((root / "runs").iterdir())), "--table", "all", "--format", "json"]
    )
    assert done.exit_code == 0, done.stderr
    held = without_sentences(json.loads(done.stdout.replace(str(root), "ROOT")))
    tables = {table["id"]: digest(table) for table in held.pop("tables")}
    return {"rest": digest(held), "tables": tables}


def digest(held):
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]


def exit_codes(root):
    write_store(root / "casme2.h5")
    places = {"STORE": [str(root / "casme2.h5")], "RUNS": [*map(str, sorted((root / "runs").iterdir()))]}
    places["RUN"] = places["RUNS"][:1]
    codes = {}
    for command in COMMANDS:
        words = [word for given in command.split() for word in places.get(given, [given])]
        codes[command] = CliRunner().invoke(app, words).exit_code
    return codes


def models():
    return json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)


def store_hash(root):
    from mer_cli.store.hdf5 import read_store

    return read_store(write_store(root / "hashed.h5")).content_hash


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("frozen")


def collected(root, monkeypatch):
    monkeypatch.chdir(root)
    return {
        "run_names": run_names(),
        "store_hash": store_hash(root),
        "models": digest(without_sentences(models())),
        "report": report(root),
        "exit_codes": exit_codes(root),
    }


def test_nothing_frozen_has_moved(root, monkeypatch):
    found = collected(root, monkeypatch)
    for name, held in found.items():
        assert held == FROZEN[name], name


if __name__ == "__main__":  # python tests/test_frozen.py FOLDER: freezes anew
    with pytest.MonkeyPatch.context() as patch:
        frozen = collected(Path(sys.argv[1]), patch)
    FILE.write_text(json.dumps(frozen, indent=1) + "\n", encoding="utf-8")
    print(frozen["exit_codes"], len(FILE.read_text(encoding="utf-8")))

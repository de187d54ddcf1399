"""What is said when the folds of a run were trained on unlike machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from run_factory import write_run
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.evaluation.machines import MachineKind, machines_text, unlike_machines
from mer_cli.evaluation.summary import summarise
from mer_cli.report.build import build_report
from mer_cli.report.render import render
from mer_cli.runs.directory import read_run

NODE: dict[str, Any] = {
    "host": "cpu01",
    "python": "3.11.2",
    "torch": "2.14.1",
    "platform": "Linux-6.1.0-18-amd64-x86_64-with-glibc2.36",
    "device": "AMD EPYC 7763",
    "threads": 4,
    "instructions": "AVX2",
    "system": "Linux x86_64 glibc 2.36",
    "mer": "0.1.0",
    "numpy": "2.4.6",
    "scikit-learn": "1.9.1",
}
UNLIKE = (
    "3 folds on AMD EPYC 7763, AVX2 instructions, 4 threads; 1 fold on Intel Xeon Gold 6348, AVX512 instructions, 8 "
    "threads"
)
OTHER = NODE | {"host": "cpu02", "device": "Intel Xeon Gold 6348", "threads": 8, "instructions": "AVX512"}


def text_of(folder: Path, *machines: dict[str, Any]) -> str:
    run = read_run(write_run(folder, machines=machines, subjects=max(4, len(machines))))
    return machines_text(unlike_machines(run))


def test_unlike_machines_are_named_with_their_folds_the_most_first(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, machines=[OTHER, NODE, NODE, NODE]))
    kinds = unlike_machines(run)
    assert kinds == (
        MachineKind(
            {"device": "AMD EPYC 7763", "instructions": "AVX2", "threads": 4}, ("casme2-02", "casme2-03", "casme2-04")
        ),
        MachineKind({"device": "Intel Xeon Gold 6348", "instructions": "AVX512", "threads": 8}, ("casme2-01",)),
    )
    assert machines_text(kinds) == UNLIKE
    said = dict(summarise(run, "last")[0].facts)["machines"]
    assert said == f"the folds come from unlike machines: {UNLIKE}. Their last digits may differ"


def test_another_version_makes_machines_unlike(tmp_path: Path) -> None:
    later = NODE | {"torch": "2.15.0", "mer": "0.2.0"}
    text = "3 folds with torch 2.14.1, mer 0.1.0; 1 fold with torch 2.15.0, mer 0.2.0"
    assert text_of(tmp_path, NODE, NODE, NODE, later) == text


def test_names_jobs_and_kernels_make_no_machine_unlike(tmp_path: Path) -> None:
    other = NODE | {"host": "cpu09", "job": "slurm 12_3", "platform": "Linux-6.9.1-x86_64-with-glibc2.36"}
    run = read_run(write_run(tmp_path, machines=[NODE, other, NODE, other]))
    assert unlike_machines(run) == ()
    assert "machines" not in dict(summarise(run, "last")[0].facts)


def test_nothing_is_said_of_folds_that_recorded_nothing(tmp_path: Path) -> None:
    assert text_of(tmp_path / "none") == ""
    assert text_of(tmp_path / "one", OTHER) == ""
    assert text_of(tmp_path / "two", NODE, OTHER | {"threads": 4, "instructions": "AVX2"}) == (
        "1 fold on AMD EPYC 7763; 1 fold on Intel Xeon Gold 6348"
    )


def test_only_facts_that_all_recorded_are_compared(tmp_path: Path) -> None:
    before = {name: value for name, value in NODE.items() if name != "instructions"}
    assert text_of(tmp_path / "alike", before, NODE) == ""
    assert text_of(tmp_path / "unlike", before, NODE | {"threads": 1}) == "1 fold with 4 threads; 1 fold with 1 thread"


def test_of_many_kinds_of_machines_the_commonest_are_named(tmp_path: Path) -> None:
    kinds = [NODE | {"device": f"CPU {number}"} for number in (1, 1, 1, 2, 2, 3, 4, 5, 6)]
    assert text_of(tmp_path, *kinds) == (
        "3 folds on CPU 1; 2 folds on CPU 2; 1 fold on CPU 3; 1 fold on CPU 4; 2 folds on 2 other kinds of machines"
    )


def test_only_the_folds_of_the_dataset_that_is_scored_are_compared(tmp_path: Path) -> None:
    path = write_run(tmp_path, "megc3", datasets=("casme2", "smic"), subjects=2, machines=[NODE, NODE, OTHER, OTHER])
    run = read_run(path)
    assert len(unlike_machines(run)) == 2
    assert [unlike_machines(run, dataset) for dataset in ("casme2", "smic")] == [(), ()]


def test_evaluate_and_report_tell_of_unlike_machines_and_name_no_host(tmp_path: Path) -> None:
    path = write_run(tmp_path, machines=[NODE, OTHER, NODE, NODE])
    done = CliRunner().invoke(app, ["evaluate", str(path)])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert f"machines the folds come from unlike machines: {UNLIKE}. Their last digits may differ" in shown
    report = build_report(["6"], [read_run(path)], [])
    held = json.loads(render("json", report.tables, report.runs, False))
    notes = [note["text"] for block in held["tables"][0]["blocks"] for note in block["notes"]]
    said = f"The folds of `{path.name}` come from unlike machines: {UNLIKE}. Their last digits may differ."
    assert said in notes
    assert "cpu0" not in done.stdout + json.dumps(held)

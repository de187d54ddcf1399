"""Finding, reading and grouping run directories; writing prediction files."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.report.collect import collect_runs, group_seeds, write_predictions


def test_collect_runs_finds_every_run_below_a_folder_sorted_by_name(tmp_path: Path) -> None:
    written = [write_run(tmp_path, seed=2), write_run(tmp_path / "deeper", seed=1), write_run(tmp_path, "casme2-5")]
    assert [run.path for run in collect_runs(tmp_path)] == sorted(written, key=lambda path: path.name)


def test_collect_runs_reads_a_run_once_where_the_places_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path)
    monkeypatch.chdir(path)
    assert len(collect_runs([path, tmp_path, Path()])) == 1


def test_collect_runs_passes_over_the_unfinished_folder_of_a_killed_run(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    shutil.copytree(path, tmp_path / f".{path.name}.partial")
    assert [run.path for run in collect_runs(tmp_path)] == [path]


def test_collect_runs_gives_nothing_where_no_run_was_made(tmp_path: Path) -> None:
    assert collect_runs(tmp_path) == []
    assert collect_runs(tmp_path / "runs") == []


def test_collect_runs_refuses_a_named_place_without_a_run(tmp_path: Path) -> None:
    message = (
        f"{tmp_path / 'typo'}: no run directory in it — expected a folder that `mer train` wrote (with a config.json). "
        "Correct the path, or train: mer train --loso."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        collect_runs([tmp_path / "typo"])


@pytest.mark.parametrize("damaged", ["config.json", "clips.csv", "folds/casme2-02/logits.npz"])
def test_collect_runs_names_a_run_that_cannot_be_read(tmp_path: Path, damaged: str) -> None:
    write_run(tmp_path, seed=1)
    path = write_run(tmp_path, seed=2)
    (path / damaged).write_text("clip_id,fold\ncasme2/02/EP00,casme2-02\n")
    with pytest.raises(RunError, match=f"^{re.escape(str(path / damaged))}: "):
        collect_runs(tmp_path)


def test_collect_runs_names_a_run_that_lost_its_config(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (path / "config.json").unlink()
    with pytest.raises(RunError, match=f"^{re.escape(str(path))}: "):
        collect_runs(tmp_path)


def test_group_seeds_puts_runs_together_that_differ_in_the_seed_only(tmp_path: Path) -> None:
    for seed in (10, 2):
        write_run(tmp_path, seed=seed)
    write_run(tmp_path, seed=3, weight_decay=0.7)
    write_run(tmp_path, "casme2-5", seed=3)
    assert sorted(group.seeds for group in group_seeds(collect_runs(tmp_path))) == [(2, 10), (3,), (3,)]


def test_group_seeds_keeps_runs_apart_whose_labels_differ(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    edited = write_run(tmp_path, seed=2) / "clips.csv"
    edited.write_text(edited.read_text().replace(",1,surprise", ",0,happiness", 1))
    assert [group.seeds for group in group_seeds(collect_runs(tmp_path))] == [(1,), (2,)]


def test_group_seeds_refuses_a_copied_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a")
    copy = tmp_path / "b" / path.name
    shutil.copytree(path, copy)
    message = (
        f"{copy}: holds the same configuration and seed 1 as {path} — expected each seed once. Move one of them away."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        group_seeds(collect_runs(tmp_path))


def test_write_predictions_holds_every_clip_of_every_seed(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "runs", seed=seed)
    target = tmp_path / "out" / "predictions.csv"
    write_predictions(target, collect_runs(tmp_path / "runs"), "best-test")
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1"] * 12 + ["2"] * 12
    assert {row["epoch rule"] for row in rows} == {"best-test"}
    assert rows[0]["subject"] == "01"
    assert list(target.parent.iterdir()) == [target]


def test_write_predictions_refuses_runs_that_could_not_be_told_apart(tmp_path: Path) -> None:
    names = [write_run(tmp_path, seed=1).name, write_run(tmp_path, seed=1, weight_decay=0.7).name]
    message = (
        f"--export p.csv: the runs have 2 configurations ({', '.join(sorted(names))}) — expected runs that differ in "
        "their seed only. Export them one at a time."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        write_predictions(Path("p.csv"), collect_runs(tmp_path), "last")


def test_write_predictions_says_why_it_cannot_write_and_leaves_nothing(tmp_path: Path) -> None:
    runs = collect_runs(write_run(tmp_path / "runs"))
    target = tmp_path / "out" / "p.csv"
    target.mkdir(parents=True)
    message = (
        f"--export {target}: cannot be written (Is a directory) — expected a writable place with room for it. "
        "Give another path."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        write_predictions(target, runs, "last")
    assert list(target.parent.iterdir()) == [target]

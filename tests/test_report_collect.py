"""Finding, reading and grouping run directories; writing prediction files."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest
from run_factory import forget_checksum, write_run

from mer_cli.errors import RunError
from mer_cli.report.collect import collect_runs, group_seeds
from mer_cli.report.exports import write_predictions
from mer_cli.runs.run_config import PROTOCOL_VERSION


def test_collect_runs_finds_every_run_below_a_folder_sorted_by_name(tmp_path: Path) -> None:
    written = [write_run(tmp_path, seed=2), write_run(tmp_path / "deeper", seed=1), write_run(tmp_path, "casme2-5")]
    assert [run.path for run in collect_runs(tmp_path).runs] == sorted(written, key=lambda path: path.name)


def test_collect_runs_reads_a_run_once_where_the_places_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path)
    monkeypatch.chdir(path)
    assert len(collect_runs([path, tmp_path, Path()]).runs) == 1


def test_collect_runs_passes_over_the_unfinished_folder_of_a_killed_run(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    shutil.copytree(path, tmp_path / f".{path.name}.partial")
    assert [run.path for run in collect_runs(tmp_path).runs] == [path]


def test_collect_runs_gives_nothing_where_no_run_was_made(tmp_path: Path) -> None:
    assert collect_runs(tmp_path).runs == ()
    assert collect_runs(tmp_path / "runs").runs == ()


def test_collect_runs_refuses_a_named_place_without_a_run(tmp_path: Path) -> None:
    message = (
        f"{tmp_path / 'typo'}: found no run directory (a folder with the config.json that `mer train` writes). "
        "Correct the path, or train: mer train --loso."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        collect_runs([tmp_path / "typo"])


@pytest.mark.parametrize("damaged", ["config.json", "clips.csv", "folds/casme2-02/logits.npz"])
def test_a_run_that_cannot_be_read_is_passed_over_and_told_unless_it_was_named(tmp_path: Path, damaged: str) -> None:
    whole = write_run(tmp_path, seed=1)
    path = write_run(tmp_path, seed=2)
    (path / damaged).write_text("clip_id,fold\ncasme2/02/EP00,casme2-02\n")
    found = collect_runs(tmp_path)
    assert [run.path for run in found.runs] == [whole]
    (told,) = found.damaged
    assert told.startswith(f"{path / damaged}: ")
    with pytest.raises(RunError, match=f"^{re.escape(told)}$"):
        collect_runs([path])


def test_where_no_run_can_be_read_there_is_nothing_to_score(tmp_path: Path) -> None:
    path = write_run(tmp_path)
    (path / "config.json").unlink()
    found = collect_runs(tmp_path)
    assert found.damaged[0].startswith(f"{path}: ")
    with pytest.raises(RunError, match="Found: 0 incomplete, 0 outdated, 1 that can't be read."):
        found.require_scores()


def test_collect_runs_takes_no_table_of_clips_alone_for_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs")
    (tmp_path / "raw" / "ground_truth" / "01").mkdir(parents=True)
    (tmp_path / "raw" / "ground_truth" / "clips.csv").write_text("subject,clip\n")
    assert len(collect_runs([tmp_path]).runs) == 1


def age(path: Path) -> Path:
    """Make it a run of the version before this one, whose config had other fields."""
    file = path / "config.json"
    file.write_text(
        file.read_text()
        .replace(f'"protocol_version": {PROTOCOL_VERSION}', '"protocol_version": 1')
        .replace("stores", "store")
    )
    return path


def test_a_run_of_another_version_is_passed_over_where_it_was_only_found(tmp_path: Path) -> None:
    old, new = age(write_run(tmp_path, seed=1)), write_run(tmp_path, seed=2)
    for place in (tmp_path, [tmp_path], [new, tmp_path]):
        found = collect_runs(place)
        assert [run.path for run in found.runs] == [new]
        assert found.outdated == (
            f"{old / 'config.json'}: protocol version 1, and this program reads {PROTOCOL_VERSION}. "
            "Train again; the old run stays as it is.",
        )


def test_a_run_of_another_version_is_refused_where_it_was_named(tmp_path: Path) -> None:
    old = age(write_run(tmp_path))
    message = (
        f"{old / 'config.json'}: protocol version 1, and this program reads {PROTOCOL_VERSION}. "
        "Train again; the old run stays as it is."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        collect_runs([tmp_path, old])


CONTINUE = (
    "only 1 of 4 folds are finished, so it has no score of casme2-mmnet3/12 yet. Continue with: "
    "mer train data/casme2.h5 --loso --scheme mmnet3 --recipe released --seed 2 --epochs 6 "
    "--device cpu --precision fp32 --compile off"
)


def test_an_incomplete_run_is_noted_where_it_was_only_found_and_refused_where_it_was_named(tmp_path: Path) -> None:
    done, half = write_run(tmp_path, seed=1), write_run(tmp_path, seed=2, finished=1)
    found = collect_runs([tmp_path])
    assert [run.path for run in found.finished] == [done]
    assert found.passed_over == (f"{half}: {CONTINUE}",)
    found.require_scores()
    named = collect_runs([done, half])
    assert ([run.path for run in named.finished], named.passed_over) == ([done], ())
    with pytest.raises(RunError, match=f"^{re.escape(f'{half}: {CONTINUE}')}$"):
        named.require_scores()


def test_runs_none_of_which_is_finished_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, seed=2, finished=1)
    age(write_run(tmp_path, seed=1))
    message = (
        "there is no finished run to score. Found: 1 incomplete, 1 outdated. Continue one, or train: mer train --loso."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        collect_runs(tmp_path).require_scores()


def test_group_seeds_puts_runs_together_that_differ_in_the_seed_only(tmp_path: Path) -> None:
    for seed in (10, 2):
        write_run(tmp_path, seed=seed)
    write_run(tmp_path, seed=3, weight_decay=0.7)
    write_run(tmp_path, "casme2-5", seed=3)
    assert sorted(group.seeds for group in group_seeds(collect_runs(tmp_path).runs)) == [(2, 10), (3,), (3,)]


def test_group_seeds_takes_a_variant_by_its_name_and_by_its_options_for_one(tmp_path: Path) -> None:
    named = write_run(tmp_path, seed=1, variant="ca", pc=False)
    write_run(tmp_path, seed=2, pc=False)
    assert [group.seeds for group in group_seeds(collect_runs(tmp_path).runs)] == [(1, 2)]
    twin = write_run(tmp_path, seed=1, pc=False)
    with pytest.raises(RunError, match=f"^{re.escape(f'{twin}: has the same configuration and seed 1 as {named}, ')}"):
        group_seeds(collect_runs(tmp_path).runs)


def test_group_seeds_keeps_runs_apart_whose_labels_differ(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    edited = write_run(tmp_path, seed=2) / "clips.csv"
    edited.write_text(edited.read_text().replace("surprise,1,surprise", "happiness,0,happiness", 1))
    forget_checksum(edited.parent)
    assert [group.seeds for group in group_seeds(collect_runs(tmp_path).runs)] == [(1,), (2,)]


def test_group_seeds_refuses_a_copied_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a")
    copy = tmp_path / "b" / path.name
    shutil.copytree(path, copy)
    message = f"{copy}: has the same configuration and seed 1 as {path}, and would count twice. Move one of them away."
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        group_seeds(collect_runs(tmp_path).runs)


def test_write_predictions_holds_every_clip_of_every_seed(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "runs", seed=seed)
    target = tmp_path / "out" / "predictions.csv"
    written = write_predictions(target, collect_runs(tmp_path / "runs").runs, "best-test")
    assert written == tmp_path / "out" / "predictions-selected-on-test.csv"
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1"] * 12 + ["2"] * 12
    assert {row["epoch rule"] for row in rows} == {"best-test"}
    assert rows[0]["subject"] == "01"
    assert list(target.parent.iterdir()) == [written]


def test_write_predictions_refuses_runs_that_could_not_be_told_apart(tmp_path: Path) -> None:
    names = [write_run(tmp_path, seed=1).name, write_run(tmp_path, seed=1, weight_decay=0.7).name]
    message = (
        f"--export p.csv: the runs have 2 configurations ({', '.join(sorted(names))}). Give runs that differ "
        "only in their seed."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        write_predictions(Path("p.csv"), collect_runs(tmp_path).runs, "last")


def test_write_predictions_says_why_it_cannot_write_and_leaves_nothing(tmp_path: Path) -> None:
    runs = collect_runs(write_run(tmp_path / "runs")).runs
    target = tmp_path / "out" / "p.csv"
    target.mkdir(parents=True)
    message = f"--export {target}: can't be written (Is a directory). Give another path."
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        write_predictions(target, runs, "last")
    assert list(target.parent.iterdir()) == [target]


def test_a_run_whose_recipe_was_edited_does_not_stop_a_report_of_the_others(tmp_path: Path) -> None:
    whole = write_run(tmp_path, seed=1)
    path = write_run(tmp_path, seed=2).rename(tmp_path / "mine")
    forget_checksum(path)
    file = path / "config.json"
    file.write_text(file.read_text().replace('"recipe": "released"', '"recipe": "relaxed"'))
    found = collect_runs(tmp_path)
    assert [run.path for run in found.runs] == [whole]
    assert found.damaged == (
        f"{file}: was edited or damaged (recipe is 'relaxed', which mmnet does not have). Restore it, or move the run "
        "away and train again.",
    )

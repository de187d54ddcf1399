"""`mer explain` as its user meets it: pictures beside the run, numbers where the truth is known, what is refused."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run
from tiny_store import EMOTIONS
from tiny_truth import STILL, write_moving_store, write_truth
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.inference.truth import ATTENTION, ATTRIBUTION, Measured, TruthScores
from mer_cli.report.attention_table import attention_rows, attention_sections
from mer_cli.runs.directory import read_run

METHODS = (
    ("mmnet, quick recipe, epochs 1 (continuous attention)", "1"),
    ("independent, quick recipe, epochs 1 (independent attention)", "1"),
    ("the first minus independent, quick recipe, epochs 1 (independent attention)", "1"),
    ("|apex - onset|, no network", "0"),
)


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture
def runs(explained):
    """The two runs, with continuous and independent attention, without pictures."""
    paths = sorted((explained / "runs").iterdir(), key=lambda path: "independent" in path.name)
    for path in paths:
        shutil.rmtree(path / "explain", ignore_errors=True)
    return paths


def read_rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_named_clips_are_drawn_beside_the_run(runs):
    result = mer("explain", runs[0], "03/EP01_01", "casme2/01/EP02_01")
    assert result.exit_code == 0, result.stderr
    drawn = [runs[0] / "explain" / name for name in ("casme2-03-EP01_01.png", "casme2-01-EP02_01.png")]
    assert result.stdout.splitlines() == [str(path) for path in drawn]
    assert sorted((runs[0] / "explain").iterdir()) == sorted(drawn)
    assert "maps: 2 of 2" in result.stderr


def test_without_names_come_the_class_means_and_a_clip_of_each_class_that_is_told_right(runs, tmp_path, monkeypatch):
    held = read_run(runs[0])
    right = tuple(clip_id for clip_id in held.labels if held.labels[clip_id] == 1)[:1]
    monkeypatch.setattr("mer_cli.inference.explain.one_of_each_class", lambda run: right)
    result = mer("explain", runs[0], "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    *clips, means = map(Path, result.stdout.splitlines())
    assert means == tmp_path / "out" / "class-means.png"
    assert [clip.stem.replace("-", "/") for clip in clips] == list(right)
    undrawn = f"{held.class_names[0]}, {held.class_names[2]}"
    assert f"note: no clip of {undrawn} was recognised, so none is drawn. Name clips to draw them." in result.stderr
    assert not (runs[0] / "explain").exists()


@pytest.mark.slow
def test_with_the_truth_come_numbers_block_by_block_and_run_by_run(explained, runs):
    arguments = ("explain", runs[0], "03/EP01_01", "--truth", explained / "raw", "--compare", runs[1])
    result = mer(*arguments)
    assert result.exit_code == 0, result.stderr
    assert (
        f"note: {STILL} is left out of the numbers: its onset and apex are the same image in the store" in result.stderr
    )
    assert "maps: 6 of 6" in result.stderr
    file = runs[0] / "explain/attention.csv"
    assert result.stdout.splitlines()[-2:] == [str(runs[0] / "explain/casme2-03-EP01_01.png"), str(file)]
    assert "4 clips of 3 subjects, each by the network that held it out, last epoch. Generated faces:" in result.stdout
    rows = read_rows(file)
    assert [(row["maps"], row["n_seeds"], row["block"]) for row in rows] == [
        *((name, seeds, block) for name, seeds in METHODS for block in "1234"),
        ("uniform map, random point", "0", "0"),
    ]
    assert {row["generated"] for row in rows} == {"true"}
    by_key = {(row["maps"], row["block"]): row for row in rows}
    ours, theirs = (float(by_key[name, "1"]["mass"]) for name, _ in METHODS[:2])
    assert float(by_key[METHODS[2][0], "1"]["mass"]) == pytest.approx(ours - theirs, abs=2e-6)
    assert all(float(row["mass_low"]) <= float(row["mass"]) <= float(row["mass_high"]) for row in rows)
    written = file.read_bytes()
    assert mer(*arguments).stdout == result.stdout
    assert file.read_bytes() == written


def test_what_moved_is_found_by_the_difference_of_the_frames(explained, runs):
    """The store's apex differs from the onset in the true patch alone: so its numbers are known."""
    assert mer("explain", runs[0], "--truth", explained / "raw/ground_truth").exit_code == 0
    rows = {(row["maps"], row["block"]): row for row in read_rows(runs[0] / "explain/attention.csv")}
    area = 40 * 24 / 224**2
    sharpest = rows["|apex - onset|, no network", "1"]
    assert float(sharpest["mass"]) * area == pytest.approx(0.9, abs=0.05)  # some of it is blurred over the edge
    assert float(sharpest["hit"]) == pytest.approx(1, abs=0.01)
    uniform = rows["uniform map, random point", "0"]
    assert (float(uniform["mass"]), float(uniform["elsewhere"])) == (1, 1)
    assert float(uniform["hit"]) == pytest.approx(area, rel=0.1)


def test_an_unknown_clip_is_refused_before_anything_is_written(runs):
    result = mer("explain", runs[0], "casme2/01/EP02_02")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {runs[0]}: this run has no clip 'casme2/01/EP02_02' among its {len(EMOTIONS)} held-out clips. "
        f"Did you mean 'casme2/01/EP02_01'? See them in {runs[0] / 'clips.csv'}.\n"
    )
    assert not (runs[0] / "explain").exists()


def test_another_store_is_refused(runs, tmp_path):
    other = write_moving_store(tmp_path / "other.h5")
    result = mer("explain", runs[0], "--store", other)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {other}: this is not the store that {runs[0]} was trained on: ")
    assert "--store PATH" in result.stderr


def test_the_truth_of_another_release_is_refused(runs, tmp_path):
    raw = write_truth(tmp_path / "raw", onset=12)
    result = mer("explain", runs[0], "--truth", raw)
    assert result.exit_code == 1
    assert "casme2/01/EP01_01 has an onset of 12, and the store has an onset of 10. Name the release" in result.stderr


def test_a_comparison_needs_the_truth(runs):
    result = mer("explain", runs[0], "--compare", runs[1])
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {runs[0]}: --compare needs --truth, because runs are compared by where the generated faces really "
        "moved. Add --truth RAW, the release that the store was built from.\n"
    )


def test_recorded_faces_have_no_truth(tmp_path):
    run = write_run(tmp_path)
    result = mer("explain", run, "--truth", "raw")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {run}: --truth is only for generated faces, and this run's are recorded: nobody knows where they "
        "really moved. Leave --truth out.\n"
    )


def test_runs_on_other_clips_are_refused(explained, runs, tmp_path):
    other = write_run(tmp_path, generated=True)
    result = mer("explain", runs[0], "--truth", explained / "raw", "--compare", other)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: {other} (casme2-mmnet3/12) and {runs[0]} (casme2-mmnet3/5) differ in their stores, clips, labels or "
        "folds. Compare runs of one store and scheme.\n"
    )


def test_the_same_run_twice_is_refused(explained, runs):
    result = mer("explain", runs[0], "--truth", explained / "raw", "--compare", runs[0])
    assert result.exit_code == 1
    assert "--compare names a run twice, or a copy of one. Leave the second one out." in result.stderr


def test_several_seeds_are_averaged_clip_by_clip(runs):
    one = read_run(runs[0])
    clip_ids = ("casme2/01/a", "casme2/01/b", "casme2/02/a")
    other = one.__class__(**(vars(one) | {"path": Path("s2"), "config": one.config.model_copy(update={"seed": 2})}))
    scores = [TruthScores(*np.full((3, 3), value) * [1.0, 2.0, 6.0]) for value in (1, 3)]
    kinds = (ATTENTION, ATTENTION)
    scored = ((one, (scores[0],)), (other, (scores[1],)))
    measured = Measured(clip_ids, scored, (scores[0],), np.full(3, 0.1), kinds=kinds)
    row = attention_rows(measured)[0]
    assert (row.n_seeds, row.block, row.mass, row.hit) == (2, 1, 6, 6)
    assert (row.mass_low, row.mass_high) == (3, 12)  # only the first subject, with two clips; only the second


def _with(run, path, **changes):
    return run.__class__(**(vars(run) | {"path": Path(path), "config": run.config.model_copy(update=changes)}))


def _measured(*scored):
    """Runs whose clips all have one value in each score."""
    clip_ids = ("casme2/01/a", "casme2/01/b", "casme2/02/a")
    runs = tuple((run, (TruthScores(*np.full((3, 3), float(value))),)) for run, value in scored)
    return Measured(clip_ids, runs, runs[0][1], np.full(3, 0.1), kinds=(ATTENTION,) * len(runs))


def test_methods_are_compared_over_the_seeds_that_both_have(runs):
    ours, theirs = map(read_run, runs)
    first = [(_with(ours, f"a{seed}", seed=seed), value) for seed, value in ((1, 1), (2, 10), (3, 30))]
    second = [(_with(theirs, f"b{seed}", seed=seed), value) for seed, value in ((2, 4), (3, 8), (4, 100))]
    (gap,) = (row for row in attention_rows(_measured(*first, *second)) if row.maps.startswith("the first minus"))
    assert (gap.n_seeds, gap.mass, gap.hit) == (2, 14, 14)  # 10 - 4 and 30 - 8
    apart = attention_rows(_measured(first[0], *second))
    assert not [row for row in apart if row.maps.startswith("the first minus")]


def test_maps_of_another_kind_are_scored_beside_but_not_subtracted(runs):
    ours, theirs = map(read_run, runs)
    measured = replace(_measured((ours, 2), (theirs, 3)), kinds=(ATTENTION, ATTRIBUTION))
    measured = replace(measured, seen=((theirs, measured.difference[0]),))
    assert [(row.maps.partition(", quick")[0], row.mass) for row in attention_rows(measured)] == [
        *(("mmnet", 2), ("independent", 3)),
        *(("|apex - onset|, no network", 2), ("input of independent", 2), ("uniform map, random point", 1)),
    ]
    assert attention_rows(measured)[1].maps.endswith("(attribution (input x SmoothGrad))")


def test_methods_that_differ_in_the_machine_only_stay_apart(runs):
    ours = read_run(runs[0])
    other = _with(ours, "runs/on-another", compile="on")
    rows = attention_rows(_measured((ours, 1), (other, 2)))
    names = [heading.partition(" (continuous attention), ")[2] for heading, _ in attention_sections(rows)]
    assert names == [f"{runs[0].name}, 1 seed", "on-another, 1 seed", "on-another, 1 seed", "", ""]
    assert [len(section) for _, section in attention_sections(rows)] == [2] * 5

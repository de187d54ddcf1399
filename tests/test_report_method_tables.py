"""Tables 3 to 7 from real run directories: every number against scikit-learn, counting, or enumeration."""

from __future__ import annotations

import itertools
import random
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_factory import forget_checksum, write_run
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from mer_cli.evaluation.chance import control_of
from mer_cli.evaluation.comparison import compare_runs
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.nested import choose_settings
from mer_cli.evaluation.summary import signed_fraction
from mer_cli.report.collect import collect_runs
from mer_cli.report.entries import score_runs
from mer_cli.report.method_tables import build_method_table
from mer_cli.report.model import Block, Cell, Table
from mer_cli.report.paper import paper_table, row_key
from mer_cli.report.placing import place_runs
from mer_cli.report.render import render as render_as
from mer_cli.report.render.data import render_csv, render_json
from mer_cli.report.render.markdown import render_markdown
from mer_cli.report.rows import key_of
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.run_config import RunStore
from mer_cli.runs.variants import GRIDS, RECIPES, VARIANTS

RELEASED: dict[str, Any] = {"epochs": 74, "decay_epochs": 50}  # the recipe as it is, not the factory's short one
CASME2: dict[str, Any] = {"scheme": "mmnet3", "counts": (32, 28, 96), "subjects": 25}  # the paper's clips
CASME2_5: dict[str, Any] = {"scheme": "casme2-5", "counts": (32, 27, 63, 28, 99), "subjects": 26}
CLEAN: dict[str, Any] = {"scheme": "megc3", "datasets": ("samm",), "subjects": 6}  # nothing was tuned on them
STSTNET, RCN_A, OFF_APEX = (
    resolve_config(model=name, device="cpu", precision="fp32", compile="off").model_dump(exclude={"scheme", "seed"})
    for name in ("ststnet", "rcn-a", "offapexnet")
)
SAMM = {"scheme": "megc3", "datasets": ("samm",), "protocol_id": "samm-megc3/12"}


def build(number: int | None, root: Path | Iterable[Run]) -> Table:
    runs = collect_runs(root).runs if isinstance(root, Path) else list(root)
    places = place_runs(runs)
    return build_method_table(number, score_runs(placed(number, runs), places))


def placed(number: int | None, runs: Sequence[Run]) -> list[Run]:
    places = place_runs(runs)
    return [run for run in runs if number in places[run.path].rows]


def write_variant(root: Path, variant: str, **changes: Any) -> Path:
    return write_run(root, variant=variant, **{**VARIANTS[variant], **changes})


def rows(table: Table, block: Block) -> list[dict[str, Cell]]:
    keys = [column.key for column in table.columns]
    return [dict(zip(keys, row.cells, strict=True)) for row in block.rows]


def row(table: Table, block: Block, start: str) -> dict[str, Cell]:
    (found,) = (cells for cells in rows(table, block) if cells["method"].text.startswith(start))
    return found


def method(cells: dict[str, Cell]) -> str:
    return cells["method"].text


def note(table: Table, block: Block, mark: str) -> str:
    (text,) = (note.text for note in (*table.notes, *block.notes) if note.mark == mark)
    return text


def truth_and_last(run: Run) -> tuple[list[int], list[int], list[str]]:
    """Labels, predictions of the last epoch, subjects."""
    clips = [(clip, fold.logits[-1][place]) for fold in run.folds for place, clip in enumerate(fold.clip_ids)]
    return (
        [run.labels[clip] for clip, _ in clips],
        [int(np.argmax(logits)) for _, logits in clips],
        [clip.split("/")[1] for clip, _ in clips],
    )


def uf1(truth: list[int], predicted: list[int]) -> float:
    return float(f1_score(truth, predicted, labels=[0, 1, 2], average="macro", zero_division=0))


# --- what is there without a run


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_without_runs_every_published_number_stands_in_its_block(number: int) -> None:
    table, paper = build(number, []), paper_table(number)
    assert (table.id, table.title) == (str(number), paper.title)
    for block, printed in zip(table.blocks, paper.blocks, strict=True):
        assert block.heading.startswith(
            f"{printed.protocol_id}, leave one subject out: {len(printed.class_counts)} classes"
        )
        assert not block.generated
        found = [cells for cells in rows(table, block) if cells["published_clips"].text]
        for paper_row, cells in zip(
            sorted(printed.rows, key=lambda each: each.method), sorted(found, key=method), strict=True
        ):
            assert method(cells).startswith(paper_row.method)
            assert cells["published_accuracy"].text == paper_row.accuracy
            assert cells["published_accuracy"].value == float(paper_row.accuracy)
            assert ("published_f1" in cells) == (number != 5)  # the paper's Table 5 has no F1
            assert number == 5 or cells["published_f1"].text == paper_row.f1


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (3, "mer ablate --table 3 data/casme2.h5 --scheme casme2-5"),
        (4, "mer ablate --table 4 data/casme2.h5 --scheme casme2-5"),
        (5, "mer ablate --table 5 data/casme2.h5 --scheme casme2-5"),
        (6, "mer train data/casme2.h5 --scheme mmnet3 --loso"),
        (7, "mer train data/samm.h5 --scheme samm-3 --loso"),
    ],
)
def test_without_runs_each_row_that_can_be_repeated_names_the_command(number: int, command: str) -> None:
    table = build(number, [])
    block, printed = table.blocks[0], paper_table(number).blocks[0]
    settings = {paper_row.method: paper_row.settings for paper_row in printed.rows}
    made = f"The commands need the store of the real release: `mer preprocess {printed.dataset} RAW`."
    assert [note.text for note in (*table.notes, *block.notes)].count(made) == 1
    for shape, cells in zip(block.rows, rows(table, block), strict=True):
        repeating = settings[cells["method"].text.removesuffix(" (variant)")]
        can_be_repeated = repeating is not None
        of_other = f" --model {repeating['model']}" if "model" in (repeating or {}) else ""
        assert shape.kind == ("missing" if can_be_repeated else "method")
        assert cells["runs"] == (Cell(command + of_other, code=True) if can_be_repeated else Cell())
        assert cells["last_uf1"].text == ("–" if can_be_repeated else "")


def test_every_published_number_is_marked_with_its_epoch_rule_and_its_footnotes() -> None:
    table = build(6, [])
    cells = row(table, table.blocks[1], "MMNet")["published_accuracy"]
    notes = [note(table, table.blocks[1], mark) for mark in cells.marks]
    assert "Epoch rule of the published number: best-test, selected on the test subject." in notes
    assert any(text.startswith("The released script takes each fold's epoch") for text in notes)
    others = row(table, table.blocks[1], "DSSN")["published_accuracy"]
    assert "Epoch rule of the published number: not stated." in [
        note(table, table.blocks[1], mark) for mark in others.marks
    ]


def test_every_row_of_the_paper_that_can_be_repeated_is_in_the_grid() -> None:
    for number, grid in GRIDS.items():
        keys = [row_key(number, resolve_config(**settings)) for settings in grid]
        assert None not in keys
        assert len(set(keys)) == len(keys)
        for block in paper_table(number).blocks:
            settings = [paper_row.settings for paper_row in block.rows if paper_row.settings is not None]
            assert {row_key(number, resolve_config(**each)) for each in settings} <= set(keys)


# --- numbers


def test_scores_of_one_run_are_those_of_its_logits(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, **CASME2, **RELEASED))
    table = build(6, [run])
    cells = row(table, table.blocks[0], "MMNet, released recipe")
    assert cells["method"].text == "MMNet, released recipe (tuned on test)"
    truth, predicted, _ = truth_and_last(run)
    assert cells["last_accuracy"].value == pytest.approx(100 * accuracy_score(truth, predicted))
    assert cells["last_uf1"].value == pytest.approx(uf1(truth, predicted), abs=1e-6)
    assert cells["last_uar"].value == pytest.approx(balanced_accuracy_score(truth, predicted), abs=1e-6)
    n_best = 0
    for fold in run.folds:
        labels = [run.labels[clip] for clip in fold.clip_ids]
        n_best += max(int((np.argmax(epoch, axis=1) == labels).sum()) for epoch in fold.logits)
    assert cells["best_test_accuracy"].value == pytest.approx(100 * n_best / len(truth))
    assert (cells["best_test_accuracy"].low, cells["best_test_f1"].low) == (None, None)
    assert cells["seeds"].text == "1"
    assert note(table, table.blocks[0], *cells["runs"].marks) == f"`{run.path.name}`"
    assert (cells["published_accuracy"].text, cells["published_f1"].text) == ("95.51", ".9494")


def test_seeds_are_a_mean_with_deviation_and_an_interval_over_subjects(tmp_path: Path) -> None:
    for seed in (1, 2, 10):
        write_run(tmp_path, seed=seed)
    runs = collect_runs(tmp_path).runs
    table = build(6, runs)
    cells = row(table, table.blocks[-1], "MMNet, released recipe")
    assert cells["seeds"].text == "1, 2, 10"
    by_seed = [truth_and_last(run) for run in runs]
    accuracies = [100 * accuracy_score(truth, predicted) for truth, predicted, _ in by_seed]
    cell = cells["last_accuracy"]
    assert cell.value == pytest.approx(statistics.mean(accuracies), abs=1e-6)
    assert cell.sd == pytest.approx(statistics.stdev(accuracies), abs=1e-6)
    draws, subjects = np.random.default_rng(9), sorted(set(by_seed[0][2]))
    resampled = []
    for _ in range(4000):
        drawn = draws.choice(subjects, len(subjects))
        of_seeds = [
            np.mean([t == p for name in drawn for t, p, s in zip(*one, strict=True) if s == name]) for one in by_seed
        ]
        resampled.append(100 * np.mean(of_seeds))
    assert [cell.low, cell.high] == pytest.approx(np.quantile(resampled, [0.00012, 0.99988]), abs=6)
    assert cell.text == f"{cell.value:.2f} ± {cell.sd:.2f} [{cell.low:.2f}, {cell.high:.2f}]"


def test_a_row_is_compared_with_mmnet_by_swapping_whole_subjects_and_holm_counts_the_rows(tmp_path: Path) -> None:
    plain = read_run(write_run(tmp_path, skill=0.2))
    others = [read_run(write_variant(tmp_path, name, skill=skill)) for name, skill in (("ca", 3.0), ("baseline", 0.9))]
    table = build(3, [plain, *others])
    (block,) = (block for block in table.blocks if block.heading.startswith("casme2-mmnet3/12"))
    truth, reference, subjects = truth_and_last(plain)
    exact = []
    for run in others:
        _, predicted, _ = truth_and_last(run)
        observed = uf1(truth, predicted) - uf1(truth, reference)
        n_as_far = 0
        for swapped in itertools.product((False, True), repeat=4):
            swap = dict(zip(sorted(set(subjects)), swapped, strict=True))
            pairs = [(r, p) if swap[s] else (p, r) for p, r, s in zip(predicted, reference, subjects, strict=True)]
            n_as_far += abs(uf1(truth, [a for a, _ in pairs]) - uf1(truth, [b for _, b in pairs])) >= observed - 1e-9
        exact.append((observed, n_as_far / 16))
    ca, baseline = (row(table, block, start) for start in ("CA block, released", "Baseline"))
    assert [cells["last_difference"].value for cells in (ca, baseline)] == pytest.approx(
        [observed for observed, _ in exact], abs=1e-6
    )
    low, high = sorted(p for _, p in exact)
    expected = {low: min(1.0, 2 * low), high: min(1.0, max(2 * low, high))}
    p_values = [cells["last_p"].value for cells in (ca, baseline)]
    assert p_values == pytest.approx([expected[p] for _, p in exact], abs=0.03)
    mmnet = row(table, block, "MMNet, released")
    assert (mmnet["last_difference"].text, mmnet["last_p"].text) == ("reference", "")
    sentence = note(table, block, *ca["last_difference"].marks)
    assert sentence.startswith("CA block, released recipe (tuned on test), epochs 6 minus MMNet; seeds in common: 1.")
    assert re.search(
        r"a difference of \.\d{4} 4 times in 5; McNemar's p for seed 1 is [.\d]+ \(over clips, so too small\)", sentence
    )


def test_holm_counts_the_tests_of_the_whole_table(tmp_path: Path) -> None:
    for generated, skills in ((False, (3.0, 0.9)), (True, (2.0, 1.5))):
        write_run(tmp_path, skill=0.2, subjects=6, generated=generated)
        for name, skill in zip(("ca", "baseline"), skills, strict=True):
            write_variant(tmp_path, name, skill=skill, subjects=6, generated=generated)
    runs = collect_runs(tmp_path).runs
    raw = {
        run.path: compare_runs([run], [plain], "last").p_value
        for run in runs
        for plain in runs
        if run.config.variant != "mmnet" == plain.config.variant and run.config.generated is plain.config.generated
    }
    highest, adjusted = 0.0, []
    for rank, p_value in enumerate(sorted(raw.values())):
        highest = max(highest, min(1.0, (4 - rank) * p_value))
        adjusted.append(highest)
    table = build(3, runs)
    cells = [each for block in table.blocks for each in rows(table, block) if each["last_p"].value is not None]
    assert sorted(each["last_p"].value or 0 for each in cells) == pytest.approx(adjusted, abs=1e-6)
    assert adjusted[0] == pytest.approx(4 * min(raw.values()))
    (meaning,) = (note.text for note in table.notes if note.text.startswith("p: "))
    assert meaning.endswith("adjusted by Holm over the tests of the whole table under that rule.")


def test_a_difference_that_is_nought_in_four_digits_has_no_minus() -> None:
    assert [signed_fraction(difference) for difference in (-1e-9, 1e-9, -0.0371, 0.5, -1.0)] == [
        *("+.0000", "+.0000", "-.0371"),
        *("+.5000", "-1.0000"),
    ]


def test_the_balanced_form_stands_beside_the_papers_rows_without_a_number_of_theirs(tmp_path: Path) -> None:
    write_run(tmp_path, skill=0.2)
    write_variant(tmp_path, "balanced", skill=3.0)
    table = build(3, tmp_path)
    (block,) = (block for block in table.blocks if block.heading.startswith("casme2-mmnet3/12"))
    cells = row(table, block, "MMNet, balanced (ours), released")
    assert (cells["last_difference"].value or 0) > 0
    assert {cells[key].text for key in cells if key.startswith("published")} <= {"", "–"}


def test_a_row_without_a_seed_in_common_with_mmnet_has_no_test(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_variant(tmp_path, "ca", seed=2)
    table = build(3, tmp_path)
    cells = row(table, table.blocks[-1], "CA block, released")
    assert (cells["last_difference"].text, cells["last_p"].text) == ("–", "–")


def test_mmnet_of_another_recipe_is_no_reference(tmp_path: Path) -> None:
    write_run(tmp_path, weight_decay=0.7)
    write_variant(tmp_path, "ca")
    table = build(3, tmp_path)
    cells = row(table, table.blocks[-1], "CA block, released recipe (tuned on test), epochs 6")
    assert cells["last_difference"].text == "–"


def test_the_guessers_stand_under_every_rule_for_each_number_of_epochs(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, **CASME2))
    write_run(tmp_path, epochs=4, decay_epochs=4, **CASME2)
    table = build(6, tmp_path)
    chance = [
        cells
        for shape, cells in zip(table.blocks[0].rows, rows(table, table.blocks[0]), strict=True)
        if shape.kind == "chance"
    ]
    assert [cells["method"].text for cells in chance] == [
        *("chance: majority, any number of epochs", "chance: prior-random, 4 epochs", "chance: prior-random, 6 epochs"),
    ]
    n_right = 0
    for fold in run.folds:
        training = [label for clip, label in run.labels.items() if clip not in fold.clip_ids]
        commonest = min(range(3), key=lambda label: (-training.count(label), label))
        n_right += sum(run.labels[clip] == commonest for clip in fold.clip_ids)
    assert chance[0]["last_accuracy"].value == pytest.approx(100 * n_right / len(run.labels), abs=1e-6)
    few, many = chance[1]["best_test_accuracy"].value, chance[2]["best_test_accuracy"].value
    assert few is not None
    assert many is not None
    assert (chance[2]["last_accuracy"].value or 0) < few < many


# --- which number is in bold


def bold(table: Table, block: Block) -> dict[str, list[str]]:
    return {
        column.key: [cells["method"].text for cells in rows(table, block) if cells[column.key].best]
        for column in table.columns
    }


def test_the_best_finished_honest_number_is_bold_and_no_other(tmp_path: Path) -> None:
    for network, skill in ((RCN_A, 1.0), (STSTNET, 6.0), (OFF_APEX, 9.0)):
        write_run(tmp_path, **CLEAN, **network, skill=skill, finished=3 if network is OFF_APEX else None)
    table = build(7, tmp_path)
    found = bold(table, table.blocks[-1])
    assert {key for key, methods in found.items() if methods} == {"last_accuracy", "last_uf1", "last_uar"}
    assert found["last_uf1"] == ["STSTNet, published recipe"]


def test_of_several_settings_of_a_method_only_its_own_recipe_is_ranked_and_all_formats_say_how_many(
    tmp_path: Path,
) -> None:
    for epochs, skill in ((5, 2.0), (10, 3.0), (20, 4.0)):
        write_run(tmp_path, **CLEAN, **STSTNET | {"epochs": epochs, "decay_epochs": epochs}, skill=skill)
    for seed in (1, 2):  # another seed or machine is not another setting
        write_run(tmp_path, **CLEAN, **STSTNET, skill=1.0, seed=seed)
        write_run(tmp_path, **CLEAN, **STSTNET | {"device": "cuda"}, skill=1.0, seed=seed)
    write_run(tmp_path, **CLEAN, **RCN_A, skill=0.0)
    table = build(7, tmp_path)
    block = table.blocks[-1]
    assert {name.partition(", cuda")[0] for name in bold(table, block)["last_uf1"]} <= {
        "STSTNet, published recipe, cpu fp32",
        "STSTNet, published recipe",
    }
    ranks = {method(cells): cells["last_rank"].text for cells in rows(table, block)}
    assert [ranks[f"STSTNet, published recipe, epochs {epochs}"] for epochs in (5, 10, 20)] == ["", "", ""]
    assert sorted(rank for rank in ranks.values() if rank)[-1] == "3"
    for form in ("markdown", "latex", "html", "csv", "json"):
        text = " ".join(render_as(form, [table], (), False).split())
        assert "ststnet: 4 settings tried on these subjects; only its own recipe is ranked or bold" in text
        assert "rcn-a: " not in text


def test_of_settings_without_the_own_recipe_none_is_ranked(tmp_path: Path) -> None:
    for epochs in (5, 10):
        write_run(tmp_path, **CLEAN, **STSTNET | {"epochs": epochs, "decay_epochs": epochs})
    table = build(7, tmp_path)
    block = table.blocks[-1]
    assert not any(bold(table, block).values())
    assert {cells["last_rank"].text for cells in rows(table, block)} == {""}
    (said,) = (note.text for note in block.notes if "settings tried" in note.text)
    assert said.startswith(
        "ststnet: 2 settings tried on these subjects; none is, as its own recipe is not there, ranked"
    )


def test_settings_chosen_in_each_fold_have_a_row_that_can_be_bold_under_inner_val(tmp_path: Path) -> None:
    for epochs, skill in ((5, 0.5), (10, 3.0)):
        changed = STSTNET | {"epochs": epochs, "decay_epochs": epochs}
        write_run(tmp_path, **CLEAN, **changed | {"inner_val": 2}, skill=skill)
    table = build(7, tmp_path)
    block = table.blocks[-1]
    name = "STSTNet, settings chosen in each fold on 2 training subjects, of 2 settings"
    assert bold(table, block)["inner_val_uf1"] == [name]
    cells = row(table, block, name)
    found = choose_settings(collect_runs(tmp_path).runs)
    assert cells["inner_val_uf1"].value == pytest.approx(found.scores.uf1, abs=1e-6)
    assert (cells["last_uf1"].text, cells["last_rank"].text, cells["seeds"].text) == ("", "", "1")


def test_a_recipe_that_was_tuned_on_test_is_never_bold_and_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, skill=0.5, **CASME2)
    write_run(tmp_path, skill=9.0, **CASME2, recipe="released-3", **RECIPES["released-3"] | {"epochs": 6})
    table = build(6, tmp_path)
    assert bold(table, table.blocks[0])["last_accuracy"] == []
    assert "tuned on test" in row(table, table.blocks[0], "MMNet, released-3 recipe")["method"].text


def test_the_released_recipe_is_tuned_on_test_where_casme2_is_scored_and_nowhere_else(tmp_path: Path) -> None:
    write_run(tmp_path, **CASME2, **RELEASED)
    table = build(6, tmp_path)
    assert "(tuned on test)" in method(row(table, table.blocks[0], "MMNet"))
    assert bold(table, table.blocks[0])["last_uf1"] == []
    for form in ("markdown", "latex", "html", "csv", "json"):
        assert "tuned on test" in render_as(form, [table], (), False)
    assert any("by the scores of CASME II's held-out subjects" in each.text for each in table.notes)
    for clean in (CLEAN, {"generated": True}, {"scheme": "megc3", "datasets": ("samm",), "trained_on": ("casme2",)}):
        table = build(None, [read_run(write_run(tmp_path / "clean", **clean, **RELEASED))])
        (block,) = table.blocks
        assert "tuned" not in method(row(table, block, "MMNet"))
        assert bold(table, block)["last_uf1"] == [method(row(table, block, "MMNet"))]
    composite = read_run(write_run(tmp_path / "all", "megc3", datasets=("casme2", "samm"), **RELEASED))
    named = {
        block.heading: method(rows(build(None, [composite]), block)[0]) for block in build(None, [composite]).blocks
    }
    assert ["tuned" in name for heading, name in named.items() if "SAMM alone" in heading] == [False]
    assert ["tuned" in name for heading, name in named.items() if "SAMM alone" not in heading] == [True, True]


def test_a_guesser_that_beats_every_run_is_not_bold(tmp_path: Path) -> None:
    write_run(tmp_path, skill=-9.0, **CLEAN)
    table = build(7, tmp_path)
    assert bold(table, table.blocks[-1])["last_accuracy"] == ["MMNet, released recipe, epochs 6"]


# --- what stands apart


def test_an_incomplete_run_says_what_is_missing_and_how_to_continue(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1, **CASME2, **RELEASED)
    write_run(tmp_path, seed=2, finished=24, **CASME2, **RELEASED)
    table = build(6, tmp_path)
    block = table.blocks[0]
    place = next(place for place, shape in enumerate(block.rows) if shape.kind == "incomplete")
    cells = rows(table, block)[place]
    assert cells["method"].text.endswith("(incomplete: 1 of 25 folds missing)")
    assert cells["runs"].code
    assert cells["runs"].text == (
        "mer train data/casme2.h5 --loso --scheme mmnet3 --recipe released --seed 2 --device cpu "
        "--precision fp32 --compile off"
    )
    assert {cells[key].text for key in ("last_accuracy", "last_uf1", "last_uar", "best_test_f1")} == {"–"}
    assert cells["seeds"].text == "2"
    assert [each["seeds"].text for each in rows(table, block)[6:8]] == ["1", "2"]


def test_an_incomplete_run_alone_is_not_called_missing(tmp_path: Path) -> None:
    write_run(tmp_path, finished=0, **CASME2, **RELEASED)
    table = build(6, tmp_path)
    kinds = [shape.kind for shape in table.blocks[0].rows if shape.kind != "chance"]
    assert kinds == ["missing"] * 2 + ["method"] * 4 + ["incomplete"]
    assert row(table, table.blocks[0], "MMNet")["published_accuracy"].text == "95.51"


@pytest.mark.parametrize(
    "other",
    [
        {"table_version": "20140508"},
        {"table_version": ""},
        {"generated": True},
        {"subjects": 5},
        {"scheme": "casme2-5"},
        {
            "stores": (
                RunStore(
                    dataset="casme2",
                    role="loso",
                    content_hash="5" * 64,
                    table_sha256="1" * 64,
                    table_version="20190701",
                    generated=False,
                ),
            )
        },
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_clips_faces_tables_or_stores_are_another_block(tmp_path: Path, other: dict[str, Any]) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, **other)
    table = build(6, tmp_path)
    assert [len([shape for shape in block.rows if shape.kind == "method"]) for block in table.blocks[2:]] == [1, 1]
    headings = [(block.heading, block.origin) for block in table.blocks]
    assert len(set(headings)) == 4
    assert all("±" not in cells["last_uf1"].text for block in table.blocks for cells in rows(table, block))


def test_as_many_clips_with_other_labels_stand_apart_from_the_published_number(tmp_path: Path) -> None:
    older = {"counts": (32, 25, 99), "table_version": "20140508"}
    run = read_run(write_run(tmp_path, **CASME2 | older, **RELEASED))
    assert run.config.protocol_id == "casme2-mmnet3/156"
    table = build(6, [run])
    assert [shape.kind for shape in table.blocks[0].rows if shape.kind != "method"] == ["missing"] * 3
    block = table.blocks[-1]
    assert block.heading.endswith("156 clips, 25 subjects")
    assert block.origin.startswith("table 20140508")
    assert all(cells["published_accuracy"] == Cell() for cells in rows(table, block))
    assert row(table, block, "MMNet, released recipe")["seeds"].text == "1"
    assert (
        "Not the paper's clips, though there are as many: clips of each class 32, 25, 99, of 25 subjects; the "
        "published numbers are of 32, 28, 96, of 25 subjects."
    ) in [note.text for note in block.notes]
    assert placed(3, [read_run(write_run(tmp_path, **CASME2_5 | {"subjects": 25}))]) == []


@pytest.mark.parametrize("other", [{"counts": (31, 29, 96)}, {"subjects": 24}], ids=lambda other: next(iter(other)))
def test_clips_of_another_class_or_subject_are_not_the_papers(tmp_path: Path, other: dict[str, Any]) -> None:
    table = build(6, [read_run(write_run(tmp_path, **CASME2 | other))])
    assert len(table.blocks) == 3
    assert table.blocks[0].rows[-1].kind == "missing"


@pytest.mark.parametrize(
    ("number", "command"),
    [
        (3, "mer ablate --table 3 data/casme2.h5 --scheme casme2-5"),
        (6, "mer train data/casme2.h5 --scheme casme2-5 --loso"),
    ],
)
@pytest.mark.parametrize("changes", [{"recipe": "quick"}, {"inner_val": 1} | RELEASED, {}], ids=str)
def test_published_numbers_stand_with_the_released_recipe_alone(
    tmp_path: Path, number: int, command: str, changes: dict[str, Any]
) -> None:
    write_run(tmp_path, **CASME2_5, **changes)
    table = build(number, tmp_path)
    (block,) = (block for block in table.blocks if block.heading.startswith("casme2-5/249"))
    found = {cells["method"].text: cells for cells in rows(table, block)}
    assert found["MMNet"]["published_accuracy"].text == "88.35"
    assert found["MMNet"]["runs"] == Cell(command, code=True)
    (ours,) = (cells for cells in found.values() if cells["seeds"].text == "1")
    assert ours["method"].text.startswith("MMNet, ")
    assert (ours["published_accuracy"], ours["published_epoch_rule"]) == (Cell(), Cell())


def test_the_released_recipe_stands_first_and_beside_the_published_number_whatever_else_ran(tmp_path: Path) -> None:
    write_run(tmp_path, recipe="quick", **CASME2)
    write_run(tmp_path, **CASME2)
    write_run(tmp_path, **CASME2, **RELEASED)
    table = build(6, tmp_path)
    ours = [cells for cells in rows(table, table.blocks[0]) if cells["seeds"].text]
    assert [cells["method"].text.partition(", ep")[0] for cells in ours] == [
        *("MMNet, released recipe (tuned on test)", "MMNet, released recipe (tuned on test)"),
        "MMNet, quick recipe",
    ]
    assert [cells["published_accuracy"].text for cells in ours] == ["95.51", "", ""]


def test_runs_with_other_labels_under_one_protocol_id_get_their_own_guessers(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    edited = write_run(tmp_path, seed=2) / "clips.csv"
    edited.write_text(edited.read_text().replace(",surprise,1,surprise", ",happiness,0,happiness"))
    forget_checksum(edited.parent)
    table = build(6, tmp_path)
    guessers = [row(table, block, "chance: majority")["last_accuracy"].text for block in table.blocks[2:]]
    assert len(set(guessers)) == 2


def test_generated_faces_stand_last_with_no_published_number_and_fill_no_cell(tmp_path: Path) -> None:
    write_run(tmp_path, seed=7, generated=True, **CASME2)
    write_run(tmp_path, seed=8, protocol_id="casme2-mmnet3/99")
    table = build(6, tmp_path)
    assert [block.generated for block in table.blocks] == [False, False, False, True]
    block = table.blocks[-1]
    assert block.heading.startswith("Generated faces: not a result on CASME II. casme2-mmnet3/156, leave one subject")
    assert all(cells["published_accuracy"] == Cell() for cells in rows(table, block))
    assert table.blocks[0].rows[-1].kind == "missing"


def test_another_setting_gets_its_own_row_that_names_it(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, weight_decay=0.7)
    table = build(6, tmp_path)
    assert [cells["method"].text for cells in rows(table, table.blocks[-1])][:2] == [
        "MMNet, released recipe (tuned on test), epochs 6",
        "MMNet, released recipe (tuned on test), epochs 6, weight decay 0.7",
    ]


def test_runs_that_differ_in_the_machine_alone_are_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=1, device="cuda", precision="bf16", compile="on")
    table = build(6, tmp_path)
    names = [cells["method"].text for cells in rows(table, table.blocks[-1])][:2]
    assert [name.partition("epochs 6, ")[2] for name in names] == ["cpu fp32", "cuda bf16, compiled"]


# --- ablations


def test_a_grid_that_was_begun_names_the_command_for_each_row_that_it_lacks(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, seed=seed, generated=True)
    write_variant(tmp_path, "baseline", generated=True)
    table = build(3, tmp_path)
    block = table.blocks[-1]
    found = zip(block.rows, rows(table, block), strict=True)
    assert [(shape.kind, cells["method"].text.partition(", rel")[0]) for shape, cells in found] == [
        ("method", "Baseline (ResNet)"),
        ("missing", "CA block"),
        ("missing", "PC module"),
        ("method", "MMNet"),
        ("missing", "CA block without attention"),
        ("missing", "Basic block with continuous attention"),
        ("missing", "MMNet, balanced (ours)"),
        ("chance", "chance: majority, 6 epochs"),
        ("chance", "chance: prior-random, 6 epochs"),
    ]
    assert row(table, block, "CA block, ")["runs"].text == (
        "mer ablate --table 3 data/casme2.h5 --seeds 2 --scheme mmnet3 --recipe released --seed 1 --epochs 6 "
        "--device cpu --precision fp32 --compile off"
    )


def test_mmnet_alone_is_no_ablation_of_other_clips(tmp_path: Path) -> None:
    write_run(tmp_path)
    for number in GRIDS:
        assert len(build(number, tmp_path).blocks) == len(paper_table(number).blocks)


def test_a_network_put_together_by_flags_is_the_variant_that_it_equals(tmp_path: Path) -> None:
    write_run(tmp_path, block="basic", attention="none", pc=False)
    table = build(3, tmp_path)
    assert row(table, table.blocks[-1], "Baseline (ResNet), released recipe")["seeds"].text == "1"


def test_a_variant_by_its_name_and_by_its_options_share_a_row(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_variant(tmp_path, "ca", seed=1)
    write_run(tmp_path, pc=False, seed=2)
    table = build(3, tmp_path)
    assert row(table, table.blocks[-1], "CA block, released recipe")["seeds"].text == "1, 2"


@pytest.mark.parametrize(
    ("seeds", "others", "flags"),
    [
        ((1, 2, 3), (7,), "--seeds 3 --scheme mmnet3 --recipe released --seed 1 "),
        ((1, 2, 9), (1, 2, 3, 4), "--seeds 2 --scheme mmnet3 --recipe released --seed 1 "),
        ((1, 5, 6), (1,), "--seeds 2 --scheme mmnet3 --recipe released --seed 5 "),
        ((), (4, 5), "--seeds 2 --scheme mmnet3 --recipe released --seed 4 "),
    ],
)
def test_the_command_asks_for_the_seeds_of_mmnet_without_gaps(
    tmp_path: Path, seeds: tuple[int, ...], others: tuple[int, ...], flags: str
) -> None:
    for seed in seeds:
        write_run(tmp_path, seed=seed)
    for seed in others:
        write_variant(tmp_path, "ca", seed=seed)
    write_variant(tmp_path, "baseline", seed=30)
    table = build(3, tmp_path)
    command = row(table, table.blocks[-1], "PC module")["runs"].text
    assert command.startswith(f"mer ablate --table 3 data/casme2.h5 {flags}")


def test_no_command_names_a_path_outside_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for variant, finished, store, out in (
        ("ca", None, "/home/anna/clinic/casme2.h5", "/home/anna/runs"),
        ("baseline", 2, "../../anna/casme2.h5", "../anna"),
        ("pc", 2, f"{here}/stores/casme2.h5", f"{here}/more"),
    ):
        path = write_variant(here / "runs", variant, finished=finished, out=out)
        file = path / "environment.json"
        file.write_text(file.read_text().replace("data/casme2.h5", store))
    table = build(3, here / "runs")
    commands = {cells["method"].text[:8]: cells["runs"].text for cells in rows(table, table.blocks[-1])}
    assert commands["MMNet, r"].startswith("mer ablate --table 3 data/casme2.h5 --seeds 1 ")
    assert commands["Baseline"].startswith("mer train data/casme2.h5 --loso ")
    assert "--out" not in commands["MMNet, r"] + commands["Baseline"]
    assert commands["PC modul"].startswith("mer train stores/casme2.h5 --loso ")
    assert commands["PC modul"].endswith(" --out more")
    for render in (render_markdown, render_csv, render_json):
        assert "anna" not in render([table])
        assert str(here) not in render([table])


def test_mmnet_of_table_5_is_the_row_that_equals_its_own_recipe(tmp_path: Path) -> None:
    recipe = {"recipe": "released-3", **RECIPES["released-3"], "epochs": 6}
    write_run(tmp_path, **recipe)
    write_run(tmp_path, **recipe | {"n_layers": 2})
    table = build(5, tmp_path)
    names = [cells["method"].text for cells in rows(table, table.blocks[-1]) if cells["seeds"].text]
    assert [name.partition(", released")[0] for name in names] == ["N_L 2, N_H 4", "N_L 3, N_H 4 (MMNet)"]


def test_layers_and_heads_have_their_rows_in_table_5_alone(tmp_path: Path) -> None:
    write_run(tmp_path, n_layers=3, n_heads=2)
    write_run(tmp_path, n_layers=5, n_heads=8)
    write_run(tmp_path)
    runs = collect_runs(tmp_path).runs
    table = build(5, runs)
    kinds = {
        cells["method"].text.partition(", rel")[0]: shape.kind
        for shape, cells in zip(table.blocks[-1].rows, rows(table, table.blocks[-1]), strict=True)
    }
    assert kinds["N_L 3, N_H 2"] == kinds["N_L 2, N_H 4 (MMNet)"] == kinds["N_L 5, N_H 8"] == "method"
    assert kinds["N_L 2, N_H 8"] == "missing"
    ablated = read_run(write_variant(tmp_path, "ca"))
    assert [len(placed(number, [*runs, ablated])) for number in (3, 4, 5, 6)] == [2, 0, 3, 1]


def test_ours_of_the_papers_clips_stands_beside_the_published_number(tmp_path: Path) -> None:
    write_variant(tmp_path, "ca", **CASME2_5, **RELEASED)
    table = build(3, tmp_path)
    cells = row(table, table.blocks[0], "CA block, released recipe")
    assert (cells["published_accuracy"].text, cells["seeds"].text) == ("83.13", "1")
    assert row(table, table.blocks[0], "Baseline")["published_accuracy"].text == "81.12"


@pytest.mark.parametrize(
    ("datasets", "trained_on"),
    [(["casme2", "samm"], []), (["casme2"], ["samm"]), (["samm"], ["casme2"])],
)
def test_runs_on_several_datasets_have_no_place(tmp_path: Path, datasets: list[str], trained_on: list[str]) -> None:
    write_run(tmp_path, "megc3", datasets=datasets, trained_on=trained_on)
    write_run(tmp_path, "megc3", datasets=datasets, trained_on=trained_on, variant="ca", pc=False)
    assert [placed(number, collect_runs(tmp_path).runs) for number in (3, 4, 5, 6, 7)] == [[]] * 5


def test_a_table_of_methods_takes_its_own_dataset_alone(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path)), read_run(write_run(tmp_path, **SAMM))]
    datasets = [[run.config.stores[0].dataset for run in placed(number, runs)] for number in (6, 7)]
    assert datasets == [["casme2"], ["samm"]]


# --- rules and controls


def test_inner_val_has_columns_only_where_a_run_can_be_scored_under_it(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert "inner_val_uf1" not in [column.key for column in build(6, tmp_path).columns]
    run = read_run(write_run(tmp_path, inner_val=1, skill=0.4))
    table = build(6, tmp_path)
    groups = list(dict.fromkeys(column.group for column in table.columns))
    assert groups == ["", "published", "last", "inner-val", "best-test"]
    with_inner = row(table, table.blocks[-1], "MMNet, released recipe (tuned on test), inner val 1, epochs 6")
    without = row(table, table.blocks[-1], "MMNet, released recipe (tuned on test), epochs 6")
    assert (without["inner_val_uf1"].text, without["last_uf1"].value is None) == ("–", False)
    scores = evaluate(run, "inner-val")
    truth = [run.labels[clip] for clip in sorted(run.labels)]
    predicted = [scores.predicted[clip] for clip in sorted(run.labels)]
    assert with_inner["inner_val_uf1"].value == pytest.approx(uf1(truth, predicted), abs=1e-6)
    assert with_inner["inner_val_accuracy"].low is not None
    guessers = [cells["method"].text for cells in rows(table, table.blocks[-1])][-4:]
    assert guessers[0] == "chance: majority, 6 epochs"
    assert guessers[2] == "chance: majority, 6 epochs, inner val 1"


def test_a_reference_is_none_under_a_rule_that_it_has_no_clips_for(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_variant(tmp_path, "ca")
    write_run(tmp_path, inner_val=1)
    table = build(3, tmp_path)
    cells = row(table, table.blocks[-1], "MMNet, released recipe (tuned on test), epochs 6")
    assert (cells["last_difference"].text, cells["inner_val_difference"].text) == ("reference", "")


def test_each_control_has_what_chance_gives_right_below_it_under_its_own_name(tmp_path: Path) -> None:
    write_run(tmp_path)
    for changes in ({}, {"weight_decay": 0.7}, {"inner_val": 1}):
        write_run(tmp_path, shuffle_labels=True, skill=0.0, **changes)
    write_run(tmp_path, shuffle_labels=True, seed=2, finished=2)
    table = build(6, tmp_path)
    found = [cells for cells in rows(table, table.blocks[-1]) if cells["method"].text.startswith("control: ")]
    names = [cells["method"].text for cells in found]
    assert len(set(names)) == len(names) == 7
    assert names[6].endswith("(incomplete: 2 of 4 folds missing)")
    for control, expected in zip(found[:6:2], found[1:6:2], strict=True):
        assert expected["method"].text == f"{control['method'].text}: expected by chance"
        assert expected["runs"].marks == control["runs"].marks
    with_inner = row(table, table.blocks[-1], "control: MMNet, released recipe (tuned on test), inner val 1, epochs 6:")
    assert None not in (with_inner["inner_val_accuracy"].low, with_inner["last_accuracy"].low)
    sentences = [note.text for note in table.blocks[-1].notes if note.text.startswith("control: ")]
    assert [sentence.partition(": trained")[0] for sentence in sentences] == [
        f"{control['method'].text} ({', '.join(control['runs'].marks)})" for control in found[:6:2]
    ]
    assert sum("; `inner-val` gives " in sentence for sentence in sentences) == 1


def test_what_is_lost_in_draws_is_said_of_each_block(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, generated=True)
    table = build(6, tmp_path)
    lost = [[note.text for note in block.notes if "has no clip and counts 0" in note.text] for block in table.blocks]
    assert [len(texts) for texts in lost] == [0, 0, 1, 1]
    assert sum(note.text.startswith("Ours: ") for note in table.notes) == 1
    assert not any(note.text.startswith("Ours: ") for block in table.blocks for note in block.notes)


def test_no_score_is_computed_that_no_column_shows(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path))]
    (entry,) = score_runs(runs, place_runs(runs))
    shown = {column.key for column in build(6, tmp_path).columns}
    assert {key_of(rule, metric) for rule, metric in entry.spreads} <= shown


def test_a_control_stands_beside_what_chance_gives_and_tells_the_leak(tmp_path: Path) -> None:
    write_run(tmp_path, seed=3, subjects=5)
    for seed in (1, 2):
        write_run(tmp_path, seed=seed, subjects=5, skill=0.0, shuffle_labels=True)
    table = build(6, tmp_path)
    block = table.blocks[-1]
    name = "control: MMNet, released recipe (tuned on test), epochs 6"
    control, expected = (each for each in rows(table, block) if each["method"].text.startswith(name))
    assert expected["method"].text == f"{name}: expected by chance"
    assert expected["runs"].marks == control["runs"].marks == ("2",)
    runs = [run for run in collect_runs(tmp_path).runs if run.config.shuffle_labels]
    shares = []
    for run in runs:
        truth, predicted, _ = truth_and_last(run)
        shares.append(sum(truth.count(label) * predicted.count(label) for label in range(3)) / len(truth) ** 2)
    assert expected["last_accuracy"].value == pytest.approx(100 * statistics.mean(shares), abs=1e-6)
    assert expected["last_accuracy"].low is not None
    assert expected["last_accuracy"].low < expected["last_accuracy"].value < (expected["last_accuracy"].high or 0)
    leaky = control["best_test_accuracy"].value
    assert leaky is not None
    assert control_of([evaluate(run, "best-test") for run in runs], runs[0]).expected != pytest.approx(
        statistics.mean(shares), abs=1e-4
    )
    (sentence,) = (note.text for note in block.notes if note.text.startswith(name))
    found = control_of([evaluate(run, "last") for run in runs], runs[0])
    assert found.low is not None
    assert found.high is not None
    assert sentence.startswith(f"{name} (2): trained on permuted labels, 2 seeds, so an honest rule must give")
    verdict = "within" if found.is_at_chance else "outside"
    assert f"`last` gives {control['last_accuracy'].value:.2f} %, {verdict} the 95 % interval" in sentence
    assert f"{100 * found.low:.2f} to {100 * found.high:.2f} %." in sentence
    assert f"`best-test` gives {leaky:.2f} %, {leaky - 100 * statistics.mean(shares):+.2f} points from" in sentence
    assert not any(cell.best for cell in control.values())
    assert bold(table, block)["last_uf1"] == []


def test_the_same_runs_give_the_same_bytes_in_any_order_and_any_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        for seed in (1, 2):
            write_run(tmp_path / place, seed=seed)
            write_variant(tmp_path / place, "ca", seed=seed, generated=seed == 1)
        write_variant(tmp_path / place, "ca", seed=3, finished=1)
        write_run(tmp_path / place, seed=1, recipe="quick")
    runs = list(collect_runs(tmp_path / "a").runs)
    tables = [build(number, runs) for number in (3, 6)]
    random.Random(0).shuffle(runs)
    for again in ([build(number, runs) for number in (3, 6)], [build(number, tmp_path / "b") for number in (3, 6)]):
        assert again == tables
        for render in (render_markdown, render_csv, render_json):
            assert render(again) == render(tables)

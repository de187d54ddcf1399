"""Rows of classical methods in Tables 6 and 7, ranks, and the composite set of MEGC 2019."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run
from sklearn.metrics import f1_score
from test_report_method_tables import CASME2, RELEASED, build, note, row, rows
from test_report_other_networks import SHORT, write

from mer_cli.evaluation.comparison import compare_runs
from mer_cli.report.build import build_report
from mer_cli.report.model import Block, Cell, Table
from mer_cli.report.render import render
from mer_cli.runs.directory import Run, read_run
from mer_cli.runs.variants import RECIPES

COMPOSITE = {"scheme": "megc3", "datasets": ("casme2", "samm", "smic")}


def of_dataset(run: Run, dataset: str) -> float:
    """UF1 of the last epoch over the clips of one dataset; of all for ""."""
    clips = [(clip, fold.logits[-1][place]) for fold in run.folds for place, clip in enumerate(fold.clip_ids)]
    held = [(run.labels[clip], int(np.argmax(logits))) for clip, logits in clips if clip.startswith(dataset)]
    truth, predicted = zip(*held, strict=True)
    return float(f1_score(truth, predicted, labels=[0, 1, 2], average="macro", zero_division=0))


def said_by_the_commonest(run: Run, dataset: str) -> float:
    """Percent of a dataset's clips that have the commonest class of their fold's training clips."""
    right = []
    for fold in run.folds:
        training = [label for clip, label in run.labels.items() if clip not in fold.clip_ids]
        commonest = min(range(3), key=lambda label: (-training.count(label), label))
        right += [run.labels[clip] == commonest for clip in fold.clip_ids if clip.startswith(dataset)]
    return 100 * sum(right) / len(right)


def kinds(table: Table, block: Block) -> list[str]:
    return [
        cells["method"].text
        for shape, cells in zip(block.rows, rows(table, block), strict=True)
        if shape.kind == "chance"
    ]


# --- classical methods


def test_without_mmnet_all_methods_are_compared_with_the_best_of_them(tmp_path: Path) -> None:
    paths = {name: write(tmp_path, name, skill=skill, **CASME2) for name, skill in (("flow-svm", 3), ("bi-woof", 0.3))}
    runs = {name: read_run(path) for name, path in paths.items()}
    table = build(None, runs.values())
    (block,) = table.blocks
    assert [column.heading for column in table.columns if column.key == "last_difference"] == [
        "UF1 minus the reference's"
    ]
    best, other = (row(table, block, title) for title in ("Flow + SVM", "Bi-WOOF"))
    assert (best["last_difference"].text, best["last_p"].text) == ("reference", "")
    compared = compare_runs([runs["bi-woof"]], [runs["flow-svm"]], "last")
    assert other["last_difference"].value == pytest.approx(compared.difference, abs=1e-6)
    assert other["last_p"].value == pytest.approx(compared.p_value, abs=1e-6)
    said = note(table, block, *other["last_difference"].marks)
    assert said.startswith(
        "Bi-WOOF, published recipe minus Flow + SVM (variant), published recipe; seeds in common: 1."
    )
    texts = [one.text for one in (*table.notes, *block.notes)]
    assert not any(text.startswith("– instead of") for text in texts)
    assert any("it is the best row that is ranked" in text for text in texts)


def test_with_mmnet_it_is_the_reference_even_if_another_method_is_better(tmp_path: Path) -> None:
    write_run(tmp_path, **CASME2, **RELEASED, skill=0.2)
    write(tmp_path, "flow-svm", skill=3, **CASME2)
    table = build(None, tmp_path)
    (block,) = table.blocks
    assert row(table, block, "MMNet")["last_difference"].text == "reference"
    assert row(table, block, "Flow + SVM")["last_difference"].value is not None


def test_a_classical_method_has_a_row_beside_mmnet_and_nothing_that_an_epoch_was_chosen_for(tmp_path: Path) -> None:
    write_run(tmp_path, **CASME2, **RELEASED)
    write(tmp_path, "flow-svm", **CASME2)
    write(tmp_path, "lbp-top", **CASME2)
    table = build(6, tmp_path)
    block = table.blocks[0]
    cells = row(table, block, "Flow + SVM")
    assert cells["method"].text == "Flow + SVM (variant), published recipe"
    assert cells["last_uf1"].value is not None
    assert cells["last_p"].value is not None
    assert (cells["best_test_accuracy"], cells["best_test_f1"], cells["published_accuracy"]) == (Cell(), Cell(), Cell())
    assert row(table, block, "LBP-TOP")["last_p"].value is not None
    (said,) = (one.text for one in table.notes if one.text.startswith("Classical methods"))
    assert "they have no epochs, so `best-test` has nothing to choose" in said
    assert not any(one.text.startswith("Classical methods") for one in build(6, []).notes)


@pytest.mark.parametrize("departure", [{"class_weight": "balanced"}, {"flow": "fast"}])
def test_a_setting_that_mmnet_does_not_have_leaves_the_comparison_with_it(
    tmp_path: Path, departure: dict[str, str]
) -> None:
    write_run(tmp_path, **CASME2, **RELEASED)
    write(tmp_path, "flow-svm", **CASME2)
    write(tmp_path, "flow-svm", **CASME2, **departure)
    table = build(6, tmp_path)
    (block,) = [block for block in table.blocks if any("Flow" in cells["method"].text for cells in rows(table, block))][
        :1
    ]
    ours = [cells for cells in rows(table, block) if cells["method"].text.startswith("Flow + SVM")]
    assert len({cells["method"].text for cells in ours}) == len(ours) >= 2
    assert all(cells["last_p"].value is not None for cells in ours)


def test_whole_clips_make_no_other_family_of_the_same_settings(tmp_path: Path) -> None:
    mmnet = read_run(write_run(tmp_path, **CASME2, **RELEASED))
    path = write(tmp_path, "lbp-top", **CASME2)
    stores = [store.model_copy(update={"clips_hash": "2" * 64}) for store in mmnet.config.stores]
    lbp = read_run(write(tmp_path / "clips", "lbp-top", **CASME2, stores=tuple(stores)))
    assert lbp.path.name != path.name
    table = build(6, [mmnet, lbp])
    assert row(table, table.blocks[0], "LBP-TOP")["last_p"].value is not None


def test_a_method_that_draws_nothing_is_compared_with_every_seed_of_mmnet(tmp_path: Path) -> None:
    mmnet = [read_run(write_run(tmp_path, **CASME2, **RELEASED, seed=seed)) for seed in (2, 3)]
    svm = read_run(write(tmp_path, "flow-svm", **CASME2))
    table = build(6, [*mmnet, svm])
    cells = row(table, table.blocks[0], "Flow + SVM")
    expected = np.mean([of_dataset(svm, "") - of_dataset(run, "") for run in mmnet])
    assert cells["last_difference"].value == pytest.approx(expected, abs=1e-6)
    assert "seeds in common: 2." in note(table, table.blocks[0], *cells["last_difference"].marks)
    assert cells["seeds"].text == "1"


def test_guessers_stand_beside_classical_methods_once(tmp_path: Path) -> None:
    write(tmp_path, "flow-svm", **CASME2)
    write(tmp_path, "bi-woof", **CASME2)
    alone = build(6, tmp_path)
    assert kinds(alone, alone.blocks[0]) == ["chance: majority, no epochs", "chance: prior-random, no epochs"]
    guesser = row(alone, alone.blocks[0], "chance: majority")
    assert (guesser["last_uf1"].value is None, guesser["best_test_f1"]) == (False, Cell())
    write(tmp_path, "rcn-a", SHORT, **CASME2)
    table = build(6, tmp_path)
    assert kinds(table, table.blocks[0]) == ["chance: majority, 6 epochs", "chance: prior-random, 6 epochs"]


def test_a_classical_control_tells_of_no_leak(tmp_path: Path) -> None:
    write(tmp_path, "flow-svm", {"shuffle_labels": True}, **CASME2, skill=0.0)
    table = build(6, tmp_path)
    (sentence,) = (one.text for one in table.blocks[0].notes if one.text.startswith("control: Flow + SVM"))
    assert "`last` gives" in sentence
    assert "best-test" not in sentence


@pytest.mark.parametrize("format", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_has_the_rows_of_classical_methods_and_of_the_composite_set(format: str, tmp_path: Path) -> None:
    runs = [read_run(write(tmp_path, "flow-svm", **COMPOSITE)), read_run(write(tmp_path, "mdmo", **CASME2))]
    text = render(format, build_report(("6", "7"), runs, []).tables, runs, with_images=False)
    for wanted in (
        "MDMO (variant), published recipe",
        "Flow + SVM (variant), published recipe",
        "scored on SAMM alone",
    ):
        assert wanted in text
    if format == "html":
        assert "Learning curves" not in text


# --- ranks


def test_rows_are_ranked_by_what_the_last_epoch_gives_and_ties_share_a_rank(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, **CASME2, **RELEASED, seed=seed, skill=1.0)
    write(tmp_path, "flow-svm", **CASME2, skill=9.0)
    write(tmp_path, "bi-woof", **CASME2, skill=9.0)
    write(tmp_path, "rcn-a", **CASME2, skill=0.0)
    write(tmp_path, "rcn-a", {"shuffle_labels": True}, **CASME2, skill=9.0)
    write(tmp_path, "sssnet", SHORT, **CASME2, finished=3)
    write_run(tmp_path, **CASME2, **{"recipe": "released-3", **RECIPES["released-3"], "epochs": 50}, skill=9.0)
    table = build(6, tmp_path)
    block = table.blocks[0]
    assert row(table, block, "Flow + SVM")["last_rank"] == row(table, block, "Bi-WOOF")["last_rank"] == Cell("1", 1)
    assert row(table, block, "RCN-A")["last_rank"] == Cell("3", 3)
    tuned = ("MMNet, released recipe", "MMNet, released-3")
    for start in ("control: RCN-A, published recipe", "SSSNet", "chance: majority", *tuned):
        found = [cells["last_rank"] for cells in rows(table, block) if cells["method"].text.startswith(start)]
        assert set(found) == {Cell()}, start
    assert any(one.text.startswith("Rank: by UF1 under `last`") for one in table.notes)


def test_rows_of_own_clips_stand_in_the_order_of_their_ranks_and_others_after_them(tmp_path: Path) -> None:
    own = {"scheme": "mmnet3", "generated": True}
    write_run(tmp_path, **own, **RELEASED, skill=0.5)
    write(tmp_path, "flow-svm", **own, skill=3.0)
    write(tmp_path, "lbp-top", **own, skill=0.0)
    write(tmp_path, "rcn-a", SHORT, **own, skill=3.0, finished=1)
    write(tmp_path, "hoof", {"shuffle_labels": True}, **own, skill=9.0)
    table = build(6, tmp_path)
    (block,) = (block for block in table.blocks if block.generated)
    cells = rows(table, block)
    assert [each["last_rank"].text for each in cells if each["last_rank"].text] == ["1", "2", "3"]
    names = [each["method"].text.partition(",")[0] for each in cells]
    assert sorted(names[:3]) == ["Flow + SVM (variant)", "LBP-TOP (variant)", "MMNet"]
    assert names[3:5] == ["RCN-A", "control: HOOF (variant)"]
    assert [cells[place]["last_uf1"].value for place in range(3)] == sorted(
        (each["last_uf1"].value for each in cells[:3]), reverse=True
    )


def test_tables_of_ablations_rank_nothing() -> None:
    ranked = {
        table.id
        for table in build_report(("3", "4", "5", "6", "7"), [], []).tables
        if "last_rank" in [c.key for c in table.columns]
    }
    assert ranked == {"6", "7"}


# --- the composite set


def test_a_run_on_the_composite_set_is_scored_on_the_tables_own_clips_and_on_all(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "ststnet", SHORT, **COMPOSITE, protocol_id="megc2019-cde/60"))
    assert said_by_the_commonest(run, "casme2") != said_by_the_commonest(run, "samm")
    for number, dataset, title in ((6, "casme2", "CASME II"), (7, "samm", "SAMM")):
        (table,) = build_report([str(number)], [run], []).tables
        part, whole = table.blocks[2:]
        n_clips = sum(clip.startswith(dataset) for clip in run.labels)
        assert part.heading.startswith(
            f"megc2019-cde/{len(run.labels)}, scored on {title} alone, leave one subject out: 3 classes, {n_clips} "
            "clips, 4 subjects"
        )
        assert part.origin.startswith("casme2: table 20190701, store 000000000000, samm: table")
        assert whole.heading.startswith(
            f"megc2019-cde/{len(run.labels)}, leave one subject out: 3 classes, {len(run.labels)} clips, 12 subjects"
        )
        for block, held in ((part, dataset), (whole, "")):
            cells = row(table, block, "STSTNet")
            assert cells["last_uf1"].value == pytest.approx(of_dataset(run, held), abs=1e-6)
            assert cells["published_accuracy"] == Cell()
            majority = row(table, block, "chance: majority")["last_accuracy"].value
            assert majority == pytest.approx(said_by_the_commonest(run, held), abs=1e-6)
        assert any(f"scores are of the clips of {title} alone." in one.text for one in part.notes)


def test_the_composite_set_has_a_place_in_tables_of_methods_alone(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, **COMPOSITE))
    assert build_report(["6"], [run], []).notes == ()
    assert [len(table.blocks) for table in build_report(("3", "4", "5", "6", "7"), [run], []).tables] == [3, 3, 2, 4, 4]


def test_on_a_part_of_the_composite_set_methods_are_compared_over_its_subjects(tmp_path: Path) -> None:
    mmnet = read_run(write_run(tmp_path, **COMPOSITE, **RELEASED))
    other = read_run(write(tmp_path, "rcn-a", **COMPOSITE))
    (table,) = build_report(["6"], [mmnet, other], []).tables
    part, whole = (row(table, block, "RCN-A") for block in table.blocks[2:])
    assert part["last_difference"].value == pytest.approx(
        of_dataset(other, "casme2") - of_dataset(mmnet, "casme2"), abs=1e-6
    )
    assert whole["last_difference"].value == pytest.approx(compare_runs([other], [mmnet], "last").difference, abs=1e-6)


def test_a_composite_run_that_lacks_folds_is_continued_by_its_command(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", SHORT, **COMPOSITE, finished=2))
    (table,) = build_report(["7"], [run], []).tables
    for block in table.blocks[2:]:
        cells = row(table, block, "RCN-A")
        assert cells["method"].text.endswith("(incomplete: 10 of 12 folds missing)")
        assert cells["runs"].text.startswith(
            "mer train data/casme2.h5 data/samm.h5 data/smic.h5 --loso --scheme megc3 "
        )

"""Table 6 from real run directories, and its Markdown."""

from __future__ import annotations

import random
import re
import statistics
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from run_factory import write_run

from mer_cli.evaluation.summary import evaluate, percent
from mer_cli.report.collect import collect_runs
from mer_cli.report.published import COMPARATORS, MMNET_ON_CASME2, NOTES
from mer_cli.report.render import Block, Table, render_markdown
from mer_cli.report.table6 import build_table6
from mer_cli.training.run import read_run

GENERATED = "Generated faces (not a result on CASME II)"


def block(table: Table, heading: str) -> list[dict[str, str]]:
    found = next(block for block in table.blocks if block.heading == heading)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_published_rows_are_the_fourteen_and_mmnets_two() -> None:
    rows = block(build_table6([]), "As published")
    assert [row["Method"].split(" (")[0] for row in rows] == [
        *["OFF-ApexNet", "STSTNet", "AU-GACN", "MTMNet", "MiNet&MaNet", "GACNN"],
        *["DSSN", "TSCNN", "Dynamic", "Graph-TCN", "SMA-STN", "AU-GCN", "GEME", "MERSiamC3D", "MMNet", "MMNet"],
    ]
    assert [row["Classes"] for row in rows] == ["3"] * 6 + ["5"] * 8 + ["3", "5"]
    assert (rows[-1]["Protocol"], rows[-1]["Accuracy %"], rows[-1]["F1"]) == ("casme2-5/249", "88.35", ".8676")
    assert all("selected on the test subject" in row["Epoch rule"] for row in rows[-2:])


def test_printed_accuracies_are_whole_clips_of_the_sets_they_are_said_to_fit() -> None:
    for row in (*COMPARATORS, *(paper.row for paper in MMNET_ON_CASME2)):
        for n_clips in map(int, re.findall(r"\d+", row.clips)):
            rounded = {percent(n_correct / n_clips) for n_correct in range(n_clips + 1)}
            cut = {f"{10000 * n_correct // n_clips / 100:.2f}" for n_correct in range(n_clips + 1)}
            assert row.accuracy in (cut if (row.method, n_clips) == ("Dynamic", 252) else rounded), row


def test_every_note_is_used_and_explained_once() -> None:
    used = {note for row in (*COMPARATORS, *(paper.row for paper in MMNET_ON_CASME2)) for note in row.notes}
    assert used == set(NOTES)
    page = render_markdown([build_table6([])])
    assert all(page.count(text) == 1 for text in NOTES.values())


def test_without_runs_each_missing_row_names_the_command() -> None:
    rows = block(build_table6([]), "Measured here")
    assert [(row["Protocol"], row["Accuracy %"]) for row in rows] == [
        ("casme2-mmnet3/156", "not measured yet: `mer train --loso --scheme mmnet3`"),
        ("casme2-5/249", "not measured yet: `mer train --loso --scheme casme2-5`"),
    ]


def test_a_run_gives_last_then_the_stamped_rule_then_the_guessers_under_each(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    rows = block(build_table6([run]), "Measured here")
    assert [(row["Method"], row["Epoch rule"].split(" ")[0]) for row in rows] == [
        ("MMNet", "–"),
        ("MMNet, released recipe, epochs 6, decay epochs 6 (1)", "last"),
        ("MMNet, released recipe, epochs 6, decay epochs 6 (1)", "best-test"),
        ("chance: majority", "last"),
        ("chance: prior-random", "last"),
        ("chance: majority", "best-test"),
        ("chance: prior-random", "best-test"),
    ]
    for row in rows[1:]:
        assert ("selected on the test subject" in row["Epoch rule"]) == row["Epoch rule"].startswith("best-test")
        assert (row["Protocol"], row["Clips"]) == ("casme2-mmnet3/12, table 20190701", "12")
        assert row["Subjects"] == "4"
    last, best = (evaluate(run, rule) for rule in ("last", "best-test"))
    assert rows[1]["Accuracy %"] == percent(last.accuracy)
    assert rows[2]["Accuracy %"] == percent(best.accuracy)
    assert rows[2]["Accuracy above `last`"] == f"{100 * (best.accuracy - last.accuracy):+.2f}"


def test_seeds_of_one_configuration_share_a_row_as_mean_and_deviation(tmp_path: Path) -> None:
    for seed in (1, 2, 10):
        write_run(tmp_path, seed=seed)
    runs = collect_runs(tmp_path).runs
    accuracies = [100 * evaluate(run, "last").accuracy for run in runs]
    row = block(build_table6(runs), "Measured here")[1]
    assert row["Seeds"] == "1, 2, 10"
    assert row["Accuracy %"] == f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}"


def test_another_setting_gets_its_own_row_that_names_it(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, weight_decay=0.7)
    rows = block(build_table6(collect_runs(tmp_path).runs), "Measured here")
    assert {row["Method"] for row in rows if row["Epoch rule"].startswith("last")} >= {
        "MMNet, released recipe, epochs 6, decay epochs 6 (1)",
        "MMNet, released recipe, epochs 6, decay epochs 6, weight decay 0.7 (2)",
    }
    assert all("±" not in cell for row in rows for cell in row.values())


def test_the_same_scheme_on_another_table_is_another_protocol(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, table_version="20140508")
    write_run(tmp_path, seed=3, table_version="")
    rows = block(build_table6(collect_runs(tmp_path).runs), "Measured here")
    protocols = [row["Protocol"] for row in rows if row["Method"] == "chance: majority"]
    names = ("unknown table", "table 20140508", "table 20190701")
    assert protocols == [f"casme2-mmnet3/12, {name}" for name in names for _ in range(2)]


def test_runs_with_other_labels_under_one_protocol_id_get_their_own_guessers(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    edited = write_run(tmp_path, seed=2) / "clips.csv"
    edited.write_text(edited.read_text().replace(",1,surprise", ",0,happiness"))
    rows = block(build_table6(collect_runs(tmp_path).runs), "Measured here")
    guessers = [
        row["Accuracy %"] for row in rows if row["Method"] == "chance: majority" and "last" in row["Epoch rule"]
    ]
    assert len(set(guessers)) == 2


def test_an_incomplete_run_has_no_score_and_says_how_to_continue(tmp_path: Path) -> None:
    write_run(tmp_path, seed=1)
    write_run(tmp_path, seed=2, finished=3)
    rows = block(build_table6(collect_runs(tmp_path).runs), "Measured here")
    assert next(row["Seeds"] for row in rows if row["Epoch rule"].startswith("last")) == "1"
    (row,) = (row for row in rows if row["Accuracy %"].startswith("incomplete"))
    assert row["Accuracy %"] == (
        "incomplete, 3 of 4 folds: `mer train data/casme2.h5 --loso --scheme mmnet3 --recipe released --seed 2 "
        "--epochs 6 --decay-epochs 6 --device cpu --precision fp32 --compile off` continues"
    )
    assert (row["Seeds"], row["F1"], row["UAR"], row["Epoch rule"]) == ("2", "–", "–", "–")


def test_an_incomplete_run_alone_is_not_called_missing(tmp_path: Path) -> None:
    write_run(tmp_path, finished=0)
    rows = block(build_table6(collect_runs(tmp_path).runs), "Measured here")
    missing = [row["Protocol"] for row in rows if row["Accuracy %"].startswith("not measured yet")]
    assert missing == ["casme2-5/249"]
    assert any(row["Accuracy %"].startswith("incomplete, 0 of 4 folds") for row in rows)


def test_generated_faces_stand_apart_and_fill_no_cell(tmp_path: Path) -> None:
    write_run(tmp_path, seed=7, generated=True)
    table = build_table6(collect_runs(tmp_path).runs)
    assert [found.heading for found in table.blocks] == ["As published", "Measured here", GENERATED]
    assert [row["Method"] for row in block(table, "Measured here")] == ["MMNet", "MMNet"]
    generated = block(table, GENERATED)
    assert [row["Seeds"] for row in generated if row["Method"].startswith("MMNet")] == ["7", "7"]
    assert sum(row["Method"].startswith("chance") for row in generated) == 4


@pytest.mark.parametrize(
    ("datasets", "trained_on"),
    [(["samm"], []), (["casme2", "samm"], []), (["casme2"], ["samm"]), (["samm"], ["casme2"])],
)
def test_runs_on_other_or_several_datasets_are_left_out(
    tmp_path: Path, datasets: list[str], trained_on: list[str]
) -> None:
    write_run(tmp_path, "megc3", datasets=datasets, trained_on=trained_on)
    table = build_table6(collect_runs(tmp_path).runs)
    assert [row["Method"] for row in block(table, "Measured here")] == ["MMNet", "MMNet"]


def make_many(root: Path) -> None:
    for seed in (1, 2):
        write_run(root, seed=seed)
    write_run(root, "casme2-5", seed=1, epochs=4, decay_epochs=4)
    write_run(root, "casme2-5", seed=2)
    write_run(root, seed=3, finished=1)
    write_run(root, seed=1, generated=True, recipe="quick")


def test_the_same_runs_give_the_same_bytes_in_any_order_and_any_place(tmp_path: Path) -> None:
    for place in ("a", "b"):
        make_many(tmp_path / place)
    runs = list(collect_runs(tmp_path / "a").runs)
    page = render_markdown([build_table6(runs)])
    random.Random(0).shuffle(runs)
    assert render_markdown([build_table6(runs)]) == page
    assert render_markdown([build_table6(collect_runs(tmp_path / "b").runs)]) == page


def test_markdown_rows_have_as_many_cells_as_their_header(tmp_path: Path) -> None:
    make_many(tmp_path)
    lines = render_markdown([build_table6(collect_runs(tmp_path).runs)]).split("\n")
    tables: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    tables = [table for table in tables if table]
    assert len(tables) == 3
    for table in tables:
        assert re.fullmatch(r"\|(---\|)+", table[1])
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {table[1].count("|")}


def test_markdown_escapes_what_would_break_a_row() -> None:
    table = Table("T", (Block("B", ("a|b", "c"), (("x\ny", "p|q"),), ()),))
    page = "# Published and measured\n\n## T\n\n### B\n\n| a\\|b | c |\n|---|---|\n| x y | p\\|q |\n"
    assert render_markdown([table]) == page


def test_a_block_refuses_a_row_with_another_number_of_cells() -> None:
    with pytest.raises(ValueError, match=r"B: row \('x',\) has 1 cells, expected 2"):
        Block("B", ("a", "b"), (("x",),), ())


def test_the_template_fails_on_a_name_it_does_not_know() -> None:
    with pytest.raises(UndefinedError):
        render_markdown([Block("no title", (), (), ())])  # type: ignore[list-item]

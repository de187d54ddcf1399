"""Rows of predictions that were made outside mer in Tables 6 and 7: compared with MMNet, ranked in brackets only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_factory import write_run
from test_report_method_tables import CASME2, RELEASED, build, row, rows
from test_report_other_networks import write

from mer_cli.motion.inputs import PairInput
from mer_cli.report.model import Cell
from mer_cli.report.render import render
from mer_cli.report.rows import NONE
from mer_cli.runs.foreign import Foreign

STAMP = "trained outside mer, epoch rule as stated by its author: fixed 60 epochs"


def write_told(root: Path, title: str = "MyNet", source: str = "a", **changes: Any) -> Path:
    foreign = Foreign(
        door="predictions",
        title=title,
        code="preds.csv",
        source_sha256=source * 64,
        sees=PairInput(),
        epoch_rule="fixed 60 epochs",
    )
    own = {"model": title.casefold(), "foreign": foreign, "recipe": "plain", "epochs": 1, "decay_epochs": 0}
    return write_run(root, **{**CASME2, **own, **changes})


def test_predictions_stand_in_table_6_with_interval_and_p_and_never_bold(tmp_path: Path) -> None:
    write(tmp_path, "rcn-a", **CASME2, skill=0.2)
    write_run(tmp_path, **CASME2, **RELEASED, skill=0.5)
    write_told(tmp_path, skill=6.0)
    table = build(6, tmp_path)
    block = table.blocks[0]
    cells = row(table, block, "MyNet")
    assert cells["method"].text == f"MyNet, {STAMP}"
    assert cells["last_uf1"].low is not None
    assert cells["last_p"].value is not None
    assert cells["last_uf1"].value > row(table, block, "MMNet, released recipe")["last_uf1"].value
    assert not any(cell.best for cell in cells.values())
    assert (cells["last_rank"], cells["best_test_f1"]) == (Cell("(1)"), Cell())
    ranked = row(table, block, "RCN-A")
    assert (ranked["last_rank"], ranked["last_uf1"].best) == (Cell("1", 1), True)
    (said,) = (note.text for note in table.notes if note.text.startswith("A rank in brackets"))
    assert said == (
        "A rank in brackets: predictions of a method that was trained outside mer, and the rank that they would have. "
        "They move no other rank and are never bold. Their author states the epoch rule: nothing here can check it, "
        "nor that no held-out subject was trained on."
    )
    for form in ("markdown", "csv", "json", "html"):
        assert STAMP in render(form, [table], (), False)


def test_without_predictions_no_note_speaks_of_brackets(tmp_path: Path) -> None:
    write_run(tmp_path, **CASME2, **RELEASED)
    assert not any("brackets" in note.text for note in build(6, tmp_path).notes)


def test_a_control_or_an_unfinished_import_has_no_rank_at_all(tmp_path: Path) -> None:
    write_told(tmp_path, shuffle_labels=True)
    write_told(tmp_path, source="b", finished=3)
    table = build(None, tmp_path)
    found = [cells for cells in rows(table, table.blocks[0]) if "MyNet" in cells["method"].text]
    assert len(found) == 3  # the control, what is expected of it, and the unfinished run
    assert all(cells["last_rank"].text in ("", NONE.text) and "(" not in cells["last_rank"].text for cells in found)


def test_two_files_of_one_name_and_seed_are_two_rows_with_their_source(tmp_path: Path) -> None:
    write_told(tmp_path)
    write_told(tmp_path, source="b", skill=3.0)
    table = build(None, tmp_path)
    found = [cells["method"].text for cells in rows(table, table.blocks[0]) if "MyNet" in cells["method"].text]
    assert sorted(found) == [f"MyNet, source aaaaaaaa, {STAMP}", f"MyNet, source bbbbbbbb, {STAMP}"]


def test_seeds_share_a_row_and_are_compared_with_the_same_seeds_of_mmnet(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, **CASME2, **RELEASED, seed=seed)
        write_told(tmp_path, source=str(seed), seed=seed)
    table = build(6, tmp_path)
    cells = row(table, table.blocks[0], "MyNet")
    assert cells["seeds"].text == "1, 2"
    assert cells["last_uf1"].sd is not None
    assert any("seeds in common: 2" in note.text for note in table.blocks[0].notes if "MyNet" in note.text)

"""Networks of other methods in Tables 6 and 7: beside the number that their authors printed, and against MMNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_factory import write_run
from test_report_method_tables import CASME2, CASME2_5, RELEASED, build, note, row, rows

from mer_cli.evaluation.comparison import compare_runs, comparison_table
from mer_cli.evaluation.run_text import settings, train_command
from mer_cli.report.model import Cell
from mer_cli.report.placing import placed
from mer_cli.training.config import TrainConfig, resolve_config
from mer_cli.training.grids import GRIDS
from mer_cli.training.read_run import read_run

OF_FACTORY = {"scheme", "device", "precision", "compile"}


def write(root: Path, model: str, changes: dict[str, Any] | None = None, **of_factory: Any) -> Path:
    """A run of another network, with its published recipe but for the changes."""
    config = resolve_config(model=model, **changes or {})
    own = {name: getattr(config, name) for name in TrainConfig.model_fields if name not in OF_FACTORY}
    return write_run(root, **{**own, **of_factory})


SHORT = {"epochs": 6}  # so that the files stay small; MMNet's run has as many


def test_a_run_with_the_published_recipe_stands_beside_the_published_number(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", **CASME2))
    dssn = read_run(write(tmp_path, "dssn", **CASME2_5))
    assert (settings(run.config), settings(dssn.config)) == ("published recipe", "published recipe")
    table = build(6, [run, dssn])
    beside = row(table, table.blocks[1], "DSSN")
    assert beside["method"].text == "DSSN, published recipe"
    assert (beside["published_accuracy"].text, beside["published_f1"].text) == ("71.19", ".7297")
    assert beside["last_uf1"].value is not None
    notes = [note(table.blocks[1], mark) for mark in beside["published_accuracy"].marks]
    assert "Ours starts from random weights, the published one from ImageNet's (CaffeNet)." in notes
    added = row(table, table.blocks[0], "RCN-A")
    assert added["method"].text == "RCN-A, published recipe"
    assert added["published_accuracy"] == Cell()
    assert row(table, table.blocks[0], "STSTNet")["runs"] == Cell(
        "mer train data/casme2.h5 --scheme mmnet3 --loso --model ststnet", code=True
    )


def test_it_is_compared_with_mmnet_on_the_same_folds(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, **CASME2, **RELEASED), write(tmp_path, "rcn-a", **CASME2)]
    table = build(6, [read_run(path) for path in runs])
    assert row(table, table.blocks[0], "MMNet, released recipe")["last_difference"].text == "reference"
    assert row(table, table.blocks[0], "RCN-A, published recipe")["last_p"].value is not None
    mmnet, rcn = map(read_run, runs)
    facts = dict(comparison_table(compare_runs([rcn], [mmnet], "last"), rcn, mmnet, "last"))
    assert (facts["first"], facts["second"]) == ("rcn-a, published recipe", "mmnet, released recipe")


def test_the_lite_tscnn_is_not_the_published_one(tmp_path: Path) -> None:
    table = build(6, [read_run(write(tmp_path, "tscnn-lite", SHORT, **CASME2_5))])
    lite = row(table, table.blocks[1], "TSCNN-lite")
    assert lite["method"].text == "TSCNN-lite, published recipe, epochs 6, decay epochs 6"
    assert lite["published_accuracy"] == Cell()


def test_it_is_in_no_table_of_ablations(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", **CASME2_5))
    assert [number for number in (*GRIDS, 6, 7) if placed(number, [run])] == [6]


def test_the_command_that_continues_it_gives_the_same_settings(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", {"epochs": 7}, finished=1, **CASME2))
    assert train_command(run) == (
        "mer train data/casme2.h5 --loso --scheme mmnet3 --model rcn-a --recipe published --seed 1 --epochs 7 "
        "--decay-epochs 7 --device cpu --precision fp32 --compile off"
    )


def test_it_joins_mmnet_on_whatever_machine_either_was_trained(tmp_path: Path) -> None:
    """On the CPU the one may be worth compiling and the other not; that makes no second family."""
    mmnet = write_run(tmp_path, **CASME2, **RELEASED, compile="on")
    runs = [mmnet, write(tmp_path, "rcn-a", **CASME2), write(tmp_path, "dssn", **CASME2, precision="bf16")]
    table = build(6, [read_run(path) for path in runs])
    assert row(table, table.blocks[0], "MMNet")["last_difference"].text == "reference"
    for name in ("RCN-A", "DSSN"):
        cells = row(table, table.blocks[0], name)
        assert cells["method"].text == f"{name}, published recipe"
        assert cells["last_p"].value is not None
    runs.append(write(tmp_path, "rcn-a", **CASME2, compile="on"))
    table = build(6, [read_run(path) for path in runs])
    for machine in ("cpu fp32", "cpu fp32, compiled"):
        names = [cells["method"].text for cells in rows(table, table.blocks[0])]
        assert f"RCN-A, published recipe, {machine}" in names

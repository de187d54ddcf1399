"""Networks of other methods in Tables 6 and 7: beside the number that their authors printed, and against MMNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_factory import write_run
from test_report_method_tables import CASME2, CASME2_5, RELEASED, build, note, placed, row, rows

from mer_cli.evaluation.comparison import compare_runs, comparison_table
from mer_cli.evaluation.run_text import settings, train_command
from mer_cli.report.model import Cell
from mer_cli.report.paper import paper_table
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.methods import METHODS
from mer_cli.runs.variants import GRIDS

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
    assert beside["method"].text == "DSSN (variant), published recipe"
    assert (beside["published_accuracy"].text, beside["published_f1"].text) == ("71.19", ".7297")
    assert beside["last_uf1"].value is not None
    notes = [note(table, table.blocks[1], mark) for mark in beside["published_accuracy"].marks]
    assert "Ours is a variant: random weights; the published network starts from ImageNet's (CaffeNet)." in notes
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
    assert (facts["first"], facts["second"]) == ("rcn-a, published recipe", "mmnet, released recipe (tuned on test)")


@pytest.mark.parametrize(
    ("model", "name", "published"),
    [
        ("tscnn-lite", "TSCNN: TSCNN-lite (variant)", "80.97"),
        ("augcn-flow", "AU-GCN: AU-GCN on flow (variant)", "74.27"),
        ("di-resnet18", "GEME: ResNet-18 on a dynamic image (variant)", "75.20"),
    ],
)
def test_a_variant_stands_beside_the_published_number_and_says_that_it_is_one(
    model: str, name: str, published: str, tmp_path: Path
) -> None:
    table = build(6, [read_run(write(tmp_path, model, **CASME2_5))])
    cells = row(table, table.blocks[1], name)
    assert cells["method"].text == f"{name}, published recipe"
    assert cells["published_accuracy"].text == published
    notes = [note(table, table.blocks[1], mark) for mark in cells["published_accuracy"].marks]
    assert f"Ours is a variant: {METHODS[model].note}." in notes


def test_a_variant_without_a_published_row_says_so_as_well(tmp_path: Path) -> None:
    table = build(6, [read_run(write(tmp_path, "resnet18-flow", SHORT, **CASME2))])
    name = "ResNet-18 on flow (variant), published recipe, epochs 6"
    assert row(table, table.blocks[0], name)["published_accuracy"] == Cell()


def test_without_runs_a_block_names_the_command_for_all_methods() -> None:
    for number in (3, 6):
        for block, printed in zip(build(number, []).blocks, paper_table(number).blocks, strict=True):
            command = f"`mer compare-methods data/{printed.dataset}.h5 --scheme {printed.scheme}`."
            assert any(each.text.endswith(command) for each in block.notes) == (number == 6)


@pytest.mark.parametrize("number", [6, 7])
def test_a_method_that_is_quoted_only_says_why(number: int) -> None:
    table = build(number, [])
    n_quoted = 0
    for block, printed in zip(table.blocks, paper_table(number).blocks, strict=True):
        for paper_row, cells in zip(printed.rows, rows(table, block), strict=True):
            reasons = [note(table, block, mark) for mark in cells["published_accuracy"].marks]
            (quoted,) = [text for text in reasons if text.startswith("Quoted only")] or [""]
            assert bool(quoted) == (paper_row.settings is None)
            if quoted:
                n_quoted += 1
                (method,) = (each for each in METHODS.values() if each.title == paper_row.method)
                assert quoted == f"Quoted only, not built here: {method.note}."
                assert method.note
    assert n_quoted == {6: 8, 7: 7}[number]


@pytest.mark.parametrize(
    ("of_mmnet", "of_other", "flags"),
    [
        ((1, 2, 3), (1,), " --seeds 3"),
        ((), (4, 5), " --seed 4 --seeds 2"),
        ((7,), (1, 2), " --seed 7"),
        ((), (1,), ""),
        ((1, 3, 4), (), " --seed 3 --seeds 2"),
    ],
)
def test_the_command_of_a_missing_row_asks_for_the_seeds_of_the_others(
    of_mmnet: tuple[int, ...], of_other: tuple[int, ...], flags: str, tmp_path: Path
) -> None:
    runs = [write_run(tmp_path, **CASME2, **RELEASED, seed=seed) for seed in of_mmnet]
    runs += [write(tmp_path, "rcn-a", {"seed": seed}, **CASME2) for seed in of_other]
    table = build(6, [read_run(path) for path in runs])
    command = row(table, table.blocks[0], "STSTNet")["runs"].text
    assert command == f"mer train data/casme2.h5 --scheme mmnet3 --loso --model ststnet{flags}"


def test_it_is_in_no_table_of_ablations(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", **CASME2_5))
    assert [number for number in (*GRIDS, 6, 7) if placed(number, [run])] == [6]


def test_the_command_that_continues_it_gives_the_same_settings(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, "rcn-a", {"epochs": 7}, finished=1, **CASME2))
    assert train_command(run) == (
        "mer train data/casme2.h5 --loso --scheme mmnet3 --model rcn-a --recipe published --seed 1 --epochs 7 "
        "--device cpu --precision fp32 --compile off"
    )


def test_it_joins_mmnet_on_whatever_machine_either_was_trained(tmp_path: Path) -> None:
    """On the CPU the one may be worth compiling and the other not; that makes no second family."""
    mmnet = write_run(tmp_path, **CASME2, **RELEASED, compile="on")
    runs = [mmnet, write(tmp_path, "rcn-a", **CASME2), write(tmp_path, "dssn", **CASME2, precision="bf16")]
    table = build(6, [read_run(path) for path in runs])
    assert row(table, table.blocks[0], "MMNet")["last_difference"].text == "reference"
    for name in ("RCN-A", "DSSN (variant)"):
        cells = row(table, table.blocks[0], name)
        assert cells["method"].text == f"{name}, published recipe"
        assert cells["last_p"].value is not None
    runs.append(write(tmp_path, "rcn-a", **CASME2, compile="on"))
    table = build(6, [read_run(path) for path in runs])
    for machine in ("cpu fp32", "cpu fp32, compiled"):
        names = [cells["method"].text for cells in rows(table, table.blocks[0])]
        assert f"RCN-A, published recipe, {machine}" in names


def test_a_dash_in_place_of_a_difference_is_explained(tmp_path: Path) -> None:
    runs = [write(tmp_path, "rcn-a", {"seed": seed}, **CASME2) for seed in (1, 2)]
    why = "– instead of a difference from MMNet: no finished run of MMNet has these settings and one of these seeds."
    alone = build(6, [read_run(path) for path in runs])
    assert row(alone, alone.blocks[0], "RCN-A")["last_difference"].text == "–"
    assert why in [each.text for each in alone.blocks[0].notes]
    runs.append(write_run(tmp_path, **CASME2, **RELEASED, seed=2))
    together = build(6, [read_run(path) for path in runs])
    assert why not in [each.text for each in together.blocks[0].notes]

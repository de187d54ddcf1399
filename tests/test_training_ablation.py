"""The grids of tables 3 to 5 as runs: what is planned, what is done already, what is left."""

from pathlib import Path

import pytest
import torch
from complete_store import complete_store
from moved_store import write_moved_store
from tiny_store import write_store

from mer_cli.errors import ConfigError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.runs.variants import GRIDS
from mer_cli.training.cost import count_operations
from mer_cli.training.grids import cell_of, expected_seconds, plan_grid
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

TWO = {"01": "happiness", "02": "disgust"}  # subjects of one clip each
QUICK = {"recipe": "quick", "epochs": 1, "device": "cpu", "precision": "fp32"}


class Silent:
    def on_start(self, n_folds): ...
    def on_fold(self, fold): ...
    def on_epoch(self, epoch, loss): ...
    def on_fold_end(self): ...


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("ablation") / "casme2.h5")


def test_a_grid_has_every_row_of_its_table_for_each_seed(store, tmp_path):
    cells = plan_grid("3", [store], {**QUICK, "seed": 4}, 2, tmp_path)
    assert [(cell.name, cell.plan.config.seed) for cell in cells] == [
        (row["variant"], seed) for row in GRIDS[3] for seed in (4, 5)
    ]
    assert len({cell.plan.config.run_name for cell in cells}) == len(cells)
    assert {cell.n_missing for cell in cells} == {3}
    assert expected_seconds(cells) == [None] * len(cells)


def test_a_grid_begins_with_the_seed_that_is_asked_for(store, tmp_path):
    cells = plan_grid("4", [store], {**QUICK, "seed": 0}, 2, tmp_path)
    assert [cell.plan.config.seed for cell in cells] == [0, 1] * 3
    assert {cell.plan.config.seed for cell in plan_grid("4", [store], QUICK, 1, tmp_path)} == {1}


def test_table_5_trains_the_papers_six_settings_in_its_order(store, tmp_path):
    cells = plan_grid("5", [store], QUICK, 1, tmp_path)
    settings = [(2, 2), (2, 4), (2, 8), (3, 2), (3, 4), (3, 8)]
    assert [cell.name for cell in cells] == [
        f"n_layers {n_layers}, n_heads {n_heads}" for n_layers, n_heads in settings
    ]
    assert [(cell.plan.config.n_layers, cell.plan.config.n_heads) for cell in cells] == settings


def test_tables_share_their_runs(store, tmp_path):
    names = [
        {cell.plan.config.run_name for cell in plan_grid(table, [store], QUICK, 1, tmp_path) if cell.name == "mmnet"}
        for table in ("3", "4")
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 1


def test_the_table_of_motion_adds_a_step_in_each_row(tmp_path):
    store = complete_store(write_moved_store(tmp_path / "casme2.h5").path)
    cells = plan_grid("motion", [store], {"seed": 3}, 2, tmp_path)
    assert [(cell.name, cell.plan.config.model, cell.plan.config.input) for cell in cells] == [
        ("flow-svm", "flow-svm", "crop"),
        ("flow-svm, head", "flow-svm", "head"),
        ("canonical-svm, crop", "canonical-svm", "crop"),
        ("canonical-svm, head", "canonical-svm", "head"),
        ("canonical-svm, face", "canonical-svm", "face"),
        ("canonical-svm, head+face", "canonical-svm", "head+face"),
        ("canonical-svm, head+face+shape", "canonical-svm", "head+face+shape"),
        ("canonical-svm", "canonical-svm", "canonical"),
        ("canonical-cnn", "canonical-cnn", "canonical"),
        ("canonical-cnn", "canonical-cnn", "canonical"),
    ]
    assert {cell.plan.config.flow for cell in cells} == {"fast"}
    assert [cell.plan.config.seed for cell in cells[-2:]] == [3, 4]


def test_a_grid_knows_what_is_finished_and_how_long_the_rest_will_take(tmp_path):
    store = write_store(tmp_path / "casme2.h5", {f"casme2/{subject}/EP01": emotion for subject, emotion in TWO.items()})
    cells = plan_grid("4", [store], QUICK, 1, tmp_path)
    train_run(cells[0].plan, tmp_path, Silent(), save_weights="none")
    again = plan_grid("4", [store], QUICK, 1, tmp_path)
    assert [cell.n_missing for cell in again] == [0, 2, 2]
    assert again[0].seconds > 0
    work = [count_operations(METHODS["mmnet"], 3, **cell.plan.config.network_options) for cell in again]
    assert expected_seconds(again) == pytest.approx([again[0].seconds * each / work[0] for each in work])


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        ("6", {}, "--table: '6' is not an ablation table. Available: 3, 4, 5, motion."),
        ("", {}, "--table: '' is not an ablation table. Available: 3, 4, 5, motion."),
        *(
            (
                table,
                settings,
                f"--{flag} can't be set here: each row of table {table} is a network of its own. Leave it out.",
            )
            for table, settings, flag in (
                ("3", {"model": "ststnet"}, "model"),
                ("3", {"variant": "pc"}, "variant"),
                ("3", {"pc": False}, "no-pc"),
                ("3", {"pc": True}, "pc"),
                ("4", {"block": "basic"}, "block"),
                ("5", {"n_heads": 2}, "n-heads"),
                ("5", {"variant": "ca"}, "variant"),
                ("5", {"pc": False, "seed": 2}, "no-pc"),
                ("5", {"stochastic_depth": 0.0}, "stochastic-depth"),
                ("motion", {"model": "mmnet"}, "model"),
                ("motion", {"input": "head"}, "input"),
                ("motion", {"flow": "tvl1"}, "flow"),
                ("motion", {"scale": "one"}, "scale"),
            )
        ),
    ],
)
def test_what_no_grid_can_be_made_of_is_named(table, settings, message):
    with pytest.raises(ConfigError) as error:
        plan_grid(table, [Path("none.h5")], settings, 1, Path("runs"))
    assert str(error.value) == message


def test_folds_that_are_trained_at_once_count_as_one_turn(store, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        configs = {model: resolve_config(model=model, epochs=5000, device="cpu") for model in ("mmnet", "ststnet")}
        turns = {name: cell_of(name, plan_run([store], config), tmp_path).n_turns for name, config in configs.items()}
    finally:
        torch.set_num_threads(before)
    assert turns == {"mmnet": 3, "ststnet": 2}

"""The comparison of all methods as runs: what is planned, in which order, what a store can't serve, what is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_store import SAMM_EMOTIONS, write_store

from mer_cli.errors import ConfigError, StoreError
from mer_cli.report.paper import paper_table
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.training.cost import count_operations
from mer_cli.training.grids import COMPARABLE, Comparison, expected_seconds, plan_comparison, plan_grid

CPU = {"device": "cpu", "precision": "fp32", "compile": "off"}
SMIC_EMOTIONS = {f"smic/s{subject}/s{subject}_01": emotion for subject, emotion in enumerate(("positive", "negative"))}
CHEAP = "ststnet,flow-svm,mmnet"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("comparison") / "casme2.h5")


def plan(
    store: Path, methods: str | None = CHEAP, n_seeds: int = 1, *, together: bool = False, **settings
) -> Comparison:
    return plan_comparison([store], {**CPU, **settings}, n_seeds, Path("runs"), methods=methods, together=together)


def test_every_method_is_planned_cheapest_first_and_what_the_store_cannot_serve_is_left_out_with_the_command(
    store,
) -> None:
    found = plan(store, None, scheme="mmnet3")
    names = [cell.name for cell in found.cells]
    assert names[:3] == ["flow-svm", "canonical-svm", "bi-woof"]
    assert names.index("ststnet") < names.index("sssnet") < names.index("resnet18-diff") < names.index("mmnet")
    left_out = {lost.method: lost.reason for lost in found.left_out}
    assert set(left_out) == {method.name for method in LIVE} - set(names)
    assert {"lbp-top", "higo-top", "hoof", "di-resnet18"} <= set(left_out)
    assert "mer preprocess casme2 RAW --clips" in left_out["lbp-top"]


def test_what_was_asked_for_by_name_and_cannot_be_served_is_an_error(store) -> None:
    with pytest.raises(StoreError, match="mer preprocess casme2 RAW --clips"):
        plan(store, "flow-svm,lbp-top")


def test_methods_may_be_named_in_capitals_and_with_a_comma_too_many(store) -> None:
    found = plan(store, " STSTNet, flow-svm,", scheme="mmnet3").cells
    assert [cell.name for cell in found] == ["flow-svm", "ststnet"]


def test_a_method_that_a_store_lacks_action_units_for_tells_the_flag_of_a_comparison(tmp_path) -> None:
    smic = write_store(tmp_path / "smic.h5", SMIC_EMOTIONS)
    with pytest.raises(StoreError, match="Leave this store out, or take another method: --model, or --methods of a"):
        plan(smic, "augcn-flow")


def test_a_network_has_a_run_for_each_seed_and_a_classical_method_one(store) -> None:
    found = plan(store, n_seeds=3, seed=4, scheme="mmnet3").cells
    assert [(cell.name, cell.plan.config.seed) for cell in found] == [
        ("flow-svm", 1),
        *(("ststnet", seed) for seed in (4, 5, 6)),
        *(("mmnet", seed) for seed in (4, 5, 6)),
    ]
    controls = plan(store, "flow-svm", n_seeds=2, seed=4, scheme="mmnet3", shuffle_labels=True).cells
    assert [cell.plan.config.seed for cell in controls] == [4, 5]


def test_a_store_has_the_schemes_of_the_tables_unless_others_are_named(store) -> None:
    def schemes(**settings):
        return [cell.plan.config.scheme for cell in plan(store, "ststnet", **settings).cells]

    assert set(schemes()) == {block.scheme for block in paper_table(6).blocks}
    assert schemes(scheme="megc3,casme2-5,samm-5") == ["megc3", "casme2-5"]
    assert schemes(scheme="auto") == ["casme2-5"]
    with pytest.raises(ConfigError, match=r"--scheme: 'samm-5' covers samm, and not casme2"):
        schemes(scheme="samm-5")
    with pytest.raises(ConfigError, match="Unknown scheme 'mmnet4'"):
        schemes(scheme="mmnet3,mmnet4")


def test_a_setting_goes_to_the_methods_that_have_a_use_for_it(store) -> None:
    found = {cell.name: cell.plan.config for cell in plan(store, epochs=3, flip=0.25, scheme="mmnet3").cells}
    assert {name: config.epochs for name, config in found.items()} == {"flow-svm": 1, "ststnet": 3, "mmnet": 3}
    assert {name: config.flip for name, config in found.items()} == {"flow-svm": 0.5, "ststnet": 0.0, "mmnet": 0.25}
    recipes = {cell.name: cell.plan.config.recipe for cell in plan(store, recipe="quick", scheme="mmnet3").cells}
    assert recipes == {"flow-svm": "published", "ststnet": "published", "mmnet": "quick"}


def test_settings_that_exclude_each_other_in_one_method_go_to_others(store) -> None:
    """Over the apex alone there is no clip to interpolate; LBP-TOP has one, and is left out for want of whole clips."""
    found = plan(store, None, span="apex", clip_frames=20, scheme="mmnet3")
    (hoof,) = (cell.plan.config for cell in found.cells if cell.name == "hoof")
    assert (hoof.span, hoof.clip_frames) == ("apex", 0)
    assert "lbp-top" in {each.method for each in found.left_out}


def test_a_store_that_cannot_be_planned_does_not_end_the_others(store, tmp_path) -> None:
    lonely = write_store(tmp_path / "samm.h5", {clip: word for clip, word in SAMM_EMOTIONS.items() if "/006/" in clip})
    found = plan_comparison([store, lonely], CPU, 1, Path("runs"), methods=None)
    assert {cell.plan.stores[0].info.dataset for cell in found.cells} == {"casme2"}
    assert any(str(lonely) in each.reason or "2 subjects" in each.reason for each in found.left_out)
    with pytest.raises(ConfigError):
        plan_comparison([store, lonely], CPU, 1, Path("runs"), methods="ststnet")


def test_runs_are_shared_with_the_grids_of_ablations(store) -> None:
    (cell,) = plan(store, "mmnet", scheme="mmnet3").cells
    grid = plan_grid("3", [store], {**CPU, "scheme": "mmnet3"}, 1, Path("runs"))
    assert cell.plan.config.run_name in {each.plan.config.run_name for each in grid}


def test_the_composite_set_is_a_run_besides_each_store_for_itself(store, tmp_path) -> None:
    samm = write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)
    smic = write_store(tmp_path / "smic.h5", SMIC_EMOTIONS)
    found = plan_comparison([store, samm, smic], CPU, 1, Path("runs"), methods="ststnet", together=True)
    assert [cell.plan.config.protocol_id.partition("/")[0] for cell in found.cells] == [
        *("casme2-5", "casme2-mmnet3", "samm-5", "samm-3", "smic-3", "megc2019-cde")
    ]
    with pytest.raises(ConfigError) as error:
        plan(store, together=True)
    assert str(error.value) == (
        "--together needs stores of at least 2 of casme2, samm, smic, got 1. Name the stores, or leave it out."
    )


@pytest.mark.parametrize(
    ("methods", "settings", "message"),
    [
        ("ststnet,flow-swm", {}, "--methods: Unknown method 'flow-swm'. Known: mmnet, "),
        (
            "ststnet,GACNN",
            {},
            "--methods: GACNN is only quoted and can't be run here: no code. `mer models` lists what can.",
        ),
        ("", {}, "--methods: '' names no method. Separate names by commas: ststnet,flow-svm."),
        (" , ", {}, "--methods: ' , ' names no method. Separate names by commas: ststnet,flow-svm."),
        (
            "ststnet,flow-svm",
            {"flip": 0.1},
            "--flip has no effect with ststnet, flow-svm. Leave it out.",
        ),
        ("ststnet", {"recipe": "quick"}, "--recipe has no effect with ststnet. Leave it out."),
        (
            None,
            {"model": "ststnet"},
            "--model can't be set here: each method (--methods) is a network of its own. Leave it out.",
        ),
        (
            "hoof,lbp-top",
            {"clip_frames": 5},
            "--clip-frames must be 0, or at least 10 for lbp-top, got 5.",
        ),
        (
            "ststnet",
            {"epochs": 0},
            "--epochs must be at least 1, got 0.",
        ),
    ],
)
def test_what_no_comparison_can_be_made_of_is_named(store, methods, settings, message) -> None:
    with pytest.raises(ConfigError) as error:
        plan(store, methods, **settings)
    assert str(error.value).startswith(message)


def test_the_time_of_a_fold_is_guessed_from_the_same_method_or_from_networks_of_like_size(store) -> None:
    cells = plan(store, "flow-svm,ststnet,offapexnet,mmnet", epochs=1, n_seeds=2, scheme="mmnet3").cells
    assert expected_seconds(cells) == [None] * len(cells)
    known = [
        replace(cell, seconds=2.0) if (cell.name, cell.plan.config.seed) == ("ststnet", 1) else cell for cell in cells
    ]
    found = {
        (cell.name, cell.plan.config.seed): seconds
        for cell, seconds in zip(cells, expected_seconds(known), strict=True)
    }
    ratio = count_operations(METHODS["offapexnet"], 3) / count_operations(METHODS["ststnet"], 3)
    assert 1 < ratio < COMPARABLE
    assert found == {
        ("flow-svm", 1): None,
        **dict.fromkeys([("ststnet", 1), ("ststnet", 2)], 2.0),
        **dict.fromkeys([("offapexnet", 1), ("offapexnet", 2)], pytest.approx(2 * ratio)),
        **dict.fromkeys([("mmnet", 1), ("mmnet", 2)], None),
    }


def test_times_of_schemes_that_are_not_trained_yet_go_by_their_clips(tmp_path) -> None:
    """Of four clips of each subject casme2-5 keeps three and mmnet3 all: three quarters of them, and of the time."""
    emotions = {
        f"casme2/{subject}/{clip}": emotion
        for subject in ("01", "02", "03")
        for clip, emotion in enumerate(("happiness", "disgust", "surprise", "fear"))
    }
    cells = plan(write_store(tmp_path / "casme2.h5", emotions), "flow-svm,ststnet,offapexnet", epochs=2).cells
    known = [
        replace(cell, seconds=4.0) if cell.plan.config.scheme == "mmnet3" and cell.name != "offapexnet" else cell
        for cell in cells
    ]
    found = {
        (cell.name, cell.plan.config.scheme): seconds
        for cell, seconds in zip(cells, expected_seconds(known), strict=True)
    }
    ratio = count_operations(METHODS["offapexnet"], 3) / count_operations(METHODS["ststnet"], 3)
    assert found == {
        **{(name, "mmnet3"): 4.0 for name in ("flow-svm", "ststnet")},
        **{(name, "casme2-5"): pytest.approx(3.0) for name in ("flow-svm", "ststnet")},
        ("offapexnet", "mmnet3"): pytest.approx(4 * ratio),
        ("offapexnet", "casme2-5"): pytest.approx(3 * ratio),
    }


def test_operations_are_counted_layer_by_layer() -> None:
    """STSTNet: three 3x3 convolutions of 3 planes to 30x30, 16 filters in all; then 400 numbers to 3 classes."""
    assert count_operations(METHODS["ststnet"], 3) == 2 * (30 * 30 * 16 * 27 + 400 * 3)

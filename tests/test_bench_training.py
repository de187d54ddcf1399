"""What `mer bench` counts and how it measures; how fast anything is, no test says."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from counting import counting
from typer.testing import CliRunner

from mer_cli.bench.ceilings import Ceilings, count_layers, floor_seconds, step_bytes, step_operations
from mer_cli.bench.reference import ReleasedClips, reference_epoch, write_clips
from mer_cli.bench.training import bench_load, bench_loso, draw_windows, our_epoch, take_turns, uneven_folds
from mer_cli.cli import main
from mer_cli.errors import RunError
from mer_cli.runs.config import resolve_config
from mer_cli.runs.methods import METHODS
from mer_cli.training.cost import count_operations
from mer_cli.training.hardware import resolve_hardware


def config_of(**settings):
    return resolve_hardware(resolve_config(**{"device": "cpu", "compile": "off", "batch_size": 2} | settings), 0)


# The table of the network's parts, in billions of multiplications with an addition; each sums over names.
PARTS = {
    "stem.0": 0.061,
    "stem.3": 2.601,
    "blocks.0": 2.055,
    "blocks.1": 0.565,
    "blocks.2": 0.308,
    "blocks.3": 0.308,
    "position": 1.312,
    "head": 0.001,
}


def test_the_layers_sum_to_the_published_arithmetic():
    layers = count_layers(METHODS["mmnet"], 5)
    for part, expected in PARTS.items():
        counted = sum(layer.macs for layer in layers if layer.name.startswith(part)) / 1e9
        assert counted == pytest.approx(expected, abs=0.003), part
    assert 2 * sum(layer.macs for layer in layers) == pytest.approx(count_operations(METHODS["mmnet"], 5), rel=0.001)


def test_bytes_are_those_of_what_goes_in_and_out():
    (second,) = (layer for layer in count_layers(METHODS["mmnet"], 5) if layer.name == "stem.3")
    assert second.numbers == (180 + 128) * 112 * 112
    assert second.weights == 180 * 128 * 9
    assert step_bytes([second], 4, "bf16") == 3 * 2 * (4 * second.numbers + second.weights)
    assert step_bytes([second], 4, "fp32") == 2 * step_bytes([second], 4, "bf16")


def test_the_floor_is_the_longer_time_of_each_layer():
    layers = count_layers(METHODS["mmnet"], 5)
    endless = 1e30
    by_work = floor_seconds(layers, 32, "bf16", Ceilings(endless, 1e12))
    assert by_work["floor_s"] == pytest.approx(step_operations(layers, 32) / 1e12)
    by_bytes = floor_seconds(layers, 32, "bf16", Ceilings(1e12, endless))
    assert by_bytes["floor_s"] == pytest.approx(step_bytes(layers, 32, "bf16") / 1e12)
    both = floor_seconds(layers, 32, "bf16", Ceilings(1e12, 1e14))
    assert max(both["operations_s"], both["bytes_s"]) < both["floor_s"] < both["operations_s"] + both["bytes_s"]


def test_a_sample_of_the_plain_loader_is_nine_files_moved_by_one_draw(tmp_path, monkeypatch):
    (folder,) = write_clips(tmp_path, 1)
    assert len(list(folder.iterdir())) == 9
    for path in folder.iterdir():  # the same picture nine times: only one draw leaves onset and apex equal
        path.write_bytes((folder / "0.jpg").read_bytes())
    read = []
    from mer_cli.bench import reference

    actual = reference.read_image
    monkeypatch.setattr(reference, "read_image", lambda path: read.append(path) or actual(path))
    onset, apex, label = ReleasedClips([folder], config_of())[0]
    assert [path.name for path in read] == [f"{number}.jpg" for number in range(9)]
    assert onset.shape == (3, 224, 224)
    assert torch.equal(onset, apex)
    assert label == 0


def test_an_epoch_of_either_kind_trains_on_every_clip(tmp_path):
    config = config_of(model="resnet18-diff")
    loss, logits = our_epoch(config, 3, 2)()
    assert np.isfinite(float(loss))
    assert logits.shape == (2, 5)
    reference_epoch(config, write_clips(tmp_path, 3))()


def test_folds_are_uneven_and_hold_every_clip_out_once():
    folds = uneven_folds(249, 26)
    np.testing.assert_array_equal(np.concatenate(folds), np.arange(249))
    assert min(map(len, folds)) >= 2
    assert max(map(len, folds)) >= 15


def test_a_whole_experiment_on_the_cpu_is_said_to_be_projected(monkeypatch):
    from mer_cli.bench import training

    monkeypatch.setitem(training.SIZES, "cpu", ((2, 1), (4, 1)))
    monkeypatch.setattr(training, "CLIPS", 5)
    monkeypatch.setattr(training, "FOLDS", 2)
    figures = bench_loso(config_of(epochs=74, model="resnet18-diff"), Ceilings(1e10, 1e11))
    assert [(size["clips"], size["epochs"]) for size in figures["sizes"]] == [(2, 1), (4, 1)]
    whole = figures["whole"]
    assert whole["measured"] is False
    assert whole["pairs"] == 5 * 74
    assert whole["seconds"] == pytest.approx(figures["sizes"][-1]["s_per_1000_pairs"] * 0.37)


def test_windows_have_the_shape_of_a_stores():
    windows = draw_windows(2)
    assert windows.onset.shape == windows.apex.shape == (2, 7, 224, 224, 3)
    assert not np.array_equal(windows.onset, windows.apex)


@pytest.mark.slow
def test_processes_take_turns_and_one_that_dies_is_said():
    config = config_of()
    seconds = take_turns({"a": (partial(counting, step=0), config), "b": (partial(counting, step=1), config)}, 1)
    assert set(seconds) == {"a", "b"}
    assert all(of_kind["first_s"] > 0 < of_kind["median_s"] for of_kind in seconds.values())
    with pytest.raises(RunError) as error:
        take_turns({"a": (partial(counting, step=1), config)}, 3)
    assert str(error.value) == (
        "mer bench: the process that measures 'a' died, probably for lack of memory. "
        "Free some memory and run the command again."
    )


def test_reading_a_store_is_measured_beside_unpacking_it_twice(monkeypatch):
    monkeypatch.setattr("mer_cli.bench.training.LOADED", 3)
    figures = bench_load(repeats=1)
    assert figures["megabytes"] == pytest.approx(3 * 14 * 224 * 224 * 3 / 1e6)
    assert figures["ratio"] == pytest.approx(figures["gzip_twice_s"] / figures["store_s"])


def test_the_command_prints_json_and_text(monkeypatch):
    monkeypatch.setattr("mer_cli.bench.training.LOADED", 2)
    from mer_cli.bench import ceilings

    monkeypatch.setitem(ceilings.COPIED, "cpu", 2**20)
    monkeypatch.setitem(ceilings.SIDE, "cpu", 64)
    done = CliRunner().invoke(main.app, ["bench", "load", "--json", "--device", "cpu", "--repeats", "1"])
    assert done.exit_code == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["device"]
    assert figures["load"]["ratio"] > 0
    assert figures["ceilings"]["operations_per_s"] > 0
    done = CliRunner().invoke(main.app, ["bench", "load", "--device", "cpu", "--repeats", "1"])
    assert "GFLOP/s" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80

"""A classical method as an ordinary run: folds, resume, several stores, the null control, what it refuses, the CLI."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from moved_store import write_moved_store
from tiny_run import Silent, config_of
from tiny_store import SAMM_EMOTIONS, edited, write_store
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.run_text import train_command
from mer_cli.inference.maps import require_network
from mer_cli.report.collect import collect_runs
from mer_cli.runs.config import check_seeds, resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.fold_files import read_history
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.training.classical import C_GRID
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

FOLDS = ("casme2-01", "casme2-02", "casme2-03")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with its flow and the features of flow-svm."""
    path = write_moved_store(tmp_path_factory.mktemp("data") / "casme2.h5").path
    compute_inputs(plan_run([path], settings()))
    return path


def settings(**changes):
    return resolve_config(**({"model": "flow-svm", "scheme": "mmnet3", "flow": "fast"} | changes))


def train(stores, out, wanted=None, test_stores=(), **changes):
    listener = Silent()
    plan = plan_run(stores, settings(**changes), test_stores=test_stores, wanted=wanted)
    return train_run(plan, out, listener), listener


def logits_of(path, fold):
    with np.load(path / "folds" / fold / "logits.npz") as arrays:
        return arrays["logits"]


@pytest.fixture(scope="module")
def straight(store, tmp_path_factory):
    return train([store], tmp_path_factory.mktemp("straight"))[0]


def test_a_run_holds_the_folds_that_mmnet_has_and_no_weights(store, straight):
    run, mmnet = read_run(straight), plan_run([store], config_of())
    assert tuple(fold.fold for fold in run.folds) == FOLDS
    assert [fold.clip_ids for fold in run.folds] == [fold.test for fold in mmnet.folds]
    assert (run.labels, run.config.protocol_id) == (mmnet.labels, mmnet.config.protocol_id)
    assert {fold.logits.shape[0] for fold in run.folds} == {1}
    for fold in FOLDS:
        held = sorted(file.name for file in (straight / "folds" / fold).iterdir())
        assert held == ["done", "environment.json", "history.csv", "logits.npz"]


def test_a_history_says_what_c_was_chosen_by(straight):
    file = straight / "folds" / "casme2-02" / "history.csv"
    columns = METHODS["flow-svm"].history_columns
    assert file.read_text().splitlines()[0] == ",".join(("epoch", *columns))
    c, uf1, seconds = (read_history(file, name, 1)[0] for name in columns)
    assert c in C_GRID
    assert 0 <= uf1 <= 1
    assert seconds > 0


def test_a_resumed_run_has_the_bytes_of_one_in_one_go(store, straight, tmp_path):
    train([store], tmp_path, ["02"])
    path, listener = train([store], tmp_path)
    assert listener.folds == ["casme2-01", "casme2-03"]
    assert path.name == straight.name
    for fold in FOLDS:
        assert (path / "folds" / fold / "logits.npz").read_bytes() == (
            straight / "folds" / fold / "logits.npz"
        ).read_bytes()


def test_held_out_labels_reach_nothing(store, straight, tmp_path):
    folder = shutil.copytree(store.parent, tmp_path / "data")
    with edited(folder / "casme2.h5") as file:  # the features are the old ones: only the labels are others
        file["clips/emotion"][0], file["clips/emotion"][1] = "surprise", "happiness"
    other, _ = train([folder / "casme2.h5"], tmp_path)
    assert read_run(other).labels != read_run(straight).labels
    np.testing.assert_array_equal(logits_of(other, "casme2-01"), logits_of(straight, "casme2-01"))
    assert not np.array_equal(logits_of(other, "casme2-02"), logits_of(straight, "casme2-02"))


def test_the_null_control_permutes_by_the_seed(store, tmp_path):
    paths = [train([store], tmp_path, shuffle_labels=True, seed=seed)[0] for seed in range(6)]
    assert len({path.name for path in paths}) == 6
    assert len({logits_of(path, "casme2-03").tobytes() for path in paths}) > 1
    assert evaluate(read_run(paths[0]), "last").n_clips == 5


def test_several_stores_are_one_run_and_another_dataset_can_be_tested_on(store, tmp_path):
    samm = write_store(tmp_path / "samm.h5", SAMM_EMOTIONS)
    both, _ = train([samm, store], tmp_path, scheme="megc3")
    run = read_run(both)
    assert (len(run.folds), run.config.test_datasets) == (5, ("casme2", "samm"))
    across, _ = train([store], tmp_path, test_stores=[samm], scheme="megc3")
    (fold,) = read_run(across).folds
    assert (fold.fold, set(fold.clip_ids)) == ("samm", set(SAMM_EMOTIONS))


@pytest.mark.parametrize("model", [method.name for method in LIVE if method.kind == "classical"])
def test_every_descriptor_has_its_own_defaults(model):
    config, arrays = resolve_config(model=model), METHODS[model].sees.arrays
    assert (config.recipe, config.epochs, config.class_weight) == ("published", 1, "none")
    assert config.clip_frames == (10 if "flows" in arrays or model == "higo-top" else 0)
    assert config.interpolation == ("tim" if model == "higo-top" else "linear")
    is_canonical = model == "canonical-svm"
    assert (config.input, config.scale) == (("canonical", "one") if is_canonical else ("crop", "each"))
    assert config.flow == ("fast" if "flows" in arrays or is_canonical else "tvl1")


def no_effect(flag, model, whom="networks and learners"):
    return f"{flag} has no effect with --model {model}: it is for {whom}. Leave it out."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"epochs": 5},
            no_effect("--epochs", "flow-svm"),
        ),
        (
            {"inner_val": 3},
            no_effect("--inner-val", "flow-svm"),
        ),
        (
            {"device": "cuda"},
            no_effect("--device", "flow-svm"),
        ),
        (
            {"flip": 0.3},
            no_effect("--flip", "flow-svm", "networks that see two images"),
        ),
        (
            {"normalisation": "minmax8"},
            no_effect("--normalisation", "flow-svm", "networks that see motion"),
        ),
        (
            {"model": "lbp-top", "flow": "fast"},
            no_effect("--flow", "lbp-top", "methods that see optical flow"),
        ),
        (
            {"model": "lbp-top", "flow": None, "span": "apex"},
            no_effect("--span", "lbp-top", "descriptors of the flow over a clip"),
        ),
        (
            {"clip_frames": 10},
            no_effect("--clip-frames", "flow-svm", "descriptors that see whole clips"),
        ),
        (
            {"model": "hoof", "span": "apex", "interpolation": "tim"},
            "--interpolation has no effect with --span apex. Leave it out.",
        ),
        (
            {"model": "mmnet", "flow": None, "class_weight": "balanced"},
            no_effect("--class-weight", "mmnet", "classical methods"),
        ),
        (
            {"variant": "ca"},
            no_effect("--variant", "flow-svm", "MMNet"),
        ),
        ({"seed": 2}, "--seed has no effect with --model flow-svm, which is the same for every seed. Leave it out."),
        ({"recipe": "quick"}, "--recipe: flow-svm has no recipe 'quick'. Expected one of: published."),
        (
            {"model": "lbp-top", "flow": None, "clip_frames": 6},
            "--clip-frames must be 0, or at least 10 for lbp-top, got 6.",
        ),
    ],
)
def test_what_is_of_no_use_to_a_classical_method_is_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        settings(**changes)
    assert str(error.value) == message


def test_several_seeds_of_a_method_that_draws_nothing_are_refused():
    with pytest.raises(ConfigError) as error:
        check_seeds(METHODS["hoof"], 3, shuffle_labels=False)
    assert str(error.value) == (
        "--seeds has no effect with --model hoof, which is the same for every seed. "
        "Leave it out, or add --shuffle-labels for null controls."
    )
    check_seeds(METHODS["hoof"], 3, shuffle_labels=True)
    check_seeds(METHODS["mmnet"], 3, shuffle_labels=False)


def test_the_command_that_continues_a_run_is_of_the_same_run(store, straight):
    words = train_command(read_run(straight)).split()
    names = [word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--") and word != "--loso"]
    values = [words[words.index(f"--{name.replace('_', '-')}") + 1] for name in names]
    given = {name: value for name, value in zip(names, values, strict=True) if name != "out"}
    again = plan_run([store], resolve_config(**given | {"seed": int(given["seed"])}))
    assert again.config.run_name == straight.name


def test_what_a_run_without_epochs_and_maps_cannot_give_is_said(straight):
    for rule in ("best-test", "inner-val"):
        with pytest.raises(RunError) as error:
            collect_runs([straight]).under(rule)
        assert str(error.value) == (
            f"{straight}: flow-svm has no epochs for {rule} to choose from. Give --rule last, or leave the run out."
        )
    with pytest.raises(RunError) as error:
        require_network(read_run(straight))
    assert str(error.value) == (
        f"{straight}: Flow + SVM has no network that can be explained: it is a descriptor with a support-vector "
        "machine. Name a run of a network; `mer models` lists them."
    )


def test_the_commands_train_and_evaluate_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_moved_store(tmp_path / "data/casme2.h5")
    command = ["train", "--loso", "--scheme", "mmnet3", "--model", "flow-svm", "--flow", "fast"]
    first, second = (CliRunner().invoke(main.app, command) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr
    lines = first.stderr.splitlines()
    assert lines[0] == "casme2-mmnet3/5, leave one subject out: 3 of 3 folds, flow-svm and a support-vector machine"
    assert any(line.startswith("flow: 5 of 5") for line in lines)
    assert any(line.startswith("features: 5 of 5") for line in lines)
    assert lines[-1].startswith("fold casme2-03 done (3 of 3): ")
    assert "loss" not in first.stderr
    assert "features:" not in second.stderr
    assert first.stdout == second.stdout
    path = Path(first.stdout.strip())
    assert path.name.startswith("casme2-mmnet3-flow-svm-published-s1-")
    scored = CliRunner().invoke(main.app, ["evaluate", str(path)])
    assert scored.exit_code == 0
    assert "last (no epochs: nothing to choose)" in scored.stdout
    refused = CliRunner().invoke(main.app, ["evaluate", str(path), "--rule", "best-test"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"error: {path}: flow-svm has no epochs for best-test to choose from")


def test_what_a_classical_method_does_anyway_names_no_other_run():
    own = resolve_config(model="lbp-top")
    assert resolve_config(model="lbp-top", device="auto", precision="auto", compile="auto", seed=1) == own
    assert (own.device, own.precision, own.compile) == ("cpu", "fp32", "off")

"""Methods from outside the package through the whole training stage: identity, folds, and that no label leaks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from moved_store import write_moved_store
from own_methods import COUNTING, ESTIMATOR, LEARNER, NETWORK, write
from sklearn.svm import SVC
from tiny_run import Silent, assert_same_fold, config_of, train
from tiny_store import edited
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.errors import MerError
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.runs import own_code
from mer_cli.runs.changed_code import changed_since
from mer_cli.runs.directory import read_run
from mer_cli.runs.methods import METHODS
from mer_cli.training.classical import EstimatorTrainer
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

FOLDS = ("casme2-01", "casme2-02", "casme2-03")
DOORS = {
    "network": (NETWORK, "MyNet", {}),
    "learner": (LEARNER, "Nearest", {}),
    "estimator": (ESTIMATOR, "pipeline", {"features": "flow", "flow": "fast"}),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_moved_store(tmp_path_factory.mktemp("store") / "casme2.h5").path


def spec(folder, text, name):
    return f"{write(folder, text)}:{name}"


def logits_of(path, fold):
    with np.load(path / "folds" / fold / "logits.npz") as arrays:
        return arrays["logits"]


def train_door(door, stores, out, wanted=None, text=None, **changes):
    source, name, settings = DOORS[door]
    settings = settings | ({} if door == "network" else {"epochs": None, "batch_size": None}) | changes
    return train(stores, out, wanted, model=spec(out, text or source, name), **settings)[0]


@pytest.mark.parametrize("door", DOORS)
def test_a_held_out_label_moves_no_logit_and_a_training_label_does(door, store, tmp_path):
    folder = shutil.copytree(store.parent, tmp_path / "data")
    with edited(folder / "casme2.h5") as file:  # the two clips of subject 01
        file["clips/emotion"][0], file["clips/emotion"][1] = "surprise", "happiness"
        file["clips/action_units"][0] = "4+7"
    one, other = (train_door(door, path, tmp_path / name) for path, name in ((store, "a"), (folder / "casme2.h5", "b")))
    assert read_run(one).labels != read_run(other).labels
    np.testing.assert_array_equal(logits_of(one, "casme2-01"), logits_of(other, "casme2-01"))
    assert not np.array_equal(logits_of(one, "casme2-02"), logits_of(other, "casme2-02"))


@pytest.mark.parametrize("door", DOORS)
def test_folds_trained_apart_equal_the_straight_run(door, store, tmp_path):
    straight, apart = train_door(door, store, tmp_path / "a"), None
    for subject in ("03", "01", "02"):
        apart = train_door(door, store, tmp_path / "b", [subject])
    assert apart.name == straight.name
    for fold in FOLDS:
        np.testing.assert_array_equal(logits_of(apart, fold), logits_of(straight, fold))
    assert evaluate(read_run(straight), "last").n_clips == 5


def test_a_copy_of_ststnet_from_outside_has_the_bits_of_the_built_in_network(store, tmp_path):
    ours = Path(METHODS["ststnet"].load().__init__.__code__.co_filename).read_text(encoding="utf-8")
    settings = {"epochs": 3, "flow": "fast"}
    recipe = dict(METHODS["ststnet"].recipes["published"]) | {"epochs": 3, "decay_epochs": 3}
    copied = ours.replace("class STSTNet(nn.Module):", f"class Copy(nn.Module):\n    RECIPE = {recipe!r}")
    built_in, _ = train(store, tmp_path / "a", model="ststnet", **settings)
    brought, _ = train(store, tmp_path / "b", model=spec(tmp_path, copied, "Copy"), **settings)
    for fold in FOLDS:
        assert_same_fold(built_in, brought, fold)


def test_a_counter_that_no_state_dict_holds_does_not_reach_the_next_fold(store, tmp_path):
    text = spec(tmp_path, COUNTING, "MyNet")
    straight, _ = train(store, tmp_path / "a", model=text)
    alone, _ = train(store, tmp_path / "b", ["03"], model=text)
    assert_same_fold(straight, alone, "casme2-03")


def test_a_network_that_says_that_it_keeps_no_state_is_one_module_for_all_folds(store, tmp_path):
    text = NETWORK.replace("    def __init__", "    KEEPS_NO_STATE = True\n\n    def __init__")
    fresh, _ = train(store, tmp_path / "a", model=spec(tmp_path / "one", NETWORK, "MyNet"))
    shared, _ = train(store, tmp_path / "b", model=spec(tmp_path / "two", text, "MyNet"))
    for fold in FOLDS:
        assert_same_fold(fresh, shared, fold)


def test_folds_in_workers_have_the_bits_of_folds_in_turn(store, tmp_path):
    plan = plan_run([store], config_of(model=spec(tmp_path, NETWORK, "MyNet")))
    in_turn = train_run(plan, tmp_path / "a", Silent(), folds_at_once=1)
    in_workers = train_run(plan, tmp_path / "b", Silent(), folds_at_once=2)
    threads = torch.get_num_threads()
    for fold in FOLDS if threads == 1 else ():
        assert_same_fold(in_turn, in_workers, fold)
    assert not read_run(in_workers).missing


def test_options_and_source_are_in_the_runs_name_and_a_default_that_is_given_is_not(store, tmp_path):
    text = spec(tmp_path, NETWORK, "MyNet")

    def name_of(**changes):
        return plan_run([store], config_of(model=text, **changes)).config.run_name

    plain = name_of()
    assert plain.startswith("casme2-mmnet3-mynet-plain-s1-")
    assert name_of(options={"width": "4"}) == plain != name_of(options={"width": "8"})
    write(tmp_path, NETWORK.replace("\n", "\r\n"))
    assert name_of() == plain
    write(tmp_path, NETWORK + "# a remark\n")
    assert name_of() != plain


def test_a_module_beside_the_file_is_part_of_its_source(store, tmp_path):
    text = spec(
        tmp_path, "from own_layers import width\n" + NETWORK.replace("width: int = 4", "width: int = width"), "MyNet"
    )
    write(tmp_path, "width = 4\n", "own_layers.py")
    plan = plan_run([store], config_of(model=text))
    path = train_run(plan, tmp_path / "runs", Silent())
    assert sorted(file.name for file in (path / "source").iterdir()) == ["mynet.py", "own_layers.py"]
    files = dict(own_code.sources_of(plan.config.foreign))
    assert own_code.hash_of(files) == plan.config.foreign.source_sha256
    assert own_code.hash_of(files | {"own_layers.py": b"width = 5\n"}) != plan.config.foreign.source_sha256


def test_a_file_that_is_edited_while_its_run_trains_changes_no_fold(store, tmp_path):
    whole, _ = train(store, tmp_path / "whole", model=spec(tmp_path, NETWORK, "MyNet"))

    class Editing(Silent):
        def on_fold_end(self):
            spec(tmp_path, NETWORK.replace("ReLU", "Tanh"), "MyNet")

    plan = plan_run([store], config_of(model=spec(tmp_path, NETWORK, "MyNet")))
    spec(tmp_path, NETWORK.replace("ReLU", "GELU"), "MyNet")  # while the flow is computed, say
    path = train_run(plan, tmp_path / "runs", Editing())
    assert path.name == whole.name
    assert (path / "source" / "mynet.py").read_text() == NETWORK
    for fold in FOLDS:
        assert_same_fold(whole, path, fold)


def test_tied_weights_are_written(store, tmp_path):
    text = NETWORK.replace("    def forward", "        self.again = self.layers[2]\n\n    def forward")
    assert not read_run(train_door("network", store, tmp_path, text=text)).missing


def test_an_option_may_have_any_name(store, tmp_path):
    text = NETWORK.replace("width: int = 4", "method: int = 4, n_clips=1").replace("width", "method")
    out = tmp_path / "runs"
    assert not read_run(train_door("network", store, out, text=text, options={"method": "3", "n_clips": "2"})).missing


def test_a_decision_function_with_a_column_for_each_pair_of_classes_is_not_taken_for_the_classes():
    features = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    labels = np.arange(60) % 3
    machine = SVC(decision_function_shape="ovo").fit(features, labels)
    assert machine.decision_function(features).shape == (60, 3)
    values = EstimatorTrainer._values(None, machine, features)
    np.testing.assert_array_equal(values.argmax(axis=1), machine.predict(features))


BROKEN = {
    "no classes": (
        ("estimator", "from sklearn.linear_model import Ridge\n\npipeline = Ridge()\n"),
        "mynet.py:pipeline: Ridge is not a classifier: it has no classes_ after fit. Give a classifier of "
        "scikit-learn, or a pipeline that ends with one.",
    ),
    "an error of scikit-learn": (
        ("estimator", "from sklearn.svm import SVC\n\npipeline = SVC(C=-1.0)\n"),
        "mynet.py:pipeline, in scikit-learn: InvalidParameterError: The 'C' parameter of SVC must be a float in the "
        "range (0.0, inf]. Got -1.0 instead. Correct the file.",
    ),
    "complex values": (
        ("learner", LEARNER.replace("return logits", "return logits * 1j")),
        "mynet.py:Nearest: fit_predict returned a complex array of shape (2, 2, 3). Expected (epochs, clips, classes), "
        "here (2, 2, 3). The number of epochs is --epochs, or RECIPE = {'epochs': N} in the class.",
    ),
    "values that float32 can't tell apart": (
        ("learner", LEARNER.replace("return logits", "return logits * 0 + 1e9 + np.arange(3)")),
        "mynet.py:Nearest: fit_predict returned values up to 1e+09, whose best class is lost in float32. Subtract each "
        "clip's highest value from its values.",
    ),
    "an exit with code 0": (
        ("learner", LEARNER.replace("return logits", "raise SystemExit(0)")),
        "mynet.py:Nearest, line 22: SystemExit: 0. Correct the file.",
    ),
    "values that are not finite": (
        ("learner", LEARNER.replace("return logits", "return logits * np.inf")),
        "mynet.py:Nearest: fold casme2-01: the logits are not finite after epoch 1, so the fold is not written. "
        "Correct the method.",
    ),
    "a tuple of the whole batch": (
        (
            "network",
            NETWORK.replace(
                "return self.",
                "if len(onset) > 2 or not self.training:\n            return (onset,)\n        return self.",
            ),
        ),
        "mynet.py:MyNet: forward returned a value of type tuple. Expected (1, 3): a row of logits for each clip of the "
        "batch.",
    ),
    "a layer that forward makes": (
        (
            "network",
            NETWORK.replace("        return", "        self.late = nn.Linear(2, 2)\n        return"),
        ),
        "mynet.py:MyNet: forward makes the parameter late.weight, which would never be trained, because the optimiser "
        "has the parameters of before. Make it in __init__.",
    ),
    "a lazy layer": (
        ("network", NETWORK.replace("nn.Linear(3 * 7 * 7,", "nn.LazyLinear(")),
        "mynet.py:MyNet: the size of layers.2.weight is not known before forward. Use no Lazy module.",
    ),
    "complex weights": (
        (
            "network",
            NETWORK.replace("nn.Dropout(0.2)", "nn.Linear(2, 2, dtype=torch.complex64)").replace(
                "from torch", "import torch\nfrom torch", 1
            ),
        ),
        "mynet.py:MyNet: the parameter layers.4.weight is torch.complex64. Expected real numbers of floating point.",
    ),
    "a state that is not a tensor": (
        ("network", NETWORK + "\n    def get_extra_state(self):\n        return {}\n"),
        "mynet.py:MyNet: _extra_state in its state_dict is of type dict. Expected a tensor, which can be written with "
        "the weights.",
    ),
    "a default that is changed in __init__": (
        (
            "network",
            NETWORK.replace("        super", "        torch.set_default_dtype(torch.float64)\n        super")
            .replace("from torch", "import torch\nfrom torch", 1)
            .replace("apex - onset", "(apex - onset).double()"),
        ),
        "mynet.py:MyNet: changes torch's default dtype from torch.float32 to torch.float64, for every method in this "
        "process. Convert the network alone: self.double() in __init__, and its inputs in forward.",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_code_that_misbehaves_ends_the_training_with_one_error(what, store, tmp_path):
    (door, text), message = BROKEN[what]
    with pytest.raises(MerError) as caught:
        train_door(door, store, tmp_path, text=text)
    assert str(caught.value) == message


def test_changed_code_begins_another_run_and_says_so(store, tmp_path):
    out = tmp_path / "runs"
    first, _ = train(store, out, ["01", "02"], model=spec(tmp_path, NETWORK, "MyNet"))
    changed = plan_run([store], config_of(model=spec(tmp_path, NETWORK.replace("0.2", "0.3"), "MyNet")))
    assert list(changed_since(out, changed)) == [
        f"mynet.py changed since 2 of 3 folds of {first} were trained: this is another run."
    ]
    second = train_run(changed, out, Silent())
    assert second != first
    assert len(list(changed_since(out, changed))) == 1  # the run itself is not one that its code has changed since
    assert read_run(first).missing == ("casme2-03",)
    assert not read_run(second).missing
    unchanged = plan_run([store], config_of(model=spec(tmp_path, NETWORK, "MyNet"), epochs=1))
    assert list(changed_since(out, unchanged)) == []


def test_a_run_is_read_scored_and_reported_where_its_code_is_not(store, tmp_path, monkeypatch):
    paths = [train_door(door, store, tmp_path / "runs") for door in DOORS]
    (tmp_path / "runs" / "mynet.py").unlink()
    monkeypatch.setattr(own_code, "_KNOWN", {})
    monkeypatch.setattr(own_code, "import_code", lambda origin: pytest.fail("reading a run imported its code"))
    result = CliRunner().invoke(main.app, ["evaluate", *map(str, paths)])
    assert result.exit_code == 0, result.output
    assert "mynet, plain recipe" in result.stdout
    report = CliRunner().invoke(main.app, ["report", str(tmp_path / "runs"), "--table", "methods"])
    assert report.exit_code == 0, report.output
    rows = [line.split(" | ")[0] for line in report.stdout.splitlines() if line.startswith("| ") and "(own)" in line]
    assert sorted(rows) == [
        "| MyNet (own), plain recipe, epochs 2, batch size 2",
        "| Nearest (own), own recipe",
        "| pipeline (own), on the vectors of flow-svm, plain recipe, flow fast",
    ]


def test_a_run_whose_code_is_not_there_says_so_where_code_is_needed(store, tmp_path, monkeypatch):
    plan = plan_run([store], config_of(model=spec(tmp_path, NETWORK, "MyNet")))
    monkeypatch.setattr(own_code, "_KNOWN", {})
    with pytest.raises(own_code.ConfigError, match=r"^mynet.py:MyNet: this run's method is not part of mer, and its"):
        plan.config.method.load()


def test_a_config_file_names_your_own_method_and_its_options_and_replays_its_run(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = spec(tmp_path / "code", NETWORK, "MyNet")
    settings = ["--loso", "--scheme", "mmnet3", "--epochs", "1", "--batch-size", "2", "--device", "cpu"]
    brought = ["--model", text, "--set", "width=8"]

    def mer(*words):
        result = CliRunner().invoke(main.app, ["train", *map(str, words)])
        assert result.exit_code == 0, result.output
        return result.stdout

    (tmp_path / "run.toml").write_text(mer(store, *settings, *brought, "--print-config"), encoding="utf-8")
    first = Path(mer(store, *settings, *brought).strip())
    assert mer("--config", "run.toml", "--out", "again").strip() == str(Path("again") / first.name)
    again = ["--config", first / "config.json", "--model", text]
    assert mer(*again, "--out", "replayed").strip() == str(Path("replayed") / first.name)
    for fold in FOLDS:
        assert_same_fold(first, Path("replayed") / first.name, fold)
    write(tmp_path / "code", NETWORK + "# changed\n")
    refused = CliRunner().invoke(main.app, ["train", *map(str, again), "--out", "third"])
    assert refused.exit_code == 1
    assert refused.stderr.strip() == (
        f"error: {first / 'config.json'}: the code of mynet is not what the run was trained with. It would be another "
        f"run. A copy of that code is in {first / 'source'}: name it with --model, or leave --config out."
    )
    unnamed = CliRunner().invoke(main.app, ["train", "--config", str(first / "config.json"), "--out", "fourth"])
    assert unnamed.stderr.strip() == (
        f"error: {first / 'config.json'}: the run is of your own method mynet.py:MyNet. Name its code, which is "
        f"executed: --model FILE.py:CLASS. The run's copy is {first / 'source' / 'mynet.py:MyNet'}; read it before you "
        "use it."
    )


def test_a_file_that_is_saved_while_the_command_runs_changes_no_fold(store, tmp_path):
    text = spec(tmp_path, NETWORK, "MyNet")
    whole, _ = train(store, tmp_path / "a", model=text)
    plan = plan_run([store], config_of(model=text))

    class Saves(Silent):
        def on_fold(self, fold):
            super().on_fold(fold)
            write(tmp_path, NETWORK.replace("apex - onset", "apex"))

    again = train_run(plan, tmp_path / "b", Saves(), folds_at_once=1)
    for fold in FOLDS:
        assert_same_fold(whole, again, fold)


def test_a_default_of_torch_that_the_process_has_changed_is_refused_before_training(store, tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(MerError) as caught:
            train(store, tmp_path, model="ststnet", flow="fast")
    finally:
        torch.set_default_dtype(torch.float32)
    assert str(caught.value) == (
        "torch's default dtype is torch.float64 in this process. Expected torch.float32, so that a run is the same "
        "everywhere. Set it back before you train."
    )

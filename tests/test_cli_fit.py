"""`mer fit` and `mer import-official` as their user meets them."""

import json
from pathlib import Path

import pytest
import torch
from complete_store import complete_store
from moved_store import write_moved_store
from test_models_official import official_state_dict
from typer.testing import CliRunner

from mer_cli.cli import main
from mer_cli.inference.open_model import open_model

FIT = ("fit", "data/casme2.h5", "--scheme", "mmnet3", "--model", "ststnet", "--device", "cpu", "--flow", "fast")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    complete_store(write_moved_store(Path("data/casme2.h5")).path)


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_it_prints_the_folder_of_the_model():
    done = mer(*FIT, "--epochs", "2")
    assert done.exit_code == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent == Path("models")
    assert folder.name.startswith("casme2-mmnet3-ststnet-published-s1-")
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "model.json", "model.safetensors"]
    assert "generated faces: no score of this run is a result on the dataset" in done.stderr
    assert "epochs: 2 of 2" in done.stderr


def test_a_run_that_is_not_there_ends_it_before_anything_is_trained():
    done = mer(*FIT, "--calibrate", "runs/none")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error: runs/none: not a run directory, it has no config.json." in done.stderr
    assert not Path("models").exists()


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    file = tmp_path_factory.mktemp("released") / "best.pth"
    torch.save(official_state_dict(), file)
    return file


def facts_in(folder):
    return json.loads((Path(folder) / "model.json").read_text())["facts"]


def test_released_weights_become_a_folder_of_which_nothing_is_known(released):
    done = mer("import-official", released, "--out", "official")
    assert (done.exit_code, done.stdout) == (0, "official/model.safetensors\n")
    model = open_model(Path("official"))
    assert model.facts.class_names == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert (model.facts.datasets, model.facts.n_clips, model.facts.score) == ((), 0, None)
    assert "**Nobody here knows.**" in Path("official/card.md").read_text(encoding="utf-8")
    assert mer("import-official", released, "--out", "official").exit_code == 0  # the same again


def test_released_weights_take_the_class_names_of_their_script(released):
    assert mer("import-official", released, "--out", "five", "--scheme", "casme2-5").exit_code == 0
    assert facts_in("five")["class_names"] == ["happiness", "repression", "disgust", "surprise", "others"]
    assert mer("import-official", released, "--out", "three", "--scheme", "mmnet3").exit_code == 0
    assert facts_in("three")["class_names"] == ["positive", "surprise", "negative", "unused 3", "unused 4"]
    refused = mer("import-official", released, "--out", "samm", "--scheme", "samm-5")
    assert refused.stderr == (
        "error: --scheme: Unknown released script 'samm-5'. Known: casme2-5, mmnet3. In which order other copies of "
        "the script number their classes is not known here: leave --scheme out.\n"
    )


def test_weights_of_another_number_of_classes_are_not_named(tmp_path):
    torch.save(official_state_dict(n_classes=7), "seven.pth")
    refused = mer("import-official", "seven.pth", "--out", "seven", "--scheme", "mmnet3")
    assert refused.stderr == (
        "error: --scheme mmnet3: seven.pth has 7 outputs, and the script of this scheme saves 5 or 3. Leave --scheme "
        "out, or give the other one.\n"
    )
    assert not Path("seven").exists()

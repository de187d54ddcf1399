"""`mer export` as its user meets it: files that answer as folds and fitted models do, and what is refused."""

import numpy as np
import pytest
from complete_store import complete_store
from moved_store import write_moved_store
from new_clips import held_out, new_clips
from tiny_run import config_of, train
from typer.testing import CliRunner

from mer_cli import resolve_config
from mer_cli.cli import main
from mer_cli.inference.fit_model import check_fit, fit_model
from mer_cli.inference.onnx_model import open_onnx
from mer_cli.inference.open_model import open_model
from mer_cli.inference.purpose import PURPOSE
from mer_cli.runs.directory import read_run
from mer_cli.training.fit import plan_fit
from mer_cli.training.inputs import compute_inputs

# Small, and normalised by the training clips of each fold.
MODEL = {"model": "ststnet", "flow": "fast", "normalisation": "standard", "epochs": 2, "precision": "fp32"}


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def refusal(*arguments):
    result = mer("export", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.strip().removeprefix(PURPOSE).strip()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return complete_store(write_moved_store(tmp_path_factory.mktemp("store") / "casme2.h5").path)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return train(store, tmp_path_factory.mktemp("runs"), **MODEL)[0]


def fit(store, folder, config):
    plan = plan_fit([store], config)
    facts = check_fit(plan, folder, None)
    compute_inputs(plan)
    return fit_model(plan, folder, facts, lambda *_: None)


@pytest.fixture(scope="module")
def fitted(store, tmp_path_factory):
    return fit(store, tmp_path_factory.mktemp("models") / "model", config_of(**MODEL))


def test_the_file_of_each_fold_gives_the_logits_that_the_run_stored(run, store):
    result = mer("export", run, "--onnx", "--fold", "casme2-01", "--fold", "casme2-02")
    assert result.exit_code == 0, result.stderr
    files = [run / "onnx" / f"casme2-{subject}.onnx" for subject in ("01", "02")]
    assert result.stdout.splitlines() == [str(file) for file in files]
    assert result.stderr.count("note: checked on 5 stored clips: largest difference from torch ") == 2
    assert result.stderr.startswith(f"{PURPOSE}\n")
    assert "note: generated: not a result on any dataset\n" in result.stderr
    for file in files:
        model = open_onnx(file)
        assert (model.record.model, model.record.fold) == (run.name, file.stem)
        assert model.facts == open_model(run).facts
        stored = held_out(read_run(run), file.stem)
        logits = model.logits(new_clips(store, stored))[0]
        np.testing.assert_allclose(logits, np.stack(list(stored.values())), atol=1e-5)


@pytest.fixture(scope="module")
def file(fitted, store):
    """The file of the model folder."""
    result = mer("export", fitted, "--onnx", "--store", store)
    assert (result.exit_code, result.stdout) == (0, f"{fitted.with_name('model.onnx')}\n"), result.stderr
    return fitted.with_name("model.onnx")


def test_the_file_of_a_model_folder_answers_as_the_folder(file, fitted, store):
    clips = new_clips(store, ["casme2/01/EP01_01", "casme2/03/EP01_01"])
    np.testing.assert_allclose(open_model(file).logits(clips), open_model(fitted).logits(clips), atol=1e-5)
    assert (open_model(file).record.model, open_model(file).record.fold) == ("model", "")


def test_without_a_store_the_check_says_that_its_inputs_were_drawn(fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = mer("export", fitted, "--onnx", "--out", "here/model.onnx")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "here/model.onnx\n"
    assert "note: checked on drawn inputs, because no store was found: largest difference from torch " in result.stderr


def test_what_cannot_be_exported_is_refused(run, fitted, store, tmp_path):
    assert refusal(fitted) == f"error: mer export needs --onnx, the only format. Type: mer export {fitted} --onnx"
    assert refusal(run, "--onnx", "--fold", "casme2-9") == (
        "error: --fold: Unknown fold 'casme2-9'. Known: casme2-01, casme2-02, casme2-03. Did you mean 'casme2-03'?"
    )
    assert refusal(fitted, "--onnx", "--fold", "casme2-01") == (
        f"error: --fold has no effect with {fitted}, which has one network. Leave it out."
    )
    assert refusal(run, "--onnx", "--out", "one.onnx") == (
        f"error: --out one.onnx: {run} has 3 networks to export, one for each fold. Give a folder, or name one fold: "
        "--fold ID."
    )
    assert refusal(fitted, "--onnx", "--out", tmp_path) == (
        f"error: --out {tmp_path}: is a folder. Give a file, such as {tmp_path / fitted.name}.onnx."
    )


def test_a_support_vector_machine_is_refused(store, tmp_path):
    folder = fit(store, tmp_path / "model", resolve_config(model="bi-woof", scheme="mmnet3", flow="fast"))
    assert refusal(folder, "--onnx") == (
        f"error: {folder}: bi-woof is a descriptor with a support-vector machine, and only networks can be exported. "
        "Fit one, for example: mer fit --model ststnet."
    )


def test_a_file_that_is_exported_already_is_refused(file):
    assert refusal(file, "--onnx") == (
        f"error: {file}: is an ONNX file already. Give a folder that mer fit wrote, or a run directory."
    )

"""A fitted model of action units: what it keeps, and how its answers look in text, CSV and JSON."""

import csv
import io
import json
import re

import numpy as np
import pytest
from complete_store import complete_store
from fixed_model import FixedModel, facts_of
from made_prediction import answered, prediction_of, silent
from moved_store import write_moved_store
from new_clips import new_clips
from scipy.optimize import minimize_scalar
from scipy.special import expit
from test_inference_predict import ask, smiling
from tiny_store import EMOTIONS

from mer_cli.datasets.unit_masks import bits_of
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.inference.answers import text_lines, to_csv, to_json
from mer_cli.inference.export_model import export_model
from mer_cli.inference.fit_model import check_fit, fit_model
from mer_cli.inference.open_model import open_model
from mer_cli.report.prediction_page import render_page
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.training.fit import plan_fit
from mer_cli.training.inputs import compute_inputs
from mer_cli.training.plan import plan_run
from mer_cli.training.train import train_run

UNITS = ("AU4", "AU7", "AU12")


def unit_facts(**changes):
    fields = {"class_names": UNITS, "scheme": "units-4-7-12", "score": None, "temperature": 1.0}
    return facts_of(**fields | {"clips_of_class": dict(zip(UNITS, (40, 30, 3), strict=True))} | changes)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return complete_store(write_moved_store(tmp_path_factory.mktemp("units") / "casme2.h5").path)


def fit(store, folder, model, **settings):
    config = resolve_config(model=model, scheme="units-4-7-12", flow="fast", **settings)
    plan = plan_fit([store], config)
    facts = check_fit(plan, folder, None)
    compute_inputs(plan)
    return open_model(fit_model(plan, folder, facts, lambda epoch, loss: None))


@pytest.mark.parametrize("model", ["canonical-cnn", "canonical-svm"])
def test_a_fitted_model_answers_with_a_logit_for_each_unit(store, tmp_path, model):
    settings = {"device": "cpu", "epochs": 2} if model == "canonical-cnn" else {}
    held = fit(store, tmp_path / "m", model, **settings)
    logits = held.logits(new_clips(store, EMOTIONS))
    assert (logits.shape, held.facts.predicts_units) == ((1, 5, 3), True)
    assert held.facts.clips_of_class == {"AU4": 2, "AU7": 0, "AU12": 2}
    if model == "canonical-svm":
        assert (logits[0, :, 1] == -1).all()  # no training clip shows AU7
    card = (tmp_path / "m/card.md").read_text()
    assert "| action unit | clips |" in card
    assert "It knows 3 action units (AU4, AU7, AU12)." in card
    assert "names one of them" not in card


WITH_GRAPH = """
import mer_cli
import torch
from torch import nn

class Net(nn.Module):
    INPUT = mer_cli.MotionInput(16, ("u", "v"), units=(4, 12))
    RECIPE = {"epochs": 1, "input": "canonical", "flow": "fast"}

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(512 + 4, n_classes)

    def forward(self, motion, graph):
        return self.head(torch.cat([motion.flatten(1), graph.reshape(1, -1).expand(len(motion), -1)], 1))
"""


def test_your_own_network_that_sees_a_graph_of_units_is_asked_about_halves_too(store, tmp_path):
    (tmp_path / "net.py").write_text(WITH_GRAPH, encoding="utf-8")
    code = f"{tmp_path / 'net.py'}:Net"
    plan = plan_fit([store], resolve_config(model=code, scheme="units-4-7-12", device="cpu"))
    facts = check_fit(plan, tmp_path / "m", None)
    compute_inputs(plan)
    held = open_model(fit_model(plan, tmp_path / "m", facts, lambda epoch, loss: None), code=code)
    assert held.half_logits(new_clips(store, EMOTIONS)).shape == (2, 1, 5, 3)


def unit_model(*logits, **facts):
    held = FixedModel(logits)
    held.facts = unit_facts(**facts)
    return held


def test_a_clip_is_answered_with_the_probability_of_each_unit_and_those_above_a_half():
    (answer,) = ask(smiling(), unit_model([2.0, -0.1, 0.1]), onset=1, apex=5, with_maps=True).answers
    assert (answer.label, answer.spread, answer.abstains, answer.attention) == ("AU4+AU12", None, (), None)
    np.testing.assert_allclose(answer.probabilities, expit([2.0, -0.1, 0.1]), rtol=1e-6)


def test_several_networks_answer_with_the_mean_of_their_probabilities():
    logits = np.array([[4.0, -3.0, 0.0], [-1.0, -2.0, 0.0]])
    (answer,) = ask(smiling(), unit_model(*logits, temperature=2.0), onset=1, apex=5).answers
    np.testing.assert_allclose(answer.probabilities, expit(logits / 2).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(answer.spread, expit(logits / 2).std(axis=0, ddof=1), rtol=1e-6)
    assert answer.label == "AU4"


def test_a_model_that_is_not_calibrated_names_units_without_a_number():
    held = unit_model([2.0, -0.1, 0.1], [2.0, -0.2, 0.2], temperature=None)
    held.halves = np.array([[[9.0, 9.0, -9.0]], [[9.0, -9.0, 9.0]]])
    (answer,) = ask(smiling(), held, onset=1, apex=5).answers
    assert (answer.label, answer.probabilities, answer.spread) == ("AU4+AU12", None, None)
    assert answer.sides == ("both", "", "right")


def test_a_clip_that_shows_no_unit_is_not_a_missing_answer():
    (answer,) = ask(smiling(), unit_model([-2.0, -1.0, -3.0]), onset=1, apex=5).answers
    assert (answer.label, answer.abstains) == ("none", ())


def said(temperature=1.0, **changes):
    fields = {"label": "AU4+AU7", "probabilities": (0.75, 0.625, 0.125), "spread": None}
    return prediction_of(answered(**fields | changes), silent(), facts=unit_facts(temperature=temperature))


def unsure(**changes):
    return said(None, probabilities=None, **changes)


def test_text_names_the_units_above_a_half_or_the_likeliest():
    lines = list(text_lines([said(), said(label="none", probabilities=(0.25, 0.375, 0.125))]))
    assert lines[1] == "  frames 101 to 121 (0.50 to 0.60 s): AU4 75%, AU7 62%"
    assert lines[2].endswith("no answer. No face was found on frame 401.")
    assert lines[4].endswith("): none of the 3 action units; the likeliest: AU7 38%")
    (of_several,) = list(text_lines([said(spread=(0.1, 0.2, 0.3))]))[1:2]
    assert of_several.endswith("AU4 75% ±10% over the networks, AU7 62% ±20% over the networks")


def test_text_of_a_model_that_is_not_calibrated_has_no_number():
    lines = list(text_lines([unsure(sides=("left", "both", "")), unsure(label="none")]))
    assert lines[1].endswith("): AU4 on the left, AU7; how sure that is, nobody knows")
    assert lines[4].endswith("): none of the 3 action units; how sure that is, nobody knows")
    told = "Its probabilities are not calibrated, so they are not shown: mer fit --calibrate RUN makes them so."
    assert told in lines


def test_csv_of_a_model_that_is_not_calibrated_has_units_and_sides():
    first = next(csv.DictReader(io.StringIO(to_csv([unsure(sides=("left", "", ""))]))))
    assert (first["units"], first["sides"], first["p_AU4"]) == ("AU4+AU7", "AU4 left", "")


def test_csv_has_the_units_and_a_column_for_each():
    first, second = csv.DictReader(io.StringIO(to_csv([said()])))
    assert (first["units"], first["p_AU4"], first["p_AU7"], first["p_AU12"]) == (
        "AU4+AU7",
        "0.7500",
        "0.6250",
        "0.1250",
    )
    assert (second["units"], second["p_AU12"], second["abstains"]) == ("", "", "No face was found on frame 401.")
    assert not {"emotion", "probability"} & first.keys()
    (empty,) = csv.DictReader(io.StringIO(to_csv([nothing()])))
    assert empty["abstains"] == "It has 15 frames a second."


def nothing():
    held = said()
    return type(held)(**vars(held) | {"answers": (), "abstains": ("It has 15 frames a second.",)})


def test_json_has_a_list_of_units_and_no_emotion():
    clips = json.loads(to_json([said(), said(label="none")]))["recordings"]
    (first, abstained), (none, _) = (recording["clips"] for recording in clips)
    assert (first["units"], none["units"], abstained["units"]) == (["AU4", "AU7"], [], None)
    assert first["probabilities"] == {"AU4": 0.75, "AU7": 0.625, "AU12": 0.125}
    assert "emotion" not in first


def test_the_page_draws_a_bar_for_each_unit_of_a_calibrated_model():
    page = render_page([said()])
    assert "Probability of each action unit" in page
    assert "AU4 75%, AU7 62%" in page
    assert "Probability of each action unit" not in render_page([unsure()])


def test_a_quoted_run_calibrates_each_unit_of_each_clip_and_gives_the_mean_f1(store, tmp_path):
    settings = {"model": "canonical-cnn", "scheme": "units-4-7-12", "flow": "fast", "device": "cpu", "epochs": 2}
    config = resolve_config(**settings)
    plan = plan_run([store], config)
    compute_inputs(plan)
    path = train_run(plan, tmp_path / "runs")
    fitted = plan_fit([store], config)
    facts = check_fit(fitted, tmp_path / "m", path)
    run = read_run(path)
    logits = np.concatenate([fold.logits[-1] for fold in run.folds]).astype(float)
    truth = bits_of([run.labels[clip] for fold in run.folds for clip in fold.clip_ids], 3)
    assert facts.score.uf1 == evaluate(run, "last").uf1

    def loss(temperature):
        return float(np.mean(np.logaddexp(0, logits / temperature) - truth * logits / temperature))

    least = minimize_scalar(lambda log: loss(np.exp(log)), bounds=(np.log(0.05), np.log(100)), method="bounded")
    assert loss(facts.temperature) <= least.fun + 1e-9
    fit_model(fitted, tmp_path / "m", facts, lambda epoch, loss: None)
    card = (tmp_path / "m/card.md").read_text()
    assert f"it reached mean F1 {facts.score.uf1:.4f} (95 % interval over subjects" in card
    assert "Always naming every action unit has mean F1" in card
    assert not re.search(r"\bUF1\b|\bUAR\b", card)
    held = open_model(path, [store])  # the networks of the folds
    assert held.logits(new_clips(store, EMOTIONS)).shape == (3, 5, 3)
    assert held.facts.temperature == facts.temperature


def test_an_exported_network_gives_the_probability_of_each_unit(store, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    held = fit(store, tmp_path / "m", "canonical-cnn", device="cpu", epochs=1)
    (exported,) = export_model(tmp_path / "m", lambda done, total: None, out=tmp_path / "m.onnx", stores=[store])
    again = open_model(exported.path)
    assert again.facts.predicts_units
    clips = new_clips(store, EMOTIONS)
    np.testing.assert_allclose(again.logits(clips), held.logits(clips), atol=1e-4)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported.path))
    planes = np.random.default_rng(0).normal(size=(2, 2, 16, 16)).astype(np.float32)
    logits, probabilities = session.run(["logits", "probabilities"], {"planes": planes})
    np.testing.assert_allclose(probabilities, expit(logits), atol=1e-6)

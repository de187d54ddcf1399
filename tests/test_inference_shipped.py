"""The two models that come with mer: what they are, and what they say of a face whose mouth corner moves."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
import torch
from complete_store import complete_store
from fixed_model import NAMES, FixedModel, facts_of
from made_prediction import answered, prediction_of, silent
from moved_store import write_moved_store
from new_clips import new_clips
from photo_release import head
from test_inference_predict import ask, landmarks, smiling
from test_inference_units import UNITS, unit_facts, unit_model
from tiny_recording import FramesInMemory
from tiny_store import EMOTIONS
from typer.testing import CliRunner

import mer_cli
from mer_cli.cli.main import app
from mer_cli.inference.answers import text_lines, to_csv, to_json
from mer_cli.inference.predict import WITHOUT_UNITS
from mer_cli.inference.shipped import FOLDER, SCHEMES, make_shipped, open_shipped
from mer_cli.models.canonical_cnn import CanonicalCNN, mirrored, symmetrical
from mer_cli.report.prediction_page import render_page


def test_the_models_are_small_and_say_that_no_score_on_real_faces_is_known():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 2_000_000
    emotions, units = open_shipped()
    assert emotions.facts.class_names == ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
    assert (len(units.facts.class_names), units.facts.predicts_units) == (12, True)
    for model, name in zip((emotions, units), SCHEMES, strict=True):
        assert (model.facts.generated, model.facts.score, model.facts.temperature) == (True, None, None)
        card = " ".join((FOLDER / name / "card.md").read_text(encoding="utf-8").split())
        assert "**No score on real faces is known.**" in card


def corner(n_frames=5, by=4.0, side=1):
    """A photograph of which one mouth corner is drawn up and out; side 1 is the image's right, the person's left."""
    points = landmarks()
    x0, y0 = points[54] if side > 0 else points[48]
    y, x = np.mgrid[: head().shape[0], : head().shape[1]].astype(np.float32)
    near = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * 14**2))
    steps = np.linspace(0, by, n_frames)
    frames = [
        cv2.remap(head(), x - np.float32(side * step) * near, y + np.float32(step) * near, cv2.INTER_CUBIC)
        for step in steps
    ]
    return FramesInMemory(frames, 200.0)


@pytest.mark.parametrize(("side", "word"), [(1, "left"), (-1, "right")])
def test_a_mouth_corner_of_a_photograph_is_seen_on_its_side(side, word):
    emotions, units = open_shipped()
    found = ask(corner(side=side), emotions, units=units, onset=1, apex=5)
    (answer,) = found.answers
    assert answer.units is not None
    sides = dict(zip(units.facts.class_names, answer.units.sides, strict=True))
    assert sides["AU12"] == word
    assert answer.label == "happiness"
    assert "the model has seen drawn faces only" in " ".join(found.notes)


def test_an_emotion_without_any_unit_is_not_named():
    units = unit_model([-2.0, -1.0, -3.0])
    (answer,) = ask(smiling(), FixedModel(), units=units, onset=1, apex=5).answers
    assert (answer.label, answer.probabilities, answer.abstains) == (None, None, (WITHOUT_UNITS,))
    assert answer.units.label == "none"


def test_a_clip_with_doubts_is_shown_to_neither_model():
    emotions, units = FixedModel(), unit_model([2.0, -1.0, -3.0])
    (answer,) = ask(FramesInMemory([head()] * 3, 200.0), emotions, units=units, onset=1, apex=3).answers
    assert (answer.units, emotions.shown, units.shown) == (None, [], [])


def test_halves_of_a_symmetrical_face_are_the_face_and_the_left_one_is_on_the_images_right():
    motion = torch.randn(2, 2, 16, 16)
    left, right = symmetrical(motion)
    for face in (left, right):
        torch.testing.assert_close(mirrored(face), face)
        torch.testing.assert_close(torch.stack(symmetrical(face)), torch.stack([face, face]))
    torch.testing.assert_close(left[..., 8:], motion[..., 8:])
    torch.testing.assert_close(right[..., :8], motion[..., :8])


def test_only_a_network_on_the_mean_face_is_asked_about_halves(tmp_path):
    store = complete_store(write_moved_store(tmp_path / "casme2.h5").path)
    clips = new_clips(store, EMOTIONS)
    _, units = open_shipped()
    assert units.half_logits(clips).shape == (2, 1, 5, 12)
    crop = type(units)(units.path, units.facts, units.config.model_copy(update={"input": "crop"}), units._members)
    assert crop.half_logits(clips) is None
    stretched = units.config.model_copy(update={"normalisation": "minmax"})
    assert type(units)(units.path, units.facts, stretched, units._members).half_logits(clips) is None
    assert isinstance(units._network, CanonicalCNN)


def both(**changes):
    units = answered(label="AU4+AU12", probabilities=(0.75, 0.25, 0.625), spread=None, sides=("left", "", ""))
    answer = answered(probabilities=None, spread=None, units=units, **changes)
    return prediction_of(answer, silent(), facts=facts_of(temperature=None), units_facts=unit_facts())


def test_text_names_emotion_units_and_sides_and_both_models():
    lines = list(text_lines([both()]))
    assert lines[1].endswith("disgust; how sure that is, nobody knows; action units: AU4 on the left 75%, AU12 62%")
    assert [line.split(":")[0] for line in lines if line.startswith("Model of")] == [
        "Model of emotions",
        "Model of action units",
    ]


def test_text_says_once_that_nobody_knows_how_sure_two_models_are():
    units = answered(label="AU4", probabilities=None, spread=None, sides=("left", "", ""))
    answer = answered(probabilities=None, spread=None, units=units)
    facts = {"facts": facts_of(temperature=None), "units_facts": unit_facts(temperature=None)}
    line = list(text_lines([prediction_of(answer, silent(), **facts)]))[1]
    assert line.endswith("disgust; action units: AU4 on the left; how sure that is, nobody knows")


def test_csv_and_json_have_the_columns_of_both_models():
    first, second = csv.DictReader(io.StringIO(to_csv([both()])))
    assert (first["emotion"], first["probability"], first["units"], first["sides"]) == (
        *("disgust", ""),
        *("AU4+AU12", "AU4 left"),
    )
    assert first["how_good"].count("Nobody has measured how good it is") == 1  # of the units; emotions quote a run
    assert first["trained_on"].count("trained on ") == 2
    assert (first["p_AU12"], first["p_disgust"], second["units"], second["p_AU4"]) == ("0.6250", "", "", "")
    held = json.loads(to_json([both()]))
    clip, abstained = held["recordings"][0]["clips"]
    assert clip["emotion"] == "disgust"
    assert clip["action_units"] == {
        "units": ["AU4", "AU12"],
        "sides": {"AU4": "left"},
        "probabilities": dict(zip(UNITS, (0.75, 0.25, 0.625), strict=True)),
        "spread": None,
    }
    assert abstained["action_units"] is None
    assert (held["model"]["class_names"], held["model_of_units"]["class_names"]) == (list(NAMES), list(UNITS))


def test_the_page_draws_the_units_of_an_emotion_without_probabilities():
    page = render_page([both()])
    assert "Probability of each action unit" in page
    assert "Probability of each class" not in page


def test_the_command_and_the_python_door_need_no_model(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, frame in enumerate(corner().frames, start=1):
        cv2.imwrite(str(folder / f"{number:03}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    arguments = ["predict", str(folder), "--onset", "1", "--apex", "5", "--fps", "200", "--format", "json"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    (clip,) = json.loads(shown.stdout)["recordings"][0]["clips"]
    assert "AU12" in clip["action_units"]["units"]
    found = mer_cli.predict(folder, onset=1, apex=5, fps=200.0)
    assert found.answers[0].label == clip["emotion"]


def test_flags_of_a_model_are_refused_without_one(tmp_path):
    shown = CliRunner().invoke(app, ["predict", str(tmp_path), "--code", "net.py:Net"])
    assert shown.exit_code == 1
    assert shown.stderr == "error: --code has no effect without --model. Add it, or leave this out.\n"


@pytest.mark.slow
def test_the_models_are_made_again_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("mer_cli.inference.shipped.N_CLIPS", 20)
    told = []
    for out in ("one", "two"):  # the second time the clips are there
        make_shipped(tmp_path / "work", tmp_path / out, told.append)
    one, two = (
        {path.relative_to(tmp_path / out): path.read_bytes() for path in (tmp_path / out).rglob("*") if path.is_file()}
        for out in ("one", "two")
    )
    assert one == two
    assert {path.name for path in one} == {"model.json", "model.safetensors", "card.md"}
    assert told[:4] == [
        f"drawing 20 clips into {tmp_path / 'work/raw'}",
        f"packing them into {tmp_path / 'work/dfme.h5'}",
        "training emotions",
        "training units",
    ]

"""The answers as text, CSV and JSON: each with what the model is and how good it is."""

import csv
import io
import json

import numpy as np
from fixed_model import facts_of
from made_prediction import answered, cut_of, prediction_of, silent

from mer_cli.inference.answers import text_lines, to_csv, to_json
from mer_cli.inference.facts_text import calibration_text, how_good, trained_on
from mer_cli.inference.purpose import PURPOSE

TRAINED = "MMNet, trained on 90 clips of 10 subjects (casme2)."
GOOD = (
    "The run `casme2-3-mmnet-quick-s1-0a1b2c3d` has the same settings (leave one subject out, casme2-3/90). On 90 "
    "clips of 10 subjects whom its networks had not seen, it reached UF1 0.6500 (95 % interval over subjects 0.5000 to "
    "0.7500), UAR 0.6600 and 70.00 % accuracy. Always naming the commonest class has UF1 0.1670. Epoch rule last, seed "
    "1. Only 10 subjects: a 95 % interval over fewer than 15 is rough, and holds the true score less often than 95 "
    "times in 100. Its onsets and apexes were annotated: on spotted intervals it may be worse."
)


def test_text_says_each_answer_and_then_what_is_known_about_the_model():
    assert list(text_lines([prediction_of()])) == [
        "talk.mp4:",
        "  frames 101 to 121 (0.50 to 0.60 s): disgust 62% ±5% over the networks",
        "  frames 401 to 421 (2.00 to 2.10 s): no answer. No face was found on frame 401.",
        "",
        f"Model: {TRAINED}",
        GOOD,
        "Its probabilities are calibrated on held-out subjects (temperature 2.00).",
        PURPOSE,
    ]


def test_text_of_a_recording_without_an_answer():
    slow = prediction_of(path="slow.mp4", answers=(), abstains=("It has 15 frames a second.",))
    still = prediction_of(path="still.mp4", answers=())
    stopped = prediction_of(answered(spread=None), path="long.mp4", is_whole=False)
    lines = list(text_lines([slow, still, stopped]))
    assert lines[:7] == [
        "slow.mp4:",
        "  No answer. It has 15 frames a second.",
        "still.mp4:",
        "  No interval was found that may be a micro-expression.",
        "long.mp4:",
        "  frames 101 to 121 (0.50 to 0.60 s): disgust 62%",
        "  Stopped early: only what was found until then.",
    ]


def test_a_folder_whose_frame_rate_nobody_knows_has_no_times():
    cut = cut_of()
    timeless = type(cut)(*(vars(cut) | {"seconds": (np.nan, np.nan)}).values())
    prediction = prediction_of(answered(cut=timeless, spread=None))
    assert list(text_lines([prediction]))[1] == "  frames 101 to 121: disgust 62%"
    assert ",101,121,151,,," in to_csv([prediction]).replace("3.25", "")
    assert json.loads(to_json([prediction]))["recordings"][0]["clips"][0]["seconds"] is None


def test_a_model_of_generated_faces_says_so_in_each_sentence_about_it():
    facts = facts_of(generated=True, score=facts_of().score.model_copy(update={"generated": True}))
    assert trained_on(facts) == f"{TRAINED} Generated faces: no answer means anything about a real one."
    assert "Its faces were generated: that is not a result on any dataset." in how_good(facts.score)


def test_what_nobody_knows_about_a_model_is_said():
    assert trained_on(facts_of(datasets=())) == "MMNet; nobody knows which clips it was trained on."
    assert how_good(None) == ("Nobody has measured how good it is: it quotes no finished leave-one-subject-out run.")
    assert calibration_text(facts_of(temperature=None)) == (
        "Its probabilities are not calibrated, so they are not shown: mer fit --calibrate RUN makes them so."
    )
    uncalibrated = prediction_of(answered(probabilities=None, spread=None))
    assert list(text_lines([uncalibrated]))[1].endswith("disgust; how sure that is, nobody knows")


def test_csv_has_a_row_for_each_clip_and_for_each_recording_without_one():
    slow = prediction_of(path="=slow.mp4", answers=(), abstains=("It has 15 frames a second.",))
    rows = list(csv.DictReader(io.StringIO(to_csv([prediction_of(), slow]))))
    first, second, third = rows
    assert [
        first[name]
        for name in ("video", "onset", "apex", "offset", "onset_s", "apex_s", "score", "fps", "n_frames", "emotion")
    ] == [
        *("talk.mp4", "101", "121", "151", "0.500", "0.600", "3.25", "200", "1000", "disgust"),
    ]
    assert [first[name] for name in ("probability", "spread", "p_happiness", "p_disgust", "p_surprise")] == [
        *("0.6250", "0.0500", "0.1250", "0.6250", "0.2500"),
    ]
    assert (first["abstains"], first["trained_on"], first["how_good"]) == ("", TRAINED, GOOD)
    assert (second["emotion"], second["probability"], second["p_disgust"]) == ("", "", "")
    assert second["abstains"] == "No face was found on frame 401."
    assert (third["video"], third["onset"], third["abstains"]) == ("'=slow.mp4", "", "It has 15 frames a second.")
    assert (third["fps"], third["n_frames"], third["p_surprise"]) == ("200", "1000", "")


def test_json_has_everything_that_is_known():
    document = json.loads(to_json([prediction_of()]))
    assert document["purpose"] == PURPOSE
    assert document["model"]["how_good"] == GOOD
    assert document["model"]["clips_of_class"] == {"happiness": 30, "disgust": 30, "surprise": 30}
    (recording,) = document["recordings"]
    first, second = recording["clips"]
    assert first["probabilities"] == {"happiness": 0.125, "disgust": 0.625, "surprise": 0.25}
    assert first["spread"] == {"happiness": 0.01, "disgust": 0.05, "surprise": 0.04}
    assert (second["emotion"], second["probabilities"]) == (None, None)
    assert second["abstains"] == ["No face was found on frame 401."]


def test_no_recording_gives_an_empty_table_and_document():
    assert to_csv([]).startswith("video,onset")
    assert json.loads(to_json([]))["recordings"] == []
    assert list(text_lines([])) == []


def test_two_reasons_are_two_sentences():
    both = prediction_of(silent(401, "No face was found on frame 401.", "It is dark."))
    assert list(text_lines([both]))[1].endswith("no answer. No face was found on frame 401. It is dark.")


def test_a_class_name_that_commands_the_terminal_is_shown_as_text():
    names = ("a", "b", "c\x07")
    facts = facts_of(class_names=names, clips_of_class=dict.fromkeys(names, 1))
    header, row = to_csv([prediction_of(answered(label="c\x07"), facts=facts)]).splitlines()
    assert r"p_a,p_b,p_c\x07,abstains" in header
    assert r",c\x07," in row

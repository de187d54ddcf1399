"""The page of answers: complete, offline, and safe to open with names that somebody else chose."""

import base64
import re

import cv2
import numpy as np
from fixed_model import facts_of
from made_prediction import answered, prediction_of, silent, spotted_of

from mer_cli.inference.purpose import PURPOSE
from mer_cli.report.prediction_page import render_page


def images_of(page):
    """The decoded images of a page, in their order."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) for data in found]


def test_the_page_shows_each_answer_with_its_images_and_what_the_model_is():
    page = render_page([prediction_of()])
    assert '<h2 id="recording-1">talk.mp4</h2>' in page
    assert "Frames 101 to 121 (0.50 to 0.60 s): disgust 62% ±5% over the networks</h3>" in page
    assert "Frames 401 to 421 (2.00 to 2.10 s): no answer</h3>" in page
    assert "<li>No face was found on frame 401.</li>" in page
    assert "MMNet, trained on 90 clips of 10 subjects (casme2)." in page
    assert "CASME II: academic research only." in page
    assert PURPOSE.replace("'", "&#39;") in page
    onset, apex, difference, attention = images_of(page)
    assert onset.shape == (224, 224, 3)
    assert abs(int(apex[110, 110, 0]) - 110) < 4
    assert abs(int(difference[50, 50, 0]) - 128) < 4
    assert abs(int(difference[110, 110, 0]) - (128 + 6 * 20)) < 6
    assert attention[220, 220, 2] > attention[3, 3, 2] + 50  # redder where the map is high


def test_the_timeline_names_what_was_found_and_what_was_rejected():
    page = render_page([prediction_of()])
    assert "<title>disgust, 0.50 to 0.75 s</title>" in page
    assert "<title>no answer, 2.00 to 2.25 s</title>" in page
    assert "<title>blink, 3.00 to 3.20 s</title>" in page
    assert page.count('<polyline class="curve"') == 1
    assert page.count('<polyline class="other"') == 2  # broken where there is no face


def test_without_spotting_there_is_no_timeline():
    assert "<polyline" not in render_page([prediction_of(answered(), spotted=None)])


def test_a_recording_without_an_answer_says_why():
    page = render_page([prediction_of(answers=(), abstains=("It has 15 frames a second.",), spotted=None)])
    assert '<p class="warning">No answer. It has 15 frames a second.</p>' in page
    assert "No interval was found" not in page
    still = render_page([prediction_of(answers=(), spotted=spotted_of())])
    assert "<p>No interval was found that may be a micro-expression.</p>" in still


def test_an_interrupted_recording_and_its_notes_are_told():
    page = render_page([prediction_of(is_whole=False, notes=("frames are missing",))])
    assert "Stopped early: only what was found until then." in page
    assert "Note: frames are missing" in page


def test_names_are_text_and_the_page_may_load_nothing():
    page = render_page([prediction_of(path="<script>alert(1).mp4", facts=facts_of(title="<b>M</b>"))])
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>M</b>" not in page
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_same_predictions_give_the_same_bytes():
    assert render_page([prediction_of()]) == render_page([prediction_of()])


def test_a_single_network_has_no_spread_and_ids_are_unique():
    page = render_page([prediction_of(answered(spread=None), silent()), prediction_of(path="other.mp4")])
    assert 'class="whisker"' in page
    assert render_page([prediction_of(answered(spread=None))]).count('class="whisker"') == 0
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_name_that_cannot_be_seen_or_encoded_is_shown_as_its_numbers():
    page = render_page([prediction_of(path="a\x1b[31m\udcff.mp4")])
    assert r'<h2 id="recording-1">a\x1b[31m\udcff.mp4</h2>' in page
    assert page.encode()

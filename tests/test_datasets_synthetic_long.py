"""Long generated videos: events that are planned as told, seen in the pixels, and written with their truth."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_faces import person_of
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.datasets.synthetic import long_video
from mer_cli.datasets.synthetic.clip import View
from mer_cli.datasets.synthetic.long_plan import FIRST_PERSON, Event, VideoPlan, plan_video
from mer_cli.datasets.synthetic.long_release import write_long_videos
from mer_cli.datasets.synthetic.long_settings import DISTRACTORS, LongSettings
from mer_cli.datasets.synthetic.long_video import draw_video
from mer_cli.datasets.synthetic.plan import UnitPlan
from mer_cli.datasets.synthetic.writer import LAYOUTS
from mer_cli.errors import ConfigError, DatasetError

TINY = LongSettings(subjects=1, seconds=2, fps=20, size=(320, 240), distractors=())
FACE = np.s_[140:340, 80:240]  # of the drawn image, between the ears and above the chin


@pytest.fixture(scope="module", autouse=True)
def _people_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_cli.datasets.synthetic.long_release.draw_subject", person_of)
        patch.setattr(long_video, "LARGEST", {45: (0.75, 2), 26: (0.4, 2)})
        yield


@pytest.fixture(scope="module")
def plans():
    return [plan_video(LongSettings(seconds=60, seed=5), number) for number in range(1, 61)]


@pytest.fixture(scope="module")
def drawn():
    """Twelve frames of each kind of event of a head that does not drift: at rest at first, at the apex in frame 6."""
    events = {
        "micro": Event("micro", 2, 6, 11, "surprise", (UnitPlan(1, "B", 2.0), UnitPlan(2, "B", 2.0))),
        "macro": Event("macro", 2, 6, 11, "happiness", (UnitPlan(12, "B", 10.0),)),
        "blink": Event("blink", 2, 6, 11, "", (UnitPlan(45, "B", 1.0),)),
        "head": Event("head", 2, 6, 11, turn=(10.0, 0.0)),
        "speech": Event(
            "speech", 2, 6, 11, "", (UnitPlan(18, "B", 2.0), UnitPlan(20, "B", 2.0), UnitPlan(26, "B", 1.0))
        ),
    }
    plan = VideoPlan(1, 12, 40.0, (0, 3, 1), ())
    person, view = person_of(0, plan.person), View(320, 360, 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_video, "HEAD", np.zeros(4))
        patch.setattr(long_video, "DRIFT", np.zeros(4))
        shown = {kind: list(draw_video(person, replace(plan, events=(event,)), view)) for kind, event in events.items()}
        return shown | {"still": list(draw_video(person, plan, view))}


def flow_from_rest(frames, index):
    """How far each pixel of the face moved since the first frame without the head, by an independent measure."""
    first, then = (cv2.cvtColor(frames[number], cv2.COLOR_BGR2GRAY) for number in (0, index))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, then, None)
    return flow[FACE] - np.median(flow[FACE], axis=(0, 1))


def size_of(flow):
    return float(np.percentile(np.linalg.norm(flow, axis=-1), 98))


def test_every_event_has_its_frames_inside_the_video_and_its_length(plans):
    seconds = {"micro": (0.1, 0.5), "macro": (0.6, 4), "blink": (0.1, 0.4), "head": (0.6, 2.5), "speech": (2, 5)}
    found = {kind: [] for kind in seconds}
    for plan in plans:
        assert list(plan.events) == sorted(plan.events, key=lambda event: (event.onset, event.kind))
        for event in plan.events:
            assert 1 <= event.onset < event.apex < event.offset <= plan.n_frames == 12_000
            found[event.kind].append((event.offset - event.onset + 1) / plan.fps)
            assert bool(event.emotion) == (event.kind in ("micro", "macro"))
            assert bool(event.units) == (event.kind != "head")
    for kind, (shortest, longest) in seconds.items():
        assert shortest - 0.01 < min(found[kind]) < max(found[kind]) < longest + 0.01
        assert np.ptp(found[kind]) > 0.8 * (longest - shortest)


def test_each_kind_happens_as_often_as_told(plans):
    a_minute = {kind: sum(event.kind == kind for plan in plans for event in plan.events) / 60 for kind in DISTRACTORS}
    micros = [event for plan in plans for event in plan.events if event.kind == "micro"]
    assert len(micros) == 6 * 60
    assert a_minute == {
        "macro": pytest.approx(1.5, abs=0.2),
        "speech": pytest.approx(1.5, abs=0.2),
        "head": pytest.approx(3, abs=0.2),
        "blink": pytest.approx(15, abs=1.5),
    }
    assert {event.emotion for event in micros} == {"happiness", "disgust", "repression", "surprise", "others"}
    blinks = [sum(event.kind == "blink" for event in plan.events) for plan in plans]
    assert min(blinks) >= 9
    assert max(blinks) <= 20


def test_a_known_share_of_micro_expressions_is_overlapped_and_the_others_are_clear(plans):
    by = {"blink": 0, "head": 0}
    n_micros = 0
    for plan in plans:
        for micro in (event for event in plan.events if event.kind == "micro"):
            n_micros += 1
            for other in (event for event in plan.events if event is not micro):
                gap = max(micro.onset - other.offset, other.onset - micro.offset)
                by[other.kind] = by.get(other.kind, 0) + (gap <= 0)
                assert gap <= 0 or gap > 0.29 * plan.fps
    assert by["blink"] / n_micros == pytest.approx(0.2, abs=0.05)
    assert by["head"] / n_micros == pytest.approx(0.1, abs=0.04)
    assert not any(by.get(kind) for kind in ("micro", "macro", "speech"))


def test_micro_expressions_stay_the_same_when_distractors_are_left_out(plans):
    alone = plan_video(LongSettings(seconds=60, seed=5, distractors=()), 7)
    with_blinks = plan_video(LongSettings(seconds=60, seed=5, distractors=("blink",)), 7)
    assert alone.events == tuple(event for event in plans[6].events if event.kind == "micro")
    assert {event.kind for event in with_blinks.events} == {"micro", "blink"}


def test_the_intensity_changes_micro_expressions_only(plans):
    strong = plan_video(LongSettings(seconds=60, seed=5, intensity=2), 7)
    for once, twice in zip(plans[6].events, strong.events, strict=True):
        factor = 2 if once.kind == "micro" else 1
        assert twice == replace(once, units=tuple(replace(unit, peak=unit.peak * factor) for unit in once.units))


def test_the_shortest_video_has_a_micro_expression():
    for number in range(1, 40):
        kinds = [event.kind for event in plan_video(LongSettings(seconds=2, fps=10), number).events]
        assert "micro" in kinds


def test_no_release_has_the_people_of_the_long_videos():
    for layout in LAYOUTS.values():
        people = {plan.person for plan in layout.plan(subjects=99, clips=99)}
        assert max(people) <= FIRST_PERSON


def test_a_micro_expression_moves_the_brows_and_nothing_else_does(drawn):
    still, micro = size_of(flow_from_rest(drawn["still"], 5)), size_of(flow_from_rest(drawn["micro"], 5))
    assert micro > 3 * still
    moved = flow_from_rest(drawn["micro"], 5)
    assert -2.5 < moved[:30, :, 1].min() < -0.8  # brows rise by a peak of 1.83 pixels of the drawn image
    assert size_of(moved[100:]) < 2 * still


def test_a_macro_expression_moves_several_times_as_much_as_a_micro_expression(drawn):
    assert size_of(flow_from_rest(drawn["macro"], 5)) > 2.5 * size_of(flow_from_rest(drawn["micro"], 5))


def test_a_blink_closes_both_eyes_and_opens_them_again(drawn):
    for eye in (np.s_[155:180, 105:140], np.s_[155:180, 180:215]):
        opened, closed, after = (drawn["blink"][index][eye].astype(float) for index in (0, 5, 11))
        change = np.abs(closed - opened).max(axis=2)
        assert (change > 30).mean() > 0.15  # the eyeball is gone
        assert np.abs(after - opened).mean() < 3
    below = np.abs(drawn["blink"][5][220:].astype(float) - drawn["blink"][0][220:])
    assert below.mean() < 3


def test_a_turned_head_moves_the_nose_more_than_the_ears_and_the_wall_stays(drawn):
    first, then = (cv2.cvtColor(drawn["head"][index], cv2.COLOR_BGR2GRAY) for index in (0, 5))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, then, None)[..., 0]
    nose, brow_edge = np.median(flow[200:225, 150:170]), np.median(flow[150:190, 88:100])
    assert nose > 15
    assert nose > brow_edge + 2 > 6
    assert np.abs(drawn["head"][5][:60, :40].astype(float) - drawn["head"][0][:60, :40]).mean() < 3


def test_speech_opens_the_mouth_and_keeps_the_brows(drawn):
    mouth, brows = np.s_[255:300, 130:190], np.s_[140:165, 100:220]
    pairs = [(drawn["speech"][0].astype(float), frame.astype(float)) for frame in drawn["speech"][1:11]]
    assert max(np.abs(frame[mouth] - first[mouth]).mean() for first, frame in pairs) > 10
    assert max(np.abs(frame[brows] - first[brows]).mean() for first, frame in pairs) < 5


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    done = []
    out = write_long_videos(
        tmp_path_factory.mktemp("long") / "out", TINY, on_video=lambda *counts: done.append(counts), workers=1
    )
    assert done == [(1, 1)]
    return out


def test_a_video_and_the_truth_are_written_and_nothing_else(written):
    names = sorted(path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file())
    assert names == ["GENERATED.txt", "truth.csv", "videos/001.avi"]
    with (written / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    (event,) = plan_video(TINY, 1).events
    assert rows == [
        {
            "video": "001.avi",
            "subject": "001",
            "kind": "micro",
            "onset": str(event.onset),
            "apex": str(event.apex),
            "offset": str(event.offset),
            "emotion": event.emotion,
            "action_units": event.unit_codes,
        }
    ]
    video = cv2.VideoCapture(str(written / "videos/001.avi"))
    properties = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
    assert [video.get(number) for number in properties] == [40, 20, 320, 240]
    stamp = (written / "GENERATED.txt").read_text()
    assert stamp.startswith("These videos were generated by mer synth. No score on them is a result on a dataset.\n")


def test_the_same_settings_give_the_same_bytes_and_keep_what_is_finished(written, tmp_path):
    again = write_long_videos(tmp_path / "again", TINY, workers=1)
    video = again / "videos/001.avi"
    assert video.read_bytes() == (written / "videos/001.avi").read_bytes()
    video.write_bytes(b"kept")
    assert write_long_videos(again, TINY, workers=1) == again
    assert video.read_bytes() == b"kept"
    write_long_videos(again, replace(TINY, intensity=2), workers=1)
    assert video.read_bytes() not in (b"kept", (written / "videos/001.avi").read_bytes())


def test_a_folder_with_other_files_and_another_release_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError) as refused:
        write_long_videos(tmp_path, TINY)
    assert str(refused.value) == (
        f"{tmp_path}: holds files that mer synth did not write. Expected an empty folder. Give another OUT."
    )
    (tmp_path / "GENERATED.txt").write_text("These faces were generated by mer synth. No score is a result on SAMM.\n")
    with pytest.raises(DatasetError) as refused:
        write_long_videos(tmp_path, TINY)
    assert str(refused.value) == (
        f"{tmp_path}: holds a generated release of another dataset. Expected an empty folder, or generated long "
        "videos. Give another OUT."
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["GENERATED.txt", "thesis.txt"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subjects": 0}, "--subjects must be from 1 to 99, got 0."),
        ({"seconds": 1.5}, "--seconds must be from 2 to 3600, got 1.5."),
        ({"fps": 5}, "--fps must be from 10 to 500, got 5."),
        ({"size": (64, 480)}, "--size: each side must be from 160 to 1920 pixels, got 64x480."),
        (
            {"seconds": 400},
            "--seconds: a video of 400 seconds would be larger than 2 GB, which its format can't hold. At 200 frames a "
            "second of 640x480 pixels, give at most 130.",
        ),
        ({"intensity": 0}, "--intensity must be more than 0 and at most 10, got 0."),
        (
            {"emotions": ("joy",)},
            "--emotions: Unknown emotion 'joy'. Known: happiness, disgust, repression, surprise, others.",
        ),
        (
            {"distractors": ("blnk",)},
            "--distractors: Unknown distractor 'blnk'. Known: macro, blink, head, speech, none. Did you mean 'blink'?",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_flag(settings, message):
    with pytest.raises(ConfigError) as refused:
        LongSettings(**settings)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("long out --clips 3", "--clips has no effect with long, which has one video of each subject. Leave it out."),
        ("long out --size big", "--size: 'big' is not a size. Expected width and height in pixels: 640x480."),
        ("casme2 out --fps 100", "--fps has no effect with casme2, only with long. Leave it out."),
        ("casme2 out --distractors none", "--distractors has no effect with casme2, only with long. Leave it out."),
    ],
)
def test_the_command_refuses_flags_of_the_other_kind(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["synth", *arguments.split()])
    assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")
    assert not list(tmp_path.iterdir())


def test_the_command_passes_every_flag_on(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "mer_cli.datasets.synthetic.long_release.write_long_videos",
        lambda out, settings, on_video: given.append(settings) or out,
    )
    flags = "--subjects 3 --seconds 5 --fps 30 --size 320X240 --seed 4 --intensity 2 --emotions surprise,disgust"
    for distractors in ("none", "blink, head"):
        arguments = ["synth", "LONG", str(tmp_path / "out"), *flags.split(), "--distractors", distractors]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    expected = LongSettings(3, 5, 30, (320, 240), 4, 2, ("surprise", "disgust"), ())
    assert given == [expected, replace(expected, distractors=("blink", "head"))]

"""Release 2 of the generator: tables, habits, and what happens beside the expression; release 1 stays as it was."""

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_faces import person_of, write_tiny_release
from typer.testing import CliRunner

from mer_cli.bench.true_motion import true_motion
from mer_cli.cli.main import app
from mer_cli.datasets.loading import load
from mer_cli.datasets.registry import DATASETS, load_release
from mer_cli.datasets.synthetic.clip import clip_motion, draw_frames, film
from mer_cli.datasets.synthetic.distractors import COLUMNS, Distractors, draw_distractors
from mer_cli.datasets.synthetic.lively import LivelyClip, LivelySubject
from mer_cli.datasets.synthetic.looks import dress
from mer_cli.datasets.synthetic.plan import ClipPlan, UnitPlan, usual_habit
from mer_cli.datasets.synthetic.realism import CASME2_SETS, RELEASES
from mer_cli.datasets.synthetic.render import SUPERSAMPLING
from mer_cli.datasets.synthetic.subject import Worn
from mer_cli.datasets.synthetic.turning import Turning
from mer_cli.datasets.synthetic.writer import LAYOUTS
from mer_cli.errors import ConfigError
from mer_cli.inference.truth import read_displacements

SEED = 13
GOLDEN = Path(__file__).parent / "golden/synth_release1.json"
CLIP = ClipPlan(
    1, 1, "EP01_01", "surprise", (UnitPlan(1, "B", 2.0), UnitPlan(12, "L", 2.5)), 1, 5, 9, (SEED, 1, 1, 1), 200.0
)
STILL = Distractors(np.zeros((9, 2)), np.zeros((9, 2)), np.zeros(9), np.zeros((9, 3)))
HERE = np.array([[1.0, 0, 0], [0, 1, 0]])  # a head that stays where it is
EYES = np.s_[140:195, 85:235]


@pytest.fixture(scope="module")
def plans():
    return [plan for seed in (10, 11) for plan in LAYOUTS["casme2"].plan(seed=seed, release=2)]


@pytest.fixture(scope="module")
def lively():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_cli.datasets.synthetic.lively.LID_PICTURES", 2)  # a quarter of the time
        yield LivelySubject(person_of(SEED, 1))


def clip_that(lively, **happens):
    """The clip CLIP of a still face, but for what is given for each frame."""
    clip = LivelyClip(lively, CLIP, clip_motion(lively.subject, CLIP))
    clip.motion = clip_motion(lively.subject, replace(CLIP, units=(UnitPlan(1, "B", 1e-6),)))
    clip.happens = replace(STILL, **happens)
    return clip


def frames(row, n_frames=9):
    return np.tile(np.asarray(row, float), (n_frames, *[1] * np.ndim(row)))


def test_the_true_motion_of_a_head_that_turns_is_that_of_the_mesh(lively):
    clip = clip_that(lively, turn=frames([3, 0]) * (np.arange(9) > 4)[:, None])
    clip.place(0, HERE)
    at_onset = clip.origins
    clip.place(8, HERE)
    at_apex = clip.origins
    own, head = true_motion(at_onset, at_apex, None)
    inside = lively.subject.scene.raster.hit[::SUPERSAMPLING, ::SUPERSAMPLING]
    inside = cv2.erode(inside.astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    expected = 3 * lively.turn[0][0]
    assert np.ptp(expected[inside][:, 0]) > 1  # near parts move more
    np.testing.assert_allclose(head[inside], expected[inside], atol=0.1)
    np.testing.assert_allclose(own[inside], 0, atol=1e-3)


@pytest.mark.parametrize(
    ("happens", "moves"),
    [
        ({}, False),
        ({"lids": [0, 0.5, 0, 0, 0, 0, 0, 0, 0]}, True),
        ({"lids": [0, 0, 0.5, 0, 0, 0, 0, 0, 0]}, False),  # in neither of the two
        ({"gaze": [[1, 0]] * 9}, False),
        ({"gaze": [[1, 0], [0, 0], *[[0, 0]] * 7]}, True),
    ],
)
def test_eyes_move_if_lids_are_closed_or_the_gaze_differs(happens, moves, lively):
    clip = clip_that(lively, **{name: np.array(values, float) for name, values in happens.items()})
    assert clip.moves_eyes(0, 1) is moves


def test_release_1_is_drawn_as_before_there_was_another():
    motion = clip_motion(person_of(SEED, 1), CLIP)
    apex = list(draw_frames(person_of(SEED, 1), CLIP, motion))[4]
    before = np.array(json.loads(GOLDEN.read_text(encoding="utf-8"))["apex"])
    # Other noise would give a difference of 1.8, other builds of the libraries give less than a level here and there.
    assert np.abs(apex[150:170, 188:208, 1].astype(int) - before).mean() < 0.3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_release_1_is_planned_if_no_release_is_named(layout):
    few = {"subjects": 3, "clips": 9, "seed": SEED}
    planned, usual = LAYOUTS[layout].plan(**few), LAYOUTS[layout].plan(**few, release=1, light=1.0, noise=1.0)
    assert planned == usual
    assert {plan.release for plan in planned} == {1}
    assert LAYOUTS[layout].plan(**few, release=2) != planned


@pytest.mark.parametrize(
    ("layout", "average", "deviation", "limits", "rise"),
    [("casme2", 67.2, 22.6, (24, 141), 33.4), ("samm", 74.3, 19, (30, 101), 33.1)],
)
def test_lengths_are_those_of_the_real_table(layout, average, deviation, limits, rise):
    drawn = [plan for seed in range(10, 14) for plan in LAYOUTS[layout].plan(seed=seed, release=2)]
    lengths = np.array([plan.offset - plan.onset + 1 for plan in drawn])
    assert lengths.mean() == pytest.approx(average, abs=3)
    assert lengths.std() == pytest.approx(deviation, abs=3)
    assert np.percentile(lengths, [2, 100]).tolist() >= [limits[0], limits[0]]
    assert lengths.max() <= limits[1]
    assert np.mean([plan.apex - plan.onset for plan in drawn]) == pytest.approx(rise, abs=3)


def test_a_dataset_without_known_lengths_keeps_those_of_release_1():
    few = {"subjects": 3, "clips": 30, "seed": SEED}
    lengths = [
        sorted(plan.offset - plan.onset for plan in LAYOUTS["mmew"].plan(**few, release=release)) for release in (1, 2)
    ]
    assert max(lengths[1]) < 45
    assert np.mean(lengths[0]) == pytest.approx(np.mean(lengths[1]), abs=4)


def test_dfme_is_as_long_as_casme2_in_seconds_whatever_a_clip_s_frame_rate():
    drawn = [plan for seed in range(10, 14) for plan in LAYOUTS["dfme"].plan(seed=seed, release=2)]
    assert {plan.fps for plan in drawn} == {200.0, 300.0, 500.0}
    for fps in (200.0, 300.0, 500.0):
        own = [plan for plan in drawn if plan.fps == fps]
        assert np.mean([(plan.offset - plan.onset) / fps for plan in own]) == pytest.approx(0.33, abs=0.03)
        assert np.mean([(plan.apex - plan.onset) / fps for plan in own]) == pytest.approx(0.16, abs=0.02)
        assert max(plan.offset - plan.onset for plan in own) <= 140 * fps / 200


@pytest.mark.parametrize("emotion", CASME2_SETS)
def test_the_sets_of_action_units_have_the_shares_of_the_table_over_many_people(emotion):
    habits = [RELEASES[2].habit("casme2", emotion, 10, person) for person in range(1000)]
    counts = CASME2_SETS[emotion]
    assert habits[0].sets == tuple(counts)
    expected = np.array(list(counts.values())) / sum(counts.values())
    np.testing.assert_allclose(np.mean([habit.shares for habit in habits], axis=0), expected, atol=0.03)
    assert np.mean([habit.one_sided for habit in habits]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([habit.sides[0] for habit in habits]) == pytest.approx(0.5, abs=0.03)


def test_the_clips_of_each_emotion_add_up_to_the_real_number():
    real = LAYOUTS["casme2"].emotions
    assert {emotion: sum(counts.values()) for emotion, counts in CASME2_SETS.items()} == {
        emotion: real[emotion] for emotion in CASME2_SETS
    }


def test_a_subject_keeps_to_some_sets_and_to_one_side(plans):
    habits = [RELEASES[2].habit("casme2", "disgust", 10, person) for person in range(300)]
    assert np.mean([max(habit.shares) for habit in habits]) > 0.5  # of the common shares the largest is 0.27
    assert np.mean([max(habit.sides) for habit in habits]) > 0.75
    by_subject = {}
    for plan in plans:
        by_subject.setdefault((plan.seed[0], plan.subject, plan.emotion), []).append(plan.unit_numbers)
    several = [units for units in by_subject.values() if len(units) > 3]
    assert np.mean([Counter(units).most_common(1)[0][1] / len(units) for units in several]) > 0.6


def test_release_1_has_no_habits():
    assert RELEASES[1].habit("casme2", "disgust", 10, 3) == usual_habit("disgust")


def test_other_datasets_and_rare_emotions_show_the_sets_of_release_1():
    for layout, emotion in (("samm", "anger"), ("samm", "others"), ("casme2", "fear")):
        assert RELEASES[2].habit(layout, emotion, 10, 3).sets == usual_habit(emotion).sets


def test_the_intensity_scales_the_expression_and_nothing_else():
    few = {"subjects": 3, "clips": 9, "seed": SEED, "release": 2}
    weak, strong = (LAYOUTS["casme2"].plan(**few, intensity=intensity) for intensity in (0.5, 2))
    for one, other in zip(weak, strong, strict=True):
        assert [4 * unit.peak for unit in one.units] == pytest.approx([unit.peak for unit in other.units])
        assert list(draw_distractors(one).rows()) == list(draw_distractors(other).rows())


def test_what_happens_beside_the_expression_is_as_small_and_as_rare_as_told(plans):
    drawn = [draw_distractors(plan) for plan in plans]
    within = np.array([np.ptp(happens.turn, axis=0) for happens in drawn])
    assert 0.3 < np.median(within.max(axis=1)) < 1.5  # degrees
    assert np.percentile(within, 99) < 4
    assert max(np.abs(np.diff(happens.turn, axis=0)).max() for happens in drawn) < 0.12  # a frame: it is smooth
    assert 0.08 < np.mean([happens.lids.max() > 0.5 for happens in drawn]) < 0.2
    assert 0.15 < np.mean([np.ptp(happens.gaze, axis=0).max() > 0.5 for happens in drawn]) < 0.45
    moving = [happens.mouth.max() for happens in drawn if happens.mouth.any()]
    assert 0.12 < len(moving) / len(drawn) < 0.28
    assert max(moving) <= 0.6  # pixels at 224; an expression peaks at 1-3
    assert all(happens.lids.min() >= 0 and happens.lids.max() <= 1 for happens in drawn)


def test_a_turn_is_the_one_of_the_mesh(lively):
    exact = Turning(lively.subject).displacement(1.5, -1.0)
    linear = np.tensordot(np.array([1.5, -1.0], np.float32), lively.turn[0], 1)
    assert np.abs(exact).max() > 3
    assert np.abs(exact - linear).max() < 0.15


def test_a_positive_yaw_turns_to_the_right_of_the_image_and_a_positive_pitch_down(lively):
    turning = Turning(lively.subject)
    yaw, pitch = (turning.displacement(*angles)[195, 160] for angles in ((2.0, 0.0), (0.0, 2.0)))  # of the nose
    assert yaw[0] > 3 > abs(yaw[1])
    assert pitch[1] > 3 > abs(pitch[0])


def test_a_turned_head_moves_near_parts_farther_and_the_wall_stays(lively):
    still = clip_that(lively).place(0, HERE)
    turned = clip_that(lively, turn=frames((2.0, 0.0))).place(0, HERE)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
        *(cv2.cvtColor(picture.clip(0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY) for picture in (still, turned)), None
    )
    nose, cheek = (np.median(flow[part][..., 0]) for part in (np.s_[185:205, 150:170], np.s_[190:210, 95:110]))
    assert nose > cheek + 0.8
    assert np.abs(turned - still)[:40, :40].max() < 1


def test_the_truth_lies_where_the_head_is_turned_at_the_onset(lively):
    clip = clip_that(lively, turn=frames((3.0, 0.0)))
    spot = np.zeros((360, 320, 2), np.float32)
    spot[180:190, 155:165] = 1.0
    moved = clip.at_onset(spot)
    places = np.argwhere(moved[..., 0] > 0.5).mean(axis=0)
    told = lively.turn[0][0][185, 160] * 3
    assert places == pytest.approx((184.5 + told[1], 159.5 + told[0]), abs=0.7)
    assert told[0] > 6
    assert moved.max() == pytest.approx(1)


def test_an_expression_on_a_turning_head_moves_as_the_truth_says(lively):
    turn = np.linspace((2.0, -1.0), (2.6, -0.6), 9)
    clip = clip_that(lively, turn=turn)
    onset, still = clip.place(0, HERE), clip.place(4, HERE)
    clip = clip_that(lively, turn=turn)
    clip.motion = clip_motion(lively.subject, replace(CLIP, units=(UnitPlan(2, "B", 3.0),)))
    clip.place(0, HERE)
    pictures = [cv2.cvtColor(picture.clip(0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY) for picture in (onset, still)]
    pictures.append(cv2.cvtColor(clip.place(4, HERE).clip(0, 255).astype(np.uint8), cv2.COLOR_BGR2GRAY))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    moved = flow.calc(pictures[0], pictures[2], None) - flow.calc(pictures[0], pictures[1], None)
    truth = clip.at_onset(clip.motion.displacement(4))
    size = np.linalg.norm(truth, axis=2)
    active = size > 0.6 * size.max()
    assert 0.6 < (moved[active] * truth[active]).sum() / (truth[active] ** 2).sum() < 1.2


def test_eyes_look_where_they_are_told_and_nothing_else_moves(lively):
    rest, right = (clip_that(lively, gaze=frames(angles)).place(0, HERE) for angles in ((0, 0), (8, 0)))
    changed = np.abs(right - rest).max(axis=2)
    assert changed[EYES].max() > 30
    changed[EYES] = 0
    assert changed.max() < 0.5

    def iris(picture):
        """The middle of what is darker than skin and lashes leave the eye on the image's right, columns."""
        eye = 255 - picture[160:184, 185:220].mean(axis=2)
        weights = np.clip(eye - np.percentile(eye, 60), 0, None)
        return (weights * np.arange(35)).sum() / weights.sum()

    assert iris(right) > iris(rest) + 0.3


def test_closed_lids_hide_where_the_eyes_look(lively):
    left, right = (
        clip_that(lively, gaze=frames((angle, 0)), lids=frames(1.0)).place(0, HERE)[EYES] for angle in (-10, 10)
    )
    opened = clip_that(lively, gaze=frames((-10, 0))).place(0, HERE)[EYES]
    assert np.abs(opened - left).max() > 40
    assert np.abs(right - left).max() < np.abs(opened - left).max() / 2


def test_what_is_worn_turns_with_the_head_and_keeps_its_shape_on_a_moving_face(lively):
    cover = np.zeros((360, 320), np.float32)
    cover[134:138, 130:190] = 1
    worn = Worn(np.tile(np.float32([200, 20, 20]), (360, 320, 1)) * cover[..., None], cover)
    subject = replace(lively.subject, worn=worn)
    dressed = LivelySubject(subject)
    dressed.__dict__.update(turn=lively.turn, eyes=lively.eyes)
    clip = clip_that(dressed)
    clip.motion = clip_motion(subject, replace(CLIP, units=(UnitPlan(1, "B", 3.0), UnitPlan(2, "B", 3.0))))
    rest, raised = clip.place(0, HERE), clip.place(4, HERE)
    np.testing.assert_allclose(raised[134:138, 131:189], rest[134:138, 131:189], atol=1e-3)
    assert np.abs(raised - rest)[[*range(128, 133), *range(139, 145)], 130:190].max() > 5  # the brows around it
    turned = clip_that(dressed, turn=frames((0.0, 2.0))).place(0, HERE)
    rows = [np.argmax(picture[100:150, 160, 0] - picture[100:150, 160, 2]) for picture in (rest, turned)]
    assert abs(int(rows[1]) - int(rows[0])) >= 3


def test_people_have_hair_or_glasses_and_are_the_same_people(lively):
    person = lively.subject
    looks = [dress(person, np.random.default_rng([3, number])) for number in (1, 4)]
    assert {look.worn is None for look in looks} == {True, False}
    for look in looks:
        assert look.scene is person.scene
        assert np.abs(look.neutral - person.neutral)[220:260, 130:190].max() < 1  # mouth and chin
    again = dress(person, np.random.default_rng([3, 1]))
    np.testing.assert_array_equal(again.drawn, looks[0].drawn)


def test_light_and_noise_are_factors():
    def grey(frame, inverse):
        return np.full((360, 320, 3), 128, np.float32)

    def drawn(light, noise):
        pictures = [picture.astype(float) for picture in film(replace(CLIP, light=light, noise=noise), grey)]
        means = [picture.mean() for picture in pictures]
        return float(np.ptp(means)), float(np.std(pictures[0]))

    assert drawn(0, 0) == (0, 0)
    usual, brighter, noisier = drawn(1, 1), drawn(4, 0), drawn(0, 3)
    assert brighter[0] == pytest.approx(4 * usual[0], rel=0.4)
    assert noisier[1] == pytest.approx(3 * usual[1], rel=0.1)
    assert (brighter[1], noisier[0] < 0.2) == (0, True)


def test_the_truth_tells_what_else_happens_in_every_frame(tmp_path):
    few = {"subjects": 2, "clips": 4, "seed": SEED}
    root = write_tiny_release("samm", tmp_path / "two", **few, release=2)
    with (root / "ground_truth/distractors.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    plans = LAYOUTS["samm"].plan(**few, release=2)
    assert [(row["subject"], row["clip"], int(row["frame"])) for row in rows] == [
        (f"{plan.subject:03d}", plan.name, number) for plan in plans for number in range(plan.first, plan.last + 1)
    ]
    first = draw_distractors(plans[0])
    assert tuple(rows[0])[3:] == COLUMNS
    assert [float(rows[5][name]) for name in COLUMNS[:4]] == pytest.approx([*first.turn[5], *first.gaze[5]], abs=1e-3)
    clips = load(DATASETS["samm"], root, None, "flow", None, join_spellings=False).clips
    onsets = {f"samm/{clip.subject}/{clip.name}": clip.onset for clip in clips}
    assert set(read_displacements(root, onsets)) == set(onsets)


def test_release_1_has_no_distractors_and_replaces_those_of_release_2(tmp_path):
    few = {"subjects": 1, "clips": 2, "seed": SEED}
    write_tiny_release("mmew", tmp_path / "raw", **few, release=2)
    root = write_tiny_release("mmew", tmp_path / "raw", **few)
    assert sorted(path.name for path in (root / "ground_truth").iterdir()) == ["S01", "clips.csv"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_can_be_read_in_release_2(tmp_path, layout):
    root = write_tiny_release(layout, tmp_path / "raw", subjects=3, clips=9, seed=SEED, release=2)
    assert len(load_release(layout.removesuffix("-long"), root).clips) == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"release": 3}, "--release must be 1 or 2, got 3."),
        ({"light": -1.0}, "--light must be from 0 to 10, got -1.0."),
        ({"noise": float("nan")}, "--noise must be from 0 to 10, got nan."),
    ],
)
def test_a_value_that_cannot_be_used_names_its_flag(tmp_path, changes, message):
    with pytest.raises(ConfigError) as error:
        write_tiny_release("casme2", tmp_path / "raw", **changes)
    assert str(error.value) == message
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("flag", ["release 2", "light 2", "noise 0"])
def test_the_command_refuses_flags_of_clips_for_long_videos(tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["synth", "long", "out", *f"--{flag}".split()])
    message = f"--{flag.split()[0]} has no effect with long, only with a release of clips. Leave it out."
    assert (result.exit_code, result.stderr) == (1, f"error: {message}\n")
    assert not list(tmp_path.iterdir())


def test_the_command_tells_that_an_earlier_release_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "mer_cli.datasets.synthetic.writer.write_release",
        lambda dataset, out, **settings: write_tiny_release(dataset, out, subjects=1, clips=1) and out,
    )
    monkeypatch.chdir(tmp_path)
    first, second = (CliRunner().invoke(app, ["synth", "casme2", "out"]) for _ in range(2))
    note = "note: out: the generated release that was there is replaced\n"
    assert (note in first.stderr, note in second.stderr) == (False, True)


def test_the_command_passes_every_flag_on(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "mer_cli.datasets.synthetic.writer.write_release",
        lambda dataset, out, **settings: given.append((dataset, settings)) or out,
    )
    flags = "--subjects 2 --clips 4 --seed 4 --intensity 2 --emotions disgust --release 2 --light 0.5 --noise 3"
    assert CliRunner().invoke(app, ["synth", "CASME II", str(tmp_path / "out"), *flags.split()]).exit_code == 0
    ((dataset, settings),) = given
    assert callable(settings.pop("on_clip"))
    assert dataset == "casme2"
    assert settings == {
        "subjects": 2, "clips": 4, "seed": 4, "intensity": 2, "emotions": ("disgust",), "release": 2, "light": 0.5,
        "noise": 3,
    }  # fmt: skip

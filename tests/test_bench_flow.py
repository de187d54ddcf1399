"""The true motion of drawn clips, and the scores of flows whose error is known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from moved_store import moved, texture
from tiny_faces import person_of
from torchvision.models.optical_flow import raft_small
from torchvision.transforms._presets import OpticalFlow
from typer.testing import CliRunner

from mer_cli.bench.flow import FACE, MOVING, bench_flow, read_raft, usual_flows
from mer_cli.bench.flow_recognition import TRUE_OF_FACE, TRUE_WITH_HEAD, Recognition
from mer_cli.bench.true_motion import (
    OUTSIDE,
    PLACES,
    REST,
    TrueClip,
    crop_field,
    draw_true_clips,
    plan_true_clips,
    true_motion,
)
from mer_cli.cli.bench_faces import measure_flow, show_flow
from mer_cli.cli.main import app
from mer_cli.datasets.synthetic.clip import Motion, StillClip, pose_matrix
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.subject import Worn
from mer_cli.errors import ConfigError
from mer_cli.faces.mean_face import MEAN_FACE, inside_face
from mer_cli.system.opencv import cv2

GRID = np.stack(np.meshgrid(np.arange(224), np.arange(224)), axis=2).astype(np.float32)
HEAD = np.stack([0.8 + 0.004 * GRID[..., 1], -0.5 - 0.003 * GRID[..., 0]], axis=2)
SQUARE = (slice(60, 100), slice(60, 100))  # that moves, by 1.5 pixels


def clip_of(clip_id, emotion="happiness", part=SQUARE, landmarks=MEAN_FACE):
    """A clip whose head moves by an affine motion, and whose face moves in a square of it."""
    own = np.zeros((224, 224, 2), np.float32)
    own[part] = (0.9, 1.2)
    places = np.full((224, 224), PLACES.index(OUTSIDE), np.int8)
    places[20:200, 20:200] = PLACES.index(REST)
    places[SQUARE] = PLACES.index("brows")
    picture = moved(texture(0), 0, 0)[..., None].repeat(3, axis=2)
    return TrueClip(clip_id, emotion, picture, picture, own, HEAD.astype(np.float32), places, landmarks)


def ignore(clip, flows):
    pass


CLIPS = [clip_of(f"casme2/0{subject}/EP01") for subject in (1, 2, 3)]


def origins(motion, frame, inverse):
    clip = StillClip(SimpleNamespace(neutral=np.zeros((HEIGHT, WIDTH, 3), np.float32)), motion)
    clip.place(frame, inverse)
    return clip.origins


def test_a_pixel_of_the_apex_shows_the_neutral_place_that_its_pixel_of_the_onset_shows():
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)

    def bump(at_x, at_y):
        return np.exp(-(((at_x - 150) / 25) ** 2) - ((at_y - 200) / 25) ** 2)

    displacement = np.stack([2.5 * bump(x, y), -1.5 * bump(x, y)], axis=2)
    motion = Motion(displacement[None], np.zeros((1, HEIGHT, WIDTH), np.float32), np.array([[0.2, 0.5, 1]], np.float32))
    poses = [pose_matrix(np.array(pose)) for pose in ((0.3, -0.2, 0.1, 0), (0, 0, 0, 0), (2.1, 1.4, -0.7, 0.004))]
    onset, apex = (np.asarray(cv2.invertAffineTransform(poses[index])) for index in (0, 2))
    own, head = true_motion(origins(motion, 0, onset), origins(motion, 2, apex), None)
    seen = np.s_[20:-20, 20:-20]
    goal = np.stack([x, y], axis=2) + own + head
    at_onset = np.stack([x, y], axis=2) @ onset[:, :2].T + onset[:, 2] - 0.2 * displacement
    there = bump(goal[..., 0], goal[..., 1])[..., None] * np.array([2.5, -1.5])
    at_apex = goal @ apex[:, :2].T + apex[:, 2] - there
    np.testing.assert_allclose(at_apex[seen], at_onset[seen], atol=0.005)
    far = np.s_[300:340, 20:60]
    np.testing.assert_allclose(own[far], 0, atol=1e-3)
    assert np.abs(head[far]).max() > 0.5


def test_what_is_worn_moves_with_the_head_alone():
    onset, apex = (np.array([[1, 0, -right], [0, 1, 0]], float) for right in (30, 33))  # the head moves to the right
    displacement = np.full((1, HEIGHT, WIDTH, 2), (0, 2), np.float32)
    motion = Motion(displacement, np.zeros((1, HEIGHT, WIDTH), np.float32), np.array([[0, 1]], np.float32))
    cover = np.zeros((HEIGHT, WIDTH), np.float32)
    cover[100:120, 100:200] = 1
    worn = Worn(np.zeros((HEIGHT, WIDTH, 3), np.float32), cover)
    own, head = true_motion(origins(motion, 0, onset), origins(motion, 1, apex), worn)
    np.testing.assert_allclose(head, np.full_like(head, (3, 0)), atol=1e-4)
    np.testing.assert_allclose(own[105:115, 132:228], 0)
    moved = np.full_like(own, (0, 2))
    np.testing.assert_allclose(own[105:115, 102:128], moved[105:115, 102:128], atol=1e-4)
    np.testing.assert_allclose(own[200:300, 132:228], moved[200:300, 132:228], atol=1e-4)


def test_a_field_is_carried_into_the_crop_in_its_pixels():
    field = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    field[100:200, 50:150] = (1, -0.5)
    shown = crop_field(field, np.array([[1.5, 0, -60], [0, 1.5, -120]], np.float32))
    np.testing.assert_allclose(shown[60, 60], (1.5, -0.75))  # frame (80, 120)
    np.testing.assert_allclose(shown[10, 60], 0)  # frame (80, 86.7)


@pytest.mark.slow
@pytest.mark.parametrize("release", [1, 2])
def test_a_drawn_apex_moved_back_by_the_truth_is_the_onset_but_for_noise(release, monkeypatch):
    monkeypatch.setattr("mer_cli.datasets.synthetic.drawing.draw_subject", person_of)
    plan = plan_true_clips(3, 2, 12, release)[0]
    units = tuple(replace(unit, peak=4.0) for unit in plan.units)
    (clip,) = draw_true_clips(3, [replace(plan, units=units)])
    moves = np.linalg.norm(clip.own, axis=2) > 1.5
    assert moves.sum() > 200

    def left(motion):
        at = GRID + motion
        back = cv2.remap(clip.apex, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.abs(back.astype(float) - clip.onset)[moves].mean()

    assert left(clip.own + clip.head) < 0.7 * min(left(clip.head), left(clip.own), left(np.zeros_like(clip.own)))
    assert clip.emotion == plan.emotion
    on_face = inside_face(clip.landmarks)
    # The chin's place reaches below the face.
    assert all(on_face[clip.places == PLACES.index(part)].mean() > 0.95 for part in ("brows", "eyes", "nose"))
    rows = [np.nonzero(clip.places == PLACES.index(part))[0].mean() for part in ("brows", "eyes", "nose", "mouth")]
    assert rows == sorted(rows)


def test_scores_of_known_flows_are_what_can_be_worked_out():
    ones = {
        "exact": lambda onset, apex: CLIPS[0].own + CLIPS[0].head,
        "half": lambda onset, apex: 0.5 * CLIPS[0].own + CLIPS[0].head,
        "head": lambda onset, apex: CLIPS[0].head,
        "off by 3-4-5": lambda onset, apex: CLIPS[0].own + CLIPS[0].head + np.array([0.3, 0.4], np.float32),
    }
    seen = []
    figures = bench_flow(CLIPS, ones, lambda clip, flows: seen.append((clip, list(flows), flows["head"])))
    assert (figures["clips"], figures["subjects"]) == (3, 3)
    assert [clip for clip, _, _ in seen] == CLIPS
    assert [(names, head is CLIPS[0].head) for _, names, head in seen] == 3 * [(list(ones), True)]
    face = 180 * 180
    assert figures["groups"]["brows"] == {"share": pytest.approx(1600 / 224**2), "true_px": pytest.approx(1.5)}
    assert figures["groups"]["1 to 2 px"] == figures["groups"]["brows"] == figures["groups"][MOVING]
    assert figures["groups"]["under .25 px"]["share"] == pytest.approx((face - 1600) / 224**2)
    assert figures["groups"]["eyes"] == {"share": 0, "true_px": None}
    for name, error, found in (("exact", 0, 1), ("half", 0.75, 0.5), ("head", 1.5, 0)):
        brows = figures["flows"][name]["groups"]["brows"]
        assert brows["epe_known_px"] == pytest.approx(error, abs=1e-5)
        assert brows["recovered_known"] == pytest.approx(found, abs=1e-5)
        # The square is a small part of the face, so the fit of the head's motion hardly follows it.
        assert brows["epe_px"] == pytest.approx(error, abs=0.02)
        assert brows["recovered"] == pytest.approx(found, abs=0.02)
        assert brows["recovered_interval"] == pytest.approx((brows["recovered"],) * 2)  # three clips alike
    shifted = figures["flows"]["off by 3-4-5"]["groups"]
    assert shifted[FACE]["epe_known_px"] == pytest.approx(0.5, abs=1e-5)
    assert shifted[FACE]["epe_px"] < 0.02  # a shift is a motion of the head
    assert figures["flows"]["off by 3-4-5"]["head_error_px"] == pytest.approx(0.5, abs=0.02)
    assert shifted[OUTSIDE]["recovered"] is None
    assert shifted["eyes"]["epe_px"] is None


# Each emotion moves another part of the face, in the same place in everybody.
PARTS_THAT_MOVE = {
    "happiness": (slice(150, 180), slice(60, 90)),
    "surprise": (slice(60, 80), slice(60, 160)),
    "disgust": (slice(100, 130), slice(95, 130)),
    "repression": (slice(180, 200), slice(90, 130)),
    "others": (slice(150, 180), slice(130, 160)),
}
FIVE_CLASSES = [
    clip_of(f"casme2/0{subject}/{emotion}", emotion, part)
    for subject in (1, 2, 3)
    for emotion, part in PARTS_THAT_MOVE.items()
]


def recognition_of(clips):
    recognition = Recognition()
    for clip in clips:
        recognition.add(clip, {"exact": clip.own + clip.head, "still": np.zeros_like(clip.own)})
    return recognition


def test_what_is_recognised_is_what_a_flow_shows_of_other_people():
    scores = recognition_of(FIVE_CLASSES).scores()
    flows = scores.pop("flows")
    assert scores == {
        "model": "canonical-svm",
        "input": "head+face+shape",
        "input_without_head": "face+shape",
        "scheme": "casme2-5",
        "rule": "last",
        "clips": 15,
        "subjects": 3,
        "left_out": 0,
    }
    assert list(flows) == ["exact", "still", TRUE_WITH_HEAD, TRUE_OF_FACE]
    assert [flows[name]["accuracy"] for name in flows] == [1, pytest.approx(0.2), 1, 1]
    assert flows[TRUE_WITH_HEAD] == flows["exact"]
    assert flows["still"]["uf1"] == pytest.approx(1 / 15)  # one class has a recall of 1 and a precision of .2
    # The third person shows each emotion in another part of the face, so the two others teach nothing about it.
    names = list(PARTS_THAT_MOVE)
    dealt = [
        clip_of(f"casme2/03/{emotion}", emotion, PARTS_THAT_MOVE[names[(names.index(emotion) + 1) % 5]])
        for emotion in names
    ]
    assert recognition_of(FIVE_CLASSES[:10] + dealt).scores()["flows"][TRUE_OF_FACE]["accuracy"] < 0.5


def test_emotions_that_the_scheme_leaves_out_and_faces_that_cannot_be_compared_are_not_recognised():
    fear = clip_of("casme2/01/EP09", "fear")
    folded = clip_of("casme2/01/EP10", landmarks=MEAN_FACE[::-1].copy())
    scores = recognition_of([fear, folded, *FIVE_CLASSES]).scores()
    assert scores == {**recognition_of(FIVE_CLASSES).scores(), "left_out": 1}


def test_one_person_is_not_scored(capsys):
    figures = {"seed": 7, "release": 1, **bench_flow(CLIPS[:1], {"mine": lambda onset, apex: CLIPS[0].head}, ignore)}
    figures["recognition"] = recognition_of(FIVE_CLASSES[:5]).scores() | {"left_out": 2}
    assert figures["recognition"]["flows"] == {}
    show_flow(figures, as_json=False)
    assert capsys.readouterr().err == (
        "note: 2 clips are left out: their landmarks don't lie as those of a face\n"
        "note: not measured: it takes two subjects with clips of the classes of casme2-5\n"
    )


def test_the_command_trains_on_the_flows_that_it_measures(monkeypatch):
    monkeypatch.setattr("mer_cli.bench.true_motion.draw_true_clips", lambda seed, plans: iter(FIVE_CLASSES))
    monkeypatch.setattr("mer_cli.bench.flow.usual_flows", lambda: {"head": lambda onset, apex: CLIPS[0].head})
    found = measure_flow(None, 3, 15, None, None)["recognition"]
    assert (found["clips"], list(found["flows"])) == (15, ["head", TRUE_WITH_HEAD, TRUE_OF_FACE])
    assert found["flows"]["head"]["accuracy"] == pytest.approx(0.2)


def test_the_motion_of_a_smaller_face_is_larger_on_the_mean_face():
    part = PARTS_THAT_MOVE["surprise"]
    small = tuple(slice(30 + axis.start * 3 // 4, 30 + axis.stop * 3 // 4) for axis in part)
    of_mean, of_small = (
        recognition_of([clip]).vectors[TRUE_OF_FACE]["casme2/01/EP01"]
        for clip in (
            clip_of("casme2/01/EP01", "surprise", part),
            clip_of("casme2/01/EP01", "surprise", small, np.asarray(MEAN_FACE * 0.75 + 30, np.float32)),
        )
    )
    moves = of_mean > 0.5
    np.testing.assert_allclose(of_small[moves].mean(), of_mean[moves].mean() / 0.75, rtol=0.1)


def test_the_head_is_fitted_and_removed_but_not_from_the_true_motion_of_the_face():
    everywhere = np.s_[:, :]
    vectors = recognition_of([clip_of("casme2/01/EP01", "happiness", everywhere)]).vectors
    for name in ("exact", TRUE_WITH_HEAD):  # a fit can't tell such a motion from the head's
        np.testing.assert_allclose(vectors[name]["casme2/01/EP01"], 0, atol=0.02)
    assert np.abs(vectors[TRUE_OF_FACE]["casme2/01/EP01"]).max() > 0.5


def test_the_usual_flows_follow_a_moved_picture():
    picture, shifted = (moved(texture(1, 96), *by)[..., None].repeat(3, axis=2) for by in ((0, 0), (2, -1)))
    for name, estimate in usual_flows().items():
        flow = estimate(picture, shifted)
        assert flow.shape == (96, 96, 2)
        np.testing.assert_allclose(np.median(flow, axis=(0, 1)), (2, -1), atol=0.2, err_msg=name)


def test_a_flow_that_is_not_finite_is_refused():
    with pytest.raises(ConfigError) as error:
        bench_flow(CLIPS, {"mine": lambda onset, apex: np.full((224, 224, 2), np.nan)}, ignore)
    assert str(error.value) == "mine: the flow of casme2/01/EP01 is not finite. Leave this flow out."


def test_raft_is_recognised_by_its_weights_and_gets_images_as_it_was_trained_on(tmp_path):
    torch.manual_seed(0)
    network = raft_small(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    name, estimate = read_raft(tmp_path / "raft.pth")
    assert name == "raft-small"
    onset, apex = (moved(texture(1, 128), *by)[..., None].repeat(3, axis=2) for by in ((0, 0), (2, -1)))
    flow = estimate(onset, apex)
    tensors = (torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (onset, apex))
    with torch.inference_mode():
        expected = network(*OpticalFlow()(*tensors))[-1][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(flow, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is not a file."),
        ("text", "can't be read as weights."),
        ({"weight": torch.zeros(2)}, "weights of another network."),
        ([1], "weights of another network."),
    ],
)
def test_other_weights_are_refused(content, told, tmp_path):
    path = tmp_path / "raft.pth"
    if content == "text":
        path.write_text(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ConfigError) as error:
        read_raft(path)
    assert str(error.value) == (
        f"--raft-weights {path}: {told} Expected the .pth file of torchvision's raft_small or raft_large."
    )


def test_flows_are_shown_as_tables_or_json(capsys):
    figures = {"seed": 7, "release": 2, **bench_flow(CLIPS, {"mine": lambda onset, apex: CLIPS[0].head}, ignore)}
    figures["flows"]["mine"]["s_per_clip"] = 0.25
    figures["recognition"] = recognition_of(FIVE_CLASSES).scores()
    show_flow(figures, as_json=False)
    shown = capsys.readouterr().out
    assert shown.startswith(
        "3 clips of 3 subjects, seed 7, release 2 of the generator; pixels of the 224x224 crop. Generated faces: "
        "nothing here is a result on a dataset.\n"
    )
    line = next(line for line in shown.splitlines() if line.startswith("mine"))
    assert line.split()[1:3] == ["0.250", "0.074"]  # 1600 of the face's 32,400 pixels are off by 1.5
    (brows, _) = [line.split() for line in shown.splitlines() if line.startswith("brows")]
    assert brows == ["brows", "3%", "1.500", "1.500"]
    _, recognised = shown.split("what canonical-svm recognises from each flow")
    rows = [line.split() for line in recognised.splitlines()]
    assert ["still", "20.00", "20.00", "to", "20.00", ".0667", ".0667", "to", ".0667"] in rows
    assert [*TRUE_OF_FACE.split(), "100.00", "100.00", "to", "100.00", "1.0000", "1.0000", "to", "1.0000"] in rows
    assert (
        "casme2-5, 15 clips of 3 subjects, LOSO, rule last, --input head+face+shape; for the true motion of the "
        "face, face+shape Only 3 subjects: " in " ".join(recognised.split())
    )
    show_flow(figures, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(figures))


@pytest.mark.parametrize(
    ("arguments", "flag", "parts"),
    [
        (("step", "--seed", "3"), "--seed", "`mer bench flow` or `mer bench threshold`"),
        (("cluster", "--clips", "3"), "--clips", "`mer bench flow` or `mer bench threshold`"),
        (("load", "--release", "2"), "--release", "`mer bench flow` or `mer bench threshold`"),
        (("threshold", "--raft-weights", "raft.pth"), "--raft-weights", "`mer bench flow`"),
        (("flow", "--model", "flow-svm"), "--model", "`mer bench threshold`"),
        (("flow", "--nodes", "3"), "--nodes", "`mer bench cluster`"),
    ],
)
def test_a_flag_of_another_part_is_refused(arguments, flag, parts):
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert (result.exit_code, result.stderr) == (1, f"error: {flag} has no effect without {parts}. Leave it out.\n")

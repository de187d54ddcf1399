"""Generated faces: the same bytes for a seed, pictures as each release shows them, and motion that is really there."""

import csv
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_faces import draw_flat, person_of, write_tiny_release

from mer_cli.datasets.registry import load_release
from mer_cli.datasets.synthetic.clip import Motion, View, clip_motion, draw_frames
from mer_cli.datasets.synthetic.subject import Subject
from mer_cli.datasets.synthetic.writer import LAYOUTS, write_release
from mer_cli.errors import ConfigError, DatasetError

SMALL = {"subjects": 2, "clips": 6, "seed": 3, "intensity": 2.0}


@pytest.fixture(scope="module", autouse=True)
def _people_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mer_cli.datasets.synthetic.drawing.draw_subject", person_of)
        yield


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release("casme2", tmp_path_factory.mktemp("synth") / "raw", **SMALL)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Two clips of one person in each layout that shows a drawn face otherwise than it is."""
    root, few = tmp_path_factory.mktemp("shown"), {"subjects": 1, "clips": 2, "seed": 3, "intensity": 2.0}
    return {layout: write_release(layout, root / layout, workers=1, **few) for layout in ("samm", "mmew", "smic")}


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def recovered_motion(root, dataset):
    """Share of the injected motion that optical flow, an independent measure, finds between onset and apex."""
    shares = []
    with (root / "ground_truth/clips.csv").open() as file:
        drawn = {(row["subject"], row["clip"]): (int(row["onset"]), int(row["apex"])) for row in csv.DictReader(file)}
    for clip in load_release(dataset, root).clips:
        truth = np.load(root / f"ground_truth/{clip.subject}/{clip.name}.npz")["displacement"].astype(np.float32)
        pictures = {frame.number: frame.path for frame in clip.frames}
        onset, apex = (cv2.imread(str(pictures[n]), cv2.IMREAD_GRAYSCALE) for n in drawn[clip.subject, clip.name])
        assert truth.shape == (*onset.shape, 2)
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(onset, apex, None)
        flow -= np.median(flow, axis=(0, 1))  # the head's own motion
        size = np.linalg.norm(truth, axis=2)
        active = size > 0.6 * size.max()
        shares.append((flow[active] * truth[active]).sum() / (truth[active] ** 2).sum())
    return float(np.median(shares))


def test_the_pipeline_reads_it_and_knows_that_it_is_generated(release):
    loaded = load_release("casme2", release)
    assert (len(loaded.clips), loaded.failed, loaded.generated, loaded.source) == (6, (), True, "raw")
    mended = [clip for clip in loaded.clips if clip.repairs]
    assert len(mended) == 1  # the annotated offset that is not on disk
    assert "offset" in mended[0].repairs[0]
    assert "is not on disk" in mended[0].repairs[0]


def test_the_same_seed_gives_the_same_bytes_in_one_process_and_in_several(release, tmp_path):
    assert contents(write_release("casme2", tmp_path / "again", workers=1, **SMALL)) == contents(release)


def test_another_seed_gives_other_faces(release, tmp_path):
    other = write_release("casme2", tmp_path / "other", **(SMALL | {"seed": 4, "subjects": 1, "clips": 1}))
    pictures = [next((root / "CASME2_RAW_selected/sub01").rglob("*.jpg")) for root in (release, other)]
    first, second = (cv2.imread(str(path)).astype(float) for path in pictures)
    assert np.abs(first - second).mean() > 5


def test_the_apex_moves_as_the_ground_truth_says(release):
    assert 0.5 < recovered_motion(release, "casme2") < 1.3


@pytest.mark.parametrize("layout", ["samm", "mmew", "smic"])
def test_the_ground_truth_is_told_in_the_pixels_of_the_shown_picture(shown, layout):
    assert 0.5 < recovered_motion(shown[layout], layout) < 1.3


@pytest.mark.parametrize(
    ("layout", "extension", "shape"),
    [("samm", "jpg", (650, 960)), ("mmew", "jpg", (231, 231, 3)), ("smic", "bmp", (270, 240, 3))],
)
def test_pictures_have_the_size_and_the_colours_of_the_release(shown, layout, extension, shape):
    paths = list((shown[layout] / LAYOUTS[layout].folder).rglob(f"*.{extension}"))
    assert len(paths) > 10
    assert {cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in paths} == {shape}


def test_a_grey_picture_keeps_the_whole_drawn_face_at_its_full_height():
    view = LAYOUTS["samm"].view
    drawn = np.zeros((360, 320, 3), np.uint8)
    drawn[:, 158:162] = 255
    picture = view.show(drawn)
    bright = np.flatnonzero(picture[300] > 128)
    assert (bright.mean() + 0.5, picture.dtype) == (pytest.approx(480, abs=0.6), np.uint8)
    assert len(bright) == pytest.approx(4 * 650 / 360, abs=1.1)


def test_a_field_is_scaled_and_moved_with_the_picture():
    field = np.zeros((20, 20, 2), np.float32)
    field[10:, :, 1] = 3  # the lower half moves down
    moved = View(30, 30, 2.0, left=2, top=4).show_field(field)
    assert moved.shape == (30, 30, 2)
    np.testing.assert_array_equal(moved[:11], 0)
    np.testing.assert_array_equal(moved[13:, :, 1], 6)


def test_a_longer_video_is_still_before_the_onset_and_shows_the_expression_again():
    plan = next(plan for plan in LAYOUTS["smic-long"].plan() if len(plan.again) == 2)
    envelopes = clip_motion(person_of(0, plan.person), replace(plan, units=plan.units[:1])).envelopes
    assert envelopes.shape == (1, plan.last - plan.first + 1)
    assert not envelopes[0, : plan.onset - plan.first].any()
    for onset in (plan.onset, *plan.again):
        start = onset - plan.first
        assert envelopes[0, start + plan.apex - plan.onset] == pytest.approx(1)
        assert envelopes[0, start : start + plan.offset - plan.onset].argmax() == plan.apex - plan.onset
    assert envelopes[0, -1] < 0.05


def test_the_head_moves_with_the_time_and_not_with_the_number_of_frames():
    slope = np.concatenate([np.linspace(50, 200, 160), np.linspace(200, 50, 160)]).astype(np.float32)
    person = Subject(np.tile(slope[None, :, None], (360, 1, 3)), None, None, None, None, 0.5)
    still = Motion(np.zeros((1, 360, 320, 2), np.float32), np.zeros((1, 360, 320), np.float32), np.zeros((1, 13)))
    clip = LAYOUTS["casme2"].plan()[0]
    shifts = {25: [], 200: []}
    for fps, found in shifts.items():
        for number in range(8):
            plan = replace(clip, onset=1, apex=6, offset=13, fps=fps, seed=(number,))
            pictures = [picture.astype(float) for picture in draw_frames(person, plan, still)]
            brighter = (pictures[-1] - pictures[0])[100:-100].mean(axis=(0, 2))
            found.append(brighter[30:130].mean() - brighter[190:290].mean())  # flicker is the same on both slopes
    assert np.std(shifts[25]) > 4 * np.std(shifts[200])


def test_intensity_scales_the_motion(release, tmp_path):
    weak = write_release("casme2", tmp_path / "weak", workers=1, **(SMALL | {"intensity": 1.0}))
    texts = [(root / "ground_truth/clips.csv").read_text() for root in (release, weak)]
    rows = [list(csv.DictReader(text.splitlines())) for text in texts]
    for strong_row, weak_row in zip(*rows, strict=True):
        assert float(strong_row["peak_px_at_224"]) == pytest.approx(2 * float(weak_row["peak_px_at_224"]), abs=0.02)
        assert 1 <= float(weak_row["peak_px_at_224"]) <= 3
    name = f"ground_truth/{rows[0][0]['subject']}/{rows[0][0]['clip']}.npz"
    fields = [np.load(root / name)["displacement"].astype(float) for root in (release, weak)]
    np.testing.assert_allclose(fields[0], 2 * fields[1], atol=0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_notice_names_the_dataset(tmp_path, layout):
    root = write_tiny_release(layout, tmp_path / "raw", subjects=1, clips=1)
    title = {"casme2": "CASME II", "samm": "SAMM", "mmew": "MMEW", "smic": "SMIC-HS", "smic-long": "SMIC-HS-E",
             "casme3": "CAS(ME)^3 part A", "casme": "CASME I", "dfme": "DFME",
             "casme3c": "CAS(ME)^3 part C", "4dme": "4DME"}[layout]  # fmt: skip
    assert (root / "GENERATED.txt").read_text() == (
        f"These faces were generated by mer synth. No score on them is a result on {title}.\n"
    )


def test_progress_is_told_by_clips(tmp_path):
    told = []
    write_tiny_release(
        "mmew", tmp_path / "raw", subjects=3, clips=7, on_clip=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (7, 7)
    assert len(told) == 3
    assert told == sorted(told)


def test_a_release_takes_the_place_of_an_earlier_one(tmp_path):
    write_tiny_release("samm", tmp_path / "raw", subjects=3, clips=9, seed=1)
    again = write_tiny_release("samm", tmp_path / "raw", subjects=2, clips=4, seed=2)
    assert contents(again) == contents(write_tiny_release("samm", tmp_path / "other", subjects=2, clips=4, seed=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subjects": 0}, "--subjects must be from 1 to 99, got 0."),
        (
            {"subjects": 9, "clips": 5},
            "--clips must be at least --subjects (9), got 5.",
        ),
        (
            {"intensity": 0.0},
            "--intensity must be more than 0 and at most 10, got 0.0.",
        ),
        (
            {"emotions": ("hapiness",)},
            "--emotions: Unknown emotion 'hapiness'. Known: happiness, disgust, repression, surprise, others, sadness, "
            "fear. Did you mean 'happiness'?",
        ),
    ],
)
def test_a_value_that_cannot_be_used_names_its_flag(tmp_path, changes, message):
    with pytest.raises(ConfigError) as error:
        write_release("casme2", tmp_path / "raw", **(SMALL | changes))
    assert str(error.value) == message
    assert not (tmp_path / "raw").exists()


def test_an_emotion_of_another_dataset_is_named_with_those_of_this_one(tmp_path):
    with pytest.raises(ConfigError) as error:
        write_release("smic", tmp_path / "raw", emotions=("disgust",))
    assert str(error.value) == "--emotions: Unknown emotion 'disgust'. Known: negative, positive, surprise."


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(DatasetError) as error:
        write_release("casme2", tmp_path, **SMALL)
    assert str(error.value) == (
        f"{tmp_path}: holds files that mer synth did not write. Expected an empty folder. Give another OUT."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_generated_release_of_another_dataset_is_left_alone(tmp_path):
    root = write_tiny_release("samm", tmp_path / "raw", subjects=1, clips=2)
    before = contents(root)
    with pytest.raises(DatasetError) as error:
        write_tiny_release("mmew", root, subjects=1, clips=2)
    assert str(error.value) == (
        f"{root}: holds a generated release of another dataset. Expected an empty folder, or a generated "
        "release of MMEW. Give another OUT."
    )
    assert contents(root) == before


def test_an_unknown_dataset_is_named(tmp_path):
    message = (
        "Unknown dataset 'casme4'. Known: casme2, samm, mmew, smic, smic-long, casme3, casme, dfme, casme3c, 4dme. "
        "Did you mean 'casme'?"
    )
    with pytest.raises(DatasetError, match=re.escape(message)):
        write_release("casme4", tmp_path / "raw")


def test_a_drawer_can_work_in_several_processes(tmp_path):
    few = {"subjects": 4, "clips": 8}
    alone = write_tiny_release("casme3", tmp_path / "alone", **few)
    together = write_tiny_release("casme3", tmp_path / "together", draw=draw_flat, workers=2, **few)
    assert contents(alone) == contents(together)

"""Generated releases: layout and table as released, the same bytes for a seed, and motion that is really there."""

import csv
from collections import Counter

import cv2
import numpy as np
import pytest
from openpyxl import load_workbook

from mer_cli.datasets.registry import load_release, synthesise
from mer_cli.datasets.synthetic.casme2_release import write_casme2
from mer_cli.datasets.synthetic.plan import EMOTION_COUNTS, SUBJECT_SIZES, plan_release
from mer_cli.errors import ConfigError, DatasetError

SMALL = {"subjects": 2, "clips": 6, "seed": 3, "intensity": 2.0}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_casme2(tmp_path_factory.mktemp("synth") / "raw", **SMALL)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_layout_and_the_table_are_the_released_ones(release):
    sheet_names = load_workbook(release / "CASME2_RAW_selected/CASME2-coding-20190701.xlsx").sheetnames
    assert sheet_names == ["Sheet1", "Sheet2", "Sheet3"]
    rows = list(load_workbook(release / "CASME2_RAW_selected/CASME2-coding-20190701.xlsx")["Sheet1"].values)
    assert rows[0] == (
        "Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
        "Estimated Emotion", "Objective Classes",
    )  # fmt: skip
    assert len(rows) == 7
    for subject, name, blank, onset, apex, offset, other_blank, units, emotion, objective in rows[1:]:
        assert (type(subject), blank, other_blank) == (str, None, None)
        assert onset < apex < offset
        assert isinstance(units, int) or not units.isdecimal()
        assert emotion in EMOTION_COUNTS
        assert 1 <= objective <= 7
        assert (release / f"CASME2_RAW_selected/sub{subject}/{name}/img{onset}.jpg").is_file()


def test_the_pipeline_reads_it_and_knows_that_it_is_generated(release):
    loaded = load_release("casme2", release)
    assert (len(loaded.clips), loaded.failed, loaded.generated, loaded.source) == (6, (), True, "raw")
    mended = [clip for clip in loaded.clips if clip.repairs]
    assert len(mended) == 1  # the annotated offset that is not on disk
    assert "offset" in mended[0].repairs[0]
    assert "is not on disk" in mended[0].repairs[0]


def test_the_same_seed_gives_the_same_bytes_whatever_the_processors(release, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert contents(write_casme2(tmp_path / "again", **SMALL)) == contents(release)


def test_another_seed_gives_other_faces(release, tmp_path):
    other = write_casme2(tmp_path / "other", **(SMALL | {"seed": 4, "clips": 2}))
    pictures = [next((root / "CASME2_RAW_selected/sub01").rglob("*.jpg")) for root in (release, other)]
    first, second = (cv2.imread(str(path)).astype(float) for path in pictures)
    assert np.abs(first - second).mean() > 5


def test_the_apex_moves_as_the_ground_truth_says(release):
    """Optical flow between the pictures, an independent measure, recovers most of the injected motion."""
    recovered = []
    for clip in load_release("casme2", release).clips:
        truth = np.load(release / f"ground_truth/{clip.subject}/{clip.name}.npz")["displacement"].astype(np.float32)
        pictures = {frame.number: frame.path for frame in clip.frames}
        onset, apex = (cv2.imread(str(pictures[n]), cv2.IMREAD_GRAYSCALE) for n in (clip.onset, clip.apex))
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(onset, apex, None)
        flow -= np.median(flow, axis=(0, 1))  # the head's own motion
        size = np.linalg.norm(truth, axis=2)
        active = size > 0.6 * size.max()
        recovered.append((flow[active] * truth[active]).sum() / (truth[active] ** 2).sum())
    assert np.median(recovered) > 0.5
    assert np.median(recovered) < 1.3


def test_intensity_scales_the_motion(release, tmp_path):
    weak = write_casme2(tmp_path / "weak", **(SMALL | {"intensity": 1.0}))
    texts = [(root / "ground_truth/clips.csv").read_text() for root in (release, weak)]
    rows = [list(csv.DictReader(text.splitlines())) for text in texts]
    for strong_row, weak_row in zip(*rows, strict=True):
        assert float(strong_row["peak_px_at_224"]) == pytest.approx(2 * float(weak_row["peak_px_at_224"]), abs=0.02)
        assert 1 <= float(weak_row["peak_px_at_224"]) <= 3
    name = f"ground_truth/{rows[0][0]['subject']}/{rows[0][0]['clip']}.npz"
    fields = [np.load(root / name)["displacement"].astype(float) for root in (release, weak)]
    np.testing.assert_allclose(fields[0], 2 * fields[1], atol=0.02)


def test_the_default_plan_has_the_counts_of_casme2():
    plans = plan_release(26, 255, 0, 1.0, None)
    assert Counter(plan.emotion for plan in plans) == EMOTION_COUNTS
    five = [plan for plan in plans if plan.emotion not in ("sadness", "fear")]
    assert [sum(plan.subject == subject for plan in five) for subject in range(1, 27)] == list(SUBJECT_SIZES)
    assert {plan.emotion for plan in plans if plan.subject == 18} == {"others"}
    assert len({(plan.subject, plan.name) for plan in plans}) == 255


def test_the_default_plan_has_the_releases_own_faults():
    plans = {(plan.subject, plan.name): plan for plan in plan_release(26, 255, 0, 1.0, None)}
    assert (plans[4, "EP12_01f"].table_apex, plans[4, "EP12_01f"].onset, plans[4, "EP12_01f"].offset) == ("/", 261, 321)
    assert (plans[5, "EP09_05f"].table_apex, plans[5, "EP09_05f"].onset) == ("69", 69)
    cut = plans[16, "EP01_08"]
    assert (cut.onset, cut.apex, cut.offset, cut.offset - cut.n_missing) == (73, 94, 110, 96)
    assert {plans[24, name].emotion for name in ("EP07_01", "EP07_04f", "EP10_03")} == {"surprise"}
    assert [plan.emotion for plan in plans.values() if plan.subject == 10].count("fear") == 1
    assert {plans[4, "EP12_01f"].emotion, plans[5, "EP09_05f"].emotion} == {"disgust"}


def test_chosen_emotions_come_in_equal_numbers_to_every_subject():
    plans = plan_release(6, 48, 1, 1.0, ("happiness", "surprise", "disgust"))
    assert Counter(plan.emotion for plan in plans) == {"happiness": 16, "surprise": 16, "disgust": 16}
    assert len({(plan.subject, plan.emotion) for plan in plans}) == 18


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subjects": 0}, "--subjects: 0 can't be used — expected 1 to 99. Change the value."),
        (
            {"subjects": 9, "clips": 5},
            "--clips: 5 is fewer than --subjects 9 — expected at least one clip a subject. Raise it.",
        ),
        (
            {"intensity": 0.0},
            "--intensity: 0.0 can't be used — expected more than 0, up to 10. Change the value.",
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
        write_casme2(tmp_path / "raw", **(SMALL | changes))
    assert str(error.value) == message
    assert not (tmp_path / "raw").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(DatasetError, match="holds files that mer synth did not write — expected an empty folder"):
        write_casme2(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_an_unknown_dataset_is_named(tmp_path):
    with pytest.raises(DatasetError, match="Unknown dataset 'casme'. Known: casme2. Did you mean 'casme2'?"):
        synthesise("casme", tmp_path, emotions=None, on_clip=print, **SMALL)

"""The motion at which a method is half-way: the fit against known curves, and a small ladder from end to end."""

import csv
import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from tiny_faces import person_of
from typer.testing import CliRunner

from mer_cli.bench.threshold import Ladder, bench_threshold, fit_threshold, forecast_s, peak_px
from mer_cli.cli.bench_faces import show_threshold
from mer_cli.cli.main import app
from mer_cli.datasets.synthetic.drawing import draw_faces
from mer_cli.errors import ConfigError
from mer_cli.faces.mean_face import is_a_face
from mer_cli.runs.directory import read_run

PEAKS = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0)


def answers(shares, n_subjects=20, n_clips=50):
    """Whether each clip's answer is right at each step, in given shares of every subject's clips; and the clip ids."""
    ids = [f"casme2/{subject:02}/{clip:02}" for subject in range(n_subjects) for clip in range(n_clips)]
    right = np.arange(n_clips)[:, None] < np.rint(np.asarray(shares) * n_clips)
    return np.tile(right, (n_subjects, 1)), ids


@pytest.mark.parametrize(("threshold", "slope"), [(0.6, 2.0), (1.0, 4.0), (1.7, 1.5)])
def test_a_threshold_is_found_from_answers_along_a_known_curve(threshold, slope):
    shares = [0.2 + (0.88 - 0.2) / (1 + (threshold / peak) ** slope) for peak in PEAKS]
    found = fit_threshold(*answers(shares), PEAKS, 0.2, 0.88)
    assert found["threshold_px"] == pytest.approx(threshold, rel=0.05)
    assert (found["threshold_side"], found["low_side"], found["high_side"]) == ("within",) * 3
    assert found["slope"] == pytest.approx(slope, rel=0.2)
    assert found["low_px"] <= found["threshold_px"] <= found["high_px"]


def test_the_interval_is_over_subjects():
    alike, ids = answers([0.2, 0.3, 0.5, 0.7, 0.8, 0.85])
    differing = alike.copy()
    of_subject = np.array([clip_id.split("/")[1] for clip_id in ids])
    for subject in range(20):  # half of them have a threshold much higher than the others
        shares = [0.2, 0.2, 0.2, 0.3, 0.5, 0.8] if subject % 2 else [0.4, 0.6, 0.8, 0.85, 0.85, 0.85]
        differing[of_subject == f"{subject:02}"] = answers(shares, 1)[0]
    narrow, wide = (fit_threshold(right, ids, PEAKS, 0.2, 0.88) for right in (alike, differing))
    assert narrow["low_px"] == narrow["threshold_px"] == narrow["high_px"]
    assert wide["low_px"] < 0.9 * wide["threshold_px"] < wide["threshold_px"] < 0.9 * wide["high_px"]


@pytest.mark.parametrize(("shares", "side"), [([0.2] * 6, "above"), ([0.88] * 6, "below")])
def test_a_method_that_does_not_cross_has_no_threshold_and_both_ends_of_its_interval_lie_there(shares, side):
    found = fit_threshold(*answers(shares), PEAKS, 0.2, 0.88)
    assert [found[f"{name}_px"] for name in ("threshold", "low", "high")] == [None] * 3
    assert [found[f"{name}_side"] for name in ("threshold", "low", "high")] == [side] * 3


def test_a_ceiling_at_chance_is_refused():
    with pytest.raises(ConfigError) as error:
        fit_threshold(*answers([0.2] * 6), PEAKS, 0.4, 0.4)
    assert str(error.value) == (
        "mer bench threshold: on these clips the action units allow an accuracy of 0.400, which is not above chance "
        "(0.400). Draw more: --clips N."
    )


def test_all_intensities_show_the_same_clips_and_only_their_motion_differs():
    ladder = Ladder(3, subjects=4, clips=20)
    weak, strong = ladder.plan(0.5), ladder.plan(1.5)
    assert peak_px(strong) == pytest.approx(3 * peak_px(weak))
    for one, other in zip(weak, strong, strict=True):
        assert (one.name, one.seed, one.onset, one.apex) == (other.name, other.seed, other.onset, other.apex)
        assert one.unit_codes == other.unit_codes
    assert set(Counter(plan.emotion for plan in weak).values()) == {4}


def test_a_ladder_can_be_of_the_second_release():
    first, second = (Ladder(3, subjects=4, clips=20, release=release).plan(1.0) for release in (1, 2))
    assert {plan.release for plan in second} == {2}
    assert sum(plan.offset - plan.onset for plan in second) > 1.3 * sum(plan.offset - plan.onset for plan in first)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            (),
            "mer bench threshold: --model and --out are missing. Type: mer bench threshold --model flow-svm --out "
            "ladder",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}/ladder", "--subjects", "1"),
            "--subjects must be at least 2, because one is held out, got 1.",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}/ladder", "--subjects", "5", "--clips", "4"),
            "--clips must be at least --subjects (5), got 4.",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}"),
            "{out}: holds files that mer bench threshold did not write. Give another --out.",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}/old", "--subjects", "3"),
            "{out}/old: holds a ladder that was drawn with other numbers, or by another version of mer (ladder.json). "
            "Give another --out, or the numbers in that file.",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}/damaged"),
            "{out}/damaged/ladder.json: is damaged. Give another --out, or remove {out}/damaged to draw everything "
            "again.",
        ),
        (
            ("--model", "flow-svm", "--out", "{out}/ladder", "--release", "3"),
            "--release must be 1 or 2, got 3.",
        ),
        (
            ("--model", "flow-smv", "--out", "{out}/ladder"),
            "--model: Unknown method 'flow-smv'.",
        ),
        (
            ("--model", "lbp-top,", "--flow", "fast", "--out", "{out}/ladder"),
            "--flow has no effect with lbp-top. Leave it out.",
        ),
    ],
)
def test_a_ladder_that_cannot_be_drawn_is_refused_before_anything_is_drawn(arguments, told, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "ladder.json").write_text("{}\n")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "ladder.json").write_bytes(b'{"mer": "\xff')
    result = CliRunner().invoke(app, ["bench", "threshold", *(text.format(out=tmp_path) for text in arguments)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {told.format(out=tmp_path)}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "old"]


@pytest.mark.slow
def test_a_small_ladder_is_drawn_trained_and_used_again(tmp_path, monkeypatch):
    monkeypatch.setattr("mer_cli.datasets.synthetic.drawing.draw_subject", person_of)
    ladder, out, told = Ladder(3, subjects=2, clips=10, intensities=(1.0, 2.0)), tmp_path / "ladder", []
    figures = bench_threshold(ladder, "flow-svm", {"flow": "fast"}, out, lambda done, seconds: told.append(done))
    assert told == [1, 2]
    assert list(figures["methods"]) == ["flow-svm"]
    assert [step["intensity"] for step in figures["steps"]] == [1, 2]
    runs = [read_run(path.parent) for path in (out / "runs").glob("*/config.json")]
    assert sorted(len(run.labels) for run in runs) == [10, 10]
    with (out / "intensity-1" / "raw" / "ground_truth" / "clips.csv").open(encoding="utf-8") as file:
        units = defaultdict(set)
        for row in csv.DictReader(file):
            units[row["subject"], row["clip"], row["emotion"]].add(row["unit"])
    sets = Counter((frozenset(found), emotion) for (_, _, emotion), found in units.items())
    best = {of_set: max(count for (other, _), count in sets.items() if other == of_set) for of_set, _ in sets}
    assert (figures["clips"], figures["left_out"]) == (10, 0)
    assert figures["ceiling"] == pytest.approx(sum(best.values()) / 10)
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    again = bench_threshold(ladder, "flow-svm", {"flow": "fast"}, out)
    assert again == figures
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == written


@pytest.mark.slow
def test_a_clip_whose_face_can_t_be_compared_is_left_out_of_a_ladder(tmp_path, monkeypatch):
    monkeypatch.setattr("mer_cli.datasets.synthetic.drawing.draw_subject", person_of)
    judged = []

    def is_first_or_later(landmarks):
        judged.append(is_a_face(landmarks))
        return len(judged) > 1

    monkeypatch.setattr("mer_cli.store.added.is_a_face", is_first_or_later)
    figures = bench_threshold(Ladder(3, subjects=2, clips=10, intensities=(1.0,)), "canonical-svm", {}, tmp_path / "l")
    assert judged == [True] * 10
    assert (figures["clips"], figures["left_out"]) == (9, 1)


def test_the_time_of_drawing_is_that_of_the_ladder_s_own_release(monkeypatch):
    timed = []

    def draw(view, seed, plans):
        timed.extend(plans)
        return draw_faces(view, seed, plans)

    monkeypatch.setattr("mer_cli.datasets.synthetic.drawing.draw_subject", person_of)
    monkeypatch.setattr("mer_cli.bench.threshold.draw_faces", draw)
    assert forecast_s(Ladder(3, subjects=2, clips=10, release=2)) > 0
    assert [plan.release for plan in timed] == [2]  # a frame of it takes longer


def test_thresholds_are_shown_lowest_first_with_what_lies_outside_the_ladder(capsys):
    def method(*ends):
        given = dict(zip(("threshold", "low", "high"), ends, strict=True))
        pixels = {f"{name}_px": None if isinstance(end, str) else end for name, end in given.items()}
        sides = {f"{name}_side": end if isinstance(end, str) else "within" for name, end in given.items()}
        return {"accuracy": [0.25, 0.5], "uf1": [0.2, 0.5], "slope": 2.0, **pixels, **sides}

    figures = {
        "seed": 7,
        "release": 2,
        "subjects": 3,
        "clips": 30,
        "left_out": 2,
        "rule": "last",
        "chance": 0.2,
        "ceiling": 0.9,
        "steps": [{"intensity": 0.2, "peak_px": 0.41}, {"intensity": 1.0, "peak_px": 2.05}],
        "methods": {
            "never": method("above", "above", "above"),
            "hardly": method("above", 1.5, "above"),
            "later": method(1.2, "below", 1.4),
            "sooner": method(0.6, 0.5, 0.7),
        },
    }
    show_threshold(figures, as_json=False)
    shown = capsys.readouterr()
    assert shown.err == "note: 2 clips are left out: at some intensity their face was not found well\n"
    head, _, *rows = shown.out.splitlines()
    assert head == (
        "30 clips of 3 subjects at each intensity, seed 7, release 2 of the generator, LOSO, rule last: chance 0.200, "
        "ceiling 0.900. Generated faces: nothing here is a result on a dataset."
    )
    assert [" ".join(row.split()) for row in rows[:4]] == [
        "sooner 0.60 px 0.50 px to 0.70 px 0.250 0.500",
        "later 1.20 px below 0.41 px to 1.40 px 0.250 0.500",
        "never above 2.05 px above 2.05 px 0.250 0.500",
        "hardly above 2.05 px 1.50 px to above 2.05 px 0.250 0.500",
    ]
    assert rows[4].startswith("Only 3 subjects")
    show_threshold(figures, as_json=True)
    assert json.loads(capsys.readouterr().out) == figures

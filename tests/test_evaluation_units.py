"""Scores of action units: what is counted, which units the means leave out, chance, and what is printed."""

import numpy as np
import pytest
from complete_store import complete_store
from moved_store import write_moved_store
from run_factory import forget_checksum, write_run
from sklearn.metrics import f1_score, recall_score
from tiny_store import write_store
from unit_runs import NAMES, drawn_labels, write_unit_run

from mer_cli.api.store import open_store
from mer_cli.datasets.unit_masks import bits_of, masks_of
from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation import unit_metrics
from mer_cli.evaluation.calibrated_run import calibration_of
from mer_cli.evaluation.ceiling_sources import read_coded_clips, scheme_ceilings
from mer_cli.evaluation.chance import control_of, run_chance
from mer_cli.evaluation.comparison import compare_runs, comparison_table
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.statistics import spread
from mer_cli.evaluation.summary import prediction_table, summarise, summarise_seeds
from mer_cli.evaluation.targets import CLASSES, UNITS
from mer_cli.inference.explain import explain_run
from mer_cli.records import Fold, dataset_of, subject_of
from mer_cli.report.exports import write_megc_log
from mer_cli.runs.directory import read_run
from mer_cli.runs.folds import inner_labels, set_aside, training_labels
from mer_cli.runs.rare_classes import rare_text_of
from mer_cli.runs.run_config import OwnScheme
from mer_cli.training.tuning import plan_tuning


def read(tmp_path, labels=None, **changes):
    return read_run(write_unit_run(tmp_path / "runs", labels, **changes))


def bits(run, scores, dataset=None):
    """Truth and predictions of the scored clips, as arrays of 0 and 1."""
    clips = [clip for clip in scores.predicted if dataset in (None, dataset_of(clip))]
    return (bits_of([of[clip] for clip in clips], 4).astype(int) for of in (run.labels, scores.predicted))


def test_scores_are_those_of_scikit_learn_without_a_unit_that_no_clip_shows(tmp_path):
    run = read(tmp_path)
    scores = evaluate(run, "last")
    truth, said = bits(run, scores)
    assert not truth[:, 3].any()
    assert said[:, 3].any()
    assert scores.uf1 == pytest.approx(f1_score(truth, said, average="macro", labels=[0, 1, 2]))
    assert scores.uar == pytest.approx(recall_score(truth, said, average="macro", labels=[0, 1, 2]))
    assert scores.accuracy == pytest.approx((truth == said).mean())
    assert (scores.n_clips, scores.n_subjects) == (len(run.labels), 5)
    each = [row.f1 for row in UNITS.per_class(scores.confusion)]
    assert each == pytest.approx(f1_score(truth, said, average=None, zero_division=0).tolist())


def test_counts_worked_by_hand():
    counts = unit_metrics.unit_counts([0b01, 0b11, 0b00, 0b01], [0b01, 0b01, 0b01, 0b00], 2)
    assert counts.tolist() == [[[0, 1], [1, 2]], [[3, 0], [1, 0]]]  # unit 0: 2 hits, 1 false, 1 missed; unit 1: missed
    assert unit_metrics.mean_f1(counts) == pytest.approx((4 / 6 + 0) / 2)
    assert unit_metrics.mean_recall(counts) == pytest.approx((2 / 3 + 0) / 2)
    assert unit_metrics.accuracy(counts) == pytest.approx((2 / 4 + 3 / 4) / 2)
    # Chance: unit 0 is shown by 3 of 4 and said of 3 of 4, unit 1 by 1 of 4 and said of none.
    assert unit_metrics.expected_accuracy(counts) == pytest.approx(((9 + 1) / 16 + 3 / 4) / 2)
    assert unit_metrics.mean_f1(np.zeros((2, 2, 2), int)) == 0


def test_a_logit_of_zero_is_a_probability_of_a_half_and_not_above_it():
    assert unit_metrics.decide(np.array([[0.0, 1e-6, -1.0]], np.float32)).tolist() == [0b010]


def test_the_score_of_left_out_datasets_is_the_mean_over_theirs(tmp_path):
    labels = drawn_labels(("casme2", "samm"), subjects=4)
    labels = {clip: mask & 0b11 if clip.startswith("samm") else mask for clip, mask in labels.items()}
    run = read(tmp_path, labels, by_dataset=True)
    scores = evaluate(run, "last")
    each = []
    for dataset, shown in (("casme2", [0, 1, 2]), ("samm", [0, 1])):
        truth, said = bits(run, scores, dataset)
        each.append(f1_score(truth, said, average="macro", labels=shown))
        assert evaluate(run, "last", dataset).uf1 == pytest.approx(each[-1])
    assert scores.uf1 == pytest.approx(np.mean(each))
    whole, of_casme2, of_samm = summarise(run, "last")
    assert ("left out of the means", "casme2: AU17; samm: AU12, AU17 (no clip shows them)") in whole.facts
    assert ("left out of the means", "AU12, AU17 (no clip shows them)") in of_samm.facts
    assert (whole.classes, bool(of_casme2.classes)) == ((), True)
    assert "AU12: 2 clips" in dict(whole.facts)["rare action units"] or "is left out of the mean there" in rare_text_of(
        run
    )


def test_best_test_chooses_on_the_test_subject_and_says_so(tmp_path):
    run = read(tmp_path, skill=0.3)
    last, best = evaluate(run, "last"), evaluate(run, "best-test")
    assert best.stamp == "selected on the test subject"
    assert best.accuracy > last.accuracy
    for fold in run.folds:
        truth = bits_of([run.labels[clip] for clip in fold.clip_ids], 4).astype(int)
        shown = np.flatnonzero(truth.any(axis=0))
        each = [
            f1_score(truth, (logits > 0).astype(int), average="macro", labels=shown, zero_division=0)
            for logits in fold.logits
        ]
        assert each[best.epochs[fold.fold] - 1] == pytest.approx(max(each))
    (summary,) = summarise(run, "best-test")
    assert dict(summary.facts)["epoch rule"].startswith("best-test: selected on the test subject")
    assert dict(summary.facts)["mean F1 of the units"] == f"{best.uf1:.4f}".removeprefix("0")  # without an interval


def test_inner_val_chooses_by_the_mean_f1_of_the_inner_clips(tmp_path):
    run = read(tmp_path, skill=0.3, inner_val=2)
    chosen = evaluate(run, "inner-val").epochs
    for fold in run.folds:
        truth = bits_of([run.labels[clip] for clip in fold.inner_clip_ids], 4).astype(int)
        shown = np.flatnonzero(truth.any(axis=0))
        each = np.array(
            [
                f1_score(truth, (logits > 0).astype(int), average="macro", labels=shown, zero_division=0)
                for logits in fold.inner_logits
            ]
        )
        smooth = [each[max(0, epoch - 2) : epoch + 3].mean() for epoch in range(4)]
        assert chosen[fold.fold] == int(np.argmax(np.round(smooth, 12))) + 1


def test_guessers_of_units(tmp_path):
    run = read(tmp_path)
    always, never, random = run_chance(run, "last")
    truth = bits_of(list(run.labels.values()), 4)
    shares = truth.mean(axis=0)[:3]
    assert [row.name for row in (always, never, random)] == ["always", "never", "prior-random"]
    assert always.uf1 == pytest.approx(np.mean(2 * shares / (1 + shares)))
    assert (always.uar, never.uf1, never.uar) == (1, 0, 0)
    assert never.accuracy == pytest.approx(1 - truth.mean())
    expected = np.mean([*(shares**2 + (1 - shares) ** 2), 1.0])  # but for the held-out subject's own clips
    assert random.accuracy == pytest.approx(expected, abs=0.05)
    assert random.intervals["uf1"][0] < random.uf1 < random.intervals["uf1"][1]
    assert run_chance(run, "best-test")[2].accuracy > random.accuracy


def test_a_null_control_is_expected_at_the_chance_of_each_unit(tmp_path):
    random = np.random.default_rng(3)
    labels = {f"casme2/{subject:02d}/EP{clip:02d}": 0 for subject in range(30) for clip in range(8)}
    labels = {clip: int(masks_of(random.random(4) < (0.6, 0.3, 0.1, 0.4))) for clip in labels}
    run = read(tmp_path, labels, skill=0.0, shuffle_labels=True, epochs=1, decay_epochs=1)
    scores = evaluate(run, "last")
    truth, said = bits(run, scores)
    p, q = truth.mean(axis=0), said.mean(axis=0)
    control = control_of([scores], run)
    assert control.expected == pytest.approx(np.mean(p * q + (1 - p) * (1 - q)))
    assert control.is_at_chance
    (summary,) = summarise(run, "last")
    assert "are expected by chance" in dict(summary.facts)["null control"]
    clever = read(tmp_path / "clever", labels, skill=1.0, shuffle_labels=True, epochs=1, decay_epochs=1)
    assert control_of([evaluate(clever, "last")], clever).is_at_chance is False


def test_a_null_control_permutes_the_masks_of_the_training_clips(tmp_path):
    run = read(tmp_path, shuffle_labels=True)
    clips = [clip for clip in run.labels if subject_of(clip) != "casme2/01"]
    shuffled = training_labels("casme2-01", clips, run.labels, run.config)
    assert sorted(shuffled.values()) == sorted(run.labels[clip] for clip in clips)
    assert shuffled != {clip: run.labels[clip] for clip in clips}
    assert inner_labels("casme2-01", clips, run.labels, run.config) != shuffled


def test_an_interval_draws_subjects_with_their_counts(tmp_path):
    run = read(tmp_path, skill=0.5)
    found = spread("uf1", [evaluate(run, "last")], run)
    assert found.low < found.mean < found.high
    sure = read(tmp_path / "sure", skill=50.0)
    perfect = spread("uf1", [evaluate(sure, "last")], sure)
    assert (perfect.low, perfect.mean, perfect.high) == (1, 1, 1)


def test_two_methods_are_compared_by_the_mean_f1(tmp_path):
    labels = drawn_labels(subjects=12)
    good = read(tmp_path / "good", labels, skill=2.0)
    bad = read(tmp_path / "bad", labels, skill=0.0, model="dual-inception")
    found = compare_runs([good], [bad], "last")
    assert found.difference == pytest.approx(evaluate(good, "last").uf1 - evaluate(bad, "last").uf1)
    assert found.p_value < 0.01
    names = [name for name, _ in comparison_table(found, good, bad, "last")]
    assert "mean F1 of the units of the first minus the second" in names
    assert compare_runs([bad], [bad], "last").p_value == 1


def test_evaluate_shows_each_unit_and_no_confusion(tmp_path):
    run = read(tmp_path)
    (summary,) = summarise(run, "last")
    header, *rows = summary.classes
    assert header == ("action unit", "clips", "precision", "recall", "F1")
    assert [row[0] for row in rows] == list(NAMES)
    assert rows[3] == ("AU17", "0", "", "", "")
    assert summary.confusion == ()
    assert summary.chance[0] == (
        "guesser",
        "accuracy of the units %",
        "mean F1 of the units",
        "mean recall of the units",
    )
    assert ("left out of the means", "AU17 (no clip shows them)") in summary.facts
    assert not {"UF1", "UAR", "accuracy"} & dict(summary.facts).keys()
    assert "this run predicts the units" in dict(summary.facts)["ceiling"]


def test_several_seeds_have_a_mean_and_a_deviation(tmp_path):
    runs = [read(tmp_path, seed=seed) for seed in (1, 2)]
    (table,) = summarise_seeds(runs, "last")
    values = [evaluate(run, "last").uf1 for run in runs]
    assert (
        f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}".replace("0.", ".")
        in dict(table)["mean F1 of the units"]
    )


def test_predictions_have_columns_for_each_unit(tmp_path):
    run = read(tmp_path)
    scores = evaluate(run, "last")
    header, *rows = prediction_table(run, scores)
    assert header[6:-2] == tuple(f"{what}_{name}" for what in ("gt", "pred", "p") for name in NAMES)
    assert len(rows) == len(run.labels)
    row = dict(zip(header, rows[0], strict=True))
    clip = f"{row['dataset']}/{row['subject']}/{row['clip']}"
    assert "".join(row[f"gt_{name}"] for name in NAMES) == f"{run.labels[clip]:04b}"[::-1]
    assert "".join(row[f"pred_{name}"] for name in NAMES) == f"{scores.predicted[clip]:04b}"[::-1]
    (fold,) = (fold for fold in run.folds if clip in fold.clip_ids)
    logits = fold.logits[-1][fold.clip_ids.index(clip)].astype(float)
    assert [float(row[f"p_{name}"]) for name in NAMES] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)


def test_subjects_are_set_aside_so_that_each_unit_is_in_training_and_among_the_inner_clips():
    labels = dict.fromkeys((f"casme2/{subject:02d}/EP{clip}" for subject in range(6) for clip in range(3)), 0b01)
    labels |= {"casme2/03/EP0": 0b11, "casme2/04/EP0": 0b10}  # the two subjects with unit 1, in different masks
    held_out = tuple(clip for clip in labels if subject_of(clip) == "casme2/00")
    fold = Fold("casme2-00", tuple(clip for clip in labels if clip not in held_out), (), held_out)
    for seed in range(5):
        inner = {subject_of(clip) for clip in set_aside(fold, labels, 2, seed, 2).inner}
        assert len(inner) == 2
        assert len(inner & {"casme2/03", "casme2/04"}) == 1


def test_a_table_of_clips_without_its_checksum_is_refused(tmp_path):
    path = write_unit_run(tmp_path)
    forget_checksum(path)
    with pytest.raises(RunError, match=r"clips\.csv: was edited or damaged \(the checksum of clips\.csv is missing\)"):
        read_run(path.rename(tmp_path / "by-hand"))


def test_what_is_for_classes_is_refused(tmp_path):
    run = read(tmp_path)
    for ask in (
        lambda: calibration_of(run),
        lambda: write_megc_log(tmp_path / "log.csv", [run], "last"),
        lambda: plan_tuning([], {"scheme": "units", "inner_val": 1}, {"epochs": [1, 2]}, 1, tmp_path),
    ):
        with pytest.raises(ConfigError, match="is for one class of each clip, and --scheme units"):
            ask()
    assert not (tmp_path / "log.csv").exists()


def test_labels_of_a_store_are_classes(tmp_path):
    with pytest.raises(ConfigError, match="scheme: units is of action units, several of which a clip may show"):
        open_store(write_store(tmp_path / "s.h5")).labels("units")


def test_a_run_of_classes_is_scored_as_ever(tmp_path):
    assert evaluate(read_run(write_run(tmp_path)), "last").targets is CLASSES


def test_a_scheme_of_ones_own_from_before_may_be_called_units(tmp_path):
    config = read(tmp_path).config
    own = OwnScheme(class_of={"casme2": {"happiness": "AU1"}}, dropped={}, left_out=())
    assert config.predicts_units
    assert not config.model_copy(update={"own_scheme": own}).predicts_units


def test_a_ceiling_of_units_is_refused(tmp_path):
    store = complete_store(write_moved_store(tmp_path / "s.h5").path)
    with pytest.raises(ConfigError, match="a ceiling is what action units allow to tell of classes"):
        scheme_ceilings(read_coded_clips(store), "units")


def test_maps_of_an_answer_of_units_are_refused(tmp_path):
    path = write_unit_run(tmp_path)
    with pytest.raises(ConfigError, match="mer explain: is for one class of each clip"):
        explain_run(path, [], tmp_path / "out", lambda done, total: None)

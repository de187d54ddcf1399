"""What a run is turned into for the eye: facts, tables of text, rows of predictions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run
from sklearn.metrics import accuracy_score, f1_score, recall_score

from mer_cli.errors import RunError
from mer_cli.evaluation import metrics
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.run_text import settings, train_command
from mer_cli.evaluation.summary import fraction, percent, prediction_table, summarise
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run


def test_evaluate_refuses_a_run_with_missing_folds_and_says_how_to_continue(tmp_path: Path) -> None:
    path = write_run(tmp_path, finished=3, seed=2)
    message = (
        f"{path}: only 3 of 4 folds are finished, so it has no score of casme2-mmnet3/12 yet. "
        "Continue with: mer train data/casme2.h5 --loso --scheme mmnet3 --recipe released --seed 2 --epochs 6 "
        "--device cpu --precision fp32 --compile off"
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        evaluate(read_run(path), "last")


def test_evaluate_names_the_run_whose_training_diverged(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    run.folds[1].logits[3, 0, 0] = np.nan
    message = (
        f"{run.path}, folds/casme2-02/logits.npz, epoch 4, clip casme2/02/EP00: a logit is NaN or infinite. The "
        "training diverged, or the file was edited. Train with --precision fp32, a lower learning "
        "rate or another seed, or delete folds/casme2-02 and train it again."
    )
    with pytest.raises(RunError, match=f"^{re.escape(message)}$"):
        evaluate(run, "last")


def test_summary_names_protocol_rule_and_stamp(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    facts = dict(summarise(run, "best-test")[0].facts)
    assert facts["protocol"] == "casme2-mmnet3/12, leave one subject out"
    assert facts["epoch rule"] == "best-test: selected on the test subject (6 epochs)"
    assert facts["clips, subjects"] == "12, 4"
    assert facts["coding table"] == "20190701"
    assert (facts["seed"], "faces" in facts) == ("1", False)
    assert "F1 of the released script" in facts
    assert "UF1" in dict(summarise(run, "last")[0].facts)


def test_summary_of_generated_faces_says_so_first(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, generated=True, table_version=""))
    facts = summarise(run, "last")[0].facts
    assert facts[0] == ("faces", "generated: not a result on any dataset")
    assert dict(facts)["coding table"] == "unknown"


def test_summary_tables_hold_every_class_and_the_guessers(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, "casme2-5", skill=20.0))
    (summary,) = summarise(run, "last")
    assert summary.title == run.path.name
    assert summary.classes[0] == ("class", "clips", "precision", "recall", "F1")
    assert [row[0] for row in summary.classes[1:]] == list(run.class_names)
    assert all(row[2:] == ("1.0000", "1.0000", "1.0000") for row in summary.classes[1:])
    assert summary.confusion[0] == ("true \\ predicted", *run.class_names)
    assert [[int(cell) for cell in row[1:]] for row in summary.confusion[1:]] == np.diag(
        [int(row[1]) for row in summary.classes[1:]]
    ).tolist()
    assert [row[0] for row in summary.chance] == ["guesser", "majority", "prior-random"]


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_each_dataset_is_scored_over_its_own_folds_as_scikit_learn_scores_it(tmp_path: Path, rule: str) -> None:
    run = read_run(write_run(tmp_path, "megc3", datasets=("casme2", "samm", "smic"), skill=0.7, subjects=7))
    (summary,) = summarise(run, rule)
    header, *rows = summary.datasets
    assert header[:5] == ("dataset", "by", "clips", "subjects", "accuracy %")
    ours = {row[0]: row[2:] for row in rows if row[1] == "mmnet"}
    assert list(ours) == ["full", "casme2", "samm", "smic"]
    for dataset, (n_clips, n_subjects, *numbers) in ours.items():
        folds = [fold for fold in run.folds if dataset in ("full", fold.clip_ids[0].split("/")[0])]
        scores = evaluate(run, rule, None if dataset == "full" else dataset)
        truth = [run.labels[clip_id] for fold in folds for clip_id in fold.clip_ids]
        chosen = [fold.logits[scores.epochs[fold.fold] - 1].argmax(axis=1) for fold in folds]
        predicted = np.concatenate(chosen).tolist()
        n_right = accuracy_score(truth, predicted, normalize=False)
        if rule == "best-test":  # the accuracy has epochs of its own
            right = [
                (fold.logits.argmax(axis=2) == [run.labels[c] for c in fold.clip_ids]).sum(axis=1) for fold in folds
            ]
            n_right = sum(counts.max() for counts in right)
        f1 = f1_score(truth, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
        uar = recall_score(truth, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
        assert numbers == [percent(n_right / len(truth)), fraction(f1), fraction(uar)]
        assert (int(n_clips), int(n_subjects)) == (len(truth), len(folds))
    assert sum(int(ours[dataset][0]) for dataset in ("casme2", "samm", "smic")) == int(ours["full"][0])
    accuracy = dict(summary.facts)["accuracy"]
    assert accuracy.startswith(f"{ours['full'][2]} %")
    assert ("95 % interval over subjects" in accuracy) == (rule == "last")


def test_each_dataset_has_its_guessers_beside_it(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, "megc3", datasets=("casme2", "samm")))
    (summary,) = summarise(run, "last")
    assert [row[:2] for row in summary.datasets[1:]] == [
        ("full", "mmnet"),
        *[(dataset, by) for dataset in ("casme2", "samm") for by in ("mmnet", "majority", "prior-random")],
    ]
    facts = dict(summary.facts)
    assert facts["coding table"] == "casme2 20190701, samm 20190701"
    assert facts["protocol"] == "casme2+samm-megc3/24, leave one subject out"
    assert facts["clips, subjects"] == "24, 8"


def test_one_dataset_has_no_table_of_datasets(tmp_path: Path) -> None:
    (summary,) = summarise(read_run(write_run(tmp_path)), "last")
    assert summary.datasets == ()


def test_across_datasets_each_test_store_has_a_score_of_its_own(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, "megc3", datasets=("samm", "smic"), trained_on=("casme2",), subjects=5))
    summaries = summarise(run, "best-test")
    assert [dict(summary.facts)["protocol"].partition(", ")[2] for summary in summaries] == [
        "trained on casme2, tested on samm",
        "trained on casme2, tested on smic",
    ]
    for summary, dataset in zip(summaries, ("samm", "smic"), strict=True):
        facts, scores = dict(summary.facts), evaluate(run, "best-test", dataset)
        assert facts["accuracy"] == f"{percent(scores.accuracy)} %"
        assert facts["clips, subjects"] == f"{scores.n_clips}, 5"
        assert facts["epoch rule"] == "best-test: selected on the test subjects (6 epochs)"
        assert summary.datasets == ()
        assert sum(int(row[1]) for row in summary.classes[1:]) == scores.n_clips
        assert [row[0] for row in summary.chance] == ["guesser", "majority", "prior-random"]


def test_the_command_that_continues_names_stores_and_folder_as_they_were_given(tmp_path: Path) -> None:
    rest = "--scheme megc3 --recipe released --seed 1 --epochs 6 --device cpu --precision fp32"
    loso = read_run(write_run(tmp_path, "megc3", datasets=("casme2", "samm"), out="my runs", finished=1))
    assert train_command(loso) == (f"mer train data/casme2.h5 data/samm.h5 --loso {rest} --compile off --out 'my runs'")
    across = read_run(write_run(tmp_path, "megc3", datasets=("samm", "smic"), trained_on=("casme2",), finished=1))
    assert train_command(across) == (
        f"mer train data/casme2.h5 --test data/samm.h5 --test data/smic.h5 {rest} --compile off"
    )


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_prediction_rows_give_back_the_confusion_matrix(tmp_path: Path, rule: str) -> None:
    run = read_run(write_run(tmp_path, skill=0.5))
    scores = evaluate(run, rule)
    header, *rows = prediction_table(run, scores)
    assert header == (
        "dataset",
        "subject",
        "clip",
        "fold",
        "seed",
        "epoch rule",
        "gt",
        "pred",
        "p_1",
        "p_2",
        "p_3",
        "generated",
        "remarks",
    )
    assert {"/".join(row[:3]) for row in rows} == set(run.labels)
    assert [row[:3] for row in rows] == sorted(row[:3] for row in rows)
    assert {row[3:6] for row in rows} == {(fold.fold, "1", rule) for fold in run.folds}
    truth, predicted = ([int(row[column]) for row in rows] for column in (6, 7))
    assert (metrics.confusion_matrix(truth, predicted, 3) == scores.confusion).all()
    shares = np.array([[float(cell) for cell in row[8:-2]] for row in rows])
    assert {row[-2] for row in rows} == {"false"}
    selected = "selected on the test subject; " if rule == "best-test" else ""
    assert {row[-1] for row in rows} == {f"{selected}tuned on test"}
    assert shares.sum(axis=1) == pytest.approx(1, abs=2e-6)
    assert shares.argmax(axis=1).tolist() == predicted


def test_prediction_probabilities_are_the_softmax_of_the_chosen_epoch(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    fold = run.folds[0]
    fold.logits[-1, 0] = [0.0, np.log(2.0), np.log(5.0)]
    row = next(row for row in prediction_table(run, evaluate(run, "last")) if "/".join(row[:3]) == fold.clip_ids[0])
    assert row[8:] == ("0.125000", "0.250000", "0.625000", "false", "tuned on test")


def test_settings_name_the_recipe_and_what_departs_from_it() -> None:
    assert settings(resolve_config("released", seed=5, device="cpu")) == "released recipe"
    assert settings(resolve_config("paper")) == "paper recipe"
    assert settings(resolve_config("released", weight_decay=0.7)) == "released recipe, weight decay 0.7"
    assert settings(resolve_config("released", epochs=20)) == "released recipe, epochs 20"
    assert settings(resolve_config("released", epochs=60)) == "released recipe, epochs 60"
    assert settings(resolve_config(epochs=20, decay_epochs=5)) == "released recipe, epochs 20, decay epochs 5"
    assert settings(resolve_config(model="ststnet", epochs=9)) == "published recipe, epochs 9"
    assert settings(resolve_config(model="hoof", span="apex")) == "published recipe, span apex"
    assert settings(resolve_config(model="hoof", span="apex", flow="fast")) == "published recipe, flow fast, span apex"
    assert settings(resolve_config("quick", shuffle_labels=True)) == "quick recipe, shuffle labels"


def test_numbers_are_written_as_the_field_prints_them() -> None:
    assert (percent(0.88353), percent(0.0), percent(1.0)) == ("88.35", "0.00", "100.00")
    assert (fraction(0.86764), fraction(0.0), fraction(1.0)) == (".8676", ".0000", "1.0000")

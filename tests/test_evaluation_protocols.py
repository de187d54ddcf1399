"""Scores of k-fold by lists and of leave one dataset out, against scikit-learn and slow versions; where they stand."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from run_factory import write_run
from sklearn.metrics import accuracy_score, f1_score, recall_score

from mer_cli.evaluation import metrics
from mer_cli.evaluation.chance import chance_rows, run_chance
from mer_cli.evaluation.comparison import compare_runs
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.run_text import train_command
from mer_cli.evaluation.statistics import SubjectCounts, bootstrap_interval, compare, score_of, spread
from mer_cli.evaluation.summary import fraction, percent, summarise, summarise_seeds
from mer_cli.evaluation.tried import several_settings
from mer_cli.report.collect import group_seeds
from mer_cli.report.entries import protocols, score_runs
from mer_cli.report.placing import place_runs
from mer_cli.report.run_list import list_runs
from mer_cli.report.summary import summarise_runs
from mer_cli.runs.directory import Run, read_run

THREE = ("casme2", "samm", "smic")
LISTS = {"1": ("casme2/01", "casme2/03"), "2": ("casme2/02", "casme2/04")}
MIXED = {"a": ("casme2/01", "casme2/02", "samm/01"), "b": ("casme2/03", "casme2/04", "samm/02", "samm/03", "samm/04")}


def dataset_run(root: Path, **given: object) -> Run:
    return read_run(write_run(root, "megc3", datasets=THREE, by_dataset=True, **{"skill": 0.7} | given))


def by_hand(run: Run, dataset: str) -> tuple[float, float, float]:
    """Accuracy, UF1 and UAR of a dataset's held-out clips after the last epoch, as scikit-learn computes them."""
    found = {
        clip_id: int(np.argmax(logits))
        for fold in run.folds
        for clip_id, logits in zip(fold.clip_ids, fold.logits[-1], strict=True)
        if clip_id.startswith(f"{dataset}/")
    }
    truth, guess = [run.labels[clip_id] for clip_id in found], list(found.values())
    return (
        accuracy_score(truth, guess),
        f1_score(truth, guess, labels=range(3), average="macro", zero_division=0),
        recall_score(truth, guess, labels=range(3), average="macro", zero_division=0),
    )


def test_leave_dataset_out_averages_the_scores_of_the_datasets(tmp_path: Path) -> None:
    run = dataset_run(
        tmp_path, subjects=7, protocol_id="casme2+samm+smic-megc3/100"
    )  # CASME II has more clips than the others
    assert [fold.fold for fold in run.folds] == [*THREE]
    each = [by_hand(run, dataset) for dataset in THREE]
    for dataset, (accuracy, uf1, uar) in zip(THREE, each, strict=True):
        scores = evaluate(run, "last", dataset)
        assert (scores.accuracy, scores.uf1, scores.uar) == pytest.approx((accuracy, uf1, uar))
        assert not scores.averaged
    mean = evaluate(run, "last")
    assert (mean.accuracy, mean.uf1, mean.uar) == pytest.approx(
        [statistics.mean(row) for row in zip(*each, strict=True)]
    )
    assert mean.accuracy != pytest.approx(float(metrics.accuracy(mean.confusion)), abs=1e-6)  # as if pooled
    assert (mean.n_clips, mean.n_subjects, mean.averaged) == (len(run.labels), 21, True)


def test_mer_evaluate_shows_the_mean_with_each_dataset_and_then_each_alone(tmp_path: Path) -> None:
    run = dataset_run(tmp_path, subjects=7)
    mean, *alone = summarise(run, "last")
    n_clips = len(run.labels)
    facts = dict(mean.facts)
    assert facts["protocol"] == f"casme2+samm+smic-megc3/{n_clips}, leave one dataset out, mean over 3 datasets"
    assert facts["few subjects"] == (
        "Only 7 subjects in the smallest dataset: a 95 % interval over fewer than 15 is rough, and holds the true "
        "score less often than 95 times in 100."
    )
    scores = evaluate(run, "last")
    assert facts["UF1"].startswith(f"{fraction(scores.uf1)} (95 % interval over subjects ")
    assert [row[0] for row in mean.datasets if row[1] == "mmnet"] == ["mean", *THREE]
    assert mean.datasets[1][4:] == (percent(scores.accuracy), fraction(scores.uf1), fraction(scores.uar))
    assert (mean.classes, mean.confusion) == ((), ())
    assert [dict(summary.facts)["protocol"] for summary in alone] == [
        f"casme2+samm+smic-megc3/{n_clips}, leave one dataset out, tested on {dataset}" for dataset in THREE
    ]
    assert all(summary.classes and summary.confusion for summary in alone)
    titles = [table[0][0] for table in summarise_seeds([run, dataset_run(tmp_path, subjects=7, seed=2)], "last")]
    assert titles == [
        f"2 seeds of casme2+samm+smic-megc3/{n_clips}{tested}"
        for tested in ("", *(f", tested on {name}" for name in THREE))
    ]


def test_the_interval_of_a_mean_draws_the_subjects_of_each_dataset() -> None:
    rng = np.random.default_rng(1)
    subjects = (*(f"casme2/{n}" for n in range(6)), *(f"samm/{n}" for n in range(9)))
    counts = SubjectCounts(subjects, rng.integers(0, 4, (15, 3, 3)), averaged=True)
    assert (counts.sizes, len(counts.parts)) == ((6, 9), 2)
    parts = counts.confusion[:6], counts.confusion[6:]
    assert score_of(counts, metrics.uf1) == pytest.approx(np.mean([metrics.uf1(part.sum(0)) for part in parts]))
    slow = [
        np.mean([metrics.uf1(part[rng.integers(0, len(part), len(part))].sum(0)) for part in parts])
        for _ in range(10_000)
    ]
    interval = bootstrap_interval([counts], metrics.uf1)
    # Student's t with 5 + 8 degrees of freedom is 2.1604 at .975, times sqrt((6/5 + 9/8) / 2); normal below -2.3293.
    assert interval.low == pytest.approx(np.quantile(slow, 0.00992), abs=0.01)
    assert interval.high == pytest.approx(np.quantile(slow, 0.99008), abs=0.01)


def test_a_dataset_of_one_subject_leaves_the_mean_without_an_interval(tmp_path: Path) -> None:
    run = dataset_run(tmp_path, subjects=1)
    found = spread("uf1", [evaluate(run, "last")], run)
    assert (found.low, found.high) == (None, None)
    assert found.mean == pytest.approx(evaluate(run, "last").uf1)


def test_a_class_that_one_dataset_alone_lacks_in_a_draw_counts_as_lost() -> None:
    both = [[1, 0], [0, 1]]
    counts = SubjectCounts(
        ("a/1", "a/2", "b/1", "b/2"), np.array([[[2, 0], [0, 0]], [[0, 0], [0, 2]], both, both]), averaged=True
    )
    assert bootstrap_interval([counts], metrics.uf1).lost == pytest.approx(0.5, abs=0.02)  # one of a's two, twice


def test_whole_subjects_are_swapped_within_the_mean_of_the_datasets() -> None:
    rng = np.random.default_rng(3)
    subjects = ("a/1", "a/2", "b/1", "b/2", "b/3")
    first, second = (SubjectCounts(subjects, rng.integers(0, 5, (5, 2, 2)), averaged=True) for _ in range(2))

    def mean(tables: np.ndarray) -> float:
        return float(np.mean([metrics.uf1(part.sum(0)) for part in (tables[:2], tables[2:])]))

    differences = []
    for code in range(32):
        swapped = np.array([code >> bit & 1 for bit in range(5)], dtype=bool)[:, None, None]
        one = np.where(swapped, second.confusion, first.confusion)
        differences.append(mean(one) - mean(np.where(swapped, first.confusion, second.confusion)))
    found = compare((1,), [first], [second], metrics.uf1, (1, 1))
    assert found.difference == pytest.approx(differences[0])
    exact = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    assert found.p_value == pytest.approx(exact, abs=0.02)


def test_guessers_are_averaged_over_datasets_too() -> None:
    labels = {"a/1/x": 0, "a/1/y": 1, "a/2/x": 1, "b/1/x": 0, "b/1/y": 0, "b/1/z": 1, "b/2/x": 0}
    fold_of = {clip_id: clip_id[0] for clip_id in labels}
    majority, random = chance_rows("last", labels, fold_of, 1, 2, averaged=True)
    # a is told 0 (b's commonest) and has it 1 of 3 times; b is told 1 and has it 1 of 4 times.
    assert majority.accuracy == pytest.approx((1 / 3 + 1 / 4) / 2)
    assert majority.uf1 == pytest.approx((0.5 / 2 + 0.4 / 2) / 2)
    pooled, _ = chance_rows("last", labels, fold_of, 1, 2)
    assert pooled.accuracy == pytest.approx(2 / 7)
    # a: 1/3 of its clips are told 0 with 3/4, the others 1 with 1/4; b: 3/4 are told 0 with 1/3, the other 1 with 2/3.
    assert random.accuracy == pytest.approx(((3 / 4 + 2 / 4) / 3 + (3 / 3 + 2 / 3) / 4) / 2, abs=0.05)


def test_a_null_control_is_judged_by_the_mean_over_datasets(tmp_path: Path) -> None:
    run = dataset_run(tmp_path, subjects=7, protocol_id="casme2+samm+smic-megc3/100", shuffle_labels=True, skill=0.0)
    expected = np.mean([metrics.expected_accuracy(evaluate(run, "last", dataset).confusion) for dataset in THREE])
    assert (
        f"{percent(float(expected))} % are expected by chance" in dict(summarise(run, "last")[0].facts)["null control"]
    )


def test_a_list_run_is_scored_by_its_pooled_counts_and_named_by_its_lists(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, lists=LISTS, skill=0.5))
    assert {fold.fold: {clip[:9] for clip in fold.clip_ids} for fold in run.folds} == {
        name: set(subjects) for name, subjects in LISTS.items()
    }
    accuracy, uf1, uar = by_hand(run, "casme2")
    (summary,) = summarise(run, "last")
    facts = dict(summary.facts)
    assert re.fullmatch(r"casme2-mmnet3/12, 2-fold by subject, lists [0-9a-f]{8}", facts["protocol"])
    assert facts["clips, subjects"] == "12, 4"
    assert facts["accuracy"].startswith(f"{percent(accuracy)} % ")
    assert evaluate(run, "last").uar == pytest.approx(uar)
    assert evaluate(run, "last").uf1 == pytest.approx(uf1)
    assert dict(summarise(run, "best-test")[0].facts)["epoch rule"].startswith(
        "best-test: selected on the test subjects "
    )
    write_run(tmp_path)
    rows = [row for row in list_runs([tmp_path]) if row.path != run.path]
    (row,) = (row for row in list_runs([tmp_path]) if row.path == run.path)
    assert row.accuracy == pytest.approx(accuracy)
    assert row.marks == (run.config.protocol(), "tuned on test")
    assert [other.marks for other in rows] == [("tuned on test",)]  # LOSO, which has the same id


def test_a_dataset_in_mixed_lists_is_scored_by_its_own_clips_alone(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, "megc3", datasets=("casme2", "samm"), lists=MIXED, skill=0.5))
    for dataset in ("casme2", "samm"):
        scores = evaluate(run, "last", dataset)
        assert (scores.accuracy, scores.uf1, scores.uar) == pytest.approx(by_hand(run, dataset))
        assert all(clip_id.startswith(dataset) for clip_id in scores.predicted)
        (majority, _) = run_chance(run, "last", dataset)
        right = 0
        for name in MIXED:
            others = [label for clip_id, label in run.labels.items() if run.fold_of[clip_id] != name]
            commonest = int(np.argmax(np.bincount(others, minlength=3)))
            own = [c for c, fold in run.fold_of.items() if fold == name and c.startswith(f"{dataset}/")]
            right += sum(run.labels[clip_id] == commonest for clip_id in own)
        assert majority.accuracy == pytest.approx(right / scores.n_clips)
    assert evaluate(run, "last").n_clips == len(run.labels)


def test_the_protocol_names_lists_by_what_is_in_them(tmp_path: Path) -> None:
    turned = {fold: LISTS[fold][::-1] for fold in ("2", "1")}
    other = {"1": LISTS["1"], "3": LISTS["2"]}
    said = [
        read_run(write_run(tmp_path / str(place), lists=lists)).config.protocol()
        for place, lists in enumerate((LISTS, turned, other))
    ]
    assert said[0] == said[1] != said[2]


def test_a_run_by_lists_never_shares_a_row_a_block_or_a_paired_test_with_one_by_subject(tmp_path: Path) -> None:
    single = {f"casme2-{n:02d}": (f"casme2/{n:02d}",) for n in range(1, 5)}  # LOSO's folds, under their names
    places = [write_run(tmp_path, **given) for given in ({}, {"lists": LISTS}, {"lists": single})]
    assert len({path.name for path in places}) == 3
    runs = [read_run(path) for path in places]
    assert runs[0].fold_of == runs[2].fold_of
    assert len(group_seeds(runs)) == 3
    found = protocols(None, score_runs(runs, place_runs(runs)))
    assert [len(protocol.entries) for protocol in found] == [1, 1, 1]
    assert len({row.protocol for row in summarise_runs(runs)}) == 3
    longer = read_run(write_run(tmp_path, lists={"x": LISTS["1"], "y": LISTS["2"]}, epochs=7))
    assert several_settings([*runs, longer]) == []  # one setting each, on other folds
    with pytest.raises(Exception, match="are not runs on the same clips, labels and folds"):
        compare_runs(runs[:1], runs[1:2], "last")


def test_a_run_by_lists_is_in_no_table_of_the_paper_though_its_clips_are_the_papers(tmp_path: Path) -> None:
    counts = (32, 28, 96)
    given = {"protocol_id": "casme2-mmnet3/156", "counts": counts, "subjects": 25}
    lists = {"1": tuple(f"casme2/{n:02d}" for n in range(1, 13)), "2": tuple(f"casme2/{n:02d}" for n in range(13, 26))}
    loso, by_lists = (read_run(write_run(tmp_path, **given, **more)) for more in ({}, {"lists": lists}))
    found = place_runs([loso, by_lists])
    assert found[loso.path].paper == ("casme2", "mmnet3")
    assert set(found[loso.path].rows) > {None}
    assert (found[by_lists.path].paper, found[by_lists.path].namesake) == (None, None)
    assert set(found[by_lists.path].rows) == {None}


def test_runs_that_hold_out_datasets_have_a_block_for_the_mean_and_one_for_each(tmp_path: Path) -> None:
    run = dataset_run(tmp_path)
    found = protocols(None, score_runs([run], place_runs([run])))
    n_clips = len(run.labels)
    assert [protocol.name for protocol in found] == [
        *(f"casme2+samm+smic-megc3/{n_clips}, leave one dataset out, tested on {dataset}" for dataset in THREE),
        f"casme2+samm+smic-megc3/{n_clips}, leave one dataset out, mean over 3 datasets",
    ]
    assert any("Only 4 subjects in the smallest dataset" in note.text for note in found[-1].warnings)
    assert any(note.text.startswith("Only 4 subjects: ") for note in found[0].warnings)
    (listed,) = list_runs([tmp_path])
    assert listed.marks[0] == "leave one dataset out, mean over 3 datasets"
    assert listed.uf1 == pytest.approx(evaluate(run, "last").uf1)
    (row,) = summarise_runs([run])
    assert row.protocol.endswith("mean over 3 datasets")
    assert row.uf1
    assert row.uf1.mean == pytest.approx(evaluate(run, "last").uf1)


def test_the_command_that_continues_a_run_names_its_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_run(Path("runs"), lists=LISTS, finished=1)
    assert train_command(read_run(path)).startswith(
        f"mer train data/casme2.h5 --folds-file {Path('runs') / path.name / 'folds.csv'} --scheme mmnet3 "
    )
    assert (path / "folds.csv").read_text(encoding="utf-8") == "subject,fold\n01,1\n03,1\n02,2\n04,2\n"
    path = write_run(Path("runs"), "megc3", datasets=THREE, by_dataset=True, finished=1)
    assert train_command(read_run(path)).startswith(
        "mer train data/casme2.h5 data/samm.h5 data/smic.h5 --leave-dataset-out --scheme megc3 "
    )

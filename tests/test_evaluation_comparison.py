"""`mer evaluate A --compare B`: which runs may be compared, over which seeds, and what is said."""

import re

import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.evaluation import metrics
from mer_cli.evaluation.comparison import compare_runs, comparison_table
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.runs.directory import read_run


def runs_of(root, seeds, **changes):
    return [read_run(write_run(root, seed=seed, **changes)) for seed in seeds]


def test_the_seeds_that_both_have_are_compared(tmp_path):
    first = runs_of(tmp_path, (1, 2, 3), skill=4.0)
    second = runs_of(tmp_path, (2, 3, 4), skill=0.0, variant="baseline")
    found = compare_runs(first, second, "last")
    assert (found.seeds, found.n_seeds, found.mcnemar_seed) == ((2, 3), 2, 2)
    scores = [[evaluate(run, "last") for run in runs if run.config.seed in (2, 3)] for runs in (first, second)]
    gaps = [float(metrics.uf1(a.confusion) - metrics.uf1(b.confusion)) for a, b in zip(*scores, strict=True)]
    assert found.difference == pytest.approx(sum(gaps) / 2)
    table = dict(comparison_table(found, first[0], second[0], "last"))
    assert table["seeds in common"] == "2"
    assert table["second"].startswith("mmnet, baseline, released recipe")
    mcnemar = table["p of McNemar's test, seed 2 (over clips, so too small)"]
    numbers = [table["UF1 of the first minus the second"].lstrip("+"), table["p, whole subjects swapped"], mcnemar]
    assert all(re.fullmatch(r"\.\d{4}", number) for number in numbers)
    assert table["protocol"] == "casme2-mmnet3/12, leave one subject out"
    assert table["epoch rule"] == "last"
    leaky = dict(comparison_table(found, first[0], second[0], "best-test"))
    assert leaky["epoch rule"] == "best-test: selected on the test subject, so no p-value holds"


def test_runs_are_compared_at_the_epochs_that_their_inner_clips_chose(tmp_path):
    first, second = runs_of(tmp_path, (1,), inner_val=1), runs_of(tmp_path, (1,), inner_val=1, variant="pc")
    scores = [evaluate(runs[0], "inner-val").uf1 for runs in (first, second)]
    assert compare_runs(first, second, "inner-val").difference == pytest.approx(scores[0] - scores[1])


def test_the_order_of_the_runs_changes_nothing(tmp_path):
    first, second = runs_of(tmp_path, (1, 2)), runs_of(tmp_path, (1, 2), variant="pc")
    assert compare_runs(first[::-1], second, "last") == compare_runs(first, second[::-1], "last")


def test_runs_on_other_clips_stay_apart(tmp_path):
    (first,), (second,) = runs_of(tmp_path, (1,)), runs_of(tmp_path, (1,), subjects=5)
    with pytest.raises(RunError) as error:
        compare_runs([first], [second], "last")
    assert str(error.value) == (
        f"{second.path} ({second.config.protocol_id}) and {first.path} ({first.config.protocol_id}) are not runs on "
        "the same clips, labels and folds. Compare runs of one store and scheme."
    )


def test_runs_without_a_common_seed_are_named(tmp_path):
    (first,), (second,) = runs_of(tmp_path, (1,)), runs_of(tmp_path, (2,), variant="pc")
    with pytest.raises(RunError, match=r"have no seed in common \(1 and 2\)\. Train both with the same --seed\."):
        compare_runs([first], [second], "last")


def test_a_method_that_draws_nothing_is_compared_under_every_seed(tmp_path):
    first = runs_of(tmp_path, (1,), model="flow-svm", recipe="published", epochs=1, decay_epochs=0)
    second = runs_of(tmp_path, (2, 3))
    found = compare_runs(first, second, "last")
    assert found.seeds == (2, 3)
    own, *others = (float(evaluate(run, "last").uf1) for run in (*first, *second))
    assert found.difference == pytest.approx(own - sum(others) / 2)
    assert compare_runs(second, first, "last").difference == pytest.approx(-found.difference)

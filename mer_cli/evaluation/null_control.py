"""The null control: what runs on permuted training labels (`mer train --shuffle-labels`) must reach, and what they do.

Such a run has nothing to learn, so under an honest rule its accuracy is that of predictions which know nothing: the
sum over classes of predicted share times true share. What another rule gives beyond it is that rule's leak.

Leaving one subject out pushes an honest accuracy slightly below that value: the held-out subject's clips are missing
from the training clips, so the classes that it shows are the ones that its network says a little too rarely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mer_cli.evaluation import metrics
from mer_cli.evaluation.epoch_rules import Scores
from mer_cli.evaluation.statistics import bootstrap_interval, count_by_subject
from mer_cli.training.run import Run


@dataclass(frozen=True)
class NullControl:
    """Runs on permuted labels under one rule; shares, each pooled over the clips and averaged over the seeds.

    accuracy : what they reached · expected : what predictions of these shares reach by chance
    low, high : where an honest accuracy lies 95 times in 100; None for one subject, of whom none can be drawn
    """

    rule: str
    accuracy: float
    expected: float
    low: float | None
    high: float | None
    n_seeds: int

    @property
    def is_at_chance(self) -> bool | None:
        """None where there is no interval to tell it by."""
        return None if self.low is None or self.high is None else self.low <= self.accuracy <= self.high


def control_of(by_seed: Sequence[Scores], run: Run) -> NullControl:
    """Score the control from the scores of its seeds, on the clips of `run`, which was trained on permuted labels.

    The interval is that of the accuracy minus the expected one, drawn over subjects as every interval here is, moved
    so that its centre is chance, and cut off at 0 and 1. A fold's permutation is its own, so under
    leave-one-subject-out a draw of subjects is a draw of permutations as well; across datasets all clips of a fold
    share one permutation, and the interval is too narrow by what that adds. The accuracy is the rule's own: under
    `best-test` its epochs are not those of the predictions that give the shares.
    """
    n_classes = len(run.class_names)
    counts = [count_by_subject(scores.predicted, run.labels, n_classes) for scores in by_seed]
    tables = [scores.confusion for scores in by_seed]
    expected = float(np.mean([metrics.expected_accuracy(table) for table in tables]))
    found = float(np.mean([metrics.over_chance(table) for table in tables]))
    low = high = None
    if by_seed[0].n_subjects > 1:
        interval = bootstrap_interval(counts, metrics.over_chance)
        low, high = max(0.0, expected + interval.low - found), min(1.0, expected + interval.high - found)
    return NullControl(
        rule=by_seed[0].rule,
        accuracy=float(np.mean([scores.accuracy for scores in by_seed])),
        expected=expected,
        low=low,
        high=high,
        n_seeds=len(by_seed),
    )

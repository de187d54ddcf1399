"""Computes what the labels allow: how well classes can be told from the coded action units alone, without any image.

`any rule` gives each set of coded units the class that most of its clips have. It is counted on all clips, so no other
single rule on the set is right more often: an upper bound on the accuracy. A set that one clip alone has is always
right, so the bound is loose where such sets are many. Ties go to the class with the fewer clips, then to the lower
label; that changes only UF1 and UAR, which are those of this rule and not bounds.

`told the units` is logistic regression on the units, in the same folds as a run: what can be learnt from them. It reads
the held-out clips' annotation, which no recogniser has.

Neither is a bound for what reads images: these hold more than the codes, such as timing and strength. And the bound is
for one rule on all clips. The folds of a run may follow different rules, and under `best-test` each fold's rule is
chosen by its held-out clips.

Source
------
ours
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mer_cli.datasets.action_units import CodedUnits, read_coded
from mer_cli.evaluation import metrics
from mer_cli.evaluation.statistics import METRICS, Spread, bootstrap_interval, count_by_subject
from mer_cli.records import Fold, dataset_of, subject_of

C = 1.0  # of the logistic regression: scikit-learn's default, fixed beforehand, so that nothing is chosen
MOST_STEPS = 1000  # of its optimiser; it needs some dozens

READS = "reads the held-out clips' annotation"  # stands beside every number of `TOLD`
UNITS = "any rule on the coded action units"
SIDES = "any rule on the units and their sides"
TOLD = f"told the coded action units ({READS})"
CARE = (
    "Images hold more than the codes, such as timing and strength, and the folds of a run may follow different rules "
    "(under best-test the held-out clips choose them), so a score above the ceiling is not a proof of a leak. But no "
    "single rule on which units the coders saw can give it."
)
HALF_A_DIGIT = 0.005  # percent: less than a printed accuracy shows


@dataclass(frozen=True)
class BestRule:
    """The rule on the set of coded action units that is right most often; scores are 0..1.

    accuracy : share of clips that it gets right; no other rule on the set reaches more
    uf1, uar : of this rule; another rule may reach more
    n_sets : number of different sets · n_alone : number of clips whose set no other clip has
    """

    accuracy: float
    uf1: float
    uar: float
    n_sets: int
    n_alone: int


@dataclass(frozen=True)
class Told:
    """The scores of logistic regression on the coded units, with intervals over subjects if there are several."""

    accuracy: Spread
    uf1: Spread
    uar: Spread


@dataclass(frozen=True)
class Ceiling:
    """What the labels of some held-out clips allow.

    units : the best rule on the numbers of the units · sides : that on the units with their sides ("L12" is not "12")
    told : what is learnt from the numbers of the units
    n_uncoded : number of clips for which no unit is coded; they share the empty set
    n_unreadable : number of clips with a part that can't be read, which counts as a unit of its own
    n_doubtful : number of clips with alternatives or a doubted unit ("or", "/", "?"), each of which counts
    n_units : number of different units
    """

    units: BestRule
    sides: BestRule
    told: Told
    n_clips: int
    n_subjects: int
    n_uncoded: int
    n_unreadable: int
    n_doubtful: int
    n_units: int

    @property
    def has_sides(self) -> bool:
        """Whether the bound is higher if the sides count."""
        return self.sides.accuracy > self.units.accuracy


def bounds_of(ceiling: Ceiling) -> tuple[tuple[str, BestRule], ...]:
    """Return the names and the best rules to show; that with sides only if they raise the bound."""
    return ((UNITS, ceiling.units), *([(SIDES, ceiling.sides)] if ceiling.has_sides else []))


def is_above(percentage: float, bound: BestRule) -> bool:
    """Return whether an accuracy in percent, as it is printed with two digits, is more than a bound allows."""
    return percentage > 100 * bound.accuracy + HALF_A_DIGIT


def ceiling_of(cells: Mapping[str, str], labels: Mapping[str, int], folds: Iterable[Fold], n_classes: int) -> Ceiling:
    """Return what the labels of the folds' held-out clips allow.

    Parameters
    ----------
    cells, labels : action units, as the coding table spells them, and class by clip id; for all clips of the folds, of
        which at least one has a coded unit
    folds : those to score; each clip is held out in one of them at most. Inner clips are trained on as well, because
        nothing is chosen by them
    """
    held = tuple((fold.id, tuple(sorted((*fold.train, *fold.inner))), tuple(sorted(fold.test))) for fold in folds)
    clips = sorted({clip_id for _, train, test in held for clip_id in (*train, *test)})
    return _ceiling(tuple((clip_id, cells[clip_id], labels[clip_id]) for clip_id in clips), held, n_classes)


def uncoded_datasets(cells: Mapping[str, str]) -> tuple[str, ...]:
    """Return the datasets none of whose clips has a coded action unit, sorted; `cells` are units by clip id."""
    coded = {dataset_of(clip_id) for clip_id, cell in cells.items() if read_coded(cell).units}
    return tuple(sorted({dataset_of(clip_id) for clip_id in cells} - coded))


@lru_cache(maxsize=64)
def _ceiling(
    clips: tuple[tuple[str, str, int], ...],
    folds: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...],
    n_classes: int,
) -> Ceiling:
    coded = {clip_id: read_coded(cell) for clip_id, cell, _ in clips}
    labels = {clip_id: label for clip_id, _, label in clips}
    scored = sorted(clip_id for _, _, test in folds for clip_id in test)
    of_scored = [coded[clip_id] for clip_id in scored]
    truth = [labels[clip_id] for clip_id in scored]
    return Ceiling(
        units=best_rule([each.units for each in of_scored], truth, n_classes),
        sides=best_rule([each.sides for each in of_scored], truth, n_classes),
        told=_told(coded, labels, folds, n_classes),
        n_clips=len(scored),
        n_subjects=len(set(map(subject_of, scored))),
        n_uncoded=sum(not each.units for each in of_scored),
        n_unreadable=sum(not each.is_readable for each in of_scored),
        n_doubtful=sum(each.is_doubtful for each in of_scored),
        n_units=len({unit for each in of_scored for unit in each.units}),
    )


def best_rule(sets: Sequence[Hashable], truth: Sequence[int], n_classes: int) -> BestRule:
    """Return the rule that gives each set its commonest class.

    Parameters
    ----------
    sets, truth : set of units and class of each clip, in the same order; at least one clip
    """
    of_set: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for units, label in zip(sets, truth, strict=True):
        of_set[units][label] += 1
    n_of_class = Counter(truth)
    rule = {
        units: max(counts, key=lambda label: (counts[label], -n_of_class[label], -label))
        for units, counts in of_set.items()
    }
    confusion = metrics.confusion_matrix(truth, [rule[units] for units in sets], n_classes)
    return BestRule(
        accuracy=float(metrics.accuracy(confusion)),
        uf1=float(metrics.uf1(confusion)),
        uar=float(metrics.uar(confusion)),
        n_sets=len(of_set),
        n_alone=sum(counts.total() == 1 for counts in of_set.values()),
    )


def _told(
    coded: Mapping[str, CodedUnits],
    labels: Mapping[str, int],
    folds: Iterable[tuple[str, Sequence[str], Sequence[str]]],
    n_classes: int,
) -> Told:
    """Score logistic regression on the units; `folds` are (id, training clips, held-out clips)."""
    known = sorted({unit for each in coded.values() for unit in each.units})
    features = {clip_id: tuple(float(unit in each.units) for unit in known) for clip_id, each in coded.items()}
    predicted: dict[str, int] = {}
    for _, train, test in folds:
        predicted |= _predict(features, labels, train, test)
    counts = count_by_subject(predicted, labels, n_classes)
    confusion = counts.confusion.sum(axis=0)
    spreads = {}
    for name, metric in METRICS.items():
        mean = float(metric(confusion))
        if len(counts.subjects) < 2:
            spreads[name] = Spread(mean)
        else:
            interval = bootstrap_interval([counts], metric)
            spreads[name] = Spread(mean, None, interval.low, interval.high, interval.lost)
    return Told(**spreads)


def _predict(
    features: Mapping[str, tuple[float, ...]], labels: Mapping[str, int], train: Sequence[str], test: Sequence[str]
) -> dict[str, int]:
    """Return the class of each held-out clip, learnt from the training clips; `features` are 1 for a coded unit."""
    from sklearn.linear_model import LogisticRegression  # not above: it takes a second to load

    # Clips of one class that show the same units are one example with a weight: the same fit in a fraction of the time.
    examples = Counter((features[clip_id], labels[clip_id]) for clip_id in train)
    rows, classes = zip(*examples, strict=True)
    if len(set(classes)) == 1:
        return dict.fromkeys(test, classes[0])
    learnt = LogisticRegression(C=C, max_iter=MOST_STEPS).fit(rows, classes, sample_weight=list(examples.values()))
    found = learnt.predict([features[clip_id] for clip_id in test])
    return dict(zip(test, map(int, found), strict=True))

"""Find the classes that a run can hardly learn: without a clip, or without training clips of two subjects in a fold.

A score hides them: a class that no fold has trained on counts 0 in UF1 and UAR whatever the method is, and so does a
class that a held-out dataset has no clip of; a class that one subject shows is learned as that subject. So they are
told before training and beside every score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mer_cli.datasets.unit_masks import shown_in
from mer_cli.records import Fold, dataset_of, is_added, subject_of
from mer_cli.runs.directory import Run
from mer_cli.runs.folds import added_to

MOST_NAMED = 3  # folds that are named; more are counted


@dataclass(frozen=True)
class RareClass:
    """A class that some fold has no training clip of, or training clips of one subject only.

    n_clips, n_subjects : in the whole run · n_folds : number of folds of the run
    without : ids of the folds that have no training clip of the class
    of_one : ids of the folds whose training clips of the class are of one subject
    untested : datasets that are held out whole and have no clip of the class
    is_unit : whether it is an action unit, one of several that a clip may show
    """

    name: str
    n_clips: int
    n_subjects: int
    n_folds: int
    without: tuple[str, ...]
    of_one: tuple[str, ...]
    untested: tuple[str, ...] = ()
    is_unit: bool = False

    @property
    def sentence(self) -> str:
        """What is wrong with the class: "fear: 2 clips of 1 subject, no training clip of it in fold casme2-05"."""
        if not self.n_clips:
            return f"{self.name}: no clip"
        clips = "1 clip" if self.n_clips == 1 else f"{self.n_clips} clips"
        subjects = "1 subject" if self.n_subjects == 1 else f"{self.n_subjects} subjects"
        parts = [f"{self.name}: {clips} of {subjects}"]
        if self.without:
            parts.append(f"no training clip of it in {self._spell(self.without)}")
        if self.of_one:
            parts.append(f"training clips of one subject only in {self._spell(self.of_one)}")
        if self.untested:
            counts = "is left out of the mean there" if self.is_unit else "counts 0 in UF1 and UAR there"
            parts.append(f"no clip of it in {' and '.join(self.untested)}, so it {counts}")
        return ", ".join(parts)

    def _spell(self, folds: Sequence[str]) -> str:
        if len(folds) > MOST_NAMED:
            return "every fold" if len(folds) == self.n_folds else f"{len(folds)} of {self.n_folds} folds"
        *first, last = folds
        return f"folds {', '.join(first)} and {last}" if first else f"fold {last}"


def rare_classes(
    labels: Mapping[str, int], class_names: Sequence[str], folds: Sequence[Fold], *, of_units: bool = False
) -> tuple[RareClass, ...]:
    """Return the classes that have no clip, or that some fold has training clips of fewer than two subjects of.

    Classes that a dataset has no clip of are among them if the whole dataset is held out.

    Parameters
    ----------
    labels : class by clip id, of all clips of the folds; or if `of_units`, the mask of the clip's action units
    folds : all folds of the protocol; generated clips that every fold trains on count as training clips alone
    """
    shown = {clip_id: shown_in(label) if of_units else (label,) for clip_id, label in labels.items()}
    own = {clip_id: in_clip for clip_id, in_clip in shown.items() if not is_added(clip_id)}
    subjects: dict[int, set[str]] = {label: set() for label in range(len(class_names))}
    for clip_id, in_clip in own.items():
        for label in in_clip:
            subjects[label].add(subject_of(clip_id))
    n_trained = {fold.id: _count_subjects(fold, shown) for fold in folds}
    tested = {
        fold.id: {label for clip_id in fold.test for label in shown[clip_id]}
        for fold in folds
        if _holds_out_a_dataset(fold)
    }
    found = []
    for label, name in enumerate(class_names):
        without, of_one = (
            tuple(fold for fold, counts in n_trained.items() if counts.get(label, 0) == wanted) for wanted in (0, 1)
        )
        untested = tuple(dataset for dataset, there in tested.items() if label not in there)
        if without or of_one or untested:
            n_clips = sum(label in in_clip for in_clip in own.values())
            rare = RareClass(name, n_clips, len(subjects[label]), len(folds), without, of_one, untested, of_units)
            found.append(rare)
    return tuple(found)


def _holds_out_a_dataset(fold: Fold) -> bool:
    return {fold.id} == set(map(dataset_of, fold.test)) and fold.id not in map(dataset_of, (*fold.train, *fold.inner))


def _count_subjects(fold: Fold, shown: Mapping[str, Sequence[int]]) -> dict[int, int]:
    """Return the number of training subjects of each class that the fold has training clips of."""
    subjects: dict[int, set[str]] = {}
    for clip_id in fold.train:
        for label in shown[clip_id]:
            subjects.setdefault(label, set()).add(subject_of(clip_id))
    return {label: len(found) for label, found in subjects.items()}


def rare_text(
    labels: Mapping[str, int], class_names: Sequence[str], folds: Sequence[Fold], *, of_units: bool = False
) -> str:
    """Return what is wrong with the classes that `rare_classes` finds, in words without a full stop; "" if none."""
    return "; ".join(rare.sentence for rare in rare_classes(labels, class_names, folds, of_units=of_units))


def rare_text_of(run: Run) -> str:
    """Return `rare_text` of a run on disk; an unfinished fold is taken to hold no inner clips back."""
    held_out: dict[str, list[str]] = {}
    for clip_id, fold in run.fold_of.items():
        held_out.setdefault(fold, []).append(clip_id)
    only_trained = held_out.pop("", [])
    inner = {fold.fold: fold.inner_clip_ids for fold in run.folds}
    folds = []
    for fold, test in held_out.items():
        aside = {*test, *inner.get(fold, ())}
        train = tuple(clip_id for clip_id in only_trained or run.labels if clip_id not in aside)
        own = Fold(fold, train, tuple(inner.get(fold, ())), tuple(test))
        folds.append(replace(own, train=(*train, *added_to(own, run.added))))
    folds.sort(key=lambda each: each.id)
    return rare_text({**run.labels, **run.added}, run.class_names, folds, of_units=run.config.predicts_units)

"""Take the predictions of code that is never ported: the folds as a table for it, and its predictions as a run.

Nothing can check that the author kept the held-out subjects out of training, or which epoch rule was used. So such a
run records what its author states, and its scores carry that wherever they are shown.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_cli.errors import ConfigError
from mer_cli.motion.inputs import PairInput
from mer_cli.records import FoldPredictions, subject_of
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import CODE_GIVEN, Session, folds_to_train, open_run, record_session, write_fold
from mer_cli.runs.folds import inner_labels, training_labels
from mer_cli.runs.foreign import Foreign
from mer_cli.runs.methods import METHODS
from mer_cli.runs.own_method import slug_of
from mer_cli.runs.plan import RunPlan
from mer_cli.runs.prediction_file import ReadScores, read_content, read_scores
from mer_cli.runs.protocol import plan_protocol
from mer_cli.runs.run_config import TRAINED_ON
from mer_cli.system.shown_text import without_formula

FOLD_COLUMNS = ("fold", "part", "clip_id", "subject", "label", "class")
LONGEST_NAME = 80  # characters
LONGEST_RULE = 120


@dataclass(frozen=True)
class Imported:
    """A run that was made of predictions.

    is_new : False if the run was there already, complete, made of the same predictions
    n_tied : number of clips of which two classes have the best score; the first class of the scheme counts
    """

    path: Path
    plan: RunPlan
    is_new: bool
    n_tied: int


def fold_rows(plan: RunPlan) -> Iterator[tuple[str, ...]]:
    """Yield a row for each clip of each fold, with `FOLD_COLUMNS`; held-out clips come without label and class.

    The labels are those that `mer train` would train on: permuted if the plan's config says so.
    """
    for fold in plan.folds:
        trained_on = training_labels(fold.id, fold.train, plan.labels, plan.config)
        inner = inner_labels(fold.id, fold.inner, plan.labels, plan.config)
        for part, clip_ids in (("train", fold.train), ("inner", fold.inner), ("held out", fold.test)):
            known: Mapping[str, int] = {"train": trained_on, "inner": inner}.get(part, {})
            for clip_id in clip_ids:
                label = known.get(clip_id)
                said = ("", "") if label is None else (str(label), without_formula(plan.config.name_of(label)))
                yield (fold.id, part, clip_id, subject_of(clip_id), *said)


def fold_table(plan: RunPlan) -> list[tuple[str, ...]]:
    """Return the folds as rows of text below a header: number of clips of each part, and of training clips by class.

    Of action units they are the training clips that show each unit.
    """
    parts = ("training", *(["inner"] if plan.config.inner_val else []), "held out")
    rows: list[tuple[str, ...]] = [("fold", *parts, *plan.config.class_names)]
    for fold in plan.folds:
        clips = {"training": fold.train, "inner": fold.inner, "held out": fold.test}
        trained_on = training_labels(fold.id, fold.train, plan.labels, plan.config).values()
        shown = Counter(place for label in trained_on for place in plan.config.shown_by(label))
        of_class = (str(shown[place]) for place in range(len(plan.config.class_names)))
        rows.append((fold.id, *(str(len(clips[part])) for part in parts), *of_class))
    return rows


def import_predictions(
    file: Path,
    stores: Sequence[Path],
    *,
    name: str,
    epoch_rule: str,
    scheme: str = "auto",
    test_stores: Sequence[Path] = (),
    folds_file: Path | None = None,
    leave_dataset_out: bool = False,
    out: Path = Path("runs"),
    seed: int = 1,
    shuffle_labels: bool = False,
) -> Imported:
    """Make a run of predictions that were made elsewhere, or complete it; do nothing if it is there already.

    Parameters
    ----------
    file : CSV with `clip_id` and a column for each class (higher for the likelier class), or the column `predicted`
    stores, test_stores, folds_file, leave_dataset_out, scheme : the protocol, as for `mer train`
    name : title of the method in tables
    epoch_rule : how its author chose the epoch that the predictions are of, in words
    out : folder of all runs
    seed : seed that the method was trained with, as its author states
    shuffle_labels : whether it was trained on the permuted labels of `mer folds --shuffle-labels`: a null control

    Raises
    ------
    MerError
        If the name or the epoch rule can't be used, the stores or the scheme don't fit, the file is not a CSV of
        predictions of just the held-out clips, or the run can't be written.
    """
    title, epoch_rule = _checked("--name", name, LONGEST_NAME), _checked("--epoch-rule", epoch_rule, LONGEST_RULE)
    content = read_content(file)
    foreign = Foreign(
        door="predictions",
        title=title,
        code=file.name,
        source_sha256=hashlib.sha256(content).hexdigest(),
        sees=PairInput(),
        epoch_rule=epoch_rule,
    )
    config = resolve_config(
        model=_short_name(title), foreign=foreign, scheme=scheme, seed=seed, shuffle_labels=shuffle_labels
    )
    plan = plan_protocol(
        stores,
        config,
        test_stores=test_stores,
        folds_file=folds_file,
        leave_dataset_out=leave_dataset_out,
    )
    plan = replace(plan, config=plan.config.model_copy(update={"device": "cpu"}))  # nothing is trained
    found = read_scores(file, content, plan)
    path = out / plan.config.run_name
    is_new = bool(folds_to_train(path, plan.folds, resume=True))
    return Imported(_write(path, plan, file, content, found), plan, is_new, found.n_tied)


def _write(path: Path, plan: RunPlan, file: Path, content: bytes, found: ReadScores) -> Path:
    """Write the folds that the run lacks, after a check that an existing run has the same config and clips."""
    environment = {"python": platform.python_version(), "platform": platform.platform(), CODE_GIVEN: str(file)}
    session = Session(plan.paths(*TRAINED_ON), plan.paths("test"), str(path.parent), environment)
    path = open_run(path.parent, plan.config, plan.labels, plan.emotions, plan.folds, session, {file.name: content})
    missing = folds_to_train(path, plan.folds, resume=True)
    if missing:
        record_session(path, session)
    for fold in missing:
        logits: NDArray[np.float32] = np.stack([found.logits[clip_id] for clip_id in fold.test])
        write_fold(path, FoldPredictions(fold.id, fold.test, logits[np.newaxis]), [{}], None)
    return path


def _checked(flag: str, text: str, longest: int) -> str:
    """Return a text that is printed in tables, without surrounding blanks.

    Raises
    ------
    ConfigError
        If it is empty, too long, begins as a formula does, or has characters that can't be printed.
    """
    text = text.strip()
    if not text:
        raise ConfigError(f"{flag} is empty. It stands beside the scores, so say it in words.")
    wrong = next((character for character in text if not character.isprintable()), None)
    if wrong is not None:
        raise ConfigError(f"{flag} has a character that can't be printed, U+{ord(wrong):04X}. Leave it out.")
    if text != without_formula(text):
        raise ConfigError(
            f"{flag} begins with '{text[0]}', which spreadsheet programs take for a formula. Leave it out."
        )
    if len(text) > longest:
        raise ConfigError(f"{flag} must have at most {longest} characters, got {len(text)}.")
    return text


def _short_name(title: str) -> str:
    slug = slug_of(title)
    if not slug:
        raise ConfigError(
            f"--name: '{title}' has no letter from a to z and no digit, so no folder can be named after it. Add some."
        )
    if slug in METHODS:
        raise ConfigError(
            f"--name: '{slug}' is the name of a method that mer knows. Say how yours differs, for example "
            f"--name '{title} (TensorFlow)'."
        )
    return slug

"""Settings chosen in each fold on its training subjects: by which clips, with no held-out label, and what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.evaluation.epoch_rules import choose_inner_epoch, evaluate
from mer_cli.evaluation.nested import choose_settings, summarise_nested
from mer_cli.evaluation.tried import settings_beside, several_settings
from mer_cli.runs.directory import Run, read_run

SAMM: dict[str, Any] = {"scheme": "megc3", "datasets": ("samm",), "subjects": 6}


def grid(root: Path, **changes: Any) -> list[Run]:
    """Runs of three numbers of epochs, the second of which is the best of many epochs by far in no fold alone."""
    skills = ((4, 1.0), (6, 1.4), (8, 1.2))
    made = {"inner_val": 2} | changes
    return [
        read_run(write_run(root, **SAMM | made, epochs=epochs, decay_epochs=epochs, skill=skill))
        for epochs, skill in skills
    ]


def test_each_fold_takes_the_run_with_the_best_uf1_on_its_inner_clips_and_its_predictions_count(tmp_path: Path) -> None:
    runs = grid(tmp_path)
    found = choose_settings(runs)
    assert set(found.chosen) == {fold.fold for fold in runs[0].folds}
    assert len(set(found.chosen.values())) > 1
    for place, fold in enumerate(runs[0].folds):
        judged = found.inner[fold.fold]
        assert found.chosen[fold.fold] == judged.index(max(judged))  # of equals the first
        chosen = runs[found.chosen[fold.fold]].folds[place]
        epoch = choose_inner_epoch(chosen, runs[0].labels, 3)
        assert found.scores.epochs[fold.fold] == epoch + 1
        predicted = np.argmax(chosen.logits[epoch], axis=1)
        assert [found.scores.predicted[clip] for clip in chosen.clip_ids] == predicted.tolist()
    right = sum(found.scores.predicted[clip] == label for clip, label in runs[0].labels.items())
    assert found.scores.accuracy == right / len(runs[0].labels)


def test_no_held_out_label_touches_the_choice(tmp_path: Path) -> None:
    runs = grid(tmp_path)
    found = choose_settings(runs)
    changed = 0
    for fold in runs[0].folds:
        flipped = {clip: (label + (clip in fold.clip_ids)) % 3 for clip, label in runs[0].labels.items()}
        again = choose_settings([replace(run, labels=flipped) for run in runs])
        assert again.chosen[fold.fold] == found.chosen[fold.fold]
        assert again.scores.epochs[fold.fold] == found.scores.epochs[fold.fold]
        changed += again.scores.accuracy != found.scores.accuracy
    assert changed


def test_one_run_alone_is_scored_as_inner_val_scores_it(tmp_path: Path) -> None:
    run = grid(tmp_path)[0]
    alone, rule = choose_settings([run]).scores, evaluate(run, "inner-val")
    assert (alone.accuracy, alone.uf1, alone.uar, alone.epochs) == (rule.accuracy, rule.uf1, rule.uar, rule.epochs)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"inner_val": 0}, "has no inner clips to choose an epoch by. Give --rule last, or train a run that has some"),
        ({"seed": 2}, "differ in seed or number of inner subjects. Train them with the same --seed and --inner-val."),
        ({"inner_val": 1}, "differ in seed or number of inner subjects."),
        ({"subjects": 5}, "are not runs on the same clips, labels and folds."),
        ({"finished": 2}, "only 2 of 6 folds are finished"),
    ],
    ids=str,
)
def test_runs_that_cannot_be_compared_in_a_fold_are_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    (first, *_) = grid(tmp_path / "a")
    (*_, other) = grid(tmp_path / "b", **changes)
    with pytest.raises(RunError, match=problem.replace("(", r"\(")):
        choose_settings([first, other])


def test_what_is_shown_names_the_rule_the_choices_and_chance(tmp_path: Path) -> None:
    by_seed = [grid(tmp_path, seed=seed) for seed in (1, 2)]
    names = ["epochs 4", "epochs 6", "epochs 8"]
    summary = summarise_nested(by_seed, names)
    facts = dict(summary.facts)
    assert facts["rule"] == "settings chosen in each fold on 2 training subjects, of 3 settings"
    assert facts["few subjects"].startswith("Only 6 subjects: ")
    assert facts["seeds"] == "1, 2"
    assert "95 % interval over subjects" in facts["accuracy"]
    assert sum(int(row[1]) for row in summary.settings[1:]) == 12
    assert [row[0] for row in summary.chance[1:]] == ["majority", "prior-random"]
    data = summary.data
    assert data["rule"] == facts["rule"]
    assert [each["chosen"] for each in data["settings"]] == [int(row[1]) for row in summary.settings[1:]]
    assert np.mean([each["uf1"] for each in data["seeds"]]) == pytest.approx(data["uf1"]["mean"])
    assert set(data["seeds"][0]["chosen"].values()) <= set(names)


def test_settings_are_counted_by_the_runs_in_the_same_folder(tmp_path: Path) -> None:
    runs = grid(tmp_path)
    write_run(tmp_path, **SAMM, inner_val=2, epochs=4, decay_epochs=4, seed=2)  # another seed
    write_run(tmp_path, **SAMM, inner_val=2, epochs=4, decay_epochs=4, device="cuda")  # another machine
    write_run(tmp_path, **SAMM, epochs=9, decay_epochs=9, finished=0)
    write_run(tmp_path, **SAMM, epochs=5, decay_epochs=5, shuffle_labels=True)
    write_run(tmp_path, **SAMM | {"subjects": 5}, epochs=5, decay_epochs=5)  # other clips
    assert settings_beside(runs[0]) == 3
    assert several_settings(runs[:1]) == []
    assert several_settings(runs) == [
        "mmnet: 3 settings tried on the subjects of samm-megc3/18; the best of them would be chosen by the scores that "
        "it is shown with"
    ]

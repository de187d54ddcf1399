"""Classes that a run can hardly learn, from clips, labels and folds alone."""

from pathlib import Path

from run_factory import write_run

from mer_cli.records import Fold
from mer_cli.runs.directory import read_run
from mer_cli.runs.folds import cross_folds, dataset_folds, list_folds, loso_folds
from mer_cli.runs.rare_classes import RareClass, rare_classes, rare_text, rare_text_of

NAMES = ("joy", "fear", "anger", "awe")
COMMON = {f"a/{subject}/joy{clip}": 0 for subject in "1234" for clip in range(2)}


def test_a_class_that_three_subjects_show_is_not_rare():
    labels = COMMON | {f"a/{subject}/fear": 1 for subject in "123"}
    assert rare_classes(labels, NAMES[:2], loso_folds(labels)) == ()
    assert rare_text(labels, NAMES[:2], loso_folds(labels)) == ""


def test_a_class_of_one_subject_is_not_trained_on_in_its_fold_and_known_from_one_in_the_others():
    labels = COMMON | {"a/2/fear1": 1, "a/2/fear2": 1}
    (rare,) = rare_classes(labels, NAMES[:2], loso_folds(labels))
    assert rare == RareClass("fear", 2, 1, 4, without=("a-2",), of_one=("a-1", "a-3", "a-4"))
    assert rare.sentence == (
        "fear: 2 clips of 1 subject, no training clip of it in fold a-2, training clips of one subject only in folds "
        "a-1, a-3 and a-4"
    )


def test_a_class_of_two_subjects_is_known_from_one_where_the_other_is_held_out():
    labels = COMMON | {"a/2/fear": 1, "a/3/fear": 1}
    assert rare_text(labels, NAMES[:2], loso_folds(labels)) == (
        "fear: 2 clips of 2 subjects, training clips of one subject only in folds a-2 and a-3"
    )


def test_a_class_without_a_clip_is_said_to_have_none():
    assert rare_text(COMMON, ("joy", "fear"), loso_folds(COMMON)) == "fear: no clip"


def test_many_folds_are_counted():
    labels = {f"a/{subject}/joy": 0 for subject in range(10, 16)} | {"a/10/fear": 1}
    assert rare_text(labels, NAMES[:2], loso_folds(labels)) == (
        "fear: 1 clip of 1 subject, no training clip of it in fold a-10, training clips of one subject only in 5 of 6 "
        "folds"
    )


def test_the_same_number_in_two_datasets_is_two_subjects():
    labels = COMMON | {"b/2/joy": 0, "a/2/fear": 1, "b/2/fear": 1, "a/1/fear": 1}
    assert rare_classes(labels, NAMES[:2], loso_folds(labels)) == ()


def test_across_datasets_the_training_clips_decide_and_each_class_has_one_sentence():
    labels = COMMON | {"a/1/anger": 2, "b/1/joy": 0, "b/2/fear": 1, "c/1/anger": 2}
    train = [clip for clip in labels if clip.startswith("a/")]
    folds = cross_folds(train, [clip for clip in labels if clip not in train])
    assert rare_text(labels, NAMES, folds) == (
        "joy: 9 clips of 5 subjects, no clip of it in c, so it counts 0 in UF1 and UAR there; "
        "fear: 1 clip of 1 subject, no training clip of it in folds b and c, no clip of it in c, so it counts 0 in UF1 "
        "and UAR there; "
        "anger: 2 clips of 2 subjects, training clips of one subject only in folds b and c, no clip of it in b, so it "
        "counts 0 in UF1 and UAR there; "
        "awe: no clip"
    )


def test_a_class_that_a_dataset_lacks_is_told_if_the_whole_dataset_is_held_out():
    fear = {f"a/{subject}/fear": 1 for subject in "1234"}
    labels = COMMON | fear | {f"b/{subject}/joy": 0 for subject in "123"} | {f"c/{subject}/joy": 0 for subject in "12"}
    said = "fear: 4 clips of 4 subjects, no training clip of it in fold a, no clip of it in b and c, so it counts 0 in "
    assert rare_text(labels, NAMES[:2], dataset_folds(labels)) == f"{said}UF1 and UAR there"
    lists = {"b": ("a/1", "a/2", "b/1", "c/1"), "d": ("a/3", "a/4", "b/2", "b/3", "c/2")}  # a list that is called b
    assert rare_text(labels, NAMES[:2], list_folds(labels, lists)) == ""
    alone = {"b": ("b/1", "b/2"), "d": ("a/1", "a/2", "a/3", "a/4", "b/3", "c/1", "c/2")}
    assert "no clip of it in" not in rare_text(labels, NAMES[:2], list_folds(labels, alone))


def test_inner_clips_are_not_trained_on():
    labels = COMMON | {f"a/{subject}/fear": 1 for subject in "123"}
    fold = Fold("a-4", train=("a/1/joy0", "a/1/fear"), inner=("a/2/fear", "a/3/fear"), test=("a/4/joy0",))
    assert [rare.of_one for rare in rare_classes(labels, NAMES[:2], [fold])] == [("a-4",), ("a-4",)]


def test_a_run_on_disk_has_the_same_rare_classes_as_its_plan(tmp_path: Path):
    """Counts of the classes over four subjects in turn: one clip of class 2, of subject 3."""
    run = read_run(write_run(tmp_path, counts=(5, 5, 1)))
    folds = loso_folds(run.labels)
    assert rare_text_of(run) == rare_text(run.labels, run.class_names, folds)
    assert rare_text_of(run).startswith("negative: 1 clip of 1 subject, no training clip of it in fold casme2-03, ")


def test_a_run_on_disk_is_read_with_its_inner_clips_and_with_its_training_stores(tmp_path: Path):
    run = read_run(write_run(tmp_path, inner_val=1))
    assert "training clips of one subject only in" in rare_text_of(run)
    assert rare_text_of(read_run(write_run(tmp_path))) == ""
    across = read_run(write_run(tmp_path, "megc3", datasets=("samm", "smic"), trained_on=("casme2",), subjects=1))
    assert "training clips of one subject only in folds samm and smic" in rare_text_of(across)

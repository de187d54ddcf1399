"""A support-vector machine in a fold: what it predicts, what C is chosen by, and that it sees no held-out clip."""

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mer_cli.runs.config import resolve_config
from mer_cli.training.classical import C_GRID, ClassicalTrainer, deal_subjects

KERNELS = {"flow-svm": "rbf", "bi-woof": "linear"}
N_CLIPS, N_FEATURES = (8, 9, 6, 7, 10, 5, 12), 12
SUBJECTS = np.repeat([f"casme2/{number:02d}" for number in range(len(N_CLIPS))], N_CLIPS)
TRAIN, TEST = np.flatnonzero(SUBJECTS != "casme2/00"), np.flatnonzero(SUBJECTS == "casme2/00")

NONE = np.empty(0, dtype=np.int64)  # inner clips


def draw(n_classes, seed=0, noise=2.0):
    """Features that tell the class with some noise, each in a unit of its own, and the classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_classes, len(SUBJECTS))
    centres = random.normal(size=(n_classes, N_FEATURES))
    features = centres[labels] + noise * random.normal(size=(len(labels), N_FEATURES))
    units = 10.0 ** random.integers(-3, 4, N_FEATURES)
    return (features * units + units).astype(np.float32), labels


def train(features, labels, train_rows=TRAIN, test_rows=TEST, n_classes=3, subjects=SUBJECTS, **settings):
    config = resolve_config(**({"model": "flow-svm"} | settings))
    trainer = ClassicalTrainer(features, subjects, n_classes, config)
    return trainer.train_fold("casme2-00", train_rows, labels[train_rows], test_rows, NONE, lambda epoch, loss: None)


def c_of(fold):
    (row,) = fold.history
    return row["C"]


def pipeline(model, c):
    """The same method as scikit-learn puts it together."""
    machine = SVC(C=c, kernel=KERNELS[model], decision_function_shape="ovr", break_ties=True)
    return make_pipeline(StandardScaler(), machine)


def test_generated_clips_are_trained_on_and_no_c_is_chosen_by_them():
    features, labels = draw(3)
    apart = draw(3, seed=1)[0]
    both, of_both = np.concatenate([features, apart]), np.concatenate([labels, 1 - labels % 2])
    subjects = np.concatenate([SUBJECTS, np.full(len(SUBJECTS), "")])
    rows = np.concatenate([TRAIN, np.arange(len(SUBJECTS), len(both))])
    fold = train(both, of_both, train_rows=rows, subjects=subjects)
    parts = deal_subjects(SUBJECTS[TRAIN], 5)
    found = []
    for c in C_GRID:
        predicted = np.empty(len(TRAIN), int)
        for part in range(5):
            seen = np.concatenate([TRAIN[parts != part], rows[len(TRAIN) :]])
            machine = pipeline("flow-svm", c).fit(both[seen].astype(float), of_both[seen])
            predicted[parts == part] = machine.predict(both[TRAIN[parts == part]].astype(float))
        found.append(f1_score(labels[TRAIN], predicted, average="macro", zero_division=0))
    (row,) = fold.history
    assert (row["C"], row["inner_uf1"]) == (C_GRID[np.argmax(found)], pytest.approx(max(found)))
    machine = pipeline("flow-svm", row["C"]).fit(both[rows].astype(float), of_both[rows])
    np.testing.assert_array_equal(fold.logits[0].argmax(axis=1), machine.predict(features[TEST].astype(float)))


@pytest.mark.parametrize("model", KERNELS)
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_a_fold_predicts_what_scikit_learns_machine_does(model, n_classes):
    features, labels = draw(n_classes)
    fold = train(features, labels, n_classes=n_classes, model=model)
    machine = pipeline(model, c_of(fold)).fit(features[TRAIN].astype(float), labels[TRAIN])
    assert (fold.logits.shape, fold.logits.dtype) == ((1, len(TEST), n_classes), np.float32)
    np.testing.assert_array_equal(fold.logits[0].argmax(axis=1), machine.predict(features[TEST].astype(float)))
    values = machine.decision_function(features[TEST].astype(float))
    np.testing.assert_allclose(fold.logits[0, :, -1], values if n_classes == 2 else values[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", KERNELS)
def test_c_is_the_best_over_five_parts_of_the_training_subjects(model):
    features, labels = draw(3, noise=3.0)
    known, true = features[TRAIN].astype(float), labels[TRAIN]
    scores = []
    for c in C_GRID:
        parts = GroupKFold(5).split(known, true, SUBJECTS[TRAIN])
        predicted = cross_val_predict(pipeline(model, c), known, true, cv=parts)
        scores.append(f1_score(true, predicted, average="macro", zero_division=0))
    fold = train(features, labels, model=model)
    assert len(set(scores)) > 1
    assert c_of(fold) == C_GRID[int(np.argmax(scores))]
    assert fold.history[0]["inner_uf1"] == pytest.approx(max(scores))
    assert fold.history[0]["seconds"] > 0


def test_subjects_are_dealt_as_group_k_fold_does_and_equals_by_their_ids():
    dealt = deal_subjects(SUBJECTS, 5)
    parts = [test.tolist() for _, test in GroupKFold(5).split(SUBJECTS, groups=SUBJECTS)]
    assert [np.flatnonzero(dealt == part).tolist() for part in range(5)] == parts
    assert deal_subjects(np.array(["b", "a", "d", "c", "a", "b"]), 3).tolist() == [1, 0, 2, 2, 0, 1]
    assert deal_subjects(np.array(["b", "a"]), 5).tolist() == [1, 0]


def test_no_subject_is_on_both_sides_where_c_is_chosen():
    labels = np.repeat([0, 0, 1, 0, 1, 0, 1], N_CLIPS)  # one class each, so that who it is would tell the class
    identity = (SUBJECTS[:, None] == np.unique(SUBJECTS)).astype(np.float32)
    fold = train(identity, labels, n_classes=2)
    assert fold.history[0]["inner_uf1"] < 0.6


def test_equal_scores_take_the_smaller_c():
    features, labels = draw(2, noise=0.0)
    fold = train(np.tile(features, (1, 100)), labels, n_classes=2, model="bi-woof")
    assert (c_of(fold), fold.history[0]["inner_uf1"]) == (C_GRID[0], 1)


def test_held_out_clips_move_nothing_but_their_own_logits():
    features, labels = draw(3)
    fold = train(features, labels)
    spoilt, others = features.copy(), labels.copy()
    spoilt[TEST[1:]] = 1e6
    others[TEST] = (labels[TEST] + 1) % 3
    again = train(spoilt, others)
    assert c_of(again) == c_of(fold)
    assert again.history[0]["inner_uf1"] == fold.history[0]["inner_uf1"]
    np.testing.assert_allclose(again.logits[0, 0], fold.logits[0, 0], rtol=1e-6)


def test_the_units_of_the_features_do_not_matter():
    features, labels = draw(3)
    in_other_units = (features * 2.0 ** np.arange(N_FEATURES)).astype(np.float32)
    np.testing.assert_allclose(train(in_other_units, labels).logits, train(features, labels).logits, rtol=1e-5)


def test_the_same_fold_gives_the_same_bytes_whatever_the_seed():
    features, labels = draw(5)
    config = resolve_config(model="flow-svm")
    one, other = (
        ClassicalTrainer(features, SUBJECTS, 5, config.model_copy(update={"seed": seed})).train_fold(
            "casme2-00", TRAIN, labels[TRAIN], TEST, NONE, lambda epoch, loss: None
        )
        for seed in (1, 2)
    )
    assert one.logits.tobytes() == other.logits.tobytes()


def test_a_class_that_the_training_clips_lack_is_never_predicted():
    features, labels = draw(5)
    train_rows = TRAIN[~np.isin(labels[TRAIN], [1, 4])]
    fold = train(features, labels, train_rows, n_classes=5)
    assert np.isfinite(fold.logits).all()
    assert (fold.logits[0][:, [1, 4]].max(axis=1) < fold.logits[0][:, [0, 2, 3]].min(axis=1)).all()


def test_a_single_class_is_predicted_for_every_clip():
    features, labels = draw(3)
    fold = train(features, labels, TRAIN[labels[TRAIN] == 1])
    assert np.isfinite(fold.logits).all()
    assert (fold.logits[0].argmax(axis=1) == 1).all()


def test_inner_folds_that_lack_a_class_are_no_obstacle():
    two = np.flatnonzero(np.isin(SUBJECTS, ["casme2/01", "casme2/02"]))
    features, labels = draw(2)
    labels[two] = np.repeat([0, 1], N_CLIPS[1:3])  # each is predicted from the other's single class: always wrong
    fold = train(features, labels, two, n_classes=2)
    assert (c_of(fold), fold.history[0]["inner_uf1"]) == (C_GRID[0], 0)


def test_one_training_subject_leaves_nobody_to_choose_by():
    features, labels = draw(3)
    fold = train(features, labels, np.flatnonzero(SUBJECTS == "casme2/03"))
    assert c_of(fold) == 1
    assert np.isnan(fold.history[0]["inner_uf1"])
    assert np.isfinite(fold.logits).all()


def test_balanced_weights_are_scikit_learns():
    features, labels = draw(2, noise=4.0)
    labels[::2] = 0
    fold = train(features, labels, n_classes=2, class_weight="balanced")
    machine = pipeline("flow-svm", c_of(fold)).set_params(svc__class_weight="balanced")
    values = machine.fit(features[TRAIN].astype(float), labels[TRAIN]).decision_function(features[TEST].astype(float))
    np.testing.assert_allclose(fold.logits[0, :, 1], values, rtol=1e-5, atol=1e-6)

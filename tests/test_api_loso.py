"""`mer_cli.Loso`: the folds of `mer train --loso`, for scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

import mer_cli as mer
from mer_cli.errors import ConfigError
from mer_cli.runs.folds import loso_folds


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("data") / "casme2.h5")


@pytest.fixture
def loso(path):
    return mer.Loso(path, "mmnet3")


def rows(loso):
    """A row for each clip, which only says which clip it is."""
    return np.arange(len(loso.ids), dtype=float)[:, None]


def test_the_folds_are_those_of_training(loso):
    folds = loso_folds(EMOTIONS)
    assert loso.get_n_splits() == len(folds) == 3
    for (train, test), fold in zip(loso.split(rows(loso)), folds, strict=True):
        assert (tuple(loso.ids[row] for row in train), tuple(loso.ids[row] for row in test)) == (fold.train, fold.test)


def test_a_splitter_knows_labels_and_subjects_in_the_order_of_its_clips(loso):
    assert loso.ids == tuple(sorted(EMOTIONS))
    assert loso.labels.tolist() == [0, 2, 2, 0, 1]
    assert loso.groups.tolist() == ["casme2/01", "casme2/01", "casme2/02", "casme2/02", "casme2/03"]
    assert repr(loso) == "Loso(mmnet3: 5 clips, 3 subjects)"


def test_scikit_learn_takes_it_for_a_splitter(loso):
    assert check_cv(loso, loso.labels, classifier=True) is loso
    scores = cross_val_score(DummyClassifier(), rows(loso), loso.labels, groups=loso.groups, cv=loso)
    assert scores.shape == (3,)
    search = clone(GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 2]}, cv=loso))
    assert search.fit(rows(loso), loso.labels).n_splits_ == 3


def test_predictions_are_of_the_held_out_rows(loso):
    # The nearest other row of each clip that is not of its own subject.
    nearest = cross_val_predict(KNeighborsClassifier(1), rows(loso), loso.labels, cv=loso)
    assert nearest.tolist() == [loso.labels[row] for row in (2, 2, 1, 4, 3)]


def test_stores_of_several_datasets_are_split_together(path, tmp_path):
    samm = mer.open_store(write_store(tmp_path / "samm.h5", SAMM_EMOTIONS))
    loso = mer.Loso([samm, path], "megc3")
    assert loso.ids == (*sorted(EMOTIONS), *sorted(SAMM_EMOTIONS))
    assert [fold.id for fold in loso.folds] == [f"casme2-{s}" for s in ("01", "02", "03")] + ["samm-006", "samm-03"]


def refusal(loso, *arguments):
    with pytest.raises(ConfigError) as error:
        list(loso.split(*arguments))
    return str(error.value)


@pytest.mark.parametrize("name", ["X", "y", "groups"])
def test_another_number_of_rows_is_refused(loso, name):
    given = {"X": rows(loso), "y": loso.labels, "groups": loso.groups} | {name: [1, 2, 3]}
    assert refusal(loso, *given.values()) == (
        f"Loso: {name} has 3 rows, and the scheme mmnet3 keeps 5 clips. Give a row for each clip, in the order of the "
        "splitter's ids."
    )


def test_a_table_whose_clips_are_in_another_order_is_refused(loso):
    table = pd.DataFrame({"x": range(5)}, index=list(loso.ids))
    list(loso.split(table))
    assert refusal(loso, table[::-1]) == "Loso: the clips of X are in another order. Sort it: X.loc[list(loso.ids)]."


def test_other_groups_than_the_subjects_are_refused(loso):
    assert refusal(loso, rows(loso), loso.labels, [1, 1, 1, 2, 2]) == (
        "Loso: groups are not the subjects of the clips. Leave them out: Loso knows the subjects."
    )


def test_an_unknown_scheme_is_refused(path):
    with pytest.raises(ConfigError, match="Did you mean 'mmnet3'"):
        mer.Loso(path, "mmnet")


def test_two_stores_of_one_dataset_are_refused(path, tmp_path):
    other = write_store(tmp_path / "copy.h5")
    with pytest.raises(ConfigError) as caught:
        mer.Loso([path, other], "mmnet3")
    assert str(caught.value) == (
        f"{other}: holds casme2, as does {path}. Expected one store for each dataset, so that no subject is on both "
        "sides. Leave one of them out."
    )

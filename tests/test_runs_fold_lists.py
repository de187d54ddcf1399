"""Lists of subjects from a file: the folds that they make, and every mistake in the file, told before training."""

import re

import pytest
from tiny_run import config_of
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

from mer_cli.errors import ConfigError
from mer_cli.runs.fold_lists import fold_lists_text
from mer_cli.runs.folds import recorded_folds
from mer_cli.runs.protocol import plan_protocol

FOUR = EMOTIONS | {"casme2/04/EP01_01": "others"}  # which mmnet3 leaves out
EXPECTED = "Expected a CSV in UTF-8 with the columns subject and fold."


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    failed = [{"clip_id": "casme2/05/EP01_01", "emotion": "disgust", "reason": "no frames"}]
    return {
        "casme2": write_store(root / "casme2.h5", FOUR, failed=failed),
        "samm": write_store(root / "samm.h5", SAMM_EMOTIONS),
    }


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="folds.csv"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return write_file


def plan(file, *stores, **settings):
    return plan_protocol(stores, config_of(**settings), folds_file=file)


def test_each_list_is_held_out_once_and_the_others_are_trained_on(stores, write):
    found = plan(write("subject,fold\n01,a\n02,b\n03,a\n"), stores["casme2"])
    assert [(fold.id, fold.test, fold.train) for fold in found.folds] == [
        ("a", ("casme2/01/EP01_01", "casme2/01/EP02_01", "casme2/03/EP01_01"), BY_02),
        ("b", BY_02, ("casme2/01/EP01_01", "casme2/01/EP02_01", "casme2/03/EP01_01")),
    ]
    assert found.config.fold_lists == {"a": ("casme2/01", "casme2/03"), "b": ("casme2/02",)}
    assert [store.role for store in found.config.stores] == ["list"]
    assert found.config.protocol_id == "casme2-mmnet3/5"
    assert re.fullmatch("2-fold by subject, lists [0-9a-f]{8}", found.config.protocol())


BY_02 = ("casme2/02/EP01_01", "casme2/02/EP02_01")


def test_what_the_file_is_called_and_in_which_order_its_rows_are_changes_no_run(stores, write):
    texts = {
        "a.csv": "subject,fold\n01,1\n02,2\n03,1\n",
        "b.csv": "\ufefffold;Subject;note\r\n1;03;\r\n\r\n2;02;left\r\n1.0;casme2-01;\r\n",
        "c.csv": "subject,fold\n01,1\n02,2\n03,1\n04,2\n05,2\n",  # 04 has no clip of the scheme, 05 no clip at all
        "d.csv": "subject,fold\n01,1\n02,2\n03,2\n",
        "e.csv": "subject,fold\n01,one\n02,2\n03,one\n",
    }
    names = {name: plan(write(text, name), stores["casme2"]).config.run_name for name, text in texts.items()}
    assert names["a.csv"] == names["b.csv"] == names["c.csv"]
    assert len(set(names.values())) == 3
    assert plan_protocol([stores["casme2"]], config_of()).config.run_name not in names.values()


def test_lists_may_mix_datasets_whose_subjects_are_named_with_them(stores, write):
    file = write("subject,fold\ncasme2-01,1\n02,2\ncasme2-03,1\nsamm-03,2\n006,1\n")
    found = plan(file, *stores.values(), scheme="megc3")
    assert found.config.fold_lists == {"1": ("casme2/01", "casme2/03", "samm/006"), "2": ("casme2/02", "samm/03")}
    assert plan_protocol(stores.values(), config_of(scheme="megc3"), folds_file=file, wanted=["2"]).wanted == (
        found.folds[1],
    )


def test_a_runs_copy_of_the_lists_is_read_as_the_same_lists(stores, write):
    text = "subject,fold\ncasme2-01,1\ncasme2-02,2\ncasme2-03,1\nsamm-03,2\nsamm-006,1\n"
    found = plan(write(text), *stores.values(), scheme="megc3")
    again = plan(write(fold_lists_text(found.config.fold_lists), "copy.csv"), *stores.values(), scheme="megc3")
    assert again.config == found.config
    assert fold_lists_text({"a": ("own/x, y", 'own/"z"')}) == 'subject,fold\n"x, y",a\n"""z""",a\n'


def test_the_folds_of_a_run_are_made_again_from_its_table_of_clips(stores, write):
    found = plan(write("subject,fold\n01,b\n02,a\n03,b\n"), stores["casme2"])
    fold_of = {clip_id: fold.id for fold in reversed(found.folds) for clip_id in reversed(fold.test)}
    assert tuple(recorded_folds(fold_of)) == found.folds


def test_clips_that_are_held_back_are_of_whole_subjects_of_the_other_lists(write):
    many = {f"casme2/{n}/{clip}": ("disgust", "happiness")[(n + clip) % 2] for n in range(10, 16) for clip in (1, 2)}
    store = write_store(write("").with_name("casme2.h5"), many)
    found = plan(write("subject,fold\n10,1\n11,1\n12,2\n13,2\n14,3\n15,3\n"), store, inner_val=1)
    for fold in found.folds:
        (subject,) = {clip_id[:9] for clip_id in fold.inner}
        assert len(fold.inner) == 2
        assert subject not in {clip_id[:9] for clip_id in (*fold.train, *fold.test)}


HEAD = "subject,fold\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"{{}}: has no row below its header. {EXPECTED} Add a row for each subject."),
        (HEAD, f"{{}}: has no row below its header. {EXPECTED} Add a row for each subject."),
        ("subject,list\n01,1\n", f"{{}} row 1: has no column 'fold' (subject, list). {EXPECTED} Correct the header."),
        (
            "\nsubject,fold,Subject\n01,1,02\n",
            f"{{}} row 2: has two columns 'subject' (subject, fold, Subject). {EXPECTED} Correct the header.",
        ),
        (
            HEAD + "01,1\n02\n",
            "{} row 3: its fold is empty. Expected a subject and its fold. Fill it, or delete the row.",
        ),
        (
            HEAD + ",1\n02,2\n",
            "{} row 2: its subject is empty. Expected a subject and its fold. Fill it, or delete the row.",
        ),
        *(
            (
                HEAD + f"01,{name}\n02,2\n",
                f"{{}} row 2: fold '{name}' can't name a folder. Expected 1 to 40 letters (a to z), digits, - and _, "
                "not a device name such as NUL. Rename the fold.",
            )
            for name in ("a/b", "..", "-a", "Nul", "é", "a" * 41)
        ),
        (
            HEAD + "01,A\n02,b\n03,a\n",
            "{} row 4: fold 'a' differs from fold 'A' in capital letters alone. Expected one spelling of each fold. "
            "Write both alike, or rename one.",
        ),
        (
            HEAD + "01,1\n02,1\n03,1\n",
            "{}: names one fold only ('1'). Expected at least 2, because a fold trains on the subjects of the others. "
            "Deal the subjects into more lists.",
        ),
        (
            HEAD + "01,1\n2,2\n03,1\n",
            "{} row 3: no store has a subject '2'. Did you mean '02'? Expected a subject as `mer folds` names it. "
            "Correct it, or delete the row.",
        ),
        (
            HEAD + "01,1\n02,2\n03,1\n01,2\n",
            "{} row 5: subject '01' is in row 2 already. Expected one row for each subject. Delete one of the two.",
        ),
        (
            HEAD + "01,1\n02,2\n03,1\ncasme2-01,1\n",
            "{} row 5: subject 'casme2-01' is in row 2 already. Expected one row for each subject. Delete one of the "
            "two.",
        ),
        (
            HEAD + "01,1\n04,2\n",
            "{}: lacks 2 of the 3 subjects with clips of scheme 'mmnet3': 02, 03. Expected each subject in one list. "
            "Add a row for each.",
        ),
        (
            HEAD + "01,1\n02,2\n03,1\n04,3\n05,3\n",
            "{}: fold '3' would hold out nothing, because none of its subjects (04, 05) has a clip of scheme 'mmnet3'. "
            "Expected a clip in each fold. Delete its rows, or choose another --scheme.",
        ),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(stores, write, text, problem):
    file = write(text)
    with pytest.raises(ConfigError) as error:
        plan(file, stores["casme2"])
    assert str(error.value) == problem.format(file)


def test_a_subject_of_two_datasets_must_be_named_with_its_own(stores, write):
    file = write(HEAD + "01,1\n02,2\n03,1\n006,2\n")
    with pytest.raises(ConfigError) as error:
        plan(file, *stores.values(), scheme="megc3")
    assert str(error.value) == (
        f"{file} row 4: subject '03' is in 2 datasets. Expected casme2-03 or samm-03. Name one of them."
    )


def test_many_missing_subjects_are_counted(write):
    many = {f"casme2/{n:02d}/a": ("disgust", "happiness")[n % 2] for n in range(9)}
    file = write(HEAD + "00,1\n01,2\n")
    with pytest.raises(ConfigError) as error:
        plan(file, write_store(file.with_name("casme2.h5"), many))
    assert "lacks 7 of the 9 subjects with clips of scheme 'mmnet3': 02, 03, 04, 05, 06 and 2 more. " in str(
        error.value
    )


def test_a_file_that_cant_be_read_is_named_with_the_flag(stores, tmp_path):
    with pytest.raises(ConfigError) as error:
        plan(tmp_path / "none.csv", stores["casme2"])
    assert str(error.value) == (
        f"{tmp_path / 'none.csv'}: can't be read (No such file or directory). {EXPECTED} Correct what follows "
        "--folds-file."
    )


def test_one_protocol_only_can_be_asked_for(stores, write):
    file = write(HEAD + "01,1\n02,2\n03,1\n")
    with pytest.raises(ConfigError) as error:
        plan_protocol(
            [stores["casme2"]],
            config_of(scheme="megc3"),
            test_stores=[stores["samm"]],
            folds_file=file,
            leave_dataset_out=True,
        )
    assert str(error.value) == (
        "test stores and a file of folds and leave_dataset_out are different protocols. Expected one of them. "
        "Leave out the others."
    )


def test_two_ids_that_look_like_one_person_are_warned_of(write):
    alike = {"mylab/Kim/a": "frown", "mylab/kim/a": "smile", "mylab/lee/a": "frown"}
    store = write_store(write("").with_name("mylab.h5"), alike)
    file = write("subject,fold\nKim,1\nkim,2\nlee,2\n")
    (warning,) = plan_protocol([store], config_of(scheme="auto"), folds_file=file).warnings
    assert warning.startswith(f"{store}: subjects 'Kim' and 'kim' seem to be one person")

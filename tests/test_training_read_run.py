"""Run files that were edited or damaged: each is refused by a sentence that names the file and the line."""

import re

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.training.folds import subject_of
from mer_cli.training.history import read_history
from mer_cli.training.read_run import read_run

EDITED = "The file was edited or damaged: restore it, or move the run away and train again."
ONLY_THIS_FOLD = "and train again: only this fold is repeated."


def refuse(path, expected):
    with pytest.raises(RunError) as error:
        read_run(path)
    assert str(error.value) == expected


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # The rows are casme2/01/EP00 (label 1, surprise), EP01 (2, negative), EP02 (0, happiness), casme2/02/EP00, ...
        (
            "EP00,casme2-01,surprise,1,surprise",
            "EP00,casme2-01,surprise,1,joy",
            "line 2: clip casme2/01/EP00 has the unknown class 'joy' — expected one of happiness, surprise, negative.",
        ),
        (
            "EP00,casme2-01,surprise,1,surprise",
            "EP00,casme2-01,surprise,2,surprise",
            "line 2: clip casme2/01/EP00 has label 2 and class 'surprise' — expected 'negative'.",
        ),
        ("surprise,1,", "surprise,3,", "line 2: clip casme2/01/EP00 has the label '3' — expected 0..2."),
        ("surprise,1,", "surprise,,", "line 2: clip casme2/01/EP00 has the label '' — expected 0..2."),
        (
            "casme2/01/EP01,",
            "casme2/01/EP00,",
            "line 3: clip casme2/01/EP00 is named a second time — expected each clip once.",
        ),
        (
            "casme2/01/EP01,casme2-01",
            "casme2/01/EP01,",
            "line 3: clip casme2/01/EP01 is in fold '' — expected 'casme2-01'.",
        ),
        (
            "casme2/01/EP01,casme2-01",
            "casme2/01/EP01,casme2-02",
            "line 3: clip casme2/01/EP01 is in fold 'casme2-02' — expected 'casme2-01'.",
        ),
        ("casme2/01/EP01", "EP01", "line 3: 'EP01' is no clip id — expected dataset/subject/clip."),
        (
            "casme2/01/EP01",
            "samm/01/EP01",
            "line 3: clip samm/01/EP01 is of a dataset without a store — expected one of casme2.",
        ),
        (
            "negative,2,negative",
            "negative,2",
            "line 3: has another number of cells than the header — expected 5 of them.",
        ),
        (
            "negative,2,negative",
            "negative,2,negative,x",
            "line 3: has another number of cells than the header — expected 5 of them.",
        ),
    ],
)
def test_an_edited_row_of_clips_is_named(tmp_path, old, new, said):
    file = write_run(tmp_path) / "clips.csv"
    edit(file, old, new)
    refuse(file.parent, f"{file}, {said} {EDITED}")


def test_a_clip_of_a_training_store_in_a_fold_is_refused(tmp_path):
    file = write_run(tmp_path, "megc3", datasets=("samm",), trained_on=("casme2",)) / "clips.csv"
    edit(file, "casme2/01/EP00,,", "casme2/01/EP00,samm,")
    rows = file.read_text().splitlines()
    line = 1 + next(place for place, row in enumerate(rows) if row.startswith("casme2/01/EP00,samm"))
    refuse(file.parent, f"{file}, line {line}: clip casme2/01/EP00 is in fold 'samm' — expected ''. {EDITED}")


def test_a_missing_column_is_named(tmp_path):
    file = write_run(tmp_path) / "clips.csv"
    edit(file, "clip_id,fold", "clip,part")
    refuse(
        file.parent,
        f"{file}: lacks clip_id, fold — expected the columns clip_id, fold, emotion, label, class. {EDITED}",
    )


@pytest.mark.parametrize("rows", [1, 0])
def test_clips_without_a_row_are_refused(tmp_path, rows):
    file = write_run(tmp_path) / "clips.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:rows]))
    said = (
        "names no clip that is held out — expected the clips of casme2-mmnet3/12."
        if rows
        else "lacks clip_id, fold, emotion, label, class — expected the columns clip_id, fold, emotion, label, class."
    )
    refuse(file.parent, f"{file}: {said} {EDITED}")


def test_clips_that_are_no_text_are_refused(tmp_path):
    file = write_run(tmp_path) / "clips.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=re.escape(f"{file}: not readable ('utf-8' codec can't decode")):
        read_run(file.parent)
    file.unlink()
    with pytest.raises(RunError, match=re.escape(f"{file}: not readable ([Errno 2] No such file")):
        read_run(file.parent)


def test_an_edited_setting_is_seen_by_the_folders_name(tmp_path):
    path = write_run(tmp_path)
    edit(path / "config.json", '"weight_decay": 0.6', '"weight_decay": 0.7')
    with pytest.raises(RunError) as error:
        read_run(path)
    assert re.fullmatch(
        re.escape(f"{path / 'config.json'}: its settings are those of ")
        + r"casme2-mmnet3-mmnet-released-s1-[0-9a-f]{8}"
        + re.escape(
            " — expected those that the folder is named after. The file was edited, or the folder renamed: restore "
            "it, or move the run away and train again."
        ),
        str(error.value),
    )
    assert read_run(path.rename(tmp_path / "mine")).config.weight_decay == 0.7  # a name given by hand says nothing


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"batch_size": 32', '"batch_size": 1', "batch_size is 1: Input should be greater than or equal to 2"),
        ('"role": "loso"', '"role": "both"', "stores.0.role is 'both': Input should be 'loso', 'train' or 'test'"),
        ('"model"', '"modle"', "modle is 'mmnet': Extra inputs are not permitted"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, old, new, problem):
    path = write_run(tmp_path)
    edit(path / "config.json", old, new)
    refuse(
        path,
        f"{path / 'config.json'}: not a run's config ({problem}) — expected the file that `mer train` wrote. Restore "
        "it, or move the run away and train again.",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{\n1", "Expecting property name enclosed in double quotes: line 2 column 1 (char 2)"), ("[]", "a JSON list")],
)
def test_a_config_that_is_no_json_object_is_refused(tmp_path, text, problem):
    file = write_run(tmp_path) / "config.json"
    file.write_text(text)
    refuse(
        file.parent,
        f"{file}: not a run's config ({problem}) — expected the file that `mer train` wrote. Restore it, or move the "
        "run away and train again.",
    )


def change_logits(path, fold="casme2-01", **changes):
    file = path / "folds" / fold / "logits.npz"
    with np.load(file) as arrays:
        held = dict(arrays)
    np.savez(file, **({name: array for name, array in (held | changes).items() if array is not None}))
    return file


@pytest.mark.parametrize(
    ("clip_ids", "said"),
    [
        (["EP00", "EP01", "EP09"], "holds clip casme2/01/EP09, which is none of them"),
        (["EP00", "EP01", "EP01"], "holds clip casme2/01/EP01 twice"),
        (["EP00", "EP01"], "lacks clip casme2/01/EP02"),
    ],
)
def test_predictions_of_other_clips_than_the_folds_are_refused(tmp_path, clip_ids, said):
    path = write_run(tmp_path)
    file = change_logits(path, clip_ids=np.array([f"casme2/01/{clip}" for clip in clip_ids]))
    refuse(
        path,
        f"{file}: {said} — expected the fold's clips in clips.csv, each once. Delete {file.parent} {ONLY_THIS_FOLD}",
    )


@pytest.mark.parametrize("logits", [np.zeros((5, 3, 3), np.float32), np.zeros((6, 3, 3))])
def test_logits_of_another_shape_or_type_are_refused(tmp_path, logits):
    path = write_run(tmp_path)
    file = change_logits(path, logits=logits)
    refuse(
        path,
        f"{file}: holds logits of shape {logits.shape}, {logits.dtype} — expected (6, 3, 3) (epochs, clips, classes) "
        f"of float32. Delete {file.parent} {ONLY_THIS_FOLD}",
    )


def test_a_run_without_its_inner_logits_is_refused(tmp_path):
    path = write_run(tmp_path, subjects=5, inner_val=2)
    file = change_logits(path, inner_logits=None)
    with pytest.raises(RunError, match=re.escape(f"{file}: not readable (") + ".*inner_logits"):
        read_run(path)


def test_inner_clips_must_be_whole_training_subjects_of_the_fold(tmp_path):
    path = write_run(tmp_path, subjects=6, inner_val=2)
    (fold, *_) = read_run(path).folds
    one, two = sorted(set(map(subject_of, fold.inner_clip_ids)))
    of_one = [clip for clip in fold.inner_clip_ids if subject_of(clip) == one]
    file = change_logits(path, inner_clip_ids=np.array(of_one))
    refuse(
        path,
        f"{file}: holds inner clips of 1 subjects — expected 2, as config.json says. Delete {file.parent} "
        f"{ONLY_THIS_FOLD}",
    )
    change_logits(path, inner_clip_ids=np.array(fold.inner_clip_ids[:-1]))
    refuse(
        path,
        f"{file}: lacks clip {fold.inner_clip_ids[-1]} — expected the inner clips of training, each once. Delete "
        f"{file.parent} {ONLY_THIS_FOLD}",
    )
    held_out = [clip.replace(two, "casme2/01") for clip in fold.inner_clip_ids]
    change_logits(path, inner_clip_ids=np.array(held_out))
    with pytest.raises(RunError, match="holds clip casme2/01/EP00, which is none of them — expected the inner clips"):
        read_run(path)


def test_continuing_a_run_whose_clips_are_not_the_stores_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "clips.csv"
    rows = file.read_text().splitlines(keepends=True)
    for edited, said in (
        (rows[:-1], "04/EP02 has no label — expected 0"),
        ([*rows, "casme2/04/zz,casme2-04,surprise,1,surprise\n"], "04/zz has the label 1 — expected no such clip"),
        (
            [rows[0], rows[1].replace("surprise,1", "joy,1"), *rows[2:]],
            "01/EP00 has the emotion 'joy' — expected 'surprise'",
        ),
    ):
        file.write_text("".join(edited))
        with pytest.raises(RunError) as error:
            write_run(tmp_path)
        assert str(error.value) == f"{file}: clip casme2/{said}, as the store and the scheme say. {EDITED}"


HISTORY = "epoch,loss,seconds\n1,1.5,2.0\n2,1.0,3.0\n"


def test_history_is_read_by_column(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text(HISTORY)
    assert read_history(file, "loss", 2) == [1.5, 1.0]
    assert read_history(file, "seconds", 2) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HISTORY.replace("1.0", "fast"), ", line 3: loss is 'fast' — expected a finite number."),
        (HISTORY.replace("1.0", "nan"), ", line 3: loss is 'nan' — expected a finite number."),
        (HISTORY.replace("1.5,2.0", ""), ", line 2: loss is '' — expected a finite number."),
        (HISTORY.replace("\n2,", "\n7,"), ", line 3: the epoch is '7' — expected 2."),
        (HISTORY.replace("loss", "cost"), ": lacks loss — expected the columns epoch and loss."),
        (HISTORY + "3,1,1\n", ": has 3 epochs — expected 2, as config.json says."),
        ("", ": lacks epoch, loss — expected the columns epoch and loss."),
    ],
)
def test_an_edited_history_is_named_with_its_line(tmp_path, text, said):
    file = tmp_path / "history.csv"
    file.write_text(text)
    with pytest.raises(RunError) as error:
        read_history(file, "loss", 2)
    assert str(error.value) == (
        f"{file}{said} The file was edited or damaged: delete {tmp_path} and train again, only this fold is repeated."
    )


def test_a_missing_history_is_named(tmp_path):
    with pytest.raises(RunError, match=r"history\.csv: not readable \(\[Errno 2\] .* — expected a table with a row"):
        read_history(tmp_path / "history.csv", "loss", 2)

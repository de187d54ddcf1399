"""Run files that were edited or damaged: each is refused by a sentence that names the file and the line."""

import math
import re

import numpy as np
import pytest
from run_factory import write_run

from mer_cli.errors import RunError
from mer_cli.records import subject_of
from mer_cli.runs.directory import read_history, read_run, write_history

EDITED = "The file was edited or damaged: restore it, or move the run away and train again."
ONLY_THIS_FOLD = "and train again: only this fold is repeated."
RESTORE_OR_DELETE = "If that table was edited, restore it; if not, delete"


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
            "surprise,1,surprise",
            "disgust,1,surprise",
            "line 2: clip casme2/01/EP00 has the emotion 'disgust' and class 'surprise' — expected 'negative', as "
            "scheme mmnet3 says.",
        ),
        (
            "surprise,1,surprise",
            "others,1,surprise",
            "line 2: clip casme2/01/EP00 has the emotion 'others' and class 'surprise' — expected no such clip, as "
            "scheme mmnet3 says.",
        ),
        (
            "surprise,1,surprise",
            "joy,1,surprise",
            "line 2: clip casme2/01/EP00 has the emotion 'joy' and class 'surprise' — expected no such clip, as "
            "scheme mmnet3 says.",
        ),
        (
            "disgust,2,negative",
            "disgust,2",
            "line 3: has another number of cells than the header — expected 5 of them.",
        ),
        (
            "disgust,2,negative",
            "disgust,2,negative,x",
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


@pytest.mark.parametrize("n_left_out", [1, 3])  # a clip; a whole subject
def test_rows_that_were_deleted_or_added_are_told_by_the_protocols_number(tmp_path, n_left_out):
    file = write_run(tmp_path) / "clips.csv"
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join([rows[0], *rows[1 + n_left_out :]]))
    refuse(file.parent, f"{file}: names {12 - n_left_out} clips — expected 12, as casme2-mmnet3/12 says. {EDITED}")
    file.write_text("".join([*rows, "casme2/05/EP00,casme2-05,surprise,1,surprise\n"]))
    refuse(file.parent, f"{file}: names 13 clips — expected 12, as casme2-mmnet3/12 says. {EDITED}")


def test_a_deleted_row_that_was_only_trained_on_is_told_by_the_protocols_numbers(tmp_path):
    file = write_run(tmp_path, "megc3", datasets=("samm",), trained_on=("casme2",)) / "clips.csv"
    file.write_text("".join(row for row in file.read_text().splitlines(keepends=True) if "casme2/01" not in row))
    refuse(
        file.parent,
        f"{file}: names 9-to-12 clips — expected 12-to-12, as casme2-to-samm-megc3/12-to-12 says. {EDITED}",
    )


def test_under_labels_of_ones_own_an_emotion_is_its_class(tmp_path):
    file = write_run(tmp_path) / "clips.csv"
    edit(file.parent / "config.json", '"scheme": "mmnet3"', '"scheme": "labels"')
    path = file.parent.rename(tmp_path / "mine")
    file = path / "clips.csv"
    refuse(
        path,
        f"{file}, line 3: clip casme2/01/EP01 has the emotion 'disgust' and class 'negative' — expected no such clip, "
        f"as scheme labels says. {EDITED}",
    )
    file.write_text(file.read_text().replace("disgust", "negative"))
    assert len(read_run(path).folds) == 4


def test_a_finished_fold_that_the_table_does_not_name_is_refused(tmp_path):
    path = write_run(tmp_path)
    (path / "folds" / ".casme2-07-0a1b").mkdir()
    (path / "folds" / ".casme2-07-0a1b" / "done").touch()  # left by a training that was killed
    (path / "folds" / "casme2-08").mkdir()
    assert len(read_run(path).folds) == 4
    file = path / "clips.csv"
    file.write_text(file.read_text().replace("casme2/04/", "casme2/05/").replace("casme2-04", "casme2-05"))
    refuse(
        path,
        f"{path / 'folds' / 'casme2-04'}: holds a fold that {file} doesn't name — expected one of casme2-01, "
        "casme2-02, casme2-03, casme2-05. One of the two was edited: restore the table, or move the folder out of the "
        "run.",
    )


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
        f"{file}: {said} — expected the fold's clips in {path / 'clips.csv'}, each once. {RESTORE_OR_DELETE} "
        f"{file.parent} {ONLY_THIS_FOLD}",
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


def test_a_single_array_in_place_of_the_logits_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))
    with pytest.raises(
        RunError, match=re.escape(f"{file}: not readable (no archive of arrays) — expected the logits of a f")
    ):
        read_run(path)


@pytest.mark.parametrize("clip_ids", [np.array("casme2/01/EP00"), np.array([["a", "b"]]), np.zeros(3)])
def test_clip_ids_that_are_no_row_of_text_are_refused(tmp_path, clip_ids):
    path = write_run(tmp_path)
    file = change_logits(path, clip_ids=clip_ids)
    refuse(
        path,
        f"{file}: holds clip ids of shape {clip_ids.shape}, {clip_ids.dtype} — expected one row of text. Delete "
        f"{file.parent} {ONLY_THIS_FOLD}",
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
        f"{file}: lacks clip {fold.inner_clip_ids[-1]} — expected the inner clips of training in {path / 'clips.csv'}, "
        f"each once. {RESTORE_OR_DELETE} {file.parent} {ONLY_THIS_FOLD}",
    )
    held_out = [clip.replace(two, "casme2/01") for clip in fold.inner_clip_ids]
    change_logits(path, inner_clip_ids=np.array(held_out))
    with pytest.raises(RunError, match="holds clip casme2/01/EP00, which is none of them — expected the inner clips"):
        read_run(path)


def test_continuing_a_run_whose_clips_are_not_the_stores_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "clips.csv"
    held = file.read_text()
    for old, new, said in (
        ("casme2/04/EP02", "casme2/04/EP03", "04/EP02 has no label — expected 0"),
        ("casme2/04/EP02", "casme2/04/EP01b", "04/EP01b has the label 0 — expected no such clip"),
        ("disgust,2", "repression,2", "01/EP01 has the emotion 'repression' — expected 'disgust'"),
    ):
        assert old in held
        file.write_text(held.replace(old, new, 1))
        with pytest.raises(RunError) as error:
            write_run(tmp_path)
        assert str(error.value) == f"{file}: clip casme2/{said}, as the store and the scheme say. {EDITED}"


HISTORY = "epoch,loss,seconds\n1,1.5,2.0\n2,1.0,3.0\n"


def test_history_is_read_by_column(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text(HISTORY)
    assert read_history(file, "loss", 2) == [1.5, 1.0]
    assert read_history(file, "seconds", 2) == [2.0, 3.0]


def test_a_loss_that_diverged_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "history.csv"
    write_history(file, [{"loss": loss, "seconds": 2.0} for loss in (1.5, math.inf, math.nan)])
    first, second, third = read_history(file, "loss", 3)
    assert (first, second, math.isnan(third)) == (1.5, math.inf, True)
    file.write_text(HISTORY.replace("3.0", "nan"))
    with pytest.raises(RunError, match="line 3: seconds is 'nan' — expected a finite number"):
        read_history(file, "seconds", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HISTORY.replace("1.0", "fast"), ", line 3: loss is 'fast' — expected a finite number."),
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

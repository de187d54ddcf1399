"""Run files that were edited or damaged: each is refused by a sentence that names the file and what to do."""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from run_factory import forget_checksum, write_run

from mer_cli.errors import RunError
from mer_cli.records import subject_of
from mer_cli.runs.directory import read_run
from mer_cli.runs.fold_files import done_text, read_history, write_history

RESTORE = "Restore it, or move the run away and train again."


def refuse(path, expected):
    with pytest.raises(RunError) as error:
        read_run(path)
    assert str(error.value) == expected


def refuse_fold(path, file, problem):
    said = (
        f"{file}: was edited or damaged ({problem}). Delete {file.parent} and train again: only this fold is repeated."
    )
    refuse(path, said)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [("surprise,1,surprise", "surprise,2,negative"), ("casme2/01/EP01,casme2-01", "casme2/01/EP01,"), ("\n", "\n\n")],
)
def test_any_edit_of_the_clips_is_refused(tmp_path, old, new):
    file = write_run(tmp_path) / "clips.csv"
    edit(file, old, new)
    refuse(file.parent, f"{file}: was edited or damaged (it has changed since it was written). {RESTORE}")


def test_checksums_are_of_the_files(tmp_path):
    path = write_run(tmp_path)
    digest = hashlib.sha256((path / "clips.csv").read_bytes()).hexdigest()
    held = json.loads((path / "config.json").read_text())
    assert held["clips_sha256"] == digest
    own = held.pop("config_sha256")
    assert own == hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()
    belongs, *sums = (path / "folds/casme2-01/done").read_text().splitlines()
    assert belongs == f"# fold casme2-01 of {path.name}"
    assert [line.split("  ")[1] for line in sums] == ["logits.npz", "history.csv"]


def test_a_run_from_before_there_were_checksums_is_read(tmp_path):
    path = write_run(tmp_path)
    forget_checksum(path)
    edit(path / "config.json", '"normalisation": "standard"', '"normalisation": "raw"')  # its name then
    for done in path.glob("folds/*/done"):
        done.write_text("")
    assert len(read_run(path).folds) == 4
    assert write_run(tmp_path) == path  # and goes on


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("surprise,1,surprise", "surprise,2,surprise", "clip casme2/01/EP00 has label 2 and class 'surprise'"),
        (
            "surprise,1,surprise",
            "surprise,2,negative",
            "clip casme2/01/EP00 has the emotion 'surprise' and class 'negative'",
        ),
        ("surprise,1,", "surprise,3,", "clip casme2/01/EP00 has the label '3'"),
        ("casme2/01/EP01,", "casme2/01/EP00,", "clip casme2/01/EP00 is named twice"),
        ("casme2/01/EP01,casme2-01", "casme2/01/EP01,casme2-02", "clip casme2/01/EP01 is in fold 'casme2-02'"),
    ],
)
def test_clips_without_a_checksum_must_not_contradict_themselves(tmp_path, old, new, problem):
    path = write_run(tmp_path)
    forget_checksum(path)
    edit(path / "clips.csv", old, new)
    refuse(path, f"{path / 'clips.csv'}: was edited or damaged ({problem}). {RESTORE}")


def test_clips_without_a_checksum_are_counted(tmp_path):
    path = write_run(tmp_path)
    forget_checksum(path)
    file = path / "clips.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    refuse(path, f"{file}: was edited or damaged (it names 11 clips, casme2-mmnet3/12 has others). {RESTORE}")


def test_clips_that_are_not_a_table_are_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "clips.csv"
    forget_checksum(path)
    edit(file, "clip_id,fold", "clip,part")
    refuse(path, f"{file}: was edited or damaged (column 'clip_id' is missing). {RESTORE}")
    file.unlink()
    with pytest.raises(RunError, match=re.escape(f"{file}: was edited or damaged ([Errno 2] No such file")):
        read_run(path)


def test_a_fold_that_was_not_finished_is_missing(tmp_path):
    path = write_run(tmp_path)
    (path / "folds" / ".casme2-07-0a1b").mkdir()
    (path / "folds" / ".casme2-07-0a1b" / "done").touch()  # left by a training that was killed
    (path / "folds" / "casme2-08").mkdir()
    assert len(read_run(path).folds) == 4


def test_an_edited_setting_is_seen_by_the_folders_name(tmp_path):
    path = write_run(tmp_path)
    edit(path / "config.json", '"weight_decay": 0.6', '"weight_decay": 0.7')
    with pytest.raises(RunError) as error:
        read_run(path)
    assert re.fullmatch(
        re.escape(f"{path / 'config.json'}: its settings are those of ")
        + r"casme2-mmnet3-mmnet-released-s1-[0-9a-f]{8}"
        + re.escape(
            ", not those that the folder is named after. The file was edited, or the folder renamed: restore it, or "
            "move the run away and train again."
        ),
        str(error.value),
    )
    mine = path.rename(tmp_path / "mine")  # a name given by hand says nothing
    refuse(mine, f"{mine / 'config.json'}: was edited or damaged (it has changed since it was written). {RESTORE}")
    forget_checksum(mine)
    assert read_run(mine).config.weight_decay == 0.7


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"batch_size": 32', '"batch_size": 1', "batch_size is 1: Input should be greater than or equal to 2"),
        (
            '"role": "loso"',
            '"role": "both"',
            "stores.0.role is 'both': Input should be 'loso', 'list', 'dataset', 'train' or 'test'",
        ),
        ('"model"', '"modle"', "modle is 'mmnet': Extra inputs are not permitted"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, old, new, problem):
    path = write_run(tmp_path)
    edit(path / "config.json", old, new)
    refuse(
        path,
        f"{path / 'config.json'}: was edited or damaged ({problem}). {RESTORE}",
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
        f"{file}: was edited or damaged ({problem}). {RESTORE}",
    )


def change_logits(path, fold="casme2-01", **changes):
    """Give other arrays with a checksum that fits them, as a faulty program would write them."""
    file = path / "folds" / fold / "logits.npz"
    with np.load(file) as arrays:
        held = dict(arrays)
    np.savez(file, **({name: array for name, array in (held | changes).items() if array is not None}))
    (file.parent / "done").write_text(done_text(path.name, fold, file.parent))
    return file


def test_any_edit_of_the_logits_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refuse_fold(path, file, "it has changed since it was written")


def test_a_fold_whose_checksums_are_lost_is_refused(tmp_path):
    path = write_run(tmp_path)
    (path / "folds/casme2-01/done").write_text("")  # as after a power cut
    problem = f"done does not name fold casme2-01 of {path.name}"
    refuse_fold(path, path / "folds/casme2-01/logits.npz", problem)


def test_a_fold_of_another_run_is_refused_though_its_clips_are_the_same(tmp_path):
    path, other = write_run(tmp_path, seed=1), write_run(tmp_path, seed=2)
    shutil.rmtree(path / "folds/casme2-01")
    shutil.copytree(other / "folds/casme2-01", path / "folds/casme2-01")
    problem = f"done does not name fold casme2-01 of {path.name}"
    refuse_fold(path, path / "folds/casme2-01/logits.npz", problem)


@pytest.mark.parametrize("change", [lambda logits: -logits, lambda logits: logits[:, ::-1]])
def test_logits_that_are_negated_or_of_the_other_clip_are_refused(tmp_path, change):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    with np.load(file) as arrays:
        held = dict(arrays)
    np.savez(file, **(held | {"logits": change(held["logits"])}))
    refuse_fold(path, file, "it has changed since it was written")


def test_a_session_that_names_other_stores_than_the_run_has_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "environment.json"
    edit(file, '"data/casme2.h5"', '"data/casme2.h5", "data/samm.h5"')
    problem = "a session does not name as many stores as the run has"
    refuse(path, f"{file}: was edited or damaged ({problem}). {RESTORE}")


def test_an_edited_history_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/history.csv"
    edit(file, "1.0", "0.5")
    refuse_fold(path, file, "it has changed since it was written")


MACHINE = {"host": "gpu07", "job": "slurm 12_3", "device": "NVIDIA H200", "threads": 4}
WITHOUT = "Delete it: it says which machine trained the fold, and no score depends on it."


def test_the_machine_that_trained_a_fold_is_read_back_and_folds_that_recorded_none_are_read_too(tmp_path):
    path = write_run(tmp_path, machines=[MACHINE])
    file = path / "folds/casme2-01/environment.json"
    assert json.loads(file.read_text()) == MACHINE
    assert read_run(path).machines == {"casme2-01": MACHINE}
    assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  environment.json" in (file.parent / "done").read_text()
    file.unlink()  # its owner does not want the name of the machine to be sent
    assert read_run(path).machines == {}


def test_an_edited_machine_is_refused(tmp_path):
    path = write_run(tmp_path, machines=[MACHINE])
    file = path / "folds/casme2-01/environment.json"
    edit(file, "gpu07", "gpu08")
    refuse(path, f"{file}: was edited or damaged (it has changed since it was written). {WITHOUT}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "it does not hold names and values"),
        ('{"threads": 1.5}', "the value of 'threads' is neither a text nor a number"),
        ('{"threads": {"a": 1}}', "the value of 'threads' is neither a text nor a number"),
        ("[" * 60_000, "it is nested more than 32 levels deep"),
        (" " * 70_000, "it has more than 65,536 bytes"),
    ],
)
def test_a_machine_that_is_not_names_and_values_is_refused(tmp_path, text, problem):
    path = write_run(tmp_path, machines=[MACHINE])
    file = path / "folds/casme2-01/environment.json"
    file.write_text(text)
    (file.parent / "done").write_text(done_text(path.name, "casme2-01", file.parent))
    refuse(path, f"{file}: was edited or damaged ({problem}). {WITHOUT}")


def test_a_fold_that_was_copied_with_its_machine_is_called_a_copied_fold(tmp_path):
    path = write_run(tmp_path, machines=[MACHINE] * 2)
    done = path / "folds/casme2-01/done"
    edit(done, "# fold casme2-01", "# fold casme2-02")
    refuse_fold(path, done.parent / "logits.npz", f"done does not name fold casme2-01 of {path.name}")


FILES = ["config.json", "clips.csv", "environment.json", "folds/casme2-01/logits.npz", "folds/casme2-01/done"]


@pytest.mark.parametrize("name", [*FILES, "folds/casme2-01/history.csv", "folds/casme2-01/environment.json"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_an_endless_device_in_place_of_a_file_is_refused_at_once(tmp_path, name, kind):
    path = write_run(tmp_path, machines=[MACHINE])
    file = path / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(RunError, match=r": was edited or damaged \(.*it is not a regular file.*\)\. (Restore|Delete)"):
        read_run(path)


@pytest.mark.parametrize("name", FILES[:3])
def test_a_file_that_is_nested_a_hundred_thousand_times_or_too_large_is_refused(tmp_path, name):
    path = write_run(tmp_path)
    file = path / name
    file.write_text("[" * 100_000)
    with pytest.raises(RunError, match="was edited or damaged"):
        read_run(path)
    with file.open("wb") as opened:
        opened.truncate(10**13)  # takes no room on the disk
    with pytest.raises(RunError, match=r"was edited or damaged \(.*it has more than [0-9,]+ bytes"):
        read_run(path)


def test_an_array_that_is_said_to_have_18_terabytes_is_refused_unread(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    with zipfile.ZipFile(file) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    header = held["logits.npy"].replace(b"(6, 3, 3), }" + b" " * 15, b"(999999999, 999, 999), }" + b" " * 3)
    assert header != held["logits.npy"]
    for content, problem in (
        (header, "the header of the array logits does not fit its bytes"),
        (held["logits.npy"] + bytes(10**8), "the array logits takes 100,000,344 bytes, and at most 216 belong there"),
    ):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (held | {"logits.npy": content}).items():
                archive.writestr(name, data)
        (file.parent / "done").write_text(done_text(path.name, "casme2-01", file.parent))
        refuse_fold(path, file, problem)


def test_an_encrypted_array_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1  # of the first member, in the archive's directory
    file.write_bytes(data)
    (file.parent / "done").write_text(done_text(path.name, "casme2-01", file.parent))
    problem = "the array logits is encrypted, or packed in a way that numpy does not use"
    refuse_fold(path, file, problem)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = write_run(tmp_path)

    def forbidden(file, limit):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    for module, file in (("directory", path / "clips.csv"), ("fold_files", path / "folds/casme2-01/logits.npz")):
        with monkeypatch.context() as patch:
            patch.setattr(f"mer_cli.runs.{module}.read_bounded", forbidden)
            refuse(
                path,
                f"{file}: cannot be read (Permission denied). The file may be whole: keep it. Give yourself permission "
                "to read it and to enter its folder, or ask its owner, then run the same command again.",
            )


@pytest.mark.parametrize("clips", [["EP00", "EP01", "EP09"], ["EP00", "EP01", "EP01"], ["EP00", "EP01"]])
def test_predictions_of_other_clips_than_the_folds_are_refused(tmp_path, clips):
    path = write_run(tmp_path)
    file = change_logits(path, clip_ids=np.array([f"casme2/01/{clip}" for clip in clips]))
    refuse_fold(path, file, "its clips are not those of the fold in clips.csv")


@pytest.mark.parametrize("logits", [np.zeros((5, 3, 3), np.float32), np.zeros((6, 3, 3))])
def test_logits_of_another_shape_or_type_are_refused(tmp_path, logits):
    path = write_run(tmp_path)
    file = change_logits(path, logits=logits)
    refuse_fold(path, file, f"logits of shape {logits.shape}, {logits.dtype}, not (6, 3, 3) of float32")


def test_a_single_array_in_place_of_the_logits_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds/casme2-01/logits.npz"
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))
    (file.parent / "done").write_text(done_text(path.name, "casme2-01", file.parent))
    refuse_fold(path, file, "not an archive of arrays")


def test_a_run_without_its_inner_logits_is_refused(tmp_path):
    path = write_run(tmp_path, subjects=5, inner_val=2)
    refuse_fold(path, change_logits(path, inner_logits=None), "'inner_logits' is missing")


def test_inner_clips_must_be_training_clips_of_the_fold(tmp_path):
    path = write_run(tmp_path, subjects=6, inner_val=2)
    (fold, *_) = read_run(path).folds
    one = subject_of(fold.inner_clip_ids[0])
    held_out = [clip.replace(one, "casme2/01") for clip in fold.inner_clip_ids]
    file = change_logits(path, inner_clip_ids=np.array(held_out))
    refuse_fold(path, file, "its inner clips are not training clips of the run")


def test_continuing_a_run_whose_clips_are_not_the_stores_is_refused(tmp_path):
    path = write_run(tmp_path)
    file = path / "clips.csv"
    forget_checksum(path)
    edit(file, "disgust,2", "repression,2")
    with pytest.raises(RunError) as error:
        write_run(tmp_path)
    assert str(error.value) == (
        f"{file}: its clips are not those of the store and the scheme. The file was edited or damaged: restore it, or "
        "move the run away and train again."
    )


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HISTORY.replace("1.0", "fast"), "could not convert string to float: 'fast'"),
        (HISTORY.replace("loss", "cost"), "'loss' is missing"),
        (HISTORY + "3,1,1\n", "it has 3 epochs, config.json 2"),
        ("", "it has 0 epochs, config.json 2"),
    ],
)
def test_a_damaged_history_is_refused(tmp_path, text, problem):
    file = tmp_path / "history.csv"
    file.write_text(text)
    with pytest.raises(RunError) as error:
        read_history(file, "loss", 2)
    assert str(error.value) == (
        f"{file}: was edited or damaged ({problem}). Delete {tmp_path} and train again: only this fold is repeated."
    )


def test_seconds_are_finite_numbers(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text(HISTORY.replace("3.0", "nan"))
    with pytest.raises(RunError, match="seconds is not a finite number in every epoch"):
        read_history(file, "seconds", 2)


def test_a_missing_history_is_named(tmp_path):
    with pytest.raises(RunError, match=r"history\.csv: was edited or damaged \(\[Errno 2\] .*\. Delete"):
        read_history(tmp_path / "history.csv", "loss", 2)

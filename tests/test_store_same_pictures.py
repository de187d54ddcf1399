"""One picture under two subjects: while a store is built, in a dry run, and before a run is trained."""

import shutil
from dataclasses import replace

import h5py
import pytest
from fake_dataset import write_frames, write_video
from photo_release import make_release, write_clip
from tiny_store import edited, write_store

from mer_cli.datasets.registry import load_release
from mer_cli.runs.config import TrainConfig
from mer_cli.runs.protocol import plan_protocol
from mer_cli.store.build import build_store
from mer_cli.store.dry_run import check_release
from mer_cli.store.same_pictures import shared_faces, without_shared_pictures

HEADER = "subject,clip,onset,apex,offset,label,path"


def load(root, *rows):
    table = root / "lab.csv"
    table.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    release = load_release("table", root, table=table)
    assert not release.failed
    return without_shared_pictures(release)


def test_a_copied_folder_fails_under_both_subjects(tmp_path):
    write_frames(tmp_path / "p1/smile", range(1, 21))
    write_frames(tmp_path / "p2/smile", range(1, 21))
    shutil.copytree(tmp_path / "p1/smile", tmp_path / "p3/smile")
    release, notes = load(
        tmp_path, "p1,a,1,5,9,x,p1/smile", "p2,b,1,5,9,x,p2/smile", "p3,c,1,5,9,y,p3/smile", "p3,d,12,15,19,y,p3/smile"
    )
    assert ([clip.clip_id for clip in release.clips], notes) == (["lab/p2/b", "lab/p3/d"], ())
    assert [(failed.clip_id, failed.emotion) for failed in release.failed] == [("lab/p1/a", "x"), ("lab/p3/c", "y")]
    assert release.failed[0].reason == (
        f"{tmp_path}/p1/smile/img1.jpg is the same picture, byte for byte, as {tmp_path}/p3/smile/img1.jpg of subject "
        "p3 (lab/p3/c), so one face would be trained on and tested on. Remove the copy, or its rows from the table."
    )


def test_a_copy_with_other_labels_is_found_by_one_picture(tmp_path):
    write_frames(tmp_path / "p1/smile", range(1, 21))
    shutil.copytree(tmp_path / "p1/smile", tmp_path / "p2/smile")
    release, _ = load(tmp_path, "p1,a,1,5,9,x,p1/smile", "p2,b,9,12,15,x,p2/smile")
    assert release.clips == ()


def test_a_video_may_show_two_subjects_one_after_the_other(tmp_path):
    write_video(tmp_path / "session.avi", 40)
    release, _ = load(tmp_path, "p1,a,1,5,9,x,session.avi", "p2,b,10,12,15,x,session.avi")
    assert len(release.clips) == 2
    shutil.copy(tmp_path / "session.avi", tmp_path / "copy.avi")
    release, _ = load(tmp_path, "p1,a,1,5,9,x,session.avi", "p2,b,9,12,15,x,copy.avi")
    assert [failed.reason.split(",")[0] for failed in release.failed] == [
        f"{tmp_path}/session.avi is the same video",
        f"{tmp_path}/copy.avi is the same video",
    ]


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_a_clip_under_two_names_is_told_and_kept(tmp_path, kind):
    write_frames(tmp_path / "folder", range(1, 21))
    write_video(tmp_path / "video.avi", 20)
    path = {"folder": "folder", "video": "video.avi"}[kind]
    release, notes = load(tmp_path, f"p1,a,1,5,9,x,{path}", f"p1,b,1,5,9,x,{path}", f"p1,c,1,7,9,x,{path}")
    assert len(release.clips) == 3
    assert notes == ("lab/p1/a and lab/p1/b have the same onset and apex: is it one clip under two names?",)


def test_a_build_leaves_out_a_shared_picture_and_a_dry_run_foresees_it(tmp_path):
    first, second, third = (write_clip(tmp_path, "EP01", subject=subject) for subject in ("01", "02", "03"))
    for mine, theirs in zip(second.frames, first.frames, strict=True):
        shutil.copy(theirs.path, mine.path)
    release = make_release(tmp_path, (first, second, third, replace(third, name="EP02")))
    foreseen = check_release(release, tmp_path / "casme2.h5", None, lambda clip_id, status: None)
    summary = build_store(release, tmp_path / "casme2.h5", jobs=1)
    assert summary.n_ok == 2
    assert [failed.clip_id for failed in summary.failed] == ["casme2/01/EP01", "casme2/02/EP01"]
    assert [(clip.clip_id, clip.reasons[0]) for clip in foreseen.failing] == [
        (failed.clip_id, failed.reason) for failed in summary.failed
    ]
    copies = ("casme2/03/EP01 and casme2/03/EP02 have the same onset and apex: is it one clip under two names?",)
    assert summary.notes == copies
    assert copies[0] in foreseen.notes
    assert copies[0] in (summary.audit_dir / "index.html").read_text(encoding="utf-8")
    assert build_store(release, tmp_path / "casme2.h5", jobs=1).already_built


def test_stores_that_share_a_face_are_told_before_training(tmp_path):
    path = write_store(tmp_path / "casme2.h5")
    assert plan_protocol([path], TrainConfig(scheme="mmnet3")).warnings == ()
    with edited(path) as file:
        ids = file["clips/id"].asstr()[:].tolist()
        file["onset_window"][ids.index("casme2/03/EP01_01")] = file["onset_window"][ids.index("casme2/01/EP02_01")]
    assert plan_protocol([path], TrainConfig(scheme="mmnet3")).warnings == (
        "casme2/01/EP02_01 and casme2/03/EP01_01 are of two subjects and show the same picture. One face may be "
        "trained on and tested on: remove the copy from the release, and build the store again.",
    )


def test_a_face_in_two_datasets_is_found(tmp_path):
    stores = {}
    for dataset, subject in (("lab", "p1"), ("room", "x1")):
        path = write_store(tmp_path / f"{dataset}.h5", {f"{dataset}/{subject}/a": "x", f"{dataset}/{subject}/b": "y"})
        stores[path] = [f"{dataset}/{subject}/a"]
    assert shared_faces(stores) == ""
    first, second = stores
    with h5py.File(first) as held, edited(second) as file:
        file["onset_window"][:] = held["onset_window"][:]
    assert shared_faces(stores).startswith("lab/p1/a and room/x1/a are of two subjects and show the same picture. One")


def test_one_person_under_two_ids_in_an_old_store_is_told_before_training(tmp_path):
    path = write_store(tmp_path / "lab.h5", {"lab/001/a": "x", "lab/1/b": "y", "lab/2/c": "y"})
    assert plan_protocol([path], TrainConfig(scheme="labels")).warnings == (
        f"{path}: subjects '001' and '1' seem to be one person, who is trained on and tested on. Give both one name in "
        "the table and build the store again, or give them names that differ in more than their spelling.",
    )

"""Building a store from pictures: what is in it, what is done again, and what is not."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from photo_release import head, make_release, write_clip, write_picture, write_release
from tiny_store import edited

from mer_cli.engines.resumable import part_path, parts_dir
from mer_cli.errors import FaceError, StoreError
from mer_cli.faces.landmarks import find_predictor
from mer_cli.records import FailedClip, Release
from mer_cli.store.build import build_store, plan_build
from mer_cli.store.cut import clip_fingerprint
from mer_cli.store.hdf5 import SIGNATURE, read_store, read_windows
from mer_cli.store.overview import describe_stores
from mer_cli.system.files import lock_file


def build(release, out, *, seen: Counter | None = None, **changes):
    """Build with one worker; `seen` counts how the clips ended."""
    statuses = Counter() if seen is None else seen
    options = {"jobs": 1, "resume": True, "on_clip": lambda clip_id, status: statuses.update([status])}
    return build_store(release, out, **(options | changes))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Release, Path]:
    """A release of two clips and the store that was built of it."""
    folder = tmp_path_factory.mktemp("built")
    release = write_release(folder / "raw", 2)
    return release, build(release, folder / "casme2.h5").path


def test_build_store_keeps_every_row_of_the_table(tmp_path):
    clips = list(write_release(tmp_path, 4).clips)
    clips[0] = replace(clips[0], repairs=("apex '/' set to the midpoint 44",))
    clips[1].frames[0].path.write_bytes(b"")
    for frame in clips[2].frames:
        write_picture(frame.path, np.full((120, 120, 3), 128, np.uint8))
    lost = FailedClip("casme2/09/EP01", "others", "sub09/EP01: no folder")
    release = make_release(tmp_path, tuple(clips), failed=(lost,))
    seen = Counter()
    summary = build(release, tmp_path / "data" / "casme2.h5", seen=seen)
    assert seen == {"repaired": 1, "failed": 2, "ok": 1}
    assert (summary.n_ok, summary.n_repaired, summary.already_built) == (1, 1, False)
    assert summary.repairs == (("casme2/01/EP00", "apex '/' set to the midpoint 44"),)
    assert [failed.clip_id for failed in summary.failed] == ["casme2/01/EP01", "casme2/02/EP02", "casme2/09/EP01"]
    assert re.search(r"img40\.jpg: the file is empty", summary.failed[0].reason)
    assert re.search(r"^casme2/02/EP02: no face found", summary.failed[1].reason)

    store = read_store(summary.path)
    assert list(store.clips.index) == ["casme2/01/EP00", "casme2/02/EP03"]
    assert [entry["clip_id"] for entry in store.attributes["failed"]] == [f.clip_id for f in summary.failed]
    assert store.attributes["detectors"] == {"hog": 2}
    with (summary.audit_dir / "audit.csv").open(newline="") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file)}
    assert {clip_id: row["status"] for clip_id, row in rows.items()} == {
        "casme2/01/EP00": "repaired",
        "casme2/01/EP01": "failed",
        "casme2/02/EP02": "failed",
        "casme2/02/EP03": "ok",
        "casme2/09/EP01": "failed",
    }
    assert (rows["casme2/01/EP01"]["onset"], rows["casme2/09/EP01"]["onset"]) == ("40", "")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["audit", "casme2.h5", "casme2.h5.parts"]
    assert len(list(parts_dir(summary.path).iterdir())) == 2  # of the clips that did not fail


def test_build_store_joins_by_clip_not_by_the_order_of_rows(built, tmp_path):
    release, out = built
    shuffled = replace(release, clips=release.clips[::-1])
    assert build(shuffled, tmp_path / "b.h5", jobs=2).path.read_bytes() == out.read_bytes()


def test_build_store_does_nothing_where_the_store_is_there(built):
    release, out = built
    before, seen = out.stat(), Counter()
    summary = build(release, out, seen=seen)
    assert summary.already_built
    assert (summary.n_ok, summary.failed, seen, out.stat()) == (2, (), Counter(), before)


def test_build_store_starts_anew_without_resume(built):
    release, out = built
    content_hash, seen = read_store(out).content_hash, Counter()
    assert not build(release, out, resume=False, seen=seen).already_built
    assert seen == {"ok": 2}
    assert read_store(out).content_hash == content_hash


def test_build_store_builds_again_for_other_inputs(tmp_path):
    release, out = write_release(tmp_path, 1), tmp_path / "casme2.h5"
    hashes = {read_store(build(release, out).path).content_hash}
    moved = replace(release, clips=(replace(release.clips[0], apex=45),))
    for other, align in ((moved, "box"), (moved, "eyes")):
        assert not build(other, out, align=align).already_built
        hashes.add(read_store(out).content_hash)
    assert len(hashes) == 3


def test_build_store_tries_failed_clips_again_and_no_other(tmp_path):
    release, out = write_release(tmp_path, 3), tmp_path / "casme2.h5"
    frame = release.clips[0].frames[0].path
    whole, status = frame.read_bytes(), frame.stat()
    frame.write_bytes(bytes(len(whole)))
    os.utime(frame, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(build(release, out).failed) == 1
    seen = Counter()
    build(release, out, seen=seen)
    assert seen == {"resumed": 2, "failed": 1}
    frame.write_bytes(whole)
    os.utime(frame, ns=(status.st_atime_ns, status.st_mtime_ns))  # nothing tells that it is mended
    seen = Counter()
    assert build(release, out, seen=seen).failed == ()
    assert seen == {"resumed": 2, "ok": 1}
    assert not parts_dir(out).exists()


def test_build_store_keeps_no_part_of_another_annotation(tmp_path):
    release, out = write_release(tmp_path, 3), tmp_path / "casme2.h5"
    release.clips[0].frames[0].path.write_bytes(b"")
    build(release, out)
    first, second, third = release.clips
    build(replace(release, clips=(first, second, replace(third, apex=45))), out)
    assert sorted(path.name.split("-")[0] for path in parts_dir(out).iterdir()) == [
        "casme2%2F01%2FEP01",
        "casme2%2F02%2FEP02",
    ]


def test_fingerprint_changes_with_settings_annotation_and_pictures(tmp_path):
    clip = write_clip(tmp_path)
    prints = [
        clip_fingerprint(clip, {"align": "box"}),
        clip_fingerprint(clip, {"align": "eyes"}),
        clip_fingerprint(replace(clip, emotion="others"), {"align": "box"}),
        clip_fingerprint(replace(clip, repairs=("x",)), {"align": "box"}),
        clip_fingerprint(replace(clip, frames=clip.frames[1:]), {"align": "box"}),
    ]
    write_picture(clip.frames[0].path, head(3.0))
    prints.append(clip_fingerprint(clip, {"align": "box"}))
    prints.append(clip_fingerprint(replace(clip, apex_rule="flow"), {"align": "box"}))
    assert len(set(prints)) == len(prints)


def test_build_store_of_no_usable_clip_writes_the_audit_and_keeps_the_old_store(tmp_path):
    release, out = write_release(tmp_path, 1), tmp_path / "casme2.h5"
    was_there = SIGNATURE + b"a store"
    out.write_bytes(was_there)
    picture = release.clips[0].frames[0].path
    picture.write_bytes(b"")
    expected = (
        f"{out}: not written, because none of 1 clips can be used. The first says: {picture}: the file is "
        f"empty (0 bytes). Copy the file from the release again. See all in "
        f"{tmp_path}/audit/casme2/audit.csv."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        build(release, out)
    assert out.read_bytes() == was_there
    assert (tmp_path / "audit" / "casme2" / "audit.csv").read_text().count("failed") == 1


def test_parts_of_other_settings_have_other_names(tmp_path):
    release, predictor = write_release(tmp_path, 1), find_predictor()
    other = tmp_path / "other.dat"
    other.write_bytes(b"another model")
    plans = [
        plan_build(release, tmp_path / "s.h5", predictor, "box"),
        plan_build(release, tmp_path / "s.h5", predictor, "eyes"),
        plan_build(release, tmp_path / "s.h5", other, "box"),
        plan_build(replace(release, source="cropped"), tmp_path / "s.h5", predictor, "box"),
    ]
    assert len({plan.tasks[0].part for plan in plans}) == 4
    assert len({plan.attributes["build_key"] for plan in plans}) == 4


def test_raw_images_are_not_taken_whole(tmp_path):
    release, out = write_release(tmp_path, 1), tmp_path / "casme2.h5"
    expected = (
        "--align none takes each image whole, and the images of this release are raw, with more than the face. Give "
        "--source cropped if the images are cut to the face, or leave --align out."
    )
    with pytest.raises(StoreError, match=f"^{re.escape(expected)}$"):
        build(release, out, align="none")
    assert not out.exists()
    plan = plan_build(replace(release, source="cropped"), out, find_predictor(), "none")
    assert plan.attributes["crop"] == {
        "size": 224,
        "interpolation": "Pillow's bilinear filter, aspect not kept",
        "align": "none",
        "window": 7,
    }


def test_a_store_of_twelve_bits_records_them_and_keeps_the_grey_levels(tmp_path):
    clip = write_clip(tmp_path)
    frames = []
    for frame in clip.frames:
        deep = write_picture(frame.path.with_suffix(".png"), head(0.25 * (frame.number - 40)).astype(np.uint16) * 16)
        frame.path.unlink()
        frames.append(replace(frame, path=deep))
    out = tmp_path / "casme2.h5"
    build(make_release(tmp_path, (replace(clip, frames=tuple(frames)),)), out)
    info = read_store(out)
    assert info.attributes["crop"]["bits"] == 12
    assert ("dataset", "casme2, raw, 12-bit images") in describe_stores([info]).facts[0]
    assert "raw, 12-bit" in (tmp_path / "audit" / "casme2" / "index.html").read_text(encoding="utf-8")
    onset, *_ = read_windows(out, [clip.clip_id])
    assert len(np.unique(onset[0, 3])) > 150


def test_odd_pairs_are_counted_in_the_audit_and_after_the_build(tmp_path):
    clip = write_clip(tmp_path)
    clip.frames[6].path.write_bytes(clip.frames[0].path.read_bytes())
    out = tmp_path / "casme2.h5"
    build(make_release(tmp_path, (clip,)), out)
    sentence = "1 clip: onset and apex are the same image (casme2/01/EP01_01). Look at the audit."
    assert sentence in describe_stores([read_store(out)]).warnings
    assert sentence in (tmp_path / "audit" / "casme2" / "index.html").read_text(encoding="utf-8")


def test_part_path_stays_in_its_folder_whatever_the_clip_is_called(tmp_path):
    clip = replace(write_clip(tmp_path), name="../../x")
    assert (
        part_path(tmp_path, clip.clip_id, "0123456789abcdef0123")
        == tmp_path / "casme2%2F01%2F..%2F..%2Fx-0123456789abcdef.npz"
    )


def test_the_name_of_a_part_is_never_too_long_for_a_file(tmp_path):
    clips = [replace(write_clip(tmp_path), name="表情" * 30 + end) for end in ("一", "二")]
    names = {part_path(tmp_path, clip.clip_id, "0123456789abcdef0123").name for clip in clips}
    assert len(names) == 2
    assert max(map(len, names)) < 200


def test_what_is_told_about_a_table_is_stored_and_leaves_a_finished_store_up_to_date(tmp_path):
    release, predictor = write_release(tmp_path, 1), find_predictor()
    plain = plan_build(release, tmp_path / "s.h5", predictor, "box").attributes
    told = {"table_notes": ("read as UTF-16",), "table_differences": ("row 2 (01/EP1): apex '5', published '/'",)}
    assert plan_build(replace(release, **told), tmp_path / "s.h5", predictor, "box").attributes == plain | told
    assert not told.keys() & plain.keys()


def test_build_store_refuses_a_wrong_predictor_before_anything_is_written(tmp_path):
    release = write_release(tmp_path, 1)
    (tmp_path / "model.dat").write_bytes(b"no model")
    with pytest.raises(FaceError, match=r"model\.dat: not a model that Dlib can read"):
        build(release, tmp_path / "casme2.h5", predictor=tmp_path / "model.dat")
    assert not (tmp_path / "casme2.h5").exists()


def test_build_store_says_at_once_that_a_folder_has_the_stores_name(tmp_path):
    out = tmp_path / "casme2.h5"
    out.mkdir()
    seen = []
    with pytest.raises(StoreError) as error:
        build_store(
            make_release(tmp_path, (write_clip(tmp_path),)),
            out,
            jobs=1,
            resume=True,
            on_clip=lambda *clip: seen.append(clip),
        )
    assert str(error.value) == (
        f"{out}: cannot be written (Is a directory). Move {out} away, then run the same command again: finished clips "
        "are kept."
    )
    assert not seen


def test_build_store_holds_the_lock(tmp_path):
    release, out = write_release(tmp_path, 1), tmp_path / "casme2.h5"
    with lock_file(out), pytest.raises(StoreError, match="is building it"):
        build(release, out)
    assert not parts_dir(out).exists()


def test_windows_of_a_cut_release_mark_what_it_lacks(built):
    _, out = built
    onset, onset_frames, apex, apex_frames = read_windows(out, ["casme2/01/EP00"])
    assert onset_frames.tolist() == [[-1, -1, -1, 40, 41, 42, 43]]
    assert apex_frames.tolist() == [[41, 42, 43, 44, 45, 46, 47]]
    assert np.array_equal(onset[0, 0], onset[0, 3])
    assert np.array_equal(onset[0, 5], apex[0, 1])


def test_attributes_say_what_the_store_was_built_from(built):
    attributes = read_store(built[1]).attributes
    assert attributes["table"] == "CASME2-coding-20190701.xlsx"
    assert attributes["predictor_sha256"] == "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"
    assert attributes["crop"]["align"] == "box"
    assert (attributes["source"], attributes["generated"]) == ("raw", False)
    assert sorted(attributes["tools"]) == ["dlib", "h5py", "mer", "numpy", "opencv"]


def test_build_store_replaces_real_faces_by_generated_ones_only_where_it_is_told_to(built, tmp_path):
    release, out = built[0], tmp_path / "casme2.h5"
    shutil.copy(built[1], out)
    before = out.read_bytes()
    generated = replace(release, generated=True)
    with pytest.raises(StoreError) as error:
        build(generated, out)
    assert str(error.value) == (
        f"{out}: holds casme2 without the stamp of generated faces, and these clips are generated. If it was built "
        "from them by a version that overlooked the stamp, build it again with --no-resume and train again; if it "
        "holds real faces, give another --out."
    )
    assert out.read_bytes() == before
    with pytest.raises(StoreError, match=r"holds casme2, and would be replaced by samm. Give another --out, or --no"):
        build(replace(release, dataset="samm"), out)
    build(generated, out, resume=False)
    assert read_store(out).generated


def test_build_store_replaces_generated_faces_by_real_ones_of_another_table_only_where_it_is_told_to(built, tmp_path):
    real = replace(built[0], table_sha256="1" * 64)
    out = tmp_path / "casme2.h5"
    shutil.copy(built[1], out)
    with edited(out) as file:
        file.attrs["generated"] = True
    with pytest.raises(StoreError, match=r"if they are real, give another --out, or --no-resume to replace it\.$"):
        build(real, out)
    build(real, out, resume=False)
    assert not read_store(out).generated


def test_build_store_keeps_a_store_that_another_program_changed_unless_it_is_told_to(built, tmp_path):
    out = tmp_path / "casme2.h5"
    shutil.copy(built[1], out)
    with h5py.File(out, "r+") as file:
        file.attrs["my note"] = "of mine"
    changed = out.read_bytes()
    with pytest.raises(StoreError, match="another program has opened it to write since `mer` wrote it"):
        build(built[0], out)
    assert out.read_bytes() == changed
    build(built[0], out, resume=False)
    assert "checksums" in read_store(out).attributes


def test_the_parts_that_a_failed_clip_leaves_keep_the_stamp_of_generated_faces(tmp_path):
    release = write_release(tmp_path / "raw", 2, generated=True)
    release.clips[0].frames[0].path.write_bytes(b"")
    out = build(release, tmp_path / "casme2.h5").path
    out.unlink()
    with pytest.raises(StoreError, match="holds clips of generated faces, of a build that was interrupted"):
        build(replace(release, generated=False), out)


def test_an_interrupted_build_of_generated_faces_does_not_go_on_without_their_stamp(built, tmp_path):
    real, out = built[0], tmp_path / "casme2.h5"

    def interrupt(clip_id, status):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(replace(real, generated=True), out, on_clip=interrupt)
    before = sorted(parts_dir(out).iterdir())
    with pytest.raises(StoreError) as raised:
        build(real, out)
    assert str(raised.value) == (
        f"{parts_dir(out)}: holds clips of generated faces, of a build that was interrupted, and no GENERATED.txt lies "
        "in or above the folders of these clips. Nothing was changed. If they are generated, put the file back into "
        "the folder that `mer synth` wrote; if they are real, give another --out, or --no-resume to drop the parts."
    )
    assert (sorted(parts_dir(out).iterdir()), out.exists()) == (before, False)
    assert read_store(build(replace(real, generated=True), out).path).generated
    assert not parts_dir(out).exists()


@pytest.mark.parametrize("resume", [True, False])
def test_build_store_writes_over_no_file_that_is_not_a_store(tmp_path, resume):
    release, out = write_release(tmp_path, 1), tmp_path / "mylab.csv"
    out.write_text("subject,clip\n")
    with pytest.raises(StoreError) as error:
        build(release, out, resume=resume)
    assert str(error.value) == (
        f"{out}: not a store, and writing one here would destroy it. Give another --out, or move the file away."
    )
    assert out.read_text() == "subject,clip\n"

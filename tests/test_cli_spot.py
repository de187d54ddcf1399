"""`mer spot` and `mer evaluate --spotting` as their user meets them: what is printed, exit codes, whole errors."""

import json
import shutil

import cv2
import pytest
from moving_face import MovingFace, bump
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.cli.spot import _csv, _json, _names, _text
from mer_cli.inference.purpose import PURPOSE
from mer_cli.spotting.interval import Interval, Spotted

FOUND = Spotted(
    200.0, 1200, (Interval(10, 30, 71, 18.25),), (Interval(400, 420, 450, 30.0, "blink"),), notes=("it is dark",)
)
NOTHING = Spotted(100.0, 600, ())


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images in which the mouth moves once."""
    path = tmp_path_factory.mktemp("spot") / "frames"
    path.mkdir()
    for frame in MovingFace(n_frames=60, lift=lambda s: 2.0 * bump(s, 0.4, 0.56, 0.76)).read():
        cv2.imwrite(str(path / f"img{frame.number + 100}.png"), frame.image[..., ::-1])
    return path


def test_text_has_frames_and_times_of_what_may_be_a_micro_expression():
    assert _text([("a.avi", FOUND), ("b.avi", NOTHING)], show_all=False) == (
        "a.avi: 1200 frames, 200 a second: 1 interval that may be a micro-expression; 1 rejected\n"
        "onset   apex   offset     from       to   score\n"
        "   10     30       71   0.04 s   0.35 s    18.2\n"
        "b.avi: 600 frames, 100 a second: 0 intervals that may be micro-expressions; 0 rejected\n"
    )


def test_all_shows_why_an_interval_was_rejected():
    lines = _text([("a.avi", FOUND)], show_all=True).splitlines()
    assert lines[1].endswith("score   rejected as")
    assert lines[3].split() == ["400", "420", "450", "2.00", "s", "2.25", "s", "30.0", "blink"]


def test_csv_has_a_row_for_each_interval_and_for_a_recording_without():
    assert _csv([("a.avi", FOUND), ("b.avi", NOTHING)], show_all=True) == (
        "video,onset,apex,offset,score,reason,fps,n_frames\n"
        "a.avi,10,30,71,18.25,,200,1200\n"
        "a.avi,400,420,450,30,blink,200,1200\n"
        "b.avi,,,,,,100,600\n"
    )


def test_json_says_what_it_is_for():
    answer = json.loads(_json([("a.avi", FOUND)], show_all=False))
    assert answer["purpose"] == PURPOSE
    (recording,) = answer["recordings"]
    assert recording["intervals"] == [{"onset": 10, "apex": 30, "offset": 71, "score": 18.25, "reason": ""}]
    assert (recording["video"], recording["fps"], recording["n_frames"]) == ("a.avi", 200.0, 1200)
    assert (recording["interrupted"], recording["notes"]) == (False, ["it is dark"])


def test_recordings_of_one_name_are_called_by_their_paths(tmp_path):
    paths = [tmp_path / "x/a.avi", tmp_path / "y/a.avi", tmp_path / "b.avi"]
    assert _names(paths) == [str(paths[0]), str(paths[1]), "b.avi"]


def test_a_folder_is_spotted_and_its_numbers_are_those_of_the_names(folder, tmp_path):
    out = tmp_path / "p.csv"
    result = mer("spot", folder, "--fps", 50, "--format", "csv", "--out", out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    header, row = out.read_text().splitlines()
    assert header == "video,onset,apex,offset,score,reason,fps,n_frames"
    video, onset, apex, offset, *_ = row.split(",")
    assert video == "frames"
    assert 118 <= int(onset) <= 124
    assert abs(int(apex) - 129) <= 1
    assert 134 <= int(offset) <= 142


def test_a_folder_without_fps_is_refused_with_the_flag_to_give(folder):
    result = mer("spot", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: {folder}: a folder of images doesn't say how many frames a second it has. Give --fps.\n"
    )


def test_of_several_recordings_one_that_fails_is_told_and_the_others_go_on(folder, tmp_path):
    short = tmp_path / "short"
    short.mkdir()
    for name in ("img101.png", "img102.png", "img103.png"):
        shutil.copy(folder / name, short / name)
    result = mer("spot", tmp_path / "absent.avi", short, "--fps", 50)
    assert result.exit_code == 1
    assert result.stdout == "short: 3 frames, 50 a second: 0 intervals that may be micro-expressions; 0 rejected\n"
    reason = "cannot be read (No such file or directory). Check the path and its permissions."
    assert f"error: {tmp_path / 'absent.avi'}: {reason}\n" in result.stderr


def test_scores_of_two_files_are_printed(tmp_path):
    predicted, true = tmp_path / "p.csv", tmp_path / "truth.csv"
    predicted.write_text("video,onset,offset,fps,n_frames\na,100,180,100,6000\na,600,650,100,6000\n")
    true.write_text("video,kind,onset,apex,offset,emotion,action_units\na.avi,micro,100,130,199,positive,12\n")
    result = mer("evaluate", "--spotting", predicted, true)
    assert result.exit_code == 0
    assert result.stdout == (
        "videos                 1, 1.0 minutes\n"
        "right                  an interval that shares at least half of the frames it and a true one cover together "
        "(IoU >= .5)\n"
        "chance                 as many intervals of the same lengths at random places, 1000 draws\n"
        "false alarms a minute  1.00\n"
        "false alarms during    nothing 1\n"
        "kind    right   false   missed   precision   recall      F1   95 % interval   chance   to (95 %)\n"
        "micro       1       1        0       .5000   1.0000   .6667                    .0120       .0000\n"
    )


def test_spotting_is_refused_together_with_runs(tmp_path):
    result = mer("evaluate", "runs/x", "--spotting", tmp_path / "p.csv", tmp_path / "t.csv")
    assert result.exit_code == 1
    assert result.stderr == "error: --spotting: scores two files, not runs. Leave the runs and the other flags out.\n"


def test_ctrl_c_prints_what_was_found_so_far(folder, monkeypatch):
    from mer_cli.spotting import spot as module

    monkeypatch.setattr(module, "_checked_fps", _stops_soon(module._checked_fps))
    result = mer("spot", folder, "--fps", 50)
    assert result.exit_code == 130
    assert result.stdout.startswith("frames: 5 frames, 50 a second: 0 intervals")
    assert result.stderr.endswith("stopped: this is what was found so far\n")


def _stops_soon(checked_fps):
    """A check of a recording after which its fifth frame is the last before Ctrl-C."""

    def check(recording):
        whole = recording.read

        def read(numbers=None):
            for count, frame in enumerate(whole(numbers), start=1):
                yield frame
                if count == 5:
                    raise KeyboardInterrupt

        recording.read = read
        return checked_fps(recording)

    return check


def test_a_file_that_cannot_be_written_is_told_before_the_work(folder, tmp_path):
    result = mer("spot", folder, "--fps", 50, "--out", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: --out {tmp_path}: can't be written (Is a directory). Give another path.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_recording_that_is_given_twice_is_refused(folder):
    result = mer("spot", folder, folder, "--fps", 50)
    assert (result.exit_code, result.stderr) == (1, f"error: {folder}: is given twice. Name it once.\n")


def test_of_recordings_that_all_fail_nothing_is_written(tmp_path):
    out = tmp_path / "p.csv"
    out.write_text("an earlier answer")
    result = mer("spot", tmp_path / "a.avi", tmp_path / "b.avi", "--format", "csv", "--out", out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert out.read_text() == "an earlier answer"


def test_ctrl_c_before_the_first_frame_says_that_nothing_is_written(folder, tmp_path, monkeypatch):
    from mer_cli.spotting import spot as module

    def stop(recording):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_checked_fps", stop)
    result = mer("spot", folder, "--fps", 50, "--out", tmp_path / "p.csv")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "stopped: nothing was found yet, nothing is written\n"
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_commands_the_terminal_is_shown_as_text():
    assert _text([("a\x1b[31m\udcff.avi", NOTHING)], show_all=False).startswith("a\\x1b[31m\\udcff.avi: 600 frames")

"""`mer predict` as its user meets it, on a model that was trained and pictures of a real head."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from complete_store import complete_store
from fixed_model import SCORE
from moved_store import write_moved_store
from photo_release import head, write_picture
from typer.testing import CliRunner

from mer_cli.cli import main

ARGUMENTS = ("--scheme", "mmnet3", "--model", "ststnet", "--device", "cpu", "--flow", "fast", "--epochs", "1")


def mer(*arguments):
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model folder, another that is calibrated and judges no picture, and a folder of frames."""
    from mer_cli.inference.model_folder import read_model_folder, write_model

    root = tmp_path_factory.mktemp("predict")
    (root / "data").mkdir()
    complete_store(write_moved_store(root / "data" / "casme2.h5").path)
    done = mer("fit", root / "data" / "casme2.h5", *ARGUMENTS, "--out", root / "strict")
    assert done.exit_code == 0, done.stderr
    said, weights = read_model_folder(root / "strict")
    facts = said.facts.model_copy(update={"look": {}, "temperature": 0.0001, "score": SCORE})
    write_model(root / "model", weights, "A card.", facts, said.config, said.network)
    for place in range(6):
        write_picture(root / "clip" / f"img{46 + place}.png", moved_brow(place / 2))
    return root


def moved_brow(by):
    """The head with a patch above its eyes moved up."""
    picture = head().copy()
    patch = picture[100:140, 110:210].copy()
    rows = np.clip(np.arange(40) + by, 0, 39)
    low = np.floor(rows).astype(int)
    part = (rows - low)[:, None, None]
    picture[100:140, 110:210] = (patch[low] * (1 - part) + patch[np.minimum(low + 1, 39)] * part).astype(np.uint8)
    return picture


def test_a_clip_gets_an_answer_with_what_is_known_about_the_model(made):
    done = mer("predict", made / "clip", "--model", made / "model", "--onset", 46, "--apex", 51)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{made / 'clip'}:"
    assert lines[1].startswith("  frames 46 to 51: ")
    assert lines[1].endswith(" 100%")
    assert any(line.startswith("Model: STSTNet, trained on 5 clips of ") for line in lines)
    assert any("it reached UF1 0.6500" in line for line in lines)
    assert lines[-1].startswith("For research.")


def test_a_picture_unlike_the_training_clips_gets_none(made):
    done = mer("predict", made / "clip", "--model", made / "strict", "--onset", 46, "--apex", 51)
    assert done.exit_code == 0, done.stderr
    assert "frames 46 to 51: no answer. The face is more colourful" in done.stdout
    assert "Nobody has measured how good it is" in done.stdout


@pytest.mark.parametrize("format", ["csv", "json", "html", "text"])
def test_each_format_can_be_written_to_a_file(made, tmp_path, format):
    out = tmp_path / f"answers.{format}"
    done = mer(
        *("predict", made / "clip", "--model", made / "model", "--onset", 46, "--format", format, "--out", out),
    )
    assert (done.exit_code, done.stdout.strip()) == (0, str(out)), done.stderr
    text = out.read_text(encoding="utf-8")
    if format == "csv":
        (row,) = csv.DictReader(io.StringIO(text))
        assert (row["onset"], row["probability"]) == ("46", "1.0000")
    elif format == "json":
        (recording,) = json.loads(text)["recordings"]
        assert recording["clips"][0]["onset"] == 46
    elif format == "html":
        assert text.count("data:image/jpeg;base64,") == 4  # the last shows where the answer comes from
    else:
        assert text.splitlines()[-1].startswith("For research.")


def test_intervals_of_a_folder_can_only_be_spotted_with_its_frame_rate(made):
    done = mer("predict", made / "clip", "--model", made / "model")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: {made / 'clip'}: a folder of images doesn't say how many frames a second it has. Give --fps."
    )
    done = mer("predict", made / "clip", "--model", made / "model", "--fps", 200)
    assert done.exit_code == 0, done.stderr
    assert "  No answer. It takes 0.025 s, and nothing can come and go in less than 0.4 s." in done.stdout


def test_one_recording_that_fails_does_not_stop_the_others(made, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("not a video")
    arguments = ("predict", broken, made / "clip", "--model", made / "model", "--fps", 200)
    done = mer(*arguments)
    assert done.exit_code == 1
    assert f"{made / 'clip'}:" in done.stdout
    assert f"error: {broken}: " in done.stderr


def test_ctrl_c_gives_the_recordings_that_were_done(made, tmp_path, monkeypatch):
    from mer_cli.inference import predict as module

    ask, asked = module.predict, []

    def stop(recording, *arguments, **options):
        asked.append(recording)
        if len(asked) > 1:
            raise KeyboardInterrupt
        return ask(recording, *arguments, **options)

    monkeypatch.setattr(module, "predict", stop)
    other = shutil.copytree(made / "clip", tmp_path / "other")
    done = mer("predict", made / "clip", other, "--model", made / "model", "--fps", 200)
    assert done.exit_code == 130
    assert done.stdout.startswith(f"{made / 'clip'}:\n")
    assert done.stderr.endswith("stopped: this is what was found so far\n")


def test_an_onset_belongs_to_one_recording(made):
    done = mer("predict", made / "clip", made / "clip", "--model", made / "model", "--onset", 46)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == ("error: --onset names a frame of one recording, and 2 are given. Give one.")


def test_a_store_has_no_effect_with_a_model_that_needs_none(made):
    done = mer("predict", made / "clip", "--model", made / "model", "--store", made / "data" / "casme2.h5")
    assert done.exit_code == 1
    assert done.stderr == f"error: --store has no effect with {made / 'model'}, which needs no store. Leave it out.\n"


def test_what_is_not_a_model_is_told_before_a_recording_is_opened(made):
    done = mer("predict", made / "none.mp4", "--model", made / "clip")
    assert done.exit_code == 1
    assert "none.mp4" not in done.stderr
    assert str(made / "clip") in done.stderr


def test_python_gives_the_same_answer(made):
    import mer_cli

    model = mer_cli.open_model(made / "model")
    prediction = mer_cli.predict(made / "clip", model, onset=46, apex=51)
    (answer,) = prediction.answers
    done = mer("predict", made / "clip", "--model", made / "model", "--onset", 46, "--apex", 51)
    assert f": {answer.label} 100%" in done.stdout
    assert Path(prediction.path) == made / "clip"

"""A run under a label scheme of the user's own: what it is named after, what it holds of the file, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from run_factory import forget_checksum
from tiny_run import config_of
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store

from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation.run_text import ablate_command, own_classes, train_command, without_private_paths
from mer_cli.runs.directory import Session, open_run, read_clips, read_run
from mer_cli.runs.run_config import RunConfig, read_config
from mer_cli.training.grids import plan_comparison, plan_grid
from mer_cli.training.plan import plan_run

MINE = """\
name = "mine"
classes = ["good", "bad"]
[casme2]
happiness = "good"
disgust = "bad"
drop = ["surprise", "fear"]
leave_out = ["02/EP02_01"]
"""
SAMM = '[samm]\nhappiness = "good"\nanger = "bad"\nsurprise = "good"\n'
CPU = {"device": "cpu", "precision": "fp32", "compile": "off"}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """The user's folder: a scheme and two stores."""
    monkeypatch.chdir(tmp_path)
    write_scheme("mine.toml", MINE)
    write_store(Path("casme2.h5"))
    write_store(Path("samm.h5"), SAMM_EMOTIONS)


def write_scheme(name, text):
    Path(name).write_text(text, encoding="utf-8")


def plan(scheme="mine.toml", stores=("casme2.h5",), **given):
    return plan_run([Path(store) for store in stores], config_of(scheme=scheme), **given)


def begin(planned, out="runs"):
    stores = Session(planned.paths("loso", "train"), planned.paths("test"), out, {"torch": "0"})
    return open_run(Path(out), planned.config, planned.labels, planned.emotions, planned.folds, stores)


def test_a_run_is_named_after_the_scheme_and_holds_what_the_file_says():
    planned = plan()
    assert planned.labels == {"casme2/01/EP01_01": 0, "casme2/01/EP02_01": 1, "casme2/02/EP01_01": 1}
    assert (planned.config.scheme, planned.config.protocol_id) == ("mine", "casme2-mine/3")
    assert planned.config.run_name.startswith("casme2-mine-mmnet-quick-s1-")
    path = begin(planned)
    assert json.loads((path / "config.json").read_text())["own_scheme"] == {
        "class_of": {"casme2": {"disgust": "bad", "happiness": "good"}},
        "dropped": {"casme2": ["fear", "surprise"]},
        "left_out": ["casme2/02/EP02_01"],
    }


def test_a_run_under_a_scheme_of_the_program_is_named_and_written_as_before():
    config = plan("mmnet3").config
    assert config.own_scheme is None
    assert "own_scheme" not in json.loads((begin(plan("mmnet3")) / "config.json").read_text())
    assert RunConfig(**config.model_dump(exclude={"own_scheme"})).run_name == config.run_name


@pytest.mark.parametrize(
    "same",
    [
        MINE,
        f"# a comment\n{MINE}{SAMM}",  # the run is of CASME II alone
        f"{MINE}[expected.casme2]\ngood = 1\nbad = 2\n",
        MINE.replace('"surprise", "fear"', '"fear", "surprise"').replace("02/EP", "casme2/02/EP"),
        MINE.replace('happiness = "good"\ndisgust = "bad"\n', 'disgust = "bad"\nhappiness = "good"\n'),
    ],
)
def test_the_same_content_in_another_file_is_the_same_run(same):
    write_scheme("other.toml", same)
    path = begin(plan())
    assert begin(plan("other.toml")) == path
    assert (
        read_config(path).model_dump_json() == plan("other.toml").config.model_dump_json()
    )  # so that seeds are grouped


@pytest.mark.parametrize(
    "other",
    [
        MINE.replace('drop = ["surprise", "fear"]', 'drop = ["fear"]\nsurprise = "bad"'),
        MINE.replace('"surprise", "fear"', '"surprise"'),  # no clip of it, and yet another scheme
        MINE.replace('["02/EP02_01"]', "[]"),
        MINE.replace('["good", "bad"]', '["bad", "good"]'),
    ],
)
def test_two_files_of_one_name_are_two_runs(other):
    write_scheme("other.toml", other)
    assert plan("other.toml").config.run_name != plan().config.run_name


def test_a_run_is_read_and_continued_without_the_file():
    path = begin(plan())
    Path("mine.toml").unlink()
    run = read_run(path)
    assert run.class_names == ("good", "bad")
    assert run.config.label_scheme
    assert {clip: run.config.label_scheme.label(clip, EMOTIONS[clip]) for clip in EMOTIONS} == {
        **run.labels,
        "casme2/02/EP02_01": None,
        "casme2/03/EP01_01": None,
    }
    assert own_classes(run.config) == "good = happiness; bad = disgust; left out: fear, surprise, casme2/02/EP02_01"
    scheme = f"--scheme runs/{path.name}/scheme.toml"
    assert train_command(run).startswith(f"mer train casme2.h5 --loso {scheme} --recipe quick --seed 1 ")
    assert scheme in ablate_command(3, run, [1])
    elsewhere = replace(run, sessions=(replace(run.sessions[-1], out="/home/me/private"),))
    assert scheme in train_command(without_private_paths(elsewhere))
    assert begin(plan(f"runs/{path.name}/scheme.toml")) == path


def test_the_classes_of_several_datasets_are_told_with_their_dataset():
    write_scheme("mine.toml", MINE + SAMM)
    planned = plan(stores=("samm.h5", "casme2.h5"))
    assert planned.config.protocol_id == "casme2+samm-mine/6"
    assert own_classes(planned.config) == (
        "good = casme2 happiness, samm happiness, samm surprise; bad = casme2 disgust, samm anger; left out: casme2 "
        "fear, casme2 surprise, casme2/02/EP02_01"
    )
    across = plan(test_stores=[Path("samm.h5")])
    assert across.config.protocol_id == "casme2-to-samm-mine/3-to-3"
    assert [fold.id for fold in across.folds] == ["samm"]


def test_ones_own_table_may_have_a_scheme_too():
    write_store(
        Path("mylab.h5"), {"mylab/p1/a": "smirk", "mylab/p1/b": "frown", "mylab/p2/a": "frown", "mylab/p2/b": "hm"}
    )
    text = 'name = "mine"\nclasses = ["yes", "no"]\n[mylab]\nsmirk = "yes"\nfrown = "no"\ndrop = ["hm"]\n'
    write_scheme("mine.toml", text)
    planned = plan(stores=["mylab.h5"])
    assert planned.labels == {"mylab/p1/a": 0, "mylab/p1/b": 1, "mylab/p2/a": 1}
    assert planned.config.protocol_id == "mylab-mine/3"


def test_an_edited_scheme_or_an_edited_clip_of_a_run_is_noticed():
    path = begin(plan())
    file = path / "config.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"disgust": "bad"', '"disgust": "good"'))
    with pytest.raises(RunError, match="The file was edited, or the folder renamed"):
        read_run(path)
    file.write_text(text)
    forget_checksum(path)
    clips = path / "clips.csv"
    clips.write_text(clips.read_text().replace("disgust,1,bad", "disgust,0,good", 1))
    with pytest.raises(RunError, match=r"clip casme2/01/EP02_01 has the emotion 'disgust' and class 'good'"):
        read_clips(path, read_config(path))


def test_a_label_that_the_store_does_not_have_or_a_class_that_it_leaves_empty_is_refused():
    write_scheme("mine.toml", MINE.replace('"surprise", "fear"]', '"surprise"]\nfear = "bad"').replace("02/", "9/"))
    with pytest.raises(ConfigError, match=r"^mine.toml: leave_out names casme2/9/EP02_01, which the store does not"):
        plan()
    write_scheme("mine.toml", MINE.replace('"bad"]', '"bad", "afraid"]').replace(', "fear"]', ']\nfear = "afraid"'))
    with pytest.raises(ConfigError) as error:
        plan()
    assert str(error.value) == (
        "mine.toml: class 'afraid' has no clip in the store (its emotions: fear). Give it an emotion of the store, or "
        "take it out of classes."
    )


def test_a_clip_that_failed_may_be_left_out():
    failed = {"clip_id": "casme2/04/EP12_01f", "emotion": "disgust", "reason": "no face"}
    write_store(Path("casme2.h5"), failed=[failed])
    write_scheme("mine.toml", MINE.replace('"02/EP02_01"', '"04/EP12_01f"'))
    assert len(plan().labels) == 4


def test_counts_other_than_the_expected_ones_are_warned_of():
    write_scheme("mine.toml", f"{MINE}[expected.casme2]\ngood = 1\nbad = 3\n")
    assert plan().warnings == (
        "mine: the store holds good 1, bad 2 of 2 subjects. Expected good 1, bad 3 of 2 subjects in mine.toml. "
        "`mer info` lists the clips that failed.",
    )


def test_a_comparison_takes_files_and_names_and_each_store_gets_those_that_cover_it():
    write_scheme("again.toml", MINE)
    write_scheme("both.toml", (MINE + SAMM).replace('"mine"', '"both"'))

    def schemes(*names):
        settings = {**CPU, "scheme": ",".join(names)}
        stores = [Path("casme2.h5"), Path("samm.h5")]
        cells = plan_comparison(stores, settings, 1, Path("runs"), methods="ststnet").cells
        return [cell.plan.config.protocol_id for cell in cells]

    assert schemes("mine.toml", "samm-3", "both.toml") == [
        *("casme2-mine/3", "casme2-both/3", "samm-3/3", "samm-both/3")
    ]
    with pytest.raises(ConfigError) as error:
        schemes("mine.toml")
    assert str(error.value) == (
        "mine.toml: has no section for samm, the dataset of a store. Add [samm], and say there which class each "
        "emotion belongs to."
    )
    (row, *_) = plan_grid("3", [Path("casme2.h5")], {**CPU, "scheme": "mine.toml"}, 1, Path("runs"))
    assert row.plan.config.protocol_id == "casme2-mine/3"


def test_schemes_on_request_are_trained_if_they_are_named_only():
    def schemes(**settings):
        cells = plan_comparison([Path("casme2.h5")], {**CPU, **settings}, 1, Path("runs"), methods="ststnet").cells
        return [cell.plan.config.scheme for cell in cells]

    assert schemes() == ["casme2-5", "mmnet3"]
    assert schemes(scheme="casme2-7,casme2-4") == ["casme2-7", "casme2-4"]

"""`--config` and `--print-config` as their user meets them: files, replayed runs, and a file that was printed."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
import typer
from tiny_store import EMOTIONS, SAMM_EMOTIONS, write_store
from typer.testing import CliRunner

from mer_cli.cli.flags import SettingsCommand
from mer_cli.cli.main import app

SETTINGS = {"model": "ststnet", "flow": "fast", "epochs": 2, "scheme": "megc3", "device": "cpu"}
FLAGS = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]


def mer(*arguments, application=app):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def write_toml(file, **values):
    Path(file).write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()), encoding="utf-8"
    )


def logits(run):
    return {file.parent.name: file.read_bytes() for file in sorted(run.glob("folds/*/logits.npz"))}


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    """The user's folder, with a store in data/."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    write_store(Path("data/casme2.h5"), EMOTIONS, table_version="20190701")


def trained(*arguments):
    result = mer("train", *arguments)
    assert result.exit_code == 0, result.stderr
    return Path(result.stdout.strip())


def refused(*arguments):
    result = mer(*arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.stdout
    return result.stderr.removeprefix("error: ").removesuffix("\n")


def printed(*arguments):
    result = mer("train", *arguments, "--print-config")
    assert result.exit_code == 0, result.stderr
    assert not Path("runs").exists()
    return result.stdout


def planned_name(text):
    return text.splitlines()[0].removeprefix("# mer train --config FILE trains ").removesuffix(".")


def test_a_file_trains_the_run_of_the_same_flags():
    write_toml("run.toml", **SETTINGS, loso=True, folds=["01"], out="of_file", save_weights="none")
    run = trained("--config", "run.toml")
    assert run.parent == Path("of_file")
    assert [fold.name for fold in (run / "folds").iterdir()] == ["casme2-01"]
    by_flags = trained("--loso", *FLAGS, "--folds", "01", "--save-weights", "none")
    assert (by_flags.name, logits(by_flags)) == (run.name, logits(run))


def test_a_printed_file_plans_the_same_run():
    text = printed("--loso", *FLAGS, "--seeds", "2", "--seed", "3", "--folds", "01,02")
    held = tomllib.loads(text)
    assert (held["stores"], held["folds"], held["seeds"], held["seed"]) == (["data/casme2.h5"], "01,02", 2, 3)
    assert (held["scheme"], held["precision"], held["compile"]) == ("megc3", "fp32", "off")
    assert not held.keys() & {"flip", "variant", "n_heads"}  # without effect on this method
    assert "# Number of passes over the training clips of a fold.\nepochs = 2\n" in text
    Path("x.toml").write_text(text, encoding="utf-8")
    assert printed("--config", "x.toml") == text
    assert trained("--config", "x.toml", "--seeds", "1").name == planned_name(text)


def test_a_flag_on_the_command_line_overrides_the_file_and_a_protocol_replaces_the_other():
    write_store(Path("samm.h5"), SAMM_EMOTIONS)
    write_toml("run.toml", **SETTINGS, loso=True, out="of_file")
    held = tomllib.loads(printed("--config", "run.toml", "--epochs", "1", "--out", "here", "--test", "samm.h5"))
    assert (held["epochs"], held["decay_epochs"], held["out"]) == (1, 1, "here")
    assert (held["loso"], held["test"]) == (False, ["samm.h5"])


def test_without_a_protocol_a_printed_file_leaves_to_the_stores_what_depends_on_them():
    Path("data/casme2.h5").unlink()
    held = tomllib.loads(printed())
    assert (held["scheme"], held["device"], held["model"], held["loso"]) == ("auto", "auto", "mmnet", False)
    assert "stores" not in held


@pytest.mark.parametrize(
    ("values", "flags", "problem"),
    [
        ({"epochs": "3"}, [], "run.toml: epochs must be a valid integer, got '3'."),
        ({"model": "ststne"}, [], "run.toml: model: Unknown method 'ststne'. Known: "),
        ({"model": "ststnet", "flip": 0.25}, [], "run.toml: flip has no effect with --model ststnet: it is for "),
        ({"flip": 0.25}, ["--model", "ststnet"], "run.toml: flip has no effect with --model ststnet: it is for "),
        ({"model": "ststnet"}, ["--flip", "0.25"], "--flip has no effect with --model ststnet: it is for "),
        ({"seeds": 2, "model": "flow-svm"}, [], "run.toml: seeds has no effect with --model flow-svm, which is the "),
        ({"folds_at_once": "two"}, [], "run.toml: folds_at_once must be auto, or a number of at least 1, got 'two'."),
        ({"print_config": True}, [], "run.toml: Unknown key 'print_config'. Known: "),
    ],
)
def test_a_value_of_the_file_that_cannot_be_used_is_named_with_the_file(values, flags, problem):
    write_toml("run.toml", loso=True, **values)
    assert refused("train", "--config", "run.toml", *flags).startswith(problem)


def test_grids_take_settings_from_a_file_but_no_network_and_no_run():
    write_toml("run.toml", epochs=2, flow="fast", methods="ststnet", scheme="megc3")
    result = mer("compare-methods", "--config", "run.toml", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "ststnet" in result.stderr
    write_toml("run.toml", model="ststnet")
    assert refused("ablate", "--table", "3", "--config", "run.toml") == (
        "run.toml: model can't be set here: each row of table 3 is a network of its own. Leave it out."
    )
    assert refused("compare-methods", "--config", "RUN/config.json") == (
        "--config: RUN/config.json replays a run, which only `mer train` does. Give a TOML file."
    )


def test_a_run_is_replayed_with_the_same_name_and_bits():
    run = trained("--loso", *FLAGS, "--seed", "4")
    again = trained("--config", run / "config.json", "--out", "again")
    assert again == Path("again") / run.name
    assert logits(again) == logits(run)
    assert len(logits(run)) == 3
    assert (again / "config.json").read_bytes() == (run / "config.json").read_bytes()


def test_a_replayed_run_may_have_another_seed():
    run = trained("--loso", *FLAGS)
    other = trained("--config", run / "config.json", "--seed", "2", "--folds", "01")
    assert other.name.startswith("casme2-megc3-ststnet-published-s2-")


def test_a_run_across_datasets_is_replayed_on_its_stores():
    write_store(Path("samm.h5"), SAMM_EMOTIONS)
    run = trained("data/casme2.h5", "--test", "samm.h5", *FLAGS)
    assert logits(trained("--config", run / "config.json", "--out", "again")) == logits(run)
    assert refused("train", "--config", run / "config.json", "--loso").endswith(
        "config.json: the run is trained on casme2, tested on samm (casme2 and samm), and the command line asks for "
        "leave one subject out (casme2). It would be another run. Give the protocol and the stores of that run, or "
        "train without --config."
    )


def test_stores_that_moved_must_be_named_and_others_are_refused():
    run = trained("--loso", *FLAGS)
    file = run / "config.json"
    Path("data/casme2.h5").rename("moved.h5")
    assert refused("train", "--config", file) == (
        f"{file}: the run's store of casme2 is not at data/casme2.h5. Name its place: mer train STORE --config {file}."
    )
    assert trained("moved.h5", "--config", file, "--out", "again").name == run.name
    repainted = write_store(Path("data/casme2.h5"), EMOTIONS, repainted=["casme2/01/EP01_01"])
    theirs = json.loads(file.read_text())["stores"][0]["content_hash"][:12]
    for stores in ([], [repainted], [repainted, "--seed", "9"]):
        begin, _, rest = refused("train", *stores, "--config", file).partition("hash is ")
        assert begin == "data/casme2.h5: its content "
        assert rest.partition(",")[2] == (
            f" and the run of {file} was trained on a store of casme2 with {theirs}. It would be another run. Name the "
            "store of that run, or train without --config."
        )


def test_of_several_places_the_one_with_the_same_store_is_taken():
    trained("--loso", *FLAGS, "--folds", "01")
    copy = Path(shutil.copy("data/casme2.h5", "copy.h5"))
    run = trained(copy, "--loso", *FLAGS, "--folds", "02")
    copy.unlink()
    write_store(copy, EMOTIONS, repainted=["casme2/01/EP01_01"])
    assert trained("--config", run / "config.json", "--out", "again").name == run.name
    (session,) = json.loads(Path("again", run.name, "environment.json").read_text(encoding="utf-8"))
    assert session["stores"] == ["data/casme2.h5"]


def test_a_setting_that_can_no_longer_be_the_same_is_another_run(monkeypatch):
    run = trained("--loso", *FLAGS, "--folds", "01")
    monkeypatch.setattr("mer_cli.runs.protocol._protocol_id", lambda scheme, planned: "casme2-megc3/9")
    assert refused("train", "--config", run / "config.json") == (
        f"{run / 'config.json'}: protocol_id was 'casme2-megc3/5', and would be 'casme2-megc3/9' now. It would be "
        "another run. Train without --config."
    )


def test_a_run_of_another_version_and_a_file_that_is_no_run_are_refused():
    run = trained("--loso", *FLAGS, "--folds", "01")
    file = run / "config.json"
    held = json.loads(file.read_text())
    file.write_text(json.dumps(held | {"protocol_version": 3}))
    assert refused("train", "--config", file) == (
        f"{file}: protocol version 3, and this program reads {held['protocol_version']}. Train again; the old run "
        "stays as it is."
    )
    assert refused("train", "--config", "settings.json") == (
        "--config: settings.json is neither a TOML file nor a run's config.json. Name one of them."
    )


def test_the_table_set_stands_for_options_that_the_command_line_overrides():
    held = []
    own = typer.Typer(pretty_exceptions_enable=False)

    @own.command(cls=SettingsCommand)
    def command(ctx: typer.Context, set: Annotated[list[str] | None, typer.Option(help="Options.")] = None) -> None:
        held.extend(set or ())

    Path("run.toml").write_text('[set]\nwidth = 64\nnorm = "batch"\n', encoding="utf-8")
    result = mer("--config", "run.toml", "--set", "width=32", application=own)
    assert result.exit_code == 0, result.output
    assert held == ["width=64", "norm=batch", "width=32"]

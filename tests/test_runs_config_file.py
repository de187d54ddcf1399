"""Config files: what a TOML file may hold, what is refused and how, and the way back to a file."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from mer_cli.errors import ConfigError
from mer_cli.runs.config import SETTINGS, resolve_config
from mer_cli.runs.config_file import read_config_file, settings_of, toml_text
from mer_cli.runs.methods import LIVE
from mer_cli.runs.variants import VARIANTS
from mer_cli.system.toml import spell

FLAGS = {
    "stores": list[Path] | None,
    "loso": bool,
    "folds": str | None,
    "seeds": Annotated[int, Field(ge=1)],
    "out": Path,
    "save_weights": Literal["last", "none"],
    "folds_at_once": str,
    "gpus": str | None,
    "set": list[str] | None,
}


def read(folder, text):
    file = folder / "run.toml"
    file.write_text(text, encoding="utf-8")
    return read_config_file(file, FLAGS)


def test_a_file_gives_settings_and_flags_under_their_names(tmp_path):
    file = read(
        tmp_path,
        'model = "ststnet"\nlearning_rate = 1\nepochs = 3\nshuffle_labels = true\nloso = true\nout = "elsewhere"\n',
    )
    assert file.settings == {"model": "ststnet", "learning_rate": 1.0, "epochs": 3, "shuffle_labels": True}
    assert isinstance(file.settings["learning_rate"], float)
    assert file.flags == {"loso": True, "out": Path("elsewhere")}
    assert file.recorded is None


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('stores = "a.h5"', {"stores": [Path("a.h5")]}),
        ('stores = ["a.h5", "b.h5"]', {"stores": [Path("a.h5"), Path("b.h5")]}),
        ('folds = ["03", "samm-006"]', {"folds": "03,samm-006"}),
        ('folds = "03,17"', {"folds": "03,17"}),
        ("folds_at_once = 2", {"folds_at_once": "2"}),
        ("gpus = [0, 1]", {"gpus": "0,1"}),
        ('[set]\nwidth = 64\nrate = 5e-05\ndeep = true\nnorm = "batch"', None),
    ],
)
def test_lists_and_numbers_stand_for_the_texts_of_the_command_line(tmp_path, text, flags):
    expected = flags or {"set": ["width=64", "rate=5e-05", "deep=true", "norm=batch"]}
    assert read(tmp_path, text).flags == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("epochs = '3'", "epochs must be a valid integer, got '3'."),
        ("epochs = 3.0", "epochs must be a valid integer, got 3.0."),
        ("epochs = true", "epochs must be a valid integer, got True."),
        ("epochs = 0", "epochs must be at least 1, got 0."),
        ("learning_rate = '8e-4'", "learning_rate must be a valid number, got '8e-4'."),
        ("n_heads = 3", "n_heads must be 1, 2, 4, 8 or 16, got 3."),
        ("pc = 1", "pc must be a valid boolean, got 1."),
        ("model = ['mmnet']", "model must be a valid string, got ['mmnet']."),
        ("loso = 'yes'", "loso must be a valid boolean, got 'yes'."),
        ("seeds = 0", "seeds must be at least 1, got 0."),
        ("out = 3", "out must be a path, got 3."),
        ("stores = [3]", "stores must be a path, got 3."),
        ("folds = true", "folds must be a valid string, got True."),
        ("save_weights = 'first'", "save_weights must be 'last' or 'none', got 'first'."),
        ("[set]\nwidth = [1]", "set.width must be a text, a number, true or false, got [1]."),
        ("[epochs]\nn = 1", "epochs must be a valid integer, got {'n': 1}."),
    ],
)
def test_a_wrong_value_is_refused_with_file_and_key(tmp_path, text, problem):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert str(error.value) == f"{tmp_path / 'run.toml'}: {problem}"


def test_an_unknown_key_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "learning-rate = 1.0")
    known = ", ".join([*SETTINGS, *FLAGS])
    assert str(error.value) == (
        f"{tmp_path / 'run.toml'}: Unknown key 'learning-rate'. Known: {known}. Did you mean 'learning_rate'?"
    )


def test_a_file_that_is_not_toml_or_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "epochs 3")
    assert str(error.value) == (
        f"{tmp_path / 'run.toml'}: not a TOML file (Expected '=' after a key in a key/value pair (at line 1, column "
        "8)). `mer train --print-config` prints one."
    )
    with pytest.raises(ConfigError) as error:
        read_config_file(tmp_path / "absent.toml", FLAGS)
    assert str(error.value) == (
        f"--config: there is no file {tmp_path / 'absent.toml'}. `mer train --print-config` prints one."
    )
    with pytest.raises(ConfigError) as error:
        read_config_file(tmp_path, FLAGS)
    assert str(error.value) == f"--config: {tmp_path} can't be read (Is a directory)."


def test_the_command_line_overrides_a_file(tmp_path):
    file = read(tmp_path, 'model = "ststnet"\nepochs = 3')
    assert file.override({"epochs": 5, "seed": 2, "model": None}) == {"model": "ststnet", "epochs": 5, "seed": 2}


def test_a_recipe_or_variant_on_the_command_line_must_not_be_undone_by_the_file(tmp_path):
    file = read(tmp_path, "pc = true\nbatch_size = 8\ndevice = 'cpu'")
    with pytest.raises(ConfigError) as error:
        file.override({"variant": "ca"})
    path = tmp_path / "run.toml"
    assert str(error.value) == (
        f"--variant ca: {path} sets pc, which a variant decides. Take it out of the file, or give --pc as well."
    )
    with pytest.raises(ConfigError) as error:
        file.override({"recipe": "quick"})
    assert str(error.value) == (
        f"--recipe quick: {path} sets batch_size, which a recipe decides. Take it out of the file, or give "
        "--batch-size as well."
    )
    assert file.override({"variant": "ca", "pc": False})["pc"] is False
    same = read(tmp_path, "recipe = 'quick'\nbatch_size = 8")
    assert same.override({"recipe": "quick"}) == {"recipe": "quick", "batch_size": 8}


@pytest.mark.parametrize(
    ("message", "given", "respelled"),
    [
        ("--epochs must be at least 1, got 0.", (), "FILE: epochs must be at least 1, got 0."),
        ("--epochs must be at least 1, got 0.", ("epochs",), "--epochs must be at least 1, got 0."),
        ("--no-pc has no effect here.", (), "FILE: pc has no effect here."),
        ("--seed must be at least 0, got -1.", (), "--seed must be at least 0, got -1."),
        ("--model: Unknown method 'x'.", (), "FILE: model: Unknown method 'x'."),
        ("data: holds no store.", (), "data: holds no store."),
    ],
)
def test_an_error_about_a_value_of_the_file_names_file_and_key(tmp_path, message, given, respelled):
    file = read(tmp_path, "epochs = 3\npc = false\nmodel = 'mmnet'")
    assert file.respell(message, given) == respelled.replace("FILE", str(file.path))


def resolved():
    """Configs of every method, recipe and variant, and some with settings of their own."""
    for method in LIVE:
        for recipe in method.recipes:
            yield resolve_config(recipe, model=method.name, device="cpu")
        if "span" in method.groups:
            yield resolve_config(model=method.name, span="apex")
    yield from (resolve_config(variant=variant) for variant in VARIANTS)
    yield resolve_config(n_layers=5, mlp_ratio=2, epochs=3, learning_rate=1e-05)
    yield resolve_config(model="flow-svm", shuffle_labels=True, seed=4)


def test_a_written_file_gives_the_same_config_for_every_method_and_recipe(tmp_path):
    for config in resolved():
        entries = [(name, value, "about") for name, value in settings_of(config).items()]
        file = read(tmp_path, toml_text(entries, "heading"))
        assert resolve_config(**file.settings) == config


@pytest.mark.parametrize(
    "value",
    [8e-4, 1e-05, 1e16, math.inf, 1.0, 3, True, False, 'C:\\data "x"\n', "Gesicht é 😀 \x7f", ["a", "b"], [1, 2], []],
)
def test_what_is_written_is_toml(value):
    held = tomllib.loads(f"key = {spell(value)}")["key"]
    assert (held, type(held)) == (value, type(value))


def test_the_table_of_options_comes_last():
    text = toml_text([("epochs", 3, "two\nlines")], "heading", {"width": 64, "norm": "batch"})
    assert text == '# heading\n\n# two\n# lines\nepochs = 3\n\n[set]\n"width" = 64\n"norm" = "batch"\n'

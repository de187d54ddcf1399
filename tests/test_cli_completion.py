"""What the shell offers when a user presses Tab, asked the way that Typer's scripts for the shells ask."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import typer
from typer._completion_classes import BashComplete

from mer_cli.cli.main import app
from mer_cli.datasets.registry import load_release
from mer_cli.datasets.schemes import resolve_scheme
from mer_cli.errors import DatasetError
from mer_cli.evaluation.epoch_rules import check_rule
from mer_cli.report.build import table_ids
from mer_cli.runs import own_code
from mer_cli.runs.config import resolve_config

MER = Path(sys.executable).with_name("mer")


def offered(*words):
    """The words that are offered for the last of `words`, which the user is typing."""
    return [item.value for item in shell().get_completions([*words[:-1]], words[-1])]


@cache
def shell():
    return BashComplete(typer.main.get_command(app), {}, "mer", "_MER_COMPLETE")


@pytest.fixture(autouse=True)
def _in_a_working_folder(tmp_path, monkeypatch):
    """A folder with two stores, two runs and a folder that is not a run."""
    for name in ("data/casme2.h5", "data/samm.h5", "data/audit.txt", "runs/one/config.json", "runs/two/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "runs/unknown").mkdir()
    monkeypatch.chdir(tmp_path)


def test_every_dataset_that_is_offered_is_known():
    for dataset in offered("preprocess", ""):
        with pytest.raises(DatasetError) as error:
            load_release(dataset, Path("absent"), table=Path("absent.csv") if dataset == "table" else None)
        assert "Unknown dataset" not in str(error.value)
    assert offered("preprocess", "t") == ["table"]
    assert offered("synth", "sm") == ["smic"]


def test_the_offered_schemes_are_those_that_train_knows():
    assert {"auto", "mmnet3", "casme2-5", "labels"} < set(offered("train", "--scheme", ""))
    for name in offered("train", "--scheme", "megc"):
        assert resolve_scheme(name, {"casme2": ["happiness"]}).name == name == "megc3"


def test_a_list_goes_on_after_its_last_comma_without_what_it_holds():
    assert offered("compare-methods", "--methods", "ststnet,st") == []
    assert offered("compare-methods", "--methods", "mmnet,st") == ["mmnet,ststnet"]
    assert offered("compare-methods", "--scheme", "mmnet3,casme2-5,casme2") == [
        "mmnet3,casme2-5,casme2-7",
        "mmnet3,casme2-5,casme2-4",
    ]


def test_every_method_that_is_offered_runs_here():
    names = offered("train", "--model", "")
    assert len(names) > 10
    assert [resolve_config(model=name).model for name in names] == names


def test_the_methods_of_an_installed_package_are_offered(tmp_path, monkeypatch):
    package = tmp_path / "site/mylab-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[mer.methods]\nmylab-net = mylab.nets:MyNet\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    own_code.entry_points.cache_clear()
    try:
        assert own_code.entry_points() == {"mylab-net": "mylab.nets:MyNet"}
        assert offered("train", "--model", "myl") == ["mylab-net"]
        assert offered("compare-methods", "--methods", "mmnet,myl") == ["mmnet,mylab-net"]
    finally:
        own_code.entry_points.cache_clear()


def test_python_files_are_offered_as_models_spelt_as_the_user_began():
    Path("nets").mkdir()
    for name in ("mynet.py", "nets/other.py", "nets/notes.txt"):
        Path(name).touch()
    assert offered("train", "--model", "my") == ["mynet.py"]
    assert offered("train", "--model", "./") == ["./mynet.py"]
    assert offered("train", "--model", "nets/") == ["nets/other.py"]


def test_recipes_are_those_of_the_method_that_was_named_before():
    assert offered("train", "--recipe", "p") == ["paper"]
    assert offered("train", "--model", "ststnet", "--recipe", "") == ["published"]
    assert offered("train", "--model", "mynet.py", "--recipe", "") == []


def test_variants_rules_and_tables_that_are_offered_are_accepted():
    for name in offered("train", "--variant", ""):
        assert resolve_config(variant=name).variant in offered("train", "--variant", "")
    assert len(offered("evaluate", "--rule", "")) == 3
    for rule in offered("evaluate", "--rule", ""):
        check_rule(rule)
    assert len(offered("report", "--table", "")) == 11
    for table in offered("report", "--table", ""):
        assert table_ids(table)
    assert offered("ablate", "--table", "") == ["3", "4", "5", "motion"]


@pytest.mark.parametrize("words", [["evaluate"], ["report"], ["explain"], ["runs", "rm"], ["evaluate", "--compare"]])
def test_runs_are_the_folders_with_a_config(words):
    assert offered(*words, "") == ["runs/one", "runs/two"]
    assert offered(*words, "runs/t") == ["runs/two"]
    assert offered(*words, "./runs/o") == ["./runs/one"]


@pytest.mark.parametrize("words", [["train"], ["info"], ["ablate"], ["train", "--test"], ["explain", "R", "--store"]])
def test_stores_are_the_h5_files_of_data(words):
    assert offered(*words, "") == ["data/casme2.h5", "data/samm.h5"]
    assert offered(*words, "data/s") == ["data/samm.h5"]


def test_the_subcommands_of_runs_are_offered():
    assert offered("runs", "") == ["list", "rm"]


def test_without_folders_nothing_is_offered(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for words in (["evaluate", ""], ["train", ""], ["evaluate", "absent/"], ["train", "--model", "absent/"]):
        assert offered(*words) == []


def test_a_file_in_the_place_of_a_folder_offers_nothing():
    assert offered("evaluate", "data/audit.txt/") == []


def test_a_shell_is_answered_without_loading_what_takes_long():
    """In a process of its own, asked as bash asks; the list of loaded libraries is printed by a hook at its end."""
    code = (
        "import atexit, sys\n"
        "slow = {'torch', 'numpy', 'pandas', 'scipy', 'sklearn', 'cv2', 'h5py', 'matplotlib', 'dlib'}\n"
        "atexit.register(lambda: print('loaded', sorted(slow & set(sys.modules))))\n"
        "from mer_cli.cli.main import app\n"
        "app(prog_name='mer')\n"
    )
    for words in ("mer train --scheme mmnet", "mer report --table s", "mer evaluate --rule l"):
        asked = {"_MER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "3"}
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=True
        )
        word = {"train": "mmnet3", "report": "summary", "evaluate": "last"}[words.split()[1]]
        assert (done.stdout.splitlines(), done.stderr) == ([word, "loaded []"], "")


def test_the_installed_mer_prints_the_script_for_bash():
    asked = {"_MER_COMPLETE": "source_bash"}
    done = subprocess.run([MER], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert "_MER_COMPLETE=complete_bash" in done.stdout
    assert done.stdout.strip().endswith("_mer_completion mer")


def test_the_docs_say_how_to_switch_it_on_in_every_shell():
    text = (Path(__file__).parents[1] / "docs/cli.md").read_text(encoding="utf-8")
    for row in ("| bash 4.4 or newer | `mer --install-completion` |", "| zsh |", "| fish |", "| PowerShell |"):
        assert row in text

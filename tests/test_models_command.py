"""The list of methods: every network is in it, and it counts what it builds."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mer_cli.cli import console, main
from mer_cli.report.paper import paper_table
from mer_cli.runs.methods import LIVE
from mer_cli.runs.methods import METHODS as TABLE
from mer_cli.runs.own_code import entry_points

METHODS = tuple(TABLE.values())


def mer(*arguments):
    result = CliRunner().invoke(main.app, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_networks_come_first_then_descriptors_then_what_is_quoted_only():
    names = [method.name for method in METHODS]
    kinds = [method.kind for method in METHODS]
    assert kinds == sorted(kinds, key=["network", "classical", "quoted"].index)
    assert [method.name for method in LIVE] == names[: len(LIVE)]
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("number", [6, 7])
def test_every_method_of_the_papers_comparison_is_listed(number):
    titles = {method.title for method in METHODS}
    assert all(row.method in titles for block in paper_table(number).blocks for row in block.rows)


def test_parameters_are_those_of_the_network():
    listed = {each["name"]: each["parameters"] for each in json.loads(mer("models", "--json"))}
    assert listed["ststnet"] == {"3": 1683, "5": 2485}
    assert listed["mmnet"]["5"] == sum(p.numel() for p in TABLE["mmnet"].build(5).parameters())
    assert listed["mtmnet"] == listed["lbp-top"] == {}


def test_json_has_what_a_program_needs():
    listed = {each["name"]: each for each in json.loads(mer("models", "--json"))}
    assert list(listed) == [method.name for method in METHODS]
    ststnet, quoted = listed["ststnet"], listed["gacnn"]
    assert (ststnet["kind"], ststnet["grade"], ststnet["parameters"]["5"]) == ("network", "A", 2485)
    assert ststnet["command"] == "mer train --loso --model ststnet"
    assert (quoted["kind"], quoted["command"], quoted["parameters"]) == ("quoted", "", {})
    assert {name: listed[name]["form"] for name in ("ststnet", "tscnn-lite", "flow-svm", "gacnn")} == {
        "ststnet": "as published",
        "tscnn-lite": "variant",
        "flow-svm": "variant",
        "gacnn": "quoted only",
    }
    assert (listed["mdmo"]["kind"], listed["mdmo"]["command"]) == ("classical", "mer train --loso --model mdmo")
    assert set(quoted) == {
        *("name", "title", "kind", "form", "grade", "input", "paper", "year", "note", "command", "parameters")
    }


def test_what_is_a_variant_or_quoted_only_says_why():
    assert [method.name for method in METHODS if method.form != "as published" and not method.note] == []


def test_the_list_names_each_method_with_its_size():
    text = mer("models")
    assert "  1,683 / 2,485 " in text
    assert all(method.title in text for method in METHODS)
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "TSCNN-lite variant A- 920,323 / 921,093 apex" in " ".join(lines["tscnn-lite"].split())
    assert all(method.form in lines[method.name] for method in METHODS)
    assert text.splitlines()[-1].endswith("mer compare-methods")


def test_on_a_narrow_terminal_each_method_stands_in_lines_that_fit(monkeypatch):
    monkeypatch.setattr(console, "out", Console(width=80, force_terminal=True, color_system=None, soft_wrap=True))
    text = mer("models")
    assert max(map(len, text.splitlines())) <= 80
    assert "\ntscnn-lite      variant       A-     920,323 / 921,093\n    TSCNN-lite: apex, its 16 blocks, " in text
    joined = " ".join(text.split())
    assert all(
        f"{method.title}: {'; '.join(filter(None, (method.input, method.note)))}" in joined for method in METHODS
    )
    assert [each["name"] for each in json.loads(mer("models", "--json"))] == [method.name for method in METHODS]


def refused(*arguments):
    result = CliRunner().invoke(main.app, ["models", *arguments])
    assert result.exit_code == 1
    return result.stderr


NET = """
import mer_cli
from torch import nn

class MyNet(nn.Module):
    INPUT = mer_cli.MotionInput(6, ("u", "v"))

    def __init__(self, n_classes, width: int = 4, out: int = 0):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(72, width), nn.ReLU(), nn.Linear(width, out or n_classes))

    def forward(self, image):
        return self.layers(image)
"""


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [("network", "MyNet", ""), ("learner", "MyLearner", ""), ("estimator", "my_forest", " --features flow")],
)
def test_a_template_is_written_with_the_commands_that_come_next(kind, name, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = mer("models", "--template", "my net.py", "--kind", kind).splitlines()
    assert lines[:3] == [
        "my net.py written. Next:",
        f"    mer models --check './my net.py':{name}{more}",
        f"    mer train --loso --model './my net.py':{name}{more}",
    ]
    assert f"class {name}" in (text := (tmp_path / "my net.py").read_text()) or f"def {name}" in text
    assert "FILE" not in text


def test_a_template_overwrites_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text("mine")
    assert refused("--template", "mynet.py") == (
        "error: --template mynet.py: the file exists already, and is not overwritten. Give another name.\n"
    )
    assert (tmp_path / "mynet.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--template", "mynet"], "--template mynet: the name must end in .py. Type mynet.py."),
        (
            ["--template", "nowhere/mynet.py"],
            "--template nowhere/mynet.py: can't be written (No such file or directory). Give another place.",
        ),
        (["--json", "--template", "a.py"], "mer models: give only one of --json, --template and --check."),
        (["--check", "ststnet", "--template", "a.py"], "mer models: give only one of --json, --template and --check."),
        (["--set", "width=3"], "--set has no effect without --check. Leave it out."),
        (["--template", "a.py", "--features", "flow"], "--features has no effect without --check. Leave it out."),
        (["--template", "a.py", "--classes", "5"], "--classes has no effect without --check. Leave it out."),
        (["--device", "cpu"], "--device has no effect without --check. Leave it out."),
        (["--kind", "learner"], "--kind has no effect without --template. Leave it out."),
        (["--check", "ststnett"], None),
    ],
)
def test_flags_that_can_t_be_followed(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = refused(*arguments)
    if message is None:
        assert told.startswith("error: --check: Unknown method 'ststnett'. Known: mmnet, ststnet, ")
        assert told.endswith("Did you mean 'ststnet'? For your own: --check FILE.py:CLASS or MODULE:CLASS.\n")
    else:
        assert told == f"error: {message}\n"
    assert not list(tmp_path.iterdir())


def test_a_check_prints_a_line_for_each_property_and_what_comes_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NET)
    lines = mer("models", "--check", "./mynet.py:MyNet", "--set", "width=3", "--classes", "5").splitlines()
    assert lines[0] == "ok      input       u, v: an image, (B, 2, 6, 6) float32"
    assert lines[2] == "ok      output      (8, 5) float32: logits of 8 clips"
    assert lines[-1] == "Train it: mer train --loso --model ./mynet.py:MyNet --set width=3"
    assert len(lines) == 13


def test_a_check_that_fails_ends_with_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet.py").write_text(NET)
    result = CliRunner().invoke(main.app, ["models", "--check", "./mynet.py:MyNet", "--set", "out=4"])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == (
        "FAILED  output      mynet.py:MyNet: forward returned torch.float32 of shape (8, 4). Expected (8, 3): a row of "
        "logits for each clip of the batch."
    )
    assert result.stderr == "1 of 3 checks failed\n"


def test_methods_of_installed_packages_are_listed_and_not_imported(tmp_path, monkeypatch):
    (tmp_path / "mylab-1.0.dist-info").mkdir()
    (tmp_path / "mylab-1.0.dist-info" / "METADATA").write_text("Name: mylab\nVersion: 1.0\n")
    (tmp_path / "mylab-1.0.dist-info" / "entry_points.txt").write_text("[mer.methods]\nmylab-net = mylab.nets:MyNet\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry_points.cache_clear()
    try:
        text, listed = mer("models"), json.loads(mer("models", "--json"))
    finally:
        monkeypatch.undo()
        entry_points.cache_clear()
    assert "\ninstalled by another package: mylab-net (mylab.nets:MyNet)\n" in text
    assert [each["name"] for each in listed] == [method.name for method in METHODS]

"""The list of methods: every network is in it, and it counts what it builds."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mer_cli.cli import console, main
from mer_cli.report.paper import paper_table
from mer_cli.runs.methods import LIVE
from mer_cli.runs.methods import METHODS as TABLE

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

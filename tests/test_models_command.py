"""The list of methods: every network is in it, and it counts what it builds."""

import json

import pytest
from typer.testing import CliRunner

from mer_cli import cli
from mer_cli.models import NETWORKS, build_model
from mer_cli.models.catalogue import METHODS, count_parameters, method_of
from mer_cli.report.paper import paper_table


def mer(*arguments):
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_every_network_is_a_method_and_comes_first():
    assert [method.name for method in METHODS if method.kind == "network"] == [m.name for m in METHODS[: len(NETWORKS)]]
    assert {method.name for method in METHODS[: len(NETWORKS)]} == set(NETWORKS)
    assert len({method.name for method in METHODS}) == len({method.title for method in METHODS}) == len(METHODS)


@pytest.mark.parametrize("number", [6, 7])
def test_every_method_of_the_papers_comparison_is_listed(number):
    titles = {method.title for method in METHODS}
    assert all(row.method in titles for block in paper_table(number).blocks for row in block.rows)


def test_parameters_are_those_of_the_network():
    assert count_parameters(method_of("ststnet")) == {"3": 1683, "5": 2485}
    assert count_parameters(method_of("mmnet"))["5"] == sum(p.numel() for p in build_model("mmnet", 5).parameters())
    assert count_parameters(method_of("mtmnet")) == {}


def test_json_has_what_a_program_needs():
    listed = {each["name"]: each for each in json.loads(mer("models", "--json"))}
    assert list(listed) == [method.name for method in METHODS]
    ststnet, quoted = listed["ststnet"], listed["gacnn"]
    assert (ststnet["kind"], ststnet["grade"], ststnet["parameters"]["5"]) == ("network", "A", 2485)
    assert ststnet["command"] == "mer train --loso --model ststnet"
    assert (quoted["kind"], quoted["command"], quoted["parameters"]) == ("quoted", "", {})


def test_the_list_names_each_method_with_its_size():
    text = mer("models")
    assert "  1,683 / 2,485 " in text
    assert all(method.title in text for method in METHODS)

"""Methods from outside the package in the tables: beside the published rows, ranked, with interval and p."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_factory import write_run
from test_report_method_tables import CASME2, RELEASED, build, row

from mer_cli.errors import RunError
from mer_cli.evaluation.run_text import settings, train_command, without_private_paths
from mer_cli.motion.inputs import PairInput
from mer_cli.report.run_list import list_runs
from mer_cli.report.summary import summarise_runs
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.directory import CODE_GIVEN, read_run
from mer_cli.runs.foreign import Foreign

OF_FACTORY = {"scheme", "device", "precision", "compile"}


def foreign(**changes: Any) -> Foreign:
    facts = {
        "door": "network",
        "title": "MyNet",
        "code": "mynet.py:MyNet",
        "source_sha256": "a" * 64,
        "sees": PairInput(),
    }
    return Foreign(**{**facts, **changes})


def write(root: Path, brought: Foreign, **of_factory: Any) -> Path:
    config = resolve_config(model="mynet", foreign=brought)
    own = {name: getattr(config, name) for name in TrainConfig.model_fields if name not in OF_FACTORY}
    return write_run(root, **{**own, **of_factory})


def test_an_own_network_is_ranked_and_tested_in_table_6_and_among_all_methods(tmp_path: Path) -> None:
    paths = [write_run(tmp_path, **CASME2, **RELEASED), write(tmp_path, foreign(options={"width": 64}), **CASME2)]
    for number in (6, None):
        table = build(number, [read_run(path) for path in paths])
        own = row(table, table.blocks[0], "MyNet (own), width=64, plain recipe")
        assert own["last_rank"].value in (1, 2)
        assert own["last_uf1"].low is not None
        assert own["last_p"].value is not None


def test_an_own_method_never_stands_in_a_table_of_ablations(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, foreign(), **CASME2))
    assert all("MyNet" not in line.cells[0].text for block in build(3, [run]).blocks for line in block.rows)


def test_two_sources_of_one_name_are_two_rows_that_tell_the_source(tmp_path: Path) -> None:
    one, other = (read_run(write(tmp_path, foreign(source_sha256=letter * 64), **CASME2)) for letter in "ab")
    table = build(None, [one, other])
    for letter in "ab":
        assert row(table, table.blocks[0], f"MyNet (own), source {letter * 8}, plain recipe")


def test_the_summary_tells_options_and_the_source_if_two_rows_would_have_one_name(tmp_path: Path) -> None:
    brought = (foreign(source_sha256="a" * 64), foreign(source_sha256="b" * 64), foreign(options={"width": 64}))
    runs = [read_run(write(tmp_path, one, **CASME2)) for one in brought]
    assert sorted(line.settings for line in summarise_runs(runs)) == [
        "plain recipe, source aaaaaaaa",
        "plain recipe, source bbbbbbbb",
        "width=64, plain recipe",
    ]


def test_an_estimators_row_says_what_it_learns_from(tmp_path: Path) -> None:
    sees = resolve_config(model="flow-svm").method.sees
    brought = foreign(door="estimator", title="forest", sees=sees, features="flow-svm")
    run = read_run(write(tmp_path, brought, **CASME2))
    table = build(6, [run])
    assert row(table, table.blocks[0], "forest (own), on the vectors of flow-svm, plain recipe")["last_uf1"].value


def test_the_command_quotes_a_path_with_a_blank(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, foreign(), **CASME2))
    session = replace(run.sessions[-1], environment={CODE_GIVEN: "./my nets/net.py:MyNet"})
    assert "--model './my nets/net.py:MyNet' " in train_command(replace(run, sessions=(session,)))


def test_the_settings_and_the_command_of_an_own_method_are_said_without_its_code(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, foreign(options={"width": 64, "kind": "a b"}), **CASME2))
    assert settings(run.config) == "width=64, kind=a b, plain recipe"
    assert "--model mynet.py:MyNet --set width=64 --set 'kind=a b' " in train_command(without_private_paths(run))


def test_a_run_on_the_vectors_of_an_unknown_descriptor_is_one_error(tmp_path: Path) -> None:
    sees = resolve_config(model="flow-svm").method.sees
    run = write(tmp_path, foreign(door="estimator", sees=sees, features="flow-svm"), **CASME2).rename(tmp_path / "run")
    file = run / "config.json"
    file.write_text(file.read_text().replace('"features": "flow-svm"', '"features": "gone"'))
    with pytest.raises(
        RunError, match=r"learns from the vectors of 'gone', which this version doesn't have\)\. Restore"
    ):
        read_run(run)


def test_a_command_is_safe_to_paste_whatever_a_run_says_of_its_code(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, foreign(code="x.py:N; rm -rf ~"), **CASME2))
    assert " --model 'x.py:N; rm -rf ~' " in train_command(without_private_paths(run))


def test_the_list_of_runs_tells_the_options_of_an_own_method(tmp_path: Path) -> None:
    write(tmp_path, foreign(options={"width": 64}), **CASME2)
    (listed,) = list_runs([tmp_path])
    assert listed.marks == ("width=64",)

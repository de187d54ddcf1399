"""The steps of `mer` as Python functions."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from moved_store import write_moved_store

import mer_cli


def test_a_run_in_python(tmp_path):
    store = write_moved_store(tmp_path / "casme2.h5").path
    config = mer_cli.resolve_config(model="flow-svm", flow="fast", scheme="mmnet3")
    plan = mer_cli.plan_run([store], config)
    run = mer_cli.read_run(mer_cli.train_run(plan, tmp_path / "runs"))
    assert len(run.folds) == len(plan.folds) == 3
    assert 0 <= mer_cli.evaluate(run, "last").accuracy <= 1


def test_every_name_is_there_and_another_is_not():
    assert all(getattr(mer_cli, name) for name in dir(mer_cli))
    assert {*mer_cli._MODULE_OF, *mer_cli._MODULES, "__version__"} == set(mer_cli.__all__)
    with pytest.raises(AttributeError, match="module 'mer_cli' has no attribute 'forecast'"):
        mer_cli.forecast  # noqa: B018  # reading it is what is tested


def test_type_checkers_see_the_objects_that_the_names_stand_for():
    seen = {}
    for node in ast.walk(ast.parse(Path(mer_cli.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mer_cli."):
            seen |= {alias.name: node.module for alias in node.names}
    assert {*seen, "__version__"} == set(mer_cli.__all__)
    for name, module in seen.items():
        if name not in mer_cli._MODULES:
            assert getattr(mer_cli, name) is getattr(import_module(module), name)


def test_the_stage_of_reports_can_be_called_and_remains_a_module():
    from mer_cli.report import build, document

    assert inspect.ismodule(mer_cli.report)
    assert (mer_cli.report.build, mer_cli.report.document) == (build, document)
    with pytest.raises(mer_cli.MerError, match="Unknown format 'htm'"):
        mer_cli.report(format="htm")


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, mer_cli; print({'numpy', 'torch', 'pydantic', 'h5py'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

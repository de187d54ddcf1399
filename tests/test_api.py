"""The steps of `mer` as Python functions."""

import subprocess
import sys

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
    with pytest.raises(AttributeError, match="module 'mer_cli' has no attribute 'predict'"):
        mer_cli.predict  # noqa: B018  # reading it is what is tested


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, mer_cli; print({'numpy', 'torch', 'pydantic', 'h5py'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

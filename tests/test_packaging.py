"""What a stranger gets: the package's metadata, CITATION.cff, and a wheel that works outside the repository."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.metadata import Metadata

import mer_cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_of_this_package():
    assert CITATION["cff-version"] == "1.2.0"
    assert str(CITATION["version"]) == PROJECT["version"] == mer_cli.__version__
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["abstract"] == PROJECT["description"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert CITATION["authors"] == PROJECT["authors"]


def test_the_citation_has_the_licence_of_the_code():
    code, data = PROJECT["license"].split(" AND ")
    assert (CITATION["license"], data) == (code, "CC0-1.0")  # CITATION.cff can't say that a package has both
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{code} License")


def test_the_citation_refers_to_the_paper():
    (paper,) = CITATION["references"]
    authors = [f"{author['given-names']} {author['family-names']}" for author in paper["authors"]]
    assert authors == ["Hanting Li", "Mingzhe Sui", "Zhaoqing Zhu", "Feng Zhao"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"*{paper['title']}*, IJCAI {paper['year']}, [arXiv 2201.05297]({paper['url']})" in readme


def test_every_file_that_is_not_python_is_package_data():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    patterns = tools["setuptools"]["package-data"]["mer_cli"]
    assert {path for pattern in patterns for path in (ROOT / "mer_cli").glob(pattern)} == data_files()


def data_files():
    """The files of the package that are not modules."""
    files = (path for path in (ROOT / "mer_cli").rglob("*") if path.is_file())
    return {path for path in files if path.suffix != ".py" and path.parent.name != "__pycache__"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy, because building leaves folders beside the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("mer_cli", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (built,) = copy.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    modules = set((ROOT / "mer_cli").rglob("*.py"))
    assert names == {path.relative_to(ROOT).as_posix() for path in modules | data_files()}
    described = Metadata.from_email(metadata, validate=True)
    assert str(described.version) == mer_cli.__version__
    assert described.project_urls == PROJECT["urls"]
    assert described.description == (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")

    def run(*words):
        alone = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=True).stdout

    assert Path(run("-c", "import mer_cli; print(mer_cli.__file__)").strip()).parent == tmp_path / "site/mer_cli"
    assert run("-m", "mer_cli", "--version") == f"mer {mer_cli.__version__}\n"
    assert "ststnet" in run("-m", "mer_cli", "models")
    assert "<html" in run("-m", "mer_cli", "report", "--table", "3", "--format", "html")
    assert run("-m", "mer_cli", "synth", "casme2", "raw", "--subjects", "1", "--clips", "2") == "raw\n"

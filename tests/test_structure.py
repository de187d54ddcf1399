"""The tree tells the flow: a stage imports only earlier ones, and starting the command line loads no heavy library."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mer_cli

PACKAGE = Path(mer_cli.__file__).parent
STAGES = [
    *("system", "engines", "datasets", "faces", "store", "motion", "spotting", "models", "runs", "training"),
    *("evaluation", "inference", "report", "bench", "cli", "api"),
]
SHARED = {"records", "errors", "__version__"}
NO_TORCH = ["runs", "evaluation", "report"]
HEAVY = {
    "torch",
    "torchvision",
    "skimage",
    "cv2",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "dlib",
    "h5py",
    "pydantic",
}


def imports_of(path):
    """The dotted names that a module imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_earlier_stages(stage):
    allowed = {*STAGES[: STAGES.index(stage) + 1], *SHARED}
    for path in sorted((PACKAGE / stage).rglob("*.py")):
        used = {name.split(".")[1] for name in imports_of(path) if name.startswith("mer_cli.")}
        assert used <= allowed, f"{path} imports {used - allowed}"


def test_every_folder_is_a_stage():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(STAGES)


@pytest.mark.parametrize("place", NO_TORCH)
def test_numbers_and_reports_need_no_torch(place):
    for module in sorted((PACKAGE / place).rglob("*.py")):
        assert not [name for name in imports_of(module) if name.split(".")[0] in {"torch", "safetensors"}]


@pytest.mark.parametrize("place", ["evaluation", "report"])
def test_scores_and_tables_stand_on_runs_and_not_on_training(place):
    for module in sorted((PACKAGE / place).rglob("*.py")):
        assert not [name for name in imports_of(module) if name.startswith("mer_cli.training")]


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_says_what_it_takes_and_gives(stage):
    text = ast.get_docstring(ast.parse((PACKAGE / stage / "__init__.py").read_text()))
    assert len(text.split()) > 10


def test_help_loads_no_heavy_library():
    code = "import sys; from mer_cli.cli.main import app; app(['--help'], standalone_mode=False); "
    code += f"print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "preprocess" in done.stdout

"""The documentation against the program: every command and flag is in docs/cli.md, every link leads somewhere."""

import re
from pathlib import Path

import pytest
import typer

from mer_cli.cli.main import app
from mer_cli.runs.config import OF_NETWORK, SETTINGS, resolve_config
from mer_cli.runs.methods import LIVE, METHODS
from mer_cli.runs.variants import RECIPES

ROOT = Path(__file__).parents[1]
CLI = (ROOT / "docs/cli.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands
SUBCOMMANDS = {
    f"{name} {sub}": command
    for name, group in COMMANDS.items()
    for sub, command in getattr(group, "commands", {}).items()
}


def section(command):
    """The part of docs/cli.md about a command."""
    found = re.search(rf"^## mer {command}\n(.*?)(?=^## |\Z)", CLI, re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no section '## mer {command}'"
    return found.group(1)


@pytest.mark.parametrize("name", [*COMMANDS, *SUBCOMMANDS])
def test_every_command_and_flag_is_documented(name):
    command = (COMMANDS | SUBCOMMANDS)[name]
    text = section(name.split()[0])
    text += section("train") if name in ("ablate", "compare-methods", "tune", "fit") else ""  # whose settings they take
    for parameter in command.get_params(typer.Context(command)):
        for flag in parameter.opts:
            if flag.startswith("--") and flag != "--help":
                assert f"`{flag}" in text, f"{flag} of mer {name}"


@pytest.mark.parametrize("name", [*COMMANDS, *SUBCOMMANDS])
def test_every_command_has_help_with_an_example(name):
    assert f"Example: mer {name}" in " ".join((COMMANDS | SUBCOMMANDS)[name].help.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_folded_to_the_terminal_and_each_example_stands_alone(name):
    help_text = GROUP.get_command(typer.Context(GROUP), name).help
    assert not re.search(r"[^\n]\n[^\n]", help_text)
    assert all(part.startswith("Example: mer ") for part in help_text.split("\n\n") if "Example" in part)


def test_help_of_fit_names_no_setting_that_it_refuses():
    hidden = {flag.name for flag in COMMANDS["fit"].get_params(typer.Context(COMMANDS["fit"])) if flag.hidden}
    assert {"inner_val", "shuffle_labels", "pretrain"} <= hidden
    assert "epochs" not in hidden


@pytest.mark.parametrize("name", ["ablate", "compare-methods"])
def test_help_of_a_grid_names_no_setting_that_it_refuses(name):
    shown = {flag.name for flag in COMMANDS[name].get_params(typer.Context(COMMANDS[name])) if not flag.hidden}
    assert "epochs" in shown
    assert not shown & set(OF_NETWORK)


def test_every_flag_has_help():
    for name, command in (COMMANDS | SUBCOMMANDS).items():
        for parameter in command.get_params(typer.Context(command)):
            assert parameter.help, f"{parameter.name} of mer {name}"


def test_train_has_a_flag_for_every_setting():
    flags = {parameter.name for parameter in COMMANDS["train"].get_params(typer.Context(COMMANDS["train"]))}
    assert set(SETTINGS) <= flags


def test_every_recipe_is_documented():
    protocol = (ROOT / "docs/protocol.md").read_text()
    assert all(f"`{recipe}`" in protocol for recipe in RECIPES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_have_rows_of_equal_length(page):
    for block in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block[:200]


@pytest.mark.parametrize("name", [method.name for method in LIVE if method.sees_motion])
def test_every_published_recipe_is_documented_as_it_is(name):
    recipe = resolve_config(model=name)
    falls = "no" if recipe.decay == 1 else f"x {recipe.decay} every {recipe.decay_every} epochs"
    numbers = f"{recipe.learning_rate:g} | {recipe.weight_decay:g} | {recipe.epochs} | {recipe.batch_size}"
    row = f"| `{name}` | {recipe.optimiser} | {numbers} | {falls} | {recipe.normalisation} | {METHODS[name].source} |"
    assert row in (ROOT / "docs/methods.md").read_text()


def test_every_network_is_documented():
    methods = (ROOT / "docs/methods.md").read_text()
    assert all(f"| `{name}` |" in methods for name in METHODS if METHODS[name].is_network and name != "mmnet")

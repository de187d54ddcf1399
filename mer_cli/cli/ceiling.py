"""`mer ceiling` shows what the labels allow: how well the coded action units alone tell the classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mer_cli.cli import console
from mer_cli.cli.app import app
from mer_cli.cli.completion import complete_release, complete_scheme, complete_store
from mer_cli.cli.preprocess import JoinSpellings
from mer_cli.errors import ConfigError

if TYPE_CHECKING:
    from mer_cli.evaluation.ceiling_sources import SchemeCeiling


@app.command()
def ceiling(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[STORE|TABLE]...",
            help="Stores, or coding tables as their owners send them, each by itself; all stores of data/ if left out.",
            autocompletion=complete_store,
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Label scheme, or a file that describes one. Default: every usual scheme of the dataset.",
            autocompletion=complete_scheme,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose coding table a file is, if it was renamed: casme2, samm and so on, or table for your own.",
            autocompletion=complete_release,
        ),
    ] = None,
    join_spellings: JoinSpellings = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; scores are 0 to 1.")] = False,
) -> None:
    """Show what the labels allow: how well the coded action units alone tell the classes, with no image at all.

    Give a store, or a release's coding table, which holds no images. It prints the most that any rule on the units can
    reach, and what can be learnt from them when one subject is left out.
    Example: mer ceiling CASME2-coding-20190701.xlsx --scheme casme2-5
    """
    from mer_cli.datasets.table_alone import is_table
    from mer_cli.evaluation.ceiling_sources import read_coded_clips, read_coded_stores, scheme_ceilings
    from mer_cli.evaluation.ceiling_text import as_json as fields_of
    from mer_cli.evaluation.ceiling_text import source_notes
    from mer_cli.store.hdf5 import find_stores

    paths = files or find_stores()
    if not any(map(is_table, paths)):
        for flag, given in (("--dataset", dataset is not None), ("--join-spellings", join_spellings)):
            if given:
                raise ConfigError(f"{flag} has no effect on a store, only on a coding table. Leave it out.")
    sources, without = (
        ([read_coded_clips(path, dataset, join_spellings=join_spellings) for path in paths], [])
        if files
        else read_coded_stores(paths)
    )
    console.print_notes(f"{path} is left out: none of its clips has a coded action unit" for path in without)
    found = [scheme_ceilings(source, scheme) for source in sources]
    console.print_notes(note for source in sources for note in source_notes(source))
    if as_json:
        console.print_text(json.dumps([fields for each in found for fields in fields_of(each)], indent=2) + "\n")
    else:
        show_ceilings(found)


def show_ceilings(found: Sequence[Sequence[SchemeCeiling]]) -> None:
    """Print the ceilings of each file under its schemes, and what the rows mean."""
    from mer_cli.evaluation.ceiling_text import EXPLAINED, scheme_facts, scheme_table, source_facts

    for of_file in found:
        console.print_facts(source_facts(of_file[0].source))
        for under in of_file:
            console.out.rule(escape(under.protocol))
            console.print_facts(scheme_facts(under))
            console.print_table(scheme_table(under), numeric=1)
        console.out.print()
    for text in EXPLAINED:
        console.print_lines(console.folded(text))

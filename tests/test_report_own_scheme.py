"""Runs under a label scheme of the user's own in reports, and rare classes beside the score."""

from pathlib import Path

import pytest
from run_factory import write_run

from mer_cli.evaluation.summary import summarise
from mer_cli.report.build import EVERY_TABLE, build_report
from mer_cli.report.collect import collect_runs
from mer_cli.report.model import Table
from mer_cli.report.placing import place_runs
from mer_cli.runs.directory import read_run
from mer_cli.runs.run_config import OwnScheme

PAPER = {"counts": (32, 28, 96), "subjects": 25}  # the paper's clips under mmnet3
MINE = OwnScheme(
    class_of={"casme2": {"happiness": "happiness", "surprise": "surprise", "disgust": "negative"}},
    dropped={"casme2": ("others",)},
    left_out=(),
)
OTHER = MINE.model_copy(update={"dropped": {"casme2": ("fear", "others")}})
CLASSES = "happiness = happiness; surprise = surprise; negative = disgust; left out: others"


def tables(root: Path, *ids: str) -> list[Table]:
    return list(build_report(ids, collect_runs(root).runs, []).tables)


def notes_of(table: Table) -> list[list[str]]:
    return [[note.text for note in block.notes] for block in table.blocks]


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7])
def test_a_run_under_an_own_scheme_is_in_no_table_of_the_paper_whatever_its_name_and_clips(tmp_path: Path, number: int):
    """The scheme of the run is called mmnet3, as it would be if a later version had a scheme of the user's name."""
    empty = tables(tmp_path, str(number))
    run = read_run(write_run(tmp_path, own_scheme=MINE, **PAPER))
    assert tables(tmp_path, str(number)) == empty
    place = place_runs([run])[run.path]
    assert (place.paper, place.namesake) == (None, None)


def test_a_run_under_an_own_scheme_has_a_block_of_its_own_in_the_tables_of_all_methods(tmp_path: Path):
    write_run(tmp_path, own_scheme=MINE, **PAPER)
    write_run(tmp_path, **PAPER)
    for table in tables(tmp_path, "methods") + tables(tmp_path, "summary"):
        with_classes = [CLASSES in " ".join(notes) for notes in notes_of(table)]
        assert sorted(with_classes) == [False, True]
    in_all = {table.id: table for table in tables(tmp_path, *EVERY_TABLE)}
    (alone,) = in_all["methods"].blocks
    assert f"Classes of mmnet3, a label scheme of your own: {CLASSES}." in [note.text for note in alone.notes]


def test_two_own_schemes_of_one_name_have_a_block_each(tmp_path: Path):
    write_run(tmp_path, own_scheme=MINE)
    write_run(tmp_path, own_scheme=OTHER)
    (table,) = tables(tmp_path, "methods")
    assert len(table.blocks) == 2
    assert notes_of(table)[0] != notes_of(table)[1]


def test_evaluate_tells_the_classes_of_an_own_scheme_and_rare_classes(tmp_path: Path):
    plain = dict(summarise(read_run(write_run(tmp_path)), "last")[0].facts)
    assert not {"classes of your scheme", "rare classes"} & plain.keys()
    facts = dict(summarise(read_run(write_run(tmp_path, own_scheme=MINE, counts=(5, 5, 1))), "last")[0].facts)
    assert facts["classes of your scheme"] == CLASSES
    assert facts["rare classes"] == (
        "negative: 1 clip of 1 subject, no training clip of it in fold casme2-03, training clips of one subject only "
        "in folds casme2-01, casme2-02 and casme2-04"
    )


def test_rare_classes_stand_below_the_block_once_for_each_number_of_inner_subjects(tmp_path: Path):
    for changes in ({}, {"variant": "baseline"}, {"inner_val": 1}):
        write_run(tmp_path, counts=(5, 5, 1), **changes)
    for table in tables(tmp_path, "methods") + tables(tmp_path, "summary"):
        rare = [text for notes in notes_of(table) for text in notes if text.startswith("Rare classes")]
        assert [text.partition(":")[0] for text in rare] == ["Rare classes", "Rare classes with inner val 1"]
        assert rare[0] == (
            "Rare classes: negative: 1 clip of 1 subject, no training clip of it in fold casme2-03, training clips of "
            "one subject only in folds casme2-01, casme2-02 and casme2-04."
        )

"""Cells of the releases' columns of action units: each spelling that is known of them, and generated tables'."""

import pytest
from fake_dataset import ROWS
from tiny_faces import write_tiny_release

from mer_cli.datasets.action_units import parse_units, read_coded, unreadable_units
from mer_cli.datasets.registry import load_release
from mer_cli.datasets.synthetic.samm_release import DIRTY
from mer_cli.errors import DatasetError

CELLS = {
    # CASME II
    "12": {12},
    "4+L10": {4, 10},
    "L7+L10": {7, 10},
    "4+9+L10+14": {4, 9, 10, 14},
    # SAMM
    "7B": {7},
    "A1B+A2C": {1, 2},
    "ref(7B)+43": {7, 43},
    "(R6 or R12)+R15": {6, 12, 15},
    "L12 or L14": {12, 14},
    "R14A or 17A or 24A": {14, 17, 24},
    "4A/B": {4},
    "A/L12": {12},
    "R14+17+soft focus": {14, 17},
    "12+15 ": {12, 15},
    "T23": {23},
    # CAS(ME)^3
    "B23": {23},
    "B28": {28},
    # tables that were saved again, and one's own
    "12.0": {12},
    "12?+14": {12, 14},
    "AU6, au12": {6, 12},
    "": set(),
    " ": set(),
    "0": set(),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_gives_the_numbers_of_its_units(cell):
    assert parse_units(cell, "samm/006/006_1_2") == CELLS[cell]


@pytest.mark.parametrize("cell", CELLS)
def test_the_words_of_a_cell_are_its_numbers_and_no_cell_is_refused(cell):
    coded = read_coded(cell)
    assert coded.units == {str(number) for number in CELLS[cell]}
    assert coded.is_readable


@pytest.mark.parametrize(
    ("cell", "units", "sides", "readable", "doubtful"),
    [
        ("4+L10", {"4", "10"}, {"4", "L10"}, True, False),
        ("A1B+a2C", {"1", "2"}, {"A1", "A2"}, True, False),
        ("L12 + R12", {"12"}, {"L12", "R12"}, True, False),
        ("L12 or L14", {"12", "14"}, {"L12", "L14"}, True, True),
        ("AU12?", {"12"}, {"12"}, True, True),
        ("A/L12", {"12"}, {"L12"}, True, True),
        ("?", {"?"}, {"?"}, False, True),
        ("4 + Odd  Frown", {"4", "odd frown"}, {"4", "odd frown"}, False, False),
        ("0", set(), set(), True, False),
    ],
)
def test_a_cell_keeps_sides_doubts_and_what_can_not_be_read(cell, units, sides, readable, doubtful):
    coded = read_coded(cell)
    assert (coded.units, coded.sides) == (units, sides)
    assert (coded.is_readable, coded.is_doubtful) == (readable, doubtful)


WRONG = ["smile", "4++7", "+4", "4+", "410", "99", "4 7", "12 或 4", "nan", "X4", "4F", "-1", "()4+"]


@pytest.mark.parametrize("cell", WRONG)
def test_what_is_no_unit_is_an_error_that_names_clip_and_cell(cell):
    with pytest.raises(DatasetError, match=r"^samm/006/006_1_2: action units '"):
        parse_units(cell, "samm/006/006_1_2")


def test_the_error_names_the_part_and_what_to_do():
    with pytest.raises(DatasetError) as error:
        parse_units("4+frown", "casme2/01/EP02_01f")
    assert str(error.value) == (
        "casme2/01/EP02_01f: action units '4+frown' can't be read, because of 'frown'. Expected numbers up to 98, as "
        "in '4+L10', 'A1B+A2C' or 'L12 or L14'. Correct the coding table, and build the store again."
    )


def test_cells_that_cannot_be_read_are_counted_and_the_first_clip_is_named():
    cells = {"casme2/02/b": "4++7", "casme2/01/a": "12", "casme2/01/c": "smile", "casme2/01/d": ""}
    assert unreadable_units(cells) == (
        "the action units of 2 of 4 clips can't be read, the first of casme2/01/c: 'smile', because of 'smile'"
    )
    assert unreadable_units({"casme2/02/b": "4++7"}).endswith("casme2/02/b: '4++7', because of ''")
    assert unreadable_units({"casme2/01/a": "12"}) == unreadable_units({}) == ""


@pytest.mark.parametrize("cell", [*CELLS, *WRONG])
def test_what_is_counted_is_what_is_refused(cell):
    try:
        parse_units(cell, "a")
    except DatasetError:
        assert unreadable_units({"a": cell})
    else:
        assert not unreadable_units({"a": cell})


def test_the_cells_of_the_tiny_casme2_are_read():
    assert [parse_units(str(row[5]), row[1]) for row in ROWS] == [{12}, {4, 10}, {4, 7}, {1}]


@pytest.mark.parametrize("spell", DIRTY)
def test_each_dirty_spelling_of_generated_samm_keeps_the_units(spell):
    assert {4, 10} <= parse_units(spell(("4", "L10")), "samm/006/006_1_2")


@pytest.mark.parametrize("dataset", ["samm", "casme3", "mmew", "casme", "smic"])
def test_every_cell_of_a_generated_release_is_read(tmp_path, dataset):
    clips = load_release(dataset, write_tiny_release(dataset, tmp_path / "raw", subjects=4, clips=48)).clips
    units = [parse_units(clip.action_units, clip.clip_id) for clip in clips]
    assert len(units) > 8
    assert any(units) == (dataset != "smic")  # whose release has no such column

"""The source of a class that was defined in a notebook: its text, and whatever of the notebook it uses."""

import pytest
from cells import Cells

from mer_cli.errors import ConfigError
from mer_cli.runs.main_code import source_of_main

NET = """
from fractions import Fraction

def half(x):
    return x / 2

class Base:
    scale = 3

@staticmethod
def unused(x):
    return x

class Net(Base):
    def __init__(self, width=WIDTH):
        self.width = width

    def forward(self, onset, apex):
        return half(onset) * RATIO + apex.loss
"""
BEFORE = "WIDTH, RATIO, onset, loss = 4, [1, 2.5], 7, 8"


@pytest.fixture
def cells(monkeypatch):
    return Cells(monkeypatch)


def source(cells, *codes, name="Net"):
    for code in codes:
        cells.run(code)
    return source_of_main(cells.names[name])


def test_the_source_of_a_class_in_a_cell_has_everything_that_it_uses(cells):
    assert source(cells, BEFORE, NET) == "\n\n".join(
        [
            "class Base:\n    scale = 3\n",
            NET.partition("class Net")[1] + NET.partition("class Net")[2],
            "RATIO = [1, 2.5]",
            "WIDTH = 4",
            "def half(x):\n    return x / 2\n",
        ]
    )


def test_a_cell_that_is_run_again_gives_the_class_its_new_text(cells):
    source(cells, BEFORE, NET)
    assert "onset - 1" in source(cells, NET.replace("half(onset)", "onset - 1"))


@pytest.mark.parametrize(
    "changed", ["WIDTH = 5", "RATIO = [1, 2.6]", "def half(x):\n    return x // 2\n", "class Base:\n    scale = 4\n"]
)
def test_a_change_of_what_the_class_uses_changes_its_source(cells, changed):
    before = source(cells, BEFORE, NET)
    if changed.startswith("class Base"):
        cells.run(NET.replace("scale = 3", "scale = 4"))
    else:
        cells.run(changed)
    assert source_of_main(cells.names["Net"]) != before


@pytest.mark.parametrize("changed", ["onset = 70", "loss = 80", "unused = 1"])
def test_a_variable_that_the_class_does_not_use_leaves_its_source_as_it_is(cells, changed):
    before = source(cells, BEFORE, NET)
    cells.run(changed)
    assert source_of_main(cells.names["Net"]) == before


OBJECTS = """
import numpy as np
from fractions import Fraction
THIRD, TABLE = Fraction(1, 3), np.arange(3000)

class Net:
    def forward(self, onset, apex):
        return THIRD * TABLE
"""


@pytest.mark.parametrize("changed", ["THIRD = Fraction(1, 4)", "TABLE = np.arange(3000) * (np.arange(3000) != 1500)"])
def test_an_object_of_an_imported_class_counts_with_all_that_it_holds(cells, changed):
    before = source(cells, OBJECTS)
    cells.run(changed)
    assert source_of_main(cells.names["Net"]) != before
    cells.run(OBJECTS)
    assert source_of_main(cells.names["Net"]) == before


@pytest.mark.parametrize(
    "used", ["def __init__(self, depth=width):\n            pass", "def forward(self):\n            return width"]
)
def test_a_class_within_a_function_counts_with_what_it_takes_from_the_function(cells, used):
    text = f"def make(width):\n    class Local:\n        {used}\n    return Local\n"
    before = source(cells, text + "Net = make(8)\n")
    assert source(cells, text + "Net = make(16)\n") != before
    assert source(cells, text + "Net = make(8)\n") == before


def test_a_class_without_methods_is_described_by_its_values(cells):
    assert source(cells, "class Net(dict):\n    width = 3\n") == "class Net(dict):\n    width = 3\n"


def test_a_class_whose_text_is_lost_is_refused(cells):
    exec("class Net:\n    def forward(self):\n        return 1\n", cells.names)
    with pytest.raises(ConfigError) as error:
        source_of_main(cells.names["Net"])
    assert str(error.value) == (
        "Net: its source can't be found, and a run records it. Write it into a file, and give FILE.py:Net."
    )


def test_an_object_that_can_not_be_recorded_is_refused(cells):
    with pytest.raises(ConfigError) as error:
        source(cells, "HELD = (number for number in [1])\nclass Net:\n    def forward(self):\n        return HELD\n")
    assert str(error.value) == (
        "HELD: can't be recorded with the run (cannot pickle 'generator' object), and your method uses it. Make it "
        "inside the class."
    )


def test_of_two_classes_with_one_name_in_a_cell_the_later_is_taken(cells):
    twice = (
        "class Net:\n    def forward(self):\n        return 1\n\nclass Net:\n    def forward(self):\n        return 2\n"
    )
    assert source(cells, twice) == "class Net:\n    def forward(self):\n        return 2\n"

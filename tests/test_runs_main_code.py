"""What identifies a class from a notebook: its text, and all that it uses of the same place."""

import importlib
import sys

import pytest

from mer_cli.errors import ConfigError
from mer_cli.runs.main_code import source_of_main

NET = """
import numpy as np
from fractions import Fraction
WIDTH, SCALE, UNUSED = 4, np.arange(3000.0), 7
RATES = {"low": np.array([0.1])}

def doubled(value):
    return value * FACTOR

FACTOR = 2
SHARE = Fraction(1, 3)

class Scaler:
    def __init__(self, size):
        self.size = size

SCALER = Scaler(5)

class Base:
    pass

class Net(Base):
    SIZE = doubled(WIDTH)

    def __init__(self, n_classes, width=WIDTH):
        self.scale, self.rate, self.share = SCALE, RATES["low"], SHARE * SCALER.size

def make(width):
    class Local:
        def __init__(self, n_classes, depth=width):
            self.width = width
    return Local
"""


@pytest.fixture
def source_of(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def source_of(text=NET, take=lambda module: module.Net):
        sys.modules.pop("my_notebook", None)
        (tmp_path / "my_notebook.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        import linecache

        linecache.clearcache()
        return source_of_main(take(importlib.import_module("my_notebook")))

    yield source_of
    sys.modules.pop("my_notebook", None)


def test_a_class_stands_there_with_all_that_it_uses_and_nothing_else(source_of):
    text = source_of()
    for part in ("class Base", "class Net(Base)", "def doubled", "FACTOR = 2", "WIDTH = 4"):
        assert part in text
    assert "UNUSED" not in text
    assert "import numpy" not in text
    assert " at 0x" not in text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH, SCALE, UNUSED = 4", "WIDTH, SCALE, UNUSED = 5"),  # a default, and a class attribute
        ("FACTOR = 2", "FACTOR = 3"),  # of a function that the class attribute is computed by
        ("np.arange(3000.0)", "np.arange(3000.0)[::-1] * 0 + np.arange(3000.0) + 1e-9"),  # the same text
        ("Fraction(1, 3)", "Fraction(2, 3)"),  # an object of a class that was imported
        ("Scaler(5)", "Scaler(6)"),  # an object that is written by its address
        ("self.size = size", "self.size = -size if False else size"),  # the class of an object
        ("np.array([0.1])", "np.array([0.1 + 1e-15])"),  # the same text, in a dict
    ],
)
def test_another_value_is_another_source(source_of, old, new):
    assert source_of(NET.replace(old, new)) != source_of()


def test_a_value_that_is_not_used_changes_nothing(source_of):
    assert source_of(NET.replace("= 4, np.arange(3000.0), 7", "= 4, np.arange(3000.0), 8")) == source_of()


def test_a_class_within_a_function_stands_there_with_what_it_takes_from_the_function(source_of):
    narrow = source_of(take=lambda module: module.make(8))
    assert narrow == source_of(take=lambda module: module.make(8))
    assert narrow != source_of(take=lambda module: module.make(16))


def test_a_class_without_a_text_is_refused():
    namespace = {"__name__": __name__}
    exec("class Typed: pass", namespace)
    with pytest.raises(ConfigError) as caught:
        source_of_main(namespace["Typed"])
    assert str(caught.value) == (
        "Typed: its source can't be found, and a run records it. Write it into a file, and give FILE.py:Typed."
    )

"""How a build's end is told: each repair and failure once, the first ten of each."""

from pathlib import Path

from mer_cli.cli import preprocess as screen
from mer_cli.records import FailedClip
from mer_cli.store.build import BuildSummary
from mer_cli.store.overview import Overview

STORE = Path("data/casme2.h5")


def told(capsys, *, repairs=(), failed=()):
    summary = BuildSummary(STORE, 1, len(repairs), failed, repairs, False, Path("data/audit/casme2"))
    screen.show_build(summary, Overview((), (), (), (), ()))
    return capsys.readouterr().out.splitlines()[2:-1]


def test_a_repair_that_is_an_erratum_is_told_once(capsys):
    summary = BuildSummary(STORE, 0, 1, (), (("casme2/04/EP12", "apex / set to 291"),), False, Path("data/audit"))
    errata = ("casme2/04/EP12: apex / set to 291.",)
    screen.show_build(summary, Overview((), (), (), ("warning: few clips",), errata))
    assert capsys.readouterr().out.splitlines()[2:-1] == [
        "  repaired: casme2/04/EP12: apex / set to 291",
        "warning: few clips",
    ]


def test_of_many_the_first_ten_are_told(capsys):
    repairs = tuple((f"smic/s1/{number:02}", "apex not annotated") for number in range(12))
    failed = (FailedClip("smic/s2/01", "negative", "no face found"),)
    assert told(capsys, repairs=repairs, failed=failed) == [
        *(f"  repaired: smic/s1/{number:02}: apex not annotated" for number in range(10)),
        "  ... and 2 more, all in audit.csv",
        "  failed: smic/s2/01: no face found",
    ]

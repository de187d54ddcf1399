"""Small tables that hold everything a renderer has to lay out: groups, marks, commands, empty cells, odd names."""

from mer_cli.report.model import Block, Cell, Column, Note, Row, Table

NASTY = "a&b %5 $x$ #1 {u_v} ~^ \\end{tabular} <b>\"q\"</b> 'p' [z] *s -- | ± – − Δ × · ² é 微 \u200b"
COMMAND = "mer train data/50%_of_$x/casme2.h5 --loso --scheme casme2-5 --variant 'mmnet'"
COLUMNS = (
    Column("method", "Method", numeric=False),
    Column("published_accuracy", "Accuracy %", "published"),
    Column("last_accuracy", "Accuracy %", "last"),
    Column("last_difference", "UF1 minus MMNet's", "last"),
    Column("inner-val_accuracy", "Accuracy %", "inner-val"),
    Column("best-test_accuracy", "Accuracy %", "best-test"),
)


def number(value, **more):
    return Cell(f"{value:.2f}", value, **more)


def example_table():
    """Table 3: a block of real faces with every kind of row and one of generated faces with odd names."""
    rows = (
        Row("method", (Cell("MMNet"), number(88.35, marks=("a",)), number(70.5, best=True), *numbers(0.3, 71, 80))),
        Row("method", (Cell("baseline"), number(82.0), number(9.25), *numbers(-0.1, 60.5, 75.0))),
        Row("missing", (Cell("ca"), number(84.1), Cell(COMMAND, code=True), Cell(), Cell(), Cell())),
        Row("chance", (Cell("prior-random"), Cell(), number(27.0), *numbers(-0.25, 27, 61))),
    )
    notes = (Note("Made with `mer ablate --table 3` & no more than 5 %."), Note("Epochs chosen on the subject.", "a"))
    odd = (Row("method", (Cell(NASTY), Cell(), number(50), *numbers(0.5, 50, 60))),)
    return Table(
        "3",
        "What each part of MMNet adds",
        COLUMNS,
        (
            Block("casme2-5/249", rows, notes),
            Block(f"Generated: {NASTY}", odd, (Note(f"`{NASTY}` {NASTY}"),), generated=True),
        ),
    )


def numbers(*values):
    return tuple(number(value) for value in values)

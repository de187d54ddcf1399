"""The LaTeX report: what its source says, and that a real pdflatex compiles it, whatever the names hold."""

import re
import subprocess

import pytest
from report_tables import COLUMNS, COMMAND, NASTY, example_table, number
from tools import require_tool

from mer_cli.report.model import Block, Cell, Row, Table
from mer_cli.report.render.latex import escape_latex, render_latex


def compile_latex(folder, source):
    """Run pdflatex once; gives its log and its pages' number."""
    program = require_tool("pdflatex")
    (folder / "report.tex").write_text(source)
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    log = (folder / "report.log").read_text(errors="replace").replace("\n", "")
    return log, int(re.search(r"Output written on report.pdf \((\d+) page", log)[1])


def wide_table():
    """Forty rows whose names are wider than a page."""
    rows = tuple(
        Row("method", (Cell(f"{'a network of many words ' * 7}{row}"), *(number(row) for _ in COLUMNS[1:])))
        for row in range(40)
    )
    return Table("6", "Wide", COLUMNS, (Block("casme2-5/249", rows),))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("5 % of $x_1 & #2", r"5 \% of \$x\_1 \& \#2"),
        (r"\end{tabular}", r"\textbackslash{}end\{tabular\}"),
        ("70.00 ± 1.50", r"70.00 \ensuremath{\pm} 1.50"),
        ("[61, 78]", "{[}61, 78]"),
        ("--seed---", "-{}-seed-{}-{}-"),
        ("−3 Δ α² é", r"\ensuremath{-}3 \ensuremath{\Delta} \ensuremath{\alpha}\textsuperscript{2} \'{e}"),
        ("微\u200b\x07", "{[}U+5FAE]{[}U+200B]{[}U+0007]"),
        ("two\nlines", "two lines"),
    ],
)
def test_escape_latex_gives_ascii_that_prints_the_text(text, source):
    assert escape_latex(text) == source


def test_every_block_can_be_copied_out_whole():
    source = render_latex([example_table()])
    parts = re.findall(
        r"% ----- Table 3, block \d of 2: copy from here.*?\n(.*?)% ----- Table 3, block \d: to", source, re.S
    )
    assert len(parts) == 2
    for part in parts:
        assert part.startswith("\\begin{table}")
        assert part.endswith("\\end{table}\n")
        assert part.count("\\toprule") == part.count("\\bottomrule") == 1


def test_groups_stand_above_their_columns_with_the_words_that_belong_to_the_rule():
    source = render_latex([example_table()])
    assert r"\multicolumn{2}{c}{\shortstack{ours, last epoch}}" in source
    assert r"\shortstack{ours,\\best-test:\\selected on\\the test\\subject}" in source
    assert r"\cmidrule(lr){3-4}" in source
    assert r"\begin{tabular}{lrrrrr}" in source


def test_cells_show_best_marks_and_commands_as_notes():
    source = render_latex([example_table()])
    assert r"MMNet & 88.35\textsuperscript{a} & \textbf{70.50} & 0.30 & 71.00 & 80.00 \\" in source
    assert r"ca & 84.10 & \textrm{\textendash}\textsuperscript{c1} &  &  &  \\" in source
    assert r"\textsuperscript{c1}\,To fill or continue it: \texttt{mer train data/\allowbreak{}50\%\_" in source
    assert r"Made with \texttt{mer ablate -{}-table 3} \& no more than 5 \%." in source
    assert COMMAND not in source


def test_only_blocks_of_generated_faces_say_so():
    real, generated = render_latex([example_table()]).split("block 2 of 2")
    assert "Generated faces" not in real
    assert r"\caption{\textbf{Generated faces: not a result on any dataset.}" in generated
    assert r"\multicolumn{5}{l}{\textbf{Generated faces: not a result on any dataset}} \\" in generated


def test_the_same_tables_give_the_same_bytes_in_ascii():
    assert render_latex([example_table(), wide_table()]) == render_latex([example_table(), wide_table()])
    assert render_latex([example_table()]).isascii()


def test_pdflatex_compiles_odd_names_wide_tables_and_no_tables(tmp_path):
    empty = Table("4", NASTY, COLUMNS, ())
    log, n_pages = compile_latex(tmp_path, render_latex([example_table(), empty, wide_table()]))
    assert n_pages == 3
    assert "Overfull" not in log
    assert "Float too large" not in log
    assert "Missing character" not in log


def test_pdflatex_compiles_a_report_without_tables(tmp_path):
    program = require_tool("pdflatex")
    (tmp_path / "report.tex").write_text(render_latex([]))
    done = subprocess.run([program, "-interaction=nonstopmode", "report.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0

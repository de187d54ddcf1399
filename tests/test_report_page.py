"""The HTML page and its figures without a browser: what it says, that nothing leads out of it, that text stays text."""

import base64
import math
import re

import numpy as np
import pytest
from report_tables import COMMAND, NASTY, example_table
from run_factory import forget_checksum, write_run
from test_store_audit_page import Page

from mer_cli.evaluation.epoch_rules import SELECTED_ON_TEST
from mer_cli.evaluation.metrics import per_class
from mer_cli.report.collect import collect_runs, group_seeds
from mer_cli.report.model import Block, Cell, Column, Note, Row, Table, single_blocks
from mer_cli.report.render.figures import run_figures
from mer_cli.report.render.html import render_html
from mer_cli.report.render.svg import class_chart, confusion_chart, curve_chart

PNG = b"\x89PNG\r\n\x1a\n picture"


def figures_of(root, *, with_images=False):
    return run_figures(group_seeds(collect_runs(root).runs), with_images)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two seeds of real faces, of which the first has a picture; a run of generated ones; an unfinished one."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        path = write_run(root, "casme2-5", seed=seed, skill=2.0)
    (path / "explain").mkdir()
    (path / "explain" / "casme2-01-EP02.png").write_bytes(PNG)
    write_run(root, "mmnet3", generated=True)
    write_run(root, "megc3", finished=1)
    return root


@pytest.fixture(scope="module")
def text(root):
    return render_html([example_table()], figures_of(root))


def test_figures_add_up_the_seeds_of_a_configuration(root):
    real, _ = figures_of(root)
    assert real.seeds == (1, 2)
    assert real.n_clips == 12
    for rule in real.rules:
        assert sum(map(sum, rule.confusion)) == 2 * real.n_clips
        assert [scores.n for scores in rule.classes] == [sum(row) for row in rule.confusion]
    last = real.rules[0]
    right = sum(last.confusion[label][label] for label in range(5))
    assert real.accuracy[-1] == pytest.approx(right / (2 * real.n_clips))
    assert real.loss == (1.0,) * 6


def test_figures_stamp_the_rule_that_looks_at_the_test_subject_and_put_it_last(root):
    for figure in figures_of(root):
        assert [bool(rule.stamp) for rule in figure.rules] == [False] * (len(figure.rules) - 1) + [True]
        assert figure.rules[-1].stamp == SELECTED_ON_TEST


def test_figures_leave_out_a_run_that_lacks_folds(root):
    assert [figure.protocol_id for figure in figures_of(root)] == ["casme2-5/12", "casme2-mmnet3/12"]


def test_figures_across_datasets_are_one_for_each_test_dataset(tmp_path):
    write_run(tmp_path, "megc3", datasets=("samm", "smic"), trained_on=("casme2",))
    figures = figures_of(tmp_path)
    assert [figure.protocol for figure in figures] == [
        "trained on casme2, tested on samm",
        "trained on casme2, tested on smic",
    ]
    assert [figure.n_clips for figure in figures] == [12, 12]
    for figure in figures:
        right = sum(figure.rules[0].confusion[label][label] for label in range(3))
        assert figure.accuracy[-1] == pytest.approx(right / 12)


def test_figures_hold_pictures_only_when_asked(root):
    assert not any(figure.pictures for figure in figures_of(root))
    (picture,) = figures_of(root, with_images=True)[0].pictures
    assert picture.caption == "casme2-01-EP02, seed 2"
    assert base64.b64decode(picture.uri.removeprefix("data:image/png;base64,")) == PNG


def test_a_damaged_history_is_named_and_a_loss_that_diverged_is_drawn(tmp_path):
    path = write_run(tmp_path)
    file = path / "folds" / "casme2-02" / "history.csv"
    file.write_text("epoch,loss\n1,0.5\n")
    (damaged,) = collect_runs(tmp_path).damaged
    assert damaged.startswith(f"{file}: was edited or damaged (it has changed since it was written). Delete ")
    assert figures_of(tmp_path) == ()
    forget_checksum(path)  # as in a run from before there were checksums
    (file.parent / "done").write_text("", encoding="utf-8")
    file.write_text("epoch,loss\n1,0.5\n2,inf\n" + "".join(f"{epoch},nan\n" for epoch in range(3, 7)))
    (figure,) = figures_of(tmp_path)
    assert figure.loss[:2] == (0.875, math.inf)
    assert all(map(math.isnan, figure.loss[2:]))


def test_the_page_is_whole_and_nothing_in_it_leads_out(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    for target in page.targets:
        assert target.startswith(("#", "data:"))
        assert not target.startswith("#") or target[1:] in page.ids
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    (policy,) = (attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_the_page_shows_names_as_they_are(text):
    page = Page(text)
    assert page.text.count(NASTY) == 4  # in the heading, the row and the note, there as code as well
    assert COMMAND in page.text


def test_the_page_stamps_best_test_wherever_it_stands(text):
    page = Page(text)
    assert page.text.count(f"ours, best-test: {SELECTED_ON_TEST}") == 2
    assert page.text.count(f"Epoch rule best-test: {SELECTED_ON_TEST}") == 2
    assert f"best-test ({SELECTED_ON_TEST})" in page.text


def test_the_page_warns_of_generated_faces_in_tables_and_runs_and_nowhere_else(text):
    parts = re.split(r"<h3 ", text)
    warned = [part.partition("</h3>")[0].partition(">")[2] for part in parts if "Generated faces: not a result" in part]
    assert len(warned) == 2
    assert warned[0].startswith("Generated: a&amp;b")
    assert warned[1].endswith("casme2-mmnet3/12")


def test_rows_carry_what_they_are_sorted_by(text):
    row = re.search(r'<tr class="missing">.*?</tr>', text)[0]
    assert re.findall(r'data-value="([^"]*)"', row) == ["84.1"]
    assert '<th scope="row">ca</th>' in row
    assert "<strong>70.50</strong>" in text


def test_a_command_stands_in_the_notes_and_a_column_without_a_cell_is_left_out(text):
    real, generated = re.findall(r"<table .*?</table>.*?</ul>", text, re.S)
    assert '–<sup><a href="#table-3-1-c1" aria-label="note c1">c1</a></sup>' in real
    assert re.search(r'<li id="table-3-1-c1"><sup>c1</sup> To fill or continue it: <code>mer train ', real)
    assert ">published</th>" in real
    assert ">published</th>" not in generated


def test_equal_commands_share_a_note_beside_the_notes_that_are_there():
    command = Cell("mer ablate", code=True)
    rows = tuple(Row("missing", (Cell(name), cell)) for name, cell in (("a", command), ("b", command)))
    table = Table(
        "3", "t", (Column("method", "Method"), Column("runs", "Runs")), (Block("b", rows, (Note("x", "c1"),)),)
    )
    (part,) = single_blocks(table)
    assert [row.cells[1] for row in part.blocks[0].rows] == [Cell("–", marks=("c2",))] * 2
    assert part.blocks[0].notes == (Note("x", "c1"), Note("To fill or continue it: `mer ablate`", "c2"))


def test_the_same_runs_give_the_same_bytes(root, text):
    assert render_html([example_table()], figures_of(root)) == text


def test_a_page_without_runs_has_no_switch_for_rules_it_does_not_hold():
    assert 'name="rule"' not in render_html([], [])


def test_charts_say_in_words_what_they_draw():
    names, counts = ("joy", "<rest>"), ((3, 1), (0, 0))
    confusion = confusion_chart("k", "A & B", names, counts)
    assert "Of 4 clips of joy, 3 as joy, 1 as &lt;rest&gt;. Of 0 clips of &lt;rest&gt;, 0 as joy" in confusion
    assert re.findall(r'fill-opacity="([\d.]+)"', confusion) == ["0.450", "0.150", "0.000", "0.000"]
    bars = class_chart("k", "t", names, per_class(np.array(counts)))
    assert "joy: recall 0.75, F1 0.86." in bars
    curve = curve_chart("k", "t", [2.0, 7.5, 0.5], in_percent=False)
    assert "First epoch 2, last of 3 0.5, lowest 0.5, highest 7.5." in curve
    assert 'points="44.0,124.5 179.0,21.4 314.0,152.6"' in curve


def test_a_curve_of_one_epoch_and_a_loss_of_nothing_can_be_drawn():
    assert "last of 1 50%" in curve_chart("k", "t", [0.5], in_percent=True)
    assert "lowest 0, highest 0" in curve_chart("k", "t", [0.0, 0.0], in_percent=False)


def test_a_curve_has_no_point_where_its_value_is_not_finite():
    curve = curve_chart("k", "t", [2.0, math.inf, 1.0, math.nan], in_percent=False)
    assert "First epoch 2, last of 4 nan, lowest 1, highest 2." in curve
    assert 'points="44.0,12.0 224.0,87.0"' in curve
    assert 'class="strong"' not in curve
    assert "last of 2 nan" in curve_chart("k", "t", [math.nan, math.nan], in_percent=False)


def test_long_class_names_are_cut_and_kept_whole_as_a_hint():
    chart = confusion_chart("k", "t", ("a very long name of a class",), ((1,),))
    assert "a very lo…<title>a very long name of a class</title>" in chart

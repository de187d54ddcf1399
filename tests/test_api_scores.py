"""`mer_cli.evaluate` and `mer_cli.report`: the numbers of the command line, and what must stand beside them."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from run_factory import write_run
from typer.testing import CliRunner

import mer_cli as mer
from mer_cli.cli.main import app
from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation import epoch_rules
from mer_cli.motion.inputs import PairInput
from mer_cli.runs.foreign import Foreign


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("scores"), generated=True)


def printed(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_scores_are_those_of_the_rule_for_a_run_and_for_its_path(path):
    run = mer.read_run(str(path))
    wanted = epoch_rules.evaluate(run, "best-test")
    for scores in (mer.evaluate(run, "best-test"), mer.evaluate(str(path), rule="best-test")):
        assert (scores.accuracy, scores.uf1, scores.uar) == (wanted.accuracy, wanted.uf1, wanted.uar)
        assert scores.confusion.tolist() == wanted.confusion.tolist()
        assert scores.run.path == path
    assert mer.evaluate(path).rule == "last"


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_every_fact_of_mer_evaluate_stands_beside_a_score(path, rule):
    scores = mer.evaluate(path, rule)
    page = scores._repr_html_()
    shown = html.unescape(re.sub("<[^>]+>", "\n", page)).split("\n")
    facts = dict(scores.summary.facts)
    assert {"faces", "protocol", "epoch rule", "clips, subjects", "seed", "accuracy", "UAR"} <= facts.keys()
    assert {cell for fact in facts.items() for cell in fact} <= set(shown)
    assert {"majority", "prior-random", "true \\ predicted", "precision"} <= set(shown)
    assert all(f"{name}" in str(scores) and value in str(scores) for name, value in facts.items())
    assert ("selected on the test subject" in page) is (rule == "best-test")


def test_a_name_with_a_sign_of_html_is_shown_as_it_is(tmp_path):
    renamed = shutil.copytree(write_run(tmp_path), tmp_path / "a<b>&c")
    assert "<b>a&lt;b&gt;&amp;c</b>" in mer.evaluate(renamed)._repr_html_()


def test_a_test_dataset_can_be_scored_alone(tmp_path):
    path = write_run(tmp_path, "megc3", datasets=("casme2", "samm"), trained_on=("smic",))
    scores = mer.evaluate(path, dataset="samm")
    assert (scores.dataset, scores.n_clips) == ("samm", sum(c.startswith("samm/") for c in scores.run.labels))
    assert "tested on samm" in str(scores)
    assert "tested on casme2 and samm" in str(mer.evaluate(path))


def test_a_run_that_lacks_folds_has_no_score(tmp_path):
    with pytest.raises(RunError, match="only 1 of 4 folds are finished"):
        mer.evaluate(write_run(tmp_path, finished=1))


@pytest.mark.parametrize("format", ["html", "markdown", "latex", "csv", "json"])
def test_a_report_is_the_text_of_the_command_line(path, format, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = mer.report(path, format=format)
    assert report.text == str(report) == printed("report", path, "--format", format)
    assert report.save("a/report.txt").read_text() == report.text


def test_runs_can_be_given_as_paths_and_as_they_were_read(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs"), seed=2, generated=True)
    both = mer.report([mer.read_run(path), "runs"], format="markdown", table="methods")
    assert [table.id for table in both.built.tables] == ["methods"]
    assert sorted(run.config.seed for run in both.built.runs) == [1, 2]
    assert [run.config.seed for run in mer.report(table="methods").built.runs] == [2]


def test_a_notebook_shows_the_page_in_a_frame_with_its_notes(path, tmp_path):
    report = mer.report(path, format="markdown", table="3")
    (page,) = re.findall('srcdoc="([^"]*)"', report._repr_html_())
    assert html.unescape(page) == mer.report(path, table="3").text
    assert report.notes == ("1 run is in another table: the same command with --table 6",)
    assert f"<p>note: {report.notes[0]}</p>" in report._repr_html_()


def test_a_damaged_run_in_a_folder_is_warned_of(tmp_path):
    (write_run(tmp_path) / "clips.csv").unlink()
    with pytest.warns(UserWarning, match="clips.csv"):
        assert mer.report(tmp_path, table="methods").built.runs == ()


def test_an_unknown_format_or_table_is_refused(path):
    with pytest.raises(ConfigError) as error:
        mer.report(path, format="htm")
    assert str(error.value) == (
        "format: Unknown format 'htm'. Known: html, markdown, latex, csv, json. Did you mean 'html'?"
    )
    with pytest.raises(ConfigError, match="a report has no table '8'"):
        mer.report(path, table="8")


def test_a_run_of_your_own_network_is_scored_and_reported_without_its_code_and_without_torch(tmp_path):
    foreign = Foreign(door="network", title="Net", code="gone.py:Net", source_sha256="ab" * 32, sees=PairInput())
    path = str(write_run(tmp_path, foreign=foreign, model="net", recipe="plain"))
    code = (
        f"import sys, mer_cli as mer; mer.evaluate({path!r})._repr_html_(); print('Net' in mer.report({path!r}).text, "
    )
    code += "{'torch', 'gone'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"

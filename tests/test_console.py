"""Bars on a terminal and lines in a log, with all, some or nothing to do; lines that fit a narrow terminal."""

import io
import re

import pytest
from rich.console import Console

from mer_cli.cli import console
from mer_cli.records import Fold

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def err(monkeypatch):
    """Makes stderr a terminal, or a file that is none; gives what was written."""

    def replace(*, is_terminal):
        written = io.StringIO()
        monkeypatch.setattr(console, "err", Console(file=written, force_terminal=is_terminal, width=80))
        return written

    return replace


@pytest.fixture
def narrow(monkeypatch):
    """Makes stdout a terminal of 40 columns."""
    monkeypatch.setattr(console, "out", Console(force_terminal=True, width=40))


def last_lines(written):
    """What stands on the terminal in the end: the last drawing of the bars."""
    return CONTROL.sub("", written.getvalue().rpartition("\x1b[2K")[2]).strip()


@pytest.mark.parametrize(("n_done", "shown"), [(5, "5/5"), (3, "3/3"), (0, "")])
def test_a_bar_ends_full_and_one_without_a_step_is_not_shown(err, n_done, shown):
    written = err(is_terminal=True)
    with console.Steps("flow", 5) as steps:
        for clip in range(n_done):
            steps.on_clip(str(clip), "ok")
    last = last_lines(written)
    assert shown in last
    assert ("flow" in last) == bool(n_done)


def test_a_log_ends_with_the_steps_that_were_done(err):
    written = err(is_terminal=False)
    with console.Steps("flow", 5) as steps:
        steps.on_clip("a", "ok")
    with console.Steps("features", 5):
        pass
    assert written.getvalue() == "flow: 1 of 1, 0 s, 0 s left\n"


def fail(steps):
    steps.on_clip("a", "ok")
    raise ValueError("stop")


def test_the_bar_of_a_pass_that_failed_stays_where_it_was(err):
    written = err(is_terminal=True)
    with pytest.raises(ValueError, match="stop"), console.Steps("flow", 5) as steps:
        fail(steps)
    assert "1/5" in last_lines(written)


def test_a_run_without_a_fold_to_train_has_no_bars(err):
    written = err(is_terminal=True)
    with console.TrainProgress(0, 0) as bars:
        bars.of_run(3, 3).on_start(0)
    assert last_lines(written) == ""


def test_without_a_terminal_a_long_fold_tells_of_an_epoch_now_and_then(err, monkeypatch):
    written = err(is_terminal=False)
    seconds = iter([0.0, 0.0, 30.0, 61.0, 90.0, 122.0, 190.0, 191.0])  # made, started, five epochs, the fold's end
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    progress = console.TrainProgress(2, 10).of_run(5, 5)
    progress.on_start(2)
    progress.on_fold(Fold("s1", (), (), ()))
    for epoch in range(1, 6):
        progress.on_epoch(epoch, 1.0 / epoch)
    progress.on_fold_end()
    assert written.getvalue().splitlines() == [
        "fold s1: epoch 2 of 5, loss 0.500, 4 min 4 s left",
        "fold s1: epoch 4 of 5, loss 0.250, 3 min 3 s left",
        "fold s1 done (1 of 2): loss 0.200 after 5 epochs, 3 min 11 s, 3 min 11 s left",
    ]


def test_the_runs_of_a_grid_share_the_bars_and_each_says_when_it_begins(err, monkeypatch):
    written = err(is_terminal=False)
    seconds = iter([0.0, 0.0, 10.0, 100.0])  # made, started, the end of each run's fold
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    bars = console.TrainProgress(2, 100.0)
    for number, (name, work) in enumerate((("fast", 10.0), ("slow", 90.0)), start=1):
        run = bars.of_run(1, work, name, f"run {number} of 2: {name}")
        run.on_start(1)
        run.on_fold(Fold("s1", (), (), ()))
        run.on_fold_end()
    assert written.getvalue().splitlines() == [
        "run 1 of 2: fast",
        "fold s1 of fast done (1 of 2): 10 s, 1 min 30 s left",
        "run 2 of 2: slow",
        "fold s1 of slow done (2 of 2): 1 min 40 s, 0 s left",
    ]


TEXT = "one interval over subjects that is longer than it should be"


def test_a_long_text_is_folded_behind_its_name_on_a_terminal_alone(narrow, monkeypatch):
    assert console.folded(TEXT, "UF1   ") == [
        "UF1   one interval over subjects that is",
        "      longer than it should be",
    ]
    assert console.folded("short", "UF1   ") == ["UF1   short"]
    monkeypatch.setattr(console, "out", Console(file=io.StringIO(), width=40))
    assert console.folded(TEXT, "UF1   ") == [f"UF1   {TEXT}"]


def test_a_path_or_a_command_is_not_broken_inside_a_word(narrow):
    path = "runs/casme2-5-mmnet-released-s1-0a1b2c3d/folds"
    assert console.folded(f"look at {path} now", "") == ["look at", path, "now"]


def test_columns_move_together_before_a_line_is_wider_than_the_terminal(narrow):
    rows = [("true", "happiness", "sadness", "contempt"), ("happiness", "1", "2", "30")]
    assert console.aligned(rows, numeric=(1, 2, 3), gap=3) == [
        "true       happiness  sadness  contempt",
        "happiness          1        2        30",
    ]
    assert console.aligned([(*rows[0], "others"), (*rows[1], "4")], numeric=(1, 2, 3, 4), gap=3)[0] == (
        "true      happiness sadness contempt others"  # wider still, and nothing of it is cut
    )


def test_a_line_of_somebody_else_can_t_command_the_terminal(err):
    written = err(is_terminal=False)
    console.print_lines(["\x1b[31mred \x9b2J [b]not bold[/b]"], console.err)
    assert written.getvalue() == "\\x1b[31mred \\x9b2J [b]not bold[/b]\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_fold_may_have_any_name(err, is_terminal):
    written = err(is_terminal=is_terminal)
    with console.TrainProgress(1, 1) as bars:
        progress = bars.of_run(1, 1)
        progress.on_start(1)
        progress.on_fold(Fold("lab-[/red]:smile:\x1b]0;title\x07\u202e", (), (), ()))
        progress.on_epoch(1, 0.5)
        progress.on_fold_end()
    shown = CONTROL.sub("", written.getvalue())
    assert "\\x1b]0;title\\x07\\u202e" in shown
    assert "[/red]:smile:" in shown
    assert "\x1b" not in shown


def test_what_is_printed_shows_unseen_characters_and_keeps_markup_from_names(capsys):
    console.print_lines(["a\x1b[31m\x9b[bold]\u2028\u202e\u200b\ufeff :smile: é\t李"])
    console.out.rule("q\x1b[31m")
    assert capsys.readouterr().out.startswith("a\\x1b[31m\\x9b[bold]\\u2028\\u202e\\u200b\\ufeff :smile: é")

"""What the demo refuses, and its last screen; that it runs is shown by `make demo`, its commands by test_end_to_end."""

from dataclasses import replace
from pathlib import Path

import pytest

from mer_cli.cli import demo as screen
from mer_cli.cli.demo import COMMANDS, draw_faces, run_demo
from mer_cli.errors import ConfigError
from mer_cli.evaluation.ceiling import BestRule, Ceiling, Told
from mer_cli.evaluation.chance import ChanceScores
from mer_cli.evaluation.statistics import Spread
from mer_cli.report.summary import SummaryRow

GUESSERS = (
    ChanceScores("majority", "last", 1 / 3, 1 / 6, 1 / 3, 1, {}),
    ChanceScores("prior-random", "last", 0.335, 0.331, 0.333, 200, {"accuracy": (0.2, 0.5)}),
)
MMNET = SummaryRow(
    method="MMNet",
    settings="quick recipe",
    variant="",
    protocol="casme2-to-casme-labels/70-to-48",
    generated=True,
    n_clips=48,
    n_subjects=8,
    seeds=(3,),
    accuracy=Spread(0.75, low=0.6, high=0.875),
    uf1=Spread(0.7412),
    uar=Spread(0.75),
    chance=GUESSERS,
    ceiling=None,
    remarks=(),
    runs=("casme2-to-casme-labels-mmnet-quick-s3-0a1b2c3d",),
)
BALANCED = replace(MMNET, settings="balanced, quick recipe", variant="balanced", accuracy=Spread(0.875))
FLOW = replace(MMNET, method="flow-svm", settings="published recipe", accuracy=Spread(0.9583), uf1=Spread(0.96))


def write_drawn(folder, seed):
    """What tells the demo that the faces of a seed are there."""
    (folder / "faces.txt").write_text("\n".join(draw_faces(seed)) + "\n")
    for dataset in ("casme2", "casme"):
        (folder / "raw" / dataset).mkdir(parents=True)
        (folder / "raw" / dataset / "GENERATED.txt").touch()


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(ConfigError) as error:
        run_demo(tmp_path, 1, print)
    assert str(error.value) == f"{tmp_path}: holds files that the demo did not write. Give another --out."
    assert (tmp_path / "thesis.docx").read_text() == "years of work"


def test_a_demo_of_another_seed_is_refused(tmp_path):
    write_drawn(tmp_path, 1)
    with pytest.raises(ConfigError) as error:
        run_demo(tmp_path, 2, print)
    assert str(error.value) == (
        f"{tmp_path}: holds a demo whose faces were drawn by other commands (faces.txt). Give another --out, or delete "
        "the folder."
    )


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x80", None])
def test_a_list_of_commands_that_the_demo_did_not_write_is_refused(tmp_path, content):
    (tmp_path / "faces.txt").mkdir() if content is None else (tmp_path / "faces.txt").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        run_demo(tmp_path, 1, print)
    assert str(error.value).startswith(f"{tmp_path}: holds ")


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_in_the_folders_place_is_refused(tmp_path, out):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigError) as error:
        run_demo(tmp_path / out, 1, print)
    assert str(error.value) == f"{tmp_path / out}: can't be used as a folder (Not a directory). Give another --out."
    assert (tmp_path / "file").read_text() == "kept"


def test_faces_that_are_not_there_any_more_are_drawn_again(tmp_path, monkeypatch):
    write_drawn(tmp_path, 1)
    (tmp_path / "raw/casme/GENERATED.txt").unlink()
    drawn = []

    def run(line, folder, show):
        drawn.append(line)
        if line.startswith("mer preprocess"):
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr("mer_cli.cli.demo._run", run)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path, 1, print)
    assert drawn == [draw_faces(1)[1], COMMANDS[0]]
    assert (tmp_path / "faces.txt").read_text().splitlines() == [*draw_faces(1)]


def test_a_command_that_fails_ends_the_demo_and_is_named(tmp_path):
    write_drawn(tmp_path, 1)
    shown = []
    with pytest.raises(ConfigError) as error:
        run_demo(tmp_path, 1, shown.append)
    assert str(error.value) == (
        f"{COMMANDS[0]}: ended with exit code 1 in {tmp_path}. Solve the problem printed above and run the "
        "demo again (finished work is kept), or give another --out."
    )
    assert shown == [COMMANDS[0]]


def test_the_people_of_the_two_releases_are_not_the_same():
    train, test = draw_faces(7)
    assert train.rpartition(" --seed ")[2] != test.rpartition(" --seed ")[2]


def test_the_last_screen_has_the_answer_a_table_where_to_look_and_what_to_type(capsys):
    screen.show_demo(Path("demo"), [FLOW, BALANCED, MMNET])
    assert capsys.readouterr().out == (
        "\n"
        "MMNet names the emotion of 75.0 % of 48 clips of people it has never seen, flow-svm of 95.8 %, MMNet "
        "(balanced) of 87.5 %, guessing of 33.5 %.\n"
        "Guessing stays between 20.0 and 50.0 % in 95 of 100 trials, so MMNet is above chance. Its 95 % interval over "
        "these 8 people is 60.0 to 87.5.\n"
        "Both forms of MMNet were trained once, and for a few epochs. Another seed may give a score outside that "
        "interval. This does not tell which method is better.\n"
        "The faces are generated: this shows that everything works, and is not a result on any dataset.\n"
        "\n"
        "casme2-to-casme-labels/70-to-48: 48 clips, 8 subjects, last epoch\n"
        "method                                 accuracy %    UF1    UAR\n"
        "flow-svm, published recipe                  95.83  .9600  .7500\n"
        "MMNet, balanced, quick recipe, seed 3       87.50  .7412  .7500\n"
        "MMNet, quick recipe, seed 3                 75.00  .7412  .7500\n"
        "chance: majority                            33.33  .1667  .3333\n"
        "chance: prior-random                        33.50  .3310  .3330\n"
        "\n"
        "To look at:\n"
        "  demo/report.html                   these scores in full, and the paper's tables\n"
        "  demo/data/audit/casme2/index.html  every training clip, with its face and landmarks\n"
        "  demo/data/audit/casme/index.html   every test clip\n"
        "  demo/runs                          what was trained: settings, weights, and the predictions after every "
        "epoch\n"
        "\n"
        "On a real release, unpacked in /raw:\n"
        "  mer preprocess casme2 /raw                  with --dry-run first: what will fail, and why, in seconds\n"
        "  mer train --loso                            minutes on a GPU, many hours on two cores; --time-limit 4h "
        "stops after a fold\n"
        "  mer report --format html --out report.html  your runs beside the paper's tables\n"
    )


def test_the_last_screen_says_what_the_labels_allow(capsys):
    told = Told(Spread(0.9306), Spread(0.9), Spread(0.95))
    rule = BestRule(1, 1, 1, 3, 0)
    ceiling = Ceiling(rule, rule, told, 48, 8, 0, 0, 0, 9)
    screen.show_demo(Path("demo"), [replace(MMNET, ceiling=ceiling)])
    assert (
        "chance: prior-random                       33.50  .3310  .3330\n"
        "ceiling: told the coded action units       93.06  .9000  .9500\n"
        "The ceiling reads the held-out clips' annotation, which no method does.\n"
    ) in capsys.readouterr().out


def test_a_score_that_guessing_reaches_is_not_called_learnt(capsys):
    screen.show_demo(Path("demo"), [replace(MMNET, accuracy=Spread(0.5, low=0.4, high=0.6))])
    assert "so MMNet can't be told from guessing here. Its 95 % interval over these" in capsys.readouterr().out


def test_the_demo_trains_both_forms_of_mmnet_by_the_same_settings():
    plain, balanced = (line for line in COMMANDS if "--recipe quick" in line)
    assert balanced.replace(" --variant balanced", "") == plain

"""Code that is never ported: the folds as a table for it, its predictions as a run, and every mistake in its file."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from tiny_store import SAMM_EMOTIONS, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import ConfigError, RunError
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.evaluation.run_text import train_command
from mer_cli.report.collect import collect_runs, group_seeds
from mer_cli.runs.config import resolve_config
from mer_cli.runs.directory import read_run
from mer_cli.runs.predictions import fold_rows, fold_table, import_predictions
from mer_cli.runs.protocol import plan_protocol

DOCS = (Path(__file__).parents[1] / "docs/own-predictions.md").read_text(encoding="utf-8")
CLASS_OF = {"happiness": "positive", "disgust": "negative", "surprise": "surprise"}  # of the scheme mmnet3
NAMES = ("positive", "surprise", "negative")
EMOTIONS = {
    f"casme2/{subject:02d}/EP{clip:02d}": ("happiness", "disgust", "surprise")[(subject + clip) % 3]
    for subject in range(1, 5)
    for clip in range(2 + subject % 2)
}
CLIPS = sorted(EMOTIONS)
SAID = {"name": "MyNet (TensorFlow)", "epoch_rule": "fixed 60 epochs", "scheme": "mmnet3"}
STAMP = "trained outside mer, epoch rule as stated by its author: fixed 60 epochs"
FLAGS = ("--scheme", "mmnet3", "--name", SAID["name"], "--epoch-rule", SAID["epoch_rule"])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    others = EMOTIONS | {"casme2/01/EP99": "others"}
    return {
        "casme2": write_store(root / "casme2.h5", dict(sorted(others.items()))),
        "samm": write_store(root / "samm.h5", SAMM_EMOTIONS),
    }


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def mer(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plan_of(stores, **settings):
    return plan_protocol([stores["casme2"]], resolve_config(scheme="mmnet3", **settings))


def write_scores(seed=0, clips=CLIPS, names=NAMES, file="preds.csv"):
    drawn = np.random.default_rng(seed).normal(size=(len(clips), len(names))).round(4)
    lines = [",".join(map(str, (clip, *row))) for clip, row in zip(clips, drawn.tolist(), strict=True)]
    Path(file).write_text("\n".join([",".join(("clip_id", *names)), *lines, ""]), encoding="utf-8")
    return Path(file)


def bring(stores, file="preds.csv", **changes):
    return import_predictions(Path(file), [stores["casme2"]], **{**SAID, **changes})


# --- the folds


def test_the_table_of_folds_has_every_clip_of_every_fold_and_labels_of_training_clips_only(stores):
    rows = list(fold_rows(plan_of(stores)))
    for subject in ("01", "02", "03", "04"):
        of_fold = [row for row in rows if row[0] == f"casme2-{subject}"]
        assert sorted(row[2] for row in of_fold) == CLIPS
        for _, part, clip_id, of_subject, label, name in of_fold:
            assert of_subject == clip_id.rpartition("/")[0]
            if of_subject == f"casme2/{subject}":
                assert (part, label, name) == ("held out", "", "")
            else:
                truth = CLASS_OF[EMOTIONS[clip_id]]
                assert (part, label, name) == ("train", str(NAMES.index(truth)), truth)


def test_inner_clips_are_a_part_of_their_own_with_labels(stores):
    plan = plan_of(stores, inner_val=1)
    inner = {fold.id: fold.inner for fold in plan.folds}
    found = [row for row in fold_rows(plan) if row[1] == "inner"]
    assert {fold: tuple(row[2] for row in found if row[0] == fold) for fold in inner} == inner
    assert all(row[5] == CLASS_OF[EMOTIONS[row[2]]] for row in found)


def test_permuted_labels_are_those_that_mer_would_train_on(stores):
    from mer_cli.runs.folds import training_labels

    plan = plan_of(stores, shuffle_labels=True, seed=3)
    rows = list(fold_rows(plan))
    for fold in plan.folds:
        expected = training_labels(fold.id, fold.train, plan.labels, plan.config)
        assert {row[2]: int(row[4]) for row in rows if row[0] == fold.id and row[1] == "train"} == expected
    assert any(row[1] == "train" and row[5] != CLASS_OF[EMOTIONS[row[2]]] for row in rows)


def test_folds_are_shown_with_their_clips_and_classes(stores):
    assert fold_table(plan_of(stores))[:2] == [
        ("fold", "training", "held out", *NAMES),
        ("casme2-01", "7", "3", "2", "3", "2"),
    ]
    assert fold_table(plan_of(stores, inner_val=1))[0] == ("fold", "training", "inner", "held out", *NAMES)
    shown = mer("folds", stores["casme2"], "--scheme", "mmnet3")
    assert shown.stdout.splitlines()[1].split() == ["casme2-01", "7", "3", "2", "3", "2"]
    assert shown.stderr.startswith(
        "casme2-mmnet3/10, leave one subject out: 4 folds, 10 held-out clips\ngenerated faces"
    )
    assert list(Path().iterdir()) == []


def test_folds_across_datasets_hold_out_the_test_store(stores):
    config = resolve_config(scheme="megc3")
    plan = plan_protocol([stores["casme2"]], config, test_stores=[stores["samm"]])
    assert [row[2] for row in fold_rows(plan) if row[1] == "held out"] == sorted(SAMM_EMOTIONS)
    assert {row[0] for row in fold_rows(plan)} == {"samm"}


# --- there and back


def test_the_example_of_the_docs_gives_the_scores_that_scikit_learn_computes_from_its_file(stores):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    Path("data").mkdir()
    Path("data/casme2.h5").symlink_to(stores["casme2"])
    assert mer("folds", "--scheme", "mmnet3", "--csv", "folds.csv").stdout == "folds.csv\n"
    exec(compile(example, "docs/own-predictions.md", "exec"), {})
    made = mer("import-predictions", "preds.csv", *FLAGS)
    assert made.exit_code == 0, made.stderr
    run = read_run(Path(made.stdout.strip()))
    with Path("preds.csv").open(newline="", encoding="utf-8") as file:
        said = {row.pop("clip_id"): max(row, key=lambda name: float(row[name])) for row in csv.DictReader(file)}
    truth, predicted = [CLASS_OF[EMOTIONS[clip]] for clip in CLIPS], [said[clip] for clip in CLIPS]
    scores = evaluate(run, "last")
    assert scores.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert scores.uf1 == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert scores.uar == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert (run.path / "source/preds.csv").read_bytes() == Path("preds.csv").read_bytes().replace(b"\r\n", b"\n")
    assert run.config.generated
    settled = (run.config.device, run.config.precision, run.config.compile, run.config.deterministic)
    assert settled == ("cpu", "fp32", "off", False)


def test_named_classes_score_as_scores_do_in_any_order_of_columns_and_rows(stores):
    said = {clip: NAMES[place % 3] for place, clip in enumerate(CLIPS)}
    lines = [f"{said[clip]};{clip}" for clip in reversed(CLIPS)]
    Path("named.csv").write_text("\r\n".join(["Predicted;clip_id", *lines]), encoding="utf-8-sig")
    rows = [",".join([clip, *(str(float(name == said[clip])) for name in sorted(NAMES))]) for clip in CLIPS]
    Path("scores.csv").write_text("\n".join([",".join(["clip_id", *sorted(NAMES)]), *rows]), encoding="utf-8")
    named, scored = (read_run(bring(stores, file).path) for file in ("named.csv", "scores.csv"))
    assert evaluate(named, "last").predicted == evaluate(scored, "last").predicted
    assert evaluate(named, "last").predicted == {clip: NAMES.index(name) for clip, name in said.items()}


def test_scores_that_only_float64_can_tell_apart_keep_their_best_class(stores):
    pairs = ["0.3,0.30000000001,0.1", "1e300,-1e300,9e299", "-1e-50,-2e-50,-3", "0,0,-1"]
    lines = [f"{clip},{pairs[min(place, 3)]}" for place, clip in enumerate(CLIPS)]
    Path("preds.csv").write_text("\n".join([",".join(["clip_id", *NAMES]), *lines]), encoding="utf-8")
    found = bring(stores)
    predicted = evaluate(read_run(found.path), "last").predicted
    assert [predicted[clip] for clip in CLIPS] == [1, 0, 0, *[0] * 7]
    assert found.n_tied == 7
    shown = mer("import-predictions", "preds.csv", stores["casme2"], *FLAGS)
    assert (
        "note: 7 clips have the same best score for two classes; the first class of the scheme counts\n" in shown.stderr
    )


def test_the_same_file_is_up_to_date_and_another_is_another_run(stores):
    write_scores()
    first = mer("import-predictions", "preds.csv", stores["casme2"], *FLAGS)
    again = mer("import-predictions", "preds.csv", stores["casme2"], *FLAGS)
    assert first.stdout == again.stdout
    assert first.stdout.startswith("runs/casme2-mmnet3-mynet-tensorflow-plain-s1-")
    assert f"{STAMP}; nothing here can check it, nor that no held-out subject was trained on\n" in first.stderr
    assert "is up to date" not in first.stderr
    assert again.stderr.endswith(f"{first.stdout.strip()} is up to date\n")
    Path("preds.csv").write_bytes(Path("preds.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert not bring(stores).is_new
    write_scores(seed=1)
    other = mer("import-predictions", "preds.csv", stores["casme2"], *FLAGS)
    was = first.stdout.strip()
    assert other.stdout != first.stdout
    assert f"note: preds.csv changed since 4 of 4 folds of {was} were trained: this is another run.\n" in other.stderr
    assert bring(stores, epoch_rule="last of 60").is_new
    assert len(list(Path("runs").iterdir())) == 3


def test_an_interrupted_import_is_completed_by_the_command_that_the_list_names(stores):
    write_scores()
    path = bring(stores).path
    (path / "folds/casme2-02/done").unlink()
    run = read_run(path)
    assert train_command(run) == (
        f"mer import-predictions preds.csv {stores['casme2']} --name 'MyNet (TensorFlow)' --epoch-rule 'fixed 60 "
        "epochs' --scheme mmnet3 --seed 1"
    )
    with pytest.raises(RunError, match="Continue with: mer import-predictions preds.csv"):
        evaluate(run, "last")
    assert bring(stores).is_new
    assert not read_run(path).missing


def test_runs_of_one_name_that_differ_in_the_seed_are_one_configuration(stores):
    for seed in (1, 2):
        write_scores(seed)
        bring(stores, seed=seed)
    groups = group_seeds(collect_runs(Path("runs")).runs)
    assert [group.seeds for group in groups] == [(1, 2)]
    write_scores(seed=3)
    bring(stores, seed=2)  # a second file for seed 2: no file belongs with another
    assert sorted(group.seeds for group in group_seeds(collect_runs(Path("runs")).runs)) == [(1,), (2,), (2,)]
    bring(stores, seed=2, out=Path("runs/copy"))
    with pytest.raises(RunError, match="has the same configuration and seed 2"):
        group_seeds(collect_runs(Path("runs")).runs)


def test_a_null_control_is_told_from_other_predictions(stores):
    write_scores()
    run = read_run(bring(stores, shuffle_labels=True).path)
    assert run.config.shuffle_labels
    shown = mer("evaluate", run.path)
    assert "training labels permuted" in shown.stdout
    assert mer("runs").stdout.count(f"permuted labels, {STAMP}") == 1


def test_a_label_that_looks_like_a_formula_is_harmless_and_comes_back(tmp_path):
    emotions = {f"mylab/p{subject}/{clip}": ("=1+1", "smirk")[clip] for subject in range(3) for clip in range(2)}
    store = write_store(tmp_path / "mylab.h5", emotions)
    assert mer("folds", store, "--csv", "folds.csv").exit_code == 0
    with Path("folds.csv").open(newline="", encoding="utf-8") as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"", "'=1+1", "smirk"}
    for title in ("=1+1", "'=1+1"):
        write_scores(clips=sorted(emotions), names=("smirk", title))
        found = import_predictions(Path("preds.csv"), [store], name=f"with {title}", epoch_rule="last")
        assert found.plan.config.class_names == ("=1+1", "smirk")


# --- what is shown


def test_the_stamp_stands_wherever_the_scores_stand(stores):
    write_scores()
    path = bring(stores).path
    shown = mer("evaluate", path, "--export", "out.csv", "--export-megc", "megc.csv")
    assert (
        f"epoch rule       {STAMP} (nothing here can check it, nor that no held-out subject was trained on)"
        in shown.stdout
    )
    assert "faces            generated: not a result on any dataset" in shown.stdout
    assert f"note: megc.csv: {STAMP}; the columns fold, gt, pred can't say so\n" in shown.stderr
    with Path("out.csv").open(newline="", encoding="utf-8") as file:
        assert {row["epoch rule"] for row in csv.DictReader(file)} == {STAMP}
    assert f"generated faces, {STAMP}" in mer("runs").stdout
    refused = mer("evaluate", path, "--rule", "best-test")
    assert refused.stderr == (
        f"error: {path}: mynet-tensorflow was trained outside mer, so there are no epochs for best-test to choose "
        "from. Give --rule last, or leave the run out.\n"
    )


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
@pytest.mark.parametrize("table", ["summary", "methods"])
def test_every_table_has_the_stamp_in_every_format(stores, table, form):
    write_scores()
    bring(stores)
    shown = mer("report", "--table", table, "--format", form)
    assert shown.exit_code == 0, shown.stderr
    assert STAMP in " ".join(shown.stdout.split())
    if form not in ("latex", "csv"):
        assert "nothing here can check it, nor that no held-out subject was trained on" in shown.stdout


# --- mistakes


def refused(stores, expected, text=None, **changes):
    if text is not None:
        Path("preds.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        bring(stores, **changes)
    assert str(error.value) == expected
    assert not Path("runs").exists()


HEADER = ",".join(["clip_id", *NAMES])
ROWS = [f"{clip},1,2,3" for clip in CLIPS]
CLASSES = "a column for each class of mmnet3 (positive, surprise, negative)"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [HEADER, *ROWS[4:]],
            "preds.csv: lacks 4 of the 10 held-out clips: casme2/01/EP00, casme2/01/EP01, casme2/01/EP02 and 1 more. "
            "Expected a row for each. `mer folds --csv` writes them all.",
        ),
        (
            [HEADER, *ROWS[:-1]],
            "preds.csv: lacks 1 of the 10 held-out clips: casme2/04/EP01. Expected a row for each. `mer folds --csv` "
            "writes them all.",
        ),
        (
            [HEADER, *ROWS, "", ROWS[2]],
            "preds.csv row 13: clip casme2/01/EP02 is in row 4 already. Expected one row for each clip. Delete one of "
            "the two.",
        ),
        (
            [HEADER, "casme2/01/EP0O,1,2,3"],
            "preds.csv row 2: casme2-mmnet3/10 has no clip 'casme2/01/EP0O'. Did you mean 'casme2/01/EP02'?",
        ),
        (
            [HEADER, "casme2/01/EP99,1,2,3"],
            "preds.csv row 2: clip casme2/01/EP99 is left out by the scheme mmnet3. Delete the row.",
        ),
        ([HEADER, ",1,2,3"], "preds.csv row 2: has no clip_id. Expected the id of a held-out clip."),
        (
            [f"{HEADER},label", *(f"{row},0" for row in ROWS)],
            "preds.csv row 1: has the column 'label'. Predictions must not carry it: labels and folds are taken from "
            "the store. Delete the column.",
        ),
        (
            [f"{HEADER},Emotion", *(f"{row},0" for row in ROWS)],
            "preds.csv row 1: has the column 'Emotion'. Predictions must not carry it: labels and folds are taken from "
            "the store. Delete the column.",
        ),
        (
            ["clip_id,positiv,surprise,negative", *ROWS],
            "preds.csv row 1: Unknown column 'positiv'. Known: clip_id, positive, surprise, negative, predicted. Did "
            "you mean 'positive'?",
        ),
        (
            ["", "clip_id,positive,negative", "casme2/01/EP00,1,2"],
            f"preds.csv row 2: has no column 'surprise'. Expected {CLASSES}, or 'predicted' alone.",
        ),
        (
            ["clip_id,positive,positive,negative", *ROWS],
            "preds.csv row 1: there are two columns 'positive'. Delete the wrong one.",
        ),
        (
            [f"{HEADER},predicted", *ROWS],
            "preds.csv row 1: has the column 'predicted' and the column 'positive'. Expected "
            f"{CLASSES}, or 'predicted' alone. Delete one or the other.",
        ),
        (
            ["positive,surprise,negative", "1,2,3"],
            f"preds.csv row 1: has no column 'clip_id'. Expected it and {CLASSES}, or 'predicted'.",
        ),
        (
            [HEADER, *ROWS[:2], f"{ROWS[2]},4"],
            "preds.csv row 4: has more cells than the header. Expected one for each column.",
        ),
        (
            [HEADER, ROWS[0], f"{CLIPS[1]},1,nan,3"],
            "preds.csv row 3 (casme2/01/EP01): surprise is 'nan'. Expected a finite number, higher for the likelier "
            "class.",
        ),
        (
            [HEADER, f"{CLIPS[0]},1,two,3"],
            "preds.csv row 2 (casme2/01/EP00): surprise is 'two'. Expected a finite number, higher for the likelier "
            "class.",
        ),
        (
            [HEADER, f"{CLIPS[0]},1,1_000,3"],
            "preds.csv row 2 (casme2/01/EP00): surprise is '1_000'. Expected a finite number, higher for the likelier "
            "class.",
        ),
        (
            [HEADER, f"{CLIPS[0]},1,2"],
            "preds.csv row 2 (casme2/01/EP00): negative is empty. Expected a finite number, higher for the likelier "
            "class.",
        ),
        (
            ["clip_id,predicted", f"{CLIPS[0]},surprize"],
            "preds.csv row 2 (casme2/01/EP00): predicted: Unknown class 'surprize'. Known: positive, surprise, "
            "negative. Did you mean 'surprise'?",
        ),
        (["", "  "], "preds.csv: is empty. Expected a header, and a row for each held-out clip."),
        ([HEADER, ",,,"], "preds.csv: has no row below its header. Expected a row for each held-out clip."),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_row(stores, lines, expected):
    refused(stores, expected, "\n".join(lines))


def test_a_file_that_is_no_text_or_not_there_is_refused(stores):
    message = "preds.csv: is not a CSV in UTF-8 (row 2 holds a NUL character). Save it as CSV in UTF-8."
    refused(stores, message, "\n".join([HEADER, "\0", *ROWS]))
    message = (
        "preds.csv: the text is not UTF-8, and its encoding can't be told: its characters fit no encoding that is "
        'known here. Open it in the program that wrote it, and save it as "CSV UTF-8".'
    )
    refused(stores, message, "\n".join([HEADER, "радость,1,2,3"]).encode("cp1251"))
    Path("preds.csv").unlink()
    refused(stores, "preds.csv: can't be read (No such file or directory). Give the path of a CSV of predictions.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "  "}, "--name is empty. It stands beside the scores, so say it in words."),
        ({"epoch_rule": ""}, "--epoch-rule is empty. It stands beside the scores, so say it in words."),
        ({"name": "My\nNet"}, "--name has a character that can't be printed, U+000A. Leave it out."),
        ({"epoch_rule": "a\u202eb"}, "--epoch-rule has a character that can't be printed, U+202E. Leave it out."),
        (
            {"name": "=1+1"},
            "--name begins with '=', which spreadsheet programs take for a formula. Leave it out.",
        ),
        ({"name": "n" * 81}, "--name must have at most 80 characters, got 81."),
        (
            {"name": "MMNet"},
            "--name: 'mmnet' is the name of a method that mer knows. Say how yours differs, for example --name 'MMNet "
            "(TensorFlow)'.",
        ),
        (
            {"name": "微表情"},
            "--name: '微表情' has no letter from a to z and no digit, so no folder can be named after it. Add some.",
        ),
    ],
)
def test_a_name_or_a_rule_that_can_not_stand_in_a_table_is_refused(stores, changes, expected):
    write_scores()
    refused(stores, expected, **changes)


def test_a_clip_that_is_only_trained_on_is_refused(stores):
    Path("preds.csv").write_text("clip_id,negative,positive,surprise\ncasme2/01/EP00,1,2,3\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        import_predictions(
            Path("preds.csv"),
            [stores["casme2"]],
            test_stores=[stores["samm"]],
            name="MyNet",
            epoch_rule="last",
            scheme="megc3",
        )
    assert str(error.value) == (
        "preds.csv row 2: clip casme2/01/EP00 is only trained on in casme2-to-samm-megc3/10-to-3. Delete the row."
    )

"""What the labels allow, and the marks of scores above it, in `mer evaluate` and every format of a report."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from run_factory import write_run
from tiny_store import edited, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.evaluation.ceiling import CARE, ceiling_of
from mer_cli.evaluation.ceiling_sources import run_ceiling
from mer_cli.evaluation.epoch_rules import evaluate
from mer_cli.runs.directory import read_run
from mer_cli.runs.folds import cross_folds, loso_folds
from mer_cli.runs.run_config import RunStore

BOUND = "ceiling: any rule on the coded action units"
SIDES = "ceiling: any rule on the units and their sides"
TOLD = "ceiling: told the coded action units (reads the held-out clips' annotation)"
LACKING = "the casme2 store with the action units (content hash 000000000000) is not where the run was trained from"
OF_CLASS = ("12", "1+2", "4")
UNEVEN = (6, 4, 2)  # clips of each class; the first is the commonest in every fold's training clips


def mer(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def store_of(dataset, role, emotions, cells):
    """Write a store with these action units to data/; return what a run records of it."""
    Path("data").mkdir(exist_ok=True)
    path = write_store(Path(f"data/{dataset}.h5"), emotions)
    with edited(path) as file:
        file["clips/action_units"][:] = [cells[clip_id] for clip_id in file["clips/id"].asstr()[:]]
        content_hash = sha256(f"{Path.cwd()} {cells}".encode()).hexdigest()  # another store in each test
        file.attrs["content_hash"] = content_hash
    table = {"table_sha256": "1" * 64, "table_version": "20190701"}
    return RunStore(dataset=dataset, role=role, content_hash=content_hash, generated=False, **table)


def run_on_a_store(units_of, **changes):
    """A run whose store is where it was trained from; `units_of` gives the cell of a clip by its id and class."""
    plain = read_run(write_run(Path("plain"), **changes))
    cells = {clip_id: units_of(clip_id, label) for clip_id, label in plain.labels.items()}
    store = store_of("casme2", "loso", plain.emotions, cells)
    return write_run(Path("runs"), stores=(store,), **changes)


def always_right(clip_id, label):
    return OF_CLASS[label]


def never_coded(clip_id, label):
    return ""


def all_alike(clip_id, label):
    return "4"


def told_by_the_side(clip_id, label):
    return ("L4", "R4", "4")[label]


def partly_told_by_the_side(clip_id, label):
    return ("L4", "R4", "R4")[label]


def blocks_of(table):
    text = mer("report", "runs", "--table", table, "--format", "json").stdout
    (found,) = json.loads(text)["tables"]
    keys = [column["key"] for column in found["columns"]]
    rows = [
        {"kind": row["kind"], **dict(zip(keys, row["cells"], strict=True))}
        for block in found["blocks"]
        for row in block["rows"]
    ]
    notes = [note for holder in (found, *found["blocks"]) for note in holder["notes"]]
    return rows, notes


def run_on_two_stores(**changes):
    """A run on CASME II and SAMM whose stores are where it was trained from; the units tell all of CASME II only."""
    role = "dataset" if "by_dataset" in changes else "list"
    plain = read_run(write_run(Path("plain"), "megc3", datasets=("casme2", "samm"), **changes))
    cells = {id: OF_CLASS[label] if id.startswith("casme2") else "4" for id, label in plain.labels.items()}
    stores = []
    for dataset in ("casme2", "samm"):
        emotions = {id: emotion for id, emotion in plain.emotions.items() if id.startswith(dataset)}
        stores.append(store_of(dataset, role, emotions, cells))
    return read_run(write_run(Path("runs"), "megc3", datasets=("casme2", "samm"), stores=tuple(stores), **changes))


LISTS = {"a": ("casme2/01", "casme2/02", "samm/01"), "b": ("casme2/03", "casme2/04", "samm/02", "samm/03", "samm/04")}


def test_in_lists_of_several_datasets_each_has_the_ceiling_of_its_own_clips():
    run = run_on_two_stores(lists=LISTS)
    found = {dataset: run_ceiling(run, dataset).found for dataset in ("casme2", "samm")}
    assert {dataset: ceiling.n_clips for dataset, ceiling in found.items()} == {
        dataset: evaluate(run, "last", dataset).n_clips for dataset in found
    }
    assert found["casme2"].units.accuracy == 1
    assert found["samm"].units.accuracy < 0.5


def test_a_mean_over_datasets_has_no_ceiling_and_each_dataset_has():
    run = run_on_two_stores(by_dataset=True)
    assert run_ceiling(run).missing == "the scores are means over datasets, each of which has a ceiling of its own"
    assert run_ceiling(run, "casme2").found.units.accuracy == 1
    assert run_ceiling(run, "samm").found.units.accuracy < 0.5


def test_codes_that_tell_all_have_a_ceiling_of_100_and_nothing_is_marked():
    run_on_a_store(always_right, skill=9.0)
    for table in ("summary", "methods", "6"):
        rows, notes = blocks_of(table)
        found = {row["method"]["text"]: row for row in rows if row["kind"] == "ceiling"}
        assert list(found) == [BOUND, TOLD], table
        assert found[BOUND]["last_accuracy"]["value"] == found[BOUND]["last_uf1"]["value"] * 100 == 100
        assert found[TOLD]["last_accuracy"]["low"] == 100
        assert not [note for note in notes if note["mark"] in "†‡" and note["mark"]]
        assert sum(note["text"].startswith("ceiling: what the labels allow.") for note in notes) == 1


def test_a_score_above_what_the_codes_allow_is_marked_with_care():
    run_on_a_store(all_alike, skill=9.0, counts=UNEVEN)
    rows, notes = blocks_of("methods")
    (mmnet,) = (row for row in rows if row["kind"] == "method")
    bound, told = (row for row in rows if row["kind"] == "ceiling")
    assert [row["last_accuracy"]["value"] for row in (bound, told)] == [50, 50]  # every fold says the first class
    assert [row["last_uf1"]["text"][:5] for row in (bound, told)] == [".2222", ".2222"]
    assert (bound["best_test_accuracy"]["value"], bound["best_test_f1"]["text"]) == (50, "")
    assert told["best_test_accuracy"]["text"] == ""
    assert mmnet["last_accuracy"]["value"] == 100
    assert mmnet["last_accuracy"]["marks"] == mmnet["best_test_accuracy"]["marks"] == ["†"]
    assert not any(row[key]["marks"] for row in (bound, told) for key in ("last_accuracy", "best_test_accuracy"))
    text = f"Above 50.00 %, the most that any rule on the coded action units can reach on these clips. {CARE}"
    assert {"text": text, "mark": "†"} in notes


def test_the_table_of_an_ablation_has_the_ceilings_as_well():
    run_on_a_store(all_alike, counts=UNEVEN, variant="ca")
    rows, _ = blocks_of("3")
    assert [row["method"]["text"] for row in rows if row["kind"] == "ceiling"] == [BOUND, TOLD]


def test_a_score_that_only_sides_explain_has_the_first_mark():
    run_on_a_store(told_by_the_side, skill=9.0)
    rows, _ = blocks_of("methods")
    assert [row["method"]["text"] for row in rows if row["kind"] == "ceiling"] == [BOUND, SIDES, TOLD]
    (mmnet,) = (row for row in rows if row["kind"] == "method")
    assert mmnet["last_accuracy"]["marks"] == ["†"]


def test_a_score_above_the_bound_with_sides_has_the_second_mark_and_a_note_with_that_bound():
    run_on_a_store(partly_told_by_the_side, skill=9.0, counts=UNEVEN)
    rows, notes = blocks_of("methods")
    (mmnet,) = (row for row in rows if row["kind"] == "method")
    assert mmnet["last_accuracy"]["marks"] == ["‡"]
    text = f"Above 83.33 %, the most that any rule on the units and their sides can reach on these clips. {CARE}"
    assert [note for note in notes if note["mark"] in ("†", "‡")] == [{"text": text, "mark": "‡"}]


def test_a_published_number_is_marked_only_if_it_may_be_of_the_same_number_of_clips():
    paper = {"scheme": "casme2-5", "counts": (32, 27, 63, 28, 99), "subjects": 26}
    run_on_a_store(all_alike, skill=0.0, **paper)
    rows, _ = blocks_of("6")
    published = {row["method"]["text"]: row for row in rows if row["published_accuracy"]["value"]}
    bound = 100 * 99 / 249
    above = {
        name: "†" in row["published_accuracy"]["marks"]
        for name, row in published.items()
        if row["published_accuracy"]["value"] > bound
    }
    comparable = {
        name: "249" in row["published_clips"]["text"].split(" or ")
        for name, row in published.items()
        if row["published_accuracy"]["value"] > bound
    }
    assert above == comparable
    assert {True, False} == set(above.values())


def drawn(clip_id, label):
    digest = sha256(clip_id.encode()).digest()
    return "+".join(
        str(unit) for unit, byte in zip((1, 4, 12), digest, strict=False) if byte < 128 or unit == 1 + 3 * label
    )


def test_a_run_is_told_the_units_in_its_own_folds():
    run = read_run(run_on_a_store(drawn, counts=(9, 8, 7)))
    cells = {clip_id: drawn(clip_id, label) for clip_id, label in run.labels.items()}
    assert run_ceiling(run).found == ceiling_of(cells, run.labels, loso_folds(run.labels), 3)


def test_across_datasets_a_run_is_scored_on_its_test_dataset_alone_and_told_the_training_datasets_alone():
    protocol = {"scheme": "megc3", "datasets": ("samm", "smic"), "trained_on": ("casme2",)}
    plain = read_run(write_run(Path("plain"), **protocol))
    cells = {clip_id: drawn(clip_id, label) for clip_id, label in plain.labels.items()}
    of_dataset = {name: [clip for clip in cells if clip.startswith(f"{name}/")] for name in ("casme2", "samm", "smic")}
    stores = [
        store_of(name, "train" if name == "casme2" else "test", {clip: plain.emotions[clip] for clip in clips}, cells)
        for name, clips in of_dataset.items()
    ]
    run = read_run(write_run(Path("runs"), stores=stores, **protocol))
    found = run_ceiling(run, "samm").found
    assert found == ceiling_of(cells, run.labels, cross_folds(of_dataset["casme2"], of_dataset["samm"]), 3)
    assert found.n_clips == len(of_dataset["samm"])


def test_one_run_with_its_store_is_enough_for_a_protocol():
    moved = run_on_a_store(all_alike, seed=1, counts=UNEVEN)
    run_on_a_store(all_alike, seed=2, counts=UNEVEN)
    file = moved / "environment.json"
    file.write_text(file.read_text(encoding="utf-8").replace("data/casme2.h5", "gone/casme2.h5"), encoding="utf-8")
    assert "not known" in mer("evaluate", moved).stdout
    rows, _ = blocks_of("methods")
    assert [row["method"]["text"] for row in rows if row["kind"] == "ceiling"] == [BOUND, TOLD]


def test_a_run_without_its_store_has_no_ceiling_and_says_so():
    path = write_run(Path("runs"), skill=9.0)
    rows, notes = blocks_of("methods")
    assert not [row for row in rows if row["kind"] == "ceiling"]
    assert [note["text"] for note in notes if "eiling" in note["text"]] == [f"No ceiling: {LACKING}."]
    assert f"ceiling          not known: {LACKING}\n" in mer("evaluate", path).stdout


def test_a_store_with_other_content_is_not_read():
    path = run_on_a_store(always_right)
    write_store(Path("data/casme2.h5"), {"casme2/01/EP00": "happiness"})
    assert "not known: the casme2 store with the action units (content hash " in mer("evaluate", path).stdout


def test_a_dataset_without_action_units_has_no_ceiling_and_says_so():
    path = run_on_a_store(never_coded)
    _, notes = blocks_of("methods")
    assert "No ceiling: no action units are coded for casme2." in [note["text"] for note in notes]
    assert "ceiling          not known: no action units are coded for casme2\n" in mer("evaluate", path).stdout


def test_evaluate_says_what_the_labels_allow_and_that_a_score_is_above_it():
    path = run_on_a_store(all_alike, skill=9.0, counts=UNEVEN)
    lines = mer("evaluate", path).stdout.splitlines()
    assert [line for line in lines if "eiling" in line] == [
        "ceiling            any rule on the coded action units 50.00 % at most; told the coded action units (reads the "
        "held-out clips' annotation) 50.00 %, UF1 .2222",
        f"above the ceiling  of any rule on the coded action units. {CARE}",
    ]


def test_evaluate_marks_nothing_below_the_ceiling():
    path = run_on_a_store(always_right, skill=0.0)
    out = mer("evaluate", path).stdout
    assert "any rule on the coded action units 100.00 % at most" in out
    assert "above the ceiling" not in out


@pytest.mark.parametrize("name", ["markdown", "latex", "html", "csv", "json"])
def test_every_format_has_the_ceilings(name):
    run_on_a_store(all_alike, skill=9.0)
    text = mer("report", "runs", "--table", "methods", "--format", name).stdout
    assert "any rule on the coded action units" in text
    assert "reads the held-out clips" in text
    assert {"latex": "dag{}", "csv": "not a proof of a leak"}.get(name, "†") in text

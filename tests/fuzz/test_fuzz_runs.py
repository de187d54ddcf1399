"""Damage to the files of a run: it is scored as it was, or refused with an error that names it.

Twice: as a disk or a careless copy damages a run, whose checksums then tell; and as somebody edits an old run, which
has none. What such an edit makes of the scores nobody can tell, but it ends with a result, or an error that names the
run.
"""

import csv
import io
import json
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
from campaign import ERROR, Tally, campaign, damaged, damages, outcome, places, sizes
from hypothesis import strategies as st
from run_factory import forget_checksum, write_run

FOLDS = [f"folds/casme2-0{number}" for number in (1, 2, 3, 4)]
FILES = [
    "config.json",
    "clips.csv",
    "environment.json",
    *(f"{fold}/{name}" for fold in FOLDS[:2] for name in ("logits.npz", "history.csv", "done")),
    f"{FOLDS[0]}/environment.json",
]


def read(path):
    """Return the scores of a run under both rules, and its report as text."""
    from mer_cli.evaluation.epoch_rules import evaluate, usable_rules
    from mer_cli.evaluation.summary import prediction_table, summarise
    from mer_cli.report.build import build_report, table_ids
    from mer_cli.report.render import render
    from mer_cli.runs.directory import read_run

    run = read_run(path)
    summaries = [summarise(run, rule) for rule in usable_rules(run.config)]
    predictions = prediction_table(run, evaluate(run, "last"))
    report = build_report(table_ids("all"), [run], [])
    return [repr(summaries), predictions, render("csv", report.tables, report.runs, False)]


odd_values = st.sampled_from(
    [
        *(None, True, -1, 0, 3, 4, 1.5, 1e-9, 10**30, float("nan"), float("inf")),
        *("", "x" * 10_000, "\ud800", "\0", "=1", "../..", "9", "casme2/01/EP00", "mmnet3", "megc3", "last"),
        *([], {}, [[]] * 3, {"a": {}}, ["casme2"], [[[]]]),
    ]
)
cells = st.sampled_from(["", "0", "1", "2", "9", "-1", "\0", "x" * 10_000, "casme2/01/EP00", "casme2-01", "casme2-02"])
array_changes = st.sampled_from(["negate", "reverse", "shuffle", "zeros", "nan", "float64", "object", "drop", "fewer"])
zip_changes = st.sampled_from(["encrypt", "method", "size", "shape", "twice", "deep", "names", "version"])
mutations = st.one_of(
    st.tuples(st.just("bytes"), st.sampled_from(FILES), damages),
    st.tuples(
        st.just("json"), st.sampled_from([*FILES[:3:2], FILES[9]]), st.tuples(st.lists(places, max_size=5), odd_values)
    ),
    st.tuples(st.just("cell"), st.sampled_from(["clips.csv", FILES[4]]), st.tuples(places, places, cells)),
    st.tuples(st.just("array"), st.sampled_from(FILES[3:9:3]), st.tuples(st.booleans(), array_changes)),
    st.tuples(st.just("zip"), st.sampled_from(FILES[3:9:3]), zip_changes),
    st.tuples(st.just("kind"), st.sampled_from(FILES), st.sampled_from(["pipe", "zero", "folder", "loop", "gone"])),
    st.tuples(st.just("swap"), st.sampled_from(FILES[3:6]), st.sampled_from(["files", "folders", "copy"])),
)
cases = st.lists(mutations, min_size=1, max_size=3)


def mutate(path, kind, name, how):
    file = path / name
    if kind == "kind":
        replace_file(file, how)
    elif kind == "swap":
        swap(path, name, how)
    elif not file.is_file() or file.is_symlink():
        return  # an earlier mutation has taken it away
    elif kind == "bytes":
        file.write_bytes(damaged(file.read_bytes(), how))
    elif kind == "json":
        change_json(file, *how)
    elif kind == "cell":
        change_cell(file, *how)
    elif kind == "array":
        change_array(file, *how)
    else:
        file.write_bytes(change_zip(file.read_bytes(), how))


def replace_file(file, how):
    if file.is_dir():
        return
    file.unlink(missing_ok=True)
    if not file.parent.is_dir():
        return
    if how == "pipe":
        os.mkfifo(file)
    elif how == "zero":
        file.symlink_to("/dev/zero")
    elif how == "folder":
        file.mkdir()
    elif how == "loop":
        file.symlink_to(file)


def copy_fold(one, other):
    """Copy the regular files of a fold."""
    other.mkdir()
    for file in one.iterdir():
        if file.is_file() and not file.is_symlink():
            shutil.copy(file, other)


def swap(path, name, how):
    one, other = path / FOLDS[0], path / FOLDS[1]
    if how == "copy":
        shutil.rmtree(other)
        copy_fold(one, other)
    elif how == "folders":
        one.rename(path / "between")
        other.rename(one)
        (path / "between").rename(other)
    else:
        first, second = one / Path(name).name, other / Path(name).name
        if os.path.lexists(first) and os.path.lexists(second):
            first.rename(path / "between")
            second.rename(first)
            (path / "between").rename(second)


def change_json(file, shares, value):
    try:
        held = json.loads(file.read_bytes())
    except ValueError:
        return
    place, key = {"": held}, ""
    for share in shares:
        inner = place[key]
        keys = list(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else []
        if not len(keys):
            break
        place, key = inner, keys[int(share * len(keys))]
    place[key] = value
    file.write_text(json.dumps(place[""] if key == "" else held))


def change_cell(file, row_share, column_share, text):
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8", errors="replace"))))
    if rows:
        row = rows[int(row_share * len(rows))]
        row[int(column_share * len(row)) : int(column_share * len(row)) + 1] = [text]
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows(rows)
        file.write_text(written.getvalue(), encoding="utf-8")


def change_array(file, is_ids, change):
    try:
        with np.load(io.BytesIO(file.read_bytes())) as arrays:  # a damaged file would be left open
            held = dict(arrays)
    except Exception:
        return
    name = "clip_ids" if is_ids else "logits"
    array = held.pop(name, np.zeros(3))
    axis = array.ndim - 2 if array.ndim > 1 else 0
    changed = {
        "negate": lambda: array if is_ids else -array,
        "reverse": lambda: np.flip(array, axis),
        "shuffle": lambda: np.roll(array, 1, -1),
        "zeros": lambda: np.zeros_like(array),
        "nan": lambda: np.full(array.shape, np.nan, np.float32),
        "float64": lambda: np.zeros(array.shape),
        "object": lambda: array.astype(object),
        "drop": lambda: None,
        "fewer": lambda: np.take(array, [0], axis),
    }[change]()
    np.savez(file, **held, **({} if changed is None else {name: changed}))


def change_zip(content, how):
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    at = content.find(b"PK\1\2")
    if how in ("encrypt", "method", "size", "version"):  # fields of the first member in the archive's directory
        place, n, value = {
            "encrypt": (8, 2, 1),
            "method": (10, 2, 14),
            "size": (24, 4, 2**32 - 2),
            "version": (6, 2, 99),
        }[how]
        return content[: at + place] + value.to_bytes(n, "little") + content[at + place + n :]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return content
    if how == "shape":
        held = [(name, data.replace(b"(6,", b"(9999999999999,").replace(b" " * 13, b"", 1)) for name, data in held]
    elif how == "deep":
        held = [
            (name, data.replace(b"{'descr'", b"(" * 60 + b"{'descr'").replace(b" " * 60, b"", 1)) for name, data in held
        ]
    elif how == "names":
        held = [(f"../{name}", data) for name, data in held]
    written = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # on the same name twice
        for name, data in held * (1 + (how == "twice")):
            archive.writestr(zipfile.ZipInfo(name), data)
    return written.getvalue()


def undisturbed_run(folder):
    return write_run(folder, subjects=5, inner_val=2, machines=[{"device": "CPU", "threads": 1}] * 3)


@sizes
def test_a_run_that_was_damaged_is_scored_as_it_was_or_refused(n_cases, tmp_path):
    whole = undisturbed_run(tmp_path)
    path = tmp_path / "trial" / whole.name

    def tried(case):
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.copytree(whole, path)
        for mutation in case:
            mutate(path, *mutation)
        return outcome(read, path)

    _, undisturbed = tried([])
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=False))


@sizes
def test_a_run_without_checksums_is_read_or_refused_by_its_name(n_cases, tmp_path):
    whole = undisturbed_run(tmp_path).rename(tmp_path / "mine")
    forget_checksum(whole)
    for done in whole.glob("folds/*/done"):
        done.write_text("")
    path = tmp_path / "trial" / "mine"

    def tried(case):
        shutil.rmtree(path.parent, ignore_errors=True)
        shutil.copytree(whole, path)
        for mutation in case:
            mutate(path, *mutation)
        end, words = outcome(read, path)
        assert end != ERROR or str(path) in words, words
        return end, words

    _, undisturbed = tried([])
    campaign(n_cases, cases, tried, Tally(undisturbed, may_change=True))

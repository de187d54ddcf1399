"""`mer ceiling` on stores and coding tables: its lines, its JSON, and the text of each error."""

import json
from pathlib import Path

import pytest
from fake_dataset import ROWS, write_table
from tiny_store import EMOTIONS, edited, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app

TABLE = "CASME2-coding-20190701.xlsx"
CLIPS = (  # subject, clip, onset, apex, offset, units, emotion
    ("01", "EP02_01f", 46, 59, 86, 12, "happiness"),
    ("01", "EP03_02", 131, 161, 181, "4", "disgust"),
    ("02", "EP01_11f", 46, 51, 60, "12", "happiness"),
    ("02", "EP01_12", 46, 51, 60, "4", "others"),
    ("02", "EP01_13", 46, 51, 60, "R4 or ?", "others"),
    ("17", "EP06_02_01", 5, 9, 14, "4+L10", "disgust"),
    ("17", "EP06_03", 5, 9, 14, "", "fear"),
    ("17", "EP06_04", 5, 9, 14, "L4", "disgust"),
)
UNITS = dict(zip(EMOTIONS, ["12", "4", "4", "L12", "1+2"], strict=True))


def mer(*arguments):
    return CliRunner().invoke(app, ["ceiling", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def store_with(path, units=UNITS, **attributes):
    path.parent.mkdir(exist_ok=True)
    write_store(path, **attributes)
    with edited(path) as file:
        clip_ids = file["clips/id"].asstr()[:].tolist()
        file["clips/action_units"][:] = [units.get(clip_id, "") for clip_id in clip_ids]
    return path


def test_a_coding_table_is_enough_and_says_all_that_the_numbers_rest_on():
    write_table(Path(TABLE), CLIPS)
    result = mer(TABLE, "--scheme", "casme2-5")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"file          {TABLE}"
    assert lines[1].startswith(f"coding table  {TABLE} (not a published version), SHA-256 ")
    assert lines[2] == "clips         8 of casme2"
    assert "casme2-5/7" in lines[3]
    assert lines[4] == "classes          happiness 2, repression 0, disgust 3, surprise 0, others 2"
    assert lines[5] == "clips, subjects  7, 3"
    assert lines[6] == ("action units     4 different; clips with none 0, with alternatives or a doubt 1, unreadable 1")
    assert lines[7] == (
        "few subjects     Only 3 subjects: a 95 % interval over fewer than 15 is rough, and holds the true score less "
        "often than 95 times in 100."
    )
    header, units, told = (line.split("   ") for line in lines[8:11])
    assert [cell.strip() for cell in header if cell.strip()] == [
        *("ceiling", "accuracy %", "UF1", "UAR", "sets", "alone")
    ]
    # 12 twice, 4 three times (disgust, others, disgust), 4 with ? and 4 with 10 once: 6 of 7 are right.
    assert [cell.strip() for cell in units if cell.strip()] == [
        *("any rule on the coded action units", "85.71", ".5048", ".5000", "4", "2")
    ]
    assert told[0] == "told the coded action units (reads the held-out clips' annotation)"
    assert lines[12:] == [
        "any rule on the coded action units: each set of units is given the class that most of its clips have, counted "
        "on all clips. No other rule on the set is right more often; its UF1 and UAR are not bounds. A clip alone with "
        "its set (alone) is always right",
        "told: logistic regression on the units (C 1, nothing is chosen), leaving one subject out; it reads the "
        "held-out clips' annotation. [low, high]: 95 % interval, drawn over subjects",
        "Images hold more than the codes, such as timing and strength, and the folds of a run may follow different "
        "rules (under best-test the held-out clips choose them), so a score above the ceiling is not a proof of a "
        "leak. But no single rule on which units the coders saw can give it.",
    ]
    assert result.stderr == (
        "note: the action units of 1 of 8 clips can't be read, the first of casme2/02/EP01_13: 'R4 or ?', because of "
        "'?'; a part that can't be read counts as a unit of its own\n"
    )


def test_every_usual_scheme_of_the_dataset_has_a_block_and_json_has_them_all():
    write_table(Path(TABLE), CLIPS)
    found = json.loads(mer(TABLE, "--json").stdout)
    assert [each["protocol"] for each in found] == ["casme2-5/7", "casme2-mmnet3/6", "casme2-megc3/5"]
    first = found[0]
    uf1 = (1 + 6 / 7 + 2 / 3) / 5  # of the five classes two have no clip
    expected = {"accuracy": 6 / 7, "uf1": uf1, "uar": 2.5 / 5, "n_sets": 4, "n_alone": 2}
    assert first["any_rule"] == pytest.approx(expected)
    assert first["any_rule_with_sides"]["n_sets"] == 5
    assert first["told"]["note"] == "reads the held-out clips' annotation"
    assert first["told"]["accuracy"]["low"] <= first["told"]["accuracy"]["value"] <= first["told"]["accuracy"]["high"]
    assert first["classes"] == {"happiness": 2, "repression": 0, "disgust": 3, "surprise": 0, "others": 2}
    counts = ("clips", "subjects", "units", "clips_without_units", "clips_with_doubtful_units")
    assert [first[name] for name in counts] == [7, 3, 4, 0, 1]
    assert found[1]["clips_without_units"] == 1  # the clip of fear
    assert (first["dataset"], first["table_version"], first["generated"]) == ("casme2", "", False)


def test_a_store_gives_the_same_as_its_table_and_all_of_data_is_taken_if_none_is_named():
    store_with(Path("data/casme2.h5"))
    write_table(
        Path(TABLE),
        [(*clip_id.split("/")[1:], 1, 2, 3, UNITS[clip_id], emotion) for clip_id, emotion in EMOTIONS.items()],
    )
    of_store, of_table = (json.loads(mer(*given, "--json").stdout) for given in ([], [TABLE]))
    assert [each["file"] for each in of_store] == [str(Path("data/casme2.h5"))] * 3
    assert all(each["generated"] for each in of_store)
    for name in ("any_rule", "any_rule_with_sides", "told", "classes", "protocol"):
        assert [each[name] for each in of_store] == [each[name] for each in of_table]


def test_the_sides_have_a_row_if_they_raise_the_bound():
    store = store_with(Path("casme2.h5"), UNITS | {"casme2/02/EP01_01": "L12", "casme2/02/EP02_01": "12"})
    lines = mer(store, "--scheme", "casme2-5").stdout.splitlines()
    rows = [line.split("   ")[0] for line in lines if "any rule" in line][:2]
    assert rows == ["any rule on the coded action units", "any rule on the units and their sides"]
    assert lines[0] == "faces         generated: not a result on any dataset"


def test_a_generated_table_is_stamped(tmp_path):
    (tmp_path / "GENERATED.txt").write_text("faces", encoding="utf-8")
    write_table(tmp_path / "sub" / TABLE, CLIPS)
    assert mer(tmp_path / "sub" / TABLE).stdout.startswith("faces         generated: not a result on any dataset\n")


def test_rows_that_can_not_be_clips_are_told_and_counted():
    rows = [*CLIPS, ("01", "EP09_01", 1, 2, 3, "12", "joy"), ("02", "EP01_12", 1, 2, 3, "5", "others")]
    write_table(Path(TABLE), rows)
    result = mer(TABLE, "--scheme", "casme2-5")
    assert "clips         7 of casme2, 3 rows are not among them" in result.stdout
    notes = result.stderr.splitlines()
    assert notes[0] == (
        "note: casme2/02/EP01_12 is left out: row 5: the clip has a second row, row 11, with other values. Expected "
        "one row per clip. Delete the wrong one."
    )
    assert "row 11: the clip has a second row, row 5" in notes[1]
    assert notes[2].startswith("note: casme2/01/EP09_01 is left out: row 10: Unknown emotion 'joy'. Known: happiness, ")


def test_a_renamed_table_needs_its_dataset():
    write_table(Path("labels.xlsx"), ROWS)
    result = mer("labels.xlsx")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: labels.xlsx: can't tell whose coding table this is; its name is not one that the datasets' owners "
        "use. Say it: --dataset casme2, or --dataset table for a CSV of your own clips.\n",
    )
    assert mer("labels.xlsx", "--dataset", "CASME II", "--scheme", "casme2-5").exit_code == 0


def test_your_own_table_has_each_label_as_a_class():
    Path("My-lab.csv").write_text(
        "subject,clip,onset,apex,offset,label,path,action_units\n"
        "p1,a,,,,joy,p1/a,12\np1,b,,,,anger,p1/b,4\np2,c,,,,joy,p2/c,L12\n",
        encoding="utf-8",
    )
    (found,) = json.loads(mer("My-lab.csv", "--dataset", "table", "--json").stdout)
    assert (found["protocol"], found["classes"]) == ("my_lab-labels/3", {"anger": 1, "joy": 2})
    assert found["any_rule"]["accuracy"] == 1


def test_a_dataset_without_action_units_is_an_error_that_says_so():
    store = store_with(Path("smic.h5"), {})
    expected = (
        "error: smic.h5: none of its 5 clips has a coded action unit (SMIC's table has none), so they can't say what "
        "the labels allow. Leave it out, or give a store or a coding table with action units.\n"
    )
    result = mer(store)
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_scheme_that_keeps_no_coded_clip_is_an_error():
    write_table(Path(TABLE), [(*clip[:5], 4 if clip[6] == "fear" else "", clip[6]) for clip in CLIPS])
    result = mer(TABLE, "--scheme", "casme2-5")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {TABLE}: none of the 7 clips that scheme casme2-5 keeps has a coded action unit, so they can't say "
        "what its labels allow. Choose another --scheme.\n",
    )


def test_a_store_without_action_units_in_data_is_left_out_with_a_note():
    store_with(Path("data/smic.h5"), {})
    result = mer("--json")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {Path('data/smic.h5')}: no clip has a coded action unit, so they can't say what the labels allow. "
        "Give a store or a coding table with action units.\n",
    )
    store_with(Path("data/casme2.h5"))
    result = mer("--json")
    assert {each["file"] for each in json.loads(result.stdout)} == {str(Path("data/casme2.h5"))}
    assert f"note: {Path('data/smic.h5')} is left out: none of its clips has a coded action unit" in result.stderr


def test_flags_of_tables_have_no_effect_on_stores():
    store = store_with(Path("casme2.h5"))
    for flags in (["--dataset", "casme2"], ["--join-spellings"]):
        result = mer(store, *flags)
        assert (result.exit_code, result.stderr) == (
            1,
            f"error: {flags[0]} has no effect on a store, only on a coding table. Leave it out.\n",
        )


def test_one_subject_under_the_scheme_is_an_error_that_names_file_and_scheme():
    write_table(Path(TABLE), CLIPS[:2])
    result = mer(TABLE, "--scheme", "casme2-5")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {TABLE}: scheme casme2-5 keeps clips of 1 of its subjects (casme2/01). Expected at least 2, to leave "
        "one out. Choose another --scheme, or give a file with more subjects.\n",
    )


def test_a_folder_or_a_missing_file_is_an_error():
    Path("raw").mkdir()
    assert "raw: a folder, not a store." in mer("raw").stderr
    assert mer("no.h5").exit_code == mer("CASME2-coding.xlsx").exit_code == 1

"""`mer info`: what is printed of one store and of several, whole."""

import re
from pathlib import Path

import pytest
from tiny_store import EMOTIONS, SAMM_EMOTIONS, edited, make_clip, write_store
from typer.testing import CliRunner

from mer_cli.cli.main import app
from mer_cli.errors import StoreError
from mer_cli.store.hdf5 import StoreWriter, find_stores, read_store
from mer_cli.store.overview import describe_stores

FAILED = {"clip_id": "casme2/03/EP09_09", "emotion": "others", "reason": "row 7: no folder. Unpack it again."}
LEFT_OUT = {"clip_id": "casme2/03/EP09_10", "emotion": "fear", "reason": "row 8: no folder. Unpack it again."}
SMIC_EMOTIONS = {"smic/01/s1_ne_01": "negative", "smic/02/s2_po_01": "positive"}


def info(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()


def test_info_prints_provenance_counts_and_the_clips_that_make_a_difference():
    write_store(Path("data/casme2.h5"), table_version="20190701", failed=[LEFT_OUT, FAILED], errata=["one was mended."])
    content_hash = read_store(Path("data/casme2.h5")).content_hash
    result = info()
    assert result.exit_code == 0, result.stderr
    assert (
        result.stdout
        == f"""\
faces         generated: no score on them is a result on the dataset
store         data/casme2.h5
dataset       casme2, raw images
clips         5 (0 repaired), 2 failed
subjects      3
coding table  CASME2-coding-20190701.xlsx (20190701), SHA-256 abababababab
whole clips   none (mer preprocess --clips adds them)
crop          box, predictor SHA-256 cdcdcdcdcdcd
content hash  {content_hash[:12]}

Table 1: clips of each class, tasks of five and of four classes
             casme2-5/5  published
happiness             2         32
repression            0         27
disgust               2         63
surprise              1         28
others                0         99
all clips             5        249
subjects              3         26

Table 2: clips of each class, tasks of three classes
            casme2-mmnet3/5  published
positive                  2         32
surprise                  1         28
negative                  2         96
all clips                 5        156
subjects                  3         25

scheme casme2-7
             casme2-7/5  published
happiness             2         32
repression            0         27
disgust               2         63
surprise              1         28
others                0         99
sadness               0          4
fear                  0          2
all clips             5        255
subjects              3         26

scheme casme2-4
            casme2-4/5  published
positive             2         32
negative             2         96
surprise             1         28
others               0         99
all clips            5        255
subjects             3         26

scheme megc3
            casme2-megc3/5  published
negative                 2         88
positive                 2         32
surprise                 1         25
all clips                5        145
subjects                 3         24

casme2/03/EP09_09 (others) failed: row 7: no folder. Unpack it again. casme2-5 has 1 others fewer; casme2-7 has 1 \
others fewer; casme2-4 has 1 others fewer.
casme2/03/EP09_10 (fear) failed: row 8: no folder. Unpack it again. mmnet3 has 1 negative fewer; casme2-7 has 1 \
fear fewer; casme2-4 has 1 negative fewer.
warning: casme2-5: the store holds happiness 2, repression 0, disgust 2, surprise 1, others 0 of 3 subjects. \
Expected happiness 32, repression 27, disgust 63, surprise 28, others 99 of 26 subjects with table 20190701 of \
casme2. `mer info` lists the clips that failed.
warning: mmnet3: the store holds positive 2, surprise 1, negative 2 of 3 subjects. Expected positive 32, surprise 28, \
negative 96 of 25 subjects with table 20190701 of casme2. `mer info` lists the clips that failed.
warning: megc3: the store holds negative 2, positive 2, surprise 1 of 3 subjects. Expected negative 88, positive 32, \
surprise 25 of 24 subjects with table 20190701 of casme2. `mer info` lists the clips that failed.
erratum: one was mended.
"""
    )


def test_info_tells_that_a_table_was_edited_and_how_it_was_read():
    differing = ["row 61 (04/EP12_01f): apex '279', published '/'", "row 3 (16/EP01_08): offset '96', published '110'"]
    told = {"table_notes": ["coding.csv: read as UTF-16"], "table_differences": differing}
    write_store(Path("data/casme2.h5"), table_version="20190701", **told)
    printed = info().stdout
    assert (
        "coding table  CASME2-coding-20190701.xlsx (counts as 20190701, 2 cells differ), SHA-256 abababababab"
        in printed
    )
    assert "\ncoding.csv: read as UTF-16\n" in printed
    assert (
        "\nthe coding table counts as 20190701, but differs from it in known cells: "
        "row 61 (04/EP12_01f): apex '279', published '/'; row 3 (16/EP01_08): offset '96', published '110'\n"
    ) in printed


def test_info_sets_datasets_side_by_side_and_adds_up_megc_2019():
    write_store(Path("data/casme2.h5"))
    write_store(Path("data/samm.h5"), SAMM_EMOTIONS)
    write_store(Path("data/smic.h5"), SMIC_EMOTIONS)
    counts = info().stdout.split("\n\n", 3)[3]
    assert (
        re.sub(r" +$", "", counts, flags=re.MULTILINE)
        == """\
Table 1: clips of each class, tasks of five and of four classes
             casme2-5/5  published   samm-5/3  published
happiness             2         32          1         26
repression            0         27
disgust               2         63
surprise              1         28          1         15
others                0         99          0         26
anger                                       1         57
contempt                                    0         12
all clips             5        249          3        136
subjects              3         26          2         27

Table 2: clips of each class, tasks of three classes
            casme2-mmnet3/5  published   samm-3/3  published
positive                  2         32          1         26
surprise                  1         28          1         15
negative                  2         96          1         92
all clips                 5        156          3        133
subjects                  3         25          2         28

scheme casme2-7
             casme2-7/5  published
happiness             2         32
repression            0         27
disgust               2         63
surprise              1         28
others                0         99
sadness               0          4
fear                  0          2
all clips             5        255
subjects              3         26

scheme casme2-4
            casme2-4/5  published
positive             2         32
negative             2         96
surprise             1         28
others               0         99
all clips            5        255
subjects             3         26

scheme megc3
            casme2-megc3/5  published   samm-megc3/3  published   smic-megc3/2  published   megc2019-cde/10  published
negative                 2         88              1         92              1         70                 4        250
positive                 2         32              1         26              1         51                 4        109
surprise                 1         25              1         15              0         43                 2         83
all clips                5        145              3        133              2        164                10        442
subjects                 3         24              2         28              2         16                 7         68

scheme smic-3
            smic-3/2  published
negative           1         70
positive           1         51
surprise           0         43
all clips          2        164
subjects           2         16

"""
    )


def test_info_names_the_clips_that_the_table_of_2014_has_otherwise():
    write_store(Path("data/casme2.h5"), table_version="20140508", generated=False)
    lines = info("data/casme2.h5").stdout.splitlines()
    for name in ("EP07_01", "EP07_04f", "EP10_03"):
        assert (
            f"casme2/24/{name} is sadness in table 20140508, surprise in 20190701. casme2-5 has it as left out, "
            "published as surprise; mmnet3 has it as negative, published as surprise; casme2-7 has it as sadness, "
            "published as surprise; casme2-4 has it as negative, published as surprise."
        ) in lines
    older = [found for line in lines if (found := re.match(r"warning: .* under (\S+) it gives", line))]
    assert [found.group(1) for found in older] == ["casme2-5", "mmnet3"]


def test_info_shows_a_dataset_of_ones_own_by_its_labels():
    write_store(Path("data/mine.h5"), {"mine/a/1": "smile", "mine/b/1": "frown", "mine/b/2": "frown"})
    shown = info().stdout
    assert "coding table  CASME2-coding-20190701.xlsx (your own)" in shown
    assert shown.endswith("""\

scheme labels
            mine-labels/3  published
frown                   2          –
smile                   1          –
all clips               3          –
subjects                2          –

""")


def test_info_without_a_store_says_how_to_make_one():
    result = info()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: data: holds no store (.h5 file). Name a store, or make one: mer preprocess casme2 RAW.\n"
    )


def test_find_stores_gives_all_of_a_folder_by_name(tmp_path):
    for name in ("samm.h5", "casme2.h5", "notes.txt"):
        (tmp_path / name).touch()
    assert find_stores(tmp_path) == [tmp_path / "casme2.h5", tmp_path / "samm.h5"]
    with pytest.raises(StoreError, match="holds no store"):
        find_stores(tmp_path / "none")


def test_describe_stores_counts_the_apexes_that_were_not_annotated(tmp_path):
    notes = dict(
        zip(
            EMOTIONS,
            (
                "apex '/' is no frame number: the midpoint 70 is taken",
                "apex not annotated: the midpoint 71 is taken",
                "apex not annotated: frame 71 has the strongest motion",
                "face found by hog+upsample1",
                "",
            ),
            strict=True,
        )
    )
    path = write_store(tmp_path / "plain.h5")
    attributes = {name: value for name, value in read_store(path).attributes.items() if name != "schema_version"}
    with StoreWriter(tmp_path / "noted.h5", len(notes)) as writer:
        for clip_id, note in notes.items():
            clip = make_clip(clip_id, "disgust")
            clip.columns.update(note=note, apex=71, status="repaired" if note else "ok")
            writer.append(clip)
        writer.finish(attributes)
    facts = dict(describe_stores([read_store(tmp_path / "noted.h5")]).facts[0])
    assert facts["apexes"] == "not annotated: 1 by the strongest motion, 1 at the midpoint"
    assert facts["clips"] == "5 (4 repaired), 0 failed"
    assert "apexes" not in dict(describe_stores([read_store(path)]).facts[0])


def test_info_tells_of_action_units_that_cannot_be_read():
    store = write_store(Path("data/casme2.h5"))
    with edited(store) as file:
        file["clips/action_units"][2], file["clips/action_units"][3] = "4+frown", "4"
    assert info().stdout.splitlines()[-1] == (
        "warning: the action units of 1 of 5 clips can't be read, the first of casme2/02/EP01_01: '4+frown', because "
        "of 'frown'. Expected numbers up to 98, as in '4+L10', 'A1B+A2C' or 'L12 or L14'. augcn-flow does not train on "
        "such clips: correct the coding table."
    )

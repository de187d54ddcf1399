"""Tables 1 and 2: published counts, and those of tiny stores beside them."""

import pytest
from tiny_store import SAMM_EMOTIONS, write_store

from mer_cli.report.count_tables import build_count_table
from mer_cli.report.model import Cell
from mer_cli.store.hdf5 import read_store

COMMAND = "`mer preprocess {} RAW`"


@pytest.fixture
def store(tmp_path):
    """Writes a store of a few clips, real unless told otherwise."""

    def write(name="casme2.h5", generated=False, version="20190701", **changes):
        path = write_store(tmp_path / name, generated=generated, table_version=version, **changes)
        return read_store(path)

    return write


def texts(table, block=0):
    return [[cell.text for cell in row.cells] for row in table.blocks[block].rows]


def notes(table, block=0):
    return [note.text for note in table.blocks[block].notes]


def column(table, key, block=0):
    place = [column.key for column in table.columns].index(key)
    return {row.cells[0].text: row.cells[place] for row in table.blocks[block].rows}


def test_without_a_store_table_1_has_the_published_counts_and_the_commands_for_ours():
    table = build_count_table(1, [])
    assert [(column.key, column.heading, column.group) for column in table.columns] == [
        ("class", "Class", ""),
        ("casme2_published", "casme2-5/249", "published"),
        ("samm_published", "samm-5/136", "published"),
        ("mmew_published", "mmew-4/263", "published"),
    ]
    assert texts(table) == [
        ["happiness", "32", "26", "36"],
        ["repression", "27", "", ""],
        ["disgust", "63", "", "72"],
        ["surprise", "28", "15", "89"],
        ["others", "99", "26", "66"],
        ["anger", "", "57", ""],
        ["contempt", "", "12", ""],
        ["all clips", "249", "136", "263"],
        ["subjects", "26", "27", "–"],
    ]
    assert table.title == "Clips of each class, tasks of five and of four classes"
    assert notes(table) == [
        "Published: the paper's clips, from the usual coding tables (casme2 20190701, samm v2, mmew 300). The numbers "
        "of subjects are from those tables; the paper doesn't give them.",
        "–: not published.",
        f"Not counted here yet: {', '.join(COMMAND.format(name) for name in ('casme2', 'samm', 'mmew'))}.",
    ]


def test_without_a_store_table_2_has_the_three_class_tasks():
    table = build_count_table(2, [])
    assert [column.heading for column in table.columns] == ["Class", "casme2-mmnet3/156", "samm-3/133"]
    assert texts(table) == [
        ["positive", "32", "26"],
        ["surprise", "28", "15"],
        ["negative", "96", "92"],
        ["all clips", "156", "133"],
        ["subjects", "25", "28"],
    ]
    assert {row.kind for row in table.blocks[0].rows} == {"count"}


def test_a_store_is_counted_beside_the_published_counts_and_what_differs_is_marked(store):
    table = build_count_table(1, [store()])
    here = column(table, "casme2_here")
    assert {name: cell.text for name, cell in here.items() if cell.text} == {
        "happiness": "2", "repression": "0", "disgust": "2", "surprise": "1", "others": "0",
        "all clips": "5", "subjects": "3",
    }  # fmt: skip
    assert here["disgust"] == Cell("2", 2.0, marks=("a",))
    assert here["anger"] == Cell()
    assert notes(table)[-2:] == [
        f"Not counted here yet: {COMMAND.format('samm')}, {COMMAND.format('mmew')}.",
        "casme2-5 here: `casme2.h5`, casme2-5/5, coding table CASME2-coding-20190701.xlsx (20190701), "
        "SHA-256 abababababab. Marked counts differ from the published ones; "
        "`mer info` lists clips that failed or changed class.",
    ]
    assert [note.mark for note in table.blocks[0].notes if note.mark] == ["a"]


def test_a_count_that_is_the_published_one_has_no_mark(store):
    clips = {f"samm/{k % 28:03d}/clip{k}": emotion for k, emotion in enumerate(["surprise"] * 15 + ["anger"] * 3)}
    here = column(build_count_table(2, [store("samm.h5", emotions=clips)]), "samm_here")
    assert (here["surprise"].marks, here["negative"].marks) == ((), ("a",))


def test_generated_faces_stand_apart(store):
    table = build_count_table(1, [store(), store("drawn.h5", generated=True, emotions=SAMM_EMOTIONS)])
    assert [(block.heading, block.generated) for block in table.blocks] == [
        ("Clips of each class", False),
        ("Generated faces: not a result on any dataset", True),
    ]
    assert {cell.text for cell in column(table, "samm_here").values()} == {""}
    assert column(table, "samm_here", block=1)["anger"].text == "1"
    assert {cell.text for cell in column(table, "casme2_here", block=1).values()} == {""}
    assert f"Not counted here yet: {COMMAND.format('samm')}, {COMMAND.format('mmew')}." in notes(table)
    assert [text.partition(",")[0] for text in notes(table, block=1)] == ["samm-5 here: `drawn.h5`"]


def test_two_stores_of_a_dataset_have_a_column_each_whatever_their_order(store):
    stores = [store("raw.h5"), store("cropped.h5", emotions={"casme2/01/EP01_01": "happiness"})]
    table = build_count_table(1, stores)
    assert [(column.key, column.heading) for column in table.columns[-2:]] == [
        ("casme2_here_1", "casme2-5 (1)"),
        ("casme2_here_2", "casme2-5 (2)"),
    ]
    assert column(table, "casme2_here_1")["all clips"] == Cell("1", 1.0, marks=("a",))
    assert column(table, "casme2_here_2")["all clips"] == Cell("5", 5.0, marks=("b",))
    assert build_count_table(1, stores[::-1]) == table


def test_a_dataset_that_the_table_does_not_have_is_left_out(store):
    smic = store("smic.h5", version="HS", emotions={"smic/01/s1_ne_01": "negative"})
    assert build_count_table(1, [smic]) == build_count_table(1, [])
    assert build_count_table(2, [smic]) == build_count_table(2, [])

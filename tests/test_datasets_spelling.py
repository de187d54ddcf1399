"""One person, label or clip under two spellings, and cells that hold no name."""

import pytest
from fake_dataset import write_frames
from layout_trees import RELEASES

from mer_cli.datasets.registry import load_release
from mer_cli.datasets.spelling import looks, means, spelt
from mer_cli.errors import DatasetError

HEADER = "subject,clip,onset,apex,offset,label,path"
ZERO_WIDTH, SOFT_HYPHEN, NO_BREAK = "\u200b", "\u00ad", "\u00a0"


def load(root, *rows, name="lab.csv", **options):
    for folder in ("a", "b"):
        write_frames(root / folder, range(1, 11))
    table = root / name
    table.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return load_release("table", root, table=table, **options)


def reasons(root, *rows):
    return [failed.reason for failed in load(root, *rows).failed]


SAME_PERSON = [
    ("001", "1"),
    ("p2", "p２"),
    ("p1", f"p1{ZERO_WIDTH}"),
    ("p1", "\ufeffp1"),
    ("p1", f"p{SOFT_HYPHEN}1"),
    ("p 1", f"p{NO_BREAK}1"),
    ("p01", "P01"),
    ("S1", "s01"),
    ("1", "1.0"),
    ("p1", "p\u0661"),  # an Arabic digit
    ("ﬁona", "fiona"),
]


@pytest.mark.parametrize(("first", "second"), SAME_PERSON)
def test_one_person_under_two_ids_is_refused(tmp_path, first, second):
    with pytest.raises(DatasetError, match=r"lab\.csv: row 3: subject '.*' is spelt '.*' in row 2\. They"):
        load(tmp_path, f"{first},c1,1,5,9,happy,a", f"{second},c2,1,5,9,sad,b")


@pytest.mark.parametrize(("first", "second"), SAME_PERSON)
def test_spellings_are_joined_where_the_user_says_so(tmp_path, first, second):
    release = load(tmp_path, f"{first},c1,1,5,9,happy,a", f"{second},c2,1,5,9,sad,b", join_spellings=True)
    sentence = f"subject '{spelt(second)}' joined with '{spelt(first)}' of row 2"
    assert [(clip.clip_id, clip.repairs) for clip in release.clips] == [
        (f"lab/{first}/c1", ()),
        (f"lab/{first}/c2", (sentence,)),
    ]
    assert release.errata == (sentence,)


@pytest.mark.parametrize(("first", "second"), [("p1", "p10"), ("p10", "p1"), ("p1", "p1b"), ("1_2", "12"), ("a", "b")])
def test_two_people_are_not_taken_for_one(tmp_path, first, second):
    release = load(tmp_path, f"{first},c1,1,5,9,happy,a", f"{second},c2,1,5,9,sad,b")
    assert {clip.subject for clip in release.clips} == {first, second}


def test_the_error_shows_both_spellings_and_both_rows_and_what_to_do(tmp_path):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, "p2,c1,1,5,9,happy,a", "p3,c2,1,5,9,sad,b", "p２,c3,1,5,9,sad,b")
    assert str(error.value) == (
        f"{tmp_path}/lab.csv: row 4: subject 'p\\uff12' is spelt 'p2' in row 2. They seem to be one person, who would "
        "be trained on and tested on at once. Use one spelling, or add --join-spellings to take the first one for both."
        " If they are two people, give one of them another name in every row, such as 'p2-b'."
    )


@pytest.mark.parametrize("second", ["Happy", f"happy{ZERO_WIDTH}", f"hap{SOFT_HYPHEN}py", "ｈappy"])
def test_one_label_in_two_spellings_is_refused(tmp_path, second):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, "p1,c1,1,5,9,happy,a", f"p2,c2,1,5,9,{second},b")
    assert str(error.value) == (
        f"{tmp_path}/lab.csv: row 3: label '{spelt(second)}' is spelt 'happy' in row 2. They seem to be one class. Use "
        "one spelling, or add --join-spellings to take the first one for both. If they are two classes, give one of "
        "them another name in every row, such as 'happy-b'."
    )


def test_one_clip_in_two_spellings_fails_in_both_rows(tmp_path):
    assert reasons(tmp_path, "p1,c1,1,5,9,happy,a", f"p1,c1{ZERO_WIDTH},1,5,9,happy,b") == [
        "row 2: the clip is spelt 'c1\\u200b' in row 3 and 'c1' here, with other values. Delete the wrong row, or give "
        "one of two clips another name.",
        "row 3: the clip is spelt 'c1' in row 2 and 'c1\\u200b' here, with other values. Delete the wrong row, or give "
        "one of two clips another name.",
    ]


def test_clips_of_one_subject_may_differ_in_a_leading_zero(tmp_path):
    assert len(load(tmp_path, "p1,smile_1,1,5,9,happy,a", "p1,smile_01,1,5,9,happy,b").clips) == 2


@pytest.mark.parametrize("label", ["nan", "NaN", "NULL", "<NA>", "#N/A", "#VALUE!", "#DIV/0!"])
def test_a_cell_without_a_value_is_not_a_class(tmp_path, label):
    assert reasons(tmp_path, f"p1,c1,1,5,9,{label},a") == [
        f"row 2: the label is '{label}', which stands for a cell without a value. Fill it in."
    ]


@pytest.mark.parametrize(("cell", "said"), [("", "blank"), (ZERO_WIDTH, "blank"), ("nan", "'nan'"), ("#N/A", "'#N/A'")])
def test_a_blank_subject_is_told_as_a_merged_cell(tmp_path, cell, said):
    assert reasons(tmp_path, "p1,c1,1,5,9,happy,a", f"{cell},c2,1,5,9,happy,b") == [
        f"row 3: the subject is {said}. Probably its cell was merged with others: only the first row of a merged cell "
        "holds its value. Unmerge the cells, and write the subject into every row."
    ]


@pytest.mark.parametrize("dataset", ["casme2", "samm", "smic", "casme3"])
def test_a_blank_subject_in_a_released_table_is_told_as_a_merged_cell(tmp_path, dataset):
    release = RELEASES[dataset]
    first, second, *rest = release.rows
    root = release.write(tmp_path, [first, ("", *second[1:]), *rest])
    failed = load_release(release.dataset, root).failed
    assert ["the subject is blank. Probably its cell was merged" in clip.reason for clip in failed] == [True]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("p1,,1,5,9,x,a", "the clip name is blank. Write it into every row; a merged cell holds it in one row only."),
        ("p1,c,1,5,9,x,", "the path is blank. Fill it in; a merged cell holds it in one row only."),
        ("p\x1b[31m1,c,1,5,9,x,a", "the subject 'p\\x1b[31m1' holds the control character U+001B. Correct the table."),
        ("p1,c\x85d,1,5,9,x,a", "the clip name 'c\\x85d' holds the control character U+0085. Correct the table."),
        ("p1,c,1,5,9,x\x07y,a", "the label 'x\\x07y' holds the control character U+0007. Correct the table."),
        (
            f"p1,{'c' * 10_000},1,5,9,x,a",
            f"the clip name '{'c' * 40}...{'c' * 40}' is too long, with 10000 bytes. Expected at most 200. Shorten it "
            "in the table.",
        ),
        (
            f"p1,c,1,5,9,x,{'a' * 10_000}",
            f"path '{'a' * 40}...{'a' * 40}' can't be looked up (File name too long). Correct the table.",
        ),
    ],
)
def test_a_name_that_no_file_can_have_fails_with_its_row(tmp_path, row, expected):
    assert reasons(tmp_path, row) == [f"row 2: {expected}"]


def test_a_failed_clip_of_an_endless_name_is_listed_in_short(tmp_path):
    (failed,) = load(tmp_path, f"p1,{'c' * 10_000},1,5,9,x,a").failed
    assert failed.clip_id == f"lab/p1/{'c' * 40}...{'c' * 40}"


def test_a_table_with_an_endless_name_is_refused(tmp_path):
    with pytest.raises(DatasetError) as error:
        load(tmp_path, "p1,c,1,5,9,x,a", name=f"{'l' * 60}.csv")
    assert str(error.value) == (
        f"{'l' * 60}.csv: the dataset, named after the file, would have a name of 60 letters. Expected at most 50. "
        "Rename the file, for example to mylab.csv."
    )


def test_keys_leave_out_what_is_not_seen_and_leading_zeros():
    assert looks("Ｐ 1\u2060\ufe0f") == "p 1"
    assert looks("001") == "001"
    assert means("S01_0010") == "s1_10"
    assert means("0") == means("000") == "0"
    assert means("100") == "100"


def test_spelt_shows_what_can_be_taken_for_something_else():
    assert spelt("é müller 李") == "é müller 李"
    assert spelt("e\u0301\u2028\u202e") == "e\\u0301\\u2028\\u202e"

"""Counts beside the published ones, and which clips make them differ."""

import pytest

from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.schemes import SCHEMES
from mer_cli.records import FailedClip
from mer_cli.store.counts import Contents, Count, count_tables, count_warnings, differences, table_fact

# Clips of each emotion that MEGC 2019 takes, and over how many subjects they are dealt out.
MEGC_2019 = {
    "casme2": ({"disgust": 61, "repression": 27, "happiness": 32, "surprise": 25}, 24),
    "samm": ({"anger": 57, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6, "happiness": 26, "surprise": 15}, 28),
    "smic": ({"negative": 70, "positive": 51, "surprise": 43}, 16),
}


def contents(dataset, emotions, version="", name="store.h5", failed=()):
    return Contents(name, dataset, version, emotions, tuple(failed))


def dealt_out(dataset):
    """Clips of a dataset as MEGC 2019 takes them; subjects have the same numbers in every dataset."""
    counts, n_subjects = MEGC_2019[dataset]
    emotions = [emotion for emotion, count in counts.items() for _ in range(count)]
    return {f"{dataset}/{k % n_subjects:02d}/clip{k}": emotion for k, emotion in enumerate(emotions)}


def table_of(tables, title):
    return next(table for table in tables if table.title == title)


def test_count_tables_reach_the_published_composite_with_subjects_kept_apart():
    held = [contents(dataset, dealt_out(dataset)) for dataset in MEGC_2019]
    table = table_of(count_tables(held), "scheme megc3")
    assert [column.heading for column in table.columns] == [
        "casme2-megc3/145",
        "samm-megc3/133",
        "smic-megc3/164",
        "megc2019-cde/442",
    ]
    assert dict(table.columns[-1].classes) == {
        "negative": Count(250, 250),
        "positive": Count(109, 109),
        "surprise": Count(83, 83),
    }
    assert (table.columns[-1].all_clips, table.columns[-1].subjects) == (Count(442, 442), Count(68, 68))


def test_count_tables_show_no_composite_of_two_stores_of_one_dataset_and_tell_them_apart():
    held = [contents(dataset, dealt_out(dataset)) for dataset in MEGC_2019]
    held.append(contents("smic", dealt_out("smic"), name="cropped.h5"))
    columns = table_of(count_tables(held), "scheme megc3").columns
    assert [column.heading for column in columns][2:] == ["smic-megc3/164 in store.h5", "smic-megc3/164 in cropped.h5"]


@pytest.mark.parametrize(("version", "published"), [("test-B", 58), ("training+test-B", 606), ("", None)])
def test_count_tables_compare_a_dataset_that_comes_in_parts_with_the_parts_that_are_there(version, published):
    tables = count_tables([contents("dfme", {"dfme/sub0001/sub0001_01": "disgust"}, version)])
    assert table_of(tables, "scheme dfme-7").columns[0].classes["disgust"] == Count(1, published)


def test_count_tables_leave_out_what_no_dataset_at_hand_is_in():
    tables = count_tables([contents("mmew", {"mmew/S01/S01-01-001": "happiness"})])
    assert [table.title for table in tables] == [
        "Table 1: clips of each class, tasks of five and of four classes",
        "scheme mmew-6",
        "scheme mmew-3",
    ]
    (column,) = tables[0].columns
    assert column.classes["happiness"] == Count(1, 36)
    assert column.subjects == Count(1, None)  # nobody published how many subjects the 263 clips have


def test_count_tables_of_an_empty_dataset_of_ones_own_are_none():
    assert count_tables([contents("mine", {})]) == ()


def test_count_tables_keep_labels_apart_from_the_sums():
    held = contents("mine", {"mine/a/1": "subjects", "mine/a/2": "all clips", "mine/a/3": "all clips"})
    (table,) = count_tables([held])
    assert [(name, cell.found) for name, (cell,) in table.rows] == [
        ("all clips", 2),
        ("subjects", 1),
        ("all clips", 3),
        ("subjects", 1),
    ]


def test_count_differs_only_from_a_published_count():
    assert Count(3, 4).differs
    assert not Count(4, 4).differs
    assert not Count(4, None).differs


def test_differences_name_each_failed_clip_and_the_counts_it_is_missing_from():
    failed = (
        FailedClip("casme2/05/EP03_02", "disgust", "row 9: no folder"),
        FailedClip("casme2/04/EP12_01f", "disgust", "row 8: it has a face of 3 pixels."),
        FailedClip("casme2/09/EP01", "smirk", "row 10: emotion 'smirk' is unknown."),
    )
    assert [difference.sentence for difference in differences(contents("casme2", {}, failed=failed))] == [
        # MEGC 2019's list does not have this clip
        "casme2/04/EP12_01f (disgust) failed: row 8: it has a face of 3 pixels. casme2-5 has 1 disgust fewer; "
        "mmnet3 has 1 negative fewer; casme2-7 has 1 disgust fewer; casme2-4 has 1 negative fewer.",
        "casme2/05/EP03_02 (disgust) failed: row 9: no folder. casme2-5 has 1 disgust fewer; mmnet3 has 1 negative "
        "fewer; casme2-7 has 1 disgust fewer; casme2-4 has 1 negative fewer; megc3 has 1 negative fewer.",
        "casme2/09/EP01 (smirk) failed: row 10: emotion 'smirk' is unknown. It changes no count.",
    ]


def test_differences_know_a_second_row_of_a_clip_that_is_there():
    failed = [FailedClip("casme2/05/ep03_02", "disgust", "row 9: the clip has an earlier row already.")]
    (difference,) = differences(contents("casme2", {"casme2/05/EP03_02": "disgust"}, failed=failed))
    assert difference.effect == "It changes no count."


def test_differences_count_a_failed_clip_of_ones_own_by_its_label():
    failed = [FailedClip("mine/a/1", "smile", "row 2: no folder.")]
    (difference,) = differences(contents("mine", {}, failed=failed))
    assert difference.effect == "labels has 1 smile fewer."


def test_differences_name_the_clips_that_the_long_release_of_smic_lacks():
    found = differences(contents("smic", {}, "HS-long"))
    assert len(found) == 7
    assert found[0].sentence == (
        "smic/01/s1_ne_02 is not a clip of its own in table HS-long, but one in HS. "
        "megc3 has 1 negative fewer; smic-3 has 1 negative fewer."
    )


@pytest.mark.parametrize(("dataset", "version"), [("casme2", "20140508"), ("smic", "HS-long")])
def test_the_changes_of_a_table_lead_from_its_counts_to_the_published_ones(dataset, version):
    older, newer = (dataset, version), (dataset, DATASETS[dataset].published)
    for scheme in SCHEMES.values():
        if older not in scheme.expected:
            continue
        counts = list(scheme.expected[older])
        for change in DATASETS[dataset].changes[version]:
            for emotion, step in ((change.here, -1), (change.published, 1)):
                label = None if emotion is None else scheme.label(change.clip_id, emotion)
                if label is not None:
                    counts[label] += step
        assert tuple(counts) == scheme.expected[newer], scheme.name


def test_count_warnings_are_silent_about_an_unknown_table_and_a_whole_known_one():
    assert count_warnings(contents("casme2", dealt_out("casme2"))) == []
    assert count_warnings(contents("mine", {"mine/a/1": "smile"})) == []
    smic = contents("smic", dealt_out("smic"), "HS")
    assert count_warnings(smic) == []


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("casme2", "a.xlsx", "20190701", "ab" * 32), "a.xlsx (20190701), SHA-256 abababababab"),
        (("casme2", "a.xlsx", "", "ab" * 32), "a.xlsx (not a published version), SHA-256 abababababab"),
        (("mylab", "mylab.csv", "", "ab" * 32), "mylab.csv (your own), SHA-256 abababababab"),
        (("smic", "SMIC_all_raw", "HS", ""), "none: clips and classes from the folders of SMIC_all_raw (HS)"),
    ],
)
def test_a_coding_table_is_named_with_what_is_known_of_it(arguments, fact):
    assert table_fact(*arguments) == fact

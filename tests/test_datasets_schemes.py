"""The label schemes against the published counts, typed here from the papers' tables and MEGC 2019's list."""

import pytest

from mer_cli.datasets.schemes import SCHEMES, check_counts, default_scheme, get_scheme, protocol_id
from mer_cli.errors import ConfigError, DatasetError

EMOTIONS = ("happiness", "repression", "disgust", "surprise", "others", "sadness", "fear")
LEFT_OUT_BY_MEGC = (  # with the emotion in the table of 2019-07-01
    ("04", "EP12_01f", "disgust"),
    ("05", "EP09_05f", "disgust"),
    ("24", "EP07_01", "surprise"),
    ("24", "EP07_04f", "surprise"),
    ("24", "EP10_03", "surprise"),
)
COUNTS_2019 = {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99, "sadness": 4, "fear": 2}
COUNTS_2014 = {**COUNTS_2019, "surprise": 25, "sadness": 7}  # three of subject 24 were sadness


def table_of(version):
    """The rows of a published table: subject, clip, emotion; clips but the five that MEGC leaves out are made up."""
    counts = dict(COUNTS_2019 if version == "20190701" else COUNTS_2014)
    rows = []
    for subject, name, emotion in LEFT_OUT_BY_MEGC:
        named = "sadness" if version == "20140508" and subject == "24" else emotion
        rows.append((subject, name, named))
        counts[named] -= 1
    rows += [("01", f"{emotion}{n}", emotion) for emotion, count in counts.items() for n in range(count)]
    return rows


def labels_of(name, version):
    labels = [get_scheme(name).label(*row) for row in table_of(version)]
    return [label for label in labels if label is not None]


def test_the_schemes_are_the_three_of_casme2():
    assert set(SCHEMES) == {"casme2-5", "mmnet3", "megc3"}
    assert {scheme.datasets for scheme in SCHEMES.values()} == {("casme2",)}


@pytest.mark.parametrize(
    ("scheme", "class_names"),
    [
        ("casme2-5", ("happiness", "repression", "disgust", "surprise", "others")),
        ("mmnet3", ("positive", "surprise", "negative")),
        ("megc3", ("negative", "positive", "surprise")),
    ],
)
def test_class_names_are_in_the_order_of_the_published_labels(scheme, class_names):
    assert SCHEMES[scheme].class_names == class_names


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        ("casme2-5", (0, 1, 2, 3, 4, None, None)),
        ("mmnet3", (0, 2, 2, 1, None, 2, 2)),
        ("megc3", (1, 0, 0, 2, None, None, None)),
    ],
)
def test_label_knows_every_emotion(scheme, labels):
    assert tuple(get_scheme(scheme).label("01", "EP02_01f", emotion) for emotion in EMOTIONS) == labels
    assert set(SCHEMES[scheme].class_of) == set(EMOTIONS)


@pytest.mark.parametrize(("subject", "name", "emotion"), LEFT_OUT_BY_MEGC)
def test_megc3_leaves_out_five_clips_that_the_other_schemes_keep(subject, name, emotion):
    assert get_scheme("megc3").label(subject, name, emotion) is None
    assert get_scheme("mmnet3").label(subject, name, emotion) is not None
    assert get_scheme("casme2-5").label(subject, name, emotion) is not None


def test_megc3_leaves_out_no_more_than_the_five():
    assert len(SCHEMES["megc3"].left_out) == 5
    assert not SCHEMES["mmnet3"].left_out
    assert not SCHEMES["casme2-5"].left_out


@pytest.mark.parametrize(("subject", "name", "emotion"), LEFT_OUT_BY_MEGC)
def test_megc3_keeps_a_clip_of_that_name_of_another_subject(subject, name, emotion):
    assert get_scheme("megc3").label("01", name, emotion) is not None
    assert get_scheme("megc3").label(subject, "EP01_01", emotion) is not None


@pytest.mark.parametrize("scheme", ["casme2-5", "mmnet3", "megc3"])
@pytest.mark.parametrize("emotion", ["anger", "Happiness", "other", ""])
def test_label_names_the_clip_of_an_unknown_emotion(scheme, emotion):
    with pytest.raises(DatasetError) as error:
        get_scheme(scheme).label("04", "EP12_01f", emotion)
    known = {
        "casme2-5": "happiness, repression, disgust, surprise, others, sadness, fear",
        "mmnet3": "happiness, surprise, disgust, repression, fear, sadness, others",
        "megc3": "happiness, surprise, disgust, repression, fear, sadness, others",
    }[scheme]
    assert str(error.value) == (
        f"clip 04/EP12_01f: emotion '{emotion}' is unknown to scheme '{scheme}'. Expected one of {known}. "
        "Correct the coding table, or choose another --scheme."
    )


@pytest.mark.parametrize(
    ("scheme", "version", "counts", "total"),
    [
        ("casme2-5", "20190701", {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99}, 249),
        ("casme2-5", "20140508", {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 25, "others": 99}, 246),
        ("mmnet3", "20190701", {"positive": 32, "negative": 96, "surprise": 28}, 156),
        ("mmnet3", "20140508", {"positive": 32, "negative": 99, "surprise": 25}, 156),
        ("megc3", "20190701", {"negative": 88, "positive": 32, "surprise": 25}, 145),
        ("megc3", "20140508", {"negative": 88, "positive": 32, "surprise": 25}, 145),
    ],
)
def test_a_published_table_gives_the_published_counts(scheme, version, counts, total):
    names = SCHEMES[scheme].class_names
    labels = labels_of(scheme, version)
    assert {name: labels.count(label) for label, name in enumerate(names)} == counts
    assert len(labels) == total
    assert dict(zip(names, SCHEMES[scheme].expected["casme2", version], strict=True)) == counts


@pytest.mark.parametrize(("scheme", "n_subjects"), [("casme2-5", 26), ("mmnet3", 25), ("megc3", 24)])
def test_n_subjects_is_as_published(scheme, n_subjects):
    assert SCHEMES[scheme].n_subjects["casme2", "20190701"] == n_subjects


@pytest.mark.parametrize("scheme", ["casme2-5", "mmnet3", "megc3"])
def test_check_counts_says_nothing_of_the_whole_table_in_any_order(scheme):
    labels = labels_of(scheme, "20190701")
    assert check_counts(get_scheme(scheme), "casme2", "20190701", labels) is None
    assert check_counts(get_scheme(scheme), "casme2", "20190701", sorted(labels, reverse=True)) is None


@pytest.mark.parametrize(
    ("scheme", "old", "new"),
    [
        (
            "casme2-5",
            "happiness 32, repression 27, disgust 63, surprise 25, others 99",
            "happiness 32, repression 27, disgust 63, surprise 28, others 99",
        ),
        ("mmnet3", "positive 32, surprise 25, negative 99", "positive 32, surprise 28, negative 96"),
    ],
)
def test_check_counts_names_the_table_of_2014_though_its_own_counts_are_right(scheme, old, new):
    assert check_counts(get_scheme(scheme), "casme2", "20140508", labels_of(scheme, "20140508")) == (
        f"the coding table is that of 2014-05-08: under {scheme} it gives {old}, where the papers' table of 2019-07-01 "
        f"gives {new}, since 24/EP07_01, 24/EP07_04f and 24/EP10_03 became surprise. Expected "
        "CASME2-coding-20190701.xlsx for MMNet's numbers; the dataset's owners send it."
    )


def test_check_counts_tells_of_a_short_store():
    labels = labels_of("mmnet3", "20190701")
    labels.remove(2)
    assert check_counts(get_scheme("mmnet3"), "casme2", "20190701", labels) == (
        "mmnet3: the store holds positive 32, surprise 28, negative 95. "
        "Expected positive 32, surprise 28, negative 96 with table 20190701. `mer info` lists the clips that failed."
    )


def test_check_counts_sees_a_shift_between_classes_that_keeps_the_total():
    labels = labels_of("mmnet3", "20140508")
    assert len(labels) == 156
    assert check_counts(get_scheme("mmnet3"), "casme2", "20190701", labels) == (
        "mmnet3: the store holds positive 32, surprise 25, negative 99. "
        "Expected positive 32, surprise 28, negative 96 with table 20190701. `mer info` lists the clips that failed."
    )


def test_check_counts_spells_a_class_without_clips():
    assert check_counts(get_scheme("megc3"), "casme2", "20190701", [1]) == (
        "megc3: the store holds negative 0, positive 1, surprise 0. "
        "Expected negative 88, positive 32, surprise 25 with table 20190701. `mer info` lists the clips that failed."
    )


@pytest.mark.parametrize(("dataset", "version"), [("casme2", ""), ("casme2", "20200101"), ("samm", "20190701")])
def test_check_counts_gives_none_for_an_unknown_table(dataset, version):
    assert check_counts(get_scheme("mmnet3"), dataset, version, [0, 1]) is None


@pytest.mark.parametrize("name", ["mmnet3", "MMNet3", "MMNET3"])
def test_get_scheme_takes_a_name_in_any_case(name):
    assert get_scheme(name) is SCHEMES["mmnet3"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mmnet", " Did you mean 'mmnet3'?"),
        ("MEGC-3", " Did you mean 'megc3'?"),
        ("casme2_5", " Did you mean 'casme2-5'?"),
        ("3-class", ""),
        ("", ""),
    ],
)
def test_get_scheme_names_the_known_schemes_and_the_nearest(name, hint):
    with pytest.raises(ConfigError) as error:
        get_scheme(name)
    assert str(error.value) == f"Unknown scheme '{name}'. Known: casme2-5, mmnet3, megc3.{hint}"


def test_default_scheme_of_casme2_is_its_five_classes():
    assert default_scheme("casme2") == "casme2-5"


@pytest.mark.parametrize(
    ("scheme", "n_clips", "expected"),
    [
        ("casme2-5", 249, "casme2-5/249"),
        ("mmnet3", 156, "casme2-mmnet3/156"),
        ("megc3", 145, "casme2-megc3/145"),
        ("casme2-5", 246, "casme2-5/246"),
    ],
)
def test_protocol_id_names_dataset_scheme_and_clips(scheme, n_clips, expected):
    assert protocol_id(get_scheme(scheme), n_clips) == expected


def test_a_dataset_without_a_scheme_is_named():
    with pytest.raises(ConfigError) as error:
        default_scheme("samm")
    assert str(error.value) == (
        "--scheme: dataset 'samm' has no scheme of its own. Expected one of casme2-5, mmnet3, megc3. Name one."
    )

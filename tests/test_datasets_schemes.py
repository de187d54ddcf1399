"""The label schemes against the published counts, typed here from the papers' tables and MEGC 2019's list."""

import pytest

from mer_cli.datasets.casme3 import DATASET as CASME3
from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.schemes import SCHEMES, check_counts, protocol_id, resolve_scheme
from mer_cli.errors import ConfigError, DatasetError

EMOTIONS = ("happiness", "repression", "disgust", "surprise", "others", "sadness", "fear")
LEFT_OUT_BY_MEGC = {  # with the emotion in the table of 2019-07-01
    "casme2/04/EP12_01f": "disgust",
    "casme2/05/EP09_05f": "disgust",
    "casme2/24/EP07_01": "surprise",
    "casme2/24/EP07_04f": "surprise",
    "casme2/24/EP10_03": "surprise",
}
COUNTS_2019 = {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99, "sadness": 4, "fear": 2}
COUNTS_2014 = {**COUNTS_2019, "surprise": 25, "sadness": 7}  # three of subject 24 were sadness
SAMM = {
    "anger": 57, "happiness": 26, "others": 26, "surprise": 15, "contempt": 12, "disgust": 9, "fear": 8, "sadness": 6,
}  # fmt: skip
MMEW = {"happiness": 36, "disgust": 72, "surprise": 89, "others": 66, "fear": 16, "sadness": 13, "anger": 8}
SMIC = {"negative": 70, "positive": 51, "surprise": 43}
CASME3_A = {"disgust": 250, "surprise": 187, "others": 161, "fear": 86, "anger": 64, "sad": 57, "happy": 55}
CASME3_C = {"negative": 99, "surprise": 30, "others": 20, "positive": 16}
DFME = {  # training, and all parts together
    "training": {"anger": 161, "contempt": 100, "disgust": 548, "fear": 265, "happiness": 206, "sadness": 278,
                 "surprise": 298},
    "training+test-A+test-B": {"anger": 241, "contempt": 171, "disgust": 735, "fear": 365, "happiness": 311,
                               "sadness": 359, "surprise": 447},
}  # fmt: skip
PUBLISHED = [  # scheme, dataset, table version, rows of each emotion, clips of each class, total, subjects
    ("casme2-5", "casme2", "20190701", COUNTS_2019,
     {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 28, "others": 99}, 249, 26),
    ("casme2-5", "casme2", "20140508", COUNTS_2014,
     {"happiness": 32, "disgust": 63, "repression": 27, "surprise": 25, "others": 99}, 246, 26),
    ("mmnet3", "casme2", "20190701", COUNTS_2019, {"positive": 32, "negative": 96, "surprise": 28}, 156, 25),
    ("mmnet3", "casme2", "20140508", COUNTS_2014, {"positive": 32, "negative": 99, "surprise": 25}, 156, 25),
    ("casme2-7", "casme2", "20190701", COUNTS_2019, COUNTS_2019, 255, 26),
    ("casme2-7", "casme2", "20140508", COUNTS_2014, COUNTS_2014, 255, 26),
    ("casme2-4", "casme2", "20190701", COUNTS_2019,
     {"positive": 32, "negative": 96, "surprise": 28, "others": 99}, 255, 26),
    ("casme2-4", "casme2", "20140508", COUNTS_2014,
     {"positive": 32, "negative": 99, "surprise": 25, "others": 99}, 255, 26),
    ("megc3", "casme2", "20190701", COUNTS_2019, {"negative": 88, "positive": 32, "surprise": 25}, 145, 24),
    ("megc3", "casme2", "20140508", COUNTS_2014, {"negative": 88, "positive": 32, "surprise": 25}, 145, 24),
    ("megc3", "samm", "v2", SAMM, {"negative": 92, "positive": 26, "surprise": 15}, 133, 28),
    ("megc3", "smic", "HS", SMIC, {"negative": 70, "positive": 51, "surprise": 43}, 164, 16),
    ("samm-5", "samm", "v2", SAMM,
     {"happiness": 26, "anger": 57, "contempt": 12, "surprise": 15, "others": 26}, 136, 27),
    ("samm-3", "samm", "v2", SAMM, {"negative": 92, "positive": 26, "surprise": 15}, 133, 28),
    ("mmew-4", "mmew", "300", MMEW, {"happiness": 36, "disgust": 72, "surprise": 89, "others": 66}, 263, None),
    ("mmew-6", "mmew", "300", MMEW,
     {"happiness": 36, "surprise": 89, "disgust": 72, "fear": 16, "sadness": 13, "anger": 8}, 234, 30),
    ("mmew-3", "mmew", "300", MMEW, {"positive": 36, "negative": 109, "surprise": 89}, 234, 30),
    ("smic-3", "smic", "HS", SMIC, {"negative": 70, "positive": 51, "surprise": 43}, 164, 16),
    ("casme3-7", "casme3", "part-A-v2", CASME3_A, CASME3_A, 860, 94),
    ("casme3-4", "casme3", "part-A-v2", CASME3_A,
     {"positive": 55, "negative": 457, "surprise": 187, "others": 161}, 860, 94),
    ("casme3-3", "casme3", "part-A-v2", CASME3_A, {"positive": 55, "negative": 457, "surprise": 187}, 699, 88),
    ("casme3c-4", "casme3c", "part-C-ME", CASME3_C, CASME3_C, 165, None),
    ("casme3c-3", "casme3c", "part-C-ME", CASME3_C, {"positive": 16, "negative": 99, "surprise": 30}, 145, None),
    ("dfme-7", "dfme", "training", DFME["training"], DFME["training"], 1856, None),
    ("dfme-3", "dfme", "training", DFME["training"], {"positive": 206, "negative": 1352, "surprise": 298}, 1856, None),
    ("dfme-3", "dfme", "training+test-A+test-B", DFME["training+test-A+test-B"],
     {"positive": 311, "negative": 1871, "surprise": 447}, 2629, None),
]  # fmt: skip


def table_of(dataset, counts, n_subjects=3):
    """Emotion by clip id for made-up clips, the five of CASME II that MEGC leaves out among them."""
    is_older = counts == COUNTS_2014
    counts = dict(counts)
    table = {}
    if dataset == "casme2":
        for clip_id, emotion in LEFT_OUT_BY_MEGC.items():
            named = "sadness" if is_older and "/24/" in clip_id else emotion
            table[clip_id] = named
            counts[named] -= 1
    rows = [emotion for emotion, count in counts.items() for _ in range(count)]
    table |= {f"{dataset}/{n % n_subjects:02d}/clip{n}": emotion for n, emotion in enumerate(rows)}
    return table


def labels_of(scheme, dataset, counts, n_subjects=3):
    labels = {
        clip_id: SCHEMES[scheme].label(clip_id, emotion)
        for clip_id, emotion in table_of(dataset, counts, n_subjects).items()
    }
    return {clip_id: label for clip_id, label in labels.items() if label is not None}


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
    assert tuple(SCHEMES[scheme].label("casme2/01/EP02_01f", emotion) for emotion in EMOTIONS) == labels


def test_the_same_emotion_is_another_class_in_another_dataset():
    assert SCHEMES["megc3"].label("casme2/01/EP1", "fear") is None
    assert SCHEMES["megc3"].label("samm/006/006_1_2", "fear") == 0


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_scheme_knows_every_emotion_of_its_datasets(scheme):
    for dataset, class_of in scheme.class_of.items():
        assert set(class_of) == set(DATASETS[dataset].emotions)
        assert set(class_of.values()) - {None} == set(scheme.class_names)


def test_every_dataset_has_a_scheme_of_its_own():
    for name, dataset in DATASETS.items():
        assert resolve_scheme("auto", {name: dataset.emotions}).datasets == (name,)


@pytest.mark.parametrize("clip_id", LEFT_OUT_BY_MEGC)
def test_megc3_leaves_out_five_clips_that_the_other_schemes_keep(clip_id):
    emotion = LEFT_OUT_BY_MEGC[clip_id]
    assert SCHEMES["megc3"].label(clip_id, emotion) is None
    assert SCHEMES["megc3"].label("casme2/07/" + clip_id.rpartition("/")[2], emotion) is not None
    assert SCHEMES["mmnet3"].label(clip_id, emotion) is not None
    assert SCHEMES["casme2-5"].label(clip_id, emotion) is not None


@pytest.mark.parametrize(
    ("emotion", "meant"),
    [("anger", ""), ("Happiness", " Did you mean 'happiness'?"), ("other", " Did you mean 'others'?"), ("", "")],
)
def test_label_names_the_clip_of_an_unknown_emotion(emotion, meant):
    with pytest.raises(DatasetError) as error:
        SCHEMES["mmnet3"].label("casme2/04/EP12_01f", emotion)
    assert str(error.value) == (
        f"clip casme2/04/EP12_01f, scheme mmnet3: Unknown emotion '{emotion}'. Known: happiness, surprise, disgust, "
        f"repression, fear, sadness, others.{meant} Correct the coding table, or choose another --scheme."
    )


@pytest.mark.parametrize(("scheme", "dataset", "version", "rows", "classes", "total", "n_subjects"), PUBLISHED)
def test_a_published_table_gives_the_published_counts(scheme, dataset, version, rows, classes, total, n_subjects):
    names = SCHEMES[scheme].class_names
    labels = list(labels_of(scheme, dataset, rows).values())
    assert {name: labels.count(label) for label, name in enumerate(names)} == classes
    assert len(labels) == total
    assert dict(zip(names, SCHEMES[scheme].expected[dataset, version], strict=True)) == classes
    assert SCHEMES[scheme].n_subjects.get((dataset, version)) == n_subjects
    assert DATASETS[dataset].versions[version] == rows


def test_the_composite_has_442_clips_of_68_subjects():
    parts = [("casme2", "20190701"), ("samm", "v2"), ("smic", "HS")]
    assert [sum(column) for column in zip(*(SCHEMES["megc3"].expected[part] for part in parts), strict=True)] == [
        250,
        109,
        83,
    ]
    assert sum(SCHEMES["megc3"].n_subjects[part] for part in parts) == 68


def test_check_counts_says_nothing_of_the_whole_table_in_any_order():
    labels = labels_of("smic-3", "smic", SMIC, 16)
    assert check_counts(SCHEMES["smic-3"], "smic", "HS", labels) is None
    assert check_counts(SCHEMES["smic-3"], "smic", "HS", dict(reversed(labels.items()))) is None


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
    labels = labels_of(scheme, "casme2", COUNTS_2014, SCHEMES[scheme].n_subjects["casme2", "20140508"])
    assert check_counts(SCHEMES[scheme], "casme2", "20140508", labels) == (
        f"the coding table is that of 2014-05-08: under {scheme} it gives {old}, where the papers' table of 2019-07-01 "
        f"gives {new}, since 24/EP07_01, 24/EP07_04f and 24/EP10_03 became surprise. For MMNet's numbers, use "
        "CASME2-coding-20190701.xlsx, which the dataset's owners send."
    )


def test_check_counts_tells_of_a_short_store():
    labels = labels_of("smic-3", "smic", SMIC, 16)
    labels.popitem()
    assert check_counts(SCHEMES["smic-3"], "smic", "HS", labels) == (
        "smic-3: the store holds negative 70, positive 51, surprise 42 of 16 subjects. Expected negative 70, "
        "positive 51, surprise 43 of 16 subjects with table HS of smic. `mer info` lists the clips that failed."
    )


def test_check_counts_sees_a_shift_between_classes_that_keeps_the_total():
    labels = labels_of("mmnet3", "casme2", COUNTS_2014, 25)
    assert len(labels) == 156
    assert "positive 32, surprise 25, negative 99 of" in check_counts(SCHEMES["mmnet3"], "casme2", "20190701", labels)


def test_check_counts_sees_a_missing_subject():
    labels = labels_of("smic-3", "smic", SMIC, 15)
    assert "surprise 43 of 15 subjects. Expected" in check_counts(SCHEMES["smic-3"], "smic", "HS", labels)


@pytest.mark.parametrize(("dataset", "version"), [("casme2", ""), ("casme2", "20200101"), ("samm", "v2")])
def test_check_counts_gives_none_for_an_unknown_table(dataset, version):
    assert check_counts(SCHEMES["mmnet3"], dataset, version, {"casme2/01/a": 0}) is None


@pytest.mark.parametrize("name", ["mmnet3", "MMNet3", "MMNET3"])
def test_a_scheme_is_found_by_its_name_in_any_case(name):
    assert resolve_scheme(name, {"casme2": EMOTIONS}) is SCHEMES["mmnet3"]


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
def test_an_unknown_scheme_is_named_with_the_nearest(name, hint):
    with pytest.raises(ConfigError) as error:
        resolve_scheme(name, {"casme2": EMOTIONS})
    assert str(error.value) == (
        f"Unknown scheme '{name}'. Known: casme2-5, mmnet3, casme2-7, casme2-4, megc3, samm-5, samm-3, mmew-4, "
        f"mmew-6, mmew-3, smic-3, casme3-7, casme3-4, casme3-3, casme-8, dfme-7, dfme-3, "
        f"casme3c-4, casme3c-3, 4dme-5, 4dme-3, labels, units.{hint}"
    )


@pytest.mark.parametrize(
    ("datasets", "scheme"),
    [
        (("casme2",), "casme2-5"),
        (("samm",), "samm-5"),
        (("casme3",), "casme3-7"),
        (("casme3c",), "casme3c-4"),
        (("dfme",), "dfme-7"),
        (("4dme",), "4dme-5"),
        (("casme2", "samm", "smic"), "megc3"),
        (("smic", "samm"), "megc3"),
    ],
)
def test_auto_takes_the_datasets_own_scheme(datasets, scheme):
    assert resolve_scheme("auto", dict.fromkeys(datasets, ())).name == scheme


def test_auto_has_nothing_for_datasets_that_no_scheme_covers():
    with pytest.raises(ConfigError) as error:
        resolve_scheme("auto", {"mmew": (), "casme3": ()})
    assert str(error.value) == (
        "--scheme: no scheme covers casme3 and mmew together. Give stores of one dataset, or of several among "
        "casme2, samm, smic, or --scheme labels."
    )


def test_a_scheme_of_another_dataset_is_refused_with_those_that_fit():
    with pytest.raises(ConfigError) as error:
        resolve_scheme("mmnet3", {"samm": ()})
    assert str(error.value) == ("--scheme: 'mmnet3' covers casme2, and not samm. Choose one of megc3, samm-5, samm-3.")


def test_the_labels_of_ones_own_data_are_its_classes():
    scheme = resolve_scheme("auto", {"mylab": {"smile", "frown"}, "other": {"frown", "blink"}})
    assert (scheme.name, scheme.class_names) == ("labels", ("blink", "frown", "smile"))
    assert scheme.label("mylab/p01/x", "smile") == 2
    assert resolve_scheme("labels", {"casme3": CASME3.emotions}).class_names == tuple(sorted(CASME3.emotions))


@pytest.mark.parametrize(
    ("scheme", "datasets", "n_clips", "expected"),
    [
        ("casme2-5", ["casme2"], 249, "casme2-5/249"),
        ("mmnet3", ["casme2"], 156, "casme2-mmnet3/156"),
        ("megc3", ["casme2"], 145, "casme2-megc3/145"),
        ("megc3", ["smic", "casme2", "samm"], 442, "megc2019-cde/442"),
        ("megc3", ["smic", "casme2"], 309, "casme2+smic-megc3/309"),
        ("casme-8", ["casme"], 193, "casme-8/193"),
        ("4dme-5", ["4dme"], 200, "4dme-5/200"),
    ],
)
def test_protocol_id_names_datasets_scheme_and_clips(scheme, datasets, n_clips, expected):
    assert protocol_id(SCHEMES[scheme], datasets, n_clips) == expected


def test_check_counts_has_nothing_to_say_of_the_older_table_where_a_scheme_counts_the_same():
    labels = labels_of("megc3", "casme2", COUNTS_2014, 24)
    assert check_counts(SCHEMES["megc3"], "casme2", "20140508", labels) is None


def test_check_counts_tells_of_clips_that_are_missing_from_the_older_table():
    labels = labels_of("casme2-5", "casme2", COUNTS_2014, 26)
    labels.popitem()
    text = check_counts(SCHEMES["casme2-5"], "casme2", "20140508", labels)
    assert text.startswith("the coding table is that of 2014-05-08: ")
    assert "the store holds happiness 32, repression 27, disgust 63, surprise 25, others 98 of 26 subjects." in text

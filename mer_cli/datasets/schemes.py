"""Label schemes as data: which emotions of which dataset make which class, and the counts that should come out.

A scheme is never a bare "3-class": `mmnet3` and `megc3` differ in eleven clips and in what they call negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mer_cli.errors import ConfigError, DatasetError, unknown_name
from mer_cli.records import dataset_of, subject_of

AUTO = "auto"
OWN_LABELS = "labels"

CASME2_2019 = ("casme2", "20190701")
CASME2_2014 = ("casme2", "20140508")
SAMM_V2 = ("samm", "v2")
MMEW_300 = ("mmew", "300")
SMIC_HS = ("smic", "HS")
SMIC_HS_LONG = ("smic", "HS-long")
CASME3_A_V2 = ("casme3", "part-A-v2")


@dataclass(frozen=True)
class Scheme:
    """A named map from emotions to classes.

    class_names : in label order
    class_of : dataset -> emotion -> class name, or None for an emotion that the scheme leaves out
    left_out : ids of single clips that it leaves out
    expected : (dataset, table version) -> clips of each class, in label order, where the whole table is used
    n_subjects : (dataset, table version) -> subjects that then have a clip, where that is known
    composite : the protocol's name where all datasets are used together
    """

    name: str
    class_names: tuple[str, ...]
    class_of: Mapping[str, Mapping[str, str | None]]
    expected: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    n_subjects: Mapping[tuple[str, str], int] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    composite: str = ""

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(self.class_of)

    def label(self, clip_id: str, emotion: str) -> int | None:
        """The clip's class, or None where the scheme leaves it out.

        Raises
        ------
        DatasetError
            If the scheme does not know the emotion for the clip's dataset.
        """
        class_of = self.class_of[dataset_of(clip_id)]
        if emotion not in class_of:
            raise DatasetError(
                f"clip {clip_id}: emotion '{emotion}' is unknown to scheme '{self.name}'. Expected one of "
                f"{', '.join(class_of)}. Correct the coding table, or choose another --scheme."
            )
        class_name = class_of[emotion]
        if class_name is None or clip_id in self.left_out:
            return None
        return self.class_names.index(class_name)


def _as_named(*emotions: str) -> dict[str, str | None]:
    return {emotion: emotion for emotion in emotions}


def _all_to(class_name: str | None, *emotions: str) -> dict[str, str | None]:
    return dict.fromkeys(emotions, class_name)


_CASME2_THREE = {"happiness": "positive", "surprise": "surprise", **_all_to("negative", "disgust", "repression")}
_SAMM_THREE = {
    "happiness": "positive",
    "surprise": "surprise",
    **_all_to("negative", "anger", "contempt", "disgust", "fear", "sadness"),
    "others": None,
}
_CASME3_THREE = {"happy": "positive", "surprise": "surprise", **_all_to("negative", "disgust", "fear", "anger", "sad")}

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="casme2-5",
            class_names=("happiness", "repression", "disgust", "surprise", "others"),
            class_of={
                "casme2": {
                    **_as_named("happiness", "repression", "disgust", "surprise", "others"),
                    **_all_to(None, "sadness", "fear"),
                }
            },
            expected={CASME2_2019: (32, 27, 63, 28, 99), CASME2_2014: (32, 27, 63, 25, 99)},
            n_subjects={CASME2_2019: 26, CASME2_2014: 26},
        ),
        # muse1998/MMNet, CASME2_3.py: everything but happiness, surprise and others is negative.
        Scheme(
            name="mmnet3",
            class_names=("positive", "surprise", "negative"),
            class_of={"casme2": {**_CASME2_THREE, **_all_to("negative", "fear", "sadness"), "others": None}},
            expected={CASME2_2019: (32, 28, 96), CASME2_2014: (32, 25, 99)},
            n_subjects={CASME2_2019: 25, CASME2_2014: 25},
        ),
        # MEGC 2019. Five clips of CASME II that belong to its emotions are not in its list.
        Scheme(
            name="megc3",
            class_names=("negative", "positive", "surprise"),
            class_of={
                "casme2": {**_CASME2_THREE, **_all_to(None, "fear", "sadness", "others")},
                "samm": _SAMM_THREE,
                "smic": _as_named("negative", "positive", "surprise"),
            },
            expected={
                CASME2_2019: (88, 32, 25),
                CASME2_2014: (88, 32, 25),
                SAMM_V2: (92, 26, 15),
                SMIC_HS: (70, 51, 43),
                SMIC_HS_LONG: (65, 51, 41),
            },
            n_subjects={CASME2_2019: 24, CASME2_2014: 24, SAMM_V2: 28, SMIC_HS: 16, SMIC_HS_LONG: 16},
            left_out=frozenset(
                {
                    "casme2/04/EP12_01f",
                    "casme2/05/EP09_05f",
                    "casme2/24/EP07_01",
                    "casme2/24/EP07_04f",
                    "casme2/24/EP10_03",
                }
            ),
            composite="megc2019-cde",
        ),
        Scheme(
            name="samm-5",
            class_names=("happiness", "anger", "contempt", "surprise", "others"),
            class_of={
                "samm": {
                    **_as_named("happiness", "anger", "contempt", "surprise", "others"),
                    **_all_to(None, "disgust", "fear", "sadness"),
                }
            },
            expected={SAMM_V2: (26, 57, 12, 15, 26)},
            n_subjects={SAMM_V2: 27},
        ),
        # The same 133 clips as MEGC 2019's SAMM; MMNet's order of the classes.
        Scheme(
            name="samm-3",
            class_names=("positive", "surprise", "negative"),
            class_of={"samm": _SAMM_THREE},
            expected={SAMM_V2: (26, 15, 92)},
            n_subjects={SAMM_V2: 28},
        ),
        Scheme(
            name="mmew-4",
            class_names=("happiness", "surprise", "disgust", "others"),
            class_of={
                "mmew": {
                    **_as_named("happiness", "surprise", "disgust", "others"),
                    **_all_to(None, "fear", "sadness", "anger"),
                }
            },
            expected={MMEW_300: (36, 89, 72, 66)},
        ),
        Scheme(
            name="smic-3",
            class_names=("negative", "positive", "surprise"),
            class_of={"smic": _as_named("negative", "positive", "surprise")},
            expected={SMIC_HS: (70, 51, 43), SMIC_HS_LONG: (65, 51, 41)},
            n_subjects={SMIC_HS: 16, SMIC_HS_LONG: 16},
        ),
        Scheme(
            name="casme3-7",
            class_names=("happy", "disgust", "fear", "anger", "sad", "surprise", "others"),
            class_of={"casme3": _as_named("happy", "disgust", "fear", "anger", "sad", "surprise", "others")},
            expected={CASME3_A_V2: (55, 250, 86, 64, 57, 187, 161)},
            n_subjects={CASME3_A_V2: 94},
        ),
        Scheme(
            name="casme3-4",
            class_names=("positive", "negative", "surprise", "others"),
            class_of={"casme3": {**_CASME3_THREE, "others": "others"}},
            expected={CASME3_A_V2: (55, 457, 187, 161)},
            n_subjects={CASME3_A_V2: 94},
        ),
        Scheme(
            name="casme3-3",
            class_names=("positive", "negative", "surprise"),
            class_of={"casme3": {**_CASME3_THREE, "others": None}},
            expected={CASME3_A_V2: (55, 457, 187)},
            n_subjects={CASME3_A_V2: 88},
        ),
        # The sheet's own labels; no published counts, since no public copy of the 193-row table could be read.
        Scheme(
            name="casme-8",
            class_names=("tense", "disgust", "repression", "surprise", "happiness", "sadness", "contempt", "fear"),
            class_of={
                "casme": _as_named(
                    "tense", "disgust", "repression", "surprise", "happiness", "sadness", "contempt", "fear"
                )
            },
        ),
    )
}


def resolve_scheme(name: str, emotions: Mapping[str, Iterable[str]]) -> Scheme:
    """The scheme that is meant for some datasets together.

    `auto` takes the first scheme that is made for just these datasets, or else the first that covers them; for a
    dataset of one's own, and by the name `labels`, every label is a class.

    Parameters
    ----------
    name : in any case
    emotions : the labels that occur, by dataset

    Raises
    ------
    ConfigError
        If there is no such scheme, or it does not cover the datasets.
    """
    wanted, datasets = name.casefold(), sorted(emotions)
    covering = [scheme for scheme in SCHEMES.values() if set(datasets) <= set(scheme.datasets)]
    if wanted == AUTO and covering:
        return min(covering, key=lambda scheme: set(scheme.datasets) != set(datasets))
    is_own = all(dataset not in scheme.datasets for scheme in SCHEMES.values() for dataset in datasets)
    if wanted == OWN_LABELS or (wanted == AUTO and is_own):
        class_names = tuple(sorted({emotion for used in emotions.values() for emotion in used}))
        return Scheme(OWN_LABELS, class_names, {dataset: _as_named(*class_names) for dataset in datasets})
    if wanted == AUTO:
        raise ConfigError(
            f"--scheme: no scheme covers {' and '.join(datasets)} together. Expected stores of one dataset, or of "
            f"several among {', '.join(SCHEMES['megc3'].datasets)}. Give those, or --scheme {OWN_LABELS}."
        )
    if wanted not in SCHEMES:
        raise ConfigError(unknown_name("scheme", name, [*SCHEMES, OWN_LABELS]))
    scheme = SCHEMES[wanted]
    if scheme not in covering:
        fitting = ", ".join([other.name for other in covering] or [OWN_LABELS])
        raise ConfigError(
            f"--scheme: '{scheme.name}' is of {', '.join(scheme.datasets)}, not of {', '.join(datasets)}. "
            f"Expected one of {fitting}. Choose one."
        )
    return scheme


def protocol_id(scheme: Scheme, datasets: Iterable[str], n_clips: int) -> str:
    """The id that every result carries: "casme2-5/249", "casme2-mmnet3/156", "megc2019-cde/442"."""
    held = sorted(set(datasets))
    if scheme.composite and held == sorted(scheme.datasets):
        return f"{scheme.composite}/{n_clips}"
    prefix = "+".join(held)
    return f"{scheme.name if scheme.name.startswith(f'{prefix}-') else f'{prefix}-{scheme.name}'}/{n_clips}"


def check_counts(scheme: Scheme, dataset: str, table_version: str, labels: Mapping[str, int]) -> str | None:
    """A sentence where the clips or subjects of a dataset are not as many as published, or None.

    Parameters
    ----------
    table_version : of a recognised table; an unknown one can't be checked
    labels : class by clip id, of the dataset's clips that the scheme keeps
    """
    table = (dataset, table_version)
    published = scheme.expected.get(table)
    if published is None:
        return None
    sentences = []
    if table == CASME2_2014 and published != scheme.expected[CASME2_2019]:
        sentences.append(
            f"the coding table is that of 2014-05-08: under {scheme.name} it gives {_spell(scheme, published)}, where "
            f"the papers' table of 2019-07-01 gives {_spell(scheme, scheme.expected[CASME2_2019])}, since 24/EP07_01, "
            "24/EP07_04f and 24/EP10_03 became surprise. Expected CASME2-coding-20190701.xlsx for MMNet's numbers; "
            "the dataset's owners send it."
        )
    counts = Counter(labels.values())
    found = tuple(counts[label] for label in range(len(scheme.class_names)))
    n_subjects = len({subject_of(clip_id) for clip_id in labels})
    published_subjects = scheme.n_subjects.get(table, n_subjects)
    if (found, n_subjects) != (published, published_subjects):
        sentences.append(
            f"{scheme.name}: the store holds {_spell(scheme, found)} of {n_subjects} subjects. Expected "
            f"{_spell(scheme, published)} of {published_subjects} subjects with table {table_version} of {dataset}. "
            "`mer info` lists the clips that failed."
        )
    return " ".join(sentences) or None


def _spell(scheme: Scheme, counts: Sequence[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in zip(scheme.class_names, counts, strict=True))

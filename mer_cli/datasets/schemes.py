"""Label schemes as data: which emotions of which dataset make which class, and the counts that should come out.

A scheme is never a bare "3-class": `mmnet3` and `megc3` differ in eleven clips and in what they call negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mer_cli.datasets.suggest import unknown_name
from mer_cli.errors import ConfigError, DatasetError

CASME2_2019 = ("casme2", "20190701")
CASME2_2014 = ("casme2", "20140508")


@dataclass(frozen=True)
class Scheme:
    """A named map from emotions to classes.

    class_names : in label order
    class_of : emotion -> class name, or None for an emotion that the scheme leaves out
    left_out : (subject, clip) of single clips that it leaves out
    expected : (dataset, table version) -> clips of each class, in label order, where the whole table is used
    n_subjects : (dataset, table version) -> subjects that then have a clip
    """

    name: str
    datasets: tuple[str, ...]
    class_names: tuple[str, ...]
    class_of: Mapping[str, str | None]
    expected: Mapping[tuple[str, str], tuple[int, ...]]
    n_subjects: Mapping[tuple[str, str], int]
    left_out: frozenset[tuple[str, str]] = field(default=frozenset())

    def label(self, subject: str, name: str, emotion: str) -> int | None:
        """The clip's class, or None where the scheme leaves it out.

        Raises
        ------
        DatasetError
            If the scheme does not know the emotion.
        """
        if emotion not in self.class_of:
            raise DatasetError(
                f"clip {subject}/{name}: emotion '{emotion}' is unknown to scheme '{self.name}'. Expected one of "
                f"{', '.join(self.class_of)}. Correct the coding table, or choose another --scheme."
            )
        class_name = self.class_of[emotion]
        if class_name is None or (subject, name) in self.left_out:
            return None
        return self.class_names.index(class_name)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="casme2-5",
            datasets=("casme2",),
            class_names=("happiness", "repression", "disgust", "surprise", "others"),
            class_of={
                **{name: name for name in ("happiness", "repression", "disgust", "surprise", "others")},
                "sadness": None,
                "fear": None,
            },
            expected={CASME2_2019: (32, 27, 63, 28, 99), CASME2_2014: (32, 27, 63, 25, 99)},
            n_subjects={CASME2_2019: 26, CASME2_2014: 26},
        ),
        # muse1998/MMNet, CASME2_3.py: everything but happiness, surprise and others is negative.
        Scheme(
            name="mmnet3",
            datasets=("casme2",),
            class_names=("positive", "surprise", "negative"),
            class_of={
                "happiness": "positive",
                "surprise": "surprise",
                **dict.fromkeys(("disgust", "repression", "fear", "sadness"), "negative"),
                "others": None,
            },
            expected={CASME2_2019: (32, 28, 96), CASME2_2014: (32, 25, 99)},
            n_subjects={CASME2_2019: 25, CASME2_2014: 25},
        ),
        # MEGC 2019's list for CASME II: five clips of its emotions are not in it.
        Scheme(
            name="megc3",
            datasets=("casme2",),
            class_names=("negative", "positive", "surprise"),
            class_of={
                "happiness": "positive",
                "surprise": "surprise",
                **dict.fromkeys(("disgust", "repression"), "negative"),
                **dict.fromkeys(("fear", "sadness", "others")),
            },
            expected={CASME2_2019: (88, 32, 25), CASME2_2014: (88, 32, 25)},
            n_subjects={CASME2_2019: 24, CASME2_2014: 24},
            left_out=frozenset(
                {("04", "EP12_01f"), ("05", "EP09_05f"), ("24", "EP07_01"), ("24", "EP07_04f"), ("24", "EP10_03")}
            ),
        ),
    )
}


def get_scheme(name: str) -> Scheme:
    """The scheme of that name, in any case.

    Raises
    ------
    ConfigError
        If there is none.
    """
    scheme = SCHEMES.get(name.casefold())
    if scheme is None:
        raise ConfigError(unknown_name("scheme", name, SCHEMES))
    return scheme


def default_scheme(dataset: str) -> str:
    """The scheme that is meant where none is named: the first of the dataset.

    Raises
    ------
    ConfigError
        If the dataset has none.
    """
    for scheme in SCHEMES.values():
        if dataset in scheme.datasets:
            return scheme.name
    raise ConfigError(
        f"--scheme: dataset '{dataset}' has no scheme of its own. Expected one of {', '.join(SCHEMES)}. Name one."
    )


def protocol_id(scheme: Scheme, n_clips: int) -> str:
    """The id that every result carries: "casme2-5/249", "casme2-mmnet3/156"."""
    prefix = "" if scheme.name.startswith(scheme.datasets) else f"{scheme.datasets[0]}-"
    return f"{prefix}{scheme.name}/{n_clips}"


def check_counts(scheme: Scheme, dataset: str, table_version: str, labels: Sequence[int]) -> str | None:
    """A sentence where the clips of each class are not as many as published, or None.

    Parameters
    ----------
    table_version : of a recognised table; an unknown one can't be checked
    labels : classes of the clips that the scheme keeps
    """
    published = scheme.expected.get((dataset, table_version))
    if published is None:
        return None
    counts = Counter(labels)
    found = tuple(counts[label] for label in range(len(scheme.class_names)))
    if (dataset, table_version) == CASME2_2014:
        return (
            f"the coding table is that of 2014-05-08: under {scheme.name} it gives {_spell(scheme, published)}, where "
            f"the papers' table of 2019-07-01 gives {_spell(scheme, scheme.expected[CASME2_2019])}, since 24/EP07_01, "
            "24/EP07_04f and 24/EP10_03 became surprise. Expected CASME2-coding-20190701.xlsx for MMNet's numbers; "
            "the dataset's owners send it."
        )
    if found != published:
        return (
            f"{scheme.name}: the store holds {_spell(scheme, found)}. Expected {_spell(scheme, published)} with table "
            f"{table_version}. `mer info` lists the clips that failed."
        )
    return None


def _spell(scheme: Scheme, counts: Sequence[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in zip(scheme.class_names, counts, strict=True))

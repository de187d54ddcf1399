"""The label schemes of all datasets, the protocols over several datasets, and the choice of a scheme by name.

A scheme is never a bare "3-class": `mmnet3` and `megc3` differ in eleven clips and in what they call negative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mer_cli.datasets import casme2, samm, smic
from mer_cli.datasets.dataset import Scheme, as_named
from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.scheme_file import is_scheme_file, read_scheme
from mer_cli.datasets.units import UNITS, units_scheme
from mer_cli.errors import ConfigError, unknown_name
from mer_cli.records import subject_of

AUTO = "auto"
OWN_LABELS = "labels"


def _join(name: str, composite: str, class_names: tuple[str, ...], parts: Sequence[Scheme]) -> Scheme:
    """Return a scheme over several datasets, made of `parts`, the schemes of the single datasets."""
    return Scheme(
        name=name,
        class_names=class_names,
        class_of={dataset: class_of for part in parts for dataset, class_of in part.class_of.items()},
        expected={
            table: tuple(counts[part.class_names.index(class_name)] for class_name in class_names)
            for part in parts
            for table, counts in part.expected.items()
        },
        n_subjects={table: n_subjects for part in parts for table, n_subjects in part.n_subjects.items()},
        left_out=frozenset[str]().union(*(part.left_out for part in parts)),
        composite=composite,
    )


COMPOSITES = (
    _join("megc3", "megc2019-cde", ("negative", "positive", "surprise"), (casme2.MEGC_PART, samm.THREE, smic.SCHEME)),
)
# A protocol over several datasets follows the schemes of its first one.
SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for dataset in DATASETS.values()
    for scheme in (*dataset.schemes, *(joint for joint in COMPOSITES if joint.datasets[0] == dataset.name))
}


def resolve_scheme(name: str, emotions: Mapping[str, Iterable[str]]) -> Scheme:
    """Return the scheme of a name, after a check that it covers the datasets.

    The name `auto` means the first scheme that is made for just these datasets, or else the first that covers them.
    The name `labels`, and `auto` for your own recordings, make every label a class. The name `units` makes action
    units the targets (`datasets.units`). A name that ends in .toml is the path of a file that describes a scheme of
    your own.

    Parameters
    ----------
    name : in any case, unless it is a path
    emotions : dataset -> the labels that occur in it

    Raises
    ------
    ConfigError
        If there is no such scheme, the scheme does not cover the datasets, or its file has a mistake.
    """
    if is_scheme_file(name):
        return read_scheme(Path(name), emotions, reserved=[*SCHEMES, AUTO, OWN_LABELS, UNITS])
    wanted, datasets = name.casefold(), sorted(emotions)
    if wanted.partition("-")[0] == UNITS:
        return units_scheme(wanted, datasets)
    covering = [scheme for scheme in SCHEMES.values() if set(datasets) <= set(scheme.datasets)]
    if wanted == AUTO and covering:
        return min(covering, key=lambda scheme: set(scheme.datasets) != set(datasets))
    is_own = all(dataset not in scheme.datasets for scheme in SCHEMES.values() for dataset in datasets)
    if wanted == OWN_LABELS or (wanted == AUTO and is_own):
        class_names = tuple(sorted({emotion for used in emotions.values() for emotion in used}))
        return Scheme(OWN_LABELS, class_names, {dataset: as_named(*class_names) for dataset in datasets})
    if wanted == AUTO:
        raise ConfigError(
            f"--scheme: no scheme covers {' and '.join(datasets)} together. Give stores of one dataset, or of several "
            f"among {', '.join(COMPOSITES[0].datasets)}, or --scheme {OWN_LABELS}."
        )
    if wanted not in SCHEMES:
        raise ConfigError(unknown_name("scheme", name, [*SCHEMES, OWN_LABELS, UNITS]))
    scheme = SCHEMES[wanted]
    if scheme not in covering:
        missing = [dataset for dataset in datasets if dataset not in scheme.datasets]
        fitting = ", ".join([other.name for other in covering] or [OWN_LABELS])
        raise ConfigError(
            f"--scheme: '{scheme.name}' covers {', '.join(scheme.datasets)}, and not {' and '.join(missing)}. "
            f"Choose one of {fitting}."
        )
    return scheme


def protocol_id(scheme: Scheme, datasets: Iterable[str], n_clips: int) -> str:
    """Return the id for a scheme, datasets and clips: "casme2-5/249", "casme2-mmnet3/156", "megc2019-cde/442"."""
    held = sorted(set(datasets))
    if scheme.composite and held == sorted(scheme.datasets):
        return f"{scheme.composite}/{n_clips}"
    prefix = "+".join(held)
    return f"{scheme.name if scheme.name.startswith(f'{prefix}-') else f'{prefix}-{scheme.name}'}/{n_clips}"


def check_counts(scheme: Scheme, dataset: str, table_version: str, labels: Mapping[str, int]) -> str | None:
    """Return a warning if the numbers of clips or subjects of a dataset are not the published ones; None otherwise.

    For a scheme from a file of your own, the numbers are those that the file expects, if it does.

    Parameters
    ----------
    table_version : version of the table; the published counts of an unknown version can't be checked
    labels : clip id -> class, of all clips of the dataset that the scheme keeps
    """
    table = (dataset, "" if scheme.origin else table_version)
    published = scheme.expected.get(table)
    if published is None:
        return None
    sentences = []
    source = f"in {scheme.origin}"
    if not scheme.origin:
        description, source = DATASETS[dataset], f"with table {table_version} of {dataset}"
        papers = scheme.expected.get((dataset, description.published), published)
        if table_version in description.older and published != papers:
            sentences.append(
                description.older[table_version].format(
                    scheme=scheme.name, here=_spell(scheme, published), published=_spell(scheme, papers)
                )
            )
    counts = Counter(labels.values())
    found = tuple(counts[label] for label in range(len(scheme.class_names)))
    n_subjects = len({subject_of(clip_id) for clip_id in labels})
    published_subjects = scheme.n_subjects.get(table, n_subjects)
    if (found, n_subjects) != (published, published_subjects):
        sentences.append(
            f"{scheme.name}: the store holds {_spell(scheme, found)} of {n_subjects} subjects. Expected "
            f"{_spell(scheme, published)} of {published_subjects} subjects {source}. "
            "`mer info` lists the clips that failed."
        )
    return " ".join(sentences) or None


def _spell(scheme: Scheme, counts: Sequence[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in zip(scheme.class_names, counts, strict=True))

"""Read a label scheme of your own from a TOML file, and check it against the stores that it is used on.

    name = "my3"
    classes = ["positive", "negative", "surprise"]  # in the order of the labels 0, 1, 2

    [casme2]  # a section for each dataset: which emotion belongs to which class
    happiness = "positive"
    disgust = "negative"
    surprise = "surprise"
    drop = ["repression", "others", "sadness", "fear"]  # emotions to leave out
    leave_out = ["04/EP12_01f"]                         # optional: single clips to leave out, subject/clip

    [expected.casme2]  # optional: the number of clips of each class, and of "subjects"
    positive = 32
    negative = 62
    surprise = 28

The file is needed only when a run is trained: the run records what the file says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.registry import DATASETS
from mer_cli.datasets.spelling import looks, spelt
from mer_cli.datasets.units import predicts_units
from mer_cli.errors import ConfigError, did_you_mean, unknown_name
from mer_cli.system.documents import read_toml, short_repr
from mer_cli.system.toml import spell

NAME, CLASSES, EXPECTED = "name", "classes", "expected"
DROP, LEAVE_OUT = "drop", "leave_out"
SUBJECTS = "subjects"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # a key that TOML needs no quotes around

Section = Mapping[str, Any]


def is_scheme_file(name: str) -> bool:
    """Return whether what follows --scheme is the path of a file, not a name: whether it ends in .toml."""
    return name.casefold().endswith(".toml")


def read_scheme(path: Path, emotions: Mapping[str, Iterable[str]], reserved: Iterable[str]) -> Scheme:
    """Return the scheme that a file describes for the datasets of some stores; its other sections are only checked.

    Parameters
    ----------
    emotions : dataset -> the emotions that occur in its store
    reserved : names of other schemes, which the file's scheme can't have

    Raises
    ------
    ConfigError
        If the file can't be read, has a mistake, or does not say what becomes of each emotion of the stores.
    """
    held = _parse(path)
    sections = _sections(path, held)
    class_names = _class_names(path, held)
    scheme_name = _name(path, held, sections, reserved)
    for dataset in emotions:
        if dataset not in sections:
            raise ConfigError(
                f"{path}: has no section for {dataset}, the dataset of a store.{did_you_mean(dataset, sections)} Add "
                f"[{dataset}], and say there which class each emotion belongs to."
            )
    class_of = {
        dataset: _map_emotions(path, dataset, section, class_names, emotions.get(dataset))
        for dataset, section in sections.items()
    }
    used = {class_name for mapped in class_of.values() for class_name in mapped.values()}
    for class_name in class_names:
        if class_name not in used:
            raise ConfigError(
                f"{path}: no emotion belongs to class '{class_name}'. Give it one, or take it out of {CLASSES}."
            )
    counts = _expected(path, held, sections, class_names)
    return Scheme(
        name=scheme_name,
        class_names=class_names,
        class_of={dataset: class_of[dataset] for dataset in emotions},
        expected={(dataset, ""): tuple(found[name] for name in class_names) for dataset, found in counts.items()},
        n_subjects={(dataset, ""): found[SUBJECTS] for dataset, found in counts.items() if SUBJECTS in found},
        left_out=frozenset(
            clip if clip.startswith(f"{dataset}/") else f"{dataset}/{clip}"
            for dataset in emotions
            for clip in _texts(path, dataset, sections[dataset], LEAVE_OUT)
        ),
        origin=str(path),
    )


def datasets_in(path: Path) -> Collection[str]:
    """Return the datasets that a scheme's file has a section for.

    Raises
    ------
    ConfigError
        If the file can't be read.
    """
    return _sections(path, _parse(path)).keys()


def check_clips(scheme: Scheme, clip_ids: Collection[str], labels: Mapping[str, int]) -> None:
    """Check a scheme from a file against the clips of the stores; a scheme of this program is not checked.

    Parameters
    ----------
    clip_ids : the clips of the stores, with those that failed
    labels : class of the clips that the scheme keeps, by clip id

    Raises
    ------
    ConfigError
        If the file leaves out a clip that the stores do not have, or a class has no clip.
    """
    if not scheme.origin:
        return
    for clip_id in sorted(scheme.left_out - set(clip_ids)):
        raise ConfigError(
            f"{scheme.origin}: {LEAVE_OUT} names {clip_id}, which the store does not have."
            f"{did_you_mean(clip_id, clip_ids)} Correct it, or take it out."
        )
    counts = Counter(labels.values())
    for label, class_name in enumerate(scheme.class_names):
        if not counts[label]:
            mapped = (emotion for of in scheme.class_of.values() for emotion, name in of.items() if name == class_name)
            raise ConfigError(
                f"{scheme.origin}: class '{class_name}' has no clip in the store (its emotions: "
                f"{', '.join(dict.fromkeys(mapped)) or 'none'}). Give it an emotion of the store, or take it out of "
                f"{CLASSES}."
            )


def scheme_text(scheme: Scheme) -> str:
    """Return the text of a file that describes the scheme, without the expected counts."""
    lines = [f"{NAME} = {spell(scheme.name)}", f"{CLASSES} = {spell(scheme.class_names)}"]
    for dataset, class_of in scheme.class_of.items():
        lines += ["", f"[{_key(dataset)}]"]
        lines += [f"{_key(emotion)} = {spell(name)}" for emotion, name in class_of.items() if name is not None]
        lists = {
            DROP: [emotion for emotion, name in class_of.items() if name is None],
            LEAVE_OUT: sorted(clip_id for clip_id in scheme.left_out if clip_id.startswith(f"{dataset}/")),
        }
        lines += [f"{key} = {spell(names)}" for key, names in lists.items() if names]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else spell(name)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read ({error.strerror}). Give --scheme the path of a TOML file, as docs/labels.md shows."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not text in UTF-8. Save it as UTF-8.") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}. Correct it; docs/labels.md shows an example.") from None


def _sections(path: Path, held: Mapping[str, Any]) -> dict[str, Section]:
    """Return the section of each dataset; refuse any other key."""
    sections: dict[str, Section] = {}
    for key, value in held.items():
        if key in (NAME, CLASSES, EXPECTED):
            continue
        if not isinstance(value, dict) or any(isinstance(inner, dict) for inner in value.values()):
            raise ConfigError(
                f"{path}: {unknown_name('key', key, (NAME, CLASSES, EXPECTED))} Emotions go into the section of their "
                "dataset, such as [casme2]."
            )
        sections[key] = value
    return sections


def _name(path: Path, held: Mapping[str, Any], datasets: Iterable[str], reserved: Iterable[str]) -> str:
    name = held.get(NAME)
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise ConfigError(
            f'{path}: {NAME} is {short_repr(name)}. Expected letters, digits, "-" and "_", for example: {NAME} = "my3".'
            if NAME in held
            else f'{path}: has no {NAME}. Give the scheme one, for example: {NAME} = "my3".'
        )
    taken = {other.casefold() for other in reserved}
    spelt = name.casefold()
    # A protocol's id begins with the dataset: "casme2-5" must not be the scheme "5" as well.
    for alias in (
        spelt,
        *(way for dataset in datasets for way in (f"{dataset}-{spelt}", spelt.removeprefix(f"{dataset}-"))),
    ):
        if alias in taken or predicts_units(alias):
            raise ConfigError(
                f"{path}: {NAME} is '{name}', and mer has a scheme '{alias}' of its own. Choose another name."
            )
    return name


def _class_names(path: Path, held: Mapping[str, Any]) -> tuple[str, ...]:
    example = f'for example: {CLASSES} = ["positive", "negative", "surprise"]'
    names = held.get(CLASSES)
    if names is None:
        raise ConfigError(f"{path}: has no {CLASSES}. List them in the order of their labels, {example}.")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(f"{path}: {CLASSES} is {short_repr(names)}. Expected a list of names, {example}.")
    if len(names) < 2:
        raise ConfigError(f"{path}: {CLASSES} has {len(names)} of them. Expected at least 2, {example}.")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice:
        raise ConfigError(f"{path}: {CLASSES} names '{twice}' twice. Name it once.")
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(looks(name), name)
        if other != name:
            raise ConfigError(
                f"{path}: {CLASSES} names '{spelt(other)}' and '{spelt(name)}', which differ only in their spelling. "
                "Name it once."
            )
    return tuple(names)


def _map_emotions(
    path: Path, dataset: str, section: Section, class_names: Collection[str], held: Iterable[str] | None
) -> dict[str, str | None]:
    """Return the class of each emotion of a dataset's section, None for a dropped one.

    Parameters
    ----------
    held : the emotions that occur in the dataset's store, all of which the section must mention; None if no store of
        the dataset is used
    """
    dropped = _texts(path, dataset, section, DROP)
    mapped = {emotion: name for emotion, name in section.items() if emotion not in (DROP, LEAVE_OUT)}
    published = DATASETS[dataset].emotions if dataset in DATASETS else ()
    known = dict.fromkeys((*published, *sorted(held or ())))  # empty if nothing is known of the dataset
    for emotion in (*mapped, *dropped):
        if known and emotion not in known:
            raise ConfigError(
                f"{path}: [{dataset}]: {unknown_name('emotion', emotion, known)} Other keys: {DROP}, {LEAVE_OUT}."
            )
    for emotion, name in mapped.items():
        if not isinstance(name, str):
            raise ConfigError(
                f"{path}: [{dataset}]: {emotion} is {short_repr(name)}. Expected the name of a class, in quotes; for "
                f'emotions to leave out: {DROP} = ["{emotion}"].'
            )
        if name not in class_names:
            raise ConfigError(f"{path}: [{dataset}]: {emotion}: {unknown_name('class', name, class_names)}")
        if emotion in dropped:
            raise ConfigError(f"{path}: [{dataset}]: '{emotion}' has a class and is dropped. Do one of the two.")
    silent = sorted(set(held or ()) - {*mapped, *dropped})
    if silent:
        raise ConfigError(
            f"{path}: [{dataset}] says nothing of {', '.join(silent)}, which the store has. Give each a class, or "
            f"leave it out: {DROP} = {spell(silent)}."
        )
    return {**mapped, **dict.fromkeys(dropped)}


def _texts(path: Path, dataset: str, section: Section, key: str) -> list[str]:
    texts = section.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        example = '["others", "fear"]' if key == DROP else '["04/EP12_01f"]'
        raise ConfigError(
            f"{path}: [{dataset}]: {key} is {short_repr(texts)}. Expected a list, for example: {key} = {example}."
        )
    return texts


def _expected(
    path: Path, held: Mapping[str, Any], datasets: Collection[str], class_names: Collection[str]
) -> dict[str, dict[str, int]]:
    """Return the expected number of clips of each class, and of subjects if it is given, by dataset."""
    sections = held.get(EXPECTED, {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise ConfigError(f"{path}: {EXPECTED} needs a section for each dataset, such as [{EXPECTED}.casme2].")
    for dataset, counts in sections.items():
        where = f"{path}: [{EXPECTED}.{dataset}]"
        if dataset not in datasets:
            raise ConfigError(f"{where}: {unknown_name('dataset', dataset, datasets)}")
        for name, count in counts.items():
            if name not in (*class_names, SUBJECTS):
                raise ConfigError(f"{where}: {unknown_name('class', name, (*class_names, SUBJECTS))}")
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ConfigError(
                    f"{where}: {name} is {short_repr(count)}. Expected a number of clips or subjects, 0 or more."
                )
        missing = [name for name in class_names if name not in counts]
        if missing:
            raise ConfigError(f"{where} lacks {', '.join(missing)}. Give the clips of every class, or none at all.")
    return sections

"""Which clips make counts differ from the published ones: failed ones, and rows that another version of a table has.

A clip that a scheme leaves out makes no difference to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_cli.datasets.schemes import CASME2_2014, OWN_LABELS, SMIC_HS_LONG, Scheme
from mer_cli.records import FailedClip
from mer_cli.store.counts import PUBLISHED, Contents, schemes_of


@dataclass(frozen=True)
class TableChange:
    """A clip whose emotion is not the same in a version of a table and in the one that the published counts are of.

    here : its emotion in that version, None where the version has no such clip
    """

    clip_id: str
    here: str | None
    published: str


# (dataset, version) -> its changes against the version in `PUBLISHED`. SMIC's long release counts five clips of the 164
# within others' videos and lacks two.
TABLE_CHANGES: Mapping[tuple[str, str], tuple[TableChange, ...]] = {
    CASME2_2014: tuple(
        TableChange(f"casme2/24/{name}", "sadness", "surprise") for name in ("EP07_01", "EP07_04f", "EP10_03")
    ),
    SMIC_HS_LONG: (
        TableChange("smic/01/s1_ne_02", None, "negative"),
        TableChange("smic/02/s2_sur_05", None, "surprise"),
        TableChange("smic/03/s3_ne_03", None, "negative"),
        TableChange("smic/03/s3_ne_20", None, "negative"),
        TableChange("smic/04/s4_ne_05", None, "negative"),
        TableChange("smic/04/s4_ne_06", None, "negative"),
        TableChange("smic/09/s9_sur_02", None, "surprise"),
    ),
}


@dataclass(frozen=True)
class Difference:
    """One clip that is counted otherwise than in the published counts.

    is_failed : a row of the table that gave no usable clip; otherwise the table itself is another one
    why, effect : a sentence each
    """

    clip_id: str
    is_failed: bool
    why: str
    effect: str

    @property
    def sentence(self) -> str:
        return f"{self.clip_id} {self.why} {self.effect}"


def differences(contents: Contents) -> tuple[Difference, ...]:
    """List the clips that make a dataset's counts differ, by id; a failed one is listed even where it changes none."""
    found = []
    for failed in contents.failed:
        why = f"({failed.emotion}) failed: {failed.reason.rstrip('.')}."
        found.append(Difference(failed.clip_id, True, why, effect_of_failure(contents, failed)))
    schemes, version = schemes_of(contents.dataset), contents.table_version
    for change in TABLE_CHANGES.get((contents.dataset, version), ()):
        published = PUBLISHED[contents.dataset]
        if change.here is None:
            why = f"is no clip of its own in table {version}, but one in {published}."
            effects = _missing(schemes, change.clip_id, change.published)
        else:
            why = f"is {change.here} in table {version}, {change.published} in {published}."
            effects = _moved(schemes, change.clip_id, change.here, change.published)
        found.append(Difference(change.clip_id, False, why, _spell(effects)))
    return tuple(sorted(found, key=lambda difference: difference.clip_id))


def effect_of_failure(contents: Contents, failed: FailedClip) -> str:
    """Say which counts of its dataset a failed clip is missing from."""
    if failed.clip_id.casefold() in contents.folded_ids:  # a second row of a clip that is there takes nothing away
        return _spell([])
    schemes = schemes_of(contents.dataset)
    if not schemes:
        return _spell([f"{OWN_LABELS} has 1 {failed.emotion} fewer"])
    return _spell(_missing(schemes, failed.clip_id, failed.emotion))


def _missing(schemes: list[Scheme], clip_id: str, emotion: str) -> list[str]:
    classes = {scheme.name: _class_name(scheme, clip_id, emotion) for scheme in schemes}
    return [f"{scheme} has 1 {name} fewer" for scheme, name in classes.items() if name]


def _moved(schemes: list[Scheme], clip_id: str, here: str, published: str) -> list[str]:
    ways = {
        scheme.name: (_class_name(scheme, clip_id, here), _class_name(scheme, clip_id, published)) for scheme in schemes
    }
    return [
        f"{scheme} has it as {ours or 'left out'}, published as {theirs or 'left out'}"
        for scheme, (ours, theirs) in ways.items()
        if ours != theirs
    ]


def _spell(effects: list[str]) -> str:
    return f"{'; '.join(effects) or 'It changes no count'}."


def _class_name(scheme: Scheme, clip_id: str, emotion: str) -> str | None:
    """The class that a scheme counts a clip in; None where it leaves it out, or the emotion is of no class at all."""
    if emotion not in scheme.class_of[clip_id.partition("/")[0]]:
        return None
    label = scheme.label(clip_id, emotion)
    return None if label is None else scheme.class_names[label]

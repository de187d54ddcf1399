"""The config of a run: its settings with device, precision and compile resolved, and the stores that it uses.

It is written as `config.json` into the run directory, and read back here. The directory's name has a hash of the
settings and the file has a checksum of what it says, so an edit is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from mer_cli.datasets.dataset import Scheme, all_to, as_named
from mer_cli.datasets.schemes import OWN_LABELS, SCHEMES
from mer_cli.datasets.unit_masks import shown_in, spell_mask
from mer_cli.datasets.units import units_scheme
from mer_cli.errors import ConfigError, RunError
from mer_cli.runs.config import TrainConfig, resolve_config
from mer_cli.runs.methods import MMNET
from mer_cli.system.documents import read_json, short_repr
from mer_cli.system.files import may_be_whole, unread

PROTOCOL_VERSION = 4  # raised whenever a change of the code can move a stored logit: old runs are then not continued

# In config.json beside the settings, and not among them. Runs from before have only the first, or neither.
CHECKSUM = "clips_sha256"
OWN_CHECKSUM = "config_sha256"  # of all that config.json says except this

Role = Literal["loso", "list", "dataset", "train", "test"]
TRAINED_ON: tuple[Role, ...] = ("loso", "list", "dataset", "train")  # in some fold, or in all

GENERATED = "generated: not a result on any dataset"  # beside whatever such a run gives


class RunStore(BaseModel):
    """A store that a run uses, described by its content, not its path."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: str
    """Dataset of the store; a run has no two stores of the same dataset."""
    role: Role
    """Role of the store in the protocol: what of it is held out at a time, while it is trained on in the other folds (a
    subject, loso; a list of subjects, list; all of it, dataset); or only trained on, or only tested on."""
    content_hash: str
    """Hash over the store's content, which the store itself records."""
    table_sha256: str
    """SHA-256 of the coding table that the store was built from."""
    table_version: str
    """Published version of that table, or ""."""
    generated: bool
    """Whether the faces were generated, so that no score is a result on the dataset."""
    clips_hash: str = ""
    """Hash over the store's whole clips if the method sees them, otherwise ""."""


class AddedStore(BaseModel):
    """A store of generated clips that folds train on, beside their own training clips (`runs.folds.added_to`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: str
    """Dataset of the clips, "synth-casme2" for those in the layout of casme2."""
    content_hash: str
    """Hash over the store's content."""
    n_clips: int
    """Number of its clips that the label scheme keeps."""
    release: int
    """Release of the generator that drew them."""
    seed: int
    """Seed that they were drawn with."""


class OwnScheme(BaseModel):
    """What a label scheme of the user's own says of a run's datasets, sorted so that equal schemes look alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    class_of: dict[str, dict[str, str]]
    """Dataset -> emotion -> class."""
    dropped: dict[str, tuple[str, ...]]
    """Dataset -> the emotions that are left out."""
    left_out: tuple[str, ...]
    """Ids of the single clips that are left out."""

    @field_validator("class_of")
    @classmethod
    def _sorted_by_emotion(cls, class_of: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {dataset: dict(sorted(mapped.items())) for dataset, mapped in sorted(class_of.items())}

    @classmethod
    def of(cls, scheme: Scheme) -> OwnScheme | None:
        """Return what to record of a scheme from the user's file; None for a scheme of this program."""
        if not scheme.origin:
            return None
        mapped = sorted(scheme.class_of.items())
        return cls(
            class_of={dataset: {word: name for word, name in of.items() if name is not None} for dataset, of in mapped},
            dropped={
                dataset: tuple(sorted(word for word, name in of.items() if name is None)) for dataset, of in mapped
            },
            left_out=tuple(sorted(scheme.left_out)),
        )


class RunConfig(TrainConfig):
    """All settings of a run, with no "auto" left. The order in which the stores were given makes no difference."""

    stores: tuple[RunStore, ...]
    """The stores, sorted by dataset."""
    protocol_id: str
    """Scheme and number of clips: "casme2-5/249", "casme2-to-samm-megc3/145-to-133"."""
    class_names: tuple[str, ...]
    """Classes in label order."""
    added: tuple[AddedStore, ...] = ()
    """Stores of generated clips that folds train on, sorted by dataset; they are not among `stores`."""
    own_scheme: OwnScheme | None = None
    """What the label scheme says, if it came from the user's own file."""
    fold_lists: dict[str, tuple[str, ...]] | None = None
    """Subjects ("casme2/01") that each fold holds out, if lists of subjects were given."""
    protocol_version: int = PROTOCOL_VERSION
    """Value of `PROTOCOL_VERSION` in the code that made the run."""
    revision: int = 1
    """Revision of the method's code that made the run (`Method.revision`)."""

    @field_validator("normalisation", mode="before")
    @classmethod
    def _was_called_raw(cls, name: Any) -> Any:
        return "standard" if name == "raw" else name  # its name in runs from before

    @field_validator("stores")
    @classmethod
    def _sorted_by_dataset(cls, stores: tuple[RunStore, ...]) -> tuple[RunStore, ...]:
        return tuple(sorted(stores, key=lambda store: store.dataset))

    @property
    def predicts_units(self) -> bool:
        """As of `TrainConfig`; a scheme from a file may have such a name in runs from before."""
        return super().predicts_units and self.own_scheme is None

    @property
    def n_labels(self) -> int:
        """The number of labels that a clip can have: the classes, or all sets of the action units."""
        return 1 << len(self.class_names) if self.predicts_units else len(self.class_names)

    def shown_by(self, label: int) -> tuple[int, ...]:
        """Return the places in `class_names` of what a clip with this label shows: its class, or its action units."""
        return shown_in(label) if self.predicts_units else (label,)

    def name_of(self, label: int) -> str:
        """Return a label in words: the name of the class, or action units such as "AU1+AU4"."""
        return spell_mask(label, self.class_names) if self.predicts_units else self.class_names[label]

    @property
    def label_scheme(self) -> Scheme | None:
        """The run's label scheme, without expected counts; None if this version of the program does not have it."""
        if self.own_scheme:
            own = self.own_scheme
            class_of = {
                dataset: {**mapped, **all_to(None, *own.dropped.get(dataset, ()))}
                for dataset, mapped in own.class_of.items()
            }
            left_out = frozenset(own.left_out)
            return Scheme(self.scheme, self.class_names, class_of, left_out=left_out, origin="config.json")
        if self.scheme == OWN_LABELS:
            class_of = {store.dataset: as_named(*self.class_names) for store in self.stores}
            return Scheme(self.scheme, self.class_names, class_of)
        if self.predicts_units:
            return units_scheme(self.scheme, [store.dataset for store in self.stores])
        return SCHEMES.get(self.scheme)

    @property
    def is_loso(self) -> bool:
        return all(store.role == "loso" for store in self.stores)

    @property
    def is_across(self) -> bool:
        """Whether some stores are only trained on, and the others only tested on."""
        return any(store.role == "test" for store in self.stores)

    @property
    def averages_datasets(self) -> bool:
        """Whether each fold holds out a dataset, so that a score of all clips is the mean over the datasets' scores."""
        return any(store.role == "dataset" for store in self.stores)

    @property
    def scored_parts(self) -> tuple[str | None, ...]:
        """Datasets that are scored by themselves, after None for all clips together; None is absent across datasets."""
        if self.is_across:
            return self.test_datasets
        return (None, *self.test_datasets) if len(self.stores) > 1 else (None,)

    @property
    def pooled_parts(self) -> tuple[str | None, ...]:
        """What counts are pooled over: None for all clips together, or each dataset if whole datasets are held out."""
        return self.test_datasets if self.is_across or self.averages_datasets else (None,)

    @property
    def test_datasets(self) -> tuple[str, ...]:
        """The datasets with held-out clips, on which the run is scored."""
        return tuple(store.dataset for store in self.stores if store.role != "train")

    @property
    def generated(self) -> bool:
        """Whether any store of the run has generated faces; not those that are added to its training clips."""
        return any(store.generated for store in self.stores)

    @property
    def n_added(self) -> int:
        """Number of generated clips that folds train on beside their own."""
        return sum(store.n_clips for store in self.added)

    @property
    def run_name(self) -> str:
        """The name of the run's folder, with a hash over the settings that differ from their defaults at its end.

        So earlier runs keep their names when a later version adds a setting. A version that changes a default must
        raise `PROTOCOL_VERSION`.
        """
        changed = self.model_dump(mode="json", exclude_defaults=True) | {"protocol_version": self.protocol_version}
        settings = json.dumps(changed, sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        network = self.model if self.variant == MMNET else f"{self.model}-{self.variant}"
        return f"{self.protocol_id.partition('/')[0]}-{network}-{self.recipe}-s{self.seed}-{digest}"

    def protocol(self, tested: Iterable[str] | None = None) -> str:
        """Return the protocol in words, such as "leave one subject out" or "trained on casme2, tested on samm".

        Parameters
        ----------
        tested : test datasets to name; None names all. Has no effect if subjects or lists of subjects are held out
        """
        if self.is_loso:
            return "leave one subject out"
        if self.fold_lists:
            return f"{len(self.fold_lists)}-fold by subject, lists {lists_digest(self.fold_lists)}"
        if self.averages_datasets:
            what = f"tested on {_listed(tested)}" if tested else f"mean over {len(self.stores)} datasets"
            return f"leave one dataset out, {what}"
        trained = (store.dataset for store in self.stores if store.role == "train")
        return f"trained on {_listed(trained)}, tested on {_listed(tested or self.test_datasets)}"


def lists_digest(lists: Mapping[str, Sequence[str]]) -> str:
    """Return 8 hexadecimal digits by which lists of subjects are named: equal for equal lists, in whatever file."""
    dealt = json.dumps({fold: sorted(subjects) for fold, subjects in lists.items()}, sort_keys=True)
    return hashlib.sha256(dealt.encode()).hexdigest()[:8]


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def read_config(path: Path) -> RunConfig:
    """Return the config of a run directory.

    Raises
    ------
    RunError
        As in `parse_config`, or if the settings do not fit the folder's name (a name given by hand is not checked).
    """
    config = parse_config(path)
    file = path / "config.json"
    name = path.resolve().name
    if re.search(r"-s\d+-[0-9a-f]{8}$", name) and name != config.run_name:  # any other name was given by hand
        raise RunError(
            f"{file}: its settings are those of {config.run_name}, not those that the folder is named "
            "after. The file was edited, or the folder renamed: restore it, or move the run away and train again."
        )
    held = _read_json(file)
    if held.get(OWN_CHECKSUM, _own_checksum(held)) != _own_checksum(held):
        raise _no_config(file, "it has changed since it was written")
    return config


def parse_config(path: Path) -> RunConfig:
    """Return the config of a run directory, without checking that it fits the folder's name.

    Raises
    ------
    RunError
        If there is no config, it was written by another version, or a setting in it can't be used.
    """
    if sentence := other_version(path):
        raise RunError(sentence)
    file = path / "config.json"
    try:
        held = _read_json(file)
        config = RunConfig.model_validate({name: held[name] for name in held if name not in (CHECKSUM, OWN_CHECKSUM)})
    except ValidationError as error:
        problem = error.errors()[0]
        setting = ".".join(map(str, problem["loc"])) or "a setting"
        raise _no_config(file, f"{setting} is {short_repr(problem['input'])}: {problem['msg']}") from None
    if config.recipe not in config.method.recipes:
        raise _no_config(file, f"recipe is {short_repr(config.recipe)}, which {config.model} does not have")
    try:
        if config.foreign:
            resolve_config(config.recipe, model=config.model, foreign=config.foreign)
    except ConfigError as error:
        raise _no_config(file, str(error).removesuffix(".")) from None
    return config


def config_text(config: RunConfig, clips_sha256: str) -> str:
    """Return the text of a run's config.json: the settings, then the checksum of clips.csv and its own."""
    # As older runs are written.
    absent = {name for name in ("own_scheme", "fold_lists", "foreign") if getattr(config, name) is None}
    if config.revision == 1:
        absent.add("revision")
    if not config.added:
        absent |= {"added", "pretrain"}
    if not config.init:
        absent.add("init")
    held = json.loads(config.model_dump_json(exclude=absent)) | {CHECKSUM: clips_sha256}
    return json.dumps(held | {OWN_CHECKSUM: _own_checksum(held)}, indent=2) + "\n"


def _own_checksum(held: dict[str, Any]) -> str:
    """Return the SHA-256 of what a config.json says; its own checksum, line breaks and order make no difference."""
    said = {name: value for name, value in held.items() if name != OWN_CHECKSUM}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def stored_checksum(path: Path) -> str:
    """Return the SHA-256 of `clips.csv` that the run's config.json records; "" for an old run, which records none."""
    return str(_read_json(path / "config.json").get(CHECKSUM, ""))


def has_all_checksums(path: Path) -> bool:
    """Return whether each file of a run must have a checksum, because its config.json has one of its own."""
    return OWN_CHECKSUM in _read_json(path / "config.json")


def other_version(path: Path) -> str | None:
    """Return a sentence if the run was written under another protocol version, which `parse_config` refuses, else None.

    Raises
    ------
    RunError
        If it is not a run directory, or its config is damaged.
    """
    file = path / "config.json"
    version = _read_json(file).get("protocol_version")
    if version == PROTOCOL_VERSION:
        return None
    return (
        f"{file}: protocol version {short_repr(version)}, and this program reads {PROTOCOL_VERSION}. Train again; the "
        "old run stays as it is."
    )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        held = read_json(file)
    except OSError as error:
        if may_be_whole(error):
            raise RunError(unread(file, error)) from None
        raise RunError(
            f"{file.parent}: not a run directory, it has no config.json. `mer train --loso` makes one."
        ) from None
    except ValueError as error:
        raise _no_config(file, str(error)) from None
    if not isinstance(held, dict):
        raise _no_config(file, f"a JSON {type(held).__name__}")
    return held


def _no_config(file: Path, problem: str) -> RunError:
    return RunError(f"{file}: was edited or damaged ({problem}). Restore it, or move the run away and train again.")

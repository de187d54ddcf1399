"""A store as a Python object: its clips, images, motion and labels, each read when you ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_cli.datasets.dataset import Scheme
from mer_cli.datasets.schemes import AUTO, resolve_scheme
from mer_cli.engines.resumable import ignore_clip
from mer_cli.errors import ConfigError, unknown_name
from mer_cli.motion.cache import build_motion, read_motion
from mer_cli.motion.inputs import Backend
from mer_cli.runs.protocol import require_one_each
from mer_cli.runs.run_config import GENERATED
from mer_cli.store.hdf5 import StoreInfo, read_landmarks, read_pairs, read_store
from mer_cli.store.whole_clips import read_clip
from mer_cli.system.workers import default_jobs

if TYPE_CHECKING:
    from mer_cli.api.pairs import PairDataset

Ids = str | Iterable[str] | None  # of clips; None means all of the store


def open_store(path: str | Path) -> Store:
    """Return a store that you can read from.

    Raises
    ------
    StoreError
        If the file is absent, damaged, of another schema version, or not a store.
    """
    return Store(read_store(Path(path)))


class Store:
    """A store that you can read from. No file stays open between two calls, so there is nothing to close.

    Arrays have a row for each clip, in the order of the ids that you give; without ids, in the order of `clips`.
    """

    def __init__(self, info: StoreInfo) -> None:
        self.info = info

    @property
    def path(self) -> Path:
        return self.info.path

    @property
    def dataset(self) -> str:
        return self.info.dataset

    @property
    def generated(self) -> bool:
        """Whether the faces were generated, so that no score on them is a result on the dataset."""
        return self.info.generated

    @property
    def clips(self) -> pd.DataFrame:
        """A copy of the table of clips, with the clip id as its index: subject, emotion, onset, apex, offset, ..."""
        return self.info.clips.copy()

    def __len__(self) -> int:
        return len(self.info.clips)

    def images(self, ids: Ids = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return onset and apex of some clips, each (N, 224, 224, 3) uint8, RGB."""
        return read_pairs(self.path, self._ids(ids))

    def frames(self, clip_id: str) -> NDArray[np.uint8]:
        """Return a whole clip from onset to offset, (T, 224, 224, 3) uint8, RGB.

        Raises
        ------
        StoreError
            If the store has no such clip, or was written without `mer preprocess --clips`.
        """
        return read_clip(self.path, clip_id)

    def flow(self, ids: Ids = None, backend: Backend = "fast") -> NDArray[np.float32]:
        """Return the optical flow from onset to apex of some clips, (N, 2, 224, 224) float32, u and v in pixels.

        The first call computes the flow of all clips in worker processes, and keeps it beside the store, where training
        finds it as well.

        Parameters
        ----------
        backend : "fast" (DIS), "fine" (DIS down to the full resolution), or "tvl1" (TV-L1), which most published
            methods name
        """
        if backend not in get_args(Backend):
            raise ConfigError(f"backend: {unknown_name('optical flow', str(backend), get_args(Backend))}")
        build_motion(self.info, backend, jobs=default_jobs(), on_clip=ignore_clip)
        return read_motion(self.info, backend, self._ids(ids)).astype(np.float32)

    def landmarks(self, ids: Ids = None) -> NDArray[np.float32]:
        """Return the 68 landmarks of some clips' onset images, (N, 68, 2) float32, x and y in pixels.

        Raises
        ------
        StoreError
            If no face was found in one of the clips, so that its landmarks are a guess.
        """
        return read_landmarks(self.path, self._ids(ids))

    def labels(self, scheme: str = AUTO) -> pd.DataFrame:
        """Return the class of each clip that a label scheme keeps, sorted by clip id.

        Parameters
        ----------
        scheme : "auto" means the dataset's own

        Returns
        -------
        A table with the clip id as its index, and the columns label (0, 1, ...) and class (its name)
        """
        resolved, label_of = label_clips([self], scheme)
        names = [resolved.class_names[label] for label in label_of.values()]
        index = pd.Index(list(label_of), name="id", dtype=str)
        return pd.DataFrame({"label": np.array(list(label_of.values()), dtype=np.int64), "class": names}, index=index)

    def torch_dataset(self, scheme: str = AUTO) -> PairDataset:
        """Return onset, apex and label of each clip that a label scheme keeps, as a `torch.utils.data.Dataset`."""
        from mer_cli.api.pairs import PairDataset

        resolved, label_of = label_clips([self], scheme)
        return PairDataset(self.images(label_of), label_of, resolved.class_names)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        told = f"<p><b>{escape(str(self.path))}</b>: {escape(self._summary())}</p>"
        return f"{told}<p>Its first clips:</p>{self.info.clips.head().to_html()}"

    def _summary(self) -> str:
        n_subjects = self.info.clips["subject"].nunique()
        faces = f"; {GENERATED}" if self.generated else ""
        return f"{self.dataset}, {len(self)} clips of {n_subjects} subjects{faces}"

    def _ids(self, ids: Ids) -> list[str]:
        if ids is None:
            return list(map(str, self.info.clips.index))
        return [ids] if isinstance(ids, str) else list(map(str, ids))


Stores = str | Path | Store | Iterable[str | Path | Store]


def opened(stores: Stores) -> list[Store]:
    """Return one or several stores, given as paths or objects, as a list of objects."""
    given = [stores] if isinstance(stores, str | Path | Store) else stores
    return [each if isinstance(each, Store) else open_store(each) for each in given]


def label_clips(stores: Sequence[Store], scheme: str) -> tuple[Scheme, Mapping[str, int]]:
    """Return a label scheme, and the label of each clip of some stores that it keeps, by clip id, sorted by id.

    Raises
    ------
    ConfigError
        If there is no such scheme, it doesn't cover the stores' datasets, or two stores are of one dataset.
    """
    require_one_each(store.info for store in stores)
    emotions = {store.dataset: store.info.clips["emotion"].astype(str).to_dict() for store in stores}
    resolved = resolve_scheme(scheme, {dataset: set(held.values()) for dataset, held in emotions.items()})
    if resolved.of_units:
        raise ConfigError(
            f"scheme: {resolved.name} is of action units, several of which a clip may show, and a label here is one "
            "class. Give a scheme of classes; mer_cli.train takes units."
        )
    every = sorted((str(clip_id), emotion) for held in emotions.values() for clip_id, emotion in held.items())
    labels = ((clip_id, resolved.label(clip_id, emotion)) for clip_id, emotion in every)
    return resolved, {clip_id: label for clip_id, label in labels if label is not None}

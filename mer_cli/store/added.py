"""Draw generated clips that a run adds to its training clips, and pack them into a store beside the run's own.

    data/casme2.h5                                    the run's store
    data/synth/casme2-r2-s70007-n1000.h5              1,000 clips in its layout: generator's release 2, seed 70007

The images are drawn in a folder beside it, data/synth/casme2-r2-s70007-n1000, which is removed when the store is there.
The clips are of a dataset of their own, "synth-casme2": the generated subject 01 and the recorded one are two people.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mer_cli.datasets.registry import DATASETS, load_release
from mer_cli.engines.resumable import OnClip, ignore_clip, parts_dir
from mer_cli.errors import ConfigError, StoreError
from mer_cli.faces.crop import Align
from mer_cli.faces.depth import BITS
from mer_cli.faces.frames import HALF_WINDOW
from mer_cli.faces.mean_face import NOT_A_FACE, is_a_face
from mer_cli.records import ADDED, FailedClip, Release
from mer_cli.store.audit import audit_dir
from mer_cli.store.build import build_store
from mer_cli.store.hdf5 import StoreInfo, read_landmarks, read_store
from mer_cli.system.files import lock_file

RELEASE = 2  # of the generator
SEED = 70_007  # far from those of the sets that docs score: other people


def share_out(stores: Sequence[StoreInfo], n_clips: int) -> dict[str, int]:
    """Return how many generated clips are drawn in the layout of each store, by dataset: equal shares of `n_clips`.

    Raises
    ------
    ConfigError
        If a dataset has no generator, its faces are cropped in a way that generated ones can't be, or there are fewer
        clips than datasets.
    """
    datasets = sorted(store.dataset for store in stores)
    for store in stores:
        if store.dataset not in DATASETS:
            raise ConfigError(
                f"--pretrain: no faces can be generated in the layout of {store.dataset}. Expected stores of "
                f"{', '.join(DATASETS)}. Leave --pretrain out, or {store.path}."
            )
        if store.attributes["crop"]["align"] == "none":
            raise ConfigError(
                f"--pretrain: {store.path} was built with --align none, from images that are cut to the face, and "
                "generated images are not. Leave --pretrain out, or build the store with another --align."
            )
    if n_clips < len(datasets):
        raise ConfigError(
            f"--pretrain synth:{n_clips}: is less than a clip for each of {len(datasets)} datasets. Give a higher "
            "number."
        )
    share, rest = divmod(n_clips, len(datasets))
    return {dataset: share + (place < rest) for place, dataset in enumerate(datasets)}


def added_path(store: StoreInfo, n_clips: int) -> Path:
    """Return the path of the store of generated clips in the layout and the crop of a store, beside it."""
    align = store.attributes["crop"]["align"]
    crop = "" if align == "box" else f"-{align}"
    return store.path.parent / "synth" / f"{store.dataset}-r{RELEASE}-s{SEED}-n{n_clips}{crop}.h5"


def read_added(store: StoreInfo, n_clips: int) -> StoreInfo:
    """Return the store of generated clips beside a store.

    Raises
    ------
    StoreError
        If it is absent, damaged, or holds something else.
    """
    path = added_path(store, n_clips)
    if not path.exists():
        raise StoreError(
            f"{path}: the generated clips of --pretrain are not drawn yet. `mer train` draws them: give it the same "
            "stores and --pretrain."
        )
    added = read_store(path)
    n_held = len(added.clips) + len(added.attributes["failed"])
    if _cropped(added) != _cropped(store):
        raise StoreError(
            f"{path}: its generated clips are cropped with other settings than the clips of {store.path}. Build the "
            "older of the two again: `mer preprocess` builds the store, and `mer train` draws the clips if you move "
            "their file away."
        )
    if (added.dataset, added.generated, n_held) != (f"{ADDED}{store.dataset}", True, n_clips):
        raise StoreError(
            f"{path}: holds {n_held} clips of {added.dataset}. Expected {n_clips} generated clips of "
            f"{ADDED}{store.dataset}. Move the file away, and `mer train` draws them."
        )
    return added


def _cropped(store: StoreInfo) -> dict[str, Any]:
    """Return how a store's images are cropped, without the bits of its recordings: drawn ones have eight."""
    return {name: value for name, value in store.attributes["crop"].items() if name != BITS}


def draw_added(store: StoreInfo, n_clips: int, on_clip: OnClip = ignore_clip) -> None:
    """Draw the images of the generated clips that are added to those of a store, unless `pack_added` has packed them.

    An interrupted call is continued.

    Parameters
    ----------
    on_clip : called with "" and "ok" as each clip ends

    Raises
    ------
    MerError
        If another process draws the clips, or a worker process dies.
    """
    from mer_cli.datasets.synthetic.writer import write_for_store  # not above: it loads Dlib and OpenCV

    path = added_path(store, n_clips)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    told = 0

    def on_drawn(done: int, _: int) -> None:
        nonlocal told
        for _ in range(done - told):
            on_clip("", "ok")
        told = done

    images = path.with_suffix("")
    with lock_file(images):
        write_for_store(
            store.dataset, images, clips=n_clips, seed=SEED, release=RELEASE, near=HALF_WINDOW, on_clip=on_drawn
        )


def pack_added(store: StoreInfo, n_clips: int, on_clip: OnClip = ignore_clip) -> None:
    """Pack the images that `draw_added` drew into a store beside `store`, unless it is there, and remove them.

    Parameters
    ----------
    on_clip : as in `build_store`

    Raises
    ------
    MerError
        If the landmark model is absent, the disk is full or can't be written, or another process packs the clips.
    """
    path = added_path(store, n_clips)
    if path.exists():
        return
    images = path.with_suffix("")
    with lock_file(images):
        release = _renamed(load_release(store.dataset, images))
        build_drawn(release, path, align=store.attributes["crop"]["align"], on_clip=on_clip)
        shutil.rmtree(images, ignore_errors=True)


def build_drawn(release: Release, path: Path, *, align: Align = "box", on_clip: OnClip = ignore_clip) -> None:
    """Build the store of a generated release, unless it is there, without clips whose faces can't be compared.

    Of a thousand clips one or two may have landmarks that don't lie as those of a face. Nobody could mend a drawn clip,
    and a run that compares faces (`--input`) refuses a store with one.

    Parameters
    ----------
    align, on_clip : as in `build_store`

    Raises
    ------
    MerError
        As `build_store`.
    """
    if path.exists():
        return
    unjudged = path.with_suffix(".unjudged.h5")
    build_store(release, unjudged, align=align, on_clip=on_clip)
    if unlike := _unlike_faces(unjudged):
        unjudged.unlink()
        build_store(_without(release, unlike), unjudged, align=align)
    shutil.rmtree(parts_dir(unjudged), ignore_errors=True)  # kept for clips without a face, which stay without
    shutil.rmtree(audit_dir(path), ignore_errors=True)
    audit_dir(unjudged).replace(audit_dir(path))
    unjudged.replace(path)


def _unlike_faces(path: Path) -> frozenset[str]:
    """Return the clips of a store whose landmarks don't lie as those of a face."""
    clip_ids = list(map(str, read_store(path).clips.index))
    landmarks = read_landmarks(path, clip_ids)
    return frozenset(clip_id for clip_id, of_clip in zip(clip_ids, landmarks, strict=True) if not is_a_face(of_clip))


def _without(release: Release, clip_ids: Collection[str]) -> Release:
    """Return a release in which some clips have failed."""
    failed = (FailedClip(clip.clip_id, clip.emotion, NOT_A_FACE) for clip in release.clips if clip.clip_id in clip_ids)
    kept = tuple(clip for clip in release.clips if clip.clip_id not in clip_ids)
    return replace(release, clips=kept, failed=(*release.failed, *failed))


def _renamed(release: Release) -> Release:
    """Return a release as one of a dataset of its own."""
    dataset = f"{ADDED}{release.dataset}"
    return replace(
        release,
        dataset=dataset,
        clips=tuple(replace(clip, dataset=dataset) for clip in release.clips),
        failed=tuple(replace(failed, clip_id=f"{ADDED}{failed.clip_id}") for failed in release.failed),
    )

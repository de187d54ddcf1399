"""Looks at what lies where a store is to be written: another store may take its place, or nothing may."""

from __future__ import annotations

from pathlib import Path

from mer_cli.datasets.stamp import STAMP
from mer_cli.errors import StoreError
from mer_cli.records import Release
from mer_cli.store.hdf5 import StoreInfo, read_store
from mer_cli.store.open_file import require_no_other_file
from mer_cli.store.parts import parts_dir
from mer_cli.store.write_errors import require_no_folder


def require_place(out: Path, release: Release, *, resume: bool) -> None:
    """Refuse to write the release's store over what would be lost.

    Runs find their store by its path. One whose pictures or table were mended is replaced, and a damaged one.

    Raises
    ------
    OSError
        If a folder has that name.
    StoreError
        If a file is there that is not a store; or the store of generated faces, where the release has its coding table
        and no stamp; or, with `resume`, parts of generated faces where these have no stamp, the store of another
        dataset, of generated faces where these have no stamp, or the other way round.
    """
    require_no_folder(out)
    require_no_other_file(out)
    parts = parts_dir(out)
    if resume and (parts / STAMP).exists() and not release.generated:
        raise StoreError(
            f"{parts}: holds clips of generated faces, of a build that was interrupted, and no {STAMP} lies in or "
            "above the folders of these clips. Nothing was changed. If they are generated, put the file back into the "
            "folder that `mer synth` wrote; if they are real, give another --out, or --no-resume to drop the parts."
        )
    try:
        store = read_store(out)
    except StoreError:
        return  # there is none, or a damaged one
    if store.dataset == release.dataset and store.generated and not release.generated:
        _require_no_lost_stamp(store, release, resume=resume)
    elif resume and store.dataset != release.dataset:
        raise StoreError(
            f"{out}: holds {store.dataset}, and would be replaced by {release.dataset}. Give another --out, or "
            "--no-resume to replace it."
        )
    elif resume and release.generated and not store.generated:
        raise StoreError(
            f"{out}: holds {store.dataset} without the stamp of generated faces, and these clips are generated. If it "
            "was built from them by a version that overlooked the stamp, build it anew with --no-resume and train "
            "again; if it holds real faces, give another --out."
        )


def _require_no_lost_stamp(store: StoreInfo, release: Release, *, resume: bool) -> None:
    """Refuse to call faces real that the store calls generated; where the table is the same one, whatever is asked."""
    if store.table_sha256 and store.table_sha256 == release.table_sha256:
        real = "remove the store yourself, or give another --out"
    elif resume:
        real = "give another --out, or --no-resume to replace it"
    else:
        return
    raise StoreError(
        f"{store.path}: holds generated faces of {store.dataset}, and no {STAMP} lies in or above the folders of these "
        "clips. Nothing was changed. If they are generated, put the file back into the folder that `mer synth` wrote; "
        f"if they are real, {real}."
    )

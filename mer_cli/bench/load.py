"""Reading a store into memory, beside decompressing the same pictures twice."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch

from mer_cli.bench.ceilings import median_seconds
from mer_cli.bench.pictures import draw_windows
from mer_cli.store.hdf5 import StoreWriter, read_windows
from mer_cli.store.schema import ARRAYS, COLUMNS, JSON_ATTRIBUTES, CroppedClip

CLIPS = 100
CPU = torch.device("cpu")


def bench_load(repeats: int) -> dict[str, float]:
    """Seconds of reading a store of generated pictures from a warm disk cache, and of unpacking them from gzip twice.

    Returns
    -------
    megabytes, store_s, gzip_twice_s, ratio
    """
    with tempfile.TemporaryDirectory() as folder:
        store, packed = Path(folder) / "casme2.h5", Path(folder) / "packed.h5"
        ids = _write(store, CLIPS)
        windows = read_windows(store, ids)
        with h5py.File(packed, "w") as file:
            for name, pictures in (("onset", windows[0]), ("apex", windows[2])):
                file.create_dataset(name, data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip")

        def unpack_twice() -> None:
            for _ in range(2):
                with h5py.File(packed) as file:
                    for name in ("onset", "apex"):
                        file[name][:]

        reading = median_seconds(lambda: read_windows(store, ids), CPU, repeats)
        unpacking = median_seconds(unpack_twice, CPU, repeats)
    megabytes = (windows[0].nbytes + windows[2].nbytes) / 1e6
    return {"megabytes": megabytes, "store_s": reading, "gzip_twice_s": unpacking, "ratio": unpacking / reading}


def _write(path: Path, n_clips: int) -> list[str]:
    windows = draw_windows(n_clips)
    ids = [f"casme2/01/{number:04}" for number in range(n_clips)]
    numbers = {"onset": windows.onset_numbers, "apex": windows.apex_numbers}
    with StoreWriter(path, n_clips) as writer:
        for row, clip_id in enumerate(ids):
            arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in ARRAYS.items()}
            for name, pictures in (("onset", windows.onset), ("apex", windows.apex)):
                arrays |= {f"{name}_window": pictures[row], f"{name}_window_frames": numbers[name][row].astype("<i4")}
            whole: dict[str, object] = dict.fromkeys(COLUMNS, "")
            whole |= {"id": clip_id, "onset": 0, "apex": 60, "offset": 90, "fps": 200.0}
            writer.append(CroppedClip(whole, arrays, "generated"))
        writer.finish({name: [] for name in JSON_ATTRIBUTES} | {"dataset": "casme2", "generated": True})
    return ids

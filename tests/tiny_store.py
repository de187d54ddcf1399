"""Writes a true store of a few clips without looking for faces: random pictures, real schema."""

from contextlib import contextmanager

import h5py
import numpy as np

from mer_cli.store.hdf5 import StoreWriter
from mer_cli.store.schema import ARRAYS, COLUMNS, JSON_ATTRIBUTES, CroppedClip
from mer_cli.store.seal import write_seal

EMOTIONS = {  # clip id: emotion; three subjects of uneven size, one of them with a single clip
    "casme2/01/EP01_01": "happiness",
    "casme2/01/EP02_01": "disgust",
    "casme2/02/EP01_01": "disgust",
    "casme2/02/EP02_01": "happiness",
    "casme2/03/EP01_01": "surprise",
}


SAMM_EMOTIONS = {  # two subjects, one of them with the same id as one of CASME II's
    "samm/006/006_1_2": "anger",
    "samm/006/006_1_3": "happiness",
    "samm/03/03_1_1": "surprise",
}

PLAIN = {name: kind() for name, kind in JSON_ATTRIBUTES.items()} | {  # attributes of a store, but for its dataset
    "table": "CASME2-coding-20190701.xlsx",
    "table_sha256": "ab" * 32,
    "table_version": "",
    "source": "raw",
    "crop": {"align": "box"},
    "generated": True,
    "predictor_sha256": "cd" * 32,
    "build_key": "ef" * 32,
}


def write_store(path, emotions=EMOTIONS, repainted=(), **attributes):
    """A store of the clips' dataset; each clip's pictures depend on its id only, and are others for the `repainted`."""
    with StoreWriter(path, len(emotions)) as writer:
        for clip_id, emotion in emotions.items():
            writer.append(make_clip(clip_id, emotion, f"{clip_id} again" if clip_id in repainted else None))
        dataset = next(iter(emotions)).partition("/")[0]
        writer.finish(PLAIN | {"dataset": dataset} | attributes)
    return path


@contextmanager
def edited(path):
    """The store, or a flow file, open to be changed as only `mer` does it: with its checksums."""
    with h5py.File(path, "r+") as file:
        yield file
    write_seal(path, {"onset_window": 7, "apex_window": 7, "clip/frames": 1, "flow": 1})


def make_clip(clip_id, emotion, drawn_from=None):
    _, subject, name = clip_id.split("/")
    rng = np.random.default_rng(list((drawn_from or clip_id).encode()))
    coarse = rng.integers(0, 256, (2, 1, 7, 7, 3), dtype=np.uint8).repeat(32, 2).repeat(32, 3)
    pictures = np.broadcast_to(coarse, (2, 7, 224, 224, 3))
    arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in ARRAYS.items()}
    arrays |= {"onset_window": pictures[0], "apex_window": pictures[1]}
    arrays |= {
        "onset_window_frames": np.arange(7, 14, dtype="<i4"),
        "apex_window_frames": np.arange(67, 74, dtype="<i4"),
    }
    columns = dict.fromkeys(COLUMNS, "") | {
        "id": clip_id,
        "subject": subject,
        "name": name,
        "emotion": emotion,
        "onset": 10,
        "apex": 70,
        "offset": 100,
        "fps": 200.0,
        "status": "ok",
    }
    return CroppedClip(columns, arrays, "hog")

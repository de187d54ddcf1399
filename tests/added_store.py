"""Writes a store of generated clips as `mer train --pretrain` keeps it beside a run's store, without drawing a face."""

from tiny_store import write_store

from mer_cli.store.added import added_path
from mer_cli.store.hdf5 import read_store

ADDED_EMOTIONS = {  # two subjects with the ids of recorded ones; "others" is in no class of mmnet3
    "synth-casme2/01/EP01_01": "disgust",
    "synth-casme2/01/EP02_01": "others",
    "synth-casme2/01/EP03_01": "surprise",
    "synth-casme2/02/EP01_01": "happiness",
}
KEPT = tuple(clip_id for clip_id, emotion in ADDED_EMOTIONS.items() if emotion != "others")
PRETRAIN = f"synth:{len(ADDED_EMOTIONS)}"


def write_added(store, emotions=ADDED_EMOTIONS):
    """The generated clips of a store, of as many clips as `emotions` names; gives their store's path."""
    path = added_path(read_store(store), len(emotions))
    path.parent.mkdir(exist_ok=True)
    return write_store(path, emotions)

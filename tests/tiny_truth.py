"""A tiny store whose faces moved, and the truth about it as `mer synth` leaves it: a patch at a known place."""

import csv

import numpy as np
from tiny_store import EMOTIONS, PLAIN, make_clip

from mer_cli.store.hdf5 import StoreWriter

HEIGHT, WIDTH = 60, 80  # of a source frame, pixels
SCALE = 4.0  # crop pixels for one of the source
LEFT, TOP = 10, 2  # source pixel that is the crop's first
STILL = "casme2/02/EP02_01"  # the clip of the `explained` fixture whose apex is its onset
TRANSFORM = np.array([[SCALE, 0, -SCALE * LEFT], [0, SCALE, -SCALE * TOP]], np.float32)


def patch_of(row):
    """Source columns and rows that moved in the clip of a row: upper left, and further down for each clip."""
    return slice(20, 30), slice(8 + 4 * row, 14 + 4 * row)


def write_moving_store(path, emotions=EMOTIONS, still=(), **attributes):
    """A store whose apex differs from the onset where the patch moved; nowhere in the clips of `still`."""
    with StoreWriter(path, len(emotions)) as writer:
        for row, (clip_id, emotion) in enumerate(emotions.items()):
            clip = make_clip(clip_id, emotion)
            apex = clip.arrays["onset_window"].copy()
            if clip_id not in still:
                columns, rows = patch_of(row)
                left, right = (int(SCALE * (column - LEFT)) for column in (columns.start, columns.stop))
                top, bottom = (int(SCALE * (line - TOP)) for line in (rows.start, rows.stop))
                apex[:, top:bottom, left:right] ^= 64
            clip.arrays.update(apex_window=apex, transforms=TRANSFORM)
            writer.append(clip)
        writer.finish(PLAIN | {"dataset": "casme2"} | attributes)
    return path


def write_truth(raw, clip_ids=tuple(EMOTIONS), onset=10):
    """The ground truth of such a store's clips; gives the release's root."""
    folder = raw / "ground_truth"
    folder.mkdir(parents=True)
    rows = []
    for row, clip_id in enumerate(clip_ids):
        _, subject, name = clip_id.split("/")
        columns, lines = patch_of(row)
        displacement = np.zeros((HEIGHT, WIDTH, 2), np.float16)
        displacement[lines, columns] = (0.3, 1.2)
        (folder / subject).mkdir(exist_ok=True)
        np.savez_compressed(folder / subject / f"{name}.npz", displacement=displacement)
        rows.append((subject, name, "disgust", onset, 70, 100, 4, "B", "2.00"))
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("subject", "clip", "emotion", "onset", "apex", "offset", "unit", "side", "peak_px_at_224"))
        writer.writerows(rows)
    return raw

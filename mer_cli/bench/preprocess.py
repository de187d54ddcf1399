"""Measure how long cropping a clip of large images takes, compared with decoding the images that it needs.

The images are generated faces, enlarged and put into a large frame with a sensor's noise. Decoding and cropping take
turns clip by clip on one core, so a machine whose speed drifts slows both.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mer_cli.datasets.synthetic.render import Map
from mer_cli.datasets.synthetic.subject import draw_subject
from mer_cli.engines.resumable import make_part
from mer_cli.faces.frames import HALF_WINDOW, needed_frames
from mer_cli.faces.landmarks import find_predictor
from mer_cli.records import Clip, FrameRef
from mer_cli.store.cut import cut_task
from mer_cli.system.opencv import cv2

SIZES = {"samm": (2040, 1088), "mmew": (1920, 1080)}  # (width, height) of the releases' images
ENLARGED = 2.4  # times: a face is then about 400 pixels wide, as in those releases
NOISE = 1.6  # deviation, of 255
JPEG_QUALITY = 95
N_FRAMES = 2 * (2 * HALF_WINDOW + 1)  # two whole windows


def bench_cut(repeats: int = 9) -> dict[str, dict[str, float]]:
    """Measure for each dataset the seconds to decode (decode_s) and to crop (cut_s) a clip; return medians and ratio.

    Raises
    ------
    FaceError
        If the landmark model is missing.
    """
    predictor = find_predictor()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as in a worker
    try:
        face = draw_subject(3, 1).neutral
        with tempfile.TemporaryDirectory() as folder:
            return {name: _compare(Path(folder), name, face, predictor, repeats) for name in SIZES}
    finally:
        cv2.setNumThreads(threads)


def _compare(folder: Path, dataset: str, face: Map, predictor: Path, repeats: int) -> dict[str, float]:
    clip = _write_clip(folder, dataset, face)
    task = cut_task(clip, folder / "part.npz", predictor, "box", is_cropped=False)
    files = [frame.path for frame in needed_frames(clip)]

    def decode() -> None:
        for path in files:
            cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)

    def cut() -> None:
        *_, reason = make_part(task)
        assert not reason, reason

    cut()  # loads the models
    rounds = [(_seconds(decode), _seconds(cut)) for _ in range(repeats)]
    decoding, cutting = (statistics.median(times) for times in zip(*rounds, strict=True))
    return {"decode_s": round(decoding, 4), "cut_s": round(cutting, 4), "ratio": round(cutting / decoding, 2)}


def _write_clip(folder: Path, dataset: str, face: Map) -> Clip:
    rng = np.random.default_rng(0)
    width, height = SIZES[dataset]
    large = cv2.resize(face, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    left = (width - large.shape[1]) // 2
    right, above = width - large.shape[1] - left, height - large.shape[0]
    still = cv2.copyMakeBorder(large, above, 0, left, right, cv2.BORDER_REPLICATE)
    frames = tuple(FrameRef(number, folder / f"{dataset}{number}.jpg") for number in range(N_FRAMES))
    for frame in frames:
        noisy = np.clip(still + rng.normal(0, NOISE, still.shape), 0, 255).astype(np.uint8)
        frame.path.write_bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
    onset, apex = HALF_WINDOW, N_FRAMES - 1 - HALF_WINDOW
    return Clip(dataset, "01", "bench", "others", "", onset, apex, N_FRAMES - 1, 200.0, frames)


def _seconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started

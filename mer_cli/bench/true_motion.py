"""Draw clips whose true motion is known at every pixel, as `mer preprocess` and `mer train` would see them.

A clip's onset and apex are drawn, coded as JPEG, and cropped by the face's landmarks. The generator knows the face's
own motion and that of the head in each frame, so the true field from onset to apex is exact: no clip needs a fit. The
shading of the skin changes with an expression, and noise and flicker are on, as in every generated release. Eyes whose
lids close or which look elsewhere are left out. What is worn moves with the head alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.clip import Origins, StillClip, clip_motion, film
from mer_cli.datasets.synthetic.drawing import draw_person
from mer_cli.datasets.synthetic.lively import LivelyClip, LivelySubject
from mer_cli.datasets.synthetic.long_video import NO_MAP, PIXELS
from mer_cli.datasets.synthetic.plan import ClipPlan
from mer_cli.datasets.synthetic.render import HEIGHT, WIDTH
from mer_cli.datasets.synthetic.subject import Subject, Worn
from mer_cli.datasets.synthetic.writer import JPEG_QUALITY, LAYOUTS
from mer_cli.errors import FaceError
from mer_cli.faces.crop import CROP_SIZE, Landmarks, Transform, box_transform, crop_landmarks, warp
from mer_cli.faces.detect import choose
from mer_cli.faces.face_motion import hulls
from mer_cli.faces.landmarks import FaceFinder, find_predictor
from mer_cli.faces.mean_face import inside_face
from mer_cli.faces.pictures import Image
from mer_cli.spotting.measure import REGIONS
from mer_cli.system.opencv import cv2

DATASET = "casme2"  # whose layout is drawn: its frame rate, lengths and emotions
HIDDEN = 0.1  # a pixel covered by more moves with what is worn; the gleam of a lens covers less, and hides nothing
FIXED_POINT_ROUNDS = 8  # each leaves a tenth of the error or less, but beside the jaw of a turned head a half

Field = NDArray[np.float32]

# Parts of the face, the later of which doesn't take from the earlier; the rest of the face comes last, then what is
# outside it. By the names of `spotting.measure.REGIONS`.
PARTS = {
    "eyes": ("right eye", "left eye"),
    "brows": ("right outer brow", "right inner brow", "left inner brow", "left outer brow"),
    "mouth": ("right mouth corner", "left mouth corner", "upper lip", "lower lip", "chin"),
    "nose": ("nose",),
}
REST, OUTSIDE = "cheeks and forehead", "outside the face"
PLACES = (*PARTS, REST, OUTSIDE)
UNSEEN = -1  # pixels of a crop that show no pixel of the frame, and eyes whose lids close or which look elsewhere


@dataclass(frozen=True)
class TrueClip:
    """Onset and apex of a drawn clip, and how each pixel of the onset truly moved, in pixels of the crop.

    onset, apex : (224, 224, 3) uint8, RGB
    own : (224, 224, 2) float32, (x, y), motion of the face without the head's
    head : (224, 224, 2) float32, (x, y), motion of the head alone; the whole motion is the sum of both
    places : (224, 224) int8, index in `PLACES` of the part of the face, or `UNSEEN`
    landmarks : (68, 2) float32, of the onset, (x, y) in pixels of the crop
    """

    clip_id: str
    emotion: str
    onset: Image = field(repr=False)
    apex: Image = field(repr=False)
    own: Field = field(repr=False)
    head: Field = field(repr=False)
    places: NDArray[np.int8] = field(repr=False)
    landmarks: Landmarks = field(repr=False)


def plan_true_clips(seed: int, subjects: int, clips: int, release: int) -> list[ClipPlan]:
    """Plan the clips that `draw_true_clips` draws; raise a ConfigError if a number can't be used."""
    return LAYOUTS[DATASET].plan(subjects=subjects, clips=clips, seed=seed, release=release)


def draw_true_clips(seed: int, plans: list[ClipPlan]) -> Iterator[TrueClip]:
    """Draw planned clips with their true motion, one by one, each subject's together.

    Parameters
    ----------
    seed : of the plan, which also decides the faces

    Raises
    ------
    FaceError
        If the landmark model is missing, or Dlib finds no face on the onset of a clip.
    """
    finder = FaceFinder(find_predictor())
    for _, group in groupby(plans, key=lambda plan: plan.person):
        of_person = list(group)
        subject, lively = draw_person(seed, of_person[0])
        for plan in of_person:
            yield _draw(subject, lively, plan, finder)


def _draw(subject: Subject, lively: LivelySubject | None, plan: ClipPlan, finder: FaceFinder) -> TrueClip:
    clip_id = f"{DATASET}/{LAYOUTS[DATASET].subject_id.format(plan.subject)}/{plan.name}"
    motion, two_frames = clip_motion(subject, plan), replace(plan, drawn=frozenset({plan.onset, plan.apex}))
    clip = StillClip(subject, motion) if lively is None else LivelyClip(lively, plan, motion)
    (onset, at_onset), (apex, at_apex) = ((_as_read(frame), clip.origins) for frame in film(two_frames, clip.place))
    _, found = finder.search(onset)
    if not found:
        raise FaceError(f"{clip_id}: no face found on the drawn onset. Give another --seed.")
    landmarks = finder.landmarks(onset, choose(found)[0].box)
    transform = box_transform(landmarks)
    own, head = true_motion(at_onset, at_apex, subject.worn)
    on_crop = crop_landmarks(landmarks, transform)
    places = find_places(on_crop, transform)
    if isinstance(clip, LivelyClip) and clip.moves_eyes(plan.onset - plan.first, plan.apex - plan.first):
        places[places == PLACES.index("eyes")] = UNSEEN
    return TrueClip(
        clip_id,
        plan.emotion,
        warp(onset, transform),
        warp(apex, transform),
        crop_field(own, transform),
        crop_field(head, transform),
        places,
        on_crop,
    )


def _as_read(frame: Image) -> Image:
    """Return a drawn frame, blue green red, as it is read from the release's JPEG: RGB."""
    coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    read = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert read is not None
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def true_motion(onset: Origins, apex: Origins, worn: Worn | None) -> tuple[Field, Field]:
    """Compute how each pixel of a drawn onset moves to the apex: by the face's own motion, and with the head.

    `head` leads to the apex's pixel that shows the same place of the head at rest; `own` leads from there to the one
    that shows the same place of the neutral face.

    Parameters
    ----------
    worn : what hides the face and moves with the head alone, or None

    Returns
    -------
    own, head : (HEIGHT, WIDTH, 2) float32, (x, y) in pixels of the frame

    Source
    ------
    ours
    """
    with_head = _followed(onset.head, apex.head)
    own = _followed(onset.face, apex.face) - with_head
    if worn is not None:
        across, down = cv2.split(onset.head)
        own[cv2.remap(worn.cover, across, down, cv2.INTER_LINEAR) > HIDDEN] = 0
    return own, with_head - PIXELS


def _followed(onset: Field, apex: Field) -> Field:
    """Return for each pixel of the onset the place in the apex that shows the same, by fixed-point iteration."""
    shift = apex - PIXELS
    place = onset - shift
    for _ in range(FIXED_POINT_ROUNDS):
        place = onset - cv2.remap(shift, place, NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(place, np.float32)


def crop_field(motion: Field, transform: Transform) -> Field:
    """Carry a field of motion from a frame into the crop: (224, 224, 2) float32, in pixels of the crop.

    Parameters
    ----------
    motion : (H, W, 2) float32, (x, y) in pixels of the frame
    transform : (2, 3) float32, frame pixel -> crop pixel
    """
    matrix = transform.astype(np.float64)
    shown = cv2.warpAffine(
        motion, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(shown @ matrix[:, :2].T, np.float32)


def find_places(landmarks: Landmarks, transform: Transform) -> NDArray[np.int8]:
    """Return for each pixel of a crop the index in `PLACES` of what it shows, (224, 224) int8; `UNSEEN` is -1.

    Parameters
    ----------
    landmarks : (68, 2) float32, (x, y) in pixels of the crop
    transform : (2, 3) float32, frame pixel -> crop pixel; what lies outside the frame is unseen
    """
    places = np.full((CROP_SIZE, CROP_SIZE), PLACES.index(OUTSIDE), np.int8)
    places[inside_face(landmarks)] = PLACES.index(REST)
    for part in reversed(PARTS):
        places[hulls(landmarks, [REGIONS[name] for name in PARTS[part]]) > 0] = PLACES.index(part)
    ones = np.ones((HEIGHT, WIDTH), np.uint8)
    seen = cv2.warpAffine(ones, transform.astype(np.float64), (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_NEAREST)
    places[seen == 0] = UNSEEN
    return places

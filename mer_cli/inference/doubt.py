"""The reasons for which a recording or a clip gets no answer, as sentences for the user.

Each threshold is here or in `spotting.spot`, with where it comes from. What a model says of a clip that it can't know
is only a number that looks like knowledge, so a clip with any of these reasons gets no probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mer_cli.faces.apex import face_mask
from mer_cli.faces.crop import CROP_SIZE
from mer_cli.faces.face_motion import small_flow, without_head_motion
from mer_cli.faces.mean_face import is_a_face
from mer_cli.inference.familiar import measure, unfamiliar
from mer_cli.inference.model import Facts, NewClip
from mer_cli.inference.new_clips import CutClip
from mer_cli.motion.inputs import Step
from mer_cli.spotting.interval import Spotted
from mer_cli.spotting.spot import GOOD_FPS, LEAST_FPS, SHORTEST, SMALLEST_FACE
from mer_cli.system.files import file_sha256

LONGEST_RISE = 1.0  # seconds from onset to apex; a micro-expression is over after half a second
STRONGEST = 0.95  # quantile of the motion in the moving regions of a face that stands for what is left of it


def too_slow(fps: float | None) -> str:
    """Return why a recording with so many frames a second gets no answer; "" if it may get one."""
    if fps is None or fps >= LEAST_FPS:
        return ""
    return (
        f"It has {fps:.3g} frames a second, and a micro-expression of a fifth of a second needs at least {LEAST_FPS:g}."
    )


def unlike_training(fps: float | None, predictor: Path, facts: Facts) -> Iterator[str]:
    """Yield a note for what is another than in the training clips, and makes an answer less sure.

    Parameters
    ----------
    fps : frames a second of the recording; None if nobody knows
    predictor : file of the landmark model that finds the recording's faces
    """
    if fps is not None and fps < GOOD_FPS and facts.fps != (0.0, 0.0):
        yield (
            f"the training clips have {_range(*facts.fps)} frames a second, and this recording {fps:.3g}: onset and "
            "apex are less exact than the model is used to"
        )
    if not facts.look and facts.generated:
        yield "the model has seen drawn faces only, and how good it is on recorded ones nobody has measured"
    elif not facts.look:
        yield "nobody knows what the training clips look like, so a picture that is unlike them gets an answer, too"
    if facts.predictor_sha256 and (found := file_sha256(predictor)) != facts.predictor_sha256:
        yield (
            f"the training faces were found with another landmark model (SHA-256 {facts.predictor_sha256[:12]}, not "
            f"{found[:12]}), so faces may be cropped in another way here"
        )


def nothing_to_find(spotted: Spotted) -> Iterator[str]:
    """Yield the reasons for which nothing could be spotted in a recording that was read to its end."""
    seconds = (spotted.n_frames - 1) / spotted.fps
    if spotted.interrupted:
        return
    if seconds < SHORTEST:
        yield f"It takes {seconds:.2g} s, and nothing can come and go in less than {SHORTEST:g} s."
    if spotted.head is not None and np.isnan(spotted.head).all():
        yield "No face was found in any frame."


def doubts(cut: CutClip, facts: Facts, steps: Sequence[Step] = ()) -> Iterator[str]:
    """Yield the reasons for which a clip gets no answer, whatever the model says of it.

    Parameters
    ----------
    steps : that the model takes to make faces comparable; what is not a face has no answer then
    """
    if cut.n_faces > 1:
        yield f"{cut.n_faces} faces are on frame {cut.onset}, and it is not known whose expression is meant."
    if not cut.n_faces:
        yield f"No face was found on frame {cut.onset}."
        return
    if steps and cut.clip and not is_a_face(cut.clip.landmarks):
        yield "The landmarks that were found don't lie as those of a face, and the model compares faces by them."
        return
    rise = cut.seconds[1] - cut.seconds[0]
    if rise > LONGEST_RISE:
        yield f"From onset to apex pass {rise:.1f} s, and a micro-expression is over after half a second."
    if cut.face_pixels < SMALLEST_FACE:
        yield f"The face has {cut.face_pixels:.0f} pixels from brow to chin. At least {SMALLEST_FACE} are needed."
    elif cut.clip is None:
        yield f"The face on frame {cut.onset} can't be cropped, because its landmarks lie on each other."
    if cut.clip is None:
        return
    if cut.apex == cut.onset or np.array_equal(cut.clip.onset, cut.clip.apex):
        yield "Onset and apex show the same image, so there is no motion to classify."
        return
    head, face = motions(cut.clip)
    if head > face:
        yield (
            f"The head moves more than the face ({head:.1f} pixels of the crop, and {face:.1f} are left without the "
            "head's motion)."
        )
    yield from unfamiliar(measure(cut.clip.onset, cut.crop_pixels), facts.look)


def motions(clip: NewClip) -> tuple[float, float]:
    """Return how far the head moves from onset to apex, and how far the face moves once that is taken away.

    Both are in pixels of the crop, over the regions where action units are: the mean of the fitted affine motion, and
    the 95 % quantile of the rest, because a micro-expression moves a small part of the face.
    """
    flow = small_flow(clip.onset, clip.apex)
    rest = without_head_motion(flow)
    mask = face_mask(clip.landmarks)
    scale = CROP_SIZE / len(flow)
    head = np.hypot(*(flow - rest)[mask].T).mean() * scale
    face = np.quantile(np.hypot(*rest[mask].T), STRONGEST) * scale
    return float(head), float(face)


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"

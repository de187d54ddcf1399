"""Takes what is seen of a clip as arrays, gives a vector that describes it; one file per descriptor.

The classical methods are a descriptor and a support-vector machine (`training.classical`). Nothing here knows of
clips, folds or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from mer_cli.motion.inputs import Interpolation

if TYPE_CHECKING:
    from collections.abc import Callable

# What a descriptor may take of a clip, at 224x224: "flow", (2, H, W) float32, from onset to apex, u and v in pixels;
# "flows", (T, 2, H, W) float32, from the onset to each later frame, or to the apex alone; "frames", (T, H, W) uint8,
# the grey clip from onset to offset; "landmarks", (68, 2) float32, x and y in pixels of the crop.
Seen = Literal["flow", "flows", "frames", "landmarks"]


@dataclass(frozen=True)
class Descriptor:
    """A descriptor, and how it is used unless a run says otherwise.

    function : its file and function, which takes what `takes` names, in that order, and gives a vector of float32
    kernel : of the support-vector machine
    clip_frames : frames that a clip is interpolated to; 0 leaves it as recorded
    min_frames : frames that it needs, to which a shorter clip is interpolated
    """

    function: str
    takes: tuple[Seen, ...]
    kernel: Literal["linear", "rbf"] = "linear"
    clip_frames: int = 0
    min_frames: int = 2
    interpolation: Interpolation = "linear"

    @property
    def needs_clips(self) -> bool:
        """Whether it takes more of a clip than its onset and apex."""
        return "flows" in self.takes or "frames" in self.takes


DESCRIPTORS = {
    "flow-svm": Descriptor("flow_pixels.flow_pixels", ("flow",), kernel="rbf"),
    "bi-woof": Descriptor("bi_woof.bi_woof", ("flow",)),
    "hoof": Descriptor("hoof.hoof", ("flows",), clip_frames=10),
    "fhoof": Descriptor("hoof.fhoof", ("flows",), clip_frames=10),
    "fhofo": Descriptor("hoof.fhofo", ("flows",), clip_frames=10),
    "mdmo": Descriptor("mdmo.mdmo", ("flows", "landmarks"), clip_frames=10),
    "lbp-top": Descriptor("lbp_top.lbp_top", ("frames",), min_frames=10),
    "higo-top": Descriptor("higo_top.higo_top", ("frames",), clip_frames=10, min_frames=4, interpolation="tim"),
}


def descriptor_function(name: str) -> Callable[..., Any]:
    """The function of a descriptor; imported where one is used, so that names and facts cost nothing."""
    file, _, function = DESCRIPTORS[name].function.partition(".")
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{file}"), function)
    return found

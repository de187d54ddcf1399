"""How a release shows a drawn face: set into a larger picture or cut out of it, scaled, grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_cli.datasets.synthetic.render import Map
from mer_cli.system.opencv import cv2


@dataclass(frozen=True)
class View:
    """A window on the drawn picture; outside it, the picture's edge goes on.

    width, height : of the shown picture, pixels
    scale : shown pixels for a drawn one
    left, top : the window's corner, drawn pixels
    """

    width: int
    height: int
    scale: float
    left: float = 0.0
    top: float = 0.0
    is_grey: bool = False

    def show(self, drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, blue green red, or (height, width) grey, of a drawn picture."""
        if self.is_grey:
            drawn = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY), np.uint8)
        return np.asarray(self._warp(drawn, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE), np.uint8)

    def show_field(self, displacement: Map) -> Map:
        """(height, width, 2) float32, shown pixels, of a displacement in drawn pixels; zero outside those."""
        shown = self._warp(displacement, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        return np.asarray(shown * np.float32(self.scale), np.float32)

    def _warp(self, picture: NDArray[Any], interpolation: int, border: int) -> NDArray[Any]:
        # Of pixel centres: the drawn (x + 0.5 - left) times the scale is the shown (x + 0.5).
        across, down = (self.scale * (0.5 - corner) - 0.5 for corner in (self.left, self.top))
        matrix = np.array([[self.scale, 0, across], [0, self.scale, down]])
        warped = cv2.warpAffine(picture, matrix, (self.width, self.height), flags=interpolation, borderMode=border)
        return np.asarray(warped)

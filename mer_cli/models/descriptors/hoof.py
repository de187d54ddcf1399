"""HOOF and its fuzzy forms: histograms of the directions of optical flow, in blocks, over a whole clip.

HOOF: Chaudhry, Ravichandran, Hager, Vidal, "Histograms of oriented optical flow and Binet-Cauchy kernels on nonlinear
dynamical systems", CVPR 2009. FHOOF and FHOFO: Happy, Routray, "Fuzzy histogram of optical flow orientations for
micro-expression recognition", IEEE Transactions on Affective Computing 10, 2019, after the public MATLAB text of their
histogram. There a pixel counts in every coarse bin, and the less the further its direction is from the bin.

Deliberate differences. HOOF's paper folds left onto right, because a walker may go either way; a face has two sides,
so the full circle is kept, as in public code for micro-expressions. No table says how many bins HOOF has there: 8 here,
as in Bi-WOOF and MDMO. In the MATLAB text a coarse bin peaks one fine bin beside its centre, here at it. Blocks (5x5)
and the mean over frames are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_cli.models.descriptors.orientation import Sums, block_histograms, magnitudes, to_sum_one
from mer_cli.motion.flow import Flow

N_BINS = 8  # of HOOF
N_FINE, N_COARSE = 50, 18  # of its fuzzy forms
SIGMA = 10.0  # in fine bins

Vector = NDArray[np.float32]


def hoof(flows: Flow) -> Vector:
    """Return the HOOF vector of a clip: histograms of flow directions weighted by magnitude, averaged over frames.

    Parameters
    ----------
    flows : (T, 2, H, W) float32, u and v from the onset to each later frame

    Returns
    -------
    (200,) float32; 25 blocks, row by row, of 8 bins from -180 degrees on. Each histogram has sum 1 before the average;
    it is zero in a frame in which its block does not move.
    """
    return _mean(block_histograms(flows, magnitudes(flows), N_BINS))


def fhoof(flows: Flow) -> Vector:
    """Return the FHOOF vector of a clip: as `hoof`, but with fuzzy histograms of 18 bins, (450,) float32."""
    return _mean(_fuzzy(flows, magnitudes(flows)))


def fhofo(flows: Flow) -> Vector:
    """Return the FHOFO vector of a clip: as `fhoof`, but all pixels that move have the same weight, (450,) float32."""
    return _mean(_fuzzy(flows, (magnitudes(flows) > 0).astype(np.float32)))


def membership(n_fine: int, n_coarse: int, sigma: float) -> Sums:
    """Return how much each fine bin of directions belongs to each coarse bin.

    Parameters
    ----------
    sigma : standard deviation, in fine bins, of the Gaussian of the distance between two fine bins on the circle

    Returns
    -------
    (n_coarse, n_fine) float64, 1 at the fine bin in the centre of a coarse bin. The first and the last coarse bin are
    centred on the first and the last fine bin, which are neighbours on the circle.
    """
    centres = np.round(np.linspace(0, n_fine - 1, n_coarse))
    apart = np.abs(np.arange(n_fine) - centres[:, None])
    around = np.minimum(apart, n_fine - apart)
    return np.asarray(np.exp(-(around**2) / (2 * sigma**2)), dtype=np.float64)


def _fuzzy(flows: Flow, weights: Flow) -> Sums:
    """Return the fuzzy histograms, (T, 25, 18)."""
    return block_histograms(flows, weights, N_FINE) @ membership(N_FINE, N_COARSE, SIGMA).T


def _mean(histograms: Sums) -> Vector:
    """Scale histograms, (T, 25, bins), to sum 1 and average them over the frames; flat."""
    return np.asarray(to_sum_one(histograms).mean(axis=0).ravel(), dtype=np.float32)

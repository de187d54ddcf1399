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
    """Return each block's histogram, weighted by magnitude and of sum 1, averaged over the frames.

    Parameters
    ----------
    flows : (T, 2, H, W) float32, u and v from the onset to each later frame

    Returns
    -------
    (200,) float32; 25 blocks, row by row, of 8 bins from -180 degrees on. A block adds nothing in a frame in which it
    does not move.
    """
    return _mean(block_histograms(flows, magnitudes(flows), N_BINS))


def fhoof(flows: Flow) -> Vector:
    """Return the fuzzy histograms weighted by magnitude: as `hoof`, with 18 bins, (450,) float32."""
    return _mean(_fuzzy(flows, magnitudes(flows)))


def fhofo(flows: Flow) -> Vector:
    """Return the fuzzy histograms with equal weights for all pixels that move: as `hoof`, with 18 bins, (450,)."""
    return _mean(_fuzzy(flows, (magnitudes(flows) > 0).astype(np.float32)))


def membership(n_fine: int, n_coarse: int, sigma: float) -> Sums:
    """Return how much each fine bin belongs to each coarse one.

    Parameters
    ----------
    sigma : standard deviation of the Gaussian of the distance of two fine bins on the circle, in bins

    Returns
    -------
    (n_coarse, n_fine) float64, 1 at the fine bin in the centre of a coarse one. The centres of the first and the last
    coarse bin are the first and the last fine one, which are neighbours.
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

"""How alike two maps are: by the order of their patches, and by their structure."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from regard.stats.correlation import spearman_of_pairs

Map = Float[NDArray, "y x"]

# Of Wang et al. (2004), section III-B, for values in 0..1.
SIGMA, C1, C2 = 1.5, 0.01**2, 0.03**2
BINS = 100


def spearman(first: Map, second: Map) -> float:
    """Spearman's rank correlation: 1 the same order, 0 unrelated; NaN if a map is even.

    Example:
        >>> round(spearman(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 4.0, 9.0]])), 9)
        1.0

    Source:
        Spearman (1904), "The Proof and Measurement of Association between Two Things".
    """
    return float(spearman_of_pairs(np.stack([first.ravel(), second.ravel()]))[0])


def ssim(first: Map, second: Map) -> float:
    """Structural similarity of two maps, each stretched to 0..1: 1 the same; NaN if one is even.

    Example:
        >>> heat = np.array([[0.0, 1.0], [2.0, 3.0]])
        >>> ssim(heat, 5 * heat)
        1.0

    Source:
        Wang et al. (2004), "Image Quality Assessment: From Error Visibility to Structural
        Similarity", eq. 13, Gaussian window of 1.5 patches; the mean over all patches.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    a, b = ((each - each.min()) / np.ptp(each) for each in (first, second))

    def blur(values: Map) -> Map:
        return np.asarray(gaussian_filter(values, SIGMA, truncate=3.5, mode="reflect"))

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + C1) * (2 * both + C2)
    below = (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
    return float((above / below).mean())


def complexity(values: Map) -> float:
    """Entropy in bits of the histogram of a map's values: 0 for an even map, most for noise.

    Example:
        >>> complexity(np.array([[0.0, 1.0]]))
        1.0

    Source:
        Hedström et al. (2023), "Sanity Checks Revisited: An Exploration to Repair the Model
        Parameter Randomisation Test", arXiv 2401.06465, efficient MPRT; 100 equal bins.
    """
    counts = np.histogram(values, bins=BINS)[0]
    shares = counts[counts > 0] / values.size
    return float(0.0 - (shares * np.log2(shares)).sum())

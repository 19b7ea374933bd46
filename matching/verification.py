"""How many matches of two images agree with one geometry, by OpenCV's MAGSAC++ (Barath et al., CVPR 2020)."""

from typing import Any

import numpy as np

from matching.choices import GEOMETRIES
from matching.matchers import import_cv2

THRESHOLD = 3.0  # pixels
LEAST = 8  # matches
_ITERATIONS, _CONFIDENCE = 2000, 0.999


def inliers(matches: np.ndarray, geometry: str = GEOMETRIES[0], threshold: float = THRESHOLD) -> np.ndarray:
    """Which matches agree with the best homography or fundamental matrix: bool (n,).

    Equal matches give equal results. Fewer than LEAST that agree may do so by chance, and count as none.

    matches: float (n, 2, 2), x and y in the first and in the second image, pixels
    geometry: one of choices.GEOMETRIES
    threshold: pixels
    """
    none = np.zeros(len(matches), bool)
    if len(matches) < LEAST:
        return none
    cv2 = import_cv2()
    find = cv2.findHomography if geometry == "homography" else cv2.findFundamentalMat
    first, second = np.ascontiguousarray(matches[:, 0]), np.ascontiguousarray(matches[:, 1])
    try:
        model, mask = find(first, second, _parameters(cv2, threshold))
    except cv2.error:  # all points are one, and the like
        return none
    if model is None or mask is None or mask.sum() < LEAST:
        return none
    return mask[:, 0].astype(bool)


def _parameters(cv2: Any, threshold: float) -> Any:
    parameters = cv2.UsacParams()
    parameters.threshold, parameters.maxIterations, parameters.confidence = threshold, _ITERATIONS, _CONFIDENCE
    parameters.score, parameters.loMethod = cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA
    parameters.final_polisher = cv2.MAGSAC
    parameters.randomGeneratorState, parameters.isParallel = 0, False
    return parameters

"""How many matches of two images agree with one geometry, by OpenCV's MAGSAC++ (Barath et al., CVPR 2020)."""

from typing import Any

import numpy as np

from matching.choices import GEOMETRIES
from matching.matchers import import_cv2

# By geometry. A fundamental matrix asks for a line alone, so more matches agree with it by chance.
THRESHOLDS = {"homography": 6.0, "fundamental": 1.5}  # pixels
LEAST = {"homography": 10, "fundamental": 15}  # matches
_ITERATIONS, _CONFIDENCE = 2000, 0.999


def inliers(matches: np.ndarray, geometry: str = GEOMETRIES[0]) -> np.ndarray:
    """Which matches agree with the best homography or fundamental matrix: bool (n,).

    Equal matches give equal results. Fewer than LEAST that agree may do so by chance, and count as none.

    matches: float (n, 2, 2), x and y in the first and in the second image, pixels
    geometry: one of choices.GEOMETRIES
    """
    none = np.zeros(len(matches), bool)
    if len(matches) < LEAST[geometry]:
        return none
    cv2 = import_cv2()
    find = cv2.findHomography if geometry == "homography" else cv2.findFundamentalMat
    first, second = np.ascontiguousarray(matches[:, 0]), np.ascontiguousarray(matches[:, 1])
    try:
        model, mask = find(first, second, _parameters(cv2, THRESHOLDS[geometry]))
    except cv2.error:  # all points are one, and the like
        return none
    if model is None or mask is None or mask.sum() < LEAST[geometry]:
        return none
    return mask[:, 0].astype(bool)


def _parameters(cv2: Any, threshold: float) -> Any:
    parameters = cv2.UsacParams()
    parameters.threshold, parameters.maxIterations, parameters.confidence = threshold, _ITERATIONS, _CONFIDENCE
    parameters.score, parameters.loMethod = cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA
    parameters.final_polisher = cv2.MAGSAC
    parameters.randomGeneratorState, parameters.isParallel = 0, False
    return parameters

"""The region that a front does not dominate, as boxes: what hypervolume improvement is summed over.

The front's points are visited by their last objective. At each height the cross-section of the region
is a set of boxes with one axis less, each remembering the height at which it began; a point closes the boxes
that it cuts and opens what is left of them beside it. The boxes are disjoint and fill the region exactly. Their
number grows with the front: n + 1 for two objectives, and about 300, 2,000 and 10,000 for fronts of 50 points and
three, four and five.
"""

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def nondominated_boxes(front: Matrix, reference: Matrix) -> tuple[Matrix, Matrix]:
    """Return lower and upper corners, each b x m, of boxes that fill what lies below ``reference`` and is free.

    Args:
        front: Points n x m, minimised, all below the reference; dominated ones change nothing. n may be 0.
        reference: Upper corner of the region, m. Lower corners may be -inf.

    Example:
        >>> lower, upper = nondominated_boxes(np.array([[1.0, 2.0]]), np.array([3.0, 3.0]))
        >>> lower.tolist(), upper.tolist()
        ([[-inf, -inf], [-inf, 2.0]], [[3.0, 2.0], [1.0, 3.0]])
    """
    lower = np.full((1, len(reference) - 1), -np.inf)  # of the boxes that are open at this height
    upper = reference[None, :-1].copy()
    begin = np.full(1, -np.inf)
    closed_lower, closed_upper = [], []
    for *place, height in front[np.argsort(front[:, -1], kind="stable")]:
        cut = (upper > place).all(axis=1)
        ended = cut & (begin < height)  # a box without height is none
        closed_lower.append(np.column_stack([lower[ended], begin[ended]]))
        closed_upper.append(np.column_stack([upper[ended], np.full(ended.sum(), height)]))
        rest_lower, rest_upper = _without_corner(lower[cut], upper[cut], np.array(place))
        begin = np.concatenate([begin[~cut], np.full(len(rest_lower), height)])
        lower = np.concatenate([lower[~cut], rest_lower])
        upper = np.concatenate([upper[~cut], rest_upper])
    closed_lower.append(np.column_stack([lower, begin]))
    closed_upper.append(np.column_stack([upper, np.full(len(lower), reference[-1])]))
    return np.concatenate(closed_lower), np.concatenate(closed_upper)


def _without_corner(lower: Matrix, upper: Matrix, corner: Matrix) -> tuple[Matrix, Matrix]:
    """Return boxes that fill the given ones, b x k, except where every coordinate exceeds ``corner``, k.

    The part beyond the corner in coordinates 0..j-1 and below it in coordinate j is a box, for each j.
    """
    parts = [(np.empty((0, lower.shape[1])), np.empty((0, lower.shape[1])))]
    for j in range(len(corner)):
        low, high = lower.copy(), upper.copy()
        low[:, :j] = np.maximum(low[:, :j], corner[:j])
        high[:, j] = np.minimum(high[:, j], corner[j])
        solid = (low < high).all(axis=1)
        parts.append((low[solid], high[solid]))
    return np.concatenate([low for low, _ in parts]), np.concatenate([high for _, high in parts])

"""How wrong a network is, from its outputs: every metric is minimised.

Axes: n samples, c classes, k real outputs.
"""

import numpy as np
import numpy.typing as npt

from tinypareto.errors import ShapeError
from tinypareto.network.data import FloatArray, Targets


def error(outputs: FloatArray, targets: Targets) -> float:
    """Return 1 - accuracy, in 0..1.

    Args:
        outputs: n x c scores; the highest names the predicted class (the first of equal ones).
        targets: n class numbers.

    Raises:
        ShapeError: If ``outputs`` is not n x c.

    Example:
        >>> error(np.array([[0.1, 0.9], [0.8, 0.2]], dtype=np.float32), np.array([1, 1]))
        0.5
    """
    return float(np.mean(_predicted(outputs, len(targets)) != targets))


def balanced_error(outputs: FloatArray, targets: Targets) -> float:
    """Return the mean over the occurring classes of each class's error, in 0..1.

    Args:
        outputs: n x c scores.
        targets: n class numbers; a class that does not occur here does not count.

    Raises:
        ShapeError: If ``outputs`` is not n x c.

    Example:
        >>> scores = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
        >>> balanced_error(scores, np.array([0, 0, 0, 1]))
        0.5
    """
    wrong = _predicted(outputs, len(targets)) != targets
    return float(np.mean([wrong[targets == label].mean() for label in np.unique(targets)]))


def mean_squared_error(outputs: FloatArray, targets: Targets) -> float:
    """Return the mean of the squared differences, in the targets' unit squared.

    Args:
        outputs: n x k values; n x 1 goes with n targets.
        targets: n or n x k values.

    Raises:
        ShapeError: If the two cannot be laid over each other.

    Example:
        >>> mean_squared_error(np.array([[1.0], [3.0]], dtype=np.float32), np.array([1.0, 1.0]))
        2.0
    """
    flat_targets = targets.reshape(len(targets), -1)
    flat_outputs = outputs.reshape(len(outputs), -1)
    if flat_outputs.shape != flat_targets.shape:
        raise ShapeError(
            f"outputs and targets must have the same shape, got {outputs.shape} and {targets.shape}; "
            "give the network one output per target value."
        )
    return float(np.mean(np.square(flat_outputs.astype(np.float64) - flat_targets)))


def never_predicted(outputs: FloatArray, classes: int) -> tuple[int, ...]:
    """Return the classes (of 0..``classes``-1) that are the best score of no sample, in rising order.

    Example:
        >>> never_predicted(np.array([[0.1, 0.9, 0.0]], dtype=np.float32), 3)
        (0, 2)
    """
    seen = set(_predicted(outputs, len(outputs)).tolist())
    return tuple(label for label in range(classes) if label not in seen)


def _predicted(outputs: FloatArray, count: int) -> npt.NDArray[np.int64]:
    if outputs.ndim != 2 or len(outputs) != count:
        raise ShapeError(
            f"outputs must be n x classes with n = {count}, got shape {outputs.shape}; "
            "return one row of scores per sample."
        )
    predicted: npt.NDArray[np.int64] = outputs.argmax(axis=1)
    return predicted

"""Paired tests of one sampler against several others."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import wilcoxon


def paired_p_value(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> float:
    """Return the p-value that ours, n, are not larger than theirs, n, of which each belongs to one of ours.

    Wilcoxon's signed-rank test, one-sided. With n pairs it cannot fall below 2^-n; without any difference it is 1.

    Example:
        >>> paired_p_value([3.0, 4.0, 5.0], [1.0, 1.0, 1.0])
        0.125
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, alternative="greater").pvalue)


def holm_corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's step-down correction of p-values.

    Example:
        >>> holm_corrected({"a": 0.25, "b": 0.5})
        {'a': 0.5, 'b': 0.5}
    """
    corrected, largest = {}, 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        corrected[name] = largest
    return corrected

"""Observed objectives and constraints <-> the standardised outputs that the Gaussian processes see.

Objectives of a deployment span 1e-2 (an error) to 1e9 (FLOPs), and sizes change by decades within one
study. Each transformation is monotone, so fronts and limits keep their meaning:

    objective, all values positive, spanning 20 to 1e6, if it is modelled better or less skewed for it:  log
    constraint, largest |v| > 30 x median |v|:  sign(v) log(1 + |v| / median|v|), which keeps 0 at 0
    then: subtract the mean, divide by the standard deviation
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

LOG_RATIO = 20.0  # below a factor of 20 a logarithm changes the shape too little to matter
# No size spans more; what does has a zero somewhere, met but for rounding, and its logarithm is one long tail.
LARGEST_LOG_RATIO = 1e6
TAIL_RATIO = (
    30.0  # far violations are tamed; without a tail the bend at 0 would only make the model's work harder
)
LOWEST = -10.0  # standardised; a logarithm of 0 would be lower
HALF_OF_90_PERCENT = 1.6448536269514722  # standard deviations of a normal variable


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Observations of m objectives and c constraints in standardised units, and the way back.

    Attributes:
        targets: n x (m + c), objectives first.
        logarithmic: m, which objectives are modelled on a log scale.
        units: c, median |v| of the constraints that are tamed, 0 for the others.
        means: m + c, subtracted after the transformation.
        scales: m + c, divided by.
    """

    targets: Matrix
    logarithmic: npt.NDArray[np.bool_]
    units: Matrix
    means: Matrix
    scales: Matrix

    def standardised(self, columns: npt.NDArray[np.int64], values: Matrix) -> Matrix:
        """Return values of some objectives or violations as the model sees them; -inf where there is no logarithm.

        Args:
            columns: Which, f of 0 .. m + c - 1.
            values: In the history's units, q x f.
        """
        m = self.n_objectives
        none = np.zeros(len(self.units), dtype=np.bool_)
        logarithmic = np.concatenate([self.logarithmic, none])[columns]
        units = np.concatenate([np.zeros(m), self.units])[columns]
        with np.errstate(divide="ignore"):
            logged = np.log(np.maximum(values, 0.0))
        raw = np.where(logarithmic, logged, np.where(units > 0, _tamed(values, units), values))
        return np.asarray((raw - self.means[columns]) / self.scales[columns])

    def standardised_finite(self, columns: npt.NDArray[np.int64], values: Matrix) -> Matrix:
        """Return the same for a model to learn from: what has no logarithm lies far below what has."""
        return np.maximum(self.standardised(columns, values), LOWEST)

    def standardised_objectives(self, values: Matrix) -> Matrix:
        """Return objective values, m, as the model sees them; -inf where there is no logarithm."""
        return np.asarray(self.standardised(np.arange(self.n_objectives), values[None])[0])

    def of_sample(self, columns: npt.NDArray[np.int64], values: Matrix, sample: Matrix) -> "Outcomes":
        """Return these outcomes with some columns transformed as another, larger sample of them suggests.

        Args:
            columns: Which, f of 0 .. m + c - 1, rising.
            values: The observations of these, n x f, in the history's units.
            sample: More values of them, q x f.
        """
        m = self.n_objectives
        objective = columns < m
        own = standardise(sample[:, objective], sample[:, ~objective])
        logarithmic, units = self.logarithmic.copy(), self.units.copy()
        means, scales = self.means.copy(), self.scales.copy()
        logarithmic[columns[objective]] = own.logarithmic
        units[columns[~objective] - m] = own.units
        means[columns], scales[columns] = own.means, own.scales
        result = Outcomes(
            targets=self.targets.copy(), logarithmic=logarithmic, units=units, means=means, scales=scales
        )
        result.targets[:, columns] = result.standardised_finite(columns, values)
        return result

    @property
    def n_objectives(self) -> int:
        """The number m of objectives."""
        return len(self.logarithmic)

    @property
    def exponents(self) -> Matrix:
        """What turns a standardised logarithm y into the objective, exp(exponent y) but for a factor, m; 0 for none."""
        return np.where(self.logarithmic, self.scales[: self.n_objectives], 0.0)

    @property
    def limits(self) -> Matrix:
        """The standardised value, c, up to which each constraint is kept."""
        return -self.means[self.n_objectives :] / self.scales[self.n_objectives :]

    def objective_units(self, mean: Matrix, std: Matrix) -> tuple[Matrix, Matrix]:
        """Turn standardised predictions, m each, into mean and standard deviation in the user's units.

        A prediction on a log scale is log-normal, so its moments are
        exp(mu + s^2 / 2) and that times sqrt(exp(s^2) - 1).
        """
        m = self.n_objectives
        centre = mean * self.scales[:m] + self.means[:m]
        spread = std * self.scales[:m]
        # 50: an untrained model may span hundreds of decades, and a report must not overflow
        bounded = np.minimum(np.square(spread), 50.0)
        log_mean = np.exp(np.where(self.logarithmic, centre, 0.0) + bounded / 2.0)
        return (
            np.where(self.logarithmic, log_mean, centre),
            np.where(self.logarithmic, log_mean * np.sqrt(np.expm1(bounded)), spread),
        )

    def intervals(self, mean: Matrix, std: Matrix) -> Matrix:
        """Return where an objective lies with probability 0.9, m x 2 in the user's units, for predictions, m each."""
        m = self.n_objectives
        ends = mean[:, None] + HALF_OF_90_PERCENT * std[:, None] * np.array([-1.0, 1.0])
        raw = ends * self.scales[:m, None] + self.means[:m, None]
        logarithmic = self.logarithmic[:, None]
        return np.where(logarithmic, np.exp(np.where(logarithmic, np.minimum(raw, 700.0), 0.0)), raw)


def standardise(
    values: Matrix, violations: Matrix, logarithmic: npt.NDArray[np.bool_] | None = None
) -> Outcomes:
    """Return the outputs to model.

    Args:
        values: Objective values, n x m, finite, minimised.
        violations: Constraint violations, n x c, finite, kept at <= 0.
        logarithmic: m, which objectives to take the logarithm of, of those that may have one (`may_have_logarithm`);
            None: those that are less skewed for it.
    """
    if logarithmic is None:
        possible = with_logarithm(values)
        logarithmic = possible & (_skewness(np.log(np.where(possible, values, 1.0))) < _skewness(values))
    logged = np.log(np.where(logarithmic, np.maximum(values, _least(values)), 1.0))
    units = _units(violations)
    tamed = np.where(units > 0, _tamed(violations, units), violations)
    raw = np.concatenate([np.where(logarithmic, logged, values), tamed], axis=1)
    means = raw.mean(axis=0)
    deviations = raw.std(axis=0)
    # A constant output has deviation 0 or, through rounding, almost 0.
    constant = deviations <= 1e-12 * np.maximum(1.0, np.abs(means))
    scales = np.where(constant, 1.0, deviations)
    return Outcomes(
        targets=(raw - means) / scales, logarithmic=logarithmic, units=units, means=means, scales=scales
    )


def with_logarithm(values: Matrix) -> npt.NDArray[np.bool_]:
    """Return which columns, m, have a logarithm that may be worth modelling."""
    smallest, largest = values.min(axis=0), values.max(axis=0)
    spanning = (largest > LOG_RATIO * smallest) & (largest < LARGEST_LOG_RATIO * smallest)
    return np.asarray(spanning & (smallest > 0))


def may_have_logarithm(values: Matrix) -> npt.NDArray[np.bool_]:
    """Return which columns, m, are never negative and not 0 throughout."""
    return np.asarray((values.min(axis=0) >= 0) & (values.max(axis=0) > 0))


def _least(values: Matrix) -> Matrix:
    """Return half of the smallest positive value of each column, m, which stands for 0 where a logarithm is taken."""
    return np.asarray(np.where(values > 0, values, np.inf).min(axis=0) / 2)


def _skewness(values: Matrix) -> Matrix:
    """Return the absolute skewness of each column; 0 for a constant one."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt(np.square(centred).mean(axis=0))
    scaled = centred / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.abs((scaled**3).mean(axis=0)))


def _units(violations: Matrix) -> Matrix:
    """Return the median size of each constraint with a long tail, 0 for the others, c."""
    if violations.size == 0:
        return np.zeros(violations.shape[1])
    size = np.abs(violations)
    middle = np.median(size, axis=0)
    has_tail = size.max(axis=0) > TAIL_RATIO * middle
    return np.asarray(np.where(has_tail, np.where(middle > 0, middle, 1.0), 0.0))


def _tamed(violations: Matrix, units: Matrix) -> Matrix:
    return np.asarray(np.sign(violations) * np.log1p(np.abs(violations) / np.where(units > 0, units, 1.0)))

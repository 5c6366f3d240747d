"""Windows of a worn motion sensor, generated: an accelerometer and a gyroscope of three axes, five activities.

A movement repeats at its tempo; each axis swings with the first three harmonics of it. People differ in tempo, vigour,
the timing of their limbs and how they wear the sensor, so a network that knows some of them meets others in validation
and test. Walking and climbing stairs overlap, as do slow cycling and fidgeting at rest.

Axes: n windows, 6 channels (acceleration x y z in g, rotation x y z in rad/s), L samples.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATE_HZ = 50.0
CHANNELS, LENGTH = 6, 128  # a window lasts 2.56 s
HARMONICS = 3


@dataclass(frozen=True, slots=True)
class Movement:
    """How an activity moves the sensor of an average person.

    ``swings`` are amplitudes of the harmonics, 6 x 3, in g and rad/s; ``lean`` turns the sensor about its x axis.
    """

    name: str
    tempo_hz: float
    tempo_spread: float  # standard deviation from window to window, as a share
    swings: tuple[tuple[float, ...], ...]
    lean: float = 0.0  # radians


MOVEMENTS = (
    Movement(
        "rest", 0.3, 0.5,
        ((0.02, 0.01, 0), (0.02, 0.01, 0), (0.02, 0.01, 0), (0.10, 0.05, 0), (0.10, 0.05, 0), (0.06, 0.02, 0)),
        lean=0.5,
    ),
    Movement(
        "walk", 1.8, 0.08,
        ((0.16, 0.10, 0.04), (0.12, 0.05, 0.02), (0.30, 0.14, 0.06), (0.9, 0.4, 0.1), (0.5, 0.2, 0.1), (0.4, 0.2, 0.1)),
    ),
    Movement(
        "stairs", 1.55, 0.10,
        ((0.18, 0.08, 0.05), (0.11, 0.06, 0.02), (0.26, 0.16, 0.06), (1.1, 0.3, 0.1), (0.5, 0.2, 0.1), (0.4, 0.2, 0.1)),
        lean=0.18,
    ),
    Movement(
        "run", 2.6, 0.08,
        ((0.45, 0.25, 0.10), (0.30, 0.12, 0.06), (0.85, 0.35, 0.15), (2.0, 0.9, 0.3), (1.1, 0.5, 0.2), (0.9, 0.4, 0.1)),
    ),
    Movement(
        "cycle", 1.2, 0.25,
        ((0.10, 0.04, 0.01), (0.05, 0.02, 0.01), (0.10, 0.04, 0.02), (0.9, 0.1, 0.0), (0.2, 0.1, 0.0), (0.2, 0.1, 0.0)),
        lean=0.55,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    tempo: float  # factor
    vigour: Floats  # factor of each channel, 6 x 1
    timing: Floats  # phase of each harmonic, 6 x 3
    worn: Floats  # rotation vector of the sensor against the body, 3


def generate_windows(subject: int, per_activity: int, seed: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return one person's windows, n x 6 x 128, and the numbers of their activities in `MOVEMENTS`.

    The same arguments give the same windows.

    Args:
        subject: Which person.
        per_activity: Windows of each activity.
        seed: Of the whole data set.
    """
    rng = np.random.default_rng([seed, subject])
    person = _Person(
        tempo=float(np.exp(rng.normal(0, 0.10))),
        vigour=np.exp(rng.normal(0, 0.35, (CHANNELS, 1))),
        timing=rng.normal(0, 0.6, (CHANNELS, HARMONICS)),
        worn=rng.normal(0, 0.35, 3),
    )
    windows = [_window(person, movement, rng) for movement in MOVEMENTS for _ in range(per_activity)]
    return np.stack(windows), np.repeat(np.arange(len(MOVEMENTS)), per_activity)


def _window(person: _Person, movement: Movement, rng: np.random.Generator) -> Floats:
    """Return one window, 6 x 128."""
    tempo = movement.tempo_hz * person.tempo * np.exp(rng.normal(0, movement.tempo_spread))
    steps = 2 * np.pi * tempo / RATE_HZ * (1 + rng.normal(0, 0.15, LENGTH))  # nobody moves like a clock
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(steps)  # L
    harmonics = np.arange(1, HARMONICS + 1)[:, None]
    waves = np.sin(
        harmonics * phase + _own_timing(movement)[..., None] + person.timing[..., None]
    )  # 6 x 3 x L
    vigour = person.vigour * np.exp(rng.normal(0, 0.2))
    swing = vigour * np.einsum("ch,chl->cl", np.asarray(movement.swings), waves)
    lean = _rotation(np.array([movement.lean + rng.normal(0, 0.12), rng.normal(0, 0.12), 0.0]))
    worn = _rotation(person.worn + rng.normal(0, 0.08, 3))  # it slips a little
    acceleration = worn @ (lean @ np.array([0.0, 0.0, 1.0]))[:, None] + worn @ swing[:3]
    window = np.concatenate([acceleration, worn @ swing[3:]])
    return window + _sensor_noise(rng)


def _own_timing(movement: Movement) -> Floats:
    """Return the phases that tell an activity's shape, 6 x 3: the same for everybody."""
    drawn = np.random.default_rng(sum(movement.name.encode()))
    return drawn.uniform(-1.0, 1.0, (CHANNELS, HARMONICS))


def _sensor_noise(rng: np.random.Generator) -> Floats:
    """Return what a cheap sensor adds: an offset, white noise and now and then a knock."""
    scale = np.repeat([[0.03], [0.08]], 3, axis=0)  # g, rad/s
    noise = scale * (rng.normal(size=(CHANNELS, 1)) + rng.normal(size=(CHANNELS, LENGTH)))
    if rng.random() < 0.1:
        place = rng.integers(LENGTH - 8)
        noise[:, place : place + 8] += 8 * scale * rng.normal(size=(CHANNELS, 1)) * np.hanning(8)
    return noise


def _rotation(vector: Floats) -> Floats:
    """Return the 3 x 3 matrix that turns by a vector's length about its direction (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)

import numpy as np

from tinypareto.datasets.generated_imu import CHANNELS, LENGTH, MOVEMENTS, RATE_HZ, generate_windows


def windows(subject=3, per_activity=30, seed=0):
    return generate_windows(subject, per_activity, seed)


def test_same_arguments_give_the_same_windows_and_others_do_not():
    one, labels = windows()
    np.testing.assert_array_equal(one, windows()[0])
    assert one.shape == (150, CHANNELS, LENGTH)
    assert np.bincount(labels).tolist() == [30] * len(MOVEMENTS)
    assert not np.allclose(one, windows(seed=1)[0])
    assert not np.allclose(one, windows(subject=4)[0])


def test_accelerometer_feels_gravity_wherever_it_points():
    means = []
    for subject in range(12):
        found, labels = windows(subject)
        own = found[labels == 0, :3].mean(2)  # at rest
        np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1.0, atol=0.2)
        means.append(own.mean(0) / np.linalg.norm(own.mean(0)))
    angles = np.degrees(np.arccos(np.clip(np.array(means) @ means[0], -1, 1)))
    assert angles.max() > 15, "everybody wears the sensor alike"


def test_running_is_faster_and_stronger_than_walking():
    found, labels = windows(per_activity=60)
    names = [movement.name for movement in MOVEMENTS]
    turning = {name: found[labels == number, 3:] for number, name in enumerate(names)}

    def tempo(series):
        spectrum = np.abs(np.fft.rfft(series - series.mean(2, keepdims=True), axis=2)).sum((0, 1))
        return np.fft.rfftfreq(LENGTH, 1 / RATE_HZ)[1:][spectrum[1:].argmax()]

    assert tempo(turning["run"]) > tempo(turning["walk"]) > tempo(turning["cycle"])
    strengths = [turning[name].std() for name in ("rest", "cycle", "walk", "run")]
    assert strengths == sorted(strengths)


def test_people_differ_more_between_than_within_themselves():
    walks = [windows(subject)[0][windows(subject)[1] == 1] for subject in range(8)]
    strengths = np.array([[window[3:].std(1).mean() for window in walk] for walk in walks])
    assert strengths.mean(1).std() > 0.5 * strengths.std(1).mean()

"""Where hardly any network fits: how long until the first training, and does it fit?

    python benchmarks/bench_tight.py --share 0.001     digits, with limits that one random network of 1,000 keeps

The limits of digits are lowered, all by one factor, until so small a share of random configurations keeps them. Then a
search is begun with nothing stored, and its first training timed from the call on.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinypareto.experiment import Experiment
from tinypareto.experiments import digits
from tinypareto.results import open_history
from tinypareto.space import Space
from tinypareto.static_footprint import StaticFootprint
from tinypareto.study import SearchProgress, run_search
from tinypareto.study_plan import SearchSettings
from tinypareto.threads import use_one_thread

N_RANDOM = 20_000


def tightened(share: float, seed: int = 0, n: int = N_RANDOM) -> tuple[Experiment, float, float]:
    """Return digits with lower limits, the factor, and the share of random configurations that keeps them."""
    experiment = digits.experiment
    footprint, space = StaticFootprint(experiment, experiment.read_data()), Space(experiment.space)
    shares = np.random.default_rng(seed).random((n, space.n_free))
    sizes = [footprint(space.decode(point)) for point in space.from_shares(shares)]
    used = np.array([
        max(getattr(size, name) / limit for name, limit in experiment.limits.items()) for size in sizes
    ])
    factor = float(np.quantile(used, share))
    limits = {name: factor * limit for name, limit in experiment.limits.items()}
    return replace(experiment, limits=limits), factor, float((used <= factor).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.001)
    parser.add_argument("--trials", type=int, default=3)
    arguments = parser.parse_args()
    use_one_thread()
    experiment, factor, share = tightened(arguments.share)
    limits = {name: round(limit) for name, limit in experiment.limits.items()}
    print(
        f"{share:.4%} of {N_RANDOM} random configurations keep {factor:.3f} of the limits, {limits}",
        flush=True,
    )
    begun = time.monotonic()
    moments: list[float] = []

    def note(progress: SearchProgress) -> None:
        if progress.running and not moments:
            moments.append(time.monotonic() - begun)

    with tempfile.TemporaryDirectory() as folder:
        run_search(experiment, Path(folder), SearchSettings(trials=arguments.trials), on_progress=note)
        trials = open_history(Path(folder)).trials
    kept = sum(trial.feasible or trial.stopped for trial in trials)
    print(f"first training begun after {moments[0]:.1f} s; {kept} of {len(trials)} trainings keep the limits")


if __name__ == "__main__":
    main()

"""How many trainings does a front of digits take?

    python benchmarks/bench_trainings.py                             completes results/trainings.csv (many hours)
    python benchmarks/bench_trainings.py --arms full --seeds 0,1     only these; several processes may share the file
    python benchmarks/bench_trainings.py --drop full                 forgets an arm's rows, after it was changed
    python benchmarks/bench_trainings.py --table | --plot            what docs/benchmarks.md shows

Each arm is a way to search, run through `tinypareto search` itself with real trainings. A row holds the hypervolume
after each training, networks that were harvested on the way included, and the seconds until then. A training that was
stopped is trained on afterwards, out of the count, to tell whether it was a pity (``regretted``) and what it saved
(``unstopped_seconds`` of training, had none been stopped). Of the errors that were predicted from trial 20 on
(``predicted``), those are counted that lay in their 90 % intervals (``held``). Samplers that know nothing are those of
`tinypareto compare digits`, whose rows are in results/digits/comparison.csv.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench_tight import tightened
from rejecting import Rejecting
from rows import append_row, drop_rows, read_rows
from trainings_tables import black_boxes, draw, hypervolume_table, stopping_table, summary

from tinypareto.calibration import predictions
from tinypareto.evaluation_record import Evaluation
from tinypareto.experiment import Experiment, training_path
from tinypareto.experiments import digits
from tinypareto.known_sizes import known_sizes
from tinypareto.provenance import provenance
from tinypareto.results import open_history
from tinypareto.samplers import make_sampler
from tinypareto.scales import objective_scales
from tinypareto.study import SearchProgress, run_search, trial_seed
from tinypareto.study_plan import SearchSettings
from tinypareto.trial_process import TrialProcess, TrialTask
from tinypareto.trials import FinishedTrial, History, read_metrics

RESULTS = Path(__file__).resolve().parent / "results" / "trainings.csv"
FIELDS = (
    "arm", "seed", "trials", "failed", "stopped", "regretted", "over_a_limit", "networks", "predicted", "held",
    "hypervolumes", "seconds", "training_seconds", "unstopped_seconds", "commit", "machine", "versions",
)  # fmt: skip
FULL, KNOWING, TIGHT, BLACK_BOX = 40, 75, 30, 150  # trainings
CALIBRATED = 20  # from this trial on intervals are judged
TIGHT_SHARE = 0.05  # of random configurations that keep the limits


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to search.

    Attributes:
        settings: Of `tinypareto search`.
        tight: Whether limits are so low that few networks keep them.
        rejects: Whether the sampler is kept from what is known to break a limit.
    """

    settings: Mapping[str, Any]
    tight: bool = False
    rejects: bool = False


ARMS: Mapping[str, Arm] = {
    "full": Arm(settings={"sampler": "ars", "trials": FULL}),
    "harvest": Arm(settings={"sampler": "ars", "early_stop": False, "trials": FULL}),
    "known": Arm(settings={"sampler": "ars", "early_stop": False, "harvest": False, "trials": KNOWING}),
    "harvest alone": Arm(settings={"sampler": "ars", "known_sizes": False, "harvest": True, "trials": FULL}),
    "gp, harvest": Arm(settings={"sampler": "gp", "harvest": True, "trials": FULL}, rejects=True),
    "random, harvest": Arm(settings={"sampler": "random", "harvest": True, "trials": FULL}, rejects=True),
    "tight, full": Arm(settings={"sampler": "ars", "trials": TIGHT}, tight=True),
    "tight, ars": Arm(
        settings={"sampler": "ars", "known_sizes": False, "harvest": False, "trials": BLACK_BOX}, tight=True
    ),
}


def run(arm: str, seed: int) -> dict[str, Any]:
    """Return one row."""
    begun, moments = time.monotonic(), [0.0]

    def note(progress: SearchProgress) -> None:
        done = len(progress.history.trials)
        moments.extend([round(time.monotonic() - begun, 1)] * (done + 1 - len(moments)))

    experiment = tight_digits() if ARMS[arm].tight else digits.experiment
    settings = SearchSettings(seed=seed, **ARMS[arm].settings)
    with tempfile.TemporaryDirectory() as folder, samplers_that(experiment, rejects=ARMS[arm].rejects):
        run_search(experiment, Path(folder), settings, on_progress=note)
        history = open_history(Path(folder))
        training = {trial.number: read_metrics(trial.folder)["seconds"]["train"] for trial in history.trials}
        judged = [found for found in predictions(history, "error") if found.trial >= CALIBRATED]
        ended = {
            trial.number: trained_on(experiment, trial, seed) for trial in history.trials if trial.stopped
        }
        regretted = sum(would_have_joined(experiment, history, number, end) for number, end in ended.items())
        unstopped = training | {number: end.seconds["train"] for number, end in ended.items()}
    return {
        "arm": arm,
        "seed": seed,
        "trials": len(history.trials),
        "failed": sum(trial.failure is not None for trial in history.trials),
        "stopped": sum(trial.stopped for trial in history.trials),
        "regretted": regretted,
        "over_a_limit": len(history.complete) - len(history.feasible),
        "networks": len(history.networks()),
        "predicted": len(judged),
        "held": sum(prediction.held for prediction in judged),
        "hypervolumes": json.dumps([
            round(history.hypervolume(n + 1), 5) for n in range(len(history.trials))
        ]),
        "seconds": json.dumps(moments[1:]),
        "training_seconds": round(sum(training.values()), 1),
        "unstopped_seconds": round(sum(unstopped.values()), 1),
        **provenance("tinypareto", "torch", "optuna", "botorch"),
    }


@cache
def tight_digits() -> Experiment:
    """Return digits with limits that few networks keep."""
    return tightened(TIGHT_SHARE, n=2_000)[0]


@contextmanager
def samplers_that(experiment: Experiment, *, rejects: bool) -> Iterator[None]:
    """Keep every sampler of the command line, for a while, from what is known to break a limit of the experiment."""
    if not rejects:
        yield
        return
    data = experiment.read_data()
    with tempfile.TemporaryDirectory() as scratch:
        sizes = known_sizes(experiment, data, objective_scales(experiment, data, Path(scratch)))

    def rejecting(name: str, seed: int, space: Any) -> Rejecting:
        return Rejecting(make_sampler(name, seed, space), experiment, sizes, seed)

    with patch("tinypareto.study_plan.make_sampler", rejecting):
        yield


def trained_on(experiment: Experiment, stopped: FinishedTrial, seed: int) -> Evaluation:
    """Return what a training that was stopped gives when it goes on to its end."""
    with tempfile.TemporaryDirectory() as folder:
        task = TrialTask(
            number=stopped.number,
            parameters=stopped.parameters,
            seed=trial_seed(seed, stopped.number),
            experiment=experiment,
            data_path=None,
            folder=Path(folder) / "trial",
            harvest=tuple(at.step for at in training_path(stopped.parameters)),
        )
        evaluation = TrialProcess(task).result()
    assert not isinstance(evaluation, str), evaluation
    return evaluation


def would_have_joined(experiment: Experiment, history: History, number: int, end: Evaluation) -> bool:
    """Return whether a network that stopping a training cost would have joined the front of that moment."""
    before, stopped = replace(history, trials=history.trials[:number]), history.trials[number]
    gained = {network.step for network in stopped.networks}
    found = [one.objectives for one in (*end.harvested, end) if one.step not in gained]
    front = [network.objectives for network in before.front()] + [one.objectives for one in stopped.networks]
    return any(
        all(one[name] <= limit for name, limit in experiment.limits.items())
        and not any(all(other[name] <= value for name, value in one.items()) for other in front)
        for one in found
    )


def main() -> None:
    """Complete the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--seeds", default="0,1,2,3,4", metavar="S,T")
    parser.add_argument("--drop", nargs="+", metavar="ARM", help="forget these arms' rows")
    parser.add_argument("--table", action="store_true", help="print what docs/benchmarks.md shows")
    parser.add_argument("--plot", action="store_true", help="draw docs/trainings.png")
    arguments = parser.parse_args()
    if arguments.table or arguments.plot:
        rows, boxes = read_rows(RESULTS), black_boxes()
        if arguments.plot:
            draw(rows, boxes)
        else:
            print(hypervolume_table(rows, boxes), stopping_table(rows), summary(rows), sep="\n\n")
        return
    if arguments.drop:
        drop_rows(RESULTS, "arm", arguments.drop)
        return
    for seed in map(int, arguments.seeds.split(",")):
        for arm in arguments.arms:
            if any(row["arm"] == arm and int(row["seed"]) == seed for row in read_rows(RESULTS)):
                continue
            row = run(arm, seed)
            append_row(RESULTS, FIELDS, row)
            curve = json.loads(row["hypervolumes"])
            shown = ", ".join(
                f"{count}: {curve[count - 1]:.4f}" for count in (20, 40, 75, 150) if count <= len(curve)
            )
            print(f"{arm}, seed {seed}: {shown}; {json.loads(row['seconds'])[-1]:.0f} s", flush=True)


if __name__ == "__main__":
    main()

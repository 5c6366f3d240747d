"""How long do the stages between a network and its figures take, and a whole trial of digits?

    python benchmarks/bench_stages.py              prints the tables of docs/benchmarks.md, in about five minutes

One thread; the median of several runs, each in this process, after one that warms up. A trial's time is what
`tinypareto search` spends on it once it is suggested: a process that trains, quantises, compiles and simulates.
Trials allocate with tcmalloc if it is installed; what they did is said. Each is run three times, since what else a
machine does can only lengthen it: its fastest run counts, and the slowest of all is told beside.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from mcu_networks import mobilenetv3_int8, resnet8

from tinypareto.allocator import fast_allocator
from tinypareto.experiment import Parameters
from tinypareto.experiments import digits
from tinypareto.mcu.firmware import build_firmware, measure, write_program
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.targets import target
from tinypareto.space import Space
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import TrialProcess, TrialTask

RUNS, TRIALS, TRIAL_RUNS = 5, 20, 3
M4 = target("cortex-m4")


def seconds(action: Callable[[], object]) -> float:
    """Return the median time of an action."""
    action()
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return median(times)


def stages() -> dict[str, float]:
    """Return the time of each stage."""
    program = write_program(optimize(resnet8()), M4)
    inputs = np.zeros((1, *program.graph.input_shape), dtype=np.int8)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        firmware = build_firmware(program, folder)

        def compile_and_link() -> None:
            build_firmware(write_program(optimize(resnet8()), M4), folder)

        large = mobilenetv3_int8(folder)
        return {
            "compile and link ResNet-8": seconds(compile_and_link),
            "simulate one inference of ResNet-8": seconds(lambda: measure(firmware, inputs)),
            "read and lower MobileNetV3-1D, 2.3 million parameters": seconds(
                lambda: write_program(optimize(read_onnx(large)), M4)
            ),
        }


def trials(seed: int) -> list[list[float]]:
    """Return the seconds of each run of some random trials."""
    space = Space(digits.experiment.space)
    points = space.from_shares(np.random.default_rng(seed).random((1 + TRIALS, space.n_free)))
    parameters = [space.decode(point) for point in points]
    with tempfile.TemporaryDirectory() as folder:
        trial_seconds(parameters[0], 0, Path(folder))  # imports and links what the others share
        return [
            [trial_seconds(chosen, number, Path(folder)) for _ in range(TRIAL_RUNS)]
            for number, chosen in enumerate(parameters[1:], 1)
        ]


def trial_seconds(parameters: Parameters, number: int, folder: Path) -> float:
    """Return how long a trial takes from its suggestion to measured firmware."""
    task = TrialTask(
        number=number,
        parameters=parameters,
        seed=number,
        experiment=digits.experiment,
        data_path=None,
        folder=folder / str(number),
    )
    begun = time.perf_counter()
    outcome = TrialProcess(task).result()
    assert not isinstance(outcome, str), outcome
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    use_one_thread()
    print("| stage | median, s |\n|---|---|")
    for name, found in stages().items():
        print(f"| {name} | {found:.2f} |", flush=True)
    runs = trials(arguments.seed)
    fastest = [min(times) for times in runs]
    print(
        f"\n{TRIALS} random trials of digits, allocator {fast_allocator() or 'of the C library'}: "
        f"{min(fastest):.2f} to {max(fastest):.2f} s, median {median(fastest):.2f} s, "
        f"{sum(one <= 3 for one in fastest)} of them at most 3 s; "
        f"slowest of {TRIALS * TRIAL_RUNS} runs {max(map(max, runs)):.2f} s"
    )


if __name__ == "__main__":
    main()

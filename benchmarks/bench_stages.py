"""How long do the stages between a network and its figures take, and a whole trial of digits?

    python benchmarks/bench_stages.py              prints the tables of docs/benchmarks.md, in about three minutes

One thread; the median of several runs, each in this process, after one that warms up. A trial's time is what
`tinypareto search` spends on it once it is suggested: a process that trains, quantises, compiles and simulates.
Trials allocate with tcmalloc if it is installed; what they did is said.
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
from tinypareto.experiments import digits
from tinypareto.mcu.firmware import build_firmware, measure, write_program
from tinypareto.mcu.passes.pipeline import optimize
from tinypareto.mcu.read_onnx import read_onnx
from tinypareto.mcu.targets import target
from tinypareto.space import Space
from tinypareto.threads import use_one_thread
from tinypareto.trial_process import TrialProcess, TrialTask

RUNS, TRIALS = 5, 20
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


def trials(seed: int) -> list[float]:
    """Return the seconds of each of some random trials, rising."""
    space, experiment = Space(digits.experiment.space), digits.experiment
    points = space.from_shares(np.random.default_rng(seed).random((1 + TRIALS, space.n_free)))
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for number, point in enumerate(points):
            task = TrialTask(
                number=number,
                parameters=space.decode(point),
                seed=number,
                experiment=experiment,
                data_path=None,
                folder=Path(folder) / str(number),
            )
            begun = time.perf_counter()
            outcome = TrialProcess(task).result()
            assert not isinstance(outcome, str), outcome
            times.append(time.perf_counter() - begun)
    return sorted(times[1:])  # the first one imports and links what the others share


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
    found = trials(arguments.seed)
    print(
        f"\n{TRIALS} random trials of digits, allocator {fast_allocator() or 'of the C library'}: "
        f"{found[0]:.1f} to {found[-1]:.1f} s, median {median(found):.1f} s, "
        f"{sum(one <= 3 for one in found)} of them at most 3 s"
    )


if __name__ == "__main__":
    main()

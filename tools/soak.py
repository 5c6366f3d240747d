"""Look for bugs for as long as one cares to wait: random graphs under sanitizers, then a fuzzed ONNX reader.

Prints each failure with the seed that repeats it and ends with exit code 1 if there was one.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from guarded import SANITIZED, address_sanitizer_works, check  # noqa: E402
from mutated_onnx import mutated, read_within, valid_files  # noqa: E402
from random_graphs import random_graph  # noqa: E402

from tinypareto.mcu.passes.pipeline import optimize  # noqa: E402


def soak_graphs(count: int, first: int) -> int:
    """Compare random graphs with the reference; return how many failed."""
    kinds = [kind for kind in SANITIZED if kind != "address" or address_sanitizer_works()]
    print(f"{count} random graphs from seed {first} on, sanitizers: {', '.join(kinds)}", flush=True)
    failures = 0
    for seed in range(first, first + count):
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    graph, inputs = random_graph(seed)
                    check(optimize(graph) if seed % 2 else graph, inputs, Path(folder), kind)
                except Exception:
                    failures += 1
                    print(f"seed {seed}, {kind}:\n{traceback.format_exc()}", flush=True)
        if (seed + 1 - first) % 50 == 0:
            print(f"{seed + 1 - first} graphs, {failures} failures", flush=True)
    return failures


def soak_reader(seconds: float, first: int) -> int:
    """Read mutated files for a while; return how many ended in anything but a network or an error of ours."""
    print(f"mutated ONNX files for {seconds:g} s from seed {first} on", flush=True)
    failures, seed, end = 0, first, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        files = valid_files(Path(folder))
        while time.monotonic() < end:
            content = mutated(files, seed)
            try:
                read_within(content, Path(folder))
            except Exception:
                failures += 1
                print(f"seed {seed}:\n{traceback.format_exc()}", flush=True)
            seed += 1
    print(f"{seed - first} mutated files, {failures} failures", flush=True)
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=600.0, help="of fuzzing the ONNX reader")
    parser.add_argument("--first-seed", type=int, default=1000, help="the tests take the seeds below")
    arguments = parser.parse_args()
    failures = soak_graphs(arguments.graphs, arguments.first_seed)
    failures += soak_reader(arguments.seconds, arguments.first_seed)
    if failures:
        sys.exit(f"{failures} failures; repeat one with --first-seed SEED --graphs 1 or --seconds 1.")


if __name__ == "__main__":
    main()

"""Plant each committed bug in a copy of the project and fail unless the tests notice every one.

A mutant is a patch in tests/mutants/; text before its first ``diff`` line says what the bug is, and a
line ``tests: PATH ...`` names the tests that must fail. Those tests must pass without the patch.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "tests", "examples", "pyproject.toml", "README.md", "docs", "benchmarks")


def copy_project(to: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "mutants"))
        else:
            shutil.copy(source, to / name)


def tests_of(patch: Path) -> list[str]:
    for line in patch.read_text(encoding="utf-8").splitlines():
        if line.startswith("tests: "):
            return line.removeprefix("tests: ").split()
    sys.exit(f"{patch} must have a line 'tests: PATH ...' above the first 'diff' line.")


def run_tests(copy: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    # PYTHONPATH comes before the editable installation of the project itself.
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def survives(patch: Path, scratch: Path) -> str | None:
    """Return why the mutant counts as alive, or None if the tests killed it."""
    copy = scratch / patch.stem
    copy.mkdir()
    copy_project(copy)
    applied = subprocess.run(
        ["git", "apply", "--unsafe-paths", "-p1", str(patch)],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    if applied.returncode:
        return f"the patch does not apply: {applied.stderr.strip()}"
    outcome = run_tests(copy, tests_of(patch))
    shutil.rmtree(copy)
    if outcome.returncode == 1:  # pytest: tests ran and some failed
        return None
    return f"pytest ended with {outcome.returncode}: {outcome.stdout.strip().splitlines()[-1:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to try, by file name without .patch; default all")
    names = parser.parse_args().names
    patches = sorted((ROOT / "tests" / "mutants").glob("*.patch"))
    if names:
        patches = [patch for patch in patches if patch.stem in names]
    if not patches:
        sys.exit("there is no such mutant in tests/mutants.")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        clean = scratch / "clean"
        clean.mkdir()
        copy_project(clean)
        every_test = sorted({test for patch in patches for test in tests_of(patch)})
        baseline = run_tests(clean, every_test)
        if baseline.returncode:
            sys.exit(f"the tests fail without any mutant:\n{baseline.stdout[-3000:]}")
        alive = []
        for number, patch in enumerate(patches, 1):
            why = survives(patch, scratch)
            print(
                f"{number:2}/{len(patches)} {patch.stem:40} {'killed' if why is None else f'ALIVE: {why}'}",
                flush=True,
            )
            if why is not None:
                alive.append(patch.stem)
    if alive:
        sys.exit(f"{len(alive)} mutants survived: {', '.join(alive)}; write a test that notices each.")
    print(f"all {len(patches)} mutants killed")


if __name__ == "__main__":
    main()

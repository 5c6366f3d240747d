"""How often is the global minimum of ``bumps`` found from a prior that lies far from it?

    python benchmarks/bench_bumps.py            runs what the CSV does not hold yet, prints the table
    python benchmarks/bench_bumps.py --picture  draws seed 0 like Figure 3 of the poster

The same as `tinypareto reproduce bumps`, into the files that docs/benchmarks.md names.
"""

import argparse
from pathlib import Path

from tinypareto.comparison.bumps import bumps_table, complete_bumps
from tinypareto.comparison.bumps_figure import bumps_figure
from tinypareto.threads import use_one_thread

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results" / "bumps.csv"
PICTURE = ROOT.parent / "docs" / "bumps.png"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", action="store_true", help="draw seed 0 into docs/bumps.png")
    use_one_thread()
    if parser.parse_args().picture:
        bumps_figure(0).savefig(PICTURE, dpi=70)
        return
    rows = complete_bumps(
        RESULTS, on_run=lambda done, total, line: print(f"{done}/{total}: {line}", flush=True)
    )
    print(bumps_table(rows))


if __name__ == "__main__":
    main()

import sys
from pathlib import Path

# Benchmarks are scripts beside the package, and import each other as such.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))

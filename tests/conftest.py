"""One thread in every test process, and the small experiments importable from every test."""

import sys
from pathlib import Path

from tinypareto.threads import use_one_thread

sys.path.insert(0, str(Path(__file__).resolve().parent))
use_one_thread()

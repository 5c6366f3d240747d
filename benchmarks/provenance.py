"""What every row of results says of its origin."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def provenance(*packages: str) -> dict[str, str]:
    """Return the columns ``commit``, ``machine`` and ``versions`` (of these packages)."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return {
        "commit": done.stdout.strip(),
        "machine": platform.machine(),
        "versions": " ".join(f"{name}={version(name)}" for name in packages),
    }

"""What a row of results says of its origin: commit, machine and versions."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def provenance(*packages: str) -> dict[str, str]:
    """Return ``commit``, ``machine`` and ``versions`` (of those of the packages that are installed)."""
    return {
        "commit": commit(),
        "machine": platform.machine(),
        "versions": " ".join(map(_named, packages)).strip(),
    }


def commit() -> str:
    """Return the short hash of the commit that this package was checked out from; empty if it was not."""
    here = Path(__file__)
    try:
        # The folder around an installed package may be another project's checkout.
        _git("ls-files", "--error-unmatch", here.name)
        return _git("rev-parse", "--short", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _named(package: str) -> str:
    try:
        return f"{package}={version(package)}"
    except PackageNotFoundError:
        return ""

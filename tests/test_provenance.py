import subprocess
import sys
from pathlib import Path

from tinypareto import provenance as module
from tinypareto.provenance import commit, provenance


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_commit_is_that_of_the_checkout():
    folder = Path(module.__file__).parent
    try:
        expected = git(folder, "rev-parse", "--short", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        expected = ""  # a copy without git
    assert commit() == expected


def test_package_installed_inside_another_projects_checkout_has_no_commit(tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=b", "commit", "--allow-empty", "-m", "c")
    copy = tmp_path / "provenance.py"
    copy.write_bytes(Path(module.__file__).read_bytes())
    said = subprocess.run(
        [sys.executable, "-c", "import provenance; print(repr(provenance.commit()))"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "''"


def test_versions_of_what_is_not_installed_are_left_out():
    assert provenance("numpy", "no-such-package")["versions"].startswith("numpy=")
    assert "no-such" not in provenance("numpy", "no-such-package")["versions"]

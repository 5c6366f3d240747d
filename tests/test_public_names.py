import subprocess
import sys

import pytest

import tinypareto


def test_all_is_sorted_and_each_name_is_there():
    assert tinypareto.__all__ == sorted(tinypareto.__all__)
    for name in tinypareto.__all__:
        assert getattr(tinypareto, name).__name__ == name


def test_all_names_what_the_package_exposes():
    public = {name for name in dir(tinypareto) if not name.startswith("_")}
    submodules = {name for name in public if type(getattr(tinypareto, name)).__name__ == "module"}
    assert public - submodules - {"Any", "TYPE_CHECKING", "import_module"} == set(tinypareto.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Expriment'"):
        tinypareto.Expriment  # noqa: B018  the look-up is what is tested


def test_importing_the_package_does_not_load_torch():
    code = "import sys, tinypareto, tinypareto.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""A faster allocator for processes that train: it reaches them, and nobody else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tinypareto import allocator
from tinypareto.trial_process import process_context

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's")

STAND_IN = "BrokenLocale"  # a library that comes with glibc and that Python does not load


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the file name of a library that is taken for tcmalloc, so that the tests need none installed."""
    monkeypatch.delenv(allocator.PRELOAD, raising=False)
    monkeypatch.setattr(allocator, "LIBRARIES", (STAND_IN,))
    allocator.fast_allocator.cache_clear()
    found = find_library(STAND_IN)
    assert found is not None
    yield found
    allocator.fast_allocator.cache_clear()


def loaded_by(program: str) -> str:
    """Return what a new Python has mapped when it has run a program."""
    code = f"{program}\nprint(open('/proc/self/maps').read())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_programs_started_meanwhile_load_it_and_later_ones_do_not(library: str) -> None:
    with allocator.allocating_fast():
        assert library in loaded_by("")
    assert library not in loaded_by("")
    assert allocator.PRELOAD not in os.environ


def test_what_the_user_preloads_stays(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(allocator.PRELOAD, "libresolv.so.2")
    with allocator.allocating_fast():
        assert os.environ[allocator.PRELOAD] == "libresolv.so.2"
    allocator.preload_no_longer()
    assert os.environ[allocator.PRELOAD] == "libresolv.so.2"


def test_without_tcmalloc_nothing_is_preloaded(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "LIBRARIES", ("of-that-name-there-is-none",))
    with allocator.allocating_fast():
        assert allocator.PRELOAD not in os.environ


def test_a_process_that_has_it_does_not_hand_it_on(library: str) -> None:
    with allocator.allocating_fast():
        allocator.preload_no_longer()
        assert library not in loaded_by("")


@pytest.mark.skipif(allocator.fast_allocator() is None, reason="tcmalloc is not installed")
def test_a_training_process_allocates_with_tcmalloc() -> None:
    context = process_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_maps, args=(sender,))  # type: ignore[attr-defined]
    process.start()
    maps, inherited = receiver.recv()
    process.join()
    assert "tcmalloc" in maps
    assert inherited is None


def _send_maps(sender) -> None:  # type: ignore[no-untyped-def]
    sender.send((Path("/proc/self/maps").read_text(), os.environ.get(allocator.PRELOAD)))

"""tcmalloc for processes that train on a processor, where the system has it.

A training step allocates several hundred tensors of changing sizes, aligned to 64 bytes. The allocator of glibc takes a
sixth of a small network's step for that. Which one is used changes no result.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from functools import cache

PRELOAD = "LD_PRELOAD"
LIBRARIES = ("tcmalloc_minimal", "tcmalloc")  # Debian and Ubuntu: libtcmalloc-minimal4


@cache
def fast_allocator() -> str | None:
    """Return the name by which the system's loader knows tcmalloc, None if it is not installed."""
    found = (find_library(name) for name in LIBRARIES if sys.platform == "linux")
    return next(filter(None, found), None)


@contextmanager
def allocating_fast() -> Iterator[None]:
    """Let programs that are started meanwhile allocate with tcmalloc, unless something is preloaded already."""
    library = fast_allocator()
    if library is None or PRELOAD in os.environ:
        yield
        return
    os.environ[PRELOAD] = library
    try:
        yield
    finally:
        os.environ.pop(PRELOAD, None)


def preload_no_longer() -> None:
    """Let programs that this one starts allocate as they would: short ones lose more time than they gain."""
    if os.environ.get(PRELOAD) == fast_allocator():
        os.environ.pop(PRELOAD, None)

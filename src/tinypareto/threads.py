"""One thread per process, always: two on shared cores are 2-12 times slower than one."""

import os

import torch
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Hold torch, BLAS and OpenMP of this process, and of those it starts, to one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    torch.set_num_threads(1)
    threadpool_limits(1)

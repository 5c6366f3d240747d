"""What the fork server has ready before it forks the first trial. Imported by the fork server alone.

The one module that does something when it is imported: PyTorch loads modules at the first call of its exporter and of
an optimizer, and templates are compiled, which every trial would spend time on anew.
"""

import contextlib
import os
import tempfile
from pathlib import Path

# A forked process cannot use CUDA if its parent as much as counted the devices by CUDA itself; NVML counts them too.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import torch
import torch._dynamo  # noqa: F401  # every optimizer loads it when it is made, which takes a second and a half
from torch import nn

import tinypareto.evaluation  # noqa: F401  # every stage of a trial
import tinypareto.experiments.digits  # noqa: F401  # scikit-learn's data sets, which many experiments use
from tinypareto.allocator import preload_no_longer
from tinypareto.errors import QuantizationError
from tinypareto.mcu.emit.project import load_templates
from tinypareto.network.onnx_export import export_onnx
from tinypareto.threads import use_one_thread

preload_no_longer()
use_one_thread()
load_templates()
with tempfile.TemporaryDirectory() as _folder, contextlib.suppress(QuantizationError):
    export_onnx(nn.Conv1d(1, 1, 1), torch.zeros(1, 1, 2), Path(_folder) / "model.onnx")

"""tinypareto: a Pareto front of int8 firmwares from a PyTorch model, in as few trainings as possible.

One letter per axis, everywhere: n evaluated points or samples, q candidates, d parameters (columns of
the unit cube), m objectives, s Monte-Carlo samples. Every objective is minimised; sizes are bytes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinypareto.errors import TinyParetoError
    from tinypareto.experiment import Experiment, load_experiment
    from tinypareto.hosts.botorch import optimize_acqf_ars
    from tinypareto.hosts.earlier import EarlierTask
    from tinypareto.hosts.observations import Observation, add_observations
    from tinypareto.hosts.optuna import ARSSampler
    from tinypareto.mcu.compiled_folder import compile_model
    from tinypareto.network.data import Data, Split
    from tinypareto.network.prune import PruningConfig
    from tinypareto.network.quantize import QuantizationConfig
    from tinypareto.network.training_config import TrainingConfig
    from tinypareto.report.page import write_report
    from tinypareto.results import front_rows
    from tinypareto.study import run_search
    from tinypareto.study_plan import SearchSettings

# Where each public name is from. They are imported when first used, since torch takes seconds to load
# and `tinypareto --help` needs none of it.
_HOME = {
    "ARSSampler": "hosts.optuna",
    "Data": "network.data",
    "EarlierTask": "hosts.earlier",
    "Experiment": "experiment",
    "Observation": "hosts.observations",
    "PruningConfig": "network.prune",
    "QuantizationConfig": "network.quantize",
    "SearchSettings": "study",
    "Split": "network.data",
    "TinyParetoError": "errors",
    "TrainingConfig": "network.training_config",
    "add_observations": "hosts.observations",
    "compile_model": "mcu.compiled_folder",
    "front_rows": "results",
    "load_experiment": "experiment",
    "optimize_acqf_ars": "hosts.botorch",
    "run_search": "study",
    "write_report": "report.page",
}

__all__ = [
    "ARSSampler",
    "Data",
    "EarlierTask",
    "Experiment",
    "Observation",
    "PruningConfig",
    "QuantizationConfig",
    "SearchSettings",
    "Split",
    "TinyParetoError",
    "TrainingConfig",
    "add_observations",
    "compile_model",
    "front_rows",
    "load_experiment",
    "optimize_acqf_ars",
    "run_search",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinypareto' has no attribute {name!r}")
    return getattr(import_module(f"tinypareto.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

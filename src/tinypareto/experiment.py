"""What a user writes: one `Experiment`, and how the command line finds it."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution
from torch import nn

from tinypareto.errors import DataError, ExperimentError, SpaceError, TinyParetoError
from tinypareto.mcu.targets import Target
from tinypareto.mcu.targets import target as target_named
from tinypareto.network import metrics
from tinypareto.network.data import Data, calibration_samples
from tinypareto.network.prune import PathStep, PruningConfig, is_sparsity
from tinypareto.network.quantize import QuantizationConfig, QuantizedNetwork, quantize_network
from tinypareto.network.train import OnEpoch, TrainedNetwork, train_network
from tinypareto.network.training_config import TrainingConfig

Parameters: TypeAlias = Mapping[str, Any]
Metric: TypeAlias = Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], float]

MEASURED = ("error", "rom_bytes", "ram_bytes", "flops", "instructions", "cycles")  # what every trial yields

SAME_ON_EVERY_CORE = ("error", "flops")  # what does not depend on the target


def train_and_prune(
    model: nn.Module,
    data: Data,
    parameters: Parameters,
    seed: int,
    on_epoch: OnEpoch | None = None,
    *,
    keep_path: bool = False,
) -> TrainedNetwork:
    """Train and prune as the recognised names in ``parameters`` say: the default ``Experiment.train``."""
    training = TrainingConfig.from_parameters(parameters)
    pruning = PruningConfig.from_parameters(parameters)
    return train_network(model, data, training, pruning, seed=seed, on_epoch=on_epoch, keep_path=keep_path)


def training_path(parameters: Parameters) -> tuple[PathStep, ...]:
    """Return what `train_and_prune` passes through with these parameters."""
    return PruningConfig.from_parameters(parameters).path(TrainingConfig.from_parameters(parameters).epochs)


def parameters_at(parameters: Parameters, at: PathStep) -> dict[str, Any]:
    """Return the parameters that describe the network at a step of its path, with the sparsity that it really has."""
    return {name: value * at.share if is_sparsity(name) else value for name, value in parameters.items()}


def quantize_after_training(
    network: TrainedNetwork, data: Data, parameters: Parameters, seed: int, folder: Path
) -> QuantizedNetwork:
    """Export and quantise on seeded training samples: the default ``Experiment.quantize``."""
    config = QuantizationConfig.from_parameters(parameters)
    calibration = calibration_samples(data.train, config.calibration_samples, seed)
    return quantize_network(network.model, calibration, folder, config)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A network, its data, its microcontroller and what shall be minimised.

    Everything is minimised. Sizes are bytes, ``flops`` is twice the multiply-accumulates of one
    inference, ``instructions`` and modelled ``cycles`` are those of one inference on the target's core,
    ``error`` is whatever ``metric`` returns on the validation split.

    Args:
        name: Names the study; one folder holds the study of one experiment.
        space: Parameter names and their Optuna distributions. The names that the default training,
            pruning and quantisation read are listed in docs/experiments.md.
        build_model: Parameters to an untrained network.
        load_data: Returns the three splits; takes the folder or archive of ``--data`` if it has an
            argument.
        target: A core or a board that ``tinypareto targets`` lists.
        objectives: What to minimise: ``error``, ``rom_bytes``, ``ram_bytes``, ``flops``,
            ``instructions``, ``cycles`` and whatever ``measure`` returns.
        limits: Objectives and the largest value that is feasible, in the objective's unit.
        metric: Outputs (n x classes, or n x values) and targets (n, or n x values) to the error.
        train: Replaces training and pruning.
        quantize: Replaces export and quantisation.
        measure: Takes the trial's folder, which holds ``firmware.elf`` and ``model.int8.onnx``, and
            returns further objectives, such as a real board's energy.
        scales: Objectives and the value at which they count as hopeless, for the hypervolume. Default:
            the limit, else what the largest network of the space needs (for ``error``: chance).

    Raises:
        SpaceError: If ``space`` is empty.
        ExperimentError: If a limit, scale or objective is unknown or repeated.
        ConfigError: If the target is unknown.

    Example: see ``examples/bring_your_own.py``.
    """

    name: str
    space: Mapping[str, BaseDistribution]
    build_model: Callable[[Parameters], nn.Module]
    load_data: Callable[..., Data]
    target: str = "cortex-m4"
    objectives: tuple[str, ...] = ("error", "rom_bytes", "ram_bytes", "flops")
    limits: Mapping[str, float] = field(default_factory=dict)
    metric: Metric = metrics.error
    train: Callable[[nn.Module, Data, Parameters, int], TrainedNetwork] = train_and_prune
    quantize: Callable[[TrainedNetwork, Data, Parameters, int, Path], QuantizedNetwork] = (
        quantize_after_training
    )
    measure: Callable[[Path], Mapping[str, float]] | None = None
    scales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.space:
            raise SpaceError(
                f"experiment {self.name!r} has an empty space; give at least one parameter, "
                'such as "learning_rate": FloatDistribution(1e-3, 1e-1, log=True).'
            )
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ExperimentError(
                f"objectives must be one or more different names, got {self.objectives!r}; name each once."
            )
        unknown = [name for name in self.objectives if name not in MEASURED]
        if unknown and self.measure is None:
            raise ExperimentError(
                f"objectives {unknown} are not among {', '.join(MEASURED)}; "
                "name one of those or return them from measure=."
            )
        for what, given in (("limits", self.limits), ("scales", self.scales)):
            stray = [name for name in given if name not in self.objectives]
            if stray:
                raise ExperimentError(
                    f"{what} must name objectives of the experiment ({', '.join(self.objectives)}), "
                    f"got {stray}; add them to objectives= or drop them."
                )
            bad = {name: value for name, value in given.items() if not 0 < value < float("inf")}
            if bad:
                raise ExperimentError(f"{what} must be positive and finite, got {bad}; mend those values.")
        target_named(self.target)  # an unknown name fails here and not after the first training

    @property
    def core(self) -> Target:
        """The microcontroller that ``target`` names."""
        return target_named(self.target)

    def values(self, objectives: Mapping[str, float]) -> list[float]:
        """Return a network's objectives in the order of ``objectives=``, as a study stores them."""
        return [objectives[name] for name in self.objectives]

    def excesses(self, objectives: Mapping[str, float]) -> dict[str, float]:
        """Return by how much of each limit a network exceeds it, by objective; kept at <= 0."""
        return {name: (objectives[name] - limit) / limit for name, limit in self.limits.items()}

    def read_data(self, path: Path | None = None) -> Data:
        """Call ``load_data``, with ``path`` if it takes one.

        Raises:
            ExperimentError: If ``path`` is given but ``load_data`` takes none.
            DataError: If loading fails.
            TinyParetoError: As ``load_data`` raised it.
        """
        takes_path = bool(inspect.signature(self.load_data).parameters)
        if path is not None and not takes_path:
            raise ExperimentError(f"experiment {self.name!r} reads no --data; leave the option out.")
        try:
            data = self.load_data(path) if takes_path else self.load_data()
        except TinyParetoError:
            raise
        except Exception as error:
            raise DataError(
                f"load_data of experiment {self.name!r} raised {type(error).__name__}: {error}; mend it."
            ) from error
        if not isinstance(data, Data):
            raise DataError(
                f"load_data of experiment {self.name!r} must return tinypareto.Data, "
                f"got {type(data).__name__}; wrap its splits in Data(train=..., validation=..., test=...)."
            )
        return data


def builtin_experiments() -> dict[str, str]:
    """Return the built-in experiments: name and first line of the module's docstring, without import.

    A file that defines no experiment holds a network alone.
    """
    folder = Path(__file__).parent / "experiments"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[!_]*.py"))}
    return {
        name: text.splitlines()[0].strip('"')
        for name, text in texts.items()
        if "\nexperiment = Experiment(" in text
    }


def load_experiment(reference: str) -> Experiment:
    """Return the experiment that ``reference`` names: a built-in one or ``path/to/file.py:name``.

    ``digits@cortex-m0plus`` is the same experiment for another target.

    Raises:
        ExperimentError: If there is no such experiment, file or attribute, or the file raises.
        ConfigError: If there is no such target.
    """
    reference, target = split_reference(reference)
    experiment = _load_for_its_own_target(reference)
    return experiment if target is None else replace(experiment, target=target)


def split_reference(reference: str) -> tuple[str, str | None]:
    """Return a reference without its target, and the target, None if it names none.

    Example:
        >>> split_reference("me@home/file.py:small@cortex-m3"), split_reference("me@home/file.py:small")
        (('me@home/file.py:small', 'cortex-m3'), ('me@home/file.py:small', None))
    """
    name, at, target = reference.rpartition("@")
    return (name, target) if at and ".py" not in target else (reference, None)


def _load_for_its_own_target(reference: str) -> Experiment:
    if ".py:" in reference or reference.endswith(".py"):
        path, _, attribute = reference.partition(".py:")
        module = _import_file(Path(f"{path.removesuffix('.py')}.py"))
        attribute = attribute or "experiment"
    elif reference in builtin_experiments():
        module, attribute = importlib.import_module(f"tinypareto.experiments.{reference}"), "experiment"
    else:
        raise ExperimentError(
            f"there is no experiment {reference!r}; built in are {', '.join(builtin_experiments())}; "
            "your own is given as path/to/file.py:name."
        )
    found = getattr(module, attribute, None)
    if not isinstance(found, Experiment):
        have = [name for name, value in vars(module).items() if isinstance(value, Experiment)]
        raise ExperimentError(
            f"{reference!r} must name an Experiment, but {attribute!r} is "
            f"{'not there' if found is None else type(found).__name__}; "
            f"the file holds {', '.join(have) or 'none'}."
        )
    return found


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ExperimentError(f"there is no file {str(path)!r}; give an existing path/to/file.py:name.")
    # A name of its own, since a user's file may be called like an installed module.
    name = f"tinypareto_experiment_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickle and dataclasses look the module up here
    sys.path.insert(0, str(path.parent.resolve()))  # as `python file.py` would
    try:
        spec.loader.exec_module(module)
    except TinyParetoError as error:
        raise ExperimentError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        line = _line_in(path, error)
        raise ExperimentError(
            f"{path}{line} raised {type(error).__name__}: {error}; mend the file, "
            f"`python {path}` shows the whole traceback."
        ) from error
    finally:
        sys.path.pop(0)
    return module


def _line_in(path: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f", line {lines[-1]}" if lines else ""

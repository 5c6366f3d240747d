"""Every error that tinypareto raises on purpose.

A message names, in one sentence, the rule that was broken, the value that broke it and what to do
about it. Each class also derives from the built-in that a caller would expect.
"""


class TinyParetoError(Exception):
    """Root of all errors that a user can mend; the command line turns it into one line, exit code 1."""


class ConfigError(TinyParetoError, ValueError):
    """A setting lies outside its range or contradicts another one."""


class ShapeError(TinyParetoError, ValueError):
    """An array has the wrong number of axes or the wrong length along one."""


class SpaceError(TinyParetoError, ValueError):
    """A search space is empty or holds a distribution that cannot be searched."""


class ExperimentError(TinyParetoError, ValueError):
    """An experiment is unknown, cannot be loaded or contradicts itself."""


class DataError(TinyParetoError, ValueError):
    """A data set is missing, damaged or too small for its splits."""


class TrainingError(TinyParetoError, RuntimeError):
    """A network could not be built, trained or pruned."""


class QuantizationError(TinyParetoError, RuntimeError):
    """A trained network could not be exported or quantised."""


class UnsupportedModelError(TinyParetoError, ValueError):
    """An ONNX file is not an int8 QDQ network or holds an operator that cannot be compiled."""


class UnknownFootprintError(TinyParetoError, ValueError):
    """What a network needs on its microcontroller cannot be told before it is trained."""


class TargetMemoryError(TinyParetoError, ValueError):
    """A model needs more flash or RAM than its target has."""


class ToolchainError(TinyParetoError, RuntimeError):
    """The C compiler or linker is missing or failed."""


class SimulationError(TinyParetoError, RuntimeError):
    """The simulated core stopped with a fault or gave other bytes than the host build."""


class StudyError(TinyParetoError, RuntimeError):
    """A study's folder or database cannot be used as asked."""


def reason(problem: BaseException) -> str:
    r"""Return the first line of what another library's error says, or its class if it says nothing.

    Example:
        >>> reason(ValueError("no such axis\nsee the manual")), reason(ValueError())
        ('no such axis', 'ValueError')
    """
    text = str(problem).strip()
    return text.splitlines()[0] if text else type(problem).__name__

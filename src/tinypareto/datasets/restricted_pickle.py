"""Pickles that hold arrays, text, bytes, numbers and containers of these; anything else is refused by name.

A pickle is a program that may call any function. Here the few calls that arrays consist of are answered by
stand-ins of this module, and no name is looked up anywhere.
"""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tinypareto.errors import DataError, reason


def load_restricted(file: IO[bytes], name: str) -> Any:
    """Return what a pickle holds; texts of Python 2 come as bytes.

    Args:
        file: Read from where it stands.
        name: What to call the file in an error.

    Raises:
        DataError: If the pickle is damaged or asks for anything but plain values and arrays.
    """
    try:
        return _plain(_Unpickler(file, encoding="bytes").load())
    except DataError as error:
        raise DataError(f"{name} {error}") from error
    except Exception as error:  # damaged pickles raise whatever their bytes lead to
        raise DataError(
            f"{name} must be a whole pickle, but it cannot be read ({reason(error)}); fetch the data again."
        ) from error


class _Kind:
    """Stand-in for NumPy's type of an array's values: numbers of 1 to 8 bytes or truth values.

    NumPy's own believes whatever a damaged file says of it, even that its values are Python objects.
    """

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self._code, self._order = _text(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = _text(state[1])

    def dtype(self) -> np.dtype[Any]:
        """Return the type.

        Raises:
            DataError: If it is another.
        """
        if self._code not in _NUMBERS or self._order not in {"|", "<", ">"}:
            raise DataError(
                f"must hold arrays of numbers, but one is of type {self._code[:20]!r}; fetch the data again."
            )
        return np.dtype(self._order + self._code)


class _Array:
    """Stand-in for an array, which is empty until its state comes."""

    def __init__(self, *_: Any) -> None:
        self.values: npt.NDArray[Any] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        self.values = np.frombuffer(content, kind.dtype()).reshape(shape, order="F" if by_columns else "C")


def _text(code: str | bytes) -> str:
    return code.decode("latin-1") if isinstance(code, bytes) else code


def _latin_bytes(text: str, encoding: str) -> bytes:
    """Stand in for the function by which Python 3 writes bytes in the pickles of Python 2."""
    return text.encode("latin-1")


def _plain(value: Any) -> Any:
    """Return a value with arrays in place of their stand-ins."""
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _latin_bytes,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name.

        Raises:
            DataError: If it has none.
        """
        if (module, name) not in _KNOWN:
            raise DataError(
                f"must hold nothing but arrays, text, numbers, lists and dicts, but asks for {module}.{name}; "
                "such a file can run any program, so it is not opened: fetch the data from its publisher."
            )
        return _KNOWN[module, name]

"""What arrays matgrad accepts, and the errors for those that it doesn't."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXACT_IN_FLOAT64 = "?bBhHiIlLqQpP"
_ACCEPTED = "float32, float64, or integers and bools, which become float64"


def as_float_array(function: str, argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of float32 or float64, or raise `TypeError` naming function and argument."""
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        raise TypeError(
            f"{function}: {argument} is a {type(value).__module__}.{type(value).__name__}, whose operations may differ "
            "from those of an array; pass numpy.asarray(...) of it if its plain values are meant"
        )
    array = np.asarray(value)
    if array.dtype.char in _EXACT_IN_FLOAT64:
        return array.astype(np.float64)
    if array.dtype.type in (np.float32, np.float64):
        return array
    described = f"dtype {array.dtype}" if array.dtype != object else f"a {type(value).__name__} of dtype object"
    raise TypeError(f"{function}: {argument} has {described} but must be {_ACCEPTED}")


def as_arrays(function: str, names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[NDArray[Any] | None, ...]:
    """
    Return the operands as C-ordered, aligned, native arrays of their common precision.

    A name that ends in "?" may be None. Raises TypeError naming the function and the argument.
    """
    arrays = [
        None if value is None and name.endswith("?") else as_float_array(function, name.rstrip("?"), value)
        for name, value in zip(names, values, strict=True)
    ]
    dtype = np.result_type(*(array.dtype for array in arrays if array is not None)).newbyteorder("=")
    return tuple(None if array is None else np.require(array, dtype, ["C", "A"]) for array in arrays)

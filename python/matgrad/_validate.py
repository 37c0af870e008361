"""What arrays matgrad accepts, and the errors for those that it doesn't."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core import require_memory


class Symbolic:
    """The base of what stands for an array that isn't known yet; functions of axes alone take it as an array."""

    __slots__ = ()


_INTEGERS_AND_BOOLS = "?bBhHiIlLqQpP"
_ACCEPTED = "float32, float64, or integers and bools, which become float64"


def as_plain_array(function: str, argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as a numpy.ndarray of any dtype, or raise an error naming function and argument."""
    if isinstance(value, np.ndarray) and type(value) not in (np.ndarray, np.memmap):
        raise TypeError(
            f"{function}: {argument} is a {_type_name(value)}, whose operations may differ "
            "from those of an array; pass numpy.asarray(...) of it if its plain values are meant, "
            "and filled(...) of a masked array"
        )
    try:
        array = np.asarray(value)
        if array.dtype == object and hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
            array = np.from_dlpack(value)
    except ValueError as error:
        raise ValueError(f"{function}: {argument} is a {_type_name(value)} that is no array: {error}") from error
    except (TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{function}: {argument} is a {_type_name(value)} that is no array: {error}") from error
    return array


def is_array_like(value: Any) -> bool:
    """Whether an object of another library offers its numbers as an array, and leaves arithmetic with it to us."""
    kind = type(value)
    offers = any(hasattr(kind, name) for name in ("__array__", "__array_interface__", "__dlpack__"))
    return (offers or kind is memoryview) and not (issubclass(kind, np.generic) or hasattr(kind, "__array_ufunc__"))


def as_float_array(function: str, argument: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of float32 or float64, or raise `TypeError` naming function and argument."""
    array = as_plain_array(function, argument, value)
    if array.dtype.type in (np.float32, np.float64):
        return array
    if array.dtype.char in _INTEGERS_AND_BOOLS:
        return _converted(function, argument, array, np.dtype(np.float64))
    described = "has" if isinstance(value, np.ndarray) else f"is a {_type_name(value)} and has"
    raise TypeError(f"{function}: {argument} {described} dtype {array.dtype} but must be {_ACCEPTED}")


def as_arrays(
    function: str, names: tuple[str, ...], values: tuple[Any, ...], strided: bool = False
) -> tuple[NDArray[Any] | None, ...]:
    """
    Return the operands as aligned, native arrays of their common precision, with unit stride along the last axis.

    If `strided`, strides may be any number of elements. What has a name that ends in "?" may be None; what has one that
    ends in "[]" is an index, whose own precision doesn't matter. Raises TypeError naming the function and the argument.
    """
    arrays = [
        None if value is None and name.endswith("?") else as_float_array(function, name.rstrip("?[]"), value)
        for name, value in zip(names, values, strict=True)
    ]
    given = [(name, array.dtype) for name, array in zip(names, arrays, strict=True) if array is not None]
    values_alone = [dtype for name, dtype in given if not name.endswith("[]")]
    dtype = np.result_type(*(values_alone or [dtype for _, dtype in given])).newbyteorder("=")
    return tuple(
        None if array is None else _converted(function, name.rstrip("?[]"), array, dtype, strided)
        for name, array in zip(names, arrays, strict=True)
    )


def _converted(
    function: str, argument: str, array: NDArray[Any], dtype: np.dtype[Any], strided: bool = False
) -> NDArray[Any]:
    """Return the array itself if kernels can read it, else a C-ordered copy; zero strides before the last axis stay."""
    if array.dtype == dtype and array.flags.aligned:
        whole = all(s % dtype.itemsize == 0 for s, n in zip(array.strides, array.shape, strict=True) if n > 1)
        if array.flags.c_contiguous or (strided and whole):
            return array
    once = tuple(
        slice(0, 1) if stride == 0 and axis < array.ndim - 1 else slice(None)
        for axis, stride in enumerate(array.strides)
    )
    distinct = array[once]
    require_memory(function, f"a copy of {argument}", distinct.shape, dtype.itemsize)
    return np.broadcast_to(np.array(distinct, dtype, order="C"), array.shape)


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

"""That a transform calls a function right now to learn its expression: what arrays and unknown lengths mean then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._core import Node


class UnknownLength(BaseException):
    """The function asks for a length that the trace leaves open; it has to be traced for this one shape."""


class Input:
    """An array that a traced function met, the symbol that stands for it, and what it was then."""

    def __init__(self, name: str, node: Node, array: NDArray[Any], is_buffer: bool) -> None:
        self.name = name
        self.node = node
        self.is_buffer = is_buffer  # whether the function itself writes to it
        self._array = array
        self._value = array if _is_read_only_file(array) else array.copy()

    def is_current(self, array: NDArray[Any]) -> bool:
        """Whether an array at the same place still is what it was."""
        if self._value is self._array:
            return True
        return np.array_equal(array, self._value, equal_nan=array.dtype.kind == "f")

    @property
    def source(self) -> NDArray[Any]:
        """What to read at every call: the array, or what it was if the function itself writes to it."""
        return self._value if self.is_buffer or not self.is_current(self._array) else self._array


def _is_read_only_file(array: Any) -> bool:
    """Whether an array is in a file that is mapped for reading: nobody can write to it, and it may be large."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return array.mode == "r"
        array = array.base
    return False


class Tracing:
    """
    A call of a function by a transform, and the arrays that it meets.

    `names` says what variables hold arrays, by identity. With it arrays become inputs like the arguments, read whenever
    the compiled function is called; without it they are constants. `dtype` is that of arrays that aren't known yet.
    """

    def __init__(
        self,
        transform: str,
        names: Mapping[int, str] | None = None,
        taken: set[str] | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> None:
        self.transform = transform
        self.inputs: list[Input] = []
        self.values: list[tuple[Node, Iterable[Node]]] = []  # what functions returned, and the symbols therein
        self.dtype = dtype
        self.bools: set[Node] = set()  # symbols that stand for arrays of bools
        self._names = names
        self._taken = taken or set()
        self._latest: dict[Any, Input] = {}

    def input(self, array: NDArray[Any]) -> tuple[Node, str, Node] | None:
        """Return what stands for an array, and the symbol in it with its name; None if it is to be a constant."""
        if self._names is None:
            return None
        is_transposed = array.flags.f_contiguous and not array.flags.c_contiguous
        stored = array.T if is_transposed else array
        key = (stored.__array_interface__["data"], stored.shape, stored.strides, stored.dtype)
        known = self._latest.get(key)
        if known is None or not known.is_current(stored):
            if known is not None:
                known.is_buffer = True
            name = unused(self._name(array), self._taken)
            node = _core.symbol(name, stored.shape, False)
            known = self._latest[key] = Input(name, node, stored, known is not None)
            self.inputs.append(known)
        node = _core.transpose(known.node, bytes(range(array.ndim - 1, -1, -1))) if is_transposed else known.node
        return node, known.name, known.node

    def _name(self, array: Any) -> str:
        """Return the name of the variable that holds an array or what it is a view of."""
        assert self._names is not None
        while array is not None:
            if id(array) in self._names:
                return self._names[id(array)]
            array = getattr(array, "base", None)
        return "constant"


def unused(name: str, taken: set[str]) -> str:
    """Return a name like this one that isn't taken, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


TRACING: ContextVar[Tracing | None] = ContextVar("TRACING", default=None)


SCOPE: ContextVar[object | None] = ContextVar("SCOPE", default=None)
"""Stands for the innermost call of a function by a transform, nested or not, while it lasts."""


def described(e: Any) -> str:
    """Return what an error message calls an expression, and which transform made it."""
    tracing = TRACING.get()
    return f"the expression {e}" if tracing is None else f"{tracing.transform}: the traced array {e}"

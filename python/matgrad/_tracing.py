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
    """
    An array that a traced function met, the symbol that stands for it, and what it was then.

    `is_variable` says whether it, or an array that it is a view of, is the content of a variable.
    """

    def __init__(self, name: str, node: Node, array: NDArray[Any], is_variable: bool) -> None:
        self.name = name
        self.node = node
        self.array = array
        self.value = array.copy()
        self.is_variable = is_variable

    @property
    def source(self) -> NDArray[Any]:
        """What to read at every call: the array, unless nothing else can change it or the function itself does."""
        return self.array if self.is_variable and _same(self.array, self.value) else self.value


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
        if known is None or not _same(stored, known.value):
            name = self._name(array)
            if known is not None:  # a buffer of the function's own
                known.is_variable = False
            symbol = unused(name or "constant", self._taken)
            node = _core.symbol(symbol, stored.shape, False)
            known = Input(symbol, node, stored, name is not None and known is None)
            self._latest[key] = known
            self.inputs.append(known)
        node = _core.transpose(known.node, bytes(range(array.ndim - 1, -1, -1))) if is_transposed else known.node
        return node, known.name, known.node

    def _name(self, array: Any) -> str | None:
        """Return the name of the variable that holds an array or what it is a view of; None if there is none."""
        assert self._names is not None
        while array is not None:
            if id(array) in self._names:
                return self._names[id(array)]
            array = getattr(array, "base", None)
        return None


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def unused(name: str, taken: set[str]) -> str:
    """Return a name like this one that isn't taken, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


TRACING: ContextVar[Tracing | None] = ContextVar("TRACING", default=None)


def described(e: Any) -> str:
    """Return what an error message calls an expression, and which transform made it."""
    tracing = TRACING.get()
    return f"the expression {e}" if tracing is None else f"{tracing.transform}: the traced array {e}"

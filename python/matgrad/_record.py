"""Recording: the steps of a NumPy function as it is written, before simplification, by the names of its variables."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import _core
from ._core import Node
from ._expr import Expr
from ._operands import Symbols
from ._tracing import unused

Definitions = list[tuple[Node, Node]]
"""Symbols, and what they stand for: expressions of earlier ones."""


def record(fun: Callable[..., Any], arguments: Symbols) -> Definitions | None:
    """
    Return the variables of a function's code, and last its result, each as an expression of earlier ones.

    Symbols stand for the variables, as they do for the arguments. None if the result is no expression, or the function
    uses one of NumPy's or matgrad's functions that can't be recorded.
    """
    steps: dict[Node, Node] = {}
    found: dict[str, Any] = {}

    def look(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is getattr(fun, "__code__", None):
            found.update(frame.f_locals)

    previous = sys.getprofile()
    sys.setprofile(look)
    try:
        result = fun(**{name: Step(Expr(node, {name: node}), steps) for name, node in arguments.items()})
    except (TypeError, NotImplementedError):
        return None
    finally:
        sys.setprofile(previous)
    if not isinstance(result, Step):
        return None
    taken = {*arguments}
    names = {x.node: name for name, x in found.items() if isinstance(x, Step) and x.node in steps}
    names[result.node] = names.get(result.node, "f")
    replaced: list[tuple[Node, Node]] = []
    definitions = []
    for symbol, node in steps.items():
        inlined = _core.substitute(node, replaced)
        if symbol in names:
            definitions.append((_core.symbol(unused(names[symbol], taken), inlined.shape, False), inlined))
            inlined = definitions[-1][0]
        replaced.append((symbol, inlined))
        if symbol == result.node:
            return definitions
    return [(_core.symbol(unused("f", taken), result.node.shape, False), result.node)]


class Step(NDArrayOperatorsMixin):
    """An array that a recorded function computes; every function of it is a step that a symbol stands for."""

    __hash__ = object.__hash__

    def __init__(self, expr: Expr, steps: dict[Node, Node]) -> None:
        self._expr = expr
        self._steps = steps

    @property
    def node(self) -> Node:
        """The symbol."""
        return self._expr._node

    def _step(self, value: Any) -> Any:
        """Return what a function of steps gave, as a step if it is an expression."""
        if isinstance(value, tuple):
            return tuple(map(self._step, value))
        if not isinstance(value, Expr):
            return value
        name = f"<{len(self._steps)}>"
        symbol = _core.symbol(name, value._node.shape, False)
        self._steps[symbol] = value._node
        return Step(Expr(symbol, {name: symbol}), self._steps)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self._step(getattr(ufunc, method)(*map(_plain, inputs), **kwargs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._step(func(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()}))

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError("a recorded array can't become an array, because its value is not known yet")

    def __getitem__(self, key: Any) -> Any:
        return self._step(self._expr[key])

    def __len__(self) -> int:
        return len(self._expr)

    def __bool__(self) -> bool:
        return bool(self._expr)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._expr, name)
        if callable(value) and not isinstance(value, Expr):
            return lambda *args, **kwargs: self._step(value(*map(_plain, args), **kwargs))
        return self._step(value) if isinstance(value, Expr) else value


def _plain(value: Any) -> Any:
    """Return a value with expressions in place of steps."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    return value._expr if isinstance(value, Step) else value

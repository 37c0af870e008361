"""Entries of an array where a traced condition holds: how many there are isn't known while a function is traced."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ._expr import Expr, elementwise
from ._numpy_protocol import FUNCTIONS, HOOKS
from ._validate import Symbolic


class Selection(NDArrayOperatorsMixin, Symbolic):
    """
    What x[condition] is: an array of unknown length.

    Elementwise functions take it with numbers and with other selections by the same condition, reductions take all of
    its entries, and it may be assigned to the entries of an array by the same condition.
    """

    __slots__ = ("condition", "whole")
    __hash__ = object.__hash__

    def __init__(self, whole: Expr, condition: Expr) -> None:
        self.whole = whole
        self.condition = condition

    def where(self, other: Any) -> Expr:
        """Return the whole array, with another where the condition doesn't hold."""
        condition = self.condition[(..., *[None] * (self.whole.ndim - self.condition.ndim))]
        return elementwise("where", condition, self.whole, other)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        is_of_all = self.whole.ndim == 1 or kwargs.get("axis", 0) is None
        if method == "reduce" and ufunc.__name__ in _REDUCTIONS and is_of_all and not set(kwargs) - {"axis"}:
            return _REDUCTIONS[ufunc.__name__](self)
        (out,) = kwargs.pop("out", (None,))
        if method != "__call__" or kwargs or not isinstance(out, (Selection, type(None))):
            raise NotImplementedError(f"{ufunc.__name__} of x[condition] with these arguments is not supported")
        whole = ufunc(*(self._operand(ufunc.__name__, x) for x in inputs))
        if out is None:
            return Selection(whole, self.condition)
        out.whole = whole
        return out

    def _operand(self, function: str, x: Any) -> Any:
        if isinstance(x, Selection):
            if x.condition._node != self.condition._node:
                raise TypeError(f"{function}: x[condition] and y[condition] must be by the same condition")
            if x.whole.ndim != self.whole.ndim:
                raise TypeError(f"{function}: x[condition] and y[condition] must have the same number of axes")
            return x.whole
        if np.ndim(x):
            raise TypeError(
                f"{function}: how many entries x[condition] has isn't known, so it goes with numbers, and with arrays "
                "indexed by the same condition; np.where(condition, a, b) takes whole arrays"
            )
        return x

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        reduction = _REDUCTIONS.get(func.__name__)
        if reduction is None or len(args) > 1 or any(value is not None for value in kwargs.values()):
            raise NotImplementedError(
                f"numpy.{func.__name__} of x[condition] is not supported, or not with these arguments"
            )
        return reduction(*args)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError("x[condition] of a traced condition can't become an array: its length isn't known yet")

    def __len__(self) -> NoReturn:
        raise TypeError("the length of x[condition] isn't known yet; np.sum(condition) is it, as a traced array")

    def __iter__(self) -> NoReturn:
        raise TypeError("x[condition] can't be iterated over: its length isn't known yet")

    @property
    def size(self) -> Any:
        """How many entries there are, as an expression."""
        trailing = self.whole._lengths[self.condition.ndim :]
        return FUNCTIONS["sum"](self.condition) * math.prod(trailing)

    def sum(self) -> Any:
        """Return what `numpy.sum` does."""
        return FUNCTIONS["sum"](self.where(0.0))

    def mean(self) -> Any:
        """Return what `numpy.mean` does."""
        return self.sum() / self.size

    def prod(self) -> Any:
        """Return what `numpy.prod` does."""
        return FUNCTIONS["prod"](self.where(1.0))

    def max(self) -> Any:
        """Return what `numpy.max` does."""
        return FUNCTIONS["max"](self.where(-np.inf))

    def min(self) -> Any:
        """Return what `numpy.min` does."""
        return FUNCTIONS["min"](self.where(np.inf))

    def var(self) -> Any:
        """Return what `numpy.var` does."""
        return ((self - self.mean()) ** 2).mean()

    def std(self) -> Any:
        """Return what `numpy.std` does."""
        return self.var() ** 0.5

    def copy(self) -> Selection:
        """Return the same entries, which assignments leave alone."""
        return Selection(self.whole, self.condition)


_REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "add": Selection.sum,
    "multiply": Selection.prod,
    "maximum": Selection.max,
    "minimum": Selection.min,
    "amax": Selection.max,
    "amin": Selection.min,
    "norm": lambda x: (x**2).sum() ** 0.5,
    "size": lambda x: x.size,
} | {name: getattr(Selection, name) for name in ("sum", "mean", "prod", "max", "min", "var", "std", "copy")}


def selection(x: Expr, condition: Expr) -> Selection:
    if condition.ndim > x.ndim:
        raise IndexError(f"too many indices: the condition has {condition.ndim} axes but the array {x.ndim}")
    own, lengths = condition._node.shape, x._node.shape[: condition.ndim]
    if own != lengths and condition.shape != x.shape[: condition.ndim]:
        raise IndexError(f"the condition has shape {own} but the array it selects from begins with {lengths}")
    return Selection(+x, +condition)


HOOKS["selection"] = selection

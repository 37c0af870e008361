"""NumPy's universal functions of expressions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from ._core import Node
from ._expr import Expr, as_expr, elementwise
from ._numpy_protocol import FUNCTIONS, UFUNCS
from ._operands import merged

# fmt: off
_ROWS = (
    "absolute", "sign", "floor", "ceil", "rint", "trunc", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
    "cbrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh",
    "arctan2", "hypot", "maximum", "minimum", "logaddexp", "greater", "greater_equal", "equal", "not_equal",
    "floor_divide", "remainder", "fmod", "copysign",
)
# fmt: on
"""The functions that are rows of the table of operations."""


def row(name: str) -> Callable[..., Expr]:
    return lambda *operands: elementwise(name, *operands)


def _arithmetic(function: Callable[[Node, Node], Node]) -> Callable[[Any, Any], Expr]:
    name = function.__name__

    def apply(a: Any, b: Any) -> Expr:
        a, b = as_expr(name, a), as_expr(name, b)
        return Expr(function(a._node, b._node), merged(a._symbols, b._symbols))

    return apply


def _logaddexp2(a: Any, b: Any) -> Expr:
    log2 = math.log(2)
    return elementwise("logaddexp", _multiply(a, log2), _multiply(b, log2)) / log2


def truth(a: Any) -> Expr:
    """Return 1 where an operand is not zero, else 0; a condition is itself."""
    a = as_expr("logical_not", a)
    return a if a._node.is_condition else elementwise("not_equal", a, 0)


def logical_and(a: Any, b: Any) -> Expr:
    return truth(a) * truth(b)


def logical_or(a: Any, b: Any) -> Expr:
    return elementwise("maximum", truth(a), truth(b))


def logical_xor(a: Any, b: Any) -> Expr:
    return elementwise("not_equal", truth(a), truth(b))


def logical_not(a: Any) -> Expr:
    return elementwise("logical_not", truth(a))


def _is_nan(x: Any) -> Expr:
    return elementwise("not_equal", x, x)


def _fmax(name: str) -> Callable[[Any, Any], Expr]:
    """Return a maximum or minimum that takes the other operand where one is NaN."""

    def apply(a: Any, b: Any) -> Expr:
        return where(_is_nan(a), b, where(_is_nan(b), a, elementwise(name, a, b)))

    return apply


def _signbit(x: Any) -> Expr:
    return elementwise("greater", 0, elementwise("copysign", 1, x))


def where(condition: Any, a: Any, b: Any) -> Expr:
    return elementwise("where", condition, a, b)


def _divmod(a: Any, b: Any) -> tuple[Expr, Expr]:
    return elementwise("floor_divide", a, b), elementwise("remainder", a, b)


def _of_conditions(sign: str, function: Callable[..., Expr]) -> Callable[..., Expr]:
    """Return a logical function as the operator of that sign, which as NumPy's is for conditions only."""

    def apply(*operands: Any) -> Expr:
        for operand in operands:
            condition = operand._node.is_condition if isinstance(operand, Expr) else np.asarray(operand).dtype == bool
            if not condition:
                raise TypeError(f"{sign} is for conditions, such as x > 0, but {operand!r} is none")
        return function(*operands)

    return apply


def _outer(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        a, b = as_expr("outer", a), as_expr("outer", b)
        return function(a.reshape(*a._lengths, *[1] * b.ndim), b)

    return apply


def _is_binary(name: str) -> bool:
    ufunc: np.ufunc = getattr(np, name)
    return ufunc.nin == 2 and ufunc.signature is None


_add, _multiply, _divide = _arithmetic(_core.add), _arithmetic(_core.multiply), _arithmetic(_core.divide)
_subtract, _power = _arithmetic(_core.subtract), _arithmetic(_core.power)

_UFUNCS: dict[str, Callable[..., Any]] = {name: row(name) for name in _ROWS} | {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "matmul": _arithmetic(_core.matmul),
    "negative": lambda x: _multiply(-1, x),
    "positive": lambda x: +x,
    "conjugate": lambda x: +x,
    "fabs": row("absolute"),
    "square": lambda x: _power(x, 2),
    "sqrt": lambda x: _power(x, 0.5),
    "reciprocal": lambda x: _power(x, -1),
    "deg2rad": lambda x: _multiply(x, math.pi / 180),
    "radians": lambda x: _multiply(x, math.pi / 180),
    "rad2deg": lambda x: _multiply(x, 180 / math.pi),
    "degrees": lambda x: _multiply(x, 180 / math.pi),
    "logaddexp2": _logaddexp2,
    "heaviside": lambda x, half: where(elementwise("equal", x, 0), half, (elementwise("sign", x) + 1) / 2),
    "fmax": _fmax("maximum"),
    "fmin": _fmax("minimum"),
    "divmod": _divmod,
    "ldexp": lambda x, n: _multiply(x, elementwise("exp2", n)),
    "signbit": _signbit,
    "isnan": _is_nan,
    "isfinite": lambda x: elementwise("greater", np.inf, elementwise("absolute", x)),
    "isinf": lambda x: elementwise("equal", elementwise("absolute", x), np.inf),
    "less": lambda a, b: elementwise("greater", b, a),
    "less_equal": lambda a, b: elementwise("greater_equal", b, a),
    "logical_and": logical_and,
    "logical_or": logical_or,
    "logical_xor": logical_xor,
    "logical_not": logical_not,
    "bitwise_and": _of_conditions("&", logical_and),
    "bitwise_or": _of_conditions("|", logical_or),
    "bitwise_xor": _of_conditions("^", logical_xor),
    "invert": _of_conditions("~", logical_not),
}
UFUNCS |= _UFUNCS
UFUNCS |= {f"{name}.outer": _outer(f) for name, f in _UFUNCS.items() if _is_binary(name)}


def _angle(z: Any, deg: bool = False) -> Expr:
    x = as_expr("angle", z)
    return where(_is_nan(x), x, (180 if deg else math.pi) * _signbit(x))


def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Expr:
    x = as_expr("nan_to_num", x)
    limits = np.finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    return where(_is_nan(x), nan, where(x == np.inf, high, where(x == -np.inf, low, x)))


FUNCTIONS |= {
    "sinc": lambda x: elementwise("sinc", x),
    "i0": lambda x: elementwise("i0", x),
    "fix": lambda x: elementwise("trunc", x),
    "real_if_close": lambda a: as_expr("real_if_close", a),
    "imag": lambda val: _multiply(0, val),
    "angle": _angle,
    "nan_to_num": _nan_to_num,
    "isposinf": lambda x: elementwise("equal", x, np.inf),
    "isneginf": lambda x: elementwise("equal", x, -np.inf),
}

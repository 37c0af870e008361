"""Products of derivatives with vectors, which compute neither Jacobians nor Hessians: jvp, vjp, hvp."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _core
from ._expr import Expr, contract
from ._program import Function, derivatives, diff, expression, leaves_of, one_element, outputs, result, transform
from ._trace import Output
from ._tree import flatten
from ._validate import as_float_array


def jvp(fun: Function, primals: Sequence[Any], tangents: Sequence[Any], *, has_aux: bool = False) -> tuple[Any, ...]:
    """
    Return the value of `fun` and its derivative along a direction, without computing the Jacobian.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, that returns an array.
    primals : sequence
        The arguments.
    tangents : sequence
        The direction: for every argument an array of its shape.
    has_aux : bool
        Whether `fun` returns a pair, the function's value and something else, which is returned as a third result.

    Returns
    -------
    (value, tangent)
        Both of the shape of the function's value.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"jvp: {name} is a {type(value).__name__} but must be a tuple of the arguments")
    _check_direction("jvp", "primals", tuple(primals), "tangents", tuple(tangents))
    return _cached(_jvp_aux if has_aux else _jvp, fun)(*primals, *tangents)  # type: ignore[no-any-return]


def _jvp(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        primals, tangents = _halves(args)
        y, aux = result("jvp", fun(*primals), has_aux)
        u = _symbol_like("cotangent", y)
        adjoints = diff(_inner("jvp", u, y), leaves_of(primals))
        along = _total(_inner("jvp", g, t) for g, t in zip(adjoints, leaves_of(tangents), strict=True))
        (tangent,) = diff(along, [u])  # it is linear in u
        return (Output(y), Output(tangent), *([outputs(aux)] if has_aux else []))

    return transform("jvp", fun, program, None, (_jvp, fun, has_aux))


def _jvp_aux(fun: Function) -> Function:
    return _jvp(fun, True)


def vjp(fun: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """
    Return the value of `fun` and the function that multiplies the Jacobian by a vector from the left.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, that returns an array.
    *primals
        The arguments.
    has_aux : bool
        As in `jvp`.

    Returns
    -------
    (value, pullback)
        ``pullback(u)`` takes an array of the shape of the value and returns a tuple: for every argument the derivative
        of ``sum(u * fun(*primals))``. The Jacobian is not computed.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> value, pullback = mg.vjp(np.multiply, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 3., 40.]), array([ 1., 20.]))
    """
    if has_aux:
        value, aux = _cached(_value_aux, fun)(*primals)
    else:
        value, aux = _cached(_value, fun)(*primals), None

    def pullback(u: Any) -> Any:
        if not isinstance(u, Expr) and not isinstance(value, Expr):
            shape, expected = _shape("vjp", "u", u), value.shape
            if shape != expected:
                raise ValueError(f"vjp: u has shape {shape} but must have the shape of the value, {expected}")
        return _cached(_pullback_aux if has_aux else _pullback, fun)(*primals, u)

    return (value, pullback, aux) if has_aux else (value, pullback)


def _value(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        y, aux = result("vjp", fun(*args), has_aux)
        return (Output(y), outputs(aux)) if has_aux else Output(y)

    return transform("vjp", fun, program, None, (_value, fun, has_aux))


def _value_aux(fun: Function) -> Function:
    return _value(fun, True)


def _pullback(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        *primals, u = args
        y, _ = result("vjp", fun(*primals), has_aux)
        return derivatives(_inner("vjp", u, y), tuple(primals), like=True)

    return transform("vjp", fun, program, None, (_pullback, fun, has_aux))


def _pullback_aux(fun: Function) -> Function:
    return _pullback(fun, True)


def hvp(fun: Function, primals: Any, v: Any) -> Any:
    """
    Return the product of the Hessian of `fun` and a vector, without computing the Hessian.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, whose result has one element.
    primals : array_like or tuple
        The argument, or a tuple of the arguments.
    v : array_like or tuple
        The vector: an array of the argument's shape, or a tuple of as many.

    Returns
    -------
    ndarray or tuple
        Of the form of `primals`.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.hvp(lambda x: np.sum(x**3), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    several = isinstance(primals, tuple)
    if several != isinstance(v, tuple):
        raise TypeError(
            f"hvp: primals is a {type(primals).__name__} but v is a {type(v).__name__}; both must be arrays, or tuples"
        )
    arguments, direction = (primals, v) if several else ((primals,), (v,))
    _check_direction("hvp", "primals", arguments, "v", direction)
    products = _cached(_hvp, fun)(*arguments, *direction)
    return products if several else products[0]


def _hvp(fun: Function) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        primals, direction = _halves(args)
        y = one_element("hvp", expression("hvp", fun(*primals)))
        gradients = diff(y, leaves_of(primals))
        along = _total(_inner("hvp", g, d) for g, d in zip(gradients, leaves_of(direction), strict=True))
        return derivatives(along, primals, like=True)

    return transform("hvp", fun, program, None, (_hvp, fun))


# --- What they are made of ---


@functools.lru_cache(maxsize=64)
def _made(make: Callable[[Function], Function], fun: Function) -> Function:
    return make(fun)


def _cached(make: Callable[[Function], Function], fun: Function) -> Function:
    """Return make(fun), the one that was made before if `fun` can be found again."""
    try:
        return _made(make, fun)
    except TypeError:
        return make(fun)


def _inner(name: str, a: Expr, b: Expr) -> Expr:
    """Return Σ a ⊙ b."""
    if a.ndim != b.ndim:
        raise ValueError(f"{name}: an array with {a.ndim} axes doesn't fit one with {b.ndim}")
    labels = list(range(a.ndim))
    return contract(name, [a, b], [labels, labels], 0)


def _total(terms: Any) -> Expr:
    return functools.reduce(operator.add, terms)  # type: ignore[no-any-return]


def _symbol_like(name: str, y: Expr) -> Expr:
    """Return a symbol that no function's parameter can be called, of the shape of an expression."""
    node = _core.symbol(f"<{name}>", y._node.shape, False)
    return Expr(node, {f"<{name}>": node})


def _halves(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return args[: len(args) // 2], args[len(args) // 2 :]


def _shape(function: str, name: str, value: Any) -> Any:
    return value.shape if isinstance(value, (np.ndarray, Expr)) else as_float_array(function, name, value).shape


def _check_direction(function: str, name: str, primals: tuple[Any, ...], of: str, direction: tuple[Any, ...]) -> None:
    """Raise unless there is an array of the same shape for every argument."""
    if len(primals) != len(direction):
        raise ValueError(f"{function}: {name} are {len(primals)} but {of} are {len(direction)}")
    if all(type(x) is type(d) is np.ndarray and x.shape == d.shape for x, d in zip(primals, direction, strict=True)):
        return
    xs: list[Any] = []
    ds: list[Any] = []
    if flatten(primals, xs) != flatten(direction, ds):
        raise TypeError(f"{function}: {of} must be nested as {name} are")
    for k, (x, d) in enumerate(zip(xs, ds, strict=True)):
        if isinstance(x, Expr) or isinstance(d, Expr):
            continue
        shape, expected = _shape(function, f"{of}[{k}]", d), _shape(function, f"{name}[{k}]", x)
        if shape != expected:
            raise ValueError(f"{function}: {of}[{k}] has shape {shape} but {name}[{k}] has {expected}")

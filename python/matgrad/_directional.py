"""Products of derivatives with vectors, which compute neither Jacobians nor Hessians: jvp, vjp, hvp."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _core
from ._arguments import fresh_name
from ._expr import Expr, as_expr, contract
from ._program import (
    Function,
    called,
    derivatives,
    diff,
    expression,
    expressions,
    one_element,
    outputs,
    pair,
    transform,
)
from ._trace import Output
from ._tree import alike, flatten, leaves, mapped, unflatten
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
    direction = _direction("jvp", "primals", tuple(primals), "tangents", tuple(tangents))
    return _cached(_jvp_aux if has_aux else _jvp, fun)(*primals, *direction)  # type: ignore[no-any-return]


def _jvp(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        primals, tangents = _halves(args)
        returned, aux = pair("jvp", called(fun, primals), has_aux)
        values = expressions("jvp", returned)
        ys = leaves(values)
        us = [symbol_like(fresh_name("cotangent"), y) for y in ys]
        adjoints = diff(inner("jvp", us, ys), leaves(primals))
        along = inner("jvp", adjoints, leaves(tangents))
        own = {name: node for name, node in along._symbols.items() if name not in {u.name for u in us}}
        found = iter(diff(along, us))  # it is linear in each u
        tangent = mapped(lambda _: Output(Expr(next(found)._node, own)), values)
        return (outputs(values), tangent, *([outputs(aux)] if has_aux else []))

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
        of ``sum(u * called(fun, primals))``. The Jacobian is not computed.

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
    values: list[Any] = []
    structure = flatten(value, values, numbers_apart=True)

    def pullback(u: Any) -> Any:
        us: list[Any] = []
        if not alike(structure, u, us):
            raise TypeError("vjp: u must be nested as the value is")
        for y, v in zip(values, us, strict=True):
            if not isinstance(v, Expr) and not isinstance(y, Expr) and y is not None:
                shape, expected = _shape("vjp", "u", v), y.shape
                if shape != expected:
                    raise ValueError(f"vjp: u has shape {shape} but must have the shape of the value, {expected}")
        return _cached(_pullback_aux if has_aux else _pullback, fun)(*primals, u if structure is None else tuple(us))

    return (value, pullback, aux) if has_aux else (value, pullback)


def _value(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        returned, aux = pair("vjp", called(fun, args), has_aux)
        values = outputs(expressions("vjp", returned))
        return (values, outputs(aux)) if has_aux else values

    return transform("vjp", fun, program, None, (_value, fun, has_aux))


def _value_aux(fun: Function) -> Function:
    return _value(fun, True)


def _pullback(fun: Function, has_aux: bool = False) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        *primals, u = args
        returned, _ = pair("vjp", called(fun, tuple(primals)), has_aux)
        ys = leaves(expressions("vjp", returned))
        return derivatives(inner("vjp", leaves(u), ys), tuple(primals), like=True)

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
    direction = _direction("hvp", "primals", arguments, "v", direction)
    products = _cached(_hvp, fun)(*arguments, *direction)
    return products if several else products[0]


def _hvp(fun: Function) -> Function:
    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        primals, direction = _halves(args)
        y = one_element("hvp", expression("hvp", called(fun, primals)))
        along = inner("hvp", diff(y, leaves(primals)), leaves(direction))
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


def inner(name: str, a: Sequence[Expr], b: Sequence[Expr]) -> Expr:
    """Return Σ a ⊙ b over several arrays."""
    products = []
    for x, y in zip(a, b, strict=True):
        if x.ndim != y.ndim:
            raise ValueError(f"{name}: an array with {x.ndim} axes doesn't fit one with {y.ndim}")
        labels = list(range(x.ndim))
        products.append(contract(name, [x, y], [labels, labels], 0))
    return functools.reduce(operator.add, products, as_expr(name, 0.0)) if len(products) != 1 else products[0]


def symbol_like(name: str, y: Expr) -> Expr:
    """Return a symbol of the shape of an expression."""
    node = _core.symbol(name, y._node.shape, False)
    return Expr(node, {name: node})


def _halves(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return args[: len(args) // 2], args[len(args) // 2 :]


def _shape(function: str, name: str, value: Any) -> Any:
    return value.shape if isinstance(value, (np.ndarray, Expr)) else as_float_array(function, name, value).shape


def _direction(
    function: str, name: str, primals: tuple[Any, ...], of: str, direction: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the direction nested as the arguments; raise unless there is an array of the same shape for each."""
    if len(primals) != len(direction):
        raise ValueError(f"{function}: {name} are {len(primals)} but {of} are {len(direction)}")
    if all(type(x) is type(d) is np.ndarray and x.shape == d.shape for x, d in zip(primals, direction, strict=True)):
        return direction
    xs: list[Any] = []
    ds: list[Any] = []
    structure = flatten(primals, xs)
    if not alike(structure, direction, ds):
        raise TypeError(f"{function}: {of} must be nested as {name} are")
    for k, (x, d) in enumerate(zip(xs, ds, strict=True)):
        if (x is d is None) or isinstance(x, Expr) or isinstance(d, Expr):
            continue
        shape, expected = _shape(function, f"{of}[{k}]", d), _shape(function, f"{name}[{k}]", x)
        if shape != expected:
            raise ValueError(f"{function}: {of}[{k}] has shape {shape} but {name}[{k}] has {expected}")
    return unflatten(structure, iter(ds))  # type: ignore[no-any-return]

"""Checks of derivatives against finite differences."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import closed_form as cf
from ._expr import Expr
from ._transforms import jacobian
from ._validate import as_float_array

__all__ = ["check_derivatives"]

Array = NDArray[Any]
Function = Callable[..., Any]
Link = dict[tuple[int, ...], Function]  # the derivatives of one order, by the arguments differentiated by

_RTOL = {"float32": 1e-2, "float64": 1e-6}
_FIRST_STEP = 0.1  # relative to the variable
_STEPS = 12  # each half the one before
_NOISE = 2000  # roundings of the function in a difference, relative to function / variable

# Derivatives of the functions of closed_form, by name: a link per order.
_KNOWN: dict[str, list[Link]] = {
    "quadratic_form": [
        {(1,): lambda A, x: cf.quadratic_form_gradient(A, x)},
        {(1, 1): lambda A, x: cf.quadratic_form_hessian(A)},
    ],
    "quadratic_form_gradient": [{(1,): lambda A, x: cf.quadratic_form_hessian(A)}],
    "bilinear_form_gradient": [{(2,): lambda a, b, x: cf.bilinear_form_hessian(a, b)}],
    "distance_gradient": [{(0,): lambda x, a: cf.distance_hessian(x, a)}],
    "logsumexp": [{(0,): lambda x: cf.logsumexp_gradient(x)}, {(0, 0): lambda x: cf.logsumexp_hessian(x)}],
    "logsumexp_gradient": [{(0,): lambda x: cf.logsumexp_hessian(x)}],
    "factorization_loss": [
        {
            (1,): lambda X, U, V: cf.factorization_gradient(X, U, V)[0],
            (2,): lambda X, U, V: cf.factorization_gradient(X, U, V)[1],
        },
        {(2, 2): lambda X, U, V: cf.factorization_hessian(U, V.shape[1])},
    ],
}


def check_derivatives(
    fun: Callable[..., Any] | Expr,
    args: Sequence[Any] | Mapping[str, Any],
    order: int = 2,
    *,
    derivatives: Sequence[Callable[..., Any]] | None = None,
    argnums: int | tuple[int, ...] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """
    Assert that derivatives agree with finite differences.

    The first derivative is compared with differences of `fun`, each further one with differences of the one before.

    Parameters
    ----------
    fun : callable or Expr
        The function, of arrays, returning one array; or an expression.
    args : sequence of array_like, or mapping of str to array_like
        Where to check: the arguments of `fun`, or the values of the expression's symbols, float32 or float64; other
        numbers become float64.
    order : int
        How many derivatives to check.
    derivatives : sequence of callable, optional
        The first derivative, the second, …, as functions of the same arguments as `fun`, returning arrays (or
        `Structured`) of shape fun.shape + x.shape (+ x.shape …). If `argnums` names several arguments, a derivative
        returns a tuple of as many, the second a tuple of tuples. By default those that matgrad derives from a NumPy
        function or an expression, or has in `closed_form`.
    argnums : int or tuple of int, optional
        By which arguments, or symbols in the order of `args`, `fun` is differentiated. By default all of them, and for
        a function of `closed_form` those by which its derivatives are known.
    rtol, atol : float, optional
        The tolerance is ``atol + rtol * |difference|``. By default rtol is 1e-6 in float64 and 1e-2 in float32, and
        atol is what rounding makes of differences.

    Raises
    ------
    AssertionError
        If a derivative has a wrong shape or a wrong entry; names the worst entry.
    TypeError, ValueError
        If nothing could be checked: no derivatives, arguments without elements, values that aren't finite.

    Notes
    -----
    Central differences at steps of a tenth of the variable's size, and halved again and again, are extrapolated to step
    zero (Richardson; Ridders 1982), and the extrapolation with the smallest estimate of error is taken, entry by entry.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> x = np.array([1.0, 2.0])
    >>> mg.testing.check_derivatives(lambda x: np.sum(np.tanh(x) ** 2), (x,), order=2)
    >>> A, b = mg.matrix("A"), mg.vector("b")
    >>> mg.testing.check_derivatives(b @ A @ b, {"A": np.eye(2), "b": x}, order=2)
    >>> mg.testing.check_derivatives(
    ...     lambda x: np.sum(x**3), (x,), derivatives=[lambda x: 3 * x**2, lambda x: np.diag(6 * x)]
    ... )
    >>> mg.testing.check_derivatives(
    ...     lambda x: np.sum(x**3), (x,), order=1, derivatives=[lambda x: 2 * x**2]
    ... )  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    AssertionError: check_derivatives: derivative 1 of <lambda> by argument 0 is wrong at [1]: 8.0, but ...
    """
    names: list[str] = []
    expression = fun
    if isinstance(expression, Expr):
        names = [*_values(expression, args)]
        fun, args = _function(expression, names), list(args.values())  # type: ignore[union-attr]
    values = _arguments(args)
    orders = _index("order", order)
    if orders < 1:
        raise ValueError(f"check_derivatives: order is {orders} but must be at least 1")
    if not callable(fun):
        raise TypeError(f"check_derivatives: fun is {fun!r} but must be an expression or callable")
    chosen = _chosen(argnums, len(values))
    if derivatives is not None:
        links = [_given(f, k, argnums, chosen) for k, f in enumerate(_functions(derivatives), 1)]
    elif getattr(cf, _name(fun), None) is fun:
        links = _known(fun, chosen)
    else:
        links = _derived(expression, names, chosen, orders)
    if len(links) < orders:
        raise ValueError(
            f"check_derivatives: order is {orders}, but the derivatives of {_name(fun)} are known to order "
            f"{len(links)}; pass derivatives= or a lower order"
        )
    functions: Link = {(): fun}
    for link in links[:orders]:
        for path, derivative in link.items():
            _check(_name(fun), functions[path[:-1]], derivative, values, path, rtol, atol)
        functions = link


def _arguments(args: Any) -> list[Array]:
    if not isinstance(args, list | tuple):
        raise TypeError(f"check_derivatives: args is a {type(args).__name__} but must be a tuple of the arguments")
    if not args:
        raise ValueError("check_derivatives: args is empty, there is nothing to differentiate by")
    return [np.array(as_float_array("check_derivatives", f"args[{k}]", arg)) for k, arg in enumerate(args)]


def _index(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"check_derivatives: {name} is {value!r} but must be an integer") from None


def _chosen(argnums: Any, count: int) -> tuple[int, ...]:
    """Return the arguments to differentiate by, as non-negative numbers."""
    if argnums is None:
        return tuple(range(count))
    chosen = tuple(_index("argnums", k) for k in (argnums if isinstance(argnums, tuple) else (argnums,)))
    if not chosen or any(not -count <= k < count for k in chosen):
        raise ValueError(f"check_derivatives: argnums is {argnums!r} but there are {count} arguments")
    return tuple(k % count for k in chosen)


def _functions(derivatives: Any) -> Sequence[Function]:
    if not isinstance(derivatives, list | tuple) or not all(map(callable, derivatives)):
        raise TypeError(f"check_derivatives: derivatives is {derivatives!r} but must be a sequence of callables")
    return derivatives


def _values(expression: Expr, args: Any) -> Mapping[str, Any]:
    """Return the values of an expression's symbols, or raise TypeError naming what is wrong with them."""
    if not isinstance(args, Mapping):
        raise TypeError(
            f"check_derivatives: args is a {type(args).__name__} but must map the expression's symbols to their values"
        )
    expression._check_names("check_derivatives: the expression", args)
    return args


def _function(expression: Expr, names: Sequence[str]) -> Function:
    """Return an expression as a function of its symbols' values."""

    def evaluate(*arrays: Any) -> Any:
        return expression(**dict(zip(names, arrays, strict=True)))

    evaluate.__name__ = str(expression)
    return evaluate


def _derived(fun: Function | Expr, names: Sequence[str], chosen: tuple[int, ...], orders: int) -> list[Link]:
    """Return the derivatives that matgrad derives, by the chosen arguments."""
    if not isinstance(fun, Expr):
        links: list[Link] = [{(): fun}]
        for _ in range(orders):
            links.append({(*path, k): jacobian(f, k) for path, f in links[-1].items() for k in chosen})
        return links[1:]
    variables = {k: symbol for k in chosen for symbol in fun.symbols if symbol.name == names[k]}
    found: list[dict[tuple[int, ...], Expr]] = [{(): fun}]
    for _ in range(orders):
        found.append({(*path, k): e.diff(x) for path, e in found[-1].items() for k, x in variables.items()})
    return [{path: _function(e, names) for path, e in link.items()} for link in found[1:]]


def _known(fun: Function, chosen: tuple[int, ...]) -> list[Link]:
    """Return what is known of a function of closed_form, by the chosen arguments; as many links as aren't empty."""
    links = ({path: f for path, f in link.items() if set(path) <= set(chosen)} for link in _KNOWN.get(_name(fun), []))
    return list(itertools.takewhile(bool, links))


def _given(derivative: Function, order: int, argnums: Any, chosen: tuple[int, ...]) -> Link:
    """Return the parts of a derivative that comes as an array, or as nested tuples if by several arguments."""
    if isinstance(argnums, int) or (argnums is None and len(chosen) == 1):
        return {chosen * order: derivative}

    def part(positions: tuple[int, ...]) -> Function:
        def evaluate(*args: Any) -> Any:
            value = derivative(*args)
            for position in positions:
                if not isinstance(value, tuple) or len(value) != len(chosen):
                    raise TypeError(
                        f"check_derivatives: derivative {order} returns a {type(value).__name__} where it must be a "
                        f"tuple of {len(chosen)}, one for each of the arguments {chosen}; argnums= selects others"
                    )
                value = value[position]
            return value

        return evaluate

    everything = itertools.product(range(len(chosen)), repeat=order)
    return {tuple(chosen[k] for k in positions): part(positions) for positions in everything}


def _check(
    name: str,
    function: Function,
    derivative: Function,
    values: list[Array],
    path: tuple[int, ...],
    rtol: float | None,
    atol: float | None,
) -> None:
    """Compare one derivative with differences of the function before it."""
    by = path[-1]
    subject = f"check_derivatives: derivative {len(path)} of {name} by argument {' and '.join(map(str, path))}"
    value, got = _evaluate(name, function, values), _evaluate(name, derivative, values)
    if value.size * values[by].size == 0:
        raise ValueError(f"{subject} has no elements, there is nothing to check")
    if not np.all(np.isfinite(value)):
        raise ValueError(f"{subject} can't be checked: the function isn't finite there")
    if got.shape != value.shape + values[by].shape:
        raise AssertionError(f"{subject} has shape {got.shape} but must have {value.shape + values[by].shape}")

    def at(x: Array) -> Array:
        return _evaluate(name, function, [*values[:by], x, *values[by + 1 :]])

    coarser = min(np.dtype(value.dtype), values[by].dtype, key=lambda dtype: dtype.itemsize)
    differences, noise = _differences(at, values[by], float(np.finfo(coarser).eps))
    relative = _RTOL[coarser.name] if rtol is None else rtol
    tolerance = relative * np.abs(differences) + (noise if atol is None else atol)
    error = np.abs(got.astype(np.float64) - differences)
    wrong = ~(error <= tolerance)  # true for NaN
    if wrong.any():
        excess = np.where(np.isnan(error), np.inf, error / np.maximum(tolerance, np.finfo(np.float64).tiny))
        worst = np.unravel_index(np.argmax(excess), got.shape)
        raise AssertionError(
            f"{subject} is wrong at [{', '.join(map(str, worst))}]: {float(got[worst])}, but finite differences give "
            f"{float(differences[worst]):.9g} (tolerance {float(tolerance[worst]):.2g}); "
            f"{np.count_nonzero(wrong)} of {wrong.size} entries differ"
        )


def _evaluate(name: str, function: Function, values: Sequence[Array]) -> Array:
    """Call a function on copies of its arguments; a structured result is expanded."""
    result = function(*(value.copy() for value in values))
    if isinstance(result, tuple | list):
        raise TypeError(
            f"check_derivatives: {name} or a derivative of it returns a {type(result).__name__}, not an array"
        )
    return as_float_array("check_derivatives", f"a value of {name}", getattr(result, "to_dense", lambda: result)())


def _differences(function: Callable[[Array], Array], x: Array, eps: float) -> tuple[Array, Array]:
    """
    Return the derivative of a function at x by extrapolated central differences, and the rounding noise in it.

    Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982).
    """
    typical = float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) or 1.0
    derivatives, noises = [], []
    for index in np.ndindex(x.shape):
        scale = max(abs(float(x[index])), typical)
        rows: list[list[Array]] = []
        best, least = np.asarray(np.nan), np.asarray(np.inf)
        largest = 0.0
        for level in range(_STEPS):
            ahead, behind = x.copy(), x.copy()
            ahead[index] += _FIRST_STEP * scale / 2**level
            behind[index] -= _FIRST_STEP * scale / 2**level
            with np.errstate(all="ignore"):  # steps may leave the function's domain; NaN is never the best
                above, below = function(ahead).astype(np.float64), function(behind).astype(np.float64)
                row = [(above - below) / (float(ahead[index]) - float(behind[index]))]
                for k, previous in enumerate(rows[-1] if rows else [], 1):
                    row.append(row[-1] + (row[-1] - previous) / (4**k - 1))
                    doubt = np.maximum(np.abs(row[k] - row[k - 1]), np.abs(row[k] - previous))
                    best, least = np.where(doubt < least, row[k], best), np.fmin(doubt, least)
            rows.append(row)
            largest = max(largest, float(np.max(np.abs(above), initial=0.0, where=np.isfinite(above))))
        derivatives.append(best)
        noises.append(np.full_like(best, _NOISE * eps * largest / scale))
    shape = np.shape(derivatives[0]) + x.shape
    return np.stack(derivatives, -1).reshape(shape), np.stack(noises, -1).reshape(shape)


def _name(fun: Any) -> str:
    return str(getattr(fun, "__name__", type(fun).__name__))

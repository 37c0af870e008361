"""Taylor models: a function near a point, to any order, as a formula and as a function of points."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import _core
from ._expr import Expr, contract
from ._operands import Symbols, merged
from ._tracing import unused
from ._transforms import formula


def taylor(f: Expr | Callable[..., Any], x: Any, order: int = 2) -> Taylor:
    """
    Return the Taylor polynomial of a function.

    f(x) ≈ f(x₀) + ∂f(x₀)·(x − x₀) + ½ (x − x₀)·∂²f(x₀)·(x − x₀) + …

    Parameters
    ----------
    f : Expr or callable
        The function, as an expression or as a NumPy function of the variables.
    x : Expr or tuple of Expr
        The variable, a symbol, or several. If `f` is callable, also example arrays; then the variables are called as
        its parameters are.
    order : int
        The degree of the polynomial.

    Returns
    -------
    Taylor
        Prints as a formula in x and x₀ (named ``x0``). ``model.at(x0)(x1)`` is its value at the point x1 when expanded
        about x0; for several variables, points are tuples.

    Raises
    ------
    TypeError
        If `x` is not made of symbols, or `order` no integer.
    ValueError
        If `order` is negative.

    Notes
    -----
    The k-th term is the k-th derivative along x − x₀, divided by k!; no tensor of derivatives is computed.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> x, y = mg.scalars("x y")
    >>> model = mg.taylor(np.log(np.exp(x) + np.exp(y)), (x, y), order=1).at((0.0, np.log(2.0)))
    >>> round(float(model.value), 6), [round(float(d), 6) for d in model.gradient]
    (1.098612, [0.333333, 0.666667])
    >>> x, A = mg.vector("x"), mg.matrix("A")
    >>> quadratic = mg.taylor(x @ A @ x, x).at(np.zeros(2), A=np.eye(2))
    >>> quadratic(np.array([1.0, 2.0]))
    np.float64(5.0)
    """
    try:
        order = operator.index(order)
    except TypeError:
        raise TypeError(f"taylor: order is {order!r} but must be an integer") from None
    if order < 0:
        raise ValueError(f"taylor: order is {order} but must not be negative")
    variables = tuple(x) if isinstance(x, (tuple, list)) and not _is_point(f, x) else (x,)
    if not isinstance(f, Expr):
        if not callable(f):
            raise TypeError(f"taylor: f is {f!r} but must be an expression or a function")
        is_example = not all(isinstance(v, Expr) for v in variables)
        f = formula(f, *variables)
        if is_example:
            variables = f.symbols
    for v in variables:
        if not isinstance(v, Expr) or v.name is None:
            raise TypeError(f"taylor: {v!r} is not a symbol, and a variable must be one")
    return Taylor(f, variables, order)


class Taylor:
    """A Taylor polynomial whose centre is open; made by `taylor`."""

    def __init__(self, f: Expr, variables: tuple[Expr, ...], order: int) -> None:
        self.function = f
        self.variables = variables
        self.order = order

    @functools.cached_property
    def centre(self) -> tuple[Expr, ...]:
        """The symbols of the point that the function is expanded about: x0 for a variable x."""
        taken = {_name(symbol) for symbol in self.function.symbols}
        lengths = [tuple(n if isinstance(n, int) else None for n in x._node.shape) for x in self.variables]
        names = [unused(f"{x.name}0", taken) for x in self.variables]
        return tuple(_symbol(name, shape) for name, shape in zip(names, lengths, strict=True))

    @functools.cached_property
    def terms(self) -> tuple[Expr, ...]:
        """The terms of order 0, 1, …, as functions of the variables, the centre and the function's other symbols."""
        directions = [_symbol(f"<{x.name}>", x._node.shape) for x in self.variables]
        steps = {_name(d): x - x0 for d, x, x0 in zip(directions, self.variables, self.centre, strict=True)}
        return tuple(_replaced(term, steps) for term in self._terms(directions))

    def _terms(self, directions: list[Expr]) -> Iterator[Expr]:
        """Yield the terms as functions of the centre and of what is given for x − x₀."""
        at_centre = {_name(x): x0 for x, x0 in zip(self.variables, self.centre, strict=True)}
        derivative, factorial = self.function, 1
        for k in range(self.order + 1):
            if k > 0:
                factorial *= k
                derivative = _along(derivative, self.variables, directions)
            yield _replaced(derivative, at_centre) / factorial

    @property
    def expression(self) -> Expr:
        """The polynomial."""
        return functools.reduce(operator.add, self.terms)

    def at(self, *centre: Any, **values: Any) -> TaylorAt:
        """
        Expand about a point.

        Parameters
        ----------
        *centre
            The point: for every variable an array, also as one tuple.
        **values
            The function's other symbols.

        Returns
        -------
        TaylorAt
            A function of points.
        """
        own = {x.name for x in self.variables}
        others = [s.name for s in self.function.symbols if s.name not in own]
        for name in values:
            if name not in others:
                raise TypeError(
                    f"at: the function has no symbol {name} beside its variables; it has {others or 'none'}"
                )
        return TaylorAt(self, _point("at", self.variables, centre), values)

    def __str__(self) -> str:
        names = [f"({x.name} − {x0.name})" for x, x0 in zip(self.variables, self.centre, strict=True)]
        directions = [_symbol(name, x._node.shape) for name, x in zip(names, self.variables, strict=True)]
        return " + ".join(map(str, self._terms(directions))).replace("+ −", "− ")

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        text = " + ".join(term.to_latex() for term in self.terms)
        return f"$\\displaystyle {text.replace('+ -', '- ')}$"


class TaylorAt:
    """A Taylor polynomial about a point: a function of points, with the function's derivatives there."""

    def __init__(self, model: Taylor, centre: dict[str, Any], values: dict[str, Any]) -> None:
        self._model = model
        self._centre = {_name(x0): value for x0, value in zip(model.centre, centre.values(), strict=True)}
        self._known = {**centre, **values}
        self._values = values

    def __call__(self, *point: Any) -> Any:
        """Return the polynomial's value at a point: for every variable an array, also as one tuple."""
        model = self._model
        given = {**self._centre, **_point("model", model.variables, point), **self._values}
        return _value(model.expression, given)

    @functools.cached_property
    def value(self) -> Any:
        """The function's value at the centre."""
        return _value(self._model.function, self._known)

    @functools.cached_property
    def gradient(self) -> Any:
        """The derivative at the centre; for several variables a tuple."""
        f, variables = self._model.function, self._model.variables
        found = tuple(_value(f.diff(x), self._known) for x in variables)
        return found if len(variables) > 1 else found[0]

    @functools.cached_property
    def hessian(self) -> Any:
        """The second derivative at the centre; for several variables a tuple of tuples."""
        f, variables = self._model.function, self._model.variables
        found = tuple(tuple(_value(f.diff(x, y), self._known) for y in variables) for x in variables)
        return found if len(variables) > 1 else found[0][0]


def _is_point(f: Any, x: Any) -> bool:
    """Whether a list is an example of one array, not of several variables."""
    return not isinstance(f, Expr) and isinstance(x, list) and not any(isinstance(v, Expr) for v in x)


def _name(symbol: Expr) -> str:
    return symbol.name or ""


def _symbol(name: str, shape: tuple[Any, ...]) -> Expr:
    node = _core.symbol(name, shape, False)
    return Expr(node, {name: node})


def _along(f: Expr, variables: tuple[Expr, ...], directions: list[Expr]) -> Expr:
    """Return the derivative of f along a direction: Σ ∂f/∂x·d."""
    terms = []
    for x, d in zip(variables, directions, strict=True):
        labels = list(range(f.ndim + x.ndim))
        terms.append(contract("taylor", [f.diff(x), d], [labels, labels[f.ndim :]], f.ndim))
    return functools.reduce(operator.add, terms)


def _replaced(f: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """Return an expression with others in place of symbols."""
    symbols: Symbols = {name: node for name, node in f._symbols.items() if name not in replacements}
    pairs = []
    for name, value in replacements.items():
        if name in f._symbols:
            pairs.append((f._symbols[name], value._node))
            symbols = merged(symbols, value._symbols)
    return Expr(_core.substitute(f._node, pairs), symbols)


def _value(f: Expr, values: Mapping[str, Any]) -> Any:
    """Return the value of an expression, which may not have all the symbols."""
    return f(**{name: value for name, value in values.items() if name in f._symbols})


def _point(name: str, variables: tuple[Expr, ...], given: tuple[Any, ...]) -> dict[str, Any]:
    """Return a point as values of the variables by name."""
    if len(given) == 1 and len(variables) > 1 and isinstance(given[0], (tuple, list, dict)):
        given = tuple(given[0][_name(x)] for x in variables) if isinstance(given[0], dict) else tuple(given[0])
    if len(given) != len(variables):
        names = ", ".join(_name(x) for x in variables)
        raise TypeError(f"{name}: a point has {len(variables)} parts ({names}) but {len(given)} were given")
    return {_name(x): value for x, value in zip(variables, given, strict=True)}

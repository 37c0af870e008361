"""SciPy's optimizers on functions of arrays of any shape: as functions of one vector, with exact derivatives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._compile import check_names
from .._expr import Expr
from .._program import Function, expression, transform
from .._trace import Output
from .._transforms import grad, hessian, jacobian, value_and_grad
from .._tree import Structure, flatten, unflatten
from .._validate import as_float_array

Vector = NDArray[np.float64]
Hessian = Literal["auto", "dense", "structured", "product"] | None

#: What a method of `minimize` does with the Hessian: it factorizes the matrix, or multiplies by it.
_HESSIAN_OF_METHOD: Mapping[str, Hessian] = {
    "newton-cg": "product",
    "trust-ncg": "product",
    "trust-krylov": "product",
    "trust-constr": "product",
    "dogleg": "dense",
    "trust-exact": "dense",
}
_HESSIANS = ("auto", "dense", "structured", "product", None)


class Vectorized(Mapping[str, Any]):
    """
    Keyword arguments of one of SciPy's functions, to be passed on with ``**``, and the way back from its vector.

    `x0` is the start as a vector. The keyword arguments are also attributes and items.
    """

    x0: Vector

    def __init__(self, name: str, fun: Function | Expr, x0: Any, args: Any) -> None:
        leaves: list[Any] = []
        paths: list[str] = []
        self._name = name
        self._structure: Structure = flatten(x0, leaves, paths, "x0")
        if not leaves:
            raise ValueError(f"{name}: x0 is {x0!r} but must have at least one array")
        arrays = [as_float_array(name, path, leaf) for path, leaf in zip(paths, leaves, strict=True)]
        self._shapes = [array.shape for array in arrays]
        ends = np.cumsum([array.size for array in arrays]).tolist()
        self._parts = list(map(slice, [0, *ends[:-1]], ends))
        self._places = list(zip(self._parts, self._shapes, strict=True))
        self._argnums = tuple(range(len(arrays)))
        self.x0 = np.array(_joined(arrays), np.float64)
        self._fun, self._args = self._positional(fun, x0, args)
        self._keywords: tuple[str, ...] = ("fun", "x0", "jac")

    def _positional(self, fun: Function | Expr, x0: Any, args: Any) -> tuple[Function, tuple[Any, ...]]:
        """Return a function of the arrays in x0, followed by `args` as a tuple."""
        if isinstance(fun, Expr):
            if not isinstance(x0, dict) or not isinstance(args or {}, dict):
                raise TypeError(
                    f"{self._name}: fun is an expression, so that x0 and args must be dicts of arrays by symbol"
                )
            others = dict(args)
            check_names(f"{self._name}: the expression", [fun], [*x0, *others])
            return functools.partial(_of_symbols, fun, (*x0, *others)), tuple(others.values())
        if not callable(fun):
            raise TypeError(f"{self._name}: fun is {fun!r} but must be callable, or an expression")
        args = args if isinstance(args, tuple) else (args,)  # as SciPy does
        if self._structure is None:
            return fun, args
        return functools.partial(_of_tree, fun, self._structure, len(self._shapes)), args

    # --- Arrays and vectors ---

    def ravel(self, tree: Any) -> Vector:
        """
        Return arrays like those of `x0` as one vector, such as the lower bounds of all of them.

        Parameters
        ----------
        tree : array_like, or tree of them
            Nested as `x0`; an array may be anything that broadcasts to the shape of its counterpart.

        Returns
        -------
        ndarray
            In float64.
        """
        leaves: list[Any] = []
        if flatten(tree, leaves) != self._structure:
            raise TypeError(f"ravel: the arrays must be nested as in x0 of {self._name}")
        arrays = [as_float_array("ravel", "an array", leaf) for leaf in leaves]
        return np.array(_joined([*map(np.broadcast_to, arrays, self._shapes)]), np.float64)

    def unravel(self, x: Any) -> Any:
        """
        Return a vector as arrays like those of `x0`.

        Parameters
        ----------
        x : array_like
            A vector, such as that of SciPy's result.

        Returns
        -------
        ndarray, or tree of them
            Nested as `x0`, in float64; views of the vector.
        """
        vector = np.asarray(x, np.float64)
        if vector.shape != self.x0.shape:
            raise ValueError(f"unravel: x has shape {vector.shape} but must have {self.x0.shape}")
        return unflatten(self._structure, (array[()] for array in self._arrays(vector)))

    def _arrays(self, x: Vector) -> list[Vector]:
        if x.size != self.x0.size:
            raise ValueError(f"{self._name}: x has {x.size} elements but must have {self.x0.size}, as x0 has")
        return [x[part].reshape(shape) for part, shape in self._places]

    # --- What ** asks for ---

    def __getitem__(self, key: str) -> Any:
        if key not in self._keywords:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keywords)

    def __len__(self) -> int:
        return len(self._keywords)


class Objective(Vectorized):
    """A function of one vector with gradient and Hessian, as `minimize_args` returns it."""

    def __init__(self, fun: Function | Expr, x0: Any, args: Any, method: Any, hess: Hessian) -> None:
        super().__init__("minimize_args", fun, x0, args)
        if hess not in _HESSIANS:
            raise ValueError(f"minimize_args: hess is {hess!r} but must be one of {', '.join(map(repr, _HESSIANS))}")
        if hess == "auto":
            hess = _HESSIAN_OF_METHOD.get(method.lower()) if isinstance(method, str) else None
        if hess == "structured" and isinstance(method, str) and method.lower() in ("trust-exact", "dogleg"):
            raise ValueError(
                f"minimize_args: hess is 'structured' but {method} factorizes the Hessian and needs 'dense'"
            )
        if hess == "structured" and len(self._shapes) > 1:
            raise ValueError(
                f"minimize_args: hess is 'structured' but x0 has {len(self._shapes)} arrays and must have one; "
                "'product' is for any number"
            )
        self.method = method
        if method is not None:
            self._keywords += ("method",)
        if hess is not None:
            self._keywords += ("hessp" if hess == "product" else "hess",)
        self._value_and_gradient = value_and_grad(self._fun, self._argnums)
        self._hessian = hessian(self._fun, self._argnums, hess == "structured")
        self._is_structured = hess == "structured"
        along = functools.partial(_along, grad(self._fun, self._argnums), len(self._shapes))
        self._product = grad(along, self._argnums)
        self._latest: tuple[bytes, Any] | None = None

    def fun(self, x: Vector) -> Any:
        """Return the value; the gradient, which is computed with it, is kept for `jac`."""
        value, gradient = self._value_and_gradient(*self._arrays(x), *self._args)
        self._latest = x.tobytes(), gradient  # SciPy may write to x
        return value

    def jac(self, x: Vector) -> Vector:
        """Return the gradient; that of the last point is handed out once, because SciPy may write to it."""
        latest, self._latest = self._latest, None
        if latest is None or latest[0] != x.tobytes():
            return _joined(self._value_and_gradient(*self._arrays(x), *self._args)[1])
        return _joined(latest[1])

    def hess(self, x: Vector) -> Any:
        """Return the Hessian: a matrix, or `Structured`."""
        blocks = self._hessian(*self._arrays(x), *self._args)
        if self._is_structured:
            return blocks[0][0]
        if len(blocks) == 1:
            return blocks[0][0].reshape(x.size, x.size)
        matrix = np.empty((x.size, x.size))
        for rows, row in zip(self._parts, blocks, strict=True):
            for columns, block in zip(self._parts, row, strict=True):
                matrix[rows, columns] = block.reshape(rows.stop - rows.start, columns.stop - columns.start)
        return matrix

    def hessp(self, x: Vector, p: Vector) -> Vector:
        """Return the product of the Hessian and p, without the Hessian."""
        return _joined(self._product(*self._arrays(x), *self._arrays(p), *self._args))


class Residuals(Vectorized):
    """A vector of one vector with its Jacobian matrix, as `least_squares_args` and `root_args` return it."""

    def __init__(self, name: str, fun: Function | Expr, x0: Any, args: Any) -> None:
        super().__init__(name, fun, x0, args)
        self._value = _value(name, self._fun)
        self._jacobian = jacobian(self._fun, self._argnums)

    def fun(self, x: Vector) -> Vector:
        """Return the residuals, ravelled."""
        return np.reshape(self._value(*self._arrays(x), *self._args), -1)

    def jac(self, x: Vector) -> NDArray[Any]:
        """Return the Jacobian, of shape (residuals, x)."""
        blocks = [
            block.reshape(math.prod(block.shape[: block.ndim - len(shape)]), math.prod(shape))
            for block, shape in zip(self._jacobian(*self._arrays(x), *self._args), self._shapes, strict=True)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)


def minimize_args(
    fun: Callable[..., Any] | Expr, x0: Any, args: Any = (), *, method: Any = None, hess: Hessian = "auto"
) -> Objective:
    """
    Return the arguments of `scipy.optimize.minimize` for a function of arrays.

    Parameters
    ----------
    fun : callable or Expr
        ``fun(x, *args)``, written in NumPy, with a value of one element; or an expression.
    x0 : array_like, or tree of them
        The start: an array of any shape, or a tuple, dict or list of arrays; for an expression a dict of arrays by the
        names of symbols.
    args : tuple
        More arguments of `fun`; for an expression a dict of its other symbols' values.
    method : str, optional
        The method of `minimize`, which is passed on.
    hess : {"auto", "dense", "structured", "product", None}
        The Hessian that is passed on: as a matrix, as `Structured` (of one array), as the function `hessp` that
        multiplies by it, or none; by default as the method wants it.

    Returns
    -------
    Objective
        With attributes ``fun``, ``x0``, ``jac``, ``hess`` and ``hessp``, of which ``**`` passes on what the method
        takes, and with ``ravel`` and ``unravel`` between arrays and vectors.

    Raises
    ------
    TypeError
        If `fun` or `x0` is of a kind that isn't accepted, or symbols of an expression have no value.

    Notes
    -----
    Value and gradient are computed together. The search is in float64, whatever the precision of `x0`.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> from scipy.optimize import minimize
    >>> X = np.outer([1.0, 2.0, 3.0], [4.0, 5.0])
    >>> def loss(factors, X):
    ...     U, V = factors
    ...     return np.sum((X - U @ V) ** 2)
    >>> arguments = mg.interop.scipy.minimize_args(loss, (np.ones((3, 1)), np.ones((1, 2))), X, method="trust-ncg")
    >>> result = minimize(**arguments)
    >>> U, V = arguments.unravel(result.x)
    >>> np.allclose(U @ V, X)
    True
    """
    return Objective(fun, x0, args, method, hess)


def least_squares_args(fun: Callable[..., Any] | Expr, x0: Any, args: Any = ()) -> Residuals:
    """
    Return the arguments of `scipy.optimize.least_squares` for residuals that are a function of arrays.

    Parameters
    ----------
    fun : callable or Expr
        ``fun(x, *args)``, written in NumPy, that returns an array of any shape; or an expression.
    x0, args
        As in `minimize_args`.

    Returns
    -------
    Residuals
        With attributes ``fun``, ``x0`` and ``jac``, which ``**`` passes on, and with ``ravel`` and ``unravel``.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> from scipy.optimize import least_squares
    >>> t = np.linspace(0, 1, 20)
    >>> def residuals(x, t, y):
    ...     return x["scale"] * np.exp(-x["rate"] * t) - y
    >>> start = {"scale": 1.0, "rate": 1.0}
    >>> arguments = mg.interop.scipy.least_squares_args(residuals, start, (t, 3 * np.exp(-2 * t)))
    >>> found = arguments.unravel(least_squares(**arguments).x)
    >>> print(f"{found['scale']:.3f} {found['rate']:.3f}")
    3.000 2.000
    """
    return Residuals("least_squares_args", fun, x0, args)


def root_args(fun: Callable[..., Any] | Expr, x0: Any, args: Any = ()) -> Residuals:
    """
    Return the arguments of `scipy.optimize.root` for equations ``fun(x) = 0`` in arrays.

    Parameters
    ----------
    fun : callable or Expr
        ``fun(x, *args)``, written in NumPy, that returns an array of as many elements as `x` has; or an expression.
    x0, args
        As in `minimize_args`.

    Returns
    -------
    Residuals
        As `least_squares_args`. Its ``fun`` and ``jac`` also suit constraints of `minimize`.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> from scipy.optimize import root
    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> arguments = mg.interop.scipy.root_args(lambda S: S @ S - A, np.eye(2))    # a square root
    >>> S = arguments.unravel(root(**arguments).x)
    >>> np.allclose(S @ S, A)
    True
    """
    return Residuals("root_args", fun, x0, args)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the elements of all arrays as one vector."""
    return arrays[0].reshape(-1) if len(arrays) == 1 else np.concatenate(arrays, axis=None)


# --- Functions of arrays by position ---


def _of_tree(fun: Function, structure: Structure, count: int, *arguments: Any) -> Any:
    """Call a function whose first argument is a tree of the first `count` arrays."""
    return fun(unflatten(structure, iter(arguments[:count])), *arguments[count:])


def _of_symbols(e: Expr, names: tuple[str, ...], *arguments: Any) -> Any:
    """Put arrays in the place of symbols."""
    return e(**dict(zip(names, arguments, strict=True)))


def _along(gradient: Function, count: int, *arguments: Any) -> Any:
    """Return the inner product of a gradient and a direction, whose gradient is the Hessian's product with it."""
    direction = arguments[count : 2 * count]
    slopes = gradient(*arguments[:count], *arguments[2 * count :])
    return sum(np.sum(g * d) for g, d in zip(slopes, direction, strict=True))


def _value(name: str, fun: Function) -> Function:
    """Return a function that computes what `fun` does, compiled."""

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return Output(expression(name, fun(*args)))

    return transform(name, fun, program, None, (_value, name, fun))

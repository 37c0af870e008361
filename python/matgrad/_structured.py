"""Structured derivatives: linear operators that keep Kronecker deltas instead of expanding them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator

from ._core import core_product, require_memory
from ._validate import as_float_array

Shape = tuple[int, ...]


class Term(NamedTuple):
    """
    A core tensor times Kronecker deltas; each axis of y, and each of x, belongs either to the core or to one delta.

    The core has the axes `y_axes` of y, then the axes `x_axes` of x.
    """

    core: NDArray[Any]
    y_axes: tuple[int, ...]
    x_axes: tuple[int, ...]
    deltas: tuple[tuple[int, int], ...]  # (axis of y, axis of x)
    formula: str  # of the core

    @property
    def matrix(self) -> NDArray[Any]:
        """The core as a matrix, its axes of y by its axes of x."""
        split = len(self.y_axes)
        return self.core.reshape(math.prod(self.core.shape[:split]), math.prod(self.core.shape[split:]))

    def product(self, v: NDArray[Any]) -> NDArray[Any]:
        """Apply the term to an array with x's axes and one more."""
        return self._along_core(self.matrix.__matmul__, v)

    def _along_core(self, function: Callable[[NDArray[Any]], NDArray[Any]], v: NDArray[Any]) -> NDArray[Any]:
        """Apply a function of columns along the core's axes; v has x's axes and one more, the result y's likewise."""
        x_order = (*self.x_axes, *(x for _, x in self.deltas), v.ndim - 1)
        y_order = (*self.y_axes, *(y for y, _ in self.deltas), len(self.y_axes) + len(self.deltas))
        ordered = v.transpose(x_order)
        carried = ordered.shape[len(self.x_axes) :]
        columns = ordered.reshape(math.prod(ordered.shape[: len(self.x_axes)]), math.prod(carried))
        result = function(columns).reshape(self.core.shape[: len(self.y_axes)] + carried)
        return result.transpose(np.argsort(y_order))

    def solution(self, b: NDArray[Any]) -> NDArray[Any]:
        """Solve for an array with y's axes and one more."""
        matrix = self.matrix
        return self.transposed()._along_core(lambda columns: np.linalg.solve(matrix, columns), b)

    def transposed(self) -> Term:
        """Return the term with y and x exchanged."""
        core = np.moveaxis(self.core, range(len(self.y_axes)), range(-len(self.y_axes), 0))
        return Term(core, self.x_axes, self.y_axes, tuple((x, y) for y, x in self.deltas), f"({self.formula})ᵀ")

    def add_to(self, dense: NDArray[Any], y_ndim: int) -> None:
        """Add the entries to an array with y's axes, then x's."""
        labels = list(range(dense.ndim))
        for y, x in self.deltas:
            labels[y_ndim + x] = y
        order = (*self.y_axes, *(y_ndim + x for x in self.x_axes), *(y for y, _ in self.deltas))
        nonzeros = np.einsum(dense, labels, order)  # a view
        nonzeros += self.core.reshape(self.core.shape + (1,) * len(self.deltas))

    def diagonal(self, shape: Shape) -> NDArray[Any]:
        """Return the entries at equal indices of y and x, which have this common shape."""
        operands: list[Any] = [self.core, [*self.y_axes, *self.x_axes]]
        for y, x in self.deltas:
            operands += [np.ones(shape[y], self.core.dtype), [y]] if y == x else [np.eye(shape[y]), [y, x]]
        return np.asarray(np.einsum(*operands, list(range(len(shape)))), self.core.dtype)

    def describe(self) -> str:
        """Return the term as a Kronecker product, or in index notation if axes of core and deltas interleave."""
        count = len(self.y_axes)
        first, y_ndim = self.y_axes[:1], count + len(self.deltas)
        in_place = self.y_axes == self.x_axes and all(y == x for y, x in self.deltas)
        if in_place and first and self.y_axes == tuple(range(first[0], first[0] + count)):
            return "I ⊗ " * (first[0] > 0) + self.formula + " ⊗ I" * (first[0] + count < y_ndim)
        letters = "ijklmnopqrstuvwxyz"
        core = ",".join(letters[axis] for axis in (*self.y_axes, *(y_ndim + x for x in self.x_axes)))
        return " ".join(
            [f"{self.formula}[{core}]", *(f"δ[{letters[y]},{letters[y_ndim + x]}]" for y, x in self.deltas)]
        )


def _is_array_like(v: Any) -> bool:
    return not isinstance(v, LinearOperator) and not np.isscalar(v)


class Structured(LinearOperator):
    """
    A derivative of y by x as a linear operator, kept as a core tensor times Kronecker deltas.

    It has the 2-D `shape` (size of y, size of x) over arrays ravelled in C order, and is a
    `scipy.sparse.linalg.LinearOperator`, which SciPy's solvers and optimizers take as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from matgrad import closed_form as cf
    >>> H = cf.factorization_hessian(np.array([[1.0, 2.0], [3.0, 4.0]]), 3)
    >>> H
    <Structured 2UᵀU ⊗ I, shape (2, 3, 2, 3), float64>
    >>> H @ np.ones((2, 3))
    array([[48., 48., 48.],
           [68., 68., 68.]])
    """

    _y_shape: Shape
    _x_shape: Shape
    _terms: tuple[Term, ...]
    _symmetric: bool
    _left: NDArray[Any] | None = None  # the core of core ⊗ I, for y and x of two axes: the fast path of products

    def __new__(cls, *args: Any, **kwargs: Any) -> Structured:
        """Skip the checks of LinearOperator, which cost more than a small product."""
        return object.__new__(cls)

    def __init__(self, y_shape: Shape, x_shape: Shape, terms: tuple[Term, ...], symmetric: bool = False) -> None:
        self._y_shape = y_shape
        self._x_shape = x_shape
        self._terms = terms
        self._symmetric = symmetric

    @classmethod
    def of_matrix(cls, core: NDArray[Any], columns: int, formula: str) -> Structured:
        """Return core ⊗ I for y and x of shape (len(core), columns), where the core is symmetric."""
        operator: Structured = object.__new__(cls)
        operator._y_shape = operator._x_shape = (core.shape[0], columns)
        operator._terms = (Term(core, (0,), (0,), ((1, 1),), formula),)
        operator._symmetric = True
        operator._left = core
        return operator

    def __getattr__(self, name: str) -> Any:
        """Have SciPy set shape, dtype and what else it keeps when first asked: it takes longer than a small product."""
        if name.startswith("__") or "shape" in self.__dict__ or "_terms" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        dtype = np.result_type(*(term.core for term in self._terms))
        shape = math.prod(self._y_shape), math.prod(self._x_shape)
        super().__init__(dtype, shape)  # type: ignore[call-arg]  # not in SciPy's stubs
        return getattr(self, name)

    def __getstate__(self) -> tuple[Any, ...]:
        return self._y_shape, self._x_shape, self._terms, self._symmetric, self._left

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._y_shape, self._x_shape, self._terms, self._symmetric, self._left = state

    @property
    def tensor_shape(self) -> Shape:
        """y.shape + x.shape."""
        return self._y_shape + self._x_shape

    @property
    def nbytes(self) -> int:
        """Bytes that are stored."""
        return sum(term.core.nbytes for term in self._terms)

    def describe(self) -> str:
        """Return the structure as a formula, such as ``2UᵀU ⊗ I``."""
        return " + ".join(term.describe() for term in self._terms)

    def __repr__(self) -> str:
        return f"<Structured {self.describe()}, shape {self.tensor_shape}, {self.dtype}>"

    def __matmul__(self, v: Any) -> Any:
        """
        Apply the derivative.

        Parameters
        ----------
        v : array_like
            Ravelled, of shape (size of x,); ravelled columns, of shape (size of x, k); or of x's own shape.

        Returns
        -------
        ndarray
            Of shape (size of y,), (size of y, k) or y's own shape.
        """
        left = self._left
        if left is not None and type(v) is np.ndarray and v.dtype is left.dtype:
            if v.shape == self._x_shape:
                return core_product(left, v, None)
            if v.ndim == 1 and v.size == self._x_shape[0] * self._x_shape[1]:
                return core_product(left, v.reshape(self._x_shape), None).reshape(-1)
        if not _is_array_like(v):
            return super().__matmul__(v)
        return self._in_form("@", "v", v, self._x_shape, self._y_shape, self._product)

    def dot(self, v: Any) -> Any:
        """Return ``self @ v``; a number scales, as it does SciPy's operators."""
        return self @ v if _is_array_like(v) else super().dot(v)

    def solve(self, b: ArrayLike) -> NDArray[Any]:
        """
        Solve self @ v = b by factorizing the core alone.

        Parameters
        ----------
        b : array_like
            Ravelled, of shape (size of y,); ravelled columns, of shape (size of y, k); or of y's own shape.

        Returns
        -------
        ndarray
            v, in the same form as b.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the core is singular or not square.
        NotImplementedError
            If the derivative is a sum of several terms.
        """
        if len(self._terms) > 1:
            raise NotImplementedError(f"Structured.solve: {self.describe()} is a sum of {len(self._terms)} terms")
        return self._in_form("solve", "b", b, self._y_shape, self._x_shape, self._terms[0].solution)

    def diagonal(self) -> NDArray[Any]:
        """Return the entries at equal indices of y and x, ravelled; y and x must have the same shape."""
        if self._y_shape != self._x_shape:
            raise ValueError(f"Structured.diagonal: y is {self._y_shape} and x is {self._x_shape} but must be the same")
        return sum((term.diagonal(self._y_shape) for term in self._terms), np.zeros((), self.dtype)).reshape(-1)

    def to_dense(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """
        Expand the deltas.

        Parameters
        ----------
        out : ndarray, shape y.shape + x.shape, optional
            Where to write the result; must have its exact shape and dtype.

        Returns
        -------
        ndarray, shape y.shape + x.shape
            The derivative as a tensor; reshape it to `shape` for the matrix.

        Raises
        ------
        MemoryError
            If the result would not fit in memory; nothing is allocated.
        """
        if out is None:
            require_memory("Structured.to_dense", "the result", self.tensor_shape, self.dtype.itemsize)
            dense = np.zeros(self.tensor_shape, self.dtype)
        else:
            dense = self._checked_out(out)
            dense[...] = 0
        for term in self._terms:
            term.add_to(dense, len(self._y_shape))
        return dense

    def _checked_out(self, out: Any) -> NDArray[Any]:
        must = f"must be a numpy.ndarray of dtype {self.dtype}"
        if type(out) is not np.ndarray:
            raise TypeError(f"Structured.to_dense: out is of type {type(out).__name__} but {must}")
        if out.dtype != self.dtype:
            raise TypeError(f"Structured.to_dense: out has dtype {out.dtype.str} but {must} in native byte order")
        if out.shape != self.tensor_shape:
            raise ValueError(f"Structured.to_dense: out has shape {out.shape} but must be {self.tensor_shape}")
        if not out.flags.writeable:
            raise ValueError("Structured.to_dense: out is read-only")
        return out

    def _in_form(
        self,
        method: str,
        name: str,
        value: Any,
        own: Shape,
        result: Shape,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> NDArray[Any]:
        """Apply a function of arrays with own's axes and one more to any of the forms that arguments come in."""
        array = as_float_array(f"Structured.{method}", name, value)
        size = math.prod(own)
        ravelled = array.ndim in (1, 2) and array.shape[0] == size
        if not ravelled and array.shape != own:
            raise ValueError(
                f"Structured.{method}: {name} is {array.shape} but must be {own}, or ravelled ({size},), "
                f"or columns ({size}, k)"
            )
        columns = array.shape[1:] if ravelled else ()
        applied = apply(array.reshape(*own, math.prod(columns)))
        return applied.reshape((math.prod(result), *columns) if ravelled else result)

    def _product(self, v: NDArray[Any]) -> NDArray[Any]:
        products = [term.product(v) for term in self._terms]
        return sum(products[1:], products[0])

    # What SciPy's operators call: arguments are ravelled, or columns of ravelled arrays.

    def _matvec(self, v: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = self @ v
        return result

    _matmat = _matvec

    def _rmatvec(self, w: NDArray[Any]) -> NDArray[Any]:
        result: NDArray[Any] = self._transpose() @ w
        return result

    _rmatmat = _rmatvec

    def _transpose(self) -> Structured:
        if self._symmetric:
            return self
        return Structured(self._x_shape, self._y_shape, tuple(term.transposed() for term in self._terms))

    _adjoint = _transpose  # entries are real

"""Structured derivatives: linear operators that keep Kronecker deltas instead of expanding them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, cg, gmres

from ._core import Function, Node, kronecker_product, require_memory
from ._solve import Method, method_of
from ._sparse import sparse
from ._structure import Shape, Structure, kronecker_with_identity, structure_of
from ._validate import as_arrays, as_float_array


def _is_array_like(v: Any) -> bool:
    return not isinstance(v, LinearOperator) and not np.isscalar(v)


class Structured(LinearOperator):
    """
    A derivative of y by x as a linear operator, kept as small tensors times Kronecker deltas.

    It has the 2-D `shape` (size of y, size of x) over arrays ravelled in C order, and is a
    `scipy.sparse.linalg.LinearOperator`, which SciPy's solvers and optimizers take as it is. Made by
    `Expr.structured`, by `jacobian` and `hessian` with ``structured=True``, and by `closed_form`.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> X, U, V = mg.matrices("X U V")
    >>> hessian = np.sum((X - U @ V) ** 2).diff(V, V)
    >>> H = hessian.structured(X=np.ones((2, 3)), U=np.array([[1.0, 2.0], [3.0, 4.0]]), V=np.ones((2, 3)))
    >>> H
    <Structured 2UᵀU ⊗ I, shape (2, 3, 2, 3), float64>
    >>> H @ np.ones((2, 3))
    array([[48., 48., 48.],
           [68., 68., 68.]])
    >>> np.allclose(H.solve(H @ np.ones((2, 3))), 1)
    True
    """

    _structure: Structure
    _cores: tuple[NDArray[Any], ...]
    _left: NDArray[Any] | None = None  # the core of core ⊗ I, for y and x of two axes: the fast path of products
    _of_left: tuple[int, str]  # the number of columns of x then, and the core's formula
    _solve: Callable[[NDArray[Any]], NDArray[Any]] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Structured:
        """Skip the checks of LinearOperator, which cost more than a small product."""
        return object.__new__(cls)

    def __init__(self, structure: Structure, cores: tuple[NDArray[Any], ...], dtype: np.dtype[Any]) -> None:
        self._structure = structure
        self._cores = cores
        self._dtype = dtype

    @classmethod
    def of_matrix(cls, core: NDArray[Any], columns: int, formula: str) -> Structured:
        """Return core ⊗ I for y and x of shape (len(core), columns), where the core is symmetric."""
        operator: Structured = object.__new__(cls)
        operator._left = core
        operator._of_left = columns, formula
        return operator

    def __getattr__(self, name: str) -> Any:
        """Make what is asked for the first time: all of it takes longer than a small product."""
        known = self.__dict__
        if "_left" in known and "_structure" not in known and name in ("_structure", "_cores", "_dtype"):
            core = known["_left"]
            self._structure, self._cores = kronecker_with_identity(len(core), *known["_of_left"]), (core,)
            self._dtype = core.dtype
            return known[name]
        if name.startswith("_") or "shape" in known or not known:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        shape = math.prod(self._structure.y_shape), math.prod(self._structure.x_shape)
        super().__init__(self._dtype, shape)  # type: ignore[call-arg]  # not in SciPy's stubs
        return getattr(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Structured, (self._structure, self._cores, self._dtype)

    @property
    def tensor_shape(self) -> Shape:
        """y.shape + x.shape."""
        return self._structure.y_shape + self._structure.x_shape

    @property
    def nbytes(self) -> int:
        """Bytes that are stored."""
        return sum(core.nbytes for core in self._cores)

    def describe(self) -> str:
        """Return the structure as a formula, such as ``2UᵀU ⊗ I``."""
        return self._structure.text

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
            Of shape (size of y,), (size of y, k) or y's own shape. What may be ravelled as it is, is taken so.
        """
        if self._left is not None:
            product = kronecker_product(self._left, v, self._of_left[0])
            if product is not None:
                return product
        structure = self._structure
        if type(v) is np.ndarray and v.dtype is self._dtype and v.shape == structure.unmistakable_shape:
            return structure.product(*self._cores, v)
        if not _is_array_like(v):
            return super().__matmul__(v)
        return self._in_form("@", "v", v, structure.x_shape, structure.y_shape, self._product)

    def dot(self, v: Any) -> Any:
        """Return ``self @ v``; a number scales, as it does SciPy's operators."""
        return self @ v if _is_array_like(v) else super().dot(v)

    def __array_function__(self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Let ``np.dot(self, v)`` multiply, as SciPy's trust-region methods do; other functions see an object."""
        if func is np.dot and len(args) == 2 and not kwargs:
            return args[0] @ args[1]
        return func._implementation(*args, **kwargs)

    def solve(self, b: ArrayLike) -> NDArray[Any]:
        """
        Solve self @ v = b by the structure.

        A Kronecker product is solved factor by factor, a block diagonal matrix block by block, a diagonal one plus one
        of low rank by Woodbury's formula, A ⊗ I + I ⊗ B as a Sylvester equation; what is left by Cholesky's
        factorization or LU, or by conjugate gradients if the dense matrix would not fit in memory.

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
            If the matrix is singular or not square.

        Notes
        -----
        The factorization is kept for the next call.
        """
        structure = self._structure
        method = structure.method
        if method is None:
            method = structure.method = method_of(structure)
        if method.direct is not None and type(b) is np.ndarray and b.dtype is self._dtype:
            shape = structure.transposed.unmistakable_shape
            if b.shape == shape:
                return np.asarray(method.direct(*self._cores, b))
            if b.ndim == 1 and b.size == math.prod(structure.y_shape):
                return np.asarray(method.direct(*self._cores, b.reshape(structure.y_shape))).reshape(-1)
        if self._solve is None:
            self._solve = self._factorize(method)
        solution = self._in_form("solve", "b", b, self._structure.y_shape, self._structure.x_shape, self._solve)
        return solution if self._cores else solution.astype(np.result_type(self._dtype, np.asarray(b)), copy=False)

    def _factorize(self, method: Method) -> Callable[[NDArray[Any]], NDArray[Any]]:
        try:
            return method.factorize(self._cores)
        except MemoryError:
            return self._iterate

    def _iterate(self, b: NDArray[Any]) -> NDArray[Any]:
        """Solve iteratively, one column after the other."""
        solver = cg if self._structure.symmetric else gmres
        columns = b.reshape(self.shape[0], -1)
        tolerance = 10 * float(np.finfo(self._dtype).eps)
        result = np.empty((self.shape[1], columns.shape[1]), self._dtype)
        for k, column in enumerate(columns.T):
            result[:, k], failed = solver(self, column, rtol=tolerance)
            if failed:
                raise np.linalg.LinAlgError(f"Structured.solve: {solver.__name__} did not converge")
        return result.reshape(*self._structure.x_shape, -1)

    def diagonal(self) -> NDArray[Any]:
        """Return the entries at equal indices of y and x, ravelled; y and x must have the same shape."""
        structure = self._structure
        if structure.y_shape != structure.x_shape:
            raise ValueError(
                f"Structured.diagonal: y is {structure.y_shape} and x is {structure.x_shape} but must be the same"
            )
        return np.asarray(self._evaluated(structure.diagonal)).reshape(-1)

    def _evaluated(self, function: Function, *arguments: NDArray[Any]) -> Any:
        """Return a function of the cores, in our precision, which without cores or arguments it can't know."""
        result = function(*self._cores, *arguments)
        return result if self._cores or arguments else result.astype(self._dtype, copy=False)

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
            return np.asarray(self._evaluated(self._structure.dense))
        self._checked_out(out)
        if self._cores:
            self._structure.dense(*self._cores, out=out)
        else:
            out[...] = self._structure.dense()
        return out

    def to_sparse(self, format: str = "csr") -> Any:
        """
        Return the entries as a sparse matrix, without expanding the deltas.

        Parameters
        ----------
        format : str
            One of SciPy's formats, such as ``"csr"``, ``"csc"`` or ``"coo"``.

        Returns
        -------
        scipy.sparse array of shape (size of y, size of x)

        Examples
        --------
        >>> import matgrad as mg
        >>> x = mg.vector("x")
        >>> (x**2).diff(x).structured(x=[1.0, 2.0]).to_sparse().nnz
        2
        """
        return sparse(self._structure, self._cores, self._dtype).asformat(format)

    def _checked_out(self, out: Any) -> None:
        must = f"must be a numpy.ndarray of dtype {self.dtype}"
        if type(out) is not np.ndarray:
            raise TypeError(f"Structured.to_dense: out is of type {type(out).__name__} but {must}")
        if out.dtype != self.dtype:
            raise TypeError(f"Structured.to_dense: out has dtype {out.dtype.str} but {must} in native byte order")
        if out.shape != self.tensor_shape:
            raise ValueError(f"Structured.to_dense: out has shape {out.shape} but must be {self.tensor_shape}")
        if not out.flags.writeable:
            raise ValueError("Structured.to_dense: out is read-only")

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
        """Return the product with an array that has x's axes and one more."""
        if v.shape[-1] == 1:
            return np.asarray(self._structure.product(*self._cores, v[..., 0]))
        return np.asarray(self._structure.product_with_columns(*self._cores, v))

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
        if self._structure.symmetric:
            return self
        return Structured(self._structure.transposed, self._cores, self._dtype)

    _adjoint = _transpose  # entries are real


def structured(
    function: str,
    derivative: Node,
    x_ndim: int,
    symbols: Mapping[str, Node],
    values: Sequence[Any],
    checked: tuple[Node, ...],
) -> Structured:
    """Compute a derivative, whose last axes are those of x, at values of its symbols."""
    arrays: Sequence[Any] = values
    if any(type(value) is not np.ndarray or value.dtype.char not in "fd" for value in values):
        arrays = as_arrays(function, tuple(symbols), tuple(values))
    shapes = tuple([array.shape for array in arrays])
    try:
        structure, evaluate = structure_of(derivative, x_ndim, tuple(symbols.values()), checked, shapes)
    except (ValueError, IndexError) as error:
        raise type(error)(f"{function}: {error}") from None
    cores: tuple[NDArray[Any], ...] = evaluate(*arrays)
    return Structured(structure, cores if structure.cores else (), cores[0].dtype)


def structured_function(
    results: Sequence[tuple[Node, int | None]], symbols: Sequence[Node], names: Sequence[str], checked: Sequence[Node]
) -> Callable[..., tuple[Any, ...]]:
    """Return the function of arrays that computes results, those that have a number of axes of x as `Structured`."""
    plain = Function([node for node, x_ndim in results if x_ndim is None], symbols, names, False, checked)
    by_name = dict(zip(names, symbols, strict=True))

    def evaluate(*arrays: Any) -> tuple[Any, ...]:
        dense = iter(plain(*arrays))
        return tuple(
            next(dense) if x_ndim is None else structured("Function", node, x_ndim, by_name, arrays, tuple(checked))
            for node, x_ndim in results
        )

    return evaluate

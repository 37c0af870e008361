"""What becomes of expressions: functions of arrays, structured derivatives, costs, and printed forms."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from . import _core
from ._compile import check_names, checked_by, compile, compiled
from ._core import Function, Node
from ._numpy_protocol import ArrayMethods
from ._operands import Symbols

if TYPE_CHECKING:
    from ._structured import Structured


class Evaluation(ArrayMethods):
    """What expressions offer beyond the methods of arrays."""

    __slots__ = ()

    _checked: tuple[Node, ...]  # what it is the derivative of, whose axes have to agree, too
    _node: Node
    _symbols: Symbols
    _x_ndim: int | None  # of a derivative in tensor layout: the number of its last axes, those of the variable

    def structured(self, /, **values: Any) -> Structured:
        """
        Compute a derivative as small tensors times Kronecker deltas, which are not expanded.

        Parameters
        ----------
        **values : array_like
            What stands for each symbol, by name. Symbols that dropped out may be left out, unless they are needed for
            their lengths.

        Returns
        -------
        Structured
            A `scipy.sparse.linalg.LinearOperator` of shape (size of y, size of x), where x is the last symbol that it
            was differentiated by, and y has the axes before those of x. It also solves.

        Raises
        ------
        TypeError
            If the expression is no derivative in tensor layout, or as when it is called.
        ValueError
            If shapes don't fit.

        Examples
        --------
        >>> import numpy as np
        >>> import matgrad as mg
        >>> R = mg.matrix("R")
        >>> J = (R.T @ R).diff(R).structured(R=np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> J.tensor_shape, J.shape
        ((2, 2, 2, 2), (4, 4))
        >>> J @ np.eye(2)
        array([[2., 5.],
               [5., 8.]])
        """
        if self._x_ndim is None:
            raise TypeError("structured: the expression must be a derivative in tensor layout, as diff returns it")
        from ._structured import structured  # imports SciPy

        self._check_names("structured: the expression", values)
        symbols = {name: node for name, node in self._symbols.items() if name in values}
        arrays = [values[name] for name in symbols]
        return structured("structured", self._node, self._x_ndim, symbols, arrays, checked_by(self, symbols))

    def compile(self, *symbols: Evaluation) -> Function:
        """
        Return the value as a function of arrays.

        Parameters
        ----------
        *symbols : Expr
            The symbols whose values are the arguments, in that order; without any, `symbols`. Those that
            dropped out may be there or not.

        Returns
        -------
        Function
            ``fn(*arrays, out=None)``. It may be pickled, and called from several threads.

        Raises
        ------
        TypeError
            If the arguments aren't the symbols of the expression.

        See Also
        --------
        compile : The same of several expressions together.

        Examples
        --------
        >>> import numpy as np
        >>> import matgrad as mg
        >>> A, x = mg.matrix("A"), mg.vector("x")
        >>> fn = (x @ A @ x).diff(x).compile(A, x)
        >>> fn(np.eye(2), np.array([1.0, 2.0]))
        array([2., 4.])
        """
        return compile(self, symbols or None)

    def cost(self, dtype: Any = "float64", /, **sizes: Any) -> Any:
        """
        Return what it costs to compute the value at given sizes.

        Parameters
        ----------
        dtype : {"float64", "float32"}
            The precision.
        **sizes : int or tuple of int
            Lengths of dimensions and shapes of symbols by name, as in `Function.plan`. Those of symbols that dropped
            out may be left out.

        Returns
        -------
        Plan
            A table of kernel calls with the totals ``flops``, ``bytes`` and ``memory``.

        Examples
        --------
        >>> import matgrad as mg
        >>> A, x = mg.matrix("A"), mg.vector("x", "n")
        >>> (A @ x).cost(n=100, A=(50, 100)).flops
        10000.0
        """
        from ._plan import planned

        used = _core.symbol_names(self._node)
        symbols = {name: node for name, node in self._symbols.items() if name in used}
        return planned("cost", compiled([self], symbols, True), dtype, sizes, self._symbols)

    def _check_names(self, what: str, names: Collection[str]) -> None:
        """Raise TypeError unless all symbols that the value depends on are there, and no unknown ones."""
        check_names(what, [self], names)

    # --- Printed forms ---

    def __str__(self) -> str:
        return _core.to_matrix(self._node)

    __repr__ = __str__

    def to_latex(self) -> str:
        """Return the formula in LaTeX, without dollar signs."""
        return _core.to_latex(self._node)

    def to_index(self) -> str:
        """Return the formula in index notation; the axes of the result are i, j, k, l, …, then come the summed ones."""
        return _core.to_index(self._node)

    def to_numpy(self) -> str:
        """
        Return NumPy source over `np` and the symbols' names.

        It is an expression where it can be, else statements of which the last assigns `result`.
        """
        return _core.to_numpy(self._node, list(self._symbols.values()))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

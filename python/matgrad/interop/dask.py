"""Dask: gradients of functions of arrays that are chunked, or larger than memory, block by block on many workers."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, NamedTuple

import dask
import dask.array as da
import numpy as np

from .._arguments import Leaf, Mode, details_of, is_data, kind_of
from .._blocks import Program, in_blocks
from .._expr import Expr
from .._program import Argnums, Function, chosen, derivatives, expression, one_element, transform
from .._references import references
from .._trace import Output, Trace, Tracer
from .._tree import Structure, unflatten
from ._dask_graph import File, Graph

__all__ = ["from_memmap", "value_and_grad"]


def value_and_grad(fun: Function, argnums: Argnums = 0) -> Function:
    """
    Return the function that computes the value of `fun` and its gradient where arguments are chunked Dask arrays.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, whose result has one element.
    argnums : int or tuple of int
        As in `matgrad.grad`.

    Returns
    -------
    callable
        Takes the arguments of `fun`, of which any may be Dask arrays; returns ``(value, gradient)``. The gradient by a
        Dask array is a Dask array, persisted, the others are NumPy arrays.

    Raises
    ------
    NotImplementedError
        When called, if an expression needs several blocks at once, such as ``X @ X.T`` or ``X[1:] - X[:-1]``; it is
        named.
    ValueError
        When called, if an array is chunked along several axes, or its chunks are of unknown length.

    Notes
    -----
    Arrays are cut along the axis that has several chunks. What that means for each term of the value and of the
    gradient follows from the expression: which other arguments are cut along, what is summed over blocks (as a tree, in
    an order that depends on the chunks alone), concatenated, or computed once, such as a penalty. A function of a sum,
    such as ``log(sum(exp(X @ w)))``, takes a pass over the blocks for the sum and another for the gradient. Lengths, in
    ``X.shape`` as in means, are those of the whole array.

    It runs on Dask's current scheduler: with a `distributed.Client` on its workers. Blocks stay where they are, other
    arrays are sent to each worker once a call, and the compiled function is kept by a worker from call to call. A block
    is computed by one thread. ``X.persist()`` keeps in the workers' memory what would be read anew at every call.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import matgrad as mg
    >>> X = da.ones((1000, 3), chunks=(100, 3))
    >>> y = da.arange(1000, chunks=100)
    >>> loss = lambda w, X, y: np.sum((X @ w - y) ** 2) / len(y) + np.sum(w**2)
    >>> mg.interop.dask.value_and_grad(loss)(np.array([100.0, 200.0, 300.0]), X, y)
    (np.float64(233433.5), array([401., 601., 801.]))
    """

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        y = one_element("value_and_grad", expression("value_and_grad", fun(*args, **kwargs)))
        return Output(y), derivatives(y, chosen(args, argnums), like=True)

    return transform("value_and_grad", fun, program, argnums, (value_and_grad, fun, argnums), BlockTracer)


def from_memmap(x: np.memmap[Any, Any], chunks: Any = "auto") -> da.Array:
    """
    Return a Dask array of a mapped file, whose blocks each worker maps itself; nothing of it is sent.

    Parameters
    ----------
    x : numpy.memmap
        A whole file, as `numpy.memmap` or ``numpy.load(..., mmap_mode="r")`` gives it; no view of one. All workers must
        find the file under its name.
    chunks : int, tuple or str
        As in `dask.array.from_array`.

    Returns
    -------
    dask.array.Array

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import matgrad as mg
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/X.npy", np.arange(6.0).reshape(3, 2))
    ...     X = mg.interop.dask.from_memmap(np.load(f"{folder}/X.npy", mmap_mode="r"), chunks=(2, 2))
    ...     value, gradient = mg.interop.dask.value_and_grad(lambda X: np.sum(X**2))(X)
    ...     value, gradient.compute().tolist()
    (np.float64(55.0), [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]])
    """
    file = File.of(x)
    if file is None:
        raise TypeError(
            'from_memmap: x must be a numpy.memmap of a whole file, neither a view of one nor one of mode "c", whose '
            "changes no worker sees"
        )
    return file.chunked(chunks)


# --- Tracing ---


class Plan(NamedTuple):
    """A traced function, and how it is computed block by block."""

    trace: Trace
    names: list[str]  # of the inputs of the trace
    program: Program


class BlockTracer(Tracer):
    """What a transform does with Dask arrays: it traces with the lengths of the whole, and computes block by block."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._plans: dict[Hashable, Plan] = {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, with a plan that is known or a new one; traced arrays give traced arrays."""
        leaves, structure = self._leaves(args, kwargs)
        if any(isinstance(leaf.value, Expr) for leaf in leaves):
            return self._nested(leaves, structure)
        chunked = {k: leaf.value for k, leaf in enumerate(leaves) if isinstance(leaf.value, da.Array)}
        stored = chunked | {k: leaf.value for k, leaf in enumerate(leaves) if File.of(leaf.value)}
        cut = {k: axis for k, x in chunked.items() if (axis := _cut_axis(self.name, leaves[k].name, x)) is not None}
        stand_ins = {k: np.broadcast_to(np.zeros((), x.dtype), x.shape) for k, x in chunked.items()}
        leaves = [self._checked(leaf._replace(value=stand_ins.get(k, leaf.value))) for k, leaf in enumerate(leaves)]
        may_look = any(map(is_data, leaves)) and not any(is_data(leaves[k]) for k in chunked)
        if not self.dispatcher._is_current():
            self._plans.clear()
        key = (structure, *map(kind_of, leaves), *details_of(leaves, Mode(True, not may_look)), *cut.items())
        if key not in self._plans:
            self._plans[key] = self._plan(leaves, structure, cut, may_look)
        return self._evaluated(self._plans[key], [stored.get(k, leaf.value) for k, leaf in enumerate(leaves)], cut)

    def _plan(self, leaves: list[Leaf], structure: Structure, cut: dict[int, int], may_look: bool) -> Plan:
        """Trace and cut; `may_look` says whether the function may look at the values of integers."""
        found = references(self._fun)
        for _, name, content in found:
            if isinstance(content, da.Array):
                raise TypeError(f"{self.name}: the function refers to the Dask array {name}, which must be an argument")
        try:
            trace = self._traced(leaves, structure, Mode(True, True))
        except Exception:
            if not may_look:
                raise
            trace = self._traced(leaves, structure, Mode(True, False))
        self.dispatcher._rely_on(found)
        results, symbols, *_ = trace.function._definition
        of_leaf = {k: symbol for k, symbol in zip(trace.inputs, symbols, strict=True) if isinstance(k, int)}
        like = [None if k is None else of_leaf[k] for k in trace.results]
        try:
            program = in_blocks(results, like, symbols, [(of_leaf[k], axis) for k, axis in cut.items()])
        except NotImplementedError as error:
            names = ", ".join(leaves[k].name for k in cut)
            raise NotImplementedError(f"{self.name}: over blocks of {names}, {error}") from None
        return Plan(trace, [symbol.name for symbol in symbols], program)

    def _evaluated(self, plan: Plan, values: list[Any], cut: dict[int, int]) -> Any:
        inputs = zip(plan.names, plan.trace.inputs, strict=True)
        arrays = {name: values[k] if isinstance(k, int) else k[0] for name, k in inputs}
        largest = max(cut, key=lambda k: values[k].nbytes, default=None)
        graph = Graph(plan.program, arrays, () if largest is None else values[largest].chunks[cut[largest]])
        likes = [None if k is None else values[k] for k in plan.trace.results]
        results = [graph.array(name, *_kind(like)) for name, like in zip(plan.program.results, likes, strict=True)]
        results = list(dask.persist(*results, optimize_graph=False))
        here = [k for k, like in enumerate(likes) if not isinstance(like, da.Array)]
        for k, value in zip(here, dask.compute(*(results[k] for k in here)), strict=True):
            results[k] = value
        return unflatten(plan.trace.structure, (results[o] if isinstance(o, int) else o[0] for o in plan.trace.outputs))


def _kind(like: Any) -> tuple[tuple[int, ...], Any]:
    """Return the shape and the precision of a gradient by that argument; of the value if it is None."""
    if like is None:
        return (), None
    return np.shape(like), np.dtype(np.float32 if getattr(like, "dtype", None) == np.float32 else np.float64)


def _cut_axis(name: str, argument: str, x: da.Array) -> int | None:
    """Return the axis along which an array has several chunks, or None."""
    if any(math.isnan(length) for length in x.shape):
        raise ValueError(f"{name}: {argument} has chunks of unknown length; call its compute_chunk_sizes() first")
    axes = [axis for axis, chunks in enumerate(x.chunks) if sum(map(bool, chunks)) > 1]
    if len(axes) > 1:
        kept = ", ".join(f"{axis}: -1" for axis in axes[1:])
        raise ValueError(
            f"{name}: {argument} is chunked along axes {', '.join(map(str, axes))} but must be along one, for example "
            f"{argument}.rechunk({{{kept}}})"
        )
    return axes[0] if axes else None

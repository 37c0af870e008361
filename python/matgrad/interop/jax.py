"""JAX: expressions, closed forms and NumPy functions as functions of JAX arrays, called by XLA without Python."""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .. import _core
from .._expr import Expr, as_expr
from .._program import called
from ._operation import Operation, Traced, formula

_NAME = "jax.function"
_TARGET = "matgrad"


def function(fun: Any, *symbols: Expr) -> Callable[..., Any]:
    """
    Return a function of JAX arrays that matgrad computes.

    Parameters
    ----------
    fun : callable, Expr or sequence of Expr
        A function of arrays, written in NumPy, such as a closed form; or an expression, or several.
    *symbols : Expr
        With expressions: the symbols whose values are the arguments, in that order; by default those of the expressions
        in the order in which they appear.

    Returns
    -------
    callable
        Takes arrays on the CPU and returns what `fun` returns, with JAX arrays in place of NumPy's. Arguments may be
        pytrees. It computes in float32, or in float64 if an argument is of it, which takes ``jax_enable_x64``; integer
        arrays become floating. Python's ints, bools and strings are data.

    Raises
    ------
    TypeError
        If `fun` is neither; when called, if an array has another dtype.
    ValueError
        When called, if shapes don't fit.

    Notes
    -----
    It may be transformed by `jax.jit`, `jax.vmap`, `jax.grad`, `jax.jvp`, `jax.jacfwd`, `jax.jacrev`, `jax.hessian`
    and so on, in any order: it is a primitive with rules for both modes, where `jax.custom_jvp` and `jax.custom_vjp`
    have one each. Derivatives of all orders are expressions as well, and a stack of problems is computed together.
    XLA calls compiled code through its foreign function interface (`jax.ffi`). What a NumPy function refers to, arrays
    also, is fixed when JAX traces it.

    Examples
    --------
    >>> import jax
    >>> import matgrad as mg
    >>> A, x = mg.matrix("A"), mg.vector("x")
    >>> f = mg.interop.jax.function(x @ A @ x, A, x)
    >>> jax.jit(jax.grad(f, argnums=1))(jax.numpy.eye(2), jax.numpy.array([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """
    if callable(fun) and not isinstance(fun, Expr):
        if symbols:
            raise TypeError(f"{_NAME}: symbols belong to expressions, but fun is a function")
        return _of_callable(fun)
    if not isinstance(fun, (Expr, list, tuple)):
        raise TypeError(f"{_NAME}: fun is {fun!r} but must be an expression, a list of them, or callable")
    call = _Call(formula(_NAME, fun, symbols))
    single = isinstance(fun, Expr)

    def of_arrays(*arrays: Any) -> Any:
        if len(arrays) != call.operation.count:
            raise TypeError(f"{_NAME}: takes {call.operation.count} arguments but got {len(arrays)}")
        values = call(arrays)
        return values[0] if single else tuple(values)

    return of_arrays


def _of_callable(fun: Callable[..., Any]) -> Callable[..., Any]:
    calls: dict[Any, _Call] = {}
    results: dict[Any, Any] = {}

    def call_for(key: Any, data: Sequence[Any]) -> _Call:
        def outputs(arrays: tuple[Any, ...]) -> list[Any]:
            remaining = iter(arrays)
            leaves = [next(remaining) if x is None else x for x in data]
            values, found = jax.tree.flatten(called(fun, jax.tree.unflatten(key[0], leaves)))
            if results.setdefault(key, found) != found:
                raise TypeError(f"{_NAME}: the function returns other containers than it did for other arguments")
            return list(values)

        return _Call(Traced(_NAME, fun, sum(x is None for x in data), outputs))

    @functools.wraps(fun)
    def of_arrays(*args: Any) -> Any:
        leaves, structure = jax.tree.flatten(args)
        data = tuple(None if isinstance(x, _ARRAYS) else x for x in leaves)
        key = (structure, tuple((type(x), x) for x in data))
        call = calls.get(key)
        if call is None:
            call = calls[key] = call_for(key, data)
        values = call([x for x in leaves if isinstance(x, _ARRAYS)])
        return jax.tree.unflatten(results[key], values)

    return of_arrays


_DTYPES = (np.float32, np.float64)
_ARRAYS = (jax.Array, np.ndarray, np.generic, float)


class _Call(NamedTuple):
    """An operation; for a stack of problems also its number of axes, and which arguments have these axes in front."""

    operation: Operation
    stack_ndim: int = 0
    flags: tuple[bool, ...] = ()

    def __call__(self, arrays: Sequence[Any]) -> Any:
        """Return the results for arrays of any real dtype."""
        if all(isinstance(x, jax.Array) and x.dtype == arrays[0].dtype in _DTYPES for x in arrays):
            return _primitive.bind(*arrays, call=self)
        dtype = jnp.result_type(*arrays) if arrays else np.dtype(np.float32)
        if not jnp.issubdtype(dtype, jnp.floating):
            dtype = jnp.result_type(dtype, float)
        if dtype not in _DTYPES:
            raise TypeError(f"{_NAME}: arrays have dtype {dtype} but must be float32 or float64")
        return _primitive.bind(*(jnp.asarray(x, dtype) for x in arrays), call=self)

    @property
    def is_stacked(self) -> tuple[bool, ...]:
        return self.flags or (False,) * self.operation.count

    def stack(self, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the lengths of the stack's axes."""
        return next((shape[: self.stack_ndim] for shape, flag in zip(shapes, self.flags, strict=False) if flag), ())

    def core(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return the shapes of the arguments of one problem."""
        return [
            shape[self.stack_ndim :] if flag else shape for shape, flag in zip(shapes, self.is_stacked, strict=True)
        ]

    def pullback(self, chosen: tuple[int, ...], results: int) -> _Call:
        flags = self.is_stacked + (self.stack_ndim > 0,) * results
        return _Call(self.operation.pullback(chosen, results), self.stack_ndim, flags)

    def pushforward(self, chosen: tuple[int, ...]) -> _Call:
        flags = self.is_stacked + tuple(self.is_stacked[k] for k in chosen)
        return _Call(self.operation.pushforward(chosen), self.stack_ndim, flags)

    def compiled(self, shapes: Sequence[tuple[int, ...]], dtype: Any) -> _core.XlaFunction:
        """Return the function that XLA is to call for arguments of these shapes."""
        examples = [np.broadcast_to(np.zeros((), dtype), shape) for shape in self.core(shapes)]
        function, inputs, outputs = self.operation.evaluation(*examples)
        results, symbols, _, _, checked = function._definition
        flags = [self.is_stacked[k] for k in inputs if isinstance(k, int)]
        captured = [
            (symbol, np.asarray(x[0])) for symbol, x in zip(symbols, inputs, strict=True) if isinstance(x, tuple)
        ]
        key = (function, self.stack_ndim, *flags, *(_digest(array.dtype.str, array.tobytes()) for _, array in captured))
        known = self.operation.compiled.get(key)
        if known is None:
            replacements = [(symbol, as_expr(_NAME, array)._node) for symbol, array in captured]
            parts = [
                [_core.substitute(node, replacements) for node in part]
                for part in ([results[k] for k in outputs], checked)
            ]
            remaining = [symbol for symbol, x in zip(symbols, inputs, strict=True) if isinstance(x, int)]
            definition = parts[0], remaining, parts[1], flags, self.stack_ndim
            known = _core.XlaFunction(_digest(*definition), *definition)
            self.operation.compiled[key] = known
        return known


def _digest(*values: Any) -> int:
    """Return a number that stands for values in every process, so that XLA's caches may refer to it."""
    return int.from_bytes(hashlib.sha256(pickle.dumps(values)).digest()[:8], "little", signed=True)


# --- The primitive, whose arguments are arrays of one dtype, float32 or float64 ---

_primitive = Primitive("matgrad")
_primitive.multiple_results = True


def _abstract(*arrays: Any, call: _Call) -> Any:
    shapes = [x.shape for x in arrays]
    dtype = arrays[0].dtype if arrays else jnp.result_type(float)
    return [jax.core.ShapedArray(tuple(shape), dtype) for shape in call.compiled(shapes, dtype).result_shapes(shapes)]


@functools.lru_cache(maxsize=256)
def _jitted(call: _Call) -> Any:
    return jax.jit(functools.partial(_primitive.bind, call=call))


def _lower(context: Any, *arrays: Any, call: _Call) -> Any:
    compiled = call.compiled([x.shape for x in context.avals_in], context.avals_out[0].dtype)
    context.module_context.add_keepalive(compiled)
    return jax.ffi.ffi_lowering(_TARGET)(context, *arrays, function=np.int64(compiled.number))


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, call: _Call) -> Any:
    chosen = tuple(k for k, tangent in enumerate(tangents) if type(tangent) is not ad.Zero)
    values = _primitive.bind(*primals, call=call)
    return values, _primitive.bind(*primals, *(tangents[k] for k in chosen), call=call.pushforward(chosen))


def _transpose(cotangents: Sequence[Any], *arrays: Any, call: _Call) -> Any:
    """Return Σ u ∂y/∂x for the arguments x that aren't known, in which it is linear."""
    linear = [k for k, x in enumerate(arrays) if ad.is_undefined_primal(x)]
    known = [jnp.zeros(x.aval.shape, x.aval.dtype) if ad.is_undefined_primal(x) else x for x in arrays]
    chosen = tuple(linear)
    flags = call.is_stacked
    if call.operation.tangent_of is not None:
        operation, variables = call.operation.tangent_of
        if linear[0] >= operation.count:
            chosen = tuple(variables[k - operation.count] for k in linear)
            known = known[: operation.count]
            call = _Call(operation, call.stack_ndim, call.flags[: operation.count])
    gradients = _primitive.bind(
        *known, *map(ad.instantiate_zeros, cotangents), call=call.pullback(chosen, len(cotangents))
    )
    results: list[Any] = [None] * len(arrays)
    for k, gradient in zip(linear, gradients, strict=True):
        results[k] = gradient if flags[k] or not call.stack_ndim else gradient.sum(tuple(range(call.stack_ndim)))
    return results


def _batch(arrays: Sequence[Any], dims: Sequence[Any], *, call: _Call) -> Any:
    """Add an axis to the stack, in front of the arguments that have it."""
    size = next(x.shape[dim] for x, dim in zip(arrays, dims, strict=True) if dim is not None)
    flags = tuple(flag or dim is not None for flag, dim in zip(call.is_stacked, dims, strict=True))
    moved = [x if dim is None else jnp.moveaxis(x, dim, 0) for x, dim in zip(arrays, dims, strict=True)]
    stack = call.stack([x.shape[dim is not None :] for x, dim in zip(moved, dims, strict=True)])
    for k, (x, dim) in enumerate(zip(moved, dims, strict=True)):
        if call.is_stacked[k] and dim is None:
            moved[k] = jnp.broadcast_to(x, (size, *x.shape))
        elif flags[k] and not call.is_stacked[k] and stack:
            core = x.shape[1:]
            moved[k] = jnp.broadcast_to(x.reshape(size, *(1 for _ in stack), *core), (size, *stack, *core))
    values = _primitive.bind(*moved, call=_Call(call.operation, call.stack_ndim + 1, flags))
    return values, [0] * len(values)


def _register() -> None:
    """Tell JAX the primitive's rules, and XLA the handler."""
    _primitive.def_abstract_eval(_abstract)
    _primitive.def_impl(lambda *arrays, call: _jitted(call)(*arrays))
    mlir.register_lowering(_primitive, _lower, platform="cpu")
    ad.primitive_jvps[_primitive] = _jvp
    ad.primitive_transposes[_primitive] = _transpose
    batching.primitive_batchers[_primitive] = _batch
    header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h").read_text(encoding="utf-8")
    major, minor = (int(n) for n in re.findall(r"define XLA_FFI_API_(?:MAJOR|MINOR) (\d+)", header))
    known_major, known_minor = _core.xla_version()
    if major != known_major:
        raise ImportError(f"{_NAME}: XLA's foreign function interface has version {major}.{minor}, which is not known")
    handler = _core.xla_handler(min(minor, known_minor))
    jax.ffi.register_ffi_target(_TARGET, handler, platform="cpu")


_register()

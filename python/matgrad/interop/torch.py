"""PyTorch: expressions, closed forms and NumPy functions as differentiable functions of tensors."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .._expr import Expr
from .._program import called
from .._tree import Structure, flatten, unflatten
from ._operation import Operation, Traced, formula

_NAME = "torch.function"


def function(fun: Any, *symbols: Expr) -> Callable[..., Any]:
    """
    Return a differentiable function of tensors that matgrad computes.

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
        Takes tensors of float32 or float64 on the CPU, of any strides, without copying them. It returns what `fun`
        returns, tensors in place of arrays. Arguments may be tuples, lists and dicts of tensors. Integer tensors, and
        what isn't a tensor, are data, by which it isn't differentiable.

    Raises
    ------
    TypeError
        If `fun` is neither; when called, if a tensor is on another device, or has another dtype or layout.

    Notes
    -----
    It is a `torch.autograd.Function`: derivatives of all orders, in reverse and in forward mode, are expressions as
    well, derived and compiled when they are first asked for; only gradients by tensors that require one are computed.
    It works under `torch.vmap` and the transforms of `torch.func`, a stack of problems being computed together. What
    containers a NumPy function returns may depend on those of its arguments only.

    Examples
    --------
    >>> import matgrad as mg
    >>> import torch
    >>> A, x = mg.matrix("A"), mg.vector("x")
    >>> f = mg.interop.torch.function(x @ A @ x, A, x)
    >>> x0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    >>> f(torch.eye(2, dtype=torch.float64), x0).backward()
    >>> x0.grad
    tensor([2., 4.], dtype=torch.float64)
    """
    if callable(fun) and not isinstance(fun, Expr):
        if symbols:
            raise TypeError(f"{_NAME}: symbols belong to expressions, but fun is a function")
        return _of_callable(fun)
    if not isinstance(fun, (Expr, list, tuple)):
        raise TypeError(f"{_NAME}: fun is {fun!r} but must be an expression, a list of them, or callable")
    call = _Call(formula(_NAME, fun, symbols))
    single = isinstance(fun, Expr)

    def of_tensors(*tensors: Any) -> Any:
        if len(tensors) != call.operation.count:
            raise TypeError(f"{_NAME}: takes {call.operation.count} arguments but got {len(tensors)}")
        values = _Function.apply(call, *tensors)
        return values[0] if single else values

    return of_tensors


def _of_callable(fun: Callable[..., Any]) -> Callable[..., Any]:
    calls: dict[Structure, _Call] = {}
    results: dict[Structure, Structure] = {}

    def call_for(structure: Structure, count: int) -> _Call:
        def outputs(leaves: Sequence[Any]) -> list[Any]:
            values: list[Any] = []
            found = flatten(called(fun, unflatten(structure, iter(leaves))), values)
            if results.setdefault(structure, found) != found:
                raise TypeError(f"{_NAME}: the function returns other containers than it did for other arguments")
            return values

        return _Call(Traced(_NAME, fun, count, outputs))

    def of_tensors(*args: Any) -> Any:
        leaves: list[Any] = []
        structure = flatten(args, leaves)
        call = calls.get(structure)
        if call is None:
            call = calls[structure] = call_for(structure, len(leaves))
        values = _Function.apply(call, *leaves)
        result = results[structure]
        return values[0] if result is None else unflatten(result, iter(values))

    return of_tensors


class _Call(NamedTuple):
    """An operation, and for a stack of problems its shape, and which arguments have these axes in front."""

    operation: Operation
    stack: tuple[int, ...] = ()
    is_stacked: tuple[bool, ...] = ()

    def pullback(self, chosen: tuple[int, ...], results: int) -> _Call:
        return _Call(self.operation.pullback(chosen, results), self.stack, self._flags() + (True,) * results)

    def pushforward(self, chosen: tuple[int, ...]) -> _Call:
        flags = self._flags()
        return _Call(self.operation.pushforward(chosen), self.stack, flags + tuple(flags[k] for k in chosen))

    def stacked(self, size: int, in_dims: Sequence[int | None], leaves: Sequence[Any]) -> tuple[_Call, list[Any]]:
        """Return the call for one more axis of the stack, and its arguments, which have it in front."""
        flags = tuple(flag or dim is not None for flag, dim in zip(self._flags(), in_dims, strict=True))
        moved = []
        for x, dim, was_stacked, is_stacked in zip(leaves, in_dims, self._flags(), flags, strict=True):
            if is_stacked:
                inner = 0 if was_stacked else len(self.stack)
                front = x.movedim(dim, 0) if dim is not None else x.unsqueeze(0)
                core = front.shape[1 + (0 if inner else len(self.stack)) :]
                x = front[(slice(None), *(None,) * inner)].expand(size, *self.stack, *core)
            moved.append(x)
        return _Call(self.operation, (size, *self.stack), flags), moved

    def compute(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """Return the values, arrays or scalars."""
        if not self.stack:
            return self.operation.call(*arrays)
        arrays = [_floating(x) if flag else x for x, flag in zip(arrays, self.is_stacked, strict=True)]
        examples = [self._first(x) if flag else x for x, flag in zip(arrays, self.is_stacked, strict=True)]
        function, inputs, outputs = self.operation.evaluation(*examples)
        values = function.map(*(arrays[k] if isinstance(k, int) else k[0] for k in inputs))
        several = values if isinstance(values, tuple) else (values,)
        return [several[k] for k in outputs]

    def _flags(self) -> tuple[bool, ...]:
        return self.is_stacked or (False,) * self.operation.count

    def _first(self, x: Any) -> Any:
        """Return the argument of one problem."""
        ndim = len(self.stack)
        return x[(0,) * ndim] if 0 not in self.stack else np.zeros(x.shape[ndim:], x.dtype)


class _Positional(inspect.Signature):
    """The signature of `forward`, which has no defaults; binding to it, as `apply` does at each call, takes no time."""

    class _Bound:
        kwargs: dict[str, Any] = {}  # noqa: RUF012

        def __init__(self, args: tuple[Any, ...]) -> None:
            self.args = args

        def apply_defaults(self) -> None:
            """Leave the arguments as they are."""

    def bind(self, *args: Any) -> Any:
        """Return the arguments as they are."""
        return self._Bound(args)


class _Function(torch.autograd.Function):  # type: ignore[misc]
    """A call, of which the derivatives are calls again. The arguments are a `_Call`, and what it takes."""

    @staticmethod
    def forward(call: _Call, *leaves: Any) -> tuple[Any, ...]:
        tracing = sys.modules.get("torch.fx.experimental.proxy_tensor")
        if tracing is not None and tracing.get_proxy_mode() is not None:
            raise NotImplementedError(f"{_NAME}: PyTorch can't trace it (torch.func.linearize, torch.export, make_fx)")
        arrays = [_array(x) if isinstance(x, torch.Tensor) else x for x in leaves]
        return tuple(torch.from_numpy(np.asarray(y)) for y in call.compute(arrays))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.call, *leaves = inputs
        tensors = [x if isinstance(x, torch.Tensor) else None for x in leaves]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.others = [None if isinstance(x, torch.Tensor) else x for x in leaves]
        ctx.dtypes = [y.dtype for y in output]

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> tuple[Any, ...]:
        leaves = _leaves(ctx)
        chosen = tuple(k for k in range(len(leaves)) if ctx.needs_input_grad[1 + k])
        call = ctx.call.pullback(chosen, len(cotangents))
        gradients: list[Any] = [None] * (1 + len(leaves))
        for k, gradient in zip(chosen, _Function.apply(call, *leaves, *cotangents), strict=True):
            if call.stack and not call.is_stacked[k]:
                gradient = gradient.sum(tuple(range(len(call.stack))))
            gradients[1 + k] = gradient.to(leaves[k].dtype)
        return tuple(gradients)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Any) -> tuple[Any, ...]:
        chosen = tuple(k for k, t in enumerate(tangents) if t is not None)
        call = ctx.call.pushforward(chosen)
        values = _Function.apply(call, *_leaves(ctx), *(tangents[k] for k in chosen))
        return tuple(value.to(dtype) for value, dtype in zip(values, ctx.dtypes, strict=True))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], call: _Call, *leaves: Any) -> tuple[Any, Any]:
        stacked, moved = call.stacked(info.batch_size, in_dims[1:], leaves)
        values = _Function.apply(stacked, *moved)
        return values, (0,) * len(values)


_Function.forward.__signature__ = _Positional()  # type: ignore[attr-defined]


def _leaves(ctx: Any) -> list[Any]:
    """Return the arguments of a call."""
    return [other if x is None else x for x, other in zip(ctx.saved_tensors, ctx.others, strict=True)]


_TYPES = frozenset((torch.Tensor, torch.nn.Parameter, torch.nn.Buffer))
_DTYPES = frozenset(
    (torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
)


def _array(x: Any) -> Any:
    """Return a tensor as an array that shares its memory."""
    if type(x) in _TYPES and x.is_cpu and x.layout is torch.strided and x.dtype in _DTYPES:
        return x.numpy(force=True)
    if type(x) not in _TYPES:  # such as those without memory that stand for others while PyTorch traces
        raise TypeError(f"{_NAME}: a tensor is a {type(x).__name__} but must be a torch.Tensor with values of its own")
    if not x.is_cpu:
        raise TypeError(f"{_NAME}: a tensor is on the device {x.device} but must be on the CPU")
    if x.layout is not torch.strided:
        raise TypeError(f"{_NAME}: a tensor has layout {x.layout} but must be dense")
    raise TypeError(f"{_NAME}: a tensor has dtype {x.dtype} but must be torch.float32, torch.float64 or integer")


def _floating(x: Any) -> Any:
    return x if x.dtype.kind == "f" else x.astype(np.float64)

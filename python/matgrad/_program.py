"""What the programs of transforms are made of: what functions return, and their derivatives by trees of symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import _core
from ._entries import holds_expressions
from ._expr import Expr, as_expr, union
from ._trace import Output, Tracer, like_function
from ._tracing import TRACING
from ._tree import leaves, mapped

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def transform(
    name: str,
    fun: Function,
    program: Function,
    argnums: Argnums | None,
    made: tuple[Any, ...],
    tracer: type[Tracer] = Tracer,
) -> Function:
    """
    Return the callable that does what `program` says, and can be pickled as what was made by made[0](*made[1:]).

    `argnums` None stands for all arguments.
    """
    if not callable(fun):
        raise TypeError(f"{name}: fun is {fun!r} but must be callable")
    numbers = () if argnums is None else argnums if isinstance(argnums, tuple) else (argnums,)
    if argnums == () or not all(isinstance(k, int) for k in numbers):
        raise TypeError(f"{name}: argnums is {argnums!r} but must be an int or a tuple of ints")

    def positions(count: int) -> set[int]:
        if argnums is None:
            return set(range(count))
        if not all(-count <= k < count for k in numbers):
            raise ValueError(f"{name}: argnums is {argnums!r} but there are {count} positional arguments")
        return {k % count for k in numbers}

    return like_function(tracer(name, fun, program, positions).dispatcher, fun, name, made)  # type: ignore[no-any-return]


def called(fun: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Any:
    """Call a function with arguments of its own, which it may assign to."""

    def own(leaf: Any) -> Any:
        if isinstance(leaf, Expr):
            return Expr(leaf._node, leaf._symbols)
        return leaf.copy() if type(leaf) is np.ndarray else leaf

    return fun(*mapped(own, args), **mapped(own, kwargs or {}))


def pair(name: str, returned: Any, has_aux: bool) -> tuple[Any, Any]:
    """Return what a function returned as its value and the auxiliary result."""
    if not has_aux:
        return returned, None
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TypeError(f"{name}: with has_aux=True the function must return a pair (value, aux)")
    return returned


def expression(name: str, returned: Any) -> Expr:
    """Return what a function returned as an expression; raise TypeError if it is none and no array."""
    if returned is None or isinstance(returned, (tuple, dict, str)):
        raise TypeError(f"{name}: the function returns a {type(returned).__name__} but must return an array")
    value = as_expr(name, returned)
    if tracing := TRACING.get():
        tracing.values.append((value._node, value._symbols.values()))
    return value


def expressions(name: str, returned: Any) -> Any:
    """Return what a function returned as a tree of expressions."""
    if returned is None:
        return expression(name, returned)
    return mapped(lambda leaf: expression(name, leaf), returned)


def outputs(tree: Any) -> Any:
    """Return a tree with its expressions, and arrays of them, as outputs."""

    def output(leaf: Any) -> Any:
        is_expression = isinstance(leaf, Expr) or holds_expressions(leaf)
        return Output(as_expr("the result", leaf)) if is_expression else leaf

    return mapped(output, tree)


def chosen(args: tuple[Any, ...], argnums: Argnums) -> Any:
    """Return the arguments to differentiate by."""
    return args[argnums] if isinstance(argnums, int) else tuple(args[k] for k in argnums)


def diff(y: Expr, variables: list[Expr]) -> list[Expr]:
    """Return the derivatives of y by symbols."""
    symbols = union([y, *variables])
    return [Expr(node, symbols) for node in _core.diff(y._node, [x._node for x in variables], "auto")]


def derivatives(y: Expr, variables: Any, like: bool = False, structured: bool = False) -> Any:
    """Return a tree of derivatives of y, by a tree of symbols; `like` them in precision, or `structured`."""
    found = iter(diff(y, leaves(variables)))
    return mapped(lambda x: Output(next(found), x if like else None, x.ndim if structured else None), variables)


def one_element(name: str, y: Expr) -> Expr:
    """Return a function's value without axes, or raise ValueError if it has more than one element."""
    if y.ndim == 0:
        return y
    shape = y.shape
    if any(not isinstance(length, int) or length != 1 for length in shape):
        raise ValueError(
            f"{name}: the function returns an array of shape {shape} but must return one element; "
            "mg.jacobian differentiates functions that return arrays"
        )
    return y.reshape(())

"""What traced arrays share: an assignment to one is seen by its base and by all views, as it is of NumPy's arrays."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import Node
from ._operands import Symbols, merged
from ._tracing import SCOPE, TRACING, UnknownLength


class Source(NamedTuple):
    """
    What an array is a view of.

    `get` is how it follows from its base, `put` the base from the old base and it, None if it is read-only; `of_array`
    is what NumPy does. Where that may be a copy, by lengths that aren't known, `is_certain` is False.
    """

    base: Any
    get: Callable[[Node], Node]
    put: Callable[[Node, Node], Node] | None
    of_array: Callable[[NDArray[Any]], NDArray[Any]]
    is_certain: bool


def viewed(
    base: Any,
    get: Callable[[Node], Node],
    put: Callable[[Node, Node], Node] | None,
    of_array: Callable[[NDArray[Any]], NDArray[Any]],
    may_copy: bool = False,
) -> Any:
    """Return an expression that follows from another; of a traced array that can be assigned to it is a view."""
    view = type(base)(get(base._node), base._symbols)
    if not is_assignable(base):
        return view
    is_certain = True
    if may_copy and base._source is not None:  # one that is no view is taken to be in C order
        is_certain = all(isinstance(length, int) for length in base._node.shape)
        if is_certain and not np.may_share_memory(array := _layout(base), of_array(array)):
            return view
    view._source = Source(base, get, put, of_array, is_certain)
    if base._views is None:
        base._views = weakref.WeakValueDictionary()
    base._views[id(view)] = view
    return view


def _layout(x: Any) -> NDArray[Any]:
    """Return an array without values that lies in memory as NumPy's would; a large one takes up no memory."""
    if x._source is None:
        return np.empty(x._node.shape, np.int8)
    source: Source = x._source
    return source.of_array(_layout(source.base))


def is_assignable(x: Any) -> bool:
    """Whether an expression is an array of the function that a transform calls right now."""
    return x._scope is not None and x._scope is SCOPE.get()


def require_assignable(x: Any) -> None:
    """Raise TypeError unless an expression can be assigned to."""
    if x._scope is None or SCOPE.get() is None:
        raise TypeError("an expression can't be assigned to: it is immutable")
    if not is_assignable(x):
        raise TypeError(
            "a traced array of an outer function can't be assigned to inside a function that a transform calls; "
            "return the new values from it"
        )


def write(x: Any, node: Node, symbols: Symbols) -> None:
    """Give an array that can be assigned to another value, its base and all views of it too."""
    while x._source is not None:
        base, _, put, _, is_certain = x._source
        if not is_certain:
            raise _unknown()
        if put is None:
            raise ValueError("assignment destination is read-only")
        node = put(base._node, node)
        x = base
    _refresh(x, node, merged(x._symbols, symbols))


def _refresh(x: Any, node: Node, symbols: Symbols) -> None:
    x._node, x._symbols = node, symbols
    x._function = x._entry = None
    for view in [] if x._views is None else list(x._views.values()):
        if not view._source.is_certain:
            raise _unknown()
        _refresh(view, view._source.get(node), symbols)


def known_shape(node: Node) -> tuple[int, ...]:
    """Return the lengths of an array; where they aren't known it has to be traced for this one shape."""
    if not all(isinstance(length, int) for length in node.shape):
        raise _unknown()
    return node.shape  # type: ignore[return-value]


def _unknown() -> BaseException:
    if TRACING.get():
        return UnknownLength()
    return NotImplementedError("assignment to an array whose lengths aren't known is not supported")

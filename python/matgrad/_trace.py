"""Tracing: a function of arrays is called with expressions once, and compiled for all arguments of the same kind."""

from __future__ import annotations

import copyreg
import functools
import re
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._arguments import (
    IMMUTABLE,
    Leaf,
    Mode,
    details_of,
    fresh_name,
    is_mask,
    kind_of,
    modes,
    parameter_names,
    pattern_of,
    precision_of,
    symbol_of,
)
from ._expr import Expr, as_expr
from ._numpy_protocol import NoValueError
from ._operands import merged
from ._references import names, references
from ._tracing import SCOPE, TRACING, Tracing, UnknownLength, unused
from ._tree import Structure, flatten, unflatten
from ._validate import as_float_array, is_array_like

Program = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""What a transform does with arguments that are expressions; a tree of `Output`s and constants."""


class Output:
    """
    A result of a program.

    `like` is the symbol whose precision it has, or None; `x_ndim` the number of its last axes, those of the variable,
    if it is a derivative that is kept structured.
    """

    __slots__ = ("expr", "like", "x_ndim")

    def __init__(self, expr: Expr, like: Expr | None = None, x_ndim: int | None = None) -> None:
        self.expr = expr
        self.like = like
        self.x_ndim = x_ndim


class Trace(NamedTuple):
    """A compiled function, and how arguments become its inputs and its results those of the transform."""

    function: Any
    inputs: list[int | tuple[NDArray[Any]]]  # positions among the leaves, or (array,)
    results: list[int | None]  # positions of the leaves whose precision they have
    outputs: list[Any]  # the leaves of what is returned: numbers of results, or (constant,)
    structure: Structure  # of what is returned
    kept_alive: list[Any]  # objects whose identity the trace is found by


class CapturedSymbol(Exception):
    """The function refers to an expression that isn't made of its arguments, such as an outer traced array."""


class Tracer:
    """What a transform does where its dispatcher knows no compiled function for the arguments."""

    def __init__(
        self, name: str, fun: Callable[..., Any], program: Program, argnums: Callable[[int], set[int]]
    ) -> None:
        self.name = name
        self.dispatcher = _core.Dispatcher(self.call)
        self._fun = fun
        self._program = program
        self._argnums = argnums
        self._signatures: dict[Structure, list[tuple[str, bool]]] = {}
        self._modes: dict[Hashable, Mode] = {}
        self._traces: dict[Hashable, Trace] = {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate, with a trace that is known or a new one; traced arrays give traced arrays."""
        leaves, structure = self._leaves(args, kwargs)
        if any(isinstance(leaf.value, Expr) for leaf in leaves):
            return self._nested(leaves, structure)
        leaves = [self._checked(leaf) for leaf in leaves]
        try:
            mode, trace = self._known_or_new(leaves, structure)
            try:
                results, is_exact = _evaluate(trace, leaves)
            except np.linalg.LinAlgError:
                raise
            except ValueError as error:
                mode, trace = self._for_these_lengths(leaves, structure, mode, error)
                results, is_exact = _evaluate(trace, leaves)
        except CapturedSymbol:
            return self._nested(leaves, structure)
        if is_exact and not kwargs and len(leaves) == len(args):
            self._register(trace, mode, args)
        outputs = (results[o] if isinstance(o, int) else o[0] for o in trace.outputs)
        return unflatten(trace.structure, outputs)

    def trace(self, *args: Any) -> Trace:
        """Return what computes the function, whose results are arrays, for arrays like these."""
        leaves, structure = self._leaves(args, {})
        leaves = [self._checked(leaf) for leaf in leaves]
        mode, trace = self._known_or_new(leaves, structure)
        try:
            trace.function._plan([(np.shape(x), None) for x in _inputs(trace, leaves)])
        except ValueError as error:
            mode, trace = self._for_these_lengths(leaves, structure, mode, error)
        return trace

    def formula(self, *args: Any, **kwargs: Any) -> Any:
        """Return the program's result as expressions of symbols named after the parameters."""
        leaves, structure = self._leaves(args, kwargs)
        if any(isinstance(leaf.value, Expr) for leaf in leaves):
            return self._nested(leaves, structure)
        leaves = [self._checked(leaf) for leaf in leaves]
        outputs: list[Any] = []
        tracing = Tracing(self.name)
        try:
            result = self._expressions(leaves, structure, Mode(False, True), tracing)
        except (UnknownLength, Exception):
            result = self._expressions(leaves, structure, Mode(True, True), tracing)
        shape = flatten(result, outputs)
        return unflatten(shape, (o.expr if isinstance(o, Output) else o for o in outputs))

    # --- Arguments ---

    def _leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Leaf], Structure]:
        values: list[Any] = []
        structure = flatten((args, kwargs), values)
        known = self._signatures.get(structure)
        if known is None:
            known = self._signatures[structure] = list(self._signature(args, kwargs))
        return [Leaf(name, value, is_v) for (name, is_v), value in zip(known, values, strict=True)], structure

    def _signature(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, bool]]:
        """Yield for every leaf of the arguments what it is called, and whether the transform differentiates by it."""
        chosen = self._argnums(len(args))
        taken: set[str] = set()
        for k, (name, arg) in enumerate(
            [*zip(parameter_names(self._fun, len(args)), args, strict=True), *kwargs.items()]
        ):
            paths: list[str] = []
            flatten(arg, [], paths, name)
            for path in paths:
                yield unused(re.sub(r"\W", "_", path), taken), k < len(args) and k in chosen

    def _checked(self, leaf: Leaf) -> Leaf:
        """Return a leaf whose value is a float, an array, or something that isn't traced."""
        value = leaf.value
        if type(value) is float or (type(value) is np.ndarray and value.dtype.char in "fd?bBhHiIlLqQ"):
            return leaf
        is_number = (
            isinstance(value, (np.ndarray, np.floating, list))
            or is_array_like(value)
            or (hasattr(value, "__array__") and not isinstance(value, np.generic))
        )
        return (
            leaf._replace(value=as_float_array(self.name, leaf.name, value))
            if is_number or (leaf.is_variable and value is not None)
            else leaf
        )

    # --- Tracing ---

    def _known_or_new(self, leaves: list[Leaf], structure: Structure) -> tuple[Mode, Trace]:
        """Return a trace for arguments of this kind."""
        if not self.dispatcher._is_current():
            self._traces.clear()
        key = (structure, *(kind_of(leaf) for leaf in leaves))
        mode = self._modes.get(key)
        trace = None if mode is None else self._traces.get((mode, key, *details_of(leaves, mode)))
        if mode is None or trace is None:
            return self._remembered(leaves, structure, mode, key)
        return mode, trace

    def _for_these_lengths(
        self, leaves: list[Leaf], structure: Structure, mode: Mode, error: ValueError
    ) -> tuple[Mode, Trace]:
        """
        Trace where the general trace raised an error, which is raised if this does.

        What lengths are decides what some functions do, such as the diagonal of an oblong matrix.
        """
        renamed = type(error)(str(error).replace("Function:", f"{self.name}:", 1))
        if mode.fixed_lengths:
            raise renamed from None
        key = (structure, *(kind_of(leaf) for leaf in leaves))
        try:
            return self._remembered(leaves, structure, mode._replace(fixed_lengths=True), key)
        except CapturedSymbol:
            raise
        except Exception:
            raise renamed from None

    def _remembered(
        self, leaves: list[Leaf], structure: Structure, mode: Mode | None, key: Hashable
    ) -> tuple[Mode, Trace]:
        """Trace, and keep the trace for arguments of this kind."""
        mode, trace = self._trace(leaves, structure, mode)
        if len(self._traces) == _MOST_TRACES:
            self._traces.pop(next(iter(self._traces)))
        self._modes[key] = mode
        self._traces[mode, key, *details_of(leaves, mode)] = trace
        return mode, trace

    def _trace(self, leaves: list[Leaf], structure: Structure, known: Mode | None) -> tuple[Mode, Trace]:
        error, error_is_final = None, False
        ways = modes(leaves)
        for mode in ways[ways.index(known) if known else 0 :]:
            try:
                trace = self._traced(leaves, structure, mode)
            except UnknownLength:
                continue
            except CapturedSymbol:
                raise
            except Exception as problem:
                if error is None or not error_is_final:
                    error, error_is_final = problem, mode.fixed_lengths  # known lengths make better messages
                continue
            self.dispatcher._rely_on(references(self._fun))
            return mode, trace
        assert error is not None
        if isinstance(error.__cause__, NoValueError):  # which NumPy turned into an error without words for it
            raise error.__cause__ from None
        raise error

    def _traced(self, leaves: list[Leaf], structure: Structure, mode: Mode) -> Trace:
        found = references(self._fun)
        tracing = Tracing(self.name, names(found), {leaf.name for leaf in leaves}, precision_of(leaves))
        may_capture = TRACING.get() is not None or any(isinstance(content, Expr) for *_, content in found)
        symbols = [symbol_of(leaf, mode, fresh_name(leaf.name) if may_capture else leaf.name) for leaf in leaves]
        outputs: list[Any] = []
        result_structure = flatten(self._expressions(leaves, structure, mode, tracing, symbols), outputs)
        position = {s._node: k for k, s in enumerate(symbols) if s is not None}
        results: dict[tuple[Any, int | None, int | None], int] = {}
        arranged: list[Any] = []
        for o in outputs:
            if isinstance(o, Output):
                like = None if o.like is None else position[o.like._node]
                arranged.append(results.setdefault((o.expr._node, like, o.x_ndim), len(results)))
            else:
                arranged.append((o,))
        nodes = [*position, *(array.node for array in tracing.inputs)]
        if {name for node, *_ in results for name in _core.symbol_names(node)} - {node.name for node in nodes}:
            raise CapturedSymbol
        input_names = [*(leaves[k].name for k in position.values()), *(array.name for array in tracing.inputs)]
        checked = [value for value, symbols_in_it in tracing.values if {*symbols_in_it} <= {*nodes}]
        function = _function([(node, x_ndim) for node, _, x_ndim in results], nodes, input_names, checked)
        inputs: list[Any] = [*position.values(), *((array.source,) for array in tracing.inputs)]
        likes = [like for _, like, _ in results]
        data = [
            (leaf.value, references(leaf.value))
            for leaf, symbol in zip(leaves, symbols, strict=True)
            if symbol is None and not isinstance(leaf.value, (np.ndarray, *IMMUTABLE))
        ]
        return Trace(function, inputs, likes, arranged, result_structure, data)

    def _expressions(
        self,
        leaves: list[Leaf],
        structure: Structure,
        mode: Mode,
        tracing: Tracing,
        symbols: list[Expr | None] | None = None,
    ) -> Any:
        symbols = [symbol_of(leaf, mode, leaf.name) for leaf in leaves] if symbols is None else symbols
        values = (leaf.value if s is None else s for leaf, s in zip(leaves, symbols, strict=True))
        tracing.bools = {s._node for leaf, s in zip(leaves, symbols, strict=True) if s is not None and is_mask(leaf)}
        token = TRACING.set(tracing)
        try:
            return self._called(unflatten(structure, values))
        finally:
            TRACING.reset(token)

    def _called(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        """Run the program in a scope of its own."""
        token = SCOPE.set(object())
        try:
            return self._program(*arguments)
        finally:
            SCOPE.reset(token)

    def _nested(self, leaves: list[Leaf], structure: Structure) -> Any:
        """Differentiate by symbols of our own, then put the traced arrays in their place."""
        values: list[Any] = []
        replaced: list[tuple[Any, Any]] = []
        known: Any = {}
        for leaf in leaves:
            value = leaf.value
            if leaf.is_variable and value is not None:
                value = as_expr(self.name, value)
                known = merged(known, value._symbols)
                name = fresh_name(leaf.name)
                symbol = _core.symbol(name, value._node.shape, False)
                replaced.append((symbol, value._node))
                value = Expr(symbol, {name: symbol})
            values.append(value)
        fresh = {symbol for symbol, _ in replaced}

        def outer(output: Any) -> Any:
            if not isinstance(output, Output):
                return output
            own = {name: s for name, s in output.expr._symbols.items() if s not in fresh}
            return Expr(_core.substitute(output.expr._node, replaced), merged(known, own))

        outputs: list[Any] = []
        returned = [] if (tracing := TRACING.get()) is None else tracing.values
        first = len(returned)
        result = flatten(self._called(unflatten(structure, iter(values))), outputs)
        for k, (node, symbols) in enumerate(returned[first:], first):
            others = [s for s in symbols if s not in fresh]
            returned[k] = (_core.substitute(node, replaced), [*known.values(), *others])
        return unflatten(result, map(outer, outputs))

    def _register(self, trace: Trace, mode: Mode, args: tuple[Any, ...]) -> None:
        """Let the dispatcher call the compiled function itself from now on, if it can tell that it fits."""
        if not isinstance(trace.function, _core.Function):
            return
        patterns = [pattern_of(arg, mode) for arg in args]
        form = _form(trace.structure, iter(trace.outputs))
        if form is not None and all(pattern is not None for pattern in patterns):
            returned = 0 if len(trace.results) == 1 else tuple(range(len(trace.results)))
            self.dispatcher._add(patterns, trace.function, trace.inputs, None if form == returned else form)


_MOST_TRACES = 256


def _function(
    results: list[tuple[Any, int | None]], symbols: list[Any], names: list[str], checked: list[Any]
) -> Callable[..., Any]:
    """
    Compile results, of which those that have a number of axes of a variable are kept structured.

    The function returns a tuple, or its only result if that isn't structured.
    """
    if all(x_ndim is None for _, x_ndim in results):
        return _core.Function([node for node, _ in results], symbols, names, len(results) == 1, checked)
    from ._structured import structured_function  # imports SciPy

    return structured_function(results, symbols, names, checked)


def _inputs(trace: Trace, leaves: list[Leaf]) -> list[Any]:
    """Return the inputs of the compiled function."""
    return [leaves[k].value if isinstance(k, int) else k[0] for k in trace.inputs]


def _evaluate(trace: Trace, leaves: list[Leaf]) -> tuple[list[Any], bool]:
    """Return the results, in the precision that they must have, and whether they had it."""
    returned = trace.function(*_inputs(trace, leaves))
    results = [*returned] if isinstance(returned, tuple) else [returned]
    is_exact = True
    for k, like in enumerate(trace.results):
        if like is not None:
            wanted = np.dtype(np.float32 if getattr(leaves[like].value, "dtype", None) == np.float32 else np.float64)
            if results[k].dtype != wanted:
                is_exact = False
                results[k] = results[k].astype(wanted)
    return results, is_exact


def _form(structure: Structure, outputs: Iterator[Any]) -> Any:
    """Return a tree of numbers of results as nested tuples; None where it has other things in it."""
    if structure is None:
        output = next(outputs)
        return output if isinstance(output, int) else None
    if structure[0] is not tuple:
        return None
    forms = tuple(_form(part, outputs) for part in structure[2])
    return None if None in forms else forms


def like_function(dispatcher: Any, fun: Callable[..., Any], name: str, made: tuple[Any, ...]) -> Any:
    """Give a dispatcher the attributes of a function that was made of `fun`, by calling made[0](*made[1:])."""
    functools.update_wrapper(dispatcher, fun)
    dispatcher.__name__ = f"{name}({getattr(fun, '__name__', type(fun).__name__)})"
    dispatcher._made = made
    return dispatcher


def _reduced(dispatcher: Any) -> tuple[Any, ...]:
    return dispatcher._made[0], dispatcher._made[1:]


copyreg.pickle(_core.Dispatcher, _reduced)

"""Functions as other libraries differentiate them: several arrays in, several arrays out, and derivatives likewise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import _core
from .._compile import check_names, checked_by
from .._directional import inner, symbol_like
from .._expr import Expr, union
from .._program import diff, expression
from .._trace import Output, Tracer

Arguments = tuple[Any, ...]
Rule = Callable[[Sequence[Expr], list[Expr], Sequence[Expr]], list[Expr]]
"""From values, symbols to differentiate by, and vectors: derivatives times vectors."""


class Evaluation(NamedTuple):
    """A compiled function: where its inputs are among the arguments, and the operation's results among its own."""

    function: _core.Function
    inputs: Sequence[int | tuple[Any]]  # positions, or (array,) for an array that isn't an argument
    outputs: Sequence[int]


class Operation(ABC):
    """
    A function of `count` arrays, `call`, that returns a tuple of arrays.

    Derivatives times vectors are operations again, each made once.
    """

    call: Callable[..., tuple[Any, ...]]

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.count = count
        self.tangent_of: tuple[Operation, tuple[int, ...]] | None = None  # for a pushforward, what it was asked of
        self.compiled: dict[Any, Any] = {}  # what an adapter makes of evaluations
        self._derived: dict[tuple[Rule, tuple[int, ...]], Operation] = {}

    @abstractmethod
    def evaluation(self, *examples: Any) -> Evaluation:
        """Return what computes it for arguments like these: their kinds and axes matter, and perhaps their lengths."""

    @abstractmethod
    def _derive(self, rule: Rule, chosen: tuple[int, ...], vectors: int) -> Operation:
        """Return the operation that takes vectors after the arguments."""

    def pullback(self, chosen: tuple[int, ...], results: int) -> Operation:
        """Return (x…, u…) → Σ u ∂y/∂x for the chosen x; there is a u for each of the results."""
        return self._known_or_new(_pullback, chosen, results)

    def pushforward(self, chosen: tuple[int, ...]) -> Operation:
        """Return (x…, t…) → Σ ∂y/∂x t for every result; there is a t for each chosen x."""
        derived = self._known_or_new(_pushforward, chosen, len(chosen))
        derived.tangent_of = self, chosen
        return derived

    def _known_or_new(self, rule: Rule, chosen: tuple[int, ...], vectors: int) -> Operation:
        known = self._derived.get((rule, chosen))
        if known is None:
            known = self._derived[rule, chosen] = self._derive(rule, chosen, vectors)
        return known


class Traced(Operation):
    """What a NumPy function computes; `outputs` calls it with expressions in place of arrays."""

    def __init__(
        self, name: str, fun: Callable[..., Any], count: int, outputs: Callable[[Arguments], Sequence[Any]]
    ) -> None:
        super().__init__(name, count)
        self._fun = fun
        self._outputs = outputs

        def program(args: Arguments, _: dict[str, Any]) -> Any:
            return tuple(map(Output, self._values(args)))

        self._tracer = Tracer(name, fun, program, lambda _: set())
        self.call = self._tracer.dispatcher

    def evaluation(self, *examples: Any) -> Evaluation:
        """Return what computes it for arguments like these."""
        trace = self._tracer.trace(*examples)
        return Evaluation(trace.function, trace.inputs, trace.outputs)

    def _values(self, args: Arguments) -> list[Expr]:
        return [expression(self.name, value) for value in self._outputs(args)]

    def _derive(self, rule: Rule, chosen: tuple[int, ...], vectors: int) -> Operation:
        def outputs(args: Arguments) -> list[Expr]:
            values = self._values(args[: self.count])
            return rule(values, [args[k] for k in chosen], args[self.count :])

        return Traced(self.name, self._fun, self.count + vectors, outputs)


class Formula(Operation):
    """The values of expressions, by their symbols."""

    def __init__(
        self, name: str, results: Sequence[Expr], symbols: Sequence[Expr], checked: Sequence[_core.Node] = ()
    ) -> None:
        super().__init__(name, len(symbols))
        self._results = results
        self._symbols = symbols
        self._checked = [*checked, *(node for e in results for node in checked_by(e, union([*symbols])))]
        nodes = [symbol._node for symbol in symbols]
        names = [str(symbol.name) for symbol in symbols]
        function = _core.Function([e._node for e in results], nodes, names, False, self._checked)
        self.call = function
        self._evaluation = Evaluation(function, range(len(symbols)), range(len(results)))

    def evaluation(self, *_: Any) -> Evaluation:
        """Return what computes it, for any arguments."""
        return self._evaluation

    def _derive(self, rule: Rule, chosen: tuple[int, ...], vectors: int) -> Operation:
        variables = [self._symbols[k] for k in chosen]
        alike = self._results if rule is _pullback else variables
        added = [symbol_like(f"<{self.count + k}>", e) for k, e in enumerate(alike)]
        checked = [*self._checked, *(e._node for e in self._results)]
        results = rule(self._results, variables, added)
        return Formula(self.name, results, [*self._symbols, *added], checked)


def formula(name: str, results: Any, symbols: Sequence[Any]) -> Formula:
    """Return the operation for an expression or several, and their symbols; raise TypeError for others."""
    expressions = [results] if isinstance(results, Expr) else list(results)
    for k, e in enumerate(expressions):
        if not isinstance(e, Expr):
            raise TypeError(f"{name}: fun[{k}] is {e!r} but must be an expression")
    chosen = list(symbols) or list(Expr(node, {key: node}) for key, node in union(expressions).items())
    for symbol in chosen:
        if not isinstance(symbol, Expr) or symbol.name is None:
            raise TypeError(f"{name}: {symbol!r} is not a symbol, and an argument stands for a symbol only")
    check_names(f"{name}: the expression", expressions, [str(symbol.name) for symbol in chosen])
    return Formula(name, expressions, chosen)


def _pullback(values: Sequence[Expr], variables: list[Expr], cotangents: Sequence[Expr]) -> list[Expr]:
    return diff(inner("pullback", cotangents, values), variables)


def _pushforward(values: Sequence[Expr], variables: list[Expr], tangents: Sequence[Expr]) -> list[Expr]:
    cotangents = [symbol_like(f"<cotangent {k}>", y) for k, y in enumerate(values)]
    gradients = _pullback(values, variables, cotangents)
    known = union([*values, *variables, *tangents])
    return [
        Expr(e._node, known) for e in diff(inner("pushforward", gradients, tangents), cotangents)
    ]  # it is linear in them, so they drop out

"""Explanations: how a derivative is computed at a point, forward and backward, step by step, and what it costs."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._core import Node
from ._expr import Expr
from ._operands import Symbols
from ._record import Definitions, record
from ._table import html_table, text_table
from ._tracing import unused
from ._transforms import formula
from ._validate import as_float_array

Array = NDArray[Any]


@dataclass(frozen=True)
class OneStep:
    """The derivative of a node by an operand, all else being fixed."""

    operand: str
    formula: str | None  # None if it is a number
    value: Array
    products: int  # how many of its entries aren't zero everywhere

    def __str__(self) -> str:
        return _short(self.value) if self.formula is None else f"{self.formula} = {_short(self.value)}"


@dataclass(frozen=True)
class Row:
    """A node: its name, what it is of other nodes, its value at the point, and its one-step partial derivatives."""

    name: str
    formula: str
    value: Array
    partials: list[OneStep] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """
    A table of the forward pass and of the passes that derivatives take; made by `explain`.

    Attributes
    ----------
    mode : str
        ``"reverse"`` or ``"forward"``.
    rows : list of Row
        The nodes, operands first; the last is the function.
    inputs : dict of str to ndarray
        The variables and their values.
    passes : dict
        In reverse mode by node: the adjoint, the derivative of the function by the node. In forward mode by variable,
        then by node: the tangent, the derivative of the node by the variable.
    derivatives : dict of str to ndarray
        The function's derivative by each variable.
    sweeps, multiplications : dict of str to int
        For either mode: how often the nodes are gone through after the forward pass, once for every element of the
        function (reverse) or of the variables (forward); and how many products with partial derivatives that takes.
    """

    mode: str
    rows: list[Row]
    inputs: dict[str, Array]
    passes: dict[str, Any]
    derivatives: dict[str, Array]
    sweeps: dict[str, int]
    multiplications: dict[str, int]

    def __str__(self) -> str:
        return "\n\n".join(text_table(title, table) for title, table in self._tables()) + "\n\n" + self._summary()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = "".join(html_table(title, table) for title, table in self._tables())
        return tables + f"<p>{html.escape(self._summary())}</p>"

    def to_dot(self) -> str:
        """Return the graph of the nodes in Graphviz's language, edges labelled with one-step partial derivatives."""
        lines = ["digraph {", "  rankdir=LR;"]
        lines += [f'  "{name}" [shape=box, label="{name} = {_short(value)}"];' for name, value in self.inputs.items()]
        for row in self.rows:
            lines.append(f'  "{row.name}" [label="{row.name} = {_escaped(row.formula)}\\n{_short(row.value)}"];')
            lines += [f'  "{p.operand}" -> "{row.name}" [label="{_short(p.value)}"];' for p in row.partials]
        return "\n".join([*lines, "}"])

    def _tables(self) -> list[tuple[str, list[list[str]]]]:
        forward = [["node", "is", "value", "one-step partial derivatives"]]
        forward += [[name, "input", _short(value), ""] for name, value in self.inputs.items()]
        for row in self.rows:
            steps = ";  ".join(f"∂{row.name}/∂{p.operand} = {p}" for p in row.partials)
            forward.append([row.name, row.formula, _short(row.value), steps])
        last = self.rows[-1].name
        if self.mode == "reverse":
            table = [["node", "adjoint", "from"]]
            for name, adjoint in self.passes.items():
                table.append([name, _short(adjoint), f"∂{last}/∂{name} = {self._adjoint_sum(name)}"])
            return [("Forward pass", forward), ("Backward pass", table)]
        names = [*self.inputs, *(row.name for row in self.rows)]
        table = [["node", *(f"∂/∂{x}" for x in self.passes)]]
        table += [[name, *(_short(tangents.get(name)) for tangents in self.passes.values())] for name in names]
        return [("Forward pass", forward), ("Tangents", table)]

    def _adjoint_sum(self, name: str) -> str:
        last = self.rows[-1].name
        users = [row.name for row in self.rows if any(p.operand == name for p in row.partials)]
        return " + ".join(f"∂{last}/∂{user} · ∂{user}/∂{name}" for user in users) or "1"

    def _summary(self) -> str:
        costs = (
            f"{mode} mode: {self.sweeps[mode]} {'sweep' if self.sweeps[mode] == 1 else 'sweeps'}, "
            f"{self.multiplications[mode]} multiplications"
            for mode in ("reverse", "forward")
        )
        return "\n".join(costs)


def explain(
    f: Expr | Callable[..., Any],
    wrt: Expr | str | Sequence[Expr | str] | None = None,
    at: Mapping[str, Any] | None = None,
    mode: Literal["reverse", "forward"] = "reverse",
    *,
    intermediates: Mapping[str, Expr] | None = None,
) -> Explanation:
    """
    Explain how the derivative of a function is computed at a point.

    Parameters
    ----------
    f : Expr or callable
        The function, as an expression or as a NumPy function whose parameters `at` names.
    wrt : Expr, str or sequence of these, optional
        The variables: symbols, or their names. By default all symbols.
    at : mapping of str to array_like
        A value for every symbol.
    mode : {"reverse", "forward"}
        Whether adjoints, derivatives of the function by nodes, are computed from the function down, or tangents,
        derivatives of nodes by variables, from the variables up.
    intermediates : mapping of str to Expr, optional
        The nodes of the table, by name; other nodes become part of these. By default every node, called v1, v2, …; of a
        Python function, its variables.

    Returns
    -------
    Explanation
        Prints as a table; in Jupyter as HTML. Its ``to_dot()`` is a graph for Graphviz.

    Raises
    ------
    TypeError
        If a value is missing or surplus, or a variable is no symbol of the function.
    ValueError
        If the mode is unknown, or an intermediate is no part of the function.

    Notes
    -----
    A multiplication is counted for every product of an adjoint or tangent with an entry of a one-step partial
    derivative that isn't zero everywhere, also where the entry is 1.

    Examples
    --------
    >>> import matgrad as mg
    >>> def f(x, y):
    ...     a = x * y
    ...     return (a + x) ** 2
    >>> print(mg.explain(f, ["x", "y"], at={"x": 2.0, "y": 3.0}))
    Forward pass
    node  is        value  one-step partial derivatives
    x     input     2
    y     input     3
    a     x y       6      ∂a/∂x = y = 3;  ∂a/∂y = x = 2
    f     (a + x)²  64     ∂f/∂x = 2 (a + x) = 16;  ∂f/∂a = 2 (a + x) = 16
    <BLANKLINE>
    Backward pass
    node  adjoint  from
    f     1        ∂f/∂f = 1
    a     16       ∂f/∂a = ∂f/∂f · ∂f/∂a
    x     64       ∂f/∂x = ∂f/∂a · ∂a/∂x + ∂f/∂f · ∂f/∂x
    y     32       ∂f/∂y = ∂f/∂a · ∂a/∂y
    <BLANKLINE>
    reverse mode: 1 sweep, 4 multiplications
    forward mode: 2 sweeps, 5 multiplications
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f'explain: mode is {mode!r} but must be "reverse" or "forward"')
    values = {name: as_float_array("explain", f"at[{name!r}]", value) for name, value in (at or {}).items()}
    if not isinstance(f, Expr) and not callable(f):
        raise TypeError(f"explain: f is {f!r} but must be an expression or a function")
    e = f if isinstance(f, Expr) else formula(f, **{name: value.astype(np.float64) for name, value in values.items()})
    e._check_names("explain: the expression", values)
    variables = _variables(e, wrt)
    symbols: Symbols = {name: _core.symbol(name, value.shape, False) for name, value in values.items()}
    definitions = None if isinstance(f, Expr) else record(f, symbols)
    if definitions is None or len(definitions) == 1:
        symbols, definitions = e._symbols, _definitions(e, variables, intermediates)
    rows = _rows(definitions, symbols, variables, values)
    inputs = {name: values[name] for name in variables}
    backward, forward = _adjoints(rows, inputs), _tangents(rows, inputs)
    last = rows[-1].name
    zero = {name: np.zeros(rows[-1].value.shape + value.shape) for name, value in inputs.items()}
    derivatives = {
        name: backward.get(name, zero[name]) if mode == "reverse" else forward[name].get(last, zero[name])
        for name in inputs
    }
    steps = [p for row in rows for p in row.partials]
    reached = {
        name: sum(p.products for row in rows for p in row.partials if p.operand in forward[name]) for name in inputs
    }
    size = rows[-1].value.size
    return Explanation(
        mode,
        rows,
        inputs,
        backward if mode == "reverse" else forward,
        derivatives,
        {"reverse": size, "forward": sum(value.size for value in inputs.values())},
        {
            "reverse": size * sum(p.products for p in steps),
            "forward": sum(inputs[name].size * reached[name] for name in inputs),
        },
    )


# --- The nodes ---


def _variables(f: Expr, wrt: Any) -> Symbols:
    """Return the variables by name."""
    chosen = f.symbols if wrt is None else [wrt] if isinstance(wrt, (Expr, str)) else list(wrt)
    found = {}
    for x in chosen:
        name = x if isinstance(x, str) else x.name
        if name is None or name not in f._symbols:
            raise TypeError(f"explain: {x} is not a symbol of the function; it has {', '.join(f._symbols) or 'none'}")
        found[name] = f._symbols[name]
    return found


def _rows(definitions: Definitions, symbols: Symbols, variables: Symbols, values: dict[str, Array]) -> list[Row]:
    """Return the rows of nodes that depend on variables, given each node as an expression of earlier ones."""
    rows: list[Row] = []
    nodes = {**symbols}
    position = {name: k for k, name in enumerate(variables)}
    known = {**values}
    generic = {name: _generic(name, value) for name, value in values.items()}
    for symbol, node in definitions:
        name = symbol.name or ""
        operands = [s for s in _core.topological_order([node]) if s.name in position]
        operands.sort(key=lambda s: position[s.name or ""])
        found = _core.diff(node, operands, "auto")
        function = _core.Function([node, *found], list(nodes.values()), list(nodes), False)
        value, *partials = map(np.asarray, function(*(known[s] for s in nodes)))
        pattern = function(*(generic[s] for s in nodes))
        steps = [
            OneStep(
                x.name or "", None if d.number is not None else _core.to_matrix(d), p, int(np.count_nonzero(entries))
            )
            for x, d, p, entries in zip(operands, found, partials, pattern[1:], strict=True)
        ]
        nodes[name] = symbol
        known[name], generic[name] = value, np.asarray(pattern[0])
        if operands or node is definitions[-1][1]:
            position[name] = len(position)
            rows.append(Row(name, _core.to_matrix(node), value, steps))
    return rows


def _definitions(f: Expr, variables: Symbols, named: Mapping[str, Expr] | None) -> Definitions:
    """Return every node of an expression that depends on variables, or those with names, by earlier ones."""
    taken = {*f._symbols}
    order = _core.topological_order([f._node])
    given = None if named is None else {e._node: name for name, e in named.items()}
    for node, name in (given or {}).items():
        if node not in order:
            raise ValueError(
                f"explain: the intermediate {name} is not a part of the function after simplification; a Python "
                "function is explained by its variables as it is written"
            )
    replaced: list[tuple[Node, Node]] = []
    definitions: Definitions = []
    for node in order:
        if node == f._node:
            name = unused((given or {}).get(node, "f"), taken)
        elif not _depends(node, variables) or (given is not None and node not in given):
            continue
        else:
            name = unused(given[node] if given else f"v{len(definitions) + 1}", taken)
        local = _core.substitute(node, replaced)
        definitions.append((_core.symbol(name, local.shape, False), local))
        replaced.append((node, definitions[-1][0]))
    return definitions


def _depends(node: Node, variables: Symbols) -> bool:
    """Whether an expression that is not a symbol depends on variables."""
    return node.name is None and not set(variables.values()).isdisjoint(_core.topological_order([node]))


def _generic(name: str, value: Array) -> Array:
    """Return a value at which nothing is zero by accident."""
    return np.random.default_rng(sum(name.encode())).uniform(0.5, 1.5, value.shape)


# --- The passes ---


def _adjoints(rows: list[Row], inputs: dict[str, Array]) -> dict[str, Array]:
    """Return the derivatives of the last node by all nodes, from the last to the first, then by the inputs."""
    last = rows[-1]
    found = {last.name: _identity(last.value.shape)}
    for row in reversed(rows):
        for p in row.partials:
            if row.name in found:
                product = np.tensordot(found[row.name], p.value, row.value.ndim)
                found[p.operand] = found[p.operand] + product if p.operand in found else product
    order = [*(row.name for row in reversed(rows)), *inputs]
    return {name: found[name] for name in order if name in found}


def _tangents(rows: list[Row], inputs: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """Return the derivatives of all nodes by each input, from the first to the last."""
    passes = {}
    for name, value in inputs.items():
        found = passes[name] = {name: _identity(value.shape)}
        for row in rows:
            for p in row.partials:
                if p.operand in found:
                    ndim = p.value.ndim - row.value.ndim
                    product = np.tensordot(p.value, found[p.operand], ndim)
                    found[row.name] = found[row.name] + product if row.name in found else product
    return passes


def _identity(shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape))
    return np.eye(size).reshape(shape + shape)


# --- Printing ---


def _short(value: Any) -> str:
    """Return an array in one line."""
    if value is None:
        return "0"
    with np.printoptions(precision=5, threshold=12, edgeitems=2, suppress=True):
        return f"{value:.6g}" if value.ndim == 0 else " ".join(np.array2string(value).split())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

"""The text parser of the command line: it walks Python's syntax tree over a whitelist and never evaluates anything."""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from . import _functions
from ._core import Node
from ._expr import Expr
from ._layout import vec
from ._numpy_protocol import FUNCTIONS, SPECIAL, UFUNCS
from ._symbols import matrix, scalar, vector

_GREEK = (
    "alpha beta gamma delta epsilon eps zeta eta theta iota kappa lam mu nu xi omicron rho sigma tau upsilon phi chi "
    "psi omega"
)
_SCALARS = {"r", "s", "t", *_GREEK.split()}
_NUMBERS = {"pi": math.pi, "inf": math.inf}

_OWN = {
    name: getattr(_functions, name)
    for name in ("logsumexp", "softmax", "log_softmax", "sigmoid", "softplus", "relu", "logdet", "expm")
} | {"vec": vec}
_SPECIAL = SPECIAL | {"digamma": SPECIAL["psi"], "jn": SPECIAL["jv"], "zeta": SPECIAL["_zeta"]}
_SPECIAL["polygamma"] = _functions.polygamma
_METHODS = frozenset(
    ["sum", "mean", "prod", "max", "min", "var", "std", "dot", "trace", "diagonal", "transpose", "ravel", "clip"]
)
_ALIASES = {
    "tr": FUNCTIONS["trace"],
    "abs": UFUNCS["absolute"],
    "asin": UFUNCS["arcsin"],
    "acos": UFUNCS["arccos"],
    "atan": UFUNCS["arctan"],
}
_BARE: Mapping[str, Callable[..., Any]] = {
    **{name: f for name, f in UFUNCS.items() if "." not in name},
    **{name.removeprefix("linalg."): f for name, f in FUNCTIONS.items()},
    **_ALIASES,
    **_OWN,
}
"""What may be called by its name alone."""
_QUALIFIED: Mapping[str, Callable[..., Any]] = {
    **{f"np.{name}": f for name, f in {**UFUNCS, **FUNCTIONS}.items()},
    **{f"mg.{name}": f for name, f in _OWN.items()},
    # these don't take their names from symbols, some of which are Greek letters
    **{f"{prefix}{name}": f for name, f in _SPECIAL.items() for prefix in ("", "special.", "scipy.special.")},
}

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_HINTS: Mapping[type[ast.AST], str] = {
    ast.BitXor: "a power is written **",
    ast.Tuple: "several expressions can't be derived at once",
}


class ParseError(ValueError):
    """Text that is no expression; the message shows where."""


def parse(
    text: str,
    *,
    scalars: Collection[str] = (),
    vectors: Collection[str] = (),
    matrices: Collection[str] = (),
    symmetric: Collection[str] = (),
) -> Expr:
    """
    Read an expression.

    Names that begin with an upper-case letter are matrices, others vectors, except ``r``, ``s``, ``t`` and the Greek
    letters, spelled or not, which are scalars.

    Parameters
    ----------
    text : str
        In Python's syntax. Functions are NumPy's, with or without ``np.`` and ``np.linalg.``, those of
        `scipy.special`, with or without that prefix, and matgrad's own.
    scalars, vectors, matrices, symmetric : collection of str
        Names that are these nevertheless; the last are symmetric matrices.

    Returns
    -------
    Expr

    Raises
    ------
    ParseError
        If the text is no expression, or lengths or numbers of axes don't fit.

    Examples
    --------
    >>> from matgrad._parse import parse
    >>> f = parse("sum((X - U @ V)**2)")
    >>> [x.name for x in f.symbols]
    ['X', 'U', 'V']
    """
    kinds: dict[str, Callable[[str], Expr]] = {}
    for names, make in ((scalars, scalar), (vectors, vector), (matrices, matrix), (symmetric, _symmetric)):
        kinds.update(dict.fromkeys(names, make))
    return _Reader(" ".join(text.splitlines()).strip(), kinds).read()


def _symmetric(name: str) -> Expr:
    return matrix(name, symmetric=True)


def _kind(name: str) -> Callable[[str], Expr]:
    """Return what makes the symbol of that name by convention."""
    if name[0].isupper():
        return matrix
    is_greek = "α" <= name[0] <= "ω" and len(name) == 1
    return scalar if is_greek or name.split("_")[0] in _SCALARS else vector


class _Reader:
    """Turns one text into an expression."""

    def __init__(self, text: str, kinds: Mapping[str, Callable[[str], Expr]]) -> None:
        self._text = text
        self._kinds = kinds

    def read(self) -> Expr:
        try:
            tree = ast.parse(self._text, mode="eval")
        except SyntaxError as error:
            self._fail(error.msg, error.offset - 1 if error.offset else len(self._text))
        except (ValueError, RecursionError, MemoryError) as error:
            raise ParseError(f"the text is no expression: {error}") from None
        value = self._value(tree.body)
        if not isinstance(value, Expr):
            raise ParseError("the text has no symbols, so there is nothing to derive")
        return value

    def _fail(self, problem: str, column: int) -> NoReturn:
        raise ParseError(f"{problem}, at column {column + 1}\n    {self._text}\n    {' ' * column}^") from None

    def _fail_at(self, node: ast.AST, problem: str) -> NoReturn:
        offset = getattr(node, "col_offset", 0)  # in bytes
        self._fail(problem, len(self._text.encode()[:offset].decode()))

    def _value(self, node: ast.AST) -> Any:
        """Return an expression, or a number or option where one stands."""
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is None:
            hint = _HINTS.get(type(node), "only operators, functions, indices, names and numbers are")
            self._fail_at(node, f"{type(node).__name__} is not understood: {hint}")
        return read(node)

    def _apply(self, node: ast.AST, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except ParseError:
            raise
        except (TypeError, ValueError, IndexError, ArithmeticError, NotImplementedError) as error:
            self._fail_at(node, str(error))

    # --- One method a kind of node ---

    def _constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, (int, float, str)) or node.value in (None, ...):
            return node.value
        self._fail_at(node, f"{node.value!r} is not understood")

    def _name(self, node: ast.Name) -> Any:
        if node.id in self._kinds:
            return self._kinds[node.id](node.id)
        if node.id in _NUMBERS:
            return _NUMBERS[node.id]
        if node.id in _BARE or node.id in ("np", "mg"):
            self._fail_at(node, f"{node.id} is no symbol, its name being taken")
        return _kind(node.id)(node.id)

    def _binop(self, node: ast.BinOp) -> Any:
        apply = self._operator(node, node.op)
        left, right = self._value(node.left), self._value(node.right)
        if isinstance(left, int) and isinstance(right, int):
            left = self._apply(node, float, left)  # a power of integers could have any number of digits
        return self._apply(node, apply, left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return self._apply(node, self._operator(node, node.op), self._value(node.operand))

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            self._fail_at(node, "a chain of comparisons is not understood: compare two at a time")
        apply = self._operator(node, node.ops[0])
        return self._apply(node, apply, self._value(node.left), self._value(node.comparators[0]))

    def _operator(self, node: ast.AST, op: ast.AST) -> Callable[..., Any]:
        if type(op) not in _OPERATORS:
            hint = _HINTS.get(type(op), "the operators are + - * / @ ** and comparisons")
            self._fail_at(node, f"the operator {type(op).__name__} is not understood: {hint}")
        return _OPERATORS[type(op)]

    def _call(self, node: ast.Call) -> Any:
        function = self._function(node.func)
        if any(keyword.arg is None for keyword in node.keywords):
            self._fail_at(node, "** among the arguments is not understood")
        args = [self._value(argument) for argument in node.args]
        options = {str(keyword.arg): self._value(keyword.value) for keyword in node.keywords}
        return self._apply(node, function, *args, **options)

    def _function(self, node: ast.expr) -> Callable[..., Any]:
        path = _dotted(node)
        if path in _BARE:
            return _BARE[path]
        if path in _QUALIFIED:
            return _QUALIFIED[path]
        if isinstance(node, ast.Attribute) and node.attr in _METHODS and not path.startswith(("np.", "mg.")):
            method: Callable[..., Any] = getattr(self._expression(node.value), node.attr)
            return method
        names = _QUALIFIED if "." in path else _BARE
        similar = difflib.get_close_matches(path, names, 1)
        self._fail_at(node, f"no function is called {path}" + (f"; is it {similar[0]}?" if similar else ""))

    def _attribute(self, node: ast.Attribute) -> Any:
        path = _dotted(node)
        if path.startswith("np.") and path[3:] in _NUMBERS:
            return _NUMBERS[path[3:]]
        if node.attr not in ("T", "mT"):
            parts = self._value(node.value) if isinstance(node.value, ast.Call) else None
            if isinstance(parts, tuple) and node.attr in getattr(parts, "_fields", ()):
                return getattr(parts, node.attr)
            self._fail_at(node, f".{node.attr} is not understood: .T and .mT are")
        return self._apply(node, getattr, self._expression(node.value), node.attr)

    def _expression(self, node: ast.expr) -> Expr:
        value = self._value(node)
        if not isinstance(value, Expr):
            self._fail_at(node, "an expression must stand here")
        return value

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self._value(node.value)
        of = value if isinstance(value, tuple) else self._expression(node.value)
        return self._apply(node, operator.getitem, of, self._value(node.slice))

    def _slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self._value(part) for part in (node.lower, node.upper, node.step)))

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._value(item) for item in node.elts)

    def _list(self, node: ast.List) -> list[Any]:
        return [self._value(item) for item in node.elts]


def _dotted(node: ast.expr) -> str:
    """Return "np.linalg.norm" for that chain of attributes; what isn't a name prints as its source."""
    return ast.unparse(node)


def derivative(f: Expr, wrt: Collection[str], **options: Any) -> Expr:
    """Differentiate by symbols given by name."""
    symbols: Mapping[str, Node] = f._symbols
    for name in wrt:
        if name not in symbols:
            raise ParseError(f"the expression has no symbol {name}; it has {', '.join(symbols)}")
    return f.diff(*(Expr(symbols[name], {name: symbols[name]}) for name in wrt), **options)

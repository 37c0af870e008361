"""Random expressions over the whole table of operations, as Python source, with their values in plain NumPy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations, zip_longest
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg
from hypothesis import strategies as st

Array = np.ndarray
Shape = tuple[int, ...]

# Values of the symbols that expressions are made of; small, as the Hessian by a tensor has the square of its size.
SYMBOLS: dict[str, Array] = {
    "t": np.float64(0.65),
    "x": np.array([0.9, -1.3, 0.4]),
    "y": np.array([-0.6, 1.1]),
    "A": np.array([[0.3, -0.8, 1.2], [1.4, 0.5, -0.7]]),
    "B": np.array([[1.1, -0.4], [0.6, 0.9], [-1.2, 0.2]]),
    "S": np.array([[1.3, -0.2, 0.6], [0.4, 1.7, -0.5], [-0.9, 0.8, 1.5]]),
    "T": np.array([[[0.5, -1.1], [0.8, 0.3], [-0.6, 1.2]], [[-0.9, 0.7], [1.3, -0.4], [0.2, 1.0]]]),
    "R": np.array([[0.8, -0.5, 1.6]]),
    "D": np.array([[1.2, 0.5], [-0.7, 0.9]]),
}
KINK = 0.02  # the least distance from points where a function has no derivative
LARGEST = 6.0  # intermediate results are scaled down to this


def logsumexp(x: Array, axis: int | None = None) -> Array:
    return np.log(np.sum(np.exp(x), axis=axis))


# What `mg` stands for where operands are arrays.
MATGRAD_IN_NUMPY = SimpleNamespace(
    logsumexp=logsumexp,
    softmax=lambda x, axis=None: np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True),
    log_softmax=lambda x, axis=None: x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True)),
    sigmoid=lambda x: 1 / (1 + np.exp(-x)),
    softplus=lambda x: np.log1p(np.exp(x)),
    relu=lambda x: np.maximum(x, 0),
    logdet=lambda X: np.linalg.slogdet(X)[1],
    vec=lambda X: X.T.ravel(),
    expm=scipy.linalg.expm,
)


@dataclass(frozen=True)
class Part:
    """An expression and its value."""

    source: str
    value: Array

    @property
    def shape(self) -> Shape:
        return np.shape(self.value)


def apply(template: str, *operands: Part) -> Part:
    """Put operands into a template, "np.exp({0})"."""
    if not template.startswith(("np.", "mg.", "(")) or not template.endswith(")"):
        template = f"({template})"
    names = {f"operand{k}": part.value for k, part in enumerate(operands)}
    code = template.format(*names)
    value = eval(code, {"np": np, "mg": MATGRAD_IN_NUMPY, **names})
    return Part(template.format(*(part.source for part in operands)), value)


def as_source(array: Array | float) -> str:
    return f"np.array({np.asarray(array).tolist()})" if np.ndim(array) else f"({float(array)!r})"


# --- Domains: each brings an operand to where the function is smooth ---


def scaled(part: Part, largest: float) -> Part:
    """Return the operand, scaled by a number if it is larger."""
    size = float(np.max(np.abs(part.value)))
    return part if size <= largest else apply(f"({math.floor(1e4 * largest / size) / 1e4!r} * {{0}})", part)


def moderate(part: Part) -> Part:
    return scaled(part, 1.5)


def in_unit_interval(part: Part) -> Part:
    return scaled(part, 0.8)


def positive(part: Part) -> Part:
    return part if np.min(part.value) >= 0.2 else apply("({0} ** 2 + 0.5)", scaled(part, 2))


def above_one(part: Part) -> Part:
    return apply("({0} ** 2 + 1.3)", scaled(part, 2))


def nonzero(part: Part) -> Part:
    if np.min(np.abs(part.value)) >= 0.2:
        return part
    return apply(f"({{0}} + {math.ceil(10 * np.max(np.abs(part.value))) / 10 + 0.5!r})", part)


def away_from(distance: Callable[[Array], float]) -> Callable[[Part], Part]:
    """Return the domain where a distance from kinks is large enough; generic constants are added until it is."""

    def domain(part: Part) -> Part:
        generator = np.random.default_rng(7)
        moved = part
        while distance(moved.value) < KINK:
            offset = np.round(generator.uniform(-1, 1, part.shape), 2)
            moved = apply(f"({{0}} + {as_source(offset)})", part)
        return moved

    return domain


def gap(x: Array, axis: int | None) -> float:
    """The least distance between the entries along an axis."""
    x = x.ravel() if axis is None else np.moveaxis(x, axis, -1)
    return float(np.min(np.diff(np.sort(x, axis=-1), axis=-1), initial=np.inf))


def distinct(axis: int | None) -> Callable[[Part], Part]:
    return away_from(lambda x: gap(x, axis))


off_zero = away_from(lambda x: float(np.min(np.abs(x))))
off_integers = away_from(lambda x: float(np.min(np.abs(x - np.rint(x)))))
off_halves = away_from(lambda x: float(np.min(np.abs(x - np.floor(x) - 0.5))))
off_bounds = away_from(lambda x: float(np.min(np.minimum(np.abs(x + 0.7), np.abs(x - 0.9)))))


def invertible(part: Part) -> Part:
    """Make the diagonals of matrices dominant."""
    n = part.shape[-1]
    part = scaled(part, 1)
    return apply(f"({{0}} + {as_source((n + 0.5) * np.eye(n))})", part)


def anything(part: Part) -> Part:
    return part


# --- Operations: templates, the shapes of operands and their domains ---


@dataclass(frozen=True)
class Operation:
    template: str
    shapes: tuple[Shape, ...]
    domains: tuple[Callable[[Part], Part], ...] = ()


ELEMENTWISE: dict[str, Callable[[Part], Part]] = {
    **dict.fromkeys(("np.exp({0})", "np.exp2({0})", "np.expm1({0})", "np.sinh({0})", "np.cosh({0})"), moderate),
    **dict.fromkeys(("np.log({0})", "np.log2({0})", "np.log10({0})", "np.log1p({0})", "np.sqrt({0})"), positive),
    **dict.fromkeys(("{0} ** 0.5", "{0} ** -1.5", "np.power({0}, 2.3)", "{0} ** -0.5"), positive),
    **dict.fromkeys(("np.cbrt({0})", "np.reciprocal({0})", "(1 / {0})", "{0} ** -2", "{0} ** -1"), nonzero),
    **dict.fromkeys(("np.square({0})", "{0} ** 2", "{0} ** 3", "np.power({0}, 4)", "{0} ** 1", "{0} ** 0"), anything),
    **dict.fromkeys(("np.sin({0})", "np.cos({0})", "np.arctan({0})", "np.tanh({0})", "np.arcsinh({0})"), anything),
    **dict.fromkeys(("(-{0})", "np.negative({0})", "(+{0})", "(1.5 - {0})", "(2 * {0})", "({0} / 3)"), anything),
    **dict.fromkeys(("np.arcsin({0})", "np.arccos({0})", "np.arctanh({0})", "np.tan({0})"), in_unit_interval),
    **dict.fromkeys(("np.absolute({0})", "abs({0})", "np.sign({0})", "mg.relu({0})"), off_zero),
    **dict.fromkeys(("mg.sigmoid({0})", "mg.softplus({0})", "2 ** {0}", "np.conjugate({0})"), moderate),
    **dict.fromkeys(("np.floor({0})", "np.ceil({0})", "np.trunc({0})"), off_integers),
    "np.round({0})": off_halves,
    "np.rint({0})": off_halves,
    "np.clip({0}, -0.7, 0.9)": off_bounds,
    "np.arccosh({0})": above_one,
}
# Of two operands that are broadcast.
BINARY: dict[str, tuple[Callable[[Part], Part], Callable[[Part], Part]]] = {
    **dict.fromkeys(("({0} + {1})", "({0} - {1})", "({0} * {1})", "np.multiply({0}, {1})"), (anything, anything)),
    **dict.fromkeys(("({0} / {1})", "np.true_divide({0}, {1})", "np.arctan2({0}, {1})"), (anything, nonzero)),
    **dict.fromkeys(("{0} ** {1}", "np.power({0}, {1})"), (positive, moderate)),
    "np.logaddexp({0}, {1})": (moderate, moderate),
    "np.hypot({0}, {1})": (nonzero, anything),
}
# Of the difference of two operands, which is not to be zero: {0} is their difference plus {1}.
COMPARED = (
    "np.maximum({0} + {1}, {1})",
    "np.minimum({0} + {1}, {1})",
    "np.where({0} > 0, {0} * {1}, {1})",
    "np.where({0} + {1} < {1}, np.sin({1}), {0})",
    "({0} >= 0) * {1}",
)
REDUCTIONS: dict[str, Callable[[int | None], Callable[[Part], Part]]] = {
    **dict.fromkeys(("np.sum({0}, %s)", "np.mean({0}, %s)", "{0}.sum(%s)", "{0}.mean(%s)"), lambda axis: anything),
    **dict.fromkeys(("np.prod({0}, %s)", "np.linalg.norm({0}, %s)"), lambda axis: nonzero),
    **dict.fromkeys(("np.max({0}, %s)", "np.min({0}, %s)", "np.var({0}, %s)", "np.std({0}, %s)"), distinct),
    **dict.fromkeys(("{0}.max(%s)", "np.amin({0}, %s)"), distinct),
}


def elementwise(shape: Shape) -> Iterator[Operation]:
    for template, domain in ELEMENTWISE.items():
        yield Operation(template, (shape,), (domain,))


def elementwise_of_two(shape: Shape) -> Iterator[Operation]:
    narrower = {(), shape[1:], *((*shape[:k], 1, *shape[k + 1 :]) for k in range(len(shape)))}
    for template, domains in BINARY.items():
        for other in (shape, *sorted(narrower)):
            yield Operation(template, (shape, other), domains)
            yield Operation(template, (other, shape), domains)
    for template in COMPARED * 2:
        yield Operation(template, (shape, shape), (off_zero, anything))


def reductions(shape: Shape) -> Iterator[Operation]:
    for axis in range(len(shape)):
        yield Operation(f"mg.softmax({{0}}, axis={axis})", (shape,), (moderate,))
        yield Operation(f"mg.log_softmax({{0}}, axis={axis - len(shape)})", (shape,), (moderate,))
    if shape:
        yield Operation("mg.softmax({0})", (shape,), (moderate,))
    for template, domain in REDUCTIONS.items():
        for axis in range(min(len(shape), 2) + 1):
            for length in (2, 3):
                whole = (*shape[:axis], length, *shape[axis:])
                yield Operation(template % f"axis={axis}", (whole,), (domain(axis),))
                if shape[axis : axis + 1] == (1,):
                    whole = (*shape[:axis], length, *shape[axis + 1 :])
                    yield Operation(template % f"axis={axis}, keepdims=True", (whole,), (domain(axis),))
        if not shape:
            for whole in ((2,), (2, 3), (3, 3), (2, 3, 2)):
                yield Operation(template % "axis=None", (whole,), (domain(None),))
    for axis in range(len(shape) + 1):
        whole = (*shape[:axis], 2, *shape[axis:])
        yield Operation(f"mg.logsumexp({{0}}, axis={axis})", (whole,), (moderate,))
        yield Operation(f"np.linalg.norm({{0}}, 1, axis={axis})", (whole,), (off_zero,))
    if len(shape) == 1:
        yield Operation("np.sum({0}, axis=(0, 2))", ((2, *shape, 2),))
        yield Operation("np.mean({0}, axis=(-1, 0))", ((3, *shape, 2),))


def rearrangements(shape: Shape) -> Iterator[Operation]:
    ndim, text = len(shape), repr(shape)
    for order in permutations(range(ndim)):
        before = tuple(shape[order.index(k)] for k in range(ndim))
        if ndim > 1:
            yield Operation(f"np.transpose({{0}}, {order})", (before,))
    if ndim > 1:
        yield Operation("{0}.T", (shape[::-1],))
        yield Operation("np.swapaxes({0}, 0, -1)", ((shape[-1], *shape[1:-1], shape[0]),))
        yield Operation("np.moveaxis({0}, 0, -1)", ((shape[-1], *shape[:-1]),))
    if math.prod(shape) == 6:
        for before in ((6,), (2, 3), (3, 2), (1, 6)):
            yield Operation(f"np.reshape({{0}}, {text})", (before,))
            yield Operation(f"{{0}}.reshape({text})", (before,))
    if shape == (6,):
        yield Operation("np.ravel({0})", ((2, 3),))
        yield Operation("{0}.flatten()", ((3, 2),))
        yield Operation("mg.vec({0})", ((2, 3),))
    for axis in range(ndim):
        if shape[axis] == 1:
            yield Operation(f"np.expand_dims({{0}}, {axis})", (shape[:axis] + shape[axis + 1 :],))
        if ndim < 3:
            yield Operation(f"np.squeeze({{0}}, {axis})", ((*shape[:axis], 1, *shape[axis:]),))
    if ndim:
        yield Operation(f"np.broadcast_to({{0}}, {text})", (shape[1:],))
        yield Operation(f"np.broadcast_to({{0}}, {text})", ((*shape[:-1], 1),))
        yield Operation("{0}[::-1]", (shape,))
        if shape[0] > 1:  # a slice of a free axis is not known to have one element
            yield Operation("{0}[1:]", ((shape[0] + 1, *shape[1:]),))
            yield Operation("{0}[::2]", ((2 * shape[0], *shape[1:]),))
        if shape[-1] > 1:
            yield Operation("{0}[..., :-1]", ((*shape[:-1], shape[-1] + 1),))
    if ndim < 3:
        yield Operation("{0}[1]", ((2, *shape),))
        yield Operation("{0}[..., -1]", ((*shape, 2),))


def products(shape: Shape) -> Iterator[Operation]:
    for k in (2, 3):
        if shape == ():
            for template in ("{0} @ {1}", "np.dot({0}, {1})", "np.vdot({0}, {1})", "np.inner({0}, {1})"):
                yield Operation(f"({template})", ((k,), (k,)))
            yield Operation("({0} @ {1} @ {2})", ((k,), (k, 2), (2,)))
            yield Operation("np.einsum('i,ij,j->', {0}, {1}, {2})", ((k,), (k, 3), (3,)))
            yield Operation("np.einsum('ij,ij', {0}, {1})", ((k, 2), (k, 2)))
            yield Operation("np.vdot({0}, {1})", ((k, 2), (k, 2)))
            yield Operation("np.tensordot({0}, {1}, 2)", ((k, 3), (k, 3)))
            yield Operation("np.trace({0} @ {1})", ((k, 2), (2, k)))
        elif len(shape) == 1:
            (n,) = shape
            for template in ("({0} @ {1})", "np.matmul({0}, {1})", "np.dot({0}, {1})", "np.inner({0}, {1})"):
                yield Operation(template, ((n, k), (k,)))
            yield Operation("({0} @ {1})", ((k,), (k, n)))
            yield Operation("np.einsum('ij,j->i', {0}, {1})", ((n, k), (k,)))
            yield Operation("np.einsum('ij,ji->i', {0}, {1})", ((n, k), (k, n)))
            yield Operation("np.einsum('ji,j,i->i', {0}, {1}, {2})", ((k, n), (k,), shape))
            yield Operation("np.diag({0})", ((n, n),))
            yield Operation("np.diagonal({0})", ((n, n),))
            yield Operation("np.einsum('ii->i', {0})", ((n, n),))
        elif len(shape) == 2:
            m, n = shape
            for template in ("({0} @ {1})", "np.dot({0}, {1})", "np.tensordot({0}, {1}, 1)"):
                yield Operation(template, ((m, k), (k, n)))
            yield Operation("np.inner({0}, {1})", ((m, k), (n, k)))
            yield Operation("np.einsum('ik,jk->ij', {0}, {1})", ((m, k), (n, k)))
            yield Operation("np.tensordot({0}, {1}, ([0], [1]))", ((k, m), (n, k)))
            yield Operation("np.einsum('kij,k->ij', {0}, {1})", ((k, m, n), (k,)))
            yield Operation("np.linalg.multi_dot([{0}, {1}, {2}])", ((m, k), (k, 2), (2, n)))
            yield Operation("np.outer({0}, {1})", ((m,), (n,)))
            yield Operation("({0}[:, None] * {1})", ((m,), (n,)))
        elif len(shape) == 3:
            b, m, n = shape
            yield Operation("({0} @ {1})", ((b, m, k), (k, n)))
            yield Operation("({0} @ {1})", ((b, m, k), (b, k, n)))
            yield Operation("({0} @ {1})", ((m, k), (b, k, n)))
            yield Operation("np.einsum('bij,jk->bik', {0}, {1})", ((b, m, k), (k, n)))
            yield Operation("np.multiply.outer({0}, {1})", ((b, m), (n,)))
    if len(shape) == 2 and shape[0] == shape[1]:
        yield Operation("np.diag({0})", ((shape[0],),))
    if len(shape) == 2 and shape[0] % 2 == 0:
        yield Operation("np.kron({0}, {1})", ((2, 1), (shape[0] // 2, shape[1])))
        yield Operation("np.kron({1}, {0})", ((2, 1), (shape[0] // 2, shape[1])))


def linear_algebra(shape: Shape) -> Iterator[Operation]:
    if len(shape) < 2:
        for square in ((*shape, 2, 2), (*shape, 3, 3)):
            yield Operation("np.linalg.det({0})", (square,), (invertible,))
            yield Operation("np.linalg.slogdet({0})[1]", (square,), (invertible,))
            yield Operation("mg.logdet({0})", (square,), (invertible,))
            if not shape:
                yield Operation("np.trace({0})", (square,))
    if len(shape) == 1:
        yield Operation("np.trace({0}, axis1=1, axis2=2)", ((*shape, 2, 2),))
    if not shape:
        for whole in ((2, 3), (3, 2)):
            yield Operation("np.linalg.norm({0})", (whole,), (nonzero,))
            yield Operation("np.linalg.norm({0}, 'fro')", (whole,), (nonzero,))
        yield Operation("np.linalg.norm({0}, 3)", ((3,),), (nonzero,))
        yield Operation("np.linalg.norm({0}, 1)", ((3,),), (off_zero,))
    if len(shape) == 1:
        n = shape[0]
        yield Operation("np.linalg.solve({0}, {1})", ((n, n), (n,)), (invertible, anything))
        yield Operation("(np.linalg.inv({0}) @ {1})", ((n, n), (n,)), (invertible, anything))
        yield Operation(f"np.linalg.eigvalsh({{0}} @ {{0}}.T + np.diag(20.0 * np.arange({n})))", ((n, n),), (moderate,))
    if len(shape) == 2:
        n = shape[0]
        yield Operation("np.linalg.solve({0}, {1})", ((n, n), shape), (invertible, anything))
        yield Operation(f"np.linalg.pinv({{0}} + {as_source(5 * np.eye(*shape[::-1]))})", (shape[::-1],), (moderate,))
    if len(shape) >= 2 and shape[-1] == shape[-2]:
        yield Operation("np.linalg.inv({0})", (shape,), (invertible,))
        yield Operation("np.linalg.matrix_power({0}, 3)", (shape,), (moderate,))
        yield Operation("np.linalg.matrix_power({0}, -2)", (shape,), (invertible,))
        yield Operation("np.linalg.cholesky({0} @ np.swapaxes({0}, -1, -2))", (shape,), (invertible,))
        yield Operation("mg.expm({0})", (shape,), (moderate,))


FAMILIES = (elementwise, elementwise, elementwise_of_two, reductions, rearrangements, products, linear_algebra)


@cache
def operations(shape: Shape) -> tuple[tuple[Operation, ...], ...]:
    """Return the operations with a result of that shape and operands that aren't too large, family by family."""

    def is_small(operation: Operation) -> bool:
        return all(len(operand) <= 3 and math.prod(operand) <= 18 for operand in operation.shapes)

    return tuple(found for family in FAMILIES if (found := tuple(filter(is_small, family(shape)))))


# --- Drawing ---

SHAPES = ((), (3,), (2,), (2, 3), (3, 2), (3, 3), (2, 2), (1, 3), (2, 1), (6,), (2, 3, 2), (3, 2, 2))


def leaf(generator: Random, shape: Shape) -> Part:
    """Draw a symbol, an array of numbers, or a product of both where no symbol has the shape."""
    symbols = [name for name, value in SYMBOLS.items() if np.shape(value) == shape]
    narrower = [name for name, value in SYMBOLS.items() if np.shape(value) in {(), shape[1:], shape[-1:]} - {shape}]
    kind = generator.choice(["symbol"] * 6 * bool(symbols) + ["product"] * 3 + ["number"])
    if kind == "symbol":
        name = generator.choice(symbols)
        return Part(name, SYMBOLS[name])
    array = np.round(np.random.default_rng(generator.getrandbits(32)).uniform(-1.5, 1.5, shape), 2)
    constant = Part(as_source(array), array)
    if kind == "number":
        return constant
    name = generator.choice(narrower or symbols)
    return apply("({0} * {1})", constant, Part(name, SYMBOLS[name]))


def part(generator: Random, shape: Shape, depth: int) -> Part:
    """Draw an expression of a shape and at most a depth."""
    if depth == 0:
        return leaf(generator, shape)
    operation = generator.choice(generator.choice(operations(shape)))
    deepest = generator.randrange(len(operation.shapes))
    operands = []
    for k, (wanted, domain) in enumerate(zip_longest(operation.shapes, operation.domains, fillvalue=anything)):
        below = depth - 1 if k == deepest else generator.randint(0, (depth - 1) // 2)
        operands.append(domain(part(generator, wanted, below)))
    return scaled(apply(operation.template, *operands), LARGEST)


@dataclass(frozen=True)
class Case:
    """A function, in source, and which of its symbols to differentiate by."""

    source: str
    variables: tuple[str, str]
    sizes: str  # of symbols: "free", "named" or "fixed"
    value: Array = field(repr=False)

    @property
    def symbols(self) -> dict[str, Array]:
        """The symbols in the function and their values."""
        return {name: SYMBOLS[name] for name in names_in(self.source)}

    def evaluate(self, numpy: Any, matgrad: Any, symbols: Mapping[str, Any]) -> Any:
        """Compute the function with other operations, or on other operands."""
        return eval(self.source, {"np": numpy, "mg": matgrad, **symbols})


def names_in(source: str) -> list[str]:
    """Return the names of the symbols in an expression."""
    return sorted(set(re.findall(rf"(?<![\w.])[{''.join(SYMBOLS)}](?!\w)", source)))


def random_case(seed: int, depth: int) -> Case:
    """Return a function of at least one symbol, always the same for a seed and a depth."""
    generator = Random(seed)
    whole = part(generator, generator.choice(SHAPES), depth)
    if not names_in(whole.source):
        whole = apply("({0} * {1})", whole, Part("t", SYMBOLS["t"]))
    names = names_in(whole.source)
    variables = generator.choice(names), generator.choice(names)
    sizes = generator.choice(("free", "named", "fixed"))
    if "squeeze" in whole.source:  # which needs to know that a length is 1
        sizes = "fixed"
    return Case(whole.source, variables, sizes, whole.value)


cases = st.builds(random_case, st.integers(0, 2**32 - 1), st.integers(1, 6))

"""The structure of derivatives for given shapes: terms of cores and identities, and what is compiled of them."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._core import Function, Node

Shape = tuple[int, ...]
Labels = tuple[int, ...]
Equation = tuple[int, int, tuple[tuple[int, int], ...]]
"""label = offset + Σ coefficient · other label, as (label, offset, ((other, coefficient), …))."""


class Term(NamedTuple):
    """coefficient Π cores Π identities, over labels: the axes of y, then those of x, then summed ones."""

    value: Node  # in terms of what stands for the cores
    source: Node  # in terms of the symbols of the derivative
    coefficient: float
    cores: tuple[tuple[int, Labels], ...]  # number of the core, and its labels
    equations: tuple[Equation, ...]  # one for every identity
    lengths: Shape  # of the labels

    def permuted(self, axes: Labels) -> Term:
        """Return the term whose axis k is axis axes[k] of this one."""
        to = {axis: k for k, axis in enumerate(axes)}

        def name(label: int) -> int:
            return to.get(label, label)

        return Term(
            _core.transpose(self.value, bytes(axes)),
            _core.transpose(self.source, bytes(axes)),
            self.coefficient,
            tuple((core, tuple(map(name, labels))) for core, labels in self.cores),
            tuple((name(a), offset, tuple((name(b), c) for b, c in others)) for a, offset, others in self.equations),
            (*(self.lengths[axis] for axis in axes), *self.lengths[len(axes) :]),
        )

    def pairs(self) -> list[tuple[int, int]] | None:
        """Return the labels that are equal, of each identity; None if there is another identity than δ."""
        if any(offset != 0 or len(others) != 1 or others[0][1] != 1 for _, offset, others in self.equations):
            return None
        return [(min(a, others[0][0]), max(a, others[0][0])) for a, _, others in self.equations]


class Structure:
    """
    A derivative of y by x of given shapes, as a sum of terms over cores.

    What is computed with it is compiled when it is first used, as a function of the cores.
    """

    def __init__(
        self,
        y_shape: Shape,
        x_shape: Shape,
        cores: Sequence[tuple[Node, Node]],
        terms: Sequence[Term],
        symmetric: bool,
        text: str | None = None,
    ) -> None:
        self.y_shape, self.x_shape = y_shape, x_shape
        self.cores = tuple(cores)  # what stands for each, and its value
        self.terms = tuple(terms)
        self.symmetric = symmetric
        self.method: Any = None  # how to solve, once it is known
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return Structure, (self.y_shape, self.x_shape, self.cores, self.terms, self.symmetric, self._text)

    @functools.cached_property
    def unmistakable_shape(self) -> Shape | None:
        """The shape of x if an array that has it isn't taken as ravelled, or if that makes no difference."""
        y_shape, x_shape = self.y_shape, self.x_shape
        may_be_ravelled = len(x_shape) in (1, 2) and x_shape[0] == math.prod(x_shape)
        return None if may_be_ravelled and y_shape != (math.prod(y_shape), *x_shape[1:]) else x_shape

    @property
    def y_axes(self) -> Labels:
        """The labels of y's axes."""
        return tuple(range(len(self.y_shape)))

    @property
    def x_axes(self) -> Labels:
        """The labels of x's axes."""
        return tuple(range(len(self.y_shape), len(self.y_shape) + len(self.x_shape)))

    @functools.cached_property
    def dense(self) -> Function:
        """The function of the cores that computes all entries."""
        return self._compiled(lambda value: value)

    @functools.cached_property
    def diagonal(self) -> Function:
        """The function of the cores that computes the entries at equal indices of y and x."""
        axes = self.y_axes
        return self._compiled(lambda value: _einsum([value], [axes + axes], len(axes)))

    @functools.cached_property
    def product(self) -> Function:
        """The function of the cores and of an array of x's shape that computes one of y's shape."""
        v = _core.symbol("v", self.x_shape, False)
        return self._compiled(lambda value: self._times(value, v), v)

    @functools.cached_property
    def product_with_columns(self) -> Function:
        """The same for an array with one axis more, which the result has, too."""
        v = _core.symbol("v", (*self.x_shape, None), False)
        return self._compiled(lambda value: self._times(value, v), v)

    @functools.cached_property
    def transposed(self) -> Structure:
        """The structure with y and x exchanged."""
        axes = self.x_axes + self.y_axes
        terms = [term.permuted(axes) for term in self.terms]
        return Structure(self.x_shape, self.y_shape, self.cores, terms, self.symmetric, self._text)

    @functools.cached_property
    def text(self) -> str:
        """The terms as a formula."""
        if self._text is not None:
            return self._text
        text = " + ".join(self._kronecker(term) or _core.to_matrix(term.source) for term in self.terms)
        return text.replace("+ -", "- ").replace("+ −", "− ")

    def _times(self, value: Node, v: Node) -> Node:
        """Return the product of a term and what stands for an array."""
        y, x = self.y_axes, self.x_axes
        carried = tuple(range(len(y), len(y) + v.ndim - len(x)))
        summed = tuple(axis + len(carried) for axis in x)
        return _einsum([value, v], [y + summed, summed + carried], len(y + carried))

    def _compiled(self, of_term: Callable[[Node], Node], *arguments: Node) -> Function:
        """Compile the sum of a function of the terms, in terms of cores and other arguments."""
        values = [of_term(term.value) for term in self.terms]
        symbols = [*(symbol for symbol, _ in self.cores), *arguments]
        total = functools.reduce(_core.add, values)
        return Function([total], symbols, [str(symbol.name) for symbol in symbols], True)

    def _kronecker(self, term: Term) -> str | None:
        """Return a term as a Kronecker product of cores and identities, if it is one."""
        n, pairs = len(self.y_shape), term.pairs()
        if pairs is None or n < 2 or len(self.x_shape) != n or any(b != a + n for a, b in pairs):
            return None
        factors: dict[Labels, str] = {(a,): "I" for a, _ in pairs}
        coefficient = term.coefficient
        for core, labels in term.cores:
            block = tuple(label for label in sorted(labels) if label < n)
            value = self.cores[core][1]
            if not block or sorted(labels) != [*block, *(a + n for a in block)]:
                return None
            if block != tuple(range(block[0], block[0] + len(block))) or value.ndim != 2 * len(block):
                return None
            order = tuple(sorted(range(len(labels)), key=labels.__getitem__))
            value = _core.multiply(_core.number(coefficient), _core.transpose(value, bytes(order)))
            coefficient = 1.0
            factors[block] = _bracketed(_core.to_matrix(value), len(block))
        ordered = [factors[block] for block in sorted(factors)]
        merged = [text for k, text in enumerate(ordered) if text != "I" or k == 0 or ordered[k - 1] != "I"]
        if sorted(axis for block in factors for axis in block) != list(range(n)):
            return None
        number = "" if coefficient == 1 else "−" if coefficient == -1 else f"{coefficient:g} ".replace("-", "−")
        return number + " ⊗ ".join(merged)


def contract(operands: list[Any], labels: Labels) -> Any:
    """Return the product of arrays, each followed by its labels, as an array that can be broadcast along `labels`."""
    names: dict[int, int] = {}
    for own in operands[1::2]:
        for label in own:
            names.setdefault(label, len(names))
    renamed = [[names[label] for label in part] if k % 2 else part for k, part in enumerate(operands)]
    result = [names[label] for label in labels if label in names]
    value = np.einsum(*renamed, result, optimize=len(operands) > 4)
    axes = tuple(k for k, label in enumerate(labels) if label not in names)
    return np.expand_dims(value, axes)


def _bracketed(text: str, axes: int) -> str:
    """Return a factor of a Kronecker product: numbers close to what they scale, sums in brackets."""
    text = re.sub(r"^(−?[\d.]+) ", r"\1", text)
    return f"({text})" if axes > 1 or " + " in text or " − " in text else text


def _einsum(nodes: list[Node], labels: list[Labels], ndim: int) -> Node:
    return _core.einsum("structured", nodes, [bytes(part) for part in labels], ndim, False)


@functools.lru_cache(maxsize=256)
def structure_of(
    derivative: Node,
    x_ndim: int,
    symbols: tuple[Node, ...],
    checked: tuple[Node, ...],
    shapes: tuple[Shape, ...],
) -> tuple[Structure, Function]:
    """Return the structure of a derivative for arguments of given shapes, and the function that computes its cores."""
    values, cores, terms, shape = _core.structure(derivative, symbols, shapes, checked)
    split = len(shape) - x_ndim
    y_shape, x_shape = shape[:split], shape[split:]
    swapped = bytes([*range(split, len(shape)), *range(split)])
    symmetric = y_shape == x_shape and _core.transpose(derivative, swapped) == derivative
    known = [
        Term(value, source, coefficient, tuple((core, tuple(labels)) for core, labels in of_term), *rest)
        for value, source, coefficient, of_term, *rest in terms
    ]
    structure = Structure(y_shape, x_shape, list(zip(cores, values, strict=True)), known, symmetric)
    names = [str(symbol.name) for symbol in symbols]
    return structure, Function(values or [_core.number(1.0)], symbols, names, False, checked)


@functools.lru_cache(maxsize=256)
def kronecker_with_identity(rows: int, columns: int, text: str) -> Structure:
    """Return the structure C ⊗ I for a symmetric C of that many rows, and x with that many columns."""
    core = _core.symbol("C0", (rows, rows), rows > 0)
    value = _einsum([core, _core.delta(columns)], [(0, 2), (1, 3)], 4)
    term = Term(value, value, 1.0, ((0, (0, 2)),), ((1, 0, ((3, 1),)),), 2 * (rows, columns))
    return Structure((rows, columns), (rows, columns), [(core, core)], [term], True, f"{text} ⊗ I")

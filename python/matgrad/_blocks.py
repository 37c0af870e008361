"""Functions of arrays that are there in blocks only: what is computed of every block, and how values become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._core import Function, Node

JOINS = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply, "logsumexp": np.logaddexp}
"""How values of two blocks become one, by the name of the join; "concatenate" is the other."""


class Step(NamedTuple):
    """A compiled function of values that have names, and the names of what it gives."""

    function: Function
    arguments: list[str]
    results: list[str]
    joins: list[tuple[str, int]]  # of every result: its join, and the axis along which it is concatenated


class Pass(NamedTuple):
    """What is computed once, before, and what is computed of every block."""

    once: Step | None
    of_blocks: Step | None


class Program(NamedTuple):
    """Passes over blocks. The last one has nothing that is computed of blocks."""

    cuts: dict[str, tuple[str, int]]  # the names of blocks: of which array they are, along which axis
    passes: list[Pass]
    results: list[str]


def in_blocks(
    results: Sequence[Node], like: Sequence[Node | None], symbols: Sequence[Node], cut: Sequence[tuple[Node, int]]
) -> Program:
    """
    Return a program that computes expressions of symbols, of which some stand for arrays that are cut along an axis.

    `like` has for every result the symbol that has the same axes, or None. Raises NotImplementedError where an
    expression needs several blocks at once.
    """
    cuts, passes, named = _core.in_blocks(results, like, cut)
    known = {_name(symbol): symbol for symbol in [*symbols, *(block for block, _, _ in cuts)]}
    known |= {_name(row[0]): row[0] for once, of_blocks in passes for row in [*once, *of_blocks]}
    blocks = {_name(block): (_name(whole), axis) for block, whole, axis in cuts}
    compiled = [Pass(_step(once, known, ()), _step(of_blocks, known, list(blocks)[:1])) for once, of_blocks in passes]
    return Program(blocks, compiled, [_name(symbol) for symbol in named])


def _step(rows: Sequence[tuple[Node, Node, str, int]], known: dict[str, Node], lengths: Sequence[str]) -> Step | None:
    """Compile values of symbols; `lengths` are names of arguments that say how long blocks are."""
    if not rows:
        return None
    used = set().union(*(_core.symbol_names(value) for _, value, _, _ in rows), lengths)
    arguments = [name for name in known if name in used]
    function = Function([value for _, value, _, _ in rows], [known[name] for name in arguments], arguments, False)
    return Step(function, arguments, [_name(row[0]) for row in rows], [(join, axis) for _, _, join, axis in rows])


def _name(symbol: Any) -> str:
    name: str = symbol.name
    return name

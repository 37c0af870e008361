"""The form of a row in the tables of identities, and values for its symbols."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

import matgrad as mg

Array = np.ndarray

# All lengths differ, so that a wrong transpose shows.
LENGTHS = {"m": 3, "n": 4, "p": 2, "q": 5}


@dataclass(frozen=True)
class Identity:
    """
    A function and its derivatives in closed form, in tensor layout.

    `symbols` are the arguments, each with the lengths of its axes and perhaps a property: "A:mn t: x:n:positive".
    The variables of a derivative are separated by a space: "x x" is the Hessian.
    """

    name: str
    symbols: str
    function: Callable[..., Any]
    derivatives: Mapping[str, Callable[..., Any]]
    flattened: Callable[..., Any] | None = None  # of the first derivative, columns stacked

    @property
    def properties(self) -> dict[str, tuple[str, str]]:
        """The axes and the property of each symbol, by name."""
        parts = (symbol.split(":") for symbol in self.symbols.split())
        return {name: (axes, rest[0] if rest else "") for name, axes, *rest in parts}

    def values(self, dtype: str = "float64") -> dict[str, Array]:
        """Return an array for each symbol: well-conditioned where it is square, and always the same."""
        generator = np.random.default_rng(zlib.crc32(self.name.encode()))
        arrays = {}
        for name, (axes, kind) in self.properties.items():
            array = generator.uniform(-1, 1, tuple(LENGTHS[axis] for axis in axes))
            if kind == "positive":
                array = np.abs(array) + 0.25
            if kind == "signs":
                array = np.where(array < 0, -1.0, 1.0)
            if len(axes) == 2 and axes[0] == axes[1]:
                array = array + 2.5 * np.eye(len(array))
            if kind == "symmetric":
                array = (array + array.T) / 2
            arrays[name] = np.asarray(array, dtype)
        return arrays

    def make_symbols(self, named: bool = False) -> dict[str, Any]:
        """Return the symbols, by name; their axes have names, shared between symbols, or are free."""
        return {
            name: mg.tensor(name, *(axes if named or len(axes) == 0 else (len(axes),)))
            if kind != "symmetric"
            else mg.matrix(name, *(axes if named else ()), symmetric=True)
            for name, (axes, kind) in self.properties.items()
        }


def by_table(*rows: Identity) -> dict[str, Identity]:
    """Return rows by name."""
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def run_source(source: str, values: Mapping[str, Any]) -> Any:
    """Return the value of NumPy source: of an expression, or of what its statements assign to `result`."""
    names = {"np": np, "scipy": scipy, **values}
    try:
        return eval(source, names)
    except SyntaxError:
        exec(source, names)
        return names["result"]

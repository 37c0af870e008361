"""Structured derivatives as sparse matrices: the entries that the identities leave, and where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ._core import require_memory
from ._structure import Structure, Term, contract

Array = NDArray[Any]


def sparse(structure: Structure, cores: Sequence[Array], dtype: np.dtype[Any]) -> Any:
    """Return the matrix of a derivative in coordinate format; entries of several terms at one place are summed."""
    y_size, x_size = (int(np.prod(shape, dtype=np.int64)) for shape in (structure.y_shape, structure.x_shape))
    total = scipy.sparse.coo_array((y_size, x_size), dtype=dtype).tocsr()
    for term in structure.terms:
        total = total + _of_term(structure, term, cores, dtype).tocsr()
    return total


def entry_count(structure: Structure) -> float:
    """Return how many entries the terms have that aren't known to be zero."""
    ndim, total = len(structure.y_shape + structure.x_shape), 0.0
    for term in structure.terms:
        values = _label_values(term)
        free = range(ndim) if values is None else {label for axis in range(ndim) for label in values.kept[axis]}
        total += math.prod(term.lengths[label] for label in free)
    return total


def _of_term(structure: Structure, term: Term, cores: Sequence[Array], dtype: np.dtype[Any]) -> Any:
    shape = structure.y_shape + structure.x_shape
    y_size, x_size = (int(np.prod(part, dtype=np.int64)) for part in (structure.y_shape, structure.x_shape))
    lengths = term.lengths
    values = _label_values(term)
    # what the entries depend on: labels of the result, and others that are summed
    of_result = sorted({label for axis in range(len(shape)) for label in values.kept[axis]}) if values else []
    if values is None or any(label not in of_result for _, own in values.inside for label in own):
        alone = Structure(structure.y_shape, structure.x_shape, structure.cores, [term], False)
        return scipy.sparse.coo_array(np.asarray(alone.dense(*cores), dtype).reshape(y_size, x_size))
    indices, kept, inside = values
    grid = [lengths[label] for label in of_result]
    require_memory("Structured.to_sparse", "the entries", grid, 3 * 8)
    operands: list[Any] = []
    for core, labels in term.cores:
        own = sorted({label for axis in labels for label in kept[axis]})
        picked = cores[core][tuple(_on_grid(indices[axis], kept[axis], own) for axis in labels)]
        operands += [np.broadcast_to(picked, [lengths[label] for label in own]), tuple(own)]
    entries = term.coefficient * contract(operands, tuple(of_result)) if operands else np.full((), term.coefficient)
    position = [
        sum(
            (
                _on_grid(indices[first + axis], kept[first + axis], of_result) * int(np.prod(part[axis + 1 :]))
                for axis in range(len(part))
            ),
            np.zeros((), np.int64),
        )
        for first, part in ((0, structure.y_shape), (len(structure.y_shape), structure.x_shape))
    ]
    rows, columns, entries = (np.broadcast_to(array, grid).ravel() for array in (*position, entries))
    if inside:
        within = [np.broadcast_to(_on_grid(where, own, of_result), grid).ravel() for where, own in inside]
        stored = np.logical_and.reduce(within)
        rows, columns, entries = rows[stored], columns[stored], entries[stored]
    return scipy.sparse.coo_array((np.asarray(entries, dtype), (rows, columns)), shape=(y_size, x_size))


class _Values(NamedTuple):
    """What every label is in terms of those that the identities leave."""

    indices: list[Array]  # over the labels that it depends on
    kept: list[list[int]]  # which those are
    inside: list[tuple[Array, list[int]]]  # where labels are within their lengths, if not everywhere


def _label_values(term: Term) -> _Values | None:
    """Return what every label is; None if an identity doesn't say what a label is that no other says."""
    lengths = term.lengths
    left: list[tuple[int, dict[int, int]]] = [(0, {label: 1}) for label in range(len(lengths))]
    for label, offset, others in term.equations:
        if left[label][1] != {label: 1} and len(others) == 1 and others[0][1] == 1:
            label, offset, others = others[0][0], -offset, ((label, 1),)
        total: dict[int, int] = {}
        for other, coefficient in others:
            offset += coefficient * left[other][0]
            for free, own in left[other][1].items():
                total[free] = total.get(free, 0) + coefficient * own
        if left[label][1] != {label: 1} or label in total:
            return None
        for axis, (start, parts) in enumerate(left):
            if label in parts:
                scale = parts[label]
                merged = {free: own for free, own in parts.items() if free != label}
                for free, own in total.items():
                    merged[free] = merged.get(free, 0) + scale * own
                left[axis] = (start + scale * offset, merged)
    indices, kept, inside = [], [], []
    for length, (start, parts) in zip(lengths, left, strict=True):
        value = np.full((1,) * len(parts), start, np.int64)
        for k, free in enumerate(sorted(parts)):
            steps = parts[free] * np.arange(lengths[free])
            value = value + steps.reshape([-1 if k == own else 1 for own in range(len(parts))])
        where = (value >= 0) & (value < length)
        if not where.all():
            if length == 0:
                return None
            inside.append((where, sorted(parts)))
            value = np.clip(value, 0, length - 1)
        indices.append(value)
        kept.append(sorted(parts))
    return _Values(indices, kept, inside)


def _on_grid(value: Array, own: list[int], grid: list[int]) -> Array:
    """Return values over some labels as an array that has all labels of a grid as axes."""
    shape = iter(value.shape)
    return value.reshape([next(shape) if label in own else 1 for label in grid])

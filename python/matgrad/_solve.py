"""Solving with structured derivatives: which factorization suits, of the smallest matrices that will do."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray

from . import _core
from ._core import Function, require_memory
from ._sparse import entry_count, sparse
from ._structure import Labels, Structure, Term, contract

Array = NDArray[Any]
Solve = Callable[[Array], Array]
"""Takes right-hand sides with y's axes and one more for their number; returns solutions with x's axes and that one."""


_SMALL = 64  # rows of matrices that are factorized again for every right-hand side


class Part(NamedTuple):
    """A term of a matrix: coefficient Π cores Π δ[a,b]; labels of cores that aren't axes are summed."""

    coefficient: float
    cores: tuple[tuple[int, Labels], ...]  # number, and labels
    pairs: frozenset[tuple[int, int]]  # (axis of y, axis of x)


class Method(NamedTuple):
    """How to solve: `factorize` does what is the same for all right-hand sides."""

    name: str
    factorize: Callable[[Sequence[Array]], Solve]
    is_dense: bool = False  # whether it factorizes the whole matrix
    direct: Function | None = None  # of the cores and a right-hand side of y's shape, where that is as quick


class Axes(NamedTuple):
    """The labels of a matrix, and their lengths: it is a stack along `batch`."""

    batch: Labels
    y: Labels
    x: Labels
    lengths: dict[int, int]
    is_symmetric: bool  # whether y and x are the same axes, and the matrix is known to be symmetric

    def shape(self, labels: Labels) -> tuple[int, ...]:
        """Return the lengths of some labels."""
        return tuple(self.lengths[label] for label in labels)

    def size(self, labels: Labels) -> int:
        """Return the product of their lengths."""
        return math.prod(self.shape(labels))


@functools.lru_cache(maxsize=256)
def method_of(structure: Structure) -> Method:
    """Return the way to solve with a derivative, which its structure alone decides."""
    if math.prod(structure.y_shape) != math.prod(structure.x_shape):
        raise np.linalg.LinAlgError(
            f"Structured.solve: the matrix has {math.prod(structure.y_shape)} rows and "
            f"{math.prod(structure.x_shape)} columns but must be square"
        )
    lengths = dict(enumerate(structure.y_shape + structure.x_shape))
    parts = [_part(term, len(structure.y_shape), lengths) for term in structure.terms]
    if None in parts or not parts:
        return _of_all_entries(structure)
    axes = Axes((), structure.y_axes, structure.x_axes, lengths, structure.symmetric)
    method = _method([part for part in parts if part is not None], axes)
    return method._replace(direct=_direct(structure))


def _direct(structure: Structure) -> Function | None:
    """Compile the solution with a Kronecker product of small matrices and identities: that with their inverses."""
    if len(structure.terms) != 1:
        return None
    (term,) = structure.terms
    y, x = structure.y_axes, structure.x_axes
    pairs = term.pairs()
    if pairs is None or not term.cores or len(pairs) + len(term.cores) != len(y) or len(x) != len(y):
        return None
    joined, taken = dict(pairs), {}  # axes of y and of x, by δ and by core
    b = _core.symbol("b", structure.y_shape, False)
    factors = [(b, y)]
    for core, own in term.cores:
        symbol = structure.cores[core][0]
        if len(own) != 2 or symbol.shape[0] != symbol.shape[1] or term.lengths[own[0]] > _SMALL:
            return None
        taken[min(own)] = max(own)
        factors.append((_core.linalg("inv", symbol), own[::-1]))
    if sorted(joined | taken) != [*y] or sorted([*joined.values(), *taken.values()]) != [*x]:
        return None
    # the solution has the axes of x; over those of y that the inverses have it is a sum
    names = {axis: axis - len(y) for axis in x}
    names |= {axis: names[joined[axis]] if axis in joined else len(x) + axis for axis in y}
    labels = [bytes(names[label] for label in own) for _, own in factors]
    inverse = _core.einsum("solve", [node for node, _ in factors], labels, len(x), False)
    solution = _core.multiply(_core.number(1 / term.coefficient), inverse)
    symbols = [*(symbol for symbol, _ in structure.cores), b]
    return Function([solution], symbols, [str(symbol.name) for symbol in symbols], True)


def _part(term: Term, y_ndim: int, lengths: dict[int, int]) -> Part | None:
    """
    Return a term as a part, or None if it has an identity that isn't a δ between an axis of y and one of x.

    Its summed labels become new ones, with their lengths in `lengths`.
    """
    pairs = term.pairs()
    ndim = term.value.ndim
    if pairs is None or not all(a < y_ndim <= b < ndim for a, b in pairs):
        return None
    first = len(lengths)
    lengths.update(enumerate(term.lengths[ndim:], first))
    cores = tuple(
        (core, tuple(label if label < ndim else first + label - ndim for label in labels))
        for core, labels in term.cores
    )
    return Part(term.coefficient, cores, frozenset(pairs))


def _of_all_entries(structure: Structure) -> Method:
    """Solve with the matrix of all entries, or of those that differ from zero if they are few."""
    n = math.prod(structure.y_shape)
    if 8 * entry_count(structure) < n * n:
        return Method("sparse LU", lambda cores: _sparse_solve(structure, cores))

    def factorize(cores: Sequence[Array]) -> Solve:
        require_memory("Structured.solve", "the dense matrix", (n, n), 16)
        solve = _factorized(structure.dense(*cores).reshape(n, n), structure.symmetric)
        return lambda b: solve(b.reshape(n, -1)).reshape(*structure.x_shape, -1)

    return Method("Cholesky" if structure.symmetric else "LU", factorize, True)


def _sparse_solve(structure: Structure, cores: Sequence[Array]) -> Solve:
    dtype = cores[0].dtype if cores else np.dtype(np.float64)
    matrix = sparse(structure, cores, dtype).tocsc()
    try:
        factors = scipy.sparse.linalg.splu(matrix)
    except RuntimeError:
        _raise_singular()
    return lambda b: factors.solve(np.asarray(b.reshape(matrix.shape[0], -1), dtype)).reshape(*structure.x_shape, -1)


# --- From the outside in ---


def _method(parts: list[Part], axes: Axes) -> Method:
    """Take out axes that a δ of every term joins: along them the matrix is diagonal, or the identity."""
    common = dict(sorted(frozenset.intersection(*(part.pairs for part in parts))))
    renamed = {b: a for a, b in common.items()}
    left = [
        Part(
            part.coefficient,
            tuple((core, tuple(renamed.get(label, label) for label in labels)) for core, labels in part.cores),
            frozenset(part.pairs - common.items()),
        )
        for part in parts
    ]
    used = {label for part in left for _, labels in part.cores for label in labels}
    batch = tuple(a for a in common if a in used)
    free = tuple(a for a in common if a not in used)
    y = tuple(a for a in axes.y if a not in common)
    x = tuple(b for b in axes.x if b not in renamed)
    corresponds = all(axes.y.index(a) == axes.x.index(b) for a, b in [*common.items(), *zip(y, x, strict=False)])
    inner_axes = Axes(batch, y, x, axes.lengths, axes.is_symmetric and corresponds)
    inner = _inner(left, inner_axes)
    to_inner = tuple(axes.y.index(label) for label in batch + y + free)
    order = batch + x + free
    from_inner = tuple(order.index(renamed.get(label, label)) for label in axes.x)
    free_shape, in_shape = axes.shape(free), axes.shape(batch + y)

    def factorize(cores: Sequence[Array]) -> Solve:
        solve = inner.factorize(cores)

        def apply(b: Array) -> Array:
            count = b.shape[-1]
            columns = b.transpose(*to_inner, b.ndim - 1).reshape(*in_shape, math.prod(free_shape) * count)
            solution = solve(columns).reshape(*axes.shape(batch + x), *free_shape, count)
            return solution.transpose(*from_inner, solution.ndim - 1)

        return apply

    name = f"{inner.name} ⊗ I" if free and inner.name != "diagonal" else inner.name
    return Method(name, factorize, inner.is_dense and not common)


def _inner(parts: list[Part], axes: Axes) -> Method:
    """Choose a method for a stack of matrices no axes of which are joined by all terms."""
    if axes.size(axes.y) != axes.size(axes.x):
        return Method("singular", _raise_singular)
    if not axes.y and not axes.x:
        return _diagonal(parts, axes)
    if len(parts) == 1:
        return _kronecker(parts[0], axes) or _dense(parts, axes)
    if not axes.batch:
        return _low_rank_update(parts, axes) or _sylvester(parts, axes) or _dense(parts, axes)
    return _dense(parts, axes)


def _raise_singular(*_: Any) -> Any:
    raise np.linalg.LinAlgError("Singular matrix")


def _diagonal(parts: list[Part], axes: Axes) -> Method:
    """Solve D x = b: x = b / D."""

    def factorize(cores: Sequence[Array]) -> Solve:
        entries = _tensor(parts, cores, axes, axes.batch)[..., None]
        if not np.all(entries):
            _raise_singular()
        return lambda b: b / entries

    return Method("diagonal", factorize)


def _dense(parts: list[Part], axes: Axes) -> Method:
    """Factorize every matrix of the stack."""
    n, batch = axes.size(axes.y), axes.shape(axes.batch)

    def factorize(cores: Sequence[Array]) -> Solve:
        require_memory("Structured.solve", "the dense matrix", (*batch, n, n), 16)
        matrices = _tensor(parts, cores, axes, axes.batch + axes.y + axes.x).reshape(*batch, n, n)
        solve = functools.partial(np.linalg.solve, matrices) if batch else _factorized(matrices, axes.is_symmetric)
        return lambda b: solve(b.reshape(*batch, n, -1)).reshape(*batch, *axes.shape(axes.x), -1)

    if batch:
        return Method("block diagonal", factorize)
    return Method("Cholesky" if axes.is_symmetric else "LU", factorize, True)


def _kronecker(part: Part, axes: Axes) -> Method | None:
    """Solve (A ⊗ B) x = b: with A along its axes, then with B along its own."""
    blocks = _blocks(part, axes)
    if len(blocks) < 2 or any(axes.size(block.y) != axes.size(block.x) for _, block in blocks):
        return None
    methods = [_dense([own], block) for own, block in blocks]

    def factorize(cores: Sequence[Array]) -> Solve:
        solves = [method.factorize(cores) for method in methods]

        def apply(b: Array) -> Array:
            order = axes.batch + axes.y  # of the axes of what is solved so far
            for (_, block), solve in zip(blocks, solves, strict=True):
                rest = tuple(label for label in order if label not in block.batch + block.y)
                ordered = b.transpose(*(order.index(label) for label in block.batch + block.y + rest), b.ndim - 1)
                columns = ordered.reshape(*axes.shape(block.batch + block.y), -1)
                b = solve(columns).reshape(*axes.shape(block.batch + block.x), *ordered.shape[-len(rest) - 1 :])
                order = block.batch + block.x + rest
            return b.transpose(*(order.index(label) for label in axes.batch + axes.x), b.ndim - 1)

        return apply

    return Method(" ⊗ ".join(method.name for method in methods), factorize)


def _blocks(part: Part, axes: Axes) -> list[tuple[Part, Axes]]:
    """Split a product into factors that have no axes in common, but for those of the stack."""
    blocks: list[tuple[list[tuple[int, Labels]], set[int]]] = []
    scalars = []
    for core, labels in part.cores:
        own = set(labels) - set(axes.batch)
        cores = [(core, labels)]
        if not own:
            scalars.append((core, labels))
            continue
        for block in [block for block in blocks if block[1] & own]:
            blocks.remove(block)
            cores, own = block[0] + cores, own | block[1]
        blocks.append((cores, own))
    result = []
    for k, (cores, own) in enumerate(blocks):
        cores = cores + scalars * (k == 0)
        batch = tuple(a for a in axes.batch if any(a in labels for _, labels in cores))
        y, x = (tuple(label for label in side if label in own) for side in (axes.y, axes.x))
        corresponds = [axes.y.index(a) for a in y] == [axes.x.index(b) for b in x]
        block_axes = Axes(batch, y, x, axes.lengths, axes.is_symmetric and corresponds)
        result.append((Part(part.coefficient if k == 0 else 1.0, tuple(cores), frozenset()), block_axes))
    covered = {label for _, block in result for label in block.y + block.x}
    return result if covered == {*axes.y, *axes.x} else []


def _low_rank_update(parts: list[Part], axes: Axes) -> Method | None:
    """
    Solve with B + L Rᵀ of low rank, if it is easy to solve with B.

    (B + L Rᵀ)⁻¹ = B⁻¹ − B⁻¹ L (I + Rᵀ B⁻¹ L)⁻¹ Rᵀ B⁻¹. Source: Woodbury (1950).
    """
    splits = [_split(part, axes) for part in parts]
    base = [part for part, split in zip(parts, splits, strict=True) if split is None]
    low = [split for split in splits if split is not None]
    rank = sum(axes.size(inner) for _, _, inner in low)
    n = axes.size(axes.y)
    if not base or not low or 2 * rank > n:
        return None
    solver = _method(base, axes)
    if solver.is_dense:
        return None

    def factorize(cores: Sequence[Array]) -> Solve:
        left = [_tensor([own], cores, axes, axes.y + inner).reshape(n, -1) for own, _, inner in low]
        right = [_tensor([own], cores, axes, axes.x + inner).reshape(n, -1) for _, own, inner in low]
        L, R = np.concatenate(left, 1), np.concatenate(right, 1)
        solve_base = solver.factorize(cores)

        def base_inverse(b: Array) -> Any:
            return solve_base(b.reshape(*axes.shape(axes.y), -1)).reshape(n, -1)

        BL = base_inverse(L)
        capacitance = R.T @ BL
        capacitance.flat[:: rank + 1] += 1
        solve = _factorized(capacitance, False)

        def apply(b: Array) -> Array:
            x = base_inverse(b)
            solution: Array = x - BL @ solve(R.T @ x)
            return solution.reshape(*axes.shape(axes.x), -1)

        return apply

    return Method(f"{solver.name} + low rank", factorize)


def _split(part: Part, axes: Axes) -> tuple[Part, Part, Labels] | None:
    """Return the factors of y, those of x, and the labels over which their product is summed; None if they're one."""
    y, x = set(axes.y), set(axes.x)
    if part.pairs or any(y & set(labels) and x & set(labels) for _, labels in part.cores):
        return None
    right = tuple(core for core in part.cores if x & set(core[1]))
    left = tuple(core for core in part.cores if not x & set(core[1]))
    in_left = {label for _, labels in left for label in labels}
    in_right = {label for _, labels in right for label in labels}
    inner = tuple(sorted((in_left & in_right) - y - x))
    return Part(part.coefficient, left, frozenset()), Part(1.0, right, frozenset()), inner


def _sylvester(parts: list[Part], axes: Axes) -> Method | None:
    """Solve (A ⊗ I + I ⊗ B) x = b, which is A X + X Bᵀ = C. Source: Bartels and Stewart (1972)."""
    if len(parts) != 2:
        return None
    first, second = parts
    own = [{label for _, labels in part.cores for label in labels} & {*axes.y, *axes.x} for part in parts]
    joined = [{label for pair in part.pairs for label in pair} for part in parts]
    if own[0] & own[1] or own[0] != joined[1] or own[1] != joined[0]:
        return None
    rows, columns = (tuple(sorted(a for a, _ in part.pairs)) for part in (second, first))
    if not rows or not columns:
        return None
    pairs = dict(first.pairs | second.pairs)
    m, n = axes.size(rows), axes.size(columns)
    to_rows = tuple(axes.y.index(label) for label in rows + columns)
    of_x = tuple(pairs[a] for a in rows + columns)
    from_rows = tuple(of_x.index(label) for label in axes.x)

    def factorize(cores: Sequence[Array]) -> Solve:
        A, B = (
            _tensor([part._replace(pairs=frozenset())], cores, axes, labels + tuple(pairs[a] for a in labels))
            for part, labels in ((first, rows), (second, columns))
        )
        A, Bt = A.reshape(m, m), B.reshape(n, n).T
        eigenvalues = np.abs(np.linalg.eigvals(A)[:, None] + np.linalg.eigvals(Bt))
        if np.min(eigenvalues, initial=np.inf) <= np.finfo(A.dtype).eps * np.max(eigenvalues, initial=0):
            _raise_singular()

        def apply(b: Array) -> Array:
            ordered = b.transpose(*to_rows, b.ndim - 1)
            stack = ordered.reshape(m, n, -1)
            solutions = [scipy.linalg.solve_sylvester(A, Bt, stack[..., k]) for k in range(stack.shape[-1])]
            solution = np.stack(solutions, -1) if solutions else stack
            return solution.reshape(ordered.shape).transpose(*from_rows, b.ndim - 1)

        return apply

    return Method("Sylvester", factorize)


# --- Matrices ---


def _tensor(parts: list[Part], cores: Sequence[Array], axes: Axes, labels: Labels) -> Array:
    """Return the sum of the parts as an array with the given labels as axes."""
    dtype = cores[0].dtype if cores else np.dtype(np.float64)
    total = np.zeros(axes.shape(labels), dtype)
    for part in parts:
        operands: list[Any] = []
        for core, own in part.cores:
            operands += [cores[core], own]
        for a, b in part.pairs:
            operands += [np.eye(axes.lengths[a], dtype=dtype), (a, b)]
        value = part.coefficient * contract(operands, labels) if operands else np.asarray(part.coefficient, dtype)
        total += value
    return total


def _factorized(matrix: Array, is_symmetric: bool) -> Callable[[Array], Array]:
    """Return the function that solves with a matrix: by Cholesky's factorization if that exists, else LU."""
    n = len(matrix)
    functions: Any = scipy.linalg.get_lapack_funcs(("potrf", "potrs", "getrf", "getrs"), (matrix,))
    potrf, potrs, getrf, getrs = functions
    if n == 0:
        return np.copy
    if is_symmetric:
        factor, failed = potrf(matrix, lower=True, clean=False)
        if not failed:
            return lambda b: potrs(factor, b, lower=True)[0]
    factor, pivots, failed = getrf(matrix)
    if failed:
        _raise_singular()
    return lambda b: getrs(factor, pivots, b)[0]

"""The table of closed forms: what each must compute, written in plain NumPy, and on which shapes and how exactly."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matgrad import closed_form as cf

LAMBDA = 4  # errors are bounded by LAMBDA √k ε times the magnitude of the terms, k the length of the inner sum
WIDE = np.longdouble

SIZES = {
    1: [(0,), (1,), (2,), (3,), (7,), (8,), (17,), (33,), (100,)],
    2: [(0, 0), (0, 3), (3, 0), (1, 1), (1, 8), (7, 3), (8, 17), (17, 7), (33, 2)],
    3: [(0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (7, 3, 8), (8, 17, 1), (17, 2, 33), (5, 33, 3)],
}
STACKS = [(), (4,), (0,), (2, 1, 3)]
ORDINARY = {1: (7,), 2: (5, 8), 3: (5, 3, 8)}


@dataclass(frozen=True)
class Case:
    """One closed form. `reference` takes and returns core arrays, without stacks, in extended precision."""

    name: str
    signature: str
    reference: Callable[..., Any]
    magnitude: Callable[..., Any] | None = None  # size of the terms that are summed; default: reference of |operands|
    inner: Callable[..., int] = lambda *sizes: max(sizes)  # length k of the inner sum, from the sizes
    primitives: Callable[..., list[Any]] | None = None  # per result that is a derivative: (function, its variable)
    keywords: Mapping[str, float] = field(default_factory=dict)
    large: tuple[int, ...] = ()
    label: str = ""

    @property
    def id(self) -> str:
        """Readable name of the row in a test's id."""
        return self.name + self.label

    @property
    def operands(self) -> dict[str, tuple[str, ...]]:
        """Axis labels of every operand, by name."""
        left = self.signature.split("->")[0]
        return {name: tuple(axes.split(",")) for name, axes in re.findall(r"(\w+)\(([^)]*)\)", left)}

    @property
    def results(self) -> list[tuple[str, ...]]:
        """Axis labels of every result."""
        right = self.signature.split("->")[1]
        return [tuple(axes.split(",")) if axes else () for axes in re.findall(r"\(([^)]*)\)", right)]

    @property
    def first_out(self) -> int:
        """Index of the first result for which `out` has an array: the value beside a gradient has none."""
        return 1 if self.name.endswith("value_and_gradient") else 0

    @property
    def labels(self) -> list[str]:
        """Axis labels in order of first appearance."""
        return list(dict.fromkeys(label for axes in self.operands.values() for label in axes))

    @property
    def sizes(self) -> list[tuple[int, ...]]:
        """All sizes to test, one number per label."""
        return SIZES[len(self.labels)] + ([self.large] if self.large else [])

    @property
    def ordinary(self) -> tuple[int, ...]:
        """Sizes for tests to which the size doesn't matter."""
        return ORDINARY[len(self.labels)]

    def core_shapes(self, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Core shape of every operand."""
        length = dict(zip(self.labels, sizes, strict=True))
        return [tuple(length[label] for label in axes) for axes in self.operands.values()]

    def result_shapes(self, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Core shape of every result."""
        length = dict(zip(self.labels, sizes, strict=True))
        return [tuple(length[label] for label in axes) for axes in self.results]

    def __call__(self, *operands: Any, **keywords: Any) -> tuple[Any, ...]:
        """Call the function under test; always returns a tuple of results."""
        names = list(self.operands)
        by_name = {name: operands[names.index(name)] for name in names if name == "weights"}
        positional = [value for name, value in zip(names, operands, strict=True) if name != "weights"]
        results = getattr(cf, self.name)(*positional, **by_name, **self.keywords, **keywords)
        if self.name.endswith("value_and_gradient"):
            results = (results[0], *results[1])
        return results if isinstance(results, tuple) else (results,)


def operands_of(
    case: Case, sizes: tuple[int, ...], dtype: Any = np.float64, stacks: Any = (), seed: int = 0
) -> list[np.ndarray]:
    """Random operands; `stacks` is the stack shape of all operands, or a list of one per operand."""
    rng = np.random.default_rng(seed)
    shapes = case.core_shapes(sizes)
    stacks = stacks if isinstance(stacks, list) else [stacks] * len(shapes)
    return [rng.uniform(-1.5, 1.5, stack + shape).astype(dtype) for stack, shape in zip(stacks, shapes, strict=True)]


def _over_stacks(case: Case, function: Callable[..., Any], operands: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Apply a function of core arrays to every problem of a stack, one by one."""
    core_ndims = [len(axes) for axes in case.operands.values()]
    own = [x.shape[: x.ndim - n] for x, n in zip(operands, core_ndims, strict=True)]
    stack = np.broadcast_shapes(*own)
    wide = [
        np.broadcast_to(x, stack + x.shape[x.ndim - n :]).astype(WIDE)
        for x, n in zip(operands, core_ndims, strict=True)
    ]
    length: dict[str, int] = {}
    for x, axes in zip(operands, case.operands.values(), strict=True):
        length.update(zip(axes, x.shape[x.ndim - len(axes) :], strict=True))
    results = tuple(np.zeros(stack + tuple(length[label] for label in axes), WIDE) for axes in case.results)
    for index in np.ndindex(stack):
        values = function(*(x[index] for x in wide))
        for result, value in zip(results, values if isinstance(values, tuple) else (values,), strict=True):
            result[index] = value
    return results


def expected(case: Case, operands: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """What the closed form must return, in extended precision."""
    return _over_stacks(case, lambda *cores: case.reference(*cores, **case.keywords), operands)


def assert_close(case: Case, sizes: tuple[int, ...], operands: list[np.ndarray], got: tuple[Any, ...]) -> None:
    """Assert that results have the right shape and dtype and are within LAMBDA √k ε of the reference."""
    dtype = np.result_type(*operands)
    if case.magnitude is None:
        magnitudes = expected(case, [np.abs(x) for x in operands])
    else:
        magnitudes = _over_stacks(case, lambda *cores: case.magnitude(*cores, **case.keywords), operands)
    bound = LAMBDA * math.sqrt(max(1, case.inner(*sizes))) * np.finfo(dtype).eps
    for result, reference, magnitude in zip(got, expected(case, operands), magnitudes, strict=True):
        assert result.dtype == dtype, f"{case.id}{sizes}: dtype {result.dtype}, not {dtype}"
        assert result.shape == reference.shape, f"{case.id}{sizes}: shape {result.shape}, not {reference.shape}"
        same = result == reference  # infinities
        error = np.where(same, 0, np.abs(result.astype(WIDE) - np.where(same, 0, reference)))
        wrong = ~(error <= bound * magnitude)  # true for NaN
        assert not wrong.any(), (
            f"{case.id}{sizes} {dtype}: {wrong.sum()} of {wrong.size} entries wrong, first {np.argwhere(wrong)[0]}: "
            f"{result[wrong][0]}, not {reference[wrong][0]}; bound {float(bound * magnitude[wrong][0]):.2g}"
        )


# --- references -------------------------------------------------------------------------------------------------------


def _unit(x: Any, a: Any) -> tuple[Any, Any]:
    d = x - a
    rho = np.sqrt(np.sum(d * d))
    return (d / rho, rho) if rho != 0 else (np.zeros_like(d), np.inf)


def _distance_hessian(x: Any, a: Any, sign: int = -1) -> Any:
    r, rho = _unit(x, a)
    return (np.eye(x.size, dtype=WIDE) + sign * np.outer(r, r)) / rho


def _softmax(x: Any) -> Any:
    if x.size == 0:
        return x
    e = np.exp(x - x.max())
    return e / e.sum()


def _logsumexp(x: Any) -> Any:
    return np.max(x) + np.log(np.sum(np.exp(x - np.max(x)))) if x.size else -np.inf


def _softmax_magnitude(x: Any) -> Any:
    return _softmax(x) * (1 + np.ptp(x)) if x.size else x


def _matvec_jacobian(A: Any, x: Any) -> Any:
    J = np.zeros((A.shape[0], *A.shape), WIDE)
    for i in range(A.shape[0]):
        J[i, i] = x
    return J


def _matmul_jacobian(A: Any, B: Any) -> Any:
    (m, k), n = A.shape, B.shape[1]
    by_A, by_B = np.zeros((m, n, m, k), WIDE), np.zeros((m, n, k, n), WIDE)
    for i in range(m):
        for j in range(n):
            by_A[i, j, i] = B[:, j]
            by_B[i, j, :, j] = A[i]
    return by_A, by_B


def _gram_jacobian(R: Any) -> Any:
    m, n = R.shape
    J = np.zeros((n, n, m, n), WIDE)
    for p in range(n):
        for q in range(n):
            J[p, q, :, p] += R[:, q]
            J[p, q, :, q] += R[:, p]
    return J


def _factorization(
    X: Any, U: Any, V: Any, weights: Any = None, l2: float = 0.0, sign: int = -1
) -> tuple[Any, Any, Any]:
    """Loss and both gradients; sign=+1 with absolute operands gives the magnitude of their terms."""
    W = np.ones_like(X) if weights is None else weights
    residual = X + sign * U @ V
    loss = np.sum(W * residual**2) + l2 * (np.sum(U**2) + np.sum(V**2))
    return loss, sign * 2 * (W * residual) @ V.T + 2 * l2 * U, sign * 2 * U.T @ (W * residual) + 2 * l2 * V


def _factorization_magnitude(X: Any, U: Any, V: Any, weights: Any = None, l2: float = 0.0) -> tuple[Any, Any, Any]:
    W = None if weights is None else abs(weights)
    return _factorization(abs(X), abs(U), abs(V), W, l2, sign=1)


# --- the table --------------------------------------------------------------------------------------------------------

_LOSS = "X(n,m),U(n,r),V(r,m)"
_LOSS_AND_GRADIENTS = "->(),(n,r),(r,m)"


def _fit(weights: bool = False, label: str = "", **keywords: float) -> Case:
    return Case(
        "factorization_value_and_gradient",
        _LOSS + (",weights(n,m)" if weights else "") + _LOSS_AND_GRADIENTS,
        _factorization,
        _factorization_magnitude,
        inner=lambda n, m, r: n * m + r,
        primitives=lambda X, U, V, *W: [
            None,
            (lambda U: _factorization(X, U, V, *W, **keywords)[0], U),
            (lambda V: _factorization(X, U, V, *W, **keywords)[0], V),
        ],
        keywords=keywords,
        large=(211, 150, 33),
        label=label,
    )


CASES = [
    Case("quadratic_form", "A(n,n),x(n)->()", lambda A, x: x @ (A @ x), inner=lambda n: n * n, large=(300,)),
    Case(
        "quadratic_form_gradient",
        "A(n,n),x(n)->(n)",
        lambda A, x: A @ x + A.T @ x,
        primitives=lambda A, x: [(lambda x: x @ (A @ x), x)],
        large=(300,),
    ),
    Case(
        "quadratic_form_hessian",
        "A(n,n)->(n,n)",
        lambda A: A + A.T,
        inner=lambda n: 1,
        primitives=lambda A: [(lambda x: A @ x + A.T @ x, np.ones(len(A), WIDE))],
        large=(300,),
    ),
    Case(
        "bilinear_form_gradient",
        "a(n),b(n),x(n)->(n)",
        lambda a, b, x: (b @ x) * a + (a @ x) * b,
        primitives=lambda a, b, x: [(lambda x: (a @ x) * (x @ b), x)],
        large=(5000,),
    ),
    Case(
        "bilinear_form_hessian",
        "a(n),b(n)->(n,n)",
        lambda a, b: np.outer(a, b) + np.outer(b, a),
        inner=lambda n: 1,
        primitives=lambda a, b: [(lambda x: (b @ x) * a + (a @ x) * b, np.ones(len(a), WIDE))],
        large=(300,),
    ),
    Case(
        "distance_gradient",
        "x(n),a(n)->(n)",
        lambda x, a: _unit(x, a)[0],
        magnitude=lambda x, a: abs(_unit(x, a)[0]),
        primitives=lambda x, a: [(lambda x: np.sqrt(np.sum((x - a) ** 2)), x)],
        large=(5000,),
    ),
    Case(
        "distance_hessian",
        "x(n),a(n)->(n,n)",
        _distance_hessian,
        magnitude=lambda x, a: abs(_distance_hessian(abs(x - a), 0 * a, +1)),
        primitives=lambda x, a: [(lambda x: _unit(x, a)[0], x)],
        large=(300,),
    ),
    Case(
        "logsumexp",
        "x(n)->()",
        _logsumexp,
        magnitude=lambda x: np.max(abs(x), initial=0) + math.log(x.size + 1) + 1,
        large=(5000,),
    ),
    Case(
        "logsumexp_gradient",
        "x(n)->(n)",
        _softmax,
        magnitude=_softmax_magnitude,
        primitives=lambda x: [(_logsumexp, x)],
        large=(5000,),
    ),
    Case(
        "logsumexp_hessian",
        "x(n)->(n,n)",
        lambda x: np.diag(_softmax(x)) - np.outer(_softmax(x), _softmax(x)),
        magnitude=lambda x: np.diag(_softmax_magnitude(x)) + np.outer(_softmax_magnitude(x), 2 * _softmax(x)),
        primitives=lambda x: [(_softmax, x)],
        large=(300,),
    ),
    Case(
        "matvec_jacobian",
        "A(m,n),x(n)->(m,m,n)",
        _matvec_jacobian,
        inner=lambda m, n: 1,
        primitives=lambda A, x: [(lambda A: A @ x, A)],
        large=(40, 65),
    ),
    Case(
        "matmul_jacobian",
        "A(m,k),B(k,n)->(m,n,m,k),(m,n,k,n)",
        _matmul_jacobian,
        inner=lambda m, k, n: 1,
        primitives=lambda A, B: [(lambda A: A @ B, A), (lambda B: A @ B, B)],
        large=(18, 20, 17),
    ),
    Case(
        "gram_jacobian",
        "R(m,n)->(n,n,m,n)",
        _gram_jacobian,
        inner=lambda m, n: 1,
        primitives=lambda R: [(lambda R: R.T @ R, R)],
        large=(20, 33),
    ),
    Case(
        "factorization_loss",
        _LOSS + "->()",
        lambda X, U, V: _factorization(X, U, V)[0],
        lambda X, U, V: _factorization_magnitude(X, U, V)[0],
        inner=lambda n, m, r: n * m + r,
        large=(211, 150, 33),
    ),
    Case(
        "factorization_gradient",
        _LOSS + "->(n,r),(r,m)",
        lambda X, U, V: _factorization(X, U, V)[1:],
        lambda X, U, V: _factorization_magnitude(X, U, V)[1:],
        inner=lambda n, m, r: max(n, m) + r,
        primitives=lambda X, U, V: [
            (lambda U: _factorization(X, U, V)[0], U),
            (lambda V: _factorization(X, U, V)[0], V),
        ],
        large=(211, 150, 33),
    ),
    _fit(),
    _fit(label="-l2", l2=0.25),
    _fit(weights=True, label="-weights"),
    _fit(weights=True, label="-weights-l2", l2=0.25),
]


def problems(case: Case) -> Iterator[tuple[tuple[int, ...], Any, Any]]:
    """Sizes, dtypes and stacks that every instruction set must get right."""
    for dtype in (np.float32, np.float64):
        for sizes in case.sizes:
            yield sizes, dtype, ()
        yield case.ordinary, dtype, (3,)


def main() -> int:
    """Check the values of every row with the active instruction set; the exit status says whether all are right."""
    failures = 0
    for case in CASES:
        for sizes, dtype, stack in problems(case):
            operands = operands_of(case, sizes, dtype, stack)
            try:
                assert_close(case, sizes, operands, case(*operands))
            except AssertionError as error:
                failures += 1
                print(error)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

"""Tensors that are small cores times identities, written densely: the cores are scattered over zeros, and added up."""

import numpy as np
import pytest

import matgrad as mg
from isas import assert_passes_on

RNG = np.random.default_rng(17)
A, B, C, D, R, X = mg.matrices("A B C D R X")
x = mg.vector("x")


def eye(n):
    return np.eye(n)


# name: derivative, reference, and sizes of the arguments by name; "large" ones are written past the cache
CASES = {
    "RᵀR": (
        (R.T @ R).diff(R),
        lambda R: np.einsum("pj,iq->pqij", eye(R.shape[1]), R) + np.einsum("qj,ip->pqij", eye(R.shape[1]), R),
        {"small": {"R": (5, 3)}, "line": {"R": (8, 8)}, "large": {"R": (41, 39)}},
    ),
    "A x": (
        (A @ x).diff(A),
        lambda A, x: np.einsum("ik,l->ikl", eye(len(A)), x),
        {"small": {"A": (3, 5), "x": (5,)}, "large": {"A": (61, 1001), "x": (1001,)}},
    ),
    "A X B": (
        (A @ X @ B).diff(X),
        lambda A, X, B: np.einsum("ik,lj->ijkl", A, B),
        {"small": {"A": (3, 4), "X": (4, 2), "B": (2, 5)}},
    ),
    "A X": (
        (A @ X).diff(X),
        lambda A, X: np.einsum("ik,jl->ijkl", A, eye(X.shape[1])),
        {"small": {"A": (3, 4), "X": (4, 5)}, "large": {"A": (31, 63), "X": (63, 33)}},
    ),
    "A X + X B, scaled": (
        (2.5 * A @ X - 0.5 * X @ B).diff(X),
        lambda A, X, B: (
            2.5 * np.einsum("ik,jl->ijkl", A, eye(X.shape[1])) - 0.5 * np.einsum("ik,lj->ijkl", eye(len(X)), B)
        ),
        {
            "small": {"A": (3, 3), "X": (3, 5), "B": (5, 5)},
            "large": {"A": (33, 33), "X": (33, 37), "B": (37, 37)},
        },
    ),
    "three cores": (
        (X @ X @ X).diff(X),
        lambda X: (
            np.einsum("ik,lj->ijkl", eye(len(X)), X @ X)
            + np.einsum("ik,lj->ijkl", X, X)
            + np.einsum("ik,jl->ijkl", X @ X, eye(len(X)))
        ),
        {"small": {"X": (5, 5)}},
    ),
    "more cores than operands": (
        (X.T @ X + A @ X + X @ B + C @ X.T + X.T @ D + 3 * X).diff(X),
        lambda X, A, B, C, D: (
            np.einsum("il,kj->ijkl", eye(len(X)), X)
            + np.einsum("ki,jl->ijkl", X, eye(len(X)))
            + np.einsum("ik,jl->ijkl", A, eye(len(X)))
            + np.einsum("ik,lj->ijkl", eye(len(X)), B)
            + np.einsum("il,jk->ijkl", C, eye(len(X)))
            + np.einsum("il,kj->ijkl", eye(len(X)), D)
            + 3 * np.einsum("ik,jl->ijkl", eye(len(X)), eye(len(X)))
        ),
        {"small": {name: (4, 4) for name in "XABCD"}, "large": {name: (36, 36) for name in "XABCD"}},
    ),
    "identity": (
        X.diff(X),
        lambda X: np.einsum("ik,jl->ijkl", eye(X.shape[0]), eye(X.shape[1])),
        {"small": {"X": (3, 5)}, "large": {"X": (35, 37)}},
    ),
    "transposition": (
        (7 * X.T).diff(X),
        lambda X: 7 * np.einsum("il,jk->ijkl", eye(X.shape[1]), eye(X.shape[0])),
        {"small": {"X": (3, 5)}, "large": {"X": (35, 37)}},
    ),
    "elementwise": (
        np.exp(X).diff(X),
        lambda X: np.einsum("ij,ik,jl->ijkl", np.exp(X), eye(X.shape[0]), eye(X.shape[1])),
        {"small": {"X": (3, 5)}, "large": {"X": (39, 33)}},
    ),
    "broadcast": (
        (np.sum(X, axis=0) * R).diff(X),
        lambda X, R: np.einsum("ij,jl,k->ijkl", R, eye(X.shape[1]), np.ones(len(X))),
        {"small": {"X": (3, 5), "R": (4, 5)}, "large": {"X": (33, 35), "R": (43, 35)}},
    ),
    "reversed": (
        np.exp(x[::-1]).diff(x),
        lambda x: np.diag(np.exp(x))[::-1],
        {"small": {"x": (7,)}, "large": {"x": (1301,)}},
    ),
    "reshaped": (
        np.exp(X).reshape(-1).diff(X),
        lambda X: np.einsum("ijkl,kl->ijkl", np.eye(X.size).reshape(X.shape * 2), np.exp(X)).reshape(-1, *X.shape),
        {"small": {"X": (3, 5)}, "large": {"X": (35, 37)}},
    ),
    "between dense terms": (
        (X * np.sum(X * A) + A @ X + np.sum(X) * A + X @ B).diff(X),
        lambda X, A, B: (
            np.sum(X * A) * np.einsum("ik,jl->ijkl", eye(len(X)), eye(len(X)))
            + np.einsum("ij,kl->ijkl", X, A)
            + np.einsum("ik,jl->ijkl", A, eye(len(X)))
            + np.einsum("ij,kl->ijkl", A, np.ones_like(X))
            + np.einsum("ik,lj->ijkl", eye(len(X)), B)
        ),
        {"small": {name: (4, 4) for name in "XAB"}},
    ),
    "times a sum of sparse and dense terms": (
        np.sum(x[:, None] * (np.diag(x) @ A @ np.diag(x) + A)).diff(x, x),
        lambda x, A: (
            np.einsum("ik,kj->ij", np.diag(2 * np.ones(len(x))), np.diag(A @ x))
            + 2 * x[:, None] * A
            + 2 * (x[:, None] * A).T
        ),
        {"small": {"A": (5, 5), "x": (5,)}},
    ),
    "beside a dense term": (
        (mg.logsumexp(x) + np.sum(np.exp(x))).diff(x, x),
        lambda x: np.diag(softmax(x) + np.exp(x)) - np.outer(softmax(x), softmax(x)),
        {"small": {"x": (9,)}, "large": {"x": (1301,)}},
    ),
}
ROWS = [(name, size) for name, (*_, sizes) in CASES.items() for size in sizes]


def softmax(x):
    return np.exp(x) / np.sum(np.exp(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "size"), ROWS)
def test_scattered_cores_are_the_tensor(name, size, dtype):
    derivative, reference, sizes = CASES[name]
    values = {symbol: RNG.uniform(-1, 1, shape).astype(dtype) for symbol, shape in sizes[size].items()}
    function = derivative.compile(*(symbol for symbol in derivative.symbols))
    arguments = [values[symbol.name] for symbol in derivative.symbols]
    expected = reference(**{symbol: value.astype(float) for symbol, value in values.items()})
    result = function(*arguments)
    assert result.dtype == dtype
    tolerance = 8 * np.finfo(dtype).eps * np.max(np.abs(expected)) * np.sqrt(len(expected))
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)
    for start in (0, 1, 3):  # where a cache line begins and where none does
        buffer = np.full(result.size + 11, np.nan, dtype)
        out = buffer[start : start + result.size].reshape(result.shape)
        assert function(*arguments, out=out) is out
        np.testing.assert_array_equal(out, result)
        assert np.all(np.isnan(buffer[:start]))
        assert np.all(np.isnan(buffer[start + result.size :]))


@pytest.mark.parametrize("name", ["RᵀR", "A X + X B, scaled"])
def test_the_same_bits_on_any_number_of_threads(name):
    derivative, _, sizes = CASES[name]
    values = {symbol: RNG.uniform(-1, 1, shape) for symbol, shape in sizes["large"].items()}
    before = mg.get_num_threads()
    try:
        results = []
        for count in (1, 2, 7):
            mg.set_num_threads(count)
            results.append(derivative(**values))
    finally:
        mg.set_num_threads(before)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_a_jacobian_is_one_kernel_call():
    plan = CASES["RᵀR"][0].compile().plan(R=(64, 64))
    assert "scatter" in str(plan)
    assert "fill" not in str(plan)
    assert plan.memory == 0


@pytest.mark.parametrize("isa", mg.available_isas())
def test_scattering_on_every_instruction_set(isa):
    assert_passes_on(isa, __file__, "are_the_tensor")

"""Stacks of arguments: `map` gives what a loop over the stack gives, for every identity, and its errors."""

import numpy as np
import pytest

import matgrad as mg
from identities import IDENTITIES

CASES = {f"{row.name} by {by}": (row, by) for row in IDENTITIES.values() for by in row.derivatives}
TOLERANCE = {"float64": 1e-11, "float32": 3e-5}
A, B = mg.matrices("A B")
x, y = mg.vectors("x y")
t = mg.scalar("t")
rng = np.random.default_rng(5)


def assert_close(got, expected, dtype="float64"):
    assert (got.shape, got.dtype) == (np.shape(expected), dtype)
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=TOLERANCE[dtype] * max(1, np.max(np.abs(expected), initial=0))
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_every_identity_over_a_stack(case, dtype):
    """All arguments are stacks, and then each of them alone while the others are shared."""
    row, by = CASES[case]
    symbols = row.make_symbols()
    f = row.function(**symbols)
    derivative = f.diff(*(symbols[name] for name in by.split()))
    function = mg.compile([f, derivative], symbols.values())
    values = [*row.values(dtype).values()]
    stacks = [np.stack([v, v * dtype_of(1.125, dtype), v * dtype_of(0.75, dtype)]) for v in values]
    for stacked in [set(range(len(values))), *({k} for k in range(len(values)))]:
        arguments = [stacks[k] if k in stacked else values[k] for k in range(len(values))]
        expected = [function(*(a[p] if k in stacked else a for k, a in enumerate(arguments))) for p in range(3)]
        for got, wanted in zip(function.map(*arguments), zip(*expected, strict=True), strict=True):
            assert_close(got, np.stack(wanted), dtype)


def dtype_of(number, dtype):
    return np.dtype(dtype).type(number)


QUADRATIC = (x @ A @ x).diff(x).compile(A, x)


def quadratic(a, v):
    return np.einsum("...ij,...j->...i", a + np.swapaxes(a, -1, -2), v)


@pytest.mark.parametrize(
    ("a", "v"),
    [
        ((6, 4, 4), (6, 4)),
        ((4, 4), (6, 4)),
        ((6, 4, 4), (4,)),
        ((1, 4, 4), (6, 4)),
        ((6, 4, 4), (1, 4)),
        ((2, 3, 4, 4), (2, 3, 4)),
        ((3, 4, 4), (2, 3, 4)),
        ((2, 1, 4, 4), (3, 4)),
        ((2, 1, 4, 4), (1, 3, 4)),
        ((1, 1, 4, 4), (1, 4)),
        ((4, 4), (4,)),
        ((0, 4, 4), (0, 4)),
        ((0, 4, 4), (4,)),
        ((2, 0, 4, 4), (1, 4)),
        ((5, 0, 0), (5, 0)),
    ],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_stacks_are_broadcast_as_by_numpy(a, v, dtype):
    a, v = rng.standard_normal(a).astype(dtype), rng.standard_normal(v).astype(dtype)
    expected = quadratic(a, v)
    assert_close(QUADRATIC.map(a, v), expected, dtype)
    out = np.full_like(expected, np.nan)
    assert QUADRATIC.map(a, v, out=out) is out
    assert_close(out, expected, dtype)
    spread = np.zeros((*expected.shape[:-1], 2 * expected.shape[-1]), dtype)[..., ::2]
    assert QUADRATIC.map(a, v, out=spread) is spread
    assert_close(spread, expected, dtype)


def test_stacks_of_any_layout():
    a, v = rng.standard_normal((6, 4, 4)), rng.standard_normal((6, 4))
    expected = quadratic(a, v)
    for other in (
        np.asfortranarray(a),
        np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
        np.repeat(a, 2, axis=0)[::2],
        a[::-1].copy()[::-1],
    ):
        assert_close(QUADRATIC.map(other, v), expected)
        assert_close(QUADRATIC.map(other, np.asfortranarray(v)), expected)
    two = np.ascontiguousarray(a.reshape(2, 3, 4, 4).swapaxes(0, 1)).swapaxes(0, 1)
    assert_close(QUADRATIC.map(two, v.reshape(2, 3, 4)), expected.reshape(2, 3, 4))


def test_arguments_are_converted_as_in_a_call():
    assert_close(QUADRATIC.map(np.eye(2), [[1, 2], [3, 4], [5, 6]]), 2 * np.array([[1.0, 2], [3, 4], [5, 6]]))
    assert_close(QUADRATIC.map(np.eye(2, dtype="float32"), np.ones((3, 2))), np.full((3, 2), 2.0))
    function = (t * x).compile(t, x)
    assert_close(function.map(2.0, np.ones((3, 2))), np.full((3, 2), 2.0))
    assert_close(function.map([1.0, 2.0], np.ones(3)), np.outer([1.0, 2.0], np.ones(3)))
    assert_close(function.map(np.array([1.0, 2.0]), np.ones((2, 3))), np.outer([1.0, 2.0], np.ones(3)))
    assert QUADRATIC.map(np.eye(3, dtype="float32"), np.ones((0, 3), "float32")).dtype == np.float32


def test_results_without_axes_and_results_that_depend_on_no_stack():
    v = rng.standard_normal((5, 3))
    function = mg.compile([x @ x, x, A, np.sum(A), x * 0 + 1], [A, x])
    norms, same, matrices, total, ones = function.map(np.eye(2), v)
    assert_close(norms, np.sum(v * v, axis=1))
    assert_close(same, v)
    assert_close(matrices, np.tile(np.eye(2), (5, 1, 1)))
    assert_close(total, np.full(5, 2.0))
    assert_close(ones, np.ones((5, 3)))
    assert isinstance(function.map(np.eye(2), v[0])[0], np.float64)


def test_lengths_are_those_of_one_problem():
    """A mean over rows is over the rows of each problem; slices, reshapes and identities are of its axes."""
    stack = rng.standard_normal((3, 4, 6))
    expressions = [
        np.mean(A),
        np.mean(A, axis=0),
        A.reshape(-1)[::5],
        A[1:, ::-2],
        np.var(A, axis=1),
        A.T.reshape(8, 3),
    ]
    expressions += [np.sum(A[1:] ** 2).diff(A), mg.softmax(A, axis=1), np.max(A, axis=0)]
    function = mg.compile(expressions, [A])
    expected = zip(*(function(a) for a in stack), strict=True)
    for got, wanted in zip(function.map(stack), expected, strict=True):
        assert_close(got, np.stack(wanted))
    named = mg.compile([(B.T @ x).diff(x), mg.matrix("M", "n", "n") @ mg.vector("v", "n")])
    b, v, M, w = (rng.standard_normal(s) for s in ((4, 2), (3, 4), (5, 5), (3, 5)))
    jacobians, products = named.map(b, v, M, w)
    assert_close(jacobians, np.tile(b.T, (3, 1, 1)))
    assert_close(products, w @ M.T)


def test_symmetric_matrices_and_linear_algebra():
    S = mg.matrix("S", symmetric=True)
    s = np.stack([np.eye(3) * k + np.ones((3, 3)) for k in (1.0, 2.0, 5.0)])
    function = mg.compile([mg.logdet(S), mg.logdet(S).diff(S), np.linalg.inv(S) @ x, (x @ S @ x).diff(x)])
    v = rng.standard_normal((3, 3))
    value, inverse, solution, gradient = function.map(s, v)
    assert_close(value, np.linalg.slogdet(s)[1])
    assert_close(inverse, np.linalg.inv(s))
    assert_close(solution, np.linalg.solve(s, v[..., None])[..., 0])
    assert_close(gradient, 2 * np.einsum("bij,bj->bi", s, v))
    s[1] = 0
    with pytest.raises(np.linalg.LinAlgError):
        function.map(s, v)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((3, 4, 4)), np.ones((2, 4))), ValueError, r"map: stacks don't fit each other: A \(3,\), x \(2,\)"),
        ((np.ones((3, 4, 4)), np.ones((3, 5))), ValueError, "map: A has length 4 along axis 1 but x has length 5"),
        ((np.ones((3, 4, 5)), np.ones((3, 4))), ValueError, "map: A has length 4 along axis 1 but A has length 5"),
        ((np.ones(4), np.ones((3, 4))), ValueError, r"map: A has shape \(4,\) but must have 2 axes, or more"),
        ((np.ones((3, 4, 4)), 1j * np.ones((3, 4))), TypeError, "map: x has dtype complex128"),
        ((np.ones((3, 4, 4)),), TypeError, "argument x is missing"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        QUADRATIC.map(*arguments)


def test_wrong_out():
    a, v = np.ones((3, 4, 4)), np.ones((3, 4))
    for stack in (a, a[:, None]):  # of one axis and of two
        shape = np.broadcast_shapes(stack.shape[:-2], (3,))
        for out, error in (
            (np.empty(4), ValueError),
            (np.empty((*shape, 4), "float32"), TypeError),
            ([1.0], TypeError),
            (np.broadcast_to(0.0, (*shape, 4)), ValueError),
        ):
            with pytest.raises(error, match="map: out"):
                QUADRATIC.map(stack, v, out=out)
    pair = mg.compile([x, x @ x])
    with pytest.raises(TypeError, match="map: out must be a tuple of 2 arrays"):
        pair.map(v[:, None], out=np.empty((3, 1, 4)))


def test_a_stack_gives_the_same_bits_for_any_number_of_threads():
    a, v = rng.standard_normal((5000, 8, 8)), rng.standard_normal((5000, 8))
    function = mg.compile([x @ A @ x, (x @ A @ x).diff(x), mg.softmax(A @ x), mg.logdet(A @ A.T).diff(A)], [A, x])
    before = mg.get_num_threads()
    try:
        mg.set_num_threads(1)
        expected = function.map(a, v)
        mg.set_num_threads(3)
        for got, wanted in zip(function.map(a, v), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    finally:
        mg.set_num_threads(before)
    assert_close(expected[1], quadratic(a, v))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 2, 5, 8, 31, 32, 33, 60])
def test_small_systems_are_solved_as_by_lapack(n, dtype):
    """Systems of up to 32 equations are solved by substitution, in stacks and alone; rows have to be exchanged."""
    a = (rng.standard_normal((7, n, n)) + np.roll(3 * np.eye(n), 1, axis=0)).astype(dtype)
    b = rng.standard_normal((n, 3)).astype(dtype)
    function = mg.compile([np.linalg.inv(A), np.linalg.inv(A) @ B, np.linalg.inv(A).T @ B], [A, B])
    wide = a.astype("float64")
    expected = [np.linalg.inv(wide), np.linalg.solve(wide, b), np.linalg.solve(wide.swapaxes(1, 2), b)]
    for got, wanted in zip(function.map(a, b), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=300 * n * np.finfo(dtype).eps * np.abs(wanted).max())
    for got, wanted in zip(function(a[0], b), expected, strict=True):
        np.testing.assert_allclose(got, wanted[0], rtol=0, atol=300 * n * np.finfo(dtype).eps * np.abs(wanted).max())

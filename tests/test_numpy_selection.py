"""NumPy's functions that select, order, accumulate, join, split, repeat and pad: a table, against NumPy itself."""

import numpy as np
import pytest

import matgrad as mg
from identity import run_source
from matgrad.testing import check_derivatives

RNG = np.random.default_rng(11)
v = RNG.standard_normal(6)
X = RNG.standard_normal((4, 5))
T = RNG.standard_normal((2, 4, 3))
KEEP = np.array([True, False, True, True])

# (function of the array, array); values, first and second derivatives are compared
CASES = {
    "take": (lambda x: np.take(x, [[3, 0], [1, 1]]), X),
    "take, axis": (lambda x: np.take(x, [3, 0, -1], axis=1), X),
    "take, wrap": (lambda x: np.take(x, [7, -9], axis=0, mode="wrap"), X),
    "take, clip": (lambda x: np.take(x, [7, -9], axis=0, mode="clip"), X),
    "take, method": (lambda x: x.take([0, 2], 0), X),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[4, 0], [1, 1], [0, 2], [3, 3]]), 1), X),
    "take_along_axis, broadcast": (lambda x: np.take_along_axis(x, np.array([[3, 1, 1, 0, 2]]), 0), X),
    "compress": (lambda x: np.compress(KEEP, x, 0), X),
    "extract": (lambda x: np.extract(X > 0, x), X),
    "delete": (lambda x: np.delete(x, [1, 3], axis=1), X),
    "select": (lambda x: np.select([x > 1, x > 0], [x**2, np.sin(x)], 3.0), X),
    "sort": (lambda x: np.sort(x), X),
    "sort, axis": (lambda x: np.sort(x, axis=0), X),
    "sort, flat": (lambda x: np.sort(x, axis=None), X),
    "sort of a product": (lambda x: np.sort(x @ x.T, axis=1), X),
    "partition": (lambda x: np.partition(x, 5), v),
    "by argsort": (lambda x: x[np.argsort(x)][:2], v),
    "by argmax": (lambda x: x[np.argmax(x)], v),
    "by argmin": (lambda x: x[np.arange(4), np.argmin(x, axis=1)], X),
    "median": (lambda x: np.median(x), v),
    "median, axis": (lambda x: np.median(x, axis=0), X),
    "median, keepdims": (lambda x: np.median(x, axis=1, keepdims=True), T),
    "quantile": (lambda x: np.quantile(x, [0.1, 0.5, 1.0], axis=0), T),
    "percentile": (lambda x: np.percentile(x, 30, axis=-1), T),
    "tril": (lambda x: np.tril(x, 1), X),
    "triu": (lambda x: np.triu(x, -1), X),
    "tril of a vector": (lambda x: np.tril(x, 1), v),
    "median over axes": (lambda x: np.median(x, axis=(0, 2)), T),
    "triu of a stack": (lambda x: np.triu(x), T),
    "cumsum": (lambda x: np.cumsum(x**2), v),
    "cumsum, flat": (lambda x: np.cumsum(x), X),
    "cumsum, axis 0": (lambda x: np.cumsum(x, axis=0), X),
    "cumsum, axis 1": (lambda x: np.cumsum(x, 1) * x, T),
    "cumsum, method": (lambda x: x.cumsum(-1), X),
    "cumsum of a product": (lambda x: np.cumsum(x * np.exp(x)), v),
    "cumsum of a slice": (lambda x: np.cumsum(x[1:][::-1]), v),
    "cumsum of a matrix product": (lambda x: np.cumsum(x @ x.T, axis=0), X),
    "cumprod": (lambda x: np.cumprod(x), v),
    "cumprod, axis": (lambda x: np.cumprod(x, axis=0), X),
    "cumprod with zeros": (lambda x: np.cumprod(x), np.array([1.5, 0.0, 2.0, 0.0, 3.0])),
    "cumulative_sum": (lambda x: np.cumulative_sum(x, axis=0), X),
    "cumulative_prod": (lambda x: np.cumulative_prod(x, axis=1), X),
    "multiply.accumulate": (lambda x: np.multiply.accumulate(x), v),
    "unstack": (lambda x: np.unstack(x, axis=1)[2], X),
    "argpartition": (lambda x: x[np.argpartition(x, 3)[3]], v),
    "add.accumulate": (lambda x: np.add.accumulate(x), X),
    "diff": (lambda x: np.diff(x, 2), X),
    "diff, ends": (lambda x: np.diff(x, axis=0, prepend=0, append=x[:1]), X),
    "ediff1d": (lambda x: np.ediff1d(x), X),
    "gradient": (lambda x: np.gradient(x, 0.5), v),
    "gradient, axis": (lambda x: np.gradient(x, axis=1), X),
    "trapezoid": (lambda x: np.trapezoid(x, dx=0.3), X),
    "trapezoid, x": (lambda x: np.trapezoid(x**2, x), v),
    "cov": (lambda x: np.cov(x), X),
    "cov, columns": (lambda x: np.cov(x, rowvar=False, bias=True), X),
    "concatenate": (lambda x: np.concatenate([x, 2 * x[:1]]), X),
    "concatenate, flat": (lambda x: np.concatenate([x, x.T], axis=None), X),
    "stack": (lambda x: np.stack([x, x**2], axis=1), X),
    "vstack": (lambda x: np.vstack([x, v[:5]]), X),
    "hstack": (lambda x: np.hstack([x, x[:, :1]]), X),
    "dstack": (lambda x: np.dstack([x, x]), X),
    "column_stack": (lambda x: np.column_stack([x, x**2]), v),
    "append": (lambda x: np.append(x, [[1.0]]), X),
    "append, axis": (lambda x: np.append(x, x, axis=1), X),
    "block": (lambda x: np.block([x, x]), X),
    "block, matrix": (lambda x: np.block([[x @ x.T, x], [x.T, np.eye(5)]]), X),
    "insert": (lambda x: np.insert(x, 2, x[0], axis=0), X),
    "split": (lambda x: np.split(x, 2)[1], X),
    "array_split": (lambda x: np.array_split(x, 3, axis=1)[0], X),
    "split by places": (lambda x: np.split(x, [1, 3])[1], v),
    "hsplit": (lambda x: np.hsplit(x, [2])[0], X),
    "vsplit": (lambda x: np.vsplit(x, 2)[0], X),
    "dsplit": (lambda x: np.dsplit(x, 3)[2], T),
    "repeat": (lambda x: np.repeat(x, 2, axis=1), X),
    "repeat, flat": (lambda x: np.repeat(x, 3), X),
    "repeat, counts": (lambda x: np.repeat(x, [1, 0, 2, 1], axis=0), X),
    "tile": (lambda x: np.tile(x, (2, 1, 3)), X),
    "tile, one": (lambda x: np.tile(x, 2), T),
    "roll": (lambda x: np.roll(x, 2), X),
    "roll, axes": (lambda x: np.roll(x, (1, -2), axis=(0, 1)), X),
    "pad": (lambda x: np.pad(x, ((1, 0), (2, 1)), constant_values=3.0), X),
    "pad, edge": (lambda x: np.pad(x, 2, mode="edge"), v),
    "pad, reflect": (lambda x: np.pad(x, 2, mode="reflect"), X),
    "pad, symmetric": (lambda x: np.pad(x, 1, mode="symmetric"), X),
    "pad, wrap": (lambda x: np.pad(x, 2, mode="wrap"), X),
    "flip": (lambda x: np.flip(x), X),
    "flipud": (lambda x: np.flipud(x), X),
    "fliplr": (lambda x: np.fliplr(x), X),
    "rot90": (lambda x: np.rot90(x) @ x - np.rot90(x, 3) @ x, X),
    "rot90, twice": (lambda x: np.rot90(x, 2, axes=(1, 2)), T),
    "rollaxis": (lambda x: np.rollaxis(x, 2), T),
    "resize": (lambda x: np.resize(x, (3, 8)), X),
    "atleast_3d": (lambda x: np.atleast_3d(x), v),
    "broadcast_arrays": (lambda x: np.broadcast_arrays(x, np.ones((3, 1)))[0], v),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_values(name, dtype):
    function, x = CASES[name]
    x = x.astype(dtype)
    wanted = function(x)
    e = mg.formula(function, x)
    value = e(**{e.symbols[0].name: x})
    assert np.shape(value) == wanted.shape
    np.testing.assert_allclose(value, wanted, rtol=2e-6 if dtype == np.float32 else 1e-13, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    function, x = CASES[name]
    check_derivatives(lambda x: np.exp(0.3 * function(x)), (x,), order=1)
    check_derivatives(lambda x: np.sum(np.sin(function(x)) ** 2), (x,), order=2)


def test_positions_have_no_derivative():
    for position in (np.argmax, np.argmin, np.argsort):
        np.testing.assert_array_equal(mg.jacobian(lambda x, f=position: f(x, axis=0))(X), 0)
    x = mg.vector("x")
    assert np.argmax(x, keepdims=True).ndim == 1


@pytest.mark.parametrize("function", [np.argmax, np.argmin, np.argsort, np.sort], ids=lambda f: f.__name__)
def test_order_with_ties_and_nan(function):
    for row in ([2, 1, 2, 1, 2], [1, np.nan, 0, np.nan], [-np.inf, np.inf, 0.0, -0.0], [7.0]):
        row = np.array(row, np.float64)
        x = mg.vector("x")
        options = {"kind": "stable"} if function in (np.sort, np.argsort) else {}
        np.testing.assert_array_equal(function(x)(x=row), function(row, **options))
    with pytest.raises(ValueError, match="no elements"):
        np.argmax(mg.vector("x"))(x=np.zeros(0))


def test_what_is_masked_may_be_infinite():
    A = mg.matrix("A")
    infinite = np.where(np.tri(4, 5) > 0, X, np.inf)
    np.testing.assert_array_equal(np.tril(A)(A=infinite), np.tril(X))
    np.testing.assert_array_equal(np.triu(A, 1)(A=infinite), np.triu(infinite, 1))
    bands = np.tril(A, -1) + np.tril(np.triu(A))
    np.testing.assert_array_equal(bands(A=infinite), np.tril(X))
    masked = np.sum(np.exp(np.tril(A)) - 1).diff(A)(A=np.where(np.isinf(infinite), 1e9, infinite))
    np.testing.assert_allclose(masked, np.tril(np.exp(X)))


def test_long_cumulative_sums_need_no_matrix():
    x = mg.vector("x")
    long = np.random.default_rng(0).standard_normal(1_000_003)
    np.testing.assert_allclose(np.cumsum(x)(x=long), np.cumsum(long), rtol=1e-9, atol=1e-7)
    gradient = np.sum(np.cumsum(x) ** 2).diff(x)(x=long)
    np.testing.assert_allclose(gradient, 2 * np.cumsum(np.cumsum(long)[::-1])[::-1], rtol=1e-7)


def test_empty_arrays():
    never = mg.jacobian(lambda x: np.repeat(x, 0, axis=1))(T)
    assert never.shape == (2, 0, 3, *T.shape)
    A = mg.matrix("A")
    for shape in ((0, 3), (3, 0)):
        empty = np.zeros(shape)
        for function in (np.sort, np.tril, lambda x: np.cumsum(x, 0), lambda x: x[:, []]):
            np.testing.assert_array_equal(function(A)(A=empty), function(empty))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: np.take(x, [0], mode="other"), ValueError),
        (lambda x: np.pad(x, 1, mode="mean"), NotImplementedError),
        (lambda x: np.split(x, 4), ValueError),
        (lambda x: np.quantile(x, 1.5), ValueError),
        (lambda x: np.quantile(x, 0.5, method="nearest"), NotImplementedError),
        (lambda x: np.diff(x, -1), ValueError),
        (lambda x: np.gradient(x, np.arange(6.0)), NotImplementedError),
        (lambda x: np.take_along_axis(x, np.zeros((1, 1), int), 0), ValueError),
        (lambda x: np.unique(x), NotImplementedError),
        (lambda x: np.nonzero(x), NotImplementedError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call(mg.vector("x", 6))


def test_a_sum_that_is_repeated_along_an_axis_that_drops_out():
    """Terms of a sum that don't depend on a summed axis are multiplied by its length, beside triangles and gathers."""
    A, x = mg.matrix("A"), mg.vector("x")
    M, row = RNG.standard_normal((5, 5)), RNG.standard_normal(5)
    places = np.array([3, 0, 0, 2, 4])
    for e in (np.sum(np.tril(A) @ (np.diag(x) + np.outer(x, x) + x)), np.sum((np.diag(x) + x)[places] * A)):
        second = e.diff(x, mode="forward")
        wanted = run_source(second.to_numpy(), {"A": M, "x": row})
        np.testing.assert_allclose(second(A=M, x=row), wanted, rtol=1e-12)
        np.testing.assert_allclose(e.diff(x, mode="reverse")(A=M, x=row), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.insert(x, 7, 1.0),
        lambda x: np.repeat(x, 2, axis=1),
        lambda x: np.stack([x, np.ones(1)]),
        lambda x: np.vstack([x.reshape(2, 3), np.ones((3, 1))]),
        lambda x: np.hstack([x.reshape(2, 3), np.ones((1, 3))]),
        lambda x: np.concatenate([x.reshape(2, 3), np.ones((1, 1))]),
    ],
)
def test_what_numpy_refuses(call):
    with pytest.raises((IndexError, ValueError)):
        call(np.ones(6))
    with pytest.raises((IndexError, ValueError)):
        mg.formula(call, np.ones(6))


def test_insert_counts_from_the_end():
    for place in (-1, -6, 0, 6):
        np.testing.assert_array_equal(
            mg.formula(lambda x, k=place: np.insert(x, k, 9.0), v)(x=v), np.insert(v, place, 9.0)
        )
    np.testing.assert_array_equal(
        mg.formula(lambda x: np.insert(x, 1, 2.0, axis=1), X)(x=X), np.insert(X, 1, 2.0, axis=1)
    )


def test_quantiles_of_nan_are_nan():
    row = np.array([[1.0, np.nan, 2.0], [3.0, 1.0, 2.0]])
    for function in (lambda x: np.median(x, axis=1), lambda x: np.quantile(x, [0.2, 0.9], axis=1)):
        np.testing.assert_array_equal(mg.formula(function, row)(x=row), function(row))


def test_single_precision_stays():
    single = v.astype(np.float32)
    for function in (np.gradient, lambda x: np.linspace(x[0], x[1], 3)):
        assert mg.value_and_grad(lambda x, f=function: np.sum(f(x)))(single)[0].dtype == np.float32


def test_adding_at_places_takes_no_matrix():
    places = np.random.default_rng(0).integers(0, 50_000, 100_000)

    def counts(x):
        y = np.zeros_like(x)
        np.add.at(y, places, 1.0)
        return np.sum(y * x**2)

    x = np.ones(50_000)
    np.testing.assert_allclose(mg.grad(counts)(x), 2.0 * np.bincount(places, minlength=50_000))

    def infinite(x):
        y = np.zeros_like(x)
        np.add.at(y, [0, 0, 1], np.array([1.0, 2.0, np.inf]))
        return y + x

    np.testing.assert_array_equal(mg.formula(infinite, np.zeros(3))(x=np.zeros(3)), [3, np.inf, 0])


def test_a_pseudoinverse_that_cuts_off_has_no_derivative():
    with pytest.raises(NotImplementedError, match="pinv"):
        mg.grad(lambda A: np.sum(np.linalg.pinv(A, rcond=0.5)))(X)

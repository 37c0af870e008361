"""Passes over tiles give what the steps one after another give, for any tiles, chunks and numbers of threads."""

import numpy as np
import pytest
from hypothesis import given

import matgrad as mg
from isas import assert_passes_on
from matgrad import _core
from random_expressions import cases
from test_identities import CASES
from test_random_expressions import Derivatives, random_cases

NEVER = 1 << 60
#: What is worth a pass: anything. Elements in a tile, and in a chunk.
LIMITS = {"tiny tiles": (-NEVER, 1, NEVER), "small tiles": (-NEVER, 24, NEVER), "tiny chunks": (-NEVER, 8, 1)}
each_limits = pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)


@pytest.fixture
def streaming():
    """A function that sets the limits for plans made from then on, until the end of the test."""
    before = _core.stream_limits()
    yield lambda limits: _core.set_stream_limits(*limits)
    _core.set_stream_limits(*before)


def assert_close(got, expected, tolerance):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.max(np.abs(expected), initial=1.0))


@each_limits
@pytest.mark.parametrize("case", CASES)
def test_identities(streaming, case, limits):
    row, by = CASES[case]
    symbols = row.make_symbols(False)
    f = row.function(**symbols)
    derivative = f.diff(*(symbols[name] for name in by.split()))
    for dtype, tolerance in {"float64": 1e-13, "float32": 3e-6}.items():
        values = row.values(dtype).values()
        results = []
        for chosen in ((NEVER, 1, 1), limits):
            streaming(chosen)
            results.append(mg.compile([f, derivative], list(symbols.values()))(*values))
        for got, expected in zip(*results[::-1], strict=True):
            assert_close(got, expected, tolerance)


@each_limits
def test_random_expressions(streaming, limits):
    @random_cases
    @given(cases)
    def check(case):
        streaming((NEVER, 1, 1))
        plain = Derivatives(case)
        expected = {name: plain[name] for name in plain.functions}
        streaming(limits)
        streamed = Derivatives(case)
        for name, value in expected.items():
            assert_close(streamed[name], value, 1e-11)

    check()


def factorization():
    X, U, V = mg.matrices("X U V")
    f = np.sum((X - U @ V) ** 2)
    return mg.compile([f, f.diff(U), f.diff(V)], [X, U, V])


def mixture():
    X, M, w = mg.matrix("X"), mg.matrix("M"), mg.vector("w")
    distances = np.sum(X**2, axis=1)[:, None] - 2 * X @ M.T + np.sum(M**2, axis=1)[None, :]
    f = np.sum(mg.logsumexp(w[None, :] - distances / 2, axis=1))
    return mg.compile([f, f.diff(M), f.diff(w)], [X, M, w])


def regression():
    X, y, w = mg.matrix("X"), mg.vector("y"), mg.vector("w")
    f = np.sum(np.log(1 + np.exp(-y * (X @ w))))
    return mg.compile([f, f.diff(w), f.diff(w, w)], [X, y, w])


def chain():
    x, y = mg.vectors("x y")
    f = np.tanh(np.exp(-(x**2)) * y + np.sqrt(1 + y**2))
    return mg.compile([f, np.sum(f * x)], [x, y])


def neighbours():
    """Intermediate results that are read out of step with how they are made."""
    x, A = mg.vector("x"), mg.matrix("A")
    e, B = np.exp(x), np.tanh(A)
    f = np.sum((e[1:] - e[:-1]) ** 2) + np.sum(e[::-1] * e) + np.sum(e[::2] ** 3)
    return mg.compile(
        [f, f.diff(x), e[1:] - e[:-1], e[5000:] * e[:5000], B + 2 * B.T, B[1:] * B[:-1], B * B[:, ::-1], B @ B], [x, A]
    )


def halves():
    """An intermediate result of which one part is joined with another."""
    x = mg.vector("x")
    e = np.exp(x)
    return mg.compile([e[5000:] * e[:5000]], [x])


PROBLEMS = {
    "factorization": (factorization, [(700, 503), (700, 5), (5, 503)]),
    "mixture": (mixture, [(1001, 7), (3, 7), (3,)]),
    "regression": (regression, [(503, 13), (503,), (13,)]),
    "chain": (chain, [(100_003,), (100_003,)]),
    "halves": (halves, [(10_000,)]),
    "neighbours": (neighbours, [(10_000,), (150, 150)]),
}
each_problem = pytest.mark.parametrize("problem", PROBLEMS)


def evaluate(problem, dtype):
    make, shapes = PROBLEMS[problem]
    rng = np.random.default_rng(3)
    return make()(*(rng.standard_normal(shape).astype(dtype) for shape in shapes))


@each_problem
@pytest.mark.parametrize("tile", [1, 100, 1000, 10_000])
@pytest.mark.parametrize("chunk", [1, 1000, NEVER])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_problems_for_any_tiles_and_chunks(streaming, problem, tile, chunk, dtype):
    streaming((NEVER, 1, 1))
    expected = evaluate(problem, dtype)
    streaming((0, tile, chunk))
    for got, wanted in zip(evaluate(problem, dtype), expected, strict=True):
        assert_close(got, wanted, {"float64": 1e-12, "float32": 2e-5}[dtype])


@each_problem
def test_same_bits_for_any_number_of_threads(streaming, problem):
    streaming((0, 1000, 1000))
    threads = mg.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3, 8):
            mg.set_num_threads(n)
            results.append(evaluate(problem, "float64"))
    finally:
        mg.set_num_threads(threads)
    for others in results[1:]:
        for got, expected in zip(others, results[0], strict=True):
            np.testing.assert_array_equal(got, expected)


@each_problem
def test_there_are_passes_where_they_save_traffic(streaming, problem):
    streaming((0, 1000, 1000))
    make, shapes = PROBLEMS[problem]
    function = make()
    names = {
        "factorization": "XUV",
        "mixture": "XMw",
        "regression": "Xyw",
        "chain": "xy",
        "neighbours": "xA",
        "halves": "x",
    }[problem]
    assert "tiles of" in str(function.plan(**dict(zip(names, shapes, strict=True))))


@pytest.mark.parametrize("isa", [isa for isa in mg.available_isas() if isa != mg.active_isa()])
def test_problems_on_every_other_instruction_set(isa):
    assert_passes_on(isa, __file__, "test_problems_for_any_tiles_and_chunks")

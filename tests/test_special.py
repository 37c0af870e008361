"""SciPy's special functions of expressions: values, derivatives, edges, source, and what isn't supported."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
import warnings

import mpmath as mp
import numpy as np
import pytest
import scipy.special as special

import matgrad as mg
from identity import run_source
from matgrad._numpy_protocol import SPECIAL
from special_functions import ROWS

NAMES = ("x", "y", "z")
# Values that are SciPy's own functions of doubles; the others are kernels or expressions.
OWN = {
    *["expit", "log_expit", "logit", "entr", "xlogy", "xlog1py", "zeta", "cosm1"],
    *["boxcox", "boxcox1p", "huber", "pseudo_huber", "chdtr", "chdtrc", "gdtr", "gdtrc"],
}
# Expressions that are right where the function is defined, but need not be NaN elsewhere.
IN_RANGE = {"boxcox", "boxcox1p", "huber", "pseudo_huber", "gdtr", "gdtrc", "pdtr", "pdtrc"}
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -2.5, 30.0, 1e-300, 1e300]


def points(name, dtype=np.float64, size=(9,)):
    rng = np.random.default_rng(len(name))
    return [rng.uniform(*interval, size).astype(dtype) for interval in ROWS[name].intervals]


def symbols(name, ndim=1):
    return [mg.tensor(s, ndim) if ndim > 1 else mg.vector(s) for s in NAMES[: len(ROWS[name].intervals)]]


def compiled(name, ndim=1):
    arguments = symbols(name, ndim)
    return getattr(special, name)(*arguments).compile(*arguments)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ROWS)
def test_values_are_scipys(name, dtype):
    """In float32 they are those of float64, rounded."""
    arrays = points(name, dtype, (37,))
    expected = getattr(special, name)(*(a.astype("float64") for a in arrays))
    value = compiled(name)(*arrays)
    assert value.dtype == dtype
    if name in OWN:
        bound = 1e-13 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(value, expected, rtol=bound, atol=bound)
    else:
        np.testing.assert_array_equal(value, expected.astype(dtype))


@pytest.mark.parametrize("name", ROWS)
def test_values_are_right(name):
    """Compared with mpmath, to the accuracy that SciPy states."""
    arrays = points(name)
    value = compiled(name)(*arrays)
    with mp.workdps(30):
        for got, *at in zip(value, *arrays, strict=True):
            exact = ROWS[name].exact(*map(mp.mpf, at))
            assert abs(got - exact) <= ROWS[name].tolerance * max(1, abs(exact)), at


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", ROWS)
def test_derivatives_are_right(name, order):
    row, arguments = ROWS[name], symbols(name)
    f = np.sum(getattr(special, name)(*arguments))
    arrays = points(name, size=(4,))
    values = {x.name: a for x, a in zip(arguments, arrays, strict=True)}
    for k, x in enumerate(arguments):
        if k in row.unknown:
            continue
        derivative = f.diff(*[x] * order)
        got = derivative(**values) if order == 1 else np.diagonal(derivative(**values))
        with mp.workdps(40):
            for slope, *at in zip(got, *arrays, strict=True):
                exact = _partial(row.exact, at, k, order)
                assert abs(slope - exact) <= 30 * row.tolerance * max(1, abs(exact)), (x.name, at, slope, exact)


def _partial(function, at, k, order):
    return mp.diff(lambda t: function(*at[:k], t, *at[k + 1 :]), mp.mpf(at[k]), order)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.unknown])
def test_a_derivative_that_is_not_known_is_refused_by_name(name):
    row, arguments = ROWS[name], symbols(name)
    f = np.sum(getattr(special, name)(*arguments))
    for k in row.unknown:
        with pytest.raises(NotImplementedError, match=r"the derivative of \w+ by its (first|second) argument"):
            f.diff(arguments[k])


@pytest.mark.parametrize("name", [name for name in ROWS if name not in IN_RANGE])
def test_edges_are_scipys(name):
    """Zeros, infinities, NaN, poles and what is out of range."""
    arity = len(ROWS[name].intervals)
    arrays = [np.array(a) for a in zip(*itertools.product(EDGES, repeat=arity), strict=True)]
    if arity > 2:
        arrays = [a[::11] for a in arrays]
    if name in {"hyp0f1", "hyp1f1"}:  # at others SciPy's write a ZeroDivisionError, or take forever
        arrays = [np.clip(a, -50, 50) for a in arrays]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(special, name)(*arrays)
    value = compiled(name)(*arrays)
    np.testing.assert_array_equal(np.isnan(value), np.isnan(expected))
    np.testing.assert_allclose(value, expected, rtol=0 if name not in OWN else 1e-13, atol=0)


@pytest.mark.parametrize("name", ["gammaln", "jv", "betainc", "xlogy"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (5, 7)])
def test_any_shape_and_layout(name, shape):
    arrays = points(name, size=shape)
    function = compiled(name, len(shape)) if shape != () else _of_scalars(name)
    expected = getattr(special, name)(*arrays)
    np.testing.assert_allclose(function(*arrays), expected, rtol=1e-14)
    if len(shape) == 2:
        np.testing.assert_allclose(function(*(np.asfortranarray(a) for a in arrays)), expected, rtol=1e-14)
        wide = [np.repeat(a, 2, axis=1)[:, ::2] for a in arrays]
        np.testing.assert_allclose(function(*wide), expected, rtol=1e-14)
        np.testing.assert_allclose(function(*(a[::-1, ::-1] for a in arrays)), expected[::-1, ::-1], rtol=1e-14)


def _of_scalars(name):
    arguments = mg.scalars(" ".join(NAMES[: len(ROWS[name].intervals)]))
    arguments = arguments if isinstance(arguments, (tuple, list)) else [arguments]
    return getattr(special, name)(*arguments).compile(*arguments)


def test_operands_are_broadcast_and_may_be_numbers():
    x, A = mg.vector("x"), mg.matrix("A")
    a, v = np.random.default_rng(0).uniform(1, 2, (3, 4)), np.linspace(0.5, 2, 4)
    for f, expected in [
        (special.jv(2, x), special.jv(2, v)),
        (special.jv(x, 1.5), special.jv(v, 1.5)),
        (special.betaln(A, x), special.betaln(a, v)),
        (special.betainc(2, A, 0.3), special.betainc(2, a, 0.3)),
        (special.gammaln(3.0) * x, special.gammaln(3.0) * v),
        (special.gammaln(0 * x + 5), special.gammaln(np.full(4, 5.0))),
    ]:
        np.testing.assert_allclose(f(**{s.name: {"x": v, "A": a}[s.name] for s in f.symbols}), expected, rtol=1e-15)


def test_the_same_bits_for_any_number_of_threads():
    array = np.random.default_rng(0).uniform(0.1, 30, 100_003)
    function = compiled("gammaln")
    before = mg.get_num_threads()
    try:
        mg.set_num_threads(3)
        np.testing.assert_array_equal(function(array), special.gammaln(array))
    finally:
        mg.set_num_threads(before)


@pytest.mark.parametrize("name", ROWS)
def test_numpy_source_computes_the_same(name):
    arguments, arrays = symbols(name), points(name)
    f = getattr(special, name)(*arguments)
    expressions = [f, *(np.sum(f).diff(x) for k, x in enumerate(arguments) if k not in ROWS[name].unknown)]
    values = {x.name: a for x, a in zip(arguments, arrays, strict=True)}
    for e in expressions:
        np.testing.assert_allclose(run_source(e.to_numpy(), values), e(**values), rtol=1e-11, atol=1e-13)
        assert all([str(e), e.to_latex(), e.to_index()])


def test_polygamma_takes_what_scipys_does_not():
    x, n, v = mg.vector("x"), mg.vector("n"), np.array([0.3, 1.0, 2.5, 40.0])
    for order in range(5):
        f = mg.polygamma(order, x)
        np.testing.assert_allclose(f(x=v), special.polygamma(order, v), rtol=1e-14)
        np.testing.assert_allclose(np.sum(f).diff(x)(x=v), special.polygamma(order + 1, v), rtol=1e-14)
    orders = np.array([0.0, 1.0, 0.0, 3.0])
    np.testing.assert_allclose(mg.polygamma(orders, x)(x=v), special.polygamma(orders, v), rtol=1e-14)
    np.testing.assert_allclose(mg.polygamma(n, x)(n=orders, x=v), special.polygamma(orders, v), rtol=1e-14)
    np.testing.assert_array_equal(mg.polygamma(2, v), special.polygamma(2, v))
    with pytest.raises(TypeError, match=r"scipy\.special\.polygamma takes arrays only, call mg\.polygamma"):
        special.polygamma(1, x)
    with pytest.raises(NotImplementedError, match="polygamma by its first argument"):
        np.sum(mg.polygamma(n, x)).diff(n)


def test_derivatives_where_the_formulas_of_textbooks_cancel():
    """Near a removable pole, and far out in a tail."""
    x = mg.vector("x")
    v = np.array([-1e-3, 1e-9, 0.0, 1e-5, 0.3])
    with mp.workdps(40):
        sinc = [mp.diff(lambda t: mp.sincpi(t), mp.mpf(t)) for t in v]
        exprel = [mp.diff(lambda t: mp.hyp1f1(1, 2, t), mp.mpf(t)) for t in v]
        tail = [mp.npdf(t) / mp.ncdf(t) for t in (-1e6, -300.0, -38.0)]
    np.testing.assert_allclose(np.sum(np.sinc(x)).diff(x)(x=v), np.array(sinc, float), rtol=1e-14)
    np.testing.assert_allclose(np.sum(special.exprel(x)).diff(x)(x=v), np.array(exprel, float), rtol=1e-14)
    np.testing.assert_allclose(np.diagonal(np.sum(np.sinc(x)).diff(x, x)(x=v))[2], -(np.pi**2) / 3, rtol=1e-14)
    slopes = np.sum(special.log_ndtr(x)).diff(x)(x=np.array([-1e6, -300.0, -38.0]))
    np.testing.assert_allclose(slopes, np.array(tail, float), rtol=1e-14)


def test_zero_times_log_of_zero():
    """By y it is 0 there, by x log 0."""
    x, y = mg.vectors("x y")
    f = np.sum(special.xlogy(x, y))
    at = {"x": np.array([0.0, 0.0, 2.0]), "y": np.array([0.0, 3.0, 0.5])}
    assert f(**at) == 2 * np.log(0.5)
    np.testing.assert_allclose(f.diff(y)(**at), [0, 0, 4])
    np.testing.assert_allclose(f.diff(x)(**at), [-np.inf, np.log(3), np.log(0.5)])
    np.testing.assert_allclose(np.sum(special.rel_entr(x, y)).diff(y)(**at), [0, 0, -4])


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_functions_that_are_not_universal_name_those_to_call(name):
    with pytest.raises(TypeError, match=rf"scipy.special.{name} takes arrays only, call mg.{name}"):
        mg.grad(lambda x: np.sum(getattr(special, name)(x)))(np.ones(3))


def test_a_function_that_is_not_supported_is_named():
    x = mg.vector("x")
    with pytest.raises(NotImplementedError, match=r"scipy\.special\.ellipk of an expression is not supported"):
        special.ellipk(x)
    with pytest.raises(NotImplementedError, match=r"scipy\.special\.erf of an expression: the argument where is not"):
        special.erf(x, where=np.ones(3, bool))
    with pytest.raises(TypeError, match=r"erf: out, or the array on the left of .* is an array of numbers"):
        special.erf(x, out=np.zeros(3))


def test_what_has_the_name_of_a_known_function_but_is_another_is_refused(monkeypatch):
    erf = special.erf
    for module in (special, special._ufuncs):
        monkeypatch.setattr(module, "erf", special.erfc)
    with pytest.raises(NotImplementedError, match=r"^erf of an expression is not supported"):
        erf(mg.vector("x"))


def test_a_process_without_scipy_unpickles_and_calls():
    x = mg.vector("x")
    f = np.sum(special.gammaln(x) * special.erf(3.0)).diff(x)
    recipe = pickle.dumps([f, f.compile(x)])
    script = f"""
import pickle, sys
import matgrad
assert "scipy" not in sys.modules
f, function = pickle.loads({recipe!r})
print(f(x=[1.5, 2.5]).tolist() == function([1.5, 2.5]).tolist(), *function([1.5, 2.5]))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    same, *values = run.stdout.split()
    assert same == "True"
    np.testing.assert_allclose([float(v) for v in values], special.psi([1.5, 2.5]) * special.erf(3.0), rtol=1e-15)


def test_every_function_of_the_table_is_tested():
    aliases = {"_zeta", "yn", "kn", "exp2", "expm1", "log1p", "cbrt"}
    assert set(SPECIAL) ^ set(ROWS) == aliases | {"zeta"}
    x, v = mg.vector("x"), np.array([0.5, 2.0])
    for name in ("yn", "kn"):
        np.testing.assert_allclose(getattr(special, name)(2, x)(x=v), getattr(special, name)(2, v), rtol=1e-14)
    for name in ("exp2", "expm1", "log1p", "cbrt"):
        np.testing.assert_allclose(getattr(special, name)(x)(x=v), getattr(special, name)(v), rtol=1e-15)

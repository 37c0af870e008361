"""Elementwise functions: error in ULP over the whole range on every instruction set, special values, odd sizes."""

import json

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core
from ulp import exceeded, measured_on

# The stated error bounds, in units in the last place of the result, for both precisions and every instruction set:
# |computed − exact| ≤ bound · spacing(exact), subnormal arguments and results included.
BOUNDS = {
    "exp": 1.1,
    "exp2": 1.1,
    "expm1": 1.3,
    "log": 0.9,
    "log2": 0.8,
    "log10": 0.7,
    "log1p": 0.9,
    "sqrt": 0.5,
    "cbrt": 0.8,
    "sin": 0.8,
    "cos": 0.8,
    "tan": 2.3,
    "arcsin": 1.3,
    "arccos": 1.3,
    "arctan": 1.9,
    "arcsinh": 1.8,
    "arccosh": 2.6,
    "arctanh": 1.9,
    "sinh": 1.9,
    "cosh": 1.4,
    "tanh": 1.5,
    "sigmoid": 1.5,
    "softplus": 1.8,
    "relu": 0,
    "absolute": 0,
    "sign": 0,
    "floor": 0,
    "ceil": 0,
    "rint": 0,
    "trunc": 0,
    "logical_not": 0,
    "logit": 1.6,
    "entr": 1.7,
    "sinc": 3.1,
}
REFERENCES = {  # those that NumPy doesn't have
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "relu": lambda x: np.where(x <= 0, x.dtype.type(0), x),
    "logical_not": lambda x: np.logical_not(x).astype(x.dtype),
    "logit": lambda x: np.where(abs(x - 0.5) < 0.25, 2 * np.arctanh(2 * x - 1), np.log(x / (1 - x))),
    "entr": lambda x: np.where(x < 0, -np.inf, np.where(x == 0, 0, -x * np.log(x))).astype(x.dtype),
    "sinc": lambda x: sinc(x),
}
DTYPES = {"float32": (np.float32, np.float64), "float64": (np.float64, np.longdouble)}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0]


def reference(name, x):
    return REFERENCES.get(name, getattr(np, name, None))(x)


def sinc(x):
    """NumPy's multiplies by π before it reduces, which loses digits near the zeros."""
    nearest, pi = np.rint(x), 4 * np.arctan(x.dtype.type(1))
    sine = np.sin(pi * (x - nearest)) * np.where(np.fmod(nearest, 2) == 0, 1, -1)
    return np.where(x == 0, 1, sine / (pi * x)).astype(x.dtype)


def points(dtype):
    """At least 200,000 arguments: every exponent, where functions vary, and the edges of range and of algorithms."""
    rng = np.random.default_rng(0)
    unsigned = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    info = np.finfo(dtype)
    any_bits = rng.integers(0, np.iinfo(unsigned).max, 60_000, dtype=unsigned).view(dtype)
    edges = [
        info.tiny,
        info.smallest_subnormal,
        info.max,
        info.eps,
        2.0**-12,
        2.0**-27,
        np.log(2) / 2,
        0.5,
        1,
        2**0.5,
        2**0.5 - 1,
    ]
    edges += [np.log(float(info.max)), np.log(float(info.tiny)), np.log(float(info.eps)), 2.0**20]
    edges = np.concatenate([edges, np.negative(edges)]).astype(dtype)
    spread = rng.normal(size=(edges.size, 500)) * 30 * np.spacing(np.abs(edges))[:, None]
    samples = [
        any_bits,
        rng.uniform(-1, 1, 50_000) * np.log(float(info.max)) * 1.1,
        rng.normal(size=50_000) * 3,
        rng.uniform(-1.5, 1.5, 50_000),
        1 + rng.normal(size=10_000) * 1e-3,
        -1 + rng.exponential(size=10_000) * 1e-3,
        (edges[:, None].astype(np.longdouble) + spread).ravel(),
        np.arange(-1100, 1100) * np.log(2),
        np.arange(-20_000, 20_000) * (np.pi / 4),
        rng.integers(0, 2**40, 5_000) * (np.pi / 2),
        [5.319372648326541e255],  # of all doubles the nearest to a multiple of π/2, relative to its size
        SPECIAL,
    ]
    return np.concatenate([np.asarray(sample).astype(dtype) for sample in samples])


def measure(name, dtype, wide):
    """The greatest error in ULP and where; wrong NaN, infinity or sign of zero counts as infinite."""
    x = points(dtype)
    got, exact = _core.map(name, x), reference(name, x.astype(wide))
    rounded = exact.astype(dtype)
    finite = np.isfinite(got) & np.isfinite(rounded) & ((got != 0) | (np.signbit(got) == np.signbit(rounded)))
    same = (np.isnan(got) & np.isnan(rounded)) | (np.isinf(got) & (got == rounded))
    error = np.where(finite, np.abs(got - exact) / np.spacing(np.abs(rounded)), np.where(same, 0, np.inf))
    worst = int(np.argmax(error))
    return float(error[worst]), float(x[worst])


def report():
    with np.errstate(all="ignore"):
        errors = {dtype: {name: measure(name, *types) for name in _core.map_names()} for dtype, types in DTYPES.items()}
    print(json.dumps({"isa": mg.active_isa(), "errors": errors}))


@pytest.fixture(scope="module", params=mg.available_isas())
def measured(request):
    return measured_on(request.param, __file__)


def test_every_function_states_its_bound():
    assert list(BOUNDS) == _core.map_names()


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_is_within_the_stated_bound(measured, dtype):
    assert not exceeded(measured[dtype], BOUNDS, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_special_values_are_numpys(name, dtype):
    x = np.array(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        expected = reference(name, x)
    got = _core.map(name, x)
    assert got.dtype == expected.dtype == dtype
    np.testing.assert_array_max_ulp(got[np.isfinite(expected)], expected[np.isfinite(expected)], 4)
    np.testing.assert_array_equal(got[~np.isfinite(expected)], expected[~np.isfinite(expected)])
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_an_element_does_not_depend_on_its_neighbours(name, dtype):
    x = np.linspace(0.1, 0.9, 200).astype(dtype)
    whole = _core.map(name, x)
    for size in (*range(70), 127, 200):
        np.testing.assert_array_equal(_core.map(name, x[:size]), whole[:size])


def test_shape_is_kept():
    for shape in [(), (0,), (3, 0, 2), (2, 3, 5)]:
        assert _core.map("exp", np.ones(shape)).shape == shape


def test_chunks_meet():
    x = np.linspace(-5, 5, 100_003)
    parts = [_core.map("exp", part) for part in np.split(x, [7, 50_001])]
    np.testing.assert_array_equal(_core.map("exp", x), np.concatenate(parts))


@pytest.mark.parametrize(
    ("name", "x", "error", "message"),
    [
        ("expo", np.ones(3), ValueError, "map: name is 'expo' but must be one of: exp, exp2, .*softplus"),
        ("exp", [1.0], TypeError, "map: x is of type list but must be a numpy.ndarray"),
        ("exp", np.ones(3, np.int64), TypeError, "map: x has dtype <i8 but must be float32 or float64"),
        ("exp", np.ones(3, ">f8"), TypeError, "map: x has dtype >f8 but .* in native byte order"),
        ("exp", np.ones(6)[::2], ValueError, "map: x must be C-contiguous and aligned"),
    ],
)
def test_errors_name_the_argument(name, x, error, message):
    with pytest.raises(error, match=f"^{message}"):
        _core.map(name, x)


if __name__ == "__main__":
    report()

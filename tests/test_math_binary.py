"""Elementwise functions of two and three operands: error in ULP on every instruction set, special values, sizes."""

import itertools
import json

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core
from ulp import exceeded, measured_on

# The stated error bounds in units in the last place of the result; of logaddexp, whose terms may cancel, in units in
# the last place of its largest term.
BOUNDS = {
    "power": 1.0,
    "arctan2": 2.4,
    "hypot": 1.3,
    "logaddexp": 2.0,
    "maximum": 0,
    "minimum": 0,
    "greater": 0,
    "greater_equal": 0,
    "equal": 0,
    "not_equal": 0,
    "copysign": 0,
    "xlogy": 1.8,
    "xlog1py": 1.8,
}
REFERENCES = {  # those that NumPy doesn't have
    "xlogy": lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y)),
    "xlog1py": lambda x, y: np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y)),
}
DTYPES = {"float32": (np.float32, np.float64), "float64": (np.float64, np.longdouble)}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e30, -1e30, 1e-30, 2.5]


def reference(name):
    return REFERENCES.get(name) or getattr(np, name)


def points(name, dtype):
    """At least 200,000 pairs of arguments: any bits, magnitudes alike, and where the function's algorithm changes."""
    rng = np.random.default_rng(0)
    unsigned = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    info = np.finfo(dtype)
    any_bits = rng.integers(0, np.iinfo(unsigned).max, (2, 60_000), dtype=unsigned).view(dtype)
    normal = rng.normal(size=(2, 60_000)) * 3
    edges = np.array([info.tiny, info.smallest_subnormal, info.max, info.eps, 1, 2.0**-40, 2.0**60, *SPECIAL])
    edges = np.concatenate([edges, edges * (1 + info.eps), edges * 0.75])
    pairs = [any_bits, normal, np.array(list(itertools.product(edges, edges))).T]
    scale = 2 ** rng.uniform(info.minexp, info.maxexp - 1, 20_000)
    pairs.append(rng.uniform(-1, 1, (2, 20_000)) * scale)
    if name == "power":
        base = 2 ** rng.uniform(info.minexp, info.maxexp - 1, 60_000)
        size = np.log2(base)
        pairs.append([base, rng.uniform(1.02 * info.minexp, 1.01 * info.maxexp, 60_000) / size])
        near = 1 + rng.normal(size=40_000) * 2.0 ** rng.uniform(-info.nmant, -1, 40_000)
        pairs.append([near, rng.uniform(info.minexp, info.maxexp, 40_000) / np.log2(np.abs(near.astype(dtype)))])
        pairs.append([rng.normal(size=20_000) * 10, rng.integers(-30, 30, 20_000)])
    if name == "logaddexp":
        x = rng.normal(size=20_000)
        pairs.append([np.log(rng.uniform(0, 1, 20_000)), np.log1p(-rng.uniform(0, 1, 20_000))])
        pairs.append([x, x + rng.normal(size=20_000) * 1e-3])
    with np.errstate(all="ignore"):
        return [np.concatenate([np.asarray(pair[k]).astype(dtype) for pair in pairs]) for k in (0, 1)]


def measure(name, dtype, wide):
    """The greatest error in ULP and where; wrong NaN, infinity or sign of zero counts as infinite."""
    x, y = points(name, dtype)
    got = _core.map2(name, x, y)
    exact = np.asarray(reference(name)(x.astype(wide), y.astype(wide)), wide)
    rounded = exact.astype(dtype)
    unit = np.spacing(np.abs(rounded))
    if name == "logaddexp":
        unit = np.maximum(unit, np.spacing(np.maximum(np.abs(np.maximum(x, y)), dtype(0.5))))
    signed = name not in {"maximum", "minimum"}  # of zeros NumPy takes either
    signs_agree = (got != 0) | (np.signbit(got) == np.signbit(rounded)) | (not signed)
    finite = np.isfinite(got) & np.isfinite(rounded) & signs_agree
    same = (np.isnan(got) & np.isnan(rounded)) | (np.isinf(got) & (got == rounded))
    error = np.where(finite, np.abs(got - exact) / unit, np.where(same, 0, np.inf))
    worst = int(np.argmax(error))
    return float(error[worst]), float(x[worst]), float(y[worst])


def report():
    with np.errstate(all="ignore"):
        errors = {d: {name: measure(name, *types) for name in _core.map2_names()} for d, types in DTYPES.items()}
    print(json.dumps({"isa": mg.active_isa(), "errors": errors}))


@pytest.fixture(scope="module", params=mg.available_isas())
def measured(request):
    return measured_on(request.param, __file__)


def test_every_function_states_its_bound():
    assert list(BOUNDS) == _core.map2_names()


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_is_within_the_stated_bound(measured, dtype):
    assert not exceeded(measured[dtype], BOUNDS, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_special_values_are_numpys(name, dtype):
    x, y = np.array(list(itertools.product(SPECIAL, SPECIAL)), dtype).T.copy()
    with np.errstate(all="ignore"):
        expected = reference(name)(x, y).astype(dtype)
    got = _core.map2(name, x, y)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    np.testing.assert_array_max_ulp(got[finite], expected[finite], 4)
    if name not in {"maximum", "minimum"}:
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BOUNDS)
def test_an_element_does_not_depend_on_its_neighbours(name, dtype):
    x, y = np.linspace(0.1, 0.9, 200).astype(dtype), np.linspace(0.7, 0.2, 200).astype(dtype)
    whole = _core.map2(name, x, y)
    scalar = y[17:18].reshape(())
    by_scalar, by_scalar_left = _core.map2(name, x, scalar), _core.map2(name, scalar, x)
    np.testing.assert_array_equal(by_scalar, _core.map2(name, x, np.full_like(x, scalar)))
    np.testing.assert_array_equal(by_scalar_left, _core.map2(name, np.full_like(x, scalar), x))
    for size in (*range(40), 127, 200):
        np.testing.assert_array_equal(_core.map2(name, x[:size], y[:size]), whole[:size])
        np.testing.assert_array_equal(_core.map2(name, x[:size], scalar), by_scalar[:size])


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_chooses_as_numpys(dtype):
    rng = np.random.default_rng(0)
    for size in (*range(40), 200):
        c = rng.integers(-1, 2, size).astype(dtype)
        c[::7] = np.nan
        x, y = rng.normal(size=(2, size)).astype(dtype)
        one = np.array(3, dtype)
        np.testing.assert_array_equal(_core.where(c, x, y), np.where(c, x, y))
        np.testing.assert_array_equal(_core.where(c, one, y), np.where(c, one, y))
        np.testing.assert_array_equal(_core.where(c, x, one), np.where(c, x, one))
        np.testing.assert_array_equal(_core.where(one, x, y), x)
    assert _core.where(one, one, one) == 3


def test_shapes_are_kept_and_must_agree():
    for shape in [(), (0,), (3, 0, 2), (2, 3, 5)]:
        assert _core.map2("power", np.ones(shape), np.ones(shape)).shape == shape
        assert _core.map2("power", np.ones(shape), np.array(2.0)).shape == shape
    with pytest.raises(ValueError, match=r"^map2: an operand of shape \(3,\) does not fit one of shape \(4,\)"):
        _core.map2("power", np.ones(3), np.ones(4))
    with pytest.raises(TypeError, match=r"^map2: operands differ in dtype"):
        _core.map2("power", np.ones(3), np.ones(3, np.float32))
    with pytest.raises(ValueError, match=r"^map2: name is 'pow' but must be one of: power, arctan2"):
        _core.map2("pow", np.ones(3), np.ones(3))


if __name__ == "__main__":
    report()

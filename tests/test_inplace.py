"""Assignment to traced arrays and their views: against NumPy's, by random programs and by the idioms of real code."""

import gc

import numpy as np
import pytest

import matgrad as mg

x = np.array([0.7, -1.3, 2.1, 0.4, -0.6, 1.9])
A = np.random.default_rng(0).standard_normal((4, 3))


def differences(f, x, h=1e-6):
    """Return the Jacobian of a function by central differences."""
    steps = np.eye(x.size).reshape(x.size, *x.shape) * h
    columns = [(np.asarray(f(x + s)) - np.asarray(f(x - s))) / (2 * h) for s in steps]
    return np.stack(columns, -1).reshape(*np.shape(columns[0]), *x.shape)


def recurrence(x):
    y = np.zeros_like(x)
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = 0.5 * y[i - 1] + np.sin(x[i])
    return y


def accumulate(x):
    total = np.zeros_like(x)
    for k in range(3):
        total += x**k
    return total


def matrix_entries(x):
    K = np.empty_like(np.outer(x, x))
    for i in range(len(x)):
        for j in range(len(x)):
            K[i, j] = np.exp(-((x[i] - x[j]) ** 2))
    return K


def bordered(x):
    K = np.zeros_like(np.outer(x, x))
    K[0, :] = x
    K[:, -1] = 2 * x
    K[1:-1, 1:-1] += np.outer(x[1:-1], x[1:-1])
    K[2, 2] = K[0, 1] * K[1, -1]
    return K


def finite_difference_scheme(x):
    u = x.copy()
    for _ in range(3):
        u[1:-1] += 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
        u[0], u[-1] = u[1], u[-2]
    return u


def rectified(x):
    y = x * 2
    y[y < 0] = 0
    y[y > 3] **= 2
    y[y < 1] += np.exp(y[y < 1]) - x[y < 1]
    return y


def rectified_by_where(x):
    y = x * 2
    y = np.where(y < 0, 0, y)
    y = np.where(y > 3, y**2, y)
    return np.where(y < 1, y + np.exp(y) - x, y)


def selected(x):
    B, c = np.outer(x, x), x > 0
    positive = x[c]
    alias = positive
    positive *= 2
    B[c] = x
    return np.stack(
        [
            np.log(x[x > 0]).sum(), positive.sum(), np.mean(alias * x[c]), x[c].prod(), np.max(x[x < 2]),
            x[c].min(), np.std(x[c]), np.var(positive), np.linalg.norm(x[c]), positive.size / x.size, np.sum(B[c]),
            B[B > 0].mean(),
        ]
    )  # fmt: skip


def argument(x):
    x[1:3] = 7 * x[0]
    x *= x
    return x


def swapped(x):
    y = x + 0.0
    y[0], y[5] = y[5], y[0]
    y[1:3] = y[3:1:-1]
    y[::2] = y[1::2]
    return y


def normalized_rows(x):
    B = np.outer(x, x) + 10
    for row in B:
        row /= np.sum(row)
    return B


def mutating_helper(x):
    def scale(rows, by):
        rows *= by
        rows[0] = 1.5

    B = np.outer(x, x[:3])
    scale(B[1:3], x[0])
    scale(B.T[0], x[1])
    return B


def views_see_assignments(x):
    y = x * 1.0
    z, even, reversed_, table = y, y[::2], y[::-1], y.reshape(2, 3)
    y[0] = x[1] * x[2]
    even[1] = 5 * x[0]
    table[1] += table[0]
    reversed_[:2] = x[0]
    z -= x[5]
    return np.concatenate([y, z, even, reversed_, table.ravel(), table.T[1]])


def copies_dont_see_assignments(x):
    y = x * 1.0
    copies = [y.copy(), np.copy(y), y.flatten(), +y, y.astype(float), y[[1, 2]], y[0:0], y.reshape(2, 3).T.reshape(6)]
    y[:] = x[0]
    return np.concatenate([y, *copies])


def read_only_views_see_assignments(x):
    B = np.outer(x, x)
    diagonal, row = np.diagonal(B), np.broadcast_to(B[0], (2, 6))
    B[0, 0] = x[1]
    B[0, 1:] += x[2]
    return np.concatenate([diagonal, row.ravel()])


def a_scalar_is_no_view(x):
    y = x * 1.0
    s, t = y[0], y[0]
    s += 10
    y[0] = 3 * x[1]
    return np.stack([s, t, y[0]])


def ufuncs_into_arrays(x):
    y = np.zeros_like(x)
    np.multiply(x, 2, out=y)
    np.sin(y[:3], out=y[:3])
    np.add(y[3:], y[:3], out=y[3:])
    np.copyto(y, x, where=x > 1)
    y[4:].fill(2.5)
    return y


def diagonals(x):
    B = np.outer(x, x)
    np.fill_diagonal(B, 1.0)
    C = np.outer(x, x)
    np.fill_diagonal(C, x)
    return B + C


def histogram(x):
    y = np.zeros_like(x)
    np.add.at(y, [0, 2, 0, 5], x[:4])
    np.add.at(y, slice(1, 3), 1.0)
    return y


def masked_and_chosen(x):
    y = x * 1.0
    y[np.array([True, False, True, False, False, True])] = x[:3]
    y[[1, 3, 1]] = x[3:]
    y[[0, 2]] += 1
    B = np.outer(x, x)
    B[[0, 2], 1] = x[:2]
    B[1:3, [0, 4]] = x[5]
    B[np.ix_([3, 4], [3, 5])] *= 2
    B[x.shape[0] - 1, ...] = y
    return B


def infinite_before(x):
    y, z, w = np.log(x), np.full_like(x, np.nan), np.empty_like(x)
    y[1] = x[0]
    y[4:5] *= 0
    y[4:5] = x[2]
    z[:3] = x[:3]
    z[3] = x[1]
    z[4:] = 5.0
    w[...] = x
    return y + z + w


def other_dtypes(x):
    order = np.zeros_like(x, dtype=int)
    order[1] = 2
    return x[order[1]] * np.ones_like(x, shape=(2,)) + np.full_like(x, 3)[:2]


IDIOMS = (
    recurrence, accumulate, matrix_entries, bordered, finite_difference_scheme, argument, swapped, normalized_rows,
    mutating_helper, views_see_assignments, copies_dont_see_assignments, read_only_views_see_assignments,
    a_scalar_is_no_view, selected, ufuncs_into_arrays, diagonals, histogram, masked_and_chosen, infinite_before,
    other_dtypes,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("f", IDIOMS)
def test_values_and_derivatives_are_those_of_the_numpy_function(f):
    given = x.copy()
    value, pullback = mg.vjp(f, given)
    np.testing.assert_allclose(value, f(x.copy()), rtol=1e-14)
    expected = differences(lambda x: f(x.copy()), x)
    np.testing.assert_allclose(mg.jacobian(f)(given), expected, rtol=1e-6, atol=1e-8)
    u = np.cos(np.arange(value.size)).reshape(value.shape)
    np.testing.assert_allclose(pullback(u)[0], np.tensordot(u, expected, u.ndim), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(given, x)


def test_where_a_traced_condition_holds():
    np.testing.assert_allclose(mg.jacobian(rectified)(x), mg.jacobian(rectified_by_where)(x))
    np.testing.assert_array_equal(mg.vjp(rectified, x)[0], rectified(x))
    with pytest.raises(TypeError, match=r"np\.where"):
        mg.jacobian(lambda x: assigned(x * 1, x > 0, x))(x)
    with pytest.raises(TypeError, match="by the same condition"):
        mg.jacobian(lambda x: assigned(x * 1, x > 0, x[x > 1]))(x)
    with pytest.raises(TypeError, match="by the same condition"):
        mg.jacobian(lambda x: assigned(x * 1, slice(3), x[x > 1]))(x)
    with pytest.raises(TypeError, match=r"np\.where"):
        mg.jacobian(lambda x: x[x > 1] * x)(x)
    with pytest.raises(TypeError, match="its length isn't known"):
        mg.jacobian(lambda x: x[x > 1])(x)
    with pytest.raises(TypeError, match="must be a condition"):
        mg.jacobian(lambda x: assigned(x * 1, x, 1.0))(x)


def assigned(y, key, value):
    y[key] = value
    return y


# --- Random programs ---

KEYS = {
    1: np.s_[0, -1, 1:, ::2, ::-1, -3:-1, ..., 2:2, (None, 1), [0, -1], [1, 1, 0]],
    2: [
        *np.s_[0, -1, (1, 0), (slice(None), 1), (slice(1, None), slice(None, 2)), (..., 0), (slice(None, None, -1), 1)],
        ([0, -1], [1, 0]),
        (slice(1), [1, 0]),
    ],
    3: np.s_[0, (0, 1), (..., 0), (slice(None), 1), (slice(None), 0, slice(1)), (slice(None, None, -1), ..., None)],
}
VIEWS = (
    lambda a, rng: a.T,
    lambda a, rng: a.reshape(-1),
    lambda a, rng: np.ravel(a),
    lambda a, rng: a.reshape(2, -1) if a.size % 2 == 0 and a.size else a,
    lambda a, rng: np.swapaxes(a, 0, -1),
    lambda a, rng: np.expand_dims(a, 1),
    lambda a, rng: np.squeeze(a),
    lambda a, rng: a[KEYS[a.ndim][rng.integers(len(KEYS[a.ndim]))]] if a.ndim in KEYS and 0 not in a.shape else a,
    lambda a, rng: next(iter(a)) if a.size else a,
    lambda a, rng: np.flip(a),
    lambda a, rng: a,
    lambda a, rng: np.array_split(a, 2)[1],
    lambda a, rng: np.rot90(a) if a.ndim > 1 else np.flipud(a),
    lambda a, rng: np.atleast_3d(a),
    lambda a, rng: np.rollaxis(a, -1),
)
COPIES = (
    lambda a, rng: a.copy(),
    lambda a, rng: (a * 2).copy(),
    lambda a, rng: a.flatten(),
    lambda a, rng: np.roll(a, 1).copy(),
    lambda a, rng: a[[0, -1]].copy() if len(a) else a,
    lambda a, rng: np.repeat(a, 2),
    lambda a, rng: np.concatenate([a]),
    lambda a, rng: np.tile(a, 1).copy(),
    lambda a, rng: np.take(a, [0, 0], 0).copy() if len(a) else a,
)


def random_program(x, seed):
    """Make views and copies of an array, assign to them, and return what all of them are in the end."""
    rng = np.random.default_rng(seed)
    arrays = [x, (x * 1.0).reshape(4, 3)]
    for _ in range(14):
        a = arrays[rng.integers(len(arrays))]
        kind = rng.integers(4)
        if kind == 0 or a.ndim == 0:
            made = VIEWS[rng.integers(len(VIEWS))](a, rng) if a.ndim else a * 2
            if np.ndim(made):
                arrays.append(made)
        elif kind == 1:
            arrays.append(COPIES[rng.integers(len(COPIES))](a, rng))
        elif a.ndim in KEYS and 0 not in a.shape:
            keys = [key for key in KEYS[a.ndim] if fits(a, key)]
            key = keys[rng.integers(len(keys))]
            value = (rng.standard_normal(), x[rng.integers(12)], np.cos(a[key]))[rng.integers(3)]
            if rng.integers(2):
                a[key] = value
            else:
                a[key] *= value
                a += 0.5
    return np.concatenate([np.ravel(a) for a in arrays])


def fits(a, key):
    try:
        np.empty(a.shape)[key]
    except IndexError:
        return False
    return True


@pytest.mark.parametrize("seed", range(80))
def test_random_programs_give_what_numpy_gives(seed):
    x = np.random.default_rng(seed).standard_normal(12)
    f = lambda x: random_program(x, seed)  # noqa: E731
    value, pullback = mg.vjp(f, x)
    np.testing.assert_allclose(value, f(x.copy()), rtol=1e-12, atol=1e-12)
    u = np.cos(np.arange(value.size))
    expected = u @ differences(lambda x: f(x.copy()), x)
    np.testing.assert_allclose(pullback(u)[0], expected, rtol=1e-5, atol=1e-6)


# --- What isn't assigned to ---


def test_symbols_are_immutable():
    v = mg.vector("v")
    with pytest.raises(TypeError, match="immutable"):
        v[0] = 1.0
    f = mg.formula(lambda x: x * 2, x)
    with pytest.raises(TypeError, match="immutable"):
        f[0] = 1.0
    before = f
    f += 1
    assert f is not before
    before = v
    v *= 2
    assert before.equals(mg.vector("v"))


def test_transforms_of_symbols_may_assign():
    v = mg.vector("v", 6)
    np.testing.assert_allclose(mg.jacobian(recurrence)(v)(v=x), mg.jacobian(recurrence)(x))
    assert v.equals(mg.vector("v", 6))


def test_arrays_of_an_outer_function_are_immutable():
    def f(x):
        y = x * 1.0

        def inner(t):
            y[0] = t
            return np.sum(y)

        return mg.grad(inner)(x[0])

    with pytest.raises(TypeError, match="outer function"):
        mg.grad(f)(x)


def test_inner_functions_assign_to_their_own_arrays():
    def inner(y):
        y[1:] *= y[:-1]
        return np.sum(y**2)

    def f(x):
        gradient = mg.grad(inner)(x)
        gradient[0] = x[1]
        return np.sum(x * gradient)

    def plain(x):
        gradient = mg.grad(inner)(x.copy())
        gradient[0] = x[1]
        return np.sum(x * gradient)

    np.testing.assert_allclose(mg.grad(f)(x), differences(plain, x), rtol=1e-6)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: assigned(np.zeros(6), 0, x[0]),
        lambda x: assigned(np.zeros(6), slice(3), x[:3]),
        lambda x: np.add(x, 1, out=np.zeros(6)),
        lambda x: np.zeros(6).__iadd__(x),
        lambda x: np.copyto(np.zeros(6), x),
        lambda x: np.add.at(np.zeros(6), [0, 1], x[:2]),
    ],
)
def test_arrays_of_numbers_dont_hold_traced_values(f):
    with pytest.raises(TypeError, match=r"np\.zeros_like\(x\) of a traced"):
        mg.jacobian(f)(x)


def test_what_numpy_refuses_is_refused():
    with pytest.raises(ValueError, match="read-only"):
        mg.jacobian(lambda x: assigned(np.diagonal(np.outer(x, x)), 0, 1.0))(x)
    with pytest.raises(ValueError, match="broadcast"):
        mg.jacobian(lambda x: assigned(x, slice(3), x))(x)
    with pytest.raises(IndexError):
        mg.jacobian(lambda x: assigned(x, 6, 1.0))(x)
    with pytest.raises(ValueError, match="broadcast"):
        mg.jacobian(lambda x: x[:3].__iadd__(np.outer(x[:2], x[:3])))(x)


def test_integer_arguments_are_left_alone():
    counts = np.array([1, 2, 3])

    def f(x, counts):
        counts[0] = 5
        return np.sum(x[:3] * counts) * counts[int(counts[1]) - 2]

    assert mg.grad(f)(x, counts)[0] == 25.0
    np.testing.assert_array_equal(counts, [1, 2, 3])


def test_views_that_are_gone_cost_nothing():
    def f(x):
        y = x * 1.0
        for k in range(5):
            y[k:] *= 2.0
        gc.collect()
        assert len(y._views) == 0
        return y

    np.testing.assert_array_equal(mg.vjp(f, x)[0], x * [2, 4, 8, 16, 32, 32])

"""Expressions in Python: symbols, operators, errors, derivatives, layouts."""

import copy
import operator
import pickle
import threading

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core

A, B, X, U, V = mg.matrices("A B X U V")
a, b, x, y = mg.vectors("a b x y")
s, t = mg.scalars("s t")
M34, M4 = mg.matrix("M34", 3, 4), mg.vector("M4", 4)


# --- Symbols ---


def test_symbols_have_names_and_axes():
    assert [e.name for e in (s, x, X)] == ["s", "x", "X"]
    assert [e.ndim for e in (s, x, X, mg.tensor("T", 3))] == [0, 1, 2, 3]
    assert (2 * x).name is None


def test_known_lengths_are_numbers_and_others_are_scalar_expressions():
    assert mg.tensor("T", 2, 3, 4).shape == (2, 3, 4)
    assert mg.tensor("T", ndim=3).equals(mg.tensor("T", np.int64(3)))
    with pytest.raises(TypeError, match="ndim"):
        mg.tensor("T", 2, 3, ndim=2)
    assert mg.matrix("P", 2, 3).size == 6
    assert len(mg.matrix("P", 2, 3)) == 2
    m, n = X.shape
    assert isinstance(m, mg.Expr)
    assert m.ndim == 0
    assert (X.size / n).equals(m)


def test_a_named_length_is_shared():
    u, v = mg.vectors("u v", "n")
    assert u.shape[0].equals(v.shape[0])
    assert not x.shape[0].equals(y.shape[0])


def test_a_symmetric_matrix_is_its_own_transpose():
    S = mg.matrix("S", symmetric=True)
    assert S.T.equals(S)
    assert not X.T.equals(X)
    assert mg.matrix("S", 3, symmetric=True).shape == (3, 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mg.scalar("a b"), ValueError, "identifier"),
        (lambda: mg.scalar("lambda"), ValueError, "identifier"),
        (lambda: mg.scalar(3), TypeError, "string"),
        (lambda: mg.vector("x", -1), ValueError, "negative"),
        (lambda: mg.vector("x", 2.5), TypeError, "integer"),
        (lambda: mg.vector("x", "1"), ValueError, "identifier"),
        (lambda: mg.matrix("S", 2, 3, symmetric=True), ValueError, "square"),
        (lambda: mg.matrices(["A", "B"]), TypeError, "string"),
    ],
)
def test_wrong_symbols_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_name_stands_for_one_symbol():
    with pytest.raises(ValueError, match="two different symbols are called 'x'"):
        x + mg.vector("x", 3)
    assert (x + mg.vector("x")).equals(2 * x)


# --- Operators ---


def test_equal_functions_are_the_same_expression():
    assert (X + X).equals(2 * X)
    assert ((X.T @ A).T).equals(A.T @ X)
    assert (X - X).equals(0 * X)
    assert (x * x / x).equals(x)
    assert (-(0 - x)).equals(+x)
    assert (x**2).equals(x * x)
    assert np.sqrt(x).equals(x**0.5)
    assert not (A @ B).equals(B @ A)
    assert not x.equals(3)


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul], ids=str
)
def test_arrays_and_lists_may_stand_on_either_side(op):
    array = np.arange(1.0, 5.0)
    c = mg.vector("c", 4)
    for other in (array, array.astype(int), array.astype(">f8"), array.tolist(), np.repeat(array, 2)[::2]):
        assert op(other, c).equals(op(array, c))
        assert op(c, other).equals(op(c, array))
    assert not op(array + 1, c).equals(op(array, c))


@pytest.mark.parametrize("number", [2, 2.0, True, np.float32(2), np.int8(2), np.array(2.0)], ids=repr)
def test_numbers_may_stand_on_either_side(number):
    assert (number * x).equals(float(number) * x)
    assert (x - number).equals(x + -float(number))
    assert (number / x).equals(float(number) / x)
    assert (number**x).equals(float(number) ** x)


def test_a_constant_array_is_a_snapshot():
    array = np.ones(3)
    f = mg.vector("c", 3) * array
    array[:] = 7
    assert f.equals(mg.vector("c", 3) * np.ones(3))


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, complex, object, "datetime64[s]"])
def test_arrays_of_other_dtypes_are_refused(dtype):
    constant = np.ones(3).astype(dtype)
    with pytest.raises(TypeError, match=f"multiply.*{constant.dtype}".replace("[", r"\[")):
        mg.vector("c", 3) * constant


@pytest.mark.parametrize("other", [None, "x", {}, 1j])
def test_foreign_operands_are_refused(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        x + other


def test_comparisons_are_elementwise():
    assert (x == 0).ndim == 1
    assert (x < y).equals(y > x)
    assert (~(x > 0)).ndim == 1
    assert ((x > 0) & (y > 0)).equals((x > 0) * (y > 0))
    assert (x != None) is True  # noqa: E711
    with pytest.raises(TypeError, match="conditions"):
        x & y


# --- Broadcasting ---


def test_axes_of_length_one_are_broadcast_and_others_never():
    row, column = mg.matrix("row", 1, 4), mg.matrix("column", 3, 1)
    assert (row + column).shape == (3, 4)
    assert (row * M34).shape == (3, 4)
    assert (M34 + M4).shape == (3, 4)
    assert np.sum(row + column, axis=0).shape == (4,)
    assert (X + x).shape[1].equals((x + X).shape[1])


@pytest.mark.parametrize(
    "build",
    [
        lambda: M34 + mg.vector("c", 3),
        lambda: M34 * np.ones((4, 4)),
        lambda: M34 @ np.ones(3),
        lambda: M4 @ M34,
        lambda: np.maximum(M34, np.ones(5)),
        lambda: np.linalg.inv(M34),
        lambda: np.einsum("ij,jk", M34, M34),
        lambda: M34.reshape(5, 3),
        lambda: M34.reshape(5, -1),
    ],
)
def test_lengths_that_differ_are_an_error_at_once(build):
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        build()


def test_a_scalar_has_no_matrix_product():
    with pytest.raises(ValueError, match="matmul"):
        t @ x


# --- Indexing and shapes ---


def test_indexing_follows_numpy():
    T = mg.tensor("T", 5, 6, 7)
    array = np.empty((5, 6, 7))
    for key in [
        0,
        -1,
        (1, 2),
        (1, 2, 3),
        np.s_[1:],
        np.s_[::-1],
        np.s_[..., 1],
        np.s_[:, None, ::2],
        (),
        ...,
        np.s_[4:2],
    ]:
        assert T[key].shape == array[key].shape
    assert T[:].equals(T)
    assert [row.shape for row in M34] == [(4,)] * 3
    with pytest.raises(IndexError):
        T[5]
    with pytest.raises(IndexError):
        T[0, 0, 0, 0]
    for key in (True, np.False_):
        with pytest.raises(NotImplementedError, match="indexing"):
            T[key]


def test_reshape_follows_numpy():
    T, array = mg.tensor("T", 2, 3, 4), np.empty((2, 3, 4))
    assert X.reshape(X.size).reshape(X.shape).equals(X)
    for shape in [(6, 4), (2, 12), (24,), (-1,), (4, -1), (2, 1, 3, 4, 1), (3, 8), (2, 2, 6)]:
        assert T.reshape(shape).shape == array.reshape(shape).shape
        assert T.reshape(*shape).reshape(T.shape).shape == T.shape
    assert T.reshape(6, 4).reshape(2, 3, 4).equals(T)
    assert X.reshape(-1).shape[0].equals(X.size)
    assert X.reshape(X.shape).equals(X)
    assert X.reshape(-1, X.shape[1]).equals(X)
    assert mg.vec(X).equals(X.T.reshape(-1))
    assert X.ravel(order="F").equals(mg.vec(X))


# --- What needs values ---


@pytest.mark.parametrize("use", [bool, float, int, complex, np.asarray, len, iter, lambda e: np.array([e, e])])
def test_a_symbol_is_not_silently_turned_into_a_value(use):
    for e in (t, x, X):
        with pytest.raises(TypeError):
            use(e)


def test_what_is_not_supported_is_named():
    for call, name in [
        (lambda: np.linalg.eigvals(X), "linalg.eigvals"),
        (lambda: np.unique(x), "unique"),
        (lambda: np.fft.fft(x), "fft"),
        (lambda: np.gcd(x, 2), "gcd"),
        (lambda: np.sum(x, where=[True]), "sum.*where"),
        (lambda: np.multiply.at(x, [0], 1), "multiply.at"),
        (lambda: np.linalg.qr(X, mode="raw"), "linalg.qr"),
        (lambda: x.astype(int), "astype"),
        (lambda: x.searchsorted(1), "searchsorted"),
        (lambda: np.nextafter(x, y), "nextafter"),
        (lambda: np.where(x), "where"),
        (lambda: np.frexp(x), "frexp"),
    ]:
        with pytest.raises(NotImplementedError, match=name):
            call()
    with pytest.raises(TypeError, match="immutable"):
        x[0] = 1
    with pytest.raises(TypeError, match="exp: out"):
        np.exp(x, out=np.empty(3))


# --- Derivatives ---


def test_derivatives_have_the_axes_of_the_function_and_then_the_variables():
    assert (X @ x).diff(X).ndim == 3
    f = x @ A @ x
    assert f.diff(x).equals(A @ x + A.T @ x)
    assert f.diff(x, x).equals(A + A.T)
    assert f.diff(x, x).equals(f.diff(x).diff(x))
    assert (t**3).diff(t, t, t).equals(0 * t + 6)
    assert np.sum(X).diff(y).ndim == 1
    assert [e.name for e in f.diff(x, x).symbols] == ["x", "A"]


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse", "cross_country"])
def test_all_modes_give_the_same_expression(mode):
    f = np.sum((X - U @ V) ** 2)
    assert f.diff(V, mode=mode).equals(-2 * U.T @ (X - U @ V))
    assert (np.linalg.norm(X - U @ V) ** 2).diff(U, mode=mode).equals(-2 * (X - U @ V) @ V.T)


VALUES = {0: mg.scalar("c"), 1: mg.vector("c", 3), 2: mg.matrix("c", 3, 4), 3: mg.tensor("c", 3, 4, 5)}
VARIABLES = {0: mg.scalar("z"), 1: mg.vector("z", 2), 2: mg.matrix("z", 2, 6), 3: mg.tensor("z", 2, 6, 7)}


@pytest.mark.parametrize("layout", ["tensor", "numerator", "denominator"])
@pytest.mark.parametrize("z", VARIABLES.values(), ids=VARIABLES)
@pytest.mark.parametrize("c", VALUES.values(), ids=VALUES)
def test_layouts_have_the_shapes_of_the_table(c, z, layout):
    f = c * np.sum(z**2)
    expected = mg.to_layout(np.empty(c.shape + z.shape), c.ndim, layout).shape
    assert f.diff(z, layout=layout).shape == expected


def test_layouts_are_transpositions():
    f = A @ np.exp(x)
    J = f.diff(x, layout="numerator")
    assert J.equals(f.diff(x))
    assert f.diff(x, layout="denominator").equals(J.T)
    h = np.exp(a @ x + b @ x)
    assert h.diff(x, x, layout="numerator").equals(h.diff(x, x))
    assert np.trace(A @ X).diff(X, layout="numerator").equals(A)
    assert (A @ X @ B).diff(X, layout="numerator").equals(np.kron(B.T, A))
    assert (A @ X @ B).diff(X, layout="denominator").equals(np.kron(B, A.T))
    assert str(X.diff(X, layout="numerator")) == "I"


@pytest.mark.parametrize(
    ("differentiate", "error", "message"),
    [
        (lambda: t.diff(), TypeError, "at least one"),
        (lambda: t.diff("t"), TypeError, "not a symbol"),
        (lambda: (2 * t).diff(2 * t), TypeError, "not a symbol"),
        (lambda: t.diff(t, mode="sideways"), ValueError, "mode"),
        (lambda: t.diff(t, layout="C"), ValueError, "layout"),
        (lambda: (x @ x).diff(x, x, x, layout="numerator"), ValueError, "layout"),
        (lambda: (X @ x).diff(x, x, layout="numerator"), ValueError, "layout"),
        (lambda: (x @ x).diff(mg.vector("x", 3)), ValueError, "two different symbols"),
    ],
)
def test_wrong_derivatives_are_refused(differentiate, error, message):
    with pytest.raises(error, match=message):
        differentiate()


# --- Printed forms ---


def test_an_expression_prints_as_its_formula():
    g = np.sum((X - U @ V) ** 2).diff(V)
    assert str(g) == repr(g) == "2 Uᵀ(U V − X)"
    assert g.to_latex() == r"2 U^\top (U V - X)"
    assert g._repr_latex_() == r"$\displaystyle 2 U^\top (U V - X)$"
    assert (A @ x).to_index() == "A[i,j] x[j]"


def test_a_derivative_prints_as_the_row_or_column_that_it_is():
    for f, row, column in [
        (a @ x, "aᵀ", "a"),
        (x @ A @ x, "xᵀ(A + Aᵀ)", "(A + Aᵀ)x"),
        (np.linalg.norm(x - a), "(x − a)ᵀ/‖x − a‖", "(x − a)/‖x − a‖"),
    ]:
        assert str(f.diff(x, layout="numerator")) == row
        assert str(f.diff(x, layout="denominator")) == column
    assert str((t**3).diff(t, layout="numerator")) == "3 t²"


# --- Lifetime ---


def test_expressions_may_be_built_by_several_threads_and_leave_nothing_behind():
    def build():
        for k in range(1, 200):
            f = np.sum((X - k * U @ V) ** 2)
            assert f.diff(V).equals(-2 * k * U.T @ (X - k * U @ V))

    build()
    before = _core.live_nodes()
    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _core.live_nodes() <= before


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_expression_is_the_same_expression(protocol):
    S, P, n = mg.matrix("S", symmetric=True), mg.matrix("P", 3, 4), mg.vector("n", "length")
    loss = np.sum((X - U @ V) ** 2)
    for f in [
        t, x, S, n, 2 * x + 1, x.shape[0] * t, n[1:].shape[0] * t, loss, loss.diff(V, V), mg.logdet(X).diff(X),
        np.max(X, 0), mg.softmax(X, 1), X[1:, ::2], P[0], P.reshape(4, 3) * np.ones((4, 3)), np.kron(A, B).diff(A),
        np.where(x > 0, x, y).diff(x), x * np.arange(3, dtype=np.float32), np.linalg.norm(x).diff(x, x),
    ]:  # fmt: skip
        again = pickle.loads(pickle.dumps(f, protocol))
        assert again.equals(f)
        assert [e.name for e in again.symbols] == [e.name for e in f.symbols]
        assert copy.deepcopy(f).equals(f)

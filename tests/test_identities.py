"""Every identity: its value in both precisions, its layouts, its NumPy source and its printed form, in every mode."""

import numpy as np
import pytest

import matgrad as mg
from identities import IDENTITIES, MATRIX_BY_MATRIX
from identities_printed import PRINTED
from identity import run_source

CASES = {f"{row.name} by {by}": (row, by) for row in IDENTITIES.values() for by in row.derivatives}
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
each_derivative = pytest.mark.parametrize("case", CASES)
each_axes = pytest.mark.parametrize("named", [False, True], ids=["free axes", "named axes"])


def differentiate(row, by, named=False, **options):
    """The engine's derivative, and the symbols."""
    symbols = row.make_symbols(named)
    return row.function(**symbols).diff(*(symbols[name] for name in by.split()), **options), symbols


def assert_close(got, expected, dtype="float64"):
    assert got.shape == expected.shape
    assert got.dtype == dtype
    scale = np.max(np.abs(expected), initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def closed_form(row, by, dtype="float64"):
    """The table's derivative in float64, at arguments that have been rounded to the type."""
    arguments = {name: value.astype("float64") for name, value in row.values(dtype).items()}
    return np.asarray(row.derivatives[by](**arguments), "float64")


def test_the_table_is_complete():
    assert len(IDENTITIES) == 86
    assert len(CASES) == 107


@each_derivative
def test_closed_forms_agree_with_finite_differences(case):
    row, by = CASES[case]
    *before, last = by.split()
    values = row.values()
    function = row.derivatives[" ".join(before)] if before else row.function
    position = list(values).index(last)
    mg.testing.check_derivatives(
        function, tuple(values.values()), 1, argnums=position, derivatives=[row.derivatives[by]]
    )


@pytest.mark.parametrize("name", MATRIX_BY_MATRIX)
def test_flattened_closed_forms_agree_with_tensors(name):
    row, values = IDENTITIES[name], IDENTITIES[name].values()
    assert_close(mg.flatten(row.derivatives["X"](**values), len(row.function(**values).shape)), row.flattened(**values))


@each_axes
@pytest.mark.parametrize("dtype", TOLERANCE)
@each_derivative
def test_values(case, dtype, named):
    row, by = CASES[case]
    derivative, symbols = differentiate(row, by, named)
    values, expected = row.values(dtype), closed_form(row, by, dtype)
    assert_close(derivative.compile(*symbols.values())(*values.values()), expected, dtype)
    assert_close(derivative(**values), expected, dtype)


@pytest.mark.parametrize("name", IDENTITIES)
def test_functions_themselves(name):
    row, values = IDENTITIES[name], IDENTITIES[name].values()
    function = row.function(**row.make_symbols())
    needed = {symbol.name: values[symbol.name] for symbol in function.symbols}
    assert_close(np.asarray(function(**needed)), np.asarray(row.function(**values)))


def has_layouts(row, by):
    """Whether a derivative is by one variable, or the Hessian of a scalar by a vector."""
    *before, last = by.split()
    return not before or (before == [last] and len(row.properties[last][0]) == 1)


@pytest.mark.parametrize("layout", ["tensor", "numerator", "denominator"])
@pytest.mark.parametrize("case", [case for case in CASES if has_layouts(*CASES[case])])
def test_layouts(case, layout):
    row, by = CASES[case]
    derivative, _ = differentiate(row, by, layout=layout)
    values = row.values()
    ndim = np.ndim(row.function(**values)) + len(by.split()) - 1
    assert_close(derivative(**values), np.asarray(mg.to_layout(closed_form(row, by), ndim, layout)))


@pytest.mark.parametrize("name", MATRIX_BY_MATRIX)
def test_flattened_derivatives(name):
    row = IDENTITIES[name]
    values, expected = row.values(), row.flattened(**row.values())
    assert_close(differentiate(row, "X", layout="numerator")[0](**values), expected)
    assert_close(differentiate(row, "X", layout="denominator")[0](**values), expected.T)


@each_axes
@each_derivative
def test_numpy_source_runs_as_it_stands(case, named):
    row, by = CASES[case]
    source = differentiate(row, by, named)[0].to_numpy()
    assert_close(np.asarray(run_source(source, row.values())), closed_form(row, by))


@each_derivative
def test_modes_give_the_same_expression(case):
    row, by = CASES[case]
    symbols = row.make_symbols()
    function = row.function(**symbols)
    variables = [symbols[name] for name in by.split()]
    derivative = function.diff(*variables)
    for mode in ("forward", "reverse", "cross_country"):
        same = function.diff(*variables, mode=mode)
        assert same.equals(derivative), f"{mode}: {same} is not {derivative}"
        assert_close(same(**row.values()), closed_form(row, by))


@pytest.mark.parametrize("case", PRINTED)
def test_matrix_notation(case):
    assert str(differentiate(*CASES[case])[0]) == PRINTED[case]


@pytest.mark.parametrize("name", IDENTITIES)
def test_derivatives_can_be_checked_in_one_call(name):
    function, values = IDENTITIES[name].function(**IDENTITIES[name].make_symbols()), IDENTITIES[name].values()
    mg.testing.check_derivatives(function, {symbol.name: values[symbol.name] for symbol in function.symbols}, order=1)


# --- What must never happen: each is an open bug of a well-known system ---


def test_a_trace_plus_a_constant_has_a_derivative():
    X, c = mg.matrix("X"), mg.scalar("c")
    value = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert_close((np.trace(X) + 1).diff(X)(X=value), np.eye(2))
    assert_close((1 + np.trace(X)).diff(X)(X=value), np.eye(2))
    assert_close((np.trace(X) + c).diff(X)(X=value, c=2.0), np.eye(2))


def test_the_second_derivative_through_a_trace():
    X, A = mg.matrices("X A")
    values = {"X": np.array([[1.0, 2.0], [3.0, 5.0]]), "A": np.array([[1.0, -2.0], [0.5, 4.0]])}
    # tr(XAXᵀ) = Σ X[i,k] A[k,l] X[i,l]: δ[i,m] (A + Aᵀ)[j,n] at [i,j,m,n]
    expected = np.einsum("im,jn->ijmn", np.eye(2), values["A"] + values["A"].T)
    assert_close(np.trace(X @ A @ X.T).diff(X, X)(**values), expected)
    # tr(X)²: 2 δ[i,j] δ[k,l]
    assert_close((np.trace(X) ** 2).diff(X, X)(X=values["X"]), 2 * np.einsum("ij,kl->ijkl", np.eye(2), np.eye(2)))
    # exp tr X: exp(tr X) δ[i,j] δ[k,l]
    expected = np.exp(6.0) * np.einsum("ij,kl->ijkl", np.eye(2), np.eye(2))
    assert_close(np.exp(np.trace(X)).diff(X, X)(X=values["X"]), expected)


@pytest.mark.parametrize(
    "norm",
    [np.linalg.norm, lambda x: np.sqrt(np.sum(x**2)), lambda x: np.sqrt(x @ x), lambda x: (x @ x) ** 0.5],
    ids=["norm", "sqrt of the sum", "sqrt of the dot product", "power"],
)
def test_a_zero_norm_has_derivatives(norm):
    x, zero = mg.vector("x"), np.zeros(3)
    assert_close(norm(x).diff(x)(x=zero), np.zeros(3))
    assert_close(norm(x).diff(x, x)(x=zero), np.zeros((3, 3)))
    assert_close((norm(x) ** 2).diff(x)(x=zero), np.zeros(3))
    assert_close((norm(x) ** 2).diff(x, x)(x=zero), 2 * np.eye(3))


def test_kinks_have_the_documented_derivatives():
    x, at = mg.vector("x"), np.array([0.0, -2.0, 2.0])
    assert_close(np.sum(np.abs(x)).diff(x)(x=at), np.array([0.0, -1.0, 1.0]))
    assert_close(np.sum(mg.relu(x)).diff(x)(x=at), np.array([0.0, 0.0, 1.0]))
    assert_close(np.sum(np.maximum(x, 0)).diff(x)(x=at), np.array([0.5, 0.0, 1.0]))
    tie = np.array([3.0, 1.0, 3.0])
    assert_close(np.max(x).diff(x)(x=tie), np.array([0.5, 0.0, 0.5]))
    for function in (np.sum(np.abs(x)), np.sum(mg.relu(x)), np.sum(np.maximum(x, 0)), np.max(x)):
        assert_close(function.diff(x, x)(x=at), np.zeros((3, 3)))


def test_only_piecewise_constant_functions_have_a_zero_derivative():
    x, y, at = mg.vector("x"), mg.vector("y"), np.array([0.7, -1.3])
    for function in (np.sign(x), np.floor(x), np.ceil(x), np.rint(x), np.round(x), x > 0.5, np.where(x > 0, 1.0, 2.0)):
        assert_close(function.diff(x)(x=at), np.zeros((2, 2)))
    assert_close(y.diff(x)(x=at, y=np.zeros(3)), np.zeros((3, 2)))


def test_a_traced_expression_never_turns_into_an_array():
    X, x = mg.matrix("X"), mg.vector("x")
    for expression in (X, X @ x, np.sin(x)):
        with pytest.raises(TypeError):
            np.asarray(expression)
        with pytest.raises(TypeError):
            np.array(expression)
    for convert in (bool, float, int):
        with pytest.raises(TypeError):
            convert(np.sum(x))
    with pytest.raises(TypeError):
        list(x)


@pytest.mark.parametrize("function", [np.unique, np.fft.fft, np.linalg.eigvals])
def test_what_is_not_supported_is_named(function):
    with pytest.raises(NotImplementedError, match=function.__name__):
        function(mg.matrix("X"))

"""SciPy's optimizers with our derivatives: reference problems, arrays of any shape, and who may write to what."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import optimize
from scipy.optimize._numdiff import approx_derivative

import matgrad as mg
import more_garbow_hillstrom as mgh

minimize_args = mg.interop.scipy.minimize_args
METHODS = (
    "BFGS",
    "L-BFGS-B",
    "CG",
    "SLSQP",
    "Newton-CG",
    "trust-ncg",
    "trust-krylov",
    "trust-exact",
    "trust-constr",
)
# Where SciPy's method stops short of a minimum that BFGS finds, or needs thousands of steps: problems of bad scale.
STOPS_SHORT = {
    "L-BFGS-B": {3, 6, 9, 10, 17, 24},
    "SLSQP": {3, 4, 6, 9, 10, 24, 31},
    "Newton-CG": {10, 11, 13, 17, 22, 23, 24},
    "trust-ncg": {4, 10},
    "trust-exact": {4, 17},
}


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def model(parameters, t, scale=1.0):
    """A function of a matrix, a vector and a number."""
    hidden = np.tanh(parameters["W"] @ t + parameters["b"])
    return scale * np.sum(hidden**2) + np.exp(parameters["c"]) * np.sum(parameters["W"] ** 2)


def parameters():
    rng = np.random.default_rng(0)
    return {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(3), "c": 0.3}


def is_minimum(value, problem):
    """Whether a value is one of those that the paper lists, with six digits."""
    return any(abs(value - minimum) <= (1e-5 * minimum or 1e-7) for minimum in problem.minima)


# --- Reference problems ---


@pytest.mark.parametrize("n", [2, 3, 17])
def test_derivatives_of_rosenbrocks_function_are_those_of_scipy(n):
    a, rng = minimize_args(rosenbrock, np.zeros(n)), np.random.default_rng(n)
    for x in rng.standard_normal((3, n)):
        p = rng.standard_normal(n)
        np.testing.assert_allclose(a.fun(x), optimize.rosen(x), rtol=1e-14)
        np.testing.assert_allclose(a.jac(x), optimize.rosen_der(x), rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(a.hess(x), optimize.rosen_hess(x), rtol=1e-12)
        np.testing.assert_allclose(a.hessp(x, p), optimize.rosen_hess_prod(x, p), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_the_same_path_as_with_scipys_derivatives(method):
    start = np.array([-1.2, 1.0, 0.7, 1.4])
    given = {"jac": optimize.rosen_der}
    arguments = minimize_args(rosenbrock, start, method=method)
    given |= {"hess": optimize.rosen_hess} if "hess" in arguments else {}
    given |= {"hessp": optimize.rosen_hess_prod} if "hessp" in arguments else {}
    ours = optimize.minimize(**arguments)
    theirs = optimize.minimize(optimize.rosen, start, method=method, **given)
    assert ours.success
    assert ours.nit == theirs.nit
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-5)


@pytest.mark.parametrize("problem", mgh.PROBLEMS, ids=lambda p: p.name)
def test_least_squares_and_bfgs_find_the_published_minima(problem):
    arguments = mg.interop.scipy.least_squares_args(problem.residuals, problem.start)
    x = problem.start + 0.01
    numerical = approx_derivative(problem.residuals, x, method="3-point")
    np.testing.assert_allclose(arguments.jac(x), numerical, rtol=1e-6, atol=5e-6 * np.abs(numerical).max())
    found = optimize.least_squares(**arguments, method="lm", ftol=1e-14, xtol=1e-14, gtol=1e-14, max_nfev=5000)
    assert is_minimum(2 * found.cost, problem)
    found = optimize.minimize(**minimize_args(problem.objective, problem.start, method="BFGS"), tol=1e-10)
    assert is_minimum(found.fun, problem)


@pytest.mark.parametrize(
    ("method", "problem"),
    [(m, p) for m, short in STOPS_SHORT.items() for p in mgh.PROBLEMS if p.number not in short],
    ids=lambda case: getattr(case, "name", case),
)
def test_methods_find_the_published_minima(method, problem):
    arguments = minimize_args(problem.objective, problem.start, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step may overflow
        found = optimize.minimize(**arguments, tol=1e-10, options={"maxiter": 1000})
    assert is_minimum(found.fun, problem)


@pytest.mark.parametrize("method", ["hybr", "lm"])
@pytest.mark.parametrize("number", [1, 7, 28, 29, 30, 31])
def test_root_solves_the_square_systems(method, number):
    problem = mgh.PROBLEMS[number - 1]
    found = optimize.root(**mg.interop.scipy.root_args(problem.residuals, problem.start), method=method, tol=1e-12)
    assert found.success
    np.testing.assert_allclose(problem.residuals(found.x), 0, atol=1e-10)


# --- Arrays of any shape ---


def test_a_tree_of_arrays_has_the_derivatives_of_its_vector():
    a = minimize_args(model, parameters(), (np.array([0.5, -1.0]), 2.0))
    plain = lambda x: model(a.unravel(x), np.array([0.5, -1.0]), 2.0)  # noqa: E731
    x, p = a.x0 + 0.1, np.linspace(-1, 1, 10)
    np.testing.assert_allclose(a.fun(x), plain(x), rtol=1e-14)
    np.testing.assert_allclose(a.jac(x), approx_derivative(plain, x, method="3-point"), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(a.hess(x), approx_derivative(a.jac, x, method="3-point"), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(a.hessp(x, p), a.hess(x) @ p, rtol=1e-12)


def test_the_way_back_has_the_shapes_of_the_start():
    a = minimize_args(model, parameters(), np.ones(2))
    back = a.unravel(a.x0)
    assert back.keys() == parameters().keys()
    for name, value in parameters().items():
        np.testing.assert_array_equal(back[name], value)
    np.testing.assert_array_equal(a.ravel(back), a.x0)
    lower = a.ravel({"W": 0, "b": [1, 2, 3], "c": -np.inf})
    np.testing.assert_array_equal(lower, [0, 0, 0, 0, 0, 0, 1, 2, 3, -np.inf])


@pytest.mark.parametrize("method", ["BFGS", "Newton-CG", "trust-exact"])
def test_a_tuple_of_matrices_is_fitted(method):
    rng = np.random.default_rng(1)
    U, V, X = rng.standard_normal((5, 2)), rng.standard_normal((2, 4)), rng.standard_normal((5, 4))
    loss = lambda factors, X: np.sum((X - factors[0] @ factors[1]) ** 2)  # noqa: E731
    found = optimize.minimize(**minimize_args(loss, (U, V), X, method=method))
    np.testing.assert_allclose(found.fun, np.sum(np.linalg.svd(X)[1][2:] ** 2), rtol=1e-6)  # Eckart and Young


@pytest.mark.parametrize("x0", [np.float32([[1, 2], [3, 4]]), [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], ">f8").T.T])
def test_the_search_is_in_float64_whatever_the_start(x0):
    a = minimize_args(lambda X: np.sum((X - 1 / 3) ** 4), x0, method="trust-exact")
    assert a.x0.dtype == a.jac(a.x0).dtype == np.float64
    x = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(a.jac(x), 4 * (x - 1 / 3) ** 3, rtol=1e-14)
    np.testing.assert_allclose(a.hess(x), np.diag(12 * (x - 1 / 3) ** 2), rtol=1e-14)
    assert a.unravel(x).shape == (2, 2)


def test_a_number_is_a_vector_of_one():
    a = minimize_args(lambda x: (x - 2) ** 2, 5.0, method="trust-exact")
    found = optimize.minimize(**a)
    np.testing.assert_allclose(a.unravel(found.x), 2.0)
    np.testing.assert_array_equal(a.hess(np.array([0.0])), [[2.0]])


def test_arrays_may_be_empty():
    a = minimize_args(lambda x: np.sum(x[0] ** 2) + np.sum(x[1]), (np.ones(2), np.ones((0, 3))))
    assert a.fun(a.x0) == 2
    np.testing.assert_array_equal(a.jac(a.x0), [2, 2])
    np.testing.assert_array_equal(a.hess(a.x0), 2 * np.eye(2))
    r = mg.interop.scipy.least_squares_args(lambda x: x[0] * 3, (np.ones(2), np.ones((0, 3))))
    np.testing.assert_array_equal(r.jac(r.x0), 3 * np.eye(2))


def test_residuals_of_any_shape_are_ravelled():
    A = np.array([[2.0, 1.0], [0.0, 3.0]])
    r = mg.interop.scipy.least_squares_args(lambda x, A: A @ x["R"] - x["s"], {"R": np.ones((2, 3)), "s": 1.0}, A)
    assert r.fun(r.x0).shape == (6,)
    np.testing.assert_allclose(r.jac(r.x0), approx_derivative(r.fun, r.x0), atol=1e-7)


def test_an_expression_takes_arrays_by_symbol():
    X, U, V = mg.matrices("X U V")
    f = np.sum((X - U @ V) ** 2)
    rng = np.random.default_rng(2)
    X_, start = np.outer([1.0, 2.0, 3.0], [4.0, 5.0]), {"V": np.ones((1, 2)), "U": rng.random((3, 1))}
    a = minimize_args(f, start, {"X": X_}, method="trust-ncg")
    found = a.unravel(optimize.minimize(**a).x)
    np.testing.assert_allclose(found["U"] @ found["V"], X_, atol=1e-6)
    with pytest.raises(TypeError, match=r"minimize_args: the expression.*X"):
        minimize_args(f, start)
    with pytest.raises(TypeError, match="x0 and args must be dicts"):
        minimize_args(f, np.ones(3))


def test_a_method_that_factorizes_takes_no_structured_hessian():
    with pytest.raises(ValueError, match="trust-exact factorizes"):
        minimize_args(rosenbrock, np.zeros(3), method="trust-exact", hess="structured")
    with pytest.raises(ValueError, match="x has 7 elements but must have 2"):
        minimize_args(lambda x: np.sum(x**2), np.zeros(2)).fun(np.ones(7))


def test_the_hessian_may_be_structured():
    Q = np.diag([1.0, 2.0, 3.0]) + 0.1
    a = minimize_args(
        lambda X: np.sum(X * (Q @ X)) - np.sum(X), np.zeros((3, 40)), method="Newton-CG", hess="structured"
    )
    assert isinstance(a.hess(a.x0), mg.Structured)
    np.testing.assert_allclose(a.unravel(optimize.minimize(**a).x), np.linalg.solve(2 * Q, np.ones((3, 40))), rtol=1e-5)


# --- Constraints ---


def test_constraints_of_slsqp_take_our_jacobians():
    constraint = lambda x: np.stack([x[0] ** 2 + x[1] ** 2 - 1, x[2] - x[0]])  # noqa: E731
    found = optimize.minimize(
        **minimize_args(lambda x: -x[0] - x[1] + x[2] ** 2, np.array([1.0, 0.2, 0.0]), method="SLSQP"),
        constraints={"type": "eq", "fun": constraint, "jac": mg.jacobian(constraint)},
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(constraint(found.x), 0, atol=1e-8)
    a = np.linspace(0, np.pi / 2, 100_001)  # on the circle, with x[2] = x[0]
    np.testing.assert_allclose(found.fun, np.min(-np.cos(a) - np.sin(a) + np.cos(a) ** 2), rtol=1e-8)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
def test_constraints_may_be_of_trees(method):
    start = {"q": np.array([0.6, 0.8]), "s": 2.0}
    loss = minimize_args(lambda x: np.sum((x["q"] - np.array([3.0, 4.0])) ** 2) + x["s"] ** 2, start, method=method)
    circle = mg.interop.scipy.root_args(lambda x: np.sum(x["q"] ** 2) + x["s"] - 4, start)
    found = optimize.minimize(**loss, constraints=optimize.NonlinearConstraint(circle.fun, 0, 0, jac=circle.jac))
    np.testing.assert_allclose(circle.fun(found.x), 0, atol=1e-6)
    q = loss.unravel(found.x)["q"]
    np.testing.assert_allclose(q / np.linalg.norm(q), [0.6, 0.8], atol=1e-5)


# --- What is kept between calls ---


def test_the_point_may_be_overwritten_between_value_and_gradient():
    a, x = minimize_args(rosenbrock, np.zeros(3)), np.array([0.5, -1.0, 2.0])
    a.fun(x)
    x[:] = [1.5, 0.2, -0.3]
    np.testing.assert_allclose(a.jac(x), optimize.rosen_der(x))
    np.testing.assert_allclose(a.fun(x), optimize.rosen(x))


def test_a_gradient_may_be_overwritten():
    a, x = minimize_args(rosenbrock, np.zeros(3)), np.array([0.5, -1.0, 2.0])
    a.fun(x)
    a.jac(x)[:] = 0
    np.testing.assert_allclose(a.jac(x), optimize.rosen_der(x))


def test_value_and_gradient_are_computed_together():
    calls = []

    def loss(x, data):
        calls.append(x)
        return np.sum(data * x**2)

    a, x = minimize_args(loss, np.ones(3), np.ones(3)), np.array([1.0, 2.0, 3.0])
    counted, evaluated = a._value_and_gradient, []
    a._value_and_gradient = lambda *arguments: evaluated.append(1) or counted(*arguments)
    a.fun(x), a.jac(x.copy())
    a.fun(x + 1), a.jac(x + 1)
    assert len(evaluated) == 2
    a.jac(x + 2)
    assert len(evaluated) == 3
    assert len(calls) == 1  # by the trace


def test_data_are_read_at_every_call():
    data, x = np.ones(3), np.array([1.0, 2.0, 3.0])
    a = minimize_args(lambda x, data: np.sum(data * x**2), x, data)
    assert a.fun(x) == 14
    data *= 2
    assert a.fun(x) == 28
    np.testing.assert_array_equal(a.jac(x), 4 * x)


def test_they_pickle():
    a = pickle.loads(pickle.dumps(minimize_args(model, parameters(), np.ones(2), method="Newton-CG")))
    b = minimize_args(model, parameters(), np.ones(2))
    assert a.fun(a.x0) == b.fun(b.x0)
    np.testing.assert_array_equal(a.hessp(a.x0, a.x0), b.hessp(b.x0, b.x0))
    r = pickle.loads(pickle.dumps(mg.interop.scipy.root_args(mgh.bard, np.ones(3))))
    np.testing.assert_allclose(r.fun(r.x0), mgh.bard(r.x0), rtol=1e-14)


# --- What is passed on ---


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, set()),
        ({"method": "L-BFGS-B"}, {"method"}),
        ({"method": "newton-cg"}, {"method", "hessp"}),
        ({"method": "trust-constr"}, {"method", "hessp"}),
        ({"method": "dogleg"}, {"method", "hess"}),
        ({"method": "trust-ncg", "hess": "structured"}, {"method", "hess"}),
        ({"method": "trust-constr", "hess": None}, {"method"}),
        ({"hess": "dense"}, {"hess"}),
        ({"hess": "product"}, {"hessp"}),
    ],
)
def test_a_method_gets_the_hessian_that_it_uses(choice, expected):
    a = minimize_args(rosenbrock, np.zeros(3), **choice)
    assert {*a} == {"fun", "x0", "jac"} | expected
    assert dict(a)["jac"] == a.jac
    with pytest.raises(KeyError):
        a["bounds"]


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="minimize_args: fun is 3"):
        minimize_args(3, np.ones(2))
    with pytest.raises(TypeError, match="minimize_args: x0_b"):
        minimize_args(model, {"a": 1.0, "b": "text"})
    with pytest.raises(ValueError, match=r"minimize_args: x0 is .* at least one array"):
        minimize_args(model, {})
    with pytest.raises(ValueError, match="minimize_args: hess is 'sparse'"):
        minimize_args(rosenbrock, np.ones(2), hess="sparse")
    with pytest.raises(ValueError, match="x0 has 3 arrays"):
        minimize_args(model, parameters(), hess="structured")
    a = minimize_args(model, parameters(), np.ones(2))
    with pytest.raises(ValueError, match=r"unravel: x has shape \(3,\) but must have \(10,\)"):
        a.unravel(np.ones(3))
    with pytest.raises(TypeError, match="ravel: the arrays must be nested as in x0 of minimize_args"):
        a.ravel({"W": 1.0})
    vector_valued = minimize_args(lambda x: x**2, np.ones(2))
    with pytest.raises(ValueError, match="one element"):
        vector_valued.fun(np.ones(2))


def test_adapters_are_imported_on_use():
    code = "import sys, matgrad as mg; mg.interop; print('scipy' in sys.modules, mg.interop.scipy.__name__)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["False", "matgrad.interop.scipy"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mg.interop.nothing  # noqa: B018

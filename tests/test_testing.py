"""Checking derivatives: right ones pass, planted errors are found, and nothing passes without having been checked."""

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf
from matgrad.testing import check_derivatives

RNG = np.random.default_rng(5)
A, B, C = (RNG.standard_normal(shape) for shape in ((3, 3), (3, 4), (4, 3)))
x = np.array([0.7, -1.3, 2.1])


def cubic(x):
    return np.sum(x**3)


def cubic_gradient(x):
    return 3 * x**2


def cubic_hessian(x):
    return np.diag(6 * x)


RIGHT = {
    "scalar by scalar": (np.exp, (0.3,), [np.exp, np.exp, np.exp]),
    "scalar by vector": (cubic, (x,), [cubic_gradient, cubic_hessian]),
    "vector by vector": (lambda x: np.exp(A @ x), (x,), [lambda x: np.exp(A @ x)[:, None] * A]),
    "matrix by matrix": (lambda X: B @ X, (C,), [lambda X: np.einsum("ik,jl->ijkl", B, np.eye(3))]),
    "near a pole": (lambda x: np.sum(np.log(x)), ([1e-3, 1.0],), [lambda x: 1 / x, lambda x: -np.diag(1 / x**2)]),
    "at a kink": (lambda x: np.sum(np.abs(x)), ([0.0, 1.0],), [np.sign]),
    "of large value": (lambda x: 1e6 + np.sin(x), (0.4,), [np.cos]),
    "at zero": (lambda x: x @ x, (np.zeros(3),), [lambda x: 2 * x, lambda x: 2 * np.eye(3)]),
    "integers": (cubic, ([1, 2, 3],), [cubic_gradient, cubic_hessian]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_derivatives_pass(case):
    fun, args, derivatives = RIGHT[case]
    check_derivatives(fun, args, len(derivatives), derivatives=derivatives)


def test_float32_has_its_own_steps_and_tolerance():
    args = (x.astype(np.float32),)
    check_derivatives(cubic, args, derivatives=[cubic_gradient, cubic_hessian])
    with pytest.raises(AssertionError, match="derivative 1 of cubic"):
        check_derivatives(cubic, args, derivatives=[lambda x: 3.1 * x**2, cubic_hessian])


def product(A, x):
    return A @ x


def test_several_arguments_give_tuples():
    def by_both(A, x):
        return np.einsum("ik,l->ikl", np.eye(3), x), A

    def seconds(A, x):
        mixed = np.einsum("ik,lj->iklj", np.eye(3), np.eye(3))
        return (np.zeros((3, 3, 3, 3, 3)), mixed), (np.moveaxis(mixed, 3, 1), np.zeros((3, 3, 3)))

    check_derivatives(product, (A, x), derivatives=[by_both, seconds])
    check_derivatives(product, (A, x), 1, derivatives=[lambda A, x: A], argnums=1)
    check_derivatives(product, (A, x), 1, derivatives=[lambda A, x: A], argnums=-1)
    check_derivatives(product, (A, x), 1, derivatives=[lambda A, x: (A,)], argnums=(1,))
    with pytest.raises(AssertionError, match=r"derivative 1 of product by argument 1 is wrong at \["):
        check_derivatives(product, (A, x), 1, derivatives=[lambda A, x: (by_both(A, x)[0], A.T)])
    with pytest.raises(AssertionError, match="derivative 2 of product by argument 0 and 1 is wrong"):
        check_derivatives(
            product,
            (A, x),
            derivatives=[by_both, lambda A, x: ((seconds(A, x)[0][0], -seconds(A, x)[0][1]), seconds(A, x)[1])],
        )


WRONG = {
    "transposed Jacobian": (lambda x: A @ x, [lambda x: A.T], r"derivative 1 of <lambda> by argument 0 is wrong at \["),
    "transposed Jacobian that isn't square": (
        lambda x: C @ x,
        [lambda x: C.T],
        r"derivative 1 of <lambda> by argument 0 has shape \(3, 4\) but must have \(4, 3\)",
    ),
    "wrong factor": (
        cubic,
        [lambda x: 2 * x**2],
        r"is wrong at \[2\]: 8\.82, but finite differences give 13\.23 .*3 of 3",
    ),
    "silent zero": (cubic, [lambda x: np.zeros(3)], r"is wrong at \[\d\]: 0\.0, but finite differences give"),
    "zero for one entry": (cubic, [lambda x: 3 * x**2 * [1, 0, 1]], r"is wrong at \[1\]: 0\.0.*1 of 3 entries differ"),
    "wrong sign": (cubic, [lambda x: -3 * x**2], "is wrong"),
    "error of 1e-5": (cubic, [lambda x: 3.00003 * x**2], "is wrong"),
    "not a number": (cubic, [lambda x: x * np.nan], r"is wrong at \[0\]: nan"),
    "infinite": (cubic, [lambda x: x * np.inf], "is wrong"),
    "without axes": (cubic, [lambda x: 3.0], r"has shape \(\) but must have \(3,\)"),
    "Hessian": (
        cubic,
        [cubic_gradient, lambda x: np.diag(3 * x)],
        r"derivative 2 of cubic by argument 0 and 0 is wrong",
    ),
    "Hessian off the diagonal": (cubic, [cubic_gradient, lambda x: cubic_hessian(x) + 1e-3], r"wrong at \[\d, \d\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_planted_errors_are_found(case):
    fun, derivatives, message = WRONG[case]
    with pytest.raises(AssertionError, match=message):
        check_derivatives(fun, (x,), len(derivatives), derivatives=derivatives)


def test_tolerances_are_as_given():
    slightly_wrong = [lambda x: 3.0003 * x**2]
    check_derivatives(cubic, (x,), 1, derivatives=slightly_wrong, rtol=1e-3)
    check_derivatives(cubic, (x,), 1, derivatives=slightly_wrong, atol=1e-2)
    with pytest.raises(AssertionError, match=r"tolerance 1e-09"):
        check_derivatives(cubic, (x,), 1, derivatives=slightly_wrong, rtol=0, atol=1e-9)


def test_arguments_are_not_changed():
    def spoils_its_argument(x):
        x *= 2
        return np.sum(x)

    point = x.copy()
    check_derivatives(spoils_its_argument, (point,), 1, derivatives=[lambda x: np.full(3, 2.0)])
    np.testing.assert_array_equal(point, x)


KNOWN = {
    "quadratic_form": ((A, x), 2),
    "quadratic_form_gradient": ((A, x), 1),
    "bilinear_form_gradient": ((x, A[0], A[1]), 1),
    "distance_gradient": ((x, A[0]), 1),
    "logsumexp": ((x,), 2),
    "logsumexp_gradient": ((x,), 1),
    "factorization_loss": ((A @ B, A[:, :2], B[:2]), 2),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [name for name in KNOWN if hasattr(cf, name)])
def test_derivatives_of_closed_forms_are_known_and_right(name, dtype):
    args, order = KNOWN[name]
    check_derivatives(getattr(cf, name), [arg.astype(dtype) for arg in args], order)


def test_every_known_derivative_is_tested():
    assert KNOWN.keys() == mg.testing._KNOWN.keys()


def test_derivatives_of_functions_are_derived():
    check_derivatives(cubic, (x,), 3)
    check_derivatives(lambda A, x: np.tanh(A @ x), (A, x))
    check_derivatives(lambda A, x: np.sum(np.tanh(A @ x)), (A, x), argnums=1)

    def wrong(x):
        return np.where(x > 0, x**2, np.floor(x))

    check_derivatives(wrong, (x,))
    with pytest.raises(AssertionError, match="derivative 1 of wrong by argument 0 is wrong"):
        check_derivatives(wrong, (np.zeros(3),), 1)


def test_derivatives_of_expressions_are_checked():
    X, v = mg.matrix("X"), mg.vector("v")
    check_derivatives(np.linalg.norm(X @ v) ** 3, {"X": A, "v": x})
    check_derivatives(np.tanh(X @ v), {"v": x, "X": A}, argnums=0)
    with pytest.raises(AssertionError, match=r"derivative 1 of .* by argument 0 is wrong"):
        check_derivatives(np.sum(np.abs(v)), {"v": np.array([1e-9, 1.0])}, 1)


USELESS = {
    "values without names": (
        lambda: check_derivatives(mg.vector("x") @ mg.vector("x"), (x,)),
        TypeError,
        "args is a tuple but must map",
    ),
    "a value missing": (
        lambda: check_derivatives(mg.vector("x") @ mg.vector("y"), {"x": x}),
        TypeError,
        "needs a value for its symbol y",
    ),
    "order not known": (
        lambda: check_derivatives(cf.quadratic_form_gradient, (A, x)),
        ValueError,
        "order is 2, but the derivatives of quadratic_form_gradient are known to order 1",
    ),
    "argument not known": (
        lambda: check_derivatives(cf.quadratic_form, (A, x), argnums=0),
        ValueError,
        "known to order 0",
    ),
    "too few derivatives": (
        lambda: check_derivatives(cubic, (x,), derivatives=[cubic_gradient]),
        ValueError,
        "order is 2, but the derivatives of cubic are known to order 1",
    ),
    "no derivatives": (lambda: check_derivatives(cubic, (x,), 1, derivatives=[]), ValueError, "known to order 0"),
    "order 0": (lambda: check_derivatives(cubic, (x,), 0, derivatives=[]), ValueError, "order is 0"),
    "order no integer": (lambda: check_derivatives(cubic, (x,), 1.0), TypeError, r"order is 1\.0"),
    "derivatives one function": (
        lambda: check_derivatives(cubic, (x,), 1, derivatives=cubic_gradient),
        TypeError,
        "must be a sequence of callables",
    ),
    "derivatives arrays": (
        lambda: check_derivatives(cubic, (x,), 1, derivatives=[3 * x**2]),
        TypeError,
        "must be a sequence of callables",
    ),
    "no function": (lambda: check_derivatives(3.0, (x,), 1, derivatives=[cubic]), TypeError, r"fun is 3\.0"),
    "args one array": (lambda: check_derivatives(cubic, x, 1, derivatives=[cubic]), TypeError, "args is a ndarray"),
    "args complex": (
        lambda: check_derivatives(cubic, (x + 1j,), 1, derivatives=[cubic]),
        TypeError,
        r"args\[0\] has dtype complex128",
    ),
    "argnums too large": (
        lambda: check_derivatives(cubic, (x,), 1, derivatives=[cubic], argnums=1),
        ValueError,
        "argnums is 1 but there are 1",
    ),
    "argnums empty": (
        lambda: check_derivatives(cubic, (x,), 1, derivatives=[cubic], argnums=()),
        ValueError,
        r"argnums is \(\)",
    ),
    "no arguments": (lambda: check_derivatives(cubic, (), 1, derivatives=[cubic]), ValueError, "args is empty"),
    "no elements": (
        lambda: check_derivatives(cubic, (np.zeros(0),), 1, derivatives=[cubic_gradient]),
        ValueError,
        "nothing to check",
    ),
    "not finite": (
        lambda: check_derivatives(lambda x: np.sum(x) + np.inf, (x,), 1, derivatives=[np.ones_like]),
        ValueError,
        "isn't finite",
    ),
    "no tuple": (
        lambda: check_derivatives(product, (A, x), 1, derivatives=[lambda A, x: A]),
        TypeError,
        "derivative 1 returns a ndarray where it must be a tuple of 2",
    ),
    "function of two results": (
        lambda: check_derivatives(lambda x: (x, x), (x,), 1, derivatives=[np.ones_like]),
        TypeError,
        "returns a tuple",
    ),
    "derivative None": (
        lambda: check_derivatives(cubic, (x,), 1, derivatives=[lambda x: None]),
        TypeError,
        "NoneType",
    ),
}


@pytest.mark.parametrize("case", USELESS)
def test_bad_use_raises_instead_of_checking_nothing(case):
    call, error, message = USELESS[case]
    with pytest.raises(error, match=f"^check_derivatives: .*{message}"):
        call()

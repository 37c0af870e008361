"""Taylor models: exact for polynomials, of the right order for other functions, formulas, several variables, errors."""

import math

import numpy as np
import pytest

import matgrad as mg

RNG = np.random.default_rng(7)
A, b, x0, x1 = RNG.standard_normal((3, 3)), RNG.standard_normal(3), RNG.standard_normal(3), RNG.standard_normal(3)
x, y = mg.vector("x"), mg.scalar("y")


def test_first_order_model_of_log_sum_exp_at_log_2():
    s, t = mg.scalars("s t")
    model = mg.taylor(np.log(np.exp(s) + np.exp(t)), (s, t), order=1).at((0.0, np.log(2.0)))
    assert model.value == pytest.approx(math.log(3))
    assert model.gradient == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert model((0.3, 0.5)) == pytest.approx(math.log(3) + 0.1 + (0.5 - math.log(2)) * 2 / 3)
    assert model(0.3, 0.5) == model({"t": 0.5, "s": 0.3}) == model([0.3, 0.5])


def test_a_quadratic_is_its_own_model():
    a, B, C = mg.scalar("a"), mg.vector("b"), mg.matrix("C")
    model = mg.taylor(a + B @ x + x @ C @ x, x)
    assert str(model) == "a + bᵀx0 + x0ᵀC x0 + (x − x0)ᵀ(b + (C + Cᵀ)x0) + ½ (x − x0)ᵀ(C + Cᵀ)(x − x0)"
    at = model.at(x0, a=2.0, b=b, C=A)
    np.testing.assert_allclose(at(x1), 2 + b @ x1 + x1 @ A @ x1)
    np.testing.assert_allclose(at.hessian, A + A.T)
    np.testing.assert_allclose(at.gradient, b + (A + A.T) @ x0)
    assert at(x0) == pytest.approx(at.value)


@pytest.mark.parametrize("order", range(5))
def test_the_error_is_of_the_next_order(order):
    model = mg.taylor(lambda x: np.tanh(x) * np.exp(np.sum(x)), x, order)
    direction = np.array([0.6, -0.3, 0.5])

    def error(step):
        z = x0 + step * direction
        return np.linalg.norm(model.at(x0)(z) - np.tanh(z) * np.exp(np.sum(z)))

    assert math.log2(error(0.02) / error(0.01)) == pytest.approx(order + 1, abs=0.2)


def test_coefficients_of_one_variable():
    at = mg.taylor(np.exp, y, 6).at(0.0)
    for t in (-1.0, 0.5, 2.0):
        assert at(t) == pytest.approx(sum(t**k / math.factorial(k) for k in range(7)))
    assert str(mg.taylor(np.sin, y, 2)) == "sin(y0) + (y − y0) cos(y0) − ½ (y − y0)² sin(y0)"
    assert mg.taylor(y**3, y, 3).expression(y=2.0, y0=5.0) == pytest.approx(8.0)


def test_several_variables_of_different_shapes():
    X = mg.matrix("X")
    at = mg.taylor(np.sum(np.tanh(X @ x) ** 2), (X, x), 2).at(A, x0)
    fun = lambda X, x: np.sum(np.tanh(X @ x) ** 2)  # noqa: E731
    hessian = mg.hessian(fun, (0, 1))(A, x0)
    for i in range(2):
        for j in range(2):
            np.testing.assert_allclose(at.hessian[i][j], hessian[i][j], rtol=1e-10, atol=1e-12)
    dX, dx = 0.01 * RNG.standard_normal((3, 3)), 0.01 * RNG.standard_normal(3)
    gradient = mg.grad(fun, (0, 1))(A, x0)
    expected = fun(A, x0) + np.sum(gradient[0] * dX) + gradient[1] @ dx
    curvature = mg.hvp(fun, (A, x0), (dX, dx))
    expected += 0.5 * (np.sum(curvature[0] * dX) + curvature[1] @ dx)
    assert at(A + dX, x0 + dx) == pytest.approx(expected, rel=1e-12)


def test_variables_may_be_given_by_example():
    model = mg.taylor(lambda t: t**2, 0.0)
    assert model.at(3.0)(5.0) == pytest.approx(25)
    assert [v.name for v in model.variables] == ["t"]
    assert [v.name for v in mg.taylor(lambda u: u @ u, [1.0, 2.0]).variables] == ["u"]


def test_the_centre_gets_a_name_that_is_free():
    x0_ = mg.vector("x0")
    model = mg.taylor((x - x0_) @ (x - x0_), x)
    assert model.at(np.zeros(3), x0=x0)(x1) == pytest.approx(np.sum((x1 - x0) ** 2))


def test_errors_name_what_is_wrong():
    with pytest.raises(TypeError, match=r"^taylor: order is 1\.5"):
        mg.taylor(y**2, y, 1.5)
    with pytest.raises(ValueError, match=r"^taylor: order is -1"):
        mg.taylor(y**2, y, -1)
    with pytest.raises(TypeError, match=r"^taylor: 2 y is not a symbol"):
        mg.taylor(y**2, 2 * y)
    with pytest.raises(TypeError, match=r"^taylor: f is 3"):
        mg.taylor(3, y)
    with pytest.raises(TypeError, match=r"^at: a point has 1 parts \(y\) but 2 were given"):
        mg.taylor(y**2, y).at(1.0, 2.0)
    with pytest.raises(TypeError, match=r"^at: the function has no symbol B"):
        mg.taylor(y**2, y).at(1.0, B=2.0)

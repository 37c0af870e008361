"""Closed forms of expressions: the same values as on arrays, their derivatives, and what is refused."""

import numpy as np
import pytest

import matgrad as mg
from cases import CASES, Case, assert_close, operands_of
from matgrad import closed_form as cf

DENSE = [case for case in CASES if "values" not in case.operands]


@pytest.mark.parametrize("case", DENSE, ids=[case.id for case in DENSE])
def test_values_are_those_on_arrays(case: Case):
    operands = operands_of(case, case.ordinary)
    symbols = [mg.tensor(name, len(axes)) for name, axes in case.operands.items()]
    compiled = mg.compile(list(case(*symbols)), symbols)
    assert_close(case, case.ordinary, operands, compiled(*operands))


def test_they_print_as_formulas():
    X, U, V = mg.matrices("X U V")
    assert str(cf.factorization_gradient(X, U, V)[1]) == "2 Uᵀ(U V − X)"


def test_transforms_differentiate_them():
    A, x = np.arange(9.0).reshape(3, 3), np.ones(3)
    np.testing.assert_allclose(mg.grad(cf.quadratic_form, 1)(A, x), cf.quadratic_form_gradient(A, x))
    np.testing.assert_allclose(mg.jacobian(cf.quadratic_form_gradient, 1)(A, x), cf.quadratic_form_hessian(A))
    np.testing.assert_allclose(mg.grad(lambda x: cf.logsumexp(2 * x))(x), 2 * cf.logsumexp_gradient(2 * x))


def test_what_only_arrays_can_be_is_refused():
    A, x = mg.matrix("A"), mg.vector("x")
    with pytest.raises(ValueError, match="quadratic_form: A has 1 axes but must have 2"):
        cf.quadratic_form(x, x)
    with pytest.raises(TypeError, match="logsumexp: operands with out= must be arrays"):
        cf.logsumexp(x, out=np.array(0.0))
    with pytest.raises(TypeError, match="factorization_hessian: its operands must be arrays"):
        cf.factorization_hessian(A, 3)

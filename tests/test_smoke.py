"""What every wheel must pass: the package imports, and one derivative is right."""

import numpy as np

import matgrad as mg
from matgrad import closed_form as cf


def test_gradient_of_a_quadratic_form():
    A, x = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    np.testing.assert_array_equal(cf.quadratic_form_gradient(A, x), (A + A.T) @ x)


def test_an_instruction_set_is_active():
    assert mg.active_isa() in mg.available_isas()

"""Large results take over the memory of those that are gone, and no other result's."""

import subprocess
import sys

import numpy as np

import matgrad as mg
from matgrad import closed_form as cf

n = 1600  # a matrix of 20 MB
A = np.arange(n * n, dtype=float).reshape(n, n)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_taken_over():
    first = cf.quadratic_form_hessian(A)
    where = address(first)
    del first
    second = cf.quadratic_form_hessian(A)
    assert address(second) == where
    np.testing.assert_array_equal(second, A + A.T)


def test_results_that_live_are_left_alone():
    results = [cf.quadratic_form_hessian(A + k) for k in range(3)]
    view = results[0][1:]
    del results[0]
    more = cf.quadratic_form_hessian(-A)
    assert len({address(array) for array in (view.base, more, *results)}) == 4
    np.testing.assert_array_equal(view, (A + A.T)[1:])
    np.testing.assert_array_equal(results[0], A + A.T + 2)
    np.testing.assert_array_equal(more, -(A + A.T))


def test_results_are_arrays_as_any_other():
    x = mg.vector("x")
    result = np.exp(x).compile(x)(np.zeros(3_000_000))
    assert result.flags.writeable
    assert result.flags.c_contiguous
    assert result.flags.aligned
    result += 1
    np.testing.assert_array_equal(result, 2)


FORKING = """
import os
import numpy as np
from matgrad import closed_form as cf

A = np.arange(1600.0 * 1600).reshape(1600, 1600)
expected = A + A.T
mine = cf.quadratic_form_hessian(A)
if os.fork() == 0:
    same = np.array_equal(cf.quadratic_form_hessian(-A), -expected) and np.array_equal(mine, expected)
    os._exit(0 if same else 1)
del mine
assert np.array_equal(cf.quadratic_form_hessian(A), expected)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""


def test_a_forked_child_has_its_own():
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=120)

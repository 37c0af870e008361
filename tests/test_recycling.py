"""Large results take over the memory of those that are gone, and no other result's."""

import multiprocessing

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


def sum_in_child(queue):
    queue.put(float(cf.quadratic_form_hessian(A).sum()))


def test_a_forked_child_has_its_own():
    mine = cf.quadratic_form_hessian(A)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=sum_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == mine.sum()
    child.join()
    np.testing.assert_array_equal(mine, A + A.T)

"""Operands of unusual kinds: what is accepted gives the plain result, errors name function, argument and reason."""

import numpy as np
import pytest
import scipy.sparse

from matgrad import closed_form as cf
from matgrad._validate import as_arrays

A = np.array([[1.0, 2.0], [3.0, 4.0]])
x = np.array([1.0, -1.0])
GRADIENT = (A + A.T) @ x


class Convertible:
    """An object of another library, which NumPy converts by its __array__."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_objects_with_an_array_are_accepted():
    np.testing.assert_array_equal(cf.quadratic_form_gradient(Convertible(A), Convertible(x)), GRADIENT)
    np.testing.assert_array_equal(cf.quadratic_form_gradient(memoryview(A), memoryview(x)), GRADIENT)


def test_memory_mapped_arrays_are_accepted(tmp_path):
    mapped = np.memmap(tmp_path / "A", np.float64, "w+", shape=(2, 2))
    mapped[...] = A
    assert type(cf.quadratic_form_gradient(mapped, x)) is np.ndarray
    np.testing.assert_array_equal(cf.quadratic_form_gradient(mapped, x), GRADIENT)


def test_numbers_of_all_integer_types_are_accepted():
    for code in np.typecodes["AllInteger"] + "?":
        operand = np.array([[1, 0], [1, 1]], code)
        result = cf.quadratic_form_gradient(operand, x.astype(np.float32))
        assert result.dtype == np.float64
        np.testing.assert_array_equal(result, (operand.astype(float) + operand.T) @ x)


REFUSED = {
    "number": (3.0, ValueError, r"A has shape \(\) but must have at least 2 axes: \(n, n\)"),
    "without axes": (np.array(3.0), ValueError, r"A has shape \(\)"),
    "vector": (x, ValueError, r"A has shape \(2,\) but must have at least 2 axes"),
    "not square": (np.ones((3, 4)), ValueError, r"A is \(3, 4\) but must be square"),
    "None": (None, TypeError, "A is a NoneType and has dtype object"),
    "text": ("abc", TypeError, "A is a str and has dtype <U3"),
    "bytes": (b"abc", TypeError, r"A is a bytes and has dtype \|S3"),
    "array of text": (np.array([["a", "b"]]), TypeError, "A has dtype <U1"),
    "objects": (A.astype(object), TypeError, "A has dtype object but must be float32, float64, or integers"),
    "integers beyond 64 bits": ([[2**70, 1], [1, 1]], TypeError, "A is a list and has dtype object"),
    "records": (np.zeros((2, 2), [("a", float)]), TypeError, r"A has dtype \[\('a', '<f8'\)\]"),
    "dates": (A.astype("datetime64[D]"), TypeError, r"A has dtype datetime64\[D\]"),
    "half precision": (A.astype(np.float16), TypeError, "A has dtype float16"),
    "extended precision": (A.astype(np.longdouble), TypeError, "A has dtype (float|longdouble)"),
    "complex numbers": (A.astype(complex), TypeError, "A has dtype complex128"),
    "complex list": ([[1j, 0], [0, 1]], TypeError, "A is a list and has dtype complex128"),
    "sparse": (scipy.sparse.csr_array(A), TypeError, r"A is a scipy\.sparse.*csr_array and has dtype object"),
    "masked": (np.ma.masked_less(A, 2), TypeError, r"A is a numpy\.ma.*MaskedArray, whose operations may differ"),
    "records view": (np.zeros((2, 2)).view(np.recarray), TypeError, r"A is a numpy.*recarray"),
    "ragged": ([[1.0], [2.0, 3.0]], ValueError, "A is a list that is no array"),
    "an __array__ that is none": (Convertible([[1.0]]), ValueError, r"A is a .*Convertible that is no array"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_named(kind):
    operand, error, message = REFUSED[kind]
    with pytest.raises(error, match=f"^quadratic_form_gradient: {message}"):
        cf.quadratic_form_gradient(operand, x)


def test_views_with_zero_strides_are_not_expanded():
    """A stack of 10⁹ matrices costs no memory, neither where it is read in place nor where it has to be converted."""
    count = 10**9
    for matrix in (A, A.astype(int), A.astype(">f8"), np.asfortranarray(A), A.astype(np.float32)):
        stack = np.broadcast_to(matrix, (count, 2, 2))
        (converted, _) = as_arrays("f", ("A", "x"), (stack, x))
        assert converted.shape == stack.shape
        assert converted.strides[0] == 0
        np.testing.assert_array_equal(converted[-1], A)


@pytest.mark.parametrize("dtype", [np.float32, int, ">f8"])
def test_a_copy_larger_than_memory_raises_at_once(dtype):
    constant = np.broadcast_to(np.ones((), dtype), (10**6, 10**6))
    (converted,) = as_arrays("f", ("A",), (constant,))
    assert converted.strides == (0, converted.itemsize)
    long_rows = np.broadcast_to(np.ones((), dtype), (1, 10**14))
    with pytest.raises(MemoryError, match=r"^f: a copy of A of shape \(1, 100000000000000\) needs"):
        as_arrays("f", ("A", "x"), (long_rows, x))


def test_numbers_that_follow_operands_are_checked():
    for wrong in ("1", None, 1j, [1.0]):
        with pytest.raises(TypeError, match=r"^factorization_value_and_gradient: l2 is of type .* but must be a real"):
            cf.factorization_value_and_gradient(A, A, A, l2=wrong)

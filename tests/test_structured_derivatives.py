"""Every derivative of the corpus, and of random expressions, kept structured: products, diagonal and entries agree."""

import math

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given

from identities import IDENTITIES
from random_expressions import cases
from test_random_expressions import Derivatives, random_cases

CASES = {f"{row.name} by {by}": (row, by) for row in IDENTITIES.values() for by in row.derivatives}


def form_of_product(x_shape, y_shape):
    """The shape of the product with an array of shape x, which may be ravelled as it is."""
    if len(x_shape) in (1, 2) and x_shape[0] == math.prod(x_shape):
        return (math.prod(y_shape), *x_shape[1:])
    return y_shape


def assert_agrees(operator, dense, tolerance=1e-12):
    """Compare all that a structured derivative computes with the tensor."""
    generator = np.random.default_rng(1)
    matrix = dense.reshape(operator.shape)
    y_shape, x_shape = operator._structure.y_shape, operator._structure.x_shape
    shapes = (x_shape, y_shape, (operator.shape[1], 3))
    v, w, columns = (np.asarray(generator.standard_normal(shape), operator.dtype) for shape in shapes)
    scale = max(1.0, np.max(np.abs(matrix), initial=0)) * max(operator.shape)
    pairs = {
        "to_dense": (operator.to_dense(), dense),
        "@": (operator @ v, (matrix @ v.ravel()).reshape(form_of_product(x_shape, y_shape))),
        "@ ravelled": (operator @ v.ravel(), matrix @ v.ravel()),
        "@ columns": (operator @ columns, matrix @ columns),
        ".T @": (operator.T @ w, (matrix.T @ w.ravel()).reshape(form_of_product(y_shape, x_shape))),
        "to_sparse": (operator.to_sparse().toarray(), matrix),
    }
    if y_shape == x_shape:
        pairs["diagonal"] = (operator.diagonal(), np.diagonal(matrix))
    for name, (got, expected) in pairs.items():
        assert np.shape(got) == expected.shape, name
        assert got.dtype == operator.dtype, name
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale, err_msg=name)
    assert operator.describe()
    assert scipy.sparse.issparse(operator.to_sparse())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_every_derivative_of_the_corpus(case, dtype):
    row, by = CASES[case]
    symbols, values = row.make_symbols(), row.values(dtype)
    derivative = row.function(**symbols).diff(*(symbols[name] for name in by.split()))
    operator = derivative.structured(**values)
    assert operator.dtype == dtype
    assert operator.nbytes <= derivative(**values).nbytes + sum(value.nbytes for value in values.values())
    assert_agrees(operator, np.asarray(derivative(**values)), 1e-12 if dtype == "float64" else 1e-5)


@random_cases
@given(cases)
def test_random_expressions(case):
    derivatives = Derivatives(case)
    for name in ("jacobian", "gradient", "hessian"):
        operator = derivatives.expressions[name].structured(**case.symbols)
        assert_agrees(operator, np.asarray(derivatives[name]), 1e-9)

"""The estimator keeps scikit-learn's contract, and finds the best factorization of all or of the observed entries."""

import importlib
import pickle
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse

import matgrad as mg
from matgrad import closed_form as cf
from test_fit import least_loss

pytest.importorskip("sklearn", reason="the estimator needs scikit-learn")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

MatrixFactorization = mg.interop.sklearn.MatrixFactorization


def low_rank(m, n, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))


def observed(X, share, seed=0):
    """A sparse matrix of some entries of X."""
    rows, columns = np.nonzero(np.random.default_rng(seed).random(X.shape) < share)
    return scipy.sparse.csr_array((X[rows, columns], (rows, columns)), shape=X.shape)


def test_it_passes_the_checks_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of checks that are skipped, and few iterations
        outcomes = check_estimator(MatrixFactorization(), on_fail=None)
    assert len(outcomes) > 30
    assert [(one["check_name"], one["exception"]) for one in outcomes if one["status"] == "failed"] == []


@pytest.mark.parametrize("l2", [0.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_a_dense_matrix_is_fitted_as_well_as_possible(l2, scale):
    X = scale * (low_rank(60, 31, 5) + 0.1 * np.random.default_rng(1).standard_normal((60, 31)))
    model = MatrixFactorization(3, l2=scale * l2, random_state=0, tol=1e-12, max_iter=1000)
    U = model.fit_transform(X)
    loss, _ = cf.factorization_value_and_gradient(X, U, model.components_, l2=scale * l2)
    assert loss == pytest.approx(least_loss(X, 3, scale * l2), rel=1e-6)
    assert model.reconstruction_err_ == pytest.approx(np.linalg.norm(X - model.inverse_transform(U)), rel=1e-9)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_entries_that_are_not_stored_are_missing_not_zero(kind):
    X = low_rank(40, 30, 2)
    model = MatrixFactorization(2, random_state=0, tol=1e-14, max_iter=1000)
    filled = model.inverse_transform(model.fit_transform(kind(observed(X, 0.6))))
    np.testing.assert_allclose(filled, X, atol=1e-3)
    assert model.reconstruction_err_ < 1e-3


def test_stored_zeros_are_observed():
    X = np.where(np.random.default_rng(2).random((20, 9)) < 0.5, 0, low_rank(20, 9, 2))
    rows, columns = np.indices(X.shape).reshape(2, -1)
    stored = scipy.sparse.csr_array((X.ravel(), (rows, columns)), shape=X.shape)
    assert stored.nnz == X.size
    dense, sparse = (MatrixFactorization(2, l2=0.1, random_state=0).fit(X_) for X_ in (X, stored))
    np.testing.assert_allclose(sparse.components_, dense.components_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(sparse.transform(stored), dense.transform(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_transform_leaves_no_gradient(share):
    X = low_rank(25, 20, 4)
    model = MatrixFactorization(3, l2=0.5, random_state=0).fit(X)
    new = low_rank(8, 20, 4, seed=3)
    new = new if share == 1 else observed(new, share)
    _, (dU, _) = cf.factorization_value_and_gradient(new, model.transform(new), model.components_, l2=0.5)
    np.testing.assert_allclose(dU, 0, atol=1e-9)


def test_fit_transform_is_fit_and_transform():
    X = observed(low_rank(30, 12, 3), 0.7)
    model = MatrixFactorization(3, l2=0.1, random_state=0)
    np.testing.assert_array_equal(model.fit_transform(X), clone(model).fit(X).transform(X))
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.transform(X), model.transform(X))


@pytest.mark.parametrize("X", [np.zeros((4, 3)), scipy.sparse.csr_array((4, 3))], ids=["zeros", "nothing observed"])
def test_nothing_to_fit_is_fitted_by_zero(X):
    model = MatrixFactorization(2, l2=0.1, random_state=0)
    np.testing.assert_allclose(model.inverse_transform(model.fit_transform(X)), 0, atol=1e-3)
    assert model.reconstruction_err_ < 1e-3


def test_a_row_without_observed_entries_is_zero():
    X = observed(low_rank(6, 5, 1), 0.9)
    model = MatrixFactorization(1, random_state=0).fit(X)
    np.testing.assert_array_equal(model.transform(scipy.sparse.csr_array((2, 5))), np.zeros((2, 1)))


def test_it_fits_in_a_pipeline():
    X = low_rank(30, 8, 2) + 3
    pipeline = make_pipeline(StandardScaler(), MatrixFactorization(2, random_state=0))
    assert pipeline.fit_transform(X).shape == (30, 2)
    assert [*pipeline.get_feature_names_out()] == ["matrixfactorization0", "matrixfactorization1"]


def test_too_few_iterations_are_told():
    with pytest.warns(ConvergenceWarning, match="MatrixFactorization: max_iter is 2"):
        model = MatrixFactorization(2, max_iter=2, random_state=0).fit(low_rank(30, 20, 5))
    assert model.n_iter_ == 2


@pytest.mark.parametrize("wrong", [{"n_components": 0}, {"l2": -1.0}, {"max_iter": 0}, {"tol": -1e-3}])
def test_parameters_out_of_range_are_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        MatrixFactorization(**wrong).fit(np.ones((3, 2)))


def test_it_must_be_fitted():
    with pytest.raises(NotFittedError):
        MatrixFactorization().transform(np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        MatrixFactorization().inverse_transform(np.ones((3, 10)))


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "matgrad.interop.sklearn")
    monkeypatch.delattr(mg.interop, "sklearn")
    with pytest.raises(ModuleNotFoundError, match=r"mg\.interop\.sklearn needs sklearn.*'matgrad\[sklearn\]'"):
        importlib.import_module("matgrad.interop").sklearn  # noqa: B018

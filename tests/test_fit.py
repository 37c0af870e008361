"""A fit by L-BFGS with the gradient of matgrad ends where the same fit with NumPy's does, and at the known optimum."""

import numpy as np
import pytest
import scipy.sparse

from matgrad import _fit


def fits(X, rank, l2, iterations):
    """The fits with matgrad and with NumPy."""
    losses = (_fit.matgrad_loss(X, l2), _fit.numpy_loss(X, l2))
    return [_fit.minimize(loss, _fit.random_start(X.shape, rank), iterations) for loss in losses]


def least_loss(X, rank, l2):
    """The minimum of ‖X − U V‖² + l2 (‖U‖² + ‖V‖²): singular values above l2 shrink by l2 (Mazumder et al., 2010)."""
    singular = np.linalg.svd(X, compute_uv=False)
    kept = np.maximum(singular[:rank] - l2, 0)
    return np.sum((singular[:rank] - kept) ** 2) + np.sum(singular[rank:] ** 2) + 2 * l2 * np.sum(kept)


def test_the_digits_are_fitted_as_well_as_with_numpy_and_as_well_as_possible():
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    X = datasets.load_digits().data / 16
    ours, numpys = fits(X, rank=8, l2=5.0, iterations=60)
    assert ours.losses[0] == pytest.approx(numpys.losses[0], rel=1e-13)
    assert ours.losses[-1] == pytest.approx(numpys.losses[-1], rel=1e-6)
    assert ours.losses[-1] == pytest.approx(least_loss(X, rank=8, l2=5.0), rel=1e-6)


def test_a_dense_matrix_is_fitted_as_well_as_with_numpy_and_as_well_as_possible():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 10)) @ rng.standard_normal((10, 80)) + 0.1 * rng.standard_normal((300, 80))
    ours, numpys = fits(X, rank=6, l2=5.0, iterations=60)
    assert ours.losses[-1] == pytest.approx(numpys.losses[-1], rel=1e-6)
    assert ours.losses[-1] == pytest.approx(least_loss(X, rank=6, l2=5.0), rel=1e-6)


def test_a_hundred_thousand_ratings_are_fitted_as_well_as_with_numpy():
    rng = np.random.default_rng(2)
    m, n, count = 943, 1682, 100_000
    rows, columns = np.divmod(rng.choice(m * n, count, replace=False), n)
    taste, kind = rng.standard_normal((m, 4)), rng.standard_normal((n, 4))
    ratings = np.clip(np.rint(3.5 + np.einsum("kr,kr->k", taste[rows], kind[columns]) / 2), 1, 5) - 3.5
    X = scipy.sparse.csr_array((ratings, (rows, columns)), shape=(m, n))
    ours, numpys = fits(X, rank=4, l2=5.0, iterations=60)
    assert ours.losses[0] == pytest.approx(numpys.losses[0], rel=1e-13)
    assert ours.losses[-1] < 0.5 * ours.losses[0]
    assert ours.losses[-1] == pytest.approx(numpys.losses[-1], rel=1e-6)

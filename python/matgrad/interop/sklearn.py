"""A matrix factorization as an estimator of scikit-learn, for dense matrices and for observed entries."""

from __future__ import annotations

import itertools
import math
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _fit

Array = NDArray[np.float64]


class MatrixFactorization(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """
    Factorization X ≈ U V of low rank, by L-BFGS with the gradients of `closed_form.factorization_value_and_gradient`.

    It minimises ‖X − U V‖² + l2 (‖U‖² + ‖V‖²). Of a sparse X the stored entries are the observed ones, explicit zeros
    too, and the first norm runs over them alone: the others are missing, not zero.

    Parameters
    ----------
    n_components : int, default=10
        The rank: columns of U and rows of V.
    l2 : float, default=0.0
        Factor of the penalty. With few entries observed in a row or column it should not be 0.
    max_iter : int, default=200
        The most iterations of L-BFGS.
    tol : float, default=1e-8
        The search ends when an iteration lowers the loss by less than this part of ‖X‖².
    random_state : int, RandomState instance or None, default=None
        Of the start.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        V.
    n_iter_ : int
        How many iterations there were.
    reconstruction_err_ : float
        ‖X − U V‖ over the observed entries, where U is the transformed X.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X has names that are all strings.

    Notes
    -----
    `transform` solves for the best U exactly, row by row, and `fit_transform` returns the same. All is computed in
    float64.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse
    >>> import matgrad as mg
    >>> ratings = scipy.sparse.csr_array(np.array([[5.0, 4.0, 0.0], [0.0, 2.0, 1.0], [5.0, 0.0, 2.0]]))
    >>> model = mg.interop.sklearn.MatrixFactorization(n_components=1, l2=0.01, random_state=0)
    >>> U = model.fit_transform(ratings)
    >>> prediction = model.inverse_transform(U)
    >>> print(np.round(prediction, 1))
    [[5.  4.  2. ]
     [2.5 2.  1. ]
     [5.  4.  2. ]]
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        l2: float = 0.0,
        max_iter: int = 200,
        tol: float = 1e-8,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.l2 = l2
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> MatrixFactorization:
        """
        Find the factors.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The matrix.
        y : None
            Ignored.

        Returns
        -------
        MatrixFactorization
            The estimator itself.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """
        Find the factors, and return U.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            The matrix.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        for name, kind in (("n_components", Integral), ("l2", Real), ("max_iter", Integral), ("tol", Real)):
            check_scalar(getattr(self, name), name, kind, min_val=1 if kind is Integral else 0)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64)
        entries = X if isinstance(X, np.ndarray) else X.data
        squares = float(np.vdot(entries, entries)) or 1.0
        start = self._start(X, squares / max(entries.size, 1))
        fit = _fit.minimize(self._loss(X, squares), start, self.max_iter, ftol=self.tol, gtol=0.0)
        self.n_iter_ = len(fit.losses) - 1
        if self.n_iter_ == self.max_iter:
            text = f"MatrixFactorization: max_iter is {self.max_iter}, and as many iterations are not enough for tol"
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        self.components_ = fit.V
        U = _coefficients(X, fit.V, self.l2)
        self.reconstruction_err_ = math.sqrt(max(_fit.matgrad_loss(X, 0.0)(U, fit.V)[0], 0.0))
        return U

    def transform(self, X: Any) -> Array:
        """
        Return the U that minimises the loss for these rows, with the V of the fit.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Rows like those of the fit.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return _coefficients(X, self.components_, self.l2)

    def inverse_transform(self, X: Any) -> Array:
        """
        Return the product U V: all entries, also those that were not observed.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_components)
            U, as `transform` returns it.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return np.asarray(X) @ self.components_

    def _loss(self, X: Any, scale: float) -> _fit.Loss:
        """Return the loss divided by a scale."""
        loss = _fit.matgrad_loss(X, self.l2)

        def scaled(U: Array, V: Array) -> tuple[float, tuple[Array, Array]]:
            value, (dU, dV) = loss(U, V)
            return value / scale, (dU / scale, dV / scale)

        return scaled

    def _start(self, X: Any, mean_square: float) -> tuple[Array, Array]:
        """Return random factors whose product has entries as large as those of X."""
        random = check_random_state(self.random_state)
        size = (mean_square / self.n_components) ** 0.25
        m, n = X.shape
        return (
            size * random.standard_normal((m, self.n_components)),
            size * random.standard_normal((self.n_components, n)),
        )

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _coefficients(X: Any, V: Array, l2: float) -> Array:
    """Return the U of least norm that minimises the loss."""
    if isinstance(X, np.ndarray):
        return _least_squares(V, X, l2)
    U = np.zeros((X.shape[0], len(V)))
    for u, (start, end) in zip(U, itertools.pairwise(X.indptr), strict=True):
        if start < end:
            u[:] = _least_squares(V[:, X.indices[start:end]], X.data[None, start:end], l2)[0]
    return U


def _least_squares(V: Array, X: Array, l2: float) -> Array:
    """Return the U of least norm that minimises ‖X − U V‖² + l2 ‖U‖²: rows of equations in Uᵀ."""
    r = len(V)
    A = np.concatenate([V.T, math.sqrt(l2) * np.eye(r)])
    B = np.concatenate([X.T, np.zeros((r, len(X)))])
    return np.ascontiguousarray(np.linalg.lstsq(A, B, rcond=None)[0].T)

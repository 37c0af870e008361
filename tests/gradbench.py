"""Objectives of the benchmark GradBench in NumPy, from their mathematical definitions, and arguments for them."""

import numpy as np
from scipy.special import multigammaln


def logsumexp(x):
    """log Σ exp x[i], of its primitive operations."""
    largest = np.max(x)
    return largest + np.log(np.sum(np.exp(x - largest)))


def least_squares(x, n):
    """½ Σ (s[i] − Σ x[j] t[i]ʲ)² with t from −1 to 1, and s = sign t."""
    t = -1 + np.arange(n) * 2 / (n - 1)
    powers = t[:, None] ** np.arange(len(x))
    return np.sum((np.sign(t) - powers @ x) ** 2) / 2


def determinant(A, row=0, columns=None):
    """Expansion by minors along the first row."""
    columns = tuple(range(len(A))) if columns is None else columns
    if len(columns) == 1:
        return A[row, columns[0]]
    minors = [determinant(A, row + 1, columns[:k] + columns[k + 1 :]) for k in range(len(columns))]
    return sum((-1) ** k * A[row, column] * minors[k] for k, column in enumerate(columns))


def clusters(centroids, points):
    """Σ min ‖c[j] − p[i]‖², the smallest of the squared distances of every point."""
    distances = np.sum((points[:, None, :] - centroids[None, :, :]) ** 2, axis=2)
    return np.sum(np.min(distances, axis=1))


def triangle(q, l):
    """Lower triangular matrices with exp(q) along the diagonal, and below it l, column by column."""
    d = q.shape[1]
    below = np.zeros((l.shape[1], d, d))
    columns, rows = np.triu_indices(d, 1)
    below[np.arange(l.shape[1]), rows, columns] = 1
    return np.exp(q)[:, :, None] * np.eye(d) + np.einsum("kl,lij->kij", l, below)


def mixture(alpha, mu, q, l, x, gamma, m):
    """The log posterior of a mixture of Gaussians with Wishart priors on its precisions QᵀQ."""
    n, d = x.shape
    k = alpha.shape[0]
    Q = triangle(q, l)
    y = np.einsum("kij,nkj->nki", Q, x[:, None, :] - mu)
    beta = alpha - np.sum(y**2, axis=2) / 2 + np.sum(q, axis=1)
    largest = np.max(beta, axis=1)
    likelihood = np.sum(largest + np.log(np.sum(np.exp(beta - largest[:, None]), axis=1)))
    freedom = d + m + 1
    constant = k * (freedom * d * np.log(gamma / np.sqrt(2)) - multigammaln(freedom / 2, d))
    prior = constant - gamma**2 / 2 * np.sum(Q**2) + m * np.sum(q)
    return likelihood - n * (d / 2 * np.log(2 * np.pi) + logsumexp(alpha)) + prior


def mixture_arguments(rng, d, k, n):
    """Return alpha, mu, q, l and points."""
    shapes = [(k,), (k, d), (k, d), (k, d * (d - 1) // 2), (n, d)]
    return [rng.standard_normal(shape) for shape in shapes]

"""The gradients that GradBench asks for, against those derived by hand."""

import mpmath
import numpy as np
import pytest
from scipy.stats import multivariate_normal, wishart

import gradbench
import matgrad as mg


def check(gradient, expected):
    """As GradBench compares: relative to what is large, absolute where it is small."""
    np.testing.assert_array_less(np.abs(gradient - expected) / np.maximum(np.abs(expected), 1), 1e-8)


@pytest.mark.parametrize("n", [1, 7, 2500, 40_001])
def test_lse(n):
    x = np.random.default_rng(n).random(n) * 200 - 100
    value, gradient = mg.value_and_grad(gradbench.logsumexp)(x)
    with mpmath.workdps(50):
        terms = [mpmath.exp(mpmath.mpf(t)) for t in x]
        total = mpmath.fsum(terms)
        check(value, float(mpmath.log(total)))
        check(gradient, np.array([float(t / total) for t in terms]))


@pytest.mark.parametrize(("n", "m"), [(16, 3), (16, 128), (1001, 128), (4096, 17)])
def test_llsq(n, m):
    """Vᵀ(V x − s), V the matrix of powers."""
    x = np.random.default_rng(m).random(m)
    value, gradient = mg.value_and_grad(gradbench.least_squares)(x, n)
    t = np.longdouble(-1) + np.arange(n) * np.longdouble(2) / (n - 1)
    t = t.astype(np.float64).astype(np.longdouble)
    powers = t[:, None] ** np.arange(m)
    residual = powers @ x.astype(np.longdouble) - np.sign(t)
    check(value, float(residual @ residual / 2))
    check(gradient, (powers.T @ residual).astype(np.float64))


@pytest.mark.parametrize("length", [1, 2, 3, 5, 6, 7])
def test_det(length):
    """det(A) A⁻ᵀ."""
    A = np.random.default_rng(length).random((length, length))
    value, gradient = mg.value_and_grad(gradbench.determinant)(A)
    with mpmath.workdps(50):
        exact = mpmath.matrix(A.tolist())
        expected = mpmath.det(exact) * (exact**-1).T
        check(value, float(mpmath.det(exact)))
        check(gradient, np.array(expected.tolist(), dtype=np.float64).reshape(length, length))
    check(mg.grad(np.linalg.det)(A), gradient)


@pytest.mark.parametrize(("k", "n", "d"), [(1, 5, 2), (10, 1000, 8), (37, 501, 3)])
def test_kmeans(k, n, d):
    """By c[j]: 2 (c[j] − p[i]) over its points, and twice their number; GradBench divides the one by the other."""
    points = np.random.default_rng(k).random((n, d))
    centroids = points[-k:]
    gradient = mg.grad(gradbench.clusters)(centroids, points)
    product = mg.hvp(lambda c: gradbench.clusters(c, points), centroids, np.ones_like(centroids))
    nearest = np.argmin(np.sum((points[:, None] - centroids) ** 2, axis=2), axis=1)
    members = np.eye(k)[nearest]
    count = members.sum(axis=0)[:, None]
    check(gradient, 2 * (count * centroids - members.T @ points))
    check(product, 2 * count * np.ones(d))
    check(gradient / product, centroids - members.T @ points / count)


def mixture_gradients(alpha, mu, q, l, x, gamma, m):
    """With responsibilities r and y = Q (x − μ): by Q it is −Σ r y (x − μ)ᵀ − γ² Q, and the rest by the chain rule."""
    d = x.shape[1]
    columns, rows = np.triu_indices(d, 1)
    Q = np.zeros((len(alpha), d, d))
    Q[:, rows, columns] = l
    Q[:, range(d), range(d)] = np.exp(q)
    centred = x[:, None] - mu
    y = np.matvec(Q, centred)
    beta = alpha - np.sum(y**2, 2) / 2 + np.sum(q, 1)
    r = np.exp(beta - beta.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    softmax = np.exp(alpha - alpha.max())
    by_Q = -np.matmul(np.moveaxis(r[:, :, None] * y, 0, 2), np.moveaxis(centred, 0, 1)) - gamma**2 * Q
    total = r.sum(0)
    by_mu = np.vecmat((r[:, :, None] * y).sum(0), Q)
    by_q = by_Q[:, range(d), range(d)] * np.exp(q) + total[:, None] + m
    return total - len(x) * softmax / softmax.sum(), by_mu, by_q, by_Q[:, rows, columns]


def log_posterior(alpha, mu, q, l, x, gamma, m):
    """The same as `gradbench.mixture`, by the densities that it is made of."""
    d = x.shape[1]
    precisions = [Q.T @ Q for Q in gradbench.triangle(q, l)]
    weights = np.exp(alpha) / np.sum(np.exp(alpha))
    densities = [multivariate_normal(mean, np.linalg.inv(P)).pdf(x) for mean, P in zip(mu, precisions, strict=True)]
    prior = wishart(d + m + 1, np.eye(d) / gamma**2)
    return np.sum(np.log(weights @ densities)) + sum(prior.logpdf(P) for P in precisions)


@pytest.mark.parametrize(("d", "k", "n", "m", "gamma"), [(1, 2, 5, 0, 1.0), (2, 5, 100, 0, 1.0), (5, 3, 301, 2, 0.7)])
def test_gmm(d, k, n, m, gamma):
    arguments = gradbench.mixture_arguments(np.random.default_rng(d), d, k, n)
    value, gradients = mg.value_and_grad(gradbench.mixture, (0, 1, 2, 3))(*arguments, gamma, m)
    check(value, log_posterior(*arguments, gamma, m))
    for gradient, expected in zip(gradients, mixture_gradients(*arguments, gamma, m), strict=True):
        assert gradient.shape == expected.shape
        check(gradient, expected)

"""Log-densities written in NumPy and SciPy: values are those of scipy.stats, derivatives those of autograd."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

import matgrad as mg

autograd = pytest.importorskip("autograd")
anp = pytest.importorskip("autograd.numpy")
ascipy = pytest.importorskip("autograd.scipy")

RNG = np.random.default_rng(0)
N = 7


def normal(np, special, x, m, s):
    return -(((x - m) / s) ** 2) / 2 - np.log(s) - np.log(2 * np.pi) / 2


def log_normal_tail(np, special, x, m, s):
    return np.log(special.erfc((x - m) / (s * np.sqrt(2.0))) / 2)


def gamma(np, special, x, a, scale):
    return (a - 1) * np.log(x / scale) - x / scale - special.gammaln(a) - np.log(scale)


def beta(np, special, x, a, b):
    return (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - special.betaln(a, b)


def student(np, special, x, n):
    scale = special.gammaln((n + 1) / 2) - special.gammaln(n / 2) - np.log(n * np.pi) / 2
    return scale - (n + 1) / 2 * np.log1p(x**2 / n)


def poisson(np, special, k, rate):
    return k * np.log(rate) - rate - special.gammaln(k + 1)


def negative_binomial(np, special, k, r, p):
    count = special.gammaln(k + r) - special.gammaln(k + 1) - special.gammaln(r)
    return count + r * np.log(p) + k * np.log1p(-p)


def von_mises(np, special, x, kappa):
    return kappa * np.cos(x) - np.log(2 * np.pi * special.i0(kappa))


def dirichlet(np, special, x, alpha):
    return np.sum((alpha - 1) * np.log(x)) + special.gammaln(np.sum(alpha)) - np.sum(special.gammaln(alpha))


def multivariate_normal(np, special, x, m, S):
    quadratic = np.sum((x - m) * np.linalg.solve(S, x - m))
    return -quadratic / 2 - np.linalg.slogdet(S)[1] / 2 - x.shape[0] / 2 * np.log(2 * np.pi)


def _positive(low=0.5, high=4.0):
    return RNG.uniform(low, high, N)


POINTS = RNG.normal(size=N)
WEIGHTS = RNG.uniform(0.1, 1, N)
SPREAD = RNG.normal(size=(N, N))
STATS = scipy.stats
# The density, where it is taken, and the same in scipy.stats.
DENSITIES = {
    normal: ((POINTS, RNG.normal(size=N), _positive()), STATS.norm.logpdf),
    log_normal_tail: ((POINTS, RNG.normal(size=N), _positive()), STATS.norm.logsf),
    gamma: ((_positive(), _positive(), _positive()), lambda x, a, scale: STATS.gamma.logpdf(x, a, scale=scale)),
    beta: ((_positive(0.1, 0.9), _positive(), _positive()), STATS.beta.logpdf),
    student: ((POINTS, _positive(1, 30)), STATS.t.logpdf),
    poisson: ((np.arange(N) + 0.0, _positive()), STATS.poisson.logpmf),
    negative_binomial: ((np.arange(N) + 0.0, _positive(), _positive(0.1, 0.9)), STATS.nbinom.logpmf),
    von_mises: ((POINTS, _positive()), STATS.vonmises.logpdf),
    dirichlet: ((WEIGHTS / WEIGHTS.sum(), _positive()), STATS.dirichlet.logpdf),
    multivariate_normal: (
        (POINTS, RNG.normal(size=N), SPREAD @ SPREAD.T + np.eye(N)),
        STATS.multivariate_normal.logpdf,
    ),
}


@pytest.mark.parametrize("density", DENSITIES, ids=lambda f: f.__name__)
def test_the_value_is_that_of_scipy_stats(density):
    arguments, expected = DENSITIES[density]
    value, _ = mg.value_and_grad(lambda *a: np.sum(density(np, scipy.special, *a)))(*arguments)
    np.testing.assert_allclose(value, np.sum(expected(*arguments)), rtol=1e-12)


@pytest.mark.parametrize("density", DENSITIES, ids=lambda f: f.__name__)
def test_gradient_and_hessian_are_autograds(density):
    arguments, _ = DENSITIES[density]

    def ours(*a):
        return np.sum(density(np, scipy.special, *a))

    def theirs(*a):
        return anp.sum(density(anp, ascipy.special, *a))

    first = 1 if density in (poisson, negative_binomial) else 0  # counts are no variables
    for k in range(first, len(arguments)):
        gradient = autograd.grad(theirs, k)(*arguments)
        np.testing.assert_allclose(mg.grad(ours, k)(*arguments), gradient, rtol=1e-10, atol=1e-12)
        hessian = autograd.hessian(theirs, k)(*arguments)
        np.testing.assert_allclose(mg.hessian(ours, k)(*arguments), hessian, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("density", DENSITIES, ids=lambda f: f.__name__)
def test_single_precision_is_kept(density):
    arguments, _ = DENSITIES[density]
    last = len(arguments) - 1

    def loss(*a):
        return np.sum(density(np, scipy.special, *a))

    wide = mg.grad(loss, last)(*arguments)
    narrow = mg.grad(loss, last)(*(a.astype("float32") for a in arguments))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, wide, rtol=1e-3, atol=1e-4)

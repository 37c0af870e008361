"""The table of SciPy's special functions: where to evaluate each, and what mpmath calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp


@dataclass(frozen=True)
class Row:
    """A universal function of `scipy.special`: intervals of its operands, and its value in any precision."""

    intervals: tuple[tuple[float, float], ...]
    exact: Callable[..., Any]
    unknown: tuple[int, ...] = ()  # operands by which it isn't differentiated
    tolerance: float = 1e-12  # of values and derivatives, relative to their size, or to 1 where they are smaller


def _inverse(forward: Callable[..., Any], start: Callable[..., Any]) -> Callable[..., Any]:
    """Return the inverse in the last argument, by Newton's method from what is about right."""
    return lambda *a: mp.findroot(lambda x: forward(*a[:-1], x) - a[-1], start(*map(float, a)), tol=1e-25)


def _gammainc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, 0, x, regularized=True)


def _gammaincc(a: Any, x: Any) -> Any:
    return mp.gammainc(a, x, mp.inf, regularized=True)


def _betainc(a: Any, b: Any, x: Any) -> Any:
    return mp.betainc(a, b, 0, x, regularized=True)


def _ndtri(p: Any) -> Any:
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)


def _stdtr(n: Any, t: Any) -> Any:
    scale = mp.gamma((n + 1) / 2) / (mp.sqrt(n * mp.pi) * mp.gamma(n / 2))
    return mp.mpf(1) / 2 + t * scale * mp.hyp2f1(0.5, (n + 1) / 2, 1.5, -t * t / n)


def _scipy(name: str) -> Callable[..., Any]:
    import scipy.special

    return getattr(scipy.special, name)  # type: ignore[no-any-return]


UNIT, POSITIVE, REAL = (0.05, 0.95), (0.3, 12.0), (-3.0, 3.0)

# fmt: off
ROWS = {
    "gammaln": Row((POSITIVE,), lambda x: mp.log(abs(mp.gamma(x)))),
    "loggamma": Row((POSITIVE,), mp.loggamma),
    "gamma": Row(((-2.9, 5.0),), mp.gamma, tolerance=1e-11),
    "rgamma": Row(((0.3, 5.0),), mp.rgamma),
    "gammasgn": Row(((-3.8, 4.0),), lambda x: mp.sign(mp.gamma(x))),
    "psi": Row((POSITIVE,), mp.digamma),
    "zeta": Row(((1.5, 6.0), (0.3, 30.0)), mp.zeta, unknown=(0,)),
    "beta": Row((POSITIVE, POSITIVE), mp.beta),
    "betaln": Row((POSITIVE, POSITIVE), lambda a, b: mp.log(mp.beta(a, b))),
    "binom": Row(((5.0, 9.0), (0.5, 4.0)), mp.binomial),
    "poch": Row((POSITIVE, (0.2, 3.0)), mp.rf),
    "gammainc": Row((POSITIVE, POSITIVE), _gammainc, unknown=(0,)),
    "gammaincc": Row((POSITIVE, POSITIVE), _gammaincc, unknown=(0,)),
    "gammaincinv": Row((POSITIVE, UNIT), _inverse(_gammainc, _scipy("gammaincinv")), unknown=(0,), tolerance=1e-9),
    "gammainccinv": Row((POSITIVE, UNIT), _inverse(_gammaincc, _scipy("gammainccinv")), unknown=(0,), tolerance=1e-9),
    "betainc": Row((POSITIVE, POSITIVE, UNIT), _betainc, unknown=(0, 1)),
    "betaincc": Row((POSITIVE, POSITIVE, UNIT), lambda a, b, x: 1 - _betainc(a, b, x), unknown=(0, 1)),
    "betaincinv": Row((POSITIVE, POSITIVE, UNIT), _inverse(_betainc, _scipy("betaincinv")), unknown=(0, 1),
                      tolerance=1e-9),
    "stdtr": Row((POSITIVE, REAL), _stdtr, unknown=(0,)),
    "erf": Row((REAL,), mp.erf),
    "erfc": Row((REAL,), mp.erfc),
    "erfcx": Row(((-2.0, 5.0),), lambda x: mp.exp(x * x) * mp.erfc(x)),
    "erfi": Row((REAL,), mp.erfi),
    "dawsn": Row((REAL,), lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)),
    "erfinv": Row(((-0.95, 0.95),), mp.erfinv),
    "erfcinv": Row(((0.05, 1.95),), lambda x: mp.erfinv(1 - x)),
    "ndtr": Row((REAL,), mp.ncdf),
    "log_ndtr": Row(((-20.0, 5.0),), lambda x: mp.log(mp.ncdf(x))),
    "ndtri": Row((UNIT,), _ndtri),
    "ndtri_exp": Row(((-4.0, -0.1),), lambda y: _ndtri(mp.exp(y)), tolerance=1e-11),
    "expi": Row((POSITIVE,), mp.ei),
    "exp1": Row((POSITIVE,), mp.e1),
    "expit": Row((REAL,), lambda x: 1 / (1 + mp.exp(-x))),
    "log_expit": Row(((-40.0, 40.0),), lambda x: -mp.log(1 + mp.exp(-x))),
    "logit": Row((UNIT,), lambda x: mp.log(x / (1 - x))),
    "entr": Row((POSITIVE,), lambda x: -x * mp.log(x)),
    "xlogy": Row((REAL, POSITIVE), lambda x, y: x * mp.log(y)),
    "xlog1py": Row((REAL, POSITIVE), lambda x, y: x * mp.log1p(y)),
    "rel_entr": Row((POSITIVE, POSITIVE), lambda x, y: x * mp.log(x / y)),
    "kl_div": Row((POSITIVE, POSITIVE), lambda x, y: x * mp.log(x / y) - x + y),
    "exp10": Row((REAL,), lambda x: mp.mpf(10) ** x),
    "exprel": Row((REAL,), lambda x: mp.expm1(x) / x),
    "hyp0f1": Row((POSITIVE, REAL), mp.hyp0f1, unknown=(0,)),
    "hyp1f1": Row((POSITIVE, POSITIVE, REAL), mp.hyp1f1, unknown=(0, 1)),
    "j0": Row(((-20.0, 20.0),), lambda x: mp.besselj(0, x)),
    "j1": Row(((-20.0, 20.0),), lambda x: mp.besselj(1, x)),
    "jv": Row(((1.2, 5.0), POSITIVE), mp.besselj, unknown=(0,)),
    "y0": Row((POSITIVE,), lambda x: mp.bessely(0, x)),
    "y1": Row((POSITIVE,), lambda x: mp.bessely(1, x)),
    "yv": Row(((0.2, 3.0), POSITIVE), mp.bessely, unknown=(0,)),
    "i0": Row(((-9.0, 9.0),), lambda x: mp.besseli(0, x)),
    "i1": Row(((-9.0, 9.0),), lambda x: mp.besseli(1, x)),
    "iv": Row(((1.2, 5.0), POSITIVE), mp.besseli, unknown=(0,)),
    "k0": Row((POSITIVE,), lambda x: mp.besselk(0, x)),
    "k1": Row((POSITIVE,), lambda x: mp.besselk(1, x)),
    "kv": Row(((0.2, 3.0), POSITIVE), mp.besselk, unknown=(0,)),
    "i0e": Row(((-30.0, 30.0),), lambda x: mp.exp(-abs(x)) * mp.besseli(0, x)),
    "i1e": Row(((-30.0, 30.0),), lambda x: mp.exp(-abs(x)) * mp.besseli(1, x)),
    "ive": Row(((1.2, 5.0), POSITIVE), lambda v, x: mp.exp(-abs(x)) * mp.besseli(v, x), unknown=(0,)),
    "k0e": Row((POSITIVE,), lambda x: mp.exp(x) * mp.besselk(0, x)),
    "k1e": Row((POSITIVE,), lambda x: mp.exp(x) * mp.besselk(1, x)),
    "kve": Row(((0.2, 3.0), POSITIVE), lambda v, x: mp.exp(x) * mp.besselk(v, x), unknown=(0,)),
    "cosm1": Row((REAL,), lambda x: mp.cos(x) - 1),
    "boxcox": Row((POSITIVE, (-0.5, 1.5)), lambda x, p: (x**p - 1) / p, tolerance=1e-11),
    "boxcox1p": Row((POSITIVE, (-0.5, 1.5)), lambda x, p: ((1 + x) ** p - 1) / p, tolerance=1e-11),
    "huber": Row(((0.5, 1.5), (2.0, 3.0)), lambda d, r: d * (r - d / 2)),
    "pseudo_huber": Row(((0.5, 1.5), REAL), lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1)),
    "chdtr": Row((POSITIVE, POSITIVE), lambda v, x: _gammainc(v / 2, x / 2), unknown=(0,)),
    "chdtrc": Row((POSITIVE, POSITIVE), lambda v, x: _gammaincc(v / 2, x / 2), unknown=(0,)),
    "gdtr": Row((POSITIVE, POSITIVE, UNIT), lambda a, b, x: _gammainc(b, a * x), unknown=(1,)),
    "gdtrc": Row((POSITIVE, POSITIVE, UNIT), lambda a, b, x: _gammaincc(b, a * x), unknown=(1,)),
    "pdtr": Row((POSITIVE, POSITIVE), lambda k, m: _gammaincc(mp.floor(k) + 1, m)),
    "pdtrc": Row((POSITIVE, POSITIVE), lambda k, m: _gammainc(mp.floor(k) + 1, m)),
}
# fmt: on

"""The universal functions of `scipy.special` of expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._expr import Expr, as_expr, elementwise
from ._numpy_elementwise import row, where
from ._numpy_protocol import SPECIAL, UFUNCS

# fmt: off
_ROWS = (
    "gammaln", "loggamma", "gamma", "rgamma", "gammasgn", "psi", "beta", "betaln", "binom", "poch",
    "gammainc", "gammaincc", "gammaincinv", "gammainccinv", "betainc", "betaincc", "betaincinv", "stdtr",
    "erf", "erfc", "erfcx", "erfi", "dawsn", "erfinv", "erfcinv", "ndtr", "log_ndtr", "ndtri", "ndtri_exp",
    "expi", "exp1", "logit", "entr", "xlogy", "xlog1py", "rel_entr", "kl_div", "exp10", "exprel", "hyp0f1", "hyp1f1",
    "j0", "j1", "jv", "y0", "y1", "yv", "i0", "i1", "iv", "k0", "k1", "kv",
    "i0e", "i1e", "ive", "k0e", "k1e", "kve",
)
# fmt: on
"""The functions that are rows of the table of operations."""


def _huber(delta: Any, r: Any) -> Expr:
    delta, size = as_expr("huber", delta), elementwise("absolute", r)
    inside = elementwise("greater_equal", delta, size)
    loss = where(inside, size**2 / 2, delta * (size - delta / 2))
    return where(elementwise("greater", 0, delta), float("inf"), loss)


def _pseudo_huber(delta: Any, r: Any) -> Any:
    r = as_expr("pseudo_huber", r)
    return r**2 / (1 + (1 + (r / delta) ** 2) ** 0.5)


def _box_cox(logarithm: str) -> Callable[[Any, Any], Expr]:
    """Return (exp(λ y) − 1)/λ of y = log x; for λ = 0 it is y."""

    def apply(x: Any, power: Any) -> Expr:
        y = elementwise(logarithm, x)
        return y * elementwise("exprel", power * y)

    return apply


SPECIAL |= {name: row(name) for name in _ROWS}
SPECIAL |= {
    "expit": row("sigmoid"),
    "log_expit": lambda x: -elementwise("softplus", -as_expr("log_expit", x)),
    "_zeta": row("zeta"),  # of two arguments, as scipy.special.zeta calls it
    "yn": row("yv"),
    "kn": row("kv"),
    "cosm1": lambda x: -2 * elementwise("sin", as_expr("cosm1", x) / 2) ** 2,
    "boxcox": _box_cox("log"),
    "boxcox1p": _box_cox("log1p"),
    "huber": _huber,
    "pseudo_huber": _pseudo_huber,
    "chdtr": lambda v, x: elementwise("gammainc", as_expr("chdtr", v) / 2, as_expr("chdtr", x) / 2),
    "chdtrc": lambda v, x: elementwise("gammaincc", as_expr("chdtrc", v) / 2, as_expr("chdtrc", x) / 2),
    "gdtr": lambda a, b, x: elementwise("gammainc", b, as_expr("gdtr", a) * x),
    "gdtrc": lambda a, b, x: elementwise("gammaincc", b, as_expr("gdtrc", a) * x),
    "pdtr": lambda k, m: elementwise("gammaincc", elementwise("floor", k) + 1, m),
    "pdtrc": lambda k, m: elementwise("gammainc", elementwise("floor", k) + 1, m),
    **{name: UFUNCS[name] for name in ("exp2", "expm1", "log1p", "cbrt")},
}

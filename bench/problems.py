"""The table of problems: what is computed, in which size, the work it asks for and how much faster ours has to be."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench import problems_expressions as expressions
from bench import problems_factorization as factorization
from bench import problems_jacobian as jacobian
from bench import problems_observed as observed
from bench import problems_quadratic as quadratic
from bench import problems_vector as vector
from bench.peers import OURS, Implementation, Work, by_numpy, jax, torch


@dataclass(frozen=True)
class AtLeast:
    """The best implementation of a peer, or of all peers, takes at least `ratio` times as long as ours."""

    ratio: float
    against: str = "best"

    def __str__(self) -> str:
        return f"≥ {self.ratio:g}×" + ("" if self.against == "best" else f" {self.against}")


@dataclass(frozen=True)
class OfPeak:
    """Ours does arithmetic at `share` of the rate of multiply-adds that was measured on all cores."""

    share: float

    def __str__(self) -> str:
        return f"≥ {100 * self.share:g} % of FMA peak"


@dataclass(frozen=True)
class AtMostOver:
    """Ours takes at most `seconds` longer than the fastest of a peer."""

    seconds: float
    against: str

    def __str__(self) -> str:
        return f"≤ {self.against} + {self.seconds * 1e3:g} ms"


@dataclass(frozen=True)
class AtMost:
    """Ours takes at most `seconds`."""

    seconds: float

    def __str__(self) -> str:
        return f"≤ {self.seconds * 1e6:g} µs" if self.seconds < 1e-3 else f"≤ {self.seconds * 1e3:g} ms"


Target = AtLeast | OfPeak | AtMostOver | AtMost


@dataclass(frozen=True)
class Problem:
    """A row of the table; `build` yields the implementations at a size."""

    title: str
    build: Callable[..., Iterator[Implementation]]
    size: Mapping[str, Any]
    tiny: Mapping[str, Any]  # the size at which tests run it
    targets: tuple[Target, ...] = ()
    work: Callable[..., Work] = field(default=lambda **size: Work())

    @property
    def dtype(self) -> str:
        return str(self.size.get("dtype", "float64"))

    @property
    def name(self) -> str:
        values = [f"{key}={value}" for key, value in self.size.items() if not isinstance(value, bool)]
        return f"{self.title} {' '.join(values)}".strip()


def new_processes() -> Iterator[Implementation]:
    """Start Python and import a library."""

    def started(code: str) -> tuple[()]:
        # In another directory, so that only what is installed or on PYTHONPATH is found.
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tempfile.gettempdir(), env=os.environ)
        return ()

    yield Implementation(OURS, "import numpy, matgrad", started, ("import numpy, matgrad",))
    yield by_numpy("import numpy", started, "import numpy", excuse="the start from which ours is counted")
    for name, library in (("jax", jax), ("torch", torch)):
        if library:
            yield Implementation(name, f"import {name}", started, (f"import {name}",))


SMALL = (AtLeast(2, "numpy"), AtLeast(10, "jax"))
VECTOR_FORMS = (
    ("quadratic form", quadratic.value),
    ("quadratic gradient", quadratic.gradient),
    ("quadratic Hessian", partial(quadratic.hessian, reuse=False)),
    ("bilinear gradient", vector.bilinear_gradient),
    ("bilinear Hessian", vector.bilinear_hessian),
    ("distance gradient", vector.distance_gradient),
    ("distance Hessian", vector.distance_hessian),
    ("log-sum-exp", vector.logsumexp),
    ("log-sum-exp gradient", vector.logsumexp_gradient),
    ("log-sum-exp Hessian", vector.logsumexp_hessian),
)


def factorization_row(*targets: Target, **size: Any) -> Problem:
    def work(n: int, m: int, r: int, dtype: str) -> Work:
        return Work(flops=6 * n * m * r, read=n * m * (4 if dtype == "float32" else 8))

    size = {"dtype": "float64", **size}
    tiny = {"n": 70, "m": 7, "r": 3, "dtype": size["dtype"]}
    title = "factorization value + gradients"
    return Problem(title, factorization.value_and_gradient, size, tiny, targets, work)


def observed_row(r: int) -> Problem:
    return Problem(
        "observed entries value + gradients",
        observed.value_and_gradient,
        {"users": 943, "items": 1682, "count": 100_000, "r": r},
        {"users": 70, "items": 9, "count": 200, "r": 3},
        (AtLeast(4),),
        lambda users, items, count, r: Work(flops=6 * count * r, read=12 * count),
    )


def quadratic_gradient_row(n: int, ratio: float) -> Problem:
    work = lambda n: Work(flops=4 * n * n, read=8 * n * n)  # noqa: E731
    return Problem("quadratic gradient", quadratic.gradient, {"n": n}, {"n": 70}, (AtLeast(ratio),), work)


def quadratic_hessian_row(n: int, ratio: float, reuse: bool) -> Problem:
    return Problem(
        "quadratic Hessian" + (" out=" if reuse else ""),
        quadratic.hessian,
        {"n": n, "reuse": reuse},
        {"n": 70, "reuse": reuse},
        (AtLeast(ratio),),
        lambda n, reuse: Work(flops=n * n, read=8 * n * n, write=8 * n * n),
    )


PROBLEMS = (
    *(
        Problem(title, build, {"n": 4}, {"n": 70 if "quadratic" in title else 3}, SMALL)
        for title, build in VECTOR_FORMS
    ),
    quadratic_gradient_row(1024, 1.3),
    quadratic_gradient_row(4096, 1.5),
    quadratic_hessian_row(1024, 3, reuse=False),
    quadratic_hessian_row(1024, 3, reuse=True),
    quadratic_hessian_row(2048, 4, reuse=True),
    factorization_row(AtLeast(1.7), n=100, m=80, r=8),
    factorization_row(AtLeast(1.3), n=1000, m=800, r=16),
    factorization_row(AtLeast(1.25), n=4000, m=3000, r=32),
    factorization_row(AtLeast(1.15), OfPeak(0.75), n=4000, m=3000, r=64),
    factorization_row(AtLeast(1.25), n=4000, m=3000, r=32, dtype="float32"),
    factorization_row(AtLeast(1.15), n=4000, m=3000, r=64, dtype="float32"),
    observed_row(8),
    observed_row(32),
    observed_row(64),
    Problem(
        "gram Jacobian out=",
        jacobian.gram_jacobian,
        {"m": 64, "n": 64},
        {"m": 5, "n": 3},
        (AtLeast(2),),
        lambda m, n: Work(write=8 * n**3 * m),
    ),
    Problem(
        "matvec Jacobian out=",
        jacobian.matvec_jacobian,
        {"m": 64, "n": 1024},
        {"m": 3, "n": 5},
        (AtLeast(1.1),),
        lambda m, n: Work(write=8 * m * m * n),
    ),
    Problem("log-sum-exp gradient", vector.logsumexp_gradient, {"n": 256}, {"n": 17}, (AtLeast(1.5),)),
    Problem(
        "log-sum-exp Hessian out=",
        jacobian.logsumexp_hessian,
        {"n": 2048},
        {"n": 5},
        (AtLeast(2),),
        lambda n: Work(flops=n * n, write=8 * n * n),
    ),
    Problem(
        "stack of quadratic gradients",
        quadratic.gradient_of_stack,
        {"count": 10_000, "n": 8},
        {"count": 7, "n": 3},
        (AtLeast(2, "jax"), AtLeast(2)),
        lambda count, n: Work(flops=4 * count * n * n, read=8 * count * n * n),
    ),
    Problem(
        "factorization Hessian, create + product",
        factorization.hessian_product,
        {"n": 200, "m": 200, "k": 5},
        {"n": 6, "m": 5, "k": 2},
        (AtLeast(3),),
    ),
    Problem(
        "derive the factorization gradient", expressions.factorization_gradient, {"n": 4}, {"n": 4}, (AtMost(1e-3),)
    ),
    Problem("derive the logistic Hessian", expressions.logistic_hessian, {"n": 4}, {"n": 4}, (AtMost(2e-3),)),
    Problem(
        "derive the derivative of a polynomial",
        expressions.polynomial_derivative,
        {"order": 10},
        {"order": 3},
        (AtMost(50e-3),),
    ),
    Problem("compiled quadratic gradient", expressions.compiled_gradient, {"n": 4}, {"n": 3}, (*SMALL, AtMost(0.6e-6))),
    Problem("traced quadratic gradient", expressions.traced_gradient, {"n": 4}, {"n": 3}, (AtMost(1.5e-6),)),
    Problem("new process", new_processes, {}, {}, (AtMostOver(0.030, "numpy"),)),
)

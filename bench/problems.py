"""The table of problems: what is computed, in which sizes, the work it asks for and how much faster ours has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import problems_expressions as expressions
from bench import problems_factorization as factorization
from bench import problems_factorization_hessian as factorization_hessian
from bench import problems_gaussian as gaussian
from bench import problems_interop as interop
from bench import problems_jacobian as jacobian
from bench import problems_least_squares as least_squares
from bench import problems_logistic as logistic
from bench import problems_logsumexp as logsumexp
from bench import problems_mixture as mixture
from bench import problems_network as network
from bench import problems_observed as observed
from bench import problems_process as process
from bench import problems_quadratic as quadratic
from bench import problems_selection as selection
from bench import problems_stack as stack
from bench import problems_vector as vector
from bench.peers import Implementation, Work
from bench.targets import AtLeast, AtMost, AtMostOver, AtMostTimes, OfPeak, Target, WithinOther, WithinOwn


@dataclass(frozen=True)
class Problem:
    """A row of the table; `build` yields the implementations at a size."""

    title: str
    build: Callable[..., Iterator[Implementation]]
    size: Mapping[str, Any]
    tiny: Mapping[str, Any]  # the size at which tests run it
    targets: tuple[Target, ...] = ()
    least_work: Callable[..., Work] = field(default=lambda **size: Work())

    @property
    def dtype(self) -> str:
        return str(self.size.get("dtype", "float64"))

    @property
    def work(self) -> Work:
        """The least that the problem asks for at its size."""
        return self.least_work(**{key: value for key, value in self.size.items() if key not in ("dtype", "reuse")})

    @property
    def name(self) -> str:
        values = [f"{key}={value}" for key, value in self.size.items() if not isinstance(value, bool)]
        return f"{self.title} {' '.join(values)}".strip()


TIE = AtLeast(1)  # no row may be slower than any peer
TINY = (AtLeast(2, "numpy"), AtLeast(10, "jax"))
OWN = WithinOwn(1.15)
DROP_IN = WithinOther("value_and_grad", ratio=1.2)  # of what the same expression takes, compiled by hand


def rows(
    title: str,
    build: Callable[..., Iterator[Implementation]],
    tiny: Mapping[str, Any],
    sizes: Sequence[tuple[Mapping[str, Any], *tuple[Target, ...]]],
    work: Callable[..., Work] = lambda **size: Work(),
    dtypes: Sequence[str] = ("float64", "float32"),
) -> Iterator[Problem]:
    """Yield a problem's rows of each size, with its targets, and each dtype; a ratio that isn't given is a tie."""
    for size, *targets in sizes:
        for dtype in dtypes:
            # The ratios asked for were measured in float64, but where rows of float32 have their own.
            kept = [one for one in targets if dtype == "float64" or len(dtypes) == 1 or not isinstance(one, AtLeast)]
            ratios = [] if any(isinstance(one, AtLeast) for one in kept) else [TIE]
            with_dtype = [{**one, "dtype": dtype} for one in (size, tiny)]
            yield Problem(title, build, *with_dtype, (*ratios, *kept), work)


def square(n: int) -> Work:
    return Work(flops=4 * n * n, read=n * n)


def symmetrized(n: int) -> Work:
    return Work(flops=n * n, read=n * n, write=n * n)


def products_with_points(n: int, d: int) -> Work:
    return Work(flops=4 * n * d, read=n * d)


def weighted_gram(n: int, d: int) -> Work:
    return Work(flops=n * d * (d + 1), read=n * d, write=d * d)


def factorization_work(n: int, m: int, r: int) -> Work:
    return Work(flops=6 * n * m * r, read=n * m)


def sizes_of(**axes: Sequence[int]) -> list[dict[str, int]]:
    """Return one size for each entry of the axes' lists."""
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]


POINTS = sizes_of(n=(60, 600, 20_000), d=(30, 300, 300))
FACTORS = sizes_of(n=(100, 1000, 4000, 4000), m=(80, 800, 3000, 3000), r=(8, 16, 32, 64))
TINY_FACTORS = {"n": 70, "m": 7, "r": 3}

QUADRATIC = (
    *rows("quadratic form", quadratic.value, {"n": 70}, [({"n": 4}, *TINY, OWN)]),
    *rows(
        "quadratic gradient",
        quadratic.gradient,
        {"n": 70},
        [({"n": 4}, *TINY, OWN), ({"n": 1024}, AtLeast(1.3), OWN), ({"n": 4096}, AtLeast(1.5), OWN)],
        square,
    ),
    *rows(
        "quadratic Hessian",
        quadratic.hessian,
        {"n": 70},
        [({"n": 4}, *TINY, OWN), ({"n": 1024}, AtLeast(3), OWN)],
        symmetrized,
    ),
    *rows(
        "quadratic Hessian out=",
        quadratic.hessian,
        {"n": 70, "reuse": True},
        [({"n": n, "reuse": True}, AtLeast(ratio), OWN) for n, ratio in ((1024, 3), (2048, 4))],
        symmetrized,
    ),
)
VECTOR = (
    *rows("bilinear gradient", vector.bilinear_gradient, {"n": 3}, [({"n": 4}, *TINY, OWN)]),
    *rows("bilinear Hessian", vector.bilinear_hessian, {"n": 3}, [({"n": 4}, *TINY, OWN)]),
    *rows("distance gradient", vector.distance_gradient, {"n": 3}, [({"n": 4}, *TINY, OWN)]),
    *rows("distance Hessian", vector.distance_hessian, {"n": 3}, [({"n": 4}, *TINY, OWN)]),
    *rows("log-sum-exp", logsumexp.logsumexp, {"n": 3}, [({"n": 4}, *TINY, OWN)]),
    *rows(
        "log-sum-exp gradient",
        logsumexp.logsumexp_gradient,
        {"n": 17},
        [({"n": 4}, *TINY, OWN), ({"n": 256}, AtLeast(1.5), OWN), ({"n": 100_000}, OWN)],
        lambda n: Work(read=n, write=n),
    ),
    *rows(
        "log-sum-exp Hessian",
        logsumexp.logsumexp_hessian,
        {"n": 3},
        [({"n": 4}, *TINY, OWN), ({"n": 256}, OWN)],
        lambda n: Work(flops=n * n, write=n * n),
    ),
    *rows(
        "log-sum-exp Hessian out=",
        logsumexp.logsumexp_hessian,
        {"n": 5, "reuse": True},
        [({"n": 2048, "reuse": True}, AtLeast(2), OWN)],
        lambda n: Work(flops=n * n, write=n * n),
    ),
)
REGRESSION = (
    *rows(
        "least squares value + gradient",
        least_squares.value_and_gradient,
        {"n": 70, "d": 3},
        [(size, DROP_IN) for size in POINTS],
        products_with_points,
    ),
    *rows(
        "logistic gradient",
        logistic.gradient,
        {"n": 70, "d": 3},
        [(size, WithinOther("grad", ratio=1.2)) for size in POINTS],
        products_with_points,
    ),
    *rows(
        "logistic Hessian",
        logistic.hessian,
        {"n": 70, "d": 3},
        [({"n": 60, "d": 30},), ({"n": 600, "d": 300}, AtLeast(1.4)), ({"n": 2048, "d": 256}, AtLeast(1.6))],
        weighted_gram,
    ),
    *rows(
        "logistic Newton step",
        logistic.newton_step,
        {"n": 70, "d": 3},
        [({"n": 60, "d": 30},), ({"n": 600, "d": 300},), ({"n": 2048, "d": 256},)],
        lambda n, d: Work(flops=n * d * (d + 1) + d**3 / 3, read=n * d),
    ),
)
FACTORIZATION = (
    *(
        row
        for dtype, ratios in (("float64", (1.7, 1.3, 1.25, 1.15)), ("float32", (1, 1, 1.25, 1.15)))
        for row in rows(
            "factorization value + gradients",
            factorization.value_and_gradient,
            TINY_FACTORS,
            [
                (
                    size,
                    AtLeast(ratio),
                    *([OfPeak(0.75)] if size["r"] == 64 and dtype == "float64" else []),
                    OWN,
                    WithinOther("value_and_grad", "compile out=", 1.2),
                )
                for size, ratio in zip(FACTORS, ratios, strict=True)
            ],
            factorization_work,
            [dtype],
        )
    ),
    *rows(
        "observed entries value + gradients",
        observed.value_and_gradient,
        {"users": 70, "items": 9, "count": 200, "r": 3},
        [({"users": 943, "items": 1682, "count": 100_000, "r": r}, AtLeast(4)) for r in (8, 32, 64)],
        # Of each entry its value, and a column's number of half that size.
        lambda users, items, count, r: Work(flops=6 * count * r, read=1.5 * count),
    ),
    *rows(
        "weighted factorization Hessian out=",
        factorization_hessian.dense,
        {"n": 5, "k": 2},
        [({"n": n, "k": 5},) for n in (20, 100, 200)],
        lambda n, k: Work(flops=2 * n * n * k * k, read=n * n, write=n * n * k * k),
    ),
    *rows(
        "factorization Hessian, create + product",
        factorization_hessian.product,
        {"n": 6, "m": 5, "k": 2},
        [
            ({"n": 20, "m": 20, "k": 5}, OWN),
            ({"n": 200, "m": 200, "k": 5}, AtLeast(3), OWN),
            ({"n": 2000, "m": 2000, "k": 20}, OWN),
        ],
        lambda n, m, k: Work(flops=n * k * (k + 1) + 2 * k * k * m, read=n * k + m * k, write=m * k),
    ),
    *rows(
        "factorization Newton step",
        factorization_hessian.newton_step,
        {"n": 6, "m": 5, "k": 2},
        [
            ({"n": 20, "m": 20, "k": 5}, OWN),
            ({"n": 200, "m": 200, "k": 5}, AtLeast(1.5), OWN),
            ({"n": 2000, "m": 2000, "k": 20}, OWN),
        ],
        lambda n, m, k: Work(flops=n * k * (k + 1) + 2 * n * m * k + 2 * k * k * m, read=n * m),
    ),
)
STATISTICS = (
    *rows(
        "Gaussian likelihood by Σ",
        gaussian.value_and_gradient,
        {"d": 3},
        [({"d": 8}, DROP_IN), ({"d": 256}, AtLeast(1.5), DROP_IN), ({"d": 512}, DROP_IN)],
        # Cholesky's factor, the inverse, and two products.
        lambda d: Work(flops=5 * d**3),
    ),
    *rows(
        "mixture of Gaussians",
        mixture.value_and_gradients,
        {"n": 70, "d": 2, "k": 3},
        [
            ({"n": 100, "d": 4, "k": 3}, DROP_IN),
            ({"n": 10_000, "d": 16, "k": 10}, AtLeast(2.5), DROP_IN),
            ({"n": 20_000, "d": 32, "k": 10}, DROP_IN),
        ],
        lambda n, d, k: Work(flops=4 * n * k * d * d, read=n * d),
    ),
    *rows(
        "Hessian of a ten-layer ReLU net",
        network.hessian,
        {"n": 7},
        [({"n": 5},), ({"n": 20}, AtLeast(1.3)), ({"n": 40},)],
        lambda n: Work(flops=n**4, write=n**4),
    ),
)
JACOBIANS = (
    *rows(
        "gram Jacobian out=",
        jacobian.gram_jacobian,
        {"m": 5, "n": 3},
        [({"m": 4, "n": 4}, OWN), ({"m": 16, "n": 16}, OWN), ({"m": 64, "n": 64}, AtLeast(2), OWN)],
        lambda m, n: Work(write=n**3 * m),
    ),
    *rows(
        "matvec Jacobian out=",
        jacobian.matvec_jacobian,
        {"m": 3, "n": 5},
        [({"m": 4, "n": 4}, OWN), ({"m": 16, "n": 64}, OWN), ({"m": 64, "n": 1024}, AtLeast(1.1), OWN)],
        lambda m, n: Work(write=m * m * n),
    ),
)
STACKS = (
    *rows(
        "stack of quadratic gradients",
        stack.quadratic_gradients,
        {"count": 7, "n": 3},
        [
            ({"count": 100, "n": 8}, OWN),
            ({"count": 10_000, "n": 8}, AtLeast(2, "jax"), AtLeast(2), OWN),
            ({"count": 1000, "n": 64}, OWN),
        ],
        lambda count, n: Work(flops=4 * count * n * n, read=count * n * n),
    ),
    *rows(
        "stack of log-sum-exp Hessians",
        stack.logsumexp_hessians,
        {"count": 7, "n": 3},
        [({"count": count, "n": n}, OWN) for count, n in ((100, 8), (10_000, 8), (1000, 64))],
        lambda count, n: Work(flops=count * n * n, write=count * n * n),
    ),
    *rows(
        "stack of least squares, value + gradients",
        stack.least_squares,
        {"count": 7, "n": 4, "d": 3},
        [(size,) for size in sizes_of(count=(100, 10_000, 1000), n=(20, 20, 100), d=(4, 4, 30))],
        lambda count, n, d: Work(flops=4 * count * n * d, read=count * n * d),
    ),
    *rows(
        "stack of Gaussian likelihoods by Σ",
        stack.gaussians,
        {"count": 7, "d": 3},
        [(size,) for size in sizes_of(count=(100, 10_000, 1000), d=(4, 4, 32))],
        lambda count, d: Work(flops=5 * count * d**3, read=2 * count * d * d, write=count * d * d),
    ),
)
SELECTIONS = (
    *rows(
        "embedding, value + gradient",
        selection.embedding,
        {"rows": 7, "d": 3, "count": 9},
        [(size,) for size in sizes_of(rows=(1000, 50_000), d=(16, 64), count=(200, 10_000))],
        lambda rows, d, count: Work(flops=4 * count * d, read=3 * count * d, write=rows * d),
    ),
    *rows(
        "running sum, value + gradient",
        selection.running_sum,
        {"n": 7},
        [({"n": n},) for n in (100, 100_000)],
        lambda n: Work(flops=5 * n, read=2 * n, write=n),
    ),
    *rows(
        "trimmed squares, value + gradient",
        selection.trimmed,
        {"n": 7},
        [({"n": n},) for n in (100, 100_000)],
        lambda n: Work(flops=4 * n, read=2 * n, write=n),
    ),
)
ADAPTERS = (
    *(
        row
        for loss in interop.LOSSES
        for row in rows(
            f"drop-in {loss.title}, value + gradient",
            interop.drop_in(loss),
            {"n": 3},
            [({"n": 4}, DROP_IN), ({"n": 100}, DROP_IN)],
            dtypes=["float64"],
        )
    ),
    *(
        row
        for title, build in (
            ("SciPy adapter, Rosenbrock", interop.scipy_vector),
            ("SciPy adapter, factorization", interop.scipy_tree),
        )
        for row in (
            Problem(title, build, {"n": n}, {"n": 3}, (TIE, WithinOther("minimize_args", seconds=5e-6)))
            for n in (10, 100)
        )
    ),
    *(
        Problem(title, build, {"n": n}, {"n": 3}, (TIE, WithinOther(label, seconds=seconds)))
        for title, build, label, seconds in (
            ("PyTorch adapter, quadratic form", interop.torch_function, "torch.function", 15e-6),
            ("JAX adapter, quadratic form", interop.jax_function, "jit, jax.function", 10e-6),
        )
        for n in (4, 100)
    ),
)
DERIVING = (
    Problem(
        "derive the factorization gradient", expressions.factorization_gradient, {"n": 4}, {"n": 4}, (TIE, AtMost(1e-3))
    ),
    Problem("derive the logistic Hessian", expressions.logistic_hessian, {"n": 4}, {"n": 4}, (TIE, AtMost(2e-3))),
    Problem(
        "derive the derivative of a polynomial",
        expressions.polynomial_derivative,
        {"order": 10},
        {"order": 3},
        (TIE, AtMost(50e-3)),
    ),
    Problem("new process: import", process.imports, {}, {}, (AtMostOver(0.030, "numpy"),)),
    Problem(
        "new process: first gradient", process.first_gradient, {}, {}, (AtLeast(4, "jax"), AtMostTimes(1.3, "numpy"))
    ),
)
PROBLEMS: tuple[Problem, ...] = (
    *QUADRATIC,
    *VECTOR,
    *REGRESSION,
    *FACTORIZATION,
    *STATISTICS,
    *JACOBIANS,
    *STACKS,
    *SELECTIONS,
    *ADAPTERS,
    *DERIVING,
)

"""The problems of Moré, Garbow and Hillstrom, Testing Unconstrained Optimization Software (ACM TOMS 7, 1981)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Residuals, a start, and the sums of squares at the minima that the paper lists."""

    number: int
    residuals: Callable[[Any], Any]
    start: np.ndarray
    minima: tuple[float, ...] = (0.0,)

    @property
    def name(self) -> str:
        return self.residuals.__name__

    def objective(self, x: Any) -> Any:
        return np.sum(self.residuals(x) ** 2)


def rosenbrock(x):
    return np.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def freudenstein_and_roth(x):
    return np.stack([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def powell_badly_scaled(x):
    return np.stack([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return np.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x):
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.arange(1.0, 4.0))


def jennrich_and_sampson(x):
    i = np.arange(1.0, 11.0)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    turn = np.arctan(x[1] / x[0]) / (2 * np.pi) + np.where(x[0] > 0, 0, 0.5)
    return np.stack([10 * (x[2] - 10 * turn), 10 * (np.hypot(x[0], x[1]) - 1), x[2]])


def bard(x):
    y = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])
    u = np.arange(1.0, 16.0)
    v = 16 - u
    return y - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def gaussian(x):
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989]
    y = np.array([*half, *half[-2::-1]])
    t = (8 - np.arange(1.0, 16.0)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def meyer(x):
    y = np.array(
        [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872]
    )
    t = 45 + 5 * np.arange(1.0, 17.0)
    return x[0] * np.exp(x[1] / (t + x[2])) - y


def gulf(x):
    t = np.arange(1, 100) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    return np.exp(-(np.abs(y - x[1]) ** x[2]) / x[0]) - t


def box(x):
    t = 0.1 * np.arange(1.0, 11.0)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x):
    return np.stack(
        [
            x[0] + 10 * x[1],
            np.sqrt(5) * (x[2] - x[3]),
            (x[1] - 2 * x[2]) ** 2,
            np.sqrt(10) * (x[0] - x[3]) ** 2,
        ]
    )


def wood(x):
    return np.stack(
        [
            10 * (x[1] - x[0] ** 2),
            1 - x[0],
            np.sqrt(90) * (x[3] - x[2] ** 2),
            1 - x[2],
            np.sqrt(10) * (x[1] + x[3] - 2),
            (x[1] - x[3]) / np.sqrt(10),
        ]
    )


def kowalik_and_osborne(x):
    y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
    u = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_and_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


OSBORNE_1 = """
.844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580
.558 .538 .522 .506 .490 .478 .467 .457 .448 .438 .431 .424 .420 .414 .411 .406
"""


def osborne_1(x):
    y = np.array(OSBORNE_1.split(), float)
    t = 10 * np.arange(33.0)
    return y - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def biggs_exp6(x):
    t = 0.1 * np.arange(1.0, 14.0)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


OSBORNE_2 = """
1.366 1.191 1.112 1.013 .991 .885 .831 .847 .786 .725 .746 .679 .608 .655 .616 .606 .602 .626 .651 .724 .649 .649
.694 .644 .624 .661 .612 .558 .533 .495 .500 .423 .395 .375 .372 .391 .396 .405 .428 .429 .523 .562 .607 .653
.672 .708 .633 .668 .645 .632 .591 .559 .597 .625 .739 .710 .729 .720 .636 .581 .428 .292 .162 .098 .054
"""


def osborne_2(x):
    y = np.array(OSBORNE_2.split(), float)
    t = np.arange(65) / 10
    bells = sum(x[k] * np.exp(-((t - x[k + 7]) ** 2) * x[k + 4]) for k in (1, 2, 3))
    return y - (x[0] * np.exp(-t * x[4]) + bells)


def watson(x):
    powers = (np.arange(1, 30) / 29)[:, None] ** np.arange(6.0)
    slopes = np.concatenate([np.zeros((29, 1)), np.arange(1.0, 6.0) * powers[:, :-1]], axis=1)
    return np.concatenate([slopes @ x - (powers @ x) ** 2 - 1, x[:1], x[1:2] - x[:1] ** 2 - 1])


def extended_rosenbrock(x):
    odd, even = x[0::2], x[1::2]
    return np.concatenate([10 * (even - odd**2), 1 - odd])


def extended_powell_singular(x):
    a, b, c, d = (x[k::4] for k in range(4))
    return np.concatenate([a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2])


def penalty_1(x):
    return np.concatenate([np.sqrt(1e-5) * (x - 1), np.reshape(x @ x - 0.25, (1,))])


def penalty_2(x):
    n = len(x)
    i = np.arange(2.0, n + 1)
    e = np.exp(x / 10)
    return np.concatenate(
        [
            x[:1] - 0.2,
            np.sqrt(1e-5) * (e[1:] + e[:-1] - np.exp(i / 10) - np.exp((i - 1) / 10)),
            np.sqrt(1e-5) * (e[1:] - np.exp(-0.1)),
            np.reshape(np.arange(float(n), 0, -1) @ x**2 - 1, (1,)),
        ]
    )


def variably_dimensioned(x):
    total = np.arange(1.0, len(x) + 1) @ (x - 1)
    return np.concatenate([x - 1, np.stack([total, total**2])])


def trigonometric(x):
    n = len(x)
    return n - np.sum(np.cos(x)) + np.arange(1.0, n + 1) * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    return np.concatenate([x[:-1] + np.sum(x) - (len(x) + 1), np.reshape(np.prod(x) - 1, (1,))])


def discrete_boundary_value(x):
    n = len(x)
    h = 1 / (n + 1)
    t = h * np.arange(1.0, n + 1)
    padded = np.concatenate([np.zeros(1), x, np.zeros(1)])
    return 2 * x - padded[:-2] - padded[2:] + h**2 * (x + t + 1) ** 3 / 2


def discrete_integral_equation(x):
    n = len(x)
    h = 1 / (n + 1)
    t = h * np.arange(1.0, n + 1)
    kernel = np.minimum.outer(t, t) * (1 - np.maximum.outer(t, t))
    return x + h * (kernel @ (x + t + 1) ** 3) / 2


def broyden_tridiagonal(x):
    padded = np.concatenate([np.zeros(1), x, np.zeros(1)])
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def broyden_banded(x):
    n = len(x)
    band = np.tri(n, k=1) - np.tri(n, k=-6) - np.eye(n)
    return x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x))


def linear_full_rank(x):
    return np.concatenate([x, np.zeros(10)]) - np.sum(x) / 10 - 1  # of 20 residuals


def linear_rank_1(x):
    return np.arange(1.0, 21.0) * (np.arange(1.0, len(x) + 1) @ x) - 1


def linear_rank_1_with_zeros(x):
    total = np.arange(2.0, len(x)) @ x[1:-1]
    return np.concatenate([-np.ones(1), np.arange(1.0, 19.0) * total - 1, -np.ones(1)])


def chebyquad(x):
    n = len(x)
    T = [1 + 0 * x, 2 * x - 1]
    while len(T) <= n:
        T.append(2 * (2 * x - 1) * T[-1] - T[-2])
    integrals = [0 if i % 2 else -1 / (i * i - 1) for i in range(1, n + 1)]
    return np.stack([np.sum(values) / n for values in T[1:]]) - np.array(integrals)


def _start(*values: float) -> np.ndarray:
    return np.array(values, float)


_GRID = np.arange(1, 11) / 11
PROBLEMS = (
    Problem(1, rosenbrock, _start(-1.2, 1)),
    Problem(2, freudenstein_and_roth, _start(0.5, -2), (0.0, 48.9842)),
    Problem(3, powell_badly_scaled, _start(0, 1)),
    Problem(4, brown_badly_scaled, _start(1, 1)),
    Problem(5, beale, _start(1, 1)),
    Problem(6, jennrich_and_sampson, _start(0.3, 0.4), (124.362,)),
    Problem(7, helical_valley, _start(-1, 0, 0)),
    Problem(8, bard, _start(1, 1, 1), (8.21487e-3, 17.4286)),
    Problem(9, gaussian, _start(0.4, 1, 0), (1.12793e-8,)),
    Problem(10, meyer, _start(0.02, 4000, 250), (87.9458,)),
    Problem(11, gulf, _start(5, 2.5, 0.15)),
    Problem(12, box, _start(0, 10, 20)),
    Problem(13, powell_singular, _start(3, -1, 0, 1)),
    Problem(14, wood, _start(-3, -1, -3, -1)),
    Problem(15, kowalik_and_osborne, _start(0.25, 0.39, 0.415, 0.39), (3.07505e-4, 1.02734e-3)),
    Problem(16, brown_and_dennis, _start(25, 5, -5, -1), (85822.2,)),
    Problem(17, osborne_1, _start(0.5, 1.5, -1, 0.01, 0.02), (5.46489e-5,)),
    Problem(18, biggs_exp6, _start(1, 2, 1, 1, 1, 1), (5.65565e-3, 0.0)),
    Problem(19, osborne_2, _start(1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5), (4.01377e-2,)),
    Problem(20, watson, np.zeros(6), (2.28767e-3,)),
    Problem(21, extended_rosenbrock, np.tile([-1.2, 1], 5)),
    Problem(22, extended_powell_singular, np.tile(_start(3, -1, 0, 1), 3)),
    Problem(23, penalty_1, _start(1, 2, 3, 4), (2.24997e-5,)),
    Problem(24, penalty_2, np.full(4, 0.5), (9.37629e-6,)),
    Problem(25, variably_dimensioned, 1 - np.arange(1, 11) / 10),
    Problem(26, trigonometric, np.full(10, 0.1), (0.0, 2.79506e-5)),
    Problem(27, brown_almost_linear, np.full(10, 0.5), (0.0, 1.0)),
    Problem(28, discrete_boundary_value, _GRID * (_GRID - 1)),
    Problem(29, discrete_integral_equation, _GRID * (_GRID - 1)),
    Problem(30, broyden_tridiagonal, np.full(10, -1.0)),
    Problem(31, broyden_banded, np.full(10, -1.0)),
    Problem(32, linear_full_rank, np.ones(10), (10.0,)),
    Problem(33, linear_rank_1, np.ones(10), (20 * 19 / (2 * 41),)),
    Problem(34, linear_rank_1_with_zeros, np.ones(10), ((20**2 + 3 * 20 - 6) / (2 * 37),)),
    Problem(35, chebyquad, np.arange(1, 9) / 9, (3.51687e-3,)),
)

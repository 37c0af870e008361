"""Random expressions over stacks and over arguments of random layouts give what they give one by one, in C order."""

import os
from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings

import matgrad as mg
from random_expressions import Case, cases
from test_random_expressions import Derivatives

COUNT = os.environ.get("MATGRAD_RANDOM_EXPRESSIONS")
random_cases = settings(
    max_examples=int(COUNT or 60),
    derandomize=COUNT is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def compiled(case: Case):
    """The function, gradient and Hessian of a case as one function, and its arguments."""
    made = Derivatives(case)
    names = list(case.symbols)
    symbols = {s.name: s for e in made.expressions.values() for s in e.symbols}
    expressions = [made.expressions[key] for key in ("value", "gradient", "hessian")]
    used = [name for name in names if name in symbols]
    arguments = [np.asarray(case.symbols[name], float) for name in used]
    return mg.compile(expressions, [symbols[name] for name in used]), arguments


def assert_close(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        scale = max(1.0, np.max(np.abs(b), initial=0, where=np.isfinite(b)))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * scale)


@random_cases
@given(cases)
def test_stacks_give_what_a_loop_gives(case):
    function, arguments = compiled(case)
    choice = Random(case.source)
    are_stacks = [choice.random() < 0.6 for _ in arguments]
    factors = [1.0, 1.001, 0.999, 1.0005]
    stacked = [
        np.stack([a * k for k in factors]) if is_stack else a for a, is_stack in zip(arguments, are_stacks, strict=True)
    ]
    expected = []
    for p, _ in enumerate(factors):
        expected.append(function(*(a[p] if is_stack else a for a, is_stack in zip(stacked, are_stacks, strict=True))))
    if any(are_stacks):
        assert_close(function.map(*stacked), [np.stack(values) for values in zip(*expected, strict=True)])
    else:
        assert_close(function.map(*stacked), expected[0])


@random_cases
@given(cases)
def test_layouts_give_what_c_order_gives(case):
    function, arguments = compiled(case)
    choice = Random(case.source)
    expected = function(*arguments)
    spread = []
    for a in arguments:
        order = choice.sample(range(a.ndim), a.ndim)
        steps = [choice.choice([1, 1, 2, 3, -1]) for _ in range(a.ndim)]
        wide = np.full([a.shape[k] * abs(steps[k]) for k in order], np.nan)
        view = wide.transpose(np.argsort(order))[(*(slice(None, None, step) for step in steps), ...)]
        view[...] = a
        spread.append(view)
    assert_close(function(*spread), expected)

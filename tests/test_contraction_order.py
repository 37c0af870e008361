"""The order of contractions takes the least estimated time of all orders, within a bound of memory."""

import functools
import itertools
import math

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core

SMALL = 8 << 20


class Network:
    """A product of factors over labels, given as in einsum, with the lengths of labels."""

    def __init__(self, subscripts, **lengths):
        inputs, output = subscripts.split("->")
        self.factors = [frozenset(labels) for labels in inputs.split(",")]
        self.output, self.result, self.lengths = output, frozenset(output), lengths
        self.bound = max(SMALL, 4 * sum(map(self.size, [*self.factors, self.result])))

    def size(self, labels):
        return math.prod(self.lengths[label] for label in labels)

    def kept(self, members):
        own = frozenset().union(*(self.factors[k] for k in members))
        others = self.result.union(*(f for k, f in enumerate(self.factors) if k not in members))
        return self.factors[min(members)] if len(members) == 1 else own & others

    def cost(self, left, right):
        """Elements beyond the bound, and time, of contracting two sets of factors."""
        a, b, made = self.kept(left), self.kept(right), self.kept(left | right)
        rate = 8 if a - b and b - a and (a | b) - made else 2
        excess = self.size(made) if self.size(made) > self.bound else 0
        time = 128 + self.size(a) + self.size(b) + self.size(made) + self.size(a | b) / rate
        if a | b == made:
            is_last = len(left | right) == len(self.factors)
            time += 24 * self.size(made) / (self.row(a, b) if is_last else max(self.size(a), self.size(b)))
        return np.array([excess, time])

    def row(self, a, b):
        """Elements next to each other in the result, and in both tensors or in one and not in the other."""
        alike = [(label in a, label in b) for label in reversed(self.output)]
        count = sum(1 for _ in itertools.takewhile(lambda has: has == alike[0], alike))
        return self.size(self.output[len(self.output) - count :])

    def cost_of(self, order):
        tensors, total = [frozenset([k]) for k in range(len(self.factors))], np.zeros(2)
        for left, right in order:
            total += self.cost(tensors[left], tensors[right])
            tensors.append(tensors[left] | tensors[right])
        assert len(tensors[-1]) == len(self.factors)
        return total

    def least_cost(self):
        """The least cost of all ways to put parentheses and to change the order of factors."""

        @functools.cache
        def least(members):
            if len(members) == 1:
                return (0.0, 0.0)
            first, *rest = sorted(members)
            splits = itertools.chain.from_iterable(itertools.combinations(rest, k) for k in range(len(rest)))
            return min(
                tuple(np.array(least(left)) + least(members - left) + self.cost(left, members - left))
                for left in (frozenset([first, *some]) for some in splits)
            )

        return np.array(least(frozenset(range(len(self.factors)))))

    def order(self):
        numbers = {label: k for k, label in enumerate(sorted(self.lengths))}
        return _core.contraction_order(
            [self.lengths[label] for label in sorted(self.lengths)],
            [sum(1 << numbers[label] for label in labels) for labels in self.factors],
            [numbers[label] for label in self.output],
        )


@pytest.mark.parametrize("seed", range(60))
def test_no_other_order_of_a_random_network_is_better(seed):
    generator = np.random.default_rng(seed)
    labels = "abcdefgh"[: generator.integers(2, 9)]
    count = int(generator.integers(2, 7))
    factors = [
        "".join(generator.permutation([*labels])[: generator.integers(1, min(4, len(labels)) + 1)])
        for _ in range(count)
    ]
    used = sorted(set("".join(factors)))
    output = "".join(label for label in used if generator.random() < 0.3)
    lengths = {label: int(generator.choice([2, 3, 10, 100, 1000])) for label in used}
    network = Network(",".join(factors) + "->" + output, **lengths)
    np.testing.assert_allclose(network.cost_of(network.order()), network.least_cost(), rtol=1e-12)


KNOWN = {
    "a vector comes first": (("ab,bc,cd,d->a", {"a": 300, "b": 300, "c": 300, "d": 300}), [(2, 3), (1, 4), (0, 5)]),
    "a thin matrix comes first": (("ab,bc,cd->ad", {"a": 900, "b": 900, "c": 900, "d": 3}), [(1, 2), (0, 3)]),
    "the textbook's chain of matrices": (
        ("ab,bc,cd,de,ef,fg->ag", {"a": 300, "b": 350, "c": 150, "d": 50, "e": 100, "f": 200, "g": 250}),
        [(1, 2), (0, 6), (3, 4), (8, 5), (7, 9)],
    ),
    "a form is made of vectors": (("a,ab,b->", {"a": 500, "b": 500}), None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_orders(name):
    (subscripts, lengths), expected = KNOWN[name]
    network = Network(subscripts, **lengths)
    np.testing.assert_allclose(network.cost_of(network.order()), network.least_cost(), rtol=1e-12)
    if expected:
        np.testing.assert_allclose(network.cost_of(network.order()), network.cost_of(expected), rtol=1e-12)


def test_memory_is_bounded_where_it_can_be():
    network = Network("ab,cd,ac,bd->", a=400, b=400, c=400, d=400)
    assert network.cost_of([(0, 1), (2, 4), (3, 5)])[0] == 400**4
    assert network.cost_of(network.order())[0] == 0


@pytest.mark.parametrize("count", [9, 20, 60])
def test_long_chains_are_contracted_pair_by_pair(count):
    labels = [chr(ord("a") + k) if k < 26 else chr(0x391 + k) for k in range(count + 1)]
    factors = [labels[k] + labels[k + 1] for k in range(count)]
    network = Network(",".join(factors) + "->" + labels[0] + labels[-1], **dict.fromkeys(labels, 7))
    multiplications = sum(
        network.size(network.kept(left) | network.kept(right)) for left, right in steps_of(network, network.order())
    )
    assert multiplications == (count - 1) * 7**3


def steps_of(network, order):
    tensors = [frozenset([k]) for k in range(len(network.factors))]
    for left, right in order:
        yield tensors[left], tensors[right]
        tensors.append(tensors[left] | tensors[right])


def test_the_order_of_a_compiled_product():
    A, B, x = mg.matrix("A"), mg.matrix("B"), mg.vector("x")
    plan = (A @ B @ x).compile(A, B, x).plan(A=(50, 60), B=(60, 70), x=70)
    assert plan.flops == 2 * (60 * 70 + 50 * 60)

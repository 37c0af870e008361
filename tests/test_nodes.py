"""Nodes of expressions: what is dropped is freed, and threads may build, differentiate and drop the same ones."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import matgrad as mg
from matgrad import _core

# So many rounds of `build_and_drop`; more to look for leaks.
ROUNDS = int(os.environ.get("MATGRAD_NODE_ROUNDS", "2000"))


def loss():
    X, U, V = mg.matrices("X U V")
    return np.sum((X - U @ V) ** 2), U, V


def build_and_drop(k):
    """Make about 50 expressions, some as before and some new."""
    x, a = mg.vectors("x a")
    A = mg.matrix("A")
    f = np.exp(a @ x) * np.linalg.norm(A @ x - (k % 97) * a) + mg.logsumexp(x * (1 + k))
    f.diff(x)
    g, U, V = loss()
    (k * g).diff(U)
    g.diff(V, V)


def nodes_now():
    gc.collect()
    return _core.live_nodes()


def peak_memory():
    """Return the largest memory that this process has had, in bytes."""
    resource = pytest.importorskip("resource")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_equal_expressions_are_one_node():
    first, second = loss()[0], loss()[0]
    assert first.equals(second)
    assert hash(first) == hash(second)
    before = nodes_now()
    third = loss()[0]
    assert nodes_now() <= before
    assert third.equals(first)


def test_dropped_expressions_leave_no_nodes_and_no_memory():
    before = nodes_now()
    for k in range(ROUNDS // 4):
        build_and_drop(k)
    memory = peak_memory()
    for k in range(ROUNDS // 4, ROUNDS):
        build_and_drop(k)
    assert nodes_now() <= before
    assert peak_memory() - memory < 4e6


def test_deep_expressions_are_freed():
    before = nodes_now()
    x = mg.scalar("x")
    f = x
    for _ in range(20_000):
        f = np.sin(f)
    assert nodes_now() > 20_000
    del f, x
    assert nodes_now() <= before


def test_a_fresh_process_has_no_nodes():
    code = "from matgrad import _core; print(_core.live_nodes())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "0\n"


def test_threads_build_and_drop_the_same_expressions_at_once():
    before = nodes_now()
    threads, failures, ready = 8, [], threading.Barrier(8)
    expected = [str(g) for g in (loss()[0].diff(loss()[1]), loss()[0].diff(loss()[2]))]
    values = {"X": np.arange(12.0).reshape(4, 3), "U": np.ones((4, 2)), "V": np.ones((2, 3))}
    gradient = -2 * values["U"].T @ (values["X"] - values["U"] @ values["V"])

    def work(seed):
        try:
            ready.wait()
            for k in range(ROUNDS // 40):
                f, U, V = loss()
                assert [str(f.diff(U)), str(f.diff(V))] == expected
                np.testing.assert_array_equal(f.diff(V)(**values), gradient)
                build_and_drop(seed + k)
        except BaseException as error:
            failures.append(error)

    running = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert failures == []
    assert nodes_now() <= before


def test_expressions_may_be_dropped_by_another_thread():
    before = nodes_now()
    handed = [loss()[0].diff(loss()[1]) for _ in range(100)]
    thread = threading.Thread(target=handed.clear)
    thread.start()
    thread.join()
    assert nodes_now() <= before

"""The pool of threads: the same bits for any number of them, forks, concurrent callers, Ctrl-C, a clean exit."""

import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import matgrad as mg
from cases import CASES, operands_of
from matgrad import closed_form as cf

ENOUGH = 1 << 19  # elements that keep several threads busy

PREAMBLE = """
import os, signal, sys, threading, time
import numpy as np
import matgrad as mg
from matgrad import closed_form as cf

signal.signal(signal.SIGINT, signal.default_int_handler)  # even if it is ignored, as it is in a shell's background jobs
rng = np.random.default_rng(0)
A, x = rng.normal(size=(700, 700)), rng.normal(size=700)
wanted = np.sum(A * x, axis=1) + np.sum(A * x[:, None], axis=0)  # without BLAS, whose threads would count as ours

def right():
    return np.allclose(cf.quadratic_form_gradient(A, x), wanted)

def in_child(function):
    "Call a function in a forked child; whether it returned True."
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a deadlock ends the child
        os._exit(0 if function() is True else 1)
    return os.waitpid(pid, 0)[1] == 0

def main():
"""


@pytest.fixture(autouse=True)
def number_of_threads():
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


def check(body, tmp_path):
    """Run a function body in a new process, where all warnings but Python's own on fork are errors; it returns True."""
    script = tmp_path / "script.py"
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    script.write_text(f"{PREAMBLE}{indented}\nif __name__ == '__main__':\n    sys.exit(0 if main() is True else 1)\n")
    warnings = ["-Werror", "-Wignore:This process:DeprecationWarning"]
    result = subprocess.run([sys.executable, *warnings, script], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    assert result.returncode == 0


def elements(case, sizes):
    return sum(math.prod(shape) for shape in case.core_shapes(sizes) + case.result_shapes(sizes))


def busy_operands(case, kind, dtype):
    """Operands of one large problem, or of a large stack of small problems."""
    sizes = case.ordinary
    if kind == "stack":
        return operands_of(case, sizes, dtype, (ENOUGH // elements(case, sizes) + 1,))
    while elements(case, sizes) < ENOUGH:
        sizes = tuple(size + size // 4 + 1 for size in sizes)
    return operands_of(case, sizes, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["single", "stack"])
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_same_bits_for_any_number_of_threads(case, kind, dtype):
    operands = busy_operands(case, kind, dtype)
    mg.set_num_threads(1)
    reference = case(*operands)
    for threads in (2, 3, 7, 2):
        mg.set_num_threads(threads)
        for result, expected in zip(case(*operands), reference, strict=True):
            assert result.tobytes() == expected.tobytes()


def test_concurrent_callers_get_the_same_bits_while_the_number_of_threads_changes():
    rng = np.random.default_rng(1)
    problems = [(rng.normal(size=(700, 700)), rng.normal(size=700)) for _ in range(16)]
    expected = [cf.quadratic_form_gradient(A, x) for A, x in problems]
    done = threading.Event()

    def change():
        count = 0
        while not done.wait(0.0005):
            count = count % 7 + 1
            mg.set_num_threads(count)

    def same(problem):
        return all(np.array_equal(cf.quadratic_form_gradient(*problems[problem]), expected[problem]) for _ in range(30))

    changing = threading.Thread(target=change)
    changing.start()
    with ThreadPoolExecutor(16) as executor:
        outcomes = list(executor.map(same, range(16)))
    done.set()
    changing.join()
    assert outcomes == [True] * 16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_workers_start_when_first_needed_and_sleep_when_idle(tmp_path):
    body = """
count = lambda: len(os.listdir("/proc/self/task"))
mg.set_num_threads(3)
before = count()
cf.quadratic_form_gradient(A[:9, :9], x[:9])
assert count() == before
assert right() and right()
assert count() == before + 2
time.sleep(0.5)  # until the threads that NumPy's BLAS started on import sleep, too
used = time.process_time()
time.sleep(0.5)
assert time.process_time() - used < 0.1  # a worker that spins uses all of the half second
return True
"""
    check(body, tmp_path)


# --- Fork ---


def test_a_forked_child_computes_on_one_thread_and_so_does_its_child(tmp_path):
    body = """
def child():
    return mg.get_num_threads() == 1 and right() and in_child(lambda: mg.get_num_threads() == 1 and right())

mg.set_num_threads(3)
assert right()
assert in_child(child)
return right() and mg.get_num_threads() == 3
"""
    check(body, tmp_path)


def test_a_forked_child_may_ask_for_threads_of_its_own(tmp_path):
    body = """
def child():
    mg.set_num_threads(2)
    started = right() and (sys.platform != "linux" or len(os.listdir("/proc/self/task")) == 2)
    return started and in_child(right) and right()

mg.set_num_threads(2)
return right() and in_child(child) and right()
"""
    check(body, tmp_path)


def test_fork_while_other_threads_compute(tmp_path):
    body = """
done = threading.Event()
def compute():
    while not done.is_set():
        assert right()

mg.set_num_threads(2)
others = [threading.Thread(target=compute) for _ in range(2)]
for other in others:
    other.start()
outcomes = [in_child(right) for _ in range(20)]
done.set()
for other in others:
    other.join()
return all(outcomes) and right()
"""
    check(body, tmp_path)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_after_use(method, tmp_path):
    body = f"""
import multiprocessing
mg.set_num_threads(2)
assert right()
with multiprocessing.get_context("{method}").Pool(1) as pool:
    return pool.apply_async(right).get(timeout=30)
"""
    check(body, tmp_path)


# --- Signals ---

LONG = {
    "stack": "A, x = np.broadcast_to(A[:256, :256], (10**7, 256, 256)), x[:256]",  # far more than a minute of work
    "stack of large problems": "A = np.broadcast_to(A, (10**6, 700, 700))",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("problem", LONG)
def test_ctrl_c_interrupts_a_long_computation(problem, threads, tmp_path):
    body = f"""
global A, x
saved = A, x
{LONG[problem]}
mg.set_num_threads({threads})
sent = []
def interrupt():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

for _ in range(2):
    timer = threading.Timer(0.1, interrupt)
    timer.start()
    try:
        cf.quadratic_form(A, x)
    except KeyboardInterrupt:
        late = time.monotonic() - sent[-1]
    timer.join()
    assert late < 0.2, late
A, x = saved
return right() and len(sent) == 2
"""
    check(body, tmp_path)


def test_a_signal_handler_runs_during_a_computation_and_may_compute(tmp_path):
    body = """
handled = []
def handle(number, frame):
    handled.append((time.monotonic(), right()))

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
mg.set_num_threads(2)
big = np.broadcast_to(A, (20000, 700, 700))
results = cf.quadratic_form(big, x)
end = time.monotonic()
signal.setitimer(signal.ITIMER_REAL, 0)
assert len([at for at, correct in handled if correct and at < end]) >= 2
return bool(np.all(results == results[0]) and np.isclose(results[0], x @ A @ x))
"""
    check(body, tmp_path)


def test_a_signal_handler_leaves_the_intermediate_results_of_the_computation_alone(tmp_path):
    body = """
import scipy.sparse

def problem(m, n, r):
    X = rng.standard_normal((m, n))
    observed = scipy.sparse.csr_array(np.where(rng.random((m, n)) < 0.5, X, 0))
    return X, observed, rng.standard_normal((m, r)), rng.standard_normal((r, n)), rng.standard_normal((m, m))

def results(X, observed, U, V, A):
    yield cf.quadratic_form_gradient(np.broadcast_to(A, (20, *A.shape)), U[:, 0])
    for matrix in (X, observed):
        value, gradients = cf.factorization_value_and_gradient(matrix, U, V)
        yield np.concatenate([[value], *gradients], axis=None)

outer, inner = problem(2000, 1500, 64), problem(1600, 1000, 65)
wanted = [list(results(*outer)), list(results(*inner))]
handled = []
def handle(number, frame):
    handled.append(all(map(np.array_equal, results(*inner), wanted[1])))
    signal.setitimer(signal.ITIMER_REAL, 0.06)

mg.set_num_threads(2)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.06)
right = []
while len(handled) < 10:
    right += map(np.array_equal, results(*outer), wanted[0])
signal.setitimer(signal.ITIMER_REAL, 0)
return all(right) and all(handled)
"""
    check(body, tmp_path)


def test_a_fork_by_a_signal_handler_leaves_the_parent_whole(tmp_path):
    """The child returns from the handler into a computation whose workers it lacks: it may not return a result."""
    body = """
children = []
def handle(number, frame):
    children.append(os.fork())
    if children == [0]:
        signal.alarm(20)  # a deadlock ends the child

signal.signal(signal.SIGPROF, handle)
signal.setitimer(signal.ITIMER_PROF, 0.1)
mg.set_num_threads(2)
stack = np.broadcast_to(A[:256, :256], (150000, 256, 256))
try:
    results = cf.quadratic_form(stack, x[:256])
except RuntimeError:
    os._exit(3 if children == [0] and right() else 4)
status = os.waitpid(children[0], 0)[1]
assert os.waitstatus_to_exitcode(status) == 3
return bool(np.all(results == results[0]))
"""
    check(body, tmp_path)


# --- Exit ---


def test_the_process_exits_cleanly_while_a_daemon_thread_computes(tmp_path):
    body = """
def compute():
    while True:
        right()

mg.set_num_threads(2)
threading.Thread(target=compute, daemon=True).start()
time.sleep(0.1)
return True
"""
    check(body, tmp_path)

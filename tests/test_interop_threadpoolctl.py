"""The threadpoolctl adapter: the pool of threads is listed and limited beside those of other libraries."""

import subprocess
import sys

import pytest

import matgrad as mg

threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.fixture(autouse=True)
def registered():
    mg.interop.threadpoolctl.register()


def ours():
    return [info for info in threadpoolctl.threadpool_info() if info["user_api"] == "matgrad"]


def test_the_pool_is_listed_once():
    mg.interop.threadpoolctl.register()
    (info,) = ours()
    assert info["num_threads"] == mg.get_num_threads()
    assert info["version"] == mg.__version__
    assert info["filepath"] == mg._core.__file__


@pytest.mark.parametrize("limits", [1, {"matgrad": 1}])
def test_limits_hold_within_the_context_and_no_longer(limits):
    before = mg.get_num_threads()
    mg.set_num_threads(3)
    try:
        with threadpoolctl.threadpool_limits(limits=limits):
            assert mg.get_num_threads() == ours()[0]["num_threads"] == 1
        assert mg.get_num_threads() == 3
        with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
            assert mg.get_num_threads() == 3
    finally:
        mg.set_num_threads(before)


def printed(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


COUNT = "print(sum(info['user_api'] == 'matgrad' for info in threadpoolctl.threadpool_info()))"


def test_it_is_registered_by_the_import_if_threadpoolctl_is_there_already():
    assert printed(f"import threadpoolctl, matgrad; {COUNT}") == ["1"]


def test_the_import_alone_leaves_threadpoolctl_alone():
    register = "matgrad.interop.threadpoolctl.register(); import threadpoolctl"
    code = f"import sys, matgrad; print('threadpoolctl' in sys.modules); {register}; {COUNT}"
    assert printed(code) == ["False", "1"]

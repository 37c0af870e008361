"""Gradients over Dask arrays, in blocks on threads and on a cluster of processes, against those of the whole."""

import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import matgrad as mg

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")
_dask_graph = pytest.importorskip("matgrad.interop._dask_graph")

n, m, r = 230, 6, 3
RNG = np.random.default_rng(0)
X, U, V = RNG.standard_normal((n, m)), RNG.standard_normal((n, r)), RNG.standard_normal((r, m))
w, y = RNG.standard_normal(m), RNG.standard_normal(n)
VALUE_AND_GRAD = mg.interop.dask.value_and_grad


def factorization(X, U, V):
    return np.sum((X - U @ V) ** 2) + 0.1 * np.sum(V**2) + 0.2 * np.sum(U**2)


def logistic(w, X, y):
    return np.sum(np.log1p(np.exp(-y * (X @ w)))) / X.shape[0] + 0.1 * np.sum(w**2)


def log_of_sum(w, X):
    return np.log(np.sum(np.exp(X @ w)))


def chunked(x, length=50):
    return da.from_array(x, chunks=(length,) + (-1,) * (x.ndim - 1))


def check(result, expected, dtype=np.float64):
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    value, gradients = result
    np.testing.assert_allclose(value, expected[0], rtol=tolerance)
    gradients, wanted = (g if isinstance(g, tuple) else (g,) for g in (gradients, expected[1]))
    for gradient, e in zip(gradients, wanted, strict=True):
        assert gradient.shape == e.shape
        assert gradient.dtype == e.dtype
        np.testing.assert_allclose(np.asarray(gradient), e, rtol=0, atol=tolerance * np.max(np.abs(e), initial=1e-3))


# --- Which arguments are chunked, and how ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", ["X", "U", "XU", "XUV", ""])
def test_any_argument_may_be_chunked(which, dtype):
    arrays = [x.astype(dtype) for x in (X, U, V)]
    given = [
        (chunked(x, 50 if name == "X" else 37 if name == "U" else -1) if name in which else x)
        for name, x in zip("XUV", arrays, strict=True)
    ]
    result = VALUE_AND_GRAD(factorization, (0, 1, 2))(*given)
    check(result, mg.value_and_grad(factorization, (0, 1, 2))(*arrays), dtype)
    for name, gradient in zip("XUV", result[1], strict=True):
        assert type(gradient) is (da.Array if name in which else np.ndarray)


def test_columns_may_be_chunked():
    result = VALUE_AND_GRAD(factorization, (1, 2))(da.from_array(X, chunks=(-1, 4)), U, V)
    check(result, mg.value_and_grad(factorization, (1, 2))(X, U, V))


@pytest.mark.parametrize("chunks", [(230,), (1,) * 230, (0, 100, 0, 130), (229, 1), (7,) * 32 + (6,)])
def test_chunks_may_have_any_length(chunks):
    result = VALUE_AND_GRAD(logistic)(w, da.from_array(X, chunks=(chunks, -1)), y)
    check(result, mg.value_and_grad(logistic)(w, X, y))


def test_empty_arrays_have_a_gradient():
    empty = da.zeros((0, m), chunks=(5, -1))
    value, gradient = VALUE_AND_GRAD(lambda X, w: np.sum((X @ w) ** 2), 1)(empty, w)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros(m))


def test_lengths_are_those_of_the_whole():
    def mean(X):
        assert X.shape == (n, m)
        return np.sum(X) / len(X) + np.mean(X) + X.size

    check(VALUE_AND_GRAD(mean)(chunked(X)), mg.value_and_grad(mean)(X))


def test_penalties_count_once():
    value, gradient = VALUE_AND_GRAD(lambda w, X: np.sum(w**2) + 0 * np.sum(X))(w, chunked(X))
    np.testing.assert_allclose(value, np.sum(w**2))
    np.testing.assert_allclose(gradient, 2 * w)


def test_functions_of_sums_take_more_passes():
    check(VALUE_AND_GRAD(log_of_sum, (0, 1))(w, chunked(X)), mg.value_and_grad(log_of_sum, (0, 1))(w, X))


def test_integers_are_read():
    labels = RNG.integers(0, 2, n)
    expected = mg.value_and_grad(logistic)(w, X, labels)
    check(VALUE_AND_GRAD(logistic)(w, chunked(X), chunked(labels)), expected)
    check(VALUE_AND_GRAD(logistic)(w, chunked(X), labels), expected)
    check(VALUE_AND_GRAD(logistic)(w, X, chunked(labels)), expected)


def test_rows_may_be_chosen_by_chunked_integers():
    """The observed entries of a matrix: rows, columns and values are chunked, factors are not."""
    rows, columns = RNG.integers(0, 12, n), RNG.integers(0, m, n)

    def loss(U, V, rows, columns, y):
        return np.sum((np.sum(U[rows] * V.T[columns], axis=1) - y) ** 2)

    result = VALUE_AND_GRAD(loss, (0, 1))(U[:12], V, chunked(rows), chunked(columns), chunked(y))
    check(result, mg.value_and_grad(loss, (0, 1))(U[:12], V, rows, columns, y))


def test_captured_arrays_are_cut_along_and_read_at_every_call():
    target = y.copy()
    gradient = VALUE_AND_GRAD(lambda w, X: np.sum((X @ w - target) ** 2))
    whole = mg.value_and_grad(lambda w, X: np.sum((X @ w - target) ** 2))
    check(gradient(w, chunked(X)), whole(w, X))
    target *= 2
    check(gradient(w, chunked(X)), whole(w, X))


def test_trees_of_arrays_may_be_chunked():
    def loss(p, X):
        return np.sum((X - p["U"] @ p["V"]) ** 2)

    value, gradient = VALUE_AND_GRAD(loss)({"U": U, "V": V}, chunked(X))
    expected = mg.value_and_grad(loss)({"U": U, "V": V}, X)
    check((value, tuple(gradient.values())), (expected[0], tuple(expected[1].values())))


def test_results_have_the_same_bits_every_time():
    results = [VALUE_AND_GRAD(logistic)(w, chunked(X, 20), y) for _ in range(3)]
    assert len({(value.tobytes(), gradient.tobytes()) for value, gradient in results}) == 1


def test_gradients_are_arrays_that_dask_goes_on_with():
    _, gradient = VALUE_AND_GRAD(factorization, 1)(chunked(X), chunked(U, 30), V)
    step = (chunked(U) - 0.1 * gradient).compute()
    np.testing.assert_allclose(step, U - 0.1 * mg.grad(factorization, 1)(X, U, V))


def test_gradients_are_arrays_of_their_own():
    point = w.copy()
    _, gradient = VALUE_AND_GRAD(lambda w, X: np.sum(w**2) / 2 + 0 * np.sum(X))(point, chunked(X))
    gradient[:] = 0
    np.testing.assert_array_equal(point, w)


def test_a_transform_pickles():
    check(pickle.loads(pickle.dumps(VALUE_AND_GRAD(logistic)))(w, chunked(X), y), mg.value_and_grad(logistic)(w, X, y))


# --- What can't be ---


def test_what_needs_several_blocks_is_an_error():
    with pytest.raises(NotImplementedError, match=r"over blocks of X, .* joins every block with every other"):
        VALUE_AND_GRAD(lambda X: np.sum(np.exp(X @ X.T)))(chunked(X))


def test_several_chunked_axes_are_an_error():
    with pytest.raises(ValueError, match=r"X is chunked along axes 0, 1 .* X.rechunk\(\{1: -1\}\)"):
        VALUE_AND_GRAD(factorization)(da.from_array(X, chunks=(50, 3)), U, V)


def test_unknown_chunks_are_an_error():
    with pytest.raises(ValueError, match="X has chunks of unknown length"):
        VALUE_AND_GRAD(log_of_sum, 1)(w, chunked(X)[chunked(y) > 0])


def test_lengths_that_differ_are_an_error():
    with pytest.raises(ValueError, match="y"):
        VALUE_AND_GRAD(logistic)(w, chunked(X), chunked(y[:-1]))
    with pytest.raises(ValueError, match="has length 100 along axis 0"):
        VALUE_AND_GRAD(lambda X, y: np.sum(X) * np.sum(y))(chunked(X), chunked(y[:100]))


def test_captured_dask_arrays_are_an_error():
    rows = chunked(X)
    with pytest.raises(TypeError, match="refers to the Dask array rows"):
        VALUE_AND_GRAD(lambda w: np.sum((rows @ w) ** 2))(w)


def test_other_precisions_are_an_error():
    with pytest.raises(TypeError, match="X has dtype float16"):
        VALUE_AND_GRAD(log_of_sum)(w, chunked(X.astype(np.float16)))


# --- Files ---


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "X.npy", X)
    return tmp_path / "X.npy"


def test_mapped_files(file, monkeypatch):
    mapped = np.load(file, mmap_mode="r")
    expected = mg.value_and_grad(factorization, (1, 2))(X, U, V)
    chunks = mg.interop.dask.from_memmap(mapped, chunks=(70, -1))
    np.testing.assert_array_equal(chunks.compute(), X)
    check(VALUE_AND_GRAD(factorization, (1, 2))(chunks, U, V), expected)
    sent = []
    whole = _dask_graph.Graph._array
    monkeypatch.setattr(_dask_graph.Graph, "_array", lambda self, x: sent.append(np.shape(x)) or whole(self, x))
    result = VALUE_AND_GRAD(factorization, (1, 2))(mapped, chunked(U), V)  # cut where it is
    check(result, expected)
    assert sent == [V.shape]  # blocks of the file are mapped where they are needed


def test_files_in_fortran_order(tmp_path):
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    mapped = np.load(tmp_path / "F.npy", mmap_mode="r")
    np.testing.assert_array_equal(mg.interop.dask.from_memmap(mapped, chunks=40).compute(), X)


def test_views_of_files_are_an_error(file):
    for mapped in (np.load(file, mmap_mode="r")[1:], np.load(file, mmap_mode="c")):
        with pytest.raises(TypeError, match="whole file, neither a view"):
            mg.interop.dask.from_memmap(mapped)


def test_zarr(tmp_path):
    pytest.importorskip("zarr")
    chunked(X).to_zarr(tmp_path / "X.zarr")
    result = VALUE_AND_GRAD(logistic)(w, da.from_zarr(tmp_path / "X.zarr"), y)
    check(result, mg.value_and_grad(logistic)(w, X, y))


# --- A cluster of processes ---


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


def received():
    """How often this worker has made a function of what it received."""
    from matgrad.interop import _dask_graph

    return _dask_graph._received.cache_info().misses


def test_blocks_are_computed_by_all_workers(client):
    rows = chunked(X, 10).persist()
    check(VALUE_AND_GRAD(logistic)(w, rows, y), mg.value_and_grad(logistic)(w, X, y))
    check(VALUE_AND_GRAD(factorization, (1, 2))(rows, chunked(U), V), mg.value_and_grad(factorization, (1, 2))(X, U, V))
    assert all(count > 0 for count in client.run(received).values())


def test_a_worker_compiles_a_function_once(client):
    gradient = VALUE_AND_GRAD(log_of_sum)
    rows = chunked(X, 10)
    gradient(w, rows)
    before = client.run(received)
    for k in range(5):
        check(gradient(k * w, rows), mg.value_and_grad(log_of_sum)(k * w, X))
    assert sum(client.run(received).values()) - sum(before.values()) <= 2 * 3  # what the other worker had before


def test_workers_read_files(client, file):
    mapped = np.load(file, mmap_mode="r")
    result = VALUE_AND_GRAD(logistic)(w, mg.interop.dask.from_memmap(mapped, chunks=(20, -1)), y)
    check(result, mg.value_and_grad(logistic)(w, X, y))


def slow(x):
    time.sleep(0.05)
    return x


def test_blocks_of_a_lost_worker_are_computed_anew(client):
    pids = client.run(os.getpid)
    rows = chunked(X, 10).map_blocks(slow, dtype=X.dtype)
    killer = threading.Timer(0.4, os.kill, (next(iter(pids.values())), signal.SIGKILL))
    killer.start()
    result = VALUE_AND_GRAD(factorization, (1, 2))(rows, chunked(U), V)
    check(result, mg.value_and_grad(factorization, (1, 2))(X, U, V))
    killer.join()
    client.wait_for_workers(2)
    assert {*client.run(os.getpid).values()} != {*pids.values()}


def test_blocks_that_were_lost_between_calls_are_computed_anew(client):
    rows = chunked(X, 10).persist()
    gradient = VALUE_AND_GRAD(logistic)
    expected = mg.value_and_grad(logistic)(w, X, y)
    check(gradient(w, rows, y), expected)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    check(gradient(w, rows, y), expected)

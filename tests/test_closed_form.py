"""Every closed form of the table in cases.py: values, stacks, array layouts, out=, errors, instruction sets."""

import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse

import cases
import matgrad as mg
from cases import CASES, WIDE, Case, assert_close, expected, operands_of
from matgrad import closed_form as cf

LAYOUTS = {
    "strided": lambda x: _embed(x, slice(None, None, 2)),
    "reversed": lambda x: _reversed(x),
    "fortran": lambda x: x.copy(order="F"),
    "rows-apart": lambda x: _embed(x, slice(1, -1)),
    "misaligned": lambda x: _misaligned(x),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: _read_only(x),
}


def each_case(*names: str):
    """Parametrise a test over the rows of the table."""
    chosen = [case for case in CASES if not names or case.name in names]
    return pytest.mark.parametrize("case", chosen, ids=[case.id for case in chosen])


def test_every_closed_form_has_a_row():
    structured = {"factorization_hessian"}  # tested in test_structured.py
    assert {case.name for case in CASES} | structured == set(cf.__all__)


def _embed(x, section):
    """Return a view of a larger array of NaN that holds the values of x in a section of every axis."""
    step = section.step or 1
    larger = np.full([length * step + 2 for length in x.shape], np.nan, x.dtype)
    start = section.start or 0
    view = larger[(*(slice(start, start + length * step, step) for length in x.shape), ...)]
    view[...] = x
    return view


def _reversed(x):
    backwards = (*[slice(None, None, -1)] * x.ndim, ...)
    return x[backwards].copy()[backwards]


def _misaligned(x):
    buffer = bytearray(x.nbytes + 1)
    view = np.frombuffer(buffer, x.dtype, x.size, offset=1).reshape(x.shape)
    view[...] = x
    return view


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def assert_same(got, reference):
    """Assert that tuples of results are equal to the bit, signs of zeros aside."""
    for one, other in zip(got, reference, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@each_case()
def test_values_on_single_arrays_of_all_sizes(case: Case, dtype):
    for sizes in case.sizes:
        operands = operands_of(case, sizes, dtype)
        assert_close(case, sizes, operands, case(*operands))


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("stack", [s for s in cases.STACKS if s], ids=str)
@each_case()
def test_values_on_stacks(case: Case, stack, dtype):
    operands = operands_of(case, case.ordinary, dtype, stack)
    assert_close(case, case.ordinary, operands, case(*operands))


@each_case()
def test_stacks_broadcast(case: Case):
    count = len(case.operands)
    for shapes in ([(2, 1), (3,), (), (2, 3)], [(), (3,), (2, 1), ()], [(1,), (0,), (2, 1), (1, 1)]):
        operands = operands_of(case, case.ordinary, stacks=shapes[:count])
        assert_close(case, case.ordinary, operands, case(*operands))


@each_case()
def test_stacks_of_empty_arrays(case: Case):
    sizes = (0,) * len(case.labels)
    operands = operands_of(case, sizes, stacks=(3,))
    assert_close(case, sizes, operands, case(*operands))


@each_case()
def test_a_result_without_axes_is_a_scalar(case: Case):
    for result, axes in zip(case(*operands_of(case, case.ordinary)), case.results, strict=True):
        assert type(result) is (np.ndarray if axes else np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@each_case()
def test_layout_of_operands_does_not_matter(case: Case, layout, dtype):
    for stack in ((), (2, 3)):
        operands = operands_of(case, case.ordinary, dtype, stack)
        reference = case(*operands)
        for which in range(len(operands)):
            one_changed = [LAYOUTS[layout](x) if k == which else x for k, x in enumerate(operands)]
            assert_same(case(*one_changed), reference)
        assert_same(case(*map(LAYOUTS[layout], operands)), reference)


@each_case()
def test_operands_of_zero_stride(case: Case):
    for which in range(len(case.operands)):
        for axis in range(-(operands_of(case, case.ordinary)[which].ndim + 2), 0):
            operands = operands_of(case, case.ordinary, stacks=(2, 3))
            one = operands[which]
            operands[which] = np.broadcast_to(np.take(one, [0], axis), one.shape)
            assert operands[which].strides[axis] == 0
            assert_same(case(*operands), case(*map(np.array, operands)))


@each_case()
def test_integers_bools_and_lists_become_float64(case: Case):
    floats = [np.round(2 * x) for x in operands_of(case, case.ordinary)]
    reference = case(*floats)
    for dtype in (np.int8, np.int32, np.int64):
        assert_same(case(*(x.astype(dtype) for x in floats)), reference)
    assert_same(case(*(x.tolist() for x in floats)), reference)
    bools = [x > 0 for x in floats]
    assert_same(case(*bools), case(*(x.astype(float) for x in bools)))


@each_case()
def test_mixed_precisions_promote(case: Case):
    operands = operands_of(case, case.ordinary, np.float32)
    for which in range(len(operands)):
        mixed = [x.astype(np.float64) if k == which else x for k, x in enumerate(operands)]
        assert_same(case(*mixed), case(*(x.astype(np.float64) for x in operands)))


def empty_results(case: Case, stack=(), dtype=np.float64):
    shapes = case.result_shapes(case.ordinary)[case.first_out :]
    return tuple(np.full(stack + shape, np.nan, dtype) for shape in shapes)


def given(results):
    """The `out` argument for these arrays."""
    return results if len(results) > 1 else results[0]


@pytest.mark.parametrize("kind", ["fresh", "strided", "reversed", "fortran", "misaligned"])
@each_case()
def test_out_receives_the_result(case: Case, kind):
    for stack in ((), (2, 3)):
        operands = operands_of(case, case.ordinary, stacks=stack)
        out = empty_results(case, stack)
        if kind != "fresh":
            out = tuple(map(LAYOUTS[kind], out))
        got = case(*operands, out=given(out))
        assert all(one is other for one, other in zip(got[case.first_out :], out, strict=True))
        for one, reference in zip(got, case(*operands), strict=True):
            np.testing.assert_array_equal(one, reference)


@each_case()
def test_out_may_overlap_an_operand(case: Case):
    reference = case(*operands_of(case, case.ordinary, stacks=(2,)))
    for which in range(len(case.operands)):
        for result, shape in enumerate(case.result_shapes(case.ordinary)[case.first_out :]):
            operands = operands_of(case, case.ordinary, stacks=(2,))
            shape = (2, *shape)
            buffer = np.zeros(operands[which].size + np.prod(shape, dtype=int) + 1)
            shared = buffer[: operands[which].size].reshape(operands[which].shape)
            shared[...] = operands[which]
            operands[which] = shared
            out = list(empty_results(case, (2,)))
            out[result] = np.ndarray(shape, buffer=buffer, offset=buffer.itemsize)
            assert_same(case(*operands, out=given(tuple(out))), reference)


def _byte_swapped(x):
    return x.astype(x.dtype.newbyteorder())


WRONG_OUT = {
    "shape": (lambda x: np.full((*x.shape, 1), np.nan), ValueError, r"out.*\(.*\)"),
    "float32": (lambda x: x.astype(np.float32), TypeError, "out.*dtype"),
    "byte-swapped": (_byte_swapped, TypeError, "out.*byte order"),
    "integer": (lambda x: np.zeros(x.shape, int), TypeError, "out.*dtype"),
    "read-only": (_read_only, ValueError, "out.*read-only"),
    "list": (lambda x: x.tolist(), TypeError, "out"),
    "subclass": (lambda x: np.ma.array(x), TypeError, "out.*MaskedArray"),
}


@pytest.mark.parametrize("wrong", WRONG_OUT)
@each_case()
def test_wrong_out_raises_and_changes_nothing(case: Case, wrong):
    spoil, error, message = WRONG_OUT[wrong]
    for which in range(len(case.results) - case.first_out):
        operands = operands_of(case, case.ordinary)
        before = [x.copy() for x in operands]
        out = list(empty_results(case))
        out[which] = spoil(out[which])
        untouched = [np.array(x) for x in out]
        with pytest.raises(error, match=f"^{case.name}: {message}"):
            case(*operands, out=given(tuple(out)))
        for one, other in zip([*out, *operands], [*untouched, *before], strict=True):
            np.testing.assert_array_equal(one, other)


@each_case()
def test_out_of_several_results_is_a_tuple_of_as_many(case: Case):
    if len(case.results) == 1:
        return
    operands = operands_of(case, case.ordinary)
    for out in (list(empty_results(case)), empty_results(case)[:-1], empty_results(case)[0]):
        with pytest.raises(
            TypeError, match=f"^{case.name}: out must be a tuple of {len(case.results) - case.first_out} arrays"
        ):
            case(*operands, out=out)
    out = (None, *empty_results(case)[1:])
    assert_same(case(*operands, out=out), case(*operands))


@each_case()
def test_results_that_overlap_each_other_raise(case: Case):
    shapes = [(2, *shape) for shape in case.result_shapes(case.ordinary)[case.first_out :]]
    if len(shapes) == 1:
        return
    operands = operands_of(case, case.ordinary, stacks=(2,))
    buffer = np.zeros(sum(np.prod(shape, dtype=int) for shape in shapes))
    overlapping = [np.ndarray(shape, buffer=buffer) for shape in shapes]
    with pytest.raises(ValueError, match=f"^{case.name}: out has arrays that overlap each other"):
        case(*operands, out=tuple(overlapping))
    sizes = [np.prod(shape, dtype=int) for shape in shapes]
    one, other = (buffer[sum(sizes[:k]) :][:size].reshape(shapes[k]) for k, size in enumerate(sizes))
    interleaved = np.zeros((max(sizes), 2))
    for out in ((one, other), tuple(interleaved[:size, k].reshape(shapes[k]) for k, size in enumerate(sizes))):
        got = case(*operands, out=out)
        assert_same(got, case(*operands))


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
@each_case()
def test_not_a_number_and_infinity_propagate_to_what_depends_on_them(case: Case, value):
    for which in range(len(case.operands)):
        operands = operands_of(case, case.ordinary)
        plain = expected(case, operands)
        operands[which][(-1,) * operands[which].ndim] += 0.1
        moved = expected(case, operands)
        operands[which][(-1,) * operands[which].ndim] = value
        with np.errstate(invalid="ignore"):
            reference = expected(case, operands)
        for got, before, after, at_value in zip(case(*operands), plain, moved, reference, strict=True):
            got = np.asarray(got)
            affected = before != after
            if np.isnan(value):
                assert np.all(np.isnan(got[affected]))
            else:
                np.testing.assert_array_equal(np.isfinite(got[affected]), np.isfinite(at_value[affected]))
            np.testing.assert_allclose(got[~affected], before[~affected].astype(float), rtol=1e-12, atol=1e-14)


ORIGIN = {
    "float16": np.float16,
    "longdouble": np.longdouble,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "object": object,
    "str": str,
    "datetime": "datetime64[s]",
    "timedelta": "timedelta64[s]",
}


@pytest.mark.parametrize("dtype", ORIGIN)
@each_case()
def test_other_dtypes_raise(case: Case, dtype):
    for which, name in enumerate(case.operands):
        operands = operands_of(case, case.ordinary)
        operands[which] = np.round(operands[which]).astype(int).astype(ORIGIN[dtype])
        with pytest.raises(TypeError, match=f"^{case.name}: {name} has dtype .*float32, float64"):
            case(*operands)


@each_case()
def test_what_is_no_array_raises(case: Case):
    for which, name in enumerate(case.operands):
        shape = operands_of(case, case.ordinary)[which].shape
        wrong = [
            np.ma.zeros(shape),
            scipy.sparse.csc_array(np.eye(3)),
            "abc",
            {1: 2.0},
            object(),
            [[1.0, 2.0], [3.0]],
        ]
        if name != "weights":
            wrong.append(None)
        for value in wrong:
            operands = operands_of(case, case.ordinary)
            operands[which] = value
            with pytest.raises((TypeError, ValueError), match=f"^{case.name}: {name} ") as caught:
                case(*operands)
            assert caught.type is (ValueError if isinstance(value, list) else TypeError)


@each_case()
def test_too_few_axes_raise(case: Case):
    for which, name in enumerate(case.operands):
        operands = operands_of(case, case.ordinary)
        operands[which] = operands[which][0]
        shape = re.escape(str(operands[which].shape))
        with pytest.raises(ValueError, match=f"^{case.name}: {name} has shape {shape} but must have at least"):
            case(*operands)


@each_case()
def test_lengths_that_do_not_match_raise(case: Case):
    shared = [label for axes in case.operands.values() for label in axes]
    for which, (name, axes) in enumerate(case.operands.items()):
        for axis, label in enumerate(axes):
            if shared.count(label) == 1:
                continue
            operands = operands_of(case, case.ordinary)
            operands[which] = np.concatenate([operands[which]] * 2, axis)
            with pytest.raises(ValueError, match=f"^{case.name}: ") as caught:
                case(*operands)
            assert re.search(rf"\b{name} is {re.escape(str(operands[which].shape))}", str(caught.value))


@each_case()
def test_stacks_that_do_not_broadcast_raise(case: Case):
    if len(case.operands) == 1:
        return
    operands = operands_of(case, case.ordinary, stacks=[(2,), (3,), (), ()][: len(case.operands)])
    with pytest.raises(ValueError, match=f"^{case.name}: ") as caught:
        case(*operands)
    for name, operand in list(zip(case.operands, operands, strict=True))[:2]:
        assert f"{name} is {operand.shape}" in str(caught.value)


@each_case()
def test_a_result_larger_than_memory_raises_at_once(case: Case):
    operands = [np.broadcast_to(x, (10**14, *x.shape)) for x in operands_of(case, case.ordinary)]
    start = time.perf_counter()
    with pytest.raises(MemoryError, match=rf"^{case.name}: .*{10**14}.*\.structured\(\.\.\.\)"):
        case(*operands)
    assert time.perf_counter() - start < 1


@each_case()
def test_a_result_with_more_elements_than_an_integer_counts_raises(case: Case):
    operands = [np.broadcast_to(x, (10**10, 10**6, *x.shape)) for x in operands_of(case, (1,) * len(case.labels))]
    operands = [x[:, :1] if k else x[:1] for k, x in enumerate(operands)] if len(operands) > 1 else operands
    with pytest.raises(MemoryError, match=rf"^{case.name}: "):
        case(*operands)


@pytest.mark.parametrize("case", [case for case in CASES if case.primitives], ids=lambda case: case.id)
def test_references_agree_with_finite_differences(case: Case):
    operands = [x.astype(WIDE) for x in operands_of(case, case.ordinary)]
    step = WIDE(1e-5)
    for derivative, primitive in zip(expected(case, operands), case.primitives(*operands), strict=True):
        if primitive is None:
            continue
        function, variable = primitive
        differences = np.zeros((*np.shape(function(variable)), *variable.shape), WIDE)
        for index in np.ndindex(variable.shape):
            ahead, behind = variable.copy(), variable.copy()
            ahead[index] += step
            behind[index] -= step
            differences[(..., *index)] = (function(ahead) - function(behind)) / (2 * step)
        np.testing.assert_allclose(derivative, differences, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("isa", mg.available_isas())
def test_values_on_every_instruction_set(isa):
    environment = {**os.environ, "MATGRAD_ISA": isa}
    done = subprocess.run(
        [sys.executable, cases.__file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

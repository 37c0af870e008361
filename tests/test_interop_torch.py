"""Functions of PyTorch tensors: values and derivatives against PyTorch's own, checks of gradients, stacks, errors."""

import copy

import numpy as np
import pytest

import matgrad as mg
from matgrad import closed_form as cf

torch = pytest.importorskip("torch")
func = torch.func
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # PyTorch's own, in forward mode

DTYPES = {"float64": 1e-12, "float32": 2e-5}


def tensors(*shapes, dtype="float64", requires_grad=False):
    generator = torch.Generator().manual_seed(7)
    options = {"dtype": getattr(torch, dtype), "generator": generator}
    return [torch.randn(shape, **options).requires_grad_(requires_grad) for shape in shapes]


def assert_close(actual, expected, dtype="float64"):
    torch.testing.assert_close(actual, expected, rtol=DTYPES[dtype], atol=DTYPES[dtype] * 10)


def expression():
    A, x = mg.matrix("A"), mg.vector("x")
    return mg.interop.torch.function([x @ A @ x, np.tanh(A @ x)], A, x)


def logistic(w, X, y):
    return np.sum(np.log(1 + np.exp(-y * (X @ w))))


# What matgrad computes, the same in PyTorch, and the shapes of the arguments.
FUNCTIONS = {
    "expression": (expression(), lambda A, x: (x @ A @ x, torch.tanh(A @ x)), ((3, 3), (3,))),
    "closed form": (
        mg.interop.torch.function(cf.factorization_loss),
        lambda X, U, V: ((X - U @ V) ** 2).sum(),
        ((5, 4), (5, 2), (2, 4)),
    ),
    "log-sum-exp": (mg.interop.torch.function(cf.logsumexp), lambda x: torch.logsumexp(x, 0), ((7,),)),
    "logistic": (
        mg.interop.torch.function(logistic),
        lambda w, X, y: torch.log1p(torch.exp(-y * (X @ w))).sum(),
        ((3,), (5, 3), (5,)),
    ),
    "broadcasting": (
        mg.interop.torch.function(lambda X, r, s: np.sin(X * r) + s),
        lambda X, r, s: torch.sin(X * r) + s,
        ((3, 4), (3, 1), ()),
    ),
    "inverse": (
        mg.interop.torch.function(lambda A, b: np.linalg.solve(A @ A.T + np.diag(b * b + 1), b)),
        lambda A, b: torch.linalg.solve(A @ A.T + torch.diag(b * b + 1), b),
        ((3, 3), (3,)),
    ),
    "empty": (mg.interop.torch.function(lambda A, x: A @ x), lambda A, x: A @ x, ((0, 3), (3,))),
}
ROWS = pytest.mark.parametrize(("ours", "theirs", "shapes"), FUNCTIONS.values(), ids=FUNCTIONS)


@ROWS
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_and_gradients_are_pytorchs(ours, theirs, shapes, dtype):
    args = tensors(*shapes, dtype=dtype, requires_grad=True)
    actual, expected = ours(*args), theirs(*args)
    assert_close(actual, expected, dtype)
    for k, y in enumerate(actual if isinstance(actual, tuple) else (actual,)):
        z = expected[k] if isinstance(expected, tuple) else expected
        u = torch.linspace(1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
        options = {"retain_graph": True, "materialize_grads": True}
        assert_close(torch.autograd.grad(y, args, u, **options), torch.autograd.grad(z, args, u, **options), dtype)


@ROWS
def test_gradcheck_and_gradgradcheck_pass(ours, theirs, shapes):
    args = tensors(*shapes, requires_grad=True)
    assert torch.autograd.gradcheck(ours, args, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(ours, args, check_fwd_over_rev=True, check_rev_over_rev=True)


@ROWS
def test_transforms_of_torch_func_agree(ours, theirs, shapes):
    args = tensors(*shapes)
    numbers = tuple(range(len(args)))
    for transform in (func.jacrev, func.jacfwd, func.hessian):
        assert_close(transform(ours, numbers)(*args), transform(theirs, numbers)(*args))


def test_every_order_of_modes_gives_the_same_third_derivative():
    ours, theirs, shapes = FUNCTIONS["closed form"]
    args = tensors(*shapes)
    expected = func.jacrev(func.jacrev(func.jacrev(theirs, 1), 2), 1)(*args)
    for first in (func.jacrev, func.jacfwd):
        for second in (func.jacrev, func.jacfwd):
            for third in (func.jacrev, func.jacfwd):
                assert_close(third(second(first(ours, 1), 2), 1)(*args), expected)


@pytest.mark.parametrize("size", [5, 1, 0])
@pytest.mark.parametrize("in_dims", [(0, None, 1), (None, 0, None), (2, 1, 0)])
def test_stacks_of_problems_are_computed_together(in_dims, size):
    ours, theirs, shapes = FUNCTIONS["closed form"]
    stacked = [
        list(shape) if dim is None else [*shape[:dim], size, *shape[dim:]]
        for shape, dim in zip(shapes, in_dims, strict=True)
    ]
    args = tensors(*stacked)

    def total(f):
        return lambda *args: func.vmap(f, in_dims)(*args).sum()

    assert_close(func.vmap(ours, in_dims)(*args), func.vmap(theirs, in_dims)(*args))
    assert_close(
        func.vmap(func.grad(ours, (0, 1, 2)), in_dims)(*args), func.vmap(func.grad(theirs, (0, 1, 2)), in_dims)(*args)
    )
    assert_close(func.grad(total(ours), (0, 1, 2))(*args), func.grad(total(theirs), (0, 1, 2))(*args))
    assert_close(func.hessian(total(ours), 1)(*args), func.hessian(total(theirs), 1)(*args))
    if size:
        assert torch.autograd.gradgradcheck(total(ours), [x.requires_grad_() for x in args])


def test_stacks_of_stacks_broadcast_what_has_one_of_the_axes():
    ours, theirs, _ = FUNCTIONS["closed form"]
    X, U, V = tensors((6, 5, 4), (5, 2), (2, 7, 4))

    def both(f):
        return func.vmap(lambda X, U, V: func.vmap(lambda V: f(X, U, V), 1)(V), (0, None, None))

    assert_close(both(ours)(X, U, V), both(theirs)(X, U, V))
    for k in range(3):
        gradients = [func.grad(lambda *args, f=f: both(f)(*args).sin().sum(), k)(X, U, V) for f in (ours, theirs)]
        assert_close(*gradients)


def test_only_gradients_that_are_required_are_computed():
    f = mg.interop.torch.function(lambda A, x: np.sum(np.floor(A) @ x))
    A, x = tensors((3, 4), (4,))
    x.requires_grad_()
    f(A, x).backward()
    assert A.grad is None
    assert_close(x.grad, torch.floor(A).sum(0))


def test_tensors_are_neither_copied_nor_kept():
    (x,) = tensors((1000,))
    seen = []
    f = mg.interop.torch.function(mg.vector("x") * 1)
    f_of_array = f.__closure__[0].cell_contents.operation
    compiled = f_of_array.call
    f_of_array.call = lambda array: seen.append(array) or compiled(array)
    y = f(x)
    assert seen[0].__array_interface__["data"][0] == x.data_ptr()
    assert y.data_ptr() != x.data_ptr()


def test_any_strides_will_do():
    ours, theirs, _ = FUNCTIONS["closed form"]
    X, U, V = tensors((4, 10), (2, 5), (4, 4))
    args = [X.T[::2], U.T, V[::2]]
    assert not any(x.is_contiguous() for x in args)
    assert_close(ours(*args), theirs(*args))
    (x,) = tensors((4,))
    assert_close(mg.interop.torch.function(cf.logsumexp)(x[:1].expand(4)), torch.logsumexp(x[:1].expand(4), 0))


def test_mixed_precisions_promote_and_gradients_keep_those_of_their_arguments():
    f = mg.interop.torch.function(lambda A, x: x @ A @ x)
    A = torch.eye(2, dtype=torch.float32, requires_grad=True)
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    y = f(A, x)
    y.backward()
    assert (y.dtype, A.grad.dtype, x.grad.dtype) == (torch.float64, torch.float32, torch.float64)


def test_arguments_and_results_may_be_containers():
    f = mg.interop.torch.function(lambda p, x: {"y": p["W"] @ x + p["b"], "norm": np.sum(p["W"] ** 2)})
    W, b, x = tensors((2, 3), (2,), (3,), requires_grad=True)
    result = f({"W": W, "b": b}, x)
    assert_close(result, {"y": W @ x + b, "norm": (W**2).sum()})
    result["y"].sum().backward()
    assert_close(b.grad, torch.ones(2, dtype=torch.float64))


def test_what_is_no_tensor_is_data():
    f = mg.interop.torch.function(lambda x, k, rows: np.sum(x[rows] ** k) if k > 1 else np.sum(x))
    (x,) = tensors((4,), requires_grad=True)
    rows = slice(None, None, 2)
    assert_close(torch.autograd.grad(f(x, 3, rows), x)[0][::2], 3 * x[::2] ** 2)
    assert_close(torch.autograd.grad(f(x, 1, rows), x)[0], torch.ones_like(x))


def test_integer_tensors_become_floating():
    f = mg.interop.torch.function(logistic)
    w, X = tensors((3,), (5, 3), requires_grad=True)
    y = torch.tensor([1, -1, 1, 1, -1])
    expected = torch.log1p(torch.exp(-y * (X @ w))).sum()
    assert_close(f(w, X, y), expected)
    assert_close(torch.autograd.grad(f(w, X, y), w), torch.autograd.grad(expected, w))


def test_arrays_that_a_function_refers_to_are_read_at_every_call():
    Y = np.ones(3)
    f = mg.interop.torch.function(lambda x: np.sum(Y * x**2))
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    X = torch.ones((2, 3), dtype=torch.float64)
    for scale in (1, 5):
        Y[:] = scale
        assert_close(torch.autograd.grad(f(x), x)[0], 2 * scale * torch.ones_like(x))
        assert_close(func.vmap(f)(X), 3.0 * scale * torch.ones(2, dtype=torch.float64))


def test_it_trains_a_module():
    class Factorization(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.U, self.V = (torch.nn.Parameter(x) for x in tensors((6, 2), (2, 5)))

        def forward(self, X):
            return mg.interop.torch.function(cf.factorization_loss)(X, self.U, self.V)

    model, (X,) = Factorization(), tensors((6, 5))
    reference = copy.deepcopy(model)
    for each, loss in ((model, model), (reference, lambda X: ((X - reference.U @ reference.V) ** 2).sum())):
        optimizer = torch.optim.Adam(each.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            loss(X).backward()
            optimizer.step()
    assert_close(model.U.data, reference.U.data, "float32")


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (
            (torch.ones(2, dtype=torch.float16),),
            TypeError,
            "dtype torch.float16 but must be torch.float32, torch.float64",
        ),
        ((torch.ones(2, dtype=torch.complex64),), TypeError, "dtype torch.complex64"),
        ((torch.ones(2, device="meta"),), TypeError, "on the device meta but must be on the CPU"),
        ((torch.ones(2).to_sparse(),), TypeError, "layout torch.sparse_coo but must be dense"),
        ((torch.ones(2), torch.ones(2)), TypeError, "takes 1 arguments but got 2"),
        ((torch.ones(2, 2),), ValueError, "x"),
    ],
)
def test_errors_of_calls_say_what_must_be(args, error, message):
    x = mg.vector("x")
    with pytest.raises(error, match=message):
        mg.interop.torch.function(x @ x, x)(*args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((3,), "fun is 3 but must be an expression, a list of them, or callable"),
        (([mg.vector("x"), 3],), r"fun\[1\] is 3 but must be an expression"),
        ((np.sum, mg.vector("x")), "symbols belong to expressions"),
        ((mg.vector("x"), mg.vector("x") * 2), "is not a symbol"),
        ((mg.vector("x") @ mg.vector("y"), mg.vector("x")), "needs a value for its symbol y"),
    ],
)
def test_what_is_no_function_is_refused(args, message):
    with pytest.raises(TypeError, match=message):
        mg.interop.torch.function(*args)


def test_tensors_without_values_are_refused():
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = mg.vector("x")
    with FakeTensorMode(), pytest.raises(TypeError, match=r"a tensor is a FakeTensor but must be a torch\.Tensor"):
        mg.interop.torch.function(x @ x, x)(torch.ones(2))


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own
def test_tracing_by_pytorch_is_refused_where_results_would_become_constants():
    x = mg.vector("x")
    with pytest.raises(NotImplementedError, match=r"PyTorch can't trace it \(torch\.func\.linearize"):
        func.linearize(mg.interop.torch.function(x @ x, x), torch.ones(2))


def test_singular_matrices_raise():
    f = mg.interop.torch.function(np.linalg.inv)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        f(torch.zeros(2, 2))

"""NumPy's protocols, and the methods and operators of arrays that go through its functions, for expressions."""

from __future__ import annotations

import functools
import operator
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ._tracing import described
from ._validate import Symbolic

UFUNCS: dict[str, Callable[..., Any]] = {}
"""What NumPy's universal functions compute of expressions, by their names; the modules ``_numpy_*`` fill it."""
SPECIAL: dict[str, Callable[..., Any]] = {}
"""The same of the universal functions of `scipy.special`."""
FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""The same of NumPy's other functions: ``"sum"``, ``"linalg.inv"``."""
_VIEWS = """transpose swapaxes matrix_transpose linalg.matrix_transpose moveaxis rollaxis expand_dims squeeze
    broadcast_to reshape ravel atleast_1d atleast_2d atleast_3d flip flipud fliplr rot90 diagonal linalg.diagonal
    real"""
VIEWS = frozenset(re.split(r"\s+", _VIEWS))
"""Those whose results are views of their operands, or the operands themselves."""
HOOKS: dict[str, Callable[..., Any]] = {}
"""What operators of expressions leave to modules above theirs: object arrays, and indices that are arrays."""


def _ufunc(name: str) -> Callable[[Any, Any], Any]:
    """Return a binary operator that is NumPy's universal function of that name; None is unequal to every array."""

    def apply(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, (str, dict)):
            return NotImplemented
        return getattr(np, name)(self, other)

    return apply


def _own(name: str, result: Any, args: tuple[Any, ...]) -> Any:
    """Return the result of a function as an array of its own, unless NumPy's is a view, or an operand itself."""
    if name not in VIEWS and isinstance(result, Symbolic):
        is_shared = getattr(result, "_source", None) is not None or any(result is arg for arg in args)
        return +result if is_shared else result  # type: ignore[operator]
    return result


def _method(name: str) -> Callable[..., Any]:
    """Return a method that is NumPy's function of that name, with the array as its first argument."""

    def apply(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _own(name, FUNCTIONS[name](self, *args, **kwargs), (self, *args))

    apply.__name__ = name
    apply.__doc__ = f"Return what `numpy.{name}` does."
    return apply


_INSTEAD_OF_SCIPY = {
    **{name: f"mg.{name}" for name in ("expm", "logsumexp", "softmax", "log_softmax", "polygamma")},
    **{
        name: f"np.linalg.{name}"
        for name in ("inv", "det", "solve", "cholesky", "eigh", "eigvalsh", "svd", "svdvals", "pinv", "qr", "norm")
    },
}


def _instead() -> str:
    """Return what to call instead of what wants an array: SciPy's functions take no expressions, but others do."""
    frame: Any = sys._getframe()
    instead = "NumPy's functions that matgrad supports take it as it is"
    while frame is not None:
        module, name = _module(frame).split("."), frame.f_code.co_name.lstrip("_")
        if module[0] not in ("matgrad", "numpy", "scipy"):
            break
        if module[0] == "scipy":
            if name in _INSTEAD_OF_SCIPY:
                return f"scipy.{module[1]}.{name} takes arrays only, call {_INSTEAD_OF_SCIPY[name]}"
            instead = "SciPy's functions take arrays only, but np.linalg's and mg.expm take it as it is"
        frame = frame.f_back
    return instead


def _home(ufunc: np.ufunc) -> tuple[str, dict[str, Callable[..., Any]]]:
    """Return the module of a universal function, and the table that has it; other modules' may have NumPy's names."""
    if getattr(np, ufunc.__name__, None) is ufunc:
        return "numpy.", UFUNCS
    for module in ("scipy.special", "scipy.special._ufuncs"):
        if getattr(sys.modules.get(module), ufunc.__name__, None) is ufunc:
            return "scipy.special.", SPECIAL
    return "", {}


def _called(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what stands for a function; raise NotImplementedError naming it, or its argument, if nothing does."""
    if function is None:
        raise NotImplementedError(f"{name} of an expression is not supported")
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    surplus = [key for key in kwargs if key not in known]
    if surplus:
        raise NotImplementedError(f"{name} of an expression: the argument {', '.join(surplus)} is not supported")
    return function(*args, **kwargs)


class UnsupportedMethodError(NotImplementedError, AttributeError):
    """A method of arrays that expressions don't have; `hasattr` says so."""


def called_by_numpy(depth: int) -> bool:
    """Whether NumPy's own Python code called, that many calls up: not that of masked arrays, nor for SciPy."""
    frame: Any = sys._getframe(depth)
    if not _module(frame).startswith("numpy.") or _module(frame).startswith("numpy.ma."):
        return False
    while frame is not None and _module(frame).startswith("numpy."):
        frame = frame.f_back
    return frame is None or not _module(frame).startswith("scipy.")


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__"))


def refuse_array(x: Any, dtype: Any = None) -> NoReturn:
    """Raise the TypeError of an expression that NumPy asks to become an array of numbers."""
    asked = "" if dtype is None else f" of {np.dtype(dtype)}"
    raise NoValueError(
        f"{described(x)} has no values yet, so it can't become an array{asked}; {_instead()}. "
        "np.stack([...]) joins expressions, np.array([...]) does if they are scalars and it "
        "is given no dtype, and np.zeros_like(x) of a traced array x makes one that can be filled"
    )


class NoValueError(TypeError):
    """NumPy or Python asks an expression for its value."""


class ArrayMethods(Symbolic):
    """What `numpy.ndarray` offers beyond arithmetic."""

    __slots__ = ()

    # --- NumPy's protocols ---

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        module, functions = _home(ufunc)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        out = kwargs.pop("out", None) if method == "__call__" else None
        result = _called(f"{module}{name}", functions.get(name), inputs, kwargs)
        return result if out is None else self._into(ufunc, out[0], result)

    @staticmethod
    def _into(ufunc: np.ufunc, out: Any, result: Any) -> Any:
        """Assign a result to a traced array."""
        if not isinstance(out, Symbolic):
            raise TypeError(
                f"{ufunc.__name__}: out, or the array on the left of an operator such as +=, is an array of numbers, "
                "which can't hold traced values; write a = a + b, or start with np.zeros_like(x) of a traced x"
            )
        out[...] = result  # type: ignore[index]
        return out

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name = f"{func.__module__}.{func.__name__}".removeprefix("numpy.")
        return _own(name, _called(f"numpy.{name}", FUNCTIONS.get(name), args, kwargs), args)

    # --- What needs values ---

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return HOOKS["to array"](self, dtype, called_by_numpy(2))

    def __bool__(self) -> NoReturn:
        raise NoValueError(
            f"{described(self)} is neither true nor false, because its value is not known yet; "
            "np.where(condition, a, b) chooses by value, and NumPy compares entries of np.array([...]) one by one, but "
            "not those of np.stack([...])"
        )

    def __float__(self) -> NoReturn:
        raise NoValueError(
            f"{described(self)} can't become a Python number, because its value is not known yet; "
            "a NumPy array that numbers were put into can't hold it, but one made by np.zeros_like(x) of a traced x can"
        )

    __int__ = __float__
    __complex__ = __float__

    def __len__(self: Any) -> int:
        if self.ndim == 0:
            raise TypeError("len() of an expression without axes")
        length = self.shape[0]
        if not isinstance(length, int):
            raise TypeError(f"the length of the first axis of the expression {self} is not known yet")
        return length

    def __iter__(self: Any) -> Iterator[Any]:
        return iter([self[k] for k in range(len(self))])

    if not TYPE_CHECKING:  # a checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name in UFUNCS and self.ndim == 0:  # NumPy's loops over object arrays call methods
                return functools.partial(UFUNCS[name], self)
            if hasattr(np.ndarray, name) and not name.startswith("_"):
                raise UnsupportedMethodError(f"the attribute {name} of an array is not supported of an expression")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # --- Functions as operators and methods ---

    __eq__ = _ufunc("equal")
    __ne__ = _ufunc("not_equal")
    __lt__ = _ufunc("less")
    __le__ = _ufunc("less_equal")
    __gt__ = _ufunc("greater")
    __ge__ = _ufunc("greater_equal")
    __and__ = __rand__ = _ufunc("bitwise_and")
    __or__ = __ror__ = _ufunc("bitwise_or")
    __xor__ = __rxor__ = _ufunc("bitwise_xor")
    __floordiv__ = _ufunc("floor_divide")
    __mod__ = _ufunc("remainder")
    __hash__ = object.__hash__

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Any:
        return np.remainder(other, self)

    __divmod__ = _ufunc("divmod")

    def __rdivmod__(self, other: Any) -> Any:
        return np.divmod(other, self)

    def __invert__(self) -> Any:
        return UFUNCS["invert"](self)

    def __abs__(self) -> Any:
        return UFUNCS["absolute"](self)

    sum = _method("sum")
    mean = _method("mean")
    prod = _method("prod")
    max = _method("max")
    min = _method("min")
    var = _method("var")
    std = _method("std")
    dot = _method("dot")
    trace = _method("trace")
    diagonal = _method("diagonal")
    swapaxes = _method("swapaxes")
    squeeze = _method("squeeze")
    ravel = _method("ravel")
    clip = _method("clip")
    round = _method("round")
    take = _method("take")
    repeat = _method("repeat")
    argmax = _method("argmax")
    argmin = _method("argmin")
    argsort = _method("argsort")
    cumsum = _method("cumsum")
    cumprod = _method("cumprod")
    all = _method("all")
    any = _method("any")

    def flatten(self, order: Any = "C") -> Any:
        """Return a copy of what `numpy.ravel` returns."""
        return +FUNCTIONS["ravel"](self, order=order)

    def transpose(self, *axes: Any) -> Any:
        """Return what `numpy.transpose` does; the axes may be given one by one."""
        return FUNCTIONS["transpose"](self, axes[0] if len(axes) == 1 else axes or None)

    @property
    def mT(self) -> Any:
        """The matrices along the last two axes, transposed."""
        return FUNCTIONS["matrix_transpose"](self)

    @property
    def real(self) -> Any:
        """The expression itself, which is real."""
        return self

    @property
    def imag(self) -> Any:
        """Zeros."""
        return FUNCTIONS["imag"](self)

    def conjugate(self) -> Any:
        """Return the same values, which are real."""
        return UFUNCS["conjugate"](self)

    conj = conjugate

    def astype(self: Any, dtype: Any, *, copy: bool = True, **kwargs: Any) -> Any:
        """Return the same values for a floating dtype: their precision is that of what they are computed from."""
        if np.dtype(dtype) not in (np.float64, np.float32):
            raise NotImplementedError(f"astype of an expression to {np.dtype(dtype)} is not supported")
        return +self if copy else self

    def copy(self: Any, order: Any = "C") -> Any:
        """Return the same values, which assignments to this array leave alone."""
        return +self

    def fill(self: Any, value: Any) -> None:
        """Assign a number to all entries."""
        self[...] = value


def as_indices(key: Any, ndim: int) -> list[int | slice | None] | None:
    """Return what stands between brackets as a list of Python's integers, slices and None; None if there are arrays."""
    items = list(key) if isinstance(key, tuple) else [key]
    ellipses = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    for k in ellipses:
        used = sum(item is not None for item in items) - 1
        items[k : k + 1] = [slice(None)] * (ndim - used)
    try:
        return [_index(item) for item in items]
    except TypeError:
        return None


def _index(item: Any) -> int | slice | None:
    """Return one item between brackets as Python's own object of that kind; raise TypeError if it is an array."""
    if item is None:
        return None
    if isinstance(item, slice):
        start, stop, step = (None if b is None else operator.index(b) for b in (item.start, item.stop, item.step))
        if step == 0:
            raise ValueError("slice step cannot be zero")
        return slice(start, stop, step)
    if isinstance(item, (bool, np.bool)):
        raise TypeError
    return operator.index(item)

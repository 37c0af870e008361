"""Matrix calculus in closed form: write a matrix function in NumPy, get its derivatives, evaluated by SIMD kernels."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from . import _entries as _entries
from . import _indexing as _indexing  # these fill the tables of NumPy's functions of expressions
from . import _numpy_axes as _numpy_axes
from . import _numpy_composed as _numpy_composed
from . import _numpy_elementwise as _numpy_elementwise
from . import _numpy_filling as _numpy_filling
from . import _numpy_joining as _numpy_joining
from . import _numpy_linalg as _numpy_linalg
from . import _numpy_products as _numpy_products
from . import _numpy_special as _numpy_special
from . import _selection as _selection
from . import closed_form
from ._compile import compile
from ._config import (
    active_isa,
    available_isas,
    get_cmake_dir,
    get_include,
    get_num_threads,
    set_num_threads,
    show_config,
)
from ._core import Function, __version__
from ._expr import Expr
from ._functions import expm, log_softmax, logdet, logsumexp, polygamma, relu, sigmoid, softmax, softplus
from ._layout import flatten, to_layout, unflatten, unvec, vec
from ._symbols import matrices, matrix, scalar, scalars, tensor, vector, vectors

if TYPE_CHECKING:
    from . import interop, testing
    from ._directional import hvp, jvp, vjp
    from ._explain import explain
    from ._plan import Plan
    from ._structured import Structured
    from ._taylor import taylor
    from ._transforms import formula, grad, hessian, jacobian, value_and_grad

__all__ = [
    "Expr",
    "Function",
    "Plan",
    "Structured",
    "__version__",
    "active_isa",
    "available_isas",
    "closed_form",
    "compile",
    "explain",
    "expm",
    "flatten",
    "formula",
    "get_cmake_dir",
    "get_include",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "interop",
    "jacobian",
    "jvp",
    "log_softmax",
    "logdet",
    "logsumexp",
    "matrices",
    "matrix",
    "polygamma",
    "relu",
    "scalar",
    "scalars",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "softmax",
    "softplus",
    "taylor",
    "tensor",
    "testing",
    "to_layout",
    "unflatten",
    "unvec",
    "value_and_grad",
    "vec",
    "vector",
    "vectors",
    "vjp",
]


_LAZY = {
    "Plan": "._plan",
    "Structured": "._structured",
    "explain": "._explain",
    "formula": "._transforms",
    "grad": "._transforms",
    "hessian": "._transforms",
    "hvp": "._directional",
    "jacobian": "._transforms",
    "jvp": "._directional",
    "taylor": "._taylor",
    "value_and_grad": "._transforms",
    "vjp": "._directional",
}


def __getattr__(name: str) -> Any:
    """Import what isn't always needed when it is first used."""
    if name in ("interop", "testing"):
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY:
        value = globals()[name] = getattr(importlib.import_module(_LAZY[name], __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


if "threadpoolctl" in sys.modules:
    importlib.import_module(".interop.threadpoolctl", __name__).register()

"""Drop-in transforms of NumPy functions: gradients, Jacobians and Hessians."""

from __future__ import annotations

import functools
from typing import Any

from ._expr import Expr
from ._layout import LAYOUTS, Layout, arrange
from ._program import (
    Argnums,
    Function,
    called,
    chosen,
    derivatives,
    diff,
    expression,
    expressions,
    one_element,
    outputs,
    pair,
    transform,
)
from ._trace import Output, Tracer
from ._tree import leaves, mapped


def grad(fun: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """
    Return the function that computes the gradient of `fun`.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, whose result has one element.
    argnums : int or tuple of int
        By which positional arguments to differentiate; a tuple gives a tuple of gradients. Such an argument may also be
        a dict, tuple or list of arrays, and then so is its gradient.
    has_aux : bool
        Whether `fun` returns a pair, the function's value and something else, which is returned beside the gradient.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the gradient, of the argument's shape and precision (float64 for
        integers), or the pair of gradient and auxiliary result.

    Raises
    ------
    ValueError
        When called, if the result has more than one element, or there is no such argument.
    TypeError
        When called, if `fun` asks for values while it is traced, for example in ``if x > 0``; use `numpy.where`.

    Notes
    -----
    `fun` is called with expressions once for every kind of arguments: number and precision of axes, which of them have
    length 1, and values of arguments that are neither arrays nor floats; if it looks at lengths, also for every shape.
    Arrays that `fun` closes over are read at every call, and variables that it closes over may be bound anew; what it
    computes from such arrays alone is computed only once.

    The arrays that `fun` gets may be assigned to, and views of them see it; the caller's arrays stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> mg.grad(lambda w, x, y: (w @ x - y) ** 2, argnums=(0, 2))(np.array([1.0, 2.0]), np.array([3.0, 4.0]), 5.0)
    (array([36., 48.]), np.float64(-12.0))
    """

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, aux = pair("grad", called(fun, args, kwargs), has_aux)
        y = expression("grad", value)
        gradient = derivatives(one_element("grad", y), chosen(args, argnums), like=True)
        return (gradient, outputs(aux)) if has_aux else gradient

    return transform("grad", fun, program, argnums, (functools.partial(grad, has_aux=has_aux), fun, argnums))


def value_and_grad(fun: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """
    Return the function that computes the value of `fun` and its gradient, together.

    Parameters
    ----------
    fun, argnums, has_aux
        As in `grad`.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns ``(value, gradient)``, or ``((value, aux), gradient)``.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.value_and_grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    (np.float64(9.0), array([ 3., 12.]))
    """

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, aux = pair("value_and_grad", called(fun, args, kwargs), has_aux)
        y = expression("value_and_grad", value)
        gradient = derivatives(one_element("value_and_grad", y), chosen(args, argnums), like=True)
        return ((Output(y), outputs(aux)) if has_aux else Output(y)), gradient

    return transform(
        "value_and_grad", fun, program, argnums, (functools.partial(value_and_grad, has_aux=has_aux), fun, argnums)
    )


def jacobian(
    fun: Function,
    argnums: Argnums = 0,
    layout: Layout = "tensor",
    structured: bool = False,
    *,
    has_aux: bool = False,
) -> Function:
    """
    Return the function that computes the Jacobian of `fun`.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, that returns an array, or a tuple, list or dict of arrays.
    argnums, has_aux
        As in `grad`.
    layout : {"tensor", "numerator", "denominator"}
        As in `to_layout`; other than ``"tensor"`` it is for one argument.
    structured : bool
        Whether to return the derivative as `Structured`: small tensors times Kronecker deltas.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the derivative, of shape ``y.shape + x.shape`` in tensor layout. For
        several values it is nested as they are, and for each of them as the arguments are.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    if layout not in LAYOUTS:
        raise ValueError(f"jacobian: layout is {layout!r} but must be one of {', '.join(map(repr, LAYOUTS))}")
    if layout != "tensor" and not isinstance(argnums, int):
        raise ValueError(f"jacobian: layout is {layout!r} but must be 'tensor' for several arguments")
    if layout != "tensor" and structured:
        raise ValueError(f"jacobian: layout is {layout!r} but must be 'tensor' for a structured derivative")

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, aux = pair("jacobian", called(fun, args, kwargs), has_aux)
        values = expressions("jacobian", value)
        variables = chosen(args, argnums)
        if layout == "tensor":
            found = mapped(lambda y: derivatives(y, variables, structured=structured), values)
        elif isinstance(values, Expr) and isinstance(variables, Expr):
            found = Output(arrange(diff(values, [variables])[0], values.ndim, layout))
        else:
            raise ValueError(f"jacobian: layout is {layout!r} but must be 'tensor' for several arrays")
        return (found, outputs(aux)) if has_aux else found

    made = functools.partial(jacobian, has_aux=has_aux), fun, argnums, layout, structured
    return transform("jacobian", fun, program, argnums, made)


def hessian(fun: Function, argnums: Argnums = 0, structured: bool = False, *, has_aux: bool = False) -> Function:
    """
    Return the function that computes the Hessian of `fun`.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, that returns a scalar or an array.
    argnums, has_aux
        As in `grad`.
    structured : bool
        Whether to return the derivative as `Structured`, the operator from the second x to y and the first: small
        tensors times Kronecker deltas. It solves, and SciPy's optimizers take it.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns the second derivative, of shape ``y.shape + x.shape + x.shape``; for
        several arguments a tuple of tuples of blocks.

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> mg.hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    >>> mg.hessian(lambda x: np.sum(x**3), structured=True)(np.array([1.0, 2.0])).describe()
    '6 diag(x)'
    """

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value, aux = pair("hessian", called(fun, args, kwargs), has_aux)
        variables = chosen(args, argnums)

        def blocks_of(y: Expr) -> Any:
            rows = iter(diff(y, leaves(variables)))
            return mapped(lambda _: derivatives(next(rows), variables, structured=structured), variables)

        blocks = mapped(blocks_of, expressions("hessian", value))
        return (blocks, outputs(aux)) if has_aux else blocks

    made = functools.partial(hessian, has_aux=has_aux), fun, argnums, structured
    return transform("hessian", fun, program, argnums, made)


def formula(fun: Function, *example_args: Any, **kwargs: Any) -> Expr:
    """
    Return the expression that `fun` computes, of symbols named after its parameters.

    Parameters
    ----------
    fun : callable
        A function of arrays, written in NumPy, that returns an array.
    *example_args, **kwargs
        Arguments, of which the number of axes matters, and which of them have length 1; if `fun` looks at lengths, they
        are fixed in the expression. Arguments that are neither arrays nor floats keep their values.

    Returns
    -------
    Expr

    Examples
    --------
    >>> import numpy as np
    >>> import matgrad as mg
    >>> def loss(X, U, V):
    ...     return np.sum((X - U @ V) ** 2)
    >>> f = mg.formula(loss, np.ones((2, 3)), np.ones((2, 1)), np.ones((1, 3)))
    >>> f.ndim
    0
    """
    arguments = [*example_args, *kwargs.values()]
    only_numbers = all(isinstance(value, int) for value in arguments)  # which are values of variables, then

    def program(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return Output(expression("formula", called(fun, args, kwargs)))

    tracer = Tracer("formula", fun, program, lambda count: set(range(count)) if only_numbers else set())
    return tracer.formula(*example_args, **kwargs)  # type: ignore[no-any-return]

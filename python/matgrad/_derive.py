"""The command ``python -m matgrad derive``: read an expression, differentiate it, print the formula."""

from __future__ import annotations

import argparse

from ._expr import Expr
from ._layout import LAYOUTS
from ._parse import ParseError, derivative, parse

DESCRIPTION = """Print the derivative of an expression, such as "sum((X - U @ V)**2)" --wrt V.

Names that begin with an upper-case letter are matrices, others vectors, except r, s, t and Greek letters, which are
scalars; options say otherwise. Functions are NumPy's, with or without np. and np.linalg., and matgrad's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("expression", help='in Python\'s syntax, such as "x @ A @ x"')
    parser.add_argument(
        "--wrt", nargs="+", action="extend", required=True, metavar="NAME", help="symbols; several give a higher order"
    )
    parser.add_argument("--layout", choices=LAYOUTS, default="tensor", help="arrangement of the derivative")
    parser.add_argument("--mode", choices=("auto", "forward", "reverse", "cross_country"), default="auto")
    notation = parser.add_mutually_exclusive_group()
    notation.add_argument("--latex", action="store_const", dest="notation", const=Expr.to_latex, help="print LaTeX")
    notation.add_argument("--numpy", action="store_const", dest="notation", const=Expr.to_numpy, help="print NumPy")
    notation.add_argument("--index", action="store_const", dest="notation", const=Expr.to_index, help="print indices")
    parser.set_defaults(notation=str)
    for kind in ("scalars", "vectors", "matrices", "symmetric"):
        parser.add_argument(f"--{kind}", default="", metavar="NAMES", help="names that are these, such as 'a b'")


def run(arguments: argparse.Namespace) -> None:
    """Print what the arguments ask for; exit with status 2 where the expression is wrong."""
    kinds = {
        kind: getattr(arguments, kind).replace(",", " ").split()
        for kind in ("scalars", "vectors", "matrices", "symmetric")
    }
    try:
        f = parse(arguments.expression, **kinds)
        g = derivative(f, arguments.wrt, layout=arguments.layout, mode=arguments.mode)
    except (ParseError, ValueError, NotImplementedError) as error:
        raise SystemExit(f"python -m matgrad derive: {error}") from None
    print(arguments.notation(g))

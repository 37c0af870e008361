"""The command line: ``python -m matgrad COMMAND``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import _demo, _derive
from ._config import show_config


def _parser() -> argparse.ArgumentParser:
    """Return the parser; each command stores the function that it calls as ``run``."""
    parser = argparse.ArgumentParser(prog="python -m matgrad", description="Matrix calculus in closed form.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    derive = commands.add_parser(
        "derive",
        help="print the derivative of an expression",
        description=_derive.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _derive.add_arguments(derive)
    derive.set_defaults(run=_derive.run)
    info = commands.add_parser("info", help="print version, compiler, instruction sets and threads")
    info.set_defaults(run=lambda arguments: show_config())
    demo = commands.add_parser(
        "demo", help="fit a factorization to real data and draw it", description=_demo.DESCRIPTION
    )
    _demo.add_arguments(demo)
    demo.set_defaults(run=_demo.run)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    arguments = _parser().parse_args(argv)
    arguments.run(arguments)


if __name__ == "__main__":
    main()

"""Tables as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Collection


def text_table(title: str, table: list[list[str]], right: Collection[int] = ()) -> str:
    """Return a table, whose first row is the header, in aligned columns; those in `right` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    rows = []
    for row in table:
        cells = (
            cell.rjust(width) if k in right else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        rows.append("  ".join(cells).rstrip())
    return "\n".join([*([title] if title else []), *rows])


def html_table(title: str, table: list[list[str]]) -> str:
    """Return a table, whose first row is the header, as HTML."""
    header, *rows = ([html.escape(cell) for cell in row] for row in table)
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

"""Reads a text file of ratings, a line each of user, item and rating, into a sparse matrix of observed entries."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse


def read_ratings(path: Path) -> Any:
    """
    Read ratings into a sparse matrix, users by items, whose stored entries are the observed ones.

    Lines are ``user item rating``, separated by tabs, spaces, commas or ``::``; what follows the rating, such as a
    timestamp, is ignored, and so are blank lines and a heading. Users and items are any text without separators and
    are numbered in order of appearance. Of several ratings of an item by a user the last one counts.

    Parameters
    ----------
    path : pathlib.Path
        The file, in UTF-8.

    Returns
    -------
    scipy.sparse.csr_array, shape (users, items)
        In float64; a rating of 0 is stored too.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If a line isn't a rating, or there is none; the message names file and line.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    ratings: dict[tuple[int, int], float] = {}
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            fields = _split(line)
            if not fields:
                continue
            try:
                user, item, rating = fields[0], fields[1], float(fields[2])
                valid = math.isfinite(rating)
            except (IndexError, ValueError):
                valid = False
            if valid:
                ratings[users.setdefault(user, len(users)), items.setdefault(item, len(items))] = rating
            elif number > 1 or len(fields) < 3:
                raise ValueError(f"{path}, line {number}: expected 'user item rating' but got {line.strip()[:80]!r}")
    if not ratings:
        raise ValueError(f"{path} holds no ratings")
    rows, columns = np.array(list(ratings)).T
    values = np.fromiter(ratings.values(), np.float64, len(ratings))
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(len(users), len(items)))


def _split(line: str) -> list[str]:
    for separator in ("::", "\t", ","):
        if separator in line:
            return [field.strip() for field in line.split(separator)]
    return line.split()

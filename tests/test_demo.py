"""The command `python -m matgrad demo`: fits, prints and draws; says clearly what is wrong with its input."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from matgrad import _ratings


def demo(*arguments, cwd, env=None):
    """Run the command; few iterations unless told otherwise."""
    command = [sys.executable, "-m", "matgrad", "demo", "--iterations", "4", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")


@pytest.fixture
def ratings(tmp_path):
    """A file of ratings of 30 users and 20 items."""
    rng = np.random.default_rng(0)
    lines = [f"{u}\t{i}\t{rng.integers(1, 6)}\t881250949\n" for u in range(30) for i in range(20) if rng.random() < 0.5]
    path = tmp_path / "u.data"
    path.write_text("".join(lines))
    return path


def without(module, tmp_path):
    """An environment in which a module can't be imported."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{module}.py").write_text(f"raise ModuleNotFoundError('hidden', name={module!r})\n")
    path = [str(hidden), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def assert_is_png(path):
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 5000


def test_it_fits_the_digits_and_draws_them(tmp_path):
    pytest.importorskip("matplotlib", reason="the demo draws with matplotlib")
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    result = demo("--rank", "4", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "digits: 1797 × 64, 115008 entries observed; rank 4, l2 0.5" in result.stdout
    assert re.search(r"^loss +[\d.e+]+ after 4 iterations", result.stdout, re.MULTILINE)
    assert re.search(r"^time per gradient +[\d.e+-]+ ms; the same in NumPy [\d.e+-]+ ms$", result.stdout, re.MULTILINE)
    assert "4/4" in result.stderr.splitlines()[-1]
    assert_is_png(tmp_path / "matgrad_demo.png")


def test_it_fits_a_file_of_ratings(tmp_path, ratings):
    pytest.importorskip("matplotlib", reason="the demo draws with matplotlib")
    result = demo(
        "--ratings", ratings, "--rank", "20", "--l2", "1e-6", "--iterations", 300, "--output", "r.png", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert "u.data: 30 × 20" in result.stdout
    assert "explained variance  100.0 %" in result.stdout  # a factorization of full rank fits everything
    assert_is_png(tmp_path / "r.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ratings", "absent.txt"], "absent.txt"),
        (["--ratings", "wrong.txt"], "wrong.txt, line 2: expected 'user item rating' but got 'one two'"),
        (["--ratings", "empty.txt"], "empty.txt holds no ratings"),
        (
            ["--ratings", "u.data", "--rank", "21"],
            "--rank is 21 but X has shape (30, 20), so that it must be at most 20",
        ),
        (["--rank", "0"], "0 is not a whole number of at least 1"),
        (["--iterations", "many"], "many is not a whole number of at least 1"),
        (["--l2", "nan"], "nan is not a finite number of at least 0"),
        (["--output", "absent/figure.png"], "there is no folder absent"),
    ],
)
def test_wrong_input_is_an_error_that_says_what_is_wrong(tmp_path, ratings, arguments, message):
    (tmp_path / "wrong.txt").write_text("1 2 3\none two\n")
    (tmp_path / "empty.txt").write_text("\n")
    result = demo(*arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "matgrad_demo.png").exists()


@pytest.mark.parametrize(("module", "arguments"), [("matplotlib", ["--ratings", "u.data"]), ("sklearn", [])])
def test_a_missing_package_is_an_error_that_names_the_extra(tmp_path, ratings, module, arguments):
    result = demo(*arguments, cwd=tmp_path, env=without(module, tmp_path))
    assert result.returncode != 0
    assert "pip install 'matgrad[demo]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("separator", ["\t", " ", ",", "::", ", "])
def test_ratings_are_read_with_any_separator(tmp_path, separator):
    path = tmp_path / "ratings"
    rows = [("a", "x", "5", "99"), ("b", "y", "0"), ("b", "x", "2.5", "99"), ("a", "x", "4")]
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n\n")
    X = _ratings.read_ratings(path)
    assert X.nnz == 3  # the zero is observed; the later rating of x by a counts
    np.testing.assert_array_equal(X.toarray(), [[4, 0], [2.5, 0]])


def test_a_heading_is_skipped(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n")
    np.testing.assert_array_equal(_ratings.read_ratings(path).toarray(), [[2.5]])


@pytest.mark.parametrize("line", ["1 2", "1 2 x", "1 2 nan", "1 2 inf", "1"])
def test_a_line_that_is_no_rating_is_an_error(tmp_path, line):
    path = tmp_path / "ratings"
    path.write_text(f"1 2 3\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2: expected 'user item rating' but got '{line}'"):
        _ratings.read_ratings(path)

"""The examples in the docstrings of the installed package and in the README run and print what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import matgrad

README = Path(__file__).parents[1] / "README.md"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(matgrad.__path__, "matgrad.")
    if module.name not in {"matgrad._core", "matgrad.__main__", "matgrad.plot"}  # plot needs matplotlib
)


def test_most_of_the_package_is_looked_at():
    assert "matgrad.closed_form._quadratic" in MODULES


@pytest.mark.parametrize("name", ["matgrad", *MODULES])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", sorted(matgrad.closed_form.__all__))
def test_every_closed_form_has_an_example(name):
    assert any(test.examples for test in doctest.DocTestFinder().find(getattr(matgrad.closed_form, name), name))


def test_examples_in_the_readme():
    outcome = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert outcome.failed == 0
    assert outcome.attempted > 0

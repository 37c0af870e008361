"""The examples in the docstrings of the installed package and in the README run and print what they say."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest

import matgrad

README = Path(__file__).parents[1] / "README.md"
# What examples need, by the headings in the README under which they stand; adapters are named after it.
LIBRARIES = {
    "SciPy": "scipy",
    "scikit-learn": "sklearn",
    "PyTorch": "torch",
    "JAX": "jax",
    "Dask": "dask",
    "Threads": "threadpoolctl",
}
ABSENT = {name for name in LIBRARIES.values() if importlib.util.find_spec(name) is None}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(matgrad.__path__, "matgrad.")
    if module.name not in {"matgrad._core", "matgrad.__main__", "matgrad.plot"}  # plot needs matplotlib
    and not (module.name.startswith("matgrad.interop.") and {*module.name.split(".")[2].split("_")} & ABSENT)
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
    sections = re.split(r"^(?=##+ )", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    headings = [section.partition("\n")[0].lstrip("# ") for section in sections]
    assert {*LIBRARIES} <= {*headings}
    text = "".join(s for s, heading in zip(sections, headings, strict=True) if LIBRARIES.get(heading) not in ABSENT)
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, README.name, str(README), 0)
    outcome = doctest.DocTestRunner().run(test)
    assert outcome.failed == 0
    assert outcome.attempted > 0

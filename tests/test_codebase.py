"""The architecture checks itself: who may include whom, what the objects export, that versions and stubs agree."""

import ast
import graphlib
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import matgrad as mg
from matgrad import _core

ROOT = Path(__file__).parents[1]
CPP = sorted(path for path in (ROOT / "cpp").rglob("*") if path.suffix in {".h", ".cpp"})
PYTHON = sorted(
    path
    for folder in ("python", "tests", "bench")
    for path in (ROOT / folder).rglob("*.py*")
    if path.suffix in {".py", ".pyi"}
)
SCRIPTS = [ROOT / "CMakeLists.txt", *(path for path in [ROOT / ".ci" / "run"] if path.exists())]
SOURCES = [*CPP, *PYTHON, *SCRIPTS]

# Each part of cpp/ and the parts whose headers it may include; arrows point down only.
MAY_INCLUDE = {
    "kernels": {"kernels"},
    "expr": {"expr"},
    "include": {"matgrad"},
    "plan": {"plan", "expr", "kernels", "matgrad"},
    "api": {"api", "plan", "expr", "kernels", "matgrad"},
    "bindings": {"bindings", "plan", "expr", "kernels", "matgrad"},
}
KERNEL_SYSTEM_HEADERS = {"cstddef", "cstdint", "cstring", "immintrin.h", "arm_neon.h"}
PYTHON_HEADERS = re.compile(r"pybind11|numpy|Python\.h")


def name(path):
    return path.relative_to(ROOT).as_posix()


def includes(path):
    """What a C++ file includes, as (project headers, system headers)."""
    found = re.findall(r'^\s*#\s*include\s*(["<])([^">]+)[">]', path.read_text(), re.MULTILINE)
    return [header for mark, header in found if mark == '"'], [header for mark, header in found if mark == "<"]


# --- Arrows point down only ---


def test_every_part_of_the_core_has_sources():
    parts = {path.relative_to(ROOT / "cpp").parts[0] for path in CPP}
    assert {"kernels", "plan", "bindings", "include"} <= parts <= MAY_INCLUDE.keys()


@pytest.mark.parametrize("path", CPP, ids=name)
def test_cpp_includes_point_down_only(path):
    part = path.relative_to(ROOT / "cpp").parts[0]
    project, system = includes(path)
    assert {header.split("/")[0] for header in project} <= MAY_INCLUDE[part]
    if part != "bindings":
        assert [header for header in system if PYTHON_HEADERS.search(header)] == []
    if path.name.endswith("-inl.h") or path.name in {"table.cpp", "kernels.h"}:
        assert set(system) <= KERNEL_SYSTEM_HEADERS


def python_imports(path, modules):
    """The modules of matgrad that one of them imports, also inside functions."""
    package = module_name(path).split(".") if path.stem == "__init__" else module_name(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                target = f"{source}.{alias.name}"
                if target in modules or source in modules:
                    yield target if target in modules else source


def module_name(path):
    return ".".join(path.relative_to(ROOT / "python").with_suffix("").parts).removesuffix(".__init__")


def test_python_modules_import_each_other_without_cycles():
    modules = {module_name(path): path for path in PYTHON if path.is_relative_to(ROOT / "python")}
    graph = {module: set(python_imports(path, modules)) - {module} for module, path in modules.items()}
    assert "matgrad.closed_form" in graph["matgrad"]
    assert "matgrad._core" in set().union(
        *(graph[module] for module in graph if module.startswith("matgrad.closed_form."))
    )
    graphlib.TopologicalSorter(graph).prepare()


def test_importing_matgrad_imports_nothing_heavier_than_numpy():
    code = "import sys, matgrad; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "matgrad" in loaded
    assert not {"scipy", "matplotlib", "sklearn", "torch", "jax", "dask"} & set(loaded)


# --- What kernel objects export ---


def kernel_isas():
    """The instruction sets that CMakeLists.txt compiles kernels for on this machine, each with its compiler flags."""
    text = (ROOT / "CMakeLists.txt").read_text()
    (common,) = re.findall(r"target_compile_options\(\s*kernels_\$\{identifier\} PRIVATE \$\{ARGN\}([^)]*)\)", text)
    isas = {isa: flags.split() + common.split() for isa, flags in re.findall(r"\n *add_kernels\(([\w-]+)(.*)\)", text)}
    assert isas.keys() >= {"baseline", "x86-64-v3", "x86-64-v4"}
    assert all("-O3" in flags for flags in isas.values())
    is_x86 = platform.machine() in {"x86_64", "AMD64"}
    return {isa: flags for isa, flags in isas.items() if is_x86 or not isa.startswith("x86")}


def fresh_object(identifier, flags):
    """The object of the last build in build/ if it is newer than its sources and compiled with these flags, or None."""
    newest = max(path.stat().st_mtime for path in (ROOT / "cpp" / "kernels").iterdir())
    for commands in ROOT.glob("build/*/compile_commands.json"):
        path = commands.parent / f"CMakeFiles/kernels_{identifier}.dir/cpp/kernels/table.cpp.o"
        words = [entry["command"].split() for entry in json.loads(commands.read_text())]
        compiled = any(f"-DMATGRAD_ISA={identifier}" in command and {*flags} <= {*command} for command in words)
        if compiled and path.exists() and path.stat().st_mtime > newest:
            return path
    return None


@pytest.mark.parametrize("isa", kernel_isas())
def test_a_kernel_object_exports_its_table_and_nothing_else(isa, tmp_path):
    """A weak function compiled for one instruction set could be linked in place of another's, and crash there."""
    identifier = re.sub(r"\W", "_", isa)
    flags = kernel_isas()[isa]
    path = fresh_object(identifier, flags)
    if path is None:
        compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if compiler is None:
            pytest.skip("no C++ compiler is installed")
        path = tmp_path / "table.o"
        definitions = [f"-DMATGRAD_ISA={identifier}", f'-DMATGRAD_ISA_NAME="{isa}"']
        command = [compiler, "-std=gnu++20", "-fPIC", "-w", *flags, *definitions, "-Icpp", "-o", path, "-c"]
        subprocess.run([*command, "cpp/kernels/table.cpp"], check=True, cwd=ROOT)
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    listing = subprocess.run(["nm", "-g", "-P", path], check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[:2] for line in listing.splitlines() if line.strip()]
    table = f"_ZN7matgrad7kernels{len(identifier)}{identifier}7kernelsE"
    exported = [symbol.lstrip("_") for symbol, kind in symbols if kind != "U"]
    assert exported == [table.lstrip("_")]
    imported = {symbol.lstrip("_") for symbol, kind in symbols if kind == "U"}
    assert imported <= {"memcpy", "memmove", "memset", "bzero", "GLOBAL_OFFSET_TABLE_"}


# --- Versions and stubs agree ---


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = {project["version"], mg.__version__, _core.__version__, importlib.metadata.version("matgrad")}
    assert versions == {project["version"]}


def parameters(definition):
    """The parameters of a function definition: name, kind, and whether there is a default."""
    a = definition.args
    positional = [*a.posonlyargs, *a.args]
    required = len(positional) - len(a.defaults)
    kinds = ["positional only"] * len(a.posonlyargs) + ["positional or keyword"] * len(a.args)
    found = [(arg.arg, kind, k >= required) for k, (arg, kind) in enumerate(zip(positional, kinds, strict=True))]
    return found + [
        (arg.arg, "keyword only", default is not None) for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)
    ]


def stub_line(name, function):
    """The line that the stub should have for a function of the module, its types guessed."""
    if (
        function.__text_signature__ is None
    ):  # pybind11 writes name, parameters and types into the docstring's first line
        return f"def {function.__doc__.splitlines()[0]}: ..."
    definition = ast.parse(f"def {name}{function.__text_signature__}: ...").body[0]
    types = {"out": "NDArray[Any] | None", "parameter": "float"}
    arguments = [f"{arg}: {types.get(arg, 'ArrayLike')}" for arg, _, _ in parameters(definition)]
    return f"def {name}({', '.join(arguments)}, /) -> NDArray[Any]: ..."


def public_members(owner):
    return {name: value for name, value in vars(owner).items() if not name.startswith("_")}


def test_the_stub_has_the_classes_of_the_module():
    body = ast.parse((ROOT / "python/matgrad/_core.pyi").read_text()).body
    stub = {
        node.name: {item.name for item in node.body if not item.name.startswith("_")}
        for node in body
        if isinstance(node, ast.ClassDef)
    }
    public = {name: {*public_members(cls)} for name, cls in public_members(_core).items() if isinstance(cls, type)}
    assert "Node" in public
    assert stub == public


def test_the_stub_agrees_with_the_module():
    body = ast.parse((ROOT / "python/matgrad/_core.pyi").read_text()).body
    stub = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    public = {name: function for name, function in public_members(_core).items() if not isinstance(function, type)}
    assert "quadratic_form_gradient" in public
    wanted = {name: stub_line(name, function) for name, function in public.items()}
    missing = [wanted[name] for name in wanted if name not in stub]
    surplus = [name for name in stub if name not in wanted]
    different = [
        f"{wanted[name]}  # has: {ast.unparse(stub[name].args)}"
        for name in wanted
        if name in stub and parameters(stub[name]) != parameters(ast.parse(wanted[name]).body[0])
    ]
    advice = [
        f"{head}\n  " + "\n  ".join(lines)
        for head, lines in {"add:": missing, "remove:": surplus, "correct:": different}.items()
        if lines
    ]
    if advice:
        pytest.fail("python/matgrad/_core.pyi differs from the module (types are guesses)\n" + "\n".join(advice), False)


# --- Every file is readable ---


def opening(path):
    """The first paragraph of a file's opening comment or docstring."""
    text = path.read_text()
    if path.suffix in {".py", ".pyi"}:
        return (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    mark = "//" if path.suffix in {".h", ".cpp"} else "#"
    lines = [line for line in text.splitlines() if not line.startswith("#!")]
    paragraph = []
    for line in lines:
        if not line.startswith(mark) or line.strip() == mark:
            break
        paragraph.append(line.removeprefix(mark).strip())
    return " ".join(paragraph)


def test_every_file_opens_with_a_sentence_on_what_it_is_for():
    openings = {name(path): opening(path) for path in SOURCES}
    assert [item for item in openings.items() if not re.fullmatch(r"\W?[A-Z].{10,}[.!?]", item[1], re.DOTALL)] == []


def test_no_file_is_longer_than_450_lines():
    lengths = {name(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert [item for item in lengths.items() if item[1] > 450] == []


def test_no_file_has_machine_paths_unsafe_flags_or_leftovers():
    absolute_path = r"(?<![\w.:/)}\]>*])/(?!proc/|sys/|usr/|dev/)[A-Za-z]+/"
    unwanted = re.compile(absolute_path + r"|-march=native|-ffast-math|\b(TODO|FIXME|XXX|HACK)\b")
    lines = ((name(path), line) for path in SOURCES if path != Path(__file__) for line in path.read_text().splitlines())
    assert [(file, line) for file, line in lines if unwanted.search(line)] == []

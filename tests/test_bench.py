"""The benchmark's implementations agree with each other, and a run ends in a report; nothing here is about speed."""

import importlib.util
import json

import numpy as np
import pytest
from bench import machine, problems_factorization, report, run, timing
from bench.peers import PEERS, Implementation, Work, by_numpy, cannot
from bench.problems import PROBLEMS, Problem, rows
from bench.targets import AtLeast, AtMost, AtMostOver, AtMostTimes, OfPeak, WithinOther, WithinOwn

TINY = {
    (problem.title, str(problem.tiny)): problem
    for problem in PROBLEMS
    if not problem.title.startswith("new process") or problem.title.endswith("gradient")
}
LIMITS = {"FMA float64 GF/s": 100.0, "FMA float32 GF/s": 200.0, "read GB/s": 50.0, "zero-fill GB/s": 100.0}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch warns of itself
@pytest.mark.parametrize("problem", TINY.values(), ids=lambda problem: f"{problem.title} {problem.dtype}")
def test_all_implementations_agree(problem):
    timings = timing.check(list(problem.build(**problem.tiny)), problem.dtype)
    assert {str(one.implementation): one.problem for one in timings if one.problem} == {}
    derives = problem.title.startswith("derive")  # NumPy can't
    assert {one.implementation.peer for one in timings} >= {"matgrad"} | (set() if derives else {"numpy"})


def test_names_are_unique():
    names = [problem.name for problem in PROBLEMS]
    assert len(set(names)) == len(names)


def sums():
    numbers = np.arange(10.0)
    yield Implementation("matgrad", "ours", np.add, (numbers, numbers))
    yield by_numpy("right", lambda x: 2 * x, numbers)
    yield by_numpy("excused", lambda x: 2 * x, numbers, excuse="of no account")
    yield by_numpy("wrong", lambda x: 2 * x + 1e-6, numbers)
    yield by_numpy("not a number", lambda x: x * np.nan, numbers)
    yield by_numpy("of another shape", lambda x: 2 * x[1:], numbers)
    yield by_numpy("broken", lambda x: x.no_such_method(), numbers)


def test_a_wrong_implementation_is_named_and_not_timed():
    problem = Problem("sums", sums, {}, {}, (AtLeast(1e-9), AtLeast(1, "jax"), AtMostOver(1.0, "numpy")))
    (row,) = run.run([problem], 1, LIMITS)
    problems = {one["label"]: one["problem"] for one in row["implementations"]}
    timed = {one["label"] for one in row["implementations"] if one["minimum"] is not None}
    assert timed == {"ours", "right", "excused"}
    assert problems["wrong"].startswith("differs from ours by 1.0e-06")
    assert problems["not a number"].startswith("differs from ours by nan")
    assert problems["of another shape"] == "shapes [(9,)] but ours are [(10,)]"
    assert problems["broken"].startswith("failed with AttributeError")
    assert [target["met"] for target in row["targets"]] == [True, None, True]


def test_the_ratio_is_of_the_fastest_peer_that_counts():
    def timed(peer, seconds, excuse=""):
        return timing.Timing(Implementation(peer, "", print, (), excuse), samples=[2 * seconds, seconds])

    timings = [timed("matgrad", 1.0), timed("numpy", 3.0), timed("numpy", 0.5, "excused"), timed("jax", 4.0)]
    timings += [timing.Timing(cannot("tensorgrad", "has no such function"))]
    targets = {
        AtLeast(3): (True, "3.00×"),
        AtLeast(3.1): (False, "3.00×"),
        AtLeast(4, "jax"): (True, "4.00×"),
        AtMostOver(0.4, "numpy"): (False, "+500 ms"),
        AtMostOver(0.6, "numpy"): (True, "+500 ms"),
        AtMostTimes(1.9, "numpy"): (False, "2.00×"),
        AtMostTimes(2.0, "numpy"): (True, "2.00×"),
        AtLeast(1, "tensorgrad"): (None, ""),
        WithinOwn(1.15): (None, ""),
        AtMost(1.0): (True, "1 s"),
        AtMost(0.9): (False, "1 s"),
        OfPeak(0.6): (True, "65 %"),
        OfPeak(0.7): (False, "65 %"),
    }
    problem = Problem("", sums, {}, {}, tuple(targets), lambda: Work(flops=65e9))
    row = run.summary(problem, timings, LIMITS)
    assert row["ratio"] == 3.0
    assert [(target["met"], target["reached"]) for target in row["targets"]] == list(targets.values())


@pytest.mark.parametrize(("derived", "met"), [(1.1, True), (1.2, False)])
def test_what_we_derive_is_compared_with_our_closed_form(derived, met):
    timings = [
        timing.Timing(Implementation("matgrad", "closed form", print, tuned=True), samples=[1.0, 2.0]),
        timing.Timing(Implementation("matgrad", "compile", print), samples=[derived, 2.0]),
        timing.Timing(Implementation("matgrad", "grad", print), samples=[1.5, 2.0]),
        timing.Timing(Implementation("numpy", "by hand", print), samples=[2.5]),
    ]
    row = run.summary(Problem("", sums, {}, {}, (WithinOwn(1.15),)), timings, LIMITS)
    assert row["derived over closed form"] == derived
    assert [target["met"] for target in row["targets"]] == [met]


@pytest.mark.parametrize(
    ("target", "met", "reached"),
    [
        (WithinOther("grad", ratio=1.2), False, "1.50×"),
        (WithinOther("grad", ratio=1.6), True, "1.50×"),
        (WithinOther("grad", seconds=0.4), False, "+5e+05 µs"),
        (WithinOther("grad", seconds=0.6), True, "+5e+05 µs"),
        (WithinOther("hessian"), None, ""),
    ],
    ids=str,
)
def test_ways_of_ours_are_compared_by_their_labels(target, met, reached):
    timings = [
        timing.Timing(Implementation("matgrad", "compile", print), samples=[2.0, 1.0]),
        timing.Timing(Implementation("matgrad", "grad", print), samples=[1.5, 2.0]),
        timing.Timing(Implementation("jax", "grad", print), samples=[0.5]),
    ]
    row = run.summary(Problem("", sums, {}, {}, (target,)), timings, LIMITS)
    assert [(target["met"], target["reached"]) for target in row["targets"]] == [(met, reached)]


def test_the_work_is_that_of_the_size_and_the_precision():
    def work(n):
        return Work(flops=2 * n, read=n, write=3 * n)

    for dtype, itemsize in (("float64", 8), ("float32", 4)):
        problem = Problem("", sums, {"n": 5, "dtype": dtype, "reuse": True}, {}, (), work)
        assert run.summary(problem, [], LIMITS)["work"] == {"flops": 10, "read": 5 * itemsize, "write": 15 * itemsize}


def test_the_totals_are_of_all_ratios():
    def target(k, met):
        return {"text": f"target {k}", "met": met, "reached": "7 %"}

    def row(name, ratio, *met):
        return {"name": name, "ratio": ratio, "targets": [target(k, m) for k, m in enumerate(met)]}

    some = [row("a", 8.0, True), row("b", 0.5, False, None), row("c", None), row("d", 2.0, True, False), row("e", 0.25)]
    result = run.totals(some)
    assert result["rows"] == 4
    assert result["geometric mean"] == pytest.approx((8 * 0.5 * 2 * 0.25) ** 0.25)
    assert result["below 1"] == ["e", "b"]
    assert [(one["name"], one["target"]) for one in result["missed"]] == [("b", "target 0"), ("d", "target 1")]
    text = "\n".join(report.totals_text(result))
    assert "**1.19**" in text
    assert "**2** (e, b)" in text
    assert "| b | target 0 | 7 % |" in text
    assert report.totals_text(run.totals([row("c", None)])) == []


def test_rows_are_of_each_size_and_dtype_and_ask_for_a_tie_at_least():
    made = list(rows("title", sums, {"n": 1}, [({"n": 2}, AtLeast(3), WithinOwn(1.15)), ({"n": 4},)]))
    assert [problem.size for problem in made] == [
        {"n": n, "dtype": dtype} for n in (2, 4) for dtype in ("float64", "float32")
    ]
    assert [problem.targets for problem in made] == [
        (AtLeast(3), WithinOwn(1.15)),
        (AtLeast(1), WithinOwn(1.15)),
        (AtLeast(1),),
        (AtLeast(1),),
    ]


def test_a_run_ends_in_a_report(tmp_path, monkeypatch, capsys):
    for setting in run.UNWANTED:
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setattr(run.machine, "limits", lambda: {"measured by": "nobody", "all cores": LIMITS})
    monkeypatch.setattr(run, "ROUNDS", 1)
    file = tmp_path / "result.json"
    run.main(["--only", "^quadratic gradient n=4 dtype=float64$", "--json", str(file)])
    result = json.loads(file.read_text(encoding="utf-8"))
    (row,) = result["problems"]
    assert (row["title"], row["size"], row["dtype"]) == ("quadratic gradient", {"n": 4}, "float64")
    assert all(0 < one["minimum"] <= one["median"] for one in row["implementations"] if not one["problem"])
    assert set(result["absent"]) <= set(PEERS)

    assert report.main([str(file), "--output", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "result.md").read_text(encoding="utf-8")
    assert f"| quadratic gradient | n = 4 | float64 | {timing.seconds_to_text(row['ours'])} |" in text
    assert (tmp_path / "report" / "result.png").exists() == (importlib.util.find_spec("matplotlib") is not None)
    assert "quadratic gradient n=4" in capsys.readouterr().out

    assert report.main([str(file), "--overview"]) == 0
    ours, ratio = timing.seconds_to_text(row["ours"]), f"{row['ratio']:.2f}"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"| quadratic gradient | n = 4 | {ours} | ")
    assert last.endswith(f" | {ratio} | — |")


def test_the_limit_that_binds_is_reported():
    arithmetic = {"dtype": "float32", "ours": 1e-3, "work": {"flops": 1e8, "read": 1e6, "write": 0}}
    traffic = {"dtype": "float64", "ours": 1e-3, "work": {"flops": 1e6, "read": 1e7, "write": 2e7}}
    nothing = {"dtype": "float64", "ours": 1e-3, "work": {"flops": 0, "read": 0, "write": 0}}
    assert report.attained(arithmetic, LIMITS) == "100 GF/s, 50 %"
    assert report.attained(traffic, LIMITS) == "30 GB/s, 40 %"
    assert report.attained(nothing, LIMITS) == "—"


@pytest.mark.parametrize("compiler", ["cc", None])
def test_the_limits_of_the_machine_are_measured(monkeypatch, compiler):
    if compiler is None:
        monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    for name, value in {"_SECONDS": 0.01, "_MEMORY": 1 << 20, "_GEMM_SIZE": 50}.items():
        monkeypatch.setattr(machine, name, value)
    limits = machine.limits()
    assert set(LIMITS) <= set(limits["all cores"])
    assert all(rate > 0 for rate in limits["all cores"].values())


def test_the_sizes_of_installed_libraries_are_reported():
    sizes = machine.installed_megabytes()
    assert all(size > 0 for size in sizes.values())
    assert report.installed_text({"matgrad": 4.2, "JAX": 370.0}).endswith("JAX 370 MB; target matgrad < 10 MB: yes")
    assert report.installed_text({"matgrad": 11.0}).endswith("**no**")
    assert report.installed_text({}) == ""


def test_the_expanded_factorization_loss_loses_digits_near_a_fit():
    generator = np.random.default_rng(0)
    U, V, E = (generator.standard_normal(shape) for shape in ((30, 3), (3, 20), (30, 20)))
    X = U @ V + 1e-6 * E
    error = problems_factorization.expanded(X, U, V)[0] / np.sum((X - U @ V) ** 2) - 1
    assert abs(error) > 1e-6


def test_settings_that_slow_a_side_down_are_dropped(monkeypatch):
    started = []
    monkeypatch.setattr(run.os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    run.restart_without_unwanted_settings(["--quick"])
    ((program, arguments, environment),) = started
    assert arguments == [program, "-m", "bench.run", "--quick"]
    assert set(run.UNWANTED).isdisjoint(environment)

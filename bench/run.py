"""Times every problem with every implementation, side by side: `python -m bench.run`."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.peers import PEERS, absent
from bench.problems import PROBLEMS, Problem
from bench.targets import Measured
from bench.timing import Timing, check, seconds_to_text, time_side_by_side

#: Settings that slow a side down or take cores from it; libraries read them when they are loaded.
UNWANTED = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MATGRAD_NUM_THREADS",
    "XLA_FLAGS",
)
ROUNDS, QUICK_ROUNDS = 12, 3


def restart_without_unwanted_settings(arguments: Sequence[str]) -> None:
    """Replace this process by one without the settings that would make the comparison unfair, if there are any."""
    found = [name for name in UNWANTED if name in os.environ]
    if found:
        print(f"Starting again without {', '.join(found)}.", flush=True)
        kept = {name: value for name, value in os.environ.items() if name not in found}
        os.execve(sys.executable, [sys.executable, "-m", "bench.run", *arguments], kept)


def summary(problem: Problem, timings: Sequence[Timing], limits: dict[str, float]) -> dict[str, Any]:
    """Return a problem's row of the results; `limits` are those of all cores."""
    work, itemsize = problem.work, np.dtype(problem.dtype).itemsize
    peak_seconds = work.flops / limits[f"FMA {problem.dtype} GF/s"] * 1e-9
    measured = Measured(timings, peak_seconds)
    ours, best = measured.ours, measured.fastest("best")
    derived, tuned = measured.own(tuned=False), measured.own(tuned=True)
    verdicts = {str(target): target.verdict(measured) for target in problem.targets}
    return {
        "name": problem.name,
        "title": problem.title,
        "size": {key: value for key, value in problem.size.items() if key != "dtype"},
        "dtype": problem.dtype,
        "work": {"flops": work.flops, "read": itemsize * work.read, "write": itemsize * work.write},
        "targets": [
            {"text": text, "met": verdict and verdict.met, "reached": verdict.reached if verdict else ""}
            for text, verdict in verdicts.items()
        ],
        "ours": ours,
        "ratio": best / ours if ours and best else None,
        "derived over closed form": derived / tuned if derived and tuned else None,
        "implementations": [
            {
                "peer": timing.implementation.peer,
                "label": timing.implementation.label,
                "excuse": timing.implementation.excuse,
                "missing": timing.implementation.missing,
                "problem": timing.problem,
                "inner": timing.inner,
                "samples": len(timing.samples),
                "minimum": timing.minimum if timing.samples else None,
                "median": timing.median if timing.samples else None,
            }
            for timing in timings
        ],
    }


def print_row(row: dict[str, Any]) -> None:
    """Print what became of each implementation of a problem, the fastest first."""
    print(f"\n{row['name']}")
    fastest_first = sorted(row["implementations"], key=lambda one: (one["minimum"] is None, one["minimum"] or 0))
    for one in fastest_first:
        label = f"{one['peer']}: {one['label']}"
        if one["minimum"] is None:
            print(f"  {label:<64} {one['problem'] or one['missing']}")
            continue
        ratio = f"{one['minimum'] / row['ours']:8.2f}×" if row["ours"] else " " * 9
        note = f"  not counted: {one['excuse']}" if one["excuse"] else ""
        print(f"  {label:<64} {seconds_to_text(one['minimum']):>9} {seconds_to_text(one['median']):>9} {ratio}{note}")
    if row["ratio"] is not None:
        verdicts = {True: "met", False: "NOT met", None: "not measured"}
        targets = "; ".join(f"{target['text']}: {verdicts[target['met']]}" for target in row["targets"])
        if row["derived over closed form"]:
            print(f"  → derived {row['derived over closed form']:.2f}× our closed form")
        print(f"  → {row['ratio']:.2f}× the best peer" + (f" ({targets})" if targets else ""), flush=True)


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what all rows come to: the geometric mean of the ratios, those below 1, and targets that are missed."""
    ratios = {row["name"]: row["ratio"] for row in rows if row["ratio"]}
    return {
        "rows": len(ratios),
        "geometric mean": statistics.geometric_mean(ratios.values()) if ratios else None,
        "below 1": sorted((name for name, ratio in ratios.items() if ratio < 1), key=ratios.__getitem__),
        "missed": [
            {"name": row["name"], "target": target["text"], "reached": target["reached"]}
            for row in rows
            for target in row["targets"]
            if target["met"] is False
        ],
    }


def print_totals(sums: dict[str, Any]) -> None:
    """Print what all rows come to."""
    if sums["rows"]:
        mean, below = sums["geometric mean"], sums["below 1"]
        print(f"\nGeometric mean of {sums['rows']} ratios: {mean:.2f}×; rows below 1×: {len(below)}.")
    for one in sums["missed"]:
        print(f"  missed: {one['name']}: {one['target']}, is {one['reached']}")


def run(problems: Sequence[Problem], rounds: int, limits: dict[str, float]) -> list[dict[str, Any]]:
    """Check and time problems, printing as it goes; return their rows."""
    rows = []
    for problem in problems:
        implementations = list(problem.build(**problem.size))
        timings = check(implementations, problem.dtype)
        time_side_by_side(timings, rounds)
        rows.append(summary(problem, timings, limits))
        print_row(rows[-1])
    return rows


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit status is 1 if an implementation failed or disagrees."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", default="", help="regular expression to find in a problem's name")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where to write the results")
    parser.add_argument("--list", action="store_true", help="print the names of the problems and stop")
    options = parser.parse_args(arguments)
    problems = [problem for problem in PROBLEMS if re.search(options.only, problem.name)]
    if options.list:
        print("\n".join(problem.name for problem in problems))
        return 0
    restart_without_unwanted_settings(arguments)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "rounds": rounds,
        "load before": os.getloadavg()[0],
        "machine": machine.description(),
        "limits": machine.limits(),
        "absent": absent(),
    }
    print(json.dumps({key: result[key] for key in ("machine", "limits")}, indent=2))
    print(f"Absent: {', '.join(result['absent']) or 'none'} (of {', '.join(PEERS)})")
    print("Columns: minimum, median, minimum relative to ours.")
    result["problems"] = run(problems, rounds, result["limits"]["all cores"])
    result["totals"] = totals(result["problems"])
    print_totals(result["totals"])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(any(one["problem"] for row in result["problems"] for one in row["implementations"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Times every problem with every implementation, side by side: `python -m bench.run`."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import machine
from bench.peers import OURS, PEERS, absent
from bench.problems import PROBLEMS, AtMost, AtMostOver, OfPeak, Problem, Target
from bench.timing import Timing, check, time_side_by_side

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


def seconds_to_text(seconds: float) -> str:
    """Return a duration in the unit that suits it, with three digits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def fastest(timings: Sequence[Timing], peer: str = "best", with_excused: bool = False) -> float | None:
    """Return the least minimum of a peer's implementations, or of all; None if none was timed."""
    minima = [
        timing.minimum
        for timing in timings
        if peer in ("best", timing.implementation.peer) and (with_excused or not timing.implementation.excuse)
    ]
    return min(minima, default=None)


def target_met(target: Target, ours: float | None, peers: Sequence[Timing], peak_seconds: float) -> bool | None:
    """Say whether a target is met; None if ours or the peer it names wasn't timed."""
    if ours is None:
        return None
    if isinstance(target, AtMost):
        return ours <= target.seconds
    if isinstance(target, OfPeak):
        return peak_seconds >= target.share * ours
    rival = fastest(peers, target.against, with_excused=isinstance(target, AtMostOver))
    if rival is None:
        return None
    return ours <= rival + target.seconds if isinstance(target, AtMostOver) else rival >= target.ratio * ours


def summary(problem: Problem, timings: Sequence[Timing], limits: dict[str, float]) -> dict[str, Any]:
    """Return a problem's row of the results; `limits` are those of all cores."""
    timed = [timing for timing in timings if timing.samples]
    ours = fastest([timing for timing in timed if timing.implementation.peer == OURS])
    peers = [timing for timing in timed if timing.implementation.peer != OURS]
    best = fastest(peers)
    work = problem.work(**problem.size)
    peak_seconds = work.flops / limits[f"FMA {problem.dtype} GF/s"] * 1e-9
    return {
        "name": problem.name,
        "title": problem.title,
        "size": dict(problem.size),
        "dtype": problem.dtype,
        "work": {"flops": work.flops, "read": work.read, "write": work.write},
        "targets": [
            {"text": str(target), "met": target_met(target, ours, peers, peak_seconds)} for target in problem.targets
        ],
        "ours": ours,
        "ratio": best / ours if ours and best else None,
        "implementations": [
            {
                "peer": timing.implementation.peer,
                "label": timing.implementation.label,
                "excuse": timing.implementation.excuse,
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
            print(f"  {label:<64} {one['problem']}")
            continue
        ratio = f"{one['minimum'] / row['ours']:8.2f}×" if row["ours"] else " " * 9
        note = f"  not counted: {one['excuse']}" if one["excuse"] else ""
        print(f"  {label:<64} {seconds_to_text(one['minimum']):>9} {seconds_to_text(one['median']):>9} {ratio}{note}")
    if row["ratio"] is not None:
        verdicts = {True: "met", False: "NOT met", None: "not measured"}
        targets = "; ".join(f"{target['text']}: {verdicts[target['met']]}" for target in row["targets"])
        print(f"  → {row['ratio']:.2f}× the best peer" + (f" ({targets})" if targets else ""), flush=True)


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
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    return int(any(one["problem"] for row in result["problems"] for one in row["implementations"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

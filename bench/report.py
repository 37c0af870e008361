"""Makes a Markdown table and a plot of the results of a run: `python -m bench.report FILE [--output DIR]`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.peers import OURS, PEERS
from bench.timing import seconds_to_text

_TITLES = {name: name for name in PEERS} | {"numpy": "NumPy, SciPy", "jax": "JAX", "torch": "PyTorch"}
#: A limit of fewer seconds isn't what binds: a call costs more.
SHORTEST_LIMIT = 2e-6
#: The largest that ours may be, dependencies aside.
LARGEST_MEGABYTES = 10
_VERDICTS = {True: "yes", False: "**no**", None: "?"}


def limit_seconds(row: dict[str, Any], limits: dict[str, float]) -> tuple[float, float]:
    """Return the least time that the arithmetic takes on all cores, and the least that the memory traffic takes."""
    work = row["work"]
    arithmetic = work["flops"] / limits[f"FMA {row['dtype']} GF/s"]
    traffic = work["read"] / limits["read GB/s"] + work["write"] / limits["zero-fill GB/s"]
    return arithmetic * 1e-9, traffic * 1e-9


def attained(row: dict[str, Any], limits: dict[str, float]) -> str:
    """Say how much of the limit that binds ours attains: its rate and the share of the limit."""
    arithmetic, traffic = limit_seconds(row, limits)
    if row["ours"] is None or max(arithmetic, traffic) < SHORTEST_LIMIT:
        return "—"
    work = row["work"]
    if arithmetic >= traffic:
        rate = f"{work['flops'] / row['ours'] * 1e-9:.3g} GF/s"
    else:
        rate = f"{(work['read'] + work['write']) / row['ours'] * 1e-9:.3g} GB/s"
    return f"{rate}, {100 * max(arithmetic, traffic) / row['ours']:.0f} %"


def fastest_of(row: dict[str, Any], peer: str) -> str:
    """Return the time of a peer's fastest implementation; in brackets if none of its implementations counts."""
    timed = [one for one in row["implementations"] if one["peer"] == peer and one["minimum"] is not None]
    counted = [one["minimum"] for one in timed if not one["excuse"]]
    if counted:
        return seconds_to_text(min(counted))
    if timed:
        return f"({seconds_to_text(min(one['minimum'] for one in timed))})"
    absent = any(one["peer"] == peer and one["missing"] for one in row["implementations"])
    return "can't" if absent else "—"


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def size_of(row: dict[str, Any]) -> str:
    """Return a problem's sizes as text."""
    names = [key for key, value in row["size"].items() if not isinstance(value, bool)]
    return ", ".join(f"{key} = {row['size'][key]:,}" for key in names)


def comparison(rows: Sequence[dict[str, Any]], limits: dict[str, float]) -> list[str]:
    """Return the table with a row for each problem."""
    head = ["problem", "size", "dtype", "matgrad", *_TITLES.values()]
    head += ["ratio", "derived ÷ closed form", "target", "met", "limit attained"]
    lines = [line(head), line(["---"] * len(head))]
    for row in rows:
        cells = [row["title"], size_of(row), row["dtype"], fastest_of(row, OURS)]
        cells += [fastest_of(row, peer) for peer in PEERS]
        cells += [f"{ratio:.2f}" if ratio else "—" for ratio in (row["ratio"], row["derived over closed form"])]
        cells += ["<br>".join(target["text"] for target in row["targets"])]
        cells += ["<br>".join(_VERDICTS[target["met"]] for target in row["targets"])]
        lines.append(line([*cells, attained(row, limits)]))
    return lines


def overview(rows: Sequence[dict[str, Any]], limits: dict[str, float]) -> list[str]:
    """Return a short table: of each problem its largest size in float64, ours and the fastest of all peers."""
    largest = {row["title"]: row for row in rows if row["dtype"] == "float64" and row["ratio"]}
    lines = [line(["problem", "size", "matgrad", "fastest peer", "", "ratio", "limit attained"]), line(["---"] * 7)]
    for row in largest.values():
        counted = [
            one for one in row["implementations"] if one["minimum"] and not one["excuse"] and one["peer"] != OURS
        ]
        best = min(counted, key=lambda one: one["minimum"])
        times = [fastest_of(row, OURS), seconds_to_text(best["minimum"])]
        way = f"{_TITLES[best['peer']]}: {best['label']}"
        lines.append(line([row["title"], size_of(row), *times, way, f"{row['ratio']:.2f}", attained(row, limits)]))
    return lines


def every_implementation(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table with a row for each implementation."""
    lines = [line(["problem", "implementation", "minimum", "median", "note"]), line(["---"] * 5)]
    for row in rows:
        for one in row["implementations"]:
            times = ["—"] * 2
            if one["minimum"] is not None:
                times = [seconds_to_text(one["minimum"]), seconds_to_text(one["median"])]
            note = one["problem"] or one["missing"] or (f"not counted: {one['excuse']}" if one["excuse"] else "")
            lines.append(line([row["name"], f"{one['peer']}: {one['label']}", *times, note]))
    return lines


def totals_text(sums: dict[str, Any]) -> list[str]:
    """Return what all rows come to."""
    if not sums["rows"]:
        return []
    below = ", ".join(sums["below 1"]) or "none"
    lines = [
        f"Geometric mean of {sums['rows']} ratios: **{sums['geometric mean']:.2f}**. "
        f"Rows below 1: **{len(sums['below 1'])}** ({below}).",
        "",
    ]
    if sums["missed"]:
        lines += [line(["target missed", "asked", "reached"]), line(["---"] * 3)]
        lines += [line([one["name"], one["target"], one["reached"]]) for one in sums["missed"]]
        lines += [""]
    return lines


def installed_text(megabytes: dict[str, float]) -> str:
    """Say how large libraries are, and whether ours is as small as asked for."""
    sizes = ", ".join(f"{name} {size:.3g} MB" for name, size in megabytes.items())
    if OURS not in megabytes:
        return sizes
    return f"{sizes}; target {OURS} < {LARGEST_MEGABYTES} MB: {_VERDICTS[megabytes[OURS] < LARGEST_MEGABYTES]}"


def limits_table(limits: dict[str, Any]) -> list[str]:
    """Return the table of the machine's measured limits."""
    groups = [name for name in ("one core", "all cores") if name in limits]
    lines = [line(["limit", *groups]), line(["---"] * (1 + len(groups)))]
    for name in limits["all cores"]:
        lines.append(
            line([name, *(f"{limits[group][name]:.3g}" if name in limits[group] else "—" for group in groups)])
        )
    return lines


def markdown(result: dict[str, Any], plot: str | None) -> str:
    """Return the whole report; `plot` is the name of the plot's file, if there is one."""
    machine, limits = result["machine"], result["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    head = [
        "# Benchmark",
        "",
        f"{result['date']} · {machine['processor']}, {machine['cores']} cores · {versions} · {machine['BLAS']} · "
        f"kernels for {machine['matgrad ISA']} · {result['rounds']} rounds, load before {result['load before']:.1f} · "
        f"absent: {', '.join(result['absent']) or 'none'}",
        "",
        f"Installed: {installed_text(machine['installed MB'])}.",
        "",
        "Times are minima; *ratio* is the fastest peer's over ours; bench/README.md says how they are formed.",
        "",
    ]
    body = [*totals_text(result["totals"]), *comparison(result["problems"], limits["all cores"]), ""]
    if plot:
        body += [f"![Ratios]({plot})", ""]
    tail = [
        f"## Limits, measured by {limits['measured by']}",
        "",
        *limits_table(limits),
        "",
        "## Every implementation",
        "",
    ]
    return "\n".join([*head, *body, *tail, *every_implementation(result["problems"])]) + "\n"


def draw(result: dict[str, Any], file: Path) -> None:
    """Write a plot of the ratios, which needs Matplotlib: a horizontal bar for each problem, on a logarithmic scale."""
    from matplotlib.figure import Figure

    rows = [row for row in result["problems"] if row["ratio"]][::-1]
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    # A bar grows from 1×, which is where a logarithmic axis has its zero.
    lengths = [row["ratio"] - 1 for row in rows]
    colours = ["tab:green" if length >= 0 else "tab:red" for length in lengths]
    bars = axes.barh([row["name"] for row in rows], lengths, left=1, color=colours)
    axes.bar_label(bars, [f"{row['ratio']:.2f}×" for row in rows], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time of the fastest peer / time of matgrad")
    axes.margins(x=0.12)
    axes.tick_params(axis="y", labelsize=8)
    figure.savefig(file, dpi=150)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("file", type=Path, help="what bench.run --json wrote")
    parser.add_argument("--output", type=Path, help="folder to write to, otherwise the file's own")
    parser.add_argument("--overview", action="store_true", help="print a short table and write nothing")
    options = parser.parse_args(arguments)
    result = json.loads(options.file.read_text(encoding="utf-8"))
    if options.overview:
        print("\n".join(overview(result["problems"], result["limits"]["all cores"])))
        return 0
    folder = options.output or options.file.parent
    folder.mkdir(parents=True, exist_ok=True)
    report, plot = (folder / f"{options.file.stem}{suffix}" for suffix in (".md", ".png"))
    with_plot = importlib.util.find_spec("matplotlib") is not None
    report.write_text(markdown(result, plot.name if with_plot else None), encoding="utf-8")
    print(report)
    if with_plot:
        draw(result, plot)
    print(plot if with_plot else "No plot: Matplotlib isn't installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

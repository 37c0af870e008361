"""How much memory a program takes: runs it in a process of its own, and gives it functions that say so."""

import subprocess
import sys

FUNCTIONS = """
import resource, sys
import numpy as np
import matgrad as mg

def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024

def highest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

is_linux = sys.platform == "linux"
resident = lambda: status("VmRSS") if is_linux else highest()   # bytes at the moment
peak = lambda: status("VmHWM") if is_linux else highest()       # bytes at most until now
"""


def measured(program, *arguments):
    """Return the numbers that a program prints; it may call resident() and peak(), and knows np, mg and sys."""
    command = [sys.executable, "-c", FUNCTIONS + program, *map(str, arguments)]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    return [float(word) for word in outcome.stdout.split()]

"""What tests of elementwise functions share: errors measured on every instruction set, compared with stated bounds."""

import json
import os
import subprocess
import sys

import numpy as np


def measured_on(isa, script):
    """Return what a script prints about one instruction set; it is chosen at import, so measuring takes a process."""
    run = subprocess.run(
        [sys.executable, script], env={**os.environ, "MATGRAD_ISA": isa}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["isa"] == isa
    return result["errors"]


def exceeded(errors, bounds, dtype):
    """Return the functions whose worst error is above the stated bound, and where."""
    # Where long double is no wider than double, the reference itself is uncertain by up to one ULP.
    slack = 0 if dtype == "float32" or np.finfo(np.longdouble).nmant >= 63 else 1
    return {name: worst for name, worst in errors.items() if not worst[0] <= bounds[name] + slack}

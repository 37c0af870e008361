"""Running a file's tests once more with the kernels of another instruction set, which is chosen at import."""

import os
import subprocess
import sys


def assert_passes_on(isa, file, selection):
    """Run the tests of a file that a selection, as of pytest's option -k, names."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selection, file]
    environment = {**os.environ, "MATGRAD_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

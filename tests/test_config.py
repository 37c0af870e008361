"""Configuration: instruction sets, threads, the command line, and what a wrong environment says."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy

import matgrad as mg


def run(code, **environment):
    """Run Python in a new process with these environment variables; None unsets one."""
    env = {name: value for name, value in (os.environ | environment).items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("isa", mg.available_isas())
def test_the_environment_chooses_the_instruction_set(isa):
    code = "import matgrad as mg; print(mg.active_isa())"
    assert run(code, MATGRAD_ISA=isa).stdout.strip() == isa


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_choice_the_widest_available_instruction_set_is_active(value):
    code = "import matgrad as mg; print(mg.active_isa() == mg.available_isas()[-1])"
    assert run(code, MATGRAD_ISA=value).stdout.strip() == "True"


@pytest.mark.parametrize("value", ["x86-64-v9", " baseline"])
def test_an_unknown_instruction_set_is_an_error_of_the_import_that_says_what_is_possible(value):
    result = run("import matgrad", MATGRAD_ISA=value)
    assert result.returncode == 1
    expected = (
        f"MATGRAD_ISA is '{value}' but must be one of those that this machine has: {', '.join(mg.available_isas())}"
    )
    assert result.stderr.splitlines()[-1] == f"ImportError: {expected}"


def test_every_available_instruction_set_is_compiled_in():
    sets = mg.show_config("dicts")["instruction sets"]
    assert sets["available"] == mg.available_isas() == sets["compiled"][: len(sets["available"])]
    assert sets["active"] == mg.active_isa()


def test_available_instruction_sets_are_those_of_the_processor():
    """By NumPy's own detection, which is independent of ours."""
    features = np._core._multiarray_umath.__cpu_features__
    if "AVX2" not in features:
        assert mg.available_isas() == ["baseline"]
        return
    v3 = features["AVX2"] and features["FMA3"] and features["F16C"]
    v4 = v3 and features["AVX512_SKX"]
    assert mg.available_isas() == ["baseline", "x86-64-v3", "x86-64-v4"][: 1 + v3 + v4]


def test_the_environment_sets_the_number_of_threads():
    code = "import matgrad as mg; print(mg.get_num_threads())"
    assert run(code, MATGRAD_NUM_THREADS="11").stdout.strip() == "11"


@pytest.mark.parametrize("value", ["0", "two", "2.5", "99999999999"])
def test_a_wrong_number_of_threads_is_an_error_of_the_import(value):
    result = run("import matgrad", MATGRAD_NUM_THREADS=value)
    assert result.returncode == 1
    expected = f"MATGRAD_NUM_THREADS is '{value}' but must be an integer of at least 1"
    assert result.stderr.splitlines()[-1].startswith(f"ImportError: {expected}")


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_choice_there_are_as_many_threads_as_cpus_that_the_process_may_use(value):
    code = "import matgrad as mg; print(*mg.show_config('dicts')['threads'].values())"
    used, available = run(code, MATGRAD_NUM_THREADS=value).stdout.split()
    assert 1 <= int(used) == int(available) <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_the_number_of_threads_follows_the_affinity():
    code = """
import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import matgrad as mg; print(mg.get_num_threads())
"""
    assert run(code, MATGRAD_NUM_THREADS=None).stdout.strip() == "1"


@pytest.mark.parametrize("n", [1, 2, 7, np.int64(3), True])
def test_set_num_threads(n):
    before = mg.get_num_threads()
    try:
        mg.set_num_threads(n)
        assert mg.get_num_threads() == n
    finally:
        mg.set_num_threads(before)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n is 0 but must be at least 1"),
        (-3, ValueError, "n is -3 but must be at least 1"),
        (2**40, ValueError, f"n is {2**40} but must be at least 1 and below 2"),
        (1.0, TypeError, "n is a float but must be an integer"),
        ("2", TypeError, "n is a str but must be an integer"),
    ],
)
def test_set_num_threads_refuses_what_is_not_a_number_of_threads(n, error, message):
    before = mg.get_num_threads()
    with pytest.raises(error, match=f"^set_num_threads: {message}"):
        mg.set_num_threads(n)
    assert mg.get_num_threads() == before


def test_show_config_returns_what_it_prints(capsys):
    config = mg.show_config("dicts")
    assert mg.show_config() is None
    printed = capsys.readouterr().out
    for section, entries in config.items():
        assert f"{section}:\n" in printed
        for name, value in entries.items():
            assert f"  {name}: {', '.join(value) if isinstance(value, list) else value}\n" in printed
    assert config["build"]["matgrad"] == mg.__version__
    assert config["python"]["numpy"] == np.__version__
    assert config["python"]["scipy"] == scipy.__version__


def test_show_config_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match=r"^show_config: mode is 'json' but must be 'stdout' or 'dicts'$"):
        mg.show_config("json")


def test_the_command_info_prints_the_configuration():
    result = subprocess.run([sys.executable, "-m", "matgrad", "info"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    assert f"matgrad: {mg.__version__}" in result.stdout
    assert f"active: {mg.active_isa()}" in result.stdout
    assert result.stderr == ""


def test_an_unknown_command_names_those_that_exist():
    result = subprocess.run([sys.executable, "-m", "matgrad", "inform"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "info" in result.stderr

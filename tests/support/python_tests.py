"""Runs the Python package's tests, and tells a skipped test from a passed one."""
import os
import pathlib
import re
import subprocess

TESTS = pathlib.Path(__file__).resolve().parents[2] / "python/tests"
SKIPPED = 77


def run(python, names, environment, options=()):
    """pytest over the files test_NAME.py. 0 where all passed, 77 where some were skipped, else what pytest says."""
    files = [TESTS / f"test_{name}.py" for name in names]
    command = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--no-header", *options, *files]
    run = subprocess.run(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(run.stdout, end="", flush=True)
    if run.returncode == 5 or (run.returncode == 0 and re.search(r"\d+ skipped", run.stdout.splitlines()[-1])):
        return SKIPPED
    return run.returncode

"""The Python package in the build tree, by its own tests.

usage: PACKAGE=build/cpu/python PYTHON=... tests/test_python_package.py NAME...

NAME: of the files python/tests/test_NAME.py; all others with --all-but NAME.... Tests of what only a newer PyTorch than
Debian's has take the one of scripts/install_deps --peers, where it is there (with --peers).
"""
import os
import pathlib
import subprocess
import sys

from support import python_tests


def main():
    names = [name for name in sys.argv[1:] if not name.startswith("--")]
    if "--all-but" in sys.argv:
        every = {path.stem.removeprefix("test_") for path in python_tests.TESTS.glob("test_*.py")}
        assert every >= set(names), f"no such tests: {set(names) - every}"
        names = sorted(every - set(names))
    python, environment = os.environ["PYTHON"], {"PYTHONPATH": os.environ["PACKAGE"]}
    peers = python_tests.TESTS.parents[1] / "build/peers/bin/python"
    if "--peers" in sys.argv and peers.exists():  # of one version of Python, as both are the system's; pytest is there
        find = "import pathlib, pytest; print(pathlib.Path(pytest.__file__).parents[1])"
        packages = subprocess.run([python, "-c", find], capture_output=True, text=True).stdout.strip()
        environment["PYTHONPATH"] += os.pathsep + packages
        python = peers
    for package in ("pytest", "numpy"):
        if subprocess.run([python, "-c", f"import {package}"], env={**os.environ, **environment},
                          stderr=subprocess.DEVNULL).returncode:
            print(f"skipped: {python} has no {package}; scripts/install_deps --test installs it")
            return python_tests.SKIPPED
    return python_tests.run(python, names, environment)


if __name__ == "__main__":
    sys.exit(main())

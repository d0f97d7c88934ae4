#!/usr/bin/env python3
"""Loops compiled for one instruction set keep their names to themselves.

usage: tests/test_isa.py OBJECT...

A function template that is compiled for AVX-512 under the name that ordinary code uses may be taken by the linker for
both, and then ends the program on an older processor. So every name that such an object defines for others must lie in
its own namespace (kernels/cpu/isa.h).
"""
import pathlib
import re
import subprocess
import sys


def strangers(path):
    """The names that an object defines for others outside its namespace."""
    isa = re.search(r"_loops_(\w+)\.cpp\.o$", path.name).group(1)
    listed = subprocess.run(["nm", "-C", "--defined-only", "--extern-only", path], capture_output=True, text=True,
                            check=True).stdout
    names = [line.split(None, 2)[2] for line in listed.splitlines() if line]
    assert names, f"{path.name} defines nothing"
    return [name for name in names if f"simclr::kernels::{isa}::" not in name]


def main():
    objects = [pathlib.Path(name) for name in sys.argv[1:]]
    assert objects, "no objects"
    found = [f"{path.name}: {name}" for path in objects for name in strangers(path)]
    print("\n".join(found) or f"{len(objects)} objects keep their names to themselves")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

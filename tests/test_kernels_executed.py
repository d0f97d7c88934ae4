"""Every hand-written kernel in the tree runs on the emulated device, under all schedules that are named.

usage: test_kernels_executed.py KERNELS_FOLDER EXECUTED_FOLDER SCHEDULE...
EXECUTED_FOLDER holds what the device tests wrote, a file each: a line for each kernel and schedule. The kernels are the
names behind __global__ in KERNELS_FOLDER.
"""

import pathlib
import re
import sys

KERNEL = re.compile(r"__global__\s+void(?:\s+__launch_bounds__\([^;{]*?\))?\s+(\w+)\s*\(", re.DOTALL)


def kernels_in(folder):
    """{name: file} of all kernels; fails where a __global__ is not understood or two share a name."""
    kernels = {}
    for path in sorted(folder.rglob("*.cu")) + sorted(folder.rglob("*.h")):
        text = re.sub(r"//[^\n]*|^#define.*", "", path.read_text(), flags=re.MULTILINE)
        names = KERNEL.findall(text)
        if len(names) != text.count("__global__"):
            sys.exit(f"{path}: {text.count('__global__')} kernels, but only these names could be read: {names}")
        for name in names:
            if name in kernels:
                sys.exit(f"{name} is a kernel of {kernels[name]} and of {path}; rename one")
            kernels[name] = path
    return kernels


def main():
    schedules = sys.argv[3:]
    kernels = kernels_in(pathlib.Path(sys.argv[1]))
    executed = set()
    for path in pathlib.Path(sys.argv[2]).glob("*.txt"):
        executed.update(path.read_text().splitlines())
    missing = [
        f"{name} ({kernels[name].name}): not run {', '.join(lacking)}"
        for name in kernels
        if (lacking := [s for s in schedules if f"{name} {s}" not in executed])
    ]
    unknown = {line.split()[0] for line in executed} - kernels.keys()
    for line in missing:
        print(line)
    for name in sorted(unknown):
        print(f"{name}: launched, but no kernel has this name")
    print(f"{len(kernels) - len(missing)} of {len(kernels)} kernels ran under {', '.join(schedules)}")
    sys.exit(1 if missing or unknown or not kernels or not schedules else 0)


if __name__ == "__main__":
    main()

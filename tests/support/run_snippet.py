"""Runs a program from the documents where it finds a tiny CIFAR-10, and checks its exit code and its output.

Usage: run_snippet.py PROGRAM REGEX

The regular expression must match all that PROGRAM prints. (ctest's PASS_REGULAR_EXPRESSION would not look at the exit
code.)
"""

import pathlib
import random
import re
import subprocess
import sys
import tempfile


def record(label: int, rng: random.Random) -> bytes:
    """A CIFAR-10 record: the label, then red, green and blue planes of 32x32. Stripes whose direction and width tell
    the class, in a random place and brightness."""
    period = 3 * (label // 2) + 3
    shift = rng.randrange(period)
    planes = bytearray()
    for _ in range(3):
        light, dark = rng.randrange(150, 256), rng.randrange(0, 100)
        line = [light if (i + shift) % period < period / 2 else dark for i in range(32)]
        planes += bytes(line[x] if label % 2 else line[y] for y in range(32) for x in range(32))
    return bytes([label]) + bytes(planes)


def write_cifar10(folder: pathlib.Path) -> None:
    rng = random.Random(1)
    folder.mkdir(parents=True)
    for name, count in [*((f"data_batch_{i}.bin", 30) for i in range(1, 6)), ("test_batch.bin", 100)]:
        (folder / name).write_bytes(b"".join(record(i % 10, rng) for i in range(count)))


def main() -> int:
    program, expected = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="simclr-snippet-") as folder:
        write_cifar10(pathlib.Path(folder, "data-cache", "cifar-10-batches-bin"))
        run = subprocess.run([program], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(run.stdout, run.stderr, sep="", end="")
    if run.returncode != 0:
        print(f"FAILED: exit code {run.returncode}")
        return 1
    if not re.fullmatch(expected, run.stdout):
        print(f"FAILED: the output does not match {expected}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

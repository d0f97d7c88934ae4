"""Runs a benchmark and checks its exit code and that every line it prints is a measurement in JSON.

Usage: smoke.py PROGRAM ARGUMENTS...
"""

import json
import subprocess
import sys


def main() -> int:
    run = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(run.stdout, run.stderr, sep="", end="")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"exit code {run.returncode}"
    assert lines, "no line was printed"
    for line in lines:
        seconds = line.get("seconds", line.get("step_seconds", 0))
        assert line["case"] and line["device"] and line["dtype"] and seconds > 0, line
        # Of ranks: a ring's volume, and one gradient of gathered embeddings.
        assert line.get("over_ring", 1) <= 1.05 and line.get("reduce_scatters", 1) == 1, line
    return 0


if __name__ == "__main__":
    sys.exit(main())

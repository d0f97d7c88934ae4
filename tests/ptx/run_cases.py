"""Runs cases and says what ran.  usage: run_cases.py PTX_FOLDER [CASE...]"""

import importlib
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from case import CASES, run_case  # noqa: E402
from launch import Library  # noqa: E402

for path in sorted(pathlib.Path(__file__).parent.glob("cases_*.py")):
    importlib.import_module(path.stem)

if __name__ == "__main__":
    library = Library(sys.argv[1])
    for name in sys.argv[2:] or CASES:
        start = time.time()
        run = run_case(library, name)
        print(
            f"{name}: error {run.error:.2e}, {run.device.warp_instructions} warp instructions, "
            f"{len(run.device.segments)} instantiations, {time.time() - start:.1f} s"
        )
        for failure in run.failures:
            print("  FAILED", failure)

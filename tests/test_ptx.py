"""The PTX of every hand-written kernel, executed by tests/ptx and compared with references in double.

usage: test_ptx.py COMPILE_COMMANDS PTX_FOLDER sm_80|sm_90a
Makes the PTX where it is not there or older than its source (ptx/compile_ptx.py), runs all cases of kernels of that
architecture, two at a time, and says how many warp instructions ran, what of the instantiations and of their code, and
the greatest error. A kernel that no case executes fails, and so does a result that is off by more than 1e-6.
docs/decisions/ptx-interpreter.md tells more.
"""

import pathlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "ptx")]

from support.peers import require  # noqa: E402

require("numpy")

from compile_ptx import compile_all  # noqa: E402
from test_kernels_executed import kernels_in  # noqa: E402

SM90 = {"nt_xent_sm90"}  # cases that need sm_90a's kernels
FIRST = ("attention_f32", "nt_xent_family", "augment_large", "nt_xent_f32", "attention_tiles")  # the longest
library = None


def load(folder):
    import run_cases

    global library
    library = run_cases.Library(folder)


def cases():
    import run_cases

    names = [name for name in run_cases.CASES if name not in FIRST]
    return [*(name for name in FIRST if name in run_cases.CASES), *names]


def run(name):
    from case import run_case

    start = time.time()
    result = run_case(library, name)
    segments = {
        key: (executed, len(library.translated[key].segments)) for key, executed in result.device.segments.items()
    }
    return name, result.error, result.failures, result.device.warp_instructions, segments, time.time() - start


def instantiations_of(folder, sm90):
    """{(source, mangled): instantiation} of the architecture's sources."""
    load(folder)
    return {(i.source, i.mangled): i for i in library.instantiations if (i.source.endswith("_sm90")) == sm90}


def report(known, executed, totals, kernels):
    """Prints what ran; whether every kernel did."""
    for key in sorted(known.keys() - executed.keys()):
        print(f"not executed: {known[key].shown}")
    done = [key for key in known if key in executed]
    names = {known[key].name for key in done}
    segments = sum(len(executed[key]) for key in done), sum(totals[key] for key in done)
    missing = sorted(kernels - names)
    for name in missing:
        print(f"{name}: no case in tests/ptx executes its PTX")
    print(
        f"{len(names & kernels)} of {len(kernels)} kernels, {len(done)} of {len(known)} instantiations, "
        f"{segments[0]} of {segments[1]} segments of their code"
    )
    return not missing


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    commands, folder, architecture = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    start, sm90 = time.time(), architecture == "sm_90a"
    compile_all(commands, folder)
    compiled = time.time()
    kernels = {name for name, path in kernels_in(HERE.parent / "kernels").items() if ("sm90" in path.name) == sm90}
    known = instantiations_of(folder, sm90)
    executed, totals, failures, error, instructions = {}, {}, [], 0.0, 0
    chosen = [name for name in cases() if (name in SM90) == sm90]
    with ProcessPoolExecutor(2, initializer=load, initargs=(folder,)) as pool:
        for name, off, failed, count, segments, seconds in pool.map(run, chosen):
            print(f"{name}: greatest error {off:.1e}, {count} warp instructions, {seconds:.1f} s", flush=True)
            failures += failed
            error, instructions = max(error, off), instructions + count
            for key, (ran, total) in segments.items():
                executed.setdefault(key, set()).update(ran)
                totals[key] = total
    for failure in failures:
        print(f"FAILED {failure}")
    complete = report(known, executed, totals, kernels)
    print(
        f"{instructions} warp instructions in {time.time() - compiled:.0f} s, nvcc {compiled - start:.0f} s, "
        f"greatest error {error:.1e} of the largest value"
    )
    sys.exit(0 if complete and not failures and known else 1)


if __name__ == "__main__":
    main()

"""compare.py with programs that print made-up measurements in place of both sides: for its tests."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ["TZ"] = f"NOON{time.gmtime().tm_hour - 12:+d}"  # so that no day ends within a test

BENCHMARKS = pathlib.Path(__file__).resolve().parent
COMPARE = BENCHMARKS / "compare.py"

# A program that prints what its name, or that of the script it is told to run, has in `answers`; the first that fits.
# Where its exit code is null, it and what it started never end.
PROGRAM = """#!{python}
import json, os, pathlib, subprocess, sys, time
answers = json.loads({answers!r})
told = " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
if "train_cifar" in told:
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    key = next(key for key in answers if key.startswith("train_cifar") and all(word in told for word in key.split()))
    out.joinpath("log.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in answers[key][0]))
    time.sleep(0 if "--limit" in sys.argv else 60)
    sys.exit()
with open({log!r}, "a") as log:
    log.write(told + "\\n")
for key, (lines, code) in answers.items():
    if all(word in told for word in key.split()):
        print("\\n".join(json.dumps(line) for line in lines), flush=True)
        if code is None:
            subprocess.run(["sleep", "1000"])
        sys.exit(code)
sys.exit("no answer to: " + told)
"""
VERSIONS = {"-c importlib.metadata": ([{"Python": "3.11", "torch": "2.9"}], 0)}  # and no pip that knows an index


def compare(folder, device, what, answers, *more, code=0, commit="abc"):
    """The records of a run that ends with `code`, the Markdown, and what was run. `what`: empty: everything."""
    ops = ("train_step", "nt_xent", "batchnorm", "augment", "optimizer_step", "similarity", "text_step", "clip_step",
           "attention")
    for name in [*(f"benchmarks/bench_{op}" for op in ops), "examples/train_cifar", "python", "nvidia-smi"]:
        program = folder / "build" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM.format(python=sys.executable, answers=json.dumps(VERSIONS | answers),
                                       log=str(folder / "commands")))
        program.chmod(0o755)
    done = subprocess.run([sys.executable, COMPARE, "--device", device, *(["--what", *what] if what else []), "--build",
                           folder / "build", "--python", folder / "build" / "python", "--rounds", "2", "--out", folder,
                           "--commit", commit, *more], stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"PATH": f"{folder / 'build'}:{os.environ['PATH']}"})
    assert done.returncode == code, done.stdout
    (written,) = folder.glob(f"*-{device}.json")
    found = json.loads(written.read_text())
    assert found["versions"]["torch"] == "2.9" and found["commit"] == commit and found["machine"], found
    for r in found["results"]:
        assert r["device"] == device and {"case", "ours", "peer", "unit", "ratio", "target", "met"} <= r.keys(), r
    return {r["case"]: r for r in found["results"]}, written.with_suffix(".md").read_text(), \
        (folder / "commands").read_text().splitlines()


def peer(case, name, **figures):
    return {"case": case, "peer": name, "torch": "2.9", **figures}


def run(*tests):
    """Each test in a folder of its own."""
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="simclr-compare-") as place:
            test(pathlib.Path(place))
